/* net/transport_tcp: what its dial reports reaches the owner, once. */
#include <sys/socket.h>
#include <unistd.h>

#include "dialing.h"

static void the_owner_gets_the_connected_stream(void **state)
{
    struct dialing *c;
    uint16_t port;
    int listener;

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    c = dialing_new("127.0.0.1", port);
    dialing_start(c);
    dialing_finish();
    dialing_assert_connected(listener, port);
    close(listener);
}

static void the_owner_gets_the_reason_and_the_detail_of_a_failure(void **state)
{
    struct dialing *c;
    uint16_t port;
    char text[64];
    int fd;

    (void)state;
    fd = dialing_refuse("127.0.0.1", &port);
    c = dialing_new("127.0.0.1", port);
    dialing_start(c);
    dialing_finish();
    snprintf(text, sizeof(text), "127.0.0.1:%u: Connection refused", port);
    dialing_assert_failed(REASON_CONNECT, text);
    close(fd);
}

/* As a reload does, which frees the old configuration. */
static void a_section_that_was_replaced_may_be_freed(void **state)
{
    struct config_section *section;
    struct config *config;
    struct dialing *c;
    uint16_t port;
    int listener;

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    c = dialing_new("127.0.0.1", port);
    dialing_start(c);
    config = config_new_adhoc("127.0.0.1", &section);
    section->port = port;
    transport_set_section(c->transport, section);
    config_free(c->config);
    c->config = config;
    c->section = section;
    dialing_finish();
    dialing_assert_connected(listener, port);
    close(listener);
}

static void a_cancelled_owner_is_not_called(void **state)
{
    struct dialing *c;
    uint16_t port;
    int listener;

    (void)state;
    listener = dialing_listen("127.0.0.1", &port);
    c = dialing_new("127.0.0.1", port);
    dialing_start(c);
    transport_cancel(c->transport);
    dialing_forget(c);
    uv_run(&dialing_thread.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_alive(&dialing_thread.loop), 0);
    assert_int_equal(dialing_result.calls, 0);
    assert_int_equal(accept(listener, NULL, NULL), -1);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DIALING_TEST(the_owner_gets_the_connected_stream),
        DIALING_TEST(the_owner_gets_the_reason_and_the_detail_of_a_failure),
        DIALING_TEST(a_section_that_was_replaced_may_be_freed),
        DIALING_TEST(a_cancelled_owner_is_not_called),
    };

    return cmocka_run_group_tests(tests, dialing_group_setup, NULL);
}
