/* proxy/relay: the filter of a section rewrites what passes, and nothing else does. */
#include "proxy/relay.h"

#include <ctype.h>
#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include "help.h"
#include "tunneling.h"

/*
 * A filter that answers each 'q' of the client with 'n', and makes the server's letters capitals,
 * until the client has sent 'd'. '!' must not pass.
 */
static enum filter_result quiz_run(void *state, struct filter_io *io)
{
    enum filter_result result = FILTER_MORE;
    char c;
    size_t i;

    (void)state;
    if (io->end)
        strbuf_add(io->way == FILTER_TO_SERVER ? io->to_server : io->to_client, ".");
    for (i = 0; i < io->in_len; i++) {
        c = (char)io->in[i];
        if (io->way == FILTER_TO_CLIENT) {
            c = (char)toupper((unsigned char)c);
            strbuf_add_bytes(io->to_client, &c, 1);
        } else if (c == '!') {
            return FILTER_FAILED;
        } else if (c == 'q' && result == FILTER_MORE) {
            strbuf_add(io->to_client, "n");
        } else {
            strbuf_add_bytes(io->to_server, &c, 1);
            result = c == 'd' ? FILTER_DONE : result;
        }
    }
    return result;
}

static const struct filter_ops quiz = {"quiz", 0, quiz_run};

/* A filter to which the end of the server's stream comes too early. */
static enum filter_result early_end_run(void *state, struct filter_io *io)
{
    (void)state;
    if (io->way == FILTER_TO_SERVER)
        strbuf_add_bytes(io->to_server, (const char *)io->in, io->in_len);
    return io->end && io->way == FILTER_TO_CLIENT ? FILTER_FAILED : FILTER_MORE;
}

static const struct filter_ops early_end = {"early end", 0, early_end_run};

static struct tunneling *start_with_filter(const struct filter_ops *filter, size_t wanted,
                                           const char *sent)
{
    struct tunneling *s;

    tunneling_filter = filter;
    s = tunneling_start(&front_raw, false, &tunneling_good, wanted);
    tunneling_filter = NULL;
    sem_post(&s->server.go);
    tunneling_send(s, sent, strlen(sent));
    tunneling_run_until(s, tunneling_client_has_ended);
    return s;
}

static void a_filter_rewrites_both_directions_and_sees_their_ends(void **state)
{
    struct tunneling *s = start_with_filter(&quiz, 2, "qab");

    (void)state;
    assert_true(s->eof);
    tunneling_assert_got(s, "nANSWER.");
    tunneling_assert_server_got(s, "ab");
    tunneling_finish(s);
}

static void a_filter_that_is_done_lets_everything_pass(void **state)
{
    struct tunneling *s = start_with_filter(&quiz, 2, "qdq");

    (void)state;
    assert_true(s->eof);
    tunneling_assert_got(s, "nanswer");
    tunneling_assert_server_got(s, "dq");
    tunneling_finish(s);
}

static void a_filter_that_fails_ends_the_tunnel_and_passes_nothing(void **state)
{
    struct tunneling *s = start_with_filter(&quiz, 2, "a!");

    (void)state;
    assert_int_equal(s->error, ECONNRESET);
    assert_int_equal(s->reason, REASON_GREETING);
    tunneling_assert_got(s, "");
    tunneling_assert_server_got(s, "");
    tunneling_finish(s);
}

static void a_filter_that_fails_at_an_end_lets_nothing_look_whole(void **state)
{
    struct tunneling *s = start_with_filter(&early_end, 2, "ab");

    (void)state;
    assert_false(s->eof);
    assert_int_equal(s->error, ECONNRESET);
    assert_int_equal(s->reason, REASON_GREETING);
    tunneling_finish(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_rewrites_both_directions_and_sees_their_ends),
        cmocka_unit_test(a_filter_that_is_done_lets_everything_pass),
        cmocka_unit_test(a_filter_that_fails_ends_the_tunnel_and_passes_nothing),
        cmocka_unit_test(a_filter_that_fails_at_an_end_lets_nothing_look_whole),
    };

    return cmocka_run_group_tests(tests, tunneling_group_setup, NULL);
}
