#include "base/foreign.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "base/util.h"

struct word {
    const char *theirs;
    const char *advice;
};

static const char write_host[] = "write the server's name as 'host = NAME', and its port as "
                                 "'port = N'; the default host is the section's name";
static const char write_address[] = "write 'address = IP[:PORT]' to connect to another address "
                                    "than the host's";
static const char write_ca[] = "write 'ca_file = FILE' or 'ca_dir = DIR'";
static const char write_verify[] = "write 'verify = pin' (the server must match a 'pin') or "
                                   "'verify = pki' (its certificate must come from a CA)";
static const char write_name[] = "write 'verify_name = NAME'; the default is the host";
static const char write_tls[] = "write 'tls_min = 1.2' or '1.3', and 'tls_max' in the same way";
static const char write_client_cert[] =
    "write 'client_cert = FILE' and 'client_key = FILE' for the client's own; to pin the server's "
    "certificate write 'pin = cert:FILE'";
static const char write_starttls[] =
    "write 'starttls = smtp', or another protocol; for stunnel's 'connect' and 'socks' write "
    "'via = http://HOST:PORT' or 'via = socks5://HOST:PORT', for its 'proxy' 'send_proxy = v1'";
static const char write_proxy[] =
    "write 'via = http://HOST:PORT' or 'via = socks5://HOST:PORT', and 'via = section:NAME' for a "
    "proxy that speaks TLS";
static const char write_credentials[] = "write them in 'via', before the proxy's name: "
                                        "'via = http://USER:PASSWORD@HOST:PORT'";
static const char write_exec[] = "write 'via = exec:COMMAND ARGS'";
static const char write_unix[] = "write 'via = unix:PATH'";
static const char write_serial[] = "write 'via = serial:DEVICE,BAUD'";
static const char write_password[] = "write 'client_key_password = file:PATH'";
static const char write_token[] = "write 'client_cert' and 'client_key' as URIs, such as "
                                  "'client_key = pkcs11:...'";
static const char write_send_proxy[] = "write 'send_proxy = v1' or 'send_proxy = v2'";
static const char no_switch[] = "remove this line: TLS is always used; for a service that begins "
                                "in plaintext write 'starttls = PROTOCOL'";
static const char write_log[] = "the log goes to standard error or the journal: see 'log_level' "
                                "and 'log_format'";
static const char no_pid[] = "remove this line: pinproxyd runs in the foreground and writes no PID "
                             "file";
static const char write_groups[] = "write 'groups = LIST'";

