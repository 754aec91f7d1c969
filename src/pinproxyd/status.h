/* How the sections are: what SIGUSR1 asks for. */
#ifndef PINPROXYD_STATUS_H
#define PINPROXYD_STATUS_H

#include "proxy/snapshot.h"

/* Logs one `status` event for each section. */
void status_log(const struct snapshot *s);

#endif
