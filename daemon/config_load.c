// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads the files and the overrides into a config, and remembers where every value was written.
 *
 * libinih splits the lines. What it would pass over in silence is looked at before it sees a line:
 * a line too long for it, text behind a section's bracket, an empty section of a name unknown, and
 * leading blanks, with which a key would continue the value before it.
 */
#include "config_rows.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config_values.h"

#define NAME_MAX_SHOWN 48
#define TYPO_DISTANCE  2

static const char *const sections[] = {"gate", "limits", "load", "classes", "known", "metrics"};

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* --- errors ----------------------------------------------------------------------------------- */

static int place_print(const struct load *l, const struct place *at, char *text, size_t size)
{
	char shown[SHOWN_MAX];

	if (at && at->name && at->line)
		return snprintf(text, size, "%s:%u: ", at->name, at->line);
	if (at && at->name)
		return snprintf(text, size, "override '%s': ", value_shown(at->name, shown));
	return l->file ? snprintf(text, size, "%s: ", l->file) : 0;
}

int load_fail(struct load *l, const struct place *at, const char *format, ...)
{
	char *text = l->err->text;
	size_t size = sizeof(l->err->text), length;
	va_list args;

	if (l->failed)
		return l->failed;
	l->failed = -EINVAL;
	length = place_print(l, at, text, size);
	if (length < size) {
		va_start(args, format);
		vsnprintf(text + length, size - length, format, args);
		va_end(args);
	}
	return l->failed;
}

/* What could not be opened or read: the file, and the system's own words. */
static void fail_file(struct load *l, const char *path, const char *verb, int err)
{
	const char *why = err == -EINVAL ? "it is not a plain file" : strerror(-err);

	if (l->failed)
		return;
	l->failed = err;
	snprintf(l->err->text, sizeof(l->err->text), "%s: cannot be %s: %s", path, verb, why);
}

const struct place *load_place(const struct load *l, const struct row *row)
{
	const struct place *at = &l->place[row_index(row)][0];

	return at->name ? at : NULL;
}

/* --- names that are not there ------------------------------------------------------------------ */

static unsigned int least(unsigned int a, unsigned int b, unsigned int c)
{
	return a < b ? (a < c ? a : c) : (b < c ? b : c);
}

/* Levenshtein's distance, by one row of his table. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[NAME_MAX_SHOWN + 1], diagonal, above;
	size_t m = strlen(b);

	if (m > NAME_MAX_SHOWN || strlen(a) > NAME_MAX_SHOWN)
		return NAME_MAX_SHOWN;
	for (size_t j = 0; j <= m; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			above = row[j];
			row[j] =
				least(diagonal + (a[i - 1] != b[j - 1]), above + 1, row[j - 1] + 1);
			diagonal = above;
		}
	}
	return row[m];
}

static bool section_known(const char *name)
{
	for (size_t i = 0; i < LENGTH(sections); i++)
		if (!strcmp(sections[i], name))
			return true;
	return false;
}

static void fail_section(struct load *l, const char *name)
{
	const char *near = NULL;
	char shown[SHOWN_MAX];
	unsigned int best = TYPO_DISTANCE + 1;

	value_shown(name, shown);
	for (size_t i = 0; i < LENGTH(sections); i++)
		if (distance(name, sections[i]) < best) {
			best = distance(name, sections[i]);
			near = sections[i];
		}
	if (near)
		load_fail(l, &l->here, "there is no section [%s]; was [%s] meant?", shown, near);
	else
		load_fail(l, &l->here,
			  "there is no section [%s]; expected [gate], [limits], [load], [classes], "
			  "[known] or [metrics]",
			  shown);
}

static const char *key_near(const char *section, const char *name)
{
	unsigned int best = TYPO_DISTANCE + 1, d;
	const struct row *row;
	const char *near = NULL;

	for (size_t i = 0; (row = row_at(i)); i++) {
		d = distance(name, row->key.name);
		if (!strcmp(row->key.section, section) && d < best) {
			best = d;
			near = row->key.name;
		}
	}
	return near;
}

static void fail_key(struct load *l, const char *section, const char *name)
{
	const struct row *elsewhere = row_find(NULL, name);
	const char *near = key_near(section, name);
	char shown[SHOWN_MAX], list[512] = "";
	const struct row *row;
	size_t length = 0;

	value_shown(name, shown);
	if (near) {
		load_fail(l, &l->here, "there is no key '%s' in [%s]; was %s meant?", shown,
			  section, near);
		return;
	}
	if (elsewhere) {
		load_fail(l, &l->here, "%s belongs in [%s], not in [%s]", name,
			  elsewhere->key.section, section);
		return;
	}
	for (size_t i = 0; (row = row_at(i)); i++)
		if (!strcmp(row->key.section, section) && length < sizeof(list))
			length += snprintf(list + length, sizeof(list) - length, "%s%s",
					   length ? ", " : "", row->key.name);
	load_fail(l, &l->here, "there is no key '%s' in [%s]; expected one of: %s", shown, section,
		  *list ? list : "none in this version");
}

/* --- values ----------------------------------------------------------------------------------- */

