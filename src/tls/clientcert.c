#include "tls/clientcert.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "config/store.h"
#include "tls/credentials.h"
#include "tls/storeuri.h"

/* A certificate while it is loaded. */
struct loading {
    const struct config_tls_settings *settings;
    struct diag_list *diags;
    struct password password;
    struct credentials certs, key;
    struct arena arena; /* for texts */
};

/* Reports what is wrong with the value of an option. line: that of the file at fault, or 0. */
static void report(struct loading *l, const char *option, const struct config_string *value,
                   unsigned line, const char *why)
{
    const char *text = store_printable(value->text, &l->arena);

    if (line)
        diag_add(l->diags, value->where, "%s = %s: line %u: %s", option, text, line, why);
    else
        diag_add(l->diags, value->where, "%s = %s: %s", option, text, why);
}

/* Without an own value, the key is where the certificate is. */
static bool is_together(const struct config_tls_settings *s)
{
    return !s->client_key.text || strcmp(s->client_key.text, s->client_cert.text) == 0;
}

static bool load_password(struct loading *l)
{
    const struct config_string *value = &l->settings->client_key_password;
    const char *why = value->text ? password_read(value->text, &l->password) : NULL;

    if (why)
        report(l, "client_key_password", value, 0, why);
    return !why;
}

static bool read_value(struct loading *l, const char *option, const struct config_string *value,
                       unsigned wanted, struct credentials *out)
{
    char text[CREDENTIALS_ERROR_SIZE];
    const char *why;

    why = store_is_uri(value->text)
              ? storeuri_read(value->text, wanted, &l->password, out, text)
              : credentials_read(value->text, wanted, &l->password, out, text);
    if (why)
        report(l, option, value, out->wrong_line, why);
    return !why;
}

/* Moves the key to l->key, whichever of the two values had it. */
static bool load_both(struct loading *l)
{
    const struct config_tls_settings *s = l->settings;
    bool ok;

    if (is_together(s)) {
        ok = read_value(l, "client_cert", &s->client_cert, CREDENTIALS_CERTS | CREDENTIALS_KEY,
                        &l->certs);
        l->key.key = l->certs.key;
        l->certs.key = NULL;
        return ok;
    }
    ok = read_value(l, "client_cert", &s->client_cert, CREDENTIALS_CERTS, &l->certs);
    return read_value(l, "client_key", &s->client_key, CREDENTIALS_KEY, &l->key) && ok;
}

/* Returns the length of all certificates in DER. */
static size_t size_of(const STACK_OF(X509) *certs)
{
    size_t size = 0;
    int i, n;

    for (i = 0; i < sk_X509_num(certs); i++) {
        n = i2d_X509(sk_X509_value(certs, i), NULL);
        size += n > 0 ? (size_t)n : 0;
    }
    return size;
}

/* Checks that both are there, and belong together. */
static bool check_both(struct loading *l)
{
    const struct config_tls_settings *s = l->settings;
    const struct config_string *key = s->client_key.text ? &s->client_key : &s->client_cert;
    const char *option = s->client_key.text ? "client_key" : "client_cert";
    const char *why = NULL;

    if (sk_X509_num(l->certs.certs) <= 0)
        why = "has no certificate";
    else if (sk_X509_num(l->certs.certs) > CLIENTCERT_COUNT_MAX
             || size_of(l->certs.certs) > CLIENTCERT_SIZE_MAX)
        why = "has more than 10 certificates or 64 KiB of them: leave the client's own and those "
              "of the intermediate CAs";
    if (why) {
        report(l, "client_cert", &s->client_cert, 0, why);
        return false;
    }
    if (!l->key.key)
        why = s->client_key.text ? "has no private key"
                                 : "has no private key: add it, or set client_key";
    else if (X509_check_private_key(sk_X509_value(l->certs.certs, 0), l->key.key) != 1)
        why = is_together(s) ? "the private key does not belong to the certificate, the first of "
                               "this file: put the client's own certificate first"
                             : "the private key does not belong to the certificate, the first of "
                               "client_cert";
    ERR_clear_error();
    if (why)
        report(l, option, key, 0, why);
    return !why;
}

