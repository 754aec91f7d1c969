/* net/dualstack: a family whose look-up is silent does not delay the other one (RFC 8305). */
#include "net/dualstack.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "asking.h"

/* A name that is looked up, on asking_thread's loop. */
struct name {
    struct dualstack addresses;
    uv_timer_t timer;
    bool moved; /* changed() was called, or the timer has run */
};

static void on_changed(struct dualstack *n)
{
    ((struct name *)n)->moved = true;
}

static void on_timer(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* While it is stopped, no look-up takes long, however busy the machine is. */
static bool clock_is_stopped;

static uint64_t now(void)
{
    static uint64_t time;

    if (!clock_is_stopped) {
        uv_update_time(&asking_thread.loop);
        time = uv_now(&asking_thread.loop);
    }
    return time;
}

static void stop_clock(void)
{
    clock_is_stopped = false;
    (void)now();
    clock_is_stopped = true;
}

static void start(struct name *n, const char *host, int family, int64_t max_age)
{
    memset(n, 0, sizeof(*n));
    n->addresses.changed = on_changed;
    assert_int_equal(uv_timer_init(&asking_thread.loop, &n->timer), 0);
    n->timer.data = &n->moved;
    dualstack_start(&n->addresses, asking_thread.resolver, host, family, max_age, now());
}

static void finish(struct name *n)
{
    dualstack_end(&n->addresses);
    uv_close((uv_handle_t *)&n->timer, NULL);
    clock_is_stopped = false;
    asking_run();
}

/* Waits for the next address, which is "end" after the last one. */
static const char *next_address(struct name *n)
{
    static char text[ADDR_TEXT_SIZE];
    struct addr a;
    uint64_t wake;

    for (;;) {
        switch (dualstack_next(&n->addresses, now(), &a, &wake)) {
        case DUALSTACK_ADDRESS:
            return addr_format_ip(&a, text);
        case DUALSTACK_END:
            return "end";
        case DUALSTACK_WAIT:
            break;
        }
        if (wake != UINT64_MAX)
            uv_timer_start(&n->timer, on_timer, wake > now() ? wake - now() : 0, 0);
        n->moved = false;
        while (!n->moved)
            uv_run(&asking_thread.loop, UV_RUN_ONCE);
        uv_timer_stop(&n->timer);
    }
}

static void assert_waits(struct name *n)
{
    struct addr a;
    uint64_t wake;

    assert_int_equal(dualstack_next(&n->addresses, now(), &a, &wake), DUALSTACK_WAIT);
}

static void one_look_up_serves_both_families(void **state)
{
    struct name n;

    (void)state;
    names_set("a.example", "2001:db8::1 2001:db8::2 192.0.2.1");
    stop_clock();
    start(&n, "a.example", AF_UNSPEC, ASKING_AGE);
    assert_string_equal(next_address(&n), "2001:db8::1");
    assert_string_equal(next_address(&n), "192.0.2.1"); /* the families alternate */
    assert_string_equal(next_address(&n), "2001:db8::2");
    assert_string_equal(next_address(&n), "end");
    assert_int_equal(names_asked(), 1);
    assert_int_equal(names_family(), AF_UNSPEC);
    finish(&n);
}

/* RFC 6724, gai.conf(5): the order is the system's. */
static void the_family_that_the_system_puts_first_is_first(void **state)
{
    struct name n;

    (void)state;
    names_set("a.example", "192.0.2.1 2001:db8::1");
    stop_clock();
    start(&n, "a.example", AF_UNSPEC, ASKING_AGE);
    assert_string_equal(next_address(&n), "192.0.2.1");
    assert_string_equal(next_address(&n), "2001:db8::1");
    finish(&n);
}

static void only_the_wanted_family_is_looked_up(void **state)
{
    struct name n;

    (void)state;
    names_set("a.example", "2001:db8::1 192.0.2.1");
    start(&n, "a.example", AF_INET, ASKING_AGE);
    assert_string_equal(next_address(&n), "192.0.2.1");
    assert_string_equal(next_address(&n), "end");
    assert_int_equal(names_asked(), 1);
    finish(&n);
    names_set("a.example", "2001:db8::1");
    start(&n, "a.example", AF_INET, 0);
    assert_string_equal(next_address(&n), "end");
    assert_null(n.addresses.error);
    finish(&n);
}

/* What one family has is used after the Resolution Delay; what the other one has joins later. */
static void a_silent_family_does_not_delay_the_other(void **state)
{
    static const struct {
        int silent;
        const char *first, *later;
    } rows[] = {{AF_INET6, "192.0.2.1", "2001:db8::1"}, {AF_INET, "2001:db8::1", "192.0.2.1"}};
    char host[32];
    struct name n;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_set(host, "2001:db8::1 192.0.2.1");
        names_hold_family(rows[i].silent);
        start(&n, host, AF_UNSPEC, ASKING_AGE);
        assert_string_equal(next_address(&n), rows[i].first);
        assert_waits(&n);
        asking_wait(3 * ((int)i + 1)); /* or the next test would count a thread that is late */
        names_release();
        assert_string_equal(next_address(&n), rows[i].later);
        assert_string_equal(next_address(&n), "end");
        finish(&n);
    }
}

