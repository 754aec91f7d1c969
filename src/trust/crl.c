#include "trust/crl.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "pin/cert.h"
#include "trust/sigalg.h"

/* Belongs to a store, and is freed with it. */
struct crl_set {
    struct arena arena;
    struct crl_info *items;
    size_t count;
};

static int crl_set_index = -1;
static pthread_once_t crl_set_once = PTHREAD_ONCE_INIT;

static void free_set(void *parent, void *p, CRYPTO_EX_DATA *data, int index, long number, void *arg)
{
    struct crl_set *set = p;

    (void)parent;
    (void)data;
    (void)index;
    (void)number;
    (void)arg;
    if (set)
        arena_free(&set->arena);
    free(set);
}

static void make_index(void)
{
    crl_set_index = X509_STORE_get_ex_new_index(0, NULL, NULL, NULL, free_set);
}

static struct crl_set *crl_set_of(const X509_STORE *store)
{
    pthread_once(&crl_set_once, make_index);
    return crl_set_index < 0 ? NULL : X509_STORE_get_ex_data(store, crl_set_index);
}

static struct crl_set *make_set(X509_STORE *store)
{
    struct crl_set *set = crl_set_of(store);

    if (set || crl_set_index < 0)
        return set;
    set = xcalloc(1, sizeof(*set));
    if (X509_STORE_set_ex_data(store, crl_set_index, set) == 1)
        return set;
    free(set);
    return NULL;
}

/* Returns the contents of an extension, or NULL. */
static const ASN1_OCTET_STRING *extension(const X509_CRL *crl, int nid)
{
    const int at = X509_CRL_get_ext_by_NID(crl, nid, -1);

    /* no variable for the extension: it is constant in OpenSSL 4.0 alone */
    return at >= 0 ? X509_EXTENSION_get_data(X509_CRL_get_ext(crl, at)) : NULL;
}

static bool has_same_extension(const X509_CRL *a, const X509_CRL *b, int nid)
{
    const ASN1_OCTET_STRING *x = extension(a, nid), *y = extension(b, nid);

    return x && y ? ASN1_OCTET_STRING_cmp(x, y) == 0 : !x && !y;
}

/* A CA with many certificates divides them among several lists (RFC 5280 section 5.2.5). */
static bool has_same_scope(const X509_CRL *a, const X509_CRL *b)
{
    return X509_NAME_cmp(X509_CRL_get_issuer(a), X509_CRL_get_issuer(b)) == 0
           && has_same_extension(a, b, NID_issuing_distribution_point)
           && has_same_extension(a, b, NID_authority_key_identifier);
}

/* Returns the item for the lists of this scope, a new one if there is none. */
static struct crl_info *find_item(struct crl_set *set, const X509_CRL *crl)
{
    size_t i;

    for (i = 0; i < set->count; i++)
        if (has_same_scope(set->items[i].crl, crl))
            return &set->items[i];
    set->items = arena_grow(&set->arena, set->items, set->count, sizeof(*set->items));
    return &set->items[set->count++];
}

/*
 * Returns whether a list does not have all that the CA has revoked (RFC 5280 section 5.2). OpenSSL
 * would ignore it.
 */
static bool is_partial(const X509_CRL *crl)
{
    int critical = 0;
    ISSUING_DIST_POINT *point = X509_CRL_get_ext_d2i(crl, NID_issuing_distribution_point, &critical,
                                                     NULL);
    const bool partial = X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0
                         || (point ? point->indirectCRL > 0 || point->onlyattr > 0
                                         || point->onlysomereasons
                                   : critical != -1);

    ISSUING_DIST_POINT_free(point);
    return partial;
}

const char *crl_check(const X509_CRL *crl)
{
    if (sigalg_is_weak(X509_CRL_get_signature_nid(crl)))
        return "a revocation list signed with SHA-1 or MD5, which can be forged";
    if (is_partial(crl))
        return "a delta list, an indirect list or one for some reasons only, which would have no "
               "effect: name the CA's complete list";
    return NULL;
}

bool crl_add(X509_STORE *store, X509_CRL *crl, const char *file)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    const int64_t next_update = next ? cert_date(next) : INT64_MAX;
    struct crl_set *set = make_set(store);
    struct crl_info *info;
    char *issuer;

    if (!set || X509_STORE_add_crl(store, crl) != 1)
        return false;
    info = find_item(set, crl);
    if (info->crl && info->next_update >= next_update)
        return true;
    issuer = cert_format_name(X509_CRL_get_issuer(crl));
    *info = (struct crl_info){
        .crl = crl,
        .issuer = arena_strdup(&set->arena, issuer),
        .file = arena_strdup(&set->arena, file),
        .this_update = cert_date(X509_CRL_get0_lastUpdate(crl)),
        .next_update = next_update,
    };
    free(issuer);
    return true;
}

const struct crl_info *crl_list(const X509_STORE *store, size_t *count)
{
    const struct crl_set *set = store ? crl_set_of(store) : NULL;

    *count = set ? set->count : 0;
    return set ? set->items : NULL;
}
