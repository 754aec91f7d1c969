/* dialog/xmpp: a strict, small parser, and TLS only after proceed. */
#include <stdlib.h>
#include <string.h>

#include "dialogs.h"
#include "help.h"

#define STREAM_OUT                                                                                 \
    "<?xml version='1.0'?><stream:stream to='a.example' version='1.0' xml:lang='en' "              \
    "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
#define STARTTLS_OUT "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

#define DECLARATION "<?xml version='1.0' encoding=\"UTF-8\" ?>"
#define HEADER                                                                                     \
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "        \
    "id='1' from='a.example' version='1.0'>"
#define TLS "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
#define FEATURES "<stream:features><starttls " TLS "/></stream:features>"
#define PROCEED "<proceed " TLS "/>"
#define HELLO DECLARATION HEADER FEATURES

struct row {
    const char *input;
    struct dialog_end end;
};

#define DONE(n)                                                                                    \
    {                                                                                              \
        DIALOG_DONE, .unread = (n)                                                                 \
    }
#define FAILED(text)                                                                               \
    {                                                                                              \
        DIALOG_FAILED, .detail = (text)                                                            \
    }
#define NOT_OFFERED FAILED("the server does not offer STARTTLS")
#define NOT_XMPP FAILED("the server's answer is not XMPP")

static void try_rows(const struct row *rows, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        assert_dialog(&dialog_xmpp, rows[i].input, strlen(rows[i].input), &rows[i].end);
}

#define TRY(rows) try_rows(rows, COUNT(rows))

static void tls_starts_after_proceed(void **state)
{
    static const struct row rows[] = {
        {HELLO PROCEED, {DIALOG_DONE, .out = STREAM_OUT STARTTLS_OUT, .greeting = ""}},
        {HELLO "<proceed " TLS "></proceed>", DONE(0)},
        {HELLO "<proceed " TLS " > </proceed >", DONE(0)},
        {HELLO "<p:proceed xmlns:p = \"urn:ietf:params:xml:ns:xmpp-tls\" />", DONE(0)},
        {DECLARATION "\r\n" HEADER
                     "\n <stream:features\n><mechanisms xmlns='s'><mechanism>PLAIN&lt;"
                     "</mechanism></mechanisms><starttls\t" TLS
                     "><required/></starttls></stream:features>\n" PROCEED,
         DONE(0)},
        {"<s:stream xmlns:s='http://etherx.jabber.org/streams' version='1.1' a='>'>"
         "<s:features><starttls " TLS "/></s:features>" PROCEED,
         DONE(0)},
        {"", {DIALOG_MORE, .out = STREAM_OUT}},
        {HELLO, {DIALOG_MORE, .out = STREAM_OUT STARTTLS_OUT}},
        {HELLO "<proceed " TLS ">", {DIALOG_MORE, .out = STREAM_OUT STARTTLS_OUT}},
    };

    (void)state;
    TRY(rows);
}

static void a_server_without_starttls_is_a_failure(void **state)
{
    static const struct row rows[] = {
        {HEADER "<stream:features/>", NOT_OFFERED},
        {HEADER "<stream:features>starttls</stream:features>", NOT_OFFERED},
        {HEADER "<stream:features><starttls/></stream:features>", NOT_OFFERED},
        {HEADER "<stream:features><starttls xmlns='x'/></stream:features>", NOT_OFFERED},
        {HEADER "<stream:features><a><starttls " TLS "/></a></stream:features>", NOT_OFFERED},
        {HEADER "<stream:features><p:starttls " TLS "/></stream:features>", NOT_OFFERED},
        {HEADER "<stream:features><starttls y" TLS "/></stream:features>", NOT_OFFERED},
        {"<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>",
         FAILED("does not offer STARTTLS: its stream is not of version 1")},
        {"<stream:stream xmlns:stream='http://etherx.jabber.org/streams' version='0.9'>",
         FAILED("its stream is not of version 1")},
    };

    (void)state;
    TRY(rows);
}

static void a_refusal_is_quoted(void **state)
{
    static const struct row rows[] = {
        {HELLO "<failure " TLS "/>", FAILED("the server refuses STARTTLS: failure")},
        {HELLO "<failure " TLS "></failure></stream:stream>", FAILED("refuses STARTTLS: failure")},
        {HEADER "<stream:error><host-unknown xmlns='x'/><text xml:lang='en'>not &amp; here</text>"
                "</stream:error></stream:stream>",
         FAILED("the server refuses the stream: host-unknown: not &amp; here")},
        {HELLO "<stream:error><system-shutdown/></stream:error>",
         FAILED("the server refuses STARTTLS: system-shutdown")},
        {HEADER "</stream:stream>", FAILED("the server ended the stream")},
    };

    (void)state;
    TRY(rows);
}

