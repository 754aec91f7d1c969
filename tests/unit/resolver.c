/* net/resolver: who asked is answered once, or never if cancelled; what is kept is kept right. */
#include "net/resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "asking.h"

static void one_look_up_serves_all_who_ask_meanwhile(void **state)
{
    struct asking a[5] = {{0}};
    size_t i;

    (void)state;
    names_set("a.example", "192.0.2.2 2001:db8::1 192.0.2.1");
    names_hold();
    for (i = 0; i < COUNT(a); i++)
        assert_false(asking_ask(&a[i], i == 3 ? "A.Example" : "a.example", AF_UNSPEC,
                                i == 4 ? 0 : ASKING_AGE));
    asking_wait(1);
    names_release();
    asking_run();
    for (i = 0; i < COUNT(a); i++)
        asking_assert_got(&a[i], 1, "192.0.2.2 2001:db8::1 192.0.2.1");
    assert_int_equal(names_asked(), 1);
    assert_int_equal(names_family(), AF_UNSPEC);
}

static void an_answer_serves_its_own_family_alone(void **state)
{
    struct asking four = {0}, six = {0}, any = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    assert_false(asking_ask(&four, "a.example", AF_INET, ASKING_AGE));
    asking_run();
    assert_int_equal(names_family(), AF_INET);
    names_set("a.example", "2001:db8::1");
    assert_false(asking_ask(&six, "a.example", AF_INET6, ASKING_AGE));
    asking_run();
    assert_int_equal(names_family(), AF_INET6);
    names_set("a.example", "192.0.2.1 2001:db8::1");
    assert_false(asking_ask(&any, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    asking_assert_got(&four, 1, "192.0.2.1");
    asking_assert_got(&six, 1, "2001:db8::1");
    asking_assert_got(&any, 1, "192.0.2.1 2001:db8::1");
    assert_int_equal(names_asked(), 3);
    assert_true(asking_ask(&four, "a.example", AF_INET, ASKING_AGE));
    assert_true(asking_ask(&six, "a.example", AF_INET6, ASKING_AGE));
    asking_assert_got(&four, 2, "192.0.2.1");
    asking_assert_got(&six, 2, "2001:db8::1");
}

static void hosts_are_kept_apart(void **state)
{
    struct asking a[100] = {{0}};
    char host[32], ip[32];
    size_t i;

    (void)state;
    for (i = 0; i < 30; i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        snprintf(ip, sizeof(ip), "192.0.2.%zu", i);
        names_set(host, ip);
    }
    names_hold();
    for (i = 0; i < COUNT(a); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i % 30);
        assert_false(asking_ask(&a[i], host, AF_UNSPEC, ASKING_AGE));
    }
    names_release();
    asking_run();
    for (i = 0; i < COUNT(a); i++) {
        snprintf(ip, sizeof(ip), "192.0.2.%zu", i % 30);
        asking_assert_got(&a[i], 1, ip);
    }
    assert_int_equal(names_asked(), 30);
}

/* For the resolver, it is so much later. */
static void pass_time(uint64_t ms)
{
    asking_thread.loop.time += ms;
}

static void an_answer_that_is_too_old_is_not_used(void **state)
{
    struct asking a = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    names_set("a.example", "192.0.2.2");
    pass_time(ASKING_AGE - 1000);
    assert_true(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_assert_got(&a, 2, "192.0.2.1");
    /* how old it may be is the asker's word */
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, 1000));
    asking_run();
    asking_assert_got(&a, 3, "192.0.2.2");
    names_set("a.example", "192.0.2.3");
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, 0));
    asking_run();
    asking_assert_got(&a, 4, "192.0.2.3");
    pass_time(ASKING_AGE);
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    assert_int_equal(names_asked(), 4);
}

