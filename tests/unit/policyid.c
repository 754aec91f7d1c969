/* trust/policyid: a session is resumed only under the policy that it was made under. */
#include "trust/policyid.h"

#include <stdlib.h>
#include <string.h>

#include "certs.h"
#include "config/canonical.h"
#include "config/loader.h"
#include "config/options.h"
#include "configs.h"
#include "help.h"
#include "samples.h"
#include "trust/anchors.h"
#include "trust/policy.h"

static const uint8_t no_anchors[32];

struct id {
    uint8_t bytes[32];
};

static struct id id_of(const struct config_section *s)
{
    struct id id;

    assert_true(policyid_section(s, no_anchors, id.bytes));
    return id;
}

/* The id of the first section of a configuration. */
static struct id id_of_text(const char *text)
{
    struct config *c = take(text);
    struct id id = id_of(c->sections[0]);

    config_free(c);
    return id;
}

static bool is_same(struct id a, struct id b)
{
    return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static bool shapes_trust(const struct option_row *o)
{
    return !(o->flags & OPTION_NO_IDENTITY);
}

/* Says whether a row says which it is. */
static bool says_which(const struct option_row *o)
{
    return !(o->flags & OPTION_IDENTITY) != !(o->flags & OPTION_NO_IDENTITY);
}

static void every_option_of_a_section_says_whether_it_shapes_trust(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < options_count; i++) {
        const bool of_section = options[i].scope != OPTION_GLOBAL;

        if (of_section && !says_which(&options[i]))
            fail_msg("%s: OPTION_IDENTITY or OPTION_NO_IDENTITY?", options[i].name);
        if (!of_section && options[i].flags & (OPTION_IDENTITY | OPTION_NO_IDENTITY))
            fail_msg("%s is no option of a section", options[i].name);
    }
}

static void every_option_that_shapes_trust_changes_the_id(void **state)
{
    struct config_section *s;
    struct config *c = config_new_adhoc("api.example.com", &s);
    const struct id plain = id_of(s);
    size_t i, n = 0;

    (void)state;
    config_free(c);
    for (i = 0; i < options_count; i++) {
        const struct option_row *o = &options[i];

        if (o->scope == OPTION_GLOBAL || !o->size)
            continue;
        c = config_new_adhoc("api.example.com", &s);
        assert_true(is_same(id_of(s), plain));
        if (sample_set(o, s, &c->arena) && is_same(id_of(s), plain) == shapes_trust(o))
            fail_msg("%s %s the id", o->name, shapes_trust(o) ? "does not change" : "changes");
        n += shapes_trust(o);
        config_free(c);
    }
    assert_true(n > 20);
}

/* A section of a later release: with one option more, whose author forgot to say what it is. */
struct later_section {
    struct config_section section;
    struct config_string added;
};

static void an_option_that_is_added_cannot_be_left_out_by_mistake(void **state)
{
    struct option_row rows[OPTIONS_MAX + 1];
    struct later_section before = {{0}, {0}}, after = {{0}, {0}};
    struct strbuf x = {0}, y = {0};

    (void)state;
    memcpy(rows, options, options_count * sizeof(*rows));
    rows[options_count] = (struct option_row){
        .name = "added",
        .scope = OPTION_SECTION,
        .kind = &value_text,
        .offset = offsetof(struct later_section, added),
        .size = sizeof(before.added),
    };
    before.added.text = "one";
    after.added.text = "two";
    options_canonical(rows, options_count + 1, OPTION_IDENTITY, &before.section, &x);
    options_canonical(rows, options_count + 1, OPTION_IDENTITY, &after.section, &y);
    assert_int_equal(x.len, y.len);
    assert_memory_not_equal(x.data, y.data, x.len);
    /* and the test above would not pass */
    assert_false(says_which(&rows[options_count]));

    rows[options_count].flags = OPTION_NO_IDENTITY;
    assert_true(says_which(&rows[options_count]));
    x.len = y.len = 0;
    options_canonical(rows, options_count + 1, OPTION_IDENTITY, &before.section, &x);
    options_canonical(rows, options_count + 1, OPTION_IDENTITY, &after.section, &y);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    strbuf_free(&x);
    strbuf_free(&y);
}

static void the_name_and_the_anchors_are_a_part_of_the_id(void **state)
{
    static const uint8_t other_anchors[32] = {1};
    struct config *c = take("[a]\nhost = h.example\npin = " A "\n");
    uint8_t other[32];

    (void)state;
    assert_false(
        is_same(id_of(c->sections[0]), id_of_text("[b]\nhost = h.example\npin = " A "\n")));
    assert_true(policyid_section(c->sections[0], other_anchors, other));
    assert_memory_not_equal(id_of(c->sections[0]).bytes, other, sizeof(other));
    config_free(c);
}

