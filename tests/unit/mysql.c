/* dialog/mysql, dialog/mysqlproto and filter/mysql: TLS for the server, and none for the client. */
#include <string.h>

#include "dialog/mysqlproto.h"
#include "dialogs.h"
#include "help.h"
#include "passages.h"
#include "trial.h"

/* Handshake packets: capabilities 0-7, 8-15, the character set, and capabilities 16-23, 24-31. */
#define AFTER "\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0caching_sha2_password\0"
#define PAYLOAD(c0, c1, charset, c2, c3)                                                           \
    "\x0a"                                                                                         \
    "8.0.36\0\7\0\0\0abcdefgh\0" c0 c1 charset "\2\0" c2 c3 AFTER
#define HANDSHAKE(...) "\x4a\0\0\0" PAYLOAD(__VA_ARGS__)
#define MYSQL8 HANDSHAKE("\xff", "\xff", "\xff", "\xff", "\xdf")
#define MYSQL8_SHOWN HANDSHAKE("\xdd", "\xf7", "\xff", "\x3f", "\0")
#define MARIADB HANDSHAKE("\xfe", "\xff", "\x2d", "\xff", "\x81")
#define MARIADB_SHOWN HANDSHAKE("\xdc", "\xf7", "\x2d", "\x3f", "\0")

/* Heads of responses: capabilities, the maximum packet size, the character set, a filler. */
#define ZEROS "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define HEAD(capabilities, charset) capabilities "\0\0\0\1" charset ZEROS
#define PROMISED "\x8d\xaa\x3e\0" /* to MySQL 8 */
#define SSL_REQUEST "\x20\0\0\1" HEAD(PROMISED, "\xff")

#define OK "\7\0\0\2\0\0\0\2\0\0\0"
#define OK_SHOWN "\7\0\0\1\0\0\0\2\0\0\0"
#define AND_ALL(turns) turns, COUNT(turns)

static void start_dialog(struct trial *t, const char *input, size_t n)
{
    trial_run(t, &dialog_mysql, NULL, input, n, n, 1);
}

static void try_dialog(const char *input, size_t n, enum dialog_result result, size_t unread,
                       const char *detail)
{
    const struct dialog_end end = {result, unread, detail, NULL, NULL};

    assert_dialog(&dialog_mysql, input, n, &end);
}

#define DIALOG(input, ...) try_dialog(input, sizeof(input) - 1, __VA_ARGS__)

static void tls_is_asked_for_with_what_every_client_has(void **state)
{
    struct trial t;

    (void)state;
    DIALOG(MYSQL8, DIALOG_DONE, 0, NULL);
    start_dialog(&t, MYSQL8, sizeof(MYSQL8) - 1);
    assert_int_equal(t.out.len, sizeof(SSL_REQUEST) - 1);
    assert_memory_equal(t.out.data, SSL_REQUEST, t.out.len);
    trial_free(&t);
}

static void the_client_sees_a_server_without_tls(void **state)
{
    struct trial t;

    (void)state;
    start_dialog(&t, MYSQL8, sizeof(MYSQL8) - 1);
    assert_int_equal(t.greeting.len, sizeof(MYSQL8) - 1);
    assert_memory_equal(t.greeting.data, MYSQL8_SHOWN, t.greeting.len);
    trial_free(&t);
    start_dialog(&t, MARIADB, sizeof(MARIADB) - 1);
    assert_memory_equal(t.greeting.data, MARIADB_SHOWN, t.greeting.len);
    assert_int_equal((uint8_t)t.out.data[12], 45);
    trial_free(&t);
}

static void mariadbs_own_capabilities_are_hidden(void **state)
{
    static const char tail[] = "\x15\0\0\0\0\0\0\x1d\0\0\0";
    char input[sizeof(MARIADB)];
    struct trial t;
    char *at;

    (void)state;
    memcpy(input, MARIADB, sizeof(input));
    at = memmem(input, sizeof(input), "\x15\0\0\0", 4);
    memcpy(at, tail, sizeof(tail) - 1);
    start_dialog(&t, input, sizeof(input) - 1);
    assert_memory_equal(t.greeting.data, MARIADB_SHOWN, t.greeting.len);
    trial_free(&t);
}