static void other_answers_are_failures(void **state)
{
    static const struct row rows[] = {
        {"220 a.example ESMTP\r\n", NOT_XMPP},
        {HEADER "x", NOT_XMPP},
        {HEADER PROCEED, NOT_XMPP},
        {HELLO "<success/>", NOT_XMPP},
        {HELLO "<proceed/>", NOT_XMPP},
        {HELLO "<proceed xmlns='x'/>", NOT_XMPP},
        {HELLO "<proceed " TLS "><a/></proceed>", NOT_XMPP},
        {HELLO "<proceed " TLS ">x</proceed>", NOT_XMPP},
        {HELLO FEATURES, NOT_XMPP},
        {FEATURES PROCEED, NOT_XMPP},
        {"<stream:stream xmlns:stream='x' version='1.0'>", NOT_XMPP},
        {"<stream version='1.0' xmlns:stream='http://etherx.jabber.org/streams'>", NOT_XMPP},
        {"<stream xmlns='http://etherx.jabber.org/streams' version='1.0'/>", NOT_XMPP},
        {"</stream:stream>", NOT_XMPP},
    };

    (void)state;
    TRY(rows);
}

static void only_the_xml_of_xmpp_is_read(void **state)
{
    static const char forbidden[] = "which XMPP forbids";
    static const struct row rows[] = {
        {"<!DOCTYPE x [<!ENTITY a 'b'>]>", FAILED(forbidden)},
        {DECLARATION "<!DOCTYPE x>", FAILED(forbidden)},
        {HEADER "<!-- " FEATURES " -->", FAILED(forbidden)},
        {HEADER "<stream:features><![CDATA[<starttls " TLS "/>]]>", FAILED(forbidden)},
        {DECLARATION DECLARATION, NOT_XMPP},
        {HEADER "<?xml version='1.0'?>", NOT_XMPP},
        {"<?php x='1'?>", NOT_XMPP},
        {"<?xml version='1.0'>", NOT_XMPP},
        {"<?xml version=1.0?>", NOT_XMPP},
        {HEADER "<>", NOT_XMPP},
        {HEADER "< a>", NOT_XMPP},
        {HEADER "</>", NOT_XMPP},
        {HEADER "<a b>", NOT_XMPP},
        {HEADER "<a b=>", NOT_XMPP},
        {HEADER "<a b=c>", NOT_XMPP},
        {HEADER "<a b='c'd='e'>", NOT_XMPP},
        {HEADER "<a b='<'>", NOT_XMPP},
        {HEADER "<a 'b'>", NOT_XMPP},
        {HEADER "<a:>", NOT_XMPP},
        {HEADER "<:a>", NOT_XMPP},
        {HEADER "<a:b:c>", NOT_XMPP},
        {HEADER "<a&b>", NOT_XMPP},
        {HEADER "<stream:features></stream:features a='b'>", NOT_XMPP},
        {HEADER "<stream:features b='c", {.result = DIALOG_MORE}},
    };

    (void)state;
    TRY(rows);
}

static void bytes_behind_proceed_are_left(void **state)
{
    static const struct row rows[] = {
        {HELLO PROCEED " ", DONE(1)},
        {HELLO PROCEED "<stream:stream>", DONE(15)},
        {HELLO "<proceed " TLS "></proceed>\r\n", DONE(2)},
    };

    (void)state;
    TRY(rows);
}

static void a_tag_has_a_maximum_length(void **state)
{
    static const struct dialog_end end = FAILED("an XML tag that is too long");
    const size_t header = strlen(HEADER), size = 4096;
    char *bytes = malloc(header + size + 1);

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'x', header + size + 1);
    memcpy(bytes, HEADER "<stream:features a='", header + 20);
    memcpy(bytes + header + size - 3, "'/>", 3);
    assert_dialog(&dialog_xmpp, bytes, header + size, &(struct dialog_end)NOT_OFFERED);
    memcpy(bytes + header + size - 3, "x'/>", 4);
    assert_dialog(&dialog_xmpp, bytes, header + size + 1, &end);
    assert_dialog(&dialog_xmpp, bytes, header + size, &end);
    free(bytes);
}

static void the_words_of_a_server_are_cut(void **state)
{
    static const char start[] = HEADER "<stream:error><a><b/>";
    static const struct dialog_end end = FAILED("the server refuses the stream: a");
    const size_t before = sizeof(start) - 1, n = before + 1000;
    char *bytes = malloc(n);

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'x', n);
    memcpy(bytes, start, before);
    memcpy(bytes + n - 19, "</a></stream:error>", 19);
    assert_dialog(&dialog_xmpp, bytes, n, &end);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_starts_after_proceed),
        cmocka_unit_test(a_server_without_starttls_is_a_failure),
        cmocka_unit_test(a_refusal_is_quoted),
        cmocka_unit_test(other_answers_are_failures),
        cmocka_unit_test(only_the_xml_of_xmpp_is_read),
        cmocka_unit_test(bytes_behind_proceed_are_left),
        cmocka_unit_test(a_tag_has_a_maximum_length),
        cmocka_unit_test(the_words_of_a_server_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
