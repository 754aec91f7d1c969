/* base/program: a program is found as a shell finds it, but never in a relative directory. */
#include "base/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "help.h"

static const char *make(const char *name, mode_t mode)
{
    const char *path = temp_text(name, "#!/bin/sh\n");

    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void the_first_directory_of_path_that_has_it_wins(void **state)
{
    char path[PATH_MAX], dirs[4 * PATH_MAX];
    const char *second;

    (void)state;
    make("a/tool", 0644);
    second = make("b/tool", 0755);
    make("c/tool", 0755);
    snprintf(dirs, sizeof(dirs), "%s:%s:%s:%s", temp_path("none"), temp_path("a"), temp_path("b"),
             temp_path("c"));
    setenv("PATH", dirs, 1);
    assert_int_equal(program_find("tool", path), 0);
    assert_string_equal(path, second);
}

static void a_file_that_cannot_be_executed_is_no_program(void **state)
{
    char path[PATH_MAX];

    (void)state;
    make("d/data", 0644);
    setenv("PATH", temp_path("d"), 1);
    assert_int_equal(program_find("data", path), EACCES);
    assert_int_equal(program_find("missing", path), ENOENT);
    assert_int_equal(program_find(temp_path("d/data"), path), EACCES);
    assert_int_equal(program_find(temp_path("d"), path), EACCES);
    assert_int_equal(program_find(temp_path("d/missing"), path), ENOENT);
    assert_int_equal(program_find("", path), ENOENT);
}

static void relative_directories_are_left_out(void **state)
{
    char path[PATH_MAX];

    (void)state;
    make("e/here", 0755);
    assert_int_equal(chdir(temp_path("e")), 0);
    setenv("PATH", ":.::./", 1);
    assert_int_equal(program_find("here", path), ENOENT);
    assert_int_equal(program_find("./here", path), 0);
    assert_int_equal(chdir("/"), 0);
}

static void without_a_path_the_usual_directories_have_it(void **state)
{
    char path[PATH_MAX];

    (void)state;
    unsetenv("PATH");
    assert_int_equal(program_find("sh", path), 0);
    assert_contains(path, "/bin/sh");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_directory_of_path_that_has_it_wins),
        cmocka_unit_test(a_file_that_cannot_be_executed_is_no_program),
        cmocka_unit_test(relative_directories_are_left_out),
        cmocka_unit_test(without_a_path_the_usual_directories_have_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