static void bytes_behind_the_handshake_are_left_unread(void **state)
{
    (void)state;
    DIALOG(MYSQL8 "\7\0\0\1", DIALOG_DONE, 4, NULL);
}

static void a_server_without_tls_is_a_failure(void **state)
{
    (void)state;
    DIALOG("", DIALOG_MORE, 0, NULL);
    DIALOG(HANDSHAKE("\xff", "\xf7", "\xff", "\xff", "\xdf"), DIALOG_FAILED, 0,
           "the server does not offer TLS");
    DIALOG(HANDSHAKE("\xff", "\xfd", "\xff", "\xff", "\xdf"), DIALOG_FAILED, 0, "older than");
    DIALOG(HANDSHAKE("\xff", "\x7f", "\xff", "\xff", "\xdf"), DIALOG_FAILED, 0, "older than");
}

static void what_is_no_handshake_is_a_failure(void **state)
{
    (void)state;
    DIALOG("\x4a\0\0\0\x0a"
           "8.0.36",
           DIALOG_MORE, 0, NULL);
    DIALOG("\0\0\0\0", DIALOG_FAILED, 0, "no handshake packet of MySQL");
    DIALOG("\1\0\0\1\x0a", DIALOG_FAILED, 0, "no handshake packet of MySQL");
    DIALOG("\1\4\0\0", DIALOG_FAILED, 0, "no handshake packet of MySQL");
    DIALOG("\0\0\1\0", DIALOG_FAILED, 0, "no handshake packet of MySQL");
    DIALOG("\1\0\0\0\x09", DIALOG_FAILED, 0, "not of protocol version 10");
    DIALOG("\1\0\0\0\x0a", DIALOG_FAILED, 0, "the version has no end");
    DIALOG("\4\0\0\0\x0a"
           "8\x1b\0",
           DIALOG_FAILED, 0, "control byte in the version");
    DIALOG("\3\0\0\0\x0a"
           "8\0",
           DIALOG_FAILED, 0, "too short");
    DIALOG("\x20\0\0\0\x0a\0\1\0\0\0abcdefgh\0\xff\xff\0\0\0\xff\xff\0\0\0\0\0\0\0\0\0\0",
           DIALOG_FAILED, 0, "too short");
    DIALOG("\x21\0\0\0\x0a\0\1\0\0\0abcdefgh\0\xff\xff\0\0\0\xff\xff\0\0\0\0\0\0\0\0\0\0\0",
           DIALOG_DONE, 0, NULL);
}

static void an_error_is_reported_in_the_servers_words(void **state)
{
    (void)state;
    DIALOG("\x0a\0\0\0\xff\x10\4no room", DIALOG_FAILED, 0, "refused: error 1040: no room");
    DIALOG("\x10\0\0\0\xff\x10\4#08004no room", DIALOG_FAILED, 0, "refused: error 1040: no room");
    DIALOG("\3\0\0\0\xff\x10\4", DIALOG_FAILED, 0, "refused: error 1040: ");
    DIALOG("\1\0\0\0\xff", DIALOG_FAILED, 0, "refused: error 0: ");
    DIALOG("\5\0\0\0\xff\x10\4#0", DIALOG_FAILED, 0, "refused: error 1040: ");
}

/* The filter. */

/* The usual response: user, hash, database, plugin, attributes. */
#define TAIL "u\0\3abcdb\0p\0\4\1a\1b"
#define RESPONSE(number, capabilities, charset) "\x30\0\0" number HEAD(capabilities, charset) TAIL
#define WANTED "\x8d\xa2\x3e\x01" /* as promised, without TLS; DEPRECATE_EOF has no effect */

