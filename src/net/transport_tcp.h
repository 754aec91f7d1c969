/*
 * The transport over TCP, transport_tcp. It resolves the section's host and tries one address after
 * the other; when one is slow, the next is started beside it (RFC 8305 section 5), and the first to
 * connect wins.
 *
 * At most three addresses are tried at once. When more are left, the oldest attempt is given up for
 * the next one after its share of connect_timeout: at most 1.5 seconds, so that one lost SYN is sent
 * again (RFC 6298), and at least 250 ms for each of the attempts. With the default timeout the
 * seventeenth address is tried after 7.75 seconds if sixteen are silent.
 */
#ifndef NET_TRANSPORT_TCP_H
#define NET_TRANSPORT_TCP_H

#include <stdint.h>

/*
 * Sets how many attempts all connections of the process together may have in flight beyond one
 * each: these take descriptors that no tunnel accounts for. Without a call there is no such limit.
 * May be called from any thread.
 */
void transport_tcp_set_spare(int64_t attempts);

#endif
