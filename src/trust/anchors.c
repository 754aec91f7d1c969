#include "trust/anchors.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "config/diag.h"
#include "config/section.h"
#include "pin/cert.h"
#include "pin/pem.h"
#include "trust/crl.h"
#include "trust/hashdir.h"
#include "trust/sysanchors.h"

/* The lists of large CAs have tens of megabytes. */
#define CRL_SIZE_MAX ((size_t)64 * 1024 * 1024)

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
    struct diag_list *diags;
    X509_STORE *store;
    EVP_MD_CTX *digest;
};

/* Where the contents of a file are loaded to. */
struct destination {
    X509_STORE *store;
    const char *path; /* the file's */
};

/* A kind of file with PEM blocks. */
struct file_kind {
    const char *option; /* the one that names such files */
    size_t max_size;
    /* Loads a block, or ignores it. Returns NULL and adds to *taken, or returns what is wrong. */
    const char *(*take)(const struct destination *to, const struct pem_block *block, size_t *taken);
    /* The same for a file that is not PEM. */
    const char *(*take_der)(const struct destination *to, const unsigned char *der, size_t len);
};

bool anchors_are_named(const struct config_section *section)
{
    return section->ca_file.count + section->ca_dir.count > 0;
}

/* Returns true if the system's anchors are the ones that the section trusts. */
static bool uses_system(const struct config_section *section)
{
    return config_uses_pki(section) && !anchors_are_named(section);
}

X509_STORE *anchors_for(const struct config_section *section, X509_STORE *own)
{
    if (!config_uses_pki(section) && !anchors_are_named(section))
        return sysanchors_get();
    X509_STORE_up_ref(own);
    return own;
}

struct anchors *anchors_new(void)
{
    struct anchors *a = xcalloc(1, sizeof(*a));

    SLIST_INIT(&a->list);
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

/* Returns the text of OpenSSL's error queue, or the fallback, and empties the queue. */
static const char *openssl_reason(const char *fallback)
{
    const char *text = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return text ? text : fallback;
}

/* Trust anchors. */

static bool is_label(const struct pem_block *block, const char *label)
{
    return strcmp(block->label, label) == 0;
}

static const char *take_anchor(const struct destination *to, const struct pem_block *block,
                               size_t *taken)
{
    const unsigned char *p = block->der;
    X509 *cert = NULL;
    bool ok;

    if (is_label(block, PEM_STRING_X509) || is_label(block, PEM_STRING_X509_OLD))
        cert = d2i_X509(NULL, &p, (long)block->len);
    else if (is_label(block, PEM_STRING_X509_TRUSTED))
        cert = d2i_X509_AUX(NULL, &p, (long)block->len);
    else if (is_label(block, PEM_STRING_X509_CRL))
        return "a revocation list has no effect among trust anchors: move it to a crl_file";
    else if (strstr(block->label, "PRIVATE KEY"))
        return "a private key among trust anchors, which are public: remove it";
    else
        return "this PEM block is not a certificate: remove it";
    ok = cert && p == block->der + block->len && X509_STORE_add_cert(to->store, cert) == 1;
    X509_free(cert);
    *taken += ok;
    return ok ? NULL : "this certificate is damaged";
}

static const char *refuse_der(const struct destination *to, const unsigned char *der, size_t len)
{
    const unsigned char *p = der;
    X509 *cert = d2i_X509(NULL, &p, (long)len);

    (void)to;
    X509_free(cert);
    return cert ? "is in DER: convert it with 'openssl x509 -inform der -in FILE -out FILE.pem'"
                : "contains no certificate: PEM is expected";
}

/* Revocation lists. */

static const char *add_crl(const struct destination *to, const unsigned char *der, size_t len)
{
    const unsigned char *p = der;
    X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)len);
    const char *why;

    if (crl && p == der + len)
        why = crl_check(crl);
    else
        why = "not a revocation list, or a damaged one: PEM or DER is expected";
    if (!why && !crl_add(to->store, crl, to->path))
        why = openssl_reason("cannot be loaded");
    X509_CRL_free(crl);
    return why;
}

