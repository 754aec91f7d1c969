/* proxy/route: a tunnel is counted in one place, and found again by names alone. */
#include "proxy/route.h"

#include <string.h>

#include "config/loader.h"
#include "help.h"

#define PIN "pin = sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=\n"

static struct snapshot *make(const char *text, const struct snapshot *old)
{
    struct diag_list diags = {0};
    struct snapshot *s = snapshot_new(
        config_parse(temp_path("test.conf"), text, strlen(text), &diags), old, &diags);

    assert_int_equal(diags.count, 0);
    assert_non_null(s);
    return s;
}

static struct stats *stats_of(const struct snapshot *s, const char *section)
{
    return snapshot_find(s, section)->stats;
}

static uint64_t tunnels(const struct stats *s)
{
    return stats_get(s, STATS_TUNNELS);
}

/* A tunnel of a front end, which is counted as its caller would. */
static struct route begin(struct snapshot *s, const char *frontend)
{
    struct route r;

    route_init(&r, snapshot_hold(s), snapshot_find_frontend(s, frontend));
    stats_add(r.frontend->stats, STATS_TUNNELS, 1);
    return r;
}

static void a_client_reaches_the_section_of_its_front_end(void **state)
{
    struct snapshot *s = make("[a.example]\n" PIN "[b.example]\n" PIN, NULL);
    struct route r = begin(s, "b.example");

    (void)state;
    assert_ptr_equal(r.section, snapshot_find(s, "b.example"));
    assert_ptr_equal(r.stats, r.section->stats);
    route_release(&r);
    assert_int_equal(atomic_load(&s->refs), 1);
    snapshot_release(s);
}

/* By host and port, not by the section's name; without regard to case and a trailing dot. */
static void a_client_that_names_a_host_reaches_its_section(void **state)
{
    static const struct {
        const char *host;
        long port;
        const char *section; /* NULL: none */
    } rows[] = {
        {"a.example", 443, "one"},  {"A.Example.", 443, "one"},
        {"a.example", 8443, "two"}, {"a.example", 80, NULL},
        {"one", 443, NULL},         {"b.example", 443, NULL},
        {"x.a.example", 443, NULL}, {"", 443, NULL},
    };
    struct snapshot *s = make(
        "[one]\nhost = a.example\n" PIN "[two]\nhost = a.example\nport = 8443\n" PIN, NULL);
    struct stats *own = stats_new();
    struct frontend *f = &s->frontends[0];
    size_t i;

    (void)state;
    f->section = NULL;
    f->stats = own;
    for (i = 0; i < COUNT(rows); i++) {
        struct front_target target = {.port = rows[i].port};
        struct route r = begin(s, f->name);

        strcpy(target.host, rows[i].host);
        assert_null(r.section);
        assert_int_equal(route_choose(&r, &target), rows[i].section != NULL);
        assert_int_equal(tunnels(own), rows[i].section == NULL);
        if (rows[i].section) {
            assert_string_equal(r.section->config->name, rows[i].section);
            assert_int_equal(tunnels(r.section->stats), 1);
        }
        stats_ended(r.stats, REASON_OK);
        route_release(&r);
    }
    snapshot_release(s);
    stats_release(own);
}

static void a_reload_finds_the_route_again_by_name(void **state)
{
    struct snapshot *before = make("[a.example]\n" PIN, NULL);
    struct snapshot *after = make("[b.example]\n" PIN "[a.example]\nport = 8443\n" PIN, before);
    struct route r = begin(before, "a.example"), next;

    (void)state;
    assert_true(route_find(&r, after, &next));
    assert_int_equal(next.section->config->port, 8443);
    assert_int_equal(atomic_load(&before->refs), 2); /* until it is replaced */
    route_replace(&r, &next);
    assert_int_equal(atomic_load(&before->refs), 1);
    assert_int_equal(atomic_load(&after->refs), 2);
    assert_int_equal(tunnels(stats_of(after, "a.example")), 1);
    assert_int_equal(tunnels(stats_of(after, "b.example")), 0);
    snapshot_release(before);
    route_release(&r);
    snapshot_release(after);
}

static void a_removed_section_is_not_found(void **state)
{
    struct snapshot *before = make("[a.example]\n" PIN, NULL);
    struct snapshot *after = make("[b.example]\n" PIN, before);
    struct route r = begin(before, "a.example"), next;

    (void)state;
    assert_false(route_find(&r, after, &next));
    assert_int_equal(atomic_load(&after->refs), 1);
    route_release(&r);
    snapshot_release(before);
    snapshot_release(after);
}

/* The section comes back with new counters, and the tunnel is counted in them alone. */
static void a_tunnel_is_counted_once_when_its_section_was_away(void **state)
{
    struct snapshot *first = make("[a.example]\n" PIN, NULL);
    struct snapshot *second = make("[b.example]\n" PIN, first);
    struct snapshot *third = make("[a.example]\n" PIN, second);
    struct route r = begin(first, "a.example"), next;

    (void)state;
    assert_true(route_find(&r, third, &next));
    route_replace(&r, &next);
    assert_int_equal(tunnels(stats_of(first, "a.example")), 0);
    assert_int_equal(tunnels(stats_of(third, "a.example")), 1);
    route_release(&r);
    snapshot_release(first);
    snapshot_release(second);
    snapshot_release(third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_reaches_the_section_of_its_front_end),
        cmocka_unit_test(a_client_that_names_a_host_reaches_its_section),
        cmocka_unit_test(a_reload_finds_the_route_again_by_name),
        cmocka_unit_test(a_removed_section_is_not_found),
        cmocka_unit_test(a_tunnel_is_counted_once_when_its_section_was_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
