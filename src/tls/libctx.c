#include "tls/libctx.h"

#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Not "default": OpenSSL has that built in already. */
#define NAME "pinproxy"

/* The first version that caches decoders. */
#define OPENSSL_CACHES 0x30200000UL

static struct {
    OSSL_LIB_CTX *ctx;
    OSSL_PROVIDER *whole; /* the default provider, in OpenSSL's own context */
    OSSL_PROVIDER *lean;  /* ours, in ctx: what the whole one has, but for decoders */
    OSSL_ALGORITHM *decoders;
} made;

/* What a provider is asked for (provider-base(7)): all but one answer is the whole provider's. */

static const OSSL_PARAM *gettable_params(void *unused)
{
    (void)unused;
    return OSSL_PROVIDER_gettable_params(made.whole);
}

static int get_params(void *unused, OSSL_PARAM params[])
{
    (void)unused;
    return OSSL_PROVIDER_get_params(made.whole, params);
}

static int get_capabilities(void *unused, const char *capability, OSSL_CALLBACK *each, void *arg)
{
    (void)unused;
    return OSSL_PROVIDER_get_capabilities(made.whole, capability, each, arg);
}

static const OSSL_ALGORITHM *query(void *unused, int operation, int *no_cache)
{
    (void)unused;
    if (operation == OSSL_OP_DECODER) {
        *no_cache = 0;
        return made.decoders;
    }
    return OSSL_PROVIDER_query_operation(made.whole, operation, no_cache);
}

/* A certificate has its key as a SubjectPublicKeyInfo in DER (RFC 5280 4.1). */
static bool is_of_use(const OSSL_ALGORITHM *decoder)
{
    return strstr(decoder->property_definition, "input=der,structure=SubjectPublicKeyInfo");
}

static bool choose_decoders(void)
{
    int no_cache;
    const OSSL_ALGORITHM *all = OSSL_PROVIDER_query_operation(made.whole, OSSL_OP_DECODER,
                                                              &no_cache);
    size_t n = 0, count = 0;

    while (all && all[count].algorithm_names)
        count++;
    made.decoders = calloc(count + 1, sizeof(*made.decoders));
    if (!made.decoders)
        return false;
    for (; all && all->algorithm_names; all++)
        if (is_of_use(all))
            made.decoders[n++] = *all;
    return n > 0;
}

/* The implementations are the whole provider's, so its context is what they get. */
static int init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                void **provctx)
{
    static const OSSL_DISPATCH dispatch[] = {
        {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))gettable_params},
        {OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))get_params},
        {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))get_capabilities},
        {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
        {0, NULL},
    };

    (void)handle;
    (void)in;
    *out = dispatch;
    *provctx = OSSL_PROVIDER_get0_provider_ctx(made.whole);
    return 1;
}

static void unmake(void)
{
    OSSL_PROVIDER_unload(made.lean);
    OSSL_LIB_CTX_free(made.ctx);
    OSSL_PROVIDER_unload(made.whole);
    free(made.decoders);
    memset(&made, 0, sizeof(made));
}

static int is_another(OSSL_PROVIDER *provider, void *found)
{
    if (strcmp(OSSL_PROVIDER_get0_name(provider), "default") != 0)
        *(bool *)found = true;
    return 1;
}

static void make(void)
{
    bool others = false;

    if (OpenSSL_version_num() >= OPENSSL_CACHES)
        return;
    if (OSSL_PROVIDER_do_all(NULL, is_another, &others) != 1 || others
        || EVP_default_properties_is_fips_enabled(NULL))
        return;
    made.whole = OSSL_PROVIDER_load(NULL, "default");
    made.ctx = OSSL_LIB_CTX_new();
    if (made.whole && made.ctx && choose_decoders()
        && OSSL_PROVIDER_add_builtin(made.ctx, NAME, init) == 1)
        made.lean = OSSL_PROVIDER_load(made.ctx, NAME);
    if (!made.lean) {
        unmake();
        ERR_clear_error();
    }
}

OSSL_LIB_CTX *libctx(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make);
    return made.ctx;
}
