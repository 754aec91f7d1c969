/* What the commands print alike: certificates, refusals, exit statuses. */
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

/* Text that a peer chose, made safe to print. The caller frees it. */
char *report_safe(const char *text);

/* Formats a text, makes it safe as report_safe() does, and returns it as a JSON string. */
json_t *report_json_text(const char *format, va_list ap) __attribute__((format(printf, 1, 0)));

/* Writes how far a time (in seconds since the epoch) is from now, as units_format_span() does. */
void report_span(int64_t time, char out[UNITS_SPAN_SIZE]);

/* Whole days from now to a time; negative when it is over. */
long report_days_left(int64_t until);

/* One certificate of a chain, several lines, the names first; its pins as a server's, or a CA's. */
void report_cert(FILE *to, size_t depth, const struct cert_info *c);
json_t *report_cert_json(size_t depth, const struct cert_info *c);

/* Returns a revocation list as a JSON object. The caller frees it. */
json_t *report_crl_json(const struct crl_info *c);

/* Why a connection did not come about: the reason, both certificates, what to do. */
void report_refusal(FILE *to, const char *host, enum reason reason, const char *detail,
                    const struct config_section *section, const struct cert_info *presented,
                    const char *pki);

/* The exit status of a command whose one connection ended so. */
int report_status(enum reason reason);

/* Prints and frees. */
void report_json(json_t *value);

#endif