static void fail_value(struct load *l, const struct row *row, const char *text, const char *what)
{
	char shown[SHOWN_MAX];

	load_fail(l, &l->here, "%s = %s: %s; expected %s", row->key.name, value_shown(text, shown),
		  what, row->key.expects);
}

static bool parse(struct load *l, const struct row *row, const char *text, void *value)
{
	bool rate = row->type == ROW_RATE || row->type == ROW_PER_SECOND;
	const char *what;
	char never[64];

	if (rate && !(row->flags & ROW_MAY_BE_OFF) && !strcmp(text, "off")) {
		snprintf(never, sizeof(never), "%s is never unlimited", row->key.name);
		fail_value(l, row, text, never);
		return false;
	}
	what = row_parse(row, text, value);
	if (what)
		fail_value(l, row, text, what);
	return !what;
}

/* Within one file a second value would hide the first; a later file or override is meant to. */
static void take_scalar(struct load *l, const struct row *row, const char *text)
{
	struct place *at = &l->place[row_index(row)][0];
	void *value = (char *)l->c + row->offset;

	if (at->name && at->name == l->here.name && at->line) {
		load_fail(l, &l->here,
			  "%s is given twice in this file, first in line %u; expected once",
			  row->key.name, at->line);
		return;
	}
	if (row->type == ROW_PATH)
		memset(value, 0, CONFIG_PATH_MAX);
	else if (row->type == ROW_DURATION)
		memset(value, 0, sizeof(uint64_t));
	if (parse(l, row, text, value))
		*at = l->here;
}

static bool taken_before(struct load *l, const struct row *row, uint32_t n, const char *text)
{
	const struct place *at = l->place[row_index(row)];
	const void *value = row_value(row, l->c, n);
	char shown[SHOWN_MAX], first[CONFIG_PATH_MAX + SHOWN_MAX];

	for (uint32_t i = 0; i < n; i++) {
		if (memcmp(row_value(row, l->c, i), value, row->size))
			continue;
		if (at[i].line)
			snprintf(first, sizeof(first), "%s:%u", at[i].name, at[i].line);
		else
			snprintf(first, sizeof(first), "an override");
		load_fail(l, &l->here, "%s = %s is given twice, first in %s; expected once",
			  row->key.name, value_shown(text, shown), first);
		return true;
	}
	return false;
}

static void take_one_more(struct load *l, const struct row *row, const char *text)
{
	uint32_t *count = row_count(row, l->c), n = *count;

	if (n == row->capacity) {
		load_fail(l, &l->here, "%s is given too often; expected at most %u of them",
			  row->key.name, row->capacity);
		return;
	}
	if (!parse(l, row, text, row_value(row, l->c, n)) || taken_before(l, row, n, text))
		return;
	l->place[row_index(row)][n] = l->here;
	*count = n + 1;
}

