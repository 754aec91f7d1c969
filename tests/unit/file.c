/* base/file: small files read whole. */
#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "help.h"

static void a_file_comes_whole_and_terminated(void **state)
{
    static const size_t sizes[] = {0, 1, 4094, 4095, 4096, 4097, 10000};
    char bytes[10000], *data;
    size_t i, len;

    (void)state;
    for (i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i % 7); /* NUL among them */
    for (i = 0; i < COUNT(sizes); i++) {
        assert_null(file_read(temp_file("f", bytes, sizes[i]), sizeof(bytes), &data, &len));
        assert_int_equal(len, sizes[i]);
        assert_memory_equal(data, bytes, len);
        assert_int_equal(data[len], 0);
        free(data);
    }
}

static void a_file_that_is_too_large_is_not_cut(void **state)
{
    const char *path = temp_text("f", "12345");
    char *data = NULL;
    size_t len = 77;

    (void)state;
    assert_null(file_read(path, 5, &data, &len));
    free(data);
    data = NULL;
    len = 77;
    assert_string_equal(file_read(path, 4, &data, &len), "is too large");
    assert_null(data);
    assert_int_equal(len, 77);
    /* one that never ends */
    assert_string_equal(file_read("/dev/zero", 100000, &data, &len), "is too large");
}

static void what_is_no_readable_file_is_said(void **state)
{
    char *data = NULL;
    size_t len;

    (void)state;
    assert_string_equal(file_read(temp_path("none"), 9, &data, &len), "No such file or directory");
    assert_string_equal(file_read(temp_dir(), 9, &data, &len), "Is a directory");
    assert_null(data);
}

static void relative_paths_start_at_the_directory(void **state)
{
    struct arena a = {0};

    (void)state;
    assert_string_equal(file_resolve(&a, "/etc/x", "a/b"), "/etc/x/a/b");
    assert_string_equal(file_resolve(&a, "/etc/x", "/a/b"), "/a/b");
    assert_string_equal(file_resolve(&a, NULL, "a/b"), "a/b");
    assert_string_equal(file_directory(&a, "/etc/x/y.conf"), "/etc/x");
    assert_string_equal(file_directory(&a, "/y.conf"), "/");
    assert_string_equal(file_directory(&a, "y.conf"), ".");
    assert_string_equal(file_directory(&a, "x/y.conf"), "x");
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_comes_whole_and_terminated),
        cmocka_unit_test(a_file_that_is_too_large_is_not_cut),
        cmocka_unit_test(what_is_no_readable_file_is_said),
        cmocka_unit_test(relative_paths_start_at_the_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
