/* tls/clienthello: a ClientHello is recognized in any pieces, and nothing else is. */
#include "tls/clienthello.h"

#include <string.h>

#include "help.h"

/*
 * The first bytes of real ones: OpenSSL 3.0, curl with TLS 1.0, and a client that speaks SSL 2.0's
 * form.
 */
static const uint8_t tls12[] = {0x16, 3, 1, 1, 0x2c, 1, 0, 1, 0x28, 3, 3, 0x5a};
static const uint8_t ssl3[] = {0x16, 3, 0, 0, 0x5f, 1, 0, 0, 0x5b, 3, 0, 0x11};
static const uint8_t v2_tls10[] = {0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10, 0};
static const uint8_t v2_tls12[] = {0x80, 0x43, 1, 3, 3, 0, 0x1a - 2, 0, 0, 0, 0x22 - 2, 0};
static const uint8_t v2_ssl2[] = {0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, 7};

static void fix_length(uint8_t *b)
{
    const unsigned n = 9U + (unsigned)(b[5] << 8 | b[6]) + b[8] + b[10];

    b[0] = (uint8_t)(0x80 | n >> 8);
    b[1] = (uint8_t)n;
}

/* With every number of bytes: a part of one is never taken for none, nor the whole for a part. */
static void check_all_lengths(const uint8_t *b, size_t enough)
{
    size_t n;

    for (n = 0; n <= 12; n++)
        assert_int_equal(clienthello_check(b, n),
                         n < enough ? CLIENTHELLO_PARTIAL : CLIENTHELLO_YES);
}

static void every_beginning_of_a_client_hello_may_become_one(void **state)
{
    uint8_t v2[12];

    (void)state;
    check_all_lengths(tls12, 6);
    check_all_lengths(ssl3, 6);
    memcpy(v2, v2_tls10, sizeof(v2));
    fix_length(v2);
    check_all_lengths(v2, CLIENTHELLO_SIZE);
    memcpy(v2, v2_tls12, sizeof(v2));
    fix_length(v2);
    check_all_lengths(v2, CLIENTHELLO_SIZE);
    memcpy(v2, v2_ssl2, sizeof(v2));
    fix_length(v2);
    check_all_lengths(v2, CLIENTHELLO_SIZE);
}

static void other_protocols_are_none(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } rows[] = {
        {"GET / HTTP/1.1", 14},
        {"\x16hello", 6},
        {"\x16\x02\x01\x01\x2c\x01", 6},
        {"\x16\x03\x05\x00", 4},
        {"\x16\x03\x01\x00\x20\x02", 6},
        {"\0\0\0\x08\x04\xd2\x16\x2f", 8},
        {"\x10\x16", 2},
        {"\x80\x2e\x02", 3},
        {"\x80\x2e\x01\x04", 4},
        {"\x90\0\0\0", 4},
        {"\xff\xfb\x18", 3},
        {"\x80\x2e\x01\x03\x01\0\x14\0\0\0\x10", 11},
        {"\x80\x2e\x01\0\x03\0\x15\0\0\0\x10", 11},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++)
        assert_int_equal(clienthello_check((const uint8_t *)rows[i].bytes, rows[i].n),
                         CLIENTHELLO_NO);
}

/*
 * Whatever comes, an answer that was given stands, and comes with the eleventh byte at the latest.
 */
static void an_answer_is_not_taken_back(void **state)
{
    uint32_t seed = 1;
    uint8_t b[12];
    size_t n, i;
    int round;

    (void)state;
    for (round = 0; round < 200000; round++) {
        enum clienthello last = CLIENTHELLO_PARTIAL;

        /* near to a real one, or not */
        memcpy(b, round % 3 == 0 ? tls12 : round % 3 == 1 ? v2_tls10 : v2_ssl2, sizeof(b));
        for (i = random_next(&seed) % 4; i > 0; i--)
            b[random_next(&seed) % sizeof(b)] = (uint8_t)random_next(&seed);
        if (round & 8)
            fix_length(b);
        for (n = 0; n <= sizeof(b); n++) {
            const enum clienthello now = clienthello_check(b, n);

            assert_true(last == CLIENTHELLO_PARTIAL || now == last);
            assert_true(now != CLIENTHELLO_PARTIAL || n < CLIENTHELLO_SIZE);
            last = now;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_beginning_of_a_client_hello_may_become_one),
        cmocka_unit_test(other_protocols_are_none),
        cmocka_unit_test(an_answer_is_not_taken_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
