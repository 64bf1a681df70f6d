/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * class.h - the rooms of sluice class.
 */
#ifndef CLASS_H
#define CLASS_H

#include <jansson.h>

#include "command.h"

/* Asks for what is named (prefixes or a file, whose reference it takes) to be in a class. */
int class_add(const struct options *o, const char *class, const char *name, json_t *what);

/* class_import.c: the prefixes of a file; with --dns also those of the domains in it. */
int class_import(const struct options *o, const char *class, const char *file);

#endif
