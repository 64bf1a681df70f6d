// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The history of 31 days: minutes from seconds, its file, and the limits that are proposed from it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "history.h"
#include "suggest.h"
#include "unit.h"

#define SECOND	  UINT64_C(1000000000)
#define START_MIN UINT64_C(29000000)

static uint32_t noise(void)
{
	static uint64_t x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 32);
}

static void add_second(struct history_book *b, uint64_t attempts, uint64_t took_ns)
{
	const struct history_second s = {.took_ns = took_ns,
					 .attempts = attempts,
					 .sessions = (int64_t)attempts,
					 .load_centi = 50,
					 .load_readable = true};

	history_add_second(b, &s);
}

/* A minute of so many attempts in each second, by so many sources, all of one subnet. */
static void add_minute(struct history_book *b, uint64_t minute, uint64_t each, uint64_t sources)
{
	for (int i = 0; i < 60; i++)
		add_second(b, each, SECOND);
	for (uint64_t i = 0; i < sources; i++)
		history_add_prefix(b, HISTORY_SOURCE, each * 60 / sources, each * 10 / sources);
	history_add_prefix(b, HISTORY_SUBNET, each * 60, each * 10);
	history_end_minute(b, minute * 60);
}

static void seconds_make_a_minute(void)
{
	struct history_book *b = history_open();
	const struct history_minute *m;

	for (int i = 0; i < 60; i++) {
		struct history_second s = {.took_ns = SECOND + (i % 2 ? 9000000 : -9000000),
					   .attempts = (uint64_t)i / 10,
					   .sessions = i == 7 ? 12 : -1,
					   .enforced = i < 30};

		history_add_second(b, &s);
	}
	history_add_prefix(b, HISTORY_SOURCE, 3, 2);
	history_add_prefix(b, HISTORY_SOURCE, 4, 1);
	history_add_prefix(b, HISTORY_SOURCE, 70000, 30);
	history_add_prefix(b, HISTORY_SUBNET, 0, 0);
	history_end_minute(b, 7200 + 59);
	m = history_minute(b, 0);
	CU_ASSERT_PTR_NULL(history_minute(b, 1));
	CU_ASSERT_EQUAL(m->minute, 120);
	CU_ASSERT_EQUAL(m->seconds, 60);
	CU_ASSERT_EQUAL(m->enforced, 30);
	for (uint32_t i = 0; i < HISTORY_TENS; i++)
		CHECK(m->ten[i] == 10 * i, "ten %u: %u", i, m->ten[i]);
	CU_ASSERT_EQUAL(m->peak, 5);
	CU_ASSERT_EQUAL(m->sessions, 12);
	CU_ASSERT_EQUAL(m->load_centi, HISTORY_NONE);
	CU_ASSERT_EQUAL(m->most[HISTORY_SOURCE], 70000);
	CU_ASSERT_EQUAL(m->most_ten[HISTORY_SOURCE], 30);
	CU_ASSERT_EQUAL(m->most[HISTORY_SUBNET], 0);
	CU_ASSERT_EQUAL(history_hour(b, 0)->hour, 2);
	CU_ASSERT_EQUAL(history_hour(b, 0)->bin[HISTORY_SOURCE][1].attempts, 3);
	CU_ASSERT_EQUAL(history_hour(b, 0)->bin[HISTORY_SOURCE][2].attempts, 4);
	CU_ASSERT_EQUAL(history_hour(b, 0)->bin[HISTORY_SOURCE][15].attempts, 70000);
	history_close(b);
}

/* A daemon that could not look for three seconds has seen no burst, and no minute of ten. */
static void what_took_long_is_no_peak(void)
{
	struct history_book *b = history_open();

	for (int i = 0; i < 19; i++)
		add_second(b, 30, 3 * SECOND);
	history_end_minute(b, 60);
	CU_ASSERT_EQUAL(history_minute(b, 0)->peak, 10);
	CU_ASSERT_EQUAL(history_minute(b, 0)->seconds, 57);
	for (int i = 0; i < 20; i++)
		add_second(b, 30, SECOND);
	history_end_minute(b, 120);
	CU_ASSERT_PTR_NULL(history_minute(b, 1)); /* 20 s: too little */
	history_close(b);
}

