/* net/resolver: who asked is answered once, or never if cancelled; what is kept is kept right. */
#include "net/resolver.h"

#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "help.h"
#include "names.h"
#include "net/lookup.h"
#include "proxy/thread.h"

#define AGE 30000

static struct thread thread, other; /* two loops, of two workers */

/* One who asks; a request lies in memory of its own, which goes when it is answered. */
struct asker {
    struct thread *thread;            /* NULL: the first */
    struct resolver_request *request; /* NULL: nothing is awaited */
    int answers;
    char text[1024]; /* what came, in the order in which it came: "192.0.2.1 2001:db8::1" */
    size_t count;
    const char *error;
    struct asker *to_cancel;  /* when this one is answered */
    const char *to_ask_again; /* likewise */
    int again;                /* so many times */
};

/* Requests point back at who asked. */
struct letter {
    struct resolver_request request;
    struct asker *asker;
};

static bool ask(struct asker *a, const char *host, int family, int64_t max_age);

static void take(struct asker *a, const struct resolver_request *q)
{
    char ip[ADDR_TEXT_SIZE];
    size_t i;

    a->answers++;
    a->count = q->count;
    a->error = q->error;
    a->text[0] = '\0';
    for (i = 0; i < q->count; i++) {
        assert_int_equal(addr_port(&q->addresses[i]), 0);
        if (i)
            strcat(a->text, " ");
        strcat(a->text, addr_format_ip(&q->addresses[i], ip));
    }
}

static void cancel(struct asker *a)
{
    resolver_cancel(a->request);
    free(a->request);
    a->request = NULL;
}

static void on_done(struct resolver_request *q)
{
    struct asker *a = ((struct letter *)q)->asker;

    assert_ptr_equal(a->request, q);
    assert_null(q->entry);
    assert_null(q->resolver);
    take(a, q);
    free(a->request);
    a->request = NULL;
    if (a->to_cancel && a->to_cancel->request)
        cancel(a->to_cancel);
    if (a->again-- > 0 && !ask(a, a->to_ask_again, AF_UNSPEC, AGE))
        assert_non_null(a->request);
}

/* True: answered at once. */
static bool ask(struct asker *a, const char *host, int family, int64_t max_age)
{
    struct letter *l = calloc(1, sizeof(*l));
    const int answers = a->answers;

    assert_non_null(l);
    l->asker = a;
    l->request.done = on_done;
    a->request = &l->request;
    if (!resolver_ask(a->thread ? a->thread->resolver : thread.resolver, host, family, max_age,
                      a->request)) {
        assert_int_equal(a->answers, answers); /* never from within */
        return false;
    }
    assert_int_equal(a->answers, answers);
    take(a, a->request);
    free(a->request);
    a->request = NULL;
    return true;
}

static void run(void)
{
    uv_run(&thread.loop, UV_RUN_DEFAULT);
}

/* Waits until that many look-ups have begun. */
static void wait_for_asked(int count)
{
    while (names_asked() < count)
        usleep(1000);
    assert_int_equal(names_asked(), count);
}

/* For the resolver, it is so much later. */
static void pass_time(uint64_t ms)
{
    thread.loop.time += ms;
}

static void assert_got(const struct asker *a, int answers, const char *text)
{
    assert_int_equal(a->answers, answers);
    assert_null(a->request);
    assert_string_equal(a->text, text);
    if (*text)
        assert_null(a->error);
}

static void one_host_is_looked_up_once_for_each_who_asks(void **state)
{
    struct asker a[5] = {{0}};
    size_t i;

    (void)state;
    names_set("a.example", "192.0.2.2 2001:db8::1 192.0.2.1");
    names_hold();
    for (i = 0; i < COUNT(a); i++)
        assert_false(ask(&a[i], i == 3 ? "A.Example" : "a.example", AF_UNSPEC, i == 4 ? 0 : AGE));
    wait_for_asked(1);
    names_release();
    run();
    for (i = 0; i < COUNT(a); i++)
        assert_got(&a[i], 1, "192.0.2.2 2001:db8::1 192.0.2.1");
    assert_int_equal(names_asked(), 1);
    assert_int_equal(names_family(), AF_UNSPEC);
}

