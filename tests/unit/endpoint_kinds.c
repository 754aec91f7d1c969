/* net/endpoint: a terminal has no end but a hang-up, and an attachment decides what an end means. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "endpoints.h"

static void a_terminal_carries_every_byte(void **state)
{
    struct pair *p = *state;
    uint8_t out[256], in[256];
    size_t i;

    for (i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)i;
    endpoint_want_read(p->ep, true);
    endpoint_write(p->ep, out, sizeof(out));
    assert_int_equal(pair_drain(p, in, sizeof(in)), sizeof(in));
    assert_memory_equal(in, out, sizeof(out));
    assert_int_equal(write(p->peer, out, sizeof(out)), sizeof(out));
    while (p->n < sizeof(out))
        pair_turn();
    assert_memory_equal(p->bytes, out, sizeof(out));
    assert_int_equal(p->ep->error, 0);
}

static void a_terminal_that_hangs_up_has_failed(void **state)
{
    struct pair *p = *state;

    endpoint_want_read(p->ep, true);
    pair_close_peer(p);
    while (p->changes == 0)
        pair_turn();
    assert_int_equal(p->ep->error, UV_EIO);
    assert_false(p->ep->eof);
    assert_true(endpoint_is_reset(p->ep));
}

static void a_hang_up_of_a_terminal_that_is_not_read_is_noticed(void **state)
{
    struct pair *p = *state;

    pair_close_peer(p);
    while (p->changes == 0)
        pair_turn();
    assert_int_equal(p->ep->write_error, UV_EIO);
    assert_true(endpoint_is_reset(p->ep));
    assert_int_equal(p->ep->error, 0); /* what came before could still be read */
}

static void a_terminal_has_no_fin(void **state)
{
    struct pair *p = *state;
    uint8_t in[5];

    endpoint_shutdown(p->ep);
    assert_true(p->ep->fin_sent);
    endpoint_want_read(p->ep, true);
    assert_int_equal(write(p->peer, "hello", 5), 5);
    while (p->n < 5)
        pair_turn();
    endpoint_write(p->ep, (const uint8_t *)"alert", 5);
    assert_int_equal(pair_drain(p, in, 5), 5);
    assert_int_equal(endpoint_unsent(p->ep), 0);
}

/* An attachment that a test controls. */
struct fake {
    struct attachment attachment;
    bool ended, failed;
    int asked, released;
    bool reset;
};

static bool has_ended(struct attachment *a)
{
    struct fake *f = container_of(a, struct fake, attachment);

    f->asked++;
    return f->ended;
}

static const char *ending(const struct attachment *a)
{
    return container_of(a, struct fake, attachment)->ended ? "it has ended" : "";
}

static bool has_failed(const struct attachment *a)
{
    return container_of(a, struct fake, attachment)->failed;
}

static void release(struct attachment *a, bool reset)
{
    struct fake *f = container_of(a, struct fake, attachment);

    f->released++;
    f->reset = reset;
}

static const struct attachment_ops ops = {has_ended, ending, has_failed, release};

static void open_with(struct pair *p, struct fake *f)
{
    const int fd = pair_connect(p, STREAM_SOCKET);

    f->attachment.ops = &ops;
    p->attachment = &f->attachment;
    pair_open(p, fd);
    endpoint_want_read(p->ep, true);
}

static void an_end_is_reported_when_the_attachment_has_ended(void **state)
{
    struct fake f = {.ended = false};
    struct pair p;

    (void)state;
    open_with(&p, &f);
    assert_string_equal(endpoint_ending(p.ep), "");
    pair_close_peer(&p);
    while (f.asked == 0)
        pair_turn();
    endpoint_want_read(p.ep, true); /* the owner may ask for more meanwhile */
    pair_wait();
    assert_int_equal(f.asked, 1);
    assert_false(p.ep->eof);
    f.ended = true;
    f.attachment.ended(&f.attachment, f.attachment.owner);
    assert_true(p.ep->eof);
    assert_true(p.changes > 0);
    assert_string_equal(endpoint_ending(p.ep), "it has ended");
    pair_end(&p);
    assert_int_equal(f.released, 1);
    assert_false(f.reset);
}

static void an_attachment_that_has_failed_makes_the_end_an_error(void **state)
{
    struct fake f = {.ended = true, .failed = true};
    struct pair p;

    (void)state;
    open_with(&p, &f);
    assert_int_equal(write(p.peer, "bye", 3), 3);
    pair_close_peer(&p);
    while (!p.ep->error)
        pair_turn();
    assert_int_equal(p.n, 3);
    assert_false(p.ep->eof);
    assert_true(endpoint_is_reset(p.ep));
    pair_end(&p);
    free(p.bytes);
    assert_int_equal(f.released, 1);
}

static void a_close_releases_the_attachment_once_and_with_the_reset(void **state)
{
    struct fake f = {.ended = false};
    struct pair p;

    (void)state;
    open_with(&p, &f);
    endpoint_close(p.ep, true);
    assert_int_equal(f.released, 1);
    assert_true(f.reset);
    endpoint_close(p.ep, false);
    pair_end(&p);
    close(p.peer);
    assert_int_equal(f.released, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_TERMINAL(a_terminal_carries_every_byte),
        PAIR_TERMINAL(a_terminal_that_hangs_up_has_failed),
        PAIR_TERMINAL(a_hang_up_of_a_terminal_that_is_not_read_is_noticed),
        PAIR_TERMINAL(a_terminal_has_no_fin),
        cmocka_unit_test(an_end_is_reported_when_the_attachment_has_ended),
        cmocka_unit_test(an_attachment_that_has_failed_makes_the_end_an_error),
        cmocka_unit_test(a_close_releases_the_attachment_once_and_with_the_reset),
    };

    return cmocka_run_group_tests(tests, pair_group_setup, pair_group_teardown);
}
