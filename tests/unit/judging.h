/*
 * Certificates against policies, for the tests of trust/. A test program sets up with
 * judging_setup() and tears down with judging_teardown(); all memory of certificates lives until
 * the program ends.
 */
#ifndef UNIT_JUDGING_H
#define UNIT_JUDGING_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "certs.h"
#include "configs.h"
#include "help.h"
#include "trust/policy.h"
#include "trust/trust.h"

#define NOW CERTS_NOW
#define DAY 86400

struct anchors;

/*
 * Two CAs that are roots, and one that ca has issued; servers' certificates for api.example.com
 * from ca, from sub, from other_ca, and from nobody but itself (twin).
 */
extern struct cert ca, other_ca, sub, leaf, by_sub, by_other, twin;

/* An RSA key of 1024 bits. */
extern EVP_PKEY *weak_key;

/* The anchors of all policies here. It reads each list of files once. */
extern struct anchors *stores;

int judging_setup(void **state);
int judging_teardown(void **state);

/* What a server presents: its own certificate, and what it sends along with it. */
struct presented {
    const struct cert *leaf, *more[12];
};

/* The section [api.example.com], and the last verdict of its policy. */
struct bench {
    struct config *config;
    struct policy *policy;
    struct trust_verdict verdict;
};

/* Makes the section of these lines. learned: the store of learned pins, or NULL. */
void open_bench(struct bench *b, struct learned *learned, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void close_bench(struct bench *b);

/* Judges what a server presents. Returns the reason of the verdict, REASON_OK if it is trusted. */
enum reason judge_presented(struct bench *b, int64_t now, const struct presented *p);

/* The same with two certificates sent along, either of which may be NULL. */
enum reason judge_at(struct bench *b, int64_t now, const struct cert *server,
                     const struct cert *second, const struct cert *third);
enum reason judge(struct bench *b, const struct cert *server, const struct cert *second,
                  const struct cert *third);

/* Checks the verdict of a section of these lines. */
void expect_at(const char *lines, const struct presented *p, int64_t now, enum reason want);
void expect(const char *lines, const struct cert *c, enum reason want);

/* Returns "pin = ..." for a certificate's key, and a newline. Valid for eight calls. */
const char *pin(const struct cert *c);

/* Returns formatted lines of a section. Valid until the next call. */
const char *keys(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes a CA to a file of its own, and returns its name, valid until the next call. */
const char *write_anchor(const struct cert *c);

/* Makes an empty store of learned pins in a directory of this name. The caller releases it. */
struct learned *new_store(const char *name);

/* Lets the host of leaf announce the key of twin, on a connection that leaf's key was pinned for. */
void announce_twin(struct learned *l, int64_t until);

#endif
