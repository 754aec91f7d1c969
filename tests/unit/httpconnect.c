/* dialog/httpconnect: a 2xx opens the tunnel, and any other status is the proxy's own refusal. */
#include <string.h>

#include "config/section.h"
#include "dialogs.h"
#include "help.h"
#include "trial.h"

static const struct config_section plain = {.host = "a.example", .port = 443};
static const struct config_section with_password = {
    .host = "2001:db8::1", .port = 8443, .via = {.user = "me", .password = "p:w"}};

#define REQUEST "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"

struct row {
    const char *in;
    struct dialog_end end;
};

#define DONE(n)                                                                                    \
    {                                                                                              \
        DIALOG_DONE, .unread = (n), .out = REQUEST                                                 \
    }
#define WAITS                                                                                      \
    {                                                                                              \
        DIALOG_MORE, .out = REQUEST                                                                \
    }
#define FAILED(text)                                                                               \
    {                                                                                              \
        DIALOG_FAILED, .detail = (text), .out = REQUEST                                            \
    }
#define REFUSED(text)                                                                              \
    {                                                                                              \
        DIALOG_REFUSED, .detail = (text), .out = REQUEST                                           \
    }

static void try_rows(const struct config_section *section, const struct row *rows, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        assert_dialog_of(section, &dialog_httpconnect, rows[i].in, strlen(rows[i].in),
                         &rows[i].end);
}

#define TRY(section, rows) try_rows(section, rows, COUNT(rows))

static void a_2xx_opens_the_tunnel(void **state)
{
    static const struct row rows[] = {
        {"", WAITS},
        {"HTTP/1.1 200 OK\r\n", WAITS},
        {"HTTP/1.1 200 OK\r\n\r\n", DONE(0)},
        {"HTTP/1.0 200 Connection established\r\nProxy-agent: x\r\n\r\n", DONE(0)},
        {"HTTP/1.1 204\r\n\r\n", DONE(0)},
        {"HTTP/1.1 299 x\n\n", DONE(0)},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", DONE(0)},
    };

    (void)state;
    TRY(&plain, rows);
}

/* RFC 9110 section 9.3.6 */
static void a_2xx_has_no_content_whatever_it_says(void **state)
{
    static const struct row rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", DONE(5)},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", DONE(8)},
    };

    (void)state;
    TRY(&plain, rows);
}

static void a_refusal_is_in_the_words_of_the_proxy(void **state)
{
#define TEXT "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\n"
    static const struct row rows[] = {
        {"HTTP/1.1 502 Bad Gateway\r\n\r\n", REFUSED("502 Bad Gateway")},
        {"HTTP/1.1 503\r\n\r\n", REFUSED("503")},
        {"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", REFUSED("301 Moved")},
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n<html>\r\n", REFUSED("403 Forbidden")},
        {TEXT "Content-Length: 9\r\n\r\nnot you\r\n", REFUSED("403 Forbidden: not you")},
        {TEXT "Content-Length: 7\r\n\r\nnot you", REFUSED("403 Forbidden: not you")},
        {TEXT "Content-Length: 99\r\n\r\nnot you\nnor others", REFUSED("403 Forbidden: not you")},
        {TEXT "Content-Length: 99\r\n\r\nnot", WAITS},
        {TEXT "Content-Length: 0\r\n\r\n", REFUSED("403 Forbidden")},
        {TEXT "Content-Length: x\r\n\r\nnot you\r\n", REFUSED("403 Forbidden")},
        {TEXT "\r\nnot you\r\n", REFUSED("403 Forbidden")},
    };

    (void)state;
    TRY(&plain, rows);
}

