/* dialog/line: STARTTLS is asked for where it is offered, and only its answer starts TLS. */
#include <stdlib.h>
#include <string.h>

#include "dialogs.h"
#include "help.h"

struct row {
    const char *input;
    struct dialog_end end;
};

#define DONE(text)                                                                                 \
    {                                                                                              \
        DIALOG_DONE, .greeting = (text)                                                            \
    }
#define LEFT(n)                                                                                    \
    {                                                                                              \
        DIALOG_DONE, .unread = (n)                                                                 \
    }
#define FAILED(text)                                                                               \
    {                                                                                              \
        DIALOG_FAILED, .detail = (text)                                                            \
    }
#define NOT_OFFERED FAILED("the server does not offer STARTTLS")
#define WAITS(text)                                                                                \
    {                                                                                              \
        DIALOG_MORE, .out = (text)                                                                 \
    }

static void try_rows(const struct dialog_ops *ops, const struct row *rows, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        assert_dialog(ops, rows[i].input, strlen(rows[i].input), &rows[i].end);
}

#define TRY(ops, rows) try_rows(ops, rows, COUNT(rows))

static void smtp_asks_for_tls_after_ehlo(void **state)
{
    static const struct row rows[] = {
        {"220 a.example ESMTP\r\n250-a.example\r\n250-SIZE 1\r\n250 STARTTLS\r\n220 go\r\n",
         {DIALOG_DONE, .out = "EHLO [127.0.0.1]\r\nSTARTTLS\r\n",
          .greeting = "220 a.example ESMTP\r\n"}},
        {"220-a.example ESMTP\r\n220-\r\n220 no spam\r\n250-a\r\n250-starttls\r\n250 HELP\r\n"
         "220-go\r\n220\r\n",
         DONE("220-a.example ESMTP\r\n220-\r\n220 no spam\r\n")},
        {"220 a\n250-a\n250 STARTTLS \n220 go\n", DONE("220 a\r\n")},
        {"220 a\r\n", WAITS("EHLO [127.0.0.1]\r\n")},
        {"220-a\r\n", WAITS("")},
        {"220 a\r\n250-a\r\n250 STARTTLS\r\n", WAITS("EHLO [127.0.0.1]\r\nSTARTTLS\r\n")},
        {"220 a\r\n250-a\r\n250 STARTTLS\r\n220 go\r", WAITS(NULL)},
    };

    (void)state;
    TRY(&dialog_smtp, rows);
}

static void smtp_without_starttls_is_a_failure(void **state)
{
    static const struct row rows[] = {
        {"220 a\r\n250-a\r\n250 SIZE 1\r\n", NOT_OFFERED},
        {"220 a\r\n250 a\r\n", NOT_OFFERED},
        {"220 a\r\n250-STARTTLS\r\n250 HELP\r\n", NOT_OFFERED}, /* the name of the server */
        {"220 STARTTLS\r\n250 a\r\n", NOT_OFFERED},
        {"220 a\r\n250-a\r\n250 STARTTLSX\r\n", NOT_OFFERED},
        {"220 a\r\n250-a\r\n250 X-STARTTLS\r\n", NOT_OFFERED},
        {"220 a\r\n250-a\r\n250 XSTARTTLS STARTTLS\r\n", NOT_OFFERED},
        {"220 a\r\n502 HELO only\r\n", FAILED("the server refuses EHLO: 502 HELO only")},
        {"220 a\r\n250-a\r\n250 STARTTLS\r\n454-no\r\n",
         FAILED("the server refuses STARTTLS: 454-no")},
        {"554 not you\r\n", FAILED("the server refuses the connection: 554 not you")},
        {"421-busy\r\n", FAILED("the server refuses the connection: 421-busy")},
    };

    (void)state;
    TRY(&dialog_smtp, rows);
}

