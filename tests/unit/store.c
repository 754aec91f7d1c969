/* config/store: paths, URIs and credentials. */
#include "config/store.h"

#include <stdlib.h>
#include <string.h>

#include "help.h"

static void values_are_read_as_paths_or_uris(void **state)
{
    static const struct {
        const char *value, *dir, *want;
        bool uri;
    } rows[] = {
        {"/a/b.pem", "/etc", "/a/b.pem", false},
        {"b.pem", "/etc", "/etc/b.pem", false},
        {"b.pem", NULL, "b.pem", false},
        {"file:b.pem", "/etc", "/etc/b.pem", false},
        {"file:/b.pem", "/etc", "/b.pem", false},
        {"file:///b.pem", "/etc", "/b.pem", false},
        {"./pkcs11:x", NULL, "./pkcs11:x", false},
        {"b.pem", "c:d", "./c:d/b.pem", false},
        {"1:b", "/etc", "/etc/1:b", false},
        {"%d/key", "/etc", "/run/credentials/x/key", false},
        {"file:%d/key", "/etc", "/run/credentials/x/key", false},
        {"%d//key", "/etc", "/run/credentials/x//key", false},
        {"%d", "/etc", "/etc/%d", false},
        {"pkcs11:token=a;object=b", "/etc", "pkcs11:token=a;object=b", true},
        {"handle:0x81000001", "/etc", "handle:0x81000001", true},
        {"a+b-c.1:x", "/etc", "a+b-c.1:x", true},
    };
    struct arena arena = {0};
    const char *got, *why;
    size_t i;

    (void)state;
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1), 0);
    for (i = 0; i < COUNT(rows); i++) {
        got = NULL;
        why = store_parse(rows[i].value, rows[i].dir, &arena, &got);
        if (why)
            fail_msg("%s: %s", rows[i].value, why);
        assert_string_equal(got, rows[i].want);
        assert_int_equal(store_is_uri(got), rows[i].uri);
    }
    arena_free(&arena);
}

static void other_values_are_refused_and_change_nothing(void **state)
{
    static const char *const rows[][2] = {
        {"file:", "the name of a file"},
        {"file://", "without the name of a host"},
        {"file://host/b.pem", "without the name of a host"},
        {"%d/", "CREDENTIALS_DIRECTORY is not set"},
        {"%d/key", "CREDENTIALS_DIRECTORY is not set"},
    };
    struct arena arena = {0};
    const char *got = "before", *why;
    size_t i;

    (void)state;
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    for (i = 0; i < COUNT(rows); i++) {
        why = store_parse(rows[i][0], "/etc", &arena, &got);
        assert_non_null(why);
        assert_contains(why, rows[i][1]);
    }
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
    assert_contains(store_parse("%d/key", "/etc", &arena, &got),
                    "CREDENTIALS_DIRECTORY is not set");
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1), 0);
    assert_contains(store_parse("%d/", "/etc", &arena, &got), "the name of a file");
    assert_contains(store_parse_file("secret", "/etc", &arena, &got), "expected file:PATH");
    assert_contains(store_parse_file("pkcs11:x", "/etc", &arena, &got), "expected file:PATH");
    assert_string_equal(got, "before");
    arena_free(&arena);
}

static void messages_have_no_pin(void **state)
{
    struct arena arena = {0};

    (void)state;
    assert_string_equal(store_printable("pkcs11:token=a?pin-value=1234", &arena), "pkcs11:token=a");
    assert_string_equal(store_printable("pkcs11:token=a;pin-value=1234", &arena), "pkcs11:token=a");
    assert_string_equal(store_printable("pkcs11:PIN-VALUE=1;token=a", &arena), "pkcs11");
    assert_string_equal(store_printable("pkcs11:token=pin;object=spin", &arena),
                        "pkcs11:token=pin;object=spin");
    assert_string_equal(store_printable("/path?with=mark", &arena), "/path?with=mark");
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_as_paths_or_uris),
        cmocka_unit_test(other_values_are_refused_and_change_nothing),
        cmocka_unit_test(messages_have_no_pin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
