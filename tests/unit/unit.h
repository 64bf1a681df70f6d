/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit.h - how the native tests are put together.
 *
 * Each test_X.c exports suite_X(), which registers one CUnit suite with unit_suite() from a table
 * of tests that ends with CU_TEST_INFO_NULL. main.c names all suites. A test that cannot run on
 * this machine calls unit_skip() with one sentence and returns: it is counted as skipped.
 */
#ifndef UNIT_H
#define UNIT_H

#include <CUnit/CUnit.h>
#include <CUnit/TestDB.h>

/* Registers a suite. A test that is not registered would pass silently: failing here ends all. */
void unit_suite(const char *name, CU_TestInfo *tests);

/* Counts the running test as skipped and says why. */
void unit_skip(const char *why);

/* A failure with a sentence of its own, for loops where the line alone says too little. */
void unit_fail(const char *file, unsigned int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define CHECK(condition, ...)                                       \
	do {                                                        \
		if (!(condition))                                   \
			unit_fail(__FILE__, __LINE__, __VA_ARGS__); \
	} while (0)

void suite_policy(void);
void suite_gcra(void);
void suite_siphash(void);
void suite_frame(void);
void suite_reset(void);
void suite_gate(void);
void suite_contended(void);
void suite_sessions(void);
void suite_coming(void);
void suite_presence(void);
void suite_grid(void);
void suite_oracle(void);
void suite_fuzz(void);
void suite_config(void);
void suite_tier(void);
void suite_classes(void);
void suite_load(void);
void suite_known(void);
void suite_replay(void);
void suite_room(void);
void suite_pacing(void);
void suite_recent(void);
void suite_history(void);

#endif