/* CAs publish their certificates together with their lists. They have no effect, and do no harm. */
static const char *take_crl(const struct destination *to, const struct pem_block *block,
                            size_t *taken)
{
    const char *why;

    if (is_label(block, PEM_STRING_X509) || is_label(block, PEM_STRING_X509_TRUSTED))
        return NULL;
    if (!is_label(block, PEM_STRING_X509_CRL))
        return "this PEM block is not a revocation list: remove it";
    why = add_crl(to, block->der, block->len);
    *taken += !why;
    return why;
}

/* Files. */

static const struct file_kind ca_files = {"ca_file", FILE_SIZE_MAX, take_anchor, refuse_der};
static const struct file_kind ca_dirs = {"ca_dir", FILE_SIZE_MAX, take_anchor, refuse_der};
static const struct file_kind crl_files = {"crl_file", CRL_SIZE_MAX, take_crl, add_crl};

/* Loads all blocks of a file. Sets *line to the line that is wrong, or to 0. */
static const char *take_file(const struct destination *to, const struct file_kind *kind,
                             const char *data, size_t len, unsigned *line)
{
    struct pem_reader reader;
    struct pem_block block;
    size_t taken = 0;
    const char *why;

    *line = 0;
    if (!pem_is_text(data, len))
        return kind->take_der(to, (const unsigned char *)data, len);
    pem_start(&reader, data, len);
    while (!(why = pem_next(&reader, &block)) && block.der) {
        why = kind->take(to, &block, &taken);
        *line = block.line;
        pem_block_free(&block);
        if (why)
            return why;
    }
    *line = why ? reader.line : 0;
    return why || taken ? why : kind->take_der(to, (const unsigned char *)data, len);
}

/* Adds to the digest, with the length, so that bytes which move to the next file change it. */
static void add_to_digest(struct loading *l, const void *bytes, size_t n)
{
    const uint64_t size = n;

    EVP_DigestUpdate(l->digest, &size, sizeof(size));
    EVP_DigestUpdate(l->digest, bytes, n);
}

/* The contents are a part of the digest, for a file may change while its name stays. */
static void load_file(struct loading *l, const struct file_kind *kind, const char *path,
                      struct location where)
{
    const struct destination to = {.store = l->store, .path = path};
    unsigned line = 0;
    size_t len;
    char *data;
    const char *why = file_read(path, FILE_CONFIGURED, kind->max_size, &data, &len);

    if (!why) {
        add_to_digest(l, data, len);
        why = take_file(&to, kind, data, len, &line);
        free(data);
        ERR_clear_error();
    }
    if (why && line)
        diag_add(l->diags, where, "%s = %s: line %u: %s", kind->option, path, line, why);
    else if (why)
        diag_add(l->diags, where, "%s = %s: %s", kind->option, path, why);
}

/* Directories. */

/* Loads the certificates, or the revocation lists. Returns their number, or -1 with errno. */
static int load_links(struct loading *l, const struct file_kind *kind, const char *path,
                      struct location where, bool crls)
{
    struct hashdir dir;
    int count;
    size_t i;

    if (!hashdir_list(path, crls, &dir))
        return -1;
    for (i = 0; i < dir.count; i++)
        load_file(l, kind, dir.paths[i], where);
    count = (int)dir.count;
    hashdir_free(&dir);
    return count;
}

/*
 * OpenSSL would read the directory when it needs a certificate, in the middle of a handshake, and
 * might wait for the disk. So all of it is read now, like any other file.
 */
