/*
 * net/listening: a connection that would come back is recognised, however its address is written.
 */
#include "net/listening.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sock.h"
#include "help.h"

static struct addr ip(const char *text, uint16_t port)
{
    struct addr a;

    assert_true(addr_from_ip(&a, text, port));
    return a;
}

/* A bound socket, which the list knows. */
static int add(struct listening *l, const char *text, bool v6only, const char *section)
{
    struct addr a = ip(text, 0);
    socklen_t len = sizeof(a) - offsetof(struct addr, sa);
    const int fd = sock_open(a.sa.sa_family), value = v6only;

    if (a.sa.sa_family == AF_INET6)
        assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof(value)), 0);
    assert_int_equal(bind(fd, &a.sa, a.len), 0);
    assert_int_equal(getsockname(fd, &a.sa, &len), 0);
    memset(l, 0, sizeof(*l));
    listening_add(l, fd, &a, section);
    return fd;
}

static bool found(const struct listening *l, const char *to)
{
    static const struct addr none;
    const struct addr a = ip(to, addr_port(&l->addr));
    char text[LISTENING_TEXT_SIZE];

    return listening_find(&a, &none, text);
}

static void every_spelling_of_an_address_is_recognised(void **state)
{
    struct listening l;
    int fd = add(&l, "127.0.0.1", true, "a");

    (void)state;
    assert_true(found(&l, "127.0.0.1"));
    assert_true(found(&l, "0.0.0.0"));
    assert_true(found(&l, "::ffff:127.0.0.1"));
    assert_true(found(&l, "::ffff:0.0.0.0"));
    assert_false(found(&l, "127.0.0.2"));
    assert_false(found(&l, "::1"));
    assert_false(found(&l, "192.0.2.1"));
    close(fd);
    listening_remove(&l);
    assert_false(found(&l, "127.0.0.1"));
}

static void a_wildcard_is_every_address_of_this_machine_and_no_other(void **state)
{
    struct listening l;
    int fd = add(&l, "0.0.0.0", true, NULL);

    (void)state;
    assert_true(found(&l, "127.0.0.1"));
    assert_true(found(&l, "127.1.2.3"));
    assert_true(found(&l, "0.0.0.0"));
    assert_true(found(&l, "::ffff:127.0.0.1"));
    assert_false(found(&l, "192.0.2.1"));
    assert_false(found(&l, "::1"));
    close(fd);
    listening_remove(&l);
}

static void an_ipv6_wildcard_takes_ipv4_only_without_the_option(void **state)
{
    struct listening l;
    int fd;

    (void)state;
    if (access("/proc/net/if_inet6", F_OK) != 0)
        skip();
    fd = add(&l, "::", true, "a");
    assert_true(found(&l, "::1"));
    assert_true(found(&l, "::"));
    assert_false(found(&l, "127.0.0.1"));
    assert_false(found(&l, "2001:db8::1"));
    close(fd);
    listening_remove(&l);
    fd = add(&l, "::", false, "a");
    assert_true(found(&l, "127.0.0.1"));
    assert_true(found(&l, "::ffff:127.0.0.1"));
    assert_true(found(&l, "0.0.0.0"));
    assert_false(found(&l, "192.0.2.1"));
    close(fd);
    listening_remove(&l);
    /* as a service manager may pass it */
    fd = add(&l, "::ffff:127.0.0.1", false, "a");
    assert_true(found(&l, "127.0.0.1"));
    assert_false(found(&l, "127.0.0.2"));
    close(fd);
    listening_remove(&l);
}

static void the_wildcard_as_a_destination_is_the_source_address(void **state)
{
    struct listening l;
    int fd = add(&l, "127.0.0.3", true, "a");
    const struct addr to = ip("0.0.0.0", addr_port(&l.addr)), from = ip("127.0.0.3", 0);
    char text[LISTENING_TEXT_SIZE];

    (void)state;
    assert_true(listening_find(&to, &from, text));
    assert_false(found(&l, "0.0.0.0"));
    close(fd);
    listening_remove(&l);
}

static void the_listener_and_its_section_are_named(void **state)
{
    struct listening l, other;
    int fd = add(&l, "127.0.0.1", true, "first"), second = add(&other, "127.0.0.1", true, "other");
    const struct addr none = {0};
    char text[LISTENING_TEXT_SIZE], address[ADDR_TEXT_SIZE];

    (void)state;
    assert_true(listening_find(&l.addr, &none, text));
    assert_contains(text, "[first]");
    assert_contains(text, addr_format(&l.addr, address));
    listening_rename(&l, "second");
    assert_true(listening_find(&l.addr, &none, text));
    assert_contains(text, "[second]");
    close(fd);
    close(second);
    listening_remove(&l);
    listening_remove(&other);
}

static void a_unix_socket_is_found_by_every_path(void **state)
{
    struct listening l = {0};
    struct addr a;
    const struct addr none = {0};
    struct stat st;
    char text[LISTENING_TEXT_SIZE];
    const int fd = sock_open(AF_UNIX);

    (void)state;
    assert_true(addr_from_unix(&a, temp_path("sock")));
    assert_int_equal(bind(fd, &a.sa, a.len), 0);
    assert_int_equal(stat(temp_path("sock"), &st), 0);
    l.dev = st.st_dev;
    l.ino = st.st_ino;
    listening_add(&l, fd, &a, "a");
    assert_true(listening_find(&a, &none, text));
    assert_int_equal(symlink("sock", temp_path("link")), 0);
    assert_true(addr_from_unix(&a, temp_path("link")));
    assert_true(listening_find(&a, &none, text));
    assert_true(addr_from_unix(&a, temp_text("file", "text")));
    assert_false(listening_find(&a, &none, text));
    assert_true(addr_from_unix(&a, temp_path("missing")));
    assert_false(listening_find(&a, &none, text));
    close(fd);
    listening_remove(&l);
}

static void what_was_never_added_can_be_removed(void **state)
{
    struct listening l = {0};

    (void)state;
    listening_remove(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_spelling_of_an_address_is_recognised),
        cmocka_unit_test(a_wildcard_is_every_address_of_this_machine_and_no_other),
        cmocka_unit_test(an_ipv6_wildcard_takes_ipv4_only_without_the_option),
        cmocka_unit_test(the_wildcard_as_a_destination_is_the_source_address),
        cmocka_unit_test(the_listener_and_its_section_are_named),
        cmocka_unit_test(a_unix_socket_is_found_by_every_path),
        cmocka_unit_test(what_was_never_added_can_be_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
