#include "tls/tlsbio.h"

#include <openssl/bio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int bio_read(BIO *bio, char *out, size_t size, size_t *n)
{
    struct tlsbio *w = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    *n = 0;
    if (w->cut)
        return -1; /* not to be tried again: OpenSSL gives up */
    *n = size < w->in_len ? size : w->in_len;
    if (*n == 0) {
        /* the end is an end only when the wire has ended; before that, there is more to come */
        if (!w->ended)
            BIO_set_retry_read(bio);
        return w->ended ? 0 : -1;
    }
    memcpy(out, w->in, *n);
    w->in += *n;
    w->in_len -= *n;
    return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t size, size_t *n)
{
    struct tlsbio *w = BIO_get_data(bio);
    struct record_buffer *s = w->scratch;

    BIO_clear_retry_flags(bio);
    if (s->writer != w) {
        /* what nobody took belongs to another connection: it must not go out on this one */
        s->writer = w;
        s->used = 0;
    }
    if (size > TLS_RECORDS_SIZE - s->used) {
        w->overflowed = true;
        *n = 0;
        return -1;
    }
    memcpy(s->bytes + s->used, bytes, size);
    s->used += size;
    *n = size;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const struct tlsbio *w = BIO_get_data(bio);

    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_EOF:
        return w->ended && w->in_len == 0;
    case BIO_CTRL_PENDING:
        return (long)w->in_len;
    case BIO_CTRL_FLUSH:
        return 1;
    default:
        return 0;
    }
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pinproxy");
    if (!method)
        return;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
}

BIO *tlsbio_new_bio(struct tlsbio *w)
{
    BIO *bio;

    pthread_once(&method_once, make_method);
    bio = method ? BIO_new(method) : NULL;
    if (!bio)
        return NULL;
    BIO_set_data(bio, w);
    BIO_set_init(bio, 1);
    return bio;
}

size_t tlsbio_take(struct tlsbio *w, const uint8_t **bytes)
{
    struct record_buffer *s = w->scratch;
    size_t n = s->writer == w ? s->used : 0;

    *bytes = s->bytes;
    s->used = 0;
    return n;
}

bool tlsbio_copy_input(struct tlsbio *w)
{
    uint8_t *copy = malloc(w->in_len + 1);

    if (!copy)
        return false;
    if (w->in_len)
        memcpy(copy, w->in, w->in_len);
    free(w->in_copy);
    w->in = w->in_copy = copy;
    return true;
}

void tlsbio_leave(struct tlsbio *w)
{
    free(w->in_copy);
    w->in_copy = NULL;
    if (w->scratch->writer == w)
        w->scratch->writer = NULL;
}
