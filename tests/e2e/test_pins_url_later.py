"""pins_url: later announcements, and when the daemon asks for them."""


import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_not_sent, assert_refused
from harness.certs import NAME, OTHER, day
from harness.config import to
from harness.learned import DAY, OpenAnnouncer, wait_announced, wait_announcement_failed, with_pins_url
from harness.waiting import wait_steady, wait_until


def announce_again(daemon, state, server, *pins, **options):
    """Announces other pins, and returns when the daemon has asked for them.

    A test cannot wait for the daily request. Another path makes the daemon ask again.
    """
    server.behave.announce(*pins, **options)
    asked = len(server.behave.requests)
    daemon.reload(state.config({NAME: with_pins_url(server, pin=daemon.first_pin, pins_url="/again")}))
    wait_until(lambda: len(server.behave.requests) > asked, "the second question")


def test_a_later_announcement_replaces_the_earlier(learned_daemon, state, announcer, backup, tmp_path):
    later = certs.self_signed(tmp_path)
    announce_again(learned_daemon, state, announcer, announcer.cert.pin, later.pin)
    wait_announced(learned_daemon, later.pin)
    assert backup.pin not in [key.pin for key in state.keys()]
    announcer.use(backup)
    assert_refused(learned_daemon, "pin_mismatch")
    announcer.use(later)
    assert assert_accepted(learned_daemon)["pin"] == later.pin
    assert_not_sent(announcer)


def test_max_age_0_removes_announced_pins(learned_daemon, state, announcer, backup):
    announce_again(learned_daemon, state, announcer, announcer.cert.pin, backup.pin, max_age=0)
    wait_until(lambda: state.keys() == [], "the announced pins gone")
    announcer.use(backup)
    assert_refused(learned_daemon, "pin_mismatch")
    assert_not_sent(announcer)


def test_the_same_announcement_again_is_not_logged(learned_daemon, state, announcer, backup):
    state.write(state.text().replace(f" {day(0)} ", " 2026-01-01 ") + "# mine\n")
    announce_again(learned_daemon, state, announcer, announcer.cert.pin, backup.pin, max_age=40 * DAY)
    wait_until(lambda: {key.until for key in state.keys()} == {day(40)}, "the later date")
    assert {key.since for key in state.keys()} == {"2026-01-01"} and "# mine\n" in state.text()
    learned_daemon.stop()
    assert len(learned_daemon.events(event="learned", pin=backup.pin)) == 1


def test_a_bad_announcement_keeps_the_earlier(learned_daemon, state, announcer, backup):
    before = state.text()
    announce_again(learned_daemon, state, announcer, OTHER, backup.pin)
    wait_announcement_failed(learned_daemon)
    assert state.text() == before
    announcer.use(backup)
    assert assert_accepted(learned_daemon)["pin"] == backup.pin


def test_a_reload_that_changes_nothing_does_not_ask(learned_daemon, state, announcer):
    learned_daemon.reload()
    assert wait_steady(lambda: len(announcer.behave.requests)) == 1


@pytest.mark.parametrize("changed", [{"pins_url": "/other"}, {"revoked": OTHER}], ids=["pins_url", "trust"])
def test_a_reload_that_changes_the_trust_asks(changed, learned_daemon, state, announcer):
    learned_daemon.reload(state.config({NAME: with_pins_url(announcer, **changed)}))
    wait_until(lambda: len(announcer.behave.requests) == 2, "the second question")


def test_a_section_that_a_reload_adds_asks(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({"other.test": to(announcer)}))
    daemon.reload(state.config({"other.test": to(announcer), NAME: with_pins_url(announcer)}))
    wait_announced(daemon, backup.pin)


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
    server = tls_server(OpenAnnouncer())
    server.behave.answer = b"HTTP/1.1 200 OK\r\n"
    daemon = pinproxyd(state.config({f"s{i}.test": with_pins_url(server) for i in range(20)}))
    server.wait_conns(3)
    daemon.stop()
    assert not daemon.events(event="learned")
