// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * import.c - sluice import: what an MTA's configuration says about connections, as a config of
 * Sluice on standard output. Reads files and asks no daemon.
 *
 *	import sendmail FILE.cf|FILE.mc
 *	import postfix FILE	 main.cf; the master.cf beside it is read too
 *	import exim FILE
 */
#include "import.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "text.h"

#define MAIN_CF	  "main.cf"
#define MASTER_CF "master.cf"

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* Reads at most one byte more than may be, to see that there is one. Returns 0 or -errno. */
static int read_all(int fd, struct import_text *t)
{
	ssize_t n;

	t->text = malloc(IMPORT_FILE_MAX + 2);
	if (!t->text)
		return -ENOMEM;
	do {
		n = read(fd, t->text + t->size, IMPORT_FILE_MAX + 1 - t->size);
		if (n > 0)
			t->size += (size_t)n;
	} while ((n > 0 && t->size <= IMPORT_FILE_MAX) || (n < 0 && errno == EINTR));
	t->text[t->size] = '\0';
	if (n < 0)
		return -errno;
	return t->size > IMPORT_FILE_MAX ? -EFBIG : 0;
}

static int open_and_read(const char *path, struct import_text *t)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), err;
	struct stat st;

	if (fd < 0)
		return -errno;
	err = fstat(fd, &st) ? -errno : S_ISDIR(st.st_mode) ? -EISDIR : read_all(fd, t);
	close(fd);
	return err;
}

/* Returns 0, or -errno with one sentence said. missing_ok: -ENOENT without one. */
static int load(const char *path, struct import_text *t, bool missing_ok)
{
	char shown[512], err_text[512], err_shown[1024];
	int err = open_and_read(path, t);

	*t = (struct import_text){.name = base_of(path), .text = t->text, .size = t->size};
	text_escape(shown, sizeof(shown), path);
	if (err == -ENOENT && missing_ok)
		return err;
	if (err == -EFBIG)
		text_complain("%s is larger than %u MiB: a configuration file was expected", shown,
			      IMPORT_FILE_MAX >> 20);
	else if (err)
		text_complain("%s cannot be read: %s", shown, strerror(-err));
	else if (import_check(t, err_text, sizeof(err_text))) {
		text_escape(err_shown, sizeof(err_shown), err_text);
		text_complain("%s", err_shown);
		err = -EINVAL;
	}
	return err;
}

static bool ends_with(const char *path, const char *end)
{
	size_t length = strlen(path), n = strlen(end);

	return length > n && !strcmp(path + length - n, end);
}

/* master.cf beside main.cf, with what stands behind its name: main.cf.dist has master.cf.dist. */
static bool master_of(const char *path, char *out, size_t size)
{
	const char *base = base_of(path);

	if (strncmp(base, MAIN_CF, strlen(MAIN_CF)))
		return false;
	return snprintf(out, size, "%.*s%s%s", (int)(base - path), path, MASTER_CF,
			base + strlen(MAIN_CF)) < (int)size;
}

static int parse_sendmail(struct import *i, const char *path, struct import_text *t)
{
	if (ends_with(path, ".mc"))
		import_sendmail_mc(i, t);
	else
		import_sendmail_cf(i, t);
	return 0;
}

static int parse_postfix(struct import *i, const char *path, struct import_text *t)
{
	struct import_text master = {0};
	char master_path[4096];
	int err = -ENOENT;

	if (master_of(path, master_path, sizeof(master_path)))
		err = load(master_path, &master, true);
	if (!err || err == -ENOENT)
		import_postfix(i, t, err ? NULL : &master);
	free(master.text);
	return err == -ENOENT ? 0 : err;
}

static int parse_exim(struct import *i, const char *path, struct import_text *t)
{
	(void)path;
	import_exim(i, t);
	return 0;
}

static const struct {
	const char *name;
	int (*parse)(struct import *i, const char *path, struct import_text *t);
} formats[] = {
	{"sendmail", parse_sendmail},
	{"postfix", parse_postfix},
	{"exim", parse_exim},
};

/* The interface of the IPv4 default route, as /proc/net/route has it. */
static bool default_interface(char name[IFNAMSIZ])
{
	FILE *f = fopen("/proc/net/route", "re");
	char line[256], of[IFNAMSIZ + 1], target[16], mask[16];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%16s %15s %*s %*s %*s %*s %*s %15s", of, target, mask) != 3)
			continue;
		found = !strcmp(target, "00000000") && !strcmp(mask, "00000000") &&
			strlen(of) < IFNAMSIZ;
		for (const char *c = of; *c && found; c++)
			found = isalnum((unsigned char)*c) || strchr("._-@", *c);
	}
	if (f)
		fclose(f);
	if (found)
		memcpy(name, of, IFNAMSIZ);
	return found;
}

static int print(const struct import *i, int argc, char **argv)
{
	char command[4096], interface[IFNAMSIZ];
	size_t used = (size_t)snprintf(command, sizeof(command), "sluice");

	for (int n = 0; n < argc && used < sizeof(command); n++)
		used += (size_t)snprintf(command + used, sizeof(command) - used, " %s", argv[n]);
	if (!import_print(i, stdout, command, default_interface(interface) ? interface : NULL))
		return EXIT_DONE;
	return EXIT_FAILED; /* and close_output() says why */
}

static int import_file(int (*parse)(struct import *, const char *, struct import_text *), int argc,
		       char **argv)
{
	struct import *i = calloc(1, sizeof(*i));
	struct import_text t = {0};
	int err = i ? load(argv[2], &t, false) : -ENOMEM, status = EXIT_FAILED;

	if (!err)
		err = parse(i, argv[2], &t);
	if (err == -ENOMEM || (i && i->no_memory))
		text_complain("there is no memory to read the file");
	else if (!err)
		status = print(i, argc, argv);
	if (i)
		import_free(i);
	free(i);
	free(t.text);
	return status;
}

int command_import(const struct options *o, int argc, char **argv)
{
	bool named = argc == 3 && strcmp(argv[1], "sendmail") == 0;

	if (o->json) {
		text_complain("import prints a config: --json has no meaning for it");
		return EXIT_USAGE;
	}
	if (named && !ends_with(argv[2], ".cf") && !ends_with(argv[2], ".mc")) {
		text_complain("import sendmail: a file whose name ends in .cf or .mc was expected");
		return EXIT_USAGE;
	}
	for (size_t n = 0; argc == 3 && n < sizeof(formats) / sizeof(formats[0]); n++)
		if (!strcmp(argv[1], formats[n].name))
			return import_file(formats[n].parse, argc, argv);
	text_complain("import sendmail FILE.cf, import sendmail FILE.mc, import postfix main.cf or "
		      "import exim FILE was expected");
	return EXIT_USAGE;
}
