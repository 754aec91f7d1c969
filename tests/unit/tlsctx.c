/* tls/tlsctx: contexts, and settings that OpenSSL or we do not take. */
#include "tls/tlsctx.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs.h"
#include "config/options.h"
#include "help.h"
#include "samples.h"
#include "tls/rawkey.h"

static const struct config_tls_settings plain = {.min = CONFIG_TLS_1_2};

static SSL_CTX *get_ctx(struct tlsctx_set *set, const struct config_tls_settings *s,
                        struct diag_list *diags)
{
    const struct config_section section = {.tls = *s};

    return tlsctx_get(set, &section, diags);
}

static void refuse(const struct config_tls_settings *s, unsigned line, const char *part)
{
    struct tlsctx_set *set = tlsctx_set_new();
    struct diag_list diags = {0};

    if (get_ctx(set, s, &diags)) {
        tlsctx_set_free(set);
        fail_msg("settings were taken that should be refused for: %s", part);
    }
    assert_int_equal(diags.count, 1);
    assert_int_equal(diags.items[0].line, line);
    assert_string_equal(diags.items[0].file, "x.conf");
    assert_contains(diags.items[0].text, part);
    diag_free(&diags);
    /* the set is as good as before */
    assert_non_null(get_ctx(set, &plain, &diags));
    assert_int_equal(diags.count, 0);
    tlsctx_set_free(set);
}

static void what_openssl_does_not_know_is_reported_in_its_line(void **state)
{
    struct config_tls_settings s = plain;

    (void)state;
    s.ciphers = (struct config_string){"NONSENSE", {"x.conf", 3}};
    refuse(&s, 3, "ciphers = NONSENSE");
    s = plain;
    s.ciphersuites = (struct config_string){"TLS_NONSENSE", {"x.conf", 4}};
    refuse(&s, 4, "ciphersuites = TLS_NONSENSE");
    s = plain;
    s.groups = (struct config_string){"P-257", {"x.conf", 5}};
    refuse(&s, 5, "groups = P-257");
    s.groups = (struct config_string){"P-256:P-257", {"x.conf", 5}};
    refuse(&s, 5, "groups = P-256:P-257: not a list of groups that OpenSSL knows");
    s = plain;
    s.sigalgs = (struct config_string){"RSA+SHA257", {"x.conf", 6}};
    refuse(&s, 6, "sigalgs = RSA+SHA257");
}

static void the_name_at_fault_in_a_list_is_reported(void **state)
{
    struct config_tls_settings s = plain;

    (void)state;
    s.groups = (struct config_string){"X25519:P-257:P-256", {"x.conf", 5}};
    refuse(&s, 5, "'P-257' is not known to OpenSSL");
    s = plain;
    s.sigalgs = (struct config_string){"ECDSA+SHA256:RSA+SHA257", {"x.conf", 6}};
    refuse(&s, 6, "'RSA+SHA257' is not known to OpenSSL");
}

/* OpenSSL 3.5 takes them. */
static void a_name_that_is_there_twice_is_reported_or_taken(void **state)
{
    struct config_tls_settings s = plain;
    struct tlsctx_set *set = tlsctx_set_new();
    struct diag_list diags = {0};

    (void)state;
    s.groups = (struct config_string){"X25519:P-256:x25519", {"x.conf", 5}};
    if (!get_ctx(set, &s, &diags))
        assert_contains(diags.items[0].text, "'x25519' is there twice");
    diag_free(&diags);
    tlsctx_set_free(set);
}

