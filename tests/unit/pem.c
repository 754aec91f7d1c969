/* pin/pem: PEM files. Whatever looks like a block is found, or is an error. */
#include "pin/pem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "certs.h"
#include "help.h"

static struct cert first, second;

/* Replaces the ends of lines, and puts something before and behind each line. */
static char *remade(const char *pem, const char *before, const char *behind, const char *end)
{
    char *out = xcalloc(1, 4 * strlen(pem) + 1);

    while (*pem) {
        const char *newline = strchr(pem, '\n');

        sprintf(out + strlen(out), "%s%.*s%s%s", before, (int)(newline - pem), pem, behind, end);
        pem = newline + 1;
    }
    return out;
}

static char *joined(const char *a, const char *b)
{
    return xasprintf("%s%s", a, b);
}

/* Reads all blocks; returns how many, or -1 with what is wrong and where. */
static int read_bytes(const char *text, size_t len, unsigned lines[8], const char **why,
                      unsigned *where)
{
    char *copy = xmalloc(len ? len : 1); /* of the exact size, for sanitizers */
    struct pem_reader r;
    struct pem_block block;
    int n = 0;

    memcpy(copy, text, len);
    pem_start(&r, copy, len);
    while (!(*why = pem_next(&r, &block)) && block.der) {
        lines[n++ % 8] = block.line;
        pem_block_free(&block);
        assert_null(block.der);
    }
    *where = r.line;
    free(copy);
    return *why ? -1 : n;
}

static void expect_blocks(const char *text, int want)
{
    unsigned lines[8], where;
    const char *why;
    const int n = read_bytes(text, strlen(text), lines, &why, &where);

    if (n != want)
        fail_msg("%d blocks, not %d: line %u: %s\n%s", n, want, where, why, text);
}

static void refuse(const char *text, unsigned line, const char *part)
{
    unsigned lines[8], where;
    const char *why;

    if (read_bytes(text, strlen(text), lines, &why, &where) >= 0)
        fail_msg("taken: %s", text);
    if (where != line)
        fail_msg("line %u, not %u: %s\n%s", where, line, why, text);
    assert_contains(why, part);
}

static void a_block_comes_with_its_label_its_line_and_its_bytes(void **state)
{
    char *text = joined("subject=CN = a\n\n", certs_pem(first.x509));
    const unsigned char *der;
    size_t len = certs_der(first.x509, &der);
    struct pem_reader r;
    struct pem_block block;

    (void)state;
    assert_true(pem_is_text(text, strlen(text)));
    assert_false(pem_is_text((const char *)der, len));
    pem_start(&r, text, strlen(text));
    assert_null(pem_next(&r, &block));
    assert_string_equal(block.label, "CERTIFICATE");
    assert_int_equal(block.line, 3);
    assert_false(block.encrypted);
    assert_int_equal(block.len, len);
    assert_memory_equal(block.der, der, len);
    pem_block_free(&block);
    assert_null(pem_next(&r, &block));
    assert_null(block.der);
    free(text);
}

static void every_end_of_line_is_accepted(void **state)
{
    static const char *const ends[] = {"\n", "\r\n", "\r", "\r\r\n", "\n\n", " \n", "\t \r\n"};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(ends); i++) {
        char *text = remade(certs_pem(first.x509), "", "", ends[i]);
        char *mixed = joined(text, certs_pem(second.x509));

        expect_blocks(text, 1);
        expect_blocks(mixed, 2);
        /* without one at the end of the file */
        mixed[strlen(mixed) - 1] = '\0';
        expect_blocks(mixed, 2);
        free(text);
        free(mixed);
    }
}

static void a_byte_order_mark_hides_nothing(void **state)
{
    char *one = joined("\xef\xbb\xbf", certs_pem(first.x509));
    char *two = joined(one, one);

    (void)state;
    expect_blocks(one, 1);
    expect_blocks(two, 2);
    free(one);
    free(two);
}

static void text_around_blocks_is_a_comment(void **state)
{
    char *text = xasprintf("Certificate:\n    Data: -----\n  Serial Number: 00:ab\n# today's\n%s"
                           "\nIssuer Label\n============\nSHA-512 %0128d\n%sthe end",
                           certs_pem(first.x509), 7, certs_pem(second.x509));

    (void)state;
    expect_blocks(text, 2);
    expect_blocks("", 0);
    expect_blocks("nothing of the kind\n", 0);
    free(text);
}

/* Pasted from YAML, quoted in a mail, commented out, upside down: found, or an error. */
static void a_block_that_does_not_begin_its_line_is_an_error(void **state)
{
    static const char *const before[] = {"    ", "\t", "> ", "# ", "\xc2\xa0", "x", "\f", "-"};
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(before); i++) {
        char *hidden = remade(certs_pem(second.x509), before[i], "", "\n");
        char *text = joined("one line\n", hidden);
        char *behind = joined(certs_pem(first.x509), hidden);
        unsigned lines = 1;
        const char *p;

        for (p = certs_pem(first.x509); (p = strchr(p, '\n')); p++)
            lines++;
        refuse(text, 2, "does not begin its line");
        refuse(behind, lines, "does not begin its line");
        free(hidden);
        free(text);
        free(behind);
    }
}

