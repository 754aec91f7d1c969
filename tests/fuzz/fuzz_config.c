/*
 * The configuration reader takes any bytes. Either it finds a problem, or every section is one that
 * may be run: nothing that SPEC refuses gets through.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hostname.h"
#include "config/loader.h"
#include "harmless.h"

#define LONGEST INT64_C(315360000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok)
        abort();
}

static void need_duration(int64_t ms)
{
    need(ms >= 0 && ms <= LONGEST);
}

static void check_pins(const struct config_section *s)
{
    static const uint8_t zero[CERT_DIGEST_SIZE];
    size_t i, j;

    need(s->pins.count == 0 || s->verify != VERIFY_PKI);
    need(s->pins.count > 0 || (s->verify != VERIFY_PIN && s->verify != VERIFY_PIN_PKI));
    for (i = 0; i < s->pins.count; i++) {
        const struct pin *pin = &s->pins.items[i];

        need(pin->kind == PIN_KEY || pin->kind == PIN_CERT);
        need(memcmp(pin->digest, zero, sizeof(zero)) != 0);
        need(*pin_label(pin) != '\0');
        for (j = 0; j < i; j++)
            need(pin->kind != s->pins.items[j].kind
                 || memcmp(pin->digest, s->pins.items[j].digest, CERT_DIGEST_SIZE) != 0);
    }
    for (i = 0; i < s->revoked.count; i++) {
        need(s->revoked.items[i].kind == PIN_KEY && s->revoked.items[i].until == 0);
        for (j = 0; j < i; j++)
            need(!pin_equal(&s->revoked.items[i], &s->revoked.items[j]));
    }
}

static void check_section(const struct config *c, size_t index)
{
    const struct config_section *s = c->sections[index];
    size_t i;

    need(s->name && *s->name && config_find(c, s->name) == index);
    need(index == 0 || hostname_compare(c->sections[index - 1]->name, s->name) < 0);
    need(hostname_check(s->host) == NULL && hostname_check(s->verify_name) == NULL);
    need(s->host[strlen(s->host) - 1] != '.' && s->verify_name[strlen(s->verify_name) - 1] != '.');
    need(!s->sni || (hostname_check(s->sni) == NULL && !hostname_is_ip(s->sni)));
    need(s->port >= 1 && s->port <= 65535);
    need(s->bind.len == 0 || s->bind.sa.sa_family == AF_INET || s->bind.sa.sa_family == AF_INET6);
    need(s->family >= FAMILY_ANY && s->family <= FAMILY_IPV6);
    need(s->verify >= VERIFY_PIN && s->verify <= VERIFY_TOFU_PKI);
    need(s->tls.min >= CONFIG_TLS_1_2 && s->tls.min <= CONFIG_TLS_1_3);
    need(s->tls.max == CONFIG_TLS_ANY
         || (s->tls.max >= s->tls.min && s->tls.max <= CONFIG_TLS_1_3));
    need(s->truncation == TRUNCATION_RESET || s->truncation == TRUNCATION_ALLOW);
    need((s->also_check & ~(unsigned)(ALSO_CHECK_NAME | ALSO_CHECK_DATES)) == 0);
    need(s->max_connections >= 0);
    need_duration(s->keepalive);
    need_duration(s->connect_timeout);
    need_duration(s->handshake_timeout);
    need(s->connect_timeout > 0 && s->handshake_timeout > 0);
    need(!strchr(s->verify_name, '%'));
    need_duration(s->idle_timeout);
    need_duration(s->half_close_timeout);
    need_duration(s->dns_ttl);
    check_pins(s);
    for (i = 0; i < s->listen.count; i++) {
        const struct config_listen *l = &s->listen.items[i];

        need(l->addr.len > 0 && l->mode >= -1 && l->mode <= 0777);
        need(c->global.remote_clients || addr_is_loopback(&l->addr));
    }
    for (i = 0; i < s->address.count; i++)
        need(hostname_check(s->address.items[i].host) == NULL);
    for (i = 0; i < s->alpn.count; i++)
        need(strlen(s->alpn.items[i].text) >= 1 && strlen(s->alpn.items[i].text) <= 255);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    struct diag_list diags = {0};
    struct config *config;
    char *text = harmless_copy(data, size), *exact = malloc(size ? size : 1);
    size_t i;

    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    need(exact && nowhere);
    memcpy(exact, text, size); /* without the NUL, so that a byte too far is seen */
    free(text);
    config = config_parse(HARMLESS_DIR "/fuzz.conf", exact, size, &diags);
    free(exact);
    need(config != NULL);
    need(config->global.workers >= 0 && config->global.workers <= 256);
    need(config->count > 0 || diags.count > 0);
    diag_print(&diags, nowhere);
    for (i = 0; i < config->count && diags.count == 0; i++)
        check_section(config, i);
    config_free(config);
    diag_free(&diags);
    return 0;
}