/* So that an administrator mends them all in one go. */
static void all_errors_are_reported_at_once(void **state)
{
    const struct config_tls_settings s = {
        .min = CONFIG_TLS_1_2,
        .ciphers = {"NONSENSE", {"x.conf", 3}},
        .ciphersuites = {"TLS_NONSENSE", {"x.conf", 4}},
        .groups = {"P-257", {"x.conf", 5}},
        .sigalgs = {"RSA+SHA257", {"y.conf", 6}},
    };
    struct tlsctx_set *set = tlsctx_set_new();
    struct diag_list diags = {0};
    unsigned i;

    (void)state;
    assert_null(get_ctx(set, &s, &diags));
    assert_int_equal(diags.count, 4);
    for (i = 0; i < 4; i++)
        assert_int_equal(diags.items[i].line, 3 + i);
    assert_string_equal(diags.items[3].file, "y.conf");
    diag_free(&diags);
    tlsctx_set_free(set);
}

static void unsafe_cipher_lists_are_refused(void **state)
{
    static const char *const rows[] = {
        "aNULL",
        "eNULL",
        "NULL",
        "ADH",
        "PSK",
        "SRP",
        "kRSA",
        "ALL",
        "ALL:eNULL",
        "AES128-SHA",
        "HIGH:aNULL",
        "DEFAULT@SECLEVEL=0",
        "@SECLEVEL=1:ALL",
        "ECDHE-RSA-AES128-GCM-SHA256:AES128-GCM-SHA256",
        "ECDHE-PSK-AES128-CBC-SHA256",
        "DHE-PSK-AES128-CBC-SHA",
        "RSA-PSK-AES128-CBC-SHA",
        "AECDH-AES128-SHA",
        "ECDHE-RSA-NULL-SHA",
        "SRP-AES-128-CBC-SHA",
        "ECDHE+AESGCM:@SECLEVEL=1",
        "@SECLEVEL=0:ECDHE+AESGCM",
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct config_tls_settings s = plain;

        s.ciphers = (struct config_string){rows[i], {"x.conf", 7}};
        refuse(&s, 7, rows[i]);
    }
}

/* These have a certificate, but the key comes from a password: kx is SRP, auth is not. */
static void srp_suites_are_refused_with_a_certificate_too(void **state)
{
    static const char *const rows[] = {"SRP-RSA-AES-128-CBC-SHA", "SRP-DSS-AES-128-CBC-SHA",
                                       "ECDHE+AESGCM:SRP-RSA-AES-256-CBC-SHA"};
    struct config_tls_settings s = plain;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        s.ciphers = (struct config_string){rows[i], {"x.conf", 7}};
        refuse(&s, 7, rows[i]);
    }
}

static void safe_lists_are_taken(void **state)
{
    struct tlsctx_set *set = tlsctx_set_new();
    struct config_tls_settings s = plain;
    struct diag_list diags = {0};

    (void)state;
    s.ciphers = (struct config_string){"ECDHE+AESGCM:ECDHE+CHACHA20", {"x.conf", 1}};
    s.ciphersuites = (struct config_string){"TLS_AES_256_GCM_SHA384", {"x.conf", 2}};
    s.groups = (struct config_string){"X25519:P-256", {"x.conf", 3}};
    s.sigalgs = (struct config_string){"ECDSA+SHA256:RSA-PSS+SHA256", {"x.conf", 4}};
    s.max = CONFIG_TLS_1_3;
    assert_non_null(get_ctx(set, &s, &diags));
    assert_int_equal(diags.count, 0);
    tlsctx_set_free(set);
}