static void load_ca_dir(struct loading *l, const struct config_string *dir)
{
    const int count = load_links(l, &ca_dirs, dir->text, dir->where, false);

    if (count < 0)
        diag_add(l->diags, dir->where, "ca_dir = %s: %s%s", dir->text, strerror(errno),
                 errno == ENOTDIR ? ": name a file with ca_file" : "");
    else if (count == 0)
        diag_add(l->diags, dir->where,
                 "ca_dir = %s: contains no certificate under its hash: run 'openssl rehash %s', or "
                 "name files with ca_file",
                 dir->text, dir->text);
    else if (config_uses_pki(l->section) && l->section->crl_file.count)
        (void)load_links(l, &crl_files, dir->text, dir->where, true);
}

/* The system's. */

/*
 * Adds the certificates of a store to the digest. Returns false if there are none, or if OpenSSL
 * cannot list them.
 */
static bool digest_certificates(struct loading *l)
{
    STACK_OF(X509) *certificates = X509_STORE_get1_all_certs(l->store);
    const int count = sk_X509_num(certificates);
    struct cert_digests digests;
    int i;

    for (i = 0; i < count; i++)
        if (cert_compute_digests(sk_X509_value(certificates, i), &digests))
            add_to_digest(l, digests.cert, sizeof(digests.cert));
    sk_X509_pop_free(certificates, X509_free);
    return count > 0;
}

static void load_system(struct loading *l)
{
    const struct config_section *s = l->section;

    sysanchors_load(l->store);
    if (!digest_certificates(l))
        diag_add(l->diags, s->where,
                 "[%s]: the system has no trust anchors in %s: install them (ca-certificates), "
                 "or name your own with ca_file",
                 s->name, X509_get_default_cert_dir());
    ERR_clear_error();
}

/*
 * Loads the section's own anchors, or the system's if it names none, and its revocation lists. A
 * section that goes by its pins alone does not get the system's: they take a megabyte, and 30 ms.
 */
static bool load(struct loading *l)
{
    const struct config_section *s = l->section;
    const size_t before = l->diags->count;
    size_t i;

    if (uses_system(s))
        load_system(l);
    for (i = 0; i < s->ca_file.count; i++)
        load_file(l, &ca_files, s->ca_file.items[i].text, s->ca_file.items[i].where);
    for (i = 0; i < s->ca_dir.count; i++)
        load_ca_dir(l, &s->ca_dir.items[i]);
    for (i = 0; i < s->crl_file.count && config_uses_pki(s); i++)
        load_file(l, &crl_files, s->crl_file.items[i].text, s->crl_file.items[i].where);
    return l->diags->count == before;
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

/* Makes and loads a store. Takes ownership of key. */
static struct store *store_new(char *key, const struct config_section *section,
                               struct diag_list *diags)
{
    struct store *e = xcalloc(1, sizeof(*e));
    struct loading l = {.section = section, .diags = diags};
    bool ok;

    e->key = key;
    l.store = e->store = X509_STORE_new();
    l.digest = EVP_MD_CTX_new();
    ok = e->store && l.digest && EVP_DigestInit_ex(l.digest, EVP_sha256(), NULL) == 1
         && EVP_DigestUpdate(l.digest, key, strlen(key) + 1) == 1;
    if (!ok)
        diag_add(diags, section->where, "[%s]: out of memory", section->name);
    else
        ok = load(&l) && EVP_DigestFinal_ex(l.digest, e->digest, NULL) == 1;
    EVP_MD_CTX_free(l.digest);
    if (ok)
        return e;
    store_free(e);
    return NULL;
}

X509_STORE *anchors_find(struct anchors *a, const struct config_section *section,
                         uint8_t digest[32], struct diag_list *diags)
{
    char *key = store_key(section);
    struct store *e;

    SLIST_FOREACH (e, &a->list, next)
        if (strcmp(e->key, key) == 0)
            break;
    if (e) {
        free(key);
    } else {
        e = store_new(key, section, diags);
        if (!e)
            return NULL;
        SLIST_INSERT_HEAD(&a->list, e, next);
    }
    memcpy(digest, e->digest, sizeof(e->digest));
    return e->store;
}
