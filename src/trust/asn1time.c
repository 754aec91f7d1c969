#include "trust/asn1time.h"

#include <ctype.h>
#include <openssl/asn1.h>
#include <stdbool.h>

/* The lengths of YYMMDDHHMMSSZ and YYYYMMDDHHMMSSZ. */
#define UTCTIME_SIZE 13
#define GENERALIZEDTIME_SIZE 15

static bool is_strict(const ASN1_TIME *time)
{
    const unsigned char *p = ASN1_STRING_get0_data(time);
    const int n = ASN1_STRING_length(time);
    int i;

    if (n != (ASN1_STRING_type(time) == V_ASN1_UTCTIME ? UTCTIME_SIZE : GENERALIZEDTIME_SIZE))
        return false;
    for (i = 0; i < n - 1; i++)
        if (!isdigit(p[i]))
            return false;
    return p[n - 1] == 'Z';
}

int asn1time_compare(const ASN1_TIME *time, int64_t at)
{
    switch (time && is_strict(time) ? ASN1_TIME_cmp_time_t(time, (time_t)at) : -2) {
    case -1:
    case 0:
        return -1;
    case 1:
        return 1;
    default:
        return 0;
    }
}
