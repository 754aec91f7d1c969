/* trust/trust: certificates against policies. What is not trusted for a reason is a hole. */
#include "trust/trust.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs.h"
#include "config/loader.h"
#include "config/section.h"
#include "help.h"
#include "trust/anchors.h"
#include "trust/peerchain.h"
#include "trust/policy.h"

#define NOW CERTS_NOW

static struct cert ca, other_ca, sub, leaf, by_sub, by_other, twin;
static EVP_PKEY *weak_key;
static struct anchors *stores;

static struct config *load(const char *text)
{
    struct diag_list diags = {0};
    struct config *c = config_parse(temp_path("x.conf"), text, strlen(text), &diags);

    if (diags.count)
        fail_msg("%s\n%u: %s", text, diags.items[0].line, diags.items[0].text);
    diag_free(&diags);
    return c;
}

/* What was presented: the server's own certificate and what it sends along. */
struct presented {
    const struct cert *leaf, *more[12];
};

static void judge(const char *keys, const struct presented *p, int64_t now,
                  struct trust_verdict *verdict)
{
    struct diag_list diags = {0};
    char text[4096];
    struct config *c;
    struct policy *policy;
    STACK_OF(X509) *sent = sk_X509_new_null();
    size_t i;

    snprintf(text, sizeof(text), "[api.example.com]\n%s\n", keys);
    c = load(text);
    policy = policy_new(c->sections[0], stores, NULL, &diags);
    if (!policy)
        fail_msg("%s", diags.items[0].text);
    sk_X509_push(sent, p->leaf->x509);
    for (i = 0; i < COUNT(p->more); i++)
        if (p->more[i])
            sk_X509_push(sent, p->more[i]->x509);
    memset(verdict, 0, sizeof(*verdict));
    trust_judge(policy,
                &(struct trust_evidence){.leaf = p->leaf->x509, .sent = sent, .complete = true},
                now, verdict);
    assert_int_equal(verdict->trusted, verdict->reason == REASON_OK);
    assert_int_equal(verdict->trusted, verdict->x509_error == X509_V_OK);
    assert_true(peerchain_starts_with(verdict, p->leaf->x509));
    if (!verdict->trusted)
        assert_null(verdict->pin);
    verdict->pin = NULL; /* it goes with the configuration */
    sk_X509_free(sent);
    policy_free(policy);
    config_free(c);
    diag_free(&diags);
}

static void expect_at(const char *keys, const struct presented *p, int64_t now, enum reason want)
{
    struct trust_verdict v;

    judge(keys, p, now, &v);
    if (v.reason != want)
        fail_msg("%s\nwant %s, got %s: %s", keys, reason_name(want), reason_name(v.reason),
                 v.detail);
    trust_verdict_free(&v);
}

static void expect(const char *keys, const struct cert *c, enum reason want)
{
    expect_at(keys, &(struct presented){.leaf = c}, NOW, want);
}

static const char *pin(const struct cert *c)
{
    static char texts[8][80];
    static unsigned next;
    char *out = texts[next++ % 8];

    snprintf(out, sizeof(texts[0]), "pin = %s\n", certs_key_pin(c));
    return out;
}

static const char *keys(const char *format, ...) __attribute__((format(printf, 1, 2)));

static const char *keys(const char *format, ...)
{
    static char text[2048];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    return text;
}

static void only_the_pinned_key_is_trusted(void **state)
{
    (void)state;
    expect(pin(&leaf), &leaf, REASON_OK);
    expect(pin(&twin), &leaf, REASON_PIN_MISMATCH);
    expect(keys("pin = %s", certs_cert_pin(&leaf)), &leaf, REASON_OK);
    expect(keys("pin = %s", certs_cert_pin(&twin)), &leaf, REASON_PIN_MISMATCH);
    expect(keys("%s%s", pin(&twin), pin(&leaf)), &leaf, REASON_OK);
}

/* The digest of a key is none of a certificate, and the other way round. */
static void a_digest_counts_in_its_role_only(void **state)
{
    struct cert_digests digests;
    char as_cert[PIN_CERT_TEXT_SIZE], as_key[PIN_KEY_TEXT_SIZE];

    (void)state;
    assert_true(cert_compute_digests(leaf.x509, &digests));
    pin_format_cert(digests.key, as_cert);
    pin_format_key(digests.cert, as_key);
    expect(keys("pin = %s", as_cert), &leaf, REASON_PIN_MISMATCH);
    expect(keys("pin = %s", as_key), &leaf, REASON_PIN_MISMATCH);
}

/* The pin compares the server's own certificate, never one that it merely sends along. */
static void a_pinned_certificate_sent_along_proves_nothing(void **state)
{
    const struct presented p = {.leaf = &twin, .more = {&leaf, &ca}};

    (void)state;
    expect_at(pin(&leaf), &p, NOW, REASON_PIN_MISMATCH);
    expect_at(pin(&ca), &p, NOW, REASON_PIN_MISMATCH);
    expect_at(keys("pin = %s", certs_cert_pin(&leaf)), &p, NOW, REASON_PIN_MISMATCH);
}

/* A new certificate for the same key: the key's pin holds, the certificate's does not. */
static void a_renewed_certificate_keeps_its_key_pin(void **state)
{
    struct cert renewed = certs_make(&(struct cert_order){
        .cn = "leaf", .san = "DNS:api.example.com", .key = leaf.key, .issuer = &ca});

    (void)state;
    expect(pin(&leaf), &renewed, REASON_OK);
    expect(keys("pin = %s", certs_cert_pin(&leaf)), &renewed, REASON_PIN_MISMATCH);
}

