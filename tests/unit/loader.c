/* config/loader: whole configurations. Every error is found, in its line. */
#include "config/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "configs.h"
#include "help.h"

static void the_first_example_of_the_manual_works(void **state)
{
    struct config *c = take("; comment\n[api.example.com]\nlisten = 127.0.0.1:8443\n"
                            "pin = " A "   ; today's key\n      " B "   ; the next key\n");
    const struct config_section *s;

    (void)state;
    assert_int_equal(c->count, 1);
    s = c->sections[0];
    assert_string_equal(s->name, "api.example.com");
    assert_string_equal(s->host, "api.example.com");
    assert_string_equal(s->verify_name, "api.example.com");
    assert_string_equal(s->sni, "api.example.com");
    assert_int_equal(s->port, 443);
    assert_int_equal(s->pins.count, 2);
    assert_string_equal(s->pins.items[1].text, B);
    assert_int_equal(s->listen.count, 1);
    assert_int_equal(s->listen.items[0].where.line, 3);
    config_free(c);
}

static void sections_inherit_from_defaults_before_or_after_them(void **state)
{
    struct config *c = take("[a.example]\npin = " A "\nport = 1\nidle_timeout = 0\n"
                            "[defaults]\nport = 2\nidle_timeout = 5m\npin = " B "\n"
                            "verify_name = v.example\n"
                            "[b.example]\nlisten = 127.0.0.1:0\n");
    const struct config_section *a = c->sections[0], *b = c->sections[1];

    (void)state;
    assert_int_equal(a->port, 1);
    assert_int_equal(a->idle_timeout, 0);
    assert_int_equal(b->port, 2);
    assert_int_equal(b->idle_timeout, 300000);
    assert_int_equal(b->connect_timeout, 10000);
    /* a list replaces what it would inherit */
    assert_int_equal(a->pins.count, 1);
    assert_string_equal(a->pins.items[0].text, A);
    assert_int_equal(b->pins.count, 1);
    assert_string_equal(b->pins.items[0].text, B);
    assert_string_equal(a->verify_name, "v.example");
    config_free(c);
}

static void lists_of_one_section_do_not_leak_into_another(void **state)
{
    struct config *c = take("[defaults]\nca_file = /1.pem\nca_file = /2.pem\nalso_check = name\n"
                            "[a.example]\npin = " A "\nca_file = /3.pem\nalso_check = dates\n"
                            "[b.example]\npin = " A "\n"
                            "[c.example]\npin = " A "\nca_file = /4.pem\n  /5.pem\n  /6.pem\n");

    (void)state;
    assert_int_equal(c->sections[0]->ca_file.count, 1);
    assert_string_equal(c->sections[0]->ca_file.items[0].text, "/3.pem");
    assert_int_equal(c->sections[0]->also_check, ALSO_CHECK_DATES);
    assert_int_equal(c->sections[1]->ca_file.count, 2);
    assert_string_equal(c->sections[1]->ca_file.items[1].text, "/2.pem");
    assert_int_equal(c->sections[1]->also_check, ALSO_CHECK_NAME);
    assert_int_equal(c->sections[2]->ca_file.count, 3);
    assert_string_equal(c->sections[2]->ca_file.items[2].text, "/6.pem");
    config_free(c);
}

/* Or a list of its own would make a key that was stolen good again for a section. */
static void revoked_adds_to_that_of_defaults(void **state)
{
    struct config *c = take("[defaults]\nrevoked = " A "\n[a.example]\nverify = pki\n"
                            "[b.example]\nverify = pki\nrevoked = " B "\n"
                            "[c.example]\nverify = pki\nrevoked = " A "\n  " B "\n");

    (void)state;
    assert_int_equal(c->sections[0]->revoked.count, 1);
    assert_int_equal(c->sections[1]->revoked.count, 2);
    assert_string_equal(c->sections[1]->revoked.items[0].text, B);
    assert_string_equal(c->sections[1]->revoked.items[1].text, A);
    assert_int_equal(c->sections[2]->revoked.count, 2);
    config_free(c);
    refuse("[a.example]\nverify = pki\nrevoked = " A "\n  " A "\n", 4, "duplicate");
}

