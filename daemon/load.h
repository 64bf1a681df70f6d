/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * load.h - one look at how busy the machine is. Touches only /proc (and the configured file).
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

struct load_sample {
	bool readable;
	uint32_t load_centi;		      /* the 1-minute average, in hundredths */
	uint32_t running, blocked;	      /* tasks, /proc/stat */
	bool psi;			      /* the kernel has pressure stall information */
	uint32_t psi_cpu_centi, psi_io_centi; /* "some avg10", hundredths of a percent */
	struct config_error why;	      /* a sentence, when not readable */
};

/*
 * Parses the first number of a loadavg line ("0.52 0.58 0.59 1/345 6789") into hundredths.
 * Returns 0, or -EINVAL for anything that is not a number from 0 to 1,000,000. Pure.
 */
int load_parse(const char *text, uint32_t *centi);

/* Fills the sample. loadavg_file must be a regular file: reading it never waits. */
void load_read(const char *loadavg_file, struct load_sample *s);

#endif
