/* OpenSSL's complaints about a connection, in words for an administrator. */
#ifndef ENGINE_COMPLAINT_H
#define ENGINE_COMPLAINT_H

#include "base/reason.h"

#define COMPLAINT_SIZE 128

struct ssl_st; /* OpenSSL's SSL */

/* The alert from the server that the latest error tells of, or -1. */
int complaint_alert(void);

/* What the latest error means: a reason, and in words what happened. Right after the call that failed. */
enum reason complaint_reason(const struct ssl_st *ssl, char words[COMPLAINT_SIZE]);

#endif