/* One line after the other of a block is lost, shortened or written otherwise. */
static void a_block_that_is_damaged_is_an_error(void **state)
{
    const char *good = certs_pem(first.x509);
    const struct {
        const char *from, *to;
        unsigned line;
        const char *part;
    } rows[] = {
        {"-----BEGIN CERTIFICATE-----\n", "", 1, "outside of a PEM block"},
        {"-----BEGIN CERTIFICATE-----", "----BEGIN CERTIFICATE----", 2, "outside of a PEM block"},
        {"-----BEGIN", "\xe2\x80\x94-BEGIN", 2, "outside of a PEM block"},
        {"-----BEGIN", "-----begin", 1, "does not begin"},
        {"-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----", 1, "no text after it"},
        {"-----BEGIN CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\\n", 1, "no text after it"},
        {"-----BEGIN CERTIFICATE", "-----BEGIN", 1, "BEGIN LABEL"},
        {"-----BEGIN CERTIFICATE", "-----BEGIN X509 CRL", 1, "has no END line"},
        {"-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE----", 1, "no text after it"},
        {"-----END CERTIFICATE-----\n", "", 1, "has no END line"},
        {"-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n", 1, "has no END line"},
        {"-----END CERTIFICATE-----", "-----END CERTIFICATE---- -", 1, "has no END line"},
        {"\nMI", "\nM I", 2, "damaged"},
        {"\nMI", "\n  MI", 2, "damaged"},
        {"\nMI", "\nM=I", 2, "damaged"},
        {"\nMI", "\nM!", 2, "damaged"},
        {"\nMI", "\nComment: -----END\nMI", 0, "damaged"},
        {"\nMI", "\nComment: x\n-----END CERTIFICATE-----\nMI", 3, "damaged"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        const char *at = strstr(good, rows[i].from);
        char *text = xasprintf("%.*s%s%s", (int)(at - good), good, rows[i].to,
                               at + strlen(rows[i].from));
        char *twice = joined(good, text);
        unsigned lines[8], where;
        const char *why;

        if (read_bytes(text, strlen(text), lines, &why, &where) >= 0)
            fail_msg("taken: %s", text);
        if (rows[i].line)
            refuse(text, rows[i].line, rows[i].part);
        assert_int_equal(read_bytes(twice, strlen(twice), lines, &why, &where), -1);
        free(text);
        free(twice);
    }
    refuse("-----END CERTIFICATE-----\n", 1, "without its BEGIN");
    refuse("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 2, "damaged");
    refuse("-----BEGIN CERTIFICATE-----\nAAAA=\n-----END CERTIFICATE-----\n", 2, "damaged");
    refuse("-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n", 3, "damaged");
}

/* Wherever a file with two blocks is cut, it is not taken for one with fewer. */
static void a_file_that_is_cut_short_anywhere_in_a_block_is_an_error(void **state)
{
    char *text = joined(certs_pem(first.x509), certs_pem(second.x509));
    const size_t head = strlen(certs_pem(first.x509));
    unsigned lines[8], where;
    const char *why;
    size_t n;

    (void)state;
    for (n = head + strlen("-----BEGIN"); n + 1 < strlen(text); n++)
        assert_int_equal(read_bytes(text, n, lines, &why, &where), -1);
    assert_int_equal(read_bytes(text, head, lines, &why, &where), 1);
    free(text);
}

static void a_nul_byte_is_an_error(void **state)
{
    char *text = joined(certs_pem(first.x509), certs_pem(second.x509));
    size_t len = strlen(text), i;
    unsigned lines[8], where;
    const char *why;

    (void)state;
    for (i = 0; i < len; i++) {
        const char kept = text[i];

        text[i] = '\0';
        assert_int_equal(read_bytes(text, len, lines, &why, &where), -1);
        text[i] = kept;
    }
    assert_int_equal(read_bytes("a\0b\n", 4, lines, &why, &where), -1);
    assert_contains(why, "NUL");
    free(text);
}

static void a_header_marks_an_encrypted_key(void **state)
{
    static const char text[] = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
                               "DEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    struct pem_reader r;
    struct pem_block block;

    (void)state;
    pem_start(&r, text, strlen(text));
    assert_null(pem_next(&r, &block));
    assert_true(block.encrypted);
    assert_int_equal(block.len, 3);
    pem_block_free(&block);
}

/* Under a sanitizer this shows any access outside of the file or of the block. */
static void damaged_bytes_never_crash(void **state)
{
    static const char bytes[] = "-=\n\r :A\0 BEGIN";
    char *text = joined(certs_pem(first.x509), certs_pem(second.x509));
    const size_t len = strlen(text);
    unsigned lines[8], where;
    uint32_t seed = 5;
    const char *why;
    int i, wrong = 0;

    (void)state;
    for (i = 0; i < 20000; i++) {
        char *copy = xstrndup(text, len);
        unsigned k;

        for (k = random_next(&seed) % 4; k < 4; k++)
            copy[random_next(&seed) % len] = bytes[random_next(&seed) % sizeof(bytes)];
        wrong += read_bytes(copy, len, lines, &why, &where) < 0;
        free(copy);
    }
    assert_true(wrong > 1000);
    free(text);
}

static int setup(void **state)
{
    (void)state;
    first = certs_make(&(struct cert_order){.cn = "first.example"});
    second = certs_make(&(struct cert_order){.cn = "second.example"});
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_comes_with_its_label_its_line_and_its_bytes),
        cmocka_unit_test(every_end_of_line_is_accepted),
        cmocka_unit_test(a_byte_order_mark_hides_nothing),
        cmocka_unit_test(text_around_blocks_is_a_comment),
        cmocka_unit_test(a_block_that_does_not_begin_its_line_is_an_error),
        cmocka_unit_test(a_block_that_is_damaged_is_an_error),
        cmocka_unit_test(a_file_that_is_cut_short_anywhere_in_a_block_is_an_error),
        cmocka_unit_test(a_nul_byte_is_an_error),
        cmocka_unit_test(a_header_marks_an_encrypted_key),
        cmocka_unit_test(damaged_bytes_never_crash),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
