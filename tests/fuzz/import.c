// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as the configuration of an MTA. The first byte chooses the format; in Postfix's, 0xff
 * parts main.cf from master.cf. It ends with an error of one line, or with a config of printable
 * characters that sluiced takes. An end of the process is a finding.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../tools/import.h"
#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define PROMISE(condition)                                                                      \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* The coarsest clock there is: it asks for the largest bursts. */
static const struct config_facts facts = {.cpus = 2, .tick_ns = 10 * NSEC_PER_MSEC};

static void promise_config(const struct import *i)
{
	int fd = memfd_create("import", MFD_CLOEXEC);
	FILE *f = fdopen(fd, "w+");
	struct config_error err = {0};
	struct config c;
	char path[32];
	int byte;

	PROMISE(f && !import_print(i, f, "sluice import", NULL) && !fflush(f));
	rewind(f);
	while ((byte = getc(f)) != EOF)
		PROMISE((byte >= ' ' && byte < 0x7f) || byte == '\n');
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (config_load(path, NULL, 0, &facts, &c, &err)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	fclose(f);
}

/* Returns whether it is text; t->text is to be freed either way. */
static bool text_of(struct import_text *t, const uint8_t *bytes, size_t n)
{
	char err[256] = "";

	*t = (struct import_text){.name = "file", .text = malloc(n + 1), .size = n};
	PROMISE(t->text);
	memcpy(t->text, bytes, n);
	t->text[n] = '\0';
	if (!import_check(t, err, sizeof(err)))
		return true;
	PROMISE(*err && !strchr(err, '\n'));
	return false;
}

static void parse(struct import *i, unsigned int format, const uint8_t *bytes, size_t n)
{
	const uint8_t *split = format == 2 && n ? memchr(bytes, 0xff, n) : NULL;
	size_t first = split ? (size_t)(split - bytes) : n;
	struct import_text t, master = {0};
	bool has_master = split && text_of(&master, split + 1, n - first - 1);

	if (!text_of(&t, bytes, first))
		;
	else if (format == 0)
		import_sendmail_cf(i, &t);
	else if (format == 1)
		import_sendmail_mc(i, &t);
	else if (format == 2)
		import_postfix(i, &t, has_master ? &master : NULL);
	else
		import_exim(i, &t);
	free(t.text);
	free(master.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct import i;

	if (!n)
		return 0;
	parse(&i, bytes[0] & 3, bytes + 1, n - 1);
	PROMISE(!i.no_memory);
	promise_config(&i);
	import_free(&i);
	return 0;
}