static void the_oldest_gives_way(void)
{
	struct history_book *b = history_open(), *again = history_open();
	uint8_t *bytes, *twice;
	size_t size, twice_size;

	for (uint64_t i = 0; i < HISTORY_MINUTES + 130; i++)
		add_minute(b, START_MIN + i, i % 7, 1);
	CU_ASSERT_EQUAL(history_minute(b, 0)->minute, START_MIN + 130);
	CU_ASSERT_PTR_NULL(history_minute(b, HISTORY_MINUTES));
	CU_ASSERT_PTR_NULL(history_hour(b, HISTORY_HOURS));
	bytes = history_encode(b, &size);
	CHECK(size <= 3100000, "%zu bytes", size);
	CU_ASSERT_EQUAL(history_decode(again, bytes, size), 0);
	twice = history_encode(again, &twice_size);
	CU_ASSERT_TRUE(size == twice_size && !memcmp(bytes, twice, size));
	add_minute(again, START_MIN + HISTORY_MINUTES + 130, 3, 1);
	CU_ASSERT_EQUAL(history_minute(again, 0)->minute, START_MIN + 131);
	CU_ASSERT_EQUAL(history_minute(again, HISTORY_MINUTES - 1)->ten[0], 30);
	free(bytes);
	free(twice);
	history_close(b);
	history_close(again);
}

static void set_word(uint8_t *bytes, size_t size, size_t word, uint32_t value)
{
	uint32_t sum;

	memcpy(bytes + 4 * word, &value, 4);
	sum = history_sum(bytes, size - 4);
	memcpy(bytes + size - 4, &sum, 4);
}

static void what_is_damaged_is_seen(void)
{
	struct history_book *b = history_open();
	uint8_t *bytes, *copy;
	size_t size;

	CU_ASSERT_EQUAL(history_sum((const uint8_t *)"123456789", 9), 0xcbf43926);
	for (uint64_t i = 0; i < 3; i++)
		add_minute(b, START_MIN + i, 2, 1);
	bytes = history_encode(b, &size);
	copy = malloc(size + 1);
	for (size_t n = 0; n < size; n++)
		CHECK(history_decode(b, bytes, n) == -EBADMSG, "cut to %zu", n);
	for (size_t bit = 0; bit < size * 8; bit++) {
		memcpy(copy, bytes, size);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(history_decode(b, copy, size) == -EBADMSG, "bit %zu", bit);
	}
	memcpy(copy, bytes, size);
	copy[size] = 0;
	CU_ASSERT_EQUAL(history_decode(b, copy, size + 1), -EBADMSG);
	set_word(copy, size, 2, 2);
	CU_ASSERT_EQUAL(history_decode(b, copy, size), -EPROTO);
	set_word(copy, size, 2, 0);
	CU_ASSERT_EQUAL(history_decode(b, copy, size), -EBADMSG);
	set_word(copy, size, 2, 1);
	CU_ASSERT_EQUAL(history_decode(b, copy, size), 0);
	set_word(copy, size, 3, UINT32_MAX);
	CU_ASSERT_EQUAL(history_decode(b, copy, size), -EBADMSG);
	set_word(copy, size, 3, 3);
	set_word(copy, size, 5 + 1, 5); /* seconds of the first minute */
	CU_ASSERT_EQUAL(history_decode(b, copy, size), -EBADMSG);
	free(copy);
	free(bytes);
	history_close(b);
}

/* --- proposals -------------------------------------------------------------------------------- */

static const struct suggestion *of(const struct suggestions *s, const char *key)
{
	for (size_t i = 0; i < s->count; i++)
		if (!strcmp(s->one[i].key, key))
			return &s->one[i];
	unit_fail(__FILE__, __LINE__, "%s is not proposed", key);
	return &s->one[0];
}

