/*
 * The memory that all TLS connections of one thread share: the buffer that they write records to,
 * the certificates of their servers, and the sessions that they can resume. A connection inside
 * another one shares it too: a socket pair is between them (proxy/outer.h), so no call into one is
 * made from within a call into the other.
 */
#ifndef TLS_TLSTHREAD_H
#define TLS_TLSTHREAD_H

#include <stdbool.h>

#include "tls/tlsbio.h"

struct certcache;
struct sessioncache;

struct tls_thread {
    struct record_buffer records;
    struct certcache *certs;
    struct sessioncache *sessions;
};

/*
 * Creates the buffer and both caches. Returns false if memory is short. tls_thread_free() is
 * necessary in both cases.
 */
bool tls_thread_init(struct tls_thread *t);

/* Frees them. No connection may use them any more. */
void tls_thread_free(struct tls_thread *t);

#endif
