/* proxy/tunnel, proxy/greeting, front/raw: what a client says first, and what it is answered. */
#include "proxy/tunnel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "help.h"
#include "tunneling.h"

/* A front that wants "ABC". It answers "+ok", or "-" and the reason. */
struct knock {
    size_t seen;
};

static enum front_result knock_feed(void *state, const uint8_t *bytes, size_t n, size_t *used,
                                    struct front_target *target)
{
    struct knock *k = state;
    size_t i;

    for (i = 0; i < n; i++) {
        if (bytes[i] != (uint8_t) "ABC"[k->seen])
            return FRONT_BAD;
        if (++k->seen < 3)
            continue;
        *used = i + 1;
        strcpy(target->host, "A.Example.");
        target->port = 8443;
        return FRONT_READY;
    }
    return FRONT_MORE;
}

static size_t knock_reply(void *state, enum reason reason, uint8_t *out, size_t room)
{
    (void)state;
    return (size_t)snprintf((char *)out, room, "%c%s\n", reason == REASON_OK ? '+' : '-',
                            reason_name(reason));
}

static const struct front_ops knock = {"knock", sizeof(struct knock), knock_feed, knock_reply};

/* Nobody reads a raw client before its server is trusted: its bytes wait in the kernel. */
static void a_raw_client_is_not_read_before_its_server_is_trusted(void **state)
{
    struct tunneling *s = tunneling_start(&front_raw, false, &tunneling_good, 5);
    int unread = 0;

    (void)state;
    tunneling_send(s, "hello", 5);
    tunneling_run_until(s, tunneling_has_accepted);
    tunneling_run_a_little(s);
    assert_int_equal(ioctl(s->inner, FIONREAD, &unread), 0);
    assert_int_equal(unread, 5);
    assert_false(s->opened);
    sem_post(&s->server.go);
    tunneling_run_until(s, tunneling_client_has_ended);
    assert_true(s->eof);
    tunneling_assert_got(s, "answer");
    tunneling_finish(s);
}

static void a_refused_raw_client_gets_a_reset_and_no_byte(void **state)
{
    struct tunneling *s = tunneling_start(&front_raw, false, &tunneling_bad, 5);

    (void)state;
    tunneling_send(s, "hello", 5);
    sem_post(&s->server.go);
    tunneling_run_until(s, tunneling_client_has_ended);
    assert_int_equal(s->error, ECONNRESET);
    tunneling_assert_got(s, "");
    assert_int_equal(s->reason, REASON_PIN_MISMATCH);
    tunneling_assert_server_got(s, "");
    tunneling_finish(s);
}

static void success_is_reported_only_when_the_server_is_trusted(void **state)
{
    struct tunneling *s = tunneling_start(&knock, false, &tunneling_good, 4);

    (void)state;
    tunneling_send(s, "A", 1);
    tunneling_run_a_little(s);
    tunneling_send(s, "B", 1);
    tunneling_run_a_little(s);
    assert_int_equal(s->server.accepted, 0); /* the greeting is not complete */
    tunneling_send(s, "C", 1);
    tunneling_run_until(s, tunneling_has_accepted);
    tunneling_run_a_little(s);
    assert_false(s->opened);
    tunneling_assert_got(s, "");
    sem_post(&s->server.go);
    tunneling_send(s, "late", 4);
    tunneling_run_until(s, tunneling_client_has_ended);
    assert_true(s->eof);
    tunneling_assert_got(s, "+ok\nanswer");
    tunneling_assert_server_got(s, "late");
    tunneling_finish(s);
}

/* Wherever the greeting is cut, what is behind it is the first payload, once and in order. */
static void early_data_is_the_first_payload_once_and_in_order(void **state)
{
    static const char sent[] = "ABCearly", late[] = "late";
    size_t cut;

    (void)state;
    for (cut = 1; cut <= strlen(sent); cut++) {
        struct tunneling *s = tunneling_start(&knock, false, &tunneling_good, strlen("earlylate"));

        tunneling_send(s, sent, cut);
        tunneling_run_a_little(s);
        tunneling_send(s, sent + cut, strlen(sent) - cut);
        tunneling_run_until(s, tunneling_has_accepted);
        tunneling_send(s, late, strlen(late));
        tunneling_run_a_little(s);
        sem_post(&s->server.go);
        tunneling_run_until(s, tunneling_client_has_ended);
        tunneling_assert_got(s, "+ok\nanswer");
        tunneling_assert_server_got(s, "earlylate");
        tunneling_finish(s);
    }
}

