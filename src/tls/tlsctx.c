#include "tls/tlsctx.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/util.h"
#include "config/options.h"
#include "config/store.h"
#include "tls/clientcert.h"
#include "tls/libctx.h"
#include "tls/rawkey.h"
#include "tls/tls.h"
#include "tls/tlsoffer.h"

/*
 * No anonymous, PSK or SRP suites, none without forward secrecy, 112 bits at least. None of
 * finite-field Diffie-Hellman either: the server chooses the group, and with it how long the client
 * computes, before it has proved anything. ffdhe8192 costs 100 ms, and X25519 a tenth of one.
 */
#define CIPHERS "DEFAULT:!aNULL:!eNULL:!PSK:!SRP:!kRSA:!kDHE:@SECLEVEL=2"
#define SECURITY_LEVEL 2

/*
 * The key exchange groups, for the same reason without those of finite fields. Libraries from 3.5
 * on know hybrids with ML-KEM and the first form, where '?' passes over what is unknown, '*' asks
 * for a key share and '/' separates what is tried first (SSL_CTX_set1_groups_list(3)).
 */
static const char *const groups_default[] = {
    "?*X25519MLKEM768:?SecP256r1MLKEM768:?SecP384r1MLKEM1024/?*X25519:?P-256/?P-384:?P-521",
    "X25519:P-256:P-384:P-521", "P-256:P-384:P-521", /* FIPS */
};

/* The largest group of finite-field Diffie-Hellman, in bits, where an administrator permits any. */
#define DH_BITS_MAX 4096

/* What a server may send as its certificate list, in bytes. */
#define CERTIFICATES_MAX (64 * 1024)

struct entry {
    struct strbuf key; /* the settings: options_canonical() */
    SSL_CTX *ctx;
    struct clientcert *client; /* NULL: none */
    SLIST_ENTRY(entry) next;
};

struct tlsctx_set {
    SLIST_HEAD(, entry) list;
};

static void free_entry(struct entry *e)
{
    SSL_CTX_free(e->ctx);
    clientcert_free(e->client);
    strbuf_free(&e->key);
    free(e);
}

struct tlsctx_set *tlsctx_set_new(void)
{
    struct tlsctx_set *set = xcalloc(1, sizeof(*set));

    SLIST_INIT(&set->list);
    return set;
}

void tlsctx_set_free(struct tlsctx_set *set)
{
    struct entry *e;

    if (!set)
        return;
    while ((e = SLIST_FIRST(&set->list))) {
        SLIST_REMOVE_HEAD(&set->list, next);
        free_entry(e);
    }
    free(set);
}

static int version_number(enum config_tls tls)
{
    switch (tls) {
    case CONFIG_TLS_1_2:
        return TLS1_2_VERSION;
    case CONFIG_TLS_1_3:
        return TLS1_3_VERSION;
    case CONFIG_TLS_ANY:
        break;
    }
    return 0;
}

/* why: what is wrong in the list, or NULL. Frees it. */
static void report_setting(struct diag_list *diags, const char *key,
                           const struct config_string *value, const char *fallback, char *why)
{
    const unsigned long error = ERR_peek_last_error();
    const char *text = ERR_reason_error_string(error);

    /* its text for an unknown name would not help */
    if (ERR_GET_REASON(error) == ERR_R_PASSED_INVALID_ARGUMENT)
        text = NULL;
    diag_add(diags, value->where, "%s = %s: %s%s%s", key, value->text, text ? text : fallback,
             why ? ": " : "", why ? why : "");
    free(why);
    ERR_clear_error();
}

/*
 * The administrator's list may choose among safe suites, not add unsafe ones: whatever it names,
 * nothing anonymous, unencrypted or with a shared key remains, and the security level stands.
 */