static void a_key_given_twice_is_refused_unless_it_is_a_list(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nport = 1\nport = 2\n", 4, "set twice");
    refuse("[a.example]\npin = " A "\nport = 1\nport = 1\n", 4, "set twice");
    refuse("[a.example]\npin = " A "\nport = 1\n  2\n", 4, "takes one value");
    refuse("[global]\nworkers = 1\nworkers = 1\n", 3, "set twice");
    refuse("[defaults]\nsni = off\nsni = off\n", 3, "set twice");
    refuse("[a.example]\npin = " A "\npin = " A "\n", 3, "duplicate");
    config_free(take("[a.example]\npin = " A "\npin = " B "\nport = 1\n[b.example]\npin = " A
                     "\nport = 1\n"));
}

static void unknown_sections_are_refused(void **state)
{
    (void)state;
    refuse("[Global]\nworkers = 1\n", 1, "[global]");
    refuse("[DEFAULTS]\nport = 1\n", 1, "[defaults]");
    refuse("[proxy]\nlisten = 127.0.0.1:1\n", 1, "not supported yet");
    refuse("[proxy:x]\nlisten = 127.0.0.1:1\n", 1, "not supported yet");
    refuse("[host:x]\npin = " A "\n", 1, "unknown kind");
    config_free(take("[2001:db8::1]\npin = " A "\n"));
}

static void unknown_keys_are_refused_with_a_hint(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nprot = 1\n", 3, "did you mean 'port'?");
    refuse("[a.example]\npin = " A "\nconect_timeout = 1\n", 3, "'connect_timeout'?");
    refuse("[a.example]\npin = " A "\nPort = 1\n", 3, "'port'?");
    refuse("[a.example]\npin = " A "\nutterly_unknown = 1\n", 3, "--help-config");
    refuse("[a.example]\npin = " A "\nworkers = 1\n", 3, "is an option of [global]");
    refuse("[defaults]\ninclude = x\n", 2, "is an option of [global]");
    refuse("[global]\nport = 1\n", 2, "is no option of [global]");
    refuse("[defaults]\nlisten = 127.0.0.1:1\n", 2, "host section");
    refuse("[defaults]\nhost = a\n", 2, "host section");
    refuse("[global]\nx = 1\n", 2, "unknown option 'x'");
    refuse("[a.example]\npin = " A "\nkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk = 1\n", 3,
           "unknown option");
}

static void options_of_later_releases_are_refused_in_their_line(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < options_count; i++) {
        char text[256];

        if (!(options[i].flags & OPTION_LATER))
            continue;
        if (options[i].scope == OPTION_GLOBAL) {
            snprintf(text, sizeof(text), "[global]\n\n%s = something\n", options[i].name);
            refuse(text, 3, "not supported yet");
            continue;
        }
        snprintf(text, sizeof(text), "[a.example]\npin = " A "\n%s = something\n", options[i].name);
        refuse(text, 3, "not supported yet");
        snprintf(text, sizeof(text), "[defaults]\n\n%s = something\n", options[i].name);
        refuse(text, 3, "not supported yet");
    }
}

static void all_errors_are_reported_at_once(void **state)
{
    char *said = faults("key = before\n[global]\nworkers = 0\nnonsense\n[a.example]\nport = 0\n"
                        "pin = short\nx = y\n[b.example]\n[a.example]\npin = " A "\n");
    static const char *const lines[] = {
        "x.conf:1: option before", "x.conf:3: workers", "x.conf:4: expected", "x.conf:6: port",
        "x.conf:7: pin = short",   "x.conf:8: unknown", "x.conf:9: [b",       "x.conf:10: section",
    };
    size_t i, n = 0;
    char *p;

    (void)state;
    for (p = said; (p = strchr(p, '\n')); p++)
        n++;
    for (i = 0; i < COUNT(lines); i++)
        assert_contains(said, lines[i]);
    assert_int_equal(n, COUNT(lines));
    free(said);
}