/* A repeatable key takes one value or several with blanks between them. */
static void take_list(struct load *l, const struct row *row, const char *text)
{
	char *copy, *rest, *word;

	/* The first override of a key replaces what the files have listed. */
	if (!l->here.line && *row_count(row, l->c) && l->place[row_index(row)][0].line) {
		memset(row_value(row, l->c, 0), 0, row->capacity * row->size);
		*row_count(row, l->c) = 0;
	}
	copy = strdup(text);
	if (!copy) {
		fail_file(l, row->key.name, "read", -ENOMEM);
		return;
	}
	word = strtok_r(copy, " \t", &rest);
	if (!word && !(row->flags & ROW_MAY_BE_NIL))
		fail_value(l, row, text, "there is no value");
	for (; word && !l->failed; word = strtok_r(NULL, " \t", &rest))
		take_one_more(l, row, word);
	free(copy);
}

static void take(struct load *l, const char *section, const char *name, const char *text)
{
	const struct row *row = row_find(section, name);

	if (!row)
		fail_key(l, section, name);
	else if (row->capacity)
		take_list(l, row, text);
	else
		take_scalar(l, row, text);
}

/* --- files ------------------------------------------------------------------------------------ */

struct source {
	struct load *load;
	FILE *stream;
};

/* A comment may also stand behind a value, with a blank before it. Of # libinih knows nothing. */
static void cut_comment(char *line)
{
	for (char *p = line + 1; *line && *p; p++)
		if (strchr("#;", *p) && (p[-1] == ' ' || p[-1] == '\t'))
			*p = '\0';
}

static void look_at_section(struct load *l, char *line)
{
	char *end = strchr(line, ']');
	char name[SHOWN_MAX], shown[SHOWN_MAX];

	if (!end) {
		load_fail(l, &l->here, "the section's name does not end; expected [name]");
		return;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(end - line - 1), line + 1);
	end += 1 + strspn(end + 1, " \t");
	if (*end && *end != ';' && *end != '#')
		load_fail(l, &l->here,
			  "there is text behind [%s]; expected a key on a line of its own",
			  value_shown(name, shown));
	else if (!section_known(name))
		fail_section(l, name);
}

static void look_at_line(struct load *l, char *line)
{
	if (!*line || *line == '#' || *line == ';')
		return;
	if (*line == '[')
		look_at_section(l, line);
	else if (!strpbrk(line, "=:") || strchr("=:", *line))
		load_fail(l, &l->here, "the line is neither key = value, [section] nor # comment");
}

static void fail_line(struct load *l, int size, int err)
{
	if (err == -E2BIG)
		load_fail(l, &l->here, "the line is too long; expected at most %d characters",
			  size - 2);
	else if (err == -EILSEQ)
		load_fail(l, &l->here,
			  "the line has a control character in it; expected plain text");
	else
		fail_file(l, l->here.name, "read", err);
}

/* libinih's reader: hands it the lines one by one, and none behind an error. */
static char *next_line(char *text, int size, void *data)
{
	struct source *s = data;
	struct load *l = s->load;
	size_t blank;
	int got;

	if (l->failed)
		return NULL;
	l->here.line++;
	got = file_line(s->stream, text, size);
	if (got < 0)
		fail_line(l, size, got);
	if (got <= 0)
		return NULL;
	if (l->here.line == 1 && !strncmp(text, "\xef\xbb\xbf", 3))
		memmove(text, text + 3, strlen(text + 3) + 1);
	blank = strspn(text, " \t");
	memmove(text, text + blank, strlen(text + blank) + 1);
	cut_comment(text);
	look_at_line(l, text);
	return l->failed ? NULL : text;
}

static int take_pair(void *data, const char *section, const char *name, const char *value)
{
	struct load *l = ((struct source *)data)->load;
	char shown[SHOWN_MAX];

	if (*section)
		take(l, section, name, value);
	else
		load_fail(l, &l->here,
			  "%s stands before any section; expected a line such as [gate] before it",
			  value_shown(name, shown));
	return !l->failed;
}

