// SPDX-License-Identifier: GPL-2.0-or-later
#include "sockets.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_sessions.h"
#include "log.h"
#include "netlink.h"
#include "sessions.h"

/* States of include/net/tcp_states.h. */
#define LIVE_STATES (1U << 1 | 1U << 8) /* ESTABLISHED, CLOSE_WAIT */
#define LISTENING   (1U << 10)

/* Bound of what is compared; the kernel's table of sessions holds half of it. */
#define SOCKETS_MAX 131072

#define TOTAL_TRIES 4

/* A session that began so shortly before the list was made may not be in it. */
#define SETTLED_NS NSEC_PER_SEC

/* Keys of what differed at a check; what differs at the next one too is put right. */
struct suspects {
	uint64_t *key;
	size_t count;
};

static struct suspects missing, gone, counts;
static bool seeded;
/* The check after a seeding: of what was too fresh to be missed then, no event was missed. */
static bool settling;
static uint64_t due_ns;

/* What the last check took for guarded. */
static struct {
	uint8_t port_bits[sizeof(((struct policy *)0)->port_bits)];
	union addr address[MAX_ADDRESSES];
	uint32_t addresses;
} scope;

struct socket {
	uint64_t key;
	struct attempt attempt;
};

struct dump {
	const struct policy *policy;
	const struct kernel *kernel;
	struct socket *socket; /* live ones */
	size_t count, room;
	struct sessions_view *view; /* listening ones */
	int bad;
};

/* --- the kernel's list ------------------------------------------------------------------------ */

static bool port_guarded(const struct policy *p, uint16_t port)
{
	uint16_t host = ntohs(port);

	return p->port_bits[host / 8] >> host % 8 & 1;
}

static bool address_guarded(const struct policy *p, const union addr *a)
{
	for (uint32_t i = 0; i < p->addresses && i < MAX_ADDRESSES; i++)
		if (!memcmp(&p->address[i], a, sizeof(*a)))
			return true;
	return !p->addresses;
}

static void take_address(union addr *a, uint8_t family, const __be32 words[4])
{
	if (family == AF_INET6) {
		memcpy(a, words, sizeof(*a));
		return;
	}
	*a = (union addr){.word = {0, 0, V4_MAPPED_WORD, words[0]}};
}

static void take_socket(struct dump *d, const struct inet_diag_msg *m)
{
	struct attempt a = {.source_port = m->id.idiag_dport, .dest_port = m->id.idiag_sport};
	struct socket *more;

	take_address(&a.source, m->idiag_family, m->id.idiag_dst);
	take_address(&a.dest, m->idiag_family, m->id.idiag_src);
	if (!address_guarded(d->policy, &a.dest))
		return;
	a.family = !a.source.half[0] && a.source.word[2] == V4_MAPPED_WORD ? FAMILY_V4 : FAMILY_V6;
	if (d->count == d->room) {
		size_t room = d->room ? 2 * d->room : 1024;

		more = room <= SOCKETS_MAX ? realloc(d->socket, room * sizeof(*more)) : NULL;
		if (!more) {
			d->bad = room <= SOCKETS_MAX ? -ENOMEM : -E2BIG;
			return;
		}
		d->socket = more;
		d->room = room;
	}
	d->socket[d->count++] =
		(struct socket){.key = kernel_session_key(d->kernel, &a), .attempt = a};
}

/* Of several the fullest is shown. */
static void take_listener(struct sessions_view *v, const struct inet_diag_msg *m)
{
	v->listeners++;
	if (v->listeners == 1 || (uint64_t)m->idiag_rqueue * (v->most + 1ULL) >
					 (uint64_t)v->waiting * (m->idiag_wqueue + 1ULL)) {
		v->waiting = m->idiag_rqueue;
		v->most = m->idiag_wqueue;
	}
}

static int on_socket(const struct nlmsghdr *h, void *data)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(h);
	struct dump *d = data;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(*m) ||
	    !port_guarded(d->policy, m->id.idiag_sport))
		return MNL_CB_OK;
	if (d->view)
		take_listener(d->view, m);
	else
		take_socket(d, m);
	return MNL_CB_OK;
}

static int dump_family(struct mnl_socket *s, struct dump *d, uint8_t family, uint32_t states)
{
	char buffer[NETLINK_REQUEST_BYTES];
	struct inet_diag_req_v2 *ask;
	struct nlmsghdr *h;

	h = netlink_start(buffer, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sizeof(*ask), (void **)&ask);
	ask->sdiag_family = family;
	ask->sdiag_protocol = IPPROTO_TCP;
	ask->idiag_states = states;
	return netlink_ask(s, h, on_socket, d);
}

/* Without IPv6 in the kernel its half of the list is empty. */
static int dump(struct dump *d, uint32_t states)
{
	struct mnl_socket *s = netlink_open(NETLINK_SOCK_DIAG);
	int bad;

	if (!s)
		return -errno;
	bad = dump_family(s, d, AF_INET, states);
	if (!bad) {
		bad = dump_family(s, d, AF_INET6, states);
		if (bad == -ENOENT || bad == -EAFNOSUPPORT)
			bad = 0;
	}
	mnl_socket_close(s);
	return bad ? bad : d->bad;
}

