/*
 * Checks verdicts that were reached under an earlier policy, or on an earlier day. A reload checks
 * each open tunnel by it: snapshot_recheck() finds the section, and tunnel_apply() ends the tunnel.
 */
#ifndef TRUST_RECHECK_H
#define TRUST_RECHECK_H

#include <stdint.h>

#include "base/reason.h"
#include "trust/trust.h"

struct policy;

/*
 * Checks whether a server that was trusted under an earlier policy may stay under this one. It may
 * not if its key, or one of its verified chain, is revoked now. With on_pin_removed = close it may
 * not either if the pin that it was accepted on was removed, or if the last day of that pin came
 * after since and by now, whether another pin matches the server or not. A date in the past that a reload brings closes nothing. since is when the
 * server was judged or checked last, both are in seconds since the epoch. Returns REASON_OK, or why
 * not with a detail.
 */
enum reason recheck_verdict(const struct policy *policy, const struct trust_verdict *verdict,
                            int64_t since, int64_t now, char detail[TRUST_DETAIL_SIZE]);

#endif
