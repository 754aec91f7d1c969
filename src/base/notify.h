/* Notifies the service manager, by the protocol of sd_notify(3). */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

/*
 * Sends one datagram of newline-separated VARIABLE=value assignments to $NOTIFY_SOCKET. Does
 * nothing if it is not set, and ignores errors. Never blocks: if the service manager does not read
 * in time, the message waits for notify_retry(). Only the main thread may call it.
 */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Sends waiting messages. To be called about once a second. */
void notify_retry(void);

/* Sends READY=1 and STATUS. */
void notify_ready(const char *status);

/* Sends RELOADING=1 and MONOTONIC_USEC in one message, as Type=notify-reload requires. */
void notify_reloading(void);

/* Sends STOPPING=1 and STATUS. */
void notify_stopping(const char *status);

#endif
