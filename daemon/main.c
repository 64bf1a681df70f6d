// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * main.c - sluiced: start, the thread that may wait, end.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "kernel_sessions.h"
#include "log.h"
#include "notify.h"

enum { POLL_SIGNAL, POLL_CHANGED, POLL_ENDS, POLL_SERVER };

/* Ends of sessions that are read in one go: the rest waits until others have had their turn. */
#define ENDS_AT_ONCE 1024

static const char usage[] =
	"usage: sluiced [-f FILE] [-i NAME] [-o SECTION.KEY=VALUE]... [-n]\n"
	"\n"
	"  -f FILE               the config file (default " CONFIG_DEFAULT_FILE ")\n"
	"  -i NAME               the instance: names pins, socket and runtime folder (default "
	"'default')\n"
	"  -o SECTION.KEY=VALUE  sets a key over what the file says; repeatable\n"
	"  -n                    checks config and class files, touches nothing\n"
	"  --help, --version\n"
	"\n"
	"sluiced runs in the foreground and logs to standard error. SIGHUP reads the config again,\n"
	"SIGTERM ends the daemon and leaves the filter with its static limits.\n";

struct options {
	const char *file;
	const char *instance;
	const char *overrides[OVERRIDES_MAX];
	size_t override_count;
	bool check_only;
};

static bool is_instance_name(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_";

	return *name && strlen(name) <= INSTANCE_MAX && strspn(name, allowed) == strlen(name);
}

/* Returns 0, or the exit status plus one when the program is to end here. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option long_options[] = {
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'V'}, {}};
	int c;

	*o = (struct options){.instance = "default"};
	while ((c = getopt_long(argc, argv, "f:i:o:nhV", long_options, NULL)) != -1) {
		switch (c) {
		case 'f':
			o->file = optarg;
			break;
		case 'i':
			o->instance = optarg;
			break;
		case 'o':
			if (o->override_count == OVERRIDES_MAX) {
				fprintf(stderr, "sluiced: more than %d -o\n", OVERRIDES_MAX);
				return 3;
			}
			o->overrides[o->override_count++] = optarg;
			break;
		case 'n':
			o->check_only = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		case 'V':
			printf("sluiced %s (ABI %d)\n", SLUICE_VERSION, SLUICE_ABI);
			return 1;
		default:
			fputs(usage, stderr);
			return 3;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sluiced: '%s' was not expected\n%s", argv[optind], usage);
		return 3;
	}
	if (!is_instance_name(o->instance)) {
		fprintf(stderr,
			"sluiced: '%s' is no instance name: 1 to %d letters, digits, '-' or '_' were "
			"expected\n",
			o->instance, INSTANCE_MAX);
		return 3;
	}
	/* Without -f the usual file is read; where it is missing, -o alone can be enough. */
	if (!o->file && !(o->override_count && access(CONFIG_DEFAULT_FILE, F_OK)))
		o->file = CONFIG_DEFAULT_FILE;
	return 0;
}

static const char *as_root(int error)
{
	return error == EACCES || error == EPERM ? ": run sluiced as root" : "";
}

static int make_runtime_folder(struct daemon *d, struct config_error *err)
{
	snprintf(d->runtime, sizeof(d->runtime), RUNTIME_FOLDER "/%s", d->instance);
	if ((mkdir(RUNTIME_FOLDER, 0755) && errno != EEXIST) ||
	    (mkdir(d->runtime, 0755) && errno != EEXIST))
		return fail(err, -errno, "the folder %s cannot be made: %s%s", d->runtime,
			    strerror(errno), as_root(errno));
	return 0;
}

/* One daemon of a name. The lock is held until the process ends, however it ends. */
static int take_lock(const struct daemon *d, struct config_error *err)
{
	char path[192], pid[32] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/lock", d->runtime);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fail(err, -errno, "%s cannot be opened: %s%s", path, strerror(errno),
			    as_root(errno));
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		n = pread(fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n : 0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		close(fd);
		return fail(err, -EBUSY,
			    "a sluiced of the name '%s' is running already (process %s): stop it "
			    "first, or choose another name with -i",
			    d->instance, *pid ? pid : "unknown");
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n)
		log_line("%s: the process number could not be noted", path);
	return 0;
}

/* Keeps of the capabilities that this process has those that are listed, and no others. */
static void keep_capabilities(const cap_value_t *keep, size_t count)
{
	cap_t have = cap_get_proc(), want = cap_init();

	for (size_t i = 0; have && want && i < count; i++) {
		cap_flag_value_t permitted = CAP_CLEAR;

		cap_get_flag(have, keep[i], CAP_PERMITTED, &permitted);
		if (permitted == CAP_SET) {
			cap_set_flag(want, CAP_PERMITTED, 1, &keep[i], CAP_SET);
			cap_set_flag(want, CAP_EFFECTIVE, 1, &keep[i], CAP_SET);
		}
	}
	if (!want || cap_set_proc(want))
		log_line("capabilities could not be given up: %s", strerror(errno));
	cap_free(have);
	cap_free(want);
}

