/* config/validate: checks of several options, and of several sections. */
#include "config/validate.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "configs.h"
#include "help.h"

#define HEX "60b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a18"

static void a_section_without_a_pin_is_refused(void **state)
{
    (void)state;
    refuse("[a.example]\n", 1, "no pin");
    refuse("[a.example]\nverify = pin+pki\n", 1, "no pin");
    refuse("[a.example]\nverify = pki\npin = " A "\n", 1, "pins");
    refuse("[defaults]\npin = " A "\n\n[a.example]\nverify = pki\n", 4, "pins");
    config_free(take("[a.example]\nverify = pki\n"));
    config_free(take("[defaults]\nverify = pki\n[a.example]\n"));
}

static void a_section_that_appears_twice_is_refused(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\n[b.example]\npin = " A "\n[a.example]\npin = " B "\n", 5,
           "is already defined at");
    refuse("[a.example]\npin = " A "\n[A.Example]\npin = " B "\n", 3, "is already defined at");
    refuse("[global]\n[global]\nworkers = 1\n", 2, "is already defined at");
    refuse("[defaults]\n[defaults]\n", 2, "is already defined at");
}

static void a_section_whose_name_is_no_host_needs_one(void **state)
{
    struct config *c;

    (void)state;
    refuse("[my server]\npin = " A "\n", 1, "host =");
    refuse("[*.example.com]\npin = " A "\n", 1, "wildcard");
    refuse("[.example.com]\npin = " A "\n", 1, "dot");
    refuse("[b\xc3\xbc"
           "cher.example]\npin = " A "\n",
           1, "xn--");
    refuse("[my server]\nhost = .x\npin = " A "\n", 2, "dot");
    c = take("[my server]\nhost = Api.Example.com.\npin = " A "\n");
    assert_string_equal(c->sections[0]->name, "my server");
    assert_string_equal(c->sections[0]->host, "Api.Example.com");
    assert_string_equal(c->sections[0]->sni, "Api.Example.com");
    config_free(c);
    c = take("[example.com.]\npin = " A "\n");
    assert_string_equal(c->sections[0]->host, "example.com");
    assert_string_equal(c->sections[0]->verify_name, "example.com");
    config_free(c);
}

static void tls_versions_must_leave_one(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\ntls_min = 1.3\ntls_max = 1.2\n", 1, "tls_max");
    refuse("[defaults]\ntls_max = 1.2\n[a.example]\npin = " A "\ntls_min = 1.3\n", 3, "tls_max");
    config_free(take("[a.example]\npin = " A "\ntls_min = 1.3\ntls_max = 1.3\n"));
}

static void addresses_of_no_family_are_an_error(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nbind = ::1\nfamily = ipv4\n", 1, "no address is left");
    refuse("[::1]\npin = " A "\nfamily = ipv4\n", 1, "excludes");
    refuse("[127.0.0.1]\npin = " A "\nbind = ::1\n", 1, "excludes");
    config_free(take("[::1]\npin = " A "\nfamily = ipv6\nbind = ::1\n"
                     "[a]\nhost = ::1\npin = " A "\naddress = 127.0.0.1\nfamily = ipv4\n"));
}

static void what_no_raw_key_can_have_is_an_error(void **state)
{
    static const char *const modes[] = {"pki", "pin+pki", "tofu+pki"};
    char text[512];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(modes); i++) {
        snprintf(text, sizeof(text), "[a.example]\n%sverify = %s\nraw_key = offer\n",
                 i == 1 ? "pin = " A "\n" : "", modes[i]);
        refuse(text, i == 1 ? 4 : 3, "checks the PKI");
    }
    refuse("[defaults]\nraw_key = offer\n[a.example]\nverify = pki\n", 3, "checks the PKI");
    refuse("[a.example]\npin = " A "\nraw_key = offer\nalso_check = name\n", 4, "also_check");
    refuse("[a.example]\npin = " A "\nraw_key = require\nalso_check = dates\n", 4, "also_check");
    refuse("[a.example]\npin = " A "\n  cert:sha256:" HEX "\nraw_key = require\n", 4,
           "cert:sha256:" HEX);
    refuse("[a.example]\npin = " A "\n  issuer:" B "\nraw_key = require\n", 4, "issuer:" B);
    refuse("[a.example]\nverify = tofu\npin = cert:sha256:" HEX "\nraw_key = require\n", 4,
           "no server can match");
    refuse("[a.example]\npin = cert:sha256:" HEX "\nraw_key = offer\n", 3, "no pin that a raw");
    refuse("[a.example]\npin = issuer:" B "\nraw_key = offer\n", 3, "no pin that a raw");
    refuse("[a.example]\npin = " A "\nraw_key = yes\n", 3, "offer");
    config_free(take("[a.example]\npin = " A "\nraw_key = require\n"));
    config_free(take("[a.example]\npin = " A "\n  issuer:" B "\nraw_key = offer\n"));
    config_free(take("[a.example]\nverify = tofu\nraw_key = require\n"));
    config_free(take("[a.example]\nverify = tofu\nraw_key = offer\npins_url = /pins\n"));
    config_free(take("[defaults]\nraw_key = offer\n[a.example]\nverify = pki\nraw_key = no\n"));
}

static void a_group_without_a_user_is_an_error(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\n[global]\ngroup = root\n", 4, "'user'");
}

static void a_configuration_without_any_host_is_an_error(void **state)
{
    (void)state;
    refuse_whole("", "no host section");
    refuse_whole("\n; [a.example]\n", "no host section");
    refuse_whole("[global]\nworkers = 1\n[defaults]\npin = " A "\n", "no host section");
    refuse("[global]\ninclude = no.d/*.conf\n", 2, "no file matches 'no.d/*.conf'");
}

