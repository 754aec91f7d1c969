/*
 * Limits on messages that carry no plaintext. Each costs the server a few bytes; it costs us a key
 * derivation, an answer, or at least the time to skip it.
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
 * Counts a message or a record of the handshake. type is that of SSL_set_msg_callback(3). Returns
 * true if there are more than 64 messages or 1024 records.
 */
bool flood_in_handshake(struct flood *f, int type);

/* Resets the counts when the connection opens. */
void flood_opened(struct flood *f);

/* Counts a message or a record after that. */
void flood_count(struct flood *f, int type);

/*
 * Returns true if there are more than 64 messages, and one more for each 4096 bytes of plaintext.
 */
bool flood_is_exceeded(const struct flood *f);

#endif
