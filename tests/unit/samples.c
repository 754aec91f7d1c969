#include "samples.h"

#include <string.h>

#include "help.h"

#define PIN "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="

static const struct {
    const char *option;
    const char *value; /* NULL: there is only the default so far */
} samples[] = {
    {"workers", "3"},
    {"user", "root"},
    {"group", "root"},
    {"log_level", "debug"},
    {"log_format", "json"},
    {"state_dir", "/state"},
    {"max_connections", "7"},
    {"drain_timeout", "7s"},
    {"remote_clients", "yes"},
    {"host", "other.example"},
    {"port", "8443"},
    {"address", "192.0.2.1:443"},
    {"family", "ipv6"},
    {"bind", "127.0.0.2"},
    {"send_proxy", "v2"},
    {"starttls", "smtp"},
    {"via", "http://proxy.example:3128"},
    {"warm", "2"},
    {"warm_lifetime", "7s"},
    {"listen", "127.0.0.1:0"},
    {"client", "postgres"},
    {"verify", "pin+pki"},
    {"pin", PIN},
    {"revoked", PIN},
    {"also_check", "dates"},
    {"enforce", "report"},
    {"on_pin_removed", "close"},
    {"pins_url", "/pins"},
    {"ca_file", "/ca.pem"},
    {"ca_dir", "/ca"},
    {"crl_file", "/list.crl"},
    {"ocsp", "staple"},
    {"verify_name", "name.example"},
    {"raw_key", "offer"},
    {"sni", "sni.example"},
    {"tls_min", "1.3"},
    {"tls_max", "1.3"},
    {"ciphers", "ECDHE+AESGCM"},
    {"ciphersuites", "TLS_AES_256_GCM_SHA384"},
    {"groups", "X25519:P-256"},
    {"sigalgs", "ECDSA+SHA256:RSA-PSS+SHA256"},
    {"alpn", "h2"},
    {"resume", "yes"},
    {"truncation", "allow"},
    {"client_cert", "/me.pem"},
    {"client_key", "pkcs11:token=mine"},
    {"client_key_password", "file:/password"},
    {"connect_timeout", "7s"},
    {"handshake_timeout", "7s"},
    {"idle_timeout", "7s"},
    {"half_close_timeout", "7s"},
    {"max_lifetime", "7s"},
    {"dns_ttl", "7s"},
    {"keepalive", "7s"},
};

bool sample_set(const struct option_row *o, void *target, struct arena *arena)
{
    const struct value_context ctx = {.arena = arena, .where = {"sample", 1}};
    const char *why;
    size_t i;

    for (i = 0; i < COUNT(samples); i++) {
        if (strcmp(samples[i].option, o->name) != 0)
            continue;
        if (!samples[i].value)
            return false;
        why = options_set(o, target, &ctx, samples[i].value);
        if (why)
            fail_msg("%s", why);
        return true;
    }
    fail_msg("%s has no value in samples.c", o->name);
    return false;
}
