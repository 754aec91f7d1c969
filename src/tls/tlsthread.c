#include "tls/tlsthread.h"

#include <stdlib.h>
#include <string.h>

#include "tls/certcache.h"
#include "tls/sessioncache.h"

#define PAGE 4096

bool tls_thread_init(struct tls_thread *t)
{
    memset(t, 0, sizeof(*t));
    /* on a page boundary, from where the kernel copies faster */
    t->records.bytes = aligned_alloc(PAGE, TLS_RECORDS_SIZE);
    t->certs = certcache_new();
    t->sessions = sessioncache_new();
    return t->records.bytes && t->certs && t->sessions;
}

void tls_thread_free(struct tls_thread *t)
{
    sessioncache_free(t->sessions);
    certcache_free(t->certs);
    free(t->records.bytes);
    memset(t, 0, sizeof(*t));
}