static void packets_are_counted_until_authentication_has_ended(void **state)
{
    static const struct passage_turn turns[] = {
        TO_CLIENT(MYSQL8_SHOWN),
        TO_SERVER(RESPONSE("\1", WANTED, "\xff")),
        TO_CLIENT("\4\0\0\3\xfep\0n"), /* another plugin */
        TO_SERVER("\2\0\0\3xy"),
        TO_CLIENT("\2\0\0\5\1\4"), /* more data */
        TO_SERVER("\0\0\0\5"),
        TO_CLIENT("\2\0\0\7\1\3"
                  "\7\0\0\x08\0\0\0\2\0\0\0"),
        TO_SERVER("\2\0\0\0\3q"),
        TO_CLIENT("\1\0\0\1\0"),
    };
    static const struct passage_end end = {
        FILTER_DONE, TO_SERVER(RESPONSE("\2", PROMISED, "\xff") "\2\0\0\4xy\0\0\0\6\2\0\0\0\3q"),
        TO_CLIENT(MYSQL8_SHOWN "\4\0\0\2\xfep\0n\2\0\0\4\1\4\2\0\0\6\1\3\7\0\0\7\0\0\0\2\0\0\0"
                               "\1\0\0\1\0"),
        NULL, REASON_OK};

    (void)state;
    assert_passage(&filter_mysql, AND_ALL(turns), &end);
}

static void an_error_ends_authentication(void **state)
{
    static const struct passage_turn turns[] = {
        TO_CLIENT(MYSQL8_SHOWN), TO_SERVER(RESPONSE("\1", WANTED, "\x2d")),
        TO_CLIENT("\4\0\0\3\xff\1\2x"), TO_CLIENT("\1\0\0\4x"), TO_SERVER("\1\0\0\2x")};
    static const struct passage_end end = {
        FILTER_DONE, TO_SERVER(RESPONSE("\2", PROMISED, "\xff") "\1\0\0\2x"),
        TO_CLIENT(MYSQL8_SHOWN "\4\0\0\2\xff\1\2x\1\0\0\4x"), NULL, REASON_OK};

    (void)state;
    assert_passage(&filter_mysql, AND_ALL(turns), &end);
}

static void an_error_may_come_before_the_response(void **state)
{
    static const struct passage_turn turns[] = {TO_CLIENT(MYSQL8_SHOWN),
                                                TO_SERVER("\x30\0\0\1half"),
                                                TO_CLIENT("\4\0\0\2\xff\1\2x"), TO_SERVER("rest")};
    static const struct passage_end end = {FILTER_DONE, TO_SERVER("\x30\0\0\1halfrest"),
                                           TO_CLIENT(MYSQL8_SHOWN "\4\0\0\1\xff\1\2x"), NULL,
                                           REASON_OK};

    (void)state;
    assert_passage(&filter_mysql, AND_ALL(turns), &end);
}

/* Asserts that a response to MySQL 8 becomes another one, number 2. */
static void try_response(const char *in, size_t n, const char *out, size_t out_len)
{
    const struct passage_turn turns[] = {TO_CLIENT(MYSQL8_SHOWN), {FILTER_TO_SERVER, in, n}};
    const struct passage_end end = {
        FILTER_MORE, {FILTER_TO_SERVER, out, out_len}, TO_CLIENT(MYSQL8_SHOWN), NULL, REASON_OK};

    assert_passage(&filter_mysql, AND_ALL(turns), &end);
}

#define BECOMES(in, out) try_response(in, sizeof(in) - 1, out, sizeof(out) - 1)

