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

/* OpenSSL's store. */

static const char *take_object(OSSL_STORE_INFO *object, unsigned wanted, struct credentials *out)
{
    switch (OSSL_STORE_INFO_get_type(object)) {
    case OSSL_STORE_INFO_CERT:
        if (!(wanted & CREDENTIALS_CERTS))
            return NULL;
        return credentials_add_cert(out, OSSL_STORE_INFO_get1_CERT(object)) ? NULL : no_memory;
    case OSSL_STORE_INFO_PKEY:
        return wanted & CREDENTIALS_KEY
                   ? credentials_add_key(out, OSSL_STORE_INFO_get1_PKEY(object))
                   : NULL;
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
        if (object)
            why = ++count > OBJECTS_MAX ? "names too many objects: name one"
                                        : take_object(object, wanted, out);
        else if (OSSL_STORE_error(store))
            why = credentials_explain("cannot be read", text);
        OSSL_STORE_INFO_free(object);
    }
    return why;
}

static const char *read_store(const char *uri, unsigned wanted, struct credentials *out,
                              char text[CREDENTIALS_ERROR_SIZE])
{
    OSSL_STORE_CTX *store;
    const char *why;

    ERR_clear_error();
    store = OSSL_STORE_open_ex(uri, NULL, NULL, password_ui(), NULL, NULL, NULL, NULL);
    if (!store)
        return credentials_explain("cannot be opened", text);
    why = read_objects(store, wanted, out, text);
    (void)OSSL_STORE_close(store);
    return why;
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

static const char *read_engine(const char *uri, unsigned wanted, struct credentials *out,
                               char text[CREDENTIALS_ERROR_SIZE])
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
    return key ? credentials_add_key(out, key) : credentials_explain("cannot be read", text);
}

#else

static const char *read_engine(const char *uri, unsigned wanted, struct credentials *out,
                               char text[CREDENTIALS_ERROR_SIZE])
{
    (void)uri;
    (void)wanted;
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
        why = read_store(uri, wanted, out, text);
    else if (strcasecmp(scheme, "pkcs11") == 0)
        why = read_engine(uri, wanted, out, text);
    else
        why = "is neither a path nor a URI that a provider of OpenSSL can read: check the "
              "providers in openssl.cnf (config(5))";
    password_set_current(NULL);
    ERR_clear_error();
    return why;
}
