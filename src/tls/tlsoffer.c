#include "tls/tlsoffer.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/util.h"
#include "tls/libctx.h"

/* How many there are of each in a ClientHello. */
struct offer {
    size_t ciphers;      /* of TLS 1.2 */
    size_t ciphersuites; /* of TLS 1.3 */
    size_t groups;       /* elliptic curves and hybrids */
    size_t groups_ff;    /* of finite fields */
    size_t sigalgs;
    size_t sigalgs_13; /* those that a server of TLS 1.3 can sign with */
};

/* Extensions (IANA, TLS ExtensionType values). */
enum { EXTENSION_GROUPS = 10, EXTENSION_SIGALGS = 13 };

/*
 * Bytes of a ClientHello that are not read yet. OpenSSL has written it, so its lengths are right.
 */
struct input {
    const uint8_t *at;
    size_t left;
};

static size_t take_number(struct input *in, size_t bytes)
{
    size_t n = 0;

    for (; bytes > 0 && in->left > 0; bytes--, in->at++, in->left--)
        n = n << 8 | *in->at;
    return n;
}

static struct input take(struct input *in, size_t n)
{
    const struct input taken = {in->at, n < in->left ? n : in->left};

    in->at += taken.left;
    in->left -= taken.left;
    return taken;
}

static struct input take_vector(struct input *in, size_t length_bytes)
{
    const size_t n = take_number(in, length_bytes);

    return take(in, n);
}

static void count_suite(struct offer *o, size_t suite)
{
    /* 0x00ff and 0x5600 are signals, not suites (RFC 5746 section 3.3, RFC 7507) */
    if (suite >> 8 == 0x13)
        o->ciphersuites++;
    else if (suite != 0x00ff && suite != 0x5600)
        o->ciphers++;
}

static void count_group(struct offer *o, size_t group)
{
    /* RFC 7919 section 2 */
    if (group >> 8 == 0x01)
        o->groups_ff++;
    else
        o->groups++;
}

static void count_sigalg(struct offer *o, size_t sigalg)
{
    const size_t hash = sigalg >> 8, signature = sigalg & 0xff;

    o->sigalgs++;
    /* RFC 8446 section 4.2.3: neither SHA-1 nor SHA-224, neither PKCS #1 nor DSA */
    o->sigalgs_13 += hash >= 0x08 || (hash > 0x03 && signature == 0x03);
}

static void count_each(struct input list, void count(struct offer *, size_t), struct offer *o)
{
    while (list.left >= 2)
        count(o, take_number(&list, 2));
}

static void parse_hello(struct input in, struct offer *o)
{
    struct input extensions;

    (void)take(&in, 4 + 2 + 32); /* header, version, random */
    (void)take_vector(&in, 1);   /* session id */
    count_each(take_vector(&in, 2), count_suite, o);
    (void)take_vector(&in, 1); /* compression */
    extensions = take_vector(&in, 2);
    while (extensions.left > 0) {
        const size_t type = take_number(&extensions, 2);
        struct input content = take_vector(&extensions, 2);

        if (type == EXTENSION_GROUPS)
            count_each(take_vector(&content, 2), count_group, o);
        else if (type == EXTENSION_SIGALGS)
            count_each(take_vector(&content, 2), count_sigalg, o);
    }
}

/* Called by OpenSSL with the message that it sends. */
static void on_message(int sent, int version, int type, const void *bytes, size_t n, SSL *ssl,
                       void *offer)
{
    (void)version;
    (void)ssl;
    if (sent && type == SSL3_RT_HANDSHAKE)
        parse_hello((struct input){bytes, n}, offer);
}

/*
 * Returns what a context offers, or nothing, with an error in OpenSSL's queue, if it can begin no
 * connection.
 */
static struct offer offer_of(SSL_CTX *ctx)
{
    struct offer o = {0};
    SSL *ssl = SSL_new(ctx);
    BIO *bio = BIO_new(BIO_s_mem());

    ERR_clear_error();
    if (ssl && bio && BIO_up_ref(bio) == 1) {
        SSL_set0_rbio(ssl, bio);
        SSL_set0_wbio(ssl, bio);
        bio = NULL;
        BIO_set_mem_eof_return(SSL_get_rbio(ssl), -1);
        SSL_set_msg_callback(ssl, on_message);
        SSL_set_msg_callback_arg(ssl, &o);
        SSL_set_connect_state(ssl);
        (void)SSL_do_handshake(ssl);
    }
    BIO_free(bio);
    SSL_free(ssl);
    return o;
}

