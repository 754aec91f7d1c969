#include "trust/sysanchors.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static X509_STORE *loaded; /* a reference, or NULL; under the lock */

static X509_STORE *load_store(void)
{
    X509_STORE *store = X509_STORE_new();

    if (store && X509_STORE_set_default_paths(store) != 1) {
        X509_STORE_free(store);
        store = NULL;
    }
    ERR_clear_error();
    return store;
}

X509_STORE *sysanchors_get(void)
{
    X509_STORE *store;

    pthread_mutex_lock(&lock);
    if (!loaded)
        loaded = load_store();
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
