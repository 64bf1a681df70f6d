// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * command.c - what the control socket can be asked, and the answers. control.h has their shapes.
 */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "command.h"
#include "daemon.h"
#include "log.h"

#define FOR_MOST_S (366.0 * 86400)

json_t *answer_ok(const char *sentence)
{
	return json_pack("{s:b, s:s}", "ok", 1, "message", sentence);
}

static json_t *answer_error(const struct config_error *err)
{
	return json_pack("{s:b, s:s}", "ok", 0, "error", err->text);
}

int command_until(const json_t *request, __u64 *until_ns, struct config_error *err)
{
	const json_t *for_s = json_object_get(request, "for_s");
	double seconds;

	*until_ns = NEVER_NS;
	if (!for_s)
		return 0;
	seconds = json_number_value(for_s);
	if (!json_is_number(for_s) || !isfinite(seconds) || seconds < 1 || seconds > FOR_MOST_S)
		return fail(err, -EINVAL, "for_s: a number of seconds from 1 to %.0f was expected",
			    FOR_MOST_S);
	*until_ns = kernel_now_ns() + (uint64_t)(seconds * NSEC_PER_SEC);
	return 0;
}

/* Puts changed overrides in force, or the former ones back. The caller holds the lock. */
static int apply_overrides(struct daemon *d, struct override mode, struct override tier,
			   struct config_error *err)
{
	struct override mode_before = d->mode_override, tier_before = d->tier_override;
	int bad;

	d->mode_override = mode;
	d->tier_override = tier;
	bad = controller_apply(d);
	if (!bad) {
		eventfd_write(d->changed_fd, 1);
		return 0;
	}
	d->mode_override = mode_before;
	d->tier_override = tier_before;
	return fail(err, bad, "the kernel did not take the change: %s", strerror(-bad));
}

static json_t *command_mode(struct daemon *d, const json_t *request, struct config_error *err)
{
	const char *name = json_string_value(json_object_get(request, "mode"));
	struct override o = {};
	char text[128];

	if (command_until(request, &o.until_ns, err))
		return NULL;
	if (name && !strcmp(name, "off"))
		o.value = MODE_OFF;
	else if (name && !strcmp(name, "monitor"))
		o.value = MODE_MONITOR;
	else if (name && !strcmp(name, "enforce"))
		o.value = MODE_ENFORCE;
	else if (name && !strcmp(name, "config"))
		o.until_ns = 0;
	else {
		fail(err, -EINVAL, "mode: monitor, enforce, off or config was expected");
		return NULL;
	}
	if (apply_overrides(d, o, d->tier_override, err))
		return NULL;
	if (o.until_ns)
		snprintf(text, sizeof(text), "mode %s by hand", name);
	else
		snprintf(text, sizeof(text), "mode released: the config's is in force");
	log_line("%s", text);
	return answer_ok(text);
}

/* "delay,queue" into a set. Returns 0 or -EINVAL. */
static int parse_tiers(const char *text, uint32_t *set)
{
	char copy[64], *save, *word;

	*set = 0;
	if (!strcmp(text, "normal"))
		return 0;
	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy) || !*copy)
		return -EINVAL;
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (!strcmp(word, "delay"))
			*set |= TIER_DELAY;
		else if (!strcmp(word, "queue"))
			*set |= TIER_QUEUE;
		else if (!strcmp(word, "refuse"))
			*set |= TIER_REFUSE;
		else
			return -EINVAL;
	}
	return *set ? 0 : -EINVAL;
}

