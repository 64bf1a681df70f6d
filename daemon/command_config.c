// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * command_config.c - commands that show and change the config: get, set, class, reload.
 *
 * Every change goes one way: a whole new config is made and checked, its class files are read,
 * and then it is put in force, or nothing is.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "log.h"
#include "policy.h"

/* --- put in force ----------------------------------------------------------------------------- */

static void keep_classes(struct daemon *d, struct class_list *list)
{
	classes_free(&d->classes);
	d->classes = *list;
	*list = (struct class_list){};
	memset(d->class_prefixes, 0, sizeof(d->class_prefixes));
	for (size_t i = 0; i < d->classes.count; i++)
		d->class_prefixes[d->classes.entry[i].class]++;
}

/* The second half of command_put_in_force(): the class tries are in their slot. Under the lock. */
static int apply(struct daemon *d, const struct config *c, struct class_list *list, uint32_t slot,
		 struct config_error *err)
{
	struct config before = d->config;
	uint32_t slot_before = d->class_slot;
	int bad;

	bad = kernel_attach(d->kernel, c, err);
	if (bad)
		return bad;
	d->config = *c;
	d->class_slot = slot;
	bad = controller_apply(d);
	if (bad) {
		d->config = before;
		d->class_slot = slot_before;
		return fail(err, bad, "the kernel did not take the new limits: %s", strerror(-bad));
	}
	keep_classes(d, list);
	return 0;
}

/* Table sizes are of the load: say so when a change would have had others. */
static void say_what_waits(const struct config *before, const struct config *after)
{
	struct policy_tables old, new;

	policy_tables(before, &old);
	policy_tables(after, &new);
	if (memcmp(&old, &new, sizeof(old)))
		log_line(
			"the new limits hold, but the tables keep their size until the next start");
}

int command_put_in_force(struct daemon *d, const struct config *c, struct class_list *list,
			 struct config_error *err)
{
	uint32_t slot = !(d->class_slot & 1);
	struct config before;
	int bad;

	bad = kernel_classes_set(d->kernel, list, slot, err);
	if (bad)
		return bad;
	pthread_mutex_lock(&d->lock);
	before = d->config;
	bad = apply(d, c, list, slot, err);
	pthread_mutex_unlock(&d->lock);
	if (bad)
		return bad;
	learning_configure(d);
	if (before.interfaces)
		say_what_waits(&before, c);
	return 0;
}

/* Reads the class files of a config that is checked, and puts both in force. */
static int put_in_force(struct daemon *d, const struct config *c, struct config_error *err)
{
	struct class_list list = {};
	int bad;

	/* Without the lock: they may be on a disk that hangs. */
	bad = classes_load(c, &list, err);
	if (!bad)
		bad = command_put_in_force(d, c, &list, err);
	classes_free(&list);
	return bad;
}

/* Do two settings name the same key? */
static bool same_key(const char *a, const char *b)
{
	return !strncmp(a, b, strcspn(a, "=") + 1);
}

/* Was the key of this override set by hand since? A list would add up with what it replaced. */
static bool is_set(const struct daemon *d, const char *override)
{
	for (size_t i = 0; i < d->setting_count; i++)
		if (same_key(d->setting[i], override))
			return true;
	return false;
}

int command_reload(struct daemon *d, struct config_error *err)
{
	const char *overrides[OVERRIDES_MAX + CONTROL_SETTINGS];
	struct config *c = malloc(sizeof(*c));
	size_t count = 0;
	int bad;

	if (!c)
		return fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < d->override_count; i++)
		if (!is_set(d, d->overrides[i]))
			overrides[count++] = d->overrides[i];
	for (size_t i = 0; i < d->setting_count; i++)
		overrides[count++] = d->setting[i];
	bad = config_load(d->file, overrides, count, &d->facts, c, err);
	if (!bad)
		bad = put_in_force(d, c, err);
	free(c);
	if (bad)
		log_line("the new config is not used, the old one stays: %s", err->text);
	else
		log_line("the config was read again and is in force");
	return bad;
}

/* --- get -------------------------------------------------------------------------------------- */

/* By hand: then the file's value waits until the next start. */
static bool is_key_set(const struct daemon *d, const struct config_key *key)
{
	char head[128];

	snprintf(head, sizeof(head), "%s.%s=", key->section, key->name);
	return is_set(d, head);
}

static json_t *key_json(const struct daemon *d, size_t index)
{
	const struct config_key *key = config_key_at(index);
	char text[8192];

	if (config_format(&d->config, index, text, sizeof(text)))
		snprintf(text, sizeof(text), "(too long to show)");
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:s}", "section", key->section, "key",
			 key->name, "value", text, "default", key->fallback, "given",
			 (int)(d->config.given >> index & 1), "set", is_key_set(d, key), "help",
			 key->help);
}

