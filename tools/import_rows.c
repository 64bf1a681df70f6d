// SPDX-License-Identifier: GPL-2.0-or-later
/* The reader of lines, the rows and their print: what the three formats share. */
#include "import.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX    160 /* of the file's words in a remark */
#define PREFIXES_MAX 200 /* of a list that are shown */
#define WIDTH	     96	 /* a comment is wrapped here */

/* --- text ------------------------------------------------------------------------------------- */

static int refuse(char *err, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static int refuse(char *err, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(err, size, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

/* Bytes above ASCII stand in comments of many encodings; control bytes in no configuration. */
static bool is_text(unsigned char c)
{
	return c >= ' ' ? c != 0x7f : c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

int import_check(struct import_text *t, char *err, size_t err_size)
{
	unsigned int line = 1;
	size_t kept = 0, begin = 0;

	for (size_t n = 0; n < t->size; n++) {
		unsigned char c = (unsigned char)t->text[n];

		if (!is_text(c))
			return refuse(err, err_size,
				      "%s:%u: there is a byte 0x%02x in the line; a text file was "
				      "expected",
				      t->name, line, c);
		if (c == '\r' && t->text[n + 1] == '\n')
			continue;
		if (c == '\n') {
			line++;
			begin = n + 1;
		} else if (n - begin >= IMPORT_LINE_MAX) {
			return refuse(err, err_size,
				      "%s:%u: the line is longer than %d bytes; a configuration "
				      "file was expected",
				      t->name, line, IMPORT_LINE_MAX);
		}
		t->text[kept++] = (char)c;
	}
	t->text[kept] = '\0';
	t->size = kept;
	t->next = t->text;
	t->line = 1;
	return 0;
}

char *import_line(struct import_text *t, unsigned int *number)
{
	char *line = t->next, *end;

	if (!*line)
		return NULL;
	end = strchr(line, '\n');
	if (end)
		*end = '\0';
	t->next = end ? end + 1 : line + strlen(line);
	*number = t->line++;
	return line;
}

char import_peek(const struct import_text *t)
{
	return *t->next;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

char *import_trim(char *text)
{
	size_t length;

	while (is_blank(*text))
		text++;
	length = strlen(text);
	while (length && is_blank(text[length - 1]))
		text[--length] = '\0';
	return text;
}

void import_take(struct import_option *o, const struct import_text *t, unsigned int line,
		 char *value)
{
	if (o->value)
		o->others++;
	o->file = t->name;
	o->line = line;
	o->value = value;
}

bool import_number(const char *text, uint32_t *n)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > IMPORT_NUMBER_MAX)
			return false;
	}
	*n = (uint32_t)value;
	return true;
}

/* Are all bits behind the first so many 0? */
static bool ends_there(const unsigned char *byte, size_t size, uint32_t bits)
{
	for (size_t i = bits; i < size * 8; i++)
		if (byte[i / 8] & 0x80 >> i % 8)
			return false;
	return true;
}

bool import_prefix(const char *word, char *out, size_t size)
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	unsigned char byte[16];
	char copy[INET6_ADDRSTRLEN + 8], text[INET6_ADDRSTRLEN], *slash, *address = copy, *bracket;
	uint32_t bits;
	int family;

	if (snprintf(copy, sizeof(copy), "%s", word) >= (int)sizeof(copy))
		return false;
	slash = strchr(copy, '/');
	if (slash)
		*slash = '\0';
	if (*address == '[') {
		bracket = strchr(address++, ']');
		if (!bracket || bracket[1])
			return false;
		*bracket = '\0';
	}
	family = strchr(address, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(family, address, byte) != 1)
		return false;
	bits = family == AF_INET ? 32 : 128;
	if (slash && (!import_number(slash + 1, &bits) || bits > (family == AF_INET ? 32 : 128)))
		return false;
	if (!ends_there(byte, family == AF_INET ? 4 : 16, bits))
		return false;
	/* An IPv4 prefix written as an IPv6 one, which is how Debian's Postfix has the loopback. */
	if (family == AF_INET6 && bits >= 96 && !memcmp(byte, mapped, sizeof(mapped))) {
		family = AF_INET;
		bits -= 96;
		memmove(byte, byte + sizeof(mapped), 4);
	}
	inet_ntop(family, byte, text, sizeof(text));
	return snprintf(out, size, "%s/%u", text, bits) < (int)size;
}

/* --- rows ------------------------------------------------------------------------------------- */

/* Copies in as one line of ASCII, other bytes as \xNN, cut with "..." where it does not fit. */
static void show(char *out, size_t size, const char *in)
{
	size_t used = 0;

	for (; *in && used + 8 < size; in++) {
		unsigned char c = (unsigned char)*in;

		if (c == '\n' || c == '\t')
			out[used++] = ' ';
		else if (c < ' ' || c >= 0x7f)
			used += (size_t)sprintf(out + used, "\\x%02x", c);
		else
			out[used++] = (char)c;
	}
	snprintf(out + used, size - used, "%s", *in ? "..." : "");
}

static struct import_row *new_row(struct import *i, enum import_section section,
				  enum import_kind kind)
{
	struct import_row *row;

	if (i->rows == IMPORT_ROWS_MAX) {
		i->left_off++;
		return NULL;
	}
	row = &i->row[i->rows++];
	*row = (struct import_row){.section = section, .kind = kind};
	return row;
}

static char *copy(struct import *i, const char *text)
{
	char *made = strdup(text);

	if (!made)
		i->no_memory = true;
	return made;
}

static char *format(struct import *i, const char *text, va_list arguments)
{
	char *made = NULL;

	if (vasprintf(&made, text, arguments) < 0) {
		i->no_memory = true;
		return NULL;
	}
	/* It may quote a word of the file. */
	for (char *c = made; *c; c++)
		if (*c < ' ' || *c == 0x7f)
			*c = '?';
	return made;
}

static char *origin_of(struct import *i, const char *file, unsigned int line, const char *name,
		       const char *value)
{
	char shown[SHOWN_MAX], file_shown[SHOWN_MAX], *made = NULL;

	show(shown, sizeof(shown), value);
	show(file_shown, sizeof(file_shown), file);
	if (asprintf(&made, "%s:%u: %s%s%s", file_shown, line, name ? name : "", name ? " = " : "",
		     shown) < 0) {
		i->no_memory = true;
		return NULL;
	}
	return made;
}

void import_add(struct import *i, enum import_section section, enum import_kind kind,
		const struct import_option *o, const char *setting, const char *why, ...)
{
	struct import_row *row = new_row(i, section, kind);
	va_list arguments;

	if (!row)
		return;
	if (o && o->value)
		row->origin = origin_of(i, o->file, o->line, o->name, o->value);
	if (setting)
		row->setting = copy(i, setting);
	if (!why)
		return;
	va_start(arguments, why);
	row->why = format(i, why, arguments);
	va_end(arguments);
}

void import_remark(struct import *i, const struct import_text *t, unsigned int line,
		   const char *shown, const char *why, ...)
{
	struct import_row *row = new_row(i, IMPORT_REMARKS, IMPORT_SAY);
	va_list arguments;

	if (!row)
		return;
	row->origin = origin_of(i, t->name, line, NULL, shown);
	va_start(arguments, why);
	row->why = format(i, why, arguments);
	va_end(arguments);
}

void import_no_counterparts(struct import *i, const struct import_option *table, size_t count)
{
	for (const struct import_option *o = table; o < table + count; o++) {
		if (!o->value)
			continue;
		if (o->none)
			import_add(i, IMPORT_REMARKS, IMPORT_SAY, o, NULL, "%s", o->none);
		if (o->others)
			import_add(i, IMPORT_REMARKS, IMPORT_SAY, o, NULL,
				   "It is set more than once; this line is the one in force.");
	}
}

void import_not_understood(struct import *i, const struct import_option *o, const char *expected)
{
	import_add(i, IMPORT_REMARKS, IMPORT_SAY, o, NULL,
		   "Not understood: %s was expected. Set it by hand.", expected);
}

void import_sessions(struct import *i, const struct import_option *o, const char *key, uint32_t n,
		     const char *why)
{
	char setting[64], expected[64];

	snprintf(setting, sizeof(setting), "%s = %u", key, n);
	if (!n) {
		import_add(i, IMPORT_LIMITS, IMPORT_PROPOSE, o, setting,
			   "0 is no limit there, and off by default here.");
	} else if (n > IMPORT_SESSIONS_MAX) {
		snprintf(expected, sizeof(expected), "a number to %d, as %s takes it",
			 IMPORT_SESSIONS_MAX, key);
		import_not_understood(i, o, expected);
	} else {
		import_add(i, IMPORT_LIMITS, IMPORT_SET, o, setting, "%s", why);
	}
}

void import_list_word(struct import *i, const struct import_option *o, const char *word,
		      unsigned int *shown)
{
	char prefix[64], setting[80];

	if (!import_prefix(word, prefix, sizeof(prefix))) {
		import_add(i, IMPORT_REMARKS, IMPORT_SAY, o, NULL,
			   "Its word '%.60s' is no prefix: a name, a pattern, a file, a table or a "
			   "negation, which Sluice's lists do not have. Write the addresses into "
			   "the list.",
			   word);
		return;
	}
	snprintf(setting, sizeof(setting), "  %s", prefix);
	if (++*shown <= PREFIXES_MAX)
		import_add(i, IMPORT_CLASSES, IMPORT_PROPOSE, NULL, setting, NULL);
	else if (*shown == PREFIXES_MAX + 1)
		import_add(i, IMPORT_REMARKS, IMPORT_SAY, o, NULL,
			   "It has more than %d prefixes, and the others are not shown.",
			   PREFIXES_MAX);
}

void import_no_session_time(struct import *i)
{
	import_add(i, IMPORT_LIMITS, IMPORT_SET, NULL, "source-session-time = 0",
		   "The MTA does not count the time of sessions. Without this line an unknown "
		   "sender may hold sessions for 60 s a minute.");
}

void import_no_known_share(struct import *i)
{
	import_add(i, IMPORT_LIMITS, IMPORT_SET, NULL, "known-share = 0",
		   "The MTA keeps no sessions for known senders. Without this line unknown ones "
		   "could not take the last fifth.");
}

/* --- print ------------------------------------------------------------------------------------ */

/* Words of a comment, wrapped. lead stands before each line. */
static void print_words(FILE *f, const char *lead, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t length = strcspn(text, " ");

		if (column && column + 1 + length > WIDTH) {
			fputc('\n', f);
			column = 0;
		}
		column += (size_t)fprintf(f, "%s%.*s", column ? " " : lead, (int)length, text);
		text += length;
		text += strspn(text, " ");
	}
	if (column)
		fputc('\n', f);
}

