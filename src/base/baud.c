#include "base/baud.h"

#include <stddef.h>

#include "base/util.h"

/* Slower lines carry no TLS handshake in a reasonable time. */
#define SPEEDS(X)                                                                                  \
    X(300)                                                                                         \
    X(600)                                                                                         \
    X(1200)                                                                                        \
    X(1800)                                                                                        \
    X(2400)                                                                                        \
    X(4800)                                                                                        \
    X(9600)                                                                                        \
    X(19200)                                                                                       \
    X(38400)                                                                                       \
    X(57600)                                                                                       \
    X(115200)                                                                                      \
    X(230400)                                                                                      \
    X(460800)                                                                                      \
    X(500000)                                                                                      \
    X(576000)                                                                                      \
    X(921600)                                                                                      \
    X(1000000)                                                                                     \
    X(1152000)                                                                                     \
    X(1500000)                                                                                     \
    X(2000000)                                                                                     \
    X(2500000)                                                                                     \
    X(3000000)                                                                                     \
    X(3500000)                                                                                     \
    X(4000000)

bool baud_find(long bits, speed_t *speed)
{
    static const struct {
        long bits;
        speed_t speed;
    } table[] = {
#define X(bits) {bits, B##bits},
        SPEEDS(X)
#undef X
    };
    size_t i;

    for (i = 0; i < COUNT_OF(table); i++) {
        if (table[i].bits == bits) {
            *speed = table[i].speed;
            return true;
        }
    }
    return false;
}
