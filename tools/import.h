/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * import.h - what an MTA's configuration says about connections, in Sluice's words.
 *
 * A parser for each format reads text that is already in memory and adds rows: settings with where
 * they came from, proposals, and remarks about what has no counterpart or was not understood. No
 * row is made of a value that was not understood whole. Only import.c does I/O.
 */
#ifndef IMPORT_H
#define IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define IMPORT_FILE_MAX	    (4U << 20) /* bytes */
#define IMPORT_LINE_MAX	    32768      /* bytes of one line */
#define IMPORT_ROWS_MAX	    1000       /* what comes beyond is counted */
#define IMPORT_NUMBER_MAX   1000000000U
#define IMPORT_SESSIONS_MAX 65536 /* that max-sessions and its like take */

enum import_section { IMPORT_GATE, IMPORT_LIMITS, IMPORT_LOAD, IMPORT_CLASSES, IMPORT_REMARKS };

enum import_kind {
	IMPORT_SET,	/* key = value */
	IMPORT_PROPOSE, /* the same as a comment: a default, or it needs a file first */
	IMPORT_SAY,	/* no key, only words */
};

struct import_row {
	enum import_section section;
	enum import_kind kind;
	char *origin;  /* "sendmail.cf:417: ConnectionRateThrottle=15"; NULL: of no line */
	char *setting; /* "connection-rate = 15/s"; NULL: a remark */
	char *why;     /* what is not quite the same, or why it has no counterpart; NULL: nothing */
};

/* All that an import has found. Zeroed at first; import_free() releases what it owns. */
struct import {
	struct import_row row[IMPORT_ROWS_MAX];
	size_t rows;
	size_t left_off;
	bool no_memory;
};

/*
 * A file in memory, its bytes checked by import_check(). text[size] is a NUL. Parsers cut the text
 * up in place, so it is read once.
 */
struct import_text {
	const char *name; /* as it is shown, without its folder */
	char *text;
	size_t size;
	/* The parser's own: */
	char *next;
	unsigned int line; /* of what next points at, from 1 */
};

/* An option of the MTA: its row in a parser's table. */
struct import_option {
	const char *name;
	const char *none; /* why it has no counterpart; NULL: it has one */
	/* Filled by the parser: */
	const char *file;
	char *value;	     /* NULL: not set */
	unsigned int line;   /* of the setting in force */
	unsigned int others; /* settings that this one replaced */
};

/* --- import_rows.c: what every parser needs --------------------------------------------------- */

/*
 * Is it text, and has it no line too long? Returns 0, or -EINVAL with one sentence. Also makes
 * CR LF into LF and sets the reader to the first line.
 */
int import_check(struct import_text *t, char *err, size_t err_size);

/* The next line, NUL-terminated in place and without its end, or NULL behind the last. */
char *import_line(struct import_text *t, unsigned int *number);

/* The first byte of the next line, '\0' behind the last: does it continue this one? */
char import_peek(const struct import_text *t);

/* Cuts blanks at both ends, in place. */
char *import_trim(char *text);

/* Notes that an option is set. */
void import_take(struct import_option *o, const struct import_text *t, unsigned int line,
		 char *value);

/* A whole number and nothing else. Returns whether it is one, at most IMPORT_NUMBER_MAX. */
bool import_number(const char *text, uint32_t *n);

/*
 * Adds a row. o says where it came from and may be NULL; setting and why may be. The format is
 * that of why. Words of the file are shown escaped and shortened.
 */
void import_add(struct import *i, enum import_section section, enum import_kind kind,
		const struct import_option *o, const char *setting, const char *why, ...)
	__attribute__((format(printf, 6, 7)));

/* A row for a line that is no option: an include, a macro, a word that was not understood. */
void import_remark(struct import *i, const struct import_text *t, unsigned int line,
		   const char *shown, const char *why, ...) __attribute__((format(printf, 5, 6)));

/* Rows for every option of the table that is set and has no counterpart. */
void import_no_counterparts(struct import *i, const struct import_option *table, size_t count);

/* A row that says that the value was not understood, and what was expected. */
void import_not_understood(struct import *i, const struct import_option *o, const char *expected);

/*
 * A row for a limit of sessions: 0 is off, there as here, and what the key does not take is said.
 * why is what is not quite the same.
 */
void import_sessions(struct import *i, const struct import_option *o, const char *key, uint32_t n,
		     const char *why);

/* Rows that take back what Sluice limits by default and no MTA does. */
void import_no_session_time(struct import *i);
void import_no_known_share(struct import *i);

/*
 * Is it an address, or a prefix without bits behind its length? Writes it as a class file has it,
 * an IPv6 one without brackets. Returns whether it is.
 */
bool import_prefix(const char *word, char *out, size_t size);

/* A row for one word of a list of clients, or a remark that it is no prefix; *shown counts. */
void import_list_word(struct import *i, const struct import_option *o, const char *word,
		      unsigned int *shown);

/*
 * Prints the config: sections, then the remarks. command is what was called, interface the one
 * that is proposed, NULL for none known. Returns 0 or -EIO.
 */
int import_print(const struct import *i, FILE *f, const char *command, const char *interface);

void import_free(struct import *i);

/* --- the formats ------------------------------------------------------------------------------ */

/* The rows of the table of sendmail's options: import_sendmail.c. */
enum sendmail_option {
	SENDMAIL_RATE,
	SENDMAIL_DELAY_LA,
	SENDMAIL_QUEUE_LA,
	SENDMAIL_REFUSE_LA,
	SENDMAIL_CHILDREN,
	SENDMAIL_REJECT_LOG,
	SENDMAIL_WINDOW,
	SENDMAIL_BAD_RCPT,
	SENDMAIL_OPTIONS
};

/* The options as sendmail.cf names them, nothing set. */
void sendmail_options(struct import_option o[SENDMAIL_OPTIONS]);

/* A line of sendmail.cf that begins with "O ": its option, if it is one of ours, or a remark. */
void sendmail_option_line(struct import *i, struct import_option o[SENDMAIL_OPTIONS],
			  const struct import_text *t, unsigned int line, char *text);

/* A feature's remark. Returns whether it is one that limits connections. */
bool sendmail_feature(struct import *i, const struct import_text *t, unsigned int line,
		      const char *name, const char *shown);

/* What a listener has of its own: DaemonPortOptions, DAEMON_OPTIONS. */
void sendmail_listener(struct import *i, const struct import_text *t, unsigned int line,
		       const char *value);

/* All rows of what was set and what was not. */
void sendmail_rows(struct import *i, const struct import_option o[SENDMAIL_OPTIONS]);

void import_sendmail_cf(struct import *i, struct import_text *t);
void import_sendmail_mc(struct import *i, struct import_text *t);

/* master_cf may be NULL: there is none beside it. */
void import_postfix(struct import *i, struct import_text *main_cf, struct import_text *master_cf);

void import_exim(struct import *i, struct import_text *t);

#endif
