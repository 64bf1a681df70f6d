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
#include <time.h>

#include "command.h"
#include "config_rows.h"
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
	pacing_drain(d, c);
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

int command_config_in_force(struct daemon *d, const struct config *c, struct config_error *err)
{
	struct class_list list = {};
	int bad;

	/* Without the lock: they may be on a disk that hangs. */
	bad = classes_load(c, &list, err);
	if (!bad)
		bad = added_over(&d->added, &list, err);
	if (!bad)
		bad = command_put_in_force(d, c, &list, err);
	classes_free(&list);
	/* Other interfaces, maybe: they have the waiting room before anybody hears of it. */
	if (!bad)
		pacing_tend(d);
	return bad;
}

int command_reload(struct daemon *d, struct config_error *err)
{
	struct config *read = malloc(sizeof(*read)), *c = malloc(sizeof(*c));
	int bad = read && c ? 0 : fail(err, -ENOMEM, "out of memory");

	if (!bad)
		bad = config_load(d->file, d->overrides, d->override_count, &d->facts, read, err);
	if (!bad)
		bad = settings_over(&d->settings, read, &d->facts, c, err);
	if (!bad)
		bad = command_config_in_force(d, c, err);
	if (!bad)
		d->settings.base = *read;
	free(read);
	free(c);
	if (bad)
		log_line("the new config is not used, the old one stays: %s", err->text);
	else
		log_line("the config was read again and is in force");
	return bad;
}

/* --- get -------------------------------------------------------------------------------------- */

/* Set by hand? Then *until_s is what is left of it; without an end, null. */
static bool is_key_set(const struct daemon *d, const struct config_key *key, json_t **until_s)
{
	uint64_t until_ns, now_ns = settings_now_ns();
	char head[128];
	bool set;

	snprintf(head, sizeof(head), "%s.%s=", key->section, key->name);
	set = settings_find(&d->settings, head, &until_ns);
	*until_s =
		until_ns == NEVER_NS
			? json_null()
			: json_real(until_ns > now_ns ? (double)(until_ns - now_ns) / NSEC_PER_SEC
						      : 0.0);
	return set;
}

static json_t *key_json(const struct daemon *d, size_t index)
{
	const struct config_key *key = config_key_at(index);
	char text[8192];
	json_t *until_s;
	bool set = is_key_set(d, key, &until_s);

	if (config_format(&d->config, index, text, sizeof(text)))
		snprintf(text, sizeof(text), "(too long to show)");
	return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:o, s:s}", "section", key->section, "key",
			 key->name, "value", text, "default", key->fallback, "given",
			 (int)(d->config.given >> index & 1), "set", (int)set, "until_s", until_s,
			 "help", key->help);
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
	for (const char *at = equals; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f) {
			fail(err, -EINVAL, "%s: a value without control characters was expected",
			     key->name);
			return NULL;
		}
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

static bool is_release(const char *setting)
{
	return !strcmp(strchr(setting, '=') + 1, "config");
}

/* Does one of these take the place of a setting? A timed one only covers what has no end. */
static bool is_replaced(const struct setting *old, char *const *fresh, size_t count,
			uint64_t until_ns)
{
	for (size_t n = 0; n < count; n++)
		if (settings_same_key(old->text, fresh[n]) &&
		    (is_release(fresh[n]) || until_ns == NEVER_NS ||
		     old->until_boot_ns != NEVER_NS))
			return true;
	return false;
}

/* The former set with the fresh ones in it. Texts are not copied. */
static int merge(const struct settings *old, char *const *fresh, size_t count, uint64_t until_ns,
		 struct settings *new, struct config_error *err)
{
	new->count = 0;
	for (size_t i = 0; i < old->count; i++)
		if (!is_replaced(&old->one[i], fresh, count, until_ns))
			new->one[new->count++] = old->one[i];
	for (size_t n = 0; n < count; n++) {
		if (is_release(fresh[n]))
			continue;
		if (new->count == CONTROL_SETTINGS)
			return fail(
				err, -E2BIG,
				"more than %d settings are kept: write them into the config and "
				"reload",
				CONTROL_SETTINGS);
		new->one[new->count++] = (struct setting){fresh[n], until_ns};
	}
	return 0;
}

