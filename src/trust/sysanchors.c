#include "trust/sysanchors.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "trust/hashdir.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static X509_STORE *loaded; /* a reference, or NULL; under the lock */

/* Returns the value of a variable, which a program with more rights than its user ignores. */
static const char *get_path(const char *variable, const char *otherwise)
{
    const char *value = secure_getenv(variable);

    return value ? value : otherwise;
}

static bool load_file(X509_STORE *store)
{
    const char *path = get_path(X509_get_default_cert_file_env(), X509_get_default_cert_file());
    const bool ok = X509_STORE_load_file(store, path) == 1;

    ERR_clear_error();
    return ok;
}

static void load_links(X509_STORE *store, const char *path, bool crls)
{
    struct hashdir dir;
    size_t i;

    if (!hashdir_list(path, crls, &dir))
        return;
    for (i = 0; i < dir.count; i++)
        (void)X509_STORE_load_file(store, dir.paths[i]);
    hashdir_free(&dir);
    ERR_clear_error();
}

/* Loads all of the directories, which are separated by colons. */
static void load_dirs(X509_STORE *store)
{
    const char *p = get_path(X509_get_default_cert_dir_env(), X509_get_default_cert_dir()), *end;

    for (; *p; p = *end ? end + 1 : end) {
        char *path;

        end = strchrnul(p, ':');
        path = xstrndup(p, (size_t)(end - p));
        load_links(store, path, false);
        load_links(store, path, true);
        free(path);
    }
}

void sysanchors_load(X509_STORE *store)
{
    (void)load_file(store);
    load_dirs(store);
}

static X509_STORE *load_for_log(void)
{
    X509_STORE *store = X509_STORE_new();

    if (store && !load_file(store))
        load_dirs(store);
    ERR_clear_error();
    return store;
}

X509_STORE *sysanchors_get(void)
{
    X509_STORE *store;

    pthread_mutex_lock(&lock);
    if (!loaded)
        loaded = load_for_log();
    store = loaded;
    if (store)
        X509_STORE_up_ref(store);
    pthread_mutex_unlock(&lock);
    return store;
}

void sysanchors_drop(void)
{
    pthread_mutex_lock(&lock);
    X509_STORE_free(loaded);
    loaded = NULL;
    pthread_mutex_unlock(&lock);
}
