/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * policy.h - config -> policy: the numbers that the gate compares with. Pure.
 */
#ifndef POLICY_H
#define POLICY_H

#include "config.h"
#include "sluice.h"

/* Debts are added to the clock: bounded so that nothing ever comes near 64 bits (146 years). */
#define POLICY_DEBT_MAX_NS (1ULL << 62)

/* Slot time that a source may use at once, in minutes' worth of source-session-time. */
#define POLICY_SLOT_BURST_MINUTES 2

/* Entries of the four tables that a config needs, and the bound of what it gets. */
struct policy_tables {
	uint32_t sources, subnets, admitted, deferred;
};

#define POLICY_TABLE_MIN    1024
#define POLICY_ADMITTED_MAX (1U << 20)

/* Nanoseconds between two at this rate, rounded to the nearest; 0 for a rate that is off. */
uint64_t policy_interval_ns(const struct rate *r);

/*
 * Fills everything but tiers, overrides and class_slot, which the controller owns. cpus is the
 * number of online CPUs: each gets its share of defer-budget. Returns 0, or -ERANGE when a rate
 * times its bursts exceeds POLICY_DEBT_MAX_NS (the config check has refused that before).
 */
int policy_make(const struct config *c, uint32_t cpus, struct policy *p);

/* How many entries the tables of this config hold. */
void policy_tables(const struct config *c, struct policy_tables *t);

/*
 * The least number of entries in the source (subnet) table that forgets no bucket which still
 * owes something: what is admitted while the slowest bucket refills. 0 when the gate is off.
 */
uint64_t policy_source_need(const struct config *c);
uint64_t policy_subnet_need(const struct config *c);

#endif
