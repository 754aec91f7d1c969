/* The classes of bytes that HTTP's grammar is made of (RFC 9110 section 5.6, RFC 5234). */
#ifndef HTTP_SYNTAX_H
#define HTTP_SYNTAX_H

#include <stdbool.h>
#include <string.h>

/* Returns true for a byte of a token, such as a field name: tchar (RFC 9110 section 5.6.2). */
static inline bool http_is_tchar(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
           || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/*
 * Returns true for a byte that a field value may contain (RFC 9110 section 5.5): no control byte.
 */
static inline bool http_is_value_byte(char c)
{
    const unsigned char byte = (unsigned char)c;

    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

/* Returns true for optional whitespace: OWS (RFC 9110 section 5.6.3). */
static inline bool http_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

#endif