static void equal_settings_share_a_context_and_others_do_not(void **state)
{
    struct tlsctx_set *set = tlsctx_set_new();
    struct config_tls_settings a = plain, b = plain, c = plain, d = plain;
    struct diag_list diags = {0};
    SSL_CTX *ctx;

    (void)state;
    ctx = get_ctx(set, &a, &diags);
    assert_non_null(ctx);
    b.ciphers.where.line = 9; /* where it stands makes no difference */
    assert_ptr_equal(get_ctx(set, &b, &diags), ctx);
    c.ciphers = (struct config_string){"ECDHE+AESGCM", {"x.conf", 1}};
    d.ciphers = (struct config_string){"ECDHE+AESGCM", {"y.conf", 2}};
    assert_ptr_not_equal(get_ctx(set, &c, &diags), ctx);
    assert_ptr_equal(get_ctx(set, &d, &diags), get_ctx(set, &c, &diags));
    c = d = plain;
    c.max = CONFIG_TLS_1_2;
    d.max = CONFIG_TLS_1_3;
    assert_ptr_not_equal(get_ctx(set, &c, &diags), get_ctx(set, &d, &diags));
    c = d = plain;
    b.min = CONFIG_TLS_1_3;
    assert_ptr_not_equal(get_ctx(set, &b, &diags), ctx);
    c.groups.text = "P-256";
    d.sigalgs.text = "ECDSA+SHA256";
    assert_ptr_not_equal(get_ctx(set, &c, &diags), get_ctx(set, &d, &diags));
    assert_ptr_equal(get_ctx(set, &a, &diags), ctx);
    assert_int_equal(diags.count, 0);
    tlsctx_set_free(set);
    tlsctx_set_free(NULL);
}

/* Returns the path of a file with a certificate and its key. */
static const char *client_file(void)
{
    const struct cert cert = certs_leaf("DNS:client.example", NULL);
    char text[8192];

    snprintf(text, sizeof(text), "%s%s", certs_pem(cert.x509), certs_private_pem(cert.key, NULL));
    return temp_text("client.pem", text);
}

/* A context that another section shares must not lack a setting of it. */
static void every_option_that_shapes_a_context_is_a_part_of_its_key(void **state)
{
    struct tlsctx_set *set = tlsctx_set_new();
    struct diag_list diags = {0};
    struct arena arena = {0};
    SSL_CTX *ctx;
    size_t i;

    (void)state;
    ctx = get_ctx(set, &plain, &diags);
    for (i = 0; i < options_count; i++) {
        const struct option_row *o = &options[i];
        struct config_section s = {.name = "a.example", .where.file = "x.conf", .tls = plain};
        SSL_CTX *other;

        if (o->scope == OPTION_GLOBAL || !o->size)
            continue;
        if (!sample_set(o, &s, &arena))
            continue;
        if (s.tls.client_cert.text)
            s.tls.client_cert.text = client_file(); /* it is read at once */
        other = tlsctx_get(set, &s, &diags);
        if (s.tls.raw_key != RAW_KEY_NO && !rawkey_is_supported()) {
            assert_null(other);
            diag_free(&diags);
            continue;
        }
        if (diags.count)
            fail_msg("%s: %s", o->name, diags.items[0].text);
        if ((other == ctx) == ((o->flags & OPTION_TLS) != 0))
            fail_msg("%s %s", o->name, other == ctx ? "shares a context" : "has its own context");
    }
    arena_free(&arena);
    tlsctx_set_free(set);
}

/* make() sees no more of a section, so that what is not a part of the key cannot shape a context */
static void the_key_has_all_that_a_context_is_made_from(void **state)
{
    const size_t start = offsetof(struct config_section, tls);
    size_t i;

    (void)state;
    for (i = 0; i < options_count; i++) {
        const struct option_row *o = &options[i];
        const bool inside = o->scope != OPTION_GLOBAL && o->size && o->offset >= start
                            && o->offset < start + sizeof(struct config_tls_settings);

        if (inside != ((o->flags & OPTION_TLS) != 0))
            fail_msg("%s is %s struct config_tls_settings", o->name, inside ? "in" : "not in");
    }
}

static void versions_are_bounded_as_asked(void **state)
{
    static const struct {
        enum config_tls min, max;
        long want_min, want_max;
    } rows[] = {
        {CONFIG_TLS_1_2, CONFIG_TLS_ANY, TLS1_2_VERSION, 0},
        {CONFIG_TLS_1_2, CONFIG_TLS_1_2, TLS1_2_VERSION, TLS1_2_VERSION},
        {CONFIG_TLS_1_3, CONFIG_TLS_ANY, TLS1_3_VERSION, 0},
        {CONFIG_TLS_1_3, CONFIG_TLS_1_3, TLS1_3_VERSION, TLS1_3_VERSION},
    };
    struct tlsctx_set *set = tlsctx_set_new();
    struct diag_list diags = {0};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const struct config_tls_settings s = {.min = rows[i].min, .max = rows[i].max};
        SSL_CTX *ctx = get_ctx(set, &s, &diags);

        assert_non_null(ctx);
        assert_int_equal(SSL_CTX_get_min_proto_version(ctx), rows[i].want_min);
        assert_int_equal(SSL_CTX_get_max_proto_version(ctx), rows[i].want_max);
    }
    tlsctx_set_free(set);
}

