/* proxy/stats: each event is counted once, in its own row, and stats_read() shows all of them. */
#include "proxy/stats.h"

#include <pthread.h>
#include <string.h>

#include "certs.h"
#include "help.h"

static struct stats_values read_all(struct stats *s)
{
    struct stats_values values;

    memset(&values, 0xff, sizeof(values)); /* a value that is not set does not pass for zero */
    stats_read(s, &values);
    return values;
}

static void new_counters_are_zero(void **state)
{
    struct stats *s = stats_new();
    struct stats_values v = read_all(s);
    struct cert_info info;
    size_t i;

    (void)state;
    for (i = 0; i < STATS_COUNT; i++)
        assert_int_equal(v.counters[i], 0);
    for (i = 0; i < REASON_COUNT; i++)
        assert_int_equal(v.ended[i], 0);
    assert_string_equal(v.last_pin, "");
    assert_int_equal(v.last_failure, REASON_NONE);
    assert_int_equal(v.last_failure_at, 0);
    assert_false(stats_last_server(s, &info));
    stats_release(s);
    stats_release(NULL);
}

/* Whatever shows counters walks the rows: each has words, and a name of its own. */
static void every_row_has_its_own_name_and_counter(void **state)
{
    struct stats *s = stats_new();
    struct stats_values v;
    size_t i, j;

    (void)state;
    for (i = 0; i < STATS_COUNT; i++) {
        assert_true(strlen(stats_rows[i].name) > 0);
        assert_true(strlen(stats_rows[i].help) > 0);
        for (j = 0; j < i; j++)
            assert_string_not_equal(stats_rows[i].name, stats_rows[j].name);
        stats_add(s, (enum stats_counter)i, 1000 + i);
    }
    v = read_all(s);
    for (i = 0; i < STATS_COUNT; i++) {
        assert_int_equal(v.counters[i], 1000 + i);
        assert_int_equal(stats_get(s, (enum stats_counter)i), 1000 + i);
    }
    stats_release(s);
}

/* The ends of a tunnel and of a warm connection make their gauges smaller, and no counter. */
static void only_a_gauge_falls(void **state)
{
    struct stats *s = stats_new();
    struct stats_values before, after;
    size_t i;

    (void)state;
    stats_add(s, STATS_TUNNELS, 1);
    stats_add(s, STATS_WARM, 1);
    before = read_all(s);
    stats_opened(s, "today", NULL);
    stats_subtract(s, STATS_WARM, 1);
    stats_failed(s, REASON_PIN_MISMATCH);
    stats_ended(s, REASON_PIN_MISMATCH);
    after = read_all(s);
    for (i = 0; i < STATS_COUNT; i++)
        assert_int_equal(after.counters[i] < before.counters[i], stats_rows[i].kind == STATS_GAUGE);
    stats_release(s);
}

static void the_last_failure_is_kept_through_ordinary_ends(void **state)
{
    struct stats *s = stats_new();
    struct stats_values v;
    int64_t at;

    (void)state;
    stats_add(s, STATS_TUNNELS, 3);
    stats_opened(s, "today", NULL);
    stats_ended(s, REASON_OK);
    v = read_all(s);
    assert_string_equal(v.last_pin, "today");
    assert_int_equal(v.last_failure, REASON_NONE);
    assert_int_equal(v.last_failure_at, 0);

    stats_ended(s, REASON_PIN_MISMATCH);
    v = read_all(s);
    assert_int_equal(v.last_failure, REASON_PIN_MISMATCH);
    assert_true(v.last_failure_at > 0);
    at = v.last_failure_at;
    stats_ended(s, REASON_IDLE);
    v = read_all(s);
    assert_int_equal(v.last_failure, REASON_PIN_MISMATCH);
    assert_int_equal(v.last_failure_at, at);
    assert_int_equal(v.counters[STATS_TUNNELS], 0);
    assert_int_equal(v.counters[STATS_TOTAL], 1);
    assert_int_equal(v.counters[STATS_MISMATCHES], 1);
    assert_int_equal(v.ended[REASON_OK], 1);
    assert_int_equal(v.ended[REASON_PIN_MISMATCH], 1);
    assert_int_equal(v.ended[REASON_IDLE], 1);
    stats_release(s);
}

