/* dialog/postgres and filter/postgres: TLS for the server, and none for the client. */
#include <string.h>

#include "dialogs.h"
#include "help.h"
#include "passages.h"
#include "trial.h"

#define SSL_REQUEST "\0\0\0\x08\x04\xd2\x16\x2f"
#define GSS_REQUEST "\0\0\0\x08\x04\xd2\x16\x30"
#define STARTUP "\0\0\0\x0d\0\3\0\0user\0"
#define CANCEL "\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2"
#define PLUS "SCRAM-SHA-256-PLUS\0"
#define SCRAM "SCRAM-SHA-256\0"
#define AUTH_OK "R\0\0\0\x08\0\0\0\0"
#define AUTH_MORE "R\0\0\0\x0c\0\0\0\x0bmore"
#define READY "Z\0\0\0\5I"

#define AND_ALL(turns) turns, COUNT(turns)

/* The dialog. */

static void try_dialog(const char *input, size_t n, enum dialog_result result, size_t unread,
                       const char *detail)
{
    const struct dialog_end end = {result, unread, detail, NULL, NULL};

    assert_dialog(&dialog_postgres, input, n, &end);
}

static void an_ssl_request_is_sent_first(void **state)
{
    struct trial t;

    (void)state;
    trial_run(&t, &dialog_postgres, NULL, "S", 1, 1, 1);
    assert_int_equal(t.out.len, 8);
    assert_memory_equal(t.out.data, SSL_REQUEST, 8);
    assert_int_equal(t.greeting.len, 0);
    trial_free(&t);
}

static void one_byte_decides(void **state)
{
    (void)state;
    try_dialog("", 0, DIALOG_MORE, 0, NULL);
    try_dialog("S", 1, DIALOG_DONE, 0, NULL);
    try_dialog("N", 1, DIALOG_FAILED, 0, "the server does not offer TLS");
    try_dialog("\x15\x03\x01", 3, DIALOG_FAILED, 0, "not PostgreSQL's: it begins with byte 0x15");
}

static void bytes_behind_the_answer_are_left_unread(void **state)
{
    (void)state;
    try_dialog("SR\0\0\0\x08\0\0\0\0", 10, DIALOG_DONE, 9, NULL);
}

static void an_error_is_reported_in_the_servers_words(void **state)
{
    static char endless[9000];

    (void)state;
    memset(endless, 'E', sizeof(endless));
    try_dialog("E\0\0\0\x14SFATAL\0Mno room\0", 21, DIALOG_FAILED, 0,
               "the server refused: no room");
    try_dialog("E\0\0\0\x14SFATAL\0Mno room", 20, DIALOG_MORE, 0, NULL);
    try_dialog("E\0\0\0\x0cSFATAL\0\0", 13, DIALOG_FAILED, 0, "refused without a message");
    try_dialog("E\0\0\0\x08SFATA", 10, DIALOG_FAILED, 0, "refused without a message");
    try_dialog("E\0\0\0\3", 5, DIALOG_FAILED, 0, "an error of 3 bytes");
    try_dialog("E\0\xff\0\0", 5, DIALOG_FAILED, 0, "an error of 16711680 bytes");
    try_dialog("Eno room\n", 10, DIALOG_FAILED, 0, "the server refused: no room");
    try_dialog("Eno room", 8, DIALOG_MORE, 0, NULL);
    try_dialog(endless, sizeof(endless), DIALOG_FAILED, 0, "the server refused: EEEE");
}

/* The filter. */

static void each_request_is_answered_with_no(void **state)
{
    static const struct passage_turn turns[] = {
        TO_SERVER(GSS_REQUEST), TO_SERVER(SSL_REQUEST GSS_REQUEST SSL_REQUEST STARTUP SSL_REQUEST),
        TO_CLIENT(AUTH_OK READY)};
    static const struct passage_end end = {FILTER_DONE, TO_SERVER(STARTUP SSL_REQUEST),
                                           TO_CLIENT("NNNN" AUTH_OK READY), NULL, REASON_OK};

    (void)state;
    assert_passage(&filter_postgres, AND_ALL(turns), &end);
}

static void a_flood_of_requests_is_left_to_the_server(void **state)
{
#define FOUR SSL_REQUEST GSS_REQUEST SSL_REQUEST GSS_REQUEST
    static const struct passage_turn turns[] = {TO_SERVER(FOUR FOUR FOUR FOUR FOUR)};
    static const struct passage_end end = {FILTER_MORE, TO_SERVER(FOUR),
                                           TO_CLIENT("NNNNNNNNNNNNNNNN"), NULL, REASON_OK};

    (void)state;
    assert_passage(&filter_postgres, AND_ALL(turns), &end);
}

