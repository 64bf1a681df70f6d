// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The arguments of sluice replay. Numbers and rates are written as in the config file.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "config_values.h"
#include "replay.h"
#include "replay_storm.h"
#include "text.h"

enum {
	OPTION_BURST = 256,
	OPTION_SOURCES,
	OPTION_SUBNETS,
	OPTION_FOR,
	OPTION_SEED,
	OPTION_CLIENT,
	OPTION_TIER,
	OPTION_SVG,
	OPTION_JSON,
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"burst", required_argument, NULL, OPTION_BURST},
	{"sources", required_argument, NULL, OPTION_SOURCES},
	{"subnets", required_argument, NULL, OPTION_SUBNETS},
	{"for", required_argument, NULL, OPTION_FOR},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"client", required_argument, NULL, OPTION_CLIENT},
	{"tier", required_argument, NULL, OPTION_TIER},
	{"svg", required_argument, NULL, OPTION_SVG},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static void print_help(void)
{
	puts("sluice replay FILE.pcap[.gz] [OPTION...]\n"
	     "sluice replay --burst 100/s [--sources 200] [--subnets N] [--for 30s] [OPTION...]\n"
	     "\n"
	     "Runs the attempts of a capture, or of a storm that is made up, through the gate in\n"
	     "virtual time, and says who would have been admitted, waited, or given up.\n"
	     "\n"
	     "  -c, -f, --config FILE  the limits to try (default: " CONFIG_DEFAULT_FILE ",\n"
	     "                         or the built-in ones where it is missing)\n"
	     "  -o SECTION.KEY=VALUE   sets a key over what the file says (repeatable)\n"
	     "  --tier SET             the tier all the while: normal, or some of delay,queue,refuse\n"
	     "  --client MODEL         how a client that is deferred comes back:");
	for (unsigned int i = 0; client_at(i); i++)
		printf("      %-9s %s%s\n", client_at(i)->name, client_at(i)->sentence,
		       i ? "" : " (the default)");
	puts("  --sources N            so many addresses, each attempt from one at random\n"
	     "  --subnets N            they lie in so many subnets (default: as many as there can be)\n"
	     "  --for DURATION         how long new attempts come: 30s, 10m, 2h\n"
	     "  --seed N               another storm of the same kind\n"
	     "  --svg FILE             draws the time line into a file\n"
	     "  --json                 prints the figures for a program\n"
	     "\n"
	     "A capture is pcap or pcapng of Ethernet, Linux cooked or raw IP frames. It should be\n"
	     "one of a time when nobody was deferred.\n"
	     "\n"
	     "Memory is bounded: at most 4194304 attempts wait at a time, and as many as 1048576\n"
	     "sources and subnets are told apart; all in all less than 1 GB with usual tables.");
}

static int misused(const char *what, const char *argument)
{
	char shown[256];

	text_escape(shown, sizeof(shown), argument);
	text_complain("%s: '%s' (see sluice replay --help)", what, shown);
	return EXIT_USAGE + 1;
}

static int take_number(const char *text, uint64_t least, uint64_t most, uint32_t *number,
		       const char *what)
{
	char sentence[160];

	if (!value_count(text, least, most, number))
		return 0;
	snprintf(sentence, sizeof(sentence), "%s takes a number from %llu to %llu", what,
		 (unsigned long long)least, (unsigned long long)most);
	return misused(sentence, text);
}

static int take_burst(struct replay_options *o, const char *text)
{
	char sentence[128];

	if (!value_rate(text, &o->burst) && o->burst.count &&
	    o->burst.count * (double)NSEC_PER_SEC / (double)o->burst.period_ns <= STORM_RATE_MAX)
		return 0;
	snprintf(sentence, sizeof(sentence),
		 "--burst takes a rate like 100/s or 600/min, up to %u/s", STORM_RATE_MAX);
	return misused(sentence, text);
}

/* normal, or names joined by commas, each once. */
static int take_tier(struct replay_options *o, const char *text)
{
	static const char *const names[] = {"delay", "queue", "refuse"};
	const char *word = text;
	size_t length, i;

	o->tiers = 0;
	if (!strcmp(text, "normal"))
		return 0;
	for (;; word += length + 1) {
		length = strcspn(word, ",");
		for (i = 0; i < 3; i++)
			if (strlen(names[i]) == length && !strncmp(word, names[i], length))
				break;
		if (i == 3 || o->tiers & 1U << i)
			return misused("--tier takes normal, or some of delay,queue,refuse joined "
				       "by commas",
				       text);
		o->tiers |= 1U << i;
		if (!word[length])
			return 0;
	}
}

