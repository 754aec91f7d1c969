/* net/dial: from a section's host to a connected stream, or to the reasons why not. */
#include "net/dial.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "help.h"
#include "net/reactor.h"

#define PIN "pin = sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=\n"

struct caller {
    struct dial_owner owner;
    int connected;
    int failed;
    int fd;
    struct addr peer;
    enum reason reason;
    char detail[512];
};

static struct reactor reactor;
static struct config *config;

static struct caller *caller_of(struct dial_owner *o)
{
    return (struct caller *)((char *)o - offsetof(struct caller, owner));
}

static void on_connected(struct dial_owner *o, int fd, const struct addr *peer)
{
    struct caller *c = caller_of(o);

    c->connected++;
    c->fd = fd;
    c->peer = *peer;
}

static void on_failed(struct dial_owner *o, enum reason reason, const char *detail)
{
    struct caller *c = caller_of(o);

    c->failed++;
    c->reason = reason;
    snprintf(c->detail, sizeof(c->detail), "%s", detail);
}

static const struct caller fresh = {.owner = {on_connected, on_failed}, .fd = -1};

/* A port on 127.0.0.1; listening or, since it is closed again, refusing. */
static int listener(uint16_t *port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    *port = ntohs(in.sin_port);
    return fd;
}

static uint16_t closed_port(void)
{
    uint16_t port;

    close(listener(&port));
    return port;
}