static void an_answer_for_one_family_is_given_for_another(void **state)
{
    struct asker four = {0}, six = {0}, any = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    assert_false(ask(&four, "a.example", AF_INET, AGE));
    run();
    assert_int_equal(names_family(), AF_INET);
    names_set("a.example", "2001:db8::1");
    assert_false(ask(&six, "a.example", AF_INET6, AGE));
    run();
    assert_int_equal(names_family(), AF_INET6);
    names_set("a.example", "192.0.2.1 2001:db8::1");
    assert_false(ask(&any, "a.example", AF_UNSPEC, AGE));
    run();
    assert_got(&four, 1, "192.0.2.1");
    assert_got(&six, 1, "2001:db8::1");
    assert_got(&any, 1, "192.0.2.1 2001:db8::1");
    assert_int_equal(names_asked(), 3);
    assert_true(ask(&four, "a.example", AF_INET, AGE));
    assert_true(ask(&six, "a.example", AF_INET6, AGE));
    assert_got(&four, 2, "192.0.2.1");
    assert_got(&six, 2, "2001:db8::1");
}

static void hosts_are_mixed_up(void **state)
{
    struct asker a[100] = {{0}};
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
        assert_false(ask(&a[i], host, AF_UNSPEC, AGE));
    }
    names_release();
    run();
    for (i = 0; i < COUNT(a); i++) {
        snprintf(ip, sizeof(ip), "192.0.2.%zu", i % 30);
        assert_got(&a[i], 1, ip);
    }
    assert_int_equal(names_asked(), 30);
}

static void an_answer_is_used_when_it_is_too_old(void **state)
{
    struct asker a = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    run();
    names_set("a.example", "192.0.2.2");
    pass_time(AGE - 1000);
    assert_true(ask(&a, "a.example", AF_UNSPEC, AGE));
    assert_got(&a, 2, "192.0.2.1");
    /* how old it may be is the asker's word */
    assert_false(ask(&a, "a.example", AF_UNSPEC, 1000));
    run();
    assert_got(&a, 3, "192.0.2.2");
    names_set("a.example", "192.0.2.3");
    assert_false(ask(&a, "a.example", AF_UNSPEC, 0));
    run();
    assert_got(&a, 4, "192.0.2.3");
    pass_time(AGE);
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    run();
    assert_int_equal(names_asked(), 4);
}

static void a_name_that_is_not_found_is_never_asked_for_again(void **state)
{
    struct asker a = {0}, b = {0};

    (void)state;
    names_set("nonexistent.invalid", NULL);
    names_hold();
    assert_false(ask(&a, "nonexistent.invalid", AF_UNSPEC, AGE));
    assert_false(ask(&b, "nonexistent.invalid", AF_UNSPEC, AGE));
    names_release();
    run();
    assert_got(&a, 1, "");
    assert_got(&b, 1, "");
    assert_int_equal(a.count, 0);
    assert_string_equal(a.error, gai_strerror(EAI_NONAME));
    assert_int_equal(names_asked(), 1);
    names_set("nonexistent.invalid", "192.0.2.1");
    assert_false(ask(&a, "nonexistent.invalid", AF_UNSPEC, AGE));
    run();
    assert_got(&a, 2, "192.0.2.1");
}

static void a_failure_throws_away_the_last_good_answer(void **state)
{
    struct asker a = {0};
    int asked;

    (void)state;
    names_set("a.example", "192.0.2.1 192.0.2.2");
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    run();
    names_set("a.example", NULL);
    assert_false(ask(&a, "a.example", AF_UNSPEC, 0));
    run();
    assert_got(&a, 2, "192.0.2.1 192.0.2.2");
    asked = names_asked();
    /* the resolver that just failed is left in peace for a while */
    pass_time(10);
    assert_true(ask(&a, "a.example", AF_UNSPEC, 1000));
    assert_got(&a, 3, "192.0.2.1 192.0.2.2");
    assert_int_equal(names_asked(), asked);
    /* but not for ever */
    names_set("a.example", "192.0.2.3");
    pass_time(60000);
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    run();
    assert_got(&a, 4, "192.0.2.3");
    assert_true(ask(&a, "a.example", AF_UNSPEC, AGE));
    assert_got(&a, 5, "192.0.2.3");
}

static void a_name_without_an_address_has_one(void **state)
{
    struct asker a = {0};

    (void)state;
    names_set("a.example", "");
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    run();
    assert_got(&a, 1, "");
    assert_contains(a.error, "no address");
}

