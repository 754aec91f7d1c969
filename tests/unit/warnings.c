/* pinproxyd/warnings: what ends soon is logged, with its dates, and nothing else is. */
#include "pinproxyd/warnings.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "certs.h"
#include "config/loader.h"
#include "help.h"

#define PIN "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="
#define DAY INT64_C(86400)
#define HOUR INT64_C(3600)

static struct snapshot *make(const char *text)
{
    struct diag_list diags = {0};
    struct config *c = config_parse(temp_path("test.conf"), text, strlen(text), &diags);
    struct snapshot *s;

    diag_print(&diags, stderr);
    assert_int_equal(diags.count, 0);
    s = snapshot_new(c, NULL, &diags);
    diag_print(&diags, stderr);
    assert_non_null(s);
    return s;
}

/*
 * Returns what is logged at that time. The caller frees it. Only the first ten lines of a section
 * are written at once (log.h), so a test with more has several sections.
 */
static char *log_at(const struct snapshot *s, int64_t now)
{
    capture_start();
    warnings_log(s, now);
    return capture_end();
}

static size_t lines_of(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void assert_logged(const struct snapshot *s, int64_t now, const char *part)
{
    char *text = log_at(s, now);

    assert_int_equal(lines_of(text), 1);
    assert_contains(text, "level=warning event=pin_expiring section=");
    assert_contains(text, s->sections[0].config->name);
    assert_contains(text, part);
    free(text);
}

static void assert_silent(const struct snapshot *s, int64_t now)
{
    char *text = log_at(s, now);

    assert_string_equal(text, "");
    free(text);
}

/* Returns a snapshot whose one section has trusted a server with a certificate of this life. */
static struct snapshot *make_with_server(int days)
{
    struct cert c = certs_make(&(struct cert_order){.cn = "Short", .from = 0, .to = days});
    char *text = xasprintf("[days-%d.example]\npin = " PIN "\n", days);
    struct snapshot *s = make(text);

    free(text);
    stats_opened(s->sections[0].stats, PIN, c.x509);
    return s;
}

/* 2027-02-20 is 36 days after CERTS_NOW, which is at 8 in the morning. */
static void a_pin_is_logged_in_three_stages(void **state)
{
    struct snapshot *s = make("[pin.example]\npin = " PIN " until=2027-02-20 name=old\n");
    const int64_t until = CERTS_NOW + 36 * DAY - 8 * HOUR;

    (void)state;
    assert_silent(s, CERTS_NOW);
    assert_silent(s, until - 30 * DAY);
    assert_logged(s, until - 30 * DAY + 1,
                  "what=pin pin=old until=2027-02-20 days=29 within=30 stage=first "
                  "detail=\"this pin ends in 29 days\"");
    assert_logged(s, until - 7 * DAY, "days=7 within=30 stage=first");
    assert_logged(s, until - 7 * DAY + 1, "days=6 within=7 stage=second");
    assert_logged(s, until - DAY, "days=1 within=7 stage=second");
    assert_logged(s, until - 2 * HOUR,
                  "days=0 within=1 stage=last detail=\"this pin ends in 2 hours\"");
    assert_logged(s, until, "days=0 within=1 stage=last detail=\"this pin is no longer accepted");
    assert_logged(s, until + 1, "days=-1 within=1 stage=last detail=\"this pin is no longer");
    snapshot_release(s);
}

static void a_pin_without_a_date_is_not_logged(void **state)
{
    struct snapshot *s = make("[a.example]\npin = " PIN "\n");

    (void)state;
    assert_silent(s, CERTS_NOW);
    assert_silent(s, CERTS_NOW + 100 * 365 * DAY);
    snapshot_release(s);
}

static void a_certificate_is_logged_by_days_or_by_the_share_of_its_life(void **state)
{
    static const struct {
        int days;
        int64_t left; /* when the first stage begins */
        const char *first, *second, *last;
    } rows[] = {
        {6, 2 * DAY, "days=1 within=2 stage=first", "days=0 within=1 stage=second",
         "days=0 within=1 stage=last"},
        {47, 376 * HOUR, "days=15 within=16 stage=first", "days=6 within=7 stage=second",
         "days=0 within=1 stage=last"},
        {398, 30 * DAY, "days=29 within=30 stage=first", "days=6 within=7 stage=second",
         "days=0 within=1 stage=last"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < COUNT(rows); i++) {
        struct snapshot *s = make_with_server(rows[i].days);
        const int64_t life = rows[i].days * DAY, end = CERTS_NOW + life;
        const int64_t second = life / 6 < 7 * DAY ? life / 6 : 7 * DAY;
        const int64_t last = life / 12 < DAY ? life / 12 : DAY;

        assert_silent(s, CERTS_NOW - DAY);
        assert_silent(s, CERTS_NOW);
        assert_silent(s, CERTS_NOW + life / 2);
        assert_silent(s, end - rows[i].left);
        assert_logged(s, end - rows[i].left + 1,
                      "what=certificate subject=\"CN=Short\" not_after=");
        assert_logged(s, end - rows[i].left + 1, rows[i].first);
        assert_logged(s, end - second + 1, rows[i].second);
        assert_logged(s, end - last + 1, rows[i].last);
        assert_logged(s, end - 1, "detail=\"the server's certificate ends in 1 second\"");
        assert_logged(s, end, "detail=\"the server's certificate has expired\"");
        snapshot_release(s);
    }
}

static void a_certificate_that_ends_before_it_starts_is_logged_by_days(void **state)
{
    struct snapshot *s = make("[absurd.example]\npin = " PIN "\n");
    struct cert c = certs_make(&(struct cert_order){.cn = "Absurd", .from = 50, .to = 40});

    (void)state;
    stats_opened(s->sections[0].stats, PIN, c.x509);
    assert_silent(s, CERTS_NOW);
    assert_logged(s, CERTS_NOW + 39 * DAY + 1, "days=0 within=1 stage=last");
    assert_logged(s, CERTS_NOW + 45 * DAY, "has expired");
    snapshot_release(s);
}

static void a_revocation_list_is_logged_before_its_next_update(void **state)
{
    struct cert ca = certs_ca("Our CA");
    const char *ca_file = temp_text("ca.pem", certs_pem(ca.x509)), *lists;
    const int64_t end = CERTS_NOW + 9 * DAY;
    struct snapshot *s;
    char *text;

    (void)state;
    lists = temp_text("ca.crl", certs_crl_pem(certs_crl(&(struct crl_order){
                                    .ca = &ca, .this_update = CERTS_NOW, .next_update = end})));
    text = xasprintf("[crl.example]\nverify = pki\nca_file = %s\ncrl_file = %s\n", ca_file, lists);
    s = make(text);
    free(text);
    assert_silent(s, CERTS_NOW);
    assert_silent(s, end - 3 * DAY);
    assert_logged(s, end - 3 * DAY + 1, "what=crl issuer=\"CN=Our CA\" file=");
    assert_logged(s, end - 3 * DAY + 1, "next_update=2027-01-24 days=2 within=3 stage=first ");
    assert_logged(s, end - 3 * DAY + 1, "detail=\"the revocation list ends in 2 days\"");
    assert_logged(s, end - 36 * HOUR + 1, "days=1 within=2 stage=second");
    assert_logged(s, end - 18 * HOUR + 1, "days=0 within=1 stage=last");
    assert_logged(s, end, "the revocation list has expired");
    snapshot_release(s);
}

/* A list that another section has, or that a section has no use for, is not its own. */
static void sections_without_lists_are_not_logged(void **state)
{
    struct cert ca = certs_ca("Our CA");
    const char *ca_file = temp_text("ca.pem", certs_pem(ca.x509)), *lists;
    struct snapshot *s;
    char *text;

    (void)state;
    lists = temp_text("ca.crl",
                      certs_crl_pem(certs_crl(&(struct crl_order){
                          .ca = &ca, .this_update = CERTS_NOW, .next_update = CERTS_NOW + DAY})));
    text = xasprintf("[a.example]\nverify = pki\nca_file = %s\ncrl_file = %s\n"
                     "[b.example]\nverify = pki\nca_file = %s\n"
                     "[c.example]\npin = " PIN "\n",
                     ca_file, lists, ca_file);
    s = make(text);
    free(text);
    assert_logged(s, CERTS_NOW + DAY, "what=crl");
    snapshot_release(s);
}

static void each_section_is_logged(void **state)
{
    struct snapshot *s = make("[a.example]\npin = " PIN " until=2027-01-20\n"
                              "[b.example]\npin = " PIN " until=2027-01-20\n"
                              "[c.example]\npin = " PIN "\n");
    char *text = log_at(s, CERTS_NOW);

    (void)state;
    assert_int_equal(lines_of(text), 2);
    assert_contains(text, "section=a.example");
    assert_contains(text, "section=b.example");
    free(text);
    snapshot_release(s);
}

static void report_mode_is_logged_until_its_date(void **state)
{
    struct snapshot *s = make("[a.example]\nverify = pin+pki\npin = " PIN "\n"
                              "enforce = report until=2027-01-20\n");
    char *text = log_at(s, CERTS_NOW);

    (void)state;
    assert_int_equal(lines_of(text), 1);
    assert_contains(text, "level=warning event=report_mode section=a.example until=2027-01-20");
    free(text);
    assert_silent(s, CERTS_NOW + 5 * DAY);
    snapshot_release(s);
}

static void a_slow_key_exchange_is_logged_and_printed(void **state)
{
    struct snapshot *s = make("[a.example]\ngroups = ffdhe2048\npin = " PIN "\n"
                              "[b.example]\npin = " PIN "\n");
    char *text = log_at(s, CERTS_NOW), *printed;

    (void)state;
    assert_int_equal(lines_of(text), 1);
    assert_contains(text, "level=warning event=slow_key_exchange section=a.example");
    free(text);
    capture_start();
    warnings_print(s, stderr);
    printed = capture_end();
    assert_int_equal(lines_of(printed), 1);
    assert_contains(printed, "warning: [a.example]: ");
    free(printed);
    snapshot_release(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pin_is_logged_in_three_stages),
        cmocka_unit_test(a_pin_without_a_date_is_not_logged),
        cmocka_unit_test(a_certificate_is_logged_by_days_or_by_the_share_of_its_life),
        cmocka_unit_test(a_certificate_that_ends_before_it_starts_is_logged_by_days),
        cmocka_unit_test(a_revocation_list_is_logged_before_its_next_update),
        cmocka_unit_test(sections_without_lists_are_not_logged),
        cmocka_unit_test(each_section_is_logged),
        cmocka_unit_test(report_mode_is_logged_until_its_date),
        cmocka_unit_test(a_slow_key_exchange_is_logged_and_printed),
    };

    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