static void a_line_without_an_end_is_not_waited_for(void **state)
{
    static char text[4096] = TEXT "Content-Length: 18446744073709551617\r\n\r\n";
    const size_t n = strlen(text);
    const struct dialog_end end = {DIALOG_REFUSED, .detail = "403 Forbidden: xxxx"};
    const struct dialog_end more = {DIALOG_MORE, .out = REQUEST};

    (void)state;
    memset(text + n, 'x', 512);
    assert_dialog_of(&plain, &dialog_httpconnect, text, n + 512, &end);
    assert_dialog_of(&plain, &dialog_httpconnect, text, n + 511, &more);
}

static void a_missing_password_is_named(void **state)
{
    static const struct row rows[] = {
        {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
         FAILED("407 Proxy Authentication Required: set USER:PASSWORD in 'via'")},
    };
    static const struct row rejected[] = {
        {"HTTP/1.1 401 x\r\n\r\n",
         {DIALOG_REFUSED, .detail = "401 x: it rejects the user or the password",
          .out = "CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n"
                 "Proxy-Authorization: Basic bWU6cDp3\r\n\r\n"}},
        {"HTTP/1.1 407 x\r\n\r\n",
         {DIALOG_FAILED, .detail = "407 x: it rejects the user or the password",
          .out = "CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n"
                 "Proxy-Authorization: Basic bWU6cDp3\r\n\r\n"}},
    };

    (void)state;
    TRY(&plain, rows);
    TRY(&with_password, rejected);
}

/* Proxies repeat a request that they do not understand, as its text or decoded. */
static void words_with_the_password_are_not_quoted(void **state)
{
#define ASKED                                                                                      \
    "CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\n"                          \
    "Proxy-Authorization: Basic bWU6cDp3\r\n\r\n"
#define HIDDEN(n, more)                                                                            \
    {                                                                                              \
        (n) == 407 ? DIALOG_FAILED : DIALOG_REFUSED,                                               \
            .detail = #n more ": its words have the password in them", .out = ASKED                \
    }
    static const struct row rows[] = {
        {"HTTP/1.1 400 Bad bWU6cDp3\r\n\r\n", HIDDEN(400, "")},
        {"HTTP/1.1 400 me:p:w\r\n\r\n", HIDDEN(400, "")},
        {"HTTP/1.1 407 p:w\r\n\r\n", HIDDEN(407, ": it rejects the user or the password")},
        {TEXT "Content-Length: 14\r\n\r\nBasic bWU6cDp3", HIDDEN(403, "")},
        {TEXT "Content-Length: 7\r\n\r\nno p:w\n", HIDDEN(403, "")},
        {TEXT "Content-Length: 9\r\n\r\nno\np:w\r\n",
         {DIALOG_REFUSED, .detail = "403 Forbidden: no", .out = ASKED}},
        {TEXT "Content-Length: 6\r\n\r\nno p w",
         {DIALOG_REFUSED, .detail = "403 Forbidden: no p w", .out = ASKED}},
    };

    (void)state;
    TRY(&with_password, rows);
}

static void an_answer_that_is_not_http_is_refused(void **state)
{
    static const struct row rows[] = {
        {"SSH-2.0-x\r\n", FAILED("not HTTP/1.1")},
        {"\5\1", FAILED("not HTTP/1.1")},
        {"HTTP/2 200\r\n\r\n", FAILED("not HTTP/1.1")},
        {"HTTP/1.1 20 OK\r\n\r\n", FAILED("not HTTP/1.1")},
        {"HTTP/1.1 200 OK\r\n folded\r\n\r\n", FAILED("malformed header field")},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", FAILED("another protocol")},
    };

    (void)state;
    TRY(&plain, rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_2xx_opens_the_tunnel),
        cmocka_unit_test(a_2xx_has_no_content_whatever_it_says),
        cmocka_unit_test(a_refusal_is_in_the_words_of_the_proxy),
        cmocka_unit_test(a_line_without_an_end_is_not_waited_for),
        cmocka_unit_test(a_missing_password_is_named),
        cmocka_unit_test(words_with_the_password_are_not_quoted),
        cmocka_unit_test(an_answer_that_is_not_http_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
