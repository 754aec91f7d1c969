/* proxy/announcement: what is asked, and what in the response is taken for announced pins. */
#include "proxy/announcement.h"

#include <stdlib.h>
#include <string.h>

#include "configs.h"
#include "help.h"

#define PINS "pin-sha256=\"d6qzRu9zOECb90Uez27xWltNsj0e1Md7GkYYkVoZWmM=\"; max-age=7"
#define HEAD "HTTP/1.1 200 OK\r\n"

/* The request of a section with these options. */
static char *request(const char *options)
{
    char *text = xasprintf("[s]\npin = " A "\npins_url = /pins\n%s\n", options);
    struct config *config = take(text);
    struct strbuf out = {0};

    announcement_request(config->sections[0], &out);
    config_free(config);
    free(text);
    return strbuf_detach(&out);
}

static void expect_host(const char *options, const char *host)
{
    char *text = request(options), *line = xasprintf("\r\nHost: %s\r\n", host);

    assert_contains(text, line);
    free(line);
    free(text);
}

static void the_request_asks_for_the_path_and_to_close(void **state)
{
    char *text = request("host = a.test");

    (void)state;
    assert_true(strncmp(text, "GET /pins HTTP/1.1\r\n", 20) == 0);
    assert_contains(text, "\r\nConnection: close\r\n");
    assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
    assert_ptr_equal(strstr(text, "\r\n\r\n"), text + strlen(text) - 4);
    free(text);
}

/* RFC 9110 section 7.2 */
static void the_host_is_named_as_in_a_url(void **state)
{
    (void)state;
    expect_host("host = a.test", "a.test");
    expect_host("host = a.test\nport = 8443", "a.test:8443");
    expect_host("host = 192.0.2.1", "192.0.2.1");
    expect_host("host = ::1", "[::1]");
    expect_host("host = fe80::1%lo\nport = 8443", "[fe80::1]:8443");
}

static enum http_result parse(const char *text, bool ended, struct hpkp *pins, const char **why)
{
    struct strbuf response = {0};
    enum http_result result;

    strbuf_add(&response, text);
    result = announcement_parse(&response, ended, pins, why);
    strbuf_free(&response);
    return result;
}

static void reject(const char *text, const char *part)
{
    struct hpkp pins;
    const char *why = NULL;

    assert_int_equal(parse(text, true, &pins, &why), HTTP_BAD);
    assert_contains(why, part);
}

static void pins_are_found_in_the_response(void **state)
{
    struct hpkp pins;
    const char *why;

    (void)state;
    assert_int_equal(parse(HEAD "Public-Key-Pins: " PINS "\r\n\r\ncontent", false, &pins, &why),
                     HTTP_HEAD);
    assert_int_equal(pins.count, 1);
    assert_int_equal(pins.max_age, 7);
    /* RFC 7469 section 2.2.1 ties the field to no status; section 2.3.1: the first one is used */
    assert_int_equal(parse("HTTP/1.1 404 No\r\npublic-key-pins:" PINS
                           "\r\nPublic-Key-Pins: max-age=9\r\n\r\n",
                           false, &pins, &why),
                     HTTP_HEAD);
    assert_int_equal(pins.max_age, 7);
}

static void a_bad_field_is_distinguished_from_none(void **state)
{
    (void)state;
    reject(HEAD "Server: x\r\n\r\n", "the response has no Public-Key-Pins field");
    reject(HEAD "Public-Key-Pins-Report-Only: " PINS "\r\n\r\n", "has no Public-Key-Pins field");
    reject(HEAD "\r\nPublic-Key-Pins: " PINS "\r\n\r\n", "has no Public-Key-Pins field");
    reject(HEAD "Public-Key-Pins: max-age=1\r\nPublic-Key-Pins: " PINS "\r\n\r\n", "no pin-sha256");
    reject(HEAD "Public-Key-Pins:\r\nPublic-Key-Pins: " PINS "\r\n\r\n", "max-age is missing");
    reject(HEAD "Public-Key-Pins: pin-sha256=\"abc\"; max-age=1\r\n\r\n", "base64");
    reject(HEAD "Public-Key-Pins: " PINS "; x=\"\r\n\r\n", "quote");
    reject("HTTP/1.1 100 Continue\r\nPublic-Key-Pins: " PINS "\r\n\r\n" HEAD "\r\n",
           "has no Public-Key-Pins field");
}

static void a_response_that_breaks_off_announces_nothing(void **state)
{
    static const char text[] = HEAD "Public-Key-Pins: " PINS "\r\n\r\n";
    char part[sizeof(text)];
    struct hpkp pins;
    const char *why;
    size_t i;

    (void)state;
    for (i = 0; i < strlen(text); i++) {
        memcpy(part, text, i);
        part[i] = '\0';
        assert_int_equal(parse(part, false, &pins, &why), HTTP_MORE);
        reject(part, "broke off");
    }
    assert_int_equal(parse(text, true, &pins, &why), HTTP_HEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_asks_for_the_path_and_to_close),
        cmocka_unit_test(the_host_is_named_as_in_a_url),
        cmocka_unit_test(pins_are_found_in_the_response),
        cmocka_unit_test(a_bad_field_is_distinguished_from_none),
        cmocka_unit_test(a_response_that_breaks_off_announces_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