static void print_row(FILE *f, const struct import_row *row)
{
	if (row->origin)
		print_words(f, "# ", row->origin);
	if (row->why)
		print_words(f, row->origin ? "#   " : "# ", row->why);
	if (row->setting)
		fprintf(f, "%s%s\n", row->kind == IMPORT_PROPOSE ? "#" : "", row->setting);
}

static void print_section(FILE *f, const struct import *i, enum import_section section,
			  const char *name)
{
	bool begun = false;

	for (size_t n = 0; n < i->rows; n++) {
		if (i->row[n].section != section)
			continue;
		if (!begun)
			fprintf(f, "\n[%s]\n", name);
		else if (i->row[n].origin || i->row[n].why)
			fputc('\n', f);
		begun = true;
		print_row(f, &i->row[n]);
	}
}

static void print_gate(FILE *f, const char *interface)
{
	fputs("\n[gate]\n", f);
	print_words(f, "# ",
		    interface ? "The interface of this machine's default route, as no MTA names "
				"one: put the one that mail arrives on."
			      : "Only an example, as no MTA names one: put the interface that "
				"mail arrives on.");
	fprintf(f, "interface = %s\n\n", interface ? interface : "eth0");
	print_words(f, "# ",
		    "Judges and counts, and lets everything pass. When sluice(8) status shows "
		    "that it would do what you want: enforce.");
	fputs("mode = monitor\n", f);
}

