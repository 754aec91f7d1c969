/* tls/sessioncache: the cache of TLS sessions. What is taken twice, or too late, is a hole. */
#include "tls/sessioncache.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "config/section.h"
#include "help.h"

#define NOW INT64_C(1800000000)

/* Both are in one bucket. */
static const struct config_section section = {.name = "a.example"}, gone = {.name = "gone.example"};
static const struct policy policy_a = {.section = &section, .id = {1}};
static const struct policy policy_b = {.section = &gone, .id = {1, 1}};
static const struct policy *const a = &policy_a, *const b = &policy_b;

/* A session that OpenSSL would resume: it has an id. */
static struct sessioncache_item make(int64_t established, unsigned char mark)
{
    struct sessioncache_item s = {.tls = SSL_SESSION_new(), .established = established};

    assert_non_null(s.tls);
    assert_int_equal(SSL_SESSION_set1_id(s.tls, &mark, 1), 1);
    s.staple = malloc(1);
    s.staple[0] = mark;
    s.staple_len = 1;
    return s;
}

static void put(struct sessioncache *c, const struct policy *policy, int64_t established,
                unsigned char mark)
{
    struct sessioncache_item s = make(established, mark);

    sessioncache_put(c, policy, &s);
    assert_null(s.tls); /* it is the cache's now */
}

/* The mark of the session that is taken, or -1. */
static int take(struct sessioncache *c, const struct policy *policy, int64_t now)
{
    struct sessioncache_item s = {0};
    int mark;

    if (!sessioncache_take(c, policy, now, &s))
        return -1;
    mark = s.staple[0];
    sessioncache_item_clear(&s);
    assert_null(s.staple);
    return mark;
}

static void a_session_is_taken_once_the_newest_first(void **state)
{
    struct sessioncache *c = sessioncache_new();

    (void)state;
    put(c, a, NOW, 1);
    put(c, a, NOW, 2);
    assert_int_equal(take(c, a, NOW), 2);
    assert_int_equal(take(c, a, NOW), 1);
    assert_int_equal(take(c, a, NOW), -1);
    sessioncache_free(c);
}

static void a_session_belongs_to_its_fingerprint(void **state)
{
    struct sessioncache *c = sessioncache_new();

    (void)state;
    put(c, a, NOW, 1);
    assert_int_equal(take(c, b, NOW), -1);
    put(c, b, NOW, 2);
    assert_int_equal(take(c, a, NOW), 1);
    assert_int_equal(take(c, b, NOW), 2);
    sessioncache_free(c);
}

static void a_session_serves_for_an_hour(void **state)
{
    struct sessioncache *c = sessioncache_new();

    (void)state;
    put(c, a, NOW, 1);
    assert_int_equal(take(c, a, NOW + 3599), 1);
    put(c, a, NOW, 1);
    assert_int_equal(take(c, a, NOW + 3600), -1);
    /* a clock that was set back */
    put(c, a, NOW, 1);
    assert_int_equal(take(c, a, NOW - 1), -1);
    assert_int_equal(take(c, a, NOW), -1); /* gone for good */
    sessioncache_free(c);
}

static void a_session_that_cannot_be_resumed_is_none(void **state)
{
    struct sessioncache *c = sessioncache_new();
    struct sessioncache_item s = {.tls = SSL_SESSION_new(), .established = NOW};

    (void)state;
    sessioncache_put(c, a, &s); /* without an id or a ticket */
    assert_int_equal(take(c, a, NOW), -1);
    sessioncache_free(c);
}

static void the_cache_is_bounded(void **state)
{
    struct sessioncache *c = sessioncache_new();
    struct policy other = {.section = &section};
    int i, n;

    (void)state;
    for (i = 0; i < 200; i++)
        put(c, a, NOW, (unsigned char)i);
    for (n = 0; take(c, a, NOW) >= 0; n++)
        ;
    assert_int_equal(n, 32);
    put(c, a, NOW, 1);
    for (i = 0; i < 2000; i++) {
        other.id[0] = (uint8_t)(2 + i % 200);
        other.id[1] = (uint8_t)(i / 200);
        put(c, &other, NOW, 9);
    }
    assert_int_equal(take(c, a, NOW), -1); /* the oldest of all went first */
    for (n = 0, i = 0; i < 2000; i++) {
        other.id[0] = (uint8_t)(2 + i % 200);
        other.id[1] = (uint8_t)(i / 200);
        n += take(c, &other, NOW) >= 0;
    }
    assert_int_equal(n, 1024);
    sessioncache_free(c);
    sessioncache_free(NULL);
}

static bool stays(const char *name, const uint8_t *id, const void *arg)
{
    return strcmp(name, arg) == 0 && id[1] == 0;
}

static void a_policy_that_has_gone_takes_its_sessions_along(void **state)
{
    const struct policy changed = {.section = &section, .id = {1, 2}};
    struct sessioncache *c = sessioncache_new();

    (void)state;
    put(c, a, NOW, 1);
    put(c, b, NOW, 2);
    put(c, &changed, NOW, 3);
    sessioncache_sweep(c, stays, "a.example");
    assert_int_equal(take(c, b, NOW), -1);
    assert_int_equal(take(c, &changed, NOW), -1);
    assert_int_equal(take(c, a, NOW), 1);
    sessioncache_free(c);
}

/* A session whose server has sent this much for it. */
static void put_large(struct sessioncache *c, const struct policy *policy, unsigned char mark,
                      size_t size)
{
    struct sessioncache_item s = make(NOW, mark);

    free(s.staple);
    s.staple = malloc(size);
    assert_non_null(s.staple);
    memset(s.staple, mark, size);
    s.staple_len = size;
    sessioncache_put(c, policy, &s);
    assert_null(s.tls);
}

/* A ticket, a staple or a certificate may have 64 KiB. */
static void the_cache_is_bounded_in_bytes(void **state)
{
    struct sessioncache *c = sessioncache_new();
    struct policy other = {.section = &section};
    size_t before;
    int i, n;

    (void)state;
    for (i = 0; i < 30; i++)
        put_large(c, a, (unsigned char)i, 60000);
    assert_between(sessioncache_size(c), 8 * 60000, 512 * 1024);
    assert_int_equal(take(c, a, NOW), 29); /* the newest is there */
    for (n = 1; take(c, a, NOW) >= 0; n++)
        ;
    assert_int_equal(n, 8);
    assert_int_equal(sessioncache_size(c), 0);
    /* one that has no room alone pushes out nothing */
    put(c, a, NOW, 1);
    before = sessioncache_size(c);
    put_large(c, a, 2, 512 * 1024);
    assert_int_equal(sessioncache_size(c), before);
    assert_int_equal(take(c, a, NOW), 1);
    /* all sections together */
    for (i = 0; i < 100; i++) {
        other.id[0] = (uint8_t)i;
        put_large(c, &other, (unsigned char)i, 250000);
        put_large(c, &other, (unsigned char)i, 250000);
        assert_between(sessioncache_size(c), 1, 8 << 20);
    }
    assert_int_equal(take(c, &other, NOW), 99);
    sessioncache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_taken_once_the_newest_first),
        cmocka_unit_test(a_session_belongs_to_its_fingerprint),
        cmocka_unit_test(a_session_serves_for_an_hour),
        cmocka_unit_test(a_session_that_cannot_be_resumed_is_none),
        cmocka_unit_test(the_cache_is_bounded),
        cmocka_unit_test(the_cache_is_bounded_in_bytes),
        cmocka_unit_test(a_policy_that_has_gone_takes_its_sessions_along),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
