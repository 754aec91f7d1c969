"""pin_expiring: pins and certificates that end within thirty days are told of before they do."""

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME, day
from harness.config import to
from harness.learned import DAY, FROM_URL, Announcer


def expiring_events(daemon, since=0, **wanted):
    return daemon.events(since, event="pin_expiring", **wanted)


def reload_once(daemon):
    """The place in the log before it. What it had to say stands behind that."""
    mark = daemon.mark()
    daemon.reload()
    daemon.reload()  # the log is in order: once this one is told of, the first has said all
    return mark


@pytest.mark.parametrize("days", [1, 5, 29])
@pytest.mark.valgrind
def test_a_pin_that_ends_soon_is_logged_at_start(days, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, pin=f"{server.cert.pin} until={day(days)}")})
    event = daemon.wait_event(event="pin_expiring", section=NAME)
    assert event["level"] == "warning"
    assert (event["what"], event["pin"], event["until"]) == ("pin", server.cert.pin, day(days))
    assert int(event["days"]) in (days - 1, days)


@pytest.mark.parametrize("days", [0, -1, -40])
def test_an_expired_pin_is_logged_as_expired(days, pinproxyd, tls_server):
    server = tls_server()
    pins = [server.cert.pin, f"{certs.self_signed(server.cert.directory).pin} until={day(days)} name=old"]
    event = pinproxyd({NAME: to(server, pin=pins)}).wait_event(event="pin_expiring", pin="old")
    assert int(event["days"]) in (days - 1, days)
    assert event["until"] == day(days)
    assert "no longer" in event["detail"]


def test_a_live_pin_is_not_logged_as_expired(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, pin=f"{server.cert.pin} until={day(5)}")})
    assert "no longer" not in daemon.wait_event(event="pin_expiring").get("detail", "")


@pytest.mark.parametrize("until", ["", f" until={day(32)}", f" until={day(400)}"], ids=["none", "32", "400"])
def test_a_pin_that_ends_far_away_is_not_logged(until, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, pin=f"{server.cert.pin}{until}")})
    assert_accepted(daemon)
    reload_once(daemon)
    daemon.stop()
    assert expiring_events(daemon) == []


def test_each_pin_of_each_section_is_logged(pinproxyd, tls_server, ca, tmp_path):
    server, other, third = tls_server(), certs.self_signed(tmp_path), certs.self_signed(tmp_path)
    daemon = pinproxyd({
        "one.test": to(server, pin=[f"{server.cert.pin} until={day(3)} name=a", f"{other.pin} until={day(4)} name=b",
                                    f"{third.pin} until={day(90)} name=c"]),
        "two.test": to(server, pin=f"issuer:{ca.cert.pin} until={day(5)} name=d")})
    daemon.wait_event(event="pin_expiring", section="two.test")
    daemon.stop()
    assert sorted((event["section"], event["pin"], event["until"]) for event in expiring_events(daemon)) == [
        ("one.test", "a", day(3)), ("one.test", "b", day(4)), ("two.test", "d", day(5))]


def test_a_pin_that_ends_soon_is_logged_at_a_reload(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    assert expiring_events(daemon) == []
    daemon.write({NAME: to(server, pin=f"{server.cert.pin} until={day(5)}")})
    assert expiring_events(daemon, reload_once(daemon), pin=server.cert.pin)


# The server's certificate, as it was last seen.

@pytest.mark.parametrize("end", [2, 5, 29])
def test_a_certificate_that_ends_soon_is_logged(end, pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, subject=certs.subject_of("Soon Over"), end=end))
    daemon = pinproxyd({NAME: to(server)})
    assert expiring_events(daemon) == []
    assert_accepted(daemon)
    mark = reload_once(daemon)
    event = daemon.wait_event(since=mark, event="pin_expiring", section=NAME)
    assert event["level"] == "warning"
    assert event["what"] == "certificate" and "Soon Over" in event["subject"]
    assert event["not_after"] == server.cert.cert.not_valid_after.strftime("%Y-%m-%d")
    assert int(event["days"]) in (end - 1, end)


def test_an_expired_certificate_is_logged(pinproxyd, tls_server, tmp_path):
    """It is pinned, and accepted all the same."""
    server = tls_server(cert=certs.self_signed(tmp_path, start=-20, end=-10))
    daemon = pinproxyd({NAME: to(server)})
    assert_accepted(daemon)
    event = daemon.wait_event(since=reload_once(daemon), event="pin_expiring", what="certificate")
    assert int(event["days"]) in (-11, -10)
    assert "expired" in event["detail"]


@pytest.mark.parametrize("options", [{}, {"end": 32}, {"end": 3650}], ids=["90", "32", "3650"])
def test_a_certificate_that_ends_far_away_is_not_logged(options, pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, **options))
    daemon = pinproxyd({NAME: to(server)})
    assert_accepted(daemon)
    reload_once(daemon)
    daemon.stop()
    assert expiring_events(daemon) == []


def test_a_renewed_certificate_is_not_logged(pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, end=5))
    daemon = pinproxyd({NAME: to(server)})
    assert_accepted(daemon)
    assert expiring_events(daemon, reload_once(daemon), what="certificate")
    server.use(certs.self_signed(tmp_path, key=server.cert.key))
    assert_accepted(daemon)
    mark = reload_once(daemon)
    daemon.stop()
    assert expiring_events(daemon, mark) == []


def test_a_refused_certificate_is_not_logged(pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, end=5))
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    assert_refused(daemon, "pin_mismatch")
    reload_once(daemon)
    daemon.stop()
    assert expiring_events(daemon) == []


def test_a_pin_and_a_certificate_are_both_logged(pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, end=5))
    daemon = pinproxyd({NAME: to(server, pin=f"{server.cert.pin} until={day(9)}")})
    assert_accepted(daemon)
    mark = reload_once(daemon)
    assert {event["what"] for event in expiring_events(daemon, mark)} == {"pin", "certificate"}


def test_an_announced_pin_that_ends_soon_is_logged(state, pinproxyd, tls_server, tmp_path):
    """What the host has stopped to announce ends one day, and that is told of as well."""
    server, backup = tls_server(Announcer()), certs.self_signed(tmp_path)
    server.behave.announce(server.cert.pin, backup.pin, max_age=5 * DAY)
    daemon = pinproxyd(state.config({NAME: to(server, pins_url="/pins")}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    mark = reload_once(daemon)
    event = daemon.wait_event(since=mark, event="pin_expiring", pin=backup.pin)
    assert event["until"] == day(5)


@pytest.mark.parametrize("days, within", [(29, "30"), (6, "7"), (1, "1"), (-2, "1")])
def test_the_event_has_the_limit_that_was_passed(days, within, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, pin=f"{server.cert.pin} until={day(days)}")})
    assert daemon.wait_event(event="pin_expiring")["within"] == within
