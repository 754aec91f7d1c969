"""pins_url: keys that a host announces over a pinned connection."""

import re

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_not_sent, assert_nothing_sent, assert_refused
from harness.certs import NAME, OTHER, day
from harness.config import ini, to
from harness.daemon import run_pinproxyd
from harness.learned import DAY, FROM_URL, PLACE, Announcer, http_response, pkp, tofu, with_pins_url
from harness.servers import closed_port
from harness.waiting import wait_steady, wait_until

HEAD = b"HTTP/1.1 200 OK\r\n"


def wait_learned(daemon, pin, since=0, section=NAME):
    return daemon.wait_event(since=since, pin=pin, section=section, **FROM_URL)


def wait_failed(daemon, section=NAME):
    event = daemon.wait_event(event="pins_url_failed", section=section)
    assert event["level"] == "warning" and event["detail"]
    return event


def nothing_taken(daemon, state):
    daemon.stop()
    assert state.keys() == [] and not daemon.events(event="learned")


# What is taken over.

@pytest.mark.valgrind
def test_an_announced_backup_is_learned_and_then_accepted(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    learned = wait_learned(daemon, backup.pin)
    assert learned["level"] == "notice"
    key, = [key for key in state.keys() if key.pin == backup.pin]
    assert key == (NAME, PLACE, backup.pin, day(0), "pins_url", day(30), False, announcer.cert.pin)
    assert_accepted(daemon)
    announcer.use(backup)
    assert assert_accepted(daemon)["pin"] == backup.pin
    assert len(daemon.events(event="learned", pin=backup.pin)) == 1


def test_other_keys_are_still_refused(state, pinproxyd, announcer, backup, tmp_path):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    wait_learned(daemon, backup.pin)
    announcer.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "pin_mismatch")
    assert_not_sent(announcer)


@pytest.mark.parametrize("options, host", [
    ({}, NAME), ({"port": 8443}, f"{NAME}:8443"), ({"host": "real.test"}, "real.test"),
    ({"host": "::1"}, "[::1]"), ({"host": "::1", "port": 80}, "[::1]:80"), ({"host": "::1%lo"}, "[::1]"),
    ({"host": "::1%lo", "port": 80}, "[::1]:80"),
], ids=["443", "port", "host", "ipv6", "ipv6_port", "zone", "zone_port"])
def test_the_request_names_the_host_and_the_path(options, host, state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pins_url="/.well-known/pins?a=1&b=%20", **options)}))
    wait_learned(daemon, backup.pin)
    line, *fields = announcer.behave.requests[0].removesuffix("\r\n\r\n").split("\r\n")
    assert line == "GET /.well-known/pins?a=1&b=%20 HTTP/1.1"
    fields = dict(field.lower().split(": ", 1) for field in fields)
    assert (fields["host"], fields["connection"]) == (host, "close")


@pytest.mark.parametrize("max_age, until", [
    (10 * DAY, 10), (59 * DAY, 59), (60 * DAY, 60), (365 * DAY, 60), (2**31, 60), (10**19 * 2, 60),
])
def test_max_age_and_sixty_days_limit_announced_pins(max_age, until, state, pinproxyd, announcer, backup):
    announcer.behave.announce(announcer.cert.pin, backup.pin, max_age=max_age)
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    wait_learned(daemon, backup.pin)
    assert {key.until for key in state.keys()} == {day(until)}


@pytest.mark.parametrize("written", [
    lambda a, b: http_response(f"Public-Key-Pins: {pkp(a, b)}; includeSubDomains; report-uri=\"http://a.test/?x=;\""),
    lambda a, b: http_response(f"public-key-PINS:{pkp(a, b)}   "),
    lambda a, b: http_response(f"Public-Key-Pins: MAX-AGE=\"864000\" ;;pin-sha256=\"{a[8:]}\" ; PIN-SHA256=\"{b[8:]}\";"),
    lambda a, b: http_response(f"Public-Key-Pins: pin-sha1=\"2jmj7l5rSw0yVb/vlWAYkK/YBwk=\"; future=\"x\"; {pkp(a, b)}"),
    lambda a, b: http_response("Public-Key-Pins-Report-Only: max-age=1", f"Public-Key-Pins: {pkp(a, b)}"),
    lambda a, b: http_response(f"Public-Key-Pins: {pkp(a, b)}", f"Public-Key-Pins: {pkp(a, OTHER)}"),
    lambda a, b: http_response(f"Public-Key-Pins: {pkp(b, a, b)}"),
    lambda a, b: b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + http_response(f"Public-Key-Pins: {pkp(a, b)}"),
    lambda a, b: b"HTTP/1.0 200 OK\r\n" + f"Public-Key-Pins: {pkp(a, b)}\r\n\r\n".encode(),
    lambda a, b: HEAD + f"Public-Key-Pins: {pkp(a, b)}\r\n\r\n".encode() + b"x" * 300_000,
], ids=["all_directives", "case_and_blanks", "order_quotes_empty_directives", "unknown_directives_and_algorithms",
        "report_only_before_it", "first_field_counts", "pin_twice", "interim_response", "http_1.0", "large_body"])
