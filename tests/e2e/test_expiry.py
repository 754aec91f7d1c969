"""pin_expiring: pins, certificates and revocation lists are logged before they end."""

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME, day
from harness.config import to
from harness.learned import DAY, FROM_URL, Announcer
from harness.revocation import crl


def expiring_events(daemon, since=0, **wanted):
    return daemon.events(since, event="pin_expiring", **wanted)


def reload_once(daemon):
    """Reloads, and returns the place in the log before that. All that the reload logs is behind it."""
    mark = daemon.mark()
    daemon.reload()
    daemon.reload()  # the log is in order: when this one is logged, the first has logged everything
    return mark


def long_lived(directory, end, **options):
    """Returns a certificate with a long life that ends in `end` days."""
    return certs.self_signed(directory, start=end - 398, end=end, **options)


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
    server = tls_server(cert=long_lived(tmp_path, end, subject=certs.subject_of("Soon Over")))
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
    """It is pinned, and still accepted."""
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


@pytest.mark.parametrize("life, left, expected", [
    (6, 5.9, None), (6, 3, None), (6, 2.1, None), (6, 1.9, ("2", "first")), (6, 0.9, ("1", "second")),
    (6, 0.4, ("1", "last")), (6, -0.1, ("1", "last")),
    (47, 46, None), (47, 24, None), (47, 16, None), (47, 15, ("16", "first")), (47, 6.5, ("7", "second")),
    (47, 0.5, ("1", "last")),
    (90, 31, None), (90, 29, ("30", "first")), (398, 31, None), (398, 29, ("30", "first"))])
def test_a_certificate_is_logged_by_the_share_of_its_life(life, left, expected, pinproxyd, tls_server, tmp_path):
    """`life` and `left` are days; `expected` is the limit and the stage."""
    server = tls_server(cert=certs.self_signed(tmp_path, start=left - life, end=left))
    daemon = pinproxyd({NAME: to(server)})
    assert_accepted(daemon)
    mark = reload_once(daemon)
    logged = expiring_events(daemon, mark, what="certificate")
    assert [(event["within"], event["stage"]) for event in logged[:1]] == ([expected] if expected else [])


def test_a_renewed_certificate_is_not_logged(pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=long_lived(tmp_path, 5))
    daemon = pinproxyd({NAME: to(server)})
    assert_accepted(daemon)
    assert expiring_events(daemon, reload_once(daemon), what="certificate")
    server.use(certs.self_signed(tmp_path, key=server.cert.key))
    assert_accepted(daemon)
    mark = reload_once(daemon)
    daemon.stop()
    assert expiring_events(daemon, mark) == []


def test_a_refused_certificate_is_not_logged(pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=long_lived(tmp_path, 5))
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    assert_refused(daemon, "pin_mismatch")
    reload_once(daemon)
    daemon.stop()
    assert expiring_events(daemon) == []


def test_a_pin_and_a_certificate_are_both_logged(pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=long_lived(tmp_path, 5))
    daemon = pinproxyd({NAME: to(server, pin=f"{server.cert.pin} until={day(9)}")})
    assert_accepted(daemon)
    mark = reload_once(daemon)
    assert {event["what"] for event in expiring_events(daemon, mark)} == {"pin", "certificate"}


def test_an_announced_pin_that_ends_soon_is_logged(state, pinproxyd, tls_server, tmp_path):
    """A host may stop to announce a pin, which then ends one day."""
    server, backup = tls_server(Announcer()), certs.self_signed(tmp_path)
    server.behave.announce(server.cert.pin, backup.pin, max_age=5 * DAY)
    daemon = pinproxyd(state.config({NAME: to(server, pins_url="/pins")}))
    daemon.wait_event(pin=backup.pin, **FROM_URL)
    mark = reload_once(daemon)
    event = daemon.wait_event(since=mark, event="pin_expiring", pin=backup.pin)
    assert event["until"] == day(5)


@pytest.mark.parametrize("days, within, stage", [
    (29, "30", "first"), (6, "7", "second"), (1, "1", "last"), (-2, "1", "last")])
def test_the_event_has_the_limit_that_was_passed(days, within, stage, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, pin=f"{server.cert.pin} until={day(days)}")})
    event = daemon.wait_event(event="pin_expiring")
    assert (event["within"], event["stage"]) == (within, stage)
    assert ("ends in" in event["detail"]) == (days > 0)


# Revocation lists.

def with_lists(server, ca, lists, **options):
    return {NAME: to(server, verify="pki", ca_file=ca.cert.pem_file(), crl_file=lists, **options)}


@pytest.mark.parametrize("start, end, expected", [
    (-1, 7, None), (-4, 4, None), (-6, 2, ("3", "first")), (-7, 1.2, ("2", "second")), (-8, 0.5, ("1", "last")),
    (-9, -2, ("1", "last")), (-200, 31, None), (-200, 29, ("30", "first")), (-200, 6, ("7", "second"))])
def test_a_revocation_list_is_logged_at_start_by_the_share_of_its_life(start, end, expected, pinproxyd, tls_server, ca,
                                                                       tmp_path):
    path = crl(tmp_path, ca, start=start, end=end)
    daemon = pinproxyd(with_lists(tls_server(cert=ca.issue()), ca, path))
    reload_once(daemon)
    daemon.stop()
    logged = expiring_events(daemon, section=NAME)
    assert [(event["within"], event["stage"]) for event in logged[:1]] == ([expected] if expected else [])
    for event in logged:
        assert (event["what"], event["issuer"], event["file"]) == ("crl", "CN=Test Root", str(path))
        assert event["next_update"] == (certs.now() + end * certs.DAY).strftime("%Y-%m-%d")
        assert ("has expired" in event["detail"]) == (end < 0)


def test_the_list_that_expires_last_is_the_one_that_is_logged(pinproxyd, tls_server, ca, inner, tmp_path):
    """OpenSSL takes the list that is valid, so an old one beside it does no harm."""
    lists = [crl(tmp_path, ca, start=-9, end=-2), crl(tmp_path, ca), crl(tmp_path, inner, start=-9, end=1)]
    daemon = pinproxyd(with_lists(tls_server(cert=inner.issue()), ca, lists))
    assert_accepted(daemon)
    daemon.stop()
    assert [event["issuer"] for event in expiring_events(daemon)] == ["CN=Inner Authority"]


def test_a_new_revocation_list_ends_the_warnings_at_a_reload(pinproxyd, tls_server, ca, tmp_path):
    path = crl(tmp_path, ca, start=-9, end=1)
    daemon = pinproxyd(with_lists(tls_server(cert=ca.issue()), ca, path))
    daemon.wait_event(event="pin_expiring", what="crl")
    path.write_bytes(crl(tmp_path, ca).read_bytes())
    mark = reload_once(daemon)
    daemon.stop()
    assert expiring_events(daemon, mark) == []
