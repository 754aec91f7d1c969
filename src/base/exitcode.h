/* Exit statuses of both programs: see their manuals. */
#ifndef BASE_EXITCODE_H
#define BASE_EXITCODE_H

enum exitcode {
    EXITCODE_OK = 0,
    EXITCODE_FAILURE = 1, /* at run time: network, TLS, the system */
    EXITCODE_USAGE = 2,
    EXITCODE_REFUSED = 3, /* by trust */
    EXITCODE_CONFIG = 78, /* EX_CONFIG of sysexits.h(3head) */
};

#endif
