/* trust/chain: which chains lead to an anchor, and what a key may be. */
#include "trust/chain.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

#include "judging.h"

/*
 * A public key that nobody has the private one of, with a modulus and an exponent of so many bits.
 */
static EVP_PKEY *rsa_of(int bits, int exponent_bits)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *n = BN_new(), *e = BN_new();
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params;

    assert_true(BN_rand(n, bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD) == 1
                && BN_rand(e, exponent_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD) == 1
                && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1
                && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1);
    params = OSSL_PARAM_BLD_to_param(build);
    assert_true(EVP_PKEY_fromdata_init(ctx) == 1
                && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(ctx);
    BN_free(n);
    BN_free(e);
    return key;
}

static void a_server_key_that_is_slow_to_use_is_refused(void **state)
{
    static const struct {
        int bits, exponent_bits;
        bool ok;
    } rows[] = {
        {2048, 17, true},    {4096, 17, true},  {8192, 17, true},
        {8192, 64, true},    {2048, 65, false}, {3072, 65, false},
        {3072, 3071, false}, {8193, 17, false}, {16384, 17, false},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        EVP_PKEY *key = rsa_of(rows[i].bits, rows[i].exponent_bits);

        assert_true(chain_key_is_strong(key));
        assert_int_equal(chain_key_is_bounded(key), rows[i].ok);
        EVP_PKEY_free(key);
    }
    assert_true(chain_key_is_bounded(certs_ec_key()));
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

/* A good certificate under a CA that is not: each fault of the CA counts. */
static void a_fault_of_a_ca_refuses_what_it_signed(void **state)
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
            const char *anchor;

            order.cn = "Inner CA";
            order.issuer = &root;
            order.constraints = above == 0 ? NULL : rows[i].constraints;
            inner = certs_make(&order);
            order.issuer = &inner;
            order.constraints = NULL;
            next = above == 2 ? certs_make(&order) : inner;
            server = certs_leaf(rows[i].san, &next);
            anchor = write_anchor(&root);
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
        const char *anchor = write_anchor(&root);

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
static void a_ca_of_the_same_name_proves_nothing(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_key_that_is_slow_to_use_is_refused),
        cmocka_unit_test(weak_keys_and_signatures_are_refused),
        cmocka_unit_test(the_pki_is_checked_whole),
        cmocka_unit_test(a_fault_of_a_ca_refuses_what_it_signed),
        cmocka_unit_test(a_name_that_a_ca_may_not_issue_is_refused),
        cmocka_unit_test(an_anchor_must_be_a_ca),
        cmocka_unit_test(anchors_have_dates_too),
        cmocka_unit_test(a_ca_of_the_same_name_proves_nothing),
        cmocka_unit_test(a_chain_without_end_is_refused),
    };

    return cmocka_run_group_tests(tests, judging_setup, judging_teardown);
}
