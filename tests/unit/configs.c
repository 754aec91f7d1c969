#include "configs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/loader.h"
#include "help.h"

struct config *take(const char *text)
{
    struct diag_list diags = {0};
    struct config *c = config_parse(temp_path("x.conf"), text, strlen(text), &diags);
    char said[512] = "";

    assert_non_null(c);
    if (diags.count)
        snprintf(said, sizeof(said), "%u: %s", diags.items[0].line, diags.items[0].text);
    diag_free(&diags);
    if (said[0]) {
        config_free(c);
        fail_msg("%s:%s", text, said);
    }
    return c;
}

char *faults(const char *text)
{
    struct diag_list diags = {0};
    struct config *c = config_parse("x.conf", text, strlen(text), &diags);
    char *said = NULL;
    size_t n;
    FILE *to = open_memstream(&said, &n);

    assert_non_null(to);
    diag_print(&diags, to);
    fclose(to);
    diag_free(&diags);
    config_free(c);
    return said;
}

void refuse(const char *text, unsigned line, const char *part)
{
    char *said = faults(text), start[32];

    snprintf(start, sizeof(start), "x.conf:%u: ", line);
    if (!*said)
        fail_msg("taken: %s", text);
    if (strncmp(said, start, strlen(start)) != 0 || !strstr(said, part)
        || strchr(said, '\n') != said + strlen(said) - 1)
        fail_msg("expected '%s...%s', got: %s", start, part, said);
    free(said);
}

void refuse_whole(const char *text, const char *part)
{
    char *said = faults(text);

    assert_int_equal(strncmp(said, "x.conf: ", 8), 0);
    assert_contains(said, part);
    assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
    free(said);
}

char *load(const char *path, struct config **config)
{
    struct diag_list diags = {0};
    char *said = NULL;
    size_t n;
    FILE *to = open_memstream(&said, &n);

    assert_non_null(to);
    *config = config_load(path, FILE_CONFIGURED, &diags);
    diag_print(&diags, to);
    fclose(to);
    diag_free(&diags);
    return said;
}