static void a_response_is_made_to_fit_what_was_promised(void **state)
{
    (void)state;
    /* no database */
    BECOMES("\x2d\0\0\1" HEAD("\x85\xa2\x3e\0", "\xff") "u\0\3abcp\0\4\1a\1b",
            "\x2e\0\0\2" HEAD(PROMISED, "\xff") "u\0\3abc\0p\0\4\1a\1b");
    /* no attributes, though it says so */
    BECOMES("\x2b\0\0\1" HEAD("\x8d\xa2\x3e\0", "\xff") "u\0\3abcdb\0p\0",
            "\x2c\0\0\2" HEAD(PROMISED, "\xff") "u\0\3abcdb\0p\0\0");
    /* neither a plugin nor attributes */
    BECOMES("\x26\0\0\1" HEAD("\x85\xa2\6\0", "\xff") "u\0\3abc",
            "\x3e\0\0\2" HEAD(PROMISED, "\xff") "u\0\3abc\0mysql_native_password\0\0");
    /* compression and other things that were not offered */
    BECOMES("\x30\0\0\1" HEAD("\xad\xa2\x3e\xff", "\xff") TAIL,
            "\x30\0\0\2" HEAD(PROMISED, "\xff") TAIL);
    /* strings without their NUL at the end */
    BECOMES("\x2a\0\0\1" HEAD("\x8d\xa2\x3e\0", "\xff") "u\0\3abcdb\0p",
            "\x2c\0\0\2" HEAD(PROMISED, "\xff") "u\0\3abcdb\0p\0\0");
}

static void a_long_hash_gets_a_longer_length(void **state)
{
    static uint8_t in[4 + 32 + 2 + 1 + 255 + 2], out[4 + 32 + 2 + 3 + 255 + 1 + 2 + 1];

    (void)state;
    memset(in, 'a', sizeof(in));
    memcpy(in, "\x24\1\0\1" HEAD("\x85\xa2\x0e\0", "\xff") "u\0\xff", 39);
    memcpy(in + 39 + 255, "p", 2);
    memset(out, 'a', sizeof(out));
    memcpy(out, "\x28\1\0\2" HEAD(PROMISED, "\xff") "u\0\xfc\xff\0", 41);
    memcpy(out + 41 + 255, "\0p\0", 4);
    try_response((const char *)in, sizeof(in), (const char *)out, sizeof(out));
}

static void the_character_set_passes_to_mariadb(void **state)
{
    static const struct passage_turn turns[] = {
        TO_CLIENT(MARIADB_SHOWN), TO_SERVER(RESPONSE("\1", "\x8c\xa2\x3e\x01", "\x08")),
        TO_CLIENT("\7\0\0\3\0\0\0\2\0\0\0")};
    static const struct passage_end end = {FILTER_DONE,
                                           TO_SERVER(RESPONSE("\2", "\x8c\xaa\x3e\0", "\x08")),
                                           TO_CLIENT(MARIADB_SHOWN OK), NULL, REASON_OK};

    (void)state;
    assert_passage(&filter_mysql, AND_ALL(turns), &end);
}

#define SET_CHARSET                                                                                \
    "\x4a\0\0\0\3SET character_set_client=8,character_set_results=8,collation_connection=8"

static void wishes_are_set_behind_authentication(void **state)
{
    static const struct passage_turn turns[] = {
        TO_CLIENT(MYSQL8_SHOWN),
        TO_SERVER(RESPONSE("\1", "\x8d\xa2\x3f\0", "\x08")),
        TO_CLIENT("\7\0\0\3\0\0\0\2\0\0\0"
                  "\5\0\0\1\xfe\0\0\2\0"),
        TO_SERVER("\1\0\0\0\1"),
        TO_CLIENT("\7\0\0\1\0\0\0\2\0\0\0"
                  "\1\0\0\1x"),
    };
    static const struct passage_end end = {
        FILTER_DONE,
        TO_SERVER(RESPONSE("\2", PROMISED, "\xff") "\3\0\0\0\x1b\0\0" SET_CHARSET "\1\0\0\0\1"),
        TO_CLIENT(MYSQL8_SHOWN OK "\1\0\0\1x"), NULL, REASON_OK};

    (void)state;
    assert_passage(&filter_mysql, AND_ALL(turns), &end);
}

