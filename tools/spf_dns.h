/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spf_dns.h - the questions of spf.h, asked with the resolver of the system.
 */
#ifndef SPF_DNS_H
#define SPF_DNS_H

#include "spf.h"

/* As the `ask` of struct spf. A question takes 8 s for each name server at most. */
int spf_dns_ask(void *data, enum spf_question q, const char *name, struct spf_answer *a);

#endif
