// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sluice.c - the command line: a table of subcommands, each in a file of its own.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "control.h"
#include "text.h"

static const struct subcommand {
	const char *name;
	int (*function)(const struct options *o, int argc, char **argv);
	const char *arguments;
	const char *description;
	bool takes_for;
	int most;	  /* arguments */
	bool own_options; /* what stands behind its name is its own to read */
} subcommands[] = {
	{"status", command_status, "", "what the gate does now, and why (the default)", false, 0},
	{"top", command_top, "[--once]",
	 "live: what comes each second, what becomes of it, and where it comes from", false, 0},
	{"events", command_events, "[--follow] [--address CIDR] [--reason R]",
	 "the last decisions one by one, sampled in a storm; and goes on", false, 0},
	{"explain", command_explain, "ADDRESS",
	 "what the gate would do with a SYN of this address now, and why", false, 1},
	{"get", command_get, "[KEY]", "the configuration in force, or one key and what it does",
	 false, 1},
	{"set", command_set, "KEY=VALUE|KEY=config... [--for 10m | --save]",
	 "changes keys until the daemon is started again; config releases one", true, 64},
	{"mode", command_mode, "[monitor|enforce|off|config] [--for 10m]",
	 "shows or sets the mode; config releases it", true, 1},
	{"tier", command_tier, "[auto|normal|delay,queue,refuse] [--for 10m]",
	 "shows or forces the set of tiers; auto releases it", true, 1},
	{"class", command_class,
	 "list [CLASS] | del PREFIX...|all | load [CLASS FILE] | add CLASS PREFIX... | "
	 "import CLASS FILE [--dns]\n"
	 "        (add, import: [--for T] [--comment TEXT])",
	 "shows the lists of prefixes, changes them by hand, or reads their files again", true,
	 1000},
	{"hook", command_hook, "--exec CMD [--timeout 10s]",
	 "runs CMD OLD NEW REASON when the set of tiers changes, until it is ended", false, 0},
	{"suggest", command_suggest, "",
	 "limits from what was seen in the last 31 days, each with its reason, as config", false,
	 0},
	{"replay", command_replay, "FILE.pcap[.gz] | --burst 100/s",
	 "what the gate would have done with a capture or a storm; has options of its own", true, 0,
	 true},
	{"known", command_known,
	 "list [ADDRESS] | add FILE|ADDRESS... | forget ADDRESS|all | mark good|bad ADDRESS [--for T]",
	 "shows the senders that behaved, and changes by hand who is known or throttled", true,
	 1000},
	{"doctor", command_doctor, "[INTERFACE...]",
	 "what this kernel, these interfaces and their drivers can do", false, 16},
	{"import", command_import, "sendmail|postfix|exim FILE",
	 "prints the config that means the same as an MTA's configuration file", false, 2},
	{"reload", command_reload, "", "applies the configuration as it is now, or says why not",
	 false, 0},
	{"detach", command_detach, "", "takes the filter off all interfaces and ends the daemon",
	 false, 0},
};

#define SUBCOMMANDS (sizeof(subcommands) / sizeof(subcommands[0]))

enum {
	OPTION_JSON = 256,
	OPTION_FOR,
	OPTION_EXEC,
	OPTION_TIMEOUT,
	OPTION_VERSION,
	OPTION_FOLLOW,
	OPTION_ADDRESS,
	OPTION_REASON,
	OPTION_ONCE,
	OPTION_SAVE,
	OPTION_COMMENT,
	OPTION_DNS,
};

static const struct option long_options[] = {
	{"instance", required_argument, NULL, 'i'},
	{"json", no_argument, NULL, OPTION_JSON},
	{"for", required_argument, NULL, OPTION_FOR},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"save", no_argument, NULL, OPTION_SAVE},
	{"comment", required_argument, NULL, OPTION_COMMENT},
	{"dns", no_argument, NULL, OPTION_DNS},
	{"exec", required_argument, NULL, OPTION_EXEC},
	{"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"follow", no_argument, NULL, OPTION_FOLLOW},
	{"address", required_argument, NULL, OPTION_ADDRESS},
	{"reason", required_argument, NULL, OPTION_REASON},
	{"once", no_argument, NULL, OPTION_ONCE},
	{0},
};

static void print_help(void)
{
	size_t i;

	puts("sluice [-i NAME] [--json] [SUBCOMMAND] - asks and tells sluiced, the SYN limiter\n");
	for (i = 0; i < SUBCOMMANDS; i++)
		printf("  %s%s%s\n          %s\n", subcommands[i].name,
		       *subcommands[i].arguments ? " " : "", subcommands[i].arguments,
		       subcommands[i].description);
	puts("\n"
	     "  -i, --instance NAME  which daemon (default: default)\n"
	     "  --json               prints the daemon's answer as it is\n"
	     "  --for DURATION       after this a setting ends by itself: 90s, 10m, 2h\n"
	     "  --help, --version\n\n"
	     "The exit status is 0, 1 when it could not be done, 2 when it was not understood.");
}

static bool valid_instance(const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	size_t length = strlen(name);

	return length && length <= INSTANCE_MAX && strspn(name, allowed) == length;
}