static void a_refused_wish_is_a_failure(void **state)
{
    static const struct passage_turn turns[] = {TO_CLIENT(MYSQL8_SHOWN),
                                                TO_SERVER(RESPONSE("\1", WANTED, "\x08")),
                                                TO_CLIENT("\7\0\0\3\0\0\0\2\0\0\0"
                                                          "\x0a\0\0\1\xff\x10\4no room")};
    static const struct passage_turn empty[] = {TO_CLIENT(MYSQL8_SHOWN),
                                                TO_SERVER(RESPONSE("\1", WANTED, "\x08")),
                                                TO_CLIENT("\7\0\0\3\0\0\0\2\0\0\0"
                                                          "\0\0\0\1")};
    struct passage_end end = {FILTER_FAILED, TO_SERVER(""), TO_CLIENT(MYSQL8_SHOWN OK),
                              "refused the client's options: error 1040: no room", REASON_STARTTLS};

    (void)state;
    assert_passage(&filter_mysql, AND_ALL(turns), &end);
    end.detail = "error 0";
    assert_passage(&filter_mysql, AND_ALL(empty), &end);
}

/* Asserts that a response is refused, with an error packet if there is a text. */
static void try_refusal(const char *in, size_t n, const char *text, enum reason reason,
                        const char *detail)
{
    struct passage_turn turns[] = {TO_CLIENT(MYSQL8_SHOWN), {FILTER_TO_SERVER, in, n}};
    struct passage_end end = {FILTER_FAILED, TO_SERVER(""), TO_CLIENT(MYSQL8_SHOWN), detail,
                              reason};
    const size_t shown = sizeof(MYSQL8_SHOWN) - 1;
    struct strbuf out = {0};

    if (text) {
        strbuf_add_bytes(&out, MYSQL8_SHOWN, shown);
        strbuf_addf(&out, "%c%c%c\2\xff\x13\4#08S01pinproxyd: %s", (int)(20 + strlen(text)), 0, 0,
                    text);
        end.to_client = (struct passage_turn){FILTER_TO_CLIENT, out.data, out.len};
    }
    assert_passage(&filter_mysql, AND_ALL(turns), &end);
    strbuf_free(&out);
}

#define REFUSED(in, ...) try_refusal(in, sizeof(in) - 1, __VA_ARGS__)

static void a_client_that_cannot_be_served_is_refused_with_the_reason(void **state)
{
    static char huge[5] = "\xfd\x3f\0\1";

    (void)state;
    REFUSED("\x20\0\0\1" HEAD("\x85\xaa\x3e\0", "\xff"), NULL, REASON_TLS_FROM_CLIENT,
            "SSLRequest");
    REFUSED(RESPONSE("\1", "\x8f\xa2\x3e\0", "\xff"),
            "the client asks for CLIENT_FOUND_ROWS: set starttls = mysql_found_rows",
            REASON_GREETING, "CLIENT_FOUND_ROWS");
    REFUSED(RESPONSE("\1", "\x8d\xa0\x3e\0", "\xff"),
            "the client does not speak protocol 4.1 of MySQL", REASON_GREETING, "4.1");
    REFUSED("\4\0\0\1\xff\xff\xff\xff", "the client does not speak protocol 4.1 of MySQL",
            REASON_GREETING, "4.1");
    REFUSED(RESPONSE("\1", "\x8d\x22\x3e\0", "\xff"),
            "the client's handshake response is malformed", REASON_GREETING, "malformed");
    REFUSED("\x20\0\0\1" HEAD(WANTED, "\xff"), "the client's handshake response is malformed",
            REASON_GREETING, "malformed");
    REFUSED("\x24\0\0\1" HEAD(WANTED, "\xff") "u\0\2a",
            "the client's handshake response is malformed", REASON_GREETING, "malformed");
    REFUSED("\x24\0\0\1" HEAD(WANTED, "\xff") "u\0\xfc\1",
            "the client's handshake response is malformed", REASON_GREETING, "malformed");
    REFUSED("\x24\0\0\1" HEAD(WANTED, "\xff") "u\0\xff\1",
            "the client's handshake response is malformed", REASON_GREETING, "malformed");
    try_refusal(huge, sizeof(huge), "the client's handshake response is too long", REASON_GREETING,
                "too long");
}

