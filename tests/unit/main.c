// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The unit ring: runs every suite natively under ASan and UBSan, prints each failure, and closes
 * with the line that tests/run reads. Arguments name the suites to run; none means all.
 */
#include <CUnit/Basic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* A suite whose room is not in this build is left out by the linker, and here. */
#pragma weak suite_policy
#pragma weak suite_gcra
#pragma weak suite_siphash
#pragma weak suite_frame
#pragma weak suite_reset
#pragma weak suite_gate
#pragma weak suite_contended
#pragma weak suite_sessions
#pragma weak suite_coming
#pragma weak suite_presence
#pragma weak suite_grid
#pragma weak suite_oracle
#pragma weak suite_fuzz
#pragma weak suite_config
#pragma weak suite_tier
#pragma weak suite_classes
#pragma weak suite_load
#pragma weak suite_known
#pragma weak suite_replay
#pragma weak suite_room
#pragma weak suite_pacing
#pragma weak suite_recent
#pragma weak suite_history

static const struct {
	const char *name;
	void (*add)(void);
} suites[] = {
	{"policy", suite_policy},	{"gcra", suite_gcra},	      {"siphash", suite_siphash},
	{"frame", suite_frame},		{"reset", suite_reset},	      {"gate", suite_gate},
	{"contended", suite_contended}, {"grid", suite_grid},	      {"oracle", suite_oracle},
	{"fuzz", suite_fuzz},		{"config", suite_config},     {"tier", suite_tier},
	{"classes", suite_classes},	{"load", suite_load},	      {"known", suite_known},
	{"replay", suite_replay},	{"sessions", suite_sessions}, {"room", suite_room},
	{"pacing", suite_pacing},	{"recent", suite_recent},     {"history", suite_history},
	{"coming", suite_coming},	{"presence", suite_presence},
};

static unsigned int skipped, failed;
static bool skip_this;

void unit_suite(const char *name, CU_TestInfo *tests)
{
	CU_SuiteInfo info[] = {{.pName = name, .pTests = tests}, CU_SUITE_INFO_NULL};

	if (CU_register_suites(info) != CUE_SUCCESS) {
		fprintf(stderr, "unit: suite %s: %s\n", name, CU_get_error_msg());
		exit(1);
	}
}

void unit_skip(const char *why)
{
	skip_this = true;
	printf("  skipped: %s\n", why);
}

void unit_fail(const char *file, unsigned int line, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	CU_assertImplementation(CU_FALSE, line, text, file, "", CU_FALSE);
}

static void on_start(const CU_pTest test, const CU_pSuite suite)
{
	(void)suite;
	(void)test;
	skip_this = false;
}

static void on_complete(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
	unsigned int shown = 0;

	if (!failure && skip_this) {
		skipped++;
		printf("skip %s: %s\n", suite->pName, test->pName);
		return;
	}
	printf("%s %s: %s\n", failure ? "FAIL" : "ok  ", suite->pName, test->pName);
	if (failure)
		failed++;
	for (const CU_FailureRecord *f = failure; f && shown < 20; f = f->pNext, shown++)
		printf("     %s:%u: %s\n", f->strFileName, f->uiLineNumber, f->strCondition);
	fflush(stdout);
}

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	unsigned int ran;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
		if (suites[i].add && wanted(suites[i].name, argc, argv))
			suites[i].add();
	CU_set_test_start_handler(on_start);
	CU_set_test_complete_handler(on_complete);
	if (CU_run_all_tests() != CUE_SUCCESS) {
		fprintf(stderr, "unit: %s\n", CU_get_error_msg());
		failed++;
	}
	ran = CU_get_number_of_tests_run();
	printf("%u passed, %u failed, %u skipped\n", ran - failed - skipped, failed, skipped);
	CU_cleanup_registry();
	return failed || !ran;
}