static void a_cancel_request_passes(void **state)
{
    static const struct passage_turn plain[] = {TO_SERVER(CANCEL)};
    static const struct passage_turn asked[] = {TO_SERVER(SSL_REQUEST CANCEL)};
    static const struct passage_end end = {FILTER_MORE, TO_SERVER(CANCEL), TO_CLIENT(""), NULL,
                                           REASON_OK};
    static const struct passage_end after_no = {FILTER_MORE, TO_SERVER(CANCEL), TO_CLIENT("N"),
                                                NULL, REASON_OK};

    (void)state;
    assert_passage(&filter_postgres, AND_ALL(plain), &end);
    assert_passage(&filter_postgres, AND_ALL(asked), &after_no);
}

static void other_bytes_of_a_client_pass(void **state)
{
    static const char *const inputs[] = {"\0\0\0\x08\x04\xd2\x16\x31", "\0\0\0\x08\x04\xd2\x16",
                                         "GET / HTTP/1.1\r\n", "\0", "\0\0\0\x09\x04\xd2\x16\x2f"};
    static const size_t sizes[] = {8, 7, 16, 1, 8};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(inputs); i++) {
        const struct passage_turn turn = {FILTER_TO_SERVER, inputs[i], sizes[i]};
        const struct passage_end end = {FILTER_MORE, turn, TO_CLIENT(""), NULL, REASON_OK};

        assert_passage(&filter_postgres, &turn, 1, &end);
    }
}

static void no_answer_is_put_into_the_servers_stream(void **state)
{
    static const struct passage_turn turns[] = {TO_CLIENT("N\0\0"), TO_SERVER(SSL_REQUEST)};
    static const struct passage_end end = {FILTER_MORE, TO_SERVER(SSL_REQUEST), TO_CLIENT("N\0\0"),
                                           NULL, REASON_OK};

    (void)state;
    assert_passage(&filter_postgres, AND_ALL(turns), &end);
}

/* Asserts what becomes of the server's bytes. */
static void try_server(const char *in, size_t n, const char *out, size_t out_len,
                       enum filter_result result)
{
    const struct passage_turn turns[] = {TO_SERVER(STARTUP), {FILTER_TO_CLIENT, in, n}};
    const struct passage_end end = {
        result, TO_SERVER(STARTUP), {FILTER_TO_CLIENT, out, out_len}, NULL, REASON_OK};

    assert_passage(&filter_postgres, AND_ALL(turns), &end);
}

#define SERVER(in, out, result) try_server(in, sizeof(in) - 1, out, sizeof(out) - 1, result)
#define UNCHANGED(in, result) SERVER(in, in, result)

static void channel_binding_is_removed_from_the_offer(void **state)
{
    (void)state;
    SERVER("R\0\0\0\x2a\0\0\0\x0a" PLUS SCRAM "\0" AUTH_MORE AUTH_OK READY,
           "R\0\0\0\x17\0\0\0\x0a" SCRAM "\0" AUTH_MORE AUTH_OK READY, FILTER_DONE);
    /* at the end, in the middle, alone, and twice */
    SERVER("R\0\0\0\x2a\0\0\0\x0a" SCRAM PLUS "\0", "R\0\0\0\x17\0\0\0\x0a" SCRAM "\0",
           FILTER_MORE);
    SERVER("R\0\0\0\x36\0\0\0\x0a" SCRAM PLUS "OAUTHBEARER\0\0",
           "R\0\0\0\x23\0\0\0\x0a" SCRAM "OAUTHBEARER\0\0", FILTER_MORE);
    SERVER("R\0\0\0\x1c\0\0\0\x0a" PLUS "\0", "R\0\0\0\x09\0\0\0\x0a\0", FILTER_MORE);
    SERVER("R\0\0\0\x2f\0\0\0\x0a" PLUS PLUS "\0", "R\0\0\0\x09\0\0\0\x0a\0", FILTER_MORE);
    /* behind another message */
    SERVER("v\0\0\0\x0c\0\3\0\0\0\0\0\0R\0\0\0\x1c\0\0\0\x0a" PLUS "\0",
           "v\0\0\0\x0c\0\3\0\0\0\0\0\0R\0\0\0\x09\0\0\0\x0a\0", FILTER_MORE);
}