json_t *command_get(struct daemon *d, const json_t *request, struct config_error *err)
{
	const char *name = json_string_value(json_object_get(request, "key"));
	json_t *keys;
	int index;

	if (name) {
		index = config_find(name, err);
		if (index < 0)
			return NULL;
		return json_pack("{s:b, s:[o]}", "ok", 1, "keys", key_json(d, (size_t)index));
	}
	keys = json_array();
	for (size_t i = 0; config_key_at(i); i++)
		json_array_append_new(keys, key_json(d, i));
	return json_pack("{s:b, s:o}", "ok", 1, "keys", keys);
}

/* --- set -------------------------------------------------------------------------------------- */

/* The daemon reads and writes as root: a member of the group must not choose what. */
static bool names_file(const struct config_key *key)
{
	return !strcmp(key->section, "classes") || !strcmp(key->name, "textfile") ||
	       !strcmp(key->name, "loadavg-file") ||
	       (!strcmp(key->section, "known") && !strcmp(key->name, "file"));
}

/* "key=value" or "section.key=value" into "section.key=value", to be freed; NULL with *err. */
static char *full_setting(const struct daemon *d, const char *text, struct config_error *err)
{
	const char *equals = strchr(text, '=');
	const struct config_key *key;
	char name[128], *full;
	int index;

	if (!equals || equals == text || (size_t)(equals - text) >= sizeof(name)) {
		fail(err, -EINVAL, "'%.64s': KEY=VALUE was expected", text);
		return NULL;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
	index = config_find(name, err);
	if (index < 0)
		return NULL;
	key = config_key_at((size_t)index);
	if (!strcmp(key->name, "mode")) {
		fail(err, -EINVAL, "the mode is set by 'sluice mode', which can end by itself");
		return NULL;
	}
	if (!d->asked_by_root && names_file(key)) {
		fail(err, -EPERM, "%s names a file, which only root may set", key->name);
		return NULL;
	}
	if (asprintf(&full, "%s.%s%s", key->section, key->name, equals) < 0) {
		fail(err, -ENOMEM, "out of memory");
		return NULL;
	}
	return full;
}

/* Keeps the settings for reloads to come: a newer one of a key replaces the older ones. */
static void keep_settings(struct daemon *d, char **fresh, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->setting_count; i++) {
		bool replaced = false;

		for (size_t n = 0; n < count; n++)
			replaced |= same_key(d->setting[i], fresh[n]);
		if (replaced)
			free(d->setting[i]);
		else
			d->setting[kept++] = d->setting[i];
	}
	for (size_t n = 0; n < count; n++)
		d->setting[kept++] = fresh[n];
	d->setting_count = kept;
}

/* Takes ownership of the settings when they are put in force. */
static int apply_settings(struct daemon *d, char **fresh, size_t count, struct config_error *err)
{
	struct config *c = malloc(sizeof(*c)), *now = malloc(sizeof(*now));
	int bad = c && now ? 0 : fail(err, -ENOMEM, "out of memory");

	if (!bad && d->setting_count + count > CONTROL_SETTINGS)
		bad = fail(err, -E2BIG,
			   "more than %d settings are kept: write them into the config and reload",
			   CONTROL_SETTINGS);
	if (!bad) {
		pthread_mutex_lock(&d->lock);
		*now = d->config;
		pthread_mutex_unlock(&d->lock);
		bad = config_with(now, (const char *const *)fresh, count, &d->facts, c, err);
	}
	if (!bad)
		bad = put_in_force(d, c, err);
	if (!bad)
		keep_settings(d, fresh, count);
	free(now);
	free(c);
	return bad;
}