static void more_addresses_than_fit_are_taken(void **state)
{
    char all[512] = "", most[512] = "", ip[32];
    struct asker a = {0};
    int i;

    (void)state;
    for (i = 0; i < RESOLVER_ADDRESSES_MAX + 4; i++) {
        snprintf(ip, sizeof(ip), "%s192.0.2.%d", i ? " " : "", i);
        strcat(all, ip);
        if (i < RESOLVER_ADDRESSES_MAX)
            strcat(most, ip);
    }
    names_set("a.example", all);
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    run();
    assert_int_equal(a.count, RESOLVER_ADDRESSES_MAX);
    assert_got(&a, 1, most);
}

/* Behind many addresses of a family that leads nowhere there may be one that does. */
static void each_family_has_its_part_of_the_room(void **state)
{
    struct asker a = {0}, b = {0};
    char answer[512] = "";
    int i;

    (void)state;
    for (i = 0; i < 20; i++)
        snprintf(answer + strlen(answer), sizeof(answer) - strlen(answer), "2001:db8::%x ", i + 1);
    strcat(answer, "192.0.2.1");
    names_set("mixed.example", answer);
    ask(&a, "mixed.example", AF_UNSPEC, AGE);
    run();
    assert_int_equal(a.count, RESOLVER_ADDRESSES_MAX);
    assert_contains(a.text, "2001:db8::f 192.0.2.1");

    answer[0] = '\0';
    for (i = 0; i < 12; i++)
        snprintf(answer + strlen(answer), sizeof(answer) - strlen(answer), "192.0.2.%d ", i + 1);
    for (i = 0; i < 12; i++)
        snprintf(answer + strlen(answer), sizeof(answer) - strlen(answer), "2001:db8::%x ", i + 1);
    names_set("half.example", answer);
    ask(&b, "half.example", AF_UNSPEC, AGE);
    run();
    assert_int_equal(b.count, RESOLVER_ADDRESSES_MAX);
    assert_contains(b.text, "192.0.2.8 2001:db8::1 ");
}

static void localhost_is_not_found(void **state)
{
    struct asker a = {0};

    (void)state;
    assert_false(ask(&a, "localhost", AF_INET, AGE));
    run();
    assert_int_equal(a.answers, 1);
    assert_true(a.count > 0);
    assert_int_equal(strncmp(a.text, "127.", 4), 0);
}

static void who_has_cancelled_is_answered(void **state)
{
    struct asker a = {0}, b = {0}, c = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_hold();
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    assert_false(ask(&b, "a.example", AF_UNSPEC, AGE));
    assert_false(ask(&c, "a.example", AF_UNSPEC, AGE));
    cancel(&b);
    names_release();
    run();
    assert_got(&a, 1, "192.0.2.1");
    assert_int_equal(b.answers, 0);
    assert_got(&c, 1, "192.0.2.1");
}

static void cancelling_what_is_not_under_way_does_harm(void **state)
{
    struct resolver_request q = {0};
    struct asker a = {0};

    (void)state;
    resolver_cancel(&q);
    names_set("a.example", "192.0.2.1");
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    resolver_cancel(a.request);
    cancel(&a);
    run();
    wait_for_asked(1);
    assert_int_equal(a.answers, 0);
}

/* The look-up goes on, and what it brings is not wasted. */
static void a_look_up_that_all_have_cancelled_is_started_twice(void **state)
{
    struct asker a = {0}, b = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_hold();
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    cancel(&a);
    assert_false(ask(&b, "a.example", AF_UNSPEC, AGE));
    cancel(&b);
    wait_for_asked(1);
    run(); /* nobody waits: the loop ends */
    names_release();
    assert_false(ask(&b, "a.example", AF_UNSPEC, 0));
    run();
    assert_int_equal(a.answers, 0);
    assert_got(&b, 1, "192.0.2.1");
    assert_true(ask(&a, "a.example", AF_UNSPEC, AGE));
    assert_got(&a, 1, "192.0.2.1");
}

/* Each of the three cancels the other two, wherever they stand in the list. */
static void one_who_is_answered_cannot_cancel_the_next(void **state)
{
    struct asker a = {0}, b = {0}, c = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    a.to_cancel = &b;
    b.to_cancel = &c;
    c.to_cancel = &b;
    names_hold();
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    assert_false(ask(&b, "a.example", AF_UNSPEC, AGE));
    assert_false(ask(&c, "a.example", AF_UNSPEC, AGE));
    names_release();
    run();
    assert_null(a.request);
    assert_null(b.request);
    assert_null(c.request);
    /* of b and c, whichever came first took the other's answer away */
    assert_int_equal(b.answers + c.answers, 1);
    assert_int_equal(a.answers, 1);
}