/* It would take away what [defaults] has, or a check, without a word. */
static void a_key_without_a_value_is_an_error_in_its_line(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < options_count; i++) {
        const bool global = options[i].scope == OPTION_GLOBAL;
        const char *head = global ? "[a.example]\npin = " A "\n[global]\n" : "[a.example]\n";
        const unsigned line = global ? 4 : 2;
        const char *pin = global || strcmp(options[i].name, "pin") == 0 ? "" : "pin = " A "\n";
        char text[256], want[64];

        snprintf(want, sizeof(want), "'%s' has no value", options[i].name);
        snprintf(text, sizeof(text), "%s%s =\n%s", head, options[i].name, pin);
        refuse(text, line, want);
        snprintf(text, sizeof(text), "%s%s = ; c\n\n  ; d\n%s", head, options[i].name, pin);
        refuse(text, line, want);
        if (options[i].scope != OPTION_SECTION)
            continue;
        snprintf(text, sizeof(text), "[defaults]\n%s:\n[a.example]\n%s", options[i].name, pin);
        refuse(text, 2, want);
    }
    refuse("[a.example]\npin =\npin = " A "\n", 2, "has no value");
    refuse("[a.example]\npin = " A "\n[b.example]\npin =", 4, "has no value");
    config_free(take("[a.example]\npin =\n\n  ; c\n  " A "\nlisten = ; c\n\tunix:x\n"));
}

static void a_pin_in_a_comment_is_an_error(void **state)
{
    static const char *const lost[] = {"; " B,        " ;" B,
                                       "; c ; " B,    " ;key:b.pem",
                                       ";; " B,       "; CERT:b.pem until=2027-01-01",
                                       "; issuer:" B, "; issuer-cert:x"};
    static const char *const fine[] = {"; today's", ("; see " B), "; key: of today", ";", "; cert"};
    char text[256];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(lost); i++) {
        snprintf(text, sizeof(text), "[a.example]\npin = " A " %s\n", lost[i]);
        refuse(text, 2, "would be lost");
        snprintf(text, sizeof(text), "[a.example]\npin = \n  " A " %s\n", lost[i]);
        refuse(text, 3, "would be lost");
        snprintf(text, sizeof(text), "[a.example]\npin = " A "\nrevoked = " A " %s\n", lost[i]);
        refuse(text, 3, "would be lost");
    }
    refuse("[a.example]\npin = ; " A "\n", 2, "would be lost");
    for (i = 0; i < COUNT(fine); i++) {
        snprintf(text, sizeof(text), "[a.example]\npin = " A " %s\n", fine[i]);
        config_free(take(text));
    }
    config_free(take("[a.example]\npin = " A "\n; " B "\n  ; " B "\nport = 1 ; " B "\n"));
}

/* Other programs know it as a comment: here it would be part of a name or a pattern. */
static void a_part_of_a_value_in_a_comment_is_an_error(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A " ; until=2027-06-30\n", 2, "would be lost");
    refuse("[a.example]\npin = " A " ;name=x\n", 2, "would be lost");
    refuse("[a.example]\npin = " A "\nverify = pin+pki\nenforce = report ; until=2027-06-30\n", 4,
           "would be lost");
    refuse("[a.example]\npin = " A "\nalso_check = name ; dates\n", 3, "would be lost");
    refuse("[a.example]\npin = " A "\nlisten = unix:x ; mode=0600\n", 3, "would be lost");
    config_free(take("[a.example]\npin = " A " ; good until 2027\nalso_check = name ; no dates\n"
                     "listen = unix:x ; mode 0600 is the umask's\n"));
}

static void quotes_are_no_part_of_a_value(void **state)
{
    (void)state;
    refuse("[a.example]\npin = \"" A "\"\n", 2, "remove the quotes");
    refuse("[a.example]\npin = " A "\nca_file = 'ca.pem'\n", 3, "remove the quotes");
    refuse("[global]\ninclude = \"conf.d/*.conf\"\n[a.example]\npin = " A "\n", 2,
           "remove the quotes");
}

static void a_hash_behind_a_value_is_an_error(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A " # " B "\n", 2, "'#'");
    refuse("[a.example]\npin = " A "\nport = 1\t#c\n", 3, "use ';' here");
    refuse("[a.example]\npin = " A "\nlisten = unix:a\n  unix:b # c\n", 4, "use ';' here");
    refuse("[global]\ninclude = conf.d/*.conf   # one file a host\n[a.example]\npin = " A "\n", 2,
           "'#'");
    refuse("[a.example]\npin = " A "\nca_file = # none\n", 3, "'#'");
    config_free(take("[a.example]\npin = " A "\nlisten = unix:a#b ; # c\n"));
}

