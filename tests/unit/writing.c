/* config/config: how keys and values are written. What would be lost without a word is an error. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "configs.h"
#include "help.h"

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

static void what_a_comment_would_hide_is_an_error(void **state)
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
static void what_a_comment_would_take_from_a_value_is_an_error(void **state)
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
    refuse("[a.example]\npin = \"" A "\"\n", 2, "without quotes");
    refuse("[a.example]\npin = " A "\nca_file = 'ca.pem'\n", 3, "without quotes");
    refuse("[global]\ninclude = \"conf.d/*.conf\"\n[a.example]\npin = " A "\n", 2,
           "without quotes");
}

static void addresses_of_no_family_are_an_error(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nbind = ::1\nfamily = ipv4\n", 1, "no address is left");
    refuse("[::1]\npin = " A "\nfamily = ipv4\n", 1, "another family");
    refuse("[127.0.0.1]\npin = " A "\nbind = ::1\n", 1, "another family");
    config_free(take("[::1]\npin = " A "\nfamily = ipv6\nbind = ::1\n"
                     "[a]\nhost = ::1\npin = " A "\naddress = 127.0.0.1\nfamily = ipv4\n"));
}

static void a_hash_behind_a_value_is_an_error(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A " # " B "\n", 2, "'#'");
    refuse("[a.example]\npin = " A "\nport = 1\t#c\n", 3, "';' in its place");
    refuse("[a.example]\npin = " A "\nlisten = unix:a\n  unix:b # c\n", 4, "';' in its place");
    refuse("[global]\ninclude = conf.d/*.conf   # one file a host\n[a.example]\npin = " A "\n", 2,
           "'#'");
    refuse("[a.example]\npin = " A "\nca_file = # none\n", 3, "'#'");
    config_free(take("[a.example]\npin = " A "\nlisten = unix:a#b ; # c\n"));
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
    refuse("[a.example]\nverify = pki\nrevoked = " A "\n  " A "\n", 4, "same one");
}

static void an_indented_option_is_an_error_and_read_all_the_same(void **state)
{
    char *said;

    (void)state;
    refuse("[a.example]\npin = " A "\n  port = 1\n", 3, "'port' begins at the beginning");
    refuse("[a.example]\npin = " A "\n\tlisten=unix:a\n  unix:b\n", 3, "'listen' begins");
    refuse("[a.example]\nlisten = unix:a\n  pin: " A "\n  " B "\n", 3, "'pin' begins");
    refuse("[a.example]\n  pin = " A "\n", 2, "begins at the beginning");
    said = faults("[a.example]\n\tlisten = unix:a\n\tpin = " A "\n\t[b.example]\n\tpin =\n\t\t" B
                  "\n\tport = 0\n");
    assert_contains(said, "x.conf:2: an option begins");
    assert_contains(said, "x.conf:3: 'pin' begins");
    assert_contains(said, "x.conf:4: a [section] begins");
    assert_contains(said, "x.conf:5: an option begins");
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

static void a_configuration_without_any_host_is_an_error(void **state)
{
    (void)state;
    refuse_whole("", "no host section");
    refuse_whole("\n; [a.example]\n", "no host section");
    refuse_whole("[global]\nworkers = 1\n[defaults]\npin = " A "\n", "no host section");
    refuse("[global]\ninclude = no.d/*.conf\n", 2, "no file matches 'no.d/*.conf'");
}

static void limits_that_cannot_be_turned_off_are_not(void **state)
{
    static const char *const never[] = {"connect_timeout", "handshake_timeout"};
    static const char *const zero[] = {"0", "0s", "0ms", "off", "OFF"};
    struct config *c;
    char text[128];
    size_t i, j;

    (void)state;
    for (i = 0; i < COUNT(never); i++) {
        for (j = 0; j < COUNT(zero); j++) {
            snprintf(text, sizeof(text), "[a.example]\npin = " A "\n%s = %s\n", never[i], zero[j]);
            refuse(text, 3, "expected a duration");
        }
    }
    refuse("[a.example]\npin = " A "\ndns_ttl = off\n", 3, "no 'off'");
    refuse("[global]\ndrain_timeout = off\n[a.example]\npin = " A "\n", 2, "no 'off'");
    c = take("[global]\ndrain_timeout = 0\n[a.example]\npin = " A "\ndns_ttl = 0\n"
             "idle_timeout = 0\nhalf_close_timeout = off\nkeepalive = off\n");
    assert_int_equal(c->global.drain_timeout, 0);
    assert_int_equal(c->sections[0]->dns_ttl, 0);
    assert_int_equal(c->sections[0]->keepalive, 0);
    config_free(c);
}

static void a_group_without_a_user_is_an_error(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\n[global]\ngroup = root\n", 4, "'user'");
}

static void a_semicolon_right_behind_the_equals_sign_is_an_error(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nalpn =;h2\n", 3, "starts no comment");
    refuse("[a.example]\npin = " A "\nalpn =; h2\n", 3, "starts no comment");
    refuse("[global]\ninclude =;conf.d/*.conf\n[a.example]\npin = " A "\n", 2, "starts no comment");
}

static void a_character_that_cannot_be_told_from_a_blank_is_named(void **state)
{
    (void)state;
    refuse("[a.example]\npin =\u00a0" A "\n", 2, "U+00A0");
    refuse("[a.example]\npin = " A "\u200b\n", 2, "U+200B");
    refuse("[a.example]\npin = \u201c" A "\u201d\n", 2, "U+201C");
    refuse("[a.example]\npin = " A "\nca_file = \u2019x\n", 3, "U+2019");
}

/* One that names no file is fine, so that it would take files away without a word. */
static void two_patterns_of_one_include_are_an_error(void **state)
{
    static const char *const lists[] = {"none/*.conf nor/*.conf", "none/*.conf, nor/*.conf",
                                        "none/*.conf,nor/*.conf", "none/*.conf\tnor/*.conf"};
    char text[128];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(lists); i++) {
        snprintf(text, sizeof(text), "[global]\ninclude = %s\n[a.example]\npin = " A "\n",
                 lists[i]);
        refuse(text, 2, "one pattern a line");
    }
    config_free(take("[global]\ninclude = none/*.conf\n  nor/*.conf\n[a.example]\npin = " A "\n"));
}

