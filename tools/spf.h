/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spf.h - the prefixes that a domain says it sends mail from: its SPF record, RFC 7208.
 *
 * A record answers whether one sender may; here it is turned into a list. What depends on the
 * sender (ptr, exists, macros) cannot be listed, and what a record excludes before it allows more
 * ("-ip4:192.0.2.1 ip4:192.0.2.0/24") is not cut out of that: both are noted. Bounds are those of
 * section 4.6.4.
 *
 * Pure but for the questions, which the caller asks. A record is text of somebody else.
 */
#ifndef SPF_H
#define SPF_H

#include <stdbool.h>
#include <stddef.h>

#define SPF_LOOKUPS   10   /* of a domain, by include, a, mx and redirect */
#define SPF_VOIDS     2	   /* of them, that may find nothing */
#define SPF_HOSTS     10   /* of one mx */
#define SPF_PREFIXES  4096 /* of a domain */
#define SPF_NOTES     20   /* of a domain, that are said */
#define SPF_WIDEST_V4 8
#define SPF_WIDEST_V6 16
#define SPF_TEXT_MOST 8192
#define SPF_NAME_MOST 254 /* with the NUL */

enum spf_question { SPF_TXT, SPF_A, SPF_AAAA, SPF_MX };

/* TXT: the record that is one of SPF. Others: addresses or names, with blanks between. */
struct spf_answer {
	size_t count; /* how many records of SPF, addresses or names there are */
	char text[SPF_TEXT_MOST];
};

struct spf {
	/*
	 * Returns 0, also when there is none, or -errno: -EAGAIN for no answer now, -E2BIG for one
	 * that does not fit, -EBADMSG for one that is none.
	 */
	int (*ask)(void *data, enum spf_question q, const char *name, struct spf_answer *a);
	/* Takes one prefix, as 192.0.2.0/24. Returns 0 or -errno, which ends the walk. */
	int (*take)(void *data, const char *prefix);
	/* Takes a sentence about what is not listed. */
	void (*note)(void *data, const char *sentence);
	void *data;
};

/* A name as DNS has them, with a dot in it and none at its end. */
bool spf_is_domain(const char *text);

/* Is a TXT record one of SPF? */
bool spf_is_record(const char *text);

/* Returns 0, or -errno with a sentence of printable ASCII that begins with a domain. */
int spf_expand(const struct spf *s, const char *domain, char *why, size_t size);

#endif
