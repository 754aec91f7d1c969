#include "tls/tlsbio.h"

#include <openssl/bio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int bio_read(BIO *bio, char *out, size_t size, size_t *n)
{
    struct tlsbio *io = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    *n = 0;
    if (io->cut)
        return -1; /* without a retry flag OpenSSL fails */
    *n = size < io->in_len ? size : io->in_len;
    if (*n == 0) {
        /* 0 is the end of the stream; -1 with the retry flag is "nothing yet" */
        if (!io->ended)
            BIO_set_retry_read(bio);
        return io->ended ? 0 : -1;
    }
    memcpy(out, io->in, *n);
    io->in += *n;
    io->in_len -= *n;
    return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t size, size_t *n)
{
    struct tlsbio *io = BIO_get_data(bio);
    struct record_buffer *b = io->out;

    BIO_clear_retry_flags(bio);
    if (b->writer != io) {
        /* records that nobody took are another connection's: they must not go out on this one */
        b->writer = io;
        b->used = 0;
    }
    if (size > TLS_RECORDS_SIZE - b->used) {
        io->overflowed = true;
        *n = 0;
        return -1;
    }
    memcpy(b->bytes + b->used, bytes, size);
    b->used += size;
    *n = size;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const struct tlsbio *io = BIO_get_data(bio);

    (void)number;
    (void)pointer;
    switch (command) {
    case BIO_CTRL_EOF:
        return io->ended && io->in_len == 0;
    case BIO_CTRL_PENDING:
        return (long)io->in_len;
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

BIO *tlsbio_new_bio(struct tlsbio *io)
{
    BIO *bio;

    pthread_once(&method_once, make_method);
    bio = method ? BIO_new(method) : NULL;
    if (!bio)
        return NULL;
    BIO_set_data(bio, io);
    BIO_set_init(bio, 1);
    return bio;
}

size_t tlsbio_take(struct tlsbio *io, const uint8_t **bytes)
{
    struct record_buffer *b = io->out;
    size_t n = b->writer == io ? b->used : 0;

    *bytes = b->bytes;
    b->used = 0;
    return n;
}

bool tlsbio_copy_input(struct tlsbio *io)
{
    uint8_t *copy = malloc(io->in_len + 1);

    if (!copy)
        return false;
    if (io->in_len)
        memcpy(copy, io->in, io->in_len);
    free(io->in_copy);
    io->in = io->in_copy = copy;
    return true;
}

void tlsbio_leave(struct tlsbio *io)
{
    free(io->in_copy);
    io->in_copy = NULL;
    if (io->out->writer == io)
        io->out->writer = NULL;
}
