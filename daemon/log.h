/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - sentences for the operator, on standard error.
 *
 * Whoever has something to say puts it in a bounded queue and goes on; only log_flush(), on the
 * thread that may wait, writes. So a reader of standard error that has gone to sleep can never
 * keep the lease from being renewed. A full queue drops the line and counts it.
 */
#ifndef LOG_H
#define LOG_H

#include <stdint.h>

#include "config.h"

#define LOG_QUEUE_LINES 64
#define LOG_LINE_BYTES	1024

/* Names the instance in front of every line. */
void log_name(const char *instance);

/* Queues one line, without a newline. Any thread. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes what is queued. One thread. */
void log_flush(void);

/* Lines that found the queue full, since the start. */
uint64_t log_dropped(void);

/* Fills *err with the sentence and returns code, so that a failure is one statement. */
int fail(struct config_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