static const struct word keys[] = {
    /* stunnel */
    {"accept", "write 'listen = ADDR:PORT', such as 'listen = 127.0.0.1:8443'"},
    {"connect", write_host},
    {"CAfile", write_ca},
    {"CApath", write_ca},
    {"CAengine", write_ca},
    {"CRLfile", "write 'crl_file = FILE'"},
    {"CRLpath", "write 'crl_file = FILE' for each list"},
    {"cert", write_client_cert},
    {"key", write_client_cert},
    {"verifyChain", write_verify},
    {"verifyPeer", write_verify},
    {"checkHost", write_name},
    {"checkIP", write_name},
    {"sslVersion", write_tls},
    {"sslVersionMin", write_tls},
    {"sslVersionMax", write_tls},
    {"options", write_tls},
    {"curves", write_groups},
    {"curve", write_groups},
    {"protocol", write_starttls},
    {"protocolHost", write_host},
    {"protocolUsername", write_credentials},
    {"protocolPassword", write_credentials},
    {"exec", write_exec},
    {"execArgs", write_exec},
    {"engine", write_token},
    {"engineId", write_token},
    {"local", "write 'bind = IP'"},
    {"output", write_log},
    {"debug", write_log},
    {"syslog", write_log},
    {"pid", no_pid},
    {"foreground", no_pid},
    {"daemon", no_pid},
    {"setuid", "write 'user = NAME' in [global]"},
    {"setgid", "write 'group = NAME' in [global]"},
    {"TIMEOUTconnect", "write 'connect_timeout = 10s'"},
    {"TIMEOUTbusy", "write 'handshake_timeout = 10s'"},
    {"TIMEOUTidle", "write 'idle_timeout = 10m'"},
    {"TIMEOUTclose", "write 'half_close_timeout = 30s'"},
    {"sessionCacheSize", "write 'resume = yes'"},
    /* ssh */
    {"HostName", write_host},
    {"BindAddress", "write 'bind = IP'"},
    {"AddressFamily", "write 'family = ipv4' or 'ipv6'"},
    {"ConnectTimeout", "write 'connect_timeout = 10s'"},
    {"ServerAliveInterval", "write 'keepalive = 60s'"},
    {"StrictHostKeyChecking", write_verify},
    {"IdentityFile", write_client_cert},
    {"LocalForward", "write 'listen = ADDR:PORT' in the section of the host"},
    {"LogLevel", "write 'log_level = info' in [global]"},
    {"ProxyCommand", "write 'via = exec:COMMAND ARGS', with the host and the port in place of %h "
                     "and %p"},
    {"ProxyJump", "write 'via = exec:ssh -W HOST:PORT GATEWAY'"},
    /* curl */
    {"url", write_host},
    {"pinnedpubkey", "write 'pin = sha256//BASE64'"},
    {"cacert", write_ca},
    {"insecure", write_verify},
    {"interface", "write 'bind = IP'"},
    {"resolve", write_address},
    {"connect-to", write_address},
    {"proxy", write_proxy},
    {"preproxy", write_proxy},
    {"socks5", write_proxy},
    {"socks5-hostname", write_proxy},
    {"http_proxy", write_proxy},
    {"https_proxy", write_proxy},
    {"all_proxy", write_proxy},
    {"proxy-user", write_credentials},
    {"unix-socket", write_unix},
    {"pass", write_password},
    {"ssl-reqd", no_switch},
    {"tls-max", write_tls},
    {"tls13-ciphers", "write 'ciphersuites = LIST'"},
    {"max-time", "write 'max_lifetime = 10m'"},
    /* nginx, HAProxy */
    {"server", write_host},
    {"server_name", write_host},
    {"upstream", write_host},
    {"proxy_pass", write_host},
    {"proxy_bind", "write 'bind = IP'"},
    {"proxy_timeout", "write 'idle_timeout = 10m'"},
    {"timeout", "there are 'connect_timeout', 'handshake_timeout', 'idle_timeout' and "
                "'half_close_timeout'"},
    {"proxy_connect_timeout", "write 'connect_timeout = 10s'"},
    {"proxy_ssl_verify", write_verify},
    {"proxy_ssl_name", write_name},
    {"proxy_ssl_server_name", "write 'sni = NAME' or 'sni = off'; the default is the host"},
    {"proxy_ssl_trusted_certificate", write_ca},
    {"proxy_ssl_crl", "write 'crl_file = FILE'"},
    {"proxy_ssl_protocols", write_tls},
    {"proxy_ssl_ciphers", "write 'ciphers = LIST'"},
    {"proxy_ssl_certificate", write_client_cert},
    {"proxy_ssl_certificate_key", write_client_cert},
    {"proxy_ssl_password_file", write_password},
    {"proxy_protocol", write_send_proxy},
    {"send-proxy-v2", write_send_proxy},
    {"ssl_certificate", write_client_cert},
    {"ssl_certificate_key", write_client_cert},
    {"crt", write_client_cert},
    {"worker_processes", "write 'workers = N' in [global]"},
    {"worker_connections", "write 'max_connections = N' in [global]"},
    {"maxconn", "write 'max_connections = N'"},
    {"error_log", write_log},
    {"log", write_log},
    /* libpq */
    {"sslmode", no_switch},
    {"sslcert", write_client_cert},
    {"sslkey", write_client_cert},
    {"sslpassword", write_password},
    {"sslrootcert", write_ca},
    /* common words */
    {"ssl", no_switch},
    {"tls", no_switch},
    {"command", write_exec},
    {"program", write_exec},
    {"socket", write_unix},
    {"serial", write_serial},
    {"device", write_serial},
    {"baud", write_serial},
    {"spiffe_id", "write 'verify_name = spiffe://DOMAIN/PATH'"},
    {"lifetime", "write 'max_lifetime = 10m'"},
    {"fingerprint", "write 'pin = cert:sha256:HEX' for a certificate's fingerprint, or "
                    "'pin = sha256//BASE64' for a key's"},
    {"sha256", "write 'pin = sha256//BASE64'"},
    {"pins", "write 'pin = ...', once for each"},
    {"public_key", "write 'pin = key:FILE'"},
    {"certificate", "write 'pin = cert:FILE'"},
    {"ca", write_ca},
    {"issuer", "write 'pin = issuer-cert:FILE' or 'pin = issuer:sha256//BASE64'"},
};

