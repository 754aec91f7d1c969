"""pins_url: announcements that are not learned."""


import pytest

from harness import certs
from harness.assertions import assert_not_sent, assert_nothing_sent, assert_refused
from harness.certs import NAME, OTHER
from harness.learned import (
    Announcer, assert_nothing_learned, http_response, pkp, wait_announced, wait_announcement_failed, with_pins_url)
from harness.servers import closed_port


HEAD = b"HTTP/1.1 200 OK\r\n"


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
    assert word in wait_announcement_failed(daemon)["detail"]
    assert "\x1b" not in daemon.log()
    announcer.use(backup)
    assert_refused(daemon, "pin_mismatch")
    assert_nothing_learned(daemon, state)
    assert_not_sent(announcer)


@pytest.mark.slow
def test_a_server_that_never_answers_is_given_up(state, pinproxyd, tls_server):
    server = tls_server(lambda conn: conn.recv_all())
    daemon = pinproxyd(state.config({NAME: with_pins_url(server)}))
    wait_announcement_failed(daemon)
    assert_nothing_learned(daemon, state)


def test_report_mode_learns_nothing_from_a_mismatch(state, pinproxyd, tls_server, ca):
    """A connection with a reported mismatch is not pinned."""
    server = tls_server(Announcer(), cert=ca.issue())
    server.behave.announce(server.cert.pin, OTHER)
    daemon = pinproxyd(state.config({NAME: with_pins_url(
        server, verify="pin+pki", ca_file=ca.cert.pem_file(), enforce="report",
        pin=certs.self_signed(ca.directory).pin)}))
    wait_announcement_failed(daemon)
    assert_nothing_learned(daemon, state)


def test_report_mode_learns_from_a_server_that_matches(state, pinproxyd, tls_server, ca):
    server = tls_server(Announcer(), cert=ca.issue())
    server.behave.announce(server.cert.pin, OTHER)
    daemon = pinproxyd(state.config({NAME: with_pins_url(server, verify="pin+pki", ca_file=ca.cert.pem_file(),
                                                enforce="report")}))
    wait_announced(daemon, OTHER)


def test_a_server_with_another_key_is_not_asked(state, pinproxyd, announcer):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=OTHER)}))
    daemon.wait_event(event="pin_mismatch", section=NAME)
    assert_nothing_learned(daemon, state)
    assert announcer.behave.requests == []
    assert_nothing_sent(announcer, b"GET ")


def test_a_revoked_server_is_not_asked(state, pinproxyd, announcer):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, revoked=announcer.cert.pin)}))
    daemon.wait_event(event="refused", reason="revoked", section=NAME)
    assert_nothing_learned(daemon, state)
    assert_nothing_sent(announcer, b"GET ")


def test_a_server_that_cannot_be_reached_is_an_upstream_error(state, pinproxyd, announcer):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, address=f"127.0.0.1:{closed_port()}")}))
    daemon.wait_event(event="upstream_error", reason="connect", section=NAME)
    assert_nothing_learned(daemon, state)


class DamagingAnnouncer(Announcer):
    """Damages the file between the request and the answer."""

    def send_answer(self, conn):
        self.state.write("damage\n")
        super().send_answer(conn)


def test_a_damaged_file_is_not_overwritten(state, pinproxyd, tls_server, backup):
    server = tls_server(DamagingAnnouncer())
    server.behave.state = state
    server.behave.announce(server.cert.pin, backup.pin)
    daemon = pinproxyd(state.config({NAME: with_pins_url(server)}))
    assert f"{state.file}:1: " in wait_announcement_failed(daemon)["detail"]
    assert state.text() == "damage\n"
    daemon.stop()
    assert not daemon.events(event="learned")