static void smtp_must_be_smtp(void **state)
{
    static const struct row rows[] = {
        {"SSH-2.0-OpenSSH_9.2\r\n", FAILED("greeting is not one of SMTP: SSH-2.0")},
        {"+OK ready\r\n", FAILED("not one of SMTP: +OK ready")},
        {"\r\n", FAILED("not one of SMTP: ")},
        {"22\r\n", FAILED("not one of SMTP: 22")},
        {"2200 a\r\n", FAILED("not one of SMTP: 2200 a")},
        {"620 a\r\n", FAILED("not one of SMTP: 620 a")},
        {"250 a\r\n", FAILED("greeting is not one of SMTP: 250 a")},
        {"220-a\r\n250 b\r\n", FAILED("not one of SMTP: 250 b")},
        {"220-a\r\nb\r\n", FAILED("not one of SMTP: b")},
        {"220 a\r\n220 b\r\n", FAILED("answer to EHLO is not one of SMTP: 220 b")},
        {"220 a\r\n250-a\r\n250 STARTTLS\r\n354 go\r\n",
         FAILED("answer to STARTTLS is not one of SMTP: 354 go")},
        {"220 a\r\n250-a\r\n250 STARTTLS\r\n250 go\r\n", FAILED("250 go")},
        {"220 a\rb\r\n", FAILED("control byte in a line")},
        {"220 a\x1b[1m\r\n", FAILED("control byte in a line")},
        {"220 \x7f\r\n", FAILED("control byte in a line")},
    };

    (void)state;
    TRY(&dialog_smtp, rows);
}

static void imap_asks_for_tls(void **state)
{
    static const struct row rows[] = {
        {"* OK ready\r\n* CAPABILITY IMAP4rev1 STARTTLS\r\nA1 OK done\r\nA2 OK go\r\n",
         {DIALOG_DONE, .out = "A1 CAPABILITY\r\nA2 STARTTLS\r\n", .greeting = "* OK ready\r\n"}},
        {"* ok ready\r\n* bye-ing\r\n* capability starttls\r\na1 OK\r\n", FAILED("a1 OK")},
        {"* OK ready\r\n* ID NIL\r\n* CAPABILITY A\r\n* CAPABILITY STARTTLS B\r\nA1 OK\r\n"
         "* 1 EXISTS\r\n* CAPABILITY C\r\nA2 OK\r\n",
         DONE("* OK ready\r\n")},
        {"* OK ready\r\n", WAITS("A1 CAPABILITY\r\n")},
        {"* OK ready\r\n* CAPABILITY STARTTLS\r\n", WAITS("A1 CAPABILITY\r\n")},
    };

    (void)state;
    TRY(&dialog_imap, rows);
}

#define IMAP_REST "* CAPABILITY STARTTLS\r\nA1 OK\r\nA2 OK\r\n"

static void imap_greets_without_response_codes(void **state)
{
    static const struct row rows[] = {
        {"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] Dovecot ready.\r\n" IMAP_REST,
         DONE("* OK Dovecot ready.\r\n")},
        {"* OK [ALERT] [REFERRAL imap://b.example/] hi [x]\r\n" IMAP_REST, DONE("* OK hi [x]\r\n")},
        {"* OK hi {9}\r\n" IMAP_REST, DONE("* OK hi \r\n")},
        {"* OK [ALERT] {9+}\r\n" IMAP_REST, DONE("* OK ready\r\n")},
        {"* OK [CAPABILITY X]\r\n" IMAP_REST, DONE("* OK ready\r\n")},
        {"* OK [CAPABILITY X\r\n" IMAP_REST, DONE("* OK ready\r\n")},
        {"* OK\r\n" IMAP_REST, DONE("* OK ready\r\n")},
    };

    (void)state;
    TRY(&dialog_imap, rows);
}

static void imap_without_starttls_is_a_failure(void **state)
{
    static const struct row rows[] = {
        {"* OK [CAPABILITY STARTTLS] hi\r\n* CAPABILITY IMAP4rev1\r\nA1 OK\r\n", NOT_OFFERED},
        {"* OK hi\r\nA1 OK\r\n", NOT_OFFERED},
        {"* OK hi\r\n* X STARTTLS\r\nA1 OK\r\n", NOT_OFFERED},
        {"* OK hi\r\n* CAPABILITY XSTARTTLS AUTH=STARTTLS\r\nA1 OK\r\n", NOT_OFFERED},
        {"* OK hi\r\nA1 BAD what\r\n", FAILED("the server refuses CAPABILITY: A1 BAD what")},
        {"* OK hi\r\n* CAPABILITY STARTTLS\r\nA1 OK\r\nA2 NO not now\r\n",
         FAILED("the server refuses STARTTLS: A2 NO not now")},
        {"* OK hi\r\n* CAPABILITY STARTTLS\r\nA1 OK\r\n* BYE down\r\n",
         FAILED("the server refuses STARTTLS: * BYE down")},
        {"* BYE busy\r\n", FAILED("the server refuses the connection: * BYE busy")},
        {"* PREAUTH welcome\r\n", FAILED("PREAUTH")},
        {"* preauth\r\n", FAILED("PREAUTH")},
    };

    (void)state;
    TRY(&dialog_imap, rows);
}