static void a_pin_alone_looks_at_nothing_else(void **state)
{
    struct cert expired = certs_make(&(struct cert_order){.san = "DNS:x", .from = -9, .to = -1});
    struct cert client = certs_make(&(struct cert_order){.san = "DNS:x", .eku = "clientAuth"});
    struct cert bare = certs_make(&(struct cert_order){.digest = "SHA1"});

    (void)state;
    expect(pin(&expired), &expired, REASON_OK);
    expect(pin(&client), &client, REASON_OK);
    expect(pin(&bare), &bare, REASON_OK); /* no signature is relied on */
}

static void also_check_holds_a_pinned_certificate_to_more(void **state)
{
    struct cert expired = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .from = -9, .to = -1});
    struct cert early = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .from = 1, .to = 9});
    struct cert named = certs_make(&(struct cert_order){.san = "DNS:x.example"});
    struct cert cn = certs_make(&(struct cert_order){.cn = "api.example.com"});

    (void)state;
    expect(keys("%salso_check = dates", pin(&expired)), &expired, REASON_DATES);
    expect(keys("%salso_check = dates", pin(&early)), &early, REASON_DATES);
    expect(keys("%salso_check = name", pin(&expired)), &expired, REASON_OK);
    expect(keys("%salso_check = name", pin(&named)), &named, REASON_NAME);
    expect(keys("%salso_check = dates", pin(&named)), &named, REASON_OK);
    expect(keys("%salso_check = name dates", pin(&named)), &named, REASON_NAME);
    expect(keys("%salso_check = name, dates", pin(&leaf)), &leaf, REASON_OK);
    /* the subject's CN counts for nothing */
    expect(keys("%salso_check = name", pin(&cn)), &cn, REASON_NAME);
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

static void a_pin_past_its_date_is_no_pin(void **state)
{
    (void)state;
    expect_at(keys("pin = %s until=2027-01-16", certs_key_pin(&leaf)),
              &(struct presented){.leaf = &leaf}, NOW, REASON_OK);
    expect_at(keys("pin = %s until=2027-01-15", certs_key_pin(&leaf)),
              &(struct presented){.leaf = &leaf}, NOW, REASON_EXPIRED_PINS);
    /* only a pin that matches can have expired */
    expect(keys("pin = %s until=2027-01-15", certs_key_pin(&twin)), &leaf, REASON_PIN_MISMATCH);
    /* another live one does */
    expect(keys("pin = %s until=2027-01-15\npin = %s", certs_key_pin(&leaf), certs_cert_pin(&leaf)),
           &leaf, REASON_OK);
    expect(keys("pin = %s until=2027-01-15\n%s", certs_key_pin(&leaf), pin(&twin)), &leaf,
           REASON_EXPIRED_PINS);
}

static void a_revoked_key_is_refused_whatever_else_matches(void **state)
{
    static const char *const verify[] = {"pin", "pin+pki"};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(verify); i++)
        expect(keys("%srevoked = %s\nverify = %s\nca_file = ca.pem", pin(&leaf),
                    certs_key_pin(&leaf), verify[i]),
               &leaf, REASON_REVOKED);
    expect(keys("revoked = %s\nverify = pki\nca_file = ca.pem", certs_key_pin(&leaf)), &leaf,
           REASON_REVOKED);
    /* before a mismatch, before an expired pin, before weakness, before the PKI */
    expect(keys("%srevoked = %s", pin(&twin), certs_key_pin(&leaf)), &leaf, REASON_REVOKED);
    expect(
        keys("pin = %s until=2020-01-01\nrevoked = %s", certs_key_pin(&leaf), certs_key_pin(&leaf)),
        &leaf, REASON_REVOKED);
    expect(keys("revoked = %s\nverify = pki\nca_file = ca.pem", certs_key_pin(&twin)), &twin,
           REASON_REVOKED);
    /* others' keys do not count */
    expect(keys("%srevoked = %s", pin(&leaf), certs_key_pin(&twin)), &leaf, REASON_OK);
}

static void a_revoked_key_in_the_verified_chain_refuses(void **state)
{
    const struct presented p = {.leaf = &by_sub, .more = {&sub}};

    (void)state;
    expect_at("verify = pki\nca_file = ca.pem", &p, NOW, REASON_OK);
    expect_at(keys("revoked = %s\nverify = pki\nca_file = ca.pem", certs_key_pin(&sub)), &p, NOW,
              REASON_REVOKED);
    /* the anchor's too, which the server does not send */
    expect_at(keys("revoked = %s\nverify = pki\nca_file = ca.pem", certs_key_pin(&ca)), &p, NOW,
              REASON_REVOKED);
    expect_at(keys("%srevoked = %s\nverify = pin+pki\nca_file = ca.pem", pin(&by_sub),
                   certs_key_pin(&sub)),
              &p, NOW, REASON_REVOKED);
    /* SPEC 9: with server pins alone, the server's own key */
    expect_at(keys("%srevoked = %s", pin(&by_sub), certs_key_pin(&sub)), &p, NOW, REASON_OK);
}

