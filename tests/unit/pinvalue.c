/* pin/pinvalue: the values of `pin` and `revoked`. A value that is not exactly a pin is an error. */
#include "pin/pinvalue.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "certs.h"
#include "help.h"

#define A "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="
#define B "sha256//Vjs8r4z+80wjNcr1YKepWQboSIRi63WsWXhIMN+eWys="
#define HEX "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define COLONS                                                                                     \
    "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:"   \
    "EE:FF"

static struct arena arena;
static struct cert server, other;

static struct pin_list parse(const char *value)
{
    struct pin_list list = {0};
    const char *why = pinvalue_parse(value, temp_dir(), &arena, &list);

    if (why)
        fail_msg("'%s': %s", value, why);
    assert_true(list.count > 0);
    return list;
}

/* Refused, with a word of the reason; a list that stood before is as it was. */
static void refuse(const char *value, const char *part)
{
    struct pin_list list = {0};
    const char *why;
    struct pin before;

    assert_null(pinvalue_parse(B " name=before", NULL, &arena, &list));
    before = list.items[0];
    why = pinvalue_parse(value, temp_dir(), &arena, &list);
    if (!why)
        fail_msg("'%s' was taken", value);
    assert_contains(why, part);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].kind, before.kind);
    assert_memory_equal(list.items[0].digest, before.digest, CERT_DIGEST_SIZE);
    assert_string_equal(list.items[0].name, "before");
    /* and it can go on */
    assert_null(pinvalue_parse(A, NULL, &arena, &list));
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[1].text, A);
    assert_null(list.items[1].name);
}

static void a_key_digest_is_read_and_printed_the_same(void **state)
{
    static const uint8_t first[] = {0x60, 0xb8, 0x75, 0x75};
    struct pin_list list = parse(A);
    char text[PIN_KEY_TEXT_SIZE];

    (void)state;
    assert_int_equal(list.count, 1);
    assert_int_equal(list.items[0].kind, PIN_KEY);
    assert_memory_equal(list.items[0].digest, first, sizeof(first));
    assert_string_equal(list.items[0].text, A);
    assert_string_equal(pin_label(&list.items[0]), A);
    assert_int_equal(list.items[0].until, 0);
    pin_format_key(list.items[0].digest, text);
    assert_string_equal(text, A);
}

