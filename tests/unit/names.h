/*
 * Host names for tests of whatever resolves them: getaddrinfo(3) for the whole program, as long as
 * names_ are used at all. Names that no test has set are the system's to find.
 */
#ifndef UNIT_NAMES_H
#define UNIT_NAMES_H

/* Forgets what was set and counted. */
void names_reset(void);

/* What a name has from now on: "192.0.2.1 ::1", in this order; "": no address; NULL: not found. */
void names_set(const char *host, const char *answer);

/* From now on look-ups wait for names_release(), all of them or those of one name that was set. */
void names_hold(void);
void names_hold_one(const char *host);
void names_release(void);

/*
 * From now on look-ups that ask for a family wait for names_release(), those for both families too.
 * AF_UNSPEC: only those for both.
 */
void names_hold_family(int family);

/* From now on look-ups of a name that was set fail, for now, if they ask for a family. */
void names_fail_family(const char *host, int family);

/* Look-ups that have begun since names_reset(), and the family that the last one asked for. */
int names_asked(void);
int names_family(void);

/* Look-ups that have begun and not ended. */
int names_running(void);

/* The teardown of a group: waits for the end of the threads that look up names, for a second at most. */
int names_group_teardown(void **state);

#endif