/* It never was a tunnel: the number of tunnels and the last failure stay. */
static void a_refused_client_is_counted_by_reason_alone(void **state)
{
    struct stats *s = stats_new();
    struct stats_values v;

    (void)state;
    stats_add(s, STATS_TUNNELS, 2);
    stats_refused(s, REASON_MAX_CONNECTIONS);
    v = read_all(s);
    assert_int_equal(v.ended[REASON_MAX_CONNECTIONS], 1);
    assert_int_equal(v.counters[STATS_TUNNELS], 2);
    assert_int_equal(v.last_failure, REASON_NONE);
    stats_release(s);
}

static void a_moved_tunnel_is_counted_in_one_section(void **state)
{
    struct stats *from = stats_new(), *to = stats_new();

    (void)state;
    stats_add(from, STATS_TUNNELS, 2);
    stats_move(from, to);
    assert_int_equal(stats_get(from, STATS_TUNNELS), 1);
    assert_int_equal(stats_get(to, STATS_TUNNELS), 1);
    stats_move(to, to);
    assert_int_equal(stats_get(to, STATS_TUNNELS), 1);
    stats_release(from);
    stats_release(to);
}

static void a_long_pin_is_cut_to_its_place(void **state)
{
    struct stats *s = stats_new();
    char text[4 * STATS_TEXT_SIZE];
    struct stats_values v;

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    stats_opened(s, text, NULL);
    v = read_all(s);
    assert_int_equal(strlen(v.last_pin), STATS_TEXT_SIZE - 1);
    assert_int_equal(strspn(v.last_pin, "x"), STATS_TEXT_SIZE - 1);
    stats_opened(s, "", NULL);
    assert_string_equal(read_all(s).last_pin, "");
    stats_release(s);
}

static void the_last_trusted_certificate_is_remembered(void **state)
{
    struct cert one = certs_make(&(struct cert_order){.cn = "one.example"});
    struct cert two = certs_make(&(struct cert_order){.cn = "two.example"});
    struct stats *s = stats_new();
    struct cert_info info;

    (void)state;
    stats_opened(s, "", one.x509);
    stats_opened(s, "", two.x509);
    stats_opened(s, "", two.x509);
    assert_true(stats_last_server(s, &info));
    assert_contains(info.subject, "two.example");
    cert_info_free(&info);
    stats_ended(s, REASON_OK);
    assert_true(stats_last_server(s, &info));
    cert_info_free(&info);
    stats_release(s);
}

static void *open_and_end(void *arg)
{
    struct stats_values v;
    struct stats *s = arg;
    int i;

    for (i = 0; i < 5000; i++) {
        stats_hold(s);
        stats_add(s, STATS_TUNNELS, 1);
        stats_opened(s, i % 2 ? "one" : "other", NULL);
        stats_ended(s, i % 2 ? REASON_OK : REASON_TLS);
        stats_read(s, &v);
        if (strcmp(v.last_pin, "one") != 0 && strcmp(v.last_pin, "other") != 0)
            return s;
        stats_release(s);
    }
    return NULL;
}

static void threads_read_whole_values_while_others_write(void **state)
{
    struct stats *s = stats_new();
    pthread_t threads[4];
    void *torn;
    size_t i;

    (void)state;
    stats_opened(s, "one", NULL);
    for (i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_and_end, s), 0);
    for (i = 0; i < COUNT(threads); i++) {
        pthread_join(threads[i], &torn);
        assert_null(torn);
    }
    assert_int_equal(stats_get(s, STATS_TUNNELS), 0);
    assert_int_equal(stats_get(s, STATS_TOTAL), 4 * 5000 + 1);
    stats_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_counters_are_zero),
        cmocka_unit_test(every_row_has_its_own_name_and_counter),
        cmocka_unit_test(only_a_gauge_falls),
        cmocka_unit_test(the_last_failure_is_kept_through_ordinary_ends),
        cmocka_unit_test(a_refused_client_is_counted_by_reason_alone),
        cmocka_unit_test(a_moved_tunnel_is_counted_in_one_section),
        cmocka_unit_test(a_long_pin_is_cut_to_its_place),
        cmocka_unit_test(the_last_trusted_certificate_is_remembered),
        cmocka_unit_test(threads_read_whole_values_while_others_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
