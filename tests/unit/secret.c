/* config/secret: what is in the directory of systemd's credentials. */
#include "config/secret.h"

#include <stdlib.h>

#include "base/mem.h"
#include "help.h"

static void a_path_below_the_credentials_is_one_of_them(void **state)
{
    struct arena arena = {0};

    (void)state;
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1), 0);
    assert_true(secret_is_credential(secret_path("%d/key", "/etc", &arena)));
    assert_true(secret_is_credential("/run/credentials/x/key"));
    assert_false(secret_is_credential("/run/credentials/xyz/key"));
    assert_false(secret_is_credential("/etc/key"));
    arena_free(&arena);
}

static void without_credentials_no_path_is_one(void **state)
{
    struct arena arena = {0};

    (void)state;
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
    assert_null(secret_path("%d/key", "/etc", &arena));
    assert_false(secret_is_credential("/etc/key"));
    assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    assert_null(secret_path("%d/key", "/etc", &arena));
    assert_false(secret_is_credential("/etc/key"));
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_below_the_credentials_is_one_of_them),
        cmocka_unit_test(without_credentials_no_path_is_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