static void weak_keys_and_signatures_are_refused(void **state)
{
    struct cert weak = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .key = weak_key, .issuer = &ca});
    struct cert sha1 = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .digest = "SHA1", .issuer = &ca});
    struct cert weak_ca = certs_make(
        &(struct cert_order){.cn = "weak", .ca = true, .key = weak_key});
    struct cert under = certs_leaf("DNS:api.example.com", &weak_ca);

    (void)state;
    temp_text("weak.pem", certs_pem(weak_ca.x509));
    expect(pin(&weak), &weak, REASON_WEAK);
    expect(keys("pin = %s", certs_cert_pin(&weak)), &weak, REASON_WEAK);
    expect(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&weak)), &weak, REASON_WEAK);
    expect("verify = pki\nca_file = ca.pem", &weak, REASON_WEAK);
    expect("verify = pki\nca_file = ca.pem", &sha1, REASON_WEAK);
    expect(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&sha1)), &sha1, REASON_WEAK);
    expect("verify = pki\nca_file = weak.pem", &under, REASON_WEAK);
}

static void the_pki_is_checked_whole(void **state)
{
    struct cert expired = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .from = -9, .to = -1, .issuer = &ca});
    struct cert early = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .from = 1, .to = 9, .issuer = &ca});
    struct cert client = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .eku = "clientAuth", .issuer = &ca});
    struct cert by_leaf = certs_leaf("DNS:api.example.com", &leaf);
    struct cert cn = certs_make(&(struct cert_order){.cn = "api.example.com", .issuer = &ca});
    const struct {
        const struct cert *cert, *more;
        enum reason reason;
    } rows[] = {
        {&leaf, NULL, REASON_OK},      {&leaf, &ca, REASON_OK},    {&twin, NULL, REASON_PKI},
        {&expired, NULL, REASON_PKI},  {&early, NULL, REASON_PKI}, {&client, NULL, REASON_PKI},
        {&by_leaf, &leaf, REASON_PKI}, {&by_sub, &sub, REASON_OK}, {&by_sub, NULL, REASON_PKI},
        {&cn, NULL, REASON_PKI},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const struct presented p = {.leaf = rows[i].cert, .more = {rows[i].more}};

        expect_at("verify = pki\nca_file = ca.pem", &p, NOW, rows[i].reason);
        expect_at(keys("%sverify = pin+pki\nca_file = ca.pem", pin(rows[i].cert)), &p, NOW,
                  rows[i].reason);
        /* no pin matches: that comes first, whatever the PKI says */
        expect_at(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&other_ca)), &p, NOW,
                  REASON_PIN_MISMATCH);
    }
    /* other anchors */
    temp_text("other.pem", certs_pem(other_ca.x509));
    expect("verify = pki\nca_file = other.pem", &leaf, REASON_PKI);
    expect("verify = pki\nca_file = other.pem\nca_file = ca.pem", &leaf, REASON_OK);
    /* with anchors of its own, and with the CA sent along, the system's do not matter */
    expect_at("verify = pki\nca_file = other.pem", &(struct presented){&leaf, {&ca}}, NOW,
              REASON_PKI);
    /* another day */
    expect_at("verify = pki\nca_file = ca.pem", &(struct presented){.leaf = &leaf},
              NOW + 101 * 86400, REASON_PKI);
}

static void the_detail_tells_what_and_where(void **state)
{
    struct cert expired = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .from = -9, .to = -1, .issuer = &ca});
    struct trust_verdict v;

    (void)state;
    judge("verify = pki\nca_file = ca.pem", &(struct presented){.leaf = &expired}, NOW, &v);
    assert_contains(v.detail, "expired");
    assert_contains(v.detail, "depth 0");
    trust_verdict_free(&v);
    judge(keys("pin = %s until=2027-01-01 name=old", certs_key_pin(&leaf)),
          &(struct presented){.leaf = &leaf}, NOW, &v);
    assert_contains(v.detail, "old");
    assert_contains(v.detail, "2027-01-01");
    trust_verdict_free(&v);
}

static void the_verdict_names_the_pin_that_matched(void **state)
{
    struct config *c = load(
        keys("[api.example.com]\n%spin = %s name=second\n", pin(&twin), certs_key_pin(&leaf)));
    struct diag_list diags = {0};
    struct policy *policy = policy_new(c->sections[0], stores, NULL, &diags);
    STACK_OF(X509) *sent = sk_X509_new_null();
    struct trust_verdict v = {0};
    struct cert_info info;
    char *text;

    (void)state;
    assert_non_null(policy);
    sk_X509_push(sent, leaf.x509);
    sk_X509_push(sent, ca.x509);
    trust_judge(policy, &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true},
                NOW, &v);
    assert_true(v.trusted);
    assert_string_equal(pin_label(v.pin), "second");
    assert_int_equal(peerchain_length(&v), 2);
    assert_true(peerchain_describe(&v, 1, &info));
    assert_string_equal(info.subject, "CN=Example CA");
    cert_info_free(&info);
    assert_false(peerchain_starts_with(&v, ca.x509));
    text = peerchain_pins(&v);
    assert_string_equal(text, keys("%s %s issuer:%s issuer-%s", certs_key_pin(&leaf),
                                   certs_cert_pin(&leaf), certs_key_pin(&ca), certs_cert_pin(&ca)));
    free(text);
    trust_verdict_free(&v);
    sk_X509_free(sent);
    policy_free(policy);
    config_free(c);
    diag_free(&diags);
}

