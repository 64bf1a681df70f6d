/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * drive.h - what the driver notes for each CPU.
 */
#ifndef DRIVE_H
#define DRIVE_H

#include <linux/types.h>

struct driven {
	__u64 number;	/* SYNs so far */
	__u64 first_ns; /* where notes_time is set */
	__u64 last_ns;
	__u64 gap_ns; /* the longest without a SYN */
};

#endif