static void a_name_that_is_not_found_is_asked_for_again(void **state)
{
    struct asking a = {0}, b = {0};

    (void)state;
    names_set("nonexistent.invalid", NULL);
    names_hold();
    assert_false(asking_ask(&a, "nonexistent.invalid", AF_UNSPEC, ASKING_AGE));
    assert_false(asking_ask(&b, "nonexistent.invalid", AF_UNSPEC, ASKING_AGE));
    names_release();
    asking_run();
    asking_assert_got(&a, 1, "");
    asking_assert_got(&b, 1, "");
    assert_int_equal(a.count, 0);
    assert_string_equal(a.error, gai_strerror(EAI_NONAME));
    assert_int_equal(names_asked(), 1);
    names_set("nonexistent.invalid", "192.0.2.1");
    assert_false(asking_ask(&a, "nonexistent.invalid", AF_UNSPEC, ASKING_AGE));
    asking_run();
    asking_assert_got(&a, 2, "192.0.2.1");
}

static void the_last_good_answer_outlives_a_failure(void **state)
{
    struct asking a = {0};
    int asked;

    (void)state;
    names_set("a.example", "192.0.2.1 192.0.2.2");
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    names_set("a.example", NULL);
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, 0));
    asking_run();
    asking_assert_got(&a, 2, "192.0.2.1 192.0.2.2");
    asked = names_asked();
    /* the resolver that just failed is left in peace for a while */
    pass_time(10);
    assert_true(asking_ask(&a, "a.example", AF_UNSPEC, 1000));
    asking_assert_got(&a, 3, "192.0.2.1 192.0.2.2");
    assert_int_equal(names_asked(), asked);
    /* but not for ever */
    names_set("a.example", "192.0.2.3");
    pass_time(60000);
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    asking_assert_got(&a, 4, "192.0.2.3");
    assert_true(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_assert_got(&a, 5, "192.0.2.3");
}

static void a_name_without_an_address_is_an_error(void **state)
{
    struct asking a = {0};

    (void)state;
    names_set("a.example", "");
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    asking_assert_got(&a, 1, "");
    assert_contains(a.error, "no address");
}

static void addresses_that_do_not_fit_are_left_out(void **state)
{
    char all[512] = "", most[512] = "", ip[32];
    struct asking a = {0};
    int i;

    (void)state;
    for (i = 0; i < RESOLVER_ADDRESSES_MAX + 4; i++) {
        snprintf(ip, sizeof(ip), "%s192.0.2.%d", i ? " " : "", i);
        strcat(all, ip);
        if (i < RESOLVER_ADDRESSES_MAX)
            strcat(most, ip);
    }
    names_set("a.example", all);
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    assert_int_equal(a.count, RESOLVER_ADDRESSES_MAX);
    asking_assert_got(&a, 1, most);
}

/* Behind many addresses of a family that leads nowhere there may be one that does. */
static void each_family_has_its_part_of_the_room(void **state)
{
    struct asking a = {0}, b = {0};
    char answer[512] = "";
    int i;

    (void)state;
    for (i = 0; i < 20; i++)
        snprintf(answer + strlen(answer), sizeof(answer) - strlen(answer), "2001:db8::%x ", i + 1);
    strcat(answer, "192.0.2.1");
    names_set("mixed.example", answer);
    asking_ask(&a, "mixed.example", AF_UNSPEC, ASKING_AGE);
    asking_run();
    assert_int_equal(a.count, RESOLVER_ADDRESSES_MAX);
    assert_contains(a.text, "2001:db8::f 192.0.2.1");

    answer[0] = '\0';
    for (i = 0; i < 12; i++)
        snprintf(answer + strlen(answer), sizeof(answer) - strlen(answer), "192.0.2.%d ", i + 1);
    for (i = 0; i < 12; i++)
        snprintf(answer + strlen(answer), sizeof(answer) - strlen(answer), "2001:db8::%x ", i + 1);
    names_set("half.example", answer);
    asking_ask(&b, "half.example", AF_UNSPEC, ASKING_AGE);
    asking_run();
    assert_int_equal(b.count, RESOLVER_ADDRESSES_MAX);
    assert_contains(b.text, "192.0.2.8 2001:db8::1 ");
}

static void localhost_is_found(void **state)
{
    struct asking a = {0};

    (void)state;
    assert_false(asking_ask(&a, "localhost", AF_INET, ASKING_AGE));
    asking_run();
    assert_int_equal(a.answers, 1);
    assert_true(a.count > 0);
    assert_int_equal(strncmp(a.text, "127.", 4), 0);
}