static void found_rows_are_promised_if_they_are_configured(void **state)
{
    static const char shown[] = HANDSHAKE("\xdf", "\xf7", "\xff", "\x3f", "\0");
    static const struct passage_turn turns[] = {
        TO_CLIENT(HANDSHAKE("\xdf", "\xf7", "\xff", "\x3f", "\0")),
        TO_SERVER(RESPONSE("\1", "\x8f\xa2\x3e\0", "\xff"))};
    static const struct passage_turn others[] = {
        TO_CLIENT(HANDSHAKE("\xdf", "\xf7", "\xff", "\x3f", "\0")),
        TO_SERVER(RESPONSE("\1", "\x8d\xa2\x3e\0", "\xff"))};
    static const struct passage_end end = {
        FILTER_MORE, TO_SERVER(RESPONSE("\2", "\x8f\xaa\x3e\0", "\xff")),
        TO_CLIENT(HANDSHAKE("\xdf", "\xf7", "\xff", "\x3f", "\0")), NULL, REASON_OK};
    struct passage refused;
    struct trial t;

    (void)state;
    trial_run(&t, &dialog_mysql_found_rows, NULL, MYSQL8, sizeof(MYSQL8) - 1, sizeof(MYSQL8), 1);
    assert_int_equal(t.greeting.len, sizeof(shown) - 1);
    assert_memory_equal(t.greeting.data, shown, t.greeting.len);
    assert_int_equal((uint8_t)t.out.data[4], 0x8f);
    trial_free(&t);
    assert_passage(&filter_mysql, AND_ALL(turns), &end);
    passage_run(&refused, &filter_mysql, others, COUNT(others), 0, 1000);
    assert_int_equal(refused.result, FILTER_FAILED);
    assert_contains(refused.detail, "set starttls = mysql");
    passage_free(&refused);
}

static void a_client_must_wait_for_the_handshake(void **state)
{
    static const struct passage_turn turns[] = {TO_SERVER("x")};
    static const struct passage_end end = {FILTER_FAILED, TO_SERVER(""), TO_CLIENT(""),
                                           "did not wait", REASON_GREETING};

    (void)state;
    assert_passage(&filter_mysql, AND_ALL(turns), &end);
}

static void what_is_held_passes_at_the_end(void **state)
{
    static const struct passage_turn turns[] = {TO_CLIENT(MYSQL8_SHOWN),
                                                TO_SERVER("\x30\0\0\1half"), TO_CLIENT("\4\0")};
    static const struct passage_end end = {FILTER_MORE, TO_SERVER("\x30\0\0\1half"),
                                           TO_CLIENT(MYSQL8_SHOWN "\4\0"), NULL, REASON_OK};

    (void)state;
    assert_passage(&filter_mysql, AND_ALL(turns), &end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_is_asked_for_with_what_every_client_has),
        cmocka_unit_test(the_client_sees_a_server_without_tls),
        cmocka_unit_test(mariadbs_own_capabilities_are_hidden),
        cmocka_unit_test(bytes_behind_the_handshake_are_left_unread),
        cmocka_unit_test(a_server_without_tls_is_a_failure),
        cmocka_unit_test(what_is_no_handshake_is_a_failure),
        cmocka_unit_test(an_error_is_reported_in_the_servers_words),
        cmocka_unit_test(packets_are_counted_until_authentication_has_ended),
        cmocka_unit_test(an_error_ends_authentication),
        cmocka_unit_test(an_error_may_come_before_the_response),
        cmocka_unit_test(a_response_is_made_to_fit_what_was_promised),
        cmocka_unit_test(a_long_hash_gets_a_longer_length),
        cmocka_unit_test(the_character_set_passes_to_mariadb),
        cmocka_unit_test(wishes_are_set_behind_authentication),
        cmocka_unit_test(a_refused_wish_is_a_failure),
        cmocka_unit_test(a_client_that_cannot_be_served_is_refused_with_the_reason),
        cmocka_unit_test(found_rows_are_promised_if_they_are_configured),
        cmocka_unit_test(a_client_must_wait_for_the_handshake),
        cmocka_unit_test(what_is_held_passes_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