def test_the_field_is_read_in_each_form_that_the_rfc_permits(written, state, pinproxyd, announcer, backup):
    announcer.behave.answer = written(announcer.cert.pin, backup.pin)
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    wait_learned(daemon, backup.pin)
    assert {key.pin for key in state.keys()} - {announcer.cert.pin} == {backup.pin}


class Trickler(Announcer):
    """Answers byte by byte, and ends TCP without close_notify."""

    def send_answer(self, conn):
        for byte in self.answer:
            conn.send(bytes([byte]))
        conn.truncate()


def test_an_answer_in_single_bytes_is_read(state, pinproxyd, tls_server, backup):
    server = tls_server(Trickler())
    server.behave.announce(server.cert.pin, backup.pin)
    daemon = pinproxyd(state.config({NAME: with_pins_url(server)}))
    wait_learned(daemon, backup.pin)
    daemon.stop()


class Holder(Announcer):
    """Answers, and leaves the connection open."""

    def send_answer(self, conn):
        conn.send(self.answer)
        conn.recv_all()


def test_a_server_that_does_not_close_is_closed(state, pinproxyd, tls_server, backup):
    server = tls_server(Holder())
    server.behave.announce(server.cert.pin, backup.pin)
    daemon = pinproxyd(state.config({NAME: with_pins_url(server)}))
    wait_learned(daemon, backup.pin)
    assert server.wait_done()


@pytest.mark.parametrize("form", ["pin", "cert_pin"])
def test_pins_are_learned_whichever_form_of_pin_matched(form, state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=getattr(announcer.cert, form))}))
    wait_learned(daemon, backup.pin)


def test_announced_pins_do_not_replace_configured_ones(state, pinproxyd, announcer, backup, tmp_path):
    own = certs.self_signed(tmp_path)
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=[announcer.cert.pin, f"{own.pin} name=own"])}))
    wait_learned(daemon, backup.pin)
    announcer.use(own)
    assert assert_accepted(daemon)["pin"] == "own"


def test_an_announced_key_must_pass_the_pki_as_well(state, pinproxyd, tls_server, ca):
    server, backup_key = tls_server(Announcer(), cert=ca.issue()), certs.ec_key()
    good, bad = ca.issue(key=backup_key), certs.self_signed(ca.directory, key=backup_key)
    server.behave.announce(server.cert.pin, good.pin)
    daemon = pinproxyd(state.config({NAME: with_pins_url(server, verify="pin+pki", ca_file=ca.cert.pem_file())}))
    wait_learned(daemon, good.pin)
    server.use(bad)
    assert_refused(daemon, "refused", "pki")
    server.use(good)
    assert assert_accepted(daemon)["pin"] == good.pin
    assert_not_sent(server)


def test_under_tofu_a_restart_asks_with_the_learned_key(state, pinproxyd, announcer, backup, tmp_path):
    config = state.config({NAME: tofu(announcer, pins_url="/pins")})
    daemon = pinproxyd(config)
    assert_accepted(daemon)
    daemon.stop()
    # what the first use may have made it ask for already
    state.write("".join(line for line in state.text().splitlines(True) if "from=pins_url" not in line))
    daemon = pinproxyd(config)
    wait_learned(daemon, backup.pin)
    announcer.use(backup)
    assert assert_accepted(daemon)["pin"] == backup.pin
    announcer.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")
    assert_not_sent(announcer)


def test_under_tofu_the_first_key_is_learned_by_a_client_only(state, pinproxyd, announcer):
    daemon = pinproxyd(state.config({NAME: tofu(announcer, pins_url="/pins")}))
    announcer.wait_done()
    assert state.keys() == [] and not daemon.events(event="learned")
    assert_accepted(daemon)
    assert announcer.cert.pin in [key.pin for key in state.keys() if key.origin == "tofu"]