/* As a dial does whose next place has the same name. */
static void asking_again_in_an_answer_never_ends(void **state)
{
    struct asker a = {.to_ask_again = "nonexistent.invalid", .again = 3}, b = {0};

    (void)state;
    names_set("nonexistent.invalid", NULL);
    names_hold();
    assert_false(ask(&a, "nonexistent.invalid", AF_UNSPEC, AGE));
    assert_false(ask(&b, "nonexistent.invalid", AF_UNSPEC, AGE));
    names_release();
    run();
    assert_int_equal(b.answers, 1);
    assert_int_equal(a.answers, 4);
    assert_non_null(a.error);

    a = (struct asker){.to_ask_again = "b.example", .again = 1};
    names_set("b.example", "192.0.2.2");
    assert_false(ask(&a, "nonexistent.invalid", AF_UNSPEC, AGE));
    run();
    assert_got(&a, 2, "192.0.2.2");
}

/* Names are looked up at once, but not without bound. */
static void look_ups_are_bounded(void **state)
{
    struct asker a[LOOKUPS_MAX + 10] = {{0}};
    char host[32];
    size_t i;

    (void)state;
    names_hold();
    for (i = 0; i < COUNT(a); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_set(host, "192.0.2.1");
        assert_false(ask(&a[i], host, AF_UNSPEC, AGE));
    }
    wait_for_asked(LOOKUPS_MAX * 3 / 4); /* they are new */
    usleep(20000);
    assert_int_equal(names_running(), LOOKUPS_MAX * 3 / 4);
    cancel(&a[COUNT(a) - 2]); /* one that waits for its turn */
    names_release();
    run();
    wait_for_asked(COUNT(a));
    for (i = 0; i < COUNT(a); i++) {
        if (i == COUNT(a) - 2)
            assert_int_equal(a[i].answers, 0);
        else
            assert_got(&a[i], 1, "192.0.2.1");
    }
}

/* As where there are few descriptors. */
static void fewer_look_ups_run_when_told_so(void **state)
{
    struct asker a[8] = {{0}};
    char host[32];
    size_t i;

    (void)state;
    lookup_set_max(4);
    names_hold();
    for (i = 0; i < COUNT(a); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_set(host, "192.0.2.1");
        assert_false(ask(&a[i], host, AF_UNSPEC, AGE));
    }
    wait_for_asked(3);
    usleep(20000);
    assert_int_equal(names_running(), 3);
    names_release();
    run();
    for (i = 0; i < COUNT(a); i++)
        assert_got(&a[i], 1, "192.0.2.1");
    lookup_set_max(LOOKUPS_MAX);
}

/*
 * Names that hang take neither all room from new ones, nor from those that were answered promptly.
 */
static void slow_names_leave_room_for_others(void **state)
{
    struct asker bad[LOOKUPS_MAX * 2] = {{0}}, readable = {0}, known = {0};
    char host[32];
    size_t i;

    (void)state;
    names_set("known.example", "192.0.2.1");
    assert_false(ask(&known, "known.example", AF_UNSPEC, AGE));
    run();
    for (i = 0; i < COUNT(bad); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_set(host, NULL);
        assert_false(ask(&bad[i], host, AF_UNSPEC, AGE));
    }
    run();
    for (i = 0; i < COUNT(bad); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_hold_one(host);
        assert_false(ask(&bad[i], host, AF_UNSPEC, AGE));
    }
    names_set("fresh.example", "192.0.2.2");
    names_set("known.example", "192.0.2.3");
    assert_false(ask(&readable, "fresh.example", AF_UNSPEC, AGE));
    assert_false(ask(&known, "known.example", AF_UNSPEC, 0));
    while (readable.answers < 1 || known.answers < 2)
        uv_run(&thread.loop, UV_RUN_ONCE);
    assert_got(&readable, 1, "192.0.2.2");
    assert_got(&known, 2, "192.0.2.3");
    assert_true(names_running() <= LOOKUPS_MAX / 4);
    names_release();
    run();
    for (i = 0; i < COUNT(bad); i++)
        assert_got(&bad[i], 2, "");
}

