"""A reload that removes trust closes open tunnels and refuses handshakes under way."""


import pytest

from harness import certs
from harness.assertions import SECRET, assert_closed, assert_nothing_sent, assert_refused
from harness.certs import NAME
from harness.clients import connect, open_tunnel, ping, read_to_any_end, try_exchange
from harness.config import to
from harness.parallel import run_parallel
from harness.waiting import wait_until


@pytest.mark.threads
@pytest.mark.valgrind
def test_a_revoked_key_closes_open_tunnels(pinproxyd, tls_server):
    server = tls_server()
    other = tls_server()
    config = {NAME: to(server), "other.test": to(other)}
    daemon = pinproxyd(config)
    with open_tunnel(daemon.address(NAME)) as sock, open_tunnel(daemon.address("other.test")) as spared:
        daemon.reload({**config, NAME: to(server, revoked=server.cert.pin)})
        event = assert_closed(daemon, sock, "revoked")
        assert server.cert.pin in event["detail"]
        ping(spared)


@pytest.mark.parametrize("verify", ["pki", "issuer"])
def test_a_revoked_ca_closes_open_tunnels(verify, pinproxyd, tls_server, ca, tmp_path):
    inner = certs.CA(tmp_path, "Inner", parent=ca)
    server = tls_server(cert=inner.issue())
    trust = {"verify": "pki", "pin": None, "ca_file": ca.cert.pem_file()} if verify == "pki" else \
            {"pin": f"issuer-cert:{ca.cert.pem_file()}"}
    daemon = pinproxyd({NAME: to(server, **trust)})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({NAME: to(server, revoked=inner.cert.pin, **trust)})
        assert_closed(daemon, sock, "revoked")


def test_a_revoked_ca_that_was_not_relied_on_closes_nothing(pinproxyd, tls_server, ca):
    """With a server pin alone, only the server's own key is relied on."""
    server = tls_server(cert=ca.issue())
    daemon = pinproxyd({NAME: to(server)})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({NAME: to(server, revoked=ca.cert.pin)})
        ping(sock)


def test_a_removed_pin_closes_open_tunnels_if_on_pin_removed_is_close(pinproxyd, tls_server, tmp_path):
    server, other = tls_server(), certs.self_signed(tmp_path)
    daemon = pinproxyd({NAME: to(server, pin=[f"{server.cert.pin} name=old", other.pin], on_pin_removed="close")})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({NAME: to(server, pin=other.pin, on_pin_removed="close")})
        assert "old" in assert_closed(daemon, sock, "pin_removed")["detail"]


def test_a_removed_pin_keeps_open_tunnels_by_default(pinproxyd, tls_server, tmp_path):
    server, other = tls_server(), certs.self_signed(tmp_path)
    daemon = pinproxyd({NAME: to(server, pin=[server.cert.pin, other.pin])})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({NAME: to(server, pin=other.pin)})
        ping(sock)
        assert_refused(daemon, "pin_mismatch")
        ping(sock)


@pytest.mark.parametrize("same", ["renamed", "dated", "from_a_file", "reordered"])
def test_a_pin_in_another_form_keeps_open_tunnels(same, pinproxyd, tls_server, tmp_path):
    server, other = tls_server(), certs.self_signed(tmp_path)
    pins = {"renamed": f"{server.cert.pin} name=new", "dated": f"{server.cert.pin} until={certs.day(9)}",
            "from_a_file": f"key:{server.cert.pubkey_file()}", "reordered": [other.pin, server.cert.pin]}
    daemon = pinproxyd({NAME: to(server, on_pin_removed="close")})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload({NAME: to(server, pin=pins[same], on_pin_removed="close")})
        ping(sock)
        daemon.reload()
        ping(sock)


@pytest.mark.parametrize("what", ["close", "keep"])
def test_a_removed_section_closes_or_keeps_its_tunnels(what, pinproxyd, tls_server):
    server, other = tls_server(), tls_server()
    rest = {"other.test": to(other)}
    daemon = pinproxyd({NAME: to(server, on_pin_removed=what), **rest})
    with open_tunnel(daemon.address(NAME)) as sock:
        daemon.reload(rest)
        if what == "close":
            assert_closed(daemon, sock, "pin_removed")
        else:
            ping(sock)


def test_a_handshake_is_stopped_when_its_key_is_revoked(pinproxyd, tls_server, relay):
    """The server's answers are delayed in the handshake, while its key is revoked."""
    server = tls_server()
    slow = relay(server, first=100, pause=0.002)
    daemon = pinproxyd({NAME: to(slow)})
    with connect(daemon.address(NAME)) as sock:
        sock.sendall(SECRET)
        slow.wait_conns()
        daemon.reload({NAME: to(slow, revoked=server.cert.pin)})
        assert read_to_any_end(sock) == (b"", True)
    event = daemon.wait_event(event="refused", section=NAME)
    assert event["reason"] == "revoked"
    daemon.stop()
    assert not daemon.events(event="tunnel_open")
    slow.stop()
    assert_nothing_sent(server, SECRET)


def exchange_during(daemon, count, reload):
    """Returns what each of `count` clients received during the reloads: its own data, or None for a reset."""
    clients = [lambda i=i: try_exchange(daemon.address(NAME), b"%d" % i) for i in range(count)]
    *results, _ = run_parallel([*clients, reload])
    return results


@pytest.mark.threads
def test_each_tunnel_is_judged_by_one_configuration(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    a = {NAME: to(server, pin=f"{server.cert.pin} name=a")}
    b = {NAME: to(server, pin=f"{server.cert.pin} name=b")}
    daemon = pinproxyd(a)

    def reload():
        for i in range(6):
            daemon.reload(b if i % 2 == 0 else a)
    results = exchange_during(daemon, 100, reload)
    assert results == [b"%d" % i for i in range(100)]
    pins = [event["pin"] for event in daemon.events(event="tunnel_open")]
    assert len(pins) == 100 and set(pins) <= {"a", "b"}


@pytest.mark.threads
def test_each_client_is_accepted_or_refused_and_never_both(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    right = {NAME: to(server, pin=f"{server.cert.pin} name=right")}
    wrong = {NAME: to(server, pin=f"{certs.self_signed(tmp_path).pin} name=wrong")}
    daemon = pinproxyd(right)

    def reload():
        for i in range(6):
            daemon.reload(wrong if i % 2 == 0 else right)
    results = exchange_during(daemon, 100, reload)
    for i, result in enumerate(results):
        assert result in (None, b"%d" % i)
    daemon.stop()
    opened = daemon.events(event="tunnel_open")
    assert len(opened) == sum(result is not None for result in results)
    assert {event["pin"] for event in opened} <= {"right"}
    refused = sum(1 + int(event.get("repeated", 0)) for event in daemon.events(event="pin_mismatch"))
    assert len(opened) + refused == 100
    server.stop()
    heard = b"".join(bytes(conn.plaintext) for conn in server.conns)
    assert len(heard) == sum(len(result) for result in results if result is not None)


def test_a_revoked_key_closes_fifty_tunnels(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    socks = [open_tunnel(daemon.address(NAME)) for _ in range(50)]
    daemon.reload({NAME: to(server, revoked=server.cert.pin)})
    for sock in socks:
        assert read_to_any_end(sock) == (b"", True)
        sock.close()
    wait_until(lambda: len(daemon.events(event="tunnel_close", reason="revoked")) == 50, "the end of all")
