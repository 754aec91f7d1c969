/*
 * Limits on what a server may send that is no plaintext. Each message costs it a few bytes, and us
 * a derivation of keys, an answer, or at least the time to pass over it.
 */
#ifndef TLS_FLOOD_H
#define TLS_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

/* Zero-initialised at the start of a connection. */
struct flood {
    uint64_t messages; /* in the handshake, or since */
    uint64_t records;  /* in the handshake */
    uint64_t received; /* bytes of plaintext */
};

/*
 * Counts what was received during the handshake: type as SSL_set_msg_callback(3) has it. Returns
 * whether that is too much: more than 64 messages or 1024 records.
 */
bool flood_in_handshake(struct flood *f, int type);

/* Starts again from zero, for a connection that has opened. */
void flood_opened(struct flood *f);

/* Counts what was received since then. */
void flood_count(struct flood *f, int type);

/*
 * Returns whether it is too much: more than 64 messages, and one for each 4096 bytes of plaintext.
 */
bool flood_is_exceeded(const struct flood *f);

#endif