static void what_one_loop_has_learned_serves_another(void **state)
{
    struct asker a = {0}, b = {.thread = &other};

    (void)state;
    names_set("a.example", "192.0.2.1");
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    run();
    assert_true(ask(&b, "a.example", AF_UNSPEC, AGE));
    assert_got(&b, 1, "192.0.2.1");
    /* and what the one cannot look up any more, the other one's address serves for */
    names_set("a.example", NULL);
    assert_false(ask(&b, "a.example", AF_UNSPEC, 0));
    uv_run(&other.loop, UV_RUN_DEFAULT);
    assert_got(&b, 2, "192.0.2.1");
    assert_int_equal(names_asked(), 2);
}

static void two_loops_share_one_look_up(void **state)
{
    struct asker a = {0}, b = {.thread = &other}, c = {.thread = &other};

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_hold();
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    assert_false(ask(&b, "a.example", AF_UNSPEC, AGE));
    assert_false(ask(&c, "a.example", AF_UNSPEC, 0));
    wait_for_asked(1);
    names_release();
    uv_run(&other.loop, UV_RUN_DEFAULT);
    run();
    assert_got(&a, 1, "192.0.2.1");
    assert_got(&b, 1, "192.0.2.1");
    assert_got(&c, 1, "192.0.2.1");
    assert_int_equal(names_asked(), 1);
}

/* The resolver is silent: who knows an address waits for a moment, and then uses it. */
static void a_known_address_is_used_when_the_name_server_is_silent(void **state)
{
    struct asker a = {0}, b = {0}, late = {.thread = &other}, unknown = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_set("b.example", "192.0.2.9");
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    run();
    names_set("a.example", "192.0.2.2");
    names_hold();
    assert_false(ask(&a, "a.example", AF_UNSPEC, 0));
    assert_false(ask(&b, "a.example", AF_UNSPEC, 0));
    assert_false(ask(&unknown, "b.example", AF_UNSPEC, 0));
    while (a.answers < 2 || b.answers < 1)
        uv_run(&thread.loop, UV_RUN_ONCE);
    assert_got(&a, 2, "192.0.2.1");
    assert_got(&b, 1, "192.0.2.1");
    assert_int_equal(unknown.answers, 0);
    assert_int_equal(names_running(), 2);
    /* who asks now does not wait at all, while the look-up goes on */
    uv_update_time(&other.loop);
    assert_true(ask(&late, "a.example", AF_UNSPEC, 0));
    assert_got(&late, 1, "192.0.2.1");
    names_release();
    run();
    assert_got(&unknown, 1, "192.0.2.9");
    while (names_running() > 0)
        usleep(1000);
    assert_int_equal(names_asked(), 3);
    /* what it brings in the end serves the next */
    while (strcmp(late.text, "192.0.2.2") != 0) {
        usleep(1000);
        if (!ask(&late, "a.example", AF_UNSPEC, AGE))
            uv_run(&other.loop, UV_RUN_DEFAULT);
    }
}

static void an_answer_within_a_second_is_waited_for(void **state)
{
    struct asker a = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    run();
    names_set("a.example", "192.0.2.2");
    names_hold();
    assert_false(ask(&a, "a.example", AF_UNSPEC, 0));
    usleep(100000);
    uv_run(&thread.loop, UV_RUN_NOWAIT);
    assert_int_equal(a.answers, 1);
    names_release();
    run();
    assert_got(&a, 2, "192.0.2.2");
}

/*
 * A look-up under way does not hold up the end of a loop; a sanitizer sees what is touched too
 * late.
 */
static void a_loop_ends_without_its_look_ups(void **state)
{
    struct asker a[100] = {{0}};
    char host[32];
    size_t i;

    (void)state;
    names_hold();
    for (i = 0; i < COUNT(a); i++) {
        snprintf(host, sizeof(host), "h%zu.example", i);
        names_set(host, i % 2 ? NULL : "192.0.2.1");
        assert_false(ask(&a[i], host, AF_UNSPEC, AGE));
    }
    while (names_asked() == 0)
        usleep(1000);
    for (i = 0; i < COUNT(a); i++)
        cancel(&a[i]);
    thread_close(&thread);
    run();
    assert_int_equal(uv_loop_alive(&thread.loop), 0);
    assert_true(names_running() > 0);
    names_release();
    wait_for_asked(COUNT(a)); /* they end by themselves */
    for (i = 0; i < COUNT(a); i++)
        assert_int_equal(a[i].answers, 0);
}

