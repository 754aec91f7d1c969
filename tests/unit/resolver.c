/* net/resolver: one look-up per host at a time, answers remembered, requests that can be taken back. */
#include "net/resolver.h"

#include <stdlib.h>
#include <string.h>

#include "help.h"

#define MINUTE 60000

struct asker {
    struct resolver_request request;
    int answers;
};

static void on_done(struct resolver_request *r)
{
    struct asker *a = (struct asker *)((char *)r - offsetof(struct asker, request));

    a->answers++;
}

static void ask(struct resolver *r, struct asker *a, const char *host, int64_t max_age,
                bool at_once)
{
    memset(a, 0, sizeof(*a));
    a->request.done = on_done;
    assert_int_equal(resolver_ask(r, host, AF_UNSPEC, max_age, &a->request), at_once);
}

/* A loop with a resolver; end() proves that nothing is left of both. */
static struct resolver *start(uv_loop_t *loop)
{
    struct resolver *r;

    assert_int_equal(uv_loop_init(loop), 0);
    r = resolver_new(loop);
    assert_non_null(r);
    return r;
}

static void end(uv_loop_t *loop, struct resolver *r)
{
    resolver_close(r);
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

static void a_name_resolves_and_is_remembered(void **state)
{
    uv_loop_t loop;
    struct resolver *r = start(&loop);
    struct asker first, second;
    size_t i;

    (void)state;
    ask(r, &first, "localhost", MINUTE, false);
    assert_int_equal(first.answers, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(first.answers, 1);
    assert_true(first.request.count > 0);
    assert_null(first.request.error);
    for (i = 0; i < first.request.count; i++)
        assert_true(addr_is_loopback(&first.request.addresses[i]));
    /* names have no case */
    ask(r, &second, "LocalHost", MINUTE, true);
    assert_int_equal(second.answers, 0);
    assert_int_equal(second.request.count, first.request.count);
    end(&loop, r);
}

static void an_answer_too_old_is_looked_up_again(void **state)
{
    uv_loop_t loop;
    struct resolver *r = start(&loop);
    struct asker a;

    (void)state;
    ask(r, &a, "localhost", 0, false);
    uv_run(&loop, UV_RUN_DEFAULT);
    ask(r, &a, "localhost", 0, false);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(a.answers, 1);
    end(&loop, r);
}

static void a_family_is_asked_for_alone(void **state)
{
    uv_loop_t loop;
    struct resolver *r = start(&loop);
    struct asker a = {.request.done = on_done};
    size_t i;

    (void)state;
    assert_false(resolver_ask(r, "localhost", AF_INET, MINUTE, &a.request));
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(a.request.count > 0);
    for (i = 0; i < a.request.count; i++)
        assert_int_equal(a.request.addresses[i].sa.sa_family, AF_INET);
    end(&loop, r);
}

static void those_who_wait_for_one_name_are_answered_together(void **state)
{
    uv_loop_t loop;
    struct resolver *r = start(&loop);
    struct asker a[20];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(a); i++)
        ask(r, &a[i], "localhost", MINUTE, false);
    uv_run(&loop, UV_RUN_DEFAULT);
    for (i = 0; i < COUNT(a); i++) {
        assert_int_equal(a[i].answers, 1);
        assert_int_equal(a[i].request.count, a[0].request.count);
    }
    end(&loop, r);
}

static void more_names_than_look_ups_at_once_all_get_their_turn(void **state)
{
    uv_loop_t loop;
    struct resolver *r = start(&loop);
    struct asker a[12];
    char host[32];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(a); i++) {
        /* resolved without asking anybody */
        snprintf(host, sizeof(host), "127.0.0.%zu", i + 1);
        ask(r, &a[i], host, MINUTE, false);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (i = 0; i < COUNT(a); i++) {
        assert_int_equal(a[i].answers, 1);
        assert_int_equal(a[i].request.count, 1);
        assert_int_equal(ntohl(a[i].request.addresses[0].in.sin_addr.s_addr) & 0xff, i + 1);
    }
    end(&loop, r);
}

static void a_request_taken_back_is_not_answered(void **state)
{
    uv_loop_t loop;
    struct resolver *r = start(&loop);
    struct asker *gone = calloc(1, sizeof(*gone)), stays;

    (void)state;
    ask(r, gone, "localhost", MINUTE, false);
    ask(r, &stays, "localhost", MINUTE, false);
    resolver_cancel(&gone->request);
    resolver_cancel(&gone->request);
    free(gone); /* an answer now would be a use after free */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(stays.answers, 1);
    resolver_cancel(&stays.request); /* harmless after the answer */
    end(&loop, r);
}

static void a_failure_says_why_and_is_not_remembered(void **state)
{
    uv_loop_t loop;
    struct resolver *r = start(&loop);
    struct asker a;

    (void)state;
    /* RFC 6761 section 6.4: .invalid never resolves */
    ask(r, &a, "nowhere.invalid", MINUTE, false);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(a.answers, 1);
    assert_int_equal(a.request.count, 0);
    assert_non_null(a.request.error);
    ask(r, &a, "nowhere.invalid", MINUTE, false);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(a.answers, 1);
    end(&loop, r);
}

static void a_name_that_no_look_up_takes_is_answered_at_once(void **state)
{
    uv_loop_t loop;
    struct resolver *r = start(&loop);
    char host[5000];
    struct asker a;

    (void)state;
    memset(host, 'a', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    ask(r, &a, host, MINUTE, true);
    assert_int_equal(a.answers, 0); /* by the return value, not by the callback as well */
    assert_int_equal(a.request.count, 0);
    assert_non_null(a.request.error);
    end(&loop, r);
}

static void closing_with_a_look_up_under_way_leaves_nothing_behind(void **state)
{
    uv_loop_t loop;
    struct resolver *r = start(&loop);
    struct asker a[8];
    char host[32];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(a); i++) {
        snprintf(host, sizeof(host), "127.0.1.%zu", i);
        ask(r, &a[i], host, MINUTE, false);
        resolver_cancel(&a[i].request);
    }
    end(&loop, r);
    for (i = 0; i < COUNT(a); i++)
        assert_int_equal(a[i].answers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_resolves_and_is_remembered),
        cmocka_unit_test(an_answer_too_old_is_looked_up_again),
        cmocka_unit_test(a_family_is_asked_for_alone),
        cmocka_unit_test(those_who_wait_for_one_name_are_answered_together),
        cmocka_unit_test(more_names_than_look_ups_at_once_all_get_their_turn),
        cmocka_unit_test(a_request_taken_back_is_not_answered),
        cmocka_unit_test(a_failure_says_why_and_is_not_remembered),
        cmocka_unit_test(a_name_that_no_look_up_takes_is_answered_at_once),
        cmocka_unit_test(closing_with_a_look_up_under_way_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