static void imap_must_be_imap(void **state)
{
    static const struct row rows[] = {
        {"220 a\r\n", FAILED("greeting is not one of IMAP: 220 a")},
        {"* NO\r\n", FAILED("greeting is not one of IMAP: * NO")},
        {"OK\r\n", FAILED("greeting is not one of IMAP")},
        {"A1 OK\r\n", FAILED("greeting is not one of IMAP")},
        {"* OK hi\r\n+ go ahead\r\n", FAILED("not one of IMAP: + go ahead")},
        {"* OK hi\r\n* CAPABILITY STARTTLS\r\nA2 OK\r\n", FAILED("not one of IMAP: A2 OK")},
        {"* OK hi\r\n* CAPABILITY STARTTLS\r\nA1 OK\r\nA1 OK\r\n", FAILED("A1 OK")},
        {"* OK hi\r\n* CAPABILITY STARTTLS\r\nA1 OKAY\r\n", FAILED("A1 OKAY")},
        {"* OK hi\r\nA OK\r\n", FAILED("A OK")},
        {"* OK hi\r\n\r\n", FAILED("not one of IMAP: ")},
    };

    (void)state;
    TRY(&dialog_imap, rows);
}

static void pop3_asks_for_tls(void **state)
{
    static const struct row rows[] = {
        {"+OK ready <1.2@a.example>\r\n+OK list\r\nTOP\r\nSTLS\r\n.\r\n+OK go\r\n",
         {DIALOG_DONE, .out = "CAPA\r\nSTLS\r\n", .greeting = "+OK ready <1.2@a.example>\r\n"}},
        {"+OK\r\n+OK\r\n..\r\nstls x\r\n.\r\n+OK\r\n", DONE("+OK\r\n")},
        {"+OK hi\r\n+OK\r\nTOP\r\n.\r\n", NOT_OFFERED},
        {"+OK hi\r\n+OK STLS\r\n.\r\n", NOT_OFFERED},
        {"+OK STLS\r\n+OK\r\n.STLS\r\nX STLS\r\n.\r\n", NOT_OFFERED},
        {"+OK hi\r\n-ERR what\r\n", FAILED("the server refuses CAPA: -ERR what")},
        {"+OK hi\r\n+OK\r\nSTLS\r\n.\r\n-ERR no\r\n", FAILED("the server refuses STLS: -ERR no")},
        {"-ERR busy\r\n", FAILED("the server refuses the connection: -ERR busy")},
        {"+OKAY\r\n", FAILED("greeting is not one of POP3: +OKAY")},
        {"* OK\r\n", FAILED("greeting is not one of POP3: * OK")},
        {"+OK hi\r\n+OK\r\nSTLS\r\n.\r\n+OK go\r\n+OK injected\r\n", LEFT(14)},
        {"+OK hi\r\n+OK\r\nSTLS\r\n", WAITS("CAPA\r\n")},
    };

    (void)state;
    TRY(&dialog_pop3, rows);
}

static void nntp_asks_for_tls(void **state)
{
    static const struct row rows[] = {
        {"200 hi\r\n101 list\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n382 go\r\n",
         {DIALOG_DONE, .out = "CAPABILITIES\r\nSTARTTLS\r\n", .greeting = "200 hi\r\n"}},
        {"201 read only\r\n101 list\r\nSTARTTLS\r\n.\r\n382 go\r\n", DONE("201 read only\r\n")},
        {"200 hi\r\n101 list\r\nVERSION 2\r\n.\r\n", NOT_OFFERED},
        {"200 hi\r\n500 what\r\n", FAILED("the server refuses CAPABILITIES: 500 what")},
        {"200 hi\r\n101\r\nSTARTTLS\r\n.\r\n502 no\r\n", FAILED("refuses STARTTLS: 502 no")},
        {"200 hi\r\n101\r\nSTARTTLS\r\n.\r\n580 no key\r\n",
         FAILED("refuses STARTTLS: 580 no key")},
        {"200 hi\r\n101\r\nSTARTTLS\r\n.\r\n200 go\r\n", FAILED("STARTTLS is not one of NNTP")},
        {"400 busy\r\n", FAILED("the server refuses the connection: 400 busy")},
        {"502 not you\r\n", FAILED("the server refuses the connection: 502 not you")},
        {"202 hi\r\n", FAILED("greeting is not one of NNTP: 202 hi")},
        {"200 hi\r\n101\r\nSTARTTLS\r\n.\r\n382 go\r\n200 injected\r\n", LEFT(14)},
    };

    (void)state;
    TRY(&dialog_nntp, rows);
}