static const struct {
    const char *key;
    const char *values; /* words between blanks */
    const char *advice;
} values[] = {
    {"verify", " yes on true 1 2 3 4 peer required chain ",
     "'pin' checks the server against its pins, 'pki' against the CAs of the system or of "
     "'ca_file', 'pin+pki' against both"},
    {"verify", " no off false 0 none optional ",
     "a server is never accepted without a check: 'pin' needs no CA, and 'tofu' accepts the key "
     "that it sees first"},
    {"sni", " host section default name yes on ",
     "leave this line out: by default the host's name is sent"},
    {"sni", " no none false 0 ", "write 'sni = off' to send none"},
    {"verify_name", " host section default yes on ",
     "leave this line out: by default the host's name must be in the certificate"},
    {"verify_name", " off no none false any ",
     "this name cannot be turned off: only 'verify = pin' with a server's pin checks no name"},
    {"client", " yes no on off true false ",
     "pinproxyd is always the TLS client: leave this line out"},
    {"client", " postgresql pgsql psql pg libpq ", "write 'client = postgres'"},
    {"client", " mysql mariadb ",
     "leave this line out: 'starttls = mysql' is enough for clients of MySQL"},
    {"starttls", " yes on true 1 required ",
     "name the protocol of the server, such as 'starttls = smtp'"},
    {"starttls", " ssl tls ssl/tls implicit smtps imaps pop3s ldaps ftps nntps redis https ",
     "leave this line out if the server begins with TLS, as on the ports 465, 636 and 993: "
     "TLS is always used"},
    {"starttls", " no none false 0 never ", "write 'starttls = off'"},
    {"starttls", " submission esmtp ", "write 'starttls = smtp'"},
    {"starttls", " postgresql pgsql psql pg ", "write 'starttls = postgres'"},
    {"starttls", " mariadb ", "write 'starttls = mysql'"},
    {"starttls", " managesieve ", "write 'starttls = sieve'"},
    {"starttls", " jabber xmpp-client ", "write 'starttls = xmpp'"},
    {"send_proxy", " yes on true 2 ", "write 'send_proxy = v2', or v1 for its text"},
    {"send_proxy", " 1 ", "write 'send_proxy = v1'"},
    {"send_proxy", " no none false 0 ", "write 'send_proxy = off'"},
    {"raw_key", " yes on true 1 ",
     "with 'offer' the server may send a certificate too, with 'require' a raw public key only"},
    {"raw_key", " off none false 0 ", "write 'raw_key = no'"},
    {"tls_min", " TLSv1.2 TLS1.2 TLSv1_2 tls_1.2 12 ", "write 'tls_min = 1.2'"},
    {"tls_min", " TLSv1.3 TLS1.3 TLSv1_3 tls_1.3 13 ", "write 'tls_min = 1.3'"},
    {"tls_max", " TLSv1.2 TLS1.2 TLSv1_2 tls_1.2 12 ", "write 'tls_max = 1.2'"},
    {"tls_max", " TLSv1.3 TLS1.3 TLSv1_3 tls_1.3 13 ", "write 'tls_max = 1.3'"},
    {"family", " 4 inet ip4 IPv4only v4 ", "write 'family = ipv4'"},
    {"family", " 6 inet6 ip6 IPv6only v6 ", "write 'family = ipv6'"},
    {"log_level", " warn ", "write 'log_level = warning'"},
    {"log_level", " err crit alert emerg ", "write 'log_level = error'"},
};