static void base64_that_is_not_exact_is_refused(void **state)
{
    static const struct {
        const char *value, *part;
    } rows[] = {
        {"sha256//", "44"},
        {"sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg", "44"},
        {"sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg==", "44"},
        {"sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihh=", "spare bits"},
        {"sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihj=", "spare bits"},
        {"sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2FuihgA", "padding"},
        {"sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuih==", "padding"},
        {"sha256//YLh1dUR9y6Kja30RrAn7JKnbQG_uEtLMkBgFF2Fuihg=", "44"},
        {"sha256//YLh1dUR9y6Kja30RrAn7JKnbQG-uEtLMkBgFF2Fuihg=", "44"},
        {"sha256//YLh1dUR9y6Kja30RrAn7JKnb=G/uEtLMkBgFF2Fuihg=", "sha256//"},
        {"sha256//YLh1dUR9y6Kja30RrAn7 KnbQG/uEtLMkBgFF2Fuihg=", "sha256//"},
        {"sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg\n", "sha256//"},
        {"sha256// YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuih", "sha256//"},
        {"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "all-zero"},
        {"sha256//" HEX, "44"},
        {"sha256/YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=", "expected"},
        {"SHA256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=", "lower case"},
        {"YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=", "expected"},
        {" " A, "expected"},
        {A A, "44"},
        {A " " B, "one pin a line"},
        {A "," B, "one pin a line"},
        {A " until=2027-01-01 " B, "one pin a line"},
        {"cert:a.pem key:b.pem", "one pin a line"},
        {A " until = 2027-01-01", "until=YYYY-MM-DD"},
        {A " UNTIL=2027-01-01", "until=YYYY-MM-DD"},
        {"key:a.pem name=two words", "name=WORD"},
        {"key:a.pem\tname : x", "name=WORD"},
        {"key:" A, "a digest is written"},
        {"cert:SHA256:00", "a digest is written"},
        {"issuer-cert:" A, "a digest is written"},
        {"cert:no name.pem", "No such file"},
        {"", "expected"},
        /* what other programs print and take */
        {"pin-sha256=\"YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=\"", "two slashes, no quotes"},
        {"\"" A "\"", "two slashes, no quotes"},
        {"sha256:YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=", "two slashes, no quotes"},
        {"SHA256:YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg", "two slashes, no quotes"},
        {"YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg", "two slashes, no quotes"},
        {HEX, "cert:sha256:HEX"},
        {COLONS, "cert:sha256:HEX"},
        {"sha256:" HEX, "cert:sha256:HEX"},
        {"SHA256 Fingerprint=" COLONS, "cert:sha256:HEX"},
        {"sha256 Fingerprint=" COLONS, "cert:sha256:HEX"},
        {"server.pem", "cert:FILE for a certificate"},
        {"/etc/ssl/server", "cert:FILE for a certificate"},
        {"-----BEGIN CERTIFICATE-----", "PEM block"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        refuse(rows[i].value, rows[i].part);
}

static void two_on_a_line_are_two_pins(void **state)
{
    struct pin_list list = parse(A ";" B " until=2027-06-30 name=both");
    size_t i;

    (void)state;
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[0].text, A);
    assert_string_equal(list.items[1].text, B);
    for (i = 0; i < 2; i++) {
        assert_int_equal(list.items[i].until, 1814313600);
        assert_string_equal(list.items[i].name, "both");
    }
}

static void a_wrong_pin_refuses_the_whole_value(void **state)
{
    (void)state;
    refuse("sha256//aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=;", "after ';'");
    refuse(A ";;" A, "after ';'");
    refuse(";" A, "expected");
    refuse(A ";cert:sha256:" HEX, "after ';'");
    refuse(A ";" A, "duplicate");
    refuse(A ";" B, "duplicate"); /* B stands there already */
    refuse(A ";sha256//short", "44");
    refuse(A "; sha256//Vjs8r4z+80wjNcr1YKepWQboSIRi63WsWXhIMN+eWys=", "one pin a line");
}

static void a_certificate_digest_has_colons_everywhere_or_nowhere(void **state)
{
    struct pin_list list = parse("cert:sha256:" HEX), again = parse("cert:sha256:" COLONS);
    char text[PIN_CERT_TEXT_SIZE];

    (void)state;
    assert_int_equal(list.items[0].kind, PIN_CERT);
    assert_int_equal(list.items[0].digest[1], 0x11);
    assert_int_equal(list.items[0].digest[31], 0xff);
    assert_memory_equal(list.items[0].digest, again.items[0].digest, CERT_DIGEST_SIZE);
    pin_format_cert(list.items[0].digest, text);
    assert_string_equal(
        text, "cert:sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
    assert_string_equal(list.items[0].text, text);

    refuse("cert:sha256:", "64 hex digits");
    refuse("cert:sha256:" HEX "0", "64 hex digits");
    refuse("cert:sha256:" HEX "00", "64 hex digits");
    refuse("cert:sha256:" COLONS ":", "64 hex digits");
    refuse("cert:sha256::" COLONS, "64 hex digits");
    /* one colon moved, one missing, other separators */
    refuse("cert:sha256:001:1:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:"
           "99:AA:BB:CC:DD:EE:FF",
           "64 hex digits");
    refuse("cert:sha256:0011:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:"
           "99:AA:BB:CC:DD:EE:FF",
           "64 hex digits");
    refuse("cert:sha256:00-11-22-33-44-55-66-77-88-99-aa-bb-cc-dd-ee-ff-00-11-22-33-44-55-66-77-88-"
           "99-AA-BB-CC-DD-EE-FF",
           "64 hex digits");
    refuse("cert:sha256:0g112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF",
           "64 hex digits");
    refuse("cert:sha256:0x112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF",
           "64 hex digits");
    refuse("cert:sha256: 0112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF",
           "64 hex digits");
    refuse("cert:sha256:+0112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF",
           "64 hex digits");
    refuse("cert:sha256:0000000000000000000000000000000000000000000000000000000000000000",
           "all-zero");
    refuse("sha256:" HEX, "expected");
}

static void forgeable_digests_are_refused_by_name(void **state)
{
    (void)state;
    refuse("cert:md5:00112233445566778899aabbccddeeff", "SHA-256");
    refuse("cert:sha1:00112233445566778899aabbccddeeff00112233", "SHA-256");
    refuse("md5//ABCD", "SHA-256");
    refuse("sha1//2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "SHA-256");
    refuse("SHA1:00", "SHA-256");
}

static void issuer_pins_are_kept_apart_from_server_pins(void **state)
{
    struct cert ca = certs_ca("Example CA"), leaf = certs_leaf("DNS:a.example", &ca);
    struct pin_list list = {0};

    (void)state;
    assert_null(pinvalue_parse("issuer:" A " name=ours", NULL, &arena, &list));
    assert_null(pinvalue_parse("issuer-cert:sha256:" HEX, NULL, &arena, &list));
    /* the same digest in the other role is another pin */
    assert_null(pinvalue_parse(A, NULL, &arena, &list));
    assert_int_equal(list.count, 3);
    assert_int_equal(list.items[0].role, PIN_ISSUER);
    assert_int_equal(list.items[0].kind, PIN_KEY);
    assert_string_equal(list.items[0].text, "issuer:" A);
    assert_string_equal(pin_label(&list.items[0]), "ours");
    assert_int_equal(list.items[1].role, PIN_ISSUER);
    assert_int_equal(list.items[1].kind, PIN_CERT);
    assert_memory_equal(list.items[1].text, "issuer-cert:sha256:00112233", 27);
    assert_int_equal(list.items[2].role, PIN_SERVER);
    assert_ptr_equal(pin_first(&list, PIN_SERVER), &list.items[2]);
    assert_false(pin_equal(&list.items[0], &list.items[2]));
    assert_non_null(pinvalue_parse("issuer:" A, NULL, &arena, &list));
    assert_int_equal(list.count, 3);

    temp_text("ca.pem", certs_pem(ca.x509));
    temp_text("leaf.pem", certs_pem(leaf.x509));
    assert_null(pinvalue_parse("issuer-cert:ca.pem", temp_dir(), &arena, &list));
    assert_int_equal(list.items[3].role, PIN_ISSUER);
    assert_int_equal(list.items[3].kind, PIN_CERT);
    assert_true(list.items[3].der_len > 0);
    assert_string_equal(list.items[3].subject, "CN=Example CA");
    refuse("issuer-cert:leaf.pem", "not a CA's");
    refuse("issuer:ca.pem", "issuer-cert:FILE");
    refuse("issuer:" A ";" A, "as a value of its own");
    refuse("issuer-cert:sha1:00", "SHA-256");
    refuse("issuer-cert:", "missing");
}

static void until_and_name_are_read_once_in_any_order(void **state)
{
    struct pin_list list;

    (void)state;
    list = parse(A " name=today.key-1_a until=2027-06-30");
    assert_int_equal(list.items[0].until, 1814313600);
    assert_string_equal(pin_label(&list.items[0]), "today.key-1_a");
    list = parse(A " \t until=2027-06-30 \t name=x");
    assert_int_equal(list.items[0].until, 1814313600);
    assert_string_equal(list.items[0].name, "x");

    refuse(A " until=2027-06-30 until=2027-07-30", "once");
    refuse(A " name=a name=b", "once");
    refuse(A " until=2027-02-30", "until= takes");
    refuse(A " until=", "until= takes");
    refuse(A " until=tomorrow", "until= takes");
    refuse(A " name=", "name= takes");
    refuse(A " name=a b", "name=WORD");
    refuse(A " name=a\"b", "name= takes");
    refuse(A " name=b\xc3\xbc", "name= takes");
    refuse(A " Until=2027-06-30", "until=YYYY-MM-DD");
    refuse(A "until=2027-06-30", "44");
    refuse("until=2027-06-30", "expected");
    refuse(" until=2027-06-30", "expected");
    refuse(A " name=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "64");
}

static void a_pin_is_expired_from_its_day_on(void **state)
{
    struct pin_list list = parse(A " until=2027-06-30"), forever = parse(A);

    (void)state;
    assert_false(pin_is_expired(&list.items[0], 1814313599));
    assert_true(pin_is_expired(&list.items[0], 1814313600));
    assert_true(pin_is_expired(&list.items[0], INT64_MAX));
    assert_false(pin_is_expired(&forever.items[0], INT64_MAX));
}

/* The first second of the epoch is a date, not the lack of one. */
static void a_pin_until_1970_is_refused(void **state)
{
    (void)state;
    refuse(A " until=1970-01-01", "after 1970");
    refuse(A " until=1969-12-31", "until=");
    assert_int_equal(parse(A " until=1970-01-02").items[0].until, 86400);
}

static void files_hold_pins_in_every_form(void **state)
{
    const unsigned char *der;
    size_t n = certs_der(server.x509, &der);
    struct pin_list list;

    (void)state;
    temp_text("server.pem", certs_pem(server.x509));
    temp_file("server.der", der, n);
    temp_text("server.pub", certs_public_pem(server.key));
    temp_text("server.csr", certs_request_pem(server.key));
    n = certs_request_der(server.key, &der);
    temp_file("csr.der", der, n);

    list = parse("cert:server.pem");
    assert_int_equal(list.items[0].kind, PIN_CERT);
    assert_string_equal(list.items[0].text, certs_cert_pin(&server));
    assert_string_equal(list.items[0].subject, "CN=api.example.com");
    assert_string_equal(list.items[0].file, temp_path("server.pem"));
    list = parse("cert:server.der");
    assert_string_equal(list.items[0].text, certs_cert_pin(&server));
    list = parse("key:server.pem");
    assert_int_equal(list.items[0].kind, PIN_KEY);
    assert_string_equal(list.items[0].text, certs_key_pin(&server));
    assert_string_equal(list.items[0].subject, "CN=api.example.com");
    list = parse("key:server.der");
    assert_string_equal(list.items[0].text, certs_key_pin(&server));
    list = parse("key:server.pub");
    assert_string_equal(list.items[0].text, certs_key_pin(&server));
    assert_null(list.items[0].subject);
    list = parse("key:server.csr");
    assert_string_equal(list.items[0].text, certs_key_pin(&server));
    list = parse("key:csr.der");
    assert_string_equal(list.items[0].text, certs_key_pin(&server));
}

static void each_certificate_in_a_file_is_a_pin(void **state)
{
    char text[8192];
    struct pin_list list;

    (void)state;
    snprintf(text, sizeof(text), "subject=...\n%s\nissuer=...\n%s", certs_pem(server.x509),
             certs_pem(other.x509));
    temp_text("two.pem", text);
    list = parse("cert:two.pem until=2027-06-30 name=pair");
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[0].text, certs_cert_pin(&server));
    assert_string_equal(list.items[1].text, certs_cert_pin(&other));
    assert_int_equal(list.items[0].until, 1814313600);
    assert_int_equal(list.items[1].until, 1814313600);
    assert_string_equal(list.items[1].name, "pair");
}

static void a_file_that_cannot_be_read_whole_is_refused(void **state)
{
    char text[8192];

    (void)state;
    temp_text("server.pem", certs_pem(server.x509));
    temp_text("server.pub", certs_public_pem(server.key));
    temp_text("server.csr", certs_request_pem(server.key));
    temp_text("private.pem", certs_private_pem(server.key, NULL));
    temp_text("encrypted.pem", certs_private_pem(server.key, "secret"));
    snprintf(text, sizeof(text), "%s%s", certs_pem(server.x509),
             certs_private_pem(server.key, NULL));
    temp_text("both.pem", text);
    snprintf(text, sizeof(text), "%s%s", certs_pem(server.x509), certs_pem(server.x509));
    temp_text("twice.pem", text);
    temp_text("empty.pem", "");
    temp_text("junk.pem", "this is no certificate\n");

    refuse("key:private.pem", "private key");
    refuse("cert:private.pem", "private key");
    refuse("cert:both.pem", "private key");
    refuse("key:encrypted.pem", "encrypted");
    refuse("cert:server.pub", "takes a certificate");
    refuse("cert:server.csr", "takes a certificate");
    refuse("cert:twice.pem", "duplicate");
    refuse("cert:empty.pem", "contains neither");
    refuse("key:junk.pem", "contains neither");
    refuse("cert:none.pem", "No such file");
    refuse("key:.", "Is a directory");
    refuse("cert:", "file name is missing");
    refuse("key: until=2027-01-01", "file name is missing");
}

static void file_names_may_have_spaces(void **state)
{
    struct pin_list list;

    (void)state;
    temp_text("my server.pem", certs_pem(server.x509));
    temp_text("a name=b c.pem", certs_pem(server.x509));
    list = parse("cert:my server.pem until=2027-06-30");
    assert_string_equal(list.items[0].text, certs_cert_pin(&server));
    assert_int_equal(list.items[0].until, 1814313600);
    list = parse("cert:a name=b c.pem name=d");
    assert_string_equal(list.items[0].text, certs_cert_pin(&server));
    assert_string_equal(list.items[0].name, "d");
}

static void a_relative_file_is_found_beside_the_configuration(void **state)
{
    struct pin_list list = {0};

    (void)state;
    temp_text("sub/server.pem", certs_pem(server.x509));
    assert_null(pinvalue_parse("cert:server.pem", temp_path("sub"), &arena, &list));
    assert_null(pinvalue_parse("key:../sub/server.pem", temp_path("sub"), &arena, &list));
    assert_non_null(pinvalue_parse("cert:server.pem", temp_path("other"), &arena, &list));
    assert_int_equal(list.count, 2);
}

static void the_same_pin_in_another_form_is_a_duplicate(void **state)
{
    struct pin_list list = {0};
    const char *value;

    (void)state;
    temp_text("server.pem", certs_pem(server.x509));
    temp_text("server.pub", certs_public_pem(server.key));
    assert_null(pinvalue_parse(certs_key_pin(&server), NULL, &arena, &list));
    assert_contains(pinvalue_parse("key:server.pem", temp_dir(), &arena, &list), "duplicate");
    assert_contains(pinvalue_parse("key:server.pub", temp_dir(), &arena, &list), "duplicate");
    assert_int_equal(list.count, 1);
    /* in another role it is another pin */
    assert_null(pinvalue_parse("cert:server.pem", temp_dir(), &arena, &list));
    value = certs_cert_pin(&server);
    assert_contains(pinvalue_parse(value, NULL, &arena, &list), "duplicate");
    assert_int_equal(list.count, 2);
    /* a date or a name does not make it another */
    assert_contains(
        pinvalue_parse("key:server.pub until=2027-06-30 name=x", temp_dir(), &arena, &list),
        "duplicate");
    assert_int_equal(list.count, 2);
    assert_null(list.items[0].name);
    assert_int_equal(list.items[0].until, 0);
}

static void only_keys_are_revoked(void **state)
{
    struct pin_list list = {0};

    (void)state;
    temp_text("server.pem", certs_pem(server.x509));
    assert_null(pinvalue_parse_revoked(A ";" B, NULL, &arena, &list));
    assert_null(pinvalue_parse_revoked("key:server.pem", temp_dir(), &arena, &list));
    assert_int_equal(list.count, 3);
    assert_contains(pinvalue_parse_revoked("cert:sha256:" HEX, NULL, &arena, &list), "signature");
    assert_contains(pinvalue_parse_revoked("cert:server.pem", temp_dir(), &arena, &list),
                    "signature");
    assert_contains(pinvalue_parse_revoked(A, NULL, &arena, &list), "duplicate");
    assert_non_null(pinvalue_parse_revoked(A " until=2027-06-30", NULL, &arena, &list));
    assert_non_null(pinvalue_parse_revoked(A " name=x", NULL, &arena, &list));
    assert_non_null(pinvalue_parse_revoked("issuer:" A, NULL, &arena, &list));
    assert_int_equal(list.count, 3);
}

static int setup(void **state)
{
    (void)state;
    server = certs_make(
        &(struct cert_order){.cn = "api.example.com", .san = "DNS:api.example.com"});
    other = certs_make(&(struct cert_order){.cn = "other.example.com"});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_digest_is_read_and_printed_the_same),
        cmocka_unit_test(base64_that_is_not_exact_is_refused),
        cmocka_unit_test(two_on_a_line_are_two_pins),
        cmocka_unit_test(a_wrong_pin_refuses_the_whole_value),
        cmocka_unit_test(a_certificate_digest_has_colons_everywhere_or_nowhere),
        cmocka_unit_test(forgeable_digests_are_refused_by_name),
        cmocka_unit_test(issuer_pins_are_kept_apart_from_server_pins),
        cmocka_unit_test(until_and_name_are_read_once_in_any_order),
        cmocka_unit_test(a_pin_is_expired_from_its_day_on),
        cmocka_unit_test(a_pin_until_1970_is_refused),
        cmocka_unit_test(files_hold_pins_in_every_form),
        cmocka_unit_test(each_certificate_in_a_file_is_a_pin),
        cmocka_unit_test(a_file_that_cannot_be_read_whole_is_refused),
        cmocka_unit_test(file_names_may_have_spaces),
        cmocka_unit_test(a_relative_file_is_found_beside_the_configuration),
        cmocka_unit_test(the_same_pin_in_another_form_is_a_duplicate),
        cmocka_unit_test(only_keys_are_revoked),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