static void read_file(struct load *l, const char *path)
{
	struct source s = {.load = l};
	int err = file_open(path, &s.stream);

	if (err) {
		fail_file(l, path, "opened", err);
		return;
	}
	l->here = (struct place){.name = path};
	if (ini_parse_stream(next_line, &s, take_pair, &s) && !l->failed)
		load_fail(l, &l->here, "the line is neither key = value, [section] nor # comment");
	fclose(s.stream);
}

static int is_drop_in(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 &&
	       !strcmp(entry->d_name + length - 5, ".conf");
}

/* By bytes: alphasort would sort as the locale of whoever starts the daemon does. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Names stay allocated until the load ends, as the places point at them. */
struct drop_ins {
	char **path;
	int count;
};

static void list_drop_ins(struct load *l, struct drop_ins *d)
{
	const char *slash = strrchr(l->file, '/');
	struct dirent **entry = NULL;
	char *folder;
	int n;

	if (asprintf(&folder, "%.*sconf.d", slash ? (int)(slash - l->file + 1) : 0, l->file) < 0) {
		fail_file(l, l->file, "read", -ENOMEM);
		return;
	}
	n = scandir(folder, &entry, is_drop_in, by_name);
	if (n < 0 && errno != ENOENT && errno != ENOTDIR)
		fail_file(l, folder, "read", -errno);
	if (n > 0)
		d->path = calloc(n, sizeof(*d->path));
	for (int i = 0; i < n; i++) {
		if (d->path && asprintf(&d->path[i], "%s/%s", folder, entry[i]->d_name) >= 0)
			d->count = i + 1;
		else
			fail_file(l, folder, "read", -ENOMEM);
		free(entry[i]);
	}
	free(entry);
	free(folder);
}

/* --- overrides and all together ---------------------------------------------------------------- */

/* Cuts the blanks at both ends, in place. */
static char *trim(char *text)
{
	size_t length;

	text += strspn(text, " \t");
	length = strlen(text);
	while (length && (text[length - 1] == ' ' || text[length - 1] == '\t'))
		text[--length] = '\0';
	return text;
}

static void take_override(struct load *l, const char *override)
{
	char *copy = strdup(override), *equals = copy ? strchr(copy, '=') : NULL, *point = NULL;
	char *section;

	l->here = (struct place){.name = override};
	if (equals) {
		*equals = '\0';
		point = strchr(copy, '.');
	}
	if (!copy) {
		fail_file(l, override, "read", -ENOMEM);
	} else if (!point) {
		load_fail(l, &l->here, "expected section.key=value");
	} else {
		*point = '\0';
		section = trim(copy);
		if (section_known(section))
			take(l, section, trim(point + 1), trim(equals + 1));
		else
			fail_section(l, section);
	}
	free(copy);
}

/* Defaults of scalars; those of lists stand for an empty list, so they come last. */
static void take_defaults(struct load *l, bool lists)
{
	const struct row *row;

	l->here = (struct place){0};
	for (size_t i = 0; (row = row_at(i)); i++) {
		if (row->flags & ROW_DERIVED || !!row->capacity != lists || !*row->key.fallback)
			continue;
		if (!lists)
			take_scalar(l, row, row->key.fallback);
		else if (!*row_count(row, l->c))
			take_one_more(l, row, row->key.fallback);
	}
}

static void read_all(struct load *l, const char *const *overrides, size_t override_count)
{
	struct drop_ins d = {0};

	take_defaults(l, false);
	if (l->file) {
		read_file(l, l->file);
		list_drop_ins(l, &d);
	}
	for (int i = 0; i < d.count && !l->failed; i++)
		read_file(l, d.path[i]);
	for (size_t i = 0; i < override_count && !l->failed; i++)
		take_override(l, overrides[i]);
	take_defaults(l, true);
	for (size_t i = 0; i < ROWS; i++)
		if (l->place[i][0].name)
			l->c->given |= 1ULL << i;
	if (!l->failed) {
		config_derive(l);
		config_check(l);
	}
	for (int i = 0; i < d.count; i++)
		free(d.path[i]);
	free(d.path);
}