static void a_semicolon_right_behind_the_equals_sign_is_an_error(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nalpn =;h2\n", 3, "does not start a comment");
    refuse("[a.example]\npin = " A "\nalpn =; h2\n", 3, "does not start a comment");
    refuse("[global]\ninclude =;conf.d/*.conf\n[a.example]\npin = " A "\n", 2,
           "does not start a comment");
}

static void a_character_that_looks_like_a_blank_is_named(void **state)
{
    (void)state;
    refuse("[a.example]\npin =\u00a0" A "\n", 2, "U+00A0");
    refuse("[a.example]\npin = " A "\u200b\n", 2, "U+200B");
    refuse("[a.example]\npin = \u201c" A "\u201d\n", 2, "U+201C");
    refuse("[a.example]\npin = " A "\nca_file = \u2019x\n", 3, "U+2019");
}

static void an_indented_option_is_an_error_and_its_value_is_checked_too(void **state)
{
    char *said;

    (void)state;
    refuse("[a.example]\npin = " A "\n  port = 1\n", 3, "'port' is indented");
    refuse("[a.example]\npin = " A "\n\tlisten=unix:a\n  unix:b\n", 3, "'listen' is indented");
    refuse("[a.example]\nlisten = unix:a\n  pin: " A "\n  " B "\n", 3, "'pin' is indented");
    refuse("[a.example]\n  pin = " A "\n", 2, "is indented");
    said = faults("[a.example]\n\tlisten = unix:a\n\tpin = " A "\n\t[b.example]\n\tpin =\n\t\t" B
                  "\n\tport = 0\n");
    assert_contains(said, "x.conf:2: this option is indented");
    assert_contains(said, "x.conf:3: 'pin' is indented");
    assert_contains(said, "x.conf:4: this section header is indented");
    assert_contains(said, "x.conf:5: this option is indented");
    assert_contains(said, "x.conf:7: port = 0");
    free(said);
    /* a server that is called as an option is */
    config_free(take("[a.example]\npin = " A "\naddress = a\n  host:443\n  port\n  [::1]\n"));
}

static void an_indented_line_that_is_no_value_says_whose_it_would_be(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\n  lisen = 127.0.0.1:1\n", 3,
           "one more value of 'pin' above it");
}

static void included_files_are_read_in_order(void **state)
{
    const char *main = temp_text("main.conf", "[global]\ninclude = conf.d/*.conf\n"
                                              "include = none.d/*.conf\ninclude = extra.conf\n"
                                              "[m.example]\npin = " A "\n");
    struct config *c;
    char *said;

    (void)state;
    temp_text("conf.d/b.conf", "[b.example]\npin = cert:missing.pem\n");
    temp_text("conf.d/a.conf", "[a.example]\npin = " A "\nlisten = unix:a.sock\n");
    temp_text("conf.d/ignored.txt", "nonsense\n");
    temp_text("extra.conf", "[defaults]\nport = 77\n[e.example]\npin = " A "\n");
    said = load(main, &c);
    /* a relative path starts at the file that names it */
    assert_contains(said, "/conf.d/b.conf:2: pin = cert:missing.pem: ");
    assert_contains(said, "/conf.d/missing.pem: No such file");
    assert_int_equal(c->count, 4);
    assert_int_equal(c->sections[0]->port, 77);
    assert_string_equal(c->sections[0]->name, "a.example");
    assert_string_equal(c->sections[0]->listen.items[0].addr.un.sun_path,
                        temp_path("conf.d/a.sock"));
    free(said);
    config_free(c);
}

static void errors_in_included_files_carry_their_names(void **state)
{
    const char *main = temp_text("main2.conf",
                                 "[global]\ninclude = c2/*.conf\ninclude = none.conf\n"
                                 "x = 1\n[m.example]\npin = " A "\n");
    struct config *c;
    char *said;

    (void)state;
    temp_text("c2/a.conf", "[global]\n[a.example]\npin = " A "\nport = x\n");
    temp_text("c2/b.conf", "[m.example]\npin = " A "\n");
    said = load(main, &c);
    assert_contains(said, "/main2.conf:3: ");
    assert_contains(said, "/none.conf: no such file");
    assert_contains(said, "/main2.conf:4: unknown option 'x'");
    assert_contains(said, "/c2/a.conf:1: section [global] is already defined at ");
    assert_contains(said, "/c2/a.conf:4: port = x");
    assert_contains(said, "/c2/b.conf:1: section [m.example] is already defined at ");
    assert_contains(said, "/main2.conf:5: merge");
    free(said);
    config_free(c);
}