static void check_value(const struct suggestions *s, const char *key, const char *value)
{
	CHECK(!strcmp(of(s, key)->value, value), "%s: %s, expected %s", key, of(s, key)->value,
	      value);
}

static void check_share(const struct suggestions *s, const char *key, double low, double high)
{
	double touched = of(s, key)->touched;

	CHECK(touched >= low && touched <= high, "%s: touched %.6f, expected %.6f to %.6f", key,
	      touched, low, high);
}

/*
 * A month of one attempt a second by 60 sources, with a storm of an hour: 100 a second by 200
 * sources. The storm moves no limit, and is what they would have touched.
 */
static void a_storm_moves_no_limit(void)
{
	struct history_book *b = history_open();
	static struct suggestions s;
	double all = (HISTORY_MINUTES - 60) * 60.0 + 60 * 6000.0;

	for (uint64_t i = 0; i < HISTORY_MINUTES; i++)
		if (i >= 20000 && i < 20060)
			add_minute(b, START_MIN + i, 100, 200);
		else
			add_minute(b, START_MIN + i, 1, 60);
	CU_ASSERT_EQUAL(suggest_make(b, 2, &s), 0);
	CU_ASSERT_EQUAL(s.minutes, HISTORY_MINUTES);
	CU_ASSERT_EQUAL(s.attempts, (uint64_t)all);
	check_value(&s, "connection-rate", "2/s");
	check_value(&s, "source-rate", "20/min");
	check_value(&s, "source-burst", "10");
	check_value(&s, "subnet-rate", "120/min");
	check_value(&s, "queue-la", "4");
	check_value(&s, "refuse-la", "6");
	/* The storm is 1.3 thousandths of the time: a burst of 999 in a thousand sees it. */
	check_value(&s, "connection-burst", "200");
	check_value(&s, "max-sessions", "150");
	/* Of the storm all but 2/s and a burst. */
	check_share(&s, "connection-rate", (3600.0 * 98 - 200) / all, (3600.0 * 98) / all);
	CU_ASSERT_EQUAL(of(&s, "connection-rate")->touched_minutes, 60);
	CHECK(of(&s, "connection-rate")->worst >= START_MIN + 20000 &&
		      of(&s, "connection-rate")->worst < START_MIN + 20060,
	      "worst at %u", of(&s, "connection-rate")->worst);
	/* 30 a minute each: at most ten of them, and no less than the bound of their bin. */
	check_share(&s, "source-rate", 60 * 200 * 10 / all, 60 * 200 * 14 / all);
	CU_ASSERT_EQUAL(of(&s, "source-rate")->touched_minutes, 60);
	check_share(&s, "subnet-rate", 60 * 5880 / all - 1e-9, 60 * 5880 / all + 0.01);
	check_share(&s, "max-sessions", 0, 0);
	history_close(b);
}

static void what_is_busy_every_day_is_let_in(void)
{
	struct history_book *b = history_open();
	static struct suggestions s;

	for (uint64_t i = 0; i < 10080; i++)
		add_minute(b, START_MIN + i, i % 1440 < 30 ? 40 : 3, 20);
	CU_ASSERT_EQUAL(suggest_make(b, 4, &s), 0);
	check_value(&s, "connection-rate", "80/s");
	check_value(&s, "connection-burst", "160");
	check_value(&s, "source-rate", "240/min");
	check_value(&s, "source-burst", "40");
	check_value(&s, "subnet-rate", "4800/min");
	check_value(&s, "max-sessions", "60");
	check_value(&s, "queue-la", "8");
	for (size_t i = 0; i < s.count; i++)
		CHECK(s.one[i].touched <= 0 && !s.one[i].touched_minutes, "%s: touched %f",
		      s.one[i].key, s.one[i].touched);
	history_close(b);
}