/* With the last loop goes the memory; look-ups under way end by themselves. */
static void the_last_loop_takes_the_memory_with_it(void **state)
{
    struct asker a = {0}, b = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_set("b.example", "192.0.2.2");
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    run();
    names_hold_one("b.example");
    assert_false(ask(&b, "b.example", AF_UNSPEC, AGE));
    wait_for_asked(2);
    cancel(&b);
    thread_close(&thread);
    thread_close(&other);
    run();
    uv_run(&other.loop, UV_RUN_DEFAULT);
    thread_free(&thread);
    assert_int_equal(thread_init(&thread), 0);
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    assert_false(ask(&b, "b.example", AF_UNSPEC, AGE));
    while (names_running() < 2)
        uv_run(&thread.loop, UV_RUN_NOWAIT);
    names_release();
    run();
    assert_got(&a, 2, "192.0.2.1");
    assert_got(&b, 1, "192.0.2.2");
}

/* Loops in threads of their own ask for, cancel and are answered the same names at once. */
static void *hammer(void *arg)
{
    static const char *const hosts[] = {"a.example", "b.example", "c.example"};
    struct thread *mine = arg;
    struct asker a[3] = {{.thread = mine}, {.thread = mine}, {.thread = mine}};
    int i, j;

    for (i = 0; i < 300; i++) {
        uv_update_time(&mine->loop);
        for (j = 0; j < 3; j++)
            (void)ask(&a[j], hosts[(i + j) % 3], AF_UNSPEC, i % 2);
        if (a[i % 3].request)
            cancel(&a[i % 3]);
        uv_run(&mine->loop, UV_RUN_DEFAULT);
        for (j = 0; j < 3; j++)
            assert_null(a[j].request);
    }
    return NULL;
}

static void threads_share_the_memory(void **state)
{
    pthread_t second;

    (void)state;
    names_set("a.example", "192.0.2.1");
    names_set("b.example", NULL);
    names_set("c.example", "192.0.2.3 192.0.2.4");
    assert_int_equal(pthread_create(&second, NULL, hammer, &other), 0);
    hammer(&thread);
    pthread_join(second, NULL);
}

static void an_idle_resolver_stays_when_it_is_closed(void **state)
{
    struct asker a = {0};

    (void)state;
    names_set("a.example", "192.0.2.1");
    assert_false(ask(&a, "a.example", AF_UNSPEC, AGE));
    run();
    thread_close(&thread);
    assert_null(thread.resolver);
    run();
    assert_int_equal(uv_loop_alive(&thread.loop), 0);
}

static int setup(void **state)
{
    (void)state;
    names_reset();
    return thread_init(&thread) == 0 ? thread_init(&other) : -1;
}

static void finish(struct thread *r)
{
    if (r->resolver)
        thread_close(r);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    thread_free(r);
}

static int teardown(void **state)
{
    (void)state;
    names_release();
    finish(&thread);
    finish(&other);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_host_is_looked_up_once_for_each_who_asks),
        TEST(an_answer_for_one_family_is_given_for_another),
        TEST(hosts_are_mixed_up),
        TEST(an_answer_is_used_when_it_is_too_old),
        TEST(a_name_that_is_not_found_is_never_asked_for_again),
        TEST(a_failure_throws_away_the_last_good_answer),
        TEST(a_name_without_an_address_has_one),
        TEST(more_addresses_than_fit_are_taken),
        TEST(each_family_has_its_part_of_the_room),
        TEST(localhost_is_not_found),
        TEST(who_has_cancelled_is_answered),
        TEST(cancelling_what_is_not_under_way_does_harm),
        TEST(a_look_up_that_all_have_cancelled_is_started_twice),
        TEST(one_who_is_answered_cannot_cancel_the_next),
        TEST(asking_again_in_an_answer_never_ends),
        TEST(look_ups_are_bounded),
        TEST(fewer_look_ups_run_when_told_so),
        TEST(slow_names_leave_room_for_others),
        TEST(what_one_loop_has_learned_serves_another),
        TEST(two_loops_share_one_look_up),
        TEST(a_known_address_is_used_when_the_name_server_is_silent),
        TEST(an_answer_within_a_second_is_waited_for),
        TEST(a_loop_ends_without_its_look_ups),
        TEST(the_last_loop_takes_the_memory_with_it),
        TEST(threads_share_the_memory),
        TEST(an_idle_resolver_stays_when_it_is_closed),
    };

    alarm(120); /* what never comes is a failure as well */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
