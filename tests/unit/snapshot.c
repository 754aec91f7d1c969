/* proxy/snapshot: counters outlive a reload; a snapshot that cannot be made leaves no trace. */
#include "proxy/snapshot.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "certs.h"
#include "config/loader.h"
#include "help.h"
#include "pin/pinvalue.h"
#include "trust/trust.h"

#define PIN "pin = sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=\n"

static struct config *parse(const char *text)
{
    struct diag_list diags = {0};
    struct config *c = config_parse(temp_path("test.conf"), text, strlen(text), &diags);

    diag_print(&diags, stderr);
    assert_int_equal(diags.count, 0);
    return c;
}

static struct snapshot *make(const char *text, const struct snapshot *old)
{
    struct diag_list diags = {0};
    struct snapshot *s = snapshot_new(parse(text), old, &diags);

    diag_print(&diags, stderr);
    assert_int_equal(diags.count, 0);
    assert_non_null(s);
    return s;
}

static unsigned holders(const struct stats *s)
{
    return atomic_load(&s->refs);
}

static void every_section_is_made_ready_to_run(void **state)
{
    struct snapshot *s = make("[b.example]\n" PIN "[a.example]\nverify = pki\n", NULL);
    size_t i;

    (void)state;
    assert_int_equal(s->count, 2);
    assert_int_equal(atomic_load(&s->refs), 1);
    for (i = 0; i < s->count; i++) {
        assert_ptr_equal(s->sections[i].config, s->config->sections[i]);
        assert_non_null(s->sections[i].policy);
        assert_non_null(s->sections[i].ctx);
        assert_non_null(s->sections[i].stats);
        assert_int_equal(holders(s->sections[i].stats), 1);
    }
    assert_ptr_not_equal(s->sections[0].stats, s->sections[1].stats);
    snapshot_release(s);
}

static void every_section_has_a_front_end_of_its_name(void **state)
{
    struct snapshot *s = make("[b.example]\nlisten = 127.0.0.1:0\nlisten = 127.0.0.1:8443\n"
                              "max_connections = 7\nkeepalive = 5s\n" PIN "[a.example]\n" PIN,
                              NULL);
    const struct frontend *b = snapshot_find_frontend(s, "B.example");
    const struct frontend *a = snapshot_find_frontend(s, "a.example");

    (void)state;
    assert_int_equal(s->frontend_count, 2);
    assert_ptr_equal(b->section, snapshot_find(s, "b.example"));
    assert_ptr_equal(b->stats, b->section->stats);
    assert_string_equal(b->name, "b.example");
    assert_int_equal(b->listen->count, 2);
    assert_int_equal(b->max_connections, 7);
    assert_int_equal(b->keepalive, 5000);
    /* one without a listener too: a client may have come in by it before a reload */
    assert_ptr_equal(a->section, snapshot_find(s, "a.example"));
    assert_int_equal(a->listen->count, 0);
    assert_int_equal(a->max_connections, 0);
    assert_null(snapshot_find_frontend(s, "c.example"));
    snapshot_release(s);
}

static void only_equal_settings_share_a_context(void **state)
{
    struct snapshot *s = make("[a.example]\n" PIN "[b.example]\nverify = pki\n"
                              "[c.example]\ntls_min = 1.3\n" PIN,
                              NULL);

    (void)state;
    assert_ptr_equal(s->sections[0].ctx, s->sections[1].ctx); /* equal settings share a context */
    assert_ptr_not_equal(s->sections[0].ctx, s->sections[2].ctx);
    snapshot_release(s);
}

static void a_section_is_found_by_its_own_name_alone(void **state)
{
    struct snapshot *s = make("[c.example]\n" PIN "[a.example]\n" PIN "[b.example]\n" PIN, NULL);

    (void)state;
    assert_string_equal(snapshot_find(s, "a.example")->config->name, "a.example");
    assert_string_equal(snapshot_find(s, "b.example")->config->name, "b.example");
    assert_string_equal(snapshot_find(s, "c.example")->config->name, "c.example");
    assert_string_equal(snapshot_find(s, "B.Example")->config->name, "b.example");
    assert_null(snapshot_find(s, "d.example"));
    assert_null(snapshot_find(s, "a"));
    assert_null(snapshot_find(s, ""));
    snapshot_release(s);
}

