/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names.h - the words for the enumerations of sluice.h, as every output shows them.
 */
#ifndef NAMES_H
#define NAMES_H

#include <stddef.h>

#include "sluice.h"

const char *name_verdict(enum verdict v);
const char *name_reason(enum reason r);
const char *sentence_reason(enum reason r);
const char *name_frame(enum frame_kind k);
const char *sentence_frame(enum frame_kind k);
const char *name_family(enum family f);
const char *name_mode(enum mode m);

/* The verdict of a reason's gate when nothing stands in its way. */
enum verdict reason_verdict(enum reason r);

/* Counters of struct counters that tell of something which went wrong. */
struct fault {
	const char *name;     /* as the field */
	size_t offset;	      /* in struct counters */
	const char *sentence; /* for the operator */
};

extern const struct fault faults[];
extern const size_t fault_count;

#endif
