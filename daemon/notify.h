/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notify.h - tells the service manager how we fare (sd_notify(3)): a few lines to the datagram
 * socket that NOTIFY_SOCKET names. Without one nothing is told.
 */
#ifndef NOTIFY_H
#define NOTIFY_H

/* Takes the socket's name out of the environment, once, at the start. */
void notify_open(void);

/* All is attached and judged. */
void notify_ready(void);

/* The controller has ticked, and the main thread has followed: to be said within WatchdogSec. */
void notify_alive(void);

/* The config is read again; notify_ready() says that it is in force, or that the old one stays. */
void notify_reloading(void);

void notify_stopping(void);

#endif
