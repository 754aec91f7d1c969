/* config/loader: whole configurations. Every error is found, in its line. */
#include "config/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void sections_inherit_from_defaults_wherever_those_stand(void **state)
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

static void a_key_given_twice_is_refused_unless_it_is_a_list(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nport = 1\nport = 2\n", 4, "given twice");
    refuse("[a.example]\npin = " A "\nport = 1\nport = 1\n", 4, "given twice");
    refuse("[a.example]\npin = " A "\nport = 1\n  2\n", 4, "takes one value");
    refuse("[global]\nworkers = 1\nworkers = 1\n", 3, "given twice");
    refuse("[defaults]\nsni = off\nsni = off\n", 3, "given twice");
    refuse("[a.example]\npin = " A "\npin = " A "\n", 3, "same one");
    config_free(take("[a.example]\npin = " A "\npin = " B "\nport = 1\n[b.example]\npin = " A
                     "\nport = 1\n"));
}

static void a_section_that_appears_twice_is_refused(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\n[b.example]\npin = " A "\n[a.example]\npin = " B "\n", 5,
           "appears twice");
    refuse("[a.example]\npin = " A "\n[A.Example]\npin = " B "\n", 3, "appears twice");
    refuse("[global]\n[global]\nworkers = 1\n", 2, "appears twice");
    refuse("[defaults]\n[defaults]\n", 2, "appears twice");
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

static void no_server_name_is_sent_for_an_address(void **state)
{
    struct config *c = take("[192.0.2.1]\npin = " A "\n[2001:db8::1]\npin = " A
                            "\n[a.example]\npin = " A "\nsni = off\n[b.example]\npin = " A
                            "\nsni = c.example\n");

    (void)state;
    assert_null(c->sections[config_find(c, "192.0.2.1")]->sni);
    assert_null(c->sections[config_find(c, "2001:db8::1")]->sni);
    assert_null(c->sections[config_find(c, "a.example")]->sni);
    assert_string_equal(c->sections[config_find(c, "b.example")]->sni, "c.example");
    config_free(c);
}

static void unknown_keys_are_refused_with_a_hint(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nprot = 1\n", 3, "did you mean 'port'?");
    refuse("[a.example]\npin = " A "\nconect_timeout = 1\n", 3, "'connect_timeout'?");
    refuse("[a.example]\npin = " A "\nPort = 1\n", 3, "'port'?");
    refuse("[a.example]\npin = " A "\nutterly_unknown = 1\n", 3, "--help-config");
    refuse("[a.example]\npin = " A "\nworkers = 1\n", 3, "belongs in [global]");
    refuse("[defaults]\ninclude = x\n", 2, "belongs in [global]");
    refuse("[global]\nport = 1\n", 2, "does not belong in [global]");
    refuse("[defaults]\nlisten = 127.0.0.1:1\n", 2, "host's section");
    refuse("[defaults]\nhost = a\n", 2, "host's section");
    refuse("[global]\nx = 1\n", 2, "unknown key 'x'");
    refuse("[a.example]\npin = " A "\nkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk = 1\n", 3,
           "unknown key");
}

static void every_option_that_is_not_built_is_refused_in_its_line(void **state)
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
           6, "x.conf:3 already");
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
    refuse(text, 5, "0.0.0.0:1 at");
    snprintf(text, sizeof(text), "%s0.0.0.0:1\n  127.0.0.1:2\n  192.0.2.1:1\n", head);
    refuse(text, 7, "x.conf:5");
    snprintf(text, sizeof(text), "%s[::]:1\n[b.example]\npin = " A "\nlisten = [::1]:1\n", head);
    refuse(text, 8, "[::]:1 at");
    snprintf(text, sizeof(text), "%s[::]:1\n  0.0.0.0:1\n  127.0.0.1:2\n [::1]:3\n 0.0.0.0:4\n",
             head);
    config_free(take(text));
}

static void what_can_never_be_bound_is_an_error(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nlisten = [::ffff:127.0.0.1]:1\n", 3, "127.0.0.1:1");
    refuse("[a.example]\npin = " A "\nlisten = [fe80::1]:1\n", 3, "interface");
    refuse("[a.example]\npin = " A "\nlisten = unix:@x\n", 3, "abstract");
    refuse("[a.example]\npin = " A "\nlisten = unix:@x,mode=0600\n", 3, "abstract");
    config_free(take("[a.example]\npin = " A "\nlisten = unix:./@x\n"));
    refuse("[a.example]\npin = " A "\nlisten = unix:/\n", 3, "path of a socket");
    refuse("[a.example]\npin = " A "\nlisten = unix:.\n", 3, "path of a socket");
    refuse("[a.example]\npin = " A "\nlisten = unix:dir/\n", 3, "path of a socket");
    refuse("[a.example]\npin = " A "\nlisten = unix:dir/..,mode=0600\n", 3, "path of a socket");
    config_free(take("[a.example]\npin = " A "\nlisten = unix:dir/.x\n  unix:...\n"));
}

