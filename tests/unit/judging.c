#include "judging.h"

#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/loader.h"
#include "learned/learned.h"
#include "learning.h"
#include "trust/anchors.h"
#include "trust/peerchain.h"

struct cert ca, other_ca, sub, leaf, by_sub, by_other, twin;
EVP_PKEY *weak_key;
struct anchors *stores;

int judging_setup(void **state)
{
    (void)state;
    ca = certs_ca("Example CA");
    other_ca = certs_ca("Other CA");
    sub = certs_make(&(struct cert_order){.cn = "Sub CA", .ca = true, .issuer = &ca});
    leaf = certs_leaf("DNS:api.example.com", &ca);
    by_sub = certs_leaf("DNS:api.example.com", &sub);
    by_other = certs_leaf("DNS:api.example.com", &other_ca);
    twin = certs_leaf("DNS:api.example.com", NULL);
    weak_key = certs_rsa_key(1024);
    stores = anchors_new();
    temp_text("ca.pem", certs_pem(ca.x509));
    return 0;
}

int judging_teardown(void **state)
{
    (void)state;
    anchors_free(stores);
    return 0;
}

void open_bench(struct bench *b, struct learned *learned, const char *format, ...)
{
    struct diag_list diags = {0};
    char lines[2048], text[4096];
    va_list ap;

    memset(b, 0, sizeof(*b));
    va_start(ap, format);
    vsnprintf(lines, sizeof(lines), format, ap);
    va_end(ap);
    snprintf(text, sizeof(text), "[api.example.com]\n%s\n", lines);
    b->config = take(text);
    b->policy = policy_new(b->config->sections[0], stores, learned, &diags);
    if (!b->policy)
        fail_msg("%s\n%s", text, diags.items[0].text);
    diag_free(&diags);
}

void close_bench(struct bench *b)
{
    trust_verdict_free(&b->verdict);
    policy_free(b->policy);
    config_free(b->config);
}

enum reason judge_presented(struct bench *b, int64_t now, const struct presented *p)
{
    struct trust_evidence e = {.leaf = p->leaf->x509, .sent = sk_X509_new_null(), .complete = true};
    struct trust_verdict *v = &b->verdict;
    size_t i;

    sk_X509_push(e.sent, p->leaf->x509);
    for (i = 0; i < COUNT(p->more); i++)
        if (p->more[i])
            sk_X509_push(e.sent, p->more[i]->x509);
    trust_verdict_free(v);
    trust_judge(b->policy, &e, now, v);
    sk_X509_free(e.sent);
    assert_int_equal(v->trusted, v->reason == REASON_OK);
    assert_int_equal(v->trusted, v->x509_error == X509_V_OK);
    assert_true(peerchain_starts_with(v, p->leaf->x509));
    if (!v->trusted)
        assert_null(v->pin);
    return v->reason;
}

enum reason judge_at(struct bench *b, int64_t now, const struct cert *server,
                     const struct cert *second, const struct cert *third)
{
    return judge_presented(b, now, &(struct presented){server, {second, third}});
}

enum reason judge(struct bench *b, const struct cert *server, const struct cert *second,
                  const struct cert *third)
{
    return judge_at(b, NOW, server, second, third);
}

void expect_at(const char *lines, const struct presented *p, int64_t now, enum reason want)
{
    struct bench b;

    open_bench(&b, NULL, "%s", lines);
    if (judge_presented(&b, now, p) != want)
        fail_msg("%s\nwant %s, got %s: %s", lines, reason_name(want), reason_name(b.verdict.reason),
                 b.verdict.detail);
    close_bench(&b);
}

void expect(const char *lines, const struct cert *c, enum reason want)
{
    expect_at(lines, &(struct presented){.leaf = c}, NOW, want);
}

const char *pin(const struct cert *c)
{
    static char texts[8][80];
    static unsigned next;
    char *out = texts[next++ % 8];

    snprintf(out, sizeof(texts[0]), "pin = %s\n", certs_key_pin(c));
    return out;
}

const char *keys(const char *format, ...)
{
    static char text[2048];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    return text;
}

const char *write_anchor(const struct cert *c)
{
    static char name[64];
    static unsigned next;

    snprintf(name, sizeof(name), "anchor%u.pem", next++);
    temp_text(name, certs_pem(c->x509));
    return name;
}

struct learned *new_store(const char *name)
{
    char *why = NULL;
    struct learned *l = learned_open(temp_path("%s", name), true, LEARNEDDIR_OWNER, &why);

    if (!l)
        fail_msg("%s", why);
    return l;
}

void announce_twin(struct learned *l, int64_t until)
{
    struct learned_via via = {.known = true, .role = PIN_SERVER, .kind = PIN_KEY};
    uint8_t digest[CERT_DIGEST_SIZE];
    struct learned_key key;

    assert_true(cert_key_digest(twin.x509, digest));
    assert_true(cert_key_digest(leaf.x509, via.digest));
    assert_true(learnedkey_init(&key, "api.example.com", "api.example.com:443", digest, NOW));
    learn_announced(l, &key, &via, until);
}
