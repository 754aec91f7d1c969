"""Each announced pin has an origin, a pin of the configuration, and is removed with it."""

import json

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_not_sent, assert_refused
from harness.certs import NAME, OTHER, day
from harness.clients import open_tunnel, ping, read_to_any_end
from harness.daemon import run_pinproxy
from harness.learned import FROM_URL, PLACE, Announcer, http_response, tofu, with_pins_url
from harness.waiting import eventually, wait_until

WARNING = 1


@pytest.fixture
def third(tmp_path):
    return certs.self_signed(tmp_path)


def wait_stored(state, *pins):
    wait_until(lambda: [key.pin for key in state.keys()] == list(pins), f"the keys {pins}")


def silent(announcer):
    """Makes the server announce nothing."""
    announcer.behave.answer = http_response()


def line(pin, via, until=2):
    return f"{NAME} {PLACE} {pin} 2026-01-01 from=pins_url until={day(until)} via={via}\n"


def assert_removed(daemon, since, pin, via):
    event = daemon.wait_event(since=since, event="learned_removed", section=NAME, pin=pin)
    assert event["level"] == "notice" and event["via"] == via and "configuration" in event["detail"]


def test_configured_key_is_not_stored(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    assert [(key.pin, key.via) for key in state.keys()] == [(backup.pin, announcer.cert.pin)]
    assert not daemon.events(event="learned", pin=announcer.cert.pin)


def test_configured_keys_alone_are_not_stored(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=[announcer.cert.pin, backup.pin])}))
    wait_until(lambda: announcer.behave.requests, "the question")
    assert_accepted(daemon)
    daemon.stop()
    assert state.keys() == [] and not daemon.events(event="learned")
    assert not daemon.events(event="pins_url_failed")


def forms(announcer, ca):
    """Returns pins that match the server, each with the form in which the file records it as an origin."""
    return {"key": (announcer.cert.pin, announcer.cert.pin),
            "key_file": (f"key:{announcer.cert.pubkey_file()}", announcer.cert.pin),
            "cert": (f"cert:{announcer.cert.pem_file()}", announcer.cert.cert_pin),
            "issuer": (f"issuer:{ca.cert.pin}", f"issuer:{ca.cert.pin}"),
            "issuer_cert": (f"issuer-cert:{ca.cert.pem_file()}", f"issuer-cert:sha256:{ca.cert.hex}")}


@pytest.mark.parametrize("form", ["key", "key_file", "cert", "issuer", "issuer_cert"])
@pytest.mark.valgrind
def test_a_removed_pin_removes_the_pins_announced_over_it(form, state, pinproxyd, tls_server, ca, backup, third):
    """This includes the server's own key, which it announced and which was accepted before."""
    inner = certs.CA(ca.directory, "Inner", parent=ca)
    announcer = tls_server(Announcer(), cert=inner.issue())
    announcer.behave.announce(announcer.cert.pin, backup.pin)
    pin, via = forms(announcer, inner)[form]
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=[pin, third.pin])}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    assert {key.via for key in state.keys()} == {via}
    assert_accepted(daemon)
    silent(announcer)
    mark = daemon.mark()
    daemon.reload(state.config({NAME: with_pins_url(announcer, pin=third.pin)}))
    assert_refused(daemon, "pin_mismatch")
    announcer.use(backup)
    assert_refused(daemon, "pin_mismatch")
    assert_removed(daemon, mark, backup.pin, via)
    wait_stored(state)
    assert_not_sent(announcer)


def test_a_removed_pin_removes_the_pins_announced_over_announced_ones(state, pinproxyd, announcer, backup, third):
    """The server uses the backup and announces a third key. Both are removed with the configured pin."""
    first = announcer.cert
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    announcer.use(backup)
    announcer.behave.announce(backup.pin, third.pin)
    daemon.reload(state.config({NAME: with_pins_url(announcer, pin=first.pin, pins_url="/again")}))
    daemon.wait_event(pin=third.pin, **FROM_URL)
    assert [(key.pin, key.via) for key in state.keys()] == [(backup.pin, first.pin), (third.pin, first.pin)]
    announcer.use(third)
    assert assert_accepted(daemon)["pin"] == third.pin
    silent(announcer)
    mark = daemon.mark()
    daemon.reload(state.config({NAME: with_pins_url(announcer, pin=OTHER)}))
    assert_refused(daemon, "pin_mismatch")
    assert_removed(daemon, mark, third.pin, first.pin)
    announcer.use(backup)
    assert_refused(daemon, "pin_mismatch")
    wait_stored(state)


def test_a_configured_pin_in_use_keeps_the_pins_announced_over_it(state, pinproxyd, announcer, backup, third):
    """The administrator does what `check --live` says, and can then remove the old pin."""
    first = announcer.cert
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    announcer.use(backup)
    announcer.behave.announce(backup.pin, third.pin)
    daemon.reload(state.config({NAME: with_pins_url(announcer, pin=[first.pin, backup.pin])}))
    wait_until(lambda: [(key.pin, key.via) for key in state.keys()] == [(third.pin, backup.pin)], "the third key")
    daemon.reload(state.config({NAME: with_pins_url(announcer, pin=backup.pin)}))
    announcer.use(third)
    assert assert_accepted(daemon)["pin"] == third.pin


def test_a_pin_removed_while_the_daemon_is_stopped_removes_its_announced_pins(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    daemon.stop()
    via = announcer.cert.pin
    announcer.use(backup)
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=OTHER)}))
    assert_removed(daemon, 0, backup.pin, via)
    wait_stored(state)
    assert_refused(daemon, "pin_mismatch")
    assert_not_sent(announcer)


