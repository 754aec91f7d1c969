/* config/via: carriers that need no parent are read whole, and what is wrong with one is said. */
#include "config/via.h"

#include <string.h>

#include "base/mem.h"
#include "help.h"

static struct arena arena;

static const char *parse(const char *value, struct config_via *out)
{
    memset(out, 0, sizeof(*out));
    return via_parse(value, "/etc/pinproxy", &arena, out);
}

static void each_carrier_has_its_fields(void **state)
{
    struct config_via via;

    (void)state;
    assert_null(parse("tcp", &via));
    assert_int_equal(via.scheme, VIA_TCP);
    assert_null(parse("unix:/run/db.sock", &via));
    assert_int_equal(via.scheme, VIA_UNIX);
    assert_string_equal(via.path, "/run/db.sock");
    assert_null(parse("UNIX:db.sock", &via));
    assert_string_equal(via.path, "/etc/pinproxy/db.sock");
    assert_null(parse("vsock:3:5432", &via));
    assert_int_equal(via.scheme, VIA_VSOCK);
    assert_int_equal(via.cid, 3);
    assert_int_equal(via.vsock_port, 5432);
    assert_null(parse("vsock:4294967294:4294967294", &via));
    assert_int_equal(via.cid, UINT32_MAX - 1);
    assert_null(parse("serial:/dev/ttyUSB0", &via));
    assert_int_equal(via.scheme, VIA_SERIAL);
    assert_string_equal(via.path, "/dev/ttyUSB0");
    assert_int_equal(via.baud, 115200);
    assert_null(parse("unix:/run/a,b.sock", &via));
    assert_string_equal(via.path, "/run/a,b.sock");
    assert_null(parse("serial:/dev/serial/by-path/pci-0:1:1.0-port0", &via));
    assert_string_equal(via.path, "/dev/serial/by-path/pci-0:1:1.0-port0");
    assert_null(parse("serial:/dev/ttyS1,9600", &via));
    assert_string_equal(via.path, "/dev/ttyS1");
    assert_int_equal(via.baud, 9600);
    assert_null(parse("exec:sh -c 'exit 3'", &via));
    assert_int_equal(via.scheme, VIA_EXEC);
    assert_contains(via.argv[0], "/bin/sh");
    assert_string_equal(via.argv[1], "-c");
    assert_string_equal(via.argv[2], "exit 3");
    assert_null(via.argv[3]);
}

static void a_wrong_value_is_an_error_that_says_what_is_expected(void **state)
{
    static const struct {
        const char *value, *why;
    } rows[] = {
        {"udp", "unix:"},
        {"tcp:1", "tcp"},
        {"unix:", "unix:PATH"},
        {"unix:@name", "abstract"},
        {"unix:/run/db.sock,mode=0660", "'listen'"},
        {"unix:/run/a,b.sock, group=db", "'listen'"},
        {"unix:/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
         "5678901234567890123456789",
         "107 bytes"},
        {"vsock:", "vsock:CID:PORT"},
        {"vsock:3", "vsock:CID:PORT"},
        {"vsock:3:", "vsock:CID:PORT"},
        {"vsock:host:1", "vsock:CID:PORT"},
        {"vsock:-1:1", "vsock:CID:PORT"},
        {"vsock:4294967295:1", "vsock:CID:PORT"},
        {"vsock:3:4294967295", "vsock:CID:PORT"},
        {"vsock:3:1:2", "vsock:CID:PORT"},
        {"serial:", "serial:DEVICE"},
        {"serial:,9600", "serial:DEVICE"},
        {"serial:/dev/ttyS0, 9600", "without blanks"},
        {"serial:/dev/ttyS0:9600", "a comma before the speed"},
        {"serial:/dev/ttyS0,9601", "115200"},
        {"serial:/dev/ttyS0,", "115200"},
        {"serial:/dev/ttyS0,fast", "115200"},
        {"exec:", "exec:COMMAND"},
        {"exec:  ", "exec:COMMAND"},
        {"exec:'' a", "exec:COMMAND"},
        {"exec:'sh", "quote"},
        {"exec:sh -c 'a", "a ';' after a blank starts a comment"},
        {"exec:no-such-program-here", "no-such-program-here: No such file or directory in any"},
        {"exec:./missing x", "/etc/pinproxy/./missing: No such file"},
        {"exec:/etc/passwd", "/etc/passwd: Permission denied"},
        {"exec:/etc", "/etc: Permission denied"},
    };
    struct config_via via;
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const char *why = parse(rows[i].value, &via);

        if (!why)
            fail_msg("%s is accepted", rows[i].value);
        assert_contains(why, rows[i].why);
        assert_int_equal(via.scheme, VIA_TCP); /* nothing was set */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_carrier_has_its_fields),
        cmocka_unit_test(a_wrong_value_is_an_error_that_says_what_is_expected),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);

    arena_free(&arena);
    return failed;
}
