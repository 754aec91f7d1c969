/*
 * Filters: rewrite the first bytes that pass through an open tunnel. A protocol with a dialog
 * before TLS needs one if client and server would otherwise disagree about what was said: the
 * server has counted packets that the client has not seen, or offers what only a TLS client can
 * use. Bytes in, bytes out: no socket, no callback, no clock.
 *
 * A filter is one struct filter_ops in a file of its own here, and a line in proxy/ways.c. When it
 * is done, all bytes pass unchanged, as in a tunnel without a filter.
 */
#ifndef FILTER_FILTER_H
#define FILTER_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "base/strbuf.h"

#define FILTER_DETAIL_SIZE 256

/* Where bytes go to. */
enum filter_way { FILTER_TO_SERVER, FILTER_TO_CLIENT };

enum filter_result {
    FILTER_MORE,   /* it wants to see the next bytes too */
    FILTER_DONE,   /* all bytes that come now may pass unchanged, in both directions */
    FILTER_FAILED, /* the input must not pass: the tunnel ends, after what it adds to to_client */
};

/* One call of run(). */
struct filter_io {
    enum filter_way way;
    const uint8_t *in; /* all of it is used; the server's greeting of before TLS comes first */
    size_t in_len;
    bool end; /* no more bytes come this way, and in_len is 0: run() passes what it holds */
    struct strbuf *to_server;
    struct strbuf *to_client;
    enum reason reason; /* set if it fails */
    char *detail;       /* set if it fails: FILTER_DETAIL_SIZE; may quote a peer, unescaped */
};

struct filter_ops {
    const char *name; /* for messages */
    size_t size;      /* of the state, which is zeroed before the first call */
    /*
     * Appends to to_server and to_client the bytes that are to be sent now. Bytes that it holds
     * back have a limit. With FILTER_DONE it has appended all that it held, both ways.
     */
    enum filter_result (*run)(void *state, struct filter_io *io);
};

/* postgres: a server that has TLS, for a client that has none. */
extern const struct filter_ops filter_postgres;

/* mysql: the same, for MySQL and MariaDB, behind dialog_mysql. */
extern const struct filter_ops filter_mysql;

/* A filter of one tunnel. */
struct filter;

/* Returns a filter at its beginning, or NULL if memory is short. filter_free() frees it. */
struct filter *filter_new(const struct filter_ops *ops);

/* Frees a filter. f may be NULL. */
void filter_free(struct filter *f);

/*
 * Passes n bytes to a filter; n = 0 is the end of that direction. The caller then sends what
 * filter_output() returns for both directions (after FILTER_FAILED: to the client alone), and makes
 * no more calls unless it was FILTER_MORE.
 */
enum filter_result filter_feed(struct filter *f, enum filter_way way, const uint8_t *bytes,
                               size_t n);

/* Returns the *n bytes that are to be sent one way after the last call. Valid until the next. */
const uint8_t *filter_output(const struct filter *f, enum filter_way way, size_t *n);

/* Returns why a filter failed. *detail is valid until filter_free(). */
enum reason filter_failure(const struct filter *f, const char **detail);

#endif
