/* proxy/negotiation: a parent proxy is asked for each server once, and its words are kept. */
#include "proxy/negotiation.h"

#include <string.h>

#include "config/section.h"
#include "dialogs.h"
#include "help.h"
#include "net/endpoint.h"
#include "proxy/snapshot.h"

static struct config_target servers[] = {{"192.0.2.1", 443}, {"b.example", 8443}};
static struct config_section config = {.host = "a.example",
                                       .port = 443,
                                       .address = {servers, COUNT(servers)},
                                       .via = {.scheme = VIA_HTTP, .host = "proxy", .port = 3128}};
static const struct section section = {.config = &config,
                                       .dialogs = {{&dialog_httpconnect, &dialog_greeting}, 2}};
static struct endpoint closed; /* what is written to it is discarded */

static enum negotiation_result feed(struct negotiation *n, const char *text)
{
    return negotiation_feed(n, &section, &closed, (const uint8_t *)text, strlen(text));
}

static void begin(struct negotiation *n)
{
    assert_true(negotiation_begin(n, &section));
    assert_int_equal(feed(n, ""), NEGOTIATION_MORE);
}

static void assert_failure(struct negotiation *n, enum reason reason, const char *text)
{
    char detail[NEGOTIATION_DETAIL_SIZE];

    assert_int_equal(negotiation_failure(n, &section, detail), reason);
    assert_string_equal(detail, text);
    negotiation_clear(n);
}

static void each_server_is_asked_for_until_one_is_reached(void **state)
{
    struct negotiation n = {0};

    (void)state;
    begin(&n);
    assert_int_equal(feed(&n, "HTTP/1.1 502 No\r\n\r\n"), NEGOTIATION_AGAIN);
    begin(&n);
    assert_int_equal(feed(&n, "HTTP/1.1 200 OK\r\n\r\n220"), NEGOTIATION_MORE);
    assert_int_equal(feed(&n, "\n"), NEGOTIATION_DONE);
    assert_string_equal(strbuf_text(&n.greeting), "220\n");
    negotiation_clear(&n);
}

static void the_words_about_all_of_them_are_kept(void **state)
{
    struct negotiation n = {0};

    (void)state;
    begin(&n);
    assert_int_equal(feed(&n, "HTTP/1.1 502 No\r\n\r\n"), NEGOTIATION_AGAIN);
    begin(&n);
    assert_int_equal(feed(&n, "HTTP/1.1 403 Never\r\n\r\n"), NEGOTIATION_FAILED);
    assert_failure(&n, REASON_VIA,
                   "HTTP proxy proxy:3128: 192.0.2.1:443: 502 No; b.example:8443: 403 Never");
    memset(&n, 0, sizeof(n));
    begin(&n);
    assert_int_equal(feed(&n, "HTTP/1.1 502 No\r\n\r\n"), NEGOTIATION_AGAIN);
    begin(&n);
    assert_int_equal(negotiation_end(&n, &section, ""), NEGOTIATION_FAILED);
    assert_failure(
        &n, REASON_VIA,
        "HTTP proxy proxy:3128: 192.0.2.1:443: 502 No; the server closed the connection");
}

static void the_second_dialog_is_not_the_parents(void **state)
{
    struct negotiation n = {0};

    (void)state;
    begin(&n);
    assert_int_equal(feed(&n, "HTTP/1.1 200 OK\r\n\r\n220\nx"), NEGOTIATION_FAILED);
    assert_failure(&n, REASON_LOOP, "greeting: the server sent more than its answer before TLS");
}

static void a_shorter_list_after_a_reload_ends_it(void **state)
{
    struct negotiation n = {0};

    (void)state;
    begin(&n);
    config.address.count = 1;
    assert_int_equal(feed(&n, "HTTP/1.1 502 No\r\n\r\n"), NEGOTIATION_FAILED);
    config.address.count = 2;
    negotiation_clear(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_server_is_asked_for_until_one_is_reached),
        cmocka_unit_test(the_words_about_all_of_them_are_kept),
        cmocka_unit_test(the_second_dialog_is_not_the_parents),
        cmocka_unit_test(a_shorter_list_after_a_reload_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
