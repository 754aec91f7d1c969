/* config/canonical: different values give different bytes, also when more values follow. */
#include "config/canonical.h"

#include <stdlib.h>
#include <string.h>

#include "config/section.h"
#include "help.h"

static struct strbuf bytes_of(canonical_append *append, const void *value)
{
    struct strbuf out = {0};

    append(value, &out);
    return out;
}

/*
 * Checks that no form of several values is the beginning of another: then no two lists of values
 * look the same, whatever follows.
 */
static void assert_apart(canonical_append *append, const void *values, size_t count, size_t size)
{
    size_t i, j;

    for (i = 0; i < count; i++) {
        struct strbuf a = bytes_of(append, (const char *)values + i * size);
        struct strbuf again = bytes_of(append, (const char *)values + i * size);

        assert_true(a.len > 0);
        assert_int_equal(a.len, again.len);
        assert_memory_equal(a.data, again.data, a.len);
        strbuf_free(&again);
        for (j = 0; j < count; j++) {
            struct strbuf b = bytes_of(append, (const char *)values + j * size);

            if (i != j && b.len >= a.len && memcmp(a.data, b.data, a.len) == 0)
                fail_msg("value %zu looks like the beginning of value %zu", i, j);
            strbuf_free(&b);
        }
        strbuf_free(&a);
    }
}

#define ASSERT_APART(append, values)                                                               \
    assert_apart(append, values, COUNT(values), sizeof((values)[0]))

static void numbers_are_kept_apart(void **state)
{
    static const bool bools[] = {false, true};
    static const int ints[] = {0, 1, -1, 256};
    static const unsigned unsigneds[] = {0, 1, 256, 0x80000000};
    static const long longs[] = {0, 1, -1, 65535};
    static const int64_t int64s[] = {0, 1, -1, INT64_MAX, INT64_MIN};
    static const struct config_enforce enforces[] = {{false, 0}, {true, 0}, {true, 1}, {true, 256}};

    (void)state;
    ASSERT_APART(canonical_bool, bools);
    ASSERT_APART(canonical_int, ints);
    ASSERT_APART(canonical_unsigned, unsigneds);
    ASSERT_APART(canonical_long, longs);
    ASSERT_APART(canonical_int64, int64s);
    ASSERT_APART(canonical_enforce, enforces);
}

static void texts_are_kept_apart(void **state)
{
    static const char *const texts[] = {NULL, "", "a", "ab", "b"};
    static struct config_string ab[] = {{"a", {"x", 1}}, {"b", {"x", 2}}},
                                whole[] = {{"ab", {"x", 3}}};
    const struct config_string strings[] = {{NULL, {"x", 1}}, {"", {"x", 1}}, ab[0], whole[0]};
    const struct config_strings lists[] = {{NULL, 0}, {ab, 1}, {ab, 2}, {ab + 1, 1}, {whole, 1}};
    const struct config_string elsewhere = {"a", {"y", 9}};
    struct strbuf here = bytes_of(canonical_string, &ab[0]);
    struct strbuf there = bytes_of(canonical_string, &elsewhere);

    (void)state;
    ASSERT_APART(canonical_text, texts);
    ASSERT_APART(canonical_string, strings);
    ASSERT_APART(canonical_strings, lists);
    assert_int_equal(here.len, there.len);
    assert_memory_equal(here.data, there.data, here.len);
    strbuf_free(&here);
    strbuf_free(&there);
}

static void addresses_are_kept_apart(void **state)
{
    struct addr addrs[4] = {{.len = 0}};
    struct config_target one[] = {{"a", 0}, {"b", 0}}, other[] = {{"a", 1}};
    const struct config_targets targets[] = {{NULL, 0}, {one, 1}, {one, 2}, {other, 1}};
    struct config_listen listen[4] = {{.mode = -1}, {.mode = 0}, {.mode = -1}, {.mode = -1}};
    const struct config_listens listens[] = {
        {NULL, 0}, {listen, 1}, {listen + 1, 1}, {listen + 2, 1}, {listen + 3, 1}, {listen + 2, 2},
    };

    (void)state;
    assert_true(addr_from_ip(&addrs[1], "127.0.0.1", 0));
    assert_true(addr_from_ip(&addrs[2], "127.0.0.1", 1));
    assert_true(addr_from_ip(&addrs[3], "::1", 1));
    listen[0].addr = listen[1].addr = listen[2].addr = listen[3].addr = addrs[2];
    listen[2].user = "u";
    listen[3].group = "u";
    ASSERT_APART(canonical_addr, addrs);
    ASSERT_APART(canonical_targets, targets);
    ASSERT_APART(canonical_listens, listens);
}

static void pins_are_kept_apart(void **state)
{
    static const uint8_t der[] = {0x30, 0};
    struct pin pins[] = {
        {.role = PIN_SERVER, .kind = PIN_KEY},
        {.role = PIN_SERVER, .kind = PIN_CERT},
        {.role = PIN_ISSUER, .kind = PIN_CERT},
        {.role = PIN_ISSUER, .kind = PIN_CERT, .der = der, .der_len = sizeof(der)},
        {.role = PIN_SERVER, .kind = PIN_KEY, .digest = {1}},
        {.role = PIN_SERVER, .kind = PIN_KEY, .until = 1},
    };
    struct pin named = {.role = PIN_SERVER, .kind = PIN_KEY, .name = "today", .text = "x"};
    const struct pin_list lists[] = {{NULL, 0},     {pins, 1},     {pins + 1, 1}, {pins + 2, 1},
                                     {pins + 3, 1}, {pins + 4, 1}, {pins + 5, 1}, {pins, 2}};
    const struct pin_list named_list = {&named, 1};
    struct strbuf a = bytes_of(canonical_pins, &lists[1]),
                  b = bytes_of(canonical_pins, &named_list);

    (void)state;
    ASSERT_APART(canonical_pins, lists);
    /* a name is for logs alone */
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.data, b.data, a.len);
    strbuf_free(&a);
    strbuf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_kept_apart),
        cmocka_unit_test(texts_are_kept_apart),
        cmocka_unit_test(addresses_are_kept_apart),
        cmocka_unit_test(pins_are_kept_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