static void plaintext_from_other_machines_must_be_asked_for(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nlisten = 0.0.0.0:1\n", 3, "remote_clients");
    refuse("[a.example]\npin = " A "\nlisten = [::]:1\n", 3, "remote_clients");
    refuse("[a.example]\npin = " A "\nlisten = 192.0.2.1:1\n", 3, "remote_clients");
    refuse("[a.example]\npin = " A "\nlisten = [2001:db8::1]:1\n", 3, "remote_clients");
    config_free(take("[a.example]\npin = " A "\nlisten = 0.0.0.0:1\n"
                     "[global]\nremote_clients = yes\n"));
    config_free(take("[a.example]\npin = " A "\nlisten = [::1]:1\n  127.1.2.3:1\n  unix:x\n"));
}

static void one_address_is_listened_on_once(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nlisten = 127.0.0.1:1\n  127.0.0.1:1\n", 4, "already");
    refuse("[a.example]\npin = " A "\nlisten = [::1]:1\n[b.example]\npin = " A
           "\nlisten = [0:0:0:0:0:0:0:1]:1\n",
           6, "already set at x.conf:3");
    refuse("[a.example]\npin = " A "\nlisten = [::1]:1\n  [::1%lo]:1\n", 4, "already");
    refuse("[a.example]\npin = " A "\nlisten = unix:/x\n  unix:/x,mode=0600\n", 4, "already");
    config_free(take("[a.example]\npin = " A "\nlisten = 127.0.0.1:0\n  127.0.0.1:0\n"));
}

static void one_file_is_listened_on_once_by_whatever_path(void **state)
{
    const char *target = temp_text("dir/file", ""), *link = temp_path("dir-link");
    char text[1024];
    static const char *const again[] = {"/dir/sock", "/dir-link/sock", "//dir//sock", "/dir/./sock",
                                        "/dir/../dir-link/sock"};
    size_t i;

    (void)state;
    assert_non_null(target);
    assert_int_equal(symlink("dir", link), 0);
    for (i = 0; i < COUNT(again); i++) {
        snprintf(text, sizeof(text),
                 "[a.example]\npin = " A "\nlisten = unix:%s/dir/sock\n  unix:%s%s\n", temp_dir(),
                 temp_dir(), again[i]);
        refuse(text, 4, "already");
    }
    /* where systemd has not made the directory yet */
    refuse("[a.example]\npin = " A "\nlisten = unix:/missing/sock\n  unix:/missing/.//sock\n", 4,
           "already");
    config_free(take("[a.example]\npin = " A
                     "\nlisten = unix:/missing/sock\n  unix:/missing/sock2\n"
                     "  unix:/missing/more/sock\n"));
}

static void an_address_and_all_addresses_are_not_both_listened_on(void **state)
{
    static const char head[] = "[global]\nremote_clients = yes\n[a.example]\npin = " A
                               "\nlisten = ";
    char text[512];

    (void)state;
    snprintf(text, sizeof(text), "%s127.0.0.1:1\n  0.0.0.0:1\n", head);
    refuse(text, 5, "covered by listen = 0.0.0.0:1 at");
    snprintf(text, sizeof(text), "%s0.0.0.0:1\n  127.0.0.1:2\n  192.0.2.1:1\n", head);
    refuse(text, 7, "x.conf:5");
    snprintf(text, sizeof(text), "%s[::]:1\n[b.example]\npin = " A "\nlisten = [::1]:1\n", head);
    refuse(text, 8, "covered by listen = [::]:1 at");
    snprintf(text, sizeof(text), "%s[::]:1\n  0.0.0.0:1\n  127.0.0.1:2\n [::1]:3\n 0.0.0.0:4\n",
             head);
    config_free(take(text));
}

static void connections_made_ahead_need_clients_and_a_way_that_takes_several(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nwarm = 2\n", 3, "no effect without 'listen'");
    config_free(take("[a.example]\npin = " A "\nwarm = 0\n"));
    config_free(take("[defaults]\nwarm = 2\n[a.example]\npin = " A "\n"));
    refuse("[a.example]\npin = " A "\nlisten = 127.0.0.1:1\nvia = serial:/dev/ttyS0\nwarm = 1\n", 5,
           "one tunnel at a time");
    refuse("[a.example]\npin = " A "\nwarm = 1001\nlisten = 127.0.0.1:1\n", 3, "warm = 1001");
    refuse("[a.example]\npin = " A "\nwarm_lifetime = off\n", 3, "warm_lifetime");
    refuse("[a.example]\npin = " A "\nwarm_lifetime = 0\n", 3, "warm_lifetime");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_section_without_a_pin_is_refused),
        cmocka_unit_test(a_section_that_appears_twice_is_refused),
        cmocka_unit_test(a_section_whose_name_is_no_host_needs_one),
        cmocka_unit_test(tls_versions_must_leave_one),
        cmocka_unit_test(addresses_of_no_family_are_an_error),
        cmocka_unit_test(what_no_raw_key_can_have_is_an_error),
        cmocka_unit_test(a_group_without_a_user_is_an_error),
        cmocka_unit_test(a_configuration_without_any_host_is_an_error),
        cmocka_unit_test(plaintext_from_other_machines_must_be_asked_for),
        cmocka_unit_test(one_address_is_listened_on_once),
        cmocka_unit_test(one_file_is_listened_on_once_by_whatever_path),
        cmocka_unit_test(an_address_and_all_addresses_are_not_both_listened_on),
        cmocka_unit_test(connections_made_ahead_need_clients_and_a_way_that_takes_several),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
