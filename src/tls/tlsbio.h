/*
 * The wire as OpenSSL sees it: a BIO that reads the caller's bytes where they are, and writes to a
 * scratch that all connections of one thread share. A BIO_s_mem would grow, copy and never shrink,
 * for each connection. The only module that knows what a BIO is.
 */
#ifndef TLS_TLSBIO_H
#define TLS_TLSBIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The most bytes of records, and of plaintext, that go through a connection in one turn. Two of
 * these, one for each direction, and what little OpenSSL holds are all a tunnel can have in flight.
 */
#define TLS_TURN_SIZE ((size_t)14 * 16 * 1024)

/* Room for the records of one turn: headers, tags, and what OpenSSL has to say by itself. */
#define TLS_RECORDS_SIZE (TLS_TURN_SIZE + 32 * 1024)

/* Room for the plaintext of one turn, with a record that was incomplete in the turn before. */
#define TLS_PLAINTEXT_SIZE (TLS_TURN_SIZE + 16 * 1024)

/* Where the engines of one thread write their records, one connection's at a time. */
struct record_buffer {
    uint8_t *bytes; /* TLS_RECORDS_SIZE */
    size_t used;
    const struct tlsbio *writer; /* whose they are; another's are dropped, never sent */
};

struct tlsbio {
    struct record_buffer *scratch;
    const uint8_t *in; /* the caller's records that OpenSSL has not read yet */
    size_t in_len;
    uint8_t *in_copy; /* the wire's own copy of them, after tlsbio_copy_input() */
    bool ended;       /* no more records will come */
    bool overflowed;  /* the scratch was full: more was written in one turn than is sane */
    bool cut;         /* nothing more is read, whatever there is: set by the owner */
};

struct bio_st; /* OpenSSL's BIO */

/* A BIO over the wire, which must outlive it. NULL when memory is short. */
struct bio_st *tlsbio_new_bio(struct tlsbio *w);

/*
 * How many bytes were written and wait at *bytes, which are then the caller's: see
 * tls_take_records().
 */
size_t tlsbio_take(struct tlsbio *w, const uint8_t **bytes);

/*
 * Copies the input that OpenSSL has not read yet, so that the caller's records may go. The wire
 * frees the copy. False when memory is short.
 */
bool tlsbio_copy_input(struct tlsbio *w);

/*
 * Gives up the scratch, and frees the copy: before the wire's memory is freed, for the next one may
 * get its address.
 */
void tlsbio_leave(struct tlsbio *w);

#endif
