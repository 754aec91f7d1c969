"""The date of a pin comes while tunnels are open: on_pin_removed = close ends them then, by reset."""

import signal

import pytest

from harness.assertions import assert_accepted, assert_closed, assert_refused
from harness.certs import NAME, day
from harness.clients import open_tunnel, ping, read_to_any_end
from harness.config import to


def dated(server, until=1, **options):
    """A section whose pin ends in `until` days, at midnight."""
    return to(server, pin=f"{server.cert.pin} until={day(until)}", **{"on_pin_removed": "close", **options})


@pytest.mark.threads
def test_a_tunnel_is_reset_when_the_date_of_its_pin_comes(pinproxyd, tls_server, clock):
    server, other = tls_server(), tls_server()
    daemon = pinproxyd({NAME: dated(server), "other.test": dated(other, until=9)}, env=clock.env)
    with open_tunnel(daemon.address(NAME)) as sock, open_tunnel(daemon.address("other.test")) as spared:
        clock.before_midnight(2)
        ping(sock)
        event = assert_closed(daemon, sock, "expired_pins")
        assert day(1) in event["detail"]
        ping(spared)
    assert server.wait_done()[0].end != "close_notify"
    assert_refused(daemon, "refused", "expired_pins")


def test_it_is_reset_if_the_clock_jumps_past_the_date(pinproxyd, tls_server, clock):
    daemon = pinproxyd({NAME: dated(tls_server())}, env=clock.env)
    with open_tunnel(daemon.address(NAME)) as sock:
        clock.before_midnight(-3 * 86400)
        assert_closed(daemon, sock, "expired_pins")


def test_it_stays_if_the_clock_is_set_back(pinproxyd, tls_server, clock):
    daemon = pinproxyd({NAME: dated(tls_server())}, env=clock.env)
    with open_tunnel(daemon.address(NAME)) as sock:
        clock.before_midnight(3 * 86400)
        daemon.reload()
        ping(sock)
        assert_accepted(daemon)
    clock.reset()


def test_it_stays_under_keep_and_new_clients_are_refused(pinproxyd, tls_server, clock):
    daemon = pinproxyd({NAME: dated(tls_server(), on_pin_removed="keep")}, env=clock.env)
    with open_tunnel(daemon.address(NAME)) as sock:
        clock.before_midnight(-1)
        mark = daemon.mark()
        daemon.wait_event(since=mark, event="pin_expiring", deadline=30)
        ping(sock)
        assert_refused(daemon, "refused", "expired_pins")
        ping(sock)


def test_the_pin_that_counts_is_the_one_that_it_was_accepted_on(pinproxyd, tls_server, clock):
    """Another pin matches the same server, and accepts it from then on."""
    server = tls_server()
    pins = [f"{server.cert.pin} until={day(1)}", f"cert:{server.cert.pem_file()}"]
    daemon = pinproxyd({NAME: to(server, pin=pins, on_pin_removed="close")}, env=clock.env)
    with open_tunnel(daemon.address(NAME)) as sock:
        clock.before_midnight(0)
        assert_closed(daemon, sock, "expired_pins")
    assert_accepted(daemon)


def test_the_date_is_that_of_the_latest_configuration(pinproxyd, tls_server, clock):
    server = tls_server()
    daemon = pinproxyd({NAME: dated(server)}, env=clock.env)
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({NAME: dated(server, until=5)})
        clock.before_midnight(-1)
        daemon.reload()
        ping(sock)
        clock.before_midnight(-4 * 86400)
        assert_closed(daemon, sock, "expired_pins")


def test_a_resumed_tunnel_is_reset_too(pinproxyd, tls_server, clock):
    daemon = pinproxyd({NAME: dated(tls_server(), resume="yes"), "global": {"workers": 1}}, env=clock.env)
    assert_accepted(daemon)
    with open_tunnel(daemon.address(NAME)) as sock:
        assert daemon.events(event="tunnel_open")[-1]["resumed"] == "yes"
        clock.before_midnight(-1)
        assert read_to_any_end(sock) == (b"", True)
        daemon.wait_event(event="tunnel_close", reason="expired_pins")


def test_a_tunnel_that_drains_is_reset_too(pinproxyd, tls_server, clock):
    daemon = pinproxyd({NAME: dated(tls_server())}, env=clock.env)
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.signal(signal.SIGTERM)
        ping(sock)
        clock.before_midnight(-1)
        assert_closed(daemon, sock, "expired_pins")
    daemon.wait()
