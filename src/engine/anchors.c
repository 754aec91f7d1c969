#include "engine/anchors.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "engine/signature.h"

/* Lists of large authorities have tens of megabytes. */
#define CRL_FILE_MOST ((size_t)64 * 1024 * 1024)
#define CA_FILE_MOST ((size_t)64 * 1024 * 1024)

struct store {
    char *key; /* the files and directories it was loaded from */
    uint8_t digest[32];
    X509_STORE *store;
    SLIST_ENTRY(store) next;
};

struct anchors {
    SLIST_HEAD(, store) list;
};

/* A store while it is loaded. */
struct loading {
    const struct config_section *section;
    struct problems *problems;
    X509_STORE *store;
    EVP_MD_CTX *digest;
};

/* The system's, for those who do not go by them. */
static X509_STORE *system_store;
static pthread_mutex_t system_lock = PTHREAD_MUTEX_INITIALIZER;

static void forget_system_store(void)
{
    pthread_mutex_lock(&system_lock);
    X509_STORE_free(system_store);
    system_store = NULL;
    pthread_mutex_unlock(&system_lock);
}

struct anchors *anchors_new(void)
{
    struct anchors *a = xcalloc(1, sizeof(*a));

    SLIST_INIT(&a->list);
    forget_system_store();
    return a;
}

static void store_free(struct store *e)
{
    X509_STORE_free(e->store);
    free(e->key);
    free(e);
}

void anchors_free(struct anchors *a)
{
    struct store *e;

    if (!a)
        return;
    while ((e = SLIST_FIRST(&a->list))) {
        SLIST_REMOVE_HEAD(&a->list, next);
        store_free(e);
    }
    free(a);
}

/* What OpenSSL's error queue says, or the fallback. Empties the queue. */
static const char *openssl_reason(const char *fallback)
{
    const char *text = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return text ? text : fallback;
}

/* Contents count into the digest: a file may change while its name stays. */
static const char *read_file(struct loading *l, const char *path, size_t most, char **data,
                             size_t *len)
{
    const char *why = file_read(path, most, data, len);

    if (!why)
        EVP_DigestUpdate(l->digest, *data, *len);
    return why;
}

static void load_ca_file(struct loading *l, const struct config_text *file)
{
    size_t len;
    char *data;
    const char *why = read_file(l, file->text, CA_FILE_MOST, &data, &len);

    if (!why) {
        free(data);
        if (X509_STORE_load_file(l->store, file->text) != 1)
            why = openssl_reason("not a PEM file of certificates");
    }
    if (why)
        problems_add(l->problems, file->where, "ca_file = %s: %s", file->text, why);
}

static void load_ca_dir(struct loading *l, const struct config_text *dir)
{
    /* OpenSSL looks into the directory only when it needs a certificate */
    if (access(dir->text, R_OK | X_OK) != 0)
        problems_add(l->problems, dir->where, "ca_dir = %s: %s", dir->text, strerror(errno));
    else
        X509_STORE_load_path(l->store, dir->text);
}

