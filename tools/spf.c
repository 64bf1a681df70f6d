// SPDX-License-Identifier: GPL-2.0-or-later
#include "spf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct walk {
	const struct spf *s;
	unsigned int lookups, voids, prefixes, notes;
	char *why;
	size_t size;
};

/* One term of a record: -include:example.org, mx/24, redirect=example.org. */
struct term {
	char text[SPF_NAME_MOST + 64];
	char qualifier; /* one of +-~? */
	const char *name;
	size_t name_length;
	const char *value; /* behind the : or =, or NULL */
	bool is_modifier;
};

static int __attribute__((format(printf, 3, 4)))
bad(struct walk *w, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(w->why, w->size, format, args);
	va_end(args);
	for (char *at = w->why; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return error;
}

/* --- words ------------------------------------------------------------------------------------ */

bool spf_is_domain(const char *text)
{
	size_t label = 0, length = strlen(text);
	bool dot = false;

	if (length >= SPF_NAME_MOST || strspn(text, "0123456789.") == length)
		return false;
	for (; *text; text++) {
		if (*text == '.') {
			if (!label || !text[1])
				return false;
			dot = true;
			label = 0;
			continue;
		}
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
			    *text) ||
		    ++label > 63)
			return false;
	}
	return dot;
}

bool spf_is_record(const char *text)
{
	return !strncasecmp(text, "v=spf1", 6) && (!text[6] || text[6] == ' ');
}

static bool is(const struct term *t, const char *name)
{
	return t->name_length == strlen(name) && !strncasecmp(t->name, name, t->name_length);
}

/* Cuts the next term off. Returns 1, 0 at the end, or -EINVAL. */
static int next_term(const char **at, struct term *t)
{
	const char *start = *at + strspn(*at, " ");
	size_t length = strcspn(start, " ");

	*at = start + length;
	if (!length)
		return 0;
	if (length >= sizeof(t->text))
		return -EINVAL;
	for (size_t i = 0; i < length; i++)
		if (start[i] < '!' || start[i] > '~')
			return -EINVAL;
	memcpy(t->text, start, length);
	t->text[length] = '\0';
	t->name = t->text + (strchr("+-~?", *t->text) != NULL);
	t->qualifier = t->name > t->text ? *t->text : '+';
	t->name_length = strcspn(t->name, ":/=");
	t->is_modifier = t->name[t->name_length] == '=';
	t->value = t->name[t->name_length] == ':' || t->is_modifier ? t->name + t->name_length + 1
								    : NULL;
	return 1;
}

/* A length behind the slash, without leading zeros. */
static bool read_length(const char *text, size_t size, unsigned int most, unsigned int *bits)
{
	if (!size || size > 3 || strspn(text, "0123456789") < size || (*text == '0' && size > 1))
		return false;
	*bits = (unsigned int)strtoul(text, NULL, 10);
	return *bits <= most;
}

/* DOMAIN/24//64 of a and mx, all of it optional. */
static bool read_spec(const struct term *t, const char *domain, char name[static SPF_NAME_MOST],
		      unsigned int *v4, unsigned int *v6)
{
	const char *at = t->value ? t->value : t->name + t->name_length;
	const char *slash = at + strcspn(at, "/"), *two = strstr(slash, "//");
	size_t length = two ? (size_t)(two - slash) : strlen(slash);

	*v4 = 32;
	*v6 = 128;
	if (t->value ? slash == at || slash - at >= SPF_NAME_MOST : slash != at)
		return false;
	snprintf(name, SPF_NAME_MOST, "%.*s", t->value ? (int)(slash - at) : SPF_NAME_MOST - 1,
		 t->value ? at : domain);
	if (length && !read_length(slash + 1, length - 1, 32, v4))
		return false;
	return !two || read_length(two + 2, strlen(two + 2), 128, v6);
}

/* --- prefixes --------------------------------------------------------------------------------- */

static int take(struct walk *w, const char *domain, const char *address, unsigned int bits)
{
	unsigned char byte[16];
	char text[INET6_ADDRSTRLEN], prefix[INET6_ADDRSTRLEN + 16];
	bool v6 = strchr(address, ':');
	size_t size = v6 ? 16 : 4;

	if (inet_pton(v6 ? AF_INET6 : AF_INET, address, byte) != 1)
		return bad(w, -EINVAL, "%s: its SPF record has '%.48s', which is no address",
			   domain, address);
	if (bits < (v6 ? SPF_WIDEST_V6 : SPF_WIDEST_V4))
		return bad(w, -EINVAL,
			   "%s: its SPF record allows %.48s/%u, which is wider than any sender",
			   domain, address, bits);
	for (size_t i = 0; i < size; i++) {
		size_t kept = bits > i * 8 ? bits - i * 8 : 0;

		if (kept < 8)
			byte[i] &= (unsigned char)(0xff00 >> kept);
	}
	if (w->prefixes++ == SPF_PREFIXES)
		return bad(w, -E2BIG, "%s: its SPF records have more than %d prefixes", domain,
			   SPF_PREFIXES);
	inet_ntop(v6 ? AF_INET6 : AF_INET, byte, text, sizeof(text));
	snprintf(prefix, sizeof(prefix), "%s/%u", text, bits);
	return w->s->take(w->s->data, prefix);
}