static void a_removed_section_is_not_found_and_comes_back_with_new_counters(void **state)
{
    struct snapshot *other = make("[b.example]\n" PIN, NULL), *some;

    (void)state;
    assert_null(snapshot_find(other, "a.example"));
    some = make("[a.example]\n" PIN, other);
    assert_int_equal(stats_get(some->sections[0].stats, STATS_TOTAL), 0);
    snapshot_release(other);
    other = make("[b.example]\n" PIN, some);
    assert_int_equal(holders(some->sections[0].stats), 1);
    snapshot_release(some);
    snapshot_release(other);
}

/* A sanitizer sees what was held too short, and at the end what was held too long. */
static void a_snapshot_lives_while_it_is_held(void **state)
{
    struct snapshot *s = make("[a.example]\n" PIN, NULL);

    (void)state;
    assert_ptr_equal(snapshot_hold(s), s);
    assert_ptr_equal(snapshot_hold(s), s);
    assert_int_equal(atomic_load(&s->refs), 3);
    snapshot_release(s);
    snapshot_release(s);
    assert_int_equal(atomic_load(&s->refs), 1);
    assert_string_equal(s->sections[0].config->host, "a.example");
    snapshot_release(s);
    snapshot_release(NULL);
}

static void *hold_and_release(void *arg)
{
    struct snapshot *s = arg;
    int i;

    for (i = 0; i < 20000; i++) {
        snapshot_hold(s);
        stats_add(s->sections[0].stats, STATS_TUNNELS, 1);
        stats_opened(s->sections[0].stats, i % 2 ? "one" : "other", NULL);
        stats_add(s->sections[0].stats, STATS_SENT, 3);
        stats_ended(s->sections[0].stats, i % 2 ? REASON_OK : REASON_TLS);
        snapshot_release(s);
    }
    return NULL;
}

static void threads_count_exactly(void **state)
{
    struct snapshot *s = make("[a.example]\n" PIN, NULL);
    struct stats *stats = s->sections[0].stats;
    struct stats_values values;
    pthread_t threads[4];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_release, s), 0);
    for (i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&s->refs), 1);
    assert_int_equal(stats_get(stats, STATS_TUNNELS), 0);
    assert_int_equal(stats_get(stats, STATS_TOTAL), 80000);
    assert_int_equal(stats_get(stats, STATS_SENT), 240000);
    stats_read(stats, &values);
    assert_int_equal(values.ended[REASON_OK], 40000);
    assert_int_equal(values.ended[REASON_TLS], 40000);
    snapshot_release(s);
}

static void a_reload_continues_the_counters(void **state)
{
    struct snapshot *old = make("[a.example]\n" PIN "[b.example]\n" PIN, NULL), *new;
    struct stats *kept = snapshot_find(old, "b.example")->stats;

    (void)state;
    stats_add(kept, STATS_SENT, 1000);
    stats_opened(kept, "today", NULL);
    stats_add(snapshot_find(old, "a.example")->stats, STATS_SENT, 7);

    /* by name, at any place in the file, and with other options */
    new = make("[c.example]\n" PIN "[B.EXAMPLE]\nhost = other.example\nport = 8443\n" PIN, old);
    assert_ptr_equal(snapshot_find(new, "b.example")->stats, kept);
    assert_int_equal(holders(kept), 2);
    assert_int_equal(stats_get(snapshot_find(new, "c.example")->stats, STATS_SENT), 0);

    /* a tunnel of the old snapshot counts on: both see it, and the new one after the old */
    stats_add(snapshot_find(old, "b.example")->stats, STATS_SENT, 1);
    assert_int_equal(stats_get(snapshot_find(new, "b.example")->stats, STATS_SENT), 1001);
    snapshot_release(old);
    assert_int_equal(holders(kept), 1);
    assert_int_equal(stats_get(snapshot_find(new, "b.example")->stats, STATS_SENT), 1001);
    assert_int_equal(stats_get(snapshot_find(new, "b.example")->stats, STATS_TOTAL), 1);
    assert_int_equal(snapshot_find(new, "b.example")->config->port, 8443);
    snapshot_release(new);
}

