/*
 * Dialogs: what is said on the bare connection to a server before TLS starts, such as STARTTLS, or
 * a parent proxy's CONNECT. Bytes in, bytes out: no socket, no callback, no clock.
 *
 * A dialog is one struct dialog_ops. A section has a list of them, which run in order. What one
 * leaves unread is the next one's input, for a parent proxy's answer and the greeting of the server
 * behind it may come together. What the last one leaves unread is an error, which the owner must
 * report: it came before TLS, so that anybody on the way may have sent it, and after the handshake
 * it would pass for the server's (CVE-2011-0411).
 */
#ifndef DIALOG_DIALOG_H
#define DIALOG_DIALOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

struct config_section;
struct strbuf;

/* Dialogs of one connection: a PROXY header, a parent proxy, STARTTLS. */
#define DIALOGS_MAX 3

/* Bytes that a server may send in all dialogs of a connection together. */
#define DIALOG_INPUT_MAX (16 * 1024)

#define DIALOG_DETAIL_SIZE 256

enum dialog_result {
    DIALOG_MORE, /* needs more input */
    DIALOG_DONE,
    DIALOG_FAILED, /* refused, or not understood */
};

/* One call of run(). */
struct dialog_io {
    const struct config_section *section; /* not to be stored: a reload may replace it */
    const uint8_t *in;                    /* all that has come and was not used */
    size_t in_len;
    size_t used;        /* set by run(): the bytes of it that need not be shown again */
    struct strbuf *out; /* run() adds what is to be sent */
    char *detail;       /* DIALOG_FAILED: why; DIALOG_DETAIL_SIZE. May quote the server as it is */
};

struct dialog_ops {
    const char *name;   /* for messages */
    enum reason reason; /* for failures */
    size_t size;        /* of the state, which is zeroed before the first call */
    /* Called once at first, with or without input, and then whenever more has come. */
    enum dialog_result (*run)(void *state, struct dialog_io *io);
};

struct dialog_list {
    const struct dialog_ops *items[DIALOGS_MAX];
    size_t count;
};

/* A list that is being run. */
struct dialog;

/*
 * Returns a run of a list that is not empty, of which it takes a copy, or NULL if memory is short.
 * The caller frees it with dialog_free().
 */
struct dialog *dialog_new(const struct dialog_list *list);

/* Frees a run. d may be NULL. */
void dialog_free(struct dialog *d);

/*
 * Gives a run the n bytes that have come; none in the first call. Returns DIALOG_DONE after the last
 * dialog, or the result of the one that has not ended. More than DIALOG_INPUT_MAX bytes are a
 * failure. After every call, a failed one too, what dialog_output() returns is to be sent. Must not
 * be called after it has returned another result than DIALOG_MORE.
 */
enum dialog_result dialog_feed(struct dialog *d, const struct config_section *section,
                               const uint8_t *bytes, size_t n);

/* Returns what the last call has to send, *n bytes. Valid until the next one. */
const uint8_t *dialog_output(const struct dialog *d, size_t *n);

/* Returns how many bytes have come that no dialog has used. */
size_t dialog_unread(const struct dialog *d);

/* Returns the dialog that runs, or that was the last to run. */
const struct dialog_ops *dialog_current(const struct dialog *d);

/* Returns why it failed, or "". Valid as long as the run. */
const char *dialog_detail(const struct dialog *d);

#endif