static void an_included_file_includes_nothing(void **state)
{
    const char *main = temp_text("main3.conf", "[global]\ninclude = c3.conf\n");
    struct config *c;
    char *said;

    (void)state;
    temp_text("c3.conf", "[global]\ninclude = c3.conf\n");
    said = load(main, &c);
    assert_contains(said, "/c3.conf:");
    free(said);
    config_free(c);
    temp_text("main3.conf", "[global]\n[a.example]\npin = " A "\n");
    main = temp_text("main4.conf", "[defaults]\nport = 1\n[a.example]\npin = " A "\n");
    said = load(main, &c);
    assert_string_equal(said, "");
    free(said);
    config_free(c);
}

static void a_file_that_does_not_exist_is_reported(void **state)
{
    struct config *c;
    char *said = load(temp_path("nothing.conf"), &c);

    (void)state;
    assert_contains(said, "/nothing.conf: No such file");
    free(said);
    config_free(c);
    said = load(temp_dir(), &c);
    assert_contains(said, "Is a directory");
    free(said);
    config_free(c);
}

static void a_single_section_has_every_default(void **state)
{
    struct config_section *s;
    struct config *c = config_new_adhoc("api.example.com", &s);

    (void)state;
    assert_ptr_equal(c->sections[0], s);
    assert_string_equal(s->host, "api.example.com");
    assert_string_equal(s->verify_name, "api.example.com");
    assert_string_equal(s->sni, "api.example.com");
    assert_int_equal(s->port, 443);
    assert_int_equal(s->verify, VERIFY_PIN);
    assert_int_equal(s->pins.count, 0);
    config_free(c);
    c = config_new_adhoc("192.0.2.1", &s);
    assert_null(s->sni);
    config_free(c);
}

static void a_bom_and_crlf_do_no_harm(void **state)
{
    config_free(take("\xef\xbb\xbf[a.example]\r\npin = " A "\r\n      " B "\r\nport = 1\r\n"));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_example_of_the_manual_works),
        cmocka_unit_test(sections_inherit_from_defaults_before_or_after_them),
        cmocka_unit_test(lists_of_one_section_do_not_leak_into_another),
        cmocka_unit_test(revoked_adds_to_that_of_defaults),
        cmocka_unit_test(a_key_given_twice_is_refused_unless_it_is_a_list),
        cmocka_unit_test(unknown_sections_are_refused),
        cmocka_unit_test(unknown_keys_are_refused_with_a_hint),
        cmocka_unit_test(options_of_later_releases_are_refused_in_their_line),
        cmocka_unit_test(all_errors_are_reported_at_once),
        cmocka_unit_test(a_key_without_a_value_is_an_error_in_its_line),
        cmocka_unit_test(a_pin_in_a_comment_is_an_error),
        cmocka_unit_test(a_part_of_a_value_in_a_comment_is_an_error),
        cmocka_unit_test(quotes_are_no_part_of_a_value),
        cmocka_unit_test(a_hash_behind_a_value_is_an_error),
        cmocka_unit_test(a_semicolon_right_behind_the_equals_sign_is_an_error),
        cmocka_unit_test(a_character_that_looks_like_a_blank_is_named),
        cmocka_unit_test(an_indented_option_is_an_error_and_its_value_is_checked_too),
        cmocka_unit_test(an_indented_line_that_is_no_value_says_whose_it_would_be),
        cmocka_unit_test(included_files_are_read_in_order),
        cmocka_unit_test(errors_in_included_files_carry_their_names),
        cmocka_unit_test(an_included_file_includes_nothing),
        cmocka_unit_test(a_file_that_does_not_exist_is_reported),
        cmocka_unit_test(a_single_section_has_every_default),
        cmocka_unit_test(a_bom_and_crlf_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