static void other_offers_pass_unchanged(void **state)
{
    (void)state;
    UNCHANGED("R\0\0\0\x17\0\0\0\x0a" SCRAM "\0" AUTH_OK, FILTER_DONE);
    UNCHANGED("R\0\0\0\x0c\0\0\0\5salt" AUTH_OK, FILTER_DONE);
    UNCHANGED("R\0\0\0\x1d\0\0\0\x0aSCRAM-SHA-256-PLUSX\0\0", FILTER_MORE);
    UNCHANGED("R\0\0\0\x1c\0\0\0\x0ascram-sha-256-plus\0\0", FILTER_MORE);
    /* a list without an end, and none */
    UNCHANGED("R\0\0\0\x1b\0\0\0\x0a" PLUS, FILTER_MORE);
    UNCHANGED("R\0\0\0\x1a\0\0\0\x0aSCRAM-SHA-256-PLUS", FILTER_MORE);
    UNCHANGED("R\0\0\0\x08\0\0\0\x0a", FILTER_MORE);
    UNCHANGED("R\0\0\0\x09\0\0\0\x0a\0", FILTER_MORE);
}

static void nothing_is_changed_once_authentication_has_ended(void **state)
{
    (void)state;
    UNCHANGED(AUTH_OK "R\0\0\0\x1c\0\0\0\x0a" PLUS "\0", FILTER_DONE);
    UNCHANGED("E\0\0\0\x06M\0R\0\0\0\x1c\0\0\0\x0a" PLUS "\0", FILTER_DONE);
    UNCHANGED("Efatal\n\0R\0\0\0\x1c\0\0\0\x0a" PLUS "\0", FILTER_DONE);
}

static void bytes_that_are_no_message_pass(void **state)
{
    (void)state;
    UNCHANGED("", FILTER_MORE);
    UNCHANGED("R", FILTER_MORE);
    UNCHANGED("R\0\0\0\x1c\0\0\0\x0a"
              "SCRAM-SHA",
              FILTER_MORE);
    UNCHANGED("220 mail.example ESMTP\r\n", FILTER_MORE);
    UNCHANGED("N\0\0\0\3" AUTH_OK, FILTER_DONE);
    UNCHANGED("R\0\0\0\7\0\0\0\x0a" PLUS, FILTER_DONE);
    UNCHANGED("S\xff\xff\xff\xff" AUTH_OK, FILTER_MORE);
    UNCHANGED("S\0\0\0\4" AUTH_OK, FILTER_DONE);
}

static void an_offer_that_is_too_long_passes_unchanged(void **state)
{
    static char message[2100];
    size_t n;

    (void)state;
    for (n = 2000; n <= 2001; n++) { /* the length, without the type */
        memset(message, 'x', sizeof(message));
        memcpy(message, "R\0\0\0\0\0\0\0\x0a" PLUS, 9 + 19);
        message[3] = (char)(n >> 8);
        message[4] = (char)n;
        message[n - 1] = message[n] = '\0';
        if (n == 2001) {
            try_server(message, n + 1, message, n + 1, FILTER_MORE);
            continue;
        }
        {
            static char out[2100];

            memcpy(out, message, 9);
            out[3] = (char)((n - 19) >> 8);
            out[4] = (char)(n - 19);
            memcpy(out + 9, message + 28, n + 1 - 28);
            try_server(message, n + 1, out, n + 1 - 19, FILTER_MORE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ssl_request_is_sent_first),
        cmocka_unit_test(one_byte_decides),
        cmocka_unit_test(bytes_behind_the_answer_are_left_unread),
        cmocka_unit_test(an_error_is_reported_in_the_servers_words),
        cmocka_unit_test(each_request_is_answered_with_no),
        cmocka_unit_test(a_flood_of_requests_is_left_to_the_server),
        cmocka_unit_test(a_cancel_request_passes),
        cmocka_unit_test(other_bytes_of_a_client_pass),
        cmocka_unit_test(no_answer_is_put_into_the_servers_stream),
        cmocka_unit_test(channel_binding_is_removed_from_the_offer),
        cmocka_unit_test(other_offers_pass_unchanged),
        cmocka_unit_test(nothing_is_changed_once_authentication_has_ended),
        cmocka_unit_test(bytes_that_are_no_message_pass),
        cmocka_unit_test(an_offer_that_is_too_long_passes_unchanged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
