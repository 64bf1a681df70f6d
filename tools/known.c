// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * known.c - sluice known: the senders that behaved.
 *
 *	known list [ADDRESS]		 who is known, may become so, or is marked; or what one is
 *	known add FILE|ADDRESS...	 known from now on, until forgotten: all of them, or none
 *	known forget ADDRESS|all	 as if it had never been seen
 *	known mark good|bad ADDRESS [--for T]	 known at once, or throttled, until then
 *
 * A FILE has one address a line, # begins a comment, and - is standard input. What is an address
 * and what a source is for the daemon to say; here only files and arguments are told apart.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client.h"
#include "command.h"
#include "control.h"
#include "text.h"

#define LINES_MOST   65536 /* of a file, and addresses in all: more than the daemon keeps */
#define LINE_MOST    1024
#define ADDRESS_ROOM 64

/* --- list ------------------------------------------------------------------------------------- */

static const char *string_of(const json_t *one, const char *name)
{
	const char *text = json_string_value(json_object_get(one, name));

	return text ? text : "";
}

static void print_source(const json_t *one)
{
	const json_t *seen = json_object_get(one, "seen_s"),
		     *until = json_object_get(one, "until_s");
	char ago[64] = "-", left[64] = "-", span[48];

	if (json_is_integer(seen)) {
		text_span(span, sizeof(span), json_number_value(seen));
		snprintf(ago, sizeof(ago), "%s ago", span);
	}
	if (json_is_integer(until)) {
		text_span(span, sizeof(span), json_number_value(until));
		snprintf(left, sizeof(left), "in %s", span);
	} else if (!strcmp(string_of(one, "state"), "added")) {
		snprintf(left, sizeof(left), "forgotten by hand");
	}
	printf("%-27s %-9s %4d  %-15s  %s\n", string_of(one, "source"), string_of(one, "state"),
	       (int)json_integer_value(json_object_get(one, "days")), ago, left);
}

/* Prints one page. Returns the offset of the next, 0 behind the last, or -1. */
static json_int_t print_page(const struct options *o, const char *address, json_int_t offset)
{
	json_t *request = json_pack("{s:s, s:I}", "command", "known-list", "offset", offset);
	json_t *answer, *shown;
	const json_t *one;
	json_int_t next;
	size_t i;

	if (address)
		json_object_set_new(request, "source", json_string(address));
	if (client_talk(o, request, &answer))
		return -1;
	if (o->json) {
		client_print(answer);
	} else {
		shown = text_escaped(json_object_get(answer, "sources"));
		if (!offset && json_array_size(shown))
			printf("%-27s %-9s %4s  %-15s  %s\n", "SOURCE", "STATE", "DAYS",
			       "LAST GOOD", "UNTIL");
		json_array_foreach (shown, i, one)
			print_source(one);
		json_decref(shown);
	}
	next = json_integer_value(json_object_get(answer, "next"));
	json_decref(answer);
	return next;
}

static int list(const struct options *o, const char *address)
{
	json_int_t offset = 0;

	do {
		offset = print_page(o, address, offset);
	} while (offset > 0);
	return offset ? EXIT_FAILED : EXIT_DONE;
}

/* --- add: what is to be added ----------------------------------------------------------------- */

struct wanted {
	char text[ADDRESS_ROOM];
	const char *file; /* NULL: an argument */
	size_t line;
};

struct adding {
	const struct options *o;
	struct wanted *wanted; /* room for LINES_MOST */
	size_t count;
};

/* One sentence about what was to be added: where it stands, if in a file. Returns EXIT_FAILED. */
static int refuse(const char *file, size_t line, const char *sentence)
{
	char shown[256], said[1024];

	text_escape(said, sizeof(said), sentence);
	if (file) {
		text_escape(shown, sizeof(shown), file);
		text_complain("%s:%zu: %s; nothing was added", shown, line, said);
	} else {
		text_complain("%s; nothing was added", said);
	}
	return EXIT_FAILED;
}

