/*
 * Dialogs: the messages on a bare connection before TLS starts, such as STARTTLS, or the CONNECT of
 * a parent proxy. Bytes in, bytes out: no socket, no callback, no clock.
 *
 * A dialog is one struct dialog_ops in a file of its own here. A section has a list of them
 * (proxy/snapshot.h), which its snapshot fills, and which run in order. Bytes that
 * one dialog leaves unread are the next one's input, because the answer of a parent proxy and the
 * greeting of the server behind it may come together. Bytes that the last dialog leaves unread are
 * an error, which the owner must report. They came before TLS, so anyone on the network may have
 * sent them, and after the handshake they would pass for the server's (CVE-2011-0411).
 */
#ifndef DIALOG_DIALOG_H
#define DIALOG_DIALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "base/strbuf.h"
#include "config/starttls.h"

struct config_section;

/* Dialogs of one connection: a parent proxy, STARTTLS. */
#define DIALOGS_MAX 2

/* Bytes that a server may send in all dialogs of a connection together. */
#define DIALOG_INPUT_MAX (16 * 1024)

#define DIALOG_DETAIL_SIZE 256

enum dialog_result {
    DIALOG_MORE, /* needs more input */
    DIALOG_DONE,
    DIALOG_FAILED,  /* refused, or not understood */
    DIALOG_REFUSED, /* a parent proxy does not reach the target: the next one may be asked for */
};

/* One call of run(). */
struct dialog_io {
    const struct config_section *section; /* must not be stored: a reload may replace it */
    size_t attempt;                       /* a parent proxy is asked for target_request(attempt) */
    const uint8_t *in;                    /* all bytes that were received and not used */
    size_t in_len;
    bool ended;         /* the server has ended the stream: no more input will come */
    size_t used;        /* set by run(): how many of them it has used */
    struct strbuf *out; /* run() adds the bytes to be sent */
    /*
     * run() adds the bytes that a local program expects to receive first, once TLS is up: the
     * greeting that the server sent before TLS, without offers that no longer hold.
     */
    struct strbuf *greeting;
    char *detail; /* set if it fails: DIALOG_DETAIL_SIZE; may quote the server, unescaped */
};

struct dialog_ops {
    const char *name;   /* for messages */
    enum reason reason; /* for failures */
    size_t size;        /* of the state, which is zeroed before the first call */
    /*
     * Called once at first, with or without input, and then when more input has come, or when the
     * stream has ended.
     */
    enum dialog_result (*run)(void *state, struct dialog_io *io);
};

struct dialog_list {
    const struct dialog_ops *items[DIALOGS_MAX];
    size_t count;
};

#define X(id, name) extern const struct dialog_ops dialog_##name;
STARTTLS_PROTOCOLS(X)
#undef X

extern const struct dialog_ops dialog_socks5;
extern const struct dialog_ops dialog_httpconnect;

/* A list that is being run. */
struct dialog;

/*
 * Returns a run of a list that is not empty, of which it takes a copy, or NULL if memory is short.
 * The caller frees it with dialog_free().
 */
struct dialog *dialog_new(const struct dialog_list *list);

/*
 * Sets which of the section's servers a parent proxy is asked for (net/target.h), counted from 0.
 * The default is the first.
 */
void dialog_set_attempt(struct dialog *d, size_t attempt);

/* Frees a run. d may be NULL. */
void dialog_free(struct dialog *d);

/*
 * Passes n bytes of input to a run: 0 in the first call. Returns DIALOG_DONE if the last dialog is
 * done, or else the result of the dialog that runs. More than DIALOG_INPUT_MAX bytes in all are a
 * failure. The caller sends what dialog_output() returns after every call, also after a failure,
 * and calls again only after DIALOG_MORE.
 */
enum dialog_result dialog_feed(struct dialog *d, const struct config_section *section,
                               const uint8_t *bytes, size_t n);

/*
 * Notes that the server has ended the stream. Returns DIALOG_FAILED, or DIALOG_REFUSED, with a
 * detail.
 */
enum dialog_result dialog_end(struct dialog *d, const struct config_section *section);

/* Sets why a run failed, if its owner has found it out. */
void dialog_fail(struct dialog *d, const char *why);

/* Returns the *n bytes that are to be sent after the last call. Valid until the next one. */
const uint8_t *dialog_output(const struct dialog *d, size_t *n);

/*
 * Returns the bytes that the client is to receive before the server's own, or an empty string. The
 * caller frees it with strbuf_free(). To be called once.
 */
struct strbuf dialog_take_greeting(struct dialog *d);

/* Returns how many bytes of input no dialog has used. */
size_t dialog_unread(const struct dialog *d);

/* Returns the dialog that runs, or that ran last. Lives for ever. */
const struct dialog_ops *dialog_current(const struct dialog *d);

/*
 * Returns what may be wrong if the dialog that runs waits too long, a literal, or NULL if the server
 * has answered in it.
 */
const char *dialog_obstacle(const struct dialog *d);

/* Returns why a run failed, or "". Valid until dialog_free(). */
const char *dialog_detail(const struct dialog *d);

#endif
