/*
 * Announced pins. However an answer is cut into pieces, the verdict is the same, and it is taken or
 * left whole; what hpkp_parse() takes as a value, hpkp_read() takes in a head, and nothing else.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/strbuf.h"
#include "learned/hpkp.h"

/* Beyond that, not every piece is tried. */
#define PIECES 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct answer {
    enum hpkp_result result;
    const char *why;
    struct hpkp pkp;
};

static void need(bool ok)
{
    if (!ok)
        abort();
}

/* Of exactly that size, so that a sanitizer sees one byte too far. */
static char *exactly(const char *bytes, size_t n)
{
    char *copy = malloc(n ? n : 1);

    need(copy != NULL);
    if (n)
        memcpy(copy, bytes, n);
    return copy;
}

/* What must stay as it is where nothing is found. */
static struct hpkp untouched(void)
{
    struct hpkp pkp;

    memset(&pkp, 0x5a, sizeof(pkp));
    return pkp;
}

static bool same_pins(const struct hpkp *a, const struct hpkp *b)
{
    return a->count == b->count && a->max_age == b->max_age
           && memcmp(a->pins, b->pins, a->count * sizeof(a->pins[0])) == 0;
}

static void check_pins(const struct hpkp *pkp)
{
    static const uint8_t zero[CERT_DIGEST_SIZE];
    size_t i, k;

    need(pkp->count <= HPKP_PINS_MAX);
    need(pkp->max_age >= 0 && pkp->max_age <= INT32_MAX);
    need(pkp->count > 0 || pkp->max_age == 0);
    for (i = 0; i < pkp->count; i++) {
        need(memcmp(pkp->pins[i], zero, sizeof(zero)) != 0);
        for (k = 0; k < i; k++)
            need(memcmp(pkp->pins[i], pkp->pins[k], CERT_DIGEST_SIZE) != 0);
    }
}

static struct answer read_answer(const char *bytes, size_t n, bool ended)
{
    const struct hpkp before = untouched();
    struct answer a = {.pkp = before};
    char *copy = exactly(bytes, n);

    a.result = hpkp_read(copy, n, ended, &a.pkp, &a.why);
    free(copy);
    if (a.result == HPKP_FOUND)
        check_pins(&a.pkp);
    else
        need(memcmp(&a.pkp, &before, sizeof(before)) == 0);
    need(a.result != HPKP_BAD || (a.why && *a.why));
    need(a.result != HPKP_MORE || (!ended && n < HPKP_HEAD_MAX));
    return a;
}

static bool same_answer(const struct answer *a, const struct answer *b)
{
    if (a->result != b->result)
        return false;
    return a->result == HPKP_FOUND ? same_pins(&a->pkp, &b->pkp) : strcmp(a->why, b->why) == 0;
}

static void read_in_pieces(const char *bytes, size_t size)
{
    const struct answer whole = read_answer(bytes, size, true);
    const size_t step = size / PIECES + 1;
    bool over = false;
    size_t n;

    for (n = 0; n <= size; n += step) {
        struct answer a = read_answer(bytes, n, false);

        need(!over || a.result != HPKP_MORE);
        over = a.result != HPKP_MORE;
        need(!over || same_answer(&a, &whole));
    }
}

/* In a head that is else a good one. */
static void read_in_head(const char *value, size_t size, const char *why, const struct hpkp *pkp)
{
    struct strbuf head = {0};
    struct answer a;

    strbuf_add(&head, "HTTP/1.1 200 OK\r\nPublic-Key-Pins:");
    strbuf_add_bytes(&head, value, size);
    strbuf_add(&head, "\r\n\r\n");
    a = read_answer(head.data, head.len, false);
    if (!why && head.len <= HPKP_HEAD_MAX)
        need(a.result == HPKP_FOUND && same_pins(&a.pkp, pkp));
    else if (!size || !memchr(value, '\n', size))
        need(a.result == HPKP_BAD);
    strbuf_free(&head);
}

/* Written anew it says the same. */
static void read_back(const struct hpkp *pkp)
{
    struct strbuf text = {0};
    struct hpkp again;
    size_t i;

    strbuf_addf(&text, "max-age=\"%lld\"", (long long)pkp->max_age);
    for (i = 0; i < pkp->count; i++) {
        unsigned char base64[CERT_DIGEST_SIZE * 2];

        EVP_EncodeBlock(base64, pkp->pins[i], CERT_DIGEST_SIZE);
        strbuf_addf(&text, ";pin-sha256=\"%s\"", (const char *)base64);
    }
    need(!hpkp_parse(text.data, text.len, &again) && same_pins(&again, pkp));
    strbuf_free(&text);
}

static void read_value(const char *bytes, size_t size)
{
    const struct hpkp before = untouched();
    struct hpkp pkp = before;
    char *copy = exactly(bytes, size);
    const char *why = hpkp_parse(copy, size, &pkp);

    free(copy);
    if (why) {
        need(*why && memcmp(&pkp, &before, sizeof(before)) == 0);
    } else {
        check_pins(&pkp);
        read_back(&pkp);
    }
    read_in_head(bytes, size, why, &pkp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_value((const char *)data, size);
    read_in_pieces((const char *)data, size);
    return 0;
}
