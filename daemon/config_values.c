// SPDX-License-Identifier: GPL-2.0-or-later
#include "config_values.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* From the longest to the shortest, so that a value is written in the longest that divides it. */
static const struct unit {
	const char *name;
	uint64_t ns;
} units[] = {
	{"d", 86400 * NSEC_PER_SEC}, {"h", 3600 * NSEC_PER_SEC}, {"min", 60 * NSEC_PER_SEC},
	{"m", 60 * NSEC_PER_SEC},    {"s", NSEC_PER_SEC},	 {"ms", NSEC_PER_MSEC},
};
#define UNITS (sizeof(units) / sizeof(units[0]))

static const char out_of_range[] = "it is out of range";
static const char not_a_number[] = "it is not a number";

/* Decimal digits only: no sign, no blank, no locale. A number too large sticks at UINT64_MAX. */
static bool digits(const char **text, uint64_t *v)
{
	const char *p = *text;

	for (*v = 0; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(*v, 10, v) || __builtin_add_overflow(*v, *p - '0', v))
			*v = UINT64_MAX;
	if (p == *text)
		return false;
	*text = p;
	return true;
}

static const struct unit *unit_find(const char *name)
{
	for (size_t i = 0; i < UNITS; i++)
		if (!strcmp(units[i].name, name))
			return &units[i];
	return NULL;
}

const char *value_count(const char *text, uint64_t min, uint64_t max, uint32_t *v)
{
	uint64_t n;

	if (!digits(&text, &n) || *text)
		return *text == '-' ? out_of_range : not_a_number;
	if (n < min || n > max)
		return out_of_range;
	*v = n;
	return NULL;
}

/* The part behind the slash of a rate: a unit, or a number of them. */
static const char *period(const char *text, uint64_t *ns)
{
	const struct unit *u;
	uint64_t n = 1;

	if (!digits(&text, &n))
		n = 1; /* "15/s": of one unit */
	u = unit_find(text);
	if (!u)
		return *text ? "its unit is not known" : "it has no unit";
	if (!n)
		return "its period is 0";
	if (__builtin_mul_overflow(n, u->ns, ns) || *ns > RATE_PERIOD_MAX)
		return "its period is longer than a day";
	return NULL;
}

const char *value_rate(const char *text, struct rate *r)
{
	const char *what;

	*r = (struct rate){.count = 0, .period_ns = NSEC_PER_SEC};
	if (!strcmp(text, "off"))
		return NULL;
	if (!digits(&text, &r->count))
		return "it is not a rate";
	if (!*text)
		return "a bare number has no unit";
	if (*text++ != '/')
		return "it is not a rate";
	what = period(text, &r->period_ns);
	if (what)
		return what;
	if (!r->count)
		return "a rate of 0 lets nobody in";
	if (r->count > RATE_COUNT_MAX || r->count * (NSEC_PER_SEC / RATE_MAX_PER_S) > r->period_ns)
		return "it is too fast";
	return NULL;
}

const char *value_duration(const char *text, uint64_t min_ns, uint64_t max_ns, uint64_t *ns)
{
	const struct unit *u;
	uint64_t n;

	if (!digits(&text, &n))
		return *text == '-' ? out_of_range : "it is not a duration";
	if (!*text)
		return "a bare number has no unit";
	u = unit_find(text);
	if (!u)
		return "its unit is not known";
	if (__builtin_mul_overflow(n, u->ns, ns) || *ns < min_ns || *ns > max_ns)
		return out_of_range;
	return NULL;
}

const char *value_hundredths(const char *text, uint64_t min, uint64_t max, uint32_t *v)
{
	uint64_t whole, part = 0;
	const char *point;

	if (!digits(&text, &whole))
		return *text == '-' ? out_of_range : not_a_number;
	if (*text == '.') {
		point = ++text;
		if (!digits(&text, &part))
			return not_a_number;
		if (text - point > 2)
			return "it has more than two decimals";
		if (text - point == 1)
			part *= 10;
	}
	if (*text)
		return not_a_number;
	if (whole > max / 100 || whole * 100 + part > max || whole * 100 + part < min)
		return out_of_range;
	*v = whole * 100 + part;
	return NULL;
}

/* As dev_valid_name of the kernel (net/core/dev.c) has it. */
const char *value_interface(const char *text, char name[static IFNAMSIZ])
{
	size_t length = strlen(text);

	if (length >= IFNAMSIZ)
		return "it is longer than an interface name can be";
	if (!length || !strcmp(text, ".") || !strcmp(text, ".."))
		return "it is not an interface name";
	for (const char *p = text; *p; p++)
		/* The last two would have to be escaped wherever the name is shown. */
		if (*p == '/' || *p == ':' || isspace((unsigned char)*p) || *p == '"' || *p == '\\')
			return "it is not an interface name";
	memset(name, 0, IFNAMSIZ);
	memcpy(name, text, length);
	return NULL;
}