/* SPEC 9: which of several reasons is told. */
static void reasons_have_their_precedence(void **state)
{
    struct cert bad = certs_make(&(struct cert_order){
        .san = "DNS:x.example", .key = weak_key, .from = -9, .to = -1, .issuer = &ca});
    struct cert late = certs_make(
        &(struct cert_order){.san = "DNS:x.example", .from = -9, .to = -1, .issuer = &ca});
    const char *own = certs_key_pin(&bad);

    (void)state;
    /* everything is wrong at once; then one thing less each time */
    expect(keys("%srevoked = %s\nalso_check = name dates", pin(&twin), own), &bad, REASON_REVOKED);
    expect(keys("%salso_check = name dates", pin(&twin)), &bad, REASON_PIN_MISMATCH);
    expect(keys("pin = %s until=2020-01-01\nalso_check = name dates", own), &bad,
           REASON_EXPIRED_PINS);
    expect(keys("%salso_check = name dates", pin(&bad)), &bad, REASON_WEAK);
    expect(keys("%salso_check = dates name", pin(&late)), &late, REASON_NAME);
    expect(keys("%salso_check = dates", pin(&late)), &late, REASON_DATES);
    /* the same under pin+pki */
    expect(keys("%srevoked = %s\nverify = pin+pki\nca_file = ca.pem", pin(&twin), own), &bad,
           REASON_REVOKED);
    expect(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&twin)), &bad, REASON_PIN_MISMATCH);
    expect(keys("pin = %s until=2020-01-01\nverify = pin+pki\nca_file = ca.pem", own), &bad,
           REASON_EXPIRED_PINS);
    expect(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&bad)), &bad, REASON_WEAK);
    expect(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&late)), &late, REASON_PKI);
}

/* The first and the last second of a certificate are the same to both ways of looking. */
static void dates_mean_the_same_with_and_without_pki(void **state)
{
    struct cert c = certs_make(
        &(struct cert_order){.san = "DNS:api.example.com", .from = -1, .to = 1, .issuer = &ca});
    struct presented p = {.leaf = &c};
    int64_t day = 86400;

    (void)state;
    expect_at(keys("%salso_check = dates", pin(&c)), &p, NOW - day - 1, REASON_DATES);
    expect_at("verify = pki\nca_file = ca.pem", &p, NOW - day - 1, REASON_PKI);
    expect_at(keys("%salso_check = dates", pin(&c)), &p, NOW - day + 1, REASON_OK);
    expect_at("verify = pki\nca_file = ca.pem", &p, NOW - day + 1, REASON_OK);
    expect_at(keys("%salso_check = dates", pin(&c)), &p, NOW + day - 1, REASON_OK);
    expect_at("verify = pki\nca_file = ca.pem", &p, NOW + day - 1, REASON_OK);
    expect_at(keys("%salso_check = dates", pin(&c)), &p, NOW + day + 1, REASON_DATES);
    expect_at("verify = pki\nca_file = ca.pem", &p, NOW + day + 1, REASON_PKI);
}

/* A good certificate under a CA that is not: each fault of the CA counts. */
static void a_bad_authority_spoils_what_it_signed(void **state)
{
    EVP_PKEY *key = certs_ec_key();
    const struct {
        struct cert_order sub;
        enum reason reason;
    } rows[] = {
        {{.ca = true, .from = -50, .to = 50}, REASON_OK},
        {{.ca = true, .from = -50, .to = -1}, REASON_PKI},
        {{.ca = true, .from = 1, .to = 50}, REASON_PKI},
        {{.ca = false}, REASON_PKI},
        {{.ca = true, .eku = "clientAuth"}, REASON_PKI},
        {{.ca = true, .eku = "serverAuth"}, REASON_OK},
        {{.ca = true, .digest = "SHA1"}, REASON_WEAK},
        {{.ca = true, .key = weak_key}, REASON_WEAK},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct cert_order order = rows[i].sub;
        struct cert authority, server;

        order.cn = "Some CA";
        order.issuer = &ca;
        if (!order.key)
            order.key = key;
        authority = certs_make(&order);
        server = certs_leaf("DNS:api.example.com", &authority);
        expect_at("verify = pki\nca_file = ca.pem", &(struct presented){&server, {&authority}}, NOW,
                  rows[i].reason);
        expect_at(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&server)),
                  &(struct presented){&server, {&authority}}, NOW, rows[i].reason);
        /* a pin of the server's own asks nothing of the CA */
        expect_at(pin(&server), &(struct presented){&server, {&authority}}, NOW, REASON_OK);
    }
}

static char anchor[64];

/* In a file of its own: what `stores` has read once it does not read again. */
static void write_anchor(const struct cert *c)
{
    static unsigned next;

    snprintf(anchor, sizeof(anchor), "anchor%u.pem", next++);
    temp_text(anchor, certs_pem(c->x509));
}

/*
 * RFC 5280, 4.2.1.10. A wildcard names more than a CA may have allowed: what was asked for counts.
 */