/* The old snapshot is unharmed, and holds its counters alone again. */
static void a_failed_reload_takes_nothing_along(void **state)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"[a.example]\n" PIN "ciphers = NOSUCH\n", "ciphers = NOSUCH"},
        {"[a.example]\n" PIN "ciphersuites = TLS_NOSUCH\n", "ciphersuites"},
        {"[a.example]\n" PIN "groups = nosuch\n", "groups"},
        {"[a.example]\n" PIN "sigalgs = nosuch\n", "sigalgs"},
        {"[a.example]\n" PIN "[b.example]\nverify = pki\nca_file = nosuch.pem\n", "ca_file"},
        {"[b.example]\nverify = pki\nca_dir = nosuch\n[a.example]\n" PIN, "ca_dir"},
    };
    struct snapshot *old = make("[a.example]\n" PIN, NULL);
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct diag_list diags = {0};

        assert_null(snapshot_new(parse(rows[i].text), old, &diags));
        assert_true(diags.count > 0);
        assert_contains(diags.items[0].text, rows[i].part);
        assert_contains(diags.items[0].file, "test.conf");
        diag_free(&diags);
        assert_int_equal(holders(old->sections[0].stats), 1);
        assert_int_equal(atomic_load(&old->refs), 1);
    }
    snapshot_release(old);
}

static void what_only_openssl_can_judge_is_reported_with_its_line(void **state)
{
    struct diag_list diags = {0};

    (void)state;
    assert_null(snapshot_new(parse("[a.example]\n" PIN "ciphers = nonsense\n"
                                   "[b.example]\nverify = pki\nca_file = /nonexistent/ca.pem\n"),
                             NULL, &diags));
    assert_int_equal(diags.count, 2);
    assert_int_equal(diags.items[0].line, 3);
    assert_contains(diags.items[0].text, "ciphers");
    assert_int_equal(diags.items[1].line, 6);
    assert_contains(diags.items[1].text, "ca_file");
    diag_free(&diags);
}

static void a_fault_that_many_sections_inherit_is_reported_once(void **state)
{
    struct diag_list diags = {0};

    (void)state;
    assert_null(
        snapshot_new(parse("[defaults]\nciphers = nonsense\n[a.example]\n" PIN "[b.example]\n" PIN),
                     NULL, &diags));
    assert_int_equal(diags.count, 1);
    assert_int_equal(diags.items[0].line, 2);
    diag_free(&diags);
}

static void earlier_diagnostics_do_not_count_as_faults(void **state)
{
    struct diag_list diags = {0};
    struct snapshot *s;

    (void)state;
    diag_add(&diags, (struct location){.file = "elsewhere"}, "something else");
    s = snapshot_new(parse("[a.example]\n" PIN), NULL, &diags);
    assert_non_null(s);
    assert_int_equal(diags.count, 1);
    diag_free(&diags);
    snapshot_release(s);
}

static void a_file_with_a_fault_is_not_loaded(void **state)
{
    static const char *const texts[] = {
        "",
        "nonsense\n",
        "[a.example]\n",
        "[a.example]\npin = sha256//short\n",
        "[a.example]\n" PIN "nosuch = 1\n",
        "[a.example]\n" PIN "[a.example]\n" PIN,
        "[a.example]\n" PIN "[A.EXAMPLE]\n" PIN,
        "[.]\n" PIN,
        "[a.example]\n" PIN "listen = 0.0.0.0:80\n",
        "[a.example]\n" PIN "host = \nverify_name = \nsni = \nalpn = \n",
        "[a.example]\n" PIN "tls_min = 1.3\ntls_max = 1.2\n",
        "[a.example]\n" PIN "tls_min = 1.0\n",
        "[a.example]\nverify = pki\n" PIN,
        "[a.example]\n" PIN "port = 0\n",
    };
    struct snapshot *old = make("[a.example]\n" PIN, NULL);
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(texts); i++) {
        const char *path = temp_text("fault.conf", texts[i]);
        struct diag_list diags = {0};
        struct snapshot *s = snapshot_load(path, old, &diags);

        if (i == 0) { /* empty is no fault by itself */
            assert_int_equal(s == NULL, diags.count > 0);
            snapshot_release(s);
        } else {
            if (s)
                fail_msg("loaded: %s", texts[i]);
            assert_true(diags.count > 0);
        }
        diag_free(&diags);
        assert_int_equal(holders(old->sections[0].stats), 1);
    }
    snapshot_release(old);
}

static void a_missing_file_is_reported(void **state)
{
    struct diag_list diags = {0};

    (void)state;
    assert_null(snapshot_load(temp_path("none.conf"), NULL, &diags));
    assert_int_equal(diags.count, 1);
    assert_contains(diags.items[0].text, "No such file");
    diag_free(&diags);
}