static void print_remarks(FILE *f, const struct import *i)
{
	bool begun = false;

	for (size_t n = 0; n < i->rows; n++) {
		if (i->row[n].section != IMPORT_REMARKS)
			continue;
		fputs(begun ? "#\n" : "\n# What has no counterpart, or was not understood:\n#\n",
		      f);
		begun = true;
		print_row(f, &i->row[n]);
	}
	if (i->left_off)
		fprintf(f, "#\n# And %zu more, which are not shown.\n", i->left_off);
}

int import_print(const struct import *i, FILE *f, const char *command, const char *interface)
{
	char shown[SHOWN_MAX * 2];

	show(shown, sizeof(shown), command);
	fprintf(f, "# Made by: %s\n", shown);
	print_words(f, "# ",
		    "Each line says where it came from. A line that begins with #key proposes and "
		    "changes nothing. Check it with sluiced -n -f FILE.");
	print_gate(f, interface);
	print_section(f, i, IMPORT_LIMITS, "limits");
	print_section(f, i, IMPORT_LOAD, "load");
	print_section(f, i, IMPORT_CLASSES, "classes");
	print_remarks(f, i);
	return ferror(f) ? -EIO : 0;
}

void import_free(struct import *i)
{
	for (size_t n = 0; n < i->rows; n++) {
		free(i->row[n].origin);
		free(i->row[n].setting);
		free(i->row[n].why);
	}
	*i = (struct import){0};
}