def test_under_tofu_a_configured_pin_is_enough_to_ask(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: tofu(announcer, pins_url="/pins", pin=announcer.cert.pin)}))
    wait_learned(daemon, backup.pin)
    assert {key.origin for key in state.keys()} == {"pins_url"}


def test_many_sections_learn_at_the_same_time(state, pinproxyd, announcer, backup):
    names = [f"s{i}.test" for i in range(20)]
    daemon = pinproxyd(state.config({name: with_pins_url(announcer) for name in names}))
    for name in names:
        wait_learned(daemon, backup.pin, section=name)
    assert {key.section for key in state.keys() if key.pin == backup.pin} == set(names)


# Later announcements. The daily question is out of a test's reach: another path makes the daemon ask again.

def announce_again(daemon, state, server, *pins, **options):
    """Returns once the daemon has asked for it."""
    server.behave.announce(*pins, **options)
    asked = len(server.behave.requests)
    daemon.reload(state.config({NAME: with_pins_url(server, pin=daemon.first_pin, pins_url="/again")}))
    wait_until(lambda: len(server.behave.requests) > asked, "the second question")


@pytest.fixture
def taught(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    daemon.first_pin = announcer.cert.pin
    wait_learned(daemon, backup.pin)
    return daemon


def test_a_later_announcement_replaces_the_earlier(taught, state, announcer, backup, tmp_path):
    later = certs.self_signed(tmp_path)
    announce_again(taught, state, announcer, announcer.cert.pin, later.pin)
    wait_learned(taught, later.pin)
    assert backup.pin not in [key.pin for key in state.keys()]
    announcer.use(backup)
    assert_refused(taught, "pin_mismatch")
    announcer.use(later)
    assert assert_accepted(taught)["pin"] == later.pin
    assert_not_sent(announcer)


def test_max_age_0_removes_announced_pins(taught, state, announcer, backup):
    announce_again(taught, state, announcer, announcer.cert.pin, backup.pin, max_age=0)
    wait_until(lambda: state.keys() == [], "the announced pins gone")
    announcer.use(backup)
    assert_refused(taught, "pin_mismatch")
    assert_not_sent(announcer)


def test_the_same_announcement_again_is_not_logged(taught, state, announcer, backup):
    state.write(state.text().replace(f" {day(0)} ", " 2026-01-01 ") + "# mine\n")
    announce_again(taught, state, announcer, announcer.cert.pin, backup.pin, max_age=40 * DAY)
    wait_until(lambda: {key.until for key in state.keys()} == {day(40)}, "the later date")
    assert {key.since for key in state.keys()} == {"2026-01-01"} and "# mine\n" in state.text()
    taught.stop()
    assert len(taught.events(event="learned", pin=backup.pin)) == 1


def test_a_bad_announcement_keeps_the_earlier(taught, state, announcer, backup):
    before = state.text()
    announce_again(taught, state, announcer, OTHER, backup.pin)
    wait_failed(taught)
    assert state.text() == before
    announcer.use(backup)
    assert assert_accepted(taught)["pin"] == backup.pin


def test_a_reload_that_changes_nothing_does_not_ask(taught, state, announcer):
    taught.reload()
    assert wait_steady(lambda: len(announcer.behave.requests)) == 1


@pytest.mark.parametrize("changed", [{"pins_url": "/other"}, {"revoked": OTHER}], ids=["pins_url", "trust"])
def test_a_reload_that_changes_the_trust_asks(changed, taught, state, announcer):
    taught.reload(state.config({NAME: with_pins_url(announcer, **changed)}))
    wait_until(lambda: len(announcer.behave.requests) == 2, "the second question")


def test_a_section_that_a_reload_adds_asks(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({"other.test": to(announcer)}))
    daemon.reload(state.config({"other.test": to(announcer), NAME: with_pins_url(announcer)}))
    wait_learned(daemon, backup.pin)


@pytest.mark.threads
def test_reloads_during_requests_keep_the_announced_pins(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    for nth in range(30):
        daemon.reload(state.config({NAME: with_pins_url(announcer, pins_url=f"/{nth}")}))
    wait_until(lambda: any("GET /29 " in request for request in announcer.behave.requests), "the last question")
    announcer.use(backup)
    assert assert_accepted(daemon)["pin"] == backup.pin


@pytest.mark.threads
def test_a_stop_during_requests_learns_nothing(state, pinproxyd, tls_server):
    server = tls_server(Holder())
    server.behave.answer = b"HTTP/1.1 200 OK\r\n"
    daemon = pinproxyd(state.config({f"s{i}.test": with_pins_url(server) for i in range(20)}))
    server.wait_conns(3)
    daemon.stop()
    assert not daemon.events(event="learned")


# What is not taken over.

def field(value):
    return http_response(f"Public-Key-Pins: {value}")


# case: (a word of the event's detail, the answer)
NOT_TAKEN = {
    "no_such_field": ("no Public-Key-Pins", lambda a, b: http_response("Public-Key-Pinned: yes")),
    "report_only": ("no Public-Key-Pins", lambda a, b: http_response(f"Public-Key-Pins-Report-Only: {pkp(a, b)}")),
    "in_the_body": ("no Public-Key-Pins", lambda a, b: http_response(body=f"\r\nPublic-Key-Pins: {pkp(a, b)}\r\n\r\n")),
    "first_field_bad": ("max-age", lambda a, b: http_response("Public-Key-Pins: x", f"Public-Key-Pins: {pkp(a, b)}")),
    "empty_field": ("max-age", lambda a, b: http_response("Public-Key-Pins:")),
    "key_in_use_not_among_them": ("key in use", lambda a, b: field(pkp(OTHER, b))),
    "no_backup": ("backup", lambda a, b: field(pkp(a))),
    "no_backup_but_itself_twice": ("backup", lambda a, b: field(pkp(a, a))),
    "no_pins": ("pin-sha256", lambda a, b: field("max-age=864000")),
    "no_max_age": ("max-age", lambda a, b: field(pkp(a, b).replace("max-age", "maximum"))),
    "max_age_twice": ("max-age", lambda a, b: field(f"{pkp(a, b)}; max-age=864000")),
    "max_age_no_number": ("max-age", lambda a, b: field(pkp(a, b, max_age="1d"))),
    "max_age_negative": ("max-age", lambda a, b: field(pkp(a, b, max_age=-1))),
    "unquoted_pin": ("quotes", lambda a, b: field(f"pin-sha256=abc; {pkp(a, b)}")),
    "blanks_about_the_equals_sign": ("quotes", lambda a, b: field(pkp(a, b).replace("=", " = ", 1))),
    "unended_quote": ("quoted", lambda a, b: field(f"{pkp(a, b)}; x=\"y")),
    "short_pin": ("base64", lambda a, b: field(pkp(a, b, b[:-8]))),
    "no_base64": ("base64", lambda a, b: field(pkp(a, b, "sha256//" + "*" * 44))),
    "spare_bits": ("base64", lambda a, b: field(pkp(a, b, OTHER.replace("hg=", "hh=")))),
    "zero_pin": ("base64", lambda a, b: field(pkp(a, b, "sha256//" + "A" * 43 + "="))),
    "commas": ("';'", lambda a, b: field(pkp(a, b).replace(";", ","))),
    "more_pins_than_taken": ("too many", lambda a, b: field(
        pkp(a, b, *(f"sha256//{'A' * 41}{c}8=" for c in "BCDEFGHIJKLMNOPQRSTUVWXYZ")))),
    "control_byte": ("header", lambda a, b: field(f"{pkp(a, b)}; x=\"\x1b[2J\"")),
    "folded_line": ("header", lambda a, b: field(f"{pkp(a)};\r\n pin-sha256=\"{b[8:]}\"")),
    "no_http": ("HTTP", lambda a, b: b"220 mail.example.com ESMTP ready\r\n" * 4),
    "http_2": ("HTTP", lambda a, b: field(pkp(a, b)).replace(b"/1.1", b"/2")),
    "no_answer": ("broke off", lambda a, b: b""),
    "cut_off": ("broke off", lambda a, b: http_response(f"Public-Key-Pins: {pkp(a, b)}", body="")[:-2]),
    "endless_head": ("too long", lambda a, b: HEAD + b"X: y\r\n" * 20_000),
    "endless_line": ("too long", lambda a, b: HEAD + b"X" * 200_000),
    "endless_interim": ("", lambda a, b: b"HTTP/1.1 100 Continue\r\n\r\n" * 3000),
}


@pytest.mark.parametrize("case", NOT_TAKEN)
@pytest.mark.valgrind
def test_a_bad_announcement_is_not_learned(case, state, pinproxyd, announcer, backup):
    word, answer = NOT_TAKEN[case]
    announcer.behave.answer = answer(announcer.cert.pin, backup.pin)
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    assert word in wait_failed(daemon)["detail"]
    assert "\x1b" not in daemon.log()
    announcer.use(backup)
    assert_refused(daemon, "pin_mismatch")
    nothing_taken(daemon, state)
    assert_not_sent(announcer)


@pytest.mark.slow
def test_a_server_that_never_answers_is_given_up(state, pinproxyd, tls_server):
    server = tls_server(lambda conn: conn.recv_all())
    daemon = pinproxyd(state.config({NAME: with_pins_url(server)}))
    wait_failed(daemon)
    nothing_taken(daemon, state)


def test_report_mode_learns_nothing_from_a_mismatch(state, pinproxyd, tls_server, ca):
    """A mismatch that is only reported is no pinned connection."""
    server = tls_server(Announcer(), cert=ca.issue())
    server.behave.announce(server.cert.pin, OTHER)
    daemon = pinproxyd(state.config({NAME: with_pins_url(
        server, verify="pin+pki", ca_file=ca.cert.pem_file(), enforce="report",
        pin=certs.self_signed(ca.directory).pin)}))
    wait_failed(daemon)
    nothing_taken(daemon, state)


def test_report_mode_learns_from_a_server_that_matches(state, pinproxyd, tls_server, ca):
    server = tls_server(Announcer(), cert=ca.issue())
    server.behave.announce(server.cert.pin, OTHER)
    daemon = pinproxyd(state.config({NAME: with_pins_url(server, verify="pin+pki", ca_file=ca.cert.pem_file(),
                                                enforce="report")}))
    wait_learned(daemon, OTHER)


def test_a_server_with_another_key_is_not_asked(state, pinproxyd, announcer):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=OTHER)}))
    daemon.wait_event(event="pin_mismatch", section=NAME)
    nothing_taken(daemon, state)
    assert announcer.behave.requests == []
    assert_nothing_sent(announcer, b"GET ")