static bool set_ciphers(SSL_CTX *ctx, const struct config_string *ciphers, struct diag_list *diags)
{
    STACK_OF(SSL_CIPHER) *list;
    int i;

    if (!ciphers->text)
        return SSL_CTX_set_cipher_list(ctx, CIPHERS) == 1;
    if (strchr(ciphers->text, '@')) {
        diag_add(diags, ciphers->where,
                 "ciphers = %s: '@' commands are not supported: the security level is %d",
                 ciphers->text, SECURITY_LEVEL);
        return false;
    }
    if (SSL_CTX_set_cipher_list(ctx, ciphers->text) != 1) {
        report_setting(diags, "ciphers", ciphers, "not a cipher list (openssl-ciphers(1))", NULL);
        return false;
    }
    list = SSL_CTX_get_ciphers(ctx);
    for (i = 0; i < sk_SSL_CIPHER_num(list); i++) {
        const SSL_CIPHER *c = sk_SSL_CIPHER_value(list, i);
        int auth = SSL_CIPHER_get_auth_nid(c), kx = SSL_CIPHER_get_kx_nid(c);

        if (SSL_CIPHER_get_cipher_nid(c) == NID_undef || auth == NID_auth_null
            || auth == NID_auth_psk || auth == NID_auth_srp || kx == NID_kx_rsa || kx == NID_kx_psk
            || kx == NID_kx_srp || kx == NID_kx_rsa_psk) {
            diag_add(diags, ciphers->where,
                     "ciphers = %s: %s has no certificate, no encryption or no forward "
                     "secrecy: exclude it",
                     ciphers->text, SSL_CIPHER_get_name(c));
            return false;
        }
    }
    return true;
}

static bool set_groups(SSL_CTX *ctx, const struct config_string *groups, struct diag_list *diags)
{
    size_t i;

    if (groups->text) {
        if (SSL_CTX_set1_groups_list(ctx, groups->text) == 1)
            return true;
        report_setting(diags, "groups", groups, "not a list of groups that OpenSSL knows",
                       tlsoffer_explain(ctx, "groups", groups->text));
        return false;
    }
    for (i = 0; i < COUNT_OF(groups_default); i++) {
        if (SSL_CTX_set1_groups_list(ctx, groups_default[i]) == 1)
            return true;
        ERR_clear_error();
    }
    return false;
}

/* OpenSSL's own callback, which knows the security level. */
static int (*permits)(const SSL *, const SSL_CTX *, int, int, int, void *, void *);

static void find_permits(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    permits = ctx ? SSL_CTX_get_security_callback(ctx) : NULL;
    SSL_CTX_free(ctx);
}

/*
 * Called by OpenSSL before it uses what the peer has sent (SSL_CTX_set_security_callback(3)). A
 * server of TLS 1.2 sends a group of its own making, and OpenSSL itself stops at 10,000 bits only.
 */
static int is_permitted(const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                        void *ex)
{
    if (op == SSL_SECOP_TMP_DH && other && EVP_PKEY_get_bits(other) > DH_BITS_MAX)
        return 0;
    return permits(ssl, ctx, op, bits, nid, other, ex);
}

static bool apply(SSL_CTX *ctx, const struct config_tls_settings *s, struct diag_list *diags)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    bool ok = set_ciphers(ctx, &s->ciphers, diags);

    pthread_once(&once, find_permits);
    if (!permits)
        return false;
    SSL_CTX_set_security_callback(ctx, is_permitted);
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    if (s->ciphersuites.text && SSL_CTX_set_ciphersuites(ctx, s->ciphersuites.text) != 1) {
        report_setting(diags, "ciphersuites", &s->ciphersuites,
                       "not a list of TLS 1.3 cipher suites", NULL);
        ok = false;
    }
    ok = set_groups(ctx, &s->groups, diags) && ok;
    if (s->sigalgs.text && SSL_CTX_set1_sigalgs_list(ctx, s->sigalgs.text) != 1) {
        report_setting(diags, "sigalgs", &s->sigalgs,
                       "not a list of signature algorithms that OpenSSL knows",
                       tlsoffer_explain(ctx, "sigalgs", s->sigalgs.text));
        ok = false;
    }
    return ok && rawkey_ask(ctx, s->raw_key)
           && SSL_CTX_set_min_proto_version(ctx, version_number(s->min)) == 1
           && SSL_CTX_set_max_proto_version(ctx, version_number(s->max)) == 1;
}

static SSL_CTX *make(const struct config_tls_settings *s, struct diag_list *diags)
{
    SSL_CTX *ctx = SSL_CTX_new_ex(libctx(), NULL, TLS_client_method());

    if (!ctx) {
        diag_add(diags, (struct location){.file = "openssl"}, "cannot create a TLS context: %s",
                 ERR_reason_error_string(ERR_peek_last_error()));
        return NULL;
    }
    /* whatever openssl.cnf says: a truncated stream is never a clean end */
    SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_LEGACY_SERVER_CONNECT
                                   | SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION
                                 | (s->resume ? 0 : SSL_OP_NO_TICKET));
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION
    /* RFC 8879: certmsg.c checks the Certificate message, and cannot look into a compressed one */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