/* The section [host.invalid] with these lines in it, on a new reactor. */
static const struct config_section *section(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

static const struct config_section *section(const char *format, ...)
{
    struct problems problems = {0};
    char lines[512], text[1024];
    va_list ap;

    va_start(ap, format);
    vsnprintf(lines, sizeof(lines), format, ap);
    va_end(ap);
    snprintf(text, sizeof(text), "[host.invalid]\n" PIN "%s", lines);
    config = config_parse("x.conf", text, strlen(text), &problems);
    problems_print(&problems, stderr);
    assert_int_equal(problems.count, 0);
    problems_free(&problems);
    assert_int_equal(reactor_init(&reactor), 0);
    return config->sections[0];
}

/* Every handle must be gone: reactor_free() asserts it. */
static void end(struct caller *c)
{
    reactor_close(&reactor);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    reactor_free(&reactor);
    config_free(config);
    if (c->fd >= 0)
        close(c->fd);
}

static struct dial *dial(const struct config_section *s, struct caller *c)
{
    struct dial *d = dial_start(&reactor.loop, reactor.resolver, s, &c->owner);

    assert_non_null(d);
    assert_int_equal(c->connected + c->failed, 0); /* never from within */
    return d;
}

static void an_address_is_connected_to(void **state)
{
    struct caller c = fresh;
    uint16_t port;
    int fd = listener(&port);

    (void)state;
    dial(section("address = 127.0.0.1:%u\n", port), &c);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    assert_int_equal(c.connected, 1);
    assert_int_equal(c.failed, 0);
    assert_int_equal(addr_port(&c.peer), port);
    assert_int_equal(send(c.fd, "x", 1, 0), 1); /* ours, and connected */
    end(&c);
    close(fd);
}

static void addresses_are_tried_in_turn(void **state)
{
    struct caller c = fresh;
    uint16_t port, bad = closed_port();
    int fd = listener(&port);

    (void)state;
    dial(section("address = 127.0.0.1:%u\naddress = nowhere.invalid\naddress = 127.0.0.1:%u\n", bad,
                 port),
         &c);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    assert_int_equal(c.connected, 1);
    assert_int_equal(addr_port(&c.peer), port);
    end(&c);
    close(fd);
}

static void all_refused_tells_each(void **state)
{
    struct caller c = fresh;
    uint16_t a = closed_port(), b = closed_port();
    char text[32];

    (void)state;
    dial(section("address = 127.0.0.1:%u\naddress = 127.0.0.1:%u\n", a, b), &c);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    assert_int_equal(c.failed, 1);
    assert_int_equal(c.connected, 0);
    assert_int_equal(c.reason, REASON_CONNECT);
    snprintf(text, sizeof(text), "127.0.0.1:%u", a);
    assert_contains(c.detail, text);
    snprintf(text, sizeof(text), "127.0.0.1:%u", b);
    assert_contains(c.detail, text);
    assert_contains(c.detail, "refused");
    end(&c);
}

static void a_name_that_does_not_resolve_is_another_reason(void **state)
{
    struct caller c = fresh;

    (void)state;
    dial(section("port = 1\n"), &c);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    assert_int_equal(c.failed, 1);
    assert_int_equal(c.reason, REASON_RESOLVE);
    assert_contains(c.detail, "host.invalid");
    end(&c);
}

static void a_name_is_resolved_and_the_port_of_the_section_taken(void **state)
{
    struct caller c = fresh;
    uint16_t port;
    int fd = listener(&port);

    (void)state;
    dial(section("address = localhost\nfamily = ipv4\nport = %u\n", port), &c);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    assert_int_equal(c.connected, 1);
    assert_int_equal(addr_port(&c.peer), port);
    end(&c);
    close(fd);
}

static void addresses_of_the_other_family_are_not_dialled(void **state)
{
    struct caller c = fresh;
    uint16_t port;
    int fd = listener(&port);

    (void)state;
    dial(section("address = 127.0.0.1:%u\nfamily = ipv6\n", port), &c);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    assert_int_equal(c.failed, 1);
    assert_int_equal(c.connected, 0);
    end(&c);
    close(fd);
}

static void the_local_address_is_the_one_asked_for(void **state)
{
    struct caller c = fresh;
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    uint16_t port;
    int fd = listener(&port), client;

    (void)state;
    dial(section("address = 127.0.0.1:%u\nbind = 127.0.0.9\n", port), &c);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    assert_int_equal(c.connected, 1);
    client = accept(fd, (struct sockaddr *)&from, &len);
    assert_int_equal(ntohl(from.sin_addr.s_addr), 0x7f000009);
    close(client);
    end(&c);
    close(fd);
}

static void cancelled_before_it_began(void **state)
{
    struct caller c = fresh;
    uint16_t port;
    int fd = listener(&port);

    (void)state;
    dial_cancel(dial(section("address = 127.0.0.1:%u\n", port), &c));
    dial_cancel(NULL);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    assert_int_equal(c.connected + c.failed, 0);
    end(&c);
    close(fd);
}

static void cancelled_while_the_name_is_looked_up(void **state)
{
    struct caller c = fresh;
    struct dial *d = dial(section("address = localhost\n"), &c);

    (void)state;
    uv_run(&reactor.loop, UV_RUN_NOWAIT); /* the timer that begins */
    dial_cancel(d);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    assert_int_equal(c.connected + c.failed, 0);
    end(&c);
}

/* A listener whose backlog is full lets further connections wait. */
static void cancelled_while_it_connects(void **state)
{
    struct caller c = fresh;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd, waiting[8];
    uint16_t port;
    struct dial *d;
    size_t i;

    (void)state;
    fd = listener(&port);
    assert_int_equal(listen(fd, 0), 0);
    in.sin_port = htons(port);
    for (i = 0; i < COUNT(waiting); i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(waiting[i], (struct sockaddr *)&in, sizeof(in));
    }
    d = dial(section("address = 127.0.0.1:%u\n", port), &c);
    for (i = 0; i < 3; i++)
        uv_run(&reactor.loop, UV_RUN_NOWAIT);
    assert_int_equal(c.connected + c.failed, 0);
    dial_cancel(d);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    assert_int_equal(c.connected + c.failed, 0);
    end(&c);
    for (i = 0; i < COUNT(waiting); i++)
        close(waiting[i]);
    close(fd);
}

/* The next address is tried beside the first, and the first to connect wins. */
static void a_slow_address_does_not_hold_up_the_next(void **state)
{
    struct caller c = fresh;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    uint16_t slow, good;
    int slow_fd = listener(&slow), good_fd = listener(&good), waiting[8];
    size_t i;

    (void)state;
    assert_int_equal(listen(slow_fd, 0), 0);
    in.sin_port = htons(slow);
    for (i = 0; i < COUNT(waiting); i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(waiting[i], (struct sockaddr *)&in, sizeof(in));
    }
    dial(section("address = 127.0.0.1:%u\naddress = 127.0.0.1:%u\n", slow, good), &c);
    uv_run(&reactor.loop, UV_RUN_DEFAULT);
    assert_int_equal(c.connected, 1);
    assert_int_equal(addr_port(&c.peer), good);
    end(&c);
    for (i = 0; i < COUNT(waiting); i++)
        close(waiting[i]);
    close(slow_fd);
    close(good_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_connected_to),
        cmocka_unit_test(addresses_are_tried_in_turn),
        cmocka_unit_test(all_refused_tells_each),
        cmocka_unit_test(a_name_that_does_not_resolve_is_another_reason),
        cmocka_unit_test(a_name_is_resolved_and_the_port_of_the_section_taken),
        cmocka_unit_test(addresses_of_the_other_family_are_not_dialled),
        cmocka_unit_test(the_local_address_is_the_one_asked_for),
        cmocka_unit_test(cancelled_before_it_began),
        cmocka_unit_test(cancelled_while_the_name_is_looked_up),
        cmocka_unit_test(cancelled_while_it_connects),
        cmocka_unit_test(a_slow_address_does_not_hold_up_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