def test_a_revoked_server_is_not_asked(state, pinproxyd, announcer):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, revoked=announcer.cert.pin)}))
    daemon.wait_event(event="refused", reason="revoked", section=NAME)
    nothing_taken(daemon, state)
    assert_nothing_sent(announcer, b"GET ")


def test_a_server_that_cannot_be_reached_is_an_upstream_error(state, pinproxyd, announcer):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, address=f"127.0.0.1:{closed_port()}")}))
    daemon.wait_event(event="upstream_error", reason="connect", section=NAME)
    nothing_taken(daemon, state)


class Spoiler(Announcer):
    """Damages the file between the question and the answer."""

    def send_answer(self, conn):
        self.state.write("damage\n")
        super().send_answer(conn)


def test_a_damaged_file_is_not_overwritten(state, pinproxyd, tls_server, backup):
    server = tls_server(Spoiler())
    server.behave.state = state
    server.behave.announce(server.cert.pin, backup.pin)
    daemon = pinproxyd(state.config({NAME: with_pins_url(server)}))
    assert f"{state.file}:1: " in wait_failed(daemon)["detail"]
    assert state.text() == "damage\n"
    daemon.stop()
    assert not daemon.events(event="learned")


# How long, and where, they count.

def test_a_restart_keeps_announced_pins(state, pinproxyd, announcer, backup):
    """The server changes to the backup while the daemon is down: the administrator's pin matches no more."""
    config = state.config({NAME: with_pins_url(announcer)})
    daemon = pinproxyd(config)
    wait_learned(daemon, backup.pin)
    daemon.stop()
    announcer.use(backup)
    daemon = pinproxyd(config)
    assert assert_accepted(daemon)["pin"] == backup.pin
    wait_until(lambda: len(announcer.behave.requests) == 2, "the second question")
    daemon.stop()
    assert not daemon.events(event="learned", pin=backup.pin)