static int take_client(struct replay_options *o, const char *text)
{
	o->client = client_find(text);
	return o->client ? 0 : misused("--client takes linux, linux-old, windows or spoofed", text);
}

static int take_for(struct replay_options *o, const char *text)
{
	if (!text_duration(text, &o->for_s) && o->for_s <= REPLAY_FOR_MAX_S)
		return 0;
	return misused("--for takes a duration like 30s, 10m or 2h, at most 24h", text);
}

static int take_seed(struct replay_options *o, const char *text)
{
	uint32_t seed;
	int status = take_number(text, 0, UINT32_MAX, &seed, "--seed");

	o->seed = seed;
	return status;
}

/* Returns 0, or the exit status plus one. */
static int take_option(struct replay_options *o, int option, char **argv)
{
	char letter[2] = {(char)optopt, '\0'};

	switch (option) {
	case 'c':
	case 'f':
		o->config = optarg;
		return 0;
	case 'o':
		if (o->override_count == REPLAY_OVERRIDES_MAX - 1)
			return misused("one -o too many", optarg);
		o->overrides[o->override_count++] = optarg;
		return 0;
	case OPTION_BURST:
		return take_burst(o, optarg);
	case OPTION_SOURCES:
		return take_number(optarg, 1, STORM_SOURCES_MAX, &o->sources, "--sources");
	case OPTION_SUBNETS:
		return take_number(optarg, 1, STORM_SUBNETS_MAX, &o->subnets, "--subnets");
	case OPTION_FOR:
		return take_for(o, optarg);
	case OPTION_SEED:
		return take_seed(o, optarg);
	case OPTION_CLIENT:
		return take_client(o, optarg);
	case OPTION_TIER:
		return take_tier(o, optarg);
	case OPTION_SVG:
		o->svg = optarg;
		return 0;
	case OPTION_JSON:
		o->json = true;
		return 0;
	case 'h':
		print_help();
		return EXIT_DONE + 1;
	case ':':
		return misused("this option needs an argument", argv[optind - 1]);
	default:
		if (optopt > 0 && optopt < OPTION_BURST)
			return misused("replay has no option of this letter", letter);
		return misused("replay has no such option, or it takes no argument",
			       argv[optind > 1 ? optind - 1 : 0]);
	}
}

/* What only makes sense together. */
static int check(struct replay_options *o)
{
	double attempts;

	if (!o->capture && !o->burst.count) {
		text_complain("a capture file or --burst RATE was expected (see sluice replay "
			      "--help)");
		return EXIT_USAGE + 1;
	}
	if (o->capture && (o->burst.count || o->sources || o->subnets || o->for_s)) {
		text_complain("--burst, --sources, --subnets and --for make a storm up: with a "
			      "capture file they have no meaning");
		return EXIT_USAGE + 1;
	}
	o->for_s = o->for_s ? o->for_s : 30;
	o->sources = o->sources ? o->sources : 200;
	if (!o->subnets)
		o->subnets = o->sources < STORM_SUBNETS_MAX ? o->sources : STORM_SUBNETS_MAX;
	if (o->subnets > o->sources ||
	    (o->sources + o->subnets - 1) / o->subnets > STORM_HOSTS_MAX) {
		text_complain("%u sources do not fit into %u subnets: each has 1 to %u", o->sources,
			      o->subnets, STORM_HOSTS_MAX);
		return EXIT_USAGE + 1;
	}
	attempts = (double)o->burst.count * o->for_s * 1e9 / (double)o->burst.period_ns;
	if (!o->capture && attempts > STORM_ATTEMPTS_MAX) {
		text_complain("this storm has %.0f attempts: at most %u were expected, make it "
			      "shorter or slower",
			      attempts, STORM_ATTEMPTS_MAX);
		return EXIT_USAGE + 1;
	}
	return 0;
}

int replay_options_read(struct replay_options *o, int argc, char **argv)
{
	int option, status;

	optind = 0; /* from the beginning, of another argv: getopt(3) */
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":c:f:o:h", long_options, NULL)) != -1) {
		status = take_option(o, option, argv);
		if (status)
			return status;
	}
	if (optind < argc)
		o->capture = argv[optind++];
	if (optind < argc)
		return misused("one argument too many", argv[optind]);
	if (!o->client)
		o->client = client_at(0);
	return check(o);
}
