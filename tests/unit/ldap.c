/* dialog/ldap: strict BER, and TLS only after the success of the very request. */
#include <string.h>

#include "dialogs.h"
#include "help.h"

#define START_TLS "1.3.6.1.4.1.1466.20037"
#define REQUEST "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" START_TLS

struct row {
    const char *input;
    size_t n;
    struct dialog_end end;
};

#define ROW(bytes, ...)                                                                            \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, __VA_ARGS__                                                      \
    }
#define DONE(n)                                                                                    \
    {                                                                                              \
        DIALOG_DONE, .unread = (n)                                                                 \
    }
#define FAILED(text)                                                                               \
    {                                                                                              \
        DIALOG_FAILED, .detail = (text)                                                            \
    }
#define NOT_LDAP FAILED("the server's answer to StartTLS is not one of LDAP")
#define MORE                                                                                       \
    {                                                                                              \
        DIALOG_MORE, .out = REQUEST                                                                \
    }

static void try_rows(const struct row *rows, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        assert_dialog(&dialog_ldap, rows[i].input, rows[i].n, &rows[i].end);
}

#define TRY(rows) try_rows(rows, COUNT(rows))

static void tls_starts_after_success(void **state)
{
    static const struct row rows[] = {
        ROW("", MORE),
        ROW("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
            {DIALOG_DONE, .out = REQUEST, .greeting = ""}),
        /* as Active Directory writes it */
        ROW("\x30\x84\x00\x00\x00\x28\x02\x01\x01\x78\x84\x00\x00\x00\x1f\x0a\x01\x00\x04\x00\x04"
            "\x00\x8a\x16" START_TLS,
            DONE(0)),
        /* with a referral, a value and controls */
        ROW("\x30\x17\x02\x01\x01\x78\x0e\x0a\x01\x00\x04\x01x\x04\x01y\xa3\x00\x8b\x01z\xa0\x02"
            "\x30\x00",
            DONE(0)),
        ROW("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00\x30", DONE(1)),
        ROW("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04", MORE),
    };

    (void)state;
    TRY(rows);
}

static void a_refusal_is_quoted(void **state)
{
    static const struct row rows[] = {
        ROW("\x30\x18\x02\x01\x01\x78\x13\x0a\x01\x02\x04\x00\x04\x0cnot for you!",
            FAILED("the server refuses StartTLS: protocolError (2): not for you!")),
        ROW("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x35\x04\x00\x04\x00",
            FAILED("the server refuses StartTLS: unwillingToPerform (53)")),
        ROW("\x30\x0d\x02\x01\x01\x78\x08\x0a\x02\x10\x00\x04\x00\x04\x00",
            FAILED("the server refuses StartTLS: error (4096)")),
        ROW("\x30\x24\x02\x01\x00\x78\x1f\x0a\x01\x34\x04\x00\x04\x00\x8a\x16"
            "1.3.6.1.4.1.1466.20036",
            FAILED("the server closes the connection: unavailable (52)")),
    };

    (void)state;
    TRY(rows);
}

static void an_answer_to_something_else_is_refused(void **state)
{
    static const struct row rows[] = {
        ROW("\x30\x0c\x02\x01\x02\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
            FAILED("a message that was not sent")),
        ROW("\x30\x0c\x02\x01\x00\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
            FAILED("a message that was not sent")),
        ROW("\x30\x24\x02\x01\x01\x78\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x16"
            "1.3.6.1.4.1.1466.20036",
            FAILED("another operation")),
        ROW("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00", NOT_LDAP), /* a bind */
        ROW("220 a.example ESMTP\r\n", NOT_LDAP),
    };

    (void)state;
    TRY(rows);
}

static void ber_is_read_strictly(void **state)
{
    static const struct row rows[] = {
        /* lengths: indefinite, of five bytes, too long */
        ROW("\x30\x80", FAILED("a length that LDAP forbids")),
        ROW("\x30\x85\x00\x00\x00\x00\x0c", FAILED("a length that LDAP forbids")),
        ROW("\x30\xff", FAILED("a length that LDAP forbids")),
        ROW("\x30\x84\xff\xff\xff\xff", FAILED("is too long")),
        ROW("\x30\x82\x10\x00", FAILED("is too long")),
        ROW("\x30\x82\x0f\xfc", MORE),
        /* inner lengths beyond the outer, and bytes behind the last element */
        ROW("\x30\x0c\x02\x01\x01\x78\x08\x0a\x01\x00\x04\x00\x04\x00", NOT_LDAP),
        ROW("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x01", NOT_LDAP),
        ROW("\x30\x0c\x02\x01\x01\x78\x06\x0a\x01\x00\x04\x00\x04\x00", NOT_LDAP),
        ROW("\x30\x0d\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00\x00", NOT_LDAP),
        ROW("\x30\x0d\x02\x01\x01\x78\x08\x0a\x01\x00\x04\x00\x04\x00\x00", NOT_LDAP),
        ROW("\x30\x0e\x02\x01\x01\x78\x80\x0a\x01\x00\x04\x00\x04\x00\x00\x00", NOT_LDAP),
        ROW("\x30\x0e\x02\x01\x01\x78\x84\xff\xff\xff\xff\x04\x00\x04\x00\x00", NOT_LDAP),
        /* numbers: empty, negative, with a needless byte, too long */
        ROW("\x30\x0b\x02\x00\x78\x07\x0a\x01\x00\x04\x00\x04\x00", NOT_LDAP),
        ROW("\x30\x0c\x02\x01\xff\x78\x07\x0a\x01\x00\x04\x00\x04\x00", NOT_LDAP),
        ROW("\x30\x0d\x02\x02\x00\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00", NOT_LDAP),
        ROW("\x30\x10\x02\x05\x01\x00\x00\x00\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00", NOT_LDAP),
        ROW("\x30\x0b\x02\x01\x01\x78\x06\x0a\x00\x04\x00\x04\x00", NOT_LDAP),
        /* missing parts */
        ROW("\x30\x00", NOT_LDAP),
        ROW("\x30\x03\x02\x01\x01", NOT_LDAP),
        ROW("\x30\x05\x02\x01\x01\x78\x00", NOT_LDAP),
        ROW("\x30\x0a\x02\x01\x01\x78\x05\x0a\x01\x00\x04\x00", NOT_LDAP),
        ROW("\x31", NOT_LDAP),
    };

    (void)state;
    TRY(rows);
}

static void the_words_of_a_server_are_cut(void **state)
{
    static const struct dialog_end end = FAILED("protocolError (2): xxxx");
    char bytes[4 + 3 + 4 + 3 + 2 + 4 + 600];

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    memcpy(bytes,
           "\x30\x82\x02\x68\x02\x01\x01\x78\x82\x02\x61\x0a\x01\x02\x04\x00\x04\x82\x02\x58", 20);
    assert_dialog(&dialog_ldap, bytes, sizeof(bytes), &end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_starts_after_success),
        cmocka_unit_test(a_refusal_is_quoted),
        cmocka_unit_test(an_answer_to_something_else_is_refused),
        cmocka_unit_test(ber_is_read_strictly),
        cmocka_unit_test(the_words_of_a_server_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
