#include "tls/alpn.h"

#include <openssl/ssl.h>
#include <string.h>

#include "base/strbuf.h"

bool alpn_offer(SSL *ssl, const struct config_strings *protocols)
{
    struct strbuf list = {0};
    size_t i;
    bool ok;

    if (protocols->count == 0)
        return true;
    for (i = 0; i < protocols->count; i++) {
        char n = (char)strlen(protocols->items[i].text);

        strbuf_add_bytes(&list, &n, 1);
        strbuf_add(&list, protocols->items[i].text);
    }
    /* returns 0 for success, against the custom (SSL_set_alpn_protos(3)) */
    ok = SSL_set_alpn_protos(ssl, (const unsigned char *)list.data, (unsigned)list.len) == 0;
    strbuf_free(&list);
    return ok;
}
