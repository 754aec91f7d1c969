/* dialog/socks5: the proxy is asked for the host by name, and only its success is a success. */
#include <string.h>

#include "config/section.h"
#include "dialogs.h"
#include "help.h"
#include "trial.h"

static const struct config_section plain = {.host = "a.example", .port = 443};
static const struct config_section with_password = {
    .host = "192.0.2.1", .port = 0x1234, .via = {.user = "me", .password = "secret"}};
static const struct config_section ipv6 = {.host = "2001:db8::1", .port = 1};

#define ASK "\5\1\0"
#define ASK_PASSWORD "\5\2\0\2"
#define REQUEST "\5\1\0\3\11a.example\1\273"
#define LOGIN "\1\2me\6secret"
#define REQUEST_IPV4 "\5\1\0\1\300\0\2\1\x12\x34"
#define REQUEST_IPV6 "\5\1\0\4\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1\0\1"
#define REPLY "\5\0\0\1\0\0\0\0\0\0"

/* Bytes with NULs among them. */
#define B(text) text, sizeof(text) - 1

struct row {
    const char *in;
    size_t in_len;
    const char *out;
    size_t out_len;
    struct dialog_end end;
};

#define MORE                                                                                       \
    {                                                                                              \
        DIALOG_MORE, .unread = 0                                                                   \
    }
#define DONE(n)                                                                                    \
    {                                                                                              \
        DIALOG_DONE, .unread = (n)                                                                 \
    }
#define FAILED(text)                                                                               \
    {                                                                                              \
        DIALOG_FAILED, .detail = (text)                                                            \
    }
#define REFUSED(text)                                                                              \
    {                                                                                              \
        DIALOG_REFUSED, .detail = (text)                                                           \
    }

static void try_rows(const struct config_section *section, const struct row *rows, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        struct trial t;

        assert_dialog_of(section, &dialog_socks5, rows[i].in, rows[i].in_len, &rows[i].end);
        trial_run(&t, &dialog_socks5, section, rows[i].in, rows[i].in_len, rows[i].in_len, 0);
        assert_int_equal(t.out.len, rows[i].out_len);
        assert_memory_equal(t.out.data, rows[i].out, rows[i].out_len);
        trial_free(&t);
    }
}

#define TRY(section, rows) try_rows(section, rows, COUNT(rows))

static void the_proxy_is_asked_for_the_host_by_name(void **state)
{
    static const struct row rows[] = {
        {B(""), B(ASK), MORE},
        {B("\5"), B(ASK), MORE},
        {B("\5\0"), B(ASK REQUEST), MORE},
        {B("\5\0" REPLY), B(ASK REQUEST), DONE(0)},
        {B("\5\0\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), B(ASK REQUEST), DONE(0)},
        {B("\5\0\5\0\0\3\3a.b\0\0"), B(ASK REQUEST), DONE(0)},
        {B("\5\0\5\0\0\3\0\0\0"), B(ASK REQUEST), DONE(0)},
        {B("\5\0\5\0\0\3\3a.b\0"), B(ASK REQUEST), MORE},
    };
    static const struct row row_ipv6[] = {{B("\5\0" REPLY), B(ASK REQUEST_IPV6), DONE(0)}};

    (void)state;
    TRY(&plain, rows);
    TRY(&ipv6, row_ipv6);
}

static void bytes_behind_the_reply_are_not_read(void **state)
{
    static const struct row rows[] = {{B("\5\0" REPLY "220 hello"), B(ASK REQUEST), DONE(9)}};

    (void)state;
    TRY(&plain, rows);
}

static void a_password_is_sent_if_the_proxy_wants_it(void **state)
{
    static const struct row rows[] = {
        {B("\5\0" REPLY), B(ASK_PASSWORD REQUEST_IPV4), DONE(0)},
        {B("\5\2"), B(ASK_PASSWORD LOGIN), MORE},
        {B("\5\2\1\0" REPLY), B(ASK_PASSWORD LOGIN REQUEST_IPV4), DONE(0)},
        {B("\5\2\1\1"), B(ASK_PASSWORD LOGIN), FAILED("rejected the user or the password")},
        {B("\5\2\5\0"), B(ASK_PASSWORD LOGIN), FAILED("not of version 1")},
        {B("\5\377"), B(ASK_PASSWORD), FAILED("it accepts no user and password")},
    };

    (void)state;
    TRY(&with_password, rows);
}

static void a_method_that_was_not_offered_is_refused(void **state)
{
    static const struct row rows[] = {
        {B("\5\2"), B(ASK), FAILED("was not offered")},
        {B("\5\1"), B(ASK), FAILED("was not offered")},
        {B("\5\377"), B(ASK), FAILED("set USER:PASSWORD")},
        {B("\4\0"), B(ASK), FAILED("not of SOCKS version 5")},
        {B("HTTP/1.1 400 Bad Request\r\n\r\n"), B(ASK), FAILED("not of SOCKS version 5")},
    };

    (void)state;
    TRY(&plain, rows);
}

static void a_refusal_is_in_the_words_of_the_rfc(void **state)
{
    static const struct row rows[] = {
        {B("\5\0\5\1\0\1\0\0\0\0\0\0"), B(ASK REQUEST), REFUSED("general SOCKS server failure")},
        {B("\5\0\5\2\0\1\0\0\0\0\0\0"), B(ASK REQUEST), REFUSED("not allowed by ruleset")},
        {B("\5\0\5\3"), B(ASK REQUEST), REFUSED("Network unreachable")},
        {B("\5\0\5\4"), B(ASK REQUEST), REFUSED("Host unreachable")},
        {B("\5\0\5\5"), B(ASK REQUEST), REFUSED("Connection refused")},
        {B("\5\0\5\6"), B(ASK REQUEST), REFUSED("TTL expired")},
        {B("\5\0\5\7"), B(ASK REQUEST), REFUSED("Command not supported")},
        {B("\5\0\5\10"), B(ASK REQUEST), REFUSED("Address type not supported")},
        {B("\5\0\5\11"), B(ASK REQUEST), REFUSED("reply code 0x09")},
        {B("\5\0\5\377"), B(ASK REQUEST), REFUSED("reply code 0xff")},
    };

    (void)state;
    TRY(&plain, rows);
}

static void a_malformed_reply_is_refused(void **state)
{
    static const struct row rows[] = {
        {B("\5\0\4\0\0\1\0\0\0\0\0\0"), B(ASK REQUEST), FAILED("not of SOCKS version 5")},
        {B("\5\0\5\0\1\1\0\0\0\0\0\0"), B(ASK REQUEST), FAILED("reserved byte")},
        {B("\5\0\5\0\0\2\0\0\0\0\0\0"), B(ASK REQUEST), FAILED("unknown type")},
        {B("\5\0\5\0\0\0\0\0\0\0\0\0"), B(ASK REQUEST), FAILED("unknown type")},
    };

    (void)state;
    TRY(&plain, rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_proxy_is_asked_for_the_host_by_name),
        cmocka_unit_test(bytes_behind_the_reply_are_not_read),
        cmocka_unit_test(a_password_is_sent_if_the_proxy_wants_it),
        cmocka_unit_test(a_method_that_was_not_offered_is_refused),
        cmocka_unit_test(a_refusal_is_in_the_words_of_the_rfc),
        cmocka_unit_test(a_malformed_reply_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