static void warn(struct clientcert *c, char *text)
{
    if (c->warning_count < CLIENTCERT_WARNINGS_MAX)
        c->warnings[c->warning_count++] = text;
    else
        free(text);
}

static void check_mode(struct clientcert *c, const char *option, const char *path)
{
    struct stat st;

    if (store_is_uri(path) || stat(path, &st) != 0 || !(st.st_mode & S_IROTH))
        return;
    warn(c, xasprintf("every user of this machine can read the file of %s, %s (mode %04o): run "
                      "'chmod o-rwx %s'",
                      option, path, (unsigned)st.st_mode & 07777, path));
}

static void check_usage(struct clientcert *c)
{
    X509 *cert = sk_X509_value(c->certs, 0);
    const uint32_t usage = X509_get_extension_flags(cert) & EXFLAG_XKUSAGE
                               ? X509_get_extended_key_usage(cert)
                               : XKU_SSL_CLIENT;

    if (!(usage & (XKU_SSL_CLIENT | XKU_ANYEKU)))
        warn(c, xasprintf("the client certificate (%s) is not for clients: its extended key usage "
                          "lacks clientAuth, so servers may refuse it; public CAs no longer issue "
                          "such certificates, so use one of a private CA",
                          c->info.subject));
}

static void find_warnings(struct clientcert *c, const struct loading *l)
{
    const struct config_tls_settings *s = l->settings;
    const char *key = s->client_key.text ? s->client_key.text : s->client_cert.text;

    check_mode(c, s->client_key.text ? "client_key" : "client_cert", key);
    if (s->client_key_password.text)
        check_mode(c, "client_key_password", s->client_key_password.text);
    /* a token asks for its PIN once, and not for the next section */
    if (s->client_key_password.text && !l->password.wanted && !store_is_uri(key))
        warn(c, xstrdup("client_key_password has no effect: the private key is not encrypted"));
    check_usage(c);
}

static bool compute_digest(struct clientcert *c)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    unsigned char *der;
    int i, n;

    for (i = 0; ok && i < sk_X509_num(c->certs); i++) {
        der = NULL;
        n = i2d_X509(sk_X509_value(c->certs, i), &der);
        ok = n > 0 && EVP_DigestUpdate(md, der, (size_t)n) == 1;
        OPENSSL_free(der);
    }
    ok = ok && EVP_DigestFinal_ex(md, c->digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

static struct clientcert *make(struct loading *l)
{
    struct clientcert *c = xcalloc(1, sizeof(*c));

    c->certs = l->certs.certs;
    c->key = l->key.key;
    l->certs.certs = NULL;
    l->key.key = NULL;
    if (cert_describe(sk_X509_value(c->certs, 0), &c->info) && compute_digest(c)) {
        find_warnings(c, l);
        return c;
    }
    report(l, "client_cert", &l->settings->client_cert, 0, "cannot be read: out of memory");
    clientcert_free(c);
    return NULL;
}

struct clientcert *clientcert_load(const struct config_tls_settings *s, struct diag_list *diags)
{
    struct loading l = {.settings = s, .diags = diags};
    struct clientcert *c = NULL;

    if (load_password(&l) && load_both(&l) && check_both(&l))
        c = make(&l);
    password_wipe(&l.password);
    credentials_clear(&l.certs);
    credentials_clear(&l.key);
    arena_free(&l.arena);
    return c;
}

void clientcert_free(struct clientcert *c)
{
    size_t i;

    if (!c)
        return;
    sk_X509_pop_free(c->certs, X509_free);
    EVP_PKEY_free(c->key);
    cert_info_free(&c->info);
    for (i = 0; i < c->warning_count; i++)
        free(c->warnings[i]);
    free(c);
}

bool clientcert_use(const struct clientcert *c, SSL_CTX *ctx)
{
    int i;

    /* the chain is the file's: none is built from the certificates that happen to be there */
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    ERR_clear_error();
    if (SSL_CTX_use_certificate(ctx, sk_X509_value(c->certs, 0)) != 1
        || SSL_CTX_use_PrivateKey(ctx, c->key) != 1)
        return false;
    for (i = 1; i < sk_X509_num(c->certs); i++)
        if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(c->certs, i)) != 1)
            return false;
    return true;
}
