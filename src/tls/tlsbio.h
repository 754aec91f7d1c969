/*
 * A BIO over the caller's memory. It reads the caller's records in place, and writes to a buffer
 * that all connections of a thread share. BIO_s_mem(3) would copy, grow and never shrink, for each
 * connection.
 */
#ifndef TLS_TLSBIO_H
#define TLS_TLSBIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The maximum number of bytes of records, and of plaintext, that a connection handles in one turn.
 * A tunnel has at most two of these in flight, one in each direction, and what OpenSSL holds of a
 * record.
 */
#define TLS_TURN_SIZE ((size_t)14 * 16 * 1024)

/* Room for the records of one turn: headers, tags, and the alerts and key updates of OpenSSL. */
#define TLS_RECORDS_SIZE (TLS_TURN_SIZE + 32 * 1024)

/* Room for the plaintext of one turn, and of a record that was incomplete in the turn before. */
#define TLS_PLAINTEXT_SIZE (TLS_TURN_SIZE + 16 * 1024)

/* The buffer that the connections of one thread write their records to, one at a time. */
struct record_buffer {
    uint8_t *bytes; /* TLS_RECORDS_SIZE */
    size_t used;
    const struct tlsbio *writer; /* whose records it holds; those of another are dropped */
};

struct tlsbio {
    struct record_buffer *out;
    const uint8_t *in; /* the caller's records that OpenSSL has not read yet */
    size_t in_len;
    uint8_t *in_copy; /* an own copy of them, after tlsbio_copy_input() */
    bool ended;       /* no more records will come */
    bool overflowed;  /* more was written in one turn than the buffer holds */
    bool cut;         /* nothing more is read: set by the owner */
};

struct bio_st; /* OpenSSL's BIO */

/*
 * Returns a BIO that reads and writes through io, which must outlive it; or NULL if memory is
 * short.
 */
struct bio_st *tlsbio_new_bio(struct tlsbio *io);

/*
 * Returns the number of bytes that were written. They are at *bytes, borrowed until the next call
 * on any connection of the thread.
 */
size_t tlsbio_take(struct tlsbio *io, const uint8_t **bytes);

/*
 * Copies the input that OpenSSL has not read yet, so that the caller may reuse its buffer.
 * tlsbio_leave() frees the copy. Returns false if memory is short.
 */
bool tlsbio_copy_input(struct tlsbio *io);

/*
 * Frees the copy and releases the shared buffer. Necessary before the memory of io is freed,
 * because the next connection may get the same address.
 */
void tlsbio_leave(struct tlsbio *io);

#endif
