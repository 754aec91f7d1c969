/* trust/crl: which revocation lists a store has, and until when they are valid. */
#include "trust/crl.h"

#include <openssl/x509.h>
#include <string.h>

#include "certs.h"
#include "help.h"

#define DAY INT64_C(86400)

static X509_CRL *list(const struct cert *ca, int64_t from, int64_t to)
{
    return certs_crl(&(struct crl_order){.ca = ca,
                                         .this_update = CERTS_NOW + from * DAY,
                                         .next_update = to ? CERTS_NOW + to * DAY : 0});
}

static X509_STORE *store_new(void)
{
    X509_STORE *store = X509_STORE_new();

    assert_non_null(store);
    return store;
}

static size_t count(const X509_STORE *store)
{
    size_t n;

    (void)crl_list(store, &n);
    return n;
}

static void a_list_has_its_issuer_file_and_dates(void **state)
{
    struct cert ca = certs_ca("Our CA");
    X509_STORE *store = store_new();
    char path[] = "ca.crl";
    const struct crl_info *info;
    size_t n;

    (void)state;
    assert_true(crl_add(store, list(&ca, -1, 7), path));
    memset(path, 'x', strlen(path));
    info = crl_list(store, &n);
    assert_int_equal(n, 1);
    assert_string_equal(info->issuer, "CN=Our CA");
    assert_string_equal(info->file, "ca.crl");
    assert_int_equal(info->this_update, CERTS_NOW - DAY);
    assert_int_equal(info->next_update, CERTS_NOW + 7 * DAY);
    X509_STORE_free(store);
}

static void a_list_without_next_update_has_no_end(void **state)
{
    struct cert ca = certs_ca("Our CA");
    X509_STORE *store = store_new();
    size_t n;

    (void)state;
    assert_true(crl_add(store, list(&ca, -1, 0), "ca.crl"));
    assert_true(crl_list(store, &n)->next_update == INT64_MAX);
    X509_STORE_free(store);
}

static void of_lists_of_one_scope_the_one_that_expires_last_remains(void **state)
{
    struct cert ca = certs_ca("Our CA");
    size_t order, n;

    (void)state;
    for (order = 0; order < 2; order++) {
        X509_CRL *lists[] = {list(&ca, -9, -2), list(&ca, -1, 7)};
        X509_STORE *store = store_new();
        const struct crl_info *info;

        assert_true(crl_add(store, lists[order], "a.crl"));
        assert_true(crl_add(store, lists[!order], "b.crl"));
        assert_true(crl_add(store, lists[order], "again.crl"));
        info = crl_list(store, &n);
        assert_int_equal(n, 1);
        assert_int_equal(info->next_update, CERTS_NOW + 7 * DAY);
        assert_int_equal(info->this_update, CERTS_NOW - DAY);
        assert_string_equal(info->file, order ? "a.crl" : "b.crl");
        X509_STORE_free(store);
    }
}

static void lists_of_several_authorities_are_all_there(void **state)
{
    struct cert a = certs_ca("A"), b = certs_ca("B");
    X509_STORE *store = store_new();
    const struct crl_info *info;
    size_t n;

    (void)state;
    assert_true(crl_add(store, list(&a, -1, 7), "a.crl"));
    assert_true(crl_add(store, list(&b, -1, 3), "b.crl"));
    info = crl_list(store, &n);
    assert_int_equal(n, 2);
    assert_string_equal(info[0].issuer, "CN=A");
    assert_string_equal(info[1].issuer, "CN=B");
    X509_STORE_free(store);
}

/* RFC 5280 section 5.2.5: each of them is needed. */
static void parts_of_a_divided_list_are_all_there(void **state)
{
    struct cert ca = certs_ca("Our CA");
    X509_STORE *store = store_new();
    const char *points[] = {NULL, "fullname:URI:http://a.example/1.crl",
                            "fullname:URI:http://a.example/2.crl"};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(points); i++)
        assert_true(crl_add(store,
                            certs_crl(&(struct crl_order){.ca = &ca,
                                                          .this_update = CERTS_NOW,
                                                          .next_update = CERTS_NOW + DAY,
                                                          .point = points[i]}),
                            "ca.crl"));
    assert_int_equal(count(store), COUNT(points));
    X509_STORE_free(store);
}

/* A CA that has a new key signs a list with each. */
static void lists_of_two_keys_of_a_ca_are_both_there(void **state)
{
    struct cert keys[] = {certs_ca("Our CA"), certs_ca("Our CA")};
    X509_STORE *store = store_new();
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(keys); i++)
        assert_true(crl_add(store,
                            certs_crl(&(struct crl_order){.ca = &keys[i],
                                                          .this_update = CERTS_NOW,
                                                          .next_update = CERTS_NOW + DAY,
                                                          .key_id = true}),
                            "ca.crl"));
    assert_int_equal(count(store), 2);
    X509_STORE_free(store);
}

static void a_store_without_lists_has_none(void **state)
{
    X509_STORE *store = store_new();
    size_t n = 7;

    (void)state;
    assert_null(crl_list(store, &n));
    assert_int_equal(n, 0);
    assert_null(crl_list(NULL, &n));
    assert_int_equal(n, 0);
    X509_STORE_free(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_its_issuer_file_and_dates),
        cmocka_unit_test(a_list_without_next_update_has_no_end),
        cmocka_unit_test(of_lists_of_one_scope_the_one_that_expires_last_remains),
        cmocka_unit_test(lists_of_several_authorities_are_all_there),
        cmocka_unit_test(parts_of_a_divided_list_are_all_there),
        cmocka_unit_test(lists_of_two_keys_of_a_ca_are_both_there),
        cmocka_unit_test(a_store_without_lists_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