/* One of the settings that are lists. */
struct list {
    const char *key;
    const char *separators;
    int (*set)(SSL_CTX *ctx, const char *text); /* SSL_CTX_set_...(): 1 for success */
    bool (*is_offered)(const struct offer *o, int version);
};

static int set_groups(SSL_CTX *ctx, const char *text)
{
    return (int)SSL_CTX_set1_groups_list(ctx, text);
}

static int set_sigalgs(SSL_CTX *ctx, const char *text)
{
    return (int)SSL_CTX_set1_sigalgs_list(ctx, text);
}

static bool offers_ciphers(const struct offer *o, int version)
{
    return version == TLS1_2_VERSION && o->ciphers > 0;
}

static bool offers_ciphersuites(const struct offer *o, int version)
{
    return version == TLS1_3_VERSION && o->ciphersuites > 0;
}

/* TLS 1.2 leaves the choice of a finite field to the server, whatever the client lists. */
static bool offers_groups(const struct offer *o, int version)
{
    return o->groups > 0 || (version == TLS1_3_VERSION && o->groups_ff > 0);
}

static bool offers_sigalgs(const struct offer *o, int version)
{
    (void)version;
    return o->sigalgs > 0;
}

static const struct list ciphers = {"ciphers", ":, ;", SSL_CTX_set_cipher_list, offers_ciphers};
static const struct list ciphersuites = {"ciphersuites", ":", SSL_CTX_set_ciphersuites,
                                         offers_ciphersuites};
static const struct list groups = {"groups", ":/", set_groups, offers_groups};
static const struct list sigalgs = {"sigalgs", ":", set_sigalgs, offers_sigalgs};

static bool allows(const struct config_tls_settings *s, int version)
{
    return version == TLS1_2_VERSION ? s->min != CONFIG_TLS_1_3 : s->max != CONFIG_TLS_1_2;
}

/* Tries a single name in a context of one version. *known: OpenSSL takes it at all. */
static bool try_name(const struct list *l, const char *name, SSL_CTX *like, int version,
                     bool *known)
{
    SSL_CTX *ctx = SSL_CTX_new_ex(libctx(), NULL, TLS_client_method());
    bool offered = false;

    if (ctx) {
        SSL_CTX_set_security_level(ctx, SSL_CTX_get_security_level(like));
        *known = SSL_CTX_set_min_proto_version(ctx, version) == 1
                 && SSL_CTX_set_max_proto_version(ctx, version) == 1 && l->set(ctx, name) == 1;
        if (*known) {
            const struct offer o = offer_of(ctx);

            offered = l->is_offered(&o, version);
        }
    }
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return offered;
}

static bool is_known(const struct list *l, const char *name, SSL_CTX *ctx)
{
    bool known = false;

    (void)try_name(l, name, ctx, TLS1_3_VERSION, &known);
    return known;
}

/* Returns whether the names before the last one of a list contain that last one. */
static bool is_repeated(const char *text, const char *last, const char *separators)
{
    const size_t n = strlen(last);
    const char *p = text;

    while (*p) {
        const size_t len = strcspn(p, separators);

        if (len == n && strncasecmp(p, last, n) == 0)
            return true;
        p += len + strspn(p + len, separators);
    }
    return false;
}

char *tlsoffer_explain(SSL_CTX *ctx, const char *key, const char *text)
{
    const struct list *l = strcmp(key, groups.key) == 0 ? &groups : &sigalgs;
    char *copy = xstrdup(text), *rest = copy, *name, *why = NULL;
    struct strbuf before = {0};

    while (!why && (name = strsep(&rest, l->separators))) {
        if (!*name)
            continue;
        if (!is_known(l, name, ctx))
            why = xasprintf("'%s' is not known to %s", name, OpenSSL_version(OPENSSL_VERSION));
        else if (is_repeated(strbuf_text(&before), name, l->separators))
            why = xasprintf("'%s' is there twice", name);
        strbuf_addf(&before, "%s:", name);
    }
    strbuf_free(&before);
    free(copy);
    return why;
}

