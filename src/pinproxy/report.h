/* Output that several commands share: certificates, refusals, exit statuses. */
#ifndef PINPROXY_REPORT_H
#define PINPROXY_REPORT_H

#include <jansson.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "base/exitcode.h"
#include "base/units.h"
#include "config/section.h"
#include "pin/cert.h"
#include "proxy/upstream.h"
#include "trust/crl.h"

/* Returns a copy of a text that a peer chose, made safe to print. The caller frees it. */
char *report_safe(const char *text);

/* Formats a text, makes it safe as report_safe() does, and returns it as a JSON string. */
json_t *report_json_text(const char *format, va_list ap) __attribute__((format(printf, 1, 0)));

/* Writes how far a time (in seconds since the epoch) is from now, as units_format_span() does. */
void report_span(int64_t time, char out[UNITS_SPAN_SIZE]);

/* Returns the whole days from now to a time, rounded down: negative after it. */
long report_days_left(int64_t until);

/*
 * Prints one certificate of a chain in several lines. At depth 0 its pins are those of a server,
 * and those of an issuer above.
 */
void report_cert(FILE *to, size_t depth, const struct cert_info *c);

/* Returns the same as a JSON object. The caller frees it. */
json_t *report_cert_json(size_t depth, const struct cert_info *c);

/* Returns a revocation list as a JSON object. The caller frees it. */
json_t *report_crl_json(const struct crl_info *c);

/*
 * Prints why a connection to a host failed: the reason with its detail (NULL: none). For a reason
 * of trust it also prints the presented certificate and, for a mismatch, the pins that the section
 * expects and the result of the PKI. presented and pki may be NULL.
 */
void report_refusal(FILE *to, const char *host, enum reason reason, const char *detail,
                    const struct config_section *section, const struct cert_info *presented,
                    const char *pki);

/* Returns the exit status of a command whose only connection ended for this reason. */
int report_status(enum reason reason);

/* Prints a value to standard output, and frees it. */
void report_json(json_t *value);

#endif
