// SPDX-License-Identifier: GPL-2.0-or-later
#include "log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static char queue[LOG_QUEUE_LINES][LOG_LINE_BYTES];
static unsigned int queue_first, queue_count;
static uint64_t queue_dropped;
static char instance_name[64] = "default";

void log_name(const char *instance)
{
	snprintf(instance_name, sizeof(instance_name), "%s", instance);
}

void log_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	pthread_mutex_lock(&queue_lock);
	if (queue_count < LOG_QUEUE_LINES) {
		char *line = queue[(queue_first + queue_count) % LOG_QUEUE_LINES];

		vsnprintf(line, LOG_LINE_BYTES, format, args);
		queue_count++;
	} else {
		queue_dropped++;
	}
	pthread_mutex_unlock(&queue_lock);
	va_end(args);
}

void log_flush(void)
{
	char line[LOG_LINE_BYTES];

	for (;;) {
		pthread_mutex_lock(&queue_lock);
		if (!queue_count) {
			pthread_mutex_unlock(&queue_lock);
			return;
		}
		memcpy(line, queue[queue_first], sizeof(line));
		queue_first = (queue_first + 1) % LOG_QUEUE_LINES;
		queue_count--;
		pthread_mutex_unlock(&queue_lock);
		dprintf(STDERR_FILENO, "sluiced[%s]: %s\n", instance_name, line);
	}
}

uint64_t log_dropped(void)
{
	uint64_t dropped;

	pthread_mutex_lock(&queue_lock);
	dropped = queue_dropped;
	pthread_mutex_unlock(&queue_lock);
	return dropped;
}

int fail(struct config_error *err, int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return code;
}