static void a_name_that_a_ca_may_not_issue_is_refused(void **state)
{
    static const struct {
        const char *constraints, *san, *name;
        enum reason want;
    } rows[] = {
        {"excluded;DNS:bar.example.com", "DNS:*.example.com", "bar.example.com", REASON_PKI},
        {"excluded;DNS:bar.example.com", "DNS:*.example.com", "BAR.Example.COM", REASON_PKI},
        {"excluded;DNS:bar.example.com", "DNS:*.example.com", "bar.example.com.", REASON_PKI},
        {"excluded;DNS:BAR.example.com", "DNS:*.Example.com", "bar.example.com", REASON_PKI},
        {"excluded;DNS:bar.example.com.", "DNS:*.example.com", "bar.example.com", REASON_PKI},
        {"excluded;DNS:bar.example.com.", "DNS:bar.example.com", "bar.example.com", REASON_PKI},
        {"excluded;DNS:bar.example.com", "DNS:*.bar.example.com", "a.bar.example.com", REASON_PKI},
        {"excluded;DNS:a.bar.example.com", "DNS:*.bar.example.com", "a.bar.example.com",
         REASON_PKI},
        {"permitted;DNS:example.com,excluded;DNS:bar.example.com", "DNS:*.example.com",
         "bar.example.com", REASON_PKI},
        {"permitted;DNS:bar.example.com", "DNS:*.example.com", "bar.example.com", REASON_PKI},
        {"permitted;DNS:bar.example.com", "DNS:bar.example.com", "bar.example.com", REASON_OK},
        {"permitted;DNS:example.com", "DNS:*.example.com", "bar.example.com", REASON_OK},
        {"excluded;DNS:bar.example.com", "DNS:*.example.com", "foo.example.com", REASON_OK},
        {"excluded;DNS:bar.example.com", "DNS:*.example.com", "foobar.example.com", REASON_OK},
        {"excluded;DNS:bar.example.com.", "DNS:*.example.com", "foo.example.com", REASON_OK},
        {"excluded;DNS:bar.example.com", "DNS:*.example.com,IP:192.0.2.1", "192.0.2.1", REASON_OK},
        {"excluded;IP:192.0.2.0/255.255.255.0", "IP:192.0.2.1", "192.0.2.1", REASON_PKI},
        {"excluded;IP:192.0.2.0/255.255.255.0", "IP:192.0.3.1", "192.0.3.1", REASON_OK},
        {"permitted;IP:192.0.2.0/255.255.255.0", "IP:192.0.3.1", "192.0.3.1", REASON_PKI},
        {"permitted;IP:192.0.2.0/255.255.255.0", "IP:192.0.2.1", "192.0.2.1", REASON_OK},
        {"permitted;IP:2001:db8::/ffff:ffff::", "IP:2001:db8::7", "2001:db8::7", REASON_OK},
        {"excluded;IP:2001:db8::/ffff:ffff::", "IP:2001:db8::7", "2001:db8::7", REASON_PKI},
        {"permitted;email:example.com", "DNS:bar.example.com", "bar.example.com", REASON_OK},
        {"excluded;DNS:.bar.example.com", "DNS:*.bar.example.com", "a.bar.example.com", REASON_PKI},
        {"permitted;DNS:.example.com", "DNS:bar.example.com", "bar.example.com", REASON_OK},
        {"excluded;DNS:.", "DNS:bar.example.com", "bar.example.com", REASON_PKI},
        {"permitted;DNS:bar.example.com.", "DNS:bar.example.com", "bar.example.com", REASON_PKI},
        /* what matches nothing excludes nothing: then the CA did not mean what it wrote */
        {"excluded;DNS:*.example.com", "DNS:bar.example.com", "bar.example.com", REASON_PKI},
        {"excluded;DNS:bar.example.com/", "DNS:bar.example.com", "bar.example.com", REASON_PKI},
        {"excluded;DNS:..example.com", "DNS:bar.example.com", "bar.example.com", REASON_PKI},
        {"DER:3000", "DNS:bar.example.com", "bar.example.com", REASON_PKI},
        {"DER:3002a000", "DNS:bar.example.com", "bar.example.com", REASON_PKI},
        {"DER:3002a100", "DNS:bar.example.com", "bar.example.com", REASON_PKI},
        {"DER:300aa10830068704c0000201", "IP:192.0.2.1", "192.0.2.1", REASON_PKI},
        {"DER:300ea10c300a8708c0000201ffffffff", "IP:192.0.2.1", "192.0.2.1", REASON_PKI},
        {"DER:300ea10c300a8708c0000202ffffffff", "IP:192.0.2.1", "192.0.2.1", REASON_OK},
    };
    size_t i, above;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        for (above = 0; above < 3; above++) {
            /*
             * the constraints are the root's, those of the CA below it, or those of one between
             * that has issued to itself, which RFC 5280 does not count as one more in other
             * respects
             */
            struct cert_order order = {
                .cn = "Bound Root", .ca = true, .constraints = rows[i].constraints};
            struct cert root = above == 0 ? certs_make(&order) : ca, inner, next, server;

            order.cn = "Inner CA";
            order.issuer = &root;
            order.constraints = above == 0 ? NULL : rows[i].constraints;
            inner = certs_make(&order);
            order.issuer = &inner;
            order.constraints = NULL;
            next = above == 2 ? certs_make(&order) : inner;
            server = certs_leaf(rows[i].san, &next);
            write_anchor(&root);
            expect_at(keys("verify = pki\nca_file = %s\nverify_name = %s", anchor, rows[i].name),
                      &(struct presented){&server, {&next, &inner}}, NOW, rows[i].want);
            expect_at(keys("pin = issuer-cert:%s\nverify_name = %s", anchor, rows[i].name),
                      &(struct presented){&server, {&next, &inner}}, NOW, rows[i].want);
            /* what is above a pinned CA is not looked at */
            if (above < 2)
                expect_at(
                    keys("pin = issuer-%s\nverify_name = %s", certs_cert_pin(&inner), rows[i].name),
                    &(struct presented){&server, {&next, &inner}}, NOW,
                    above == 0 ? REASON_OK : rows[i].want);
            /* nor is a chain, where the server's own key is pinned */
            expect_at(keys("%sverify_name = %s", pin(&server), rows[i].name),
                      &(struct presented){&server, {&next, &inner}}, NOW, REASON_OK);
        }
    }
}

