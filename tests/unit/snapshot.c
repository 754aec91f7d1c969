/* proxy/snapshot: a configuration made ready to run; what is counted outlives it. */
#include "proxy/snapshot.h"

#include <string.h>

#include "help.h"

#define A "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="

static struct snapshot *make(const char *text, const struct snapshot *old,
                             struct problems *problems)
{
    return snapshot_new(config_parse("x.conf", text, strlen(text), problems), old, problems);
}

static struct snapshot *make_good(const char *text, const struct snapshot *old)
{
    struct problems problems = {0};
    struct snapshot *s = make(text, old, &problems);

    problems_print(&problems, stderr);
    assert_int_equal(problems.count, 0);
    assert_non_null(s);
    problems_free(&problems);
    return s;
}

static void sections_are_found_by_name_in_any_case(void **state)
{
    struct snapshot *s = make_good("[b.example]\npin = " A "\n[a.example]\npin = " A "\n", NULL);

    (void)state;
    assert_int_equal(s->count, 2);
    assert_string_equal(snapshot_find(s, "B.Example")->config->name, "b.example");
    assert_string_equal(snapshot_find(s, "a.example")->config->name, "a.example");
    assert_null(snapshot_find(s, "c.example"));
    assert_null(snapshot_find(s, ""));
    snapshot_release(s);
}

static void an_empty_configuration_has_no_section(void **state)
{
    struct snapshot *s = make_good("; nothing\n", NULL);

    (void)state;
    assert_int_equal(s->count, 0);
    assert_null(snapshot_find(s, "a.example"));
    snapshot_release(s);
}

static void counters_outlive_a_reload_and_their_first_snapshot(void **state)
{
    struct snapshot *first = make_good("[a.example]\npin = " A "\n[b.example]\npin = " A "\n",
                                       NULL);
    struct snapshot *second;

    (void)state;
    stats_add(&snapshot_find(first, "a.example")->stats->total, 7);
    second = make_good("[c.example]\npin = " A "\n[A.EXAMPLE]\npin = " A "\n", first);
    snapshot_release(first);
    assert_int_equal(stats_get(&snapshot_find(second, "a.example")->stats->total), 7);
    assert_int_equal(stats_get(&snapshot_find(second, "c.example")->stats->total), 0);
    snapshot_release(second);
}

static void a_reference_keeps_it_alive(void **state)
{
    struct snapshot *s = make_good("[a.example]\npin = " A "\n", NULL);

    (void)state;
    assert_ptr_equal(snapshot_hold(s), s);
    snapshot_release(s);
    /* under a sanitizer this would be a use after free */
    assert_string_equal(s->sections[0].config->host, "a.example");
    snapshot_release(s);
    snapshot_release(NULL);
}

static void what_only_openssl_can_judge_is_told_with_its_line(void **state)
{
    struct problems problems = {0};

    (void)state;
    assert_null(make("[a.example]\npin = " A "\nciphers = nonsense\n[b.example]\nverify = pki\n"
                     "ca_file = /nonexistent/ca.pem\n",
                     NULL, &problems));
    assert_int_equal(problems.count, 2);
    assert_int_equal(problems.items[0].line, 3);
    assert_contains(problems.items[0].text, "ciphers");
    assert_int_equal(problems.items[1].line, 6);
    assert_contains(problems.items[1].text, "ca_file");
    problems_free(&problems);
}

static void a_fault_inherited_by_many_sections_is_told_once(void **state)
{
    struct problems problems = {0};

    (void)state;
    assert_null(make("[defaults]\nciphers = nonsense\n[a.example]\npin = " A
                     "\n[b.example]\npin = " A "\n",
                     NULL, &problems));
    assert_int_equal(problems.count, 1);
    assert_int_equal(problems.items[0].line, 2);
    problems_free(&problems);
}

static void sections_with_equal_settings_share_a_context(void **state)
{
    struct snapshot *s = make_good("[a.example]\npin = " A "\n[b.example]\npin = " A
                                   "\n[c.example]\ntls_min = 1.3\npin = " A "\n",
                                   NULL);

    (void)state;
    assert_ptr_equal(s->sections[0].tls, s->sections[1].tls);
    assert_ptr_not_equal(s->sections[0].tls, s->sections[2].tls);
    snapshot_release(s);
}

static void a_fault_in_a_file_leaves_nothing_to_run(void **state)
{
    struct problems problems = {0};
    const char *path = temp_text("bad.conf", "[a.example]\npin = " A "\nnonsense = 1\n");

    (void)state;
    assert_null(snapshot_load(path, NULL, &problems));
    assert_int_equal(problems.count, 1);
    problems_free(&problems);
    assert_null(snapshot_load(temp_path("missing.conf"), NULL, &problems));
    assert_int_equal(problems.count, 1);
    problems_free(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_are_found_by_name_in_any_case),
        cmocka_unit_test(an_empty_configuration_has_no_section),
        cmocka_unit_test(counters_outlive_a_reload_and_their_first_snapshot),
        cmocka_unit_test(a_reference_keeps_it_alive),
        cmocka_unit_test(what_only_openssl_can_judge_is_told_with_its_line),
        cmocka_unit_test(a_fault_inherited_by_many_sections_is_told_once),
        cmocka_unit_test(sections_with_equal_settings_share_a_context),
        cmocka_unit_test(a_fault_in_a_file_leaves_nothing_to_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
