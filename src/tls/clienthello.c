#include "tls/clienthello.h"

#include <stdbool.h>

#include "base/util.h"

/* A byte of a pattern: the lowest and the highest value that it may have. */
struct range {
    uint8_t low;
    uint8_t high;
};

/* A handshake record of version 3.x, and in it a ClientHello. */
static const struct range record[] = {{0x16, 0x16}, {3, 3}, {0, 4}, {0, 255}, {0, 255}, {1, 1}};

/* The length with its high bit set, CLIENT-HELLO, the version, and the lengths of three fields. */
static const struct range ssl2[CLIENTHELLO_SIZE] = {{0x80, 255}, {0, 255}, {1, 1},   {0, 3},
                                                    {0, 4},      {0, 255}, {0, 255}, {0, 0},
                                                    {0, 32},     {0, 0},   {8, 32}};

static enum clienthello match(const struct range *pattern, size_t size, const uint8_t *b, size_t n)
{
    size_t i;

    for (i = 0; i < size && i < n; i++)
        if (b[i] < pattern[i].low || b[i] > pattern[i].high)
            return CLIENTHELLO_NO;
    return i == size ? CLIENTHELLO_YES : CLIENTHELLO_PARTIAL;
}

static unsigned number(const uint8_t *b)
{
    return (unsigned)b[0] << 8 | b[1];
}

/* Checks what the pattern cannot say: the version is 3.x or SSL 2.0's, and the lengths add up. */
static bool is_ssl2_consistent(const uint8_t *b)
{
    const unsigned version = number(b + 3), ciphers = number(b + 5);

    return (b[3] == 3 || version == 0x0002) && ciphers > 0 && ciphers % 3 == 0
           && (number(b) & 0x7fff) == 9 + ciphers + number(b + 7) + number(b + 9);
}

static enum clienthello check_ssl2(const uint8_t *b, size_t n)
{
    const enum clienthello result = match(ssl2, CLIENTHELLO_SIZE, b, n);

    return result == CLIENTHELLO_YES && !is_ssl2_consistent(b) ? CLIENTHELLO_NO : result;
}

enum clienthello clienthello_check(const uint8_t *b, size_t n)
{
    const enum clienthello result = match(record, COUNT_OF(record), b, n);

    /* their first bytes differ, so not more than one of them can match in part */
    return result == CLIENTHELLO_NO ? check_ssl2(b, n) : result;
}
