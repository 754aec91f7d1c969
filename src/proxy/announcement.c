#include "proxy/announcement.h"

#include <string.h>

#include "base/clock.h"
#include "pin/pin.h"
#include "tls/tls.h"
#include "trust/policy.h"

/* The longest time for which an announced pin is accepted. */
#define ANNOUNCED_MAX (INT64_C(60) * DAY_SECONDS)

void announcement_request(const struct config_section *s, struct strbuf *out)
{
    /* an IPv6 zone is this machine's alone: RFC 6874 section 1 */
    const int host_len = (int)strcspn(s->host, "%");

    strbuf_addf(out, "GET %s HTTP/1.1\r\nHost: ", s->pins_url);
    strbuf_addf(out, strchr(s->host, ':') ? "[%.*s]" : "%.*s", host_len, s->host);
    if (s->port != 443)
        strbuf_addf(out, ":%ld", s->port);
    strbuf_add(out, "\r\nUser-Agent: pinproxyd/" PACKAGE_VERSION
                    "\r\nAccept: */*\r\nConnection: close\r\n\r\n");
}

enum http_result announcement_parse(const struct strbuf *response, bool ended, struct hpkp *pins,
                                    const char **why)
{
    struct http_response head;
    struct http_text value;
    size_t consumed;
    enum http_result result = http_response_parse(strbuf_text(response), response->len, &head,
                                                  &consumed, why);

    if (result == HTTP_MORE && ended) {
        *why = "the response broke off";
        return HTTP_BAD;
    }
    if (result != HTTP_HEAD)
        return result;
    *why = "the response has no " HPKP_FIELD " field";
    if (!http_response_find_field(&head, HPKP_FIELD, &value))
        return HTTP_BAD;
    *why = hpkp_parse(value.bytes, value.len, pins);
    return *why ? HTTP_BAD : HTTP_HEAD;
}

/* Today's key is among them, and one that is not in use. */
static const char *check_keys(const struct trust_verdict *v, const struct hpkp *pins)
{
    size_t i, current = 0;

    for (i = 0; i < pins->count; i++) {
        const struct pin pin = pin_make(PIN_SERVER, PIN_KEY, pins->pins[i]);

        current += pin_matches(&pin, PIN_SERVER, &v->server);
    }
    if (pins->max_age == 0)
        return NULL;
    if (current == 0)
        return "the key in use is not among the pins that the host announces";
    return pins->count > current ? NULL : "the host announces no backup pin, of a key not in use";
}

/* The end is a whole day, as the file has them. */
static int64_t end_of(const struct hpkp *pins, int64_t now)
{
    const int64_t end = now + (pins->max_age < ANNOUNCED_MAX ? pins->max_age : ANNOUNCED_MAX);

    return end - end % DAY_SECONDS;
}

const char *announcement_check(const struct tls *tls, const struct hpkp *pins,
                               struct learn_order *order)
{
    const struct trust_verdict *v = tls_verdict(tls);
    const struct policy *policy = order->section->policy;
    const char *why;
    size_t i;

    if (v->reported != REASON_OK || !v->pin || tls_is_resumed(tls))
        return "the connection was not accepted on a pin";
    why = check_keys(v, pins);
    if (why)
        return why;
    if (!policy_trace_pin(policy, v->pin, &order->via))
        return "the pin that the connection was accepted on has been removed";
    order->until = end_of(pins, order->now);
    if (pins->max_age && order->until <= order->now)
        return "max-age ends before the day does";
    /* a pin of the configuration ends when the configuration says so */
    for (i = 0; pins->max_age && i < pins->count; i++)
        if (!policy_is_pinned(policy->section, pins->pins[i]))
            memcpy(order->digests[order->count++], pins->pins[i], CERT_DIGEST_SIZE);
    return NULL;
}
