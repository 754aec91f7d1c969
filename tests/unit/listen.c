/* config/listen: how listeners are written. */
#include "config/listen.h"

#include <string.h>

#include "configs.h"
#include "help.h"

static void listeners_are_checked(void **state)
{
    static const struct {
        const char *value, *part; /* part NULL: accepted */
    } rows[] = {
        {"127.0.0.1:0", NULL},
        {"127.0.0.1:8443", NULL},
        {"[::1]:0", NULL},
        {"unix:x.sock", NULL},
        {"unix:/x,mode=0660,user=root,group=root", NULL},
        {"unix:/x,user=no-such-user", "a user"},
        {"unix:/x,group=no-such-group", "a group"},
        {"8443", "ADDR:PORT"},
        {":8443", "ADDR:PORT"},
        {"localhost:8443", "an IP address"},
        {"127.0.0.1", "ADDR:PORT"},
        {"[::1]", "ADDR:PORT"},
        {"[127.0.0.1:0", "expected"},
        {"::1]:0", "expected"},
        {"[]:0", "expected"},
        {":0", "expected"},
        {"", "expected"},
        {"unix:", "unix:PATH"},
        {"unix:,mode=0660", "unix:PATH"},
        {"unix:/x,mode=", "octal"},
        {"unix:/x,mode=0888", "octal"},
        {"unix:/x,mode=1000", "octal"},
        {"unix:/x,mode=-1", "octal"},
        {"unix:/x,mode=+660", "octal"},
        {"unix:/x,mode=0660 ", "octal"},
        {"unix:/x,mode=77777777777777777777777", "octal"},
        {"unix:/x,user=", "expected"},
        {"unix:/x,", "unix:PATH"},
        {"unix:/x,owner=u", "unix:PATH"},
        {"unix:/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "shorter"},
    };
    struct arena arena = {0};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct config_listen listen = {0};
        const char *why = listen_parse(rows[i].value, "/etc/pp", &arena, &listen);

        if (!rows[i].part && why)
            fail_msg("%s: %s", rows[i].value, why);
        if (rows[i].part && !why)
            fail_msg("%s was accepted", rows[i].value);
        if (rows[i].part)
            assert_contains(why, rows[i].part);
        else
            assert_true(listen.addr.len > 0);
    }
    arena_free(&arena);
}

static void a_listener_that_can_never_be_bound_is_an_error(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nlisten = [::ffff:127.0.0.1]:1\n", 3, "127.0.0.1:1");
    refuse("[a.example]\npin = " A "\nlisten = [fe80::1]:1\n", 3, "interface");
    refuse("[a.example]\npin = " A "\nlisten = unix:@x\n", 3, "abstract");
    refuse("[a.example]\npin = " A "\nlisten = unix:@x,mode=0600\n", 3, "abstract");
    config_free(take("[a.example]\npin = " A "\nlisten = unix:./@x\n"));
    refuse("[a.example]\npin = " A "\nlisten = unix:/\n", 3, "path of a socket");
    refuse("[a.example]\npin = " A "\nlisten = unix:.\n", 3, "path of a socket");
    refuse("[a.example]\npin = " A "\nlisten = unix:dir/\n", 3, "path of a socket");
    refuse("[a.example]\npin = " A "\nlisten = unix:dir/..,mode=0600\n", 3, "path of a socket");
    config_free(take("[a.example]\npin = " A "\nlisten = unix:dir/.x\n  unix:...\n"));
}

/* The second mode would hold, without a word, whichever of them was meant. */
static void an_attribute_of_a_socket_is_given_once(void **state)
{
    (void)state;
    refuse("[a.example]\npin = " A "\nlisten = unix:x,mode=0600,mode=0666\n", 3, "once each");
    refuse("[a.example]\npin = " A "\nlisten = unix:x,user=root,mode=0600,user=root\n", 3,
           "once each");
    refuse("[a.example]\npin = " A "\nlisten = unix:x,group=root,group=root\n", 3, "once each");
    config_free(take("[a.example]\npin = " A "\nlisten = unix:x,group=root,mode=0600,user=root\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listeners_are_checked),
        cmocka_unit_test(a_listener_that_can_never_be_bound_is_an_error),
        cmocka_unit_test(an_attribute_of_a_socket_is_given_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
