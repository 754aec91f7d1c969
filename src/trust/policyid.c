#include "trust/policyid.h"

#include <openssl/evp.h>
#include <string.h>

/* Each item with its length before it, so that no two lists of items look the same. */
static void add(EVP_MD_CTX *md, const void *bytes, size_t n)
{
    const uint64_t length = n;

    EVP_DigestUpdate(md, &length, sizeof(length));
    EVP_DigestUpdate(md, bytes, n);
}

static void add_text(EVP_MD_CTX *md, const char *text)
{
    add(md, text ? text : "", text ? strlen(text) + 1 : 0);
}

static void add_number(EVP_MD_CTX *md, int64_t number)
{
    add(md, &number, sizeof(number));
}

static void add_pins(EVP_MD_CTX *md, const struct pin_list *pins)
{
    size_t i;

    add_number(md, (int64_t)pins->count);
    for (i = 0; i < pins->count; i++) {
        add_number(md, pins->items[i].role);
        add_number(md, pins->items[i].kind);
        add(md, pins->items[i].digest, CERT_DIGEST_SIZE);
        add_number(md, pins->items[i].until);
    }
}

static void add_texts(EVP_MD_CTX *md, const struct config_strings *texts)
{
    size_t i;

    add_number(md, (int64_t)texts->count);
    for (i = 0; i < texts->count; i++)
        add_text(md, texts->items[i].text);
}

static void add_trust(EVP_MD_CTX *md, const struct config_section *s)
{
    add_number(md, s->verify);
    add_pins(md, &s->pins);
    add_pins(md, &s->revoked);
    add_number(md, s->also_check);
    add_number(md, s->enforce.report);
    add_number(md, s->enforce.until);
    add_text(md, s->pins_url);
    add_number(md, s->ocsp);
    add_text(md, s->verify_name);
}

static void add_address(EVP_MD_CTX *md, const struct config_section *s)
{
    size_t i;

    add_text(md, s->host);
    add_number(md, s->port);
    add_number(md, s->family);
    add_number(md, s->via);
    add_number(md, (int64_t)s->address.count);
    for (i = 0; i < s->address.count; i++) {
        add_text(md, s->address.items[i].host);
        add_number(md, s->address.items[i].port);
    }
}

static void add_tls(EVP_MD_CTX *md, const struct config_section *s)
{
    add_text(md, s->sni);
    add_number(md, s->tls.min);
    add_number(md, s->tls.max);
    add_text(md, s->tls.ciphers.text);
    add_text(md, s->tls.ciphersuites.text);
    add_text(md, s->tls.groups.text);
    add_text(md, s->tls.sigalgs.text);
    add_texts(md, &s->alpn);
}

bool policyid_section(const struct config_section *s, const uint8_t anchors[32], uint8_t out[32])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

    if (ok) {
        add_text(md, s->name);
        add(md, anchors, 32);
        add_trust(md, s);
        add_address(md, s);
        add_tls(md, s);
        ok = EVP_DigestFinal_ex(md, out, NULL) == 1;
    }
    EVP_MD_CTX_free(md);
    return ok;
}
