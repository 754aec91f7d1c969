"""Ends that come near are told of before they hurt."""

import pytest

import certs
from certs import NAME, day
from clients import talk
from config import to


@pytest.mark.parametrize("days, within", [(29, "30"), (6, "7"), (1, "1"), (-2, "1")])
def test_pin(days, within, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    pins = [f"{server.cert.pin} name=today until={day(days)}", f"{certs.self_signed(tmp_path).pin} until={day(60)}"]
    daemon = pinproxyd({NAME: to(server, pin=pins)})
    event = daemon.wait_event(event="pin_expiring", section=NAME)
    assert (event["level"], event["what"], event["pin"], event["until"]) == ("warning", "pin", "today", day(days))
    assert event["within"] == within and int(event["days"]) in (days - 1, days)
    assert ("no longer accepted" in event.get("detail", "")) == (days < 0)
    mark = daemon.mark()
    daemon.reload()
    daemon.wait_event(since=mark, event="pin_expiring")


def test_certificate_last_seen(pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, end=5))
    daemon = pinproxyd({NAME: to(server)})
    assert not daemon.events(event="pin_expiring")
    assert talk(daemon.address(NAME), b"hello") == b"hello"
    daemon.reload()
    event = daemon.wait_event(event="pin_expiring", what="certificate")
    assert NAME in event["subject"] and event["within"] == "7" and event["not_after"] == day(5)


def test_nothing_far_off(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, pin=f"{server.cert.pin} until={day(32)}")})
    assert talk(daemon.address(NAME), b"hello") == b"hello"
    daemon.reload()
    daemon.stop()
    assert not daemon.events(event="pin_expiring")