#define SIEVE_GREETING                                                                             \
    "\"IMPLEMENTATION\" \"X\"\r\n\"SIEVE\" \"fileinto\"\r\n\"STARTTLS\"\r\nOK\r\n"

static void sieve_asks_for_tls(void **state)
{
    static const struct row rows[] = {
        /* the server sends its capabilities again after TLS */
        {SIEVE_GREETING "OK \"go\"\r\n", {DIALOG_DONE, .out = "STARTTLS\r\n", .greeting = ""}},
        {"\"IMPLEMENTATION\" {12}\r\nA\r\nNO\r\nB\r\nCC\r\n\"starttls\"\r\nOK (TAG {3}\r\nx\r\n) \"a\"\r\n"
         "OK {2+}\r\n\r\n\r\n",
         LEFT(0)},
        {SIEVE_GREETING "OK {5}\r\nhe", WAITS("STARTTLS\r\n")},
        {SIEVE_GREETING "OK {5}\r\nhello", WAITS("STARTTLS\r\n")},
        {SIEVE_GREETING "OK \"{5}\"\r\nx", LEFT(1)},
        {SIEVE_GREETING "OK {x}\r\nx", LEFT(1)},
        {SIEVE_GREETING "OK {}\r\nx", LEFT(1)},
        {SIEVE_GREETING "OK 5}\r\nx", LEFT(1)},
        {SIEVE_GREETING "OK\r\n\"IMPLEMENTATION\" \"injected\"\r\n", LEFT(29)},
    };

    (void)state;
    TRY(&dialog_sieve, rows);
}

static void sieve_without_starttls_is_a_failure(void **state)
{
    static const struct row rows[] = {
        {"\"IMPLEMENTATION\" \"STARTTLS\"\r\nOK\r\n", NOT_OFFERED},
        {"OK \"STARTTLS\"\r\n", NOT_OFFERED},
        {"\"A\" {12}\r\n\"STARTTLS\"\r\n\r\nOK\r\n", NOT_OFFERED}, /* it is a value */
        {"NO \"busy\"\r\n", FAILED("the server refuses the connection: NO \"busy\"")},
        {"BYE {4}\r\nb\r\ny\r\n", FAILED("the server refuses the connection: BYE {4}\r\nb\r\ny")},
        {SIEVE_GREETING "NO \"no key\"\r\n", FAILED("the server refuses STARTTLS: NO \"no key\"")},
        {SIEVE_GREETING "BYE\r\n", FAILED("the server refuses STARTTLS: BYE")},
        {SIEVE_GREETING "\"SIEVE\" \"x\"\r\n",
         FAILED("answer to STARTTLS is not one of ManageSieve")},
        {"* OK\r\n", FAILED("greeting is not one of ManageSieve: * OK")},
        {"{8}\r\nSTARTTLS\r\nOK\r\n", FAILED("greeting is not one of ManageSieve")},
        {"\"A\" {4097}\r\n", FAILED("a line of more than 4096 bytes")},
        {"\"A\" {4096}\r\n", FAILED("a line of more than 4096 bytes")},
        {"\"A\" {99999999999999999999999999999999999999}\r\n", FAILED("more than 4096 bytes")},
        {"\"A\" {18446744073709551615}\r\n", FAILED("more than 4096 bytes")},
    };

    (void)state;
    TRY(&dialog_sieve, rows);
}

