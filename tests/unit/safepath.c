/* base/safepath: a path counts only if nobody else can replace what it names. */
#include "base/safepath.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "help.h"

#define OTHER 65534

static void make_dir(const char *path, mode_t mode)
{
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void assert_safe(const char *path)
{
    char *why = safepath_check(path, geteuid());

    if (why)
        fail_msg("%s: %s", path, why);
}

static void assert_unsafe(const char *path, const char *because)
{
    char *why = safepath_check(path, geteuid());

    assert_non_null(why);
    assert_contains(why, because);
    free(why);
}

static void what_only_we_can_write_to_is_safe(void **state)
{
    (void)state;
    assert_safe("/");
    assert_safe(temp_dir());
    assert_safe(temp_text("file", "text"));
    make_dir(temp_path("readable"), 0755);
    assert_safe(temp_path("readable"));
    assert_safe(temp_path("readable/.././/readable/"));
}

static void what_is_not_there_is_no_safe_path(void **state)
{
    (void)state;
    assert_unsafe(temp_path("missing"), "No such file");
    assert_unsafe(temp_path("missing/below"), "No such file");
}

static void what_others_can_write_to_is_unsafe(void **state)
{
    (void)state;
    make_dir(temp_path("everyone"), 0777);
    make_dir(temp_path("group"), 0770);
    make_dir(temp_path("everyone/below"), 0700);
    assert_unsafe(temp_path("everyone"), "0777");
    assert_unsafe(temp_path("group"), "0770");
    assert_unsafe(temp_path("everyone/below"), "0777");
    assert_int_equal(chmod(temp_text("open", "text"), 0666), 0);
    assert_unsafe(temp_path("open"), "0666");
}

static void a_sticky_directory_is_safe_for_what_is_ours(void **state)
{
    (void)state;
    make_dir(temp_path("tmp"), 01777);
    make_dir(temp_path("tmp/ours"), 0700);
    assert_safe(temp_path("tmp"));
    assert_safe(temp_path("tmp/ours"));
    if (geteuid() != 0)
        skip();
    make_dir(temp_path("tmp/theirs"), 0700);
    assert_int_equal(chown(temp_path("tmp/theirs"), OTHER, OTHER), 0);
    assert_unsafe(temp_path("tmp/theirs"), "65534");
}

static void every_directory_of_a_links_target_counts(void **state)
{
    (void)state;
    make_dir(temp_path("good"), 0700);
    make_dir(temp_path("bad"), 0777);
    make_dir(temp_path("bad/below"), 0700);
    assert_int_equal(symlink("good", temp_path("to-good")), 0);
    assert_int_equal(symlink(temp_path("bad/below"), temp_path("to-bad")), 0);
    assert_int_equal(symlink("bad/below/../../good", temp_path("through-bad")), 0);
    assert_int_equal(symlink("circle", temp_path("circle")), 0);
    assert_safe(temp_path("to-good"));
    assert_unsafe(temp_path("to-bad"), "0777");
    assert_unsafe(temp_path("through-bad"), "0777");
    assert_unsafe(temp_path("circle"), "symbolic links");
}

static void a_link_of_another_user_is_unsafe(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    make_dir(temp_path("target"), 0700);
    assert_int_equal(symlink("target", temp_path("their-link")), 0);
    assert_int_equal(lchown(temp_path("their-link"), OTHER, OTHER), 0);
    assert_unsafe(temp_path("their-link"), "another user");
}

static void the_user_that_is_named_is_trusted(void **state)
{
    char *why;

    (void)state;
    if (geteuid() != 0)
        skip();
    make_dir(temp_path("user"), 0700);
    assert_int_equal(chown(temp_path("user"), OTHER, OTHER), 0);
    assert_unsafe(temp_path("user"), "another user");
    why = safepath_check(temp_path("user"), OTHER);
    assert_null(why);
}

static void a_relative_path_begins_at_the_working_directory(void **state)
{
    (void)state;
    make_dir(temp_path("work"), 0777);
    make_dir(temp_path("work/below"), 0700);
    assert_int_equal(chdir(temp_path("work")), 0);
    assert_unsafe("below", "0777");
    assert_unsafe(".", "0777");
    assert_int_equal(chmod(".", 0700), 0);
    assert_safe("below");
    assert_safe(".");
    assert_int_equal(chdir("/"), 0);
}

static void a_path_that_is_too_long_is_not_cut(void **state)
{
    char path[2 * 4096];

    (void)state;
    memset(path, 'a', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    assert_unsafe(path, "too long");
    path[0] = '/';
    assert_unsafe(path, "too long");
    path[1000] = '\0';
    assert_unsafe(path, "too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_only_we_can_write_to_is_safe),
        cmocka_unit_test(what_is_not_there_is_no_safe_path),
        cmocka_unit_test(what_others_can_write_to_is_unsafe),
        cmocka_unit_test(a_sticky_directory_is_safe_for_what_is_ours),
        cmocka_unit_test(every_directory_of_a_links_target_counts),
        cmocka_unit_test(a_link_of_another_user_is_unsafe),
        cmocka_unit_test(the_user_that_is_named_is_trusted),
        cmocka_unit_test(a_relative_path_begins_at_the_working_directory),
        cmocka_unit_test(a_path_that_is_too_long_is_not_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
