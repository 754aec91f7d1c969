/*
 * Announced pins. A value is taken or left whole; what hpkp_parse() takes says the same when it is
 * written again, and when it comes in the head of a response.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/strbuf.h"
#include "http/response.h"
#include "learned/hpkp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* In a head that is good otherwise, the field's value is found, and means the same. */
static void read_in_head(const char *value, size_t size, const char *why, const struct hpkp *pins)
{
    struct http_response response;
    struct strbuf head = {0};
    struct http_text found;
    struct hpkp again;
    const char *head_why;
    size_t consumed;

    strbuf_add(&head, "HTTP/1.1 200 OK\r\n" HPKP_FIELD ":");
    strbuf_add_bytes(&head, value, size);
    strbuf_add(&head, "\r\n\r\n");
    if (http_response_parse(head.data, head.len, &response, &consumed, &head_why) == HTTP_HEAD) {
        need(http_response_find_field(&response, HPKP_FIELD, &found));
        need(!hpkp_parse(found.bytes, found.len, &again) == !why);
        need(why || same_pins(&again, pins));
    } else {
        need(why || head.len > HTTP_HEAD_MAX);
    }
    strbuf_free(&head);
}

/* Written again it says the same. */
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
    if (!size || !memchr(bytes, '\n', size)) /* it would be more lines than one */
        read_in_head(bytes, size, why, &pkp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_value((const char *)data, size);
    return 0;
}