static int take_literal(struct walk *w, const char *domain, const struct term *t, bool v6)
{
	const char *slash = t->value ? strchr(t->value, '/') : NULL;
	unsigned int most = v6 ? 128 : 32, bits = most;
	char address[INET6_ADDRSTRLEN];

	if (!t->value || strlen(t->value) >= sizeof(address) + 4 || !strchr(t->value, ':') == v6 ||
	    (slash && !read_length(slash + 1, strlen(slash + 1), most, &bits)))
		return bad(w, -EINVAL, "%s: its SPF record has '%.80s', which is no prefix", domain,
			   t->text);
	snprintf(address, sizeof(address), "%.*s",
		 slash ? (int)(slash - t->value) : (int)sizeof(address) - 1, t->value);
	return take(w, domain, address, bits);
}

/* --- questions -------------------------------------------------------------------------------- */

/* A name of a record may end with a dot (RFC 7208, section 7.1); it is asked for without. */
static bool without_dot(const char *name, char bare[static SPF_NAME_MOST])
{
	size_t length = strlen(name);

	if (length && name[length - 1] == '.')
		length--;
	if (length >= SPF_NAME_MOST)
		return false;
	snprintf(bare, SPF_NAME_MOST, "%.*s", (int)length, name);
	return spf_is_domain(bare);
}

static int ask(struct walk *w, enum spf_question q, const char *name, struct spf_answer *a)
{
	char bare[SPF_NAME_MOST];
	int error;

	if (!without_dot(name, bare))
		return bad(w, -EINVAL, "'%.80s', which an SPF record names, is no domain", name);
	a->count = 0;
	a->text[0] = '\0';
	error = w->s->ask(w->s->data, q, bare, a);
	if (error == -E2BIG)
		return bad(w, error, "%s: its DNS answer has more than can be taken", bare);
	if (error == -EBADMSG)
		return bad(w, error, "%s: its DNS answer is not understood", bare);
	if (error)
		return bad(w, error, "%s: the name servers do not answer", bare);
	return 0;
}

/* Counts a term that has to ask. */
static int count_lookup(struct walk *w, const char *domain)
{
	if (w->lookups++ < SPF_LOOKUPS)
		return 0;
	return bad(w, -E2BIG, "%s: its SPF record needs more than %d look-ups", domain,
		   SPF_LOOKUPS);
}

static int count_void(struct walk *w, const char *name)
{
	if (w->voids++ < SPF_VOIDS)
		return 0;
	return bad(w, -ENOENT, "%s: of the names in the SPF record more than %d are of nothing",
		   name, SPF_VOIDS);
}

static int take_answer(struct walk *w, const char *domain, struct spf_answer *a, unsigned int bits)
{
	char *save, *word;
	int error = 0;

	for (word = strtok_r(a->text, " ", &save); word && !error;
	     word = strtok_r(NULL, " ", &save))
		error = take(w, domain, word, bits);
	return error;
}

/* Both kinds of addresses of a host. */
static int take_host(struct walk *w, const char *name, unsigned int v4, unsigned int v6,
		     bool may_be_void)
{
	struct spf_answer *a = calloc(1, sizeof(*a));
	size_t count = 0;
	int error = a ? 0 : -ENOMEM;

	if (!error)
		error = ask(w, SPF_A, name, a);
	if (!error) {
		count += a->count;
		error = take_answer(w, name, a, v4);
	}
	if (!error)
		error = ask(w, SPF_AAAA, name, a);
	if (!error) {
		count += a->count;
		error = take_answer(w, name, a, v6);
	}
	if (!error && !count && !may_be_void)
		error = count_void(w, name);
	free(a);
	return error;
}

static int take_mx(struct walk *w, const char *name, unsigned int v4, unsigned int v6)
{
	struct spf_answer *a = calloc(1, sizeof(*a));
	int error = a ? ask(w, SPF_MX, name, a) : -ENOMEM;
	char *save, *word;

	if (!error && a->count > SPF_HOSTS)
		error = bad(w, -E2BIG, "%s: it has more than %d mail exchangers", name, SPF_HOSTS);
	if (!error && !a->count)
		error = count_void(w, name);
	for (word = error ? NULL : strtok_r(a->text, " ", &save); word && !error;
	     word = strtok_r(NULL, " ", &save))
		error = take_host(w, word, v4, v6, true);
	free(a);
	return error;
}

