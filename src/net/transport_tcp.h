/*
 * The transport over TCP, transport_tcp. It resolves the section's host and tries one address after
 * the other. While one is slow, the next one is tried as well (RFC 8305 section 5), and the first
 * that connects wins.
 *
 * At most three addresses are tried at once. If more are left, the oldest attempt ends after its
 * share of connect_timeout, and the next address is tried. The share is at most 1.5 seconds, in
 * which a lost SYN is sent again (RFC 6298), and at least 250 ms for each of the attempts. With the
 * default timeout, the seventeenth address is tried after 7.75 seconds if sixteen are silent.
 */
#ifndef NET_TRANSPORT_TCP_H
#define NET_TRANSPORT_TCP_H

#include <stdint.h>

/*
 * Sets how many attempts all connections of the process may have in flight in addition to one for
 * each connection, because no tunnel accounts for their descriptors. There is no limit by default.
 * May be called from any thread.
 */
void transport_tcp_set_spare(int64_t attempts);

#endif
