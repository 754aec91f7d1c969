/*
 * The password of a private key, from a file. OpenSSL gets it through a callback, so that it never
 * asks on a terminal.
 */
#ifndef TLS_PASSWORD_H
#define TLS_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

/* PEM_BUFSIZE of OpenSSL: longer passwords do not fit. */
#define PASSWORD_MAX 1023

struct password {
    char text[PASSWORD_MAX + 1]; /* NUL-terminated */
    size_t len;
    bool known;  /* false: there is none */
    bool wanted; /* password_callback() was called */
};

struct ui_method_st; /* OpenSSL's UI_METHOD */

/*
 * Reads the first line of a file into a zeroed password. Returns NULL, or what is wrong, a phrase
 * that follows the path. password_wipe() is necessary in both cases.
 */
const char *password_read(const char *path, struct password *out);

/* Overwrites a password. */
void password_wipe(struct password *p);

/* A pem_password_cb (PEM_read_bio_PrivateKey(3)). password: a struct password. */
int password_callback(char *buf, int size, int writing, void *password);

/*
 * Sets the password that the UI method gives in this thread, until it is called again with NULL. A
 * token that asks for its PIN later, in another thread, gets none.
 */
void password_set_current(struct password *p);

/*
 * Returns the UI method, or NULL if memory is short. It lives as long as the process, and is then
 * OpenSSL's default, so that nothing asks on a terminal.
 */
struct ui_method_st *password_ui(void);

#endif