static void one_who_has_cancelled_is_not_answered(void **state)
{
    struct asking a = {0}, b = {0}, c = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_hold();
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    assert_false(asking_ask(&b, "a.example", AF_UNSPEC, ASKING_AGE));
    assert_false(asking_ask(&c, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_cancel(&b);
    names_release();
    asking_run();
    asking_assert_got(&a, 1, "192.0.2.1");
    assert_int_equal(b.answers, 0);
    asking_assert_got(&c, 1, "192.0.2.1");
}

static void cancelling_what_is_not_under_way_is_harmless(void **state)
{
    struct resolver_request q = {0};
    struct asking a = {0};

    (void)state;
    resolver_cancel(&q);
    names_set("a.example", "192.0.2.1");
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    resolver_cancel(a.request);
    asking_cancel(&a);
    asking_run();
    asking_wait(1);
    assert_int_equal(a.answers, 0);
}

/* The look-up goes on, and what it brings is not wasted. */
static void a_look_up_that_all_have_cancelled_serves_the_next(void **state)
{
    struct asking a = {0}, b = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_hold();
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_cancel(&a);
    assert_false(asking_ask(&b, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_cancel(&b);
    asking_wait(1);
    asking_run(); /* nobody waits: the loop ends */
    names_release();
    assert_false(asking_ask(&b, "a.example", AF_UNSPEC, 0));
    asking_run();
    assert_int_equal(a.answers, 0);
    asking_assert_got(&b, 1, "192.0.2.1");
    assert_true(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_assert_got(&a, 1, "192.0.2.1");
}

/* Each of the three cancels the other two, wherever they stand in the list. */
static void one_who_is_answered_may_cancel_the_next(void **state)
{
    struct asking a = {0}, b = {0}, c = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    a.to_cancel = &b;
    b.to_cancel = &c;
    c.to_cancel = &b;
    names_hold();
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    assert_false(asking_ask(&b, "a.example", AF_UNSPEC, ASKING_AGE));
    assert_false(asking_ask(&c, "a.example", AF_UNSPEC, ASKING_AGE));
    names_release();
    asking_run();
    assert_null(a.request);
    assert_null(b.request);
    assert_null(c.request);
    /* of b and c, whichever came first took the other's answer away */
    assert_int_equal(b.answers + c.answers, 1);
    assert_int_equal(a.answers, 1);
}

/* As a dial does whose next place has the same name. */
static void one_who_is_answered_may_ask_again(void **state)
{
    struct asking a = {.to_ask_again = "nonexistent.invalid", .again = 3}, b = {0};

    (void)state;
    names_set("nonexistent.invalid", NULL);
    names_hold();
    assert_false(asking_ask(&a, "nonexistent.invalid", AF_UNSPEC, ASKING_AGE));
    assert_false(asking_ask(&b, "nonexistent.invalid", AF_UNSPEC, ASKING_AGE));
    names_release();
    asking_run();
    assert_int_equal(b.answers, 1);
    assert_int_equal(a.answers, 4);
    assert_non_null(a.error);

    a = (struct asking){.to_ask_again = "b.example", .again = 1};
    names_set("b.example", "192.0.2.2");
    assert_false(asking_ask(&a, "nonexistent.invalid", AF_UNSPEC, ASKING_AGE));
    asking_run();
    asking_assert_got(&a, 2, "192.0.2.2");
}

static void an_answer_serves_other_loops(void **state)
{
    struct asking a = {0}, b = {.thread = &asking_other};

    (void)state;
    names_set("a.example", "192.0.2.1");
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    assert_true(asking_ask(&b, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_assert_got(&b, 1, "192.0.2.1");
    /* and what the one cannot look up any more, the other one's address serves for */
    names_set("a.example", NULL);
    assert_false(asking_ask(&b, "a.example", AF_UNSPEC, 0));
    uv_run(&asking_other.loop, UV_RUN_DEFAULT);
    asking_assert_got(&b, 2, "192.0.2.1");
    assert_int_equal(names_asked(), 2);
}

static void two_loops_share_one_look_up(void **state)
{
    struct asking a = {0}, b = {.thread = &asking_other}, c = {.thread = &asking_other};

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_hold();
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    assert_false(asking_ask(&b, "a.example", AF_UNSPEC, ASKING_AGE));
    assert_false(asking_ask(&c, "a.example", AF_UNSPEC, 0));
    asking_wait(1);
    names_release();
    uv_run(&asking_other.loop, UV_RUN_DEFAULT);
    asking_run();
    asking_assert_got(&a, 1, "192.0.2.1");
    asking_assert_got(&b, 1, "192.0.2.1");
    asking_assert_got(&c, 1, "192.0.2.1");
    assert_int_equal(names_asked(), 1);
}

/* The resolver is silent: who knows an address waits for a moment, and then uses it. */
static void a_known_address_is_used_when_the_name_server_is_silent(void **state)
{
    struct asking a = {0}, b = {0}, late = {.thread = &asking_other}, unknown = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_set("b.example", "192.0.2.9");
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    names_set("a.example", "192.0.2.2");
    names_hold();
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, 0));
    assert_false(asking_ask(&b, "a.example", AF_UNSPEC, 0));
    assert_false(asking_ask(&unknown, "b.example", AF_UNSPEC, 0));
    while (a.answers < 2 || b.answers < 1)
        uv_run(&asking_thread.loop, UV_RUN_ONCE);
    asking_assert_got(&a, 2, "192.0.2.1");
    asking_assert_got(&b, 1, "192.0.2.1");
    assert_int_equal(unknown.answers, 0);
    assert_int_equal(names_running(), 2);
    /* who asks now does not wait at all, while the look-up goes on */
    uv_update_time(&asking_other.loop);
    assert_true(asking_ask(&late, "a.example", AF_UNSPEC, 0));
    asking_assert_got(&late, 1, "192.0.2.1");
    names_release();
    asking_run();
    asking_assert_got(&unknown, 1, "192.0.2.9");
    while (names_running() > 0)
        usleep(1000);
    assert_int_equal(names_asked(), 3);
    /* what it brings in the end serves the next */
    while (strcmp(late.text, "192.0.2.2") != 0) {
        usleep(1000);
        if (!asking_ask(&late, "a.example", AF_UNSPEC, ASKING_AGE))
            uv_run(&asking_other.loop, UV_RUN_DEFAULT);
    }
}

static void an_answer_within_a_second_is_waited_for(void **state)
{
    struct asking a = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    names_set("a.example", "192.0.2.2");
    names_hold();
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, 0));
    usleep(100000);
    uv_run(&asking_thread.loop, UV_RUN_NOWAIT);
    assert_int_equal(a.answers, 1);
    names_release();
    asking_run();
    asking_assert_got(&a, 2, "192.0.2.2");
}

/*
 * A look-up under way does not hold up the end of a loop; a sanitizer sees what is touched too
 * late.
 */
static void a_loop_ends_without_its_look_ups(void **state)
{
    struct asking a[100] = {{0}};
    char host[32];
    size_t i;

    (void)state;
    names_hold();
    for (i = 0; i < COUNT(a); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_set(host, i % 2 ? NULL : "192.0.2.1");
        assert_false(asking_ask(&a[i], host, AF_UNSPEC, ASKING_AGE));
    }
    while (names_asked() == 0)
        usleep(1000);
    for (i = 0; i < COUNT(a); i++)
        asking_cancel(&a[i]);
    thread_close(&asking_thread);
    asking_run();
    assert_int_equal(uv_loop_alive(&asking_thread.loop), 0);
    assert_true(names_running() > 0);
    names_release();
    asking_wait(COUNT(a)); /* they end by themselves */
    for (i = 0; i < COUNT(a); i++)
        assert_int_equal(a[i].answers, 0);
}

/* Look-ups that run end by themselves. */
static void the_last_loop_frees_the_cache(void **state)
{
    struct asking a = {0}, b = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_set("b.example", "192.0.2.2");
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    names_hold_one("b.example");
    assert_false(asking_ask(&b, "b.example", AF_UNSPEC, ASKING_AGE));
    asking_wait(2);
    asking_cancel(&b);
    thread_close(&asking_thread);
    thread_close(&asking_other);
    asking_run();
    uv_run(&asking_other.loop, UV_RUN_DEFAULT);
    thread_free(&asking_thread);
    assert_int_equal(thread_init(&asking_thread), 0);
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    assert_false(asking_ask(&b, "b.example", AF_UNSPEC, ASKING_AGE));
    while (names_running() < 2)
        uv_run(&asking_thread.loop, UV_RUN_NOWAIT);
    names_release();
    asking_run();
    asking_assert_got(&a, 2, "192.0.2.1");
    asking_assert_got(&b, 1, "192.0.2.2");
}

/* Loops in threads of their own ask for, cancel and are answered the same names at once. */
static void *hammer(void *arg)
{
    static const char *const hosts[] = {"a.example", "b.example", "c.example"};
    struct thread *mine = arg;
    struct asking a[3] = {{.thread = mine}, {.thread = mine}, {.thread = mine}};
    int i, j;

    for (i = 0; i < 300; i++) {
        uv_update_time(&mine->loop);
        for (j = 0; j < 3; j++)
            (void)asking_ask(&a[j], hosts[(i + j) % 3], AF_UNSPEC, i % 2);
        if (a[i % 3].request)
            asking_cancel(&a[i % 3]);
        uv_run(&mine->loop, UV_RUN_DEFAULT);
        for (j = 0; j < 3; j++)
            assert_null(a[j].request);
    }
    return NULL;
}

static void threads_share_the_cache(void **state)
{
    pthread_t second;

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_set("b.example", NULL);
    names_set("c.example", "192.0.2.3 192.0.2.4");
    assert_int_equal(pthread_create(&second, NULL, hammer, &asking_other), 0);
    hammer(&asking_thread);
    pthread_join(second, NULL);
}

static void an_idle_resolver_closes(void **state)
{
    struct asking a = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    assert_false(asking_ask(&a, "a.example", AF_UNSPEC, ASKING_AGE));
    asking_run();
    thread_close(&asking_thread);
    assert_null(asking_thread.resolver);
    asking_run();
    assert_int_equal(uv_loop_alive(&asking_thread.loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ASKING_TEST(one_look_up_serves_all_who_ask_meanwhile),
        ASKING_TEST(an_answer_serves_its_own_family_alone),
        ASKING_TEST(hosts_are_kept_apart),
        ASKING_TEST(an_answer_that_is_too_old_is_not_used),
        ASKING_TEST(a_name_that_is_not_found_is_asked_for_again),
        ASKING_TEST(the_last_good_answer_outlives_a_failure),
        ASKING_TEST(a_name_without_an_address_is_an_error),
        ASKING_TEST(addresses_that_do_not_fit_are_left_out),
        ASKING_TEST(each_family_has_its_part_of_the_room),
        ASKING_TEST(localhost_is_found),
        ASKING_TEST(one_who_has_cancelled_is_not_answered),
        ASKING_TEST(cancelling_what_is_not_under_way_is_harmless),
        ASKING_TEST(a_look_up_that_all_have_cancelled_serves_the_next),
        ASKING_TEST(one_who_is_answered_may_cancel_the_next),
        ASKING_TEST(one_who_is_answered_may_ask_again),
        ASKING_TEST(an_answer_serves_other_loops),
        ASKING_TEST(two_loops_share_one_look_up),
        ASKING_TEST(a_known_address_is_used_when_the_name_server_is_silent),
        ASKING_TEST(an_answer_within_a_second_is_waited_for),
        ASKING_TEST(a_loop_ends_without_its_look_ups),
        ASKING_TEST(the_last_loop_frees_the_cache),
        ASKING_TEST(threads_share_the_cache),
        ASKING_TEST(an_idle_resolver_closes),
    };

    return cmocka_run_group_tests(tests, asking_group_setup, names_group_teardown);
}
