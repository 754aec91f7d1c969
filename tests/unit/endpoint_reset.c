/* net/endpoint: a reset, an end and a peer that is still there are distinguished. */
#include <sys/socket.h>
#include <unistd.h>

#include "endpoints.h"

static void what_came_before_a_write_error_is_read(void **state)
{
    struct pair *p = *state;

    assert_int_equal(write(p->peer, "bye", 3), 3);
    pair_close_peer(p);
    endpoint_write(p->ep, (const uint8_t *)"hello", 5);
    assert_int_equal(p->ep->write_error, UV_EPIPE);
    assert_int_equal(p->ep->error, 0);
    assert_true(endpoint_is_idle(p->ep));
    endpoint_write(p->ep, (const uint8_t *)"hello", 5);
    endpoint_want_read(p->ep, true);
    while (!p->ep->eof)
        pair_turn();
    assert_int_equal(p->n, 3);
    assert_memory_equal(p->bytes, "bye", 3);
}

static void an_error_on_what_is_in_flight_is_reported(void **state)
{
    struct pair *p = *state;
    int error, changes;

    endpoint_write(p->ep, pair_bulk, PAIR_BULK);
    endpoint_write(p->ep, pair_bulk, 1000);
    endpoint_shutdown(p->ep);
    pair_close_peer(p); /* with bytes unread: a reset */
    while (!p->ep->write_error)
        pair_turn();
    assert_true(endpoint_is_idle(p->ep));
    assert_true(p->was_idle);
    changes = p->changes;
    assert_between((uintmax_t)changes, 1, 2); /* the watch may have seen it as well */
    assert_false(p->ep->fin_sent);
    assert_true(p->ep->write_error < 0);
    /* the first error stands: nothing is tried any more */
    error = p->ep->write_error;
    endpoint_write(p->ep, pair_bulk, 10);
    assert_true(endpoint_is_idle(p->ep));
    assert_int_equal(p->ep->write_error, error);
    pair_end(p);
    assert_int_equal(p->changes, changes);
}

static void a_reset_is_an_error_and_no_end(void **state)
{
    struct pair *p = *state;

    endpoint_want_read(p->ep, true);
    pair_reset_peer(p);
    while (p->changes == 0)
        pair_turn();
    assert_int_equal(p->ep->error, UV_ECONNRESET);
    assert_false(p->ep->eof);
    assert_false(p->ep->reading);
    endpoint_want_read(p->ep, true);
    assert_false(p->ep->reading);
    assert_int_equal(p->ep->error, UV_ECONNRESET);
    endpoint_write(p->ep, pair_bulk, 10);
    assert_true(endpoint_is_idle(p->ep));
    pair_end(p);
    assert_int_equal(p->changes, 1);
}

/* libuv reports the two, when they come together, as data and an end. */
static void a_reset_behind_data_is_a_reset(void **state)
{
    struct pair *p = *state;

    /* a peer that closes with bytes unread: the kernel makes that a reset */
    endpoint_write(p->ep, (const uint8_t *)"hello", 5);
    assert_int_equal(write(p->peer, "request", 7), 7);
    pair_close_peer(p);
    endpoint_want_read(p->ep, true);
    while (p->changes == 0)
        pair_turn();
    assert_int_equal(p->n, 7);
    assert_int_equal(p->ep->error, UV_ECONNRESET);
    assert_false(p->ep->eof);
    assert_true(endpoint_is_reset(p->ep));
}

static void a_write_that_met_the_reset_does_not_hide_it(void **state)
{
    struct pair *p = *state;

    endpoint_write(p->ep, (const uint8_t *)"hello", 5);
    assert_int_equal(write(p->peer, "request", 7), 7);
    pair_close_peer(p);
    /* takes the error from the socket */
    endpoint_write(p->ep, (const uint8_t *)"hello", 5);
    endpoint_want_read(p->ep, true);
    while (p->changes == 0)
        pair_turn();
    assert_int_equal(p->n, 7);
    assert_int_equal(p->ep->error, UV_ECONNRESET);
    assert_false(p->ep->eof);
}