static void check_name(const struct list *l, const struct config_string *value, const char *name,
                       SSL_CTX *ctx, const struct config_tls_settings *s, struct diag_list *diags)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    bool known = false;
    size_t i;

    for (i = 0; i < COUNT_OF(versions); i++)
        /*
         * a list of suites is for one version; validate.c reports a list for a version that is left
         * out
         */
        if ((l == &ciphers || l == &ciphersuites || allows(s, versions[i]))
            && try_name(l, name, ctx, versions[i], &known))
            return;
    if (!known)
        diag_add(diags, value->where, "%s = %s: '%s' is not known to %s", l->key, value->text, name,
                 OpenSSL_version(OPENSSL_VERSION));
    else
        diag_add(diags, value->where,
                 "%s = %s: '%s' is never offered, because security level %d or the TLS versions "
                 "of this section exclude it: remove it",
                 l->key, value->text, name, SSL_CTX_get_security_level(ctx));
}

/*
 * Checks each name of a list, but not those that remove something ('!', '-') or may be unknown
 * ('?').
 */
static void check_names(const struct list *l, const struct config_string *value, SSL_CTX *ctx,
                        const struct config_tls_settings *s, struct diag_list *diags)
{
    char *copy, *rest, *name;

    if (!value->text)
        return;
    copy = rest = xstrdup(value->text);
    while ((name = strsep(&rest, l->separators))) {
        if (l == &groups && *name == '*')
            name++;
        if (*name && !strchr("!-+?", *name))
            check_name(l, value, name, ctx, s, diags);
    }
    free(copy);
}

/* Returns the setting that is reported where no connection can be begun. */
static const struct config_string *culprit(const struct config_tls_settings *s, const char **key)
{
    const struct {
        const char *key;
        const struct config_string *value;
    } rows[] = {{"sigalgs", &s->sigalgs},
                {"groups", &s->groups},
                {"ciphersuites", &s->ciphersuites},
                {"ciphers", &s->ciphers}};
    size_t i = 0;

    while (i + 1 < COUNT_OF(rows) && !rows[i].value->text)
        i++;
    *key = rows[i].key;
    return rows[i].value;
}

/* Checks what all settings together leave to offer. */
static void check_whole(SSL_CTX *ctx, const struct config_tls_settings *s, struct diag_list *diags)
{
    const struct offer o = offer_of(ctx);
    const char *reason = ERR_reason_error_string(ERR_peek_error()), *key;
    const struct config_string *value = culprit(s, &key);

    if (!reason)
        reason = "nothing is offered";
    if (o.ciphers + o.ciphersuites == 0 && value->text)
        diag_add(diags, value->where, "%s = %s: no connection can be made with it: %s", key,
                 value->text, reason);
    else if (o.ciphers + o.ciphersuites == 0)
        diag_add(diags, (struct location){.file = "openssl"}, "no connection can be made: %s",
                 reason);
    else if (s->sigalgs.text && s->min == CONFIG_TLS_1_3 && o.sigalgs_13 == 0)
        diag_add(diags, s->sigalgs.where,
                 "sigalgs = %s: no server of TLS 1.3 can sign with any of these: add another",
                 s->sigalgs.text);
    else if (s->ciphers.text && allows(s, TLS1_2_VERSION) && o.ciphers == 0)
        diag_add(
            diags, s->ciphers.where,
            "ciphers = %s: none of these is ever offered, because sigalgs or the security level "
            "excludes them all",
            s->ciphers.text);
    ERR_clear_error();
}

bool tlsoffer_check(SSL_CTX *ctx, const struct config_tls_settings *s, struct diag_list *diags)
{
    const size_t before = diags->count;

    /* validate.c reports it */
    if (s->max != CONFIG_TLS_ANY && s->max < s->min)
        return true;
    check_names(&ciphers, &s->ciphers, ctx, s, diags);
    check_names(&ciphersuites, &s->ciphersuites, ctx, s, diags);
    check_names(&groups, &s->groups, ctx, s, diags);
    check_names(&sigalgs, &s->sigalgs, ctx, s, diags);
    if (diags->count == before)
        check_whole(ctx, s, diags);
    return diags->count == before;
}
