/* config/include: which files `include` names. */
#include "config/include.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "configs.h"
#include "help.h"

static void a_file_that_includes_itself_is_an_error(void **state)
{
    static const char *const values[] = {"*.conf", "./self.conf", "../self/s*.conf"};
    char text[128];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(values); i++) {
        struct config *c;
        char *said;

        snprintf(text, sizeof(text), "[global]\ninclude = %s\n[a.example]\npin = " A "\n",
                 values[i]);
        said = load(temp_text("self/self.conf", text), &c);
        assert_contains(said, "self.conf:2: ");
        assert_contains(said, "includes itself");
        assert_null(strstr(said, "twice"));
        free(said);
        config_free(c);
    }
}

/* One that names no file is fine, so that it would take files away without a word. */
static void two_patterns_of_one_include_are_an_error(void **state)
{
    static const char *const lists[] = {"none/*.conf nor/*.conf", "none/*.conf, nor/*.conf",
                                        "none/*.conf,nor/*.conf", "none/*.conf\tnor/*.conf"};
    char text[128];
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(lists); i++) {
        snprintf(text, sizeof(text), "[global]\ninclude = %s\n[a.example]\npin = " A "\n",
                 lists[i]);
        refuse(text, 2, "one pattern on a line");
    }
    config_free(take("[global]\ninclude = none/*.conf\n  nor/*.conf\n[a.example]\npin = " A "\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_includes_itself_is_an_error),
        cmocka_unit_test(two_patterns_of_one_include_are_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