/* The second mode would hold, without a word, whichever of them was meant. */
static void an_attribute_of_a_socket_is_given_once(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nlisten = unix:x,mode=0600,mode=0666\n", 3, "once each");
    refuse("[a.example]\npin = " A "\nlisten = unix:x,user=root,mode=0600,user=root\n", 3,
           "once each");
    refuse("[a.example]\npin = " A "\nlisten = unix:x,group=root,group=root\n", 3, "once each");
    config_free(take("[a.example]\npin = " A "\nlisten = unix:x,group=root,mode=0600,user=root\n"));
}

/* Day 0 stands for no end at all. */
static void a_report_ends_after_1970(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nverify = pin+pki\nenforce = report until=1970-01-01\n", 4,
           "time began");
    refuse("[a.example]\npin = " A "\nverify = pin+pki\nenforce = report until=1969-12-31\n", 4,
           "time began");
    config_free(
        take("[a.example]\npin = " A "\nverify = pin+pki\nenforce = report until=1970-01-02\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_without_a_value_is_an_error_in_its_line),
        cmocka_unit_test(what_a_comment_would_hide_is_an_error),
        cmocka_unit_test(what_a_comment_would_take_from_a_value_is_an_error),
        cmocka_unit_test(quotes_are_no_part_of_a_value),
        cmocka_unit_test(addresses_of_no_family_are_an_error),
        cmocka_unit_test(a_hash_behind_a_value_is_an_error),
        cmocka_unit_test(revoked_adds_to_that_of_defaults),
        cmocka_unit_test(an_indented_option_is_an_error_and_read_all_the_same),
        cmocka_unit_test(an_indented_line_that_is_no_value_says_whose_it_would_be),
        cmocka_unit_test(a_configuration_without_any_host_is_an_error),
        cmocka_unit_test(limits_that_cannot_be_turned_off_are_not),
        cmocka_unit_test(a_group_without_a_user_is_an_error),
        cmocka_unit_test(a_semicolon_right_behind_the_equals_sign_is_an_error),
        cmocka_unit_test(a_character_that_cannot_be_told_from_a_blank_is_named),
        cmocka_unit_test(two_patterns_of_one_include_are_an_error),
        cmocka_unit_test(an_attribute_of_a_socket_is_given_once),
        cmocka_unit_test(a_report_ends_after_1970),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
