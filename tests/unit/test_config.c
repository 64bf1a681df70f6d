// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The config: defaults, every kind of mistake with the sentence it earns, and the way back.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "unit.h"

static const struct config_facts facts = {.cpus = 2, .tick_ns = 4 * NSEC_PER_MSEC};

/* --- a folder of files ------------------------------------------------------------------------- */

static char folder[64];

static void folder_make(void)
{
	snprintf(folder, sizeof(folder), "/tmp/sluice-config-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
}

static const char *path_of(const char *name)
{
	static char path[4][192];
	static unsigned int turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static const char *file_put_bytes(const char *name, const char *bytes, size_t size)
{
	const char *path = path_of(name);
	FILE *f = fopen(path, "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fwrite(bytes, 1, size, f);
	fclose(f);
	return path;
}

static const char *file_put(const char *name, const char *text)
{
	return file_put_bytes(name, text, strlen(text));
}

static void folder_drop(void)
{
	static const char *const names[] = {"a.conf",
					    "conf.d/10-a.conf",
					    "conf.d/20-b.conf",
					    "conf.d/.hidden.conf",
					    "conf.d/30-c.backup",
					    "conf.d/9.conf",
					    "conf.d/dir.conf"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		remove(path_of(names[i]));
	rmdir(path_of("conf.d"));
	rmdir(folder);
}

/* --- defaults ----------------------------------------------------------------------------------- */

static int load_overrides(const char *const *overrides, size_t n, struct config *c,
			  struct config_error *err)
{
	return config_load(NULL, overrides, n, &facts, c, err);
}

static void check_rate(const struct rate *r, uint64_t count, uint64_t period_s)
{
	CU_ASSERT_EQUAL(r->count, count);
	CU_ASSERT_EQUAL(r->period_ns, period_s * NSEC_PER_SEC);
}

static void defaults_of_gate_and_limits(void)
{
	static const char *const overrides[] = {"gate.interface=eth0"};
	struct config_error err;
	struct config c;

	CU_ASSERT_EQUAL_FATAL(load_overrides(overrides, 1, &c, &err), 0);
	CU_ASSERT_EQUAL(c.interfaces, 1);
	CU_ASSERT_STRING_EQUAL(c.interface[0], "eth0");
	CU_ASSERT_EQUAL(c.ports, 1);
	CU_ASSERT_EQUAL(c.port_host[0], 25);
	CU_ASSERT_EQUAL(c.addresses, 0);
	CU_ASSERT_EQUAL(c.mode, MODE_MONITOR);
	CU_ASSERT_EQUAL(c.xdp_mode, XDP_AUTO);
	check_rate(&c.connection_rate, 100, 1);
	CU_ASSERT_EQUAL(c.connection_burst, 200);
	CU_ASSERT_EQUAL(c.retry_burst, 100);
	CU_ASSERT_EQUAL(c.known_burst, 200);
	check_rate(&c.trusted_rate, 1000, 1);
	CU_ASSERT_EQUAL(c.trusted_burst, 2000);
	check_rate(&c.source_rate, 60, 60);
	CU_ASSERT_EQUAL(c.source_burst, 20);
	check_rate(&c.subnet_rate, 300, 60);
	CU_ASSERT_EQUAL(c.subnet_burst, 100);
	CU_ASSERT_EQUAL(c.pace_horizon_ns, 800 * NSEC_PER_MSEC);
	check_rate(&c.refuse_rate, 10000, 1);
	CU_ASSERT_EQUAL(c.defer_budget_per_s, 4000);
	CU_ASSERT_EQUAL(c.source_prefix_v4, 32);
	CU_ASSERT_EQUAL(c.source_prefix_v6, 64);
	CU_ASSERT_EQUAL(c.subnet_prefix_v4, 24);
	CU_ASSERT_EQUAL(c.subnet_prefix_v6, 48);
	CU_ASSERT_EQUAL(c.source_table, 131072);
	CU_ASSERT_EQUAL(c.subnet_table, 131072);
}

static void defaults_of_load_and_the_rest(void)
{
	static const char *const overrides[] = {"gate.interface=eth0"};
	struct config_error err;
	struct config c;

	CU_ASSERT_EQUAL_FATAL(load_overrides(overrides, 1, &c, &err), 0);
	CU_ASSERT_EQUAL(c.delay_la_centi, 0);
	CU_ASSERT_EQUAL(c.queue_la_centi, 1600);
	CU_ASSERT_EQUAL(c.refuse_la_centi, 2400);
	check_rate(&c.queue_rate, 50, 1);
	CU_ASSERT_EQUAL(c.hold_ns, 15 * NSEC_PER_SEC);
	CU_ASSERT_EQUAL(c.leave_ratio_percent, 80);
	CU_ASSERT_EQUAL(c.refuse_max_ns, 600 * NSEC_PER_SEC);
	CU_ASSERT_EQUAL(c.reject_log_interval_ns, 60 * NSEC_PER_SEC);
	CU_ASSERT_EQUAL(c.compat, COMPAT_NONE);
	CU_ASSERT_STRING_EQUAL(c.loadavg_file, "/proc/loadavg");
	CU_ASSERT_EQUAL(c.lease_ns, 30 * NSEC_PER_SEC);
	for (unsigned int i = 0; i < CLASSES; i++)
		CU_ASSERT_EQUAL(c.class_files[i], 0);
	CU_ASSERT_STRING_EQUAL(c.known_file, "/var/lib/sluice/default/known");
	CU_ASSERT_EQUAL(c.known_days, 2);
	CU_ASSERT_EQUAL(c.known_bytes, 4096);
	CU_ASSERT_EQUAL(c.known_for_ns, 60 * 86400 * NSEC_PER_SEC);
	CU_ASSERT_STRING_EQUAL(c.textfile, "");
	CU_ASSERT_EQUAL(c.metrics_interval_ns, 10 * NSEC_PER_SEC);
}

/* What hangs on connection-rate follows it, and stays a rate that can be written down. */
static void defaults_that_are_derived(void)
{
	static const struct {
		const char *rate, *queue, *trusted;
		uint32_t trusted_burst;
	} row[] = {
		{"15/s", "15/2s", "150/s", 300},
		{"300/min", "150/min", "3000/min", 100},
		{"1/d", "1/d", "10/d", 3},
		{"3/d", "1/d", "30/d", 3},
		{"1000000/s", "500000/s", "1000000/s", 2000000},
		{"7/10s", "7/20s", "70/10s", 14},
	};
	char override[64], text[64], trusted[64];
	const char *list[] = {"gate.interface=eth0", "limits.connection-burst=9000", override,
			      "limits.source-rate=off", "limits.subnet-rate=off"};
	struct config_error err;
	struct config c;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		snprintf(override, sizeof(override), "limits.connection-rate=%s", row[i].rate);
		if (load_overrides(list, 5, &c, &err)) {
			CHECK(0, "%s", err.text);
			continue;
		}
		for (size_t k = 0; config_key_at(k); k++) {
			if (!strcmp(config_key_at(k)->name, "queue-rate"))
				config_format(&c, k, text, sizeof(text));
			if (!strcmp(config_key_at(k)->name, "trusted-rate"))
				config_format(&c, k, trusted, sizeof(trusted));
		}
		CHECK(!strcmp(text, row[i].queue), "%s: queue-rate %s, expected %s", row[i].rate,
		      text, row[i].queue);
		CHECK(!strcmp(trusted, row[i].trusted), "%s: trusted-rate %s, expected %s",
		      row[i].rate, trusted, row[i].trusted);
		CHECK(c.trusted_burst == row[i].trusted_burst, "%s: trusted-burst %u, expected %u",
		      row[i].rate, c.trusted_burst, row[i].trusted_burst);
	}
}

/* --- mistakes ----------------------------------------------------------------------------------- */

#define IF "[gate]\ninterface = eth0\n"

/* FILE stands for the path of the file in what is expected. */
static const struct {
	const char *text, *expected;
} bad[] = {
	/* The frame of a file. */
	{"", "FILE: [gate] interface= is missing: name the interface that mail arrives on"},
	{"interface = eth0\n",
	 "FILE:1: interface stands before any section; expected a line such as "
	 "[gate] before it"},
	{"a\tb = c\n", "FILE:1: a?b stands before any section"},
	{"[gate\n", "FILE:1: the section's name does not end; expected [name]"},
	{"[gate] interface = eth0\n",
	 "FILE:1: there is text behind [gate]; expected a key on a line of its own"},
	{IF "nonsense\n", "FILE:3: the line is neither key = value, [section] nor # comment"},
	{IF "= eth1\n", "FILE:3: the line is neither key = value, [section] nor # comment"},
	{IF "port ;= 25\n", "FILE:3: the line is neither key = value, [section] nor # comment"},
	{IF "mode = \x1b[31m\n",
	 "FILE:3: the line has a control character in it; expected plain text"},
	{IF "[limts]\n", "FILE:3: there is no section [limts]; was [limits] meant?"},
	{IF "[ limits ]\n", "FILE:3: there is no section [ limits ]; was [limits] meant?"},
	{IF "[milter]\nx = 1\n", "FILE:3: there is no section [milter]; expected [gate], [limits], "
				 "[load], [classes], [known] or [metrics]"},
	/* Names. */
	{IF "[limits]\nconection-rate = 15/s\n",
	 "FILE:4: there is no key 'conection-rate' in [limits]; was connection-rate meant?"},
	{IF "[limits]\nconnection_rate = 15/s\n",
	 "FILE:4: there is no key 'connection_rate' in [limits]; was connection-rate meant?"},
	{IF "connection-rate = 15/s\n",
	 "FILE:3: connection-rate belongs in [limits], not in [gate]"},
	{IF "listen = 25\n", "FILE:3: there is no key 'listen' in [gate]; expected one of: "
			     "interface, port, address, mode, xdp-mode"},
	{IF "mode = off\n\nmode = enforce\n",
	 "FILE:5: mode is given twice in this file, first in line 3; expected once"},
	{IF "[limits]\nsource-burst = 20\n[load]\n[limits]\nsource-burst = 20\n",
	 "FILE:7: source-burst is given twice in this file, first in line 4; expected once"},
	/* Sessions. */
	{IF "[limits]\nmax-sessions = 65537\n",
	 "FILE:4: max-sessions = 65537: it is out of range; expected a whole number from 1 to"},
	{IF "[limits]\nknown-share = 0.2\n", "FILE:4: known-share = 0.2: "},
	{IF "[limits]\nknown-share = 91\n",
	 "FILE:4: known-share = 91: it is out of range; expected a whole number of percent"},
	{IF "[limits]\nmax-sessions-per-source = many\n",
	 "FILE:4: max-sessions-per-source = many: "},
	{IF "[limits]\nsource-session-time = 2h\n",
	 "FILE:4: source-session-time = 2h: it is out of range; expected a duration such as"},
	{IF "[limits]\nsource-session-time = 10ms\n",
	 "FILE:4: source-session-time = 10ms is too short; expected 1s to 1h, or 0 for off"},
	{IF "[limits]\npace-horizon = 11s\n",
	 "FILE:4: pace-horizon = 11s: it is out of range; expected a duration such as 800ms, up "
	 "to 10s, as clients do not wait for ever, or 0 for off"},
	{IF "[limits]\npace-horizon = 800\n", "FILE:4: pace-horizon = 800: "},
	/* [known] */
	{IF "[known]\nfile = known\n", "FILE:4: file = known: it does not begin with a slash; "
				       "expected an absolute path"},
	{IF "[known]\nknown-days = 31\n",
	 "FILE:4: known-days = 31: it is out of range; expected a whole number from 1 to 30"},
	{IF "[known]\nknown-days = 0\n", "FILE:4: known-days = 0: it is out of range"},
	{IF "[known]\nknown-bytes = 0\n", "FILE:4: known-bytes = 0: it is out of range"},
	{IF "[known]\nknown-bytes = 4k\n", "FILE:4: known-bytes = 4k: it is not a number"},
	{IF "[known]\nknown-for = 60\n", "FILE:4: known-for = 60: a bare number has no unit; "
					 "expected a duration such as 60d, from 1d to 366d"},
	{IF "[known]\nknown-for = 367d\n", "FILE:4: known-for = 367d: it is out of range"},
	/* [gate] */
	{"[gate]\ninterface =\n", "FILE:2: interface = : there is no value; expected an interface "
				  "name such as eth0, 1 to 15 characters"},
	{"[gate]\ninterface = a123456789012345\n",
	 "FILE:2: interface = a123456789012345: it is longer than an interface name can be"},
	{"[gate]\ninterface = eth/0\n", "FILE:2: interface = eth/0: it is not an interface name"},
	{"[gate]\ninterface = eth0:1\n", "FILE:2: interface = eth0:1: it is not an interface name"},
	{"[gate]\ninterface = ..\n", "FILE:2: interface = ..: it is not an interface name"},
	{IF "interface = eth0\n",
	 "FILE:3: interface = eth0 is given twice, first in FILE:2; expected once"},
	{IF "port = smtp\n",
	 "FILE:3: port = smtp: it is not a number; expected a port from 1 to 65535"},
	{IF "port = 0\n", "FILE:3: port = 0: it is out of range"},
	{IF "port = 65536\n", "FILE:3: port = 65536: it is out of range"},
	{IF "port = -25\n", "FILE:3: port = -25: it is out of range"},
	{IF "port = 25, 587\n", "FILE:3: port = 25,: it is not a number"},
	{IF "port = 25\nport = 587 25\n",
	 "FILE:4: port = 25 is given twice, first in FILE:3; expected once"},
	{IF "port = 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n",
	 "FILE:3: port is given too often; expected at most 16 of them"},
	{IF "address = 192.0.2.256\n",
	 "FILE:3: address = 192.0.2.256: it is not an address; expected "
	 "an IPv4 or IPv6 address, or nothing for any"},
	{IF "address = 192.0.2.0/24\n", "FILE:3: address = 192.0.2.0/24: it is not an address"},
	{IF "address = ::ffff:192.0.2.1\n",
	 "FILE:3: address = ::ffff:192.0.2.1: it is an IPv4 address written as IPv6"},
	{IF "address = 0.0.0.0\n",
	 "FILE:3: address = 0.0.0.0: no packet is sent to it; expected an"},
	{IF "address = ::\n", "FILE:3: address = ::: no packet is sent to it; expected an"},
	{IF "address = 2001:db8::1\naddress = 2001:DB8:0::1\n",
	 "FILE:4: address = 2001:DB8:0::1 is given twice, first in FILE:3; expected once"},
	{IF "mode = on\n",
	 "FILE:3: mode = on: there is no such choice; expected monitor, enforce or off"},
	{IF "mode = Enforce\n", "FILE:3: mode = Enforce: there is no such choice"},
	{IF "xdp-mode = skb\n",
	 "FILE:3: xdp-mode = skb: there is no such choice; expected auto, native or generic"},
	/* Rates. */
	{IF "[limits]\nconnection-rate = 15\n",
	 "FILE:4: connection-rate = 15: a bare number has no unit; expected a rate such as 15/s, "
	 "300/min, 6/10s or 1/h, from 1/d to 1000000/s"},
	{IF "[limits]\nconnection-rate = off\n",
	 "FILE:4: connection-rate = off: connection-rate is never unlimited; expected a rate"},
	{IF "[limits]\nconnection-rate = 0/s\n",
	 "FILE:4: connection-rate = 0/s: a rate of 0 lets nobody in; expected a rate"},
	{IF "[limits]\nsource-rate = 0/min\n",
	 "FILE:4: source-rate = 0/min: a rate of 0 lets nobody in; expected a rate such as 15/s, "
	 "300/min, 6/10s or 1/h, from 1/d to 1000000/s, or off"},
	{IF "[limits]\nconnection-rate = 15/\n", "connection-rate = 15/: it has no unit"},
	{IF "[limits]\nconnection-rate = 15/10\n", "connection-rate = 15/10: it has no unit"},
	{IF "[limits]\nconnection-rate = 15/fortnight\n",
	 "FILE:4: connection-rate = 15/fortnight: its unit is not known"},
	{IF "[limits]\nconnection-rate = 15/0s\n", "connection-rate = 15/0s: its period is 0"},
	{IF "[limits]\nconnection-rate = 100/2d\n",
	 "FILE:4: connection-rate = 100/2d: its period is longer than a day"},
	{IF "[limits]\nconnection-rate = 1000001/s\n",
	 "FILE:4: connection-rate = 1000001/s: it is too fast"},
	{IF "[limits]\nconnection-rate = 1001/ms\n", "connection-rate = 1001/ms: it is too fast"},
	{IF "[limits]\nconnection-rate = 99999999999999999999999/s\n", "it is too fast"},
	{IF "[limits]\nconnection-rate = 1.5/s\n", "connection-rate = 1.5/s: it is not a rate"},
	{IF "[limits]\nconnection-rate = fast\n", "connection-rate = fast: it is not a rate"},
	{IF "[limits]\nconnection-rate = -15/s\n", "connection-rate = -15/s: it is not a rate"},
	{IF "[limits]\nrefuse-rate = off\n",
	 "FILE:4: refuse-rate = off: refuse-rate is never unlimited"},
	{IF "[limits]\ntrusted-rate = off\n", "trusted-rate is never unlimited"},
	{IF "[limits]\ndefer-budget = off\n", "defer-budget is never unlimited"},
	{IF "[limits]\ndefer-budget = 1/min\n",
	 "FILE:4: defer-budget = 1/min: it is no whole number a second; expected a rate of whole "
	 "numbers a second, such as 4000/s, from 1/s to 100000/s"},
	{IF "[limits]\ndefer-budget = 100001/s\n", "defer-budget = 100001/s: it is out of range"},
	{IF "[load]\nqueue-rate = off\n",
	 "FILE:4: queue-rate = off: queue-rate is never unlimited"},
	/* Numbers. */
	{IF "[limits]\nconnection-burst = 0\n", "FILE:4: connection-burst = 0: it is out of range; "
						"expected a whole number from 1 to 10000000"},
	{IF "[limits]\nretry-burst = 10000001\n", "retry-burst = 10000001: it is out of range; "
						  "expected a whole number from 0 to 10000000"},
	{IF "[limits]\nsource-burst = 20/s\n", "FILE:4: source-burst = 20/s: it is not a number"},
	{IF "[limits]\nsource-burst = 0x20\n", "FILE:4: source-burst = 0x20: it is not a number"},
	{IF "[limits]\nsource-burst = 4294967297\n",
	 "source-burst = 4294967297: it is out of range"},
	{IF "[limits]\nsource-prefix-v4 = 33\n",
	 "FILE:4: source-prefix-v4 = 33: it is out of range; expected a whole number from 8 to 32"},
	{IF "[limits]\nsource-prefix-v6 = 128\n",
	 "FILE:4: source-prefix-v6 = 128: it is out of range; expected a whole number from 16 to 64"},
	{IF "[limits]\nsubnet-prefix-v4 = 7\n", "subnet-prefix-v4 = 7: it is out of range"},
	{IF "[limits]\nsubnet-prefix-v6 = /48\n", "subnet-prefix-v6 = /48: it is not a number"},
	{IF "[limits]\nsource-table = 1000\n",
	 "source-table = 1000: it is out of range; expected a whole number from 1024 to 16777216"},
	/* Loads, durations, words, paths. */
	{IF "[load]\nqueue-la = eight\n",
	 "FILE:4: queue-la = eight: it is not a number; expected a "
	 "load such as 8 or 12.5, up to 100000, or 0 for off"},
	{IF "[load]\nqueue-la = 8.125\n",
	 "FILE:4: queue-la = 8.125: it has more than two decimals"},
	{IF "[load]\nqueue-la = 8.\n", "FILE:4: queue-la = 8.: it is not a number"},
	{IF "[load]\nqueue-la = -1\n", "FILE:4: queue-la = -1: it is out of range"},
	{IF "[load]\nrefuse-la = 100000.01\n", "refuse-la = 100000.01: it is out of range"},
	{IF "[load]\nhold = 15\n",
	 "FILE:4: hold = 15: a bare number has no unit; expected a duration "
	 "such as 15s, from 0s to 1h"},
	{IF "[load]\nhold = 0\n", "FILE:4: hold = 0: a bare number has no unit"},
	{IF "[load]\nhold = 61m\n", "FILE:4: hold = 61m: it is out of range"},
	{IF "[load]\nhold = 5 s\n", "FILE:4: hold = 5 s: its unit is not known"},
	{IF "[load]\nhold = soon\n", "FILE:4: hold = soon: it is not a duration"},
	{IF "[load]\nrefuse-max = 0s\n",
	 "refuse-max = 0s: it is out of range; expected a duration such as 10m, from 1s to 24h"},
	{IF "[load]\nlease = 4999ms\n", "FILE:4: lease = 4999ms: it is out of range; expected a "
					"duration such as 30s, from 5s to 1h"},
	{IF "[load]\nlease = 99999999999999999999h\n", "it is out of range"},
	{IF "[load]\nleave-ratio = 0.09\n",
	 "FILE:4: leave-ratio = 0.09: it is out of range; expected "
	 "a number from 0.1 to 1.0, with at most two decimals"},
	{IF "[load]\nleave-ratio = 1.01\n", "leave-ratio = 1.01: it is out of range"},
	{IF "[load]\nleave-ratio = 80%\n", "leave-ratio = 80%: it is not a number"},
	{IF "[load]\ncompat = postfix\n",
	 "FILE:4: compat = postfix: there is no such choice; expected none or sendmail"},
	{IF "[load]\nloadavg-file =\n", "FILE:4: loadavg-file = : there is no value; expected an "
					"absolute path of at most 180 characters without blanks"},
	{IF "[load]\nloadavg-file = proc/loadavg\n",
	 "FILE:4: loadavg-file = proc/loadavg: it does not begin with a slash"},
	{IF "[classes]\ntrusted = /etc/a\ntrusted = /etc/a\n",
	 "FILE:5: trusted = /etc/a is given twice, first in FILE:4; expected once"},
	{IF "[classes]\nblocked = list\n", "blocked = list: it does not begin with a slash"},
	{IF "[metrics]\ntextfile = /var/a b.prom\n",
	 "textfile = /var/a b.prom: it has a blank in it"},
	{IF "[metrics]\ninterval = 10\n", "FILE:4: interval = 10: a bare number has no unit"},
	/* What only shows together. 2 ticks of 4 ms. */
	{IF "[limits]\nconnection-burst = 2\n",
	 "FILE:4: connection-burst = 2 is too small for connection-rate = 100/s, as the clock moves "
	 "in ticks of 4000 us; expected at least 3"},
	{IF "[limits]\nconnection-rate = 100000/s\n",
	 "FILE:4: connection-burst = 200 is too small for connection-rate = 100000/s, as the clock "
	 "moves in ticks of 4000 us; expected at least 802"},
	{IF "[limits]\nsource-burst = 2\n",
	 "FILE:4: source-burst = 2 is too small for source-rate = 60/min"},
	{IF "[limits]\nsource-rate = 10000/s\n",
	 "FILE:4: source-burst = 20 is too small for source-rate = 10000/s, as the clock moves in "
	 "ticks of 4000 us; expected at least 82"},
	{IF "[limits]\nsubnet-burst = 1\n",
	 "FILE:4: subnet-burst = 1 is too small for subnet-rate = 300/min"},
	{IF "[limits]\ntrusted-burst = 9\n",
	 "FILE:4: trusted-burst = 9 is too small for trusted-rate = 1000/s, as the clock moves in "
	 "ticks of 4000 us; expected at least 10"},
	{IF "[limits]\nconnection-rate = 1/d\nconnection-burst = 10000000\n",
	 "FILE:4: connection-rate = 1/d with connection-burst = 10000000, retry-burst and "
	 "known-burst would take more than 146 years to refill; expected a faster rate or smaller "
	 "bursts"},
	{IF "[limits]\nsource-rate = 1/d\nsource-burst = 10000000\n",
	 "FILE:4: source-rate = 1/d with source-burst = 10000000 would take more than 146 years"},
	{IF "[limits]\nsubnet-burst = 10000000\nsubnet-rate = 1/d\n",
	 "FILE:5: subnet-rate = 1/d with subnet-burst = 10000000, retry-burst"},
	{IF "[limits]\ntrusted-burst = 10000000\ntrusted-rate = 1/d\n",
	 "FILE:5: trusted-rate = 1/d with trusted-burst = 10000000 would take more"},
	{IF "[load]\nqueue-rate = 1/d\n[limits]\nconnection-burst = 10000000\n",
	 "FILE:4: queue-rate = 1/d with connection-burst = 10000000, retry-burst"},
	{IF "[load]\nqueue-rate = 101/s\n",
	 "FILE:4: queue-rate = 101/s is more than connection-rate = 100/s; expected at most that"},
	{IF "[load]\nqueue-rate = 6001/min\n",
	 "FILE:4: queue-rate = 6001/min is more than connection-rate = 100/s"},
	{IF "[limits]\nsubnet-prefix-v4 = 32\nsource-prefix-v4 = 31\n",
	 "FILE:4: subnet-prefix-v4 = 32 is longer than source-prefix-v4 = 31; expected a subnet to "
	 "hold its sources"},
	{IF "[limits]\nsource-prefix-v6 = 32\n",
	 "FILE:4: subnet-prefix-v6 = 48 is longer than source-prefix-v6 = 32"},
	/* 100/s x 39 s, the debt of a known source, and 500 of the bursts. */
	{IF "[limits]\nsource-table = 4399\n",
	 "FILE:4: source-table = 4399 is too small: while a bucket of source-rate = 60/min with "
	 "source-burst = 20 refills, 4400 may be in use at connection-rate = 100/s; expected at "
	 "least 4400 or a quicker refill"},
	/* 100/s x 80 s (100 + 100 + 200 of 200 ms each), and 500. */
	{IF "[limits]\nsubnet-table = 8579\n", "expected at least 8580 or a quicker refill"},
	{IF "[limits]\nsource-rate = 1/h\n",
	 "FILE:4: source-table = 131072 is too small: while a bucket of source-rate = 1/h"},
};

static void expect_error(const char *file, const char *const *overrides, size_t n,
			 const char *expected)
{
	char wanted[512], *w = wanted;
	struct config_error err;
	struct config c;
	int ret;

	while (*expected && w < wanted + sizeof(wanted) - 200) {
		if (!strncmp(expected, "FILE", 4)) {
			w += sprintf(w, "%s", file);
			expected += 4;
		} else {
			*w++ = *expected++;
		}
	}
	*w = '\0';
	ret = config_load(file, overrides, n, &facts, &c, &err);
	CHECK(ret == -EINVAL, "returned %d for: %s", ret, wanted);
	CHECK(strstr(err.text, wanted), "said: %s\n     not: %s", err.text, wanted);
	CHECK(!strchr(err.text, '\n'), "more than a line: %s", err.text);
}

static void every_mistake_has_its_sentence(void)
{
	folder_make();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_error(file_put("a.conf", bad[i].text), NULL, 0, bad[i].expected);
	folder_drop();
}

static void lines_that_no_text_file_has(void)
{
	static const char nul[] = IF "mode = off\0x\n";
	char longer[300] = IF "# ";

	folder_make();
	expect_error(file_put_bytes("a.conf", nul, sizeof(nul) - 1), NULL, 0,
		     "FILE:3: the line has a control character in it");
	memset(longer + strlen(longer), 'x', sizeof(longer) - 1 - strlen(longer));
	expect_error(file_put("a.conf", longer), NULL, 0,
		     "FILE:3: the line is too long; expected at most 198 characters");
	folder_drop();
}

static void the_longest_line_is_read(void)
{
	char text[256] = IF "[metrics]\ntextfile = /";
	struct config_error err;
	struct config c;
	size_t length = strlen(text);

	folder_make();
	memset(text + length, 'x', 179);
	strcpy(text + length + 179, "\n");
	CU_ASSERT_EQUAL(config_load(file_put("a.conf", text), NULL, 0, &facts, &c, &err), 0);
	CU_ASSERT_EQUAL(strlen(c.textfile), 180);
	strcpy(text + length + 179, "x\n");
	expect_error(file_put("a.conf", text), NULL, 0,
		     "it is too long; expected an absolute path");
	folder_drop();
}

/* The first of two mistakes is the one to be named. */
static void the_first_error_wins(void)
{
	folder_make();
	expect_error(file_put("a.conf", IF "mode = on\nport = 0\nnonsense\n"), NULL, 0,
		     "FILE:3: mode = on");
	expect_error(file_put("a.conf", IF "nonsense\nmode = on\n"), NULL, 0, "FILE:3: the line");
	folder_drop();
}

static void files_that_cannot_be_read(void)
{
	struct config_error err;
	struct config c;

	folder_make();
	CU_ASSERT_EQUAL(config_load(path_of("a.conf"), NULL, 0, &facts, &c, &err), -ENOENT);
	CHECK(strstr(err.text, "a.conf: cannot be opened: No such file or directory"), "%s",
	      err.text);
	CU_ASSERT_EQUAL(config_load(folder, NULL, 0, &facts, &c, &err), -EISDIR);
	file_put("a.conf", IF);
	mkdir(path_of("conf.d"), 0755);
	mkdir(path_of("conf.d/dir.conf"), 0755);
	CU_ASSERT_EQUAL(config_load(path_of("a.conf"), NULL, 0, &facts, &c, &err), -EISDIR);
	CHECK(strstr(err.text, "conf.d/dir.conf: cannot be opened: Is a directory"), "%s",
	      err.text);
	rmdir(path_of("conf.d/dir.conf"));
	mkfifo(path_of("a.conf.fifo"), 0644);
	CU_ASSERT_EQUAL(config_load(path_of("a.conf.fifo"), NULL, 0, &facts, &c, &err), -EINVAL);
	CHECK(strstr(err.text, "it is not a plain file"), "%s", err.text);
	unlink(path_of("a.conf.fifo"));
	folder_drop();
}

/* --- what is accepted --------------------------------------------------------------------------- */

static void the_forms_of_a_line(void)
{
	struct config_error err;
	struct config c;
	int ret;

	folder_make();
	ret = config_load(file_put("a.conf", "\xef\xbb\xbf# a comment\r\n"
					     "; another\r\n"
					     "[gate] # why not\r\n"
					     "  interface = eth0   \r\n"
					     "\tinterface=eth1 wan.7\r\n"
					     "port: 25   # SMTP\r\n"
					     "port = 587 ; submission\r\n"
					     "address = 192.0.2.1 2001:db8::1\r\n"
					     "[limits]\r\n"
					     "source-rate = off\r\n"
					     "subnet-rate = 20/2min\r\n"
					     "subnet-table = 300000\r\n"
					     "pace-horizon = 0s\r\n"
					     "defer-budget = 240000/min\r\n"
					     "[gate]\r\n"
					     "mode = enforce\r\n"
					     "[known]\r\n"
					     "[load]\r\n"
					     "refuse-la = 12.5\r\n"
					     "queue-la = 0\r\n"
					     "hold = 800ms"),
			  NULL, 0, &facts, &c, &err);
	CHECK(!ret, "%s", err.text);
	CU_ASSERT_EQUAL(c.interfaces, 3);
	CU_ASSERT_STRING_EQUAL(c.interface[1], "eth1");
	CU_ASSERT_STRING_EQUAL(c.interface[2], "wan.7");
	CU_ASSERT_EQUAL(c.ports, 2);
	CU_ASSERT_EQUAL(c.port_host[1], 587);
	CU_ASSERT_EQUAL(c.addresses, 2);
	CU_ASSERT_EQUAL(memcmp(c.address[0].byte, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01", 16),
			0);
	CU_ASSERT_EQUAL(memcmp(c.address[1].byte, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16),
			0);
	CU_ASSERT_EQUAL(c.source_rate.count, 0);
	check_rate(&c.subnet_rate, 20, 120);
	CU_ASSERT_EQUAL(c.defer_budget_per_s, 4000);
	CU_ASSERT_EQUAL(c.mode, MODE_ENFORCE);
	CU_ASSERT_EQUAL(c.refuse_la_centi, 1250);
	CU_ASSERT_EQUAL(c.queue_la_centi, 0);
	CU_ASSERT_EQUAL(c.hold_ns, 800 * NSEC_PER_MSEC);
	folder_drop();
}

/* A bucket that is off needs neither burst nor table. */
static void what_is_off_is_not_checked(void)
{
	static const char *const overrides[] = {
		"gate.interface=eth0",	    "limits.source-rate=off", "limits.source-burst=1",
		"limits.source-table=1024", "limits.subnet-rate=off", "limits.subnet-burst=1",
		"limits.subnet-table=1024"};
	struct config_error err;
	struct config c;
	int ret = load_overrides(overrides, 7, &c, &err);

	CHECK(!ret, "%s", err.text);
}

/* The least that is accepted, next to the mistakes above that are one short of it. */
static void the_edge_of_what_is_accepted(void)
{
	static const char *const overrides[] = {
		"gate.interface=eth0",	    "limits.connection-burst=3",
		"limits.source-burst=3",    "limits.subnet-burst=3",
		"limits.trusted-burst=10",  "load.queue-rate=6000/min",
		"limits.source-table=1503", "load.lease=5s"};
	static const char *const tables[] = {"gate.interface=eth0", "limits.source-table=4400",
					     "limits.subnet-table=8580"};
	struct config_error err;
	struct config c;
	int ret = load_overrides(overrides, 8, &c, &err);

	CHECK(!ret, "%s", err.text);
	ret = load_overrides(tables, 3, &c, &err);
	CHECK(!ret, "%s", err.text);
}

static void drop_ins_are_read_by_name(void)
{
	struct config_error err;
	struct config c;
	int ret;

	folder_make();
	mkdir(path_of("conf.d"), 0755);
	file_put("a.conf", IF "mode = off\nport = 25\n[limits]\nsource-burst = 30\n");
	file_put("conf.d/20-b.conf", "[gate]\nmode = monitor\nport = 587\n");
	file_put("conf.d/10-a.conf", "[gate]\nmode = enforce\ninterface = eth1\n"
				     "[limits]\nsource-burst = 40\n");
	file_put("conf.d/.hidden.conf", "nonsense\n");
	file_put("conf.d/30-c.backup", "nonsense\n");
	ret = config_load(path_of("a.conf"), NULL, 0, &facts, &c, &err);
	CHECK(!ret, "%s", err.text);
	CU_ASSERT_EQUAL(c.mode, MODE_MONITOR);
	CU_ASSERT_EQUAL(c.source_burst, 40);
	CU_ASSERT_EQUAL(c.interfaces, 2);
	CU_ASSERT_STRING_EQUAL(c.interface[1], "eth1");
	CU_ASSERT_EQUAL(c.ports, 2);

	/* By bytes, not by number: 9 comes behind 20. */
	file_put("conf.d/9.conf", "[gate]\nmode = off\n");
	CU_ASSERT_EQUAL(config_load(path_of("a.conf"), NULL, 0, &facts, &c, &err), 0);
	CU_ASSERT_EQUAL(c.mode, MODE_OFF);

	file_put("conf.d/9.conf", "[gate]\n\ninterface = eth1\n");
	ret = config_load(path_of("a.conf"), NULL, 0, &facts, &c, &err);
	CU_ASSERT_EQUAL(ret, -EINVAL);
	CHECK(strstr(err.text,
		     "conf.d/9.conf:3: interface = eth1 is given twice, first in /tmp/") &&
		      strstr(err.text, "conf.d/10-a.conf:3; expected once"),
	      "%s", err.text);
	folder_drop();
}

static void overrides_win(void)
{
	static const char *const overrides[] = {"gate.mode=enforce",   "gate.interface=wan0",
						"gate.interface=wan1", "gate.mode = off",
						"gate.address=",       "gate.port=587 465"};
	struct config_error err;
	struct config c;
	int ret;

	folder_make();
	file_put("a.conf", IF "mode = monitor\naddress = 192.0.2.1\nport = 25\n");
	ret = config_load(path_of("a.conf"), overrides, 6, &facts, &c, &err);
	CHECK(!ret, "%s", err.text);
	CU_ASSERT_EQUAL(c.mode, MODE_OFF);
	CU_ASSERT_EQUAL(c.interfaces, 2);
	CU_ASSERT_STRING_EQUAL(c.interface[0], "wan0");
	CU_ASSERT_STRING_EQUAL(c.interface[1], "wan1");
	CU_ASSERT_EQUAL(c.addresses, 0);
	CU_ASSERT_EQUAL(c.address[0].half[1], 0);
	CU_ASSERT_EQUAL(c.ports, 2);
	CU_ASSERT_EQUAL(c.port_host[0], 587);
	folder_drop();
}

static void mistakes_in_overrides(void)
{
	static const struct {
		const char *override, *expected;
	} row[] = {
		{"limits.connection-rate=15",
		 "override 'limits.connection-rate=15': connection-rate = 15: a bare number has no"},
		{"connection-rate=15/s",
		 "override 'connection-rate=15/s': expected section.key=value"},
		{"limits.connection-rate",
		 "override 'limits.connection-rate': expected section.key"},
		{"", "override '': expected section.key=value"},
		{"limit.connection-rate=1/s", "there is no section [limit]; was [limits] meant?"},
		{"gate.prot=25",
		 "override 'gate.prot=25': there is no key 'prot' in [gate]; was port"},
		{"gate.port=", "override 'gate.port=': port = : there is no value"},
		{"gate.interface=eth0", "override 'gate.interface=eth0': interface = eth0 is given "
					"twice, first in an override; expected once"},
		{"gate.mode=\x1b[1m", "override 'gate.mode=?[1m': mode = ?[1m: there is no such"},
		{"limits.source-burst=2",
		 "override 'limits.source-burst=2': source-burst = 2 is too"},
	};
	const char *list[2] = {"gate.interface=eth0"};
	struct config_error err;
	struct config c;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		list[1] = row[i].override;
		CU_ASSERT_EQUAL(load_overrides(list, 2, &c, &err), -EINVAL);
		CHECK(strstr(err.text, row[i].expected), "said: %s\n     not: %s", err.text,
		      row[i].expected);
	}
	CU_ASSERT_EQUAL(load_overrides(NULL, 0, &c, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.text,
			       "[gate] interface= is missing: name the interface that mail "
			       "arrives on");
}

/* Once more on top: what was written stays, a list is replaced, what is derived is made anew. */
static void some_more_on_top(void)
{
	static const char *const before[] = {"gate.interface=eth0 eth1", "load.hold=20s",
					     "limits.connection-rate=50/s"};
	static const char *const more[] = {"limits.connection-rate=30/s", "gate.interface=wan0"};
	static const char *const wrong[] = {"load.queue-rate=31/s"};
	struct config c, next, last;
	struct config_error err;
	int ret;

	CU_ASSERT_EQUAL_FATAL(load_overrides(before, 3, &c, &err), 0);
	check_rate(&c.queue_rate, 25, 1);
	ret = config_with(&c, more, 2, &facts, &next, &err);
	CHECK(!ret, "%s", err.text);
	CU_ASSERT_EQUAL(next.interfaces, 1);
	CU_ASSERT_STRING_EQUAL(next.interface[0], "wan0");
	CU_ASSERT_EQUAL(next.hold_ns, 20 * NSEC_PER_SEC);
	check_rate(&next.connection_rate, 30, 1);
	check_rate(&next.queue_rate, 15, 1);
	CU_ASSERT_EQUAL(config_with(&next, wrong, 1, &facts, &last, &err), -EINVAL);
	CHECK(strstr(err.text, "override 'load.queue-rate=31/s': queue-rate = 31/s is more than"),
	      "%s", err.text);
}

static void keys_are_found(void)
{
	struct config_error err;
	int at = config_find("source-rate", &err);

	CU_ASSERT_FATAL(at >= 0);
	CU_ASSERT_STRING_EQUAL(config_key_at(at)->name, "source-rate");
	CU_ASSERT_EQUAL(config_find("limits.source-rate", &err), at);
	CU_ASSERT_EQUAL(config_find("load.source-rate", &err), -EINVAL);
	CU_ASSERT_EQUAL(config_find("sorce-rate", &err), -EINVAL);
	CHECK(strstr(err.text, "there is no key 'sorce-rate'"), "%s", err.text);
}

/* --- the way back ------------------------------------------------------------------------------- */

/* Formats every row, loads what was written, and expects the same config to the last byte. */
static void expect_round_trip(const struct config *c)
{
	char text[8192], value[4096];
	struct config_error err;
	struct config again;
	const char *overrides[64];
	char *store[64];
	size_t n;
	int ret;

	for (n = 0; config_key_at(n); n++) {
		const struct config_key *key = config_key_at(n);

		CU_ASSERT_EQUAL_FATAL(config_format(c, n, value, sizeof(value)), 0);
		snprintf(text, sizeof(text), "%s.%s=%s", key->section, key->name, value);
		store[n] = strdup(text);
		overrides[n] = store[n];
	}
	CU_ASSERT_EQUAL(config_format(c, n, value, sizeof(value)), -ENOENT);
	ret = config_load(NULL, overrides, n, &facts, &again, &err);
	CHECK(!ret, "%s", err.text);
	again.given = c->given; /* everything is written down in it */
	CHECK(ret || !memcmp(c, &again, sizeof(again)), "the config came back as another");
	while (n--)
		free(store[n]);
}

static void defaults_come_back(void)
{
	static const char *const rates[] = {
		"limits.connection-rate=15/s", "limits.connection-rate=1/d",
		"limits.connection-rate=3/d", "limits.connection-rate=999999/s",
		"limits.connection-rate=999999999/1h"};
	const char *overrides[] = {"gate.interface=eth0", "limits.connection-burst=10000",
				   "limits.source-rate=off", "limits.subnet-rate=off", NULL};
	struct config_error err;
	struct config c;

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		overrides[4] = rates[i];
		if (load_overrides(overrides, 5, &c, &err))
			CHECK(0, "%s", err.text);
		else
			expect_round_trip(&c);
	}
}

static void every_key_comes_back(void)
{
	static const char *const overrides[] = {"gate.interface=eth0 eth1",
						"gate.port=25 465 587",
						"gate.address=192.0.2.1 2001:db8::25",
						"gate.mode=enforce",
						"gate.xdp-mode=generic",
						"limits.connection-rate=7/10s",
						"limits.connection-burst=11",
						"limits.retry-burst=0",
						"limits.known-burst=13",
						"limits.trusted-rate=5/2min",
						"limits.trusted-burst=17",
						"limits.source-rate=off",
						"limits.source-burst=19",
						"limits.subnet-rate=3/500ms",
						"limits.subnet-burst=23",
						"limits.pace-horizon=0",
						"limits.refuse-rate=29/h",
						"limits.defer-budget=31/s",
						"limits.max-sessions=99",
						"limits.known-share=7",
						"limits.max-sessions-per-source=11",
						"limits.source-session-time=90s",
						"limits.source-prefix-v4=30",
						"limits.source-prefix-v6=56",
						"limits.subnet-prefix-v4=20",
						"limits.subnet-prefix-v6=44",
						"limits.source-table=2048",
						"limits.subnet-table=4096",
						"load.delay-la=0.05",
						"load.queue-la=12.5",
						"load.queue-rate=1/2s",
						"load.refuse-la=99999.99",
						"load.hold=800ms",
						"load.leave-ratio=0.55",
						"load.refuse-max=90m",
						"load.reject-log-interval=90s",
						"load.compat=sendmail",
						"load.loadavg-file=/run/load",
						"load.lease=1h",
						"classes.trusted=/etc/t1 /etc/t2",
						"classes.known=/etc/k",
						"classes.throttled=/etc/s",
						"classes.blocked=/etc/b",
						"known.file=/var/lib/k",
						"known.known-days=7",
						"known.known-bytes=37",
						"known.known-for=36h",
						"metrics.textfile=/var/lib/x.prom",
						"metrics.interval=1500ms"};
	size_t n = sizeof(overrides) / sizeof(overrides[0]), rows = 0;
	char value[256];
	struct config_error err;
	struct config c;
	int ret = load_overrides(overrides, n, &c, &err);

	CHECK(!ret, "%s", err.text);
	expect_round_trip(&c);
	/* In the words that came in, so no value is merely read back as badly as it was written. */
	for (; config_key_at(rows); rows++) {
		config_format(&c, rows, value, sizeof(value));
		CHECK(rows < n && !strcmp(strchr(overrides[rows], '=') + 1, value), "%s: %s",
		      overrides[rows], value);
	}
	CU_ASSERT_EQUAL(rows, n);
	CU_ASSERT_EQUAL(config_format(&c, 0, value, 9), -ENOSPC);
	CU_ASSERT_EQUAL(config_format(&c, 0, value, 10), 0);
}

/* --- the table and the file that operators get -------------------------------------------------- */

static void rows_are_whole(void)
{
	for (size_t i = 0; config_key_at(i); i++) {
		const struct config_key *key = config_key_at(i);

		CHECK(key->help[0] && key->help[strlen(key->help) - 1] == '.', "%s", key->name);
		CHECK(key->expects[0] != '\0', "%s", key->name);
		for (size_t k = 0; k < i; k++)
			CHECK(strcmp(config_key_at(k)->section, key->section) ||
				      strcmp(config_key_at(k)->name, key->name),
			      "%s stands twice", key->name);
	}
}

/* Every key stands in dist/sluice.conf, commented out, and uncommented changes nothing. */
static void the_packaged_file_shows_the_defaults(void)
{
	static const char *const eth0[] = {"gate.interface=eth0"};
	char text[16384] = "", line[256];
	struct config c, defaults;
	struct config_error err;
	FILE *f = fopen("dist/sluice.conf", "r");
	size_t keys = 0, rows = 0;
	int ret;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (fgets(line, sizeof(line), f)) {
		bool key = line[0] == '#' && line[1] >= 'a' && line[1] <= 'z';

		keys += key;
		strncat(text, line + key, sizeof(text) - strlen(text) - 1);
	}
	fclose(f);
	while (config_key_at(rows))
		rows++;
	CU_ASSERT_EQUAL(keys, rows);
	folder_make();
	ret = config_load(file_put("a.conf", text), NULL, 0, &facts, &c, &err);
	CHECK(!ret, "%s", err.text);
	folder_drop();
	CU_ASSERT_EQUAL(load_overrides(eth0, 1, &defaults, &err), 0);
	c.given = defaults.given;
	CU_ASSERT_EQUAL(memcmp(&c, &defaults, sizeof(c)), 0);
	ret = config_load("dist/sluice.conf", eth0, 1, &facts, &c, &err);
	CHECK(!ret, "%s", err.text);
	CU_ASSERT_EQUAL(memcmp(&c, &defaults, sizeof(c)), 0);
}

/* Where known senders are kept is named after the instance, unless it is said; nothing is none. */
static void the_known_file_is_of_the_instance(void)
{
	static const struct config_facts mx2 = {
		.cpus = 2, .tick_ns = 4 * NSEC_PER_MSEC, .instance = "mx2"};
	static const char *const overrides[] = {"gate.interface=eth0", "known.file="};
	struct config_error err;
	struct config c, again;

	CU_ASSERT_EQUAL(config_load(NULL, overrides, 1, &mx2, &c, &err), 0);
	CU_ASSERT_STRING_EQUAL(c.known_file, "/var/lib/sluice/mx2/known");
	CU_ASSERT_EQUAL(config_load(NULL, overrides, 2, &mx2, &c, &err), 0);
	CU_ASSERT_STRING_EQUAL(c.known_file, "");
	CU_ASSERT_EQUAL(config_with(&c, overrides, 0, &mx2, &again, &err), 0);
	CU_ASSERT_STRING_EQUAL(again.known_file, "");
}

void suite_config(void)
{
	static CU_TestInfo tests[] = {
		{"defaults: gate and limits", defaults_of_gate_and_limits},
		{"defaults: load and the rest", defaults_of_load_and_the_rest},
		{"defaults: derived from connection-rate", defaults_that_are_derived},
		{"every mistake has its sentence", every_mistake_has_its_sentence},
		{"NUL bytes and long lines", lines_that_no_text_file_has},
		{"the longest path fits", the_longest_line_is_read},
		{"the first error wins", the_first_error_wins},
		{"files that cannot be read", files_that_cannot_be_read},
		{"the forms of a line", the_forms_of_a_line},
		{"what is off is not checked", what_is_off_is_not_checked},
		{"the edge of what is accepted", the_edge_of_what_is_accepted},
		{"conf.d in the order of names", drop_ins_are_read_by_name},
		{"overrides win", overrides_win},
		{"mistakes in overrides", mistakes_in_overrides},
		{"some more overrides on top", some_more_on_top},
		{"keys are found by name", keys_are_found},
		{"round trip: defaults", defaults_come_back},
		{"round trip: every key", every_key_comes_back},
		{"rows are whole", rows_are_whole},
		{"the known file is of the instance", the_known_file_is_of_the_instance},
		{"dist/sluice.conf shows the defaults", the_packaged_file_shows_the_defaults},
		CU_TEST_INFO_NULL,
	};

	unit_suite("config", tests);
}