static int want(struct adding *a, const char *text, const char *file, size_t line)
{
	struct wanted *w;
	char said[192];

	if (a->count == LINES_MOST) {
		snprintf(said, sizeof(said), "there are more than %d addresses", LINES_MOST);
		return refuse(file, line, said);
	}
	/* JSON takes no bytes that are not UTF-8, and a request is bounded. */
	if (strlen(text) >= ADDRESS_ROOM || text[strspn(text, "0123456789abcdefABCDEF:./")]) {
		snprintf(said, sizeof(said), "'%.60s' is no address", text);
		return refuse(file, line, said);
	}
	w = &a->wanted[a->count++];
	snprintf(w->text, sizeof(w->text), "%s", text);
	w->file = file;
	w->line = line;
	return 0;
}

/* One line without its end; a NUL becomes no address. Returns 1, 0 at the end, -1: too long. */
static int read_line(FILE *f, char line[static LINE_MOST])
{
	size_t length = 0;
	int c;

	while ((c = getc(f)) != EOF && c != '\n') {
		if (length == LINE_MOST - 1)
			return -1;
		line[length++] = c ? (char)c : '?';
	}
	line[length] = '\0';
	return c != EOF || length;
}

/* The one word of a line, "" if there is none; NULL if there are several. */
static char *only_word(char *line)
{
	char *word, *rest;

	line[strcspn(line, "#")] = '\0';
	word = line + strspn(line, " \t\r");
	rest = word + strcspn(word, " \t\r");
	if (rest[strspn(rest, " \t\r")])
		return NULL;
	*rest = '\0';
	return word;
}

static int want_lines(struct adding *a, FILE *f, const char *name)
{
	char line[LINE_MOST], *word;
	size_t number, before = a->count;
	int got, bad;

	for (number = 1; (got = read_line(f, line)) > 0; number++) {
		if (number > LINES_MOST)
			return refuse(name, number,
				      "the file is too long: at most 65536 lines were "
				      "expected");
		word = only_word(line);
		if (!word)
			return refuse(name, number, "one address a line was expected");
		bad = *word ? want(a, word, name, number) : 0;
		if (bad)
			return bad;
	}
	if (got < 0)
		return refuse(name, number,
			      "the line is too long: one address a line was expected");
	if (ferror(f))
		return refuse(name, number, strerror(errno));
	if (a->count == before)
		return refuse(name, number,
			      "the file names nobody: one address a line was expected");
	return 0;
}

static int want_file(struct adding *a, const char *name)
{
	bool standard = !strcmp(name, "-");
	FILE *f = standard ? stdin : fopen(name, "re");
	char shown[256];
	struct stat st;
	int bad;

	text_escape(shown, sizeof(shown), name);
	if (!f) {
		text_complain("'%s' is no address, and as a file it cannot be read: %s", shown,
			      strerror(errno));
		return EXIT_FAILED;
	}
	if (!fstat(fileno(f), &st) && S_ISDIR(st.st_mode)) {
		text_complain("'%s' is a folder: an address or a file of them was expected", shown);
		bad = EXIT_FAILED;
	} else {
		bad = want_lines(a, f, standard ? "standard input" : name);
	}
	if (!standard)
		fclose(f);
	return bad;
}

/* Is it meant as an address, with or without a length? */
static bool is_address(const char *text)
{
	unsigned char any[sizeof(struct in6_addr)];
	char copy[ADDRESS_ROOM];

	snprintf(copy, sizeof(copy), "%s", text);
	copy[strcspn(copy, "/")] = '\0';
	return inet_pton(AF_INET, copy, any) == 1 || inet_pton(AF_INET6, copy, any) == 1;
}

/* --- add: all of it, or nothing ---------------------------------------------------------------- */

static json_t *request_of(const struct adding *a, size_t from, size_t count, bool check)
{
	json_t *sources = json_array();

	for (size_t i = from; i < from + count; i++)
		json_array_append_new(sources, json_string(a->wanted[i].text));
	return json_pack("{s:s, s:o, s:b}", "command", "known-add", "sources", sources, "check",
			 (int)check);
}

static size_t part(const struct adding *a, size_t from)
{
	return a->count - from < CONTROL_SOURCES ? a->count - from : CONTROL_SOURCES;
}