const char *value_path(const char *text, char path[static CONFIG_PATH_MAX])
{
	size_t length = strlen(text);

	if (*text != '/')
		return "it does not begin with a slash";
	if (length > PATH_TEXT_MAX)
		return "it is too long";
	for (const char *p = text; *p; p++)
		if (isspace((unsigned char)*p) || iscntrl((unsigned char)*p))
			return "it has a blank in it";
	memset(path, 0, CONFIG_PATH_MAX);
	memcpy(path, text, length);
	return NULL;
}

static bool is_mapped(const union addr *a)
{
	return !a->word[0] && !a->word[1] && a->word[2] == V4_MAPPED_WORD;
}

const char *value_address(const char *text, union addr *a, enum family *family)
{
	*a = (union addr){.word = {0, 0, V4_MAPPED_WORD, 0}};
	*family = FAMILY_V4;
	if (inet_pton(AF_INET, text, &a->word[3]) == 1)
		return NULL;
	*family = FAMILY_V6;
	if (inet_pton(AF_INET6, text, a->byte) != 1)
		return "it is not an address";
	if (is_mapped(a))
		return "it is an IPv4 address written as IPv6, and no such packet is on the wire";
	return NULL;
}

/* "15s", "10m"; of a rate "s", "10s", "2min": there one unit needs no number, and a minute is min. */
static int format_units(uint64_t ns, bool rate, char *text, size_t size)
{
	const struct unit *u = units;

	while (u < units + UNITS - 1 && (!ns || ns % u->ns || (!rate && !strcmp(u->name, "min"))))
		u++;
	if (rate && ns == u->ns)
		return snprintf(text, size, "%s", u->name);
	return snprintf(text, size, "%" PRIu64 "%s", ns / u->ns, u->name);
}

int format_rate(const struct rate *r, char *text, size_t size)
{
	char period_text[32];

	if (!r->count)
		return snprintf(text, size, "off");
	format_units(r->period_ns, true, period_text, sizeof(period_text));
	return snprintf(text, size, "%" PRIu64 "/%s", r->count, period_text);
}

int format_duration(uint64_t ns, char *text, size_t size)
{
	return ns ? format_units(ns, false, text, size) : snprintf(text, size, "0s");
}

int format_hundredths(uint32_t v, char *text, size_t size)
{
	if (v % 100 == 0)
		return snprintf(text, size, "%u", v / 100);
	if (v % 10 == 0)
		return snprintf(text, size, "%u.%u", v / 100, v % 100 / 10);
	return snprintf(text, size, "%u.%02u", v / 100, v % 100);
}

int format_address(const union addr *a, char *text, size_t size)
{
	char buffer[INET6_ADDRSTRLEN];

	if (is_mapped(a))
		inet_ntop(AF_INET, &a->word[3], buffer, sizeof(buffer));
	else
		inet_ntop(AF_INET6, a->byte, buffer, sizeof(buffer));
	return snprintf(text, size, "%s", buffer);
}

const char *value_shown(const char *text, char shown[static SHOWN_MAX])
{
	size_t length = strlen(text), most = SHOWN_MAX - 1;

	for (size_t i = 0; i < length && i < most; i++)
		shown[i] = isprint((unsigned char)text[i]) ? text[i] : '?';
	if (length > most)
		memcpy(shown + most - 3, "...", 3);
	shown[length < most ? length : most] = '\0';
	return shown;
}

static int open_stream(const char *path, int how, FILE **stream)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | how);
	struct stat st;
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		err = -EISDIR;
	else if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode))
		err = -EINVAL;
	else if (!(*stream = fdopen(fd, "r")))
		err = -errno;
	if (err)
		close(fd);
	return err;
}

int file_open(const char *path, FILE **stream)
{
	return open_stream(path, 0, stream);
}

int file_open_own(const char *path, FILE **stream)
{
	return open_stream(path, O_NOFOLLOW, stream);
}

int file_line(FILE *stream, char *text, size_t size)
{
	size_t length = 0;
	int c;

	while ((c = getc_unlocked(stream)) != EOF && c != '\n') {
		if (length >= size - 1)
			return -E2BIG;
		text[length++] = c;
	}
	if (c == EOF && ferror(stream))
		return -EIO;
	if (c == EOF && !length)
		return 0;
	if (length && text[length - 1] == '\r')
		length--;
	text[length] = '\0';
	for (size_t i = 0; i < length; i++)
		if (text[i] != '\t' && iscntrl((unsigned char)text[i]))
			return -EILSEQ;
	return 1;
}