/*
 * What a start needs. The right to pass over file permissions is not among it: a file that could be
 * read only once, and at no reload, is to be found out now.
 */
static void keep_for_start(void)
{
	const cap_value_t keep[] = {CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAP_CHOWN};

	keep_capabilities(keep, sizeof(keep) / sizeof(keep[0]));
}

/* What attaching again and changing maps needs, and nothing else. */
static void keep_for_run(void)
{
	const cap_value_t keep[] = {CAP_NET_ADMIN, CAP_BPF};

	keep_capabilities(keep, sizeof(keep) / sizeof(keep[0]));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* What was set by hand before a restart, and the interval in which the global word was charged. */
static void inherit(struct daemon *d)
{
	static struct policy former;
	uint64_t now_ns = kernel_now_ns();
	uint32_t tiers;

	if (!kernel_policy_inherited(d->kernel, &former))
		return;
	if (former.mode_override.until_ns > now_ns)
		d->mode_override = former.mode_override;
	if (former.tier_override.until_ns > now_ns)
		d->tier_override = former.tier_override;
	tiers = former.tier_override.until_ns > now_ns ? former.tier_override.value : former.tiers;
	if (former.tier_override.until_ns <= now_ns || former.tier_override.until_ns == NEVER_NS)
		tiers = kernel_leased(d->kernel) ? tiers : 0;
	d->policy_t_ns = (tiers & TIER_QUEUE ? former.global_queue : former.global).t_ns;
	d->class_slot = former.class_slot;
}

static int start(struct daemon *d, struct config *c, struct class_list *list,
		 struct config_error *err)
{
	int bad;

	bad = make_runtime_folder(d, err);
	if (!bad)
		bad = take_lock(d, err);
	if (!bad)
		bad = server_open(d, err); /* who asks now is answered when all is up */
	if (!bad)
		command_set_start(d, c, list);
	if (!bad)
		command_class_start(d, list);
	if (!bad)
		bad = kernel_open(d->instance, c, &d->kernel, err);
	if (bad)
		return bad;
	inherit(d);
	bad = command_put_in_force(d, c, list, err);
	if (bad)
		return bad;
	kernel_sessions_start(d->kernel);
	kernel_banner_tend(d->kernel);
	bad = learning_start(d, err);
	if (!bad)
		bad = observing_start(d, err);
	if (!bad)
		bad = recording_start(d, err);
	if (bad)
		return bad;
	/* Nobody is to see, or to be judged by, a state without load and lease. */
	controller_tick(d);
	pacing_tend(d);
	keep_for_run();
	bad = -controller_start(d);
	return bad ? fail(err, bad, "the controller's thread cannot be started: %s", strerror(-bad))
		   : 0;
}

static void write_metrics(struct daemon *d)
{
	static int last_bad;
	char path[CONFIG_PATH_MAX];
	char *text;
	int bad;

	pthread_mutex_lock(&d->lock);
	memcpy(path, d->config.textfile, sizeof(path));
	pthread_mutex_unlock(&d->lock);
	if (!*path)
		return;
	text = metrics_text(d);
	bad = text ? files_replace(path, text, strlen(text), 0644) : -ENOMEM;
	free(text);
	if (bad && bad != last_bad)
		log_line("the metrics file %s cannot be written: %s", path, strerror(-bad));
	else if (!bad && last_bad)
		log_line("the metrics file %s is written again", path);
	last_bad = bad;
}

/* The kernel's list of sockets, without the lock: a dump may take its time. */
static void look_at_sessions(struct daemon *d)
{
	static struct policy policy; /* 9 kB */

	pthread_mutex_lock(&d->lock);
	memcpy(&policy, &d->policy, sizeof(policy));
	pthread_mutex_unlock(&d->lock);
	sockets_look(d->kernel, &policy, &d->sessions);
	if (sockets_check_is_due(&policy, kernel_now_ns()))
		sockets_check(d->kernel, &policy, &d->sessions);
}

/* What follows a tick of the controller: interfaces, tier files, metrics. */
static void after_tick(struct daemon *d)
{
	static uint64_t metrics_due_ns;
	static uint32_t shown = TIER_ALL + 1; /* nothing was shown yet */
	uint64_t now_ns = kernel_now_ns(), interval_ns, lease_until_ns;
	char reason[512];
	uint32_t tiers;

	pthread_mutex_lock(&d->lock);
	if (!d->detached) {
		kernel_tend(d->kernel);
		kernel_banner_tend(d->kernel);
	}
	tiers = controller_tiers(d, now_ns);
	controller_reason(d, reason, sizeof(reason));
	lease_until_ns = d->lease_until_ns;
	interval_ns = d->config.metrics_interval_ns;
	pthread_mutex_unlock(&d->lock);
	pacing_tend(d);
	if (tiers != shown && !files_tier(d, tiers))
		shown = tiers; /* what could not be written is tried again */
	files_lease(d, lease_until_ns, tiers, reason);
	if (!d->detached) {
		command_set_tick(d);
		command_class_tick(d);
		look_at_sessions(d);
		learning_tick(d);
		observing_tick(d);
		recording_tick(d);
	}
	notify_alive();
	if (now_ns >= metrics_due_ns) {
		write_metrics(d);
		/* Ticks jitter: half of one earlier, or an interval of 1s would become two. */
		metrics_due_ns = now_ns + interval_ns - TICK_NS / 2;
	}
}

static void on_signal(struct daemon *d, int fd)
{
	struct signalfd_siginfo s;
	struct config_error err;

	while (read(fd, &s, sizeof(s)) == sizeof(s)) {
		if (s.ssi_signo == SIGHUP) {
			notify_reloading();
			command_reload(d, &err);
			notify_ready();
		} else {
			d->stopping = true;
		}
	}
}

static void run(struct daemon *d, int signal_fd)
{
	struct pollfd set[POLL_SERVER + 1 + CONTROL_CLIENTS];
	eventfd_t ticks;

	while (!d->stopping) {
		int timeout_ms = pacing_patience_ms(d) < 1000 ? pacing_patience_ms(d) : 1000;
		uint32_t count;

		set[POLL_SIGNAL] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
		set[POLL_CHANGED] = (struct pollfd){.fd = d->changed_fd, .events = POLLIN};
		set[POLL_ENDS] = (struct pollfd){.fd = kernel_ends_fd(d->kernel), .events = POLLIN};
		count = server_poll(set + POLL_SERVER, &timeout_ms);
		if (poll(set, POLL_SERVER + count, timeout_ms) < 0 && errno != EINTR)
			log_line("poll: %s", strerror(errno));
		if (set[POLL_SIGNAL].revents)
			on_signal(d, signal_fd);
		if (set[POLL_CHANGED].revents && !eventfd_read(d->changed_fd, &ticks))
			after_tick(d);
		if (set[POLL_ENDS].revents)
			kernel_ends_read(d->kernel, learning_end_of_session, d, ENDS_AT_ONCE);
		server_serve(d, set + POLL_SERVER, count);
		if (pacing_is_due(d))
			pacing_tend(d);
		log_flush();
	}
}

static int catch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void end(struct daemon *d)
{
	server_close(d);
	controller_stop(d);
	pacing_end(d);
	if (!d->detached) {
		controller_leave(d);
		log_line("ends; where the filter is attached it stays, with its static limits");
	}
	files_tier(d, 0);
	files_lease(d, 0, 0, "sluiced has ended");
	learning_stop(d);
	recording_stop(d);
	observing_stop(d);
	kernel_close(d->kernel);
	log_flush();
}

int main(int argc, char **argv)
{
	static struct daemon d = {.lock = PTHREAD_MUTEX_INITIALIZER};
	static struct config c;
	struct class_list list = {};
	struct config_error err = {};
	struct options o;
	int bad, signal_fd;

	bad = parse_options(argc, argv, &o);
	if (bad)
		return bad - 1;
	log_name(o.instance);
	notify_open();
	snprintf(d.instance, sizeof(d.instance), "%s", o.instance);
	d.file = o.file;
	d.overrides = o.overrides;
	d.override_count = o.override_count;
	d.started_ns = kernel_now_ns();
	kernel_facts(&d.facts);
	d.facts.instance = d.instance;
	keep_for_start();

	bad = config_load(o.file, o.overrides, o.override_count, &d.facts, &c, &err);
	if (!bad)
		bad = classes_load(&c, &list, &err);
	if (!bad && o.check_only) {
		printf("the config is good\n");
		classes_free(&list);
		return 0;
	}
	if (!bad) {
		signal_fd = catch_signals();
		d.changed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		bad = start(&d, &c, &list, &err);
	}
	classes_free(&list);
	if (bad) {
		/* One sentence, and not what was noted on the way to it. */
		server_close(&d);
		fprintf(stderr, "sluiced: %s\n", err.text);
		return 1;
	}
	log_line("runs, mode %s", d.config.mode == MODE_ENFORCE	  ? "enforce"
				  : d.config.mode == MODE_MONITOR ? "monitor"
								  : "off");
	notify_ready();
	run(&d, signal_fd);
	notify_stopping();
	end(&d);
	return 0;
}
