// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * command_class.c - prefixes are put into a class by hand, and taken out: class-add, class-del.
 * Every change makes a whole new set, which is in force at once or not at all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "log.h"

static uint64_t now_s(void)
{
	return (uint64_t)time(NULL);
}

/* Takes the new set over, also on an error. */
static int put(struct daemon *d, struct added *new, struct config_error *err)
{
	struct config *now = malloc(sizeof(*now));
	struct added before = d->added;
	int bad = now ? 0 : fail(err, -ENOMEM, "out of memory");

	d->added = *new;
	*new = (struct added){};
	if (!bad) {
		pthread_mutex_lock(&d->lock);
		*now = d->config;
		pthread_mutex_unlock(&d->lock);
		bad = command_config_in_force(d, now, err);
	}
	if (bad) {
		added_free(&d->added);
		d->added = before;
	} else {
		added_free(&before);
	}
	free(now);
	return bad;
}

static json_t *answer_written(struct daemon *d, const char *done)
{
	int bad = added_write(&d->added, d->instance);
	char text[256];

	log_line("class lists: %s", done);
	if (bad)
		log_line("what was added by hand cannot be kept: %s", strerror(-bad));
	snprintf(text, sizeof(text), "%s%s%s", done,
		 bad ? ", but only until sluiced is started again: " : "",
		 bad ? strerror(-bad) : "");
	return answer_ok(text);
}

/* Class, end and comment that all prefixes of a request have. */
static int read_like(const json_t *request, struct added_entry *like, struct config_error *err)
{
	const char *class = json_string_value(json_object_get(request, "class"));
	const char *comment = json_string_value(json_object_get(request, "comment"));
	__u64 until_ns;

	*like = (struct added_entry){.until_s = ADDED_NEVER};
	for (int k = CLASS_UNKNOWN + 1; k < CLASSES; k++)
		if (class && !strcmp(class, class_name(k)))
			like->prefix.class = (uint8_t)k;
	if (!like->prefix.class)
		return fail(err, -EINVAL,
			    "class: trusted, known, throttled or blocked was expected");
	if (command_until(request, &until_ns, err))
		return -EINVAL;
	if (until_ns != NEVER_NS)
		like->until_s =
			now_s() + (until_ns - kernel_now_ns() + NSEC_PER_SEC - 1) / NSEC_PER_SEC;
	for (const char *at = comment; at && *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return fail(err, -EINVAL, "comment: one line of text was expected");
	if (comment && strlen(comment) >= ADDED_COMMENT)
		return fail(err, -EINVAL, "comment: at most %d bytes were expected",
			    ADDED_COMMENT - 1);
	snprintf(like->comment, sizeof(like->comment), "%s", comment ? comment : "");
	return 0;
}

static int read_prefixes(const struct daemon *d, const json_t *request,
			 const struct added_entry *like, struct added *fresh,
			 struct config_error *err)
{
	const char *file = json_string_value(json_object_get(request, "file"));
	const json_t *prefixes = json_object_get(request, "prefixes");
	struct added_entry e = *like;
	int bad = 0;

	if (file && !d->asked_by_root)
		return fail(err, -EPERM, "only root may name a file");
	if (file)
		return added_read_list(fresh, file, like, err);
	if (!json_array_size(prefixes))
		return fail(err, -EINVAL, "prefixes: some were expected");
	for (size_t i = 0; !bad && i < json_array_size(prefixes); i++) {
		const char *text = json_string_value(json_array_get(prefixes, i));

		bad = added_parse(text ? text : "", &e.prefix, err);
		if (!bad)
			bad = added_append(fresh, &e, err);
	}
	return bad;
}

json_t *command_class_add(struct daemon *d, const json_t *request, struct config_error *err)
{
	struct added fresh = {}, new = {};
	struct added_entry like;
	char text[128];
	size_t count;
	int bad;

	bad = read_like(request, &like, err);
	if (!bad)
		bad = read_prefixes(d, request, &like, &fresh, err);
	if (!bad)
		bad = added_join(&d->added, &fresh, &new, err);
	count = fresh.count;
	added_free(&fresh);
	if (!bad)
		bad = put(d, &new, err);
	if (bad)
		return NULL;
	snprintf(text, sizeof(text), "%zu %s now %s by hand", count,
		 count == 1 ? "prefix is" : "prefixes are", class_name(like.prefix.class));
	return answer_written(d, text);
}

/* Those that were not asked to go, and have not ended. */
static int without(const struct added *old, const struct added *gone, uint64_t now,
		   struct added *new, struct config_error *err)
{
	int bad = 0;

	for (size_t i = 0; !bad && i < old->count; i++)
		if (old->entry[i].until_s > now && !added_find(gone, &old->entry[i].prefix))
			bad = added_append(new, &old->entry[i], err);
	if (bad)
		added_free(new);
	return bad;
}

/* Takes out all that was added by hand. */
static json_t *del_all(struct daemon *d, struct config_error *err)
{
	struct added none = {};
	size_t count = d->added.count;
	char text[128];

	if (put(d, &none, err))
		return NULL;
	if (count)
		snprintf(text, sizeof(text), "%zu taken out: all that were added by hand", count);
	else
		snprintf(text, sizeof(text), "none was added by hand, so none was taken out");
	return answer_written(d, text);
}

json_t *command_class_del(struct daemon *d, const json_t *request, struct config_error *err)
{
	struct added fresh = {}, gone = {}, new = {}, none = {};
	struct added_entry like = {};
	char text[128];
	size_t count;
	int bad;

	if (json_is_true(json_object_get(request, "all")))
		return del_all(d, err);
	bad = read_prefixes(d, request, &like, &fresh, err);
	if (!bad)
		bad = added_join(&none, &fresh, &gone, err);
	for (size_t i = 0; !bad && i < gone.count; i++)
		if (!added_find(&d->added, &gone.entry[i].prefix))
			bad = fail(err, -ENOENT,
				   "a prefix of these was not added by hand: 'sluice class list' "
				   "marks those that were");
	if (!bad)
		bad = without(&d->added, &gone, 0, &new, err);
	count = gone.count;
	added_free(&fresh);
	added_free(&gone);
	if (!bad)
		bad = put(d, &new, err);
	if (bad)
		return NULL;
	snprintf(text, sizeof(text), "%zu taken out", count);
	return answer_written(d, text);
}

void command_class_start(struct daemon *d, struct class_list *list)
{
	struct config_error err = {};
	int bad = added_read(&d->added, d->instance, &err);

	if (!bad)
		bad = added_over(&d->added, list, &err);
	if (bad) {
		log_line("%s", err.text);
		added_free(&d->added);
	}
}

void command_class_tick(struct daemon *d)
{
	static bool failed_before;
	struct added none = {}, new = {};
	struct config_error err = {};
	uint64_t now = now_s();
	size_t over = 0;
	int bad;

	for (size_t i = 0; i < d->added.count; i++)
		over += d->added.entry[i].until_s <= now;
	if (!over)
		return;
	bad = without(&d->added, &none, now, &new, &err);
	if (!bad)
		bad = put(d, &new, &err);
	if (!bad) {
		log_line("class lists: %zu added by hand have ended", over);
		bad = added_write(&d->added, d->instance);
	} else if (!failed_before) {
		log_line("what was added by hand cannot end, and is tried again: %s", err.text);
	}
	failed_before = bad;
}