static void much_early_data_arrives_whole(void **state)
{
    struct tunneling *s = tunneling_start(&knock, false, &tunneling_good, TUNNELING_BULK);
    uint8_t *bytes = test_malloc(3 + TUNNELING_BULK);
    size_t i, sent = 0;

    (void)state;
    memcpy(bytes, "ABC", 3);
    for (i = 0; i < TUNNELING_BULK; i++)
        bytes[3 + i] = (uint8_t)(i * 7 + i / 256);
    sem_post(&s->server.go);
    while (sent < 3 + TUNNELING_BULK) {
        ssize_t n = send(s->client, bytes + sent, 3 + TUNNELING_BULK - sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n > 0)
            sent += (size_t)n;
        else
            tunneling_run(s);
    }
    tunneling_run_until(s, tunneling_client_has_ended);
    tunneling_assert_got(s, "+ok\nanswer");
    assert_int_equal(s->server.got_len, TUNNELING_BULK);
    assert_memory_equal(s->server.got, bytes + 3, TUNNELING_BULK);
    test_free(bytes);
    tunneling_finish(s);
}

static void early_data_never_reaches_a_server_that_is_not_trusted(void **state)
{
    struct tunneling *s = tunneling_start(&knock, false, &tunneling_bad, 5);

    (void)state;
    tunneling_send(s, "ABCearly", 8);
    sem_post(&s->server.go);
    tunneling_run_until(s, tunneling_client_has_ended);
    tunneling_run_until(s, tunneling_is_freed);
    tunneling_assert_server_got(s, "");
    assert_false(s->opened);
    tunneling_finish(s);
}

/* A reset would throw the answer away. */
static void a_refusal_is_answered_and_then_the_stream_ends_in_order(void **state)
{
    struct tunneling *s = tunneling_start(&knock, false, &tunneling_bad, 5);

    (void)state;
    tunneling_send(s, "ABC", 3);
    sem_post(&s->server.go);
    tunneling_run_until(s, tunneling_client_has_ended);
    assert_true(s->eof);
    assert_int_equal(s->error, 0);
    tunneling_assert_got(s, "-pin_mismatch\n");
    assert_int_equal(s->reason, REASON_PIN_MISMATCH);
    tunneling_finish(s);
}

static void a_bad_greeting_is_refused_without_a_connection(void **state)
{
    struct tunneling *s = tunneling_start(&knock, false, &tunneling_good, 5);

    (void)state;
    tunneling_send(s, "AX", 2);
    tunneling_run_until(s, tunneling_client_has_ended);
    assert_true(s->eof);
    tunneling_assert_got(s, "-greeting\n");
    assert_int_equal(s->reason, REASON_GREETING);
    tunneling_run_until(s, tunneling_is_freed);
    assert_int_equal(s->server.accepted, 0);
    tunneling_finish(s);
}

static void a_client_that_closes_in_its_greeting_ends_the_tunnel(void **state)
{
    struct tunneling *s = tunneling_start(&knock, false, &tunneling_good, 5);

    (void)state;
    tunneling_send(s, "AB", 2);
    tunneling_run_a_little(s);
    close(s->client);
    s->client = -1;
    tunneling_run_until(s, tunneling_is_freed);
    assert_int_equal(s->reason, REASON_OK);
    assert_int_equal(s->server.accepted, 0);
    tunneling_finish(s);
}