/* An administrator's own list cannot lower the level either. */
static void the_security_level_stands_under_any_list(void **state)
{
    struct tlsctx_set *set = tlsctx_set_new();
    struct config_tls_settings s = plain;
    struct diag_list diags = {0};
    SSL_CTX *ctx;

    (void)state;
    s.ciphers = (struct config_string){"ECDHE+AESGCM", {"x.conf", 1}};
    s.sigalgs = (struct config_string){"ECDSA+SHA256", {"x.conf", 2}};
    ctx = get_ctx(set, &s, &diags);
    assert_non_null(ctx);
    assert_int_equal(SSL_CTX_get_security_level(ctx), 2);
    assert_int_equal(SSL_CTX_get_verify_mode(ctx), SSL_VERIFY_PEER);
    tlsctx_set_free(set);
}

/* DESIGN 7: what a context must never allow, whatever openssl.cnf says. */
static void a_context_is_strict(void **state)
{
    struct tlsctx_set *set = tlsctx_set_new();
    struct diag_list diags = {0};
    SSL_CTX *ctx = get_ctx(set, &plain, &diags);
    STACK_OF(SSL_CIPHER) *list;
    uint64_t set_options;
    int i;

    (void)state;
    assert_non_null(ctx);
    set_options = SSL_CTX_get_options(ctx);
    assert_true(set_options & SSL_OP_NO_RENEGOTIATION);
    assert_true(set_options & SSL_OP_NO_COMPRESSION);
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION
    assert_true(set_options & SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
#endif
    assert_false(set_options & SSL_OP_IGNORE_UNEXPECTED_EOF);
    assert_false(set_options & SSL_OP_LEGACY_SERVER_CONNECT);
    assert_false(set_options & SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
    assert_int_equal(SSL_CTX_get_verify_mode(ctx), SSL_VERIFY_PEER);
    assert_int_equal(SSL_CTX_get_session_cache_mode(ctx), SSL_SESS_CACHE_OFF);
    assert_int_equal(SSL_CTX_get_security_level(ctx), 2);
    assert_int_equal(SSL_CTX_get_max_cert_list(ctx), 65536);
    list = SSL_CTX_get_ciphers(ctx);
    assert_true(sk_SSL_CIPHER_num(list) > 5);
    for (i = 0; i < sk_SSL_CIPHER_num(list); i++) {
        const SSL_CIPHER *c = sk_SSL_CIPHER_value(list, i);

        assert_int_not_equal(SSL_CIPHER_get_auth_nid(c), NID_auth_null);
        assert_int_not_equal(SSL_CIPHER_get_auth_nid(c), NID_auth_psk);
        assert_int_not_equal(SSL_CIPHER_get_kx_nid(c), NID_kx_rsa);
        assert_int_not_equal(SSL_CIPHER_get_kx_nid(c), NID_kx_dhe);
        assert_true(SSL_CIPHER_get_bits(c, NULL) >= 128);
    }
    tlsctx_set_free(set);
}

/* One row: some settings, and the name that stands in the error, or NULL where they work. */
struct offer_row {
    const char *ciphers, *ciphersuites, *groups, *sigalgs;
    enum config_tls min, max;
    const char *part;
};

static void check_offer(const struct offer_row *r)
{
    struct tlsctx_set *set = tlsctx_set_new();
    struct diag_list diags = {0};
    const struct config_tls_settings s = {
        .min = r->min ? r->min : CONFIG_TLS_1_2,
        .max = r->max,
        .ciphers = {r->ciphers, {"x.conf", 1}},
        .ciphersuites = {r->ciphersuites, {"x.conf", 2}},
        .groups = {r->groups, {"x.conf", 3}},
        .sigalgs = {r->sigalgs, {"x.conf", 4}},
    };
    SSL_CTX *ctx = get_ctx(set, &s, &diags);

    if (r->part && ctx)
        fail_msg("taken, which should be refused for %s", r->part);
    if (!r->part && !ctx)
        fail_msg("%s", diags.items[0].text);
    assert_int_equal(diags.count, r->part ? 1 : 0);
    if (r->part)
        assert_contains(diags.items[0].text, r->part);
    diag_free(&diags);
    tlsctx_set_free(set);
}

/*
 * OpenSSL takes them, and then no connection could be made; or it passes over a name without a
 * word.
 */
static void what_is_named_and_never_offered_is_refused(void **state)
{
    static const struct offer_row rows[] = {
        {.sigalgs = "RSA+SHA1", .part = "'RSA+SHA1' is never offered"},
        {.sigalgs = "RSA+SHA256:RSA+SHA1", .part = "'RSA+SHA1' is never offered"},
        {.sigalgs = "ECDSA+SHA1:ECDSA+SHA256", .part = "'ECDSA+SHA1' is never offered"},
        {.sigalgs = "RSA+SHA256", .min = CONFIG_TLS_1_3, .part = "no server of TLS 1.3"},
        {.ciphers = "ECDHE+AESGCM:NONSENSE", .part = "'NONSENSE' is not known"},
        {.ciphers = "ECDHE+AESGCM NONSENSE", .part = "'NONSENSE' is not known"},
        {.ciphers = "ECDHE+AESGCM:TLS_AES_128_GCM_SHA256", .part = "'TLS_AES_128_GCM_SHA256'"},
        {.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256",
         .sigalgs = "RSA-PSS+SHA256",
         .part = "ciphers = ECDHE-ECDSA-AES128-GCM-SHA256: none"},
        {.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256",
         .sigalgs = "RSA-PSS+SHA256",
         .max = CONFIG_TLS_1_2,
         .part = "no connection can be made"},
        {.ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_NONSENSE", .part = "'TLS_NONSENSE'"},
        {.ciphersuites = "TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256",
         .part = "'ECDHE-RSA-AES128-GCM-SHA256'"},
        {.groups = "secp192r1:X25519", .part = "secp192r1"},
        {.groups = "brainpoolP256r1", .min = CONFIG_TLS_1_3, .part = "'brainpoolP256r1'"},
        {.groups = "brainpoolP256r1", .part = "no connection can be made"},
        {.groups = "ffdhe2048:X25519", .max = CONFIG_TLS_1_2, .part = "'ffdhe2048'"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        check_offer(&rows[i]);
}

static void what_works_is_taken(void **state)
{
    static const struct offer_row rows[] = {
        {0},
        {.min = CONFIG_TLS_1_3},
        {.max = CONFIG_TLS_1_2},
        {.ciphers = "HIGH:!aNULL:!kRSA:!PSK:!SRP:!DSS:-SHA:+AES256"},
        {.ciphers = "ECDHE+AESGCM,ECDHE+CHACHA20"},
        {.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256", .max = CONFIG_TLS_1_2},
        {.ciphers = "DHE-RSA-AES256-GCM-SHA384:ECDHE+AESGCM"},
        {.ciphersuites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"},
        {.ciphersuites = "TLS_AES_256_GCM_SHA384", .min = CONFIG_TLS_1_3},
        {.groups = "brainpoolP256r1:X25519"},
        {.groups = "brainpoolP256r1", .max = CONFIG_TLS_1_2},
        {.groups = "P-256:P-384:P-521:X25519:X448"},
        {.groups = "ffdhe2048"},
        {.sigalgs = "RSA+SHA256", .max = CONFIG_TLS_1_2},
        {.sigalgs = "RSA+SHA256"},
        {.sigalgs = "ed25519:ed448:ECDSA+SHA256:RSA-PSS+SHA512"},
        {.sigalgs = "ECDSA+SHA384", .min = CONFIG_TLS_1_3},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        check_offer(&rows[i]);
}

static const char *finite_field(const char *ciphers, const char *groups)
{
    struct tlsctx_set *set = tlsctx_set_new();
    struct config_tls_settings s = plain;
    struct diag_list diags = {0};
    const char *offered;
    SSL_CTX *ctx;

    s.ciphers = (struct config_string){ciphers, {"x.conf", 1}};
    s.groups = (struct config_string){groups, {"x.conf", 2}};
    ctx = get_ctx(set, &s, &diags);
    if (!ctx)
        fail_msg("%s", diags.items[0].text);
    offered = tlsctx_finite_field(ctx, &s);
    tlsctx_set_free(set);
    return offered;
}

static void finite_field_diffie_hellman_is_found_where_it_is_offered(void **state)
{
    (void)state;
    assert_null(finite_field(NULL, NULL));
    assert_null(finite_field("ECDHE+AESGCM", "X25519:P-256"));
    assert_non_null(finite_field(NULL, "X25519:ffdhe2048"));
    assert_contains(finite_field("ECDHE+AESGCM:DHE-RSA-AES128-GCM-SHA256", NULL),
                    "DHE-RSA-AES128-GCM-SHA256");
    assert_non_null(finite_field("HIGH:!aNULL:!kRSA:!PSK:!SRP", NULL));
}

/* An openssl.cnf as bad as can be, so that what is strict here is strict by our own doing. */
static int setup(void **state)
{
    const char *path = temp_text("openssl.cnf", "openssl_conf = start\n"
                                                "[start]\n"
                                                "ssl_conf = modules\n"
                                                "[modules]\n"
                                                "system_default = careless\n"
                                                "[careless]\n"
                                                "MinProtocol = TLSv1\n"
                                                "CipherString = ALL:@SECLEVEL=0\n"
                                                "VerifyMode = Request\n"
                                                "Options = UnsafeLegacyRenegotiation,"
                                                "UnsafeLegacyServerConnect,"
                                                "Compression\n");
    SSL_CTX *ctx;

    (void)state;
    if (setenv("OPENSSL_CONF", path, 1) != 0)
        return -1;
    ctx = SSL_CTX_new(TLS_client_method());
    /* it was read */
    assert_non_null(ctx);
    assert_int_equal(SSL_CTX_get_security_level(ctx), 0);
    assert_true(SSL_CTX_get_options(ctx) & SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
    SSL_CTX_free(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_openssl_does_not_know_is_reported_in_its_line),
        cmocka_unit_test(the_name_at_fault_in_a_list_is_reported),
        cmocka_unit_test(a_name_that_is_there_twice_is_reported_or_taken),
        cmocka_unit_test(all_errors_are_reported_at_once),
        cmocka_unit_test(unsafe_cipher_lists_are_refused),
        cmocka_unit_test(srp_suites_are_refused_with_a_certificate_too),
        cmocka_unit_test(safe_lists_are_taken),
        cmocka_unit_test(equal_settings_share_a_context_and_others_do_not),
        cmocka_unit_test(every_option_that_shapes_a_context_is_a_part_of_its_key),
        cmocka_unit_test(the_key_has_all_that_a_context_is_made_from),
        cmocka_unit_test(versions_are_bounded_as_asked),
        cmocka_unit_test(the_security_level_stands_under_any_list),
        cmocka_unit_test(a_context_is_strict),
        cmocka_unit_test(what_is_named_and_never_offered_is_refused),
        cmocka_unit_test(what_works_is_taken),
        cmocka_unit_test(finite_field_diffie_hellman_is_found_where_it_is_offered),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
