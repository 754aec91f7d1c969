/* The status of all sections, which SIGUSR1 asks for. */
#ifndef PINPROXYD_STATUS_H
#define PINPROXYD_STATUS_H

#include "proxy/snapshot.h"

/* Logs one `status` event for each section of the snapshot. */
void status_log(const struct snapshot *s);

#endif