static void a_client_that_resets_in_its_greeting_ends_the_tunnel(void **state)
{
    const struct linger reset = {.l_onoff = 1};
    struct tunneling *s = tunneling_start(&knock, false, &tunneling_good, 5);

    (void)state;
    tunneling_send(s, "AB", 2);
    tunneling_run_a_little(s);
    setsockopt(s->client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(s->client);
    s->client = -1;
    tunneling_run_until(s, tunneling_is_freed);
    assert_int_equal(s->reason, REASON_CLIENT_RESET);
    assert_int_equal(s->server.accepted, 0);
    tunneling_finish(s);
}

static void a_killed_tunnel_ends_in_its_greeting(void **state)
{
    struct tunneling *s = tunneling_start(&knock, false, &tunneling_good, 5);

    (void)state;
    tunneling_send(s, "AB", 2);
    tunneling_run_a_little(s);
    tunnel_kill(s->tunnel, REASON_DRAINED);
    tunneling_run_until(s, tunneling_client_has_ended);
    assert_int_equal(s->error, ECONNRESET);
    assert_int_equal(s->reason, REASON_DRAINED);
    tunneling_finish(s);
}

/* It is counted where it is: at its front end before the greeting, at its section after it. */
static void a_client_reaches_the_section_that_it_names(void **state)
{
    struct tunneling *s = tunneling_start(&knock, true, &tunneling_good, 5);
    const struct stats *section = s->snapshot->sections[0].stats;

    (void)state;
    tunneling_run_a_little(s);
    assert_int_equal(tunneling_count(s->frontend->stats), 1);
    assert_int_equal(tunneling_count(section), 0);
    tunneling_send(s, "ABCearly", 8);
    tunneling_run_until(s, tunneling_has_accepted);
    assert_int_equal(tunneling_count(s->frontend->stats), 0);
    assert_int_equal(tunneling_count(section), 1);
    sem_post(&s->server.go);
    tunneling_run_until(s, tunneling_client_has_ended);
    tunneling_assert_got(s, "+ok\nanswer");
    tunneling_assert_server_got(s, "early");
    assert_int_equal(stats_get(section, STATS_SENT), 5);
    tunneling_finish(s);
}

static void a_client_that_names_no_section_is_refused(void **state)
{
    struct snapshot *other = tunneling_snapshot("a.example", 443, 9, NULL); /* another port */
    struct tunneling *s = tunneling_start(&knock, true, &tunneling_good, 5);

    (void)state;
    other->frontends[0] = *s->frontend;
    tunnel_apply(s->tunnel, other);
    tunneling_send(s, "ABC", 3);
    tunneling_run_until(s, tunneling_client_has_ended);
    assert_true(s->eof);
    tunneling_assert_got(s, "-unknown_host\n");
    assert_int_equal(s->reason, REASON_UNKNOWN_HOST);
    assert_int_equal(s->server.accepted, 0);
    tunneling_run_until(s, tunneling_is_freed);
    snapshot_release(other);
    tunneling_finish(s);
}

static void a_reload_in_the_greeting_decides_whom_the_client_reaches(void **state)
{
    struct tunneling *s = tunneling_start(&knock, false, &tunneling_good, 5);
    struct snapshot *now = tunneling_snapshot("a.example", 8443, s->server.port, s->snapshot);
    struct snapshot *before = s->snapshot;

    (void)state;
    tunneling_send(s, "AB", 2);
    tunneling_run_a_little(s);
    tunnel_apply(s->tunnel, now);
    assert_int_equal(atomic_load(&before->refs), 1); /* the tunnel has the new one */
    assert_int_equal(atomic_load(&now->refs), 2);
    tunneling_send(s, "Cearly", 6);
    sem_post(&s->server.go);
    tunneling_run_until(s, tunneling_client_has_ended);
    tunneling_assert_got(s, "+ok\nanswer"); /* by the front that read its greeting */
    close(s->client);
    s->client = -1;
    tunneling_run_until(s, tunneling_is_freed);
    snapshot_release(now);
    tunneling_finish(s);
}

static void a_reload_that_removes_the_section_refuses_the_client(void **state)
{
    static const char *const greetings[] = {"AB", "ABC"};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(greetings); i++) {
        struct tunneling *s = tunneling_start(&knock, false, &tunneling_good, 5);
        struct snapshot *now = tunneling_snapshot("b.example", 8443, s->server.port, s->snapshot);

        tunneling_send(s, greetings[i], strlen(greetings[i]));
        if (i == 1)
            tunneling_run_until(s, tunneling_has_accepted);
        else
            tunneling_run_a_little(s);
        tunnel_apply(s->tunnel, now);
        tunneling_run_until(s, tunneling_client_has_ended);
        assert_true(s->eof);
        tunneling_assert_got(s, "-pin_removed\n");
        assert_int_equal(s->reason, REASON_PIN_REMOVED);
        snapshot_release(now);
        tunneling_finish(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_raw_client_is_not_read_before_its_server_is_trusted),
        cmocka_unit_test(a_refused_raw_client_gets_a_reset_and_no_byte),
        cmocka_unit_test(success_is_reported_only_when_the_server_is_trusted),
        cmocka_unit_test(early_data_is_the_first_payload_once_and_in_order),
        cmocka_unit_test(much_early_data_arrives_whole),
        cmocka_unit_test(early_data_never_reaches_a_server_that_is_not_trusted),
        cmocka_unit_test(a_refusal_is_answered_and_then_the_stream_ends_in_order),
        cmocka_unit_test(a_bad_greeting_is_refused_without_a_connection),
        cmocka_unit_test(a_client_that_closes_in_its_greeting_ends_the_tunnel),
        cmocka_unit_test(a_client_that_resets_in_its_greeting_ends_the_tunnel),
        cmocka_unit_test(a_killed_tunnel_ends_in_its_greeting),
        cmocka_unit_test(a_client_reaches_the_section_that_it_names),
        cmocka_unit_test(a_client_that_names_no_section_is_refused),
        cmocka_unit_test(a_reload_in_the_greeting_decides_whom_the_client_reaches),
        cmocka_unit_test(a_reload_that_removes_the_section_refuses_the_client),
    };

    return cmocka_run_group_tests(tests, tunneling_group_setup, NULL);
}
