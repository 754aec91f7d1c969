/* trust/certname: which names a certificate is good for. */
#include "trust/certname.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/hostname.h"
#include "judging.h"

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

static void only_the_alternative_names_have_an_effect(void **state)
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

struct name_row {
    const char *san, *verify_name;
    bool right;
};

static const struct name_row names[] = {
    {"DNS:api.example.com", "api.example.com", true},
    {"DNS:API.Example.COM", "api.example.com", true},
    {"DNS:api.example.com", "example.com", false},
    {"DNS:example.com", "api.example.com", false},
    {"DNS:api.example.com", "xapi.example.com", false},
    {"DNS:*.example.com", "api.example.com", true},
    {"DNS:*.example.com", "example.com", false},
    {"DNS:*.example.com", "a.api.example.com", false},
    {"DNS:a*.example.com", "api.example.com", false},
    {"DNS:*pi.example.com", "api.example.com", false},
    {"DNS:api.*.com", "api.example.com", false},
    {"DNS:*.com", "example.com", false},
    {"DNS:*.com", "www.example.com", false},
    {"DNS:*.example.co", "api.example.co", true},
    {"DNS:*.*.com", "api.example.com", false},
    {"DNS:**.example.com", "api.example.com", false},
    {"DNS:*", "localhost", false},
    {"DNS:*", "api.example.com", false},
    {"DNS:.example.com", "api.example.com", false},
    {"email:api.example.com@x", "api.example.com", false},
    {"URI:https://api.example.com", "api.example.com", false},
    {"IP:127.0.0.1", "127.0.0.1", true},
    {"IP:127.0.0.2", "127.0.0.1", false},
    {"DNS:127.0.0.1", "127.0.0.1", false},
    {"DNS:*.0.0.1", "127.0.0.1", false},
    {"IP:2001:db8::1", "2001:db8::1", true},
    {"IP:2001:db8::2", "2001:db8::1", false},
    {"DNS:2001:db8::1", "2001:db8::1", false},
    {"IP:::ffff:127.0.0.1", "127.0.0.1", false},
    {"IP:127.0.0.1", "api.example.com", false},
    {"DNS:*.168.192.1", "10.168.192.1", false},
    {"DNS:x.example,IP:127.0.0.1,DNS:api.example.com", "api.example.com", true},
};

static void names_are_compared_as_dns_and_ip_have_them(void **state)
{
    size_t i;

    (void)state;
    temp_text("ca.pem", certs_pem(ca.x509));
    for (i = 0; i < COUNT(names); i++) {
        struct cert c = certs_make(
            &(struct cert_order){.cn = names[i].verify_name, .san = names[i].san, .issuer = &ca});

        expect(keys("%salso_check = name\nverify_name = %s", pin(&c), names[i].verify_name), &c,
               names[i].right ? REASON_OK : REASON_NAME);
        expect(keys("verify = pki\nca_file = ca.pem\nverify_name = %s", names[i].verify_name), &c,
               names[i].right ? REASON_OK : REASON_PKI);
    }
}

/* "api.example.com" and a NUL and more: a C string would end where it suits. */
static void a_nul_byte_in_a_name_matches_nothing(void **state)
{
    static const char name[] = "api.example.com\0.evil.example";
    struct cert c = certs_make(
        &(struct cert_order){.dns_nul = name, .dns_nul_len = sizeof(name) - 1, .issuer = &ca});

    (void)state;
    expect(keys("%salso_check = name", pin(&c)), &c, REASON_NAME);
    expect("verify = pki\nca_file = ca.pem", &c, REASON_PKI);
}

/* The configuration takes the dot off the host; one in the certificate is no DNS name there. */
static void a_trailing_dot_makes_no_second_name(void **state)
{
    struct cert plain = certs_leaf("DNS:api.example.com", &ca);
    struct cert dotted = certs_leaf("DNS:api.example.com.", &ca);
    struct cert wild = certs_leaf("DNS:*.example.com.", &ca);

    (void)state;
    expect(keys("%salso_check = name\nhost = api.example.com.", pin(&plain)), &plain, REASON_OK);
    expect("verify = pki\nca_file = ca.pem\nhost = api.example.com.", &plain, REASON_OK);
    expect(keys("%salso_check = name", pin(&dotted)), &dotted, REASON_NAME);
    expect("verify = pki\nca_file = ca.pem", &dotted, REASON_PKI);
    expect(keys("%salso_check = name", pin(&wild)), &wild, REASON_NAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wildcard_stands_for_one_whole_label),
        cmocka_unit_test(an_underscore_is_a_character_as_any_other),
        cmocka_unit_test(only_the_alternative_names_have_an_effect),
        cmocka_unit_test(an_address_is_compared_with_addresses_only),
        cmocka_unit_test(other_names_match_as_in_openssl),
        cmocka_unit_test(names_are_compared_as_dns_and_ip_have_them),
        cmocka_unit_test(a_nul_byte_in_a_name_matches_nothing),
        cmocka_unit_test(a_trailing_dot_makes_no_second_name),
    };

    return cmocka_run_group_tests(tests, judging_setup, judging_teardown);
}