/* Keeps the sentence, and says it once. what: the list that cannot be read. */
static void note_problem(char *problem, size_t size, const char *what, int bad)
{
	char text[128] = "";

	if (bad == -E2BIG)
		snprintf(text, sizeof(text),
			 "there are more than %d live sockets: their sessions are not checked",
			 SOCKETS_MAX);
	else if (bad)
		snprintf(text, sizeof(text), "the kernel's list of %s cannot be read: %s", what,
			 strerror(-bad));
	if (bad && strcmp(problem, text))
		log_line("%s", text);
	snprintf(problem, size, "%s", text);
}

void sockets_look(struct kernel *k, const struct policy *p, struct sessions_view *v)
{
	struct sessions_view now = {};
	struct dump d = {.policy = p, .kernel = k, .view = &now};
	int bad = dump(&d, LISTENING);

	note_problem(v->queue_problem, sizeof(v->queue_problem), "listeners", bad);
	if (bad)
		return;
	v->listeners = now.listeners;
	v->waiting = now.waiting;
	v->most = now.most;
	v->seen = true;
}

/* --- the comparison --------------------------------------------------------------------------- */

static int by_key(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Both lists begin with the key in each entry. */
static bool listed(uint64_t key, const void *list, size_t count, size_t size)
{
	return count && bsearch(&key, list, count, size, by_key);
}

static bool suspected(const struct suspects *s, uint64_t key)
{
	return listed(key, s->key, s->count, sizeof(*s->key));
}

static void suspect(struct suspects *s, uint64_t key, size_t most)
{
	if (!s->key)
		s->key = malloc(most * sizeof(*s->key));
	if (s->key && s->count < most)
		s->key[s->count++] = key;
}

/* The suspects of this check take the place of the former ones. */
static void replace(struct suspects *old, struct suspects *now)
{
	free(old->key);
	*old = *now;
	if (old->count)
		qsort(old->key, old->count, sizeof(*old->key), by_key);
}

/* Returns whether it is right now. */
static bool fix(struct kernel *k, struct sessions_view *v, const struct session_fix *f)
{
	if (!kernel_session_fix(k, f)) {
		v->healed += seeded && !settling;
		return true;
	}
	v->uncounted += f->what == SESSION_FIX_BEGIN;
	return false;
}

/* Returns whether the table has been changed, so that the list of it is an old one. */
static bool compare_sessions(struct kernel *k, struct sessions_view *v, const struct dump *d,
			     const struct kernel_session *list, size_t count, uint64_t dumped_ns)
{
	struct suspects now_missing = {}, now_gone = {};
	bool changed = false;

	for (size_t i = 0; i < d->count; i++) {
		const struct socket *s = &d->socket[i];

		if (listed(s->key, list, count, sizeof(*list)))
			continue;
		/* What finds no room stays one: it is tried, and told of, at each check. */
		if ((!seeded || suspected(&missing, s->key)) &&
		    fix(k, v,
			&(struct session_fix){.what = SESSION_FIX_BEGIN, .attempt = s->attempt}))
			changed = true;
		else
			suspect(&now_missing, s->key, d->count);
	}
	for (size_t i = 0; i < count; i++) {
		const struct kernel_session *s = &list[i];

		if (s->session.begun_ns + SETTLED_NS > dumped_ns ||
		    listed(s->key, d->socket, d->count, sizeof(*d->socket)))
			continue;
		if (seeded && !settling && !suspected(&gone, s->key))
			suspect(&now_gone, s->key, count);
		else if (fix(k, v,
			     &(struct session_fix){.what = SESSION_FIX_END, .fingerprint = s->key}))
			changed = true;
	}
	replace(&missing, &now_missing);
	replace(&gone, &now_gone);
	return changed;
}

static int by_source(const void *a, const void *b)
{
	const struct kernel_session *x = a, *y = b;

	return memcmp(&x->session.source, &y->session.source, sizeof(x->session.source));
}

/* How many sessions of a list that is sorted by source are of this one. */
static uint64_t sessions_of(const struct kernel_session *list, size_t count,
			    const struct prefix_key *source)
{
	size_t low = 0, high = count, n = 0;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (memcmp(&list[middle].session.source, source, sizeof(*source)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < count && !memcmp(&list[low + n].session.source, source, sizeof(*source)))
		n++;
	return n;
}

/* A number that stands for a source among the suspects; a clash costs one needless look. */
static uint64_t source_key(const struct prefix_key *k)
{
	return k->addr.half[0] * 0x9e3779b97f4a7c15ULL ^ k->addr.half[1] ^ k->bits;
}

static void compare_holders(struct kernel *k, const struct policy *p, struct sessions_view *v,
			    const struct kernel_session *list, size_t count)
{
	struct kernel_holder *holder = NULL;
	struct suspects now = {};
	int holders = kernel_holders_list(k, &holder);
	uint64_t now_ns = kernel_now_ns();

	v->holders = v->dry = 0;
	for (int i = 0; i < holders; i++) {
		struct kernel_holder *h = &holder[i];
		uint64_t has = sessions_of(list, count, &h->key), key = source_key(&h->key);
		uint64_t debt_ns;

		/* With what its open sessions cost since somebody looked; on our copy. */
		debt_ns = holder_debt_ns(&h->holder, &p->sessions, now_ns);
		v->holders += h->holder.sessions || debt_ns;
		v->dry += p->sessions.slot_cost && debt_ns > p->sessions.slot_tau_ns;
		if (h->holder.sessions == has)
			continue;
		if (suspected(&counts, key))
			fix(k, v,
			    &(struct session_fix){
				    .what = SESSION_FIX_HOLDER, .source = h->key, .count = has});
		else
			suspect(&now, key, (size_t)holders);
	}
	free(holder);
	replace(&counts, &now);
}

/*
 * The total is the number of entries. Only a look during which nothing began or ended can tell; on
 * a busy machine there is one among a few.
 */
static void compare_total(struct kernel *k, struct sessions_view *v)
{
	for (int i = 0; i < TOTAL_TRIES; i++) {
		uint64_t changes = kernel_sessions_changes(k);
		int64_t live = kernel_sessions_live(k);
		struct kernel_session *list = NULL;
		int count = kernel_sessions_list(k, &list);

		free(list);
		if (count < 0)
			return;
		if (changes != kernel_sessions_changes(k))
			continue;
		if (live != count) {
			kernel_sessions_adjust(k, count - live);
			v->healed++;
		}
		return;
	}
}

static bool scope_differs(const struct policy *p)
{
	return memcmp(scope.port_bits, p->port_bits, sizeof(scope.port_bits)) ||
	       scope.addresses != p->addresses ||
	       memcmp(scope.address, p->address, sizeof(scope.address));
}

bool sockets_check_is_due(const struct policy *p, uint64_t now_ns)
{
	return now_ns >= due_ns || scope_differs(p);
}

/* Says what has been put right, and when sessions have begun to find no room. */
static void say(const struct kernel *k, struct sessions_view *v, uint64_t healed_before,
		uint32_t uncounted_before)
{
	if (v->healed != healed_before)
		log_line("%llu counts of sessions were put right by the kernel's list",
			 (unsigned long long)(v->healed - healed_before));
	if (!v->uncounted)
		return;
	snprintf(v->session_problem, sizeof(v->session_problem),
		 "the table of sessions is full: it has room for %u, and %u live ones are not "
		 "counted",
		 kernel_sessions_most(k), v->uncounted);
	if (!uncounted_before)
		log_line("%s", v->session_problem);
}

/* Other ports or addresses: what was counted or not until now says nothing of missed events. */
static void follow_scope(const struct policy *p)
{
	struct suspects none = {};

	if (!scope_differs(p))
		return;
	seeded = false;
	replace(&counts, &none);
	memcpy(scope.port_bits, p->port_bits, sizeof(scope.port_bits));
	memcpy(scope.address, p->address, sizeof(scope.address));
	scope.addresses = p->addresses;
}

/* Compares all with the kernel's list, and with that of the table, which is sorted anew. */
static void compare(struct kernel *k, const struct policy *p, struct sessions_view *v,
		    struct dump *d, struct kernel_session **list, int count, uint64_t dumped_ns)
{
	if (d->count)
		qsort(d->socket, d->count, sizeof(*d->socket), by_key);
	qsort(*list, (size_t)count, sizeof(**list), by_key);
	v->sockets = (uint32_t)d->count;
	v->uncounted = 0;
	if (compare_sessions(k, v, d, *list, (size_t)count, dumped_ns)) {
		free(*list);
		*list = NULL;
		count = kernel_sessions_list(k, list);
	}
	compare_total(k, v);
	if (count >= 0) {
		qsort(*list, (size_t)count, sizeof(**list), by_source);
		compare_holders(k, p, v, *list, (size_t)count);
	}
	settling = !seeded;
	seeded = true;
	if (settling)
		due_ns = dumped_ns + SETTLED_NS;
}

void sockets_check(struct kernel *k, const struct policy *p, struct sessions_view *v)
{
	struct dump d = {.policy = p, .kernel = k};
	struct kernel_session *list = NULL;
	uint64_t dumped_ns = kernel_now_ns(), healed = v->healed;
	uint32_t uncounted = v->uncounted;
	int count, bad;

	due_ns = dumped_ns + SOCKETS_CHECK_NS - NSEC_PER_SEC / 2; /* ticks jitter */
	if (!kernel_watch(k)->counting)
		return;
	follow_scope(p);
	bad = dump(&d, LIVE_STATES);
	count = bad ? bad : kernel_sessions_list(k, &list);
	note_problem(v->session_problem, sizeof(v->session_problem), "sockets",
		     count < 0 ? count : 0);
	if (count >= 0 && list) {
		compare(k, p, v, &d, &list, count, dumped_ns);
		say(k, v, healed, uncounted);
	}
	free(d.socket);
	free(list);
}