int config_load(const char *file, const char *const *overrides, size_t override_count,
		const struct config_facts *facts, struct config *c, struct config_error *err)
{
	struct load *l = calloc(1, sizeof(*l));
	int failed;

	memset(c, 0, sizeof(*c));
	err->text[0] = '\0';
	if (!l) {
		snprintf(err->text, sizeof(err->text), "there is no memory to read the config");
		return -ENOMEM;
	}
	*l = (struct load){.c = c, .facts = facts, .err = err, .file = file};
	read_all(l, overrides, override_count);
	failed = l->failed;
	free(l);
	return failed;
}

/* --- on top of a config ------------------------------------------------------------------------ */

_Static_assert(ROWS <= 64, "struct config has a bit for every row");

#define WRITTEN_MAX (ROWS * VALUES_MAX)

/* Adds the overrides that write down one row; a repeatable key has one for each value. */
static int write_row(const struct config *c, size_t index, char **list, size_t *count)
{
	const struct row *row = row_at(index);
	char text[VALUES_MAX * CONFIG_PATH_MAX], *save, *value;
	int bad = config_format(c, index, text, sizeof(text));

	if (bad)
		return bad;
	if (!row->capacity) {
		if (asprintf(&list[*count], "%s.%s=%s", row->key.section, row->key.name, text) < 0)
			return -ENOMEM;
		++*count;
		return 0;
	}
	for (value = strtok_r(text, " ", &save); value; value = strtok_r(NULL, " ", &save)) {
		if (asprintf(&list[*count], "%s.%s=%s", row->key.section, row->key.name, value) < 0)
			return -ENOMEM;
		++*count;
	}
	return 0;
}

/* Is the row among the overrides? Then what was written before gives way: lists would add up. */
static bool is_overridden(const struct row *row, const char *const *overrides, size_t count)
{
	char head[NAME_MAX_SHOWN * 2];
	int length = snprintf(head, sizeof(head), "%s.%s=", row->key.section, row->key.name);

	for (size_t i = 0; i < count; i++)
		if (!strncmp(overrides[i], head, (size_t)length))
			return true;
	return false;
}

int config_with(const struct config *c, const char *const *overrides, size_t override_count,
		const struct config_facts *facts, struct config *out, struct config_error *err)
{
	char **list = calloc(WRITTEN_MAX + override_count, sizeof(*list));
	size_t written = 0;
	int bad = list ? 0 : -ENOMEM;

	for (size_t i = 0; i < ROWS && !bad; i++)
		if (c->given & 1ULL << i && !is_overridden(row_at(i), overrides, override_count))
			bad = write_row(c, i, list, &written);
	if (bad) {
		snprintf(err->text, sizeof(err->text), "there is no memory to change the config");
	} else {
		memcpy(list + written, overrides, override_count * sizeof(*list));
		bad = config_load(NULL, (const char *const *)list, written + override_count, facts,
				  out, err);
	}
	for (size_t i = 0; list && i < written; i++)
		free(list[i]);
	free(list);
	return bad;
}

int config_find(const char *name, struct config_error *err)
{
	const char *point = strchr(name, '.');
	char section[NAME_MAX_SHOWN];
	const struct row *row;

	if (point && (size_t)(point - name) < sizeof(section)) {
		snprintf(section, sizeof(section), "%.*s", (int)(point - name), name);
		row = row_find(section, point + 1);
	} else {
		row = row_find(NULL, name);
	}
	if (row)
		return (int)row_index(row);
	snprintf(err->text, sizeof(err->text),
		 "there is no key '%.*s'; 'sluice get' shows them all", NAME_MAX_SHOWN, name);
	return -EINVAL;
}
