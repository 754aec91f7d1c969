/* config/options: the table. */
#include "config/options.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "help.h"
#include "samples.h"

static void a_key_means_one_thing_in_each_scope(void **state)
{
    static const enum option_scope scopes[] = {OPTION_GLOBAL, OPTION_SECTION, OPTION_HOST};
    size_t i, j;

    (void)state;
    assert_true(options_count > 40 && options_count <= OPTIONS_MAX);
    for (i = 0; i < options_count; i++) {
        for (j = i + 1; j < options_count; j++)
            if ((options[i].scope == OPTION_GLOBAL) == (options[j].scope == OPTION_GLOBAL))
                assert_string_not_equal(options[i].name, options[j].name);
        for (j = 0; j < COUNT(scopes); j++) {
            const struct option_row *o = options_find(options[i].name, scopes[j]);

            if (options[i].scope == scopes[j])
                assert_ptr_equal(o, &options[i]);
        }
    }
    assert_ptr_equal(options_find("port", OPTION_HOST), options_find("port", OPTION_SECTION));
    assert_null(options_find("host", OPTION_SECTION));
    assert_null(options_find("port", OPTION_GLOBAL));
    assert_null(options_find("workers", OPTION_HOST));
    assert_null(options_find("", OPTION_GLOBAL));
}

static void every_row_can_be_used(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < options_count; i++) {
        const struct option_row *o = &options[i];
        const char *p;

        for (p = o->name; *p; p++)
            assert_true(islower((unsigned char)*p) || *p == '_');
        assert_true(o->help && *o->help && !strchr(o->help, '\n'));
        assert_true(o->help[strlen(o->help) - 1] != '.');
        /* the loops over these rows read one struct alone */
        assert_true(o->scope == OPTION_GLOBAL || !(o->flags & OPTION_RESTART));
        assert_true(o->scope != OPTION_GLOBAL || !(o->flags & OPTION_TLS));
        if (o->flags & OPTION_LATER)
            continue;
        assert_true(o->kind || strcmp(o->name, "include") == 0);
        assert_true(o->size > 0 || strcmp(o->name, "include") == 0);
        assert_true(!o->kind || o->size == o->kind->size);
        assert_true(!o->size || o->kind->canonical);
        assert_true(o->offset + o->size <= (o->scope == OPTION_GLOBAL
                                                ? sizeof(struct config_global)
                                                : sizeof(struct config_section)));
    }
}

/* Two rows that write one field would be a silent mix-up. */
static void two_options_never_share_a_field(void **state)
{
    size_t i, j;

    (void)state;
    for (i = 0; i < options_count; i++)
        for (j = i + 1; j < options_count; j++) {
            const struct option_row *a = &options[i], *b = &options[j];

            if (!a->size || !b->size || (a->scope == OPTION_GLOBAL) != (b->scope == OPTION_GLOBAL))
                continue;
            if (a->offset < b->offset + b->size && b->offset < a->offset + a->size)
                fail_msg("%s and %s share a field", a->name, b->name);
        }
}

static void defaults_are_those_of_the_manual(void **state)
{
    struct arena arena = {0};
    struct config_global g = {0};
    struct config_section s = {0};

    (void)state;
    options_set_defaults(&g, OPTION_GLOBAL, &arena);
    assert_int_equal(g.workers, 0);
    assert_null(g.user);
    assert_null(g.group);
    assert_int_equal(g.log_level, LOG_LEVEL_INFO);
    assert_int_equal(g.log_format, LOG_AUTO);
    assert_int_equal(g.max_connections, 0);
    assert_int_equal(g.drain_timeout, 30000);
    assert_false(g.remote_clients);

    options_set_defaults(&s, OPTION_SECTION, &arena);
    assert_int_equal(s.port, 443);
    assert_int_equal(s.address.count, 0);
    assert_int_equal(s.family, FAMILY_ANY);
    assert_int_equal(s.bind.len, 0);
    assert_int_equal(s.keepalive, 60000);
    assert_int_equal(s.max_connections, 0);
    assert_int_equal(s.verify, VERIFY_PIN);
    assert_int_equal(s.also_check, 0);
    assert_null(s.sni);
    assert_null(s.verify_name);
    assert_int_equal(s.tls.min, CONFIG_TLS_1_2);
    assert_int_equal(s.tls.max, CONFIG_TLS_ANY);
    assert_null(s.tls.ciphers.text);
    assert_int_equal(s.alpn.count, 0);
    assert_int_equal(s.truncation, TRUNCATION_RESET);
    assert_int_equal(s.connect_timeout, 10000);
    assert_int_equal(s.handshake_timeout, 10000);
    assert_int_equal(s.idle_timeout, 0);
    assert_int_equal(s.half_close_timeout, 30000);
    assert_int_equal(s.dns_ttl, 30000);
    arena_free(&arena);
}