/* Compares two names up to a blank in the first. Case, '-' and '_' make no difference. */
static bool is_same_key(const char *a, const char *b)
{
    for (; *a && *a != ' ' && *b; a++, b++) {
        const int x = *a == '-' ? '_' : tolower((unsigned char)*a);
        const int y = *b == '-' ? '_' : tolower((unsigned char)*b);

        if (x != y)
            return false;
    }
    return (*a == '\0' || *a == ' ') && *b == '\0';
}

const char *foreign_key(const char *key)
{
    size_t i;

    for (i = 0; i < COUNT_OF(keys); i++)
        if (is_same_key(key, keys[i].theirs))
            return keys[i].advice;
    return NULL;
}

/* Returns true if a word is in a list of words between blanks. */
static bool is_listed(const char *list, const char *word)
{
    const size_t n = strlen(word);
    const char *p;

    if (n == 0 || strchr(word, ' '))
        return false;
    for (p = list; (p = strcasestr(p, word)); p++)
        if (p[-1] == ' ' && p[n] == ' ')
            return true;
    return false;
}

const char *foreign_value(const char *key, const char *value)
{
    size_t i;

    for (i = 0; i < COUNT_OF(values); i++)
        if (strcmp(key, values[i].key) == 0 && is_listed(values[i].values, value))
            return values[i].advice;
    return NULL;
}

static bool starts_with_word(const char *text, const char *prefix)
{
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

/* Returns true if a text is only base64 of 32 bytes, with or without its padding. */
static bool is_base64_digest(const char *text)
{
    const size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789+/-_");

    return n == 43 && (text[n] == '\0' || strcmp(text + n, "=") == 0);
}

/* Returns true if a text is 64 hex digits, with or without colons or blanks between them. */
static bool is_hex_digest(const char *text)
{
    size_t digits = 0;

    for (; *text; text++) {
        if (isxdigit((unsigned char)*text))
            digits++;
        else if (!strchr(": ", *text))
            return false;
    }
    return digits == 64;
}

const char *foreign_pin(const char *value)
{
    static const char key[] = "expected sha256//BASE64 for a key's digest: two slashes, no quotes";
    static const char cert[] = "expected cert:sha256:HEX for a certificate's fingerprint";
    static const char *const key_prefixes[] = {"pin-sha256", "pin-sha-256", "sha256/", "sha-256/",
                                               "\"sha256",   "'sha256",     "spki"};
    const char *text = value;
    size_t i;

    if (is_base64_digest(value))
        return key;
    if (is_hex_digest(value))
        return cert;
    /* as openssl x509 -fingerprint prints it, "SHA256 Fingerprint=" or "sha256 Fingerprint=" */
    if (strcasestr(value, "fingerprint"))
        return cert;
    if (starts_with_word(text, "sha256:") || starts_with_word(text, "sha-256:")) {
        text = strchr(text, ':') + 1;
        return is_hex_digest(text) ? cert : key;
    }
    for (i = 0; i < COUNT_OF(key_prefixes); i++)
        if (starts_with_word(text, key_prefixes[i]))
            return key;
    if (starts_with_word(text, "-----BEGIN"))
        return "expected cert:FILE or key:FILE: write the PEM block to a file";
    if (strchr(text, '/') || strcasestr(text, ".pem") || strcasestr(text, ".crt")
        || strcasestr(text, ".cer") || strcasestr(text, ".der") || strcasestr(text, ".pub"))
        return "expected cert:FILE for a certificate, key:FILE for its key";
    return NULL;
}

const char *foreign_character(const char *value)
{
    static const struct {
        const char *bytes; /* UTF-8 */
        const char *name;
    } characters[] = {
        {"\u00a0", "a no-break space (U+00A0)"},    {"\u200b", "a zero-width space (U+200B)"},
        {"\ufeff", "a byte order mark (U+FEFF)"},   {"\u201c", "a typographic quote (U+201C)"},
        {"\u201d", "a typographic quote (U+201D)"}, {"\u201e", "a typographic quote (U+201E)"},
        {"\u2018", "a typographic quote (U+2018)"}, {"\u2019", "a typographic quote (U+2019)"},
    };
    const size_t len = strlen(value);
    size_t i, n;

    if (len == 0 || (isascii(value[0]) && isascii(value[len - 1])))
        return NULL;
    for (i = 0; i < COUNT_OF(characters); i++) {
        n = strlen(characters[i].bytes);
        if (len >= n
            && (memcmp(value, characters[i].bytes, n) == 0
                || memcmp(value + len - n, characters[i].bytes, n) == 0))
            return characters[i].name;
    }
    return NULL;
}

bool foreign_comment(const char *comment, const char *words)
{
    size_t n;

    comment += strspn(comment, "; \t");
    for (; *words; words += n + strspn(words + n, " ")) {
        n = strcspn(words, " ");
        if (strncasecmp(comment, words, n) == 0)
            return true;
    }
    return false;
}

const char *foreign_host(const char *text)
{
    const char *colon = strchr(text, ':');

    if (strstr(text, "://"))
        return "is a URL: write the host's name alone, and a port as 'port = N'";
    if (strchr(text, '/'))
        return "has a path: write the host's name alone";
    if (strchr(text, '@'))
        return "has a user: write the host's name alone";
    if (text[0] == '[' && text[strlen(text) - 1] == ']')
        return "has brackets: write an IPv6 address without them here";
    if (text[0] == '[' || (colon && strchr(colon + 1, ':')))
        return NULL; /* an IPv6 literal, perhaps a wrong one */
    if (colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1))
        return "has a port: write the host's name alone, and 'port = N' on another line";
    return NULL;
}

