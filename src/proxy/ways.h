/*
 * The way to a section's server: the transport, the dialogs before TLS, and the filter after it.
 * The options `via`, `starttls` and `client` select them. A new transport, dialog or filter is a
 * line in a table here.
 */
#ifndef PROXY_WAYS_H
#define PROXY_WAYS_H

#include <stddef.h>

#include "dialog/dialog.h"

struct config_section;
struct filter_ops;
struct transport_ops;

/* Returns the transport to the section's server, or to its parent proxy. Static. */
const struct transport_ops *ways_transport(const struct config_section *s);

/*
 * Returns how many descriptors a connection to the section's server has at most. The tunnel of an
 * outer section (outer.h) has its own.
 */
size_t ways_files(const struct config_section *s);

/* Sets *out to the dialogs that run before TLS, in order: the parent proxy's, then STARTTLS. */
void ways_dialogs(const struct config_section *s, struct dialog_list *out);

/* Returns the filter of the first bytes that pass in a tunnel, or NULL. Static. */
const struct filter_ops *ways_filter(const struct config_section *s);

#endif