static int misused(const char *what, const char *argument)
{
	char shown[256];

	text_escape(shown, sizeof(shown), argument);
	text_complain("%s: '%s' (see sluice --help)", what, shown);
	return EXIT_USAGE;
}

/* Takes one option. Returns -1 to go on, or the status to exit with. */
static int take_option(struct options *o, int option, int argc, char **argv)
{
	char letter[2] = {(char)optopt, '\0'};

	switch (option) {
	case 'i':
		o->instance = optarg;
		if (valid_instance(optarg))
			return -1;
		text_complain("the name of an instance is 1 to %d letters, digits, '-' and '_'",
			      INSTANCE_MAX);
		return EXIT_USAGE;
	case OPTION_JSON:
		o->json = true;
		return -1;
	case OPTION_FOR:
		if (!text_duration(optarg, &o->for_s))
			return -1;
		return misused("--for takes a duration like 90s, 10m or 2h, at most 366 days",
			       optarg);
	case OPTION_EXEC:
		o->exec = optarg;
		return -1;
	case OPTION_TIMEOUT:
		if (!text_duration(optarg, &o->timeout_s) && o->timeout_s <= TIMEOUT_MAX_S)
			return -1;
		return misused("--timeout takes a duration like 10s or 1m, at most 5m", optarg);
	case OPTION_FOLLOW:
		o->follow = true;
		return -1;
	case OPTION_ONCE:
		o->once = true;
		return -1;
	case OPTION_SAVE:
		o->save = true;
		return -1;
	case OPTION_COMMENT:
		o->comment = optarg;
		return -1;
	case OPTION_DNS:
		o->dns = true;
		return -1;
	case OPTION_ADDRESS:
		o->address = optarg;
		return -1;
	case OPTION_REASON:
		o->reason = optarg;
		return -1;
	case 'h':
		print_help();
		return EXIT_DONE;
	case OPTION_VERSION:
		puts("sluice " SLUICE_VERSION);
		return EXIT_DONE;
	case ':':
		return misused("this option needs an argument", argv[optind - 1]);
	default:
		/* A short one may stand within a word, a long one is the word before optind. */
		if (optopt > 0 && optopt < OPTION_JSON)
			return misused("no option has this letter", letter);
		return misused("no such option, or it takes no argument",
			       argv[optind > 1 && optind <= argc ? optind - 1 : 0]);
	}
}

static const struct subcommand *find_subcommand(const char *name)
{
	size_t i;

	for (i = 0; i < SUBCOMMANDS; i++)
		if (!strcmp(subcommands[i].name, name))
			return &subcommands[i];
	return NULL;
}

static int run(const struct options *o, int argc, char **argv)
{
	static char bare[] = "status", *status[] = {bare, NULL};
	const struct subcommand *s;

	if (!argc) {
		argc = 1;
		argv = status;
	}
	s = find_subcommand(argv[0]);
	if (!s)
		return misused("there is no such subcommand", argv[0]);
	if (o->for_s && !s->takes_for)
		return misused("--for has no meaning for this subcommand", s->name);
	if ((o->exec || o->timeout_s) && s->function != command_hook)
		return misused("--exec and --timeout have no meaning for this subcommand", s->name);
	if ((o->follow || o->address || o->reason) && s->function != command_events)
		return misused("--follow, --address and --reason have no meaning for this "
			       "subcommand",
			       s->name);
	if (o->save && s->function != command_set)
		return misused("--save has no meaning for this subcommand", s->name);
	if ((o->comment || o->dns) && s->function != command_class)
		return misused("--comment and --dns have no meaning for this subcommand", s->name);
	if (o->once && s->function != command_top)
		return misused("--once has no meaning for this subcommand", s->name);
	if (!s->own_options && argc > 1 && !s->most)
		return misused("this subcommand takes no arguments", argv[0]);
	if (!s->own_options && argc - 1 > s->most)
		return misused("one argument too many", argv[s->most + 1]);
	return s->function(o, argc, argv);
}

/* An answer that did not reach its file was not given. */
static int close_output(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	text_complain("the answer could not be written: %s", strerror(errno));
	return status ? status : EXIT_FAILED;
}

/* Takes options until there are no more. Returns as take_option(). */
static int take_options(struct options *o, const char *letters, int argc, char **argv)
{
	int option, status = -1;

	while (status < 0 && (option = getopt_long(argc, argv, letters, long_options, NULL)) != -1)
		status = take_option(o, option, argc, argv);
	return status;
}

/*
 * Options may stand anywhere, but those behind the name of a subcommand that has options of its
 * own are left to it: at first only what stands before the name is looked at.
 */
int main(int argc, char **argv)
{
	struct options o = {.instance = "default"};
	const struct subcommand *s;
	int status;

	opterr = 0;
	status = take_options(&o, "+:i:h", argc, argv);
	s = optind < argc ? find_subcommand(argv[optind]) : NULL;
	if (status < 0 && !(s && s->own_options)) {
		optind = 0; /* from the beginning: getopt(3) */
		status = take_options(&o, ":i:h", argc, argv);
	}
	return close_output(status >= 0 ? status : run(&o, argc - optind, argv + optind));
}