/* One that says nothing of it, or says no, has not issued anything. */
static void an_anchor_must_be_a_ca(void **state)
{
    static const struct {
        const char *basic;
        enum reason want;
    } rows[] = {{"", REASON_PKI},
                {"critical,CA:FALSE", REASON_PKI},
                {"CA:FALSE", REASON_PKI},
                {"critical,CA:TRUE,pathlen:0", REASON_OK},
                {"CA:TRUE", REASON_OK}};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct cert root = certs_make(
            &(struct cert_order){.cn = "Some Root", .ca = true, .basic = rows[i].basic});
        struct cert server = certs_leaf("DNS:api.example.com", &root);
        struct presented p = {&server, {&root}};

        write_anchor(&root);
        expect_at(keys("verify = pki\nca_file = %s", anchor), &p, NOW, rows[i].want);
        expect_at(keys("%sverify = pin+pki\nca_file = %s", pin(&server), anchor), &p, NOW,
                  rows[i].want);
        expect_at(keys("pin = issuer:%s", certs_key_pin(&root)), &p, NOW, rows[i].want);
    }
    /* a server's certificate that is an anchor itself has issued none but itself */
    temp_text("twin.pem", certs_pem(twin.x509));
    expect("verify = pki\nca_file = twin.pem", &twin, REASON_OK);
}

/* What an anchor says of itself is not relied on, but its dates are. */
static void anchors_have_dates_too(void **state)
{
    struct cert old = certs_make(
        &(struct cert_order){.cn = "Old CA", .ca = true, .from = -50, .to = -1});
    struct cert sha1 = certs_make(
        &(struct cert_order){.cn = "SHA-1 CA", .ca = true, .digest = "SHA1"});
    struct cert by_old = certs_leaf("DNS:api.example.com", &old);
    struct cert by_sha1 = certs_leaf("DNS:api.example.com", &sha1);

    (void)state;
    temp_text("old.pem", certs_pem(old.x509));
    temp_text("sha1.pem", certs_pem(sha1.x509));
    expect("verify = pki\nca_file = old.pem", &by_old, REASON_PKI);
    expect("verify = pki\nca_file = sha1.pem", &by_sha1, REASON_OK);
}

/* The right name and the right key id, but another's signature. */
static void an_authority_of_the_same_name_proves_nothing(void **state)
{
    struct cert fake = certs_ca("Example CA");
    struct cert by_fake = certs_leaf("DNS:api.example.com", &fake);
    struct presented p = {&by_fake, {&fake, &ca}};

    (void)state;
    expect_at("verify = pki\nca_file = ca.pem", &p, NOW, REASON_PKI);
    expect_at(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&by_fake)), &p, NOW, REASON_PKI);
    expect_at(keys("%sverify = pin+pki\nca_file = ca.pem", pin(&ca)), &p, NOW, REASON_PIN_MISMATCH);
}

static void a_chain_without_end_is_refused(void **state)
{
    struct cert chain[12];
    struct presented p = {0};
    size_t depth, i;

    (void)state;
    for (depth = 6; depth <= 11; depth++) {
        const struct cert *issuer = &ca;

        memset(&p, 0, sizeof(p));
        for (i = 0; i < depth; i++) {
            chain[i] = certs_make(
                &(struct cert_order){.cn = keys("CA %zu", i), .ca = true, .issuer = issuer});
            issuer = &chain[i];
            p.more[i] = issuer;
        }
        chain[depth] = certs_leaf("DNS:api.example.com", issuer);
        p.leaf = &chain[depth];
        /* so many between the server's certificate and the anchor */
        expect_at("verify = pki\nca_file = ca.pem", &p, NOW, depth <= 8 ? REASON_OK : REASON_PKI);
    }
}

/* Each list of anchors is read once, however many sections have it, and lives as long as they. */
static void equal_lists_of_anchors_share_a_store(void **state)
{
    struct config *c = load("[a.example]\nhost = api.example.com\nverify = pki\n"
                            "ca_file = shared.pem\n"
                            "[b.example]\nhost = api.example.com\nverify = pki\n"
                            "ca_file = shared.pem\n"
                            "[c.example]\nhost = api.example.com\nverify = pki\n"
                            "ca_file = shared.pem\nca_file = ca.pem\n");
    struct anchors *own = anchors_new();
    struct diag_list diags = {0};
    struct policy *policies[3];
    STACK_OF(X509) *sent = sk_X509_new_null();
    struct trust_verdict v;
    size_t i;

    (void)state;
    sk_X509_push(sent, leaf.x509);
    temp_text("shared.pem", certs_pem(ca.x509));
    policies[0] = policy_new(c->sections[0], own, NULL, &diags);
    /* whoever read it again now would find another CA */
    temp_text("shared.pem", certs_pem(other_ca.x509));
    policies[1] = policy_new(c->sections[1], own, NULL, &diags);
    policies[2] = policy_new(c->sections[2], own, NULL, &diags);
    anchors_free(own);
    assert_int_equal(diags.count, 0);
    for (i = 0; i < 3; i++) {
        assert_non_null(policies[i]);
        memset(&v, 0, sizeof(v));
        trust_judge(policies[i],
                    &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true},
                    NOW, &v);
        assert_true(v.trusted);
        trust_verdict_free(&v);
        policy_free(policies[i]);
    }
    /* a new load sees the new file, and another list is another store */
    own = anchors_new();
    policies[2] = policy_new(c->sections[2], own, NULL, &diags);
    policies[0] = policy_new(c->sections[0], own, NULL, &diags);
    memset(&v, 0, sizeof(v));
    trust_judge(policies[0],
                &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true}, NOW,
                &v);
    assert_int_equal(v.reason, REASON_PKI);
    trust_verdict_free(&v);
    trust_judge(policies[2],
                &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true}, NOW,
                &v);
    assert_true(v.trusted);
    trust_verdict_free(&v);
    policy_free(policies[0]);
    policy_free(policies[2]);
    anchors_free(own);
    anchors_free(NULL);
    policy_free(NULL);
    sk_X509_free(sent);
    config_free(c);
}

