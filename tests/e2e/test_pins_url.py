"""pins_url: pins that a host announces over a pinned connection are learned."""


import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_not_sent, assert_refused
from harness.certs import NAME, OTHER, day
from harness.learned import (
    DAY, PLACE, Announcer, OpenAnnouncer, http_response, pkp, tofu, wait_announced, with_pins_url)


@pytest.mark.valgrind
def test_an_announced_backup_is_learned_and_then_accepted(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    learned = wait_announced(daemon, backup.pin)
    assert learned["level"] == "notice"
    key, = [key for key in state.keys() if key.pin == backup.pin]
    assert key == (NAME, PLACE, backup.pin, day(0), "pins_url", day(30), False, announcer.cert.pin)
    assert_accepted(daemon)
    announcer.use(backup)
    assert assert_accepted(daemon)["pin"] == backup.pin
    assert len(daemon.events(event="learned", pin=backup.pin)) == 1


def test_other_keys_are_still_refused(state, pinproxyd, announcer, backup, tmp_path):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    wait_announced(daemon, backup.pin)
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
    wait_announced(daemon, backup.pin)
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
    wait_announced(daemon, backup.pin)
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
    lambda a, b: b"HTTP/1.1 200 OK\r\n" + f"Public-Key-Pins: {pkp(a, b)}\r\n\r\n".encode() + b"x" * 300_000,
], ids=["all_directives", "case_and_blanks", "order_quotes_empty_directives", "unknown_directives_and_algorithms",
        "report_only_before_it", "first_field_counts", "pin_twice", "interim_response", "http_1.0", "large_body"])
def test_the_field_is_read_in_each_form_that_the_rfc_permits(written, state, pinproxyd, announcer, backup):
    announcer.behave.answer = written(announcer.cert.pin, backup.pin)
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    wait_announced(daemon, backup.pin)
    assert {key.pin for key in state.keys()} - {announcer.cert.pin} == {backup.pin}


class BytewiseAnnouncer(Announcer):
    """Answers in single bytes, and ends TCP without close_notify."""

    def send_answer(self, conn):
        for byte in self.answer:
            conn.send(bytes([byte]))
        conn.truncate()


def test_an_answer_in_single_bytes_is_read(state, pinproxyd, tls_server, backup):
    server = tls_server(BytewiseAnnouncer())
    server.behave.announce(server.cert.pin, backup.pin)
    daemon = pinproxyd(state.config({NAME: with_pins_url(server)}))
    wait_announced(daemon, backup.pin)
    daemon.stop()


def test_a_server_that_does_not_close_is_closed(state, pinproxyd, tls_server, backup):
    server = tls_server(OpenAnnouncer())
    server.behave.announce(server.cert.pin, backup.pin)
    daemon = pinproxyd(state.config({NAME: with_pins_url(server)}))
    wait_announced(daemon, backup.pin)
    assert server.wait_done()


@pytest.mark.parametrize("form", ["pin", "cert_pin"])
def test_pins_are_learned_whichever_form_of_pin_matched(form, state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=getattr(announcer.cert, form))}))
    wait_announced(daemon, backup.pin)


def test_announced_pins_do_not_replace_configured_ones(state, pinproxyd, announcer, backup, tmp_path):
    own = certs.self_signed(tmp_path)
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=[announcer.cert.pin, f"{own.pin} name=own"])}))
    wait_announced(daemon, backup.pin)
    announcer.use(own)
    assert assert_accepted(daemon)["pin"] == "own"


def test_an_announced_key_must_pass_the_pki_as_well(state, pinproxyd, tls_server, ca):
    server, backup_key = tls_server(Announcer(), cert=ca.issue()), certs.ec_key()
    good, bad = ca.issue(key=backup_key), certs.self_signed(ca.directory, key=backup_key)
    server.behave.announce(server.cert.pin, good.pin)
    daemon = pinproxyd(state.config({NAME: with_pins_url(server, verify="pin+pki", ca_file=ca.cert.pem_file())}))
    wait_announced(daemon, good.pin)
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
    # removes pins that the first use may already have made it ask for
    state.write("".join(line for line in state.text().splitlines(True) if "from=pins_url" not in line))
    daemon = pinproxyd(config)
    wait_announced(daemon, backup.pin)
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
    wait_announced(daemon, backup.pin)
    assert {key.origin for key in state.keys()} == {"pins_url"}


def test_many_sections_learn_at_the_same_time(state, pinproxyd, announcer, backup):
    names = [f"s{i}.test" for i in range(20)]
    daemon = pinproxyd(state.config({name: with_pins_url(announcer) for name in names}))
    for name in names:
        wait_announced(daemon, backup.pin, section=name)
    assert {key.section for key in state.keys() if key.pin == backup.pin} == set(names)