@pytest.mark.threads
def test_a_tunnel_is_closed_when_the_origin_of_its_pin_is_removed(state, pinproxyd, announcer, backup, third):
    first = announcer.cert
    options = {"on_pin_removed": "close"}
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, **options)}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    announcer.use(backup)
    silent(announcer)
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload(state.config({NAME: with_pins_url(announcer, pin=[first.pin, third.pin], **options)}))
        ping(sock)
        daemon.reload(state.config({NAME: with_pins_url(announcer, pin=third.pin, **options)}))
        assert daemon.wait_event(event="tunnel_close", section=NAME)["reason"] == "pin_removed"
        assert read_to_any_end(sock)[0] == b""


def test_a_tunnel_stays_open_when_its_announced_pin_is_configured(state, pinproxyd, announcer, backup):
    """One reload removes the origin and adds the pin in use."""
    options = {"on_pin_removed": "close"}
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, **options)}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    announcer.use(backup)
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload(state.config({NAME: with_pins_url(announcer, pin=backup.pin, **options)}))
        ping(sock)
        # the pin that was removed may be learned again from the key in use: the host announces both
        wait_until(lambda: backup.pin not in [key.pin for key in state.keys()], "what is configured, not kept")
        ping(sock)
    assert not daemon.events(event="learned_removed")


def test_an_announced_pin_expires_with_its_origin(state, pinproxyd, announcer):
    state.write(line(announcer.cert.pin, OTHER))
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=f"{OTHER} until={day(0)}")}))
    assert_refused(daemon, "refused", "expired_pins")
    assert_not_sent(announcer)


def test_a_revoked_key_removes_the_pins_announced_over_it(state, pinproxyd, announcer, backup):
    """The revoked pin is still in the configuration."""
    first = announcer.cert
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    announcer.use(backup)
    assert_accepted(daemon)
    daemon.reload(state.config({NAME: with_pins_url(announcer, pin=first.pin, revoked=first.pin)}))
    assert_refused(daemon, "pin_mismatch")
    wait_stored(state)


def test_an_announcement_does_not_extend_a_configured_pin(state, pinproxyd, announcer, backup):
    state.write(line(backup.pin, announcer.cert.pin))
    pins = [announcer.cert.pin, f"{backup.pin} until={day(0)}"]
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=pins)}))
    wait_stored(state)
    announcer.use(backup)
    assert_refused(daemon, "refused", "expired_pins")
    daemon.stop()
    assert not daemon.events(event="learned_removed")


def test_a_learned_pin_that_was_configured_is_removed_with_the_configured_one(state, pinproxyd, announcer, backup):
    first = announcer.cert
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    silent(announcer)
    daemon.reload(state.config({NAME: with_pins_url(announcer, pin=[first.pin, backup.pin])}))
    wait_stored(state)
    daemon.reload(state.config({NAME: with_pins_url(announcer, pin=first.pin)}))
    announcer.use(backup)
    assert_refused(daemon, "pin_mismatch")
    assert_not_sent(announcer)


def test_pins_without_a_recorded_origin_are_removed_and_logged(state, pinproxyd, announcer, backup):
    """The file is valid, but nothing shows whether the origin is still configured. So the pins are not accepted."""
    silent(announcer)
    state.write(f"# old\n{NAME} {PLACE} {announcer.cert.pin} 2026-01-01 from=pins_url until={day(9)}\n"
                f"{NAME} {PLACE} {backup.pin} 2026-01-01 from=pins_url until={day(9)}\n")
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    event = daemon.wait_event(event="learned_removed", section=NAME)
    assert event["pin"] == backup.pin
    assert_accepted(daemon)
    wait_until(lambda: state.text() == "# old\n", "an empty file")
    announcer.use(backup)
    assert_refused(daemon, "pin_mismatch")
    assert len(daemon.events(event="learned_removed")) == 1


def test_announced_pins_end_when_the_key_of_the_first_use_is_replaced(state, pinproxyd, announcer, backup, tmp_path):
    first = announcer.cert
    daemon = pinproxyd(state.config({NAME: tofu(announcer, pins_url="/pins")}))
    assert_accepted(daemon)
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    assert {(key.pin, key.origin, key.via) for key in state.keys()} >= {
        (first.pin, "tofu", None), (backup.pin, "pins_url", first.pin)}
    announcer.use(backup)
    assert assert_accepted(daemon)["pin"] == backup.pin
    announcer.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")
    state.wait_refused(announcer.cert.pin)
    run = run_pinproxy("learned", "accept", NAME, announcer.cert.pin, "-c", daemon.file)
    assert run.returncode == 0, run.err
    eventually(assert_accepted, daemon)
    announcer.use(backup)
    assert_refused(daemon, "refused", "tofu_changed")


def test_check_warns_before_the_origin_of_the_pin_in_use_is_removed(state, pinproxyd, announcer, backup):
    first = announcer.cert
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=f"{first.pin} name=spring")}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    announcer.use(backup)
    run = run_pinproxy("check", "-c", daemon.file, "--live")
    assert run.returncode == WARNING, run.out + run.err
    message, = [text for text in run.out.splitlines() if "it depends on" in text]
    assert "pin spring" in message and f"pin = {backup.pin}" in message and f"[{NAME}]" in message
    messages = json.loads(run_pinproxy("check", "-c", daemon.file, "--live", "--json").out)["sections"][0]["messages"]
    assert any("it depends on" in text for text in messages)


def test_list_shows_the_origin_of_a_pin(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    run = run_pinproxy("learned", "list", "-c", daemon.file)
    assert run.out == state.text() and f"via={announcer.cert.pin}" in run.out
    key, = json.loads(run_pinproxy("learned", "list", "--json", "-c", daemon.file).out)
    assert key["via"] == announcer.cert.pin
