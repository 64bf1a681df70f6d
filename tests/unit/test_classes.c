// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Class files: what is read, and the sentence for each bad line.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "classes.h"
#include "unit.h"

static struct config config;
static char folder[64];

static void begin(void)
{
	memset(&config, 0, sizeof(config));
	snprintf(folder, sizeof(folder), "/tmp/sluice-classes-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
}

/* Another file of a class. Its name is the class and its number: trusted0. */
static void list_bytes(enum class class, const char *bytes, size_t size)
{
	char *path = config.class_file[class][config.class_files[class]];
	FILE *f;

	snprintf(path, CONFIG_PATH_MAX, "%s/%s%u", folder, class_name(class),
		 config.class_files[class]++);
	f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fwrite(bytes, 1, size, f);
	fclose(f);
}

static void list(enum class class, const char *text)
{
	list_bytes(class, text, strlen(text));
}

static void end(void)
{
	for (unsigned int class = 0; class < CLASSES; class ++)
		for (uint32_t i = 0; i < config.class_files[class]; i++)
			unlink(config.class_file[class][i]);
	rmdir(folder);
}

/* "known 192.0.2.0/24" */
static const char *entry_text(const struct class_entry *e)
{
	static char text[96];
	char address[INET6_ADDRSTRLEN];

	if (e->family == FAMILY_V4)
		inet_ntop(AF_INET, &e->addr.word[3], address, sizeof(address));
	else
		inet_ntop(AF_INET6, e->addr.byte, address, sizeof(address));
	snprintf(text, sizeof(text), "%s %s/%u", class_name(e->class), address, e->bits);
	return text;
}

static void good_files(void)
{
	static const char *const expected[] = {
		"blocked 0.0.0.0/0",	"known 10.0.0.0/8",	    "known 10.0.0.0/16",
		"trusted 127.0.0.1/32", "throttled 192.0.2.128/25", "known 255.255.255.255/32",
		"blocked ::/0",		"trusted ::1/128",	    "known 2001:db8::/32",
		"trusted 2001:db8::/48"};
	struct config_error err;
	struct class_list l;
	int ret;

	begin();
	list(CLASS_TRUSTED, "# ours\n\n127.0.0.1\n::1\n");
	list(CLASS_TRUSTED, "2001:DB8:0::/48 # beside the longer one");
	list(CLASS_KNOWN,
	     "10.0.0.0/16\r\n\t10.0.0.0/8  \r\n2001:db8::/32#x\r\n255.255.255.255/32\r\n");
	list(CLASS_THROTTLED, "192.0.2.128/25\n192.0.2.128/25\n");
	list(CLASS_BLOCKED, "::/0\n0.0.0.0/0\n");
	list(CLASS_BLOCKED, "");
	ret = classes_load(&config, &l, &err);
	CHECK(!ret, "%s", err.text);
	CU_ASSERT_EQUAL_FATAL(l.count, sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < l.count; i++)
		CHECK(!strcmp(entry_text(&l.entry[i]), expected[i]), "%s, expected %s",
		      entry_text(&l.entry[i]), expected[i]);
	CU_ASSERT_EQUAL(memcmp(l.entry[3].addr.byte, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1", 16),
			0);
	classes_free(&l);
	CU_ASSERT_PTR_NULL(l.entry);
	CU_ASSERT_EQUAL(l.count, 0);
	end();
}

static void none_is_none(void)
{
	struct config_error err;
	struct class_list l;

	begin();
	CU_ASSERT_EQUAL(classes_load(&config, &l, &err), 0);
	CU_ASSERT_EQUAL(l.count, 0);
	list(CLASS_KNOWN, "# nobody yet\n");
	CU_ASSERT_EQUAL(classes_load(&config, &l, &err), 0);
	CU_ASSERT_EQUAL(l.count, 0);
	end();
}

static void duplicates_of_a_class_are_one(void)
{
	struct config_error err;
	struct class_list l;

	begin();
	list(CLASS_KNOWN, "192.0.2.1\n192.0.2.1/32\n2001:db8::1\n");
	list(CLASS_KNOWN, "2001:db8:0::1/128\n192.0.2.1\n");
	CU_ASSERT_EQUAL(classes_load(&config, &l, &err), 0);
	CU_ASSERT_EQUAL(l.count, 2);
	classes_free(&l);
	end();
}

/* What is said of the known file, behind its name: from the colon before the line. */
static void expect_error(int code, const char *expected)
{
	struct config_error err;
	struct class_list l = {.count = 7};
	char wanted[512];
	int ret = classes_load(&config, &l, &err);

	snprintf(wanted, sizeof(wanted), "%s/known0:%s", folder, expected);
	CHECK(ret == code, "returned %d for: %s", ret, wanted);
	CHECK(!strncmp(err.text, wanted, strlen(wanted)), "said: %s\n     not: %s", err.text,
	      wanted);
	CU_ASSERT_EQUAL(l.count, 0);
	CU_ASSERT_PTR_NULL(l.entry);
}

#define NO_PREFIX \
	" is no prefix: it is not an address; expected one such as 192.0.2.0/24 or 2001:db8::/32"
#define MAPPED \
	" is no prefix: it is an IPv4 address written as IPv6, and no such packet is on the wire"
#define LENGTH4 " has no such length; expected a number from 0 to 32"

static void each_bad_line(void)
{
	static const struct {
		const char *text, *expected;
	} row[] = {
		{"10.0.0.1/8\n", "1: 10.0.0.1/8 has host bits set: 10.0.0.0/8 was meant?"},
		{"\n#\n10.0.0.0/7\n10.0.0.0/6",
		 "4: 10.0.0.0/6 has host bits set: 8.0.0.0/6 was meant?"},
		{"192.0.2.1/31", "1: 192.0.2.1/31 has host bits set: 192.0.2.0/31 was meant?"},
		{"192.0.2.1/0", "1: 192.0.2.1/0 has host bits set: 0.0.0.0/0 was meant?"},
		{"2001:db8::1/64", "1: 2001:db8::1/64 has host bits set: 2001:db8::/64 was meant?"},
		{"2001:db8::/28", "1: 2001:db8::/28 has host bits set: 2001:db0::/28 was meant?"},
		{"mail.example.org\n", "1: mail.example.org" NO_PREFIX},
		{"10.0.0/8\n", "1: 10.0.0/8" NO_PREFIX},
		{"10.0.0.0.0/8\n", "1: 10.0.0.0.0/8" NO_PREFIX},
		{"10.0.0.256\n", "1: 10.0.0.256" NO_PREFIX},
		{"010.0.0.1\n", "1: 010.0.0.1" NO_PREFIX},
		{"10.0.0.0/8 10.1.0.0/16\n", "1: 10.0.0.0/8 10.1.0.0/16" LENGTH4},
		{"10.0.0.0/8, 10.1.0.0/16\n", "1: 10.0.0.0/8, 10.1.0.0/16" LENGTH4},
		{"10.0.0.0/\n", "1: 10.0.0.0/" LENGTH4},
		{"10.0.0.0/33\n", "1: 10.0.0.0/33" LENGTH4},
		{"10.0.0.0/-1\n", "1: 10.0.0.0/-1" LENGTH4},
		{"10.0.0.0/255.0.0.0\n", "1: 10.0.0.0/255.0.0.0" LENGTH4},
		{"10.0.0.0/8/8\n", "1: 10.0.0.0/8/8" LENGTH4},
		{"10.0.0.0/99999999999999999999\n", "1: 10.0.0.0/99999999999999999999" LENGTH4},
		{"::/129\n", "1: ::/129 has no such length; expected a number from 0 to 128"},
		{"fe80::1%eth0\n", "1: fe80::1%eth0" NO_PREFIX},
		{"/8\n", "1: /8" NO_PREFIX},
		{"::ffff:192.0.2.1\n", "1: ::ffff:192.0.2.1" MAPPED},
		{"::ffff:0:0/96\n", "1: ::ffff:0:0/96" MAPPED},
		{"1.2.3.4 deny\n", "1: 1.2.3.4 deny" NO_PREFIX},
		{"1.2.3.4\n1.2.3.5\x07\n",
		 "2: the line has a control character in it; expected plain text"},
		{"\xff\xfe\n", "1: ?? is no prefix"},
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		begin();
		list(CLASS_KNOWN, row[i].text);
		expect_error(-EINVAL, row[i].expected);
		end();
	}
}

static void lines_that_no_text_file_has(void)
{
	char line[CLASSES_MAX_LINE + 8];

	begin();
	list_bytes(CLASS_KNOWN, "1.2.3.4\0\n", 9);
	expect_error(-EINVAL, "1: the line has a control character in it; expected plain text");
	end();

	memset(line, ' ', sizeof(line));
	memcpy(line, "1.2.3.4", 7);
	begin();
	list_bytes(CLASS_KNOWN, line, CLASSES_MAX_LINE);
	expect_error(-EINVAL, "1: the line is too long; expected one prefix a line");
	end();
}

static void the_longest_line_is_read(void)
{
	char line[CLASSES_MAX_LINE];
	struct config_error err;
	struct class_list l;

	memset(line, ' ', sizeof(line));
	memcpy(line + sizeof(line) - 9, "1.2.3.4\n", 8);
	begin();
	list_bytes(CLASS_KNOWN, line, sizeof(line) - 1);
	CU_ASSERT_EQUAL(classes_load(&config, &l, &err), 0);
	CU_ASSERT_EQUAL(l.count, 1);
	classes_free(&l);
	end();
}

static void a_file_that_is_not_there(void)
{
	begin();
	list(CLASS_KNOWN, "");
	unlink(config.class_file[CLASS_KNOWN][0]);
	expect_error(-ENOENT,
		     " cannot be opened: No such file or directory (it lists class known)");
	end();
}

/* The first bad line of the first bad file, in the order of classes and of their files. */
static void the_first_error_wins(void)
{
	begin();
	list(CLASS_TRUSTED, "1.2.3.4\n");
	list(CLASS_KNOWN, "1.2.3.5\nbad\nworse\n");
	list(CLASS_KNOWN, "worst\n");
	list(CLASS_BLOCKED, "1.2.3.4\n");
	expect_error(-EINVAL, "2: bad" NO_PREFIX);
	end();
}

/* Of several the one that is read first, though it is sorted last. */
static void a_prefix_of_two_classes(void)
{
	char expected[256];

	begin();
	list(CLASS_TRUSTED, "198.51.100.0/24\n\n2001:db8::/32\n192.0.2.1\n");
	list(CLASS_KNOWN,
	     "# \n198.51.100.0/25\n2001:db8::/32\n192.0.2.1/32\n192.0.2.1\n203.0.113.9\n");
	list(CLASS_BLOCKED, "198.51.100.0/24\n");
	snprintf(
		expected, sizeof(expected),
		"3: 2001:db8::/32 is listed as known here and as trusted in %s/trusted0:3; expected "
		"it in one class",
		folder);
	expect_error(-EINVAL, expected);
	end();
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* n addresses in an order that a multiplier scatters, and the first one once more at the end. */
static void list_many(uint32_t n)
{
	size_t room = 16 * ((size_t)n + 1), length = 0;
	char *text = malloc(room);

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t a = i * 2654435761U;

		length += snprintf(text + length, room - length, "%u.%u.%u.%u\n", a >> 24,
				   a >> 16 & 255, a >> 8 & 255, a & 255);
	}
	list_bytes(CLASS_KNOWN, text, length);
	free(text);
}

static void a_million_is_quick(void)
{
	struct config_error err;
	struct class_list l;
	double before, took;
	int ret;

	begin();
	list_many(1000000);
	list(CLASS_KNOWN, "0.0.0.0\n");
	before = seconds();
	ret = classes_load(&config, &l, &err);
	took = seconds() - before;
	CHECK(!ret, "%s", err.text);
	CU_ASSERT_EQUAL(l.count, 1000000);
	/* Well under a second without sanitizers; a quadratic sort takes hours. */
	CHECK(took < 20, "a million prefixes took %.1f s", took);
	for (size_t i = 1; i < l.count; i++)
		if (memcmp(&l.entry[i - 1].addr, &l.entry[i].addr, sizeof(union addr)) >= 0) {
			CHECK(0, "entry %zu is not above the one before", i);
			break;
		}
	classes_free(&l);
	end();
}

static void one_too_many(void)
{
	struct config_error err;
	struct class_list l;

	begin();
	list_many(CLASSES_MAX_PREFIXES);
	CU_ASSERT_EQUAL(classes_load(&config, &l, &err), 0);
	CU_ASSERT_EQUAL(l.count, CLASSES_MAX_PREFIXES);
	classes_free(&l);
	list(CLASS_BLOCKED, "\n2001:db8::1\n");
	CU_ASSERT_EQUAL(classes_load(&config, &l, &err), -EINVAL);
	CHECK(strstr(err.text,
		     "blocked0:2: one prefix too many; expected at most 1048576 in all class"),
	      "%s", err.text);
	end();
}

static void names(void)
{
	static const char *const expected[] = {"unknown", "trusted", "known", "throttled",
					       "blocked"};

	for (unsigned int i = 0; i < CLASSES; i++)
		CU_ASSERT_STRING_EQUAL(class_name(i), expected[i]);
	CU_ASSERT_PTR_NULL(class_name(CLASSES));
}

void suite_classes(void)
{
	static CU_TestInfo tests[] = {
		{"good files", good_files},
		{"no file, no prefix", none_is_none},
		{"duplicates of a class are one", duplicates_of_a_class_are_one},
		{"each bad line", each_bad_line},
		{"NUL bytes and long lines", lines_that_no_text_file_has},
		{"the longest line is read", the_longest_line_is_read},
		{"a file that is not there", a_file_that_is_not_there},
		{"the first error wins", the_first_error_wins},
		{"a prefix of two classes", a_prefix_of_two_classes},
		{"a million prefixes are quick", a_million_is_quick},
		{"one prefix too many", one_too_many},
		{"names", names},
		CU_TEST_INFO_NULL,
	};

	unit_suite("classes", tests);
}
