/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * save.h - keeps settings in conf.d/90-sluice-set.conf beside the config file, which a start and
 * a reload read after it.
 */
#ifndef SAVE_H
#define SAVE_H

#include <jansson.h>

#define SAVE_NAME     "90-sluice-set.conf"
#define SAVE_PATH_MAX 512
#define SAVE_MOST     128 /* settings in the file */

/*
 * Adds an array of "section.key=value" to what the file has: a newer one of a key takes the place
 * of the older, and section.key=config takes it away. After a crash the file is the old one or the
 * new one. *path is the file. Returns 0, -EBADMSG when the file has what we do not write (it stays
 * then), -E2BIG beyond SAVE_MOST, or what the system gave.
 */
int save_settings(const char *config_file, const json_t *settings, char path[static SAVE_PATH_MAX]);

#endif