static bool has_text(const struct settings *s, const char *text)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->one[i].text == text)
			return true;
	return false;
}

/* The new set takes the place of the old one; texts that are in it no more are freed. */
static void adopt(struct daemon *d, const struct settings *new)
{
	for (size_t i = 0; i < d->settings.count; i++)
		if (!has_text(new, d->settings.one[i].text))
			free(d->settings.one[i].text);
	memcpy(d->settings.one, new->one, sizeof(new->one));
	d->settings.count = new->count;
}

static int put_settings_in_force(struct daemon *d, const struct settings *s,
				 struct config_error *err)
{
	struct config *c = malloc(sizeof(*c));
	int bad = c ? 0 : fail(err, -ENOMEM, "out of memory");

	if (!bad)
		bad = settings_over(s, &d->settings.base, &d->facts, c, err);
	if (!bad)
		bad = command_config_in_force(d, c, err);
	free(c);
	return bad;
}

/* Takes ownership of the texts, also on an error. */
static int apply_settings(struct daemon *d, char **fresh, size_t count, uint64_t until_ns,
			  struct config_error *err)
{
	struct settings *new = malloc(sizeof(*new));
	int bad = new ? merge(&d->settings, fresh, count, until_ns, new, err)
		      : fail(err, -ENOMEM, "out of memory");

	if (!bad)
		bad = put_settings_in_force(d, new, err);
	if (!bad && new)
		adopt(d, new);
	for (size_t i = 0; i < count; i++) {
		if (!bad)
			log_line(is_release(fresh[i]) ? "released: %s" : "set by hand: %s",
				 fresh[i]);
		if (bad || is_release(fresh[i]))
			free(fresh[i]);
	}
	free(new);
	return bad;
}

/* A drop-in would add to a list, not replace it, and the next start would have another one. */
static int check_saved(const struct daemon *d, const char *setting, struct config_error *err)
{
	char name[128];
	int index;

	if (!d->file)
		return fail(err, -ENOENT,
			    "sluiced runs without a config file: there is nothing to save beside");
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(setting, "="), setting);
	index = config_find(name, err);
	if (index >= 0 && row_at((size_t)index)->capacity)
		return fail(err, -EINVAL,
			    "%s is a list, to which a saved value would add: write it "
			    "into %s",
			    name, d->file);
	return index < 0 ? index : 0;
}

static json_t *answer_set(struct daemon *d, json_t *texts, bool timed)
{
	int bad = settings_write(&d->settings, d->runtime);
	char *file = d->file ? realpath(d->file, NULL) : NULL, text[160];
	json_t *answer;

	if (bad && timed)
		snprintf(text, sizeof(text),
			 "in force for that time, but only until sluiced is started again: %s",
			 strerror(-bad));
	else
		snprintf(text, sizeof(text), "%s",
			 timed ? "in force for that time, also when sluiced is started again; if "
				 "it does not run at the end, until it does"
			       : "in force until sluiced is started again");
	answer = json_pack("{s:b, s:s, s:o, s:O}", "ok", 1, "message", text, "file",
			   file ? json_string(file) : json_null(), "set", texts);
	free(file);
	return answer;
}

/* Reads the request's settings. Returns how many were made, and *bad. */
static size_t read_request(struct daemon *d, const json_t *request, char **fresh, int *bad,
			   struct config_error *err)
{
	const json_t *settings = json_object_get(request, "settings");
	bool save = json_is_true(json_object_get(request, "save"));
	size_t count = json_array_size(settings), made = 0;

	*bad = 0;
	if (!count || count > CONTROL_SETTINGS)
		*bad = fail(err, -EINVAL, "settings: 1 to %d of KEY=VALUE were expected",
			    CONTROL_SETTINGS);
	while (!*bad && made < count) {
		const char *text = json_string_value(json_array_get(settings, made));

		fresh[made] = text ? full_setting(d, text, err) : NULL;
		if (!text)
			fail(err, -EINVAL, "settings: strings were expected");
		if (!fresh[made])
			*bad = -EINVAL;
		else if (save)
			*bad = check_saved(d, fresh[made], err);
		made += fresh[made] != NULL;
	}
	return made;
}