/* Pairs that would look the same if values were merely written one behind the other. */
static void values_that_follow_each_other_are_kept_apart(void **state)
{
    static const char *const rows[][2] = {
        {"alpn = a\n  bc", "alpn = ab\n  c"},
        {"alpn = ab", "alpn = a\n  b"},
        {"ca_file = /a\n  /b", "ca_file = /a\nca_dir = /b"},
        {"ca_file = /a", "ca_dir = /a"},
        {"ciphers = ECDHE", "sigalgs = ECDHE"},
        {"address = a\n  b.example", "address = a.example\n  b"},
        {"address = a:1", "address = a:2"},
        {"sni = x.example", "verify_name = x.example"},
        {"sni = off", ""},
        {"revoked = " B, "pin = " B},
        {"pin = issuer:" B, "pin = " B},
        {"pin = " B " until=2030-01-01", "pin = " B},
        {"pin = " B " until=2030-01-01", "pin = " B " until=2030-01-02"},
        {"verify = pin+pki\nenforce = report", "verify = pin+pki"},
        {"verify = pin+pki\nenforce = report",
         "verify = pin+pki\nenforce = report until=2030-01-01"},
        {"also_check = name", "also_check = dates"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        char x[512], y[512];

        snprintf(x, sizeof(x), "[h.example]\npin = " A "\n%s\n", rows[i][0]);
        snprintf(y, sizeof(y), "[h.example]\npin = " A "\n%s\n", rows[i][1]);
        if (is_same(id_of_text(x), id_of_text(y)))
            fail_msg("%s\nlooks like\n%s", rows[i][0], rows[i][1]);
    }
}

/* The id of a policy in a mode of the PKI, with what the files hold now. */
static struct id id_of_files(const char *options_text)
{
    struct anchors *anchors = anchors_new();
    struct diag_list diags = {0};
    struct policy *policy;
    struct config *c;
    char text[1024];
    struct id id;

    snprintf(text, sizeof(text), "[h.example]\nverify = pki\n%s\n", options_text);
    c = take(text);
    policy = policy_new(c->sections[0], anchors, NULL, &diags);
    if (!policy)
        fail_msg("%s", diags.items[0].text);
    memcpy(id.bytes, policy->id, sizeof(id.bytes));
    policy_free(policy);
    config_free(c);
    anchors_free(anchors);
    return id;
}

static void files_are_a_part_of_the_id_by_what_they_hold(void **state)
{
    const struct cert one = certs_ca("One"), two = certs_ca("Two");
    char options_text[512], both[8192];
    struct id before;

    (void)state;
    snprintf(options_text, sizeof(options_text), "ca_file = %s\n  %s\n",
             temp_text("1.pem", certs_pem(one.x509)), temp_text("2.pem", certs_pem(two.x509)));
    before = id_of_files(options_text);
    assert_true(is_same(id_of_files(options_text), before));
    temp_text("2.pem", certs_pem(one.x509));
    assert_false(is_same(id_of_files(options_text), before));
    /* the same bytes, but the end of one file has moved to the next */
    snprintf(both, sizeof(both), "%s%s", certs_pem(one.x509), certs_pem(two.x509));
    temp_text("1.pem", both);
    temp_text("2.pem", certs_pem(one.x509));
    before = id_of_files(options_text);
    temp_text("1.pem", certs_pem(one.x509));
    snprintf(both, sizeof(both), "%s%s", certs_pem(two.x509), certs_pem(one.x509));
    temp_text("2.pem", both);
    assert_false(is_same(id_of_files(options_text), before));
}

static void system_anchors_are_a_part_of_the_id(void **state)
{
    const struct cert one = certs_ca("One"), two = certs_ca("Two");
    struct id before;

    (void)state;
    assert_int_equal(setenv("SSL_CERT_FILE", temp_text("system.pem", certs_pem(one.x509)), 1), 0);
    assert_int_equal(setenv("SSL_CERT_DIR", temp_dir(), 1), 0);
    before = id_of_files("");
    assert_true(is_same(id_of_files(""), before));
    temp_text("system.pem", certs_pem(two.x509));
    assert_false(is_same(id_of_files(""), before));
}

static void how_a_value_is_written_makes_no_difference(void **state)
{
    const struct id id = id_of_text("[h.example]\npin = " A "\nport = 8443\nalpn = h2\n");

    (void)state;
    assert_true(is_same(id, id_of_text("; c\n[h.example]\n\nalpn = h2\nport=8443\n"
                                       "pin = " A " name=today ; c\n")));
    assert_true(is_same(id, id_of_text("[defaults]\nalpn = h2\nport = 8443\npin = " A "\n"
                                       "[h.example]\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_of_a_section_says_whether_it_shapes_trust),
        cmocka_unit_test(every_option_that_shapes_trust_changes_the_id),
        cmocka_unit_test(an_option_that_is_added_cannot_be_left_out_by_mistake),
        cmocka_unit_test(the_name_and_the_anchors_are_a_part_of_the_id),
        cmocka_unit_test(values_that_follow_each_other_are_kept_apart),
        cmocka_unit_test(files_are_a_part_of_the_id_by_what_they_hold),
        cmocka_unit_test(system_anchors_are_a_part_of_the_id),
        cmocka_unit_test(how_a_value_is_written_makes_no_difference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
