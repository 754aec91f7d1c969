/* Telling the service manager how we are: sd_notify(3)'s protocol, which needs no library. */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

/*
 * Sends one datagram of newline-separated VARIABLE=value assignments to $NOTIFY_SOCKET. Does
 * nothing when there is none; a failure is nobody's business but the service manager's. Never
 * blocks: if the service manager does not read in time, the message waits for notify_retry().
 * From the main thread only.
 */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Sends the messages that wait. To be called about once a second. */
void notify_retry(void);

void notify_ready(const char *status);

/* RELOADING=1 and MONOTONIC_USEC in one message, as Type=notify-reload wants them. */
void notify_reloading(void);

void notify_stopping(const char *status);

#endif
