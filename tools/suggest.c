// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * suggest.c - sluice suggest: limits from what was seen in the last 31 days, as a piece of config
 * with the reasons as comments. Where no daemon runs, from the file that it has left.
 */
#include "suggest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "suggest_json.h"
#include "text.h"

#define COLUMNS 78

/* --- print ------------------------------------------------------------------------------------ */

/* Words of a comment, wrapped. */
static void print_words(const char *lead, const char *text)
{
	const char *follow = "# ";
	size_t column = 0, begin = strlen(lead);

	while (*text) {
		size_t length = strcspn(text, " ");

		if (column && column + 1 + length > COLUMNS) {
			putchar('\n');
			column = 0;
		}
		if (!column) {
			printf("%s", begin ? lead : follow);
			column = strlen(begin ? lead : follow);
			begin = 0;
		} else {
			putchar(' ');
			column++;
		}
		printf("%.*s", (int)length, text);
		column += length;
		text += length + strspn(text + length, " ");
	}
	putchar('\n');
}

static void moment(char *out, size_t size, json_int_t at_s)
{
	time_t at = (time_t)at_s;
	struct tm tm;

	if (!localtime_r(&at, &tm) || !strftime(out, size, "%Y-%m-%d %H:%M", &tm))
		snprintf(out, size, "%lld", (long long)at_s);
}

static json_int_t number(const json_t *of, const char *name)
{
	return json_integer_value(json_object_get(of, name));
}

static const char *string(const json_t *of, const char *name)
{
	const char *text = json_string_value(json_object_get(of, name));

	return text ? text : "";
}

static void print_head(const json_t *answer)
{
	const json_t *unknown = json_object_get(answer, "unknown"), *one;
	char first[32], last[32], text[512];
	size_t i;

	moment(first, sizeof(first), number(answer, "first_s"));
	moment(last, sizeof(last), number(answer, "last_s"));
	snprintf(text, sizeof(text),
		 "Proposed by sluice suggest, from %lld minutes between %s and %s%s, in which "
		 "%lld connections were attempted.",
		 (long long)number(answer, "minutes"), first, last,
		 strcmp(string(answer, "from"), "file") ? "" : " (no daemon runs: from its file)",
		 (long long)number(answer, "attempts"));
	print_words("# ", text);
	print_words("# ", "What cannot be known from that:");
	json_array_foreach (unknown, i, one)
		print_words("# - ", json_string_value(one));
}

/* "It would have touched at most 0.2 % of the attempts, in 12 minutes, most of all at ..." */
static void say_touched(const json_t *one, char *text, size_t size)
{
	const json_t *touched = json_object_get(one, "touched");
	json_int_t minutes = number(one, "touched_minutes");
	char worst[32], share[32];

	*text = '\0';
	if (!json_is_number(touched))
		return;
	if (!minutes && json_number_value(touched) <= 0) {
		snprintf(text, size, " It would have touched none of the attempts.");
		return;
	}
	moment(worst, sizeof(worst), number(one, "worst_s"));
	snprintf(share, sizeof(share), "%.*f", json_number_value(touched) >= 0.01 ? 1 : 3,
		 json_number_value(touched) * 100);
	snprintf(text, size, " It would have touched %s%s %% of the attempts%s",
		 json_is_true(json_object_get(one, "at_most")) ? "at most " : "", share,
		 minutes ? "" : ".");
	if (minutes)
		snprintf(text + strlen(text), size - strlen(text),
			 ", in %lld minute%s, most of all at %s.", (long long)minutes,
			 minutes == 1 ? "" : "s", worst);
}

static void print_proposals(const json_t *answer)
{
	const json_t *list = json_object_get(answer, "proposals"), *one;
	const char *section = "";
	char touched[256], text[1024];
	size_t i;

	json_array_foreach (list, i, one) {
		if (strcmp(section, string(one, "section"))) {
			section = string(one, "section");
			printf("\n[%s]\n", section);
		}
		say_touched(one, touched, sizeof(touched));
		snprintf(text, sizeof(text), "%s%s", string(one, "reason"), touched);
		print_words("# ", text);
		printf("%s = %s\n", string(one, "key"), string(one, "value"));
	}
}

static int print(const struct options *o, json_t *answer)
{
	json_t *shown = text_escaped(answer);

	if (o->json) {
		client_print(answer);
	} else {
		print_head(shown);
		print_proposals(shown);
	}
	json_decref(shown);
	json_decref(answer);
	return EXIT_DONE;
}

/* --- without a daemon ------------------------------------------------------------------------- */

static const char *why_not(int bad)
{
	return bad == -ENOENT	 ? "no daemon runs, and none has left a history"
	       : bad == -EBADMSG ? "it is damaged"
	       : bad == -EPROTO	 ? "it is of a newer version"
				 : strerror(-bad);
}

static int from_file(const struct options *o)
{
	static struct suggestions s;
	struct history_book *b = history_open();
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	char path[HISTORY_PATH_MAX];
	int bad = b ? 0 : -ENOMEM;

	history_path(o->instance, path);
	if (!bad)
		bad = history_read(b, path);
	if (bad)
		text_complain("%s cannot be read: %s", path, why_not(bad));
	else
		bad = suggest_make(b, cpus > 0 ? (uint32_t)cpus : 1, &s);
	if (bad == -ENODATA)
		text_complain(SUGGEST_TOO_FEW, s.minutes, SUGGEST_LEAST_MINUTES);
	history_close(b);
	return bad ? EXIT_FAILED : print(o, suggest_json(&s, "file"));
}

int command_suggest(const struct options *o, int argc, char **argv)
{
	struct client_error error;
	json_t *answer;
	int bad =
		client_ask(o->instance, json_pack("{s:s}", "command", "suggest"), &answer, &error);

	(void)argc;
	(void)argv;
	if (!bad)
		return print(o, answer);
	if (bad == -ESRCH)
		return from_file(o);
	text_complain("%s", error.text);
	return EXIT_FAILED;
}
