// SPDX-License-Identifier: GPL-2.0-or-later
#include "spf_dns.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MOST 65535
#define TRIES	    2
#define TRY_S	    4

static const ns_type types[] = {
	[SPF_TXT] = ns_t_txt, [SPF_A] = ns_t_a, [SPF_AAAA] = ns_t_aaaa, [SPF_MX] = ns_t_mx};

/* Appends a word. */
static int add(struct spf_answer *a, const char *word)
{
	size_t used = strlen(a->text);
	int n = snprintf(a->text + used, sizeof(a->text) - used, "%s%s", used ? " " : "", word);

	a->count++;
	return n < (int)(sizeof(a->text) - used) ? 0 : -E2BIG;
}

/* The strings of a TXT record follow each other, a byte of length before each. */
static int add_text(struct spf_answer *a, const unsigned char *at, size_t size)
{
	char text[SPF_TEXT_MOST];
	size_t used = 0, length;

	for (; size; at += length, size -= length) {
		length = *at++;
		size--;
		if (length > size)
			return -EBADMSG;
		if (used + length >= sizeof(text))
			return -E2BIG;
		memcpy(text + used, at, length);
		used += length;
	}
	text[used] = '\0';
	if (!spf_is_record(text))
		return 0;
	if (strlen(text) != used)
		return -EBADMSG; /* a NUL in it */
	return a->count ? (a->count++, 0) : add(a, text);
}

static int add_host(struct spf_answer *a, const ns_msg *m, const ns_rr *rr)
{
	char name[NS_MAXDNAME];

	if (ns_rr_rdlen(*rr) < 3 ||
	    ns_name_uncompress(ns_msg_base(*m), ns_msg_end(*m), ns_rr_rdata(*rr) + 2, name,
			       sizeof(name)) < 0)
		return -EBADMSG;
	/* A single dot: it takes no mail (RFC 7505). */
	return *name && strcmp(name, ".") ? add(a, name) : 0;
}

static int add_address(struct spf_answer *a, const ns_rr *rr, int family, size_t size)
{
	char text[INET6_ADDRSTRLEN];

	if (ns_rr_rdlen(*rr) != size || !inet_ntop(family, ns_rr_rdata(*rr), text, sizeof(text)))
		return -EBADMSG;
	return add(a, text);
}

static int take(struct spf_answer *a, enum spf_question q, const unsigned char *bytes, int size)
{
	ns_msg m;
	ns_rr rr;
	int bad = 0;

	if (ns_initparse(bytes, size, &m))
		return -EBADMSG;
	/* A CNAME stands before what it leads to: the name of a record is not compared. */
	for (int i = 0; !bad && i < ns_msg_count(m, ns_s_an); i++) {
		if (ns_parserr(&m, ns_s_an, i, &rr))
			return -EBADMSG;
		if (ns_rr_type(rr) != types[q])
			continue;
		bad = q == SPF_TXT  ? add_text(a, ns_rr_rdata(rr), ns_rr_rdlen(rr))
		      : q == SPF_MX ? add_host(a, &m, &rr)
		      : q == SPF_A  ? add_address(a, &rr, AF_INET, 4)
				    : add_address(a, &rr, AF_INET6, 16);
	}
	return bad;
}

int spf_dns_ask(void *data, enum spf_question q, const char *name, struct spf_answer *a)
{
	static unsigned char bytes[ANSWER_MOST];
	struct __res_state state = {0};
	char whole[SPF_NAME_MOST + 1];
	int size, failed;

	(void)data;
	if (res_ninit(&state))
		return -EIO;
	state.retrans = TRY_S;
	state.retry = TRIES;
	/* The dot: no search through the domains of resolv.conf. */
	snprintf(whole, sizeof(whole), "%s.", name);
	size = res_nquery(&state, whole, ns_c_in, types[q], bytes, sizeof(bytes));
	failed = state.res_h_errno;
	res_nclose(&state);
	if (size >= 0)
		return take(a, q, bytes, size < ANSWER_MOST ? size : ANSWER_MOST);
	return failed == HOST_NOT_FOUND || failed == NO_DATA ? 0
	       : failed == TRY_AGAIN			     ? -EAGAIN
							     : -EIO;
}
