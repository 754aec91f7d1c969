/* Engines are deprecated, and OpenSSL 4 has none. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "tls/storeuri.h"

#include <openssl/err.h>
#include <openssl/store.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#ifndef OPENSSL_NO_ENGINE
#include <openssl/engine.h>
#endif

/* The maximum number of objects that a URI may name. */
#define OBJECTS_MAX 32

#define SCHEME_MAX 32

static const char no_memory[] = "cannot be read: out of memory";

static bool lacks_key(const struct credentials *c, unsigned wanted)
{
    return wanted & CREDENTIALS_KEY && !c->key;
}

/* Returns whether a token gets no PIN, neither from the URI (RFC 7512 section 2.4) nor otherwise. */
static bool lacks_pin(const char *uri, const struct password *password)
{
    return !password->known && !strstr(uri, "pin-");
}

/* A token shows a private key only to those who have its PIN. */
static const char needs_pin[] =
    "has no private key that can be read without a PIN: set client_key_password = file:PATH";

/* OpenSSL's store. */

static bool has_cert(const struct credentials *c, const X509 *cert)
{
    int i;

    for (i = 0; i < sk_X509_num(c->certs); i++)
        if (X509_cmp(sk_X509_value(c->certs, i), cert) == 0)
            return true;
    return false;
}

/*
 * Takes an object. Of several keys it takes the first: pkcs11-provider copies each key that it uses
 * into the memory of the token, and finds the copies later. clientcert.c checks that it is the
 * right one.
 */
static const char *take_object(const OSSL_STORE_INFO *object, unsigned wanted,
                               struct credentials *out)
{
    const X509 *cert;

    switch (OSSL_STORE_INFO_get_type(object)) {
    case OSSL_STORE_INFO_CERT:
        cert = OSSL_STORE_INFO_get0_CERT(object);
        if (!(wanted & CREDENTIALS_CERTS) || has_cert(out, cert))
            return NULL;
        return credentials_add_cert(out, OSSL_STORE_INFO_get1_CERT(object)) ? NULL : no_memory;
    case OSSL_STORE_INFO_PKEY:
        if (!(wanted & CREDENTIALS_KEY) || out->key)
            return NULL;
        return credentials_add_key(out, OSSL_STORE_INFO_get1_PKEY(object));
    default:
        return NULL;
    }
}

static const char *read_objects(OSSL_STORE_CTX *store, unsigned wanted, struct credentials *out,
                                char text[CREDENTIALS_ERROR_SIZE])
{
    const char *why = NULL;
    OSSL_STORE_INFO *object;
    int count = 0;

    if (wanted == CREDENTIALS_KEY)
        (void)OSSL_STORE_expect(store, OSSL_STORE_INFO_PKEY);
    else if (wanted == CREDENTIALS_CERTS)
        (void)OSSL_STORE_expect(store, OSSL_STORE_INFO_CERT);
    ERR_clear_error();
    while (!why && !OSSL_STORE_eof(store)) {
        object = OSSL_STORE_load(store);
        if (++count > OBJECTS_MAX)
            why = "names too many objects: name one";
        else if (object)
            why = take_object(object, wanted, out);
        else if (OSSL_STORE_error(store))
            why = credentials_explain("cannot be read", text);
        OSSL_STORE_INFO_free(object);
    }
    return why;
}

static const char *read_store(const char *uri, unsigned wanted, const struct password *password,
                              struct credentials *out, char text[CREDENTIALS_ERROR_SIZE])
{
    OSSL_STORE_CTX *store;
    const char *why;

    ERR_clear_error();
    store = OSSL_STORE_open_ex(uri, NULL, NULL, password_ui(), NULL, NULL, NULL, NULL);
    if (!store)
        return credentials_explain("cannot be opened", text);
    why = read_objects(store, wanted, out, text);
    (void)OSSL_STORE_close(store);
    return lacks_key(out, wanted) && lacks_pin(uri, password) ? needs_pin : why;
}

static bool has_loader(const char *scheme)
{
    OSSL_STORE_LOADER *loader = OSSL_STORE_LOADER_fetch(NULL, scheme, NULL);

    OSSL_STORE_LOADER_free(loader);
    ERR_clear_error();
    return loader != NULL;
}

/* The engine. */

#ifndef OPENSSL_NO_ENGINE

/* Returns the engine, which stays in use for as long as the process lives, or NULL. */
static ENGINE *find_engine(void)
{
    static ENGINE *engine;

    if (engine)
        return engine;
    ENGINE_load_dynamic();
    engine = ENGINE_by_id("pkcs11");
    /* it would write to standard error, even a PIN that is a part of the URI */
    if (engine
        && (ENGINE_ctrl_cmd_string(engine, "QUIET", NULL, 0) != 1 || ENGINE_init(engine) != 1)) {
        ENGINE_free(engine);
        engine = NULL;
    }
    return engine;
}

static const char *read_engine(const char *uri, unsigned wanted, const struct password *password,
                               struct credentials *out, char text[CREDENTIALS_ERROR_SIZE])
{
    struct {
        const char *uri;
        X509 *cert;
    } request = {uri, NULL};
    ENGINE *engine;
    EVP_PKEY *key;

    ERR_clear_error();
    engine = find_engine();
    if (!engine)
        return credentials_explain("needs a PKCS#11 provider or engine of OpenSSL (Debian 12: "
                                   "libengine-pkcs11-openssl, Debian 13: pkcs11-provider)",
                                   text);
    if (wanted & CREDENTIALS_CERTS) {
        /* a URI that names a key alone is no error yet */
        (void)ENGINE_ctrl_cmd(engine, "LOAD_CERT_CTRL", 0, &request, NULL, 1);
        if (request.cert && !credentials_add_cert(out, request.cert))
            return no_memory;
    }
    if (!(wanted & CREDENTIALS_KEY))
        return NULL;
    key = ENGINE_load_private_key(engine, uri, password_ui(), NULL);
    if (key)
        return credentials_add_key(out, key);
    return lacks_pin(uri, password) ? needs_pin : credentials_explain("has no private key", text);
}

#else

static const char *read_engine(const char *uri, unsigned wanted, const struct password *password,
                               struct credentials *out, char text[CREDENTIALS_ERROR_SIZE])
{
    (void)uri;
    (void)wanted;
    (void)password;
    (void)out;
    (void)text;
    return "needs OpenSSL's PKCS#11 provider (Debian: pkcs11-provider)";
}

#endif

const char *storeuri_read(const char *uri, unsigned wanted, struct password *password,
                          struct credentials *out, char text[CREDENTIALS_ERROR_SIZE])
{
    char scheme[SCHEME_MAX];
    const char *why;

    if (snprintf(scheme, sizeof(scheme), "%.*s", (int)strcspn(uri, ":"), uri)
        >= (int)sizeof(scheme))
        return "has a scheme that is too long";
    /* OpenSSL would read the file */
    if (access(uri, F_OK) == 0)
        return "is also the name of a file: write ./ before it to mean the file";
    if (!password_ui())
        return no_memory;
    password_set_current(password);
    if (has_loader(scheme))
        why = read_store(uri, wanted, password, out, text);
    else if (strcasecmp(scheme, "pkcs11") == 0)
        why = read_engine(uri, wanted, password, out, text);
    else
        why = "is neither a path nor a URI that a provider of OpenSSL can read: check the "
              "providers in openssl.cnf (config(5))";
    password_set_current(NULL);
    ERR_clear_error();
    return why;
}