/* Both kinds of problems at once: the administrator mends the file in one go. */
static void faults_of_the_file_and_of_openssl_are_reported_together(void **state)
{
    struct diag_list diags = {0};
    const char *path = temp_text("two.conf", "[a.example]\n" PIN "nosuch = 1\nciphers = NOSUCH\n");
    size_t i;
    bool key = false, ciphers = false;

    (void)state;
    assert_null(snapshot_load(path, NULL, &diags));
    for (i = 0; i < diags.count; i++) {
        key = key || strstr(diags.items[i].text, "unknown option");
        ciphers = ciphers || strstr(diags.items[i].text, "ciphers = NOSUCH");
    }
    assert_true(key);
    assert_true(ciphers);
    diag_free(&diags);
}

static void a_good_file_is_loaded_and_reloaded(void **state)
{
    struct diag_list diags = {0};
    struct snapshot *first, *second;
    const char *path;

    (void)state;
    path = temp_text("good.conf", "[a.example]\n" PIN);
    first = snapshot_load(path, NULL, &diags);
    assert_non_null(first);
    stats_add(first->sections[0].stats, STATS_RECEIVED, 5);
    temp_text("good.conf", "[a.example]\nport = 8443\n" PIN "[b.example]\nverify = pki\n");
    second = snapshot_load(path, first, &diags);
    assert_non_null(second);
    assert_int_equal(diags.count, 0);
    assert_int_equal(first->sections[0].config->port, 443);
    snapshot_release(first);
    assert_int_equal(second->sections[0].config->port, 8443);
    assert_int_equal(stats_get(second->sections[0].stats, STATS_RECEIVED), 5);
    snapshot_release(second);
    diag_free(&diags);
}

/* A probe is made for a section without pins. It must trust nobody, not even a pinned server. */
static void a_probe_trusts_nobody(void **state)
{
    struct diag_list diags = {0};
    struct trust_verdict verdict = {0};
    struct cert server = certs_make(
        &(struct cert_order){.cn = "a.example", .san = "DNS:a.example"});
    struct config_section *section;
    struct config *config = config_new_adhoc("a.example", &section);
    struct snapshot *s;

    (void)state;
    assert_null(pinvalue_parse(certs_key_pin(&server), NULL, &config->arena, &section->pins));
    s = snapshot_new_probe(config, &diags);
    assert_non_null(s);
    assert_int_equal(diags.count, 0);
    assert_int_equal(s->count, 1);
    assert_non_null(s->sections[0].ctx);
    trust_judge(s->sections[0].policy,
                &(struct trust_evidence){.leaf = server.x509, .sent = NULL, .complete = true},
                CERTS_NOW, &verdict);
    assert_false(verdict.trusted);
    assert_int_equal(verdict.reason, REASON_PROBE_ONLY);
    trust_verdict_free(&verdict);
    snapshot_release(s);

    /* while the same section, made to run, does */
    config = config_new_adhoc("a.example", &section);
    assert_null(pinvalue_parse(certs_key_pin(&server), NULL, &config->arena, &section->pins));
    s = snapshot_new(config, NULL, &diags);
    assert_non_null(s);
    trust_judge(s->sections[0].policy,
                &(struct trust_evidence){.leaf = server.x509, .sent = NULL, .complete = true},
                CERTS_NOW, &verdict);
    assert_true(verdict.trusted);
    trust_verdict_free(&verdict);
    snapshot_release(s);
    diag_free(&diags);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_section_is_made_ready_to_run),
        cmocka_unit_test(every_section_has_a_front_end_of_its_name),
        cmocka_unit_test(only_equal_settings_share_a_context),
        cmocka_unit_test(a_section_is_found_by_its_own_name_alone),
        cmocka_unit_test(a_removed_section_is_not_found_and_comes_back_with_new_counters),
        cmocka_unit_test(a_snapshot_lives_while_it_is_held),
        cmocka_unit_test(threads_count_exactly),
        cmocka_unit_test(a_reload_continues_the_counters),
        cmocka_unit_test(a_failed_reload_takes_nothing_along),
        cmocka_unit_test(what_only_openssl_can_judge_is_reported_with_its_line),
        cmocka_unit_test(a_fault_that_many_sections_inherit_is_reported_once),
        cmocka_unit_test(earlier_diagnostics_do_not_count_as_faults),
        cmocka_unit_test(a_file_with_a_fault_is_not_loaded),
        cmocka_unit_test(a_missing_file_is_reported),
        cmocka_unit_test(faults_of_the_file_and_of_openssl_are_reported_together),
        cmocka_unit_test(a_good_file_is_loaded_and_reloaded),
        cmocka_unit_test(a_probe_trusts_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