static void tls_versions_must_leave_one(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\ntls_min = 1.3\ntls_max = 1.2\n", 1, "tls_max");
    refuse("[defaults]\ntls_max = 1.2\n[a.example]\npin = " A "\ntls_min = 1.3\n", 3, "tls_max");
    config_free(take("[a.example]\npin = " A "\ntls_min = 1.3\ntls_max = 1.3\n"));
}

static void all_faults_are_found_at_once(void **state)
{
    char *said = faults("key = before\n[global]\nworkers = 0\nnonsense\n[a.example]\nport = 0\n"
                        "pin = short\nx = y\n[b.example]\n[a.example]\npin = " A "\n");
    static const char *const lines[] = {
        "x.conf:1: a key before", "x.conf:3: workers", "x.conf:4: expected", "x.conf:6: port",
        "x.conf:7: pin = short",  "x.conf:8: unknown", "x.conf:9: [b",       "x.conf:10: section",
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

static char *load(const char *path, struct config **config)
{
    struct diag_list diags = {0};
    char *said = NULL;
    size_t n;
    FILE *to = open_memstream(&said, &n);

    assert_non_null(to);
    *config = config_load(path, FILE_CONFIGURED, &diags);
    diag_print(&diags, to);
    fclose(to);
    diag_free(&diags);
    return said;
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

static void faults_of_included_files_carry_their_names(void **state)
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
    assert_contains(said, "/main2.conf:4: unknown key 'x'");
    assert_contains(said, "/c2/a.conf:1: section [global] appears twice");
    assert_contains(said, "/c2/a.conf:4: port = x");
    assert_contains(said, "/c2/b.conf:1: section [m.example] appears twice: it is at ");
    assert_contains(said, "/main2.conf:5 already");
    free(said);
    config_free(c);
}

static void a_file_that_includes_itself_is_told(void **state)
{
    static const char *const values[] = {"*.conf", "./self.conf", "../self/s*.conf"};
    char text[128];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(values); i++) {
        struct config *c;
        char *said;

        snprintf(text, sizeof(text), "[global]\ninclude = %s\n[a.example]\npin = " A "\n",
                 values[i]);
        said = load(temp_text("self/self.conf", text), &c);
        assert_contains(said, "self.conf:2: ");
        assert_contains(said, "includes itself");
        assert_null(strstr(said, "twice"));
        free(said);
        config_free(c);
    }
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

static void a_file_that_is_not_there_is_said(void **state)
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

static void sections_are_found_by_name_alone(void **state)
{
    struct config *c = take("[b.example]\npin = " A "\n[a]\nhost = c.example\npin = " A
                            "\n[Z.example]\npin = " A "\n");
    const struct config empty = {0};

    (void)state;
    assert_int_equal(c->count, 3);
    assert_string_equal(c->sections[config_find(c, "b.example")]->name, "b.example");
    assert_string_equal(c->sections[config_find(c, "B.EXAMPLE")]->name, "b.example");
    assert_string_equal(c->sections[config_find(c, "z.example")]->name, "Z.example");
    assert_string_equal(c->sections[config_find(c, "a")]->host, "c.example");
    assert_int_equal(config_find(c, "c.example"), 3);
    assert_int_equal(config_find(c, ""), 3);
    assert_int_equal(config_find(&empty, "a"), 0);
    config_free(c);
    config_free(NULL);
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
        cmocka_unit_test(sections_inherit_from_defaults_wherever_those_stand),
        cmocka_unit_test(lists_of_one_section_do_not_leak_into_another),
        cmocka_unit_test(a_section_without_a_pin_is_refused),
        cmocka_unit_test(a_key_given_twice_is_refused_unless_it_is_a_list),
        cmocka_unit_test(a_section_that_appears_twice_is_refused),
        cmocka_unit_test(unknown_sections_are_refused),
        cmocka_unit_test(a_section_whose_name_is_no_host_needs_one),
        cmocka_unit_test(no_server_name_is_sent_for_an_address),
        cmocka_unit_test(unknown_keys_are_refused_with_a_hint),
        cmocka_unit_test(every_option_that_is_not_built_is_refused_in_its_line),
        cmocka_unit_test(plaintext_from_other_machines_must_be_asked_for),
        cmocka_unit_test(one_address_is_listened_on_once),
        cmocka_unit_test(one_file_is_listened_on_once_by_whatever_path),
        cmocka_unit_test(an_address_and_all_addresses_are_not_both_listened_on),
        cmocka_unit_test(what_can_never_be_bound_is_an_error),
        cmocka_unit_test(tls_versions_must_leave_one),
        cmocka_unit_test(all_faults_are_found_at_once),
        cmocka_unit_test(included_files_are_read_in_order),
        cmocka_unit_test(faults_of_included_files_carry_their_names),
        cmocka_unit_test(a_file_that_includes_itself_is_told),
        cmocka_unit_test(an_included_file_includes_nothing),
        cmocka_unit_test(a_file_that_is_not_there_is_said),
        cmocka_unit_test(sections_are_found_by_name_alone),
        cmocka_unit_test(a_single_section_has_every_default),
        cmocka_unit_test(a_bom_and_crlf_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
