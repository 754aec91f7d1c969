/* trust/sysanchors: the system's anchors, loaded once until they are dropped. */
#include "trust/sysanchors.h"

#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdlib.h>

#include "certs.h"
#include "help.h"

static struct cert first, second;

/* Whether a chain from this CA verifies with the store. */
static bool has_anchor(X509_STORE *store, const struct cert *ca)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool found;

    assert_int_equal(X509_STORE_CTX_init(ctx, store, ca->x509, NULL), 1);
    X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), (time_t)CERTS_NOW);
    found = X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    return found;
}

static void the_files_are_read_again_only_after_a_drop(void **state)
{
    X509_STORE *before, *same, *after;

    (void)state;
    temp_text("system.pem", certs_pem(first.x509));
    sysanchors_drop();
    before = sysanchors_get();
    assert_true(has_anchor(before, &first));
    temp_text("system.pem", certs_pem(second.x509));
    same = sysanchors_get();
    assert_ptr_equal(same, before);
    sysanchors_drop();
    after = sysanchors_get();
    assert_true(has_anchor(after, &second));
    assert_false(has_anchor(after, &first));
    /* a reference outlives the drop */
    assert_true(has_anchor(before, &first));
    X509_STORE_free(before);
    X509_STORE_free(same);
    X509_STORE_free(after);
    sysanchors_drop();
    sysanchors_drop();
}

static void *get_and_drop(void *unused)
{
    int i;

    for (i = 0; i < 50; i++) {
        X509_STORE *store = sysanchors_get();

        if (!store)
            abort();
        X509_STORE_free(store);
        if (i % 5 == 0)
            sysanchors_drop();
    }
    return unused;
}

static void threads_share_the_store(void **state)
{
    pthread_t threads[4];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_and_drop, NULL), 0);
    for (i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    sysanchors_drop();
}

static int setup(void **state)
{
    (void)state;
    first = certs_ca("First CA");
    second = certs_ca("Second CA");
    temp_text("system.pem", certs_pem(first.x509));
    return setenv("SSL_CERT_FILE", temp_path("system.pem"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_files_are_read_again_only_after_a_drop),
        cmocka_unit_test(threads_share_the_store),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