static json_t *command_tier(struct daemon *d, const json_t *request, struct config_error *err)
{
	const char *name = json_string_value(json_object_get(request, "tier"));
	struct override o = {};
	char text[128];

	if (command_until(request, &o.until_ns, err))
		return NULL;
	if (name && !strcmp(name, "auto")) {
		o.until_ns = 0;
	} else if (!name || parse_tiers(name, &o.value)) {
		fail(err, -EINVAL,
		     "tier: auto, normal, or some of delay,queue,refuse with commas was expected");
		return NULL;
	}
	if (apply_overrides(d, d->mode_override, o, err))
		return NULL;
	if (o.until_ns)
		snprintf(text, sizeof(text), "tier %s by hand", name);
	else
		snprintf(text, sizeof(text), "tier released: the load decides");
	log_line("%s", text);
	return answer_ok(text);
}

static json_t *command_detach(struct daemon *d, const json_t *request, struct config_error *err)
{
	(void)request;
	(void)err;
	kernel_detach(d->kernel);
	d->stopping = true;
	d->detached = true;
	log_line("detached by hand: traffic passes unlimited");
	return answer_ok("the filter is taken away and traffic passes unlimited; sluiced ends");
}

/* --- dispatch --------------------------------------------------------------------------------- */

static json_t *locked(struct daemon *d, const json_t *request, struct config_error *err,
		      json_t *(*run)(struct daemon *, const json_t *, struct config_error *))
{
	json_t *answer;

	pthread_mutex_lock(&d->lock);
	answer = run(d, request, err);
	pthread_mutex_unlock(&d->lock);
	return answer;
}

static json_t *dispatch(struct daemon *d, const json_t *request, struct config_error *err)
{
	const char *name = json_string_value(json_object_get(request, "command"));

	if (!name)
		fail(err, -EINVAL, "an object with a string \"command\" was expected");
	else if (!strcmp(name, "status"))
		return locked(d, request, err, command_status);
	else if (!strcmp(name, "mode"))
		return locked(d, request, err, command_mode);
	else if (!strcmp(name, "tier"))
		return locked(d, request, err, command_tier);
	else if (!strcmp(name, "get"))
		return locked(d, request, err, command_get);
	else if (!strcmp(name, "set"))
		return command_set(d, request, err);
	else if (!strcmp(name, "class-list"))
		return locked(d, request, err, command_class_list);
	else if (!strcmp(name, "class-add"))
		return command_class_add(d, request, err);
	else if (!strcmp(name, "class-del"))
		return command_class_del(d, request, err);
	else if (!strcmp(name, "class-load"))
		return command_class_load(d, request, err);
	else if (!strncmp(name, "known-", strlen("known-")))
		return command_known(d, name, request, err);
	else if (!strcmp(name, "events"))
		return command_events(d, request, err);
	else if (!strcmp(name, "top"))
		return command_top(d, request, err);
	else if (!strcmp(name, "suggest"))
		return command_suggest(d, request, err);
	else if (!strcmp(name, "explain"))
		return command_explain(d, request, err);
	else if (!strcmp(name, "sources"))
		return locked(d, request, err, command_sources);
	else if (!strcmp(name, "reload"))
		return command_reload(d, err) ? NULL
		       : d->settings.count
			       ? answer_ok("the config is in force, but for what was set by hand: "
					   "'sluice get' marks it")
			       : answer_ok("the config is in force");
	else if (!strcmp(name, "detach")) {
		return locked(d, request, err, command_detach);
	} else
		fail(err, -EINVAL, "the command '%.64s' is not known", name);
	return NULL;
}

char *command_answer(struct daemon *d, const char *text, size_t size)
{
	struct config_error err = {};
	json_error_t why;
	json_t *request = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
	json_t *answer = NULL;
	char *out;

	if (!request)
		/* Without the text that jansson quotes: it is whatever somebody has sent. */
		fail(&err, -EINVAL, "the request is not a JSON object (line %d, column %d)",
		     why.line, why.column);
	else
		answer = dispatch(d, request, &err);
	json_decref(request);
	if (!answer)
		answer = answer_error(&err);
	else if (!json_object_get(answer, "shape"))
		json_object_set_new(answer, "shape", json_integer(1));
	out = answer ? json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	json_decref(answer);
	return out;
}