/* The default that --help-config prints is one that could be written. */
static void every_default_can_be_written(void **state)
{
    struct arena arena = {0};
    const struct value_context ctx = {.arena = &arena, .where = {"x", 1}};
    size_t i;

    (void)state;
    for (i = 0; i < options_count; i++) {
        struct config_global g = {0};
        struct config_section s = {0};
        void *target = options[i].scope == OPTION_GLOBAL ? (void *)&g : (void *)&s;
        const char *why;

        if (!options[i].value)
            continue;
        why = options_set(&options[i], target, &ctx, options[i].value);
        if (why)
            fail_msg("%s = %s: %s", options[i].name, options[i].value, why);
    }
    arena_free(&arena);
}

static void options_of_later_releases_are_refused_and_never_ignored(void **state)
{
    struct arena arena = {0};
    const struct value_context ctx = {.arena = &arena, .where = {"x", 1}};
    struct config_section s = {0};
    size_t i, later = 0;

    (void)state;
    for (i = 0; i < options_count; i++) {
        if (!(options[i].flags & OPTION_LATER))
            continue;
        later++;
        assert_contains(options_set(&options[i], &s, &ctx, "something"), "not supported yet");
        assert_contains(options_set(&options[i], &s, &ctx, "something"), options[i].name);
        assert_contains(options_set(&options[i], &s, &ctx, ""), "not supported yet");
    }
    assert_true(later > 5);
    arena_free(&arena);
}

/* Where a value is written and what memory it is in makes no difference, only what it says. */
static void values_are_compared_by_what_they_say(void **state)
{
    struct arena one = {0}, two = {0};
    size_t i;

    (void)state;
    for (i = 0; i < options_count; i++) {
        const struct option_row *o = &options[i];
        const enum option_scope scope = o->scope == OPTION_GLOBAL ? OPTION_GLOBAL : OPTION_SECTION;
        union {
            struct config_global g;
            struct config_section s;
        } plain, a, b;

        if (!o->size)
            continue;
        memset(&plain, 0, sizeof(plain));
        options_set_defaults(&plain, scope, &one);
        a = b = plain;
        assert_true(options_equal(o, &a, &plain));
        if (!sample_set(o, &a, &one))
            continue;
        if (options_equal(o, &a, &plain))
            fail_msg("%s looks like its default", o->name);
        assert_true(sample_set(o, &b, &two));
        if (!options_equal(o, &a, &b))
            fail_msg("%s differs from itself", o->name);
    }
    arena_free(&one);
    arena_free(&two);
}

/* A connection to the server of one section is used for the other only if it is the same server. */
static void options_that_select_the_server_keep_servers_apart(void **state)
{
    struct arena arena = {0};
    size_t i, n = 0;

    (void)state;
    for (i = 0; i < options_count; i++) {
        const struct option_row *o = &options[i];
        struct config_section a = {0}, b;

        if (o->scope == OPTION_GLOBAL || !o->size)
            continue;
        options_set_defaults(&a, OPTION_SECTION, &arena);
        b = a;
        assert_true(options_agree(OPTION_SERVER, &a, &b));
        if (!sample_set(o, &b, &arena))
            continue;
        if (options_agree(OPTION_SERVER, &a, &b) == ((o->flags & OPTION_SERVER) != 0))
            fail_msg("%s", o->name);
        n += (o->flags & OPTION_SERVER) != 0;
        /* what selects the server shapes which one is trusted */
        assert_true(!(o->flags & OPTION_SERVER) || o->flags & OPTION_IDENTITY);
    }
    assert_int_equal(n, 5);
    arena_free(&arena);
}

static void help_names_every_option(void **state)
{
    char *text = NULL;
    size_t n, i;
    FILE *to = open_memstream(&text, &n);

    (void)state;
    assert_non_null(to);
    options_print(to);
    fclose(to);
    for (i = 0; i < options_count; i++) {
        assert_contains(text, options[i].name);
        assert_contains(text, options[i].help);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_means_one_thing_in_each_scope),
        cmocka_unit_test(every_row_can_be_used),
        cmocka_unit_test(two_options_never_share_a_field),
        cmocka_unit_test(defaults_are_those_of_the_manual),
        cmocka_unit_test(every_default_can_be_written),
        cmocka_unit_test(options_of_later_releases_are_refused_and_never_ignored),
        cmocka_unit_test(values_are_compared_by_what_they_say),
        cmocka_unit_test(options_that_select_the_server_keep_servers_apart),
        cmocka_unit_test(help_names_every_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