/* Asks the daemon about all of them, before it is told to add any. */
static int check_all(const struct adding *a)
{
	json_int_t fresh = 0, room = 0;
	json_t *answer;

	for (size_t from = 0; from < a->count; from += CONTROL_SOURCES) {
		const json_t *bad;
		size_t at;

		if (client_talk(a->o, request_of(a, from, part(a, from), true), &answer))
			return EXIT_FAILED;
		bad = json_object_get(answer, "bad");
		at = from + (size_t)json_integer_value(json_object_get(bad, "index"));
		if (json_is_object(bad) && at < a->count) {
			refuse(a->wanted[at].file, a->wanted[at].line, string_of(bad, "error"));
			json_decref(answer);
			return EXIT_FAILED;
		}
		fresh += json_integer_value(json_object_get(answer, "fresh"));
		room = json_integer_value(json_object_get(answer, "room"));
		json_decref(answer);
	}
	if (fresh <= room)
		return 0;
	text_complain("the table has room for %lld more sources, not for %lld; nothing was added",
		      (long long)room, (long long)fresh);
	return EXIT_FAILED;
}

static int add_all(const struct adding *a)
{
	char message[96];
	json_t *answer;

	for (size_t from = 0; from < a->count; from += CONTROL_SOURCES) {
		if (client_talk(a->o, request_of(a, from, part(a, from), false), &answer)) {
			if (from)
				text_complain("the first %zu of %zu addresses were added", from,
					      a->count);
			return EXIT_FAILED;
		}
		json_decref(answer);
	}
	snprintf(message, sizeof(message), "%zu %s known until forgotten by hand", a->count,
		 a->count == 1 ? "source is" : "sources are");
	if (!a->o->json) {
		puts(message);
		return EXIT_DONE;
	}
	answer = json_pack("{s:b, s:s, s:I}", "ok", 1, "message", message, "count",
			   (json_int_t)a->count);
	client_print(answer);
	json_decref(answer);
	return EXIT_DONE;
}

static int add(const struct options *o, int count, char **names)
{
	struct adding a = {.o = o, .wanted = calloc(LINES_MOST, sizeof(*a.wanted))};
	int bad = 0;

	if (!a.wanted) {
		text_complain("out of memory");
		return EXIT_FAILED;
	}
	for (int i = 0; i < count && !bad; i++)
		bad = is_address(names[i]) ? want(&a, names[i], NULL, 0) : want_file(&a, names[i]);
	if (!bad)
		bad = check_all(&a);
	if (!bad)
		bad = add_all(&a);
	free(a.wanted);
	return bad;
}

/* --- mark and the rest ------------------------------------------------------------------------ */

static int mark(const struct options *o, const char *which, const char *address)
{
	json_t *request;

	if (strcmp(which, "good") && strcmp(which, "bad")) {
		char shown[128];

		text_escape(shown, sizeof(shown), which);
		text_complain("'%s' is no mark: good or bad was expected", shown);
		return EXIT_USAGE;
	}
	request = json_pack("{s:s, s:s, s:s}", "command", "known-mark", "mark", which, "source",
			    address);
	if (request && o->for_s)
		json_object_set_new(request, "for_s", json_integer(o->for_s));
	return client_tell(o, request);
}

/* An argument that JSON does not take is no address. */
static bool is_text(const char *address)
{
	json_t *text = json_string(address);

	json_decref(text);
	if (!text)
		text_complain("an address was expected, and this is no text");
	return text != NULL;
}

int command_known(const struct options *o, int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	bool marks = !strcmp(verb, "mark");

	if (o->for_s && !marks) {
		text_complain(
			"--for says how long a mark lasts: known mark good|bad ADDRESS --for T");
		return EXIT_USAGE;
	}
	if (!strcmp(verb, "add") && argc > 2)
		return add(o, argc - 2, argv + 2);
	if (argc > 2 && argc < 5 && !is_text(argv[argc - 1]))
		return EXIT_FAILED;
	if (!strcmp(verb, "list") && argc <= 3)
		return list(o, argc > 2 ? argv[2] : NULL);
	if (!strcmp(verb, "forget") && argc == 3)
		return client_tell(
			o, json_pack("{s:s, s:s}", "command", "known-forget", "source", argv[2]));
	if (marks && argc == 4)
		return mark(o, argv[2], argv[3]);
	text_complain(
		"known list [ADDRESS], known add FILE|ADDRESS..., known forget ADDRESS|all, or "
		"known mark good|bad ADDRESS [--for T] was expected");
	return EXIT_USAGE;
}