/* All lists of a file: PEM, one after the other, or a single one in DER. */
static size_t add_crls(X509_STORE *store, const char *data, size_t len, bool *weak)
{
    const unsigned char *der = (const unsigned char *)data;
    BIO *bio = BIO_new_mem_buf(data, (int)len);
    X509_CRL *crl;
    size_t n = 0;

    while (bio && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
        *weak = *weak || signature_is_weak(X509_CRL_get_signature_nid(crl));
        n += X509_STORE_add_crl(store, crl) == 1;
        X509_CRL_free(crl);
    }
    BIO_free(bio);
    /* a block that is damaged is not the end of the file */
    if (n > 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        n = 0;
    else if (n == 0 && (crl = d2i_X509_CRL(NULL, &der, (long)len))) {
        *weak = signature_is_weak(X509_CRL_get_signature_nid(crl));
        n = der == (const unsigned char *)data + len && X509_STORE_add_crl(store, crl) == 1;
        X509_CRL_free(crl);
    }
    ERR_clear_error();
    return n;
}

static void load_crl_file(struct loading *l, const struct config_text *file)
{
    size_t len;
    char *data;
    const char *why = read_file(l, file->text, CRL_FILE_MOST, &data, &len);

    if (!why) {
        bool weak = false;

        if (add_crls(l->store, data, len, &weak) == 0)
            why = "holds no revocation list, or a damaged one: PEM or DER is expected";
        else if (weak)
            why = "holds a revocation list signed with SHA-1 or MD5, which can be forged";
        free(data);
    }
    if (why)
        problems_add(l->problems, file->where, "crl_file = %s: %s", file->text, why);
}

/*
 * The section's own anchors, or the system's when it names none; and its revocation lists. Of a section
 * that goes by its pins alone the system's are not loaded: they take a megabyte, and 30 ms.
 */
static bool load(struct loading *l)
{
    const struct config_section *s = l->section;
    const size_t before = l->problems->count;
    size_t i;

    if (s->ca_file.count == 0 && s->ca_dir.count == 0 && config_uses_pki(s)
        && X509_STORE_set_default_paths(l->store) != 1)
        problems_add(l->problems, s->where, "[%s]: the system's trust anchors: %s", s->name,
                     openssl_reason("cannot be loaded"));
    for (i = 0; i < s->ca_file.count; i++)
        load_ca_file(l, &s->ca_file.items[i]);
    for (i = 0; i < s->ca_dir.count; i++)
        load_ca_dir(l, &s->ca_dir.items[i]);
    for (i = 0; i < s->crl_file.count && config_uses_pki(s); i++)
        load_crl_file(l, &s->crl_file.items[i]);
    return l->problems->count == before;
}

static char *store_key(const struct config_section *s)
{
    struct strbuf key = {0};
    size_t i;

    if (!config_uses_pki(s))
        strbuf_add(&key, "pins alone\n");
    for (i = 0; i < s->ca_file.count; i++)
        strbuf_addf(&key, "file %s\n", s->ca_file.items[i].text);
    for (i = 0; i < s->ca_dir.count; i++)
        strbuf_addf(&key, "dir %s\n", s->ca_dir.items[i].text);
    for (i = 0; i < s->crl_file.count && config_uses_pki(s); i++)
        strbuf_addf(&key, "crl %s\n", s->crl_file.items[i].text);
    return strbuf_detach(&key);
}

/* Takes over key. */
static struct store *store_new(char *key, const struct config_section *section,
                               struct problems *problems)
{
    struct store *e = xcalloc(1, sizeof(*e));
    struct loading l = {.section = section, .problems = problems};
    bool ok;

    e->key = key;
    l.store = e->store = X509_STORE_new();
    l.digest = EVP_MD_CTX_new();
    ok = e->store && l.digest && EVP_DigestInit_ex(l.digest, EVP_sha256(), NULL) == 1
         && EVP_DigestUpdate(l.digest, key, strlen(key) + 1) == 1;
    if (!ok)
        problems_add(problems, section->where, "[%s]: out of memory", section->name);
    else
        ok = load(&l) && EVP_DigestFinal_ex(l.digest, e->digest, NULL) == 1;
    EVP_MD_CTX_free(l.digest);
    if (ok)
        return e;
    store_free(e);
    return NULL;
}

X509_STORE *anchors_system(void)
{
    X509_STORE *store;

    pthread_mutex_lock(&system_lock);
    if (!system_store) {
        system_store = X509_STORE_new();
        if (system_store && X509_STORE_set_default_paths(system_store) != 1) {
            X509_STORE_free(system_store);
            system_store = NULL;
        }
        ERR_clear_error();
    }
    store = system_store;
    if (store)
        X509_STORE_up_ref(store);
    pthread_mutex_unlock(&system_lock);
    return store;
}

X509_STORE *anchors_find(struct anchors *a, const struct config_section *section,
                         uint8_t digest[32], struct problems *problems)
{
    char *key = store_key(section);
    struct store *e;

    SLIST_FOREACH (e, &a->list, next)
        if (strcmp(e->key, key) == 0)
            break;
    if (e) {
        free(key);
    } else {
        e = store_new(key, section, problems);
        if (!e)
            return NULL;
        SLIST_INSERT_HEAD(&a->list, e, next);
    }
    memcpy(digest, e->digest, sizeof(e->digest));
    return e->store;
}
