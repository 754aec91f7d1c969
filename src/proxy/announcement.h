/*
 * An announcement of pins by a host (pins_url): the request for it, what is read from the response,
 * and which of the pins may be stored. Bytes in and out, no loop.
 */
#ifndef PROXY_ANNOUNCEMENT_H
#define PROXY_ANNOUNCEMENT_H

#include <stdbool.h>

#include "base/strbuf.h"
#include "http/response.h"
#include "learned/hpkp.h"
#include "proxy/learn.h"

struct tls;

/* Appends the request for a section's pins_url (RFC 9112 section 3). */
void announcement_request(const struct config_section *section, struct strbuf *out);

/*
 * Looks for announced pins in what has been received of the response, from its first byte on. ended
 * is true if nothing more will come. Returns HTTP_HEAD with *pins, HTTP_MORE, or HTTP_BAD with
 * *why, a literal.
 */
enum http_result announcement_parse(const struct strbuf *response, bool ended, struct hpkp *pins,
                                    const char **why);

/*
 * Checks that pins may be stored which were announced over a connection of order->section (RFC 7469
 * sections 2.5 and 2.6): tls was accepted on a pin, the key in use is among them, and so is a
 * backup. Fills in the keys, via and until of the order, as of order->now. Returns NULL, or why
 * they may not, a literal.
 */
const char *announcement_check(const struct tls *tls, const struct hpkp *pins,
                               struct learn_order *order);

#endif