/* The delay is that of the first client, and not of each. */
static void a_known_answer_of_one_family_is_used_at_once(void **state)
{
    struct name n, later;
    struct addr a;
    uint64_t wake;

    (void)state;
    names_set("a.example", "2001:db8::1 192.0.2.1");
    names_hold_family(AF_INET6);
    start(&n, "a.example", AF_UNSPEC, ASKING_AGE);
    assert_string_equal(next_address(&n), "192.0.2.1");
    start(&later, "a.example", AF_UNSPEC, ASKING_AGE);
    assert_int_equal(dualstack_next(&later.addresses, now(), &a, &wake), DUALSTACK_ADDRESS);
    assert_int_equal(a.sa.sa_family, AF_INET);
    asking_wait(3);
    names_release();
    finish(&later);
    finish(&n);
}

static void a_failure_of_both_asks_for_each(void **state)
{
    struct name n;

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_fail_family("a.example", AF_INET6);
    stop_clock();
    start(&n, "a.example", AF_UNSPEC, ASKING_AGE);
    assert_string_equal(next_address(&n), "192.0.2.1");
    assert_string_equal(next_address(&n), "end");
    assert_int_equal(names_asked(), 3);
    finish(&n);
}

/* The name server has answered: two more questions would bring nothing. */
static void a_name_that_is_not_found_is_looked_up_once(void **state)
{
    struct name n;

    (void)state;
    names_set("nonexistent.invalid", NULL);
    stop_clock();
    start(&n, "nonexistent.invalid", AF_UNSPEC, ASKING_AGE);
    assert_string_equal(next_address(&n), "end");
    assert_non_null(n.addresses.error);
    assert_int_equal(names_asked(), 1);
    finish(&n);
}

static void an_address_is_given_once_whichever_look_ups_have_it(void **state)
{
    struct name n;

    (void)state;
    names_set("a.example", "2001:db8::1 192.0.2.1");
    names_hold_family(AF_UNSPEC);
    start(&n, "a.example", AF_UNSPEC, ASKING_AGE);
    (void)next_address(&n); /* either: both families have answered */
    (void)next_address(&n);
    assert_waits(&n);
    asking_wait(3);
    names_set("a.example", "192.0.2.1 2001:db8::1 192.0.2.2");
    names_release();
    assert_string_equal(next_address(&n), "192.0.2.2");
    assert_string_equal(next_address(&n), "end");
    finish(&n);
}

static void an_end_during_the_look_ups_calls_nobody(void **state)
{
    struct name n;

    (void)state;
    names_set("a.example", "2001:db8::1 192.0.2.1");
    names_hold();
    start(&n, "a.example", AF_UNSPEC, ASKING_AGE);
    assert_waits(&n);
    usleep(60000);
    assert_waits(&n); /* each family is looked up as well */
    asking_wait(3);
    n.moved = false;
    finish(&n);
    names_release();
    asking_run();
    assert_false(n.moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ASKING_TEST(one_look_up_serves_both_families),
        ASKING_TEST(the_family_that_the_system_puts_first_is_first),
        ASKING_TEST(only_the_wanted_family_is_looked_up),
        ASKING_TEST(a_silent_family_does_not_delay_the_other),
        ASKING_TEST(a_known_answer_of_one_family_is_used_at_once),
        ASKING_TEST(a_failure_of_both_asks_for_each),
        ASKING_TEST(a_name_that_is_not_found_is_looked_up_once),
        ASKING_TEST(an_address_is_given_once_whichever_look_ups_have_it),
        ASKING_TEST(an_end_during_the_look_ups_calls_nobody),
    };

    return cmocka_run_group_tests(tests, asking_group_setup, names_group_teardown);
}
