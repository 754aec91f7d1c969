/* trust/certname: which names a certificate is good for. */
#include "trust/certname.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/hostname.h"
#include "certs.h"
#include "help.h"

static bool carries(const char *san, const char *name)
{
    return certname_matches(certs_make(&(struct cert_order){.cn = "cn.test", .san = san}).x509,
                            name);
}

static void a_wildcard_stands_for_one_whole_label(void **state)
{
    (void)state;
    assert_true(carries("DNS:*.example.test", "a.example.test"));
    assert_true(carries("DNS:*.EXAMPLE.test", "A.example.TEST"));
    assert_true(carries("DNS:b.test,DNS:*.example.test", "xn--bcher-kva.example.test"));
    assert_false(carries("DNS:*.example.test", "example.test"));
    assert_false(carries("DNS:*.example.test", ".example.test"));
    assert_false(carries("DNS:*.example.test", "a.b.example.test"));
    assert_false(carries("DNS:a*.example.test", "ab.example.test"));
    assert_false(carries("DNS:*b.example.test", "ab.example.test"));
    assert_false(carries("DNS:a.*.test", "a.b.test"));
    assert_false(carries("DNS:*.*.test", "a.b.test"));
    assert_false(carries("DNS:*.test", "a.test"));
    assert_false(carries("DNS:*", "a"));
    assert_false(carries("DNS:*.", "a."));
    assert_false(carries("DNS:*.test.", "a.test."));
    assert_false(carries("DNS:*..test", "a..test"));
}

static void an_underscore_is_a_character_as_any_other(void **state)
{
    (void)state;
    assert_true(carries("DNS:a.my_zone.test", "a.my_zone.test"));
    assert_true(carries("DNS:*.my_zone.test", "a.my_zone.test"));
    assert_true(carries("DNS:*.example.test", "a_b.example.test"));
    assert_true(carries("DNS:*.example.test", "_dmarc.example.test"));
    assert_false(carries("DNS:*.my_zone.test", "a.b.my_zone.test"));
    assert_false(carries("DNS:*.my_zone.test", "a.my-zone.test"));
}

static void only_the_alternative_names_count(void **state)
{
    (void)state;
    assert_false(carries(NULL, "cn.test"));
    assert_false(carries("DNS:other.test", "cn.test"));
    assert_false(carries("email:a@example.test", "example.test"));
    assert_false(carries("URI:https://example.test", "example.test"));
    assert_false(carries("DNS:example.test", ""));
    assert_false(certname_matches(
        certs_make(&(struct cert_order){.dns_nul = "a.test\0.b.test", .dns_nul_len = 14}).x509,
        "a.test"));
    assert_false(certname_matches(
        certs_make(&(struct cert_order){.dns_nul = "*.a.test\0", .dns_nul_len = 9}).x509,
        "b.a.test"));
}

static void an_address_is_compared_with_addresses_only(void **state)
{
    (void)state;
    assert_true(carries("IP:127.0.0.1", "127.0.0.1"));
    assert_true(carries("IP:::1", "0:0::1"));
    assert_false(carries("DNS:127.0.0.1", "127.0.0.1"));
    assert_false(carries("DNS:*.0.0.1", "127.0.0.1"));
    assert_false(carries("DNS:*.a.127.0.0.1", "b.a.127.0.0.1"));
}

/* The oracle: OpenSSL's comparison, where there is no underscore. */
static void other_names_match_as_in_openssl(void **state)
{
    static const char *const parts[] = {"a", "b",     "*",  ".", ".",  "test",
                                        "A", "xn--x", "*.", "1", "x-y"};
    uint32_t seed = 20270116;
    unsigned matched = 0;
    int round;

    (void)state;
    for (round = 0; round < 30000; round++) {
        char pattern[64] = "", name[64] = "", san[80];
        unsigned n = 1 + random_next(&seed) % 6, i;
        X509_EXTENSION *extension;
        X509 *cert;
        bool want;

        for (i = 0; i < n; i++) {
            const char *part = parts[random_next(&seed) % COUNT(parts)];

            strcat(pattern, part);
            strcat(name, *part == '*' && random_next(&seed) % 8 ? part[1] ? "b." : "b" : part);
        }
        snprintf(san, sizeof(san), "DNS:%s", pattern);
        cert = X509_new();
        extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
        assert_int_equal(X509_add_ext(cert, extension, -1), 1);
        want = X509_check_host(
                   cert, name, 0,
                   X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL)
               == 1;
        /* others are in no configuration */
        if (!hostname_check(name) && name[strlen(name) - 1] != '.') {
            if (certname_matches(cert, name) != want)
                fail_msg("%s against %s: OpenSSL says %d", name, pattern, want);
            matched += want && strchr(pattern, '*');
        }
        X509_EXTENSION_free(extension);
        X509_free(cert);
    }
    assert_true(matched > 20); /* or it would have compared nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wildcard_stands_for_one_whole_label),
        cmocka_unit_test(an_underscore_is_a_character_as_any_other),
        cmocka_unit_test(only_the_alternative_names_count),
        cmocka_unit_test(an_address_is_compared_with_addresses_only),
        cmocka_unit_test(other_names_match_as_in_openssl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