/* --- records ---------------------------------------------------------------------------------- */

static int walk_record(struct walk *w, const char *domain);

static void note(struct walk *w, const char *domain, const struct term *t, const char *what)
{
	char text[SPF_NAME_MOST + sizeof(t->text) + 128];

	if (w->notes > SPF_NOTES)
		return;
	if (w->notes++ == SPF_NOTES) {
		snprintf(text, sizeof(text), "%s: and more like this", domain);
		w->s->note(w->s->data, text);
		return;
	}
	snprintf(text, sizeof(text), "%s: '%s' %s", domain, t->text, what);
	w->s->note(w->s->data, text);
}

static int take_named(struct walk *w, const char *domain, const struct term *t)
{
	char name[SPF_NAME_MOST];
	unsigned int v4, v6;
	int error = count_lookup(w, domain);

	if (error)
		return error;
	if (is(t, "include"))
		return t->value ? walk_record(w, t->value)
				: bad(w, -EINVAL, "%s: its SPF record has 'include' without a name",
				      domain);
	if (!read_spec(t, domain, name, &v4, &v6))
		return bad(w, -EINVAL, "%s: its SPF record has '%.80s', which is not understood",
			   domain, t->text);
	return is(t, "mx") ? take_mx(w, name, v4, v6) : take_host(w, name, v4, v6, false);
}

/* Takes a mechanism. Returns 0, 1 for `all`, which ends the record, or -errno. */
static int take_mechanism(struct walk *w, const char *domain, const struct term *t)
{
	static const char *const names[] = {"all", "include", "a",   "mx",
					    "ptr", "exists",  "ip4", "ip6"};
	bool known = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		known |= is(t, names[i]);
	if (!known)
		return bad(w, -EINVAL, "%s: its SPF record has '%.80s', which is not understood",
			   domain, t->text);
	if (is(t, "all") && t->qualifier == '+')
		return bad(w, -EINVAL, "%s: its SPF record allows everybody", domain);
	if (is(t, "all"))
		return 1;
	if (t->qualifier != '+') {
		note(w, domain, t, "is not cut out of what stands behind it");
		return 0;
	}
	if (is(t, "ptr") || is(t, "exists") || strchr(t->text, '%')) {
		note(w, domain, t, "depends on the sender, and is left out");
		return 0;
	}
	if (is(t, "ip4") || is(t, "ip6"))
		return take_literal(w, domain, t, is(t, "ip6"));
	return take_named(w, domain, t);
}

/* Where the record goes on, unless `all` ends it: once at most (section 6). */
static int take_redirect(struct walk *w, const char *domain, const struct term *t,
			 char redirect[static sizeof(t->text)])
{
	if (*redirect || !*t->value)
		return bad(w, -EINVAL, "%s: its SPF record has '%.80s', which is not understood",
			   domain, t->text);
	snprintf(redirect, sizeof(t->text), "%s", t->value);
	return 0;
}

static int walk_terms(struct walk *w, const char *domain, const char *text)
{
	char redirect[sizeof(((struct term *)0)->text)] = "";
	struct term t;
	int got, done = 0;

	while (!done && (got = next_term(&text, &t))) {
		if (got < 0)
			return bad(w, -EINVAL, "%s: its SPF record is not understood", domain);
		if (t.is_modifier && is(&t, "redirect"))
			done = take_redirect(w, domain, &t, redirect);
		else if (!t.is_modifier)
			done = take_mechanism(w, domain, &t);
	}
	if (done < 0)
		return done;
	if (done || !*redirect)
		return 0;
	if (strchr(redirect, '%')) {
		snprintf(t.text, sizeof(t.text), "redirect=%.256s", redirect);
		note(w, domain, &t, "depends on the sender, and is left out");
		return 0;
	}
	done = count_lookup(w, domain);
	return done ? done : walk_record(w, redirect);
}

/* Ends: each record within a record costs a look-up. */
static int walk_record(struct walk *w, const char *domain)
{
	struct spf_answer *a = calloc(1, sizeof(*a));
	int error = a ? ask(w, SPF_TXT, domain, a) : -ENOMEM;

	if (!error && a->count > 1)
		error = bad(w, -EINVAL, "%s: it has more than one SPF record", domain);
	else if (!error && (!a->count || !spf_is_record(a->text)))
		error = bad(w, -ENOENT, "%s: it has no SPF record", domain);
	if (!error)
		error = walk_terms(w, domain, a->text + strlen("v=spf1"));
	free(a);
	return error;
}

int spf_expand(const struct spf *s, const char *domain, char *why, size_t size)
{
	struct walk w = {.s = s, .why = why, .size = size};

	snprintf(why, size, "out of memory");
	return walk_record(&w, domain);
}
