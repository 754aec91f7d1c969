/* The protocols in which TLS is asked for: the values of `starttls`. */
#ifndef CONFIG_STARTTLS_H
#define CONFIG_STARTTLS_H

/*
 * The protocols, a row each: X(ID, name). `starttls = name` selects STARTTLS_ID, whose dialog is
 * dialog_name (dialog/dialog.h).
 */
#define STARTTLS_PROTOCOLS(X)                                                                      \
    X(SMTP, smtp)                                                                                  \
    X(IMAP, imap)                                                                                  \
    X(POP3, pop3)                                                                                  \
    X(FTP, ftp)                                                                                    \
    X(NNTP, nntp)                                                                                  \
    X(SIEVE, sieve)                                                                                \
    X(XMPP, xmpp)                                                                                  \
    X(LDAP, ldap)                                                                                  \
    X(POSTGRES, postgres)                                                                          \
    X(MYSQL, mysql)                                                                                \
    X(MYSQL_FOUND_ROWS, mysql_found_rows)

/* The names in one literal, with a space before each. */
#define STARTTLS_NAME(id, name) " " #name
#define STARTTLS_NAMES STARTTLS_PROTOCOLS(STARTTLS_NAME)

enum starttls {
    STARTTLS_OFF,
#define X(id, name) STARTTLS_##id,
    STARTTLS_PROTOCOLS(X)
#undef X
};

#endif