json_t *command_set(struct daemon *d, const json_t *request, struct config_error *err)
{
	const json_t *settings = json_object_get(request, "settings");
	char *fresh[CONTROL_SETTINGS];
	size_t count = json_array_size(settings), made = 0;
	int bad = 0;

	if (!count || count > CONTROL_SETTINGS) {
		fail(err, -EINVAL, "settings: 1 to %d of KEY=VALUE were expected",
		     CONTROL_SETTINGS);
		return NULL;
	}
	for (; made < count && !bad; made++) {
		const char *text = json_string_value(json_array_get(settings, made));

		fresh[made] = text ? full_setting(d, text, err) : NULL;
		if (!text)
			fail(err, -EINVAL, "settings: strings were expected");
		if (!fresh[made])
			bad = -EINVAL;
	}
	if (!bad)
		bad = apply_settings(d, fresh, count, err);
	if (bad) {
		for (size_t i = 0; i < made; i++)
			free(fresh[i]);
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		log_line("set by hand: %s", fresh[i]);
	return answer_ok("in force until sluiced is started again");
}

/* --- classes ---------------------------------------------------------------------------------- */

static bool is_class(const char *name, enum class *class)
{
	for (int k = CLASS_UNKNOWN + 1; k < CLASSES; k++)
		if (name && !strcmp(name, class_name(k))) {
			*class = k;
			return true;
		}
	return false;
}

json_t *command_class_load(struct daemon *d, const json_t *request, struct config_error *err)
{
	const char *name = json_string_value(json_object_get(request, "class"));
	const char *file = json_string_value(json_object_get(request, "file"));
	char text[128], *setting;
	enum class class;
	struct config *now;
	int bad;

	if (file && !d->asked_by_root) {
		fail(err, -EPERM,
		     "only root may name a file: write it into the config, or load without");
		return NULL;
	}
	if (name && !is_class(name, &class)) {
		fail(err, -EINVAL,
		     "there is no list of the class '%.32s': trusted, known, throttled or blocked was "
		     "expected",
		     name);
		return NULL;
	}
	if (file && (!name || *file != '/')) {
		fail(err, -EINVAL, "a class and the whole path of its file were expected");
		return NULL;
	}
	if (file) {
		if (asprintf(&setting, "classes.%s=%s", name, file) < 0) {
			fail(err, -ENOMEM, "out of memory");
			return NULL;
		}
		bad = apply_settings(d, &setting, 1, err);
		if (bad)
			free(setting);
	} else {
		now = malloc(sizeof(*now));
		bad = now ? 0 : fail(err, -ENOMEM, "out of memory");
		if (!bad) {
			pthread_mutex_lock(&d->lock);
			*now = d->config;
			pthread_mutex_unlock(&d->lock);
			bad = put_in_force(d, now, err);
		}
		free(now);
	}
	if (bad)
		return NULL;
	snprintf(text, sizeof(text), "%zu prefixes are in force", d->classes.count);
	log_line("class lists read again: %s", text);
	return answer_ok(text);
}

static void prefix_text(const struct class_entry *e, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN];

	if (e->family == FAMILY_V4)
		inet_ntop(AF_INET, &e->addr.word[3], address, sizeof(address));
	else
		inet_ntop(AF_INET6, e->addr.byte, address, sizeof(address));
	snprintf(text, size, "%s/%u", address, e->bits);
}

json_t *command_class_list(struct daemon *d, const json_t *request, struct config_error *err)
{
	const char *name = json_string_value(json_object_get(request, "class"));
	json_int_t offset = json_integer_value(json_object_get(request, "offset"));
	json_t *prefixes, *next = json_null();
	enum class only = CLASSES;
	size_t i, shown = 0;

	if (name && !is_class(name, &only)) {
		fail(err, -EINVAL,
		     "there is no list of the class '%.32s': trusted, known, throttled or blocked was "
		     "expected",
		     name);
		return NULL;
	}
	if (offset < 0) {
		fail(err, -EINVAL, "offset: a number from 0 on was expected");
		return NULL;
	}
	prefixes = json_array();
	for (i = (size_t)offset; i < d->classes.count; i++) {
		const struct class_entry *e = &d->classes.entry[i];
		char text[64];

		if (name && e->class != only)
			continue;
		if (shown++ == CONTROL_PAGE) {
			next = json_integer((json_int_t)i);
			break;
		}
		prefix_text(e, text, sizeof(text));
		json_array_append_new(prefixes, json_pack("{s:s, s:s}", "prefix", text, "class",
							  class_name(e->class)));
	}
	return json_pack("{s:b, s:o, s:I, s:o}", "ok", 1, "prefixes", prefixes, "count",
			 (json_int_t)(name ? d->class_prefixes[only] : d->classes.count), "next",
			 next);
}

/* --- sources ---------------------------------------------------------------------------------- */

json_t *command_sources(struct daemon *d, const json_t *request, struct config_error *err)
{
	struct class_entry top = {};
	struct kernel_sources s;
	double t_ns = (double)d->policy.per_source.t_ns;
	char text[64] = "";

	(void)request;
	(void)err;
	kernel_sources(d->kernel, &s);
	top.addr = s.top;
	top.family = s.top.word[0] || s.top.word[1] || s.top.word[2] != V4_MAPPED_WORD;
	top.bits = (uint8_t)(top.family == FAMILY_V4 ? s.top_bits - 96 : s.top_bits);
	prefix_text(&top, text, sizeof(text));
	return json_pack("{s:b, s:i, s:o, s:f, s:f}", "ok", 1, "sources", (int)s.count, "top",
			 s.count ? json_string(text) : json_null(), "top_share",
			 s.sum_ns ? (double)s.top_ns / (double)s.sum_ns : 0.0, "connections",
			 t_ns > 0 ? (double)s.sum_ns / t_ns : 0.0);
}