/* Returns true if a text ends in a colon and a number. */
static bool ends_in_port(const char *text)
{
    const char *colon = strrchr(text, ':');

    return colon && colon[1] && strspn(colon + 1, "0123456789") == strlen(colon + 1);
}

/* Returns true if a text begins with a word, which the text or a colon ends. */
static bool has_scheme(const char *text, const char *word)
{
    const char last = word[strlen(word) - 1], *rest = text + strlen(word);

    return starts_with_word(text, word)
           && (last == '/' || last == '|' || *rest == '\0' || *rest == ':');
}

const char *foreign_via(const char *text)
{
    static const char socks[] = "for a SOCKS proxy write socks5://HOST:PORT; the proxy resolves "
                                "the name, and no other version is supported";
    static const char no_tls[] = "TLS is always used: leave this line out, or write tcp";
    static const char plain[] = "leave this line out, or write tcp";
    static const struct {
        const char *word;
        const char *advice;
    } rows[] = {
        {"https", "for a proxy that speaks TLS write section:NAME, and a section NAME for it"},
        {"socks", socks},
        {"socks4", socks},
        {"socks4a", socks},
        {"socks5", socks},
        {"socks5h", socks},
        {"http", "for an HTTP proxy write http://HOST:PORT"},
        {"connect", "for an HTTP proxy write http://HOST:PORT"},
        {"tls", no_tls},
        {"ssl", no_tls},
        {"tcp", "write tcp alone: the server is set with 'host' and 'port', or with 'address'"},
        {"none", plain},
        {"off", plain},
        {"direct", plain},
        {"/", "write unix:PATH for a Unix socket, serial:DEVICE for a serial line"},
        {"unix", "write unix:PATH for a Unix socket"},
        {"|", "for a program write exec:COMMAND"},
    };
    size_t i;

    for (i = 0; i < COUNT_OF(rows); i++)
        if (has_scheme(text, rows[i].word))
            return rows[i].advice;
    if (strchr(text, ' '))
        return "for a program write exec:COMMAND";
    if (ends_in_port(text))
        return "for a proxy write http://HOST:PORT or socks5://HOST:PORT";
    return NULL;
}