def test_announced_pins_have_no_effect_without_pins_url(taught, state, announcer, backup):
    taught.reload(state.config({NAME: to(announcer)}))
    assert_accepted(taught)
    announcer.use(backup)
    assert_refused(taught, "pin_mismatch")
    assert_not_sent(announcer)


def test_a_key_revoked_after_its_announcement_is_refused(taught, state, announcer, backup):
    taught.reload(state.config({NAME: with_pins_url(announcer, revoked=backup.pin)}))
    announcer.use(backup)
    assert_refused(taught, "refused", "revoked")
    assert_not_sent(announcer)


@pytest.mark.parametrize("line, counts", [
    (f"{NAME} {PLACE} %s 2026-01-01 from=pins_url until={day(2)} via={OTHER}", True),
    (f"{NAME} {PLACE} %s 2026-01-01 from=pins_url until={day(0)} via={OTHER}", False),
    (f"{NAME} {PLACE} %s 2026-01-01 from=pins_url until={day(-3)} via={OTHER}", False),
    (f"{NAME} {NAME}:444 %s 2026-01-01 from=pins_url until={day(2)} via={OTHER}", False),
    (f"{NAME} elsewhere.test:443 %s 2026-01-01 from=pins_url until={day(2)} via={OTHER}", False),
    (f"other.test {PLACE} %s 2026-01-01 from=pins_url until={day(2)} via={OTHER}", False),
    (f"{NAME} {PLACE} %s 2026-01-01 from=tofu", False),
    (f"{NAME} {PLACE} %s 2026-01-01 from=pins_url until={day(2)}", False),
    (f"{NAME} {PLACE} %s 2026-01-01 from=pins_url until={day(2)} via=issuer:{OTHER}", False),
    (f"{NAME} {PLACE} %s 2026-01-01 from=pins_url until={day(2)} via=cert:sha256:{'ab' * 32}", False),
], ids=["live", "last_day", "over", "another_port", "another_host", "another_section", "from_tofu",
        "via_nothing", "via_an_issuer", "via_another_pin"])
