// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * class_import.c - sluice class import: the prefixes of a file into a class, as one set.
 *
 * The daemon reads the file and asks no DNS. With --dns it is this program that reads it, puts the
 * prefixes of SPF records in the place of domains, and leaves the result where the daemon has its
 * runtime files, for the moment in which it is read. Nothing is changed unless all of it is good.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "added.h"
#include "class.h"
#include "config_values.h"
#include "control.h"
#include "import.h"
#include "spf.h"
#include "spf_dns.h"
#include "text.h"

#define LINE_MOST    512
#define DOMAINS_MOST 256 /* of a file: each asks 211 questions at most */
#define DOMAIN_S     20	 /* of a domain, RFC 7208, section 4.6.4 */

struct importing {
	FILE *out;
	const char *file; /* as it may be shown */
	unsigned int line, domains, prefixes;
};

static int refuse(const struct importing *i, const char *sentence)
{
	char shown[512];

	text_escape(shown, sizeof(shown), sentence);
	text_complain("%s:%u: %s; nothing was added", i->file, i->line, shown);
	return -EINVAL;
}

static int take(void *data, const char *prefix)
{
	struct importing *i = data;

	if (i->prefixes++ == ADDED_MOST)
		return refuse(i, "there are more prefixes than can be added by hand");
	return fprintf(i->out, "%s\n", prefix) < 0 ? -EIO : 0;
}

static void note(void *data, const char *sentence)
{
	const struct importing *i = data;
	char shown[512];

	text_escape(shown, sizeof(shown), sentence);
	text_complain("%s:%u: %s", i->file, i->line, shown);
}

/* --- what ends it ------------------------------------------------------------------------------ */

/* For the handler: what it takes away and what it says. */
static char handover[128], late[1024];

/*
 * The resolver waits for a name server's TCP for as long as that likes: only a signal ends that.
 * Whatever ends it, nothing is left in the runtime folder.
 */
static void give_up(int signal)
{
	unlink(handover);
	if (signal == SIGALRM) {
		if (write(STDERR_FILENO, late, strlen(late)) < 0)
			_exit(EXIT_FAILED);
		_exit(EXIT_FAILED);
	}
	raise(signal); /* as if it had not been caught */
}

static void catch_signals(void)
{
	static const int caught[] = {SIGALRM, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	const struct sigaction action = {.sa_handler = give_up, .sa_flags = (int)SA_RESETHAND};

	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		sigaction(caught[i], &action, NULL);
}

static int expand(const struct importing *i, const struct spf *s, const char *domain, char *why,
		  size_t size)
{
	int bad;

	snprintf(late, sizeof(late),
		 "sluice: %s:%u: %s: DNS has not told within %d s what its SPF record allows; "
		 "nothing was added\n",
		 i->file, i->line, domain, DOMAIN_S);
	alarm(DOMAIN_S);
	bad = spf_expand(s, domain, why, size);
	alarm(0);
	return bad;
}

/* --- the file ---------------------------------------------------------------------------------- */

static int take_domain(struct importing *i, const char *domain)
{
	const struct spf s = {.ask = spf_dns_ask, .take = take, .note = note, .data = i};
	unsigned int before = i->prefixes;
	char why[512];
	int bad;

	if (i->domains++ == DOMAINS_MOST)
		return refuse(i, "there are more than 256 domains");
	bad = expand(i, &s, domain, why, sizeof(why));
	if (bad)
		return i->prefixes > ADDED_MOST ? bad : refuse(i, why);
	if (i->prefixes > before)
		return 0;
	snprintf(why, sizeof(why), "%s: its SPF record allows nobody that can be listed", domain);
	return refuse(i, why);
}

static int take_line(struct importing *i, char *line)
{
	char said[160], prefix[64];

	line[strcspn(line, "#")] = '\0';
	line += strspn(line, " \t");
	line[strcspn(line, " \t")] = '\0';
	if (!*line)
		return 0;
	if (spf_is_domain(line))
		return take_domain(i, line);
	if (import_prefix(line, prefix, sizeof(prefix)))
		return take(i, prefix);
	snprintf(said, sizeof(said),
		 "'%.64s': a prefix without host bits, or a domain, was expected", line);
	return refuse(i, said);
}

static int take_file(struct importing *i, FILE *in)
{
	char line[LINE_MOST];
	int got, bad = 0;

	while (!bad && (got = file_line(in, line, sizeof(line)))) {
		i->line++;
		bad = got < 0 ? refuse(i, "a line with one prefix or domain was expected")
			      : take_line(i, line);
	}
	if (!bad && (fflush(i->out) || fchmod(fileno(i->out), 0644))) {
		text_complain("the prefixes cannot be handed over: %s", strerror(errno));
		bad = -EIO;
	}
	return bad;
}

/* Opens a file beside the daemon's socket: its reader has no right to open other people's. */
static FILE *open_handover(const struct options *o)
{
	FILE *out;
	int fd;

	snprintf(handover, sizeof(handover), RUNTIME_FOLDER "/%s/import-XXXXXX", o->instance);
	fd = mkstemp(handover);
	out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out)
		text_complain("%s cannot be made: %s (--dns is root's, and needs a daemon that "
			      "runs)",
			      handover, strerror(errno));
	if (fd >= 0 && !out) {
		close(fd);
		unlink(handover);
	}
	return out;
}

static int import_with_dns(const struct options *o, const char *class, const char *file)
{
	char shown[256];
	struct importing i = {.file = shown};
	FILE *in;
	int status = EXIT_FAILED, bad = file_open(file, &in);

	text_escape(shown, sizeof(shown), file);
	if (bad) {
		text_complain("%s cannot be opened: %s", shown, strerror(-bad));
		return EXIT_FAILED;
	}
	i.out = open_handover(o);
	if (i.out) {
		catch_signals();
		if (!take_file(&i, in))
			status = class_add(o, class, "file", json_string(handover));
		fclose(i.out);
		unlink(handover);
	}
	fclose(in);
	return status;
}

int class_import(const struct options *o, const char *class, const char *file)
{
	char whole[PATH_MAX], shown[256];

	if (o->dns)
		return import_with_dns(o, class, file);
	/* The daemon has another working directory: it is given the whole path. */
	if (realpath(file, whole))
		return class_add(o, class, "file", json_string(whole));
	text_escape(shown, sizeof(shown), file);
	text_complain("%s cannot be found: %s", shown, strerror(errno));
	return EXIT_FAILED;
}