/* The anchors are the section's own: another section's in the same set do not leak into them. */
static void sections_do_not_share_each_others_anchors(void **state)
{
    (void)state;
    temp_text("other.pem", certs_pem(other_ca.x509));
    expect("verify = pki\nca_file = ca.pem", &leaf, REASON_OK);
    expect("verify = pki\nca_file = other.pem", &leaf, REASON_PKI);
    expect("verify = pki", &leaf, REASON_PKI); /* the system's */
}

static void a_directory_of_anchors_counts(void **state)
{
    char name[64];

    (void)state;
    snprintf(name, sizeof(name), "hashed/%08lx.0",
             X509_NAME_hash_ex(X509_get_subject_name(ca.x509), NULL, NULL, NULL));
    temp_text(name, certs_pem(ca.x509));
    /* under any other name it is none */
    temp_text("hashed/other.pem", certs_pem(other_ca.x509));
    temp_text("hashed/0123456.0", certs_pem(other_ca.x509));
    temp_text("hashed/01234567.r0", certs_pem(other_ca.x509));
    temp_text("hashed/01234567.0~", certs_pem(other_ca.x509));
    expect("verify = pki\nca_dir = hashed", &leaf, REASON_OK);
    expect("verify = pki\nca_dir = hashed", &twin, REASON_PKI);
    expect("verify = pki\nca_dir = hashed", &by_other, REASON_PKI);
}

/* Whoever forgets to judge, or has nothing to judge, has not been told yes. */
static void a_verdict_starts_refused(void **state)
{
    struct config *c = load(keys("[api.example.com]\n%s", pin(&leaf)));
    struct diag_list diags = {0};
    struct policy *policy = policy_new(c->sections[0], stores, NULL, &diags);
    struct trust_verdict v = {0};

    (void)state;
    assert_false(v.trusted);
    assert_int_not_equal(v.reason, REASON_OK);
    assert_int_equal(peerchain_length(&v), 0);
    v.trusted = true; /* left over from whatever was before */
    trust_judge(policy, &(struct trust_evidence){.leaf = NULL, .sent = NULL, .complete = true}, NOW,
                &v);
    assert_false(v.trusted);
    assert_int_not_equal(v.reason, REASON_OK);
    assert_int_not_equal(v.x509_error, X509_V_OK);
    trust_verdict_free(&v);
    policy_free(policy);
    config_free(c);
}

static void a_section_without_pins_trusts_nobody(void **state)
{
    struct config_section *s;
    struct config *c = config_new_adhoc("api.example.com", &s);
    struct diag_list diags = {0};
    struct policy *policy = policy_new(s, stores, NULL, &diags);
    STACK_OF(X509) *sent = sk_X509_new_null();
    struct trust_verdict v = {0};
    char *text;

    (void)state;
    sk_X509_push(sent, leaf.x509);
    trust_judge(policy, &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true},
                NOW, &v);
    assert_false(v.trusted);
    assert_int_equal(v.reason, REASON_PIN_MISMATCH);
    trust_verdict_free(&v);
    policy_free(policy);

    policy = policy_new_probe(s);
    trust_judge(policy, &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true},
                NOW, &v);
    assert_false(v.trusted);
    assert_int_equal(v.reason, REASON_PROBE_ONLY);
    assert_int_not_equal(v.x509_error, X509_V_OK);
    text = peerchain_pki(policy, &v, NOW);
    assert_string_equal(text, "nothing to verify");
    free(text);
    trust_verdict_free(&v);
    policy_free(policy);
    sk_X509_free(sent);
    config_free(c);
}

/* Even a server whose key is pinned. */
static void an_observer_trusts_nobody(void **state)
{
    struct config *c = load(
        keys("[api.example.com]\n%sverify = pin+pki\nca_file = ca.pem\n", pin(&leaf)));
    struct policy *policy = policy_new_probe(c->sections[0]);
    STACK_OF(X509) *sent = sk_X509_new_null();
    struct trust_verdict v = {0};

    (void)state;
    sk_X509_push(sent, leaf.x509);
    sk_X509_push(sent, ca.x509);
    trust_judge(policy, &(struct trust_evidence){.leaf = leaf.x509, .sent = sent, .complete = true},
                NOW, &v);
    assert_false(v.trusted);
    assert_null(v.pin);
    assert_int_equal(v.reason, REASON_PROBE_ONLY);
    assert_int_equal(peerchain_length(&v), 2);
    trust_verdict_free(&v);
    policy_free(policy);
    sk_X509_free(sent);
    config_free(c);
}

