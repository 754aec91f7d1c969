#include "tls/password.h"

#include <openssl/crypto.h>
#include <openssl/ui.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static _Thread_local struct password *current;

static const char *take_line(const char *data, size_t len, struct password *out)
{
    const char *end = memchr(data, '\n', len);
    size_t n = end ? (size_t)(end - data) : len;

    if (n > 0 && data[n - 1] == '\r')
        n--;
    if (n == 0)
        return "has no password: its first line is empty";
    if (n > PASSWORD_MAX)
        return "has a first line of more than 1023 bytes, which is no password";
    if (memchr(data, '\0', n))
        return "has a NUL byte in its first line";
    memcpy(out->text, data, n);
    out->text[n] = '\0';
    out->len = n;
    out->known = true;
    return NULL;
}

const char *password_read(const char *path, struct password *out)
{
    const char *why;
    char *data;
    size_t len;

    why = file_read(path, FILE_CONFIGURED, FILE_SIZE_MAX, &data, &len);
    if (why)
        return why;
    why = take_line(data, len, out);
    OPENSSL_cleanse(data, len);
    free(data);
    return why;
}

void password_wipe(struct password *p)
{
    OPENSSL_cleanse(p, sizeof(*p));
}

int password_callback(char *buf, int size, int writing, void *password)
{
    struct password *p = password;

    (void)writing;
    p->wanted = true;
    if (!p->known || size < 0 || p->len > (size_t)size)
        return -1;
    memcpy(buf, p->text, p->len);
    return (int)p->len;
}

void password_set_current(struct password *p)
{
    current = p;
}

/* A token may keep this callback and its argument, so the argument is not used. */
static int current_callback(char *buf, int size, int writing, void *unused)
{
    (void)unused;
    return current ? password_callback(buf, size, writing, current) : -1;
}

static UI_METHOD *method;

/* It is the default too: a provider that logs in to its token later would ask on the terminal. */
static void make_method(void)
{
    method = UI_UTIL_wrap_read_pem_callback(current_callback, 0);
    if (method)
        UI_set_default_method(method);
}

UI_METHOD *password_ui(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_method);
    return method;
}