/* Ten minutes of each of seven days, and a storm on three of them: the one is let in, not the other. */
static void what_comes_daily_is_let_in(void)
{
	struct history_book *b = history_open();
	static struct suggestions s;

	for (uint64_t i = 0; i < 7 * 1440; i++)
		add_minute(b, START_MIN / 1440 * 1440 + i,
			   i % 1440 < 10		   ? 20
			   : i / 1440 > 3 && i % 1440 < 20 ? 300
							   : 1,
			   30);
	CU_ASSERT_EQUAL(suggest_make(b, 4, &s), 0);
	check_value(&s, "connection-rate", "40/s");
	CU_ASSERT_PTR_NOT_NULL(
		strstr(of(&s, "connection-rate")->reason,
		       "On half of the days their busiest ten seconds had at most 20.0 "));
	CHECK(of(&s, "connection-rate")->touched_minutes == 30, "touched in %u minutes",
	      of(&s, "connection-rate")->touched_minutes);
	history_close(b);
	/* Of fewer days a storm may be half. */
	b = history_open();
	for (uint64_t i = 0; i < 4 * 1440; i++)
		add_minute(b, START_MIN / 1440 * 1440 + i, i % 1440 < 10 ? 20 : 1, 30);
	CU_ASSERT_EQUAL(suggest_make(b, 4, &s), 0);
	check_value(&s, "connection-rate", "2/s");
	history_close(b);
}

static void too_little_is_said(void)
{
	struct history_book *b = history_open();
	static struct suggestions s;

	CU_ASSERT_EQUAL(suggest_make(b, 2, &s), -ENODATA);
	/* What is 31 days older than the last does not count. */
	for (uint64_t i = 0; i < 60; i++)
		add_minute(b, START_MIN + i, 1, 1);
	CU_ASSERT_EQUAL(suggest_make(b, 2, &s), 0);
	add_minute(b, START_MIN + HISTORY_MINUTES + 58, 1, 1);
	CU_ASSERT_EQUAL(suggest_make(b, 2, &s), -ENODATA);
	CU_ASSERT_EQUAL(s.minutes, 2);
	history_close(b);
}

/* Whatever was seen: the daemon takes what is proposed. */
static void check_accepted(const struct suggestions *s)
{
	static const struct config_facts facts = {.cpus = 2, .tick_ns = SECOND / 100};
	int fd = memfd_create("suggest", MFD_CLOEXEC);
	FILE *f = fdopen(fd, "w+");
	struct config_error err = {0};
	const char *section = "";
	static struct config c;
	char path[32];

	fprintf(f, "[gate]\ninterface = lo\n");
	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(section, s->one[i].section))
			fprintf(f, "[%s]\n", s->one[i].section);
		section = s->one[i].section;
		fprintf(f, "# %s\n%s = %s\n", s->one[i].reason, s->one[i].key, s->one[i].value);
		CHECK(s->one[i].touched <= 1.000001, "%s: %f", s->one[i].key, s->one[i].touched);
	}
	fflush(f);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(!config_load(path, NULL, 0, &facts, &c, &err), "%s", err.text);
	fclose(f);
}

static void the_daemon_takes_it(void)
{
	static struct suggestions s;

	for (int round = 0; round < 200; round++) {
		struct history_book *b = history_open();
		uint64_t scale = UINT64_C(1) << noise() % 24;

		for (uint64_t i = 0; i < 60 + noise() % 60; i++)
			add_minute(b, START_MIN + i, noise() % scale, 1 + noise() % 300);
		CU_ASSERT_EQUAL(suggest_make(b, 1 + noise() % 200, &s), 0);
		check_accepted(&s);
		history_close(b);
	}
}

void suite_history(void)
{
	static CU_TestInfo tests[] = {
		{"seconds make a minute", seconds_make_a_minute},
		{"what took long is no peak", what_took_long_is_no_peak},
		{"the oldest gives way", the_oldest_gives_way},
		{"what is damaged is seen", what_is_damaged_is_seen},
		{"a storm moves no limit", a_storm_moves_no_limit},
		{"what is busy every day is let in", what_is_busy_every_day_is_let_in},
		{"what comes daily is let in", what_comes_daily_is_let_in},
		{"too little is said", too_little_is_said},
		{"the daemon takes what is proposed", the_daemon_takes_it},
		CU_TEST_INFO_NULL,
	};

	unit_suite("history", tests);
}