/* SPEC 6: the field pki of a mismatch tells a renewal from an attack. */
static void a_mismatch_tells_what_the_pki_says(void **state)
{
    struct config *c = load(keys("[api.example.com]\n%sca_file = ca.pem\n", pin(&other_ca)));
    struct diag_list diags = {0};
    struct policy *policy = policy_new(c->sections[0], stores, NULL, &diags);
    const struct cert *const rows[] = {&leaf, &twin};
    static const char *const want[] = {"valid", "at depth 0"};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        STACK_OF(X509) *sent = sk_X509_new_null();
        struct trust_verdict v = {0};
        char *text;

        sk_X509_push(sent, rows[i]->x509);
        trust_judge(policy,
                    &(struct trust_evidence){.leaf = rows[i]->x509, .sent = sent, .complete = true},
                    NOW, &v);
        assert_int_equal(v.reason, REASON_PIN_MISMATCH);
        text = peerchain_pki(policy, &v, NOW);
        assert_contains(text, want[i]);
        free(text);
        trust_verdict_free(&v);
        sk_X509_free(sent);
    }
    policy_free(policy);
    config_free(c);
}

static void anchors_that_cannot_be_loaded_are_told_with_their_line(void **state)
{
    static const char *const rows[] = {
        "ca_file = missing.pem", "ca_file = junk.pem", "ca_file = empty.pem", "ca_dir = missing.d",
        "ca_dir = empty.d",      "ca_dir = junk.pem",  "ca_dir = damaged.d"};
    size_t i;

    (void)state;
    temp_text("junk.pem", "nonsense\n");
    temp_text("empty.pem", "");
    temp_text("empty.d/ca.pem", certs_pem(ca.x509));
    temp_text("damaged.d/01234567.0", "nonsense\n");
    for (i = 0; i < COUNT(rows); i++) {
        struct config *c = load(keys("[api.example.com]\nverify = pki\n%s\n", rows[i]));
        struct diag_list diags = {0};

        assert_null(policy_new(c->sections[0], stores, NULL, &diags));
        assert_int_equal(diags.count, 1);
        assert_int_equal(diags.items[0].line, 3);
        assert_string_equal(diags.items[0].file, temp_path("x.conf"));
        assert_contains(diags.items[0].text, strchr(rows[i], ' ') + 3);
        diag_free(&diags);
        config_free(c);
    }
}

static int setup(void **state)
{
    (void)state;
    ca = certs_ca("Example CA");
    other_ca = certs_ca("Other CA");
    sub = certs_make(&(struct cert_order){.cn = "Sub CA", .ca = true, .issuer = &ca});
    leaf = certs_leaf("DNS:api.example.com", &ca);
    by_sub = certs_leaf("DNS:api.example.com", &sub);
    by_other = certs_leaf("DNS:api.example.com", &other_ca);
    twin = certs_leaf("DNS:api.example.com", NULL);
    weak_key = certs_rsa_key(1024);
    stores = anchors_new();
    temp_text("ca.pem", certs_pem(ca.x509));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    anchors_free(stores);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_pinned_key_is_trusted),
        cmocka_unit_test(a_digest_counts_in_its_role_only),
        cmocka_unit_test(a_pinned_certificate_sent_along_proves_nothing),
        cmocka_unit_test(a_renewed_certificate_keeps_its_key_pin),
        cmocka_unit_test(a_pin_alone_looks_at_nothing_else),
        cmocka_unit_test(also_check_holds_a_pinned_certificate_to_more),
        cmocka_unit_test(names_are_compared_as_dns_and_ip_have_them),
        cmocka_unit_test(a_nul_byte_in_a_name_matches_nothing),
        cmocka_unit_test(a_trailing_dot_makes_no_second_name),
        cmocka_unit_test(a_pin_past_its_date_is_no_pin),
        cmocka_unit_test(a_revoked_key_is_refused_whatever_else_matches),
        cmocka_unit_test(a_revoked_key_in_the_verified_chain_refuses),
        cmocka_unit_test(weak_keys_and_signatures_are_refused),
        cmocka_unit_test(the_pki_is_checked_whole),
        cmocka_unit_test(the_detail_tells_what_and_where),
        cmocka_unit_test(the_verdict_names_the_pin_that_matched),
        cmocka_unit_test(reasons_have_their_precedence),
        cmocka_unit_test(dates_mean_the_same_with_and_without_pki),
        cmocka_unit_test(a_bad_authority_spoils_what_it_signed),
        cmocka_unit_test(a_name_that_a_ca_may_not_issue_is_refused),
        cmocka_unit_test(an_anchor_must_be_a_ca),
        cmocka_unit_test(anchors_have_dates_too),
        cmocka_unit_test(an_authority_of_the_same_name_proves_nothing),
        cmocka_unit_test(a_chain_without_end_is_refused),
        cmocka_unit_test(equal_lists_of_anchors_share_a_store),
        cmocka_unit_test(sections_do_not_share_each_others_anchors),
        cmocka_unit_test(a_directory_of_anchors_counts),
        cmocka_unit_test(a_verdict_starts_refused),
        cmocka_unit_test(a_section_without_pins_trusts_nobody),
        cmocka_unit_test(an_observer_trusts_nobody),
        cmocka_unit_test(a_mismatch_tells_what_the_pki_says),
        cmocka_unit_test(anchors_that_cannot_be_loaded_are_told_with_their_line),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