def test_only_a_live_line_with_a_configured_origin_has_an_effect(line, counts, state, pinproxyd, tls_server):
    server = tls_server(Announcer())
    server.behave.answer = http_response()
    state.write(line % server.cert.pin + "\n")
    daemon = pinproxyd(state.config({NAME: with_pins_url(server, pin=OTHER)}))
    if counts:
        assert assert_accepted(daemon)["pin"] == server.cert.pin
        return
    event = daemon.wait_event(event=lambda name: name in ("pin_mismatch", "refused"), section=NAME)
    assert event.get("reason", "expired_pins") == "expired_pins"
    assert_refused(daemon, event["event"])
    assert_not_sent(server)
    assert server.behave.requests == []


# The configuration.

@pytest.mark.parametrize("value", ["pins", "https://server.test/pins", "", "/two words", "/tab\there", "/bell\x07",
                                   "/del\x7f"],
                         ids=["no_slash", "url", "empty", "blank", "tab", "control", "delete"])
def test_a_value_that_is_no_path_is_an_error(value, tmp_path):
    file = tmp_path / "pinproxyd.conf"
    file.write_text(f"[{NAME}]\nlisten = 127.0.0.1:0\npin = {OTHER}\npins_url = {value}\n")
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78, run.err
    assert re.search(rf"{re.escape(str(file))}:\d+: .*(pins_url|path|/)", run.err), run.err


@pytest.mark.parametrize("verify", ["pin", "pin+pki", "tofu", "tofu+pki", "pki"])
def test_pins_url_is_an_error_only_in_mode_pki(verify, ca, state, tmp_path):
    section = {"listen": "127.0.0.1:0", "verify": verify, "pins_url": "/"}
    if verify.startswith("pin"):
        section["pin"] = OTHER
    if verify.endswith("pki"):
        section["ca_file"] = ca.cert.pem_file()
    file = tmp_path / "pinproxyd.conf"
    file.write_text(ini(state.config({NAME: section})))
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == (78 if verify == "pki" else 0), run.err
    if verify == "pki":
        assert "pins_url" in run.err


def test_a_key_revoked_before_its_announcement_is_refused(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, revoked=backup.pin)}))
    wait_learned(daemon, backup.pin)
    announcer.use(backup)
    assert_refused(daemon, "refused", "revoked")


def test_a_first_use_makes_the_daemon_ask_at_once(state, pinproxyd, announcer, backup):
    """Nothing is asked over a key that nobody has kept; once a client has, the host is asked at once."""
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=None, verify="tofu")}))
    announcer.wait_done()
    assert not daemon.events(event="learned")
    assert_accepted(daemon)
    wait_learned(daemon, backup.pin)