json_t *command_set(struct daemon *d, const json_t *request, struct config_error *err)
{
	char *fresh[CONTROL_SETTINGS];
	json_t *texts, *answer = NULL;
	__u64 end_ns, until_ns = NEVER_NS;
	size_t count;
	int bad;

	if (command_until(request, &end_ns, err))
		return NULL;
	if (end_ns != NEVER_NS)
		until_ns = settings_now_ns() + (end_ns - kernel_now_ns());
	count = read_request(d, request, fresh, &bad, err);
	if (bad) {
		for (size_t i = 0; i < count; i++)
			free(fresh[i]);
		return NULL;
	}
	texts = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(texts, json_string(fresh[i]));
	if (!apply_settings(d, fresh, count, until_ns, err))
		answer = answer_set(d, texts, until_ns != NEVER_NS);
	json_decref(texts);
	return answer;
}

/* Takes ownership of the text. */
static int command_set_one(struct daemon *d, char *setting, struct config_error *err)
{
	return apply_settings(d, &setting, 1, NEVER_NS, err);
}

void command_set_start(struct daemon *d, struct config *c, struct class_list *list)
{
	struct config *with = malloc(sizeof(*with));
	struct class_list other = {};
	struct config_error err = {};
	int bad;

	d->settings.base = *c;
	bad = with ? settings_read(&d->settings, d->runtime, &err) : -ENOMEM;
	if (!bad && d->settings.count) {
		bad = settings_over(&d->settings, c, &d->facts, with, &err);
		if (!bad)
			bad = classes_load(with, &other, &err);
		if (!bad) {
			*c = *with;
			classes_free(list);
			*list = other;
		} else {
			adopt(d, &(struct settings){});
		}
	}
	if (bad)
		log_line("what was set by hand for a time is let go of: %s", err.text);
	free(with);
}

/* Lets go of those that have ended, or of all. */
static int let_go(struct daemon *d, uint64_t now_ns, bool all, struct config_error *err)
{
	struct settings *left = calloc(1, sizeof(*left));
	int bad = left ? 0 : fail(err, -ENOMEM, "out of memory");

	for (size_t i = 0; !bad && i < d->settings.count && !all; i++)
		if (d->settings.one[i].until_boot_ns > now_ns)
			left->one[left->count++] = d->settings.one[i];
	if (!bad)
		bad = put_settings_in_force(d, left, err);
	if (!bad)
		adopt(d, left);
	free(left);
	return bad;
}

void command_set_tick(struct daemon *d)
{
	static bool failed_before;
	uint64_t now_ns = settings_now_ns();
	struct config_error err = {};
	bool alone = true;
	int bad;

	if (settings_next_end(&d->settings) > now_ns)
		return;
	bad = let_go(d, now_ns, false, &err);
	if (bad == -EINVAL) {
		/* The others lean on what has ended: the config as it was read stands alone. */
		alone = false;
		bad = let_go(d, now_ns, true, &err);
	}
	if (!bad)
		log_line(alone ? "what was set by hand for a time has ended"
			       : "what was set by hand for a time has ended, and the rest that was "
				 "set by hand with it: it does not hold alone");
	else if (!failed_before)
		log_line("what was set by hand cannot end, and is tried again: %s", err.text);
	if (!bad && settings_write(&d->settings, d->runtime))
		log_line("what was set by hand for a time may come back at the next start");
	failed_before = bad;
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
		bad = command_set_one(d, setting, err);
	} else {
		now = malloc(sizeof(*now));
		bad = now ? 0 : fail(err, -ENOMEM, "out of memory");
		if (!bad) {
			pthread_mutex_lock(&d->lock);
			*now = d->config;
			pthread_mutex_unlock(&d->lock);
			bad = command_config_in_force(d, now, err);
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

static json_t *prefix_json(const struct daemon *d, const struct class_entry *e, const char *text)
{
	const struct added_entry *added = added_find(&d->added, e);
	json_t *one = json_pack("{s:s, s:s, s:b}", "prefix", text, "class", class_name(e->class),
				"added", (int)!!added);

	if (added && added->until_s != ADDED_NEVER)
		json_object_set_new(one, "until_s",
				    json_real(difftime((time_t)added->until_s, time(NULL))));
	if (added && *added->comment)
		json_object_set_new(one, "comment", json_string(added->comment));
	return one;
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
		json_array_append_new(prefixes, prefix_json(d, e, text));
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