#endif
    /* sessions are ours to keep: session.h */
    SSL_CTX_set_session_cache_mode(
        ctx, s->resume ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL : SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    /* one record of handshake a call, so that tls.c can count them: see there */
    SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_max_cert_list(ctx, CERTIFICATES_MAX);
    tls_install(ctx);
    if (!apply(ctx, s, diags) || !tlsoffer_check(ctx, s, diags)) {
        if (diags->count == 0)
            diag_add(diags, (struct location){.file = "openssl"},
                     "OpenSSL does not accept the TLS settings: %s",
                     ERR_reason_error_string(ERR_peek_last_error()));
        ERR_clear_error();
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/* Returns false after reporting why OpenSSL does not use the certificate or its key. */
static bool use_client(SSL_CTX *ctx, const struct clientcert *client,
                       const struct config_string *value, struct diag_list *diags)
{
    struct arena arena = {0};
    const char *reason;

    if (clientcert_use(client, ctx) && SSL_CTX_set_app_data(ctx, (void *)(uintptr_t)client) == 1)
        return true;
    reason = ERR_reason_error_string(ERR_peek_last_error());
    diag_add(diags, value->where, "client_cert = %s: OpenSSL does not use it: %s",
             store_printable(value->text, &arena), reason ? reason : "out of memory");
    ERR_clear_error();
    arena_free(&arena);
    return false;
}

const struct clientcert *tlsctx_client_cert(SSL_CTX *ctx)
{
    return SSL_CTX_get_app_data(ctx);
}

const char *tlsctx_finite_field(SSL_CTX *ctx, const struct config_tls_settings *settings)
{
    const char *group = settings->groups.text ? strcasestr(settings->groups.text, "ffdhe") : NULL;
    /* the suites that are offered by default have none */
    STACK_OF(SSL_CIPHER) *list = settings->ciphers.text ? SSL_CTX_get_ciphers(ctx) : NULL;
    int i;

    for (i = 0; i < sk_SSL_CIPHER_num(list); i++)
        if (SSL_CIPHER_get_kx_nid(sk_SSL_CIPHER_value(list, i)) == NID_kx_dhe)
            return SSL_CIPHER_get_name(sk_SSL_CIPHER_value(list, i));
    return group ? "an ffdhe group" : NULL;
}

static struct entry *find_entry(const struct tlsctx_set *set, const struct strbuf *key)
{
    struct entry *e;

    SLIST_FOREACH (e, &set->list, next)
        if (e->key.len == key->len && memcmp(e->key.data, key->data, key->len) == 0)
            break;
    return e;
}

/* Makes a context, with the client certificate if there is one. Takes ownership of the key. */
static struct entry *new_entry(const struct config_tls_settings *s, struct strbuf key,
                               struct diag_list *diags)
{
    struct entry *e = xcalloc(1, sizeof(*e));
    const size_t before = diags->count;

    e->key = key;
    /* both report their errors */
    e->ctx = make(s, diags);
    if (s->client_cert.text)
        e->client = clientcert_load(s, diags);
    if (e->ctx && e->client)
        (void)use_client(e->ctx, e->client, &s->client_cert, diags);
    if (e->ctx && diags->count == before)
        return e;
    free_entry(e);
    return NULL;
}

/* Returns false, with an error, if the section wants raw public keys of an older library. */
static bool check_raw_key(const struct config_section *section, struct diag_list *diags)
{
    const struct location where = config_set_at(&section->lines, "raw_key");

    if (section->tls.raw_key == RAW_KEY_NO || rawkey_is_supported())
        return true;
    diag_add(diags, where.line ? where : section->where,
             "[%s] has a raw_key, but raw public keys (RFC 7250) need OpenSSL 3.2 or later, and "
             "this is %s: remove the option, or use a build with a newer OpenSSL",
             section->name, OpenSSL_version(OPENSSL_VERSION));
    return false;
}

SSL_CTX *tlsctx_get(struct tlsctx_set *set, const struct config_section *section,
                    struct diag_list *diags)
{
    struct strbuf key = {0};
    struct entry *e;

    if (!check_raw_key(section, diags))
        return NULL;
    options_canonical(options, options_count, OPTION_TLS, section, &key);
    e = find_entry(set, &key);
    if (e) {
        strbuf_free(&key);
        return e->ctx;
    }
    e = new_entry(&section->tls, key, diags);
    if (!e)
        return NULL;
    SLIST_INSERT_HEAD(&set->list, e, next);
    return e->ctx;
}