static void an_end_with_a_reset_behind_it_is_both(void **state)
{
    struct pair *p = *state;

    assert_int_equal(write(p->peer, "request", 7), 7);
    assert_int_equal(shutdown(p->peer, SHUT_WR), 0);
    pair_reset_peer(p);
    endpoint_want_read(p->ep, true);
    while (p->changes == 0)
        pair_turn();
    assert_int_equal(p->n, 7);
    assert_true(p->ep->eof);
    assert_int_equal(p->ep->write_error, UV_EPIPE);
    assert_true(endpoint_is_reset(p->ep));
}

static void a_reset_is_noticed_while_nothing_is_read(void **state)
{
    struct pair *p = *state;

    endpoint_write(p->ep, (const uint8_t *)"hello", 5);
    assert_int_equal(write(p->peer, "request", 7), 7);
    pair_close_peer(p); /* with bytes unread */
    while (!endpoint_is_reset(p->ep))
        pair_turn();
    assert_true(endpoint_is_gone(p->ep));
    assert_int_equal(p->ep->write_error, UV_ECONNRESET);
    assert_int_equal(p->n, 0);
}

static void what_a_unix_peer_sent_before_it_closed_is_good(void **state)
{
    struct pair *p = *state;

    assert_int_equal(write(p->peer, "request", 7), 7);
    pair_close_peer(p);
    while (!p->ep->write_error)
        pair_turn();
    assert_int_equal(p->changes, 1);
    assert_true(p->ep->fin_received);
    assert_false(endpoint_is_reset(p->ep));
    assert_false(endpoint_is_gone(p->ep));
    endpoint_write(p->ep, pair_bulk, 10);
    assert_true(endpoint_is_idle(p->ep));
    endpoint_want_read(p->ep, true);
    while (!p->ep->eof)
        pair_turn();
    assert_int_equal(p->n, 7);
    assert_false(endpoint_is_reset(p->ep));
    assert_true(endpoint_is_gone(p->ep));
}

static void a_unix_peer_that_closed_with_nothing_sent_is_gone(void **state)
{
    struct pair *p = *state;

    pair_close_peer(p);
    while (!endpoint_is_gone(p->ep))
        pair_turn();
    assert_false(endpoint_is_reset(p->ep));
}

/* Both directions are shut then, but one by us. */
static void a_unix_peer_that_finishes_after_us_has_not_closed(void **state)
{
    struct pair *p = *state;

    endpoint_shutdown(p->ep);
    assert_int_equal(shutdown(p->peer, SHUT_WR), 0);
    while (!p->ep->fin_received)
        pair_turn();
    assert_int_equal(p->ep->write_error, 0);
    assert_false(endpoint_is_gone(p->ep));
}

static void a_peer_that_is_there_is_not_gone(void **state)
{
    struct pair *p = *state;

    assert_false(endpoint_is_gone(p->ep));
    assert_int_equal(write(p->peer, "request", 7), 7);
    assert_false(endpoint_is_gone(p->ep));
    /* it has said all that it wants to, and waits for an answer */
    assert_int_equal(shutdown(p->peer, SHUT_WR), 0);
    pair_wait();
    assert_false(endpoint_is_gone(p->ep));
    endpoint_want_read(p->ep, true);
    while (!p->ep->eof)
        pair_turn();
    assert_false(endpoint_is_gone(p->ep));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR_UNIX(what_came_before_a_write_error_is_read),
        PAIR_BOTH(an_error_on_what_is_in_flight_is_reported),
        PAIR_TCP(a_reset_is_an_error_and_no_end),
        PAIR_BOTH(a_reset_behind_data_is_a_reset),
        PAIR_BOTH(a_write_that_met_the_reset_does_not_hide_it),
        PAIR_TCP(an_end_with_a_reset_behind_it_is_both),
        PAIR_BOTH(a_reset_is_noticed_while_nothing_is_read),
        PAIR_UNIX(what_a_unix_peer_sent_before_it_closed_is_good),
        PAIR_UNIX(a_unix_peer_that_closed_with_nothing_sent_is_gone),
        PAIR_UNIX(a_unix_peer_that_finishes_after_us_has_not_closed),
        PAIR_BOTH(a_peer_that_is_there_is_not_gone),
    };

    return cmocka_run_group_tests(tests, pair_group_setup, pair_group_teardown);
}