static void ftp_asks_for_tls(void **state)
{
    static const struct row rows[] = {
        {"220 hi\r\n234 go\r\n", {DIALOG_DONE, .out = "AUTH TLS\r\n", .greeting = "220 hi\r\n"}},
        {"220-hi\r\n 220 not the end\r\n221 nor this\r\n\r\n220-x\r\n220 end\r\n234-a\r\nb\r\n234\r\n",
         DONE("220-hi\r\n 220 not the end\r\n221 nor this\r\n\r\n220-x\r\n220 end\r\n")},
        {"120 in 1 minute\r\n120-in\r\n220 no\r\n120 0 minutes\r\n220 hi\r\n234 go\r\n",
         DONE("220 hi\r\n")},
        {"120 in 1 minute\r\n", WAITS("")},
        {"120 in 1 minute\r\n421 no\r\n", FAILED("the server refuses the connection: 421 no")},
        {"530 not you\r\n", FAILED("the server refuses the connection: 530 not you")},
        {"220 hi\r\n500 AUTH?\r\n", FAILED("the server refuses AUTH TLS: 500 AUTH?")},
        {"220 hi\r\n120 wait\r\n", FAILED("answer to AUTH TLS is not one of FTP: 120 wait")},
        {"220 hi\r\n334 ADAT\r\n", FAILED("answer to AUTH TLS is not one of FTP: 334 ADAT")},
        {"hi\r\n", FAILED("greeting is not one of FTP: hi")},
        {"220 hi\r\n234 go\r\n230 injected\r\n", LEFT(14)},
    };

    (void)state;
    TRY(&dialog_ftp, rows);
}

static void bytes_behind_the_answer_are_left(void **state)
{
    static const struct row smtp[] = {
        {"220 a\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n250 injected\r\n", LEFT(14)},
        {"220 a\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n\r\n", LEFT(2)},
        {"220 a\r\n250-a\r\n250 STARTTLS\r\n220 go\n\r", LEFT(1)},
    };
    static const struct row imap[] = {
        {"* OK hi\r\n" IMAP_REST "* CAPABILITY X\r\n", LEFT(16)},
        {"* OK hi\r\n" IMAP_REST "A", LEFT(1)},
    };

    (void)state;
    TRY(&dialog_smtp, smtp);
    TRY(&dialog_imap, imap);
}

/* A line of size bytes, with its end: "START" and then x. */
static void try_long_line(const struct dialog_ops *ops, const char *start, size_t size,
                          const struct dialog_end *end)
{
    char *line = malloc(size);

    assert_non_null(line);
    memset(line, 'x', size);
    memcpy(line, start, strlen(start));
    memcpy(line + size - 2, "\r\n", 2);
    assert_dialog(ops, line, size, end);
    free(line);
}

static void a_line_has_a_maximum_length(void **state)
{
    static const struct dialog_end end = FAILED("a line of more than 4096 bytes");

    (void)state;
    try_long_line(&dialog_smtp, "220 ", 4096, &(struct dialog_end)WAITS("EHLO [127.0.0.1]\r\n"));
    try_long_line(&dialog_smtp, "220 ", 4097, &end);
    try_long_line(&dialog_smtp, "220 ", 5000, &end);
    try_long_line(&dialog_sieve, "\"A\" {1}\r\nx", 4097, &end);
    /* without an end, a line is refused as soon as it is too long */
    try_long_line(&dialog_sieve, "\"A\" {4000}\r\n", 4100, &end);
}

static void a_byte_of_0_is_refused(void **state)
{
    static const char input[] = "220 a\0b\r\n";
    static const struct dialog_end end = FAILED("a control byte in a line: 220 a");

    (void)state;
    assert_dialog(&dialog_smtp, input, sizeof(input) - 1, &end);
}

static void the_words_of_a_server_are_cut(void **state)
{
    static const struct dialog_end end = FAILED("the server refuses the connection: 554 xxxx");

    (void)state;
    try_long_line(&dialog_smtp, "554 ", 600, &end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smtp_asks_for_tls_after_ehlo),
        cmocka_unit_test(smtp_without_starttls_is_a_failure),
        cmocka_unit_test(smtp_must_be_smtp),
        cmocka_unit_test(imap_asks_for_tls),
        cmocka_unit_test(imap_greets_without_response_codes),
        cmocka_unit_test(imap_without_starttls_is_a_failure),
        cmocka_unit_test(imap_must_be_imap),
        cmocka_unit_test(pop3_asks_for_tls),
        cmocka_unit_test(nntp_asks_for_tls),
        cmocka_unit_test(sieve_asks_for_tls),
        cmocka_unit_test(sieve_without_starttls_is_a_failure),
        cmocka_unit_test(ftp_asks_for_tls),
        cmocka_unit_test(bytes_behind_the_answer_are_left),
        cmocka_unit_test(a_line_has_a_maximum_length),
        cmocka_unit_test(a_byte_of_0_is_refused),
        cmocka_unit_test(the_words_of_a_server_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
