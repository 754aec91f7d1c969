"""SIGHUP, SIGTERM, SIGINT, SIGUSR1."""

import signal
import socket
import time

import pytest

from harness import certs, servers
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME
from harness.clients import (
    ContinuousClients, connect, exchange, open_tunnel, ping, read_all, read_exactly, read_to_reset)
from harness.config import to
from harness.servers import closed_port
from harness.waiting import wait_steady, wait_until


# reload

@pytest.mark.valgrind
def test_a_reload_changes_pins(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    assert_accepted(daemon)
    daemon.reload({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    assert_refused(daemon, "pin_mismatch")
    daemon.reload({NAME: to(server)})
    assert_accepted(daemon)


def test_a_reload_reads_pin_files_again(pinproxyd, tls_server, tmp_path):
    server, other = tls_server(), certs.self_signed(tmp_path)
    pinned = tmp_path / "pinned.pem"
    pinned.write_bytes(other.pem)
    daemon = pinproxyd({NAME: to(server, pin=f"cert:{pinned}")})
    assert_refused(daemon, "pin_mismatch")
    pinned.write_bytes(server.cert.pem)
    daemon.reload()
    assert_accepted(daemon)


def test_a_reload_revokes_a_key(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    assert_accepted(daemon)
    daemon.reload({NAME: to(server, revoked=server.cert.pin)})
    assert_refused(daemon, "refused", "revoked")


def test_a_reload_adds_and_removes_sections(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server), "leaving.test": to(server)})
    leaving = daemon.address("leaving.test")
    daemon.reload({NAME: to(server), "coming.test": to(server)})
    daemon.wait_event(event="listen", section="coming.test")
    assert_accepted(daemon)
    assert_accepted(daemon, "coming.test")

    def gone():
        try:
            connect(leaving).close()
        except ConnectionRefusedError:
            return True
    wait_until(gone, "the removed section's port closed")


def test_a_reload_moves_a_listener(pinproxyd, tls_server, tmp_path):
    server, port = tls_server(), closed_port()
    daemon = pinproxyd({NAME: to(server, listen=f"127.0.0.1:{port}")})
    assert exchange(f"127.0.0.1:{port}", b"hello") == b"hello"
    daemon.reload({NAME: to(server, listen=f"unix:{tmp_path}/sock")})
    assert exchange(f"unix:{tmp_path}/sock", b"hello") == b"hello"
    with pytest.raises(ConnectionRefusedError):
        connect(f"127.0.0.1:{port}")


def test_a_reload_keeps_open_tunnels(pinproxyd, tls_server, tmp_path):
    """Tunnels of changed and of removed sections stay open too."""
    server = tls_server()
    daemon = pinproxyd({NAME: to(server), "leaving.test": to(server)})
    one, two = open_tunnel(daemon.address(NAME)), open_tunnel(daemon.address("leaving.test"))
    daemon.reload({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    for tunnel in (one, two):
        ping(tunnel, b"still here")
        tunnel.shutdown(socket.SHUT_WR)
        assert read_all(tunnel) == b""
        tunnel.close()
    daemon.wait_event(event="tunnel_close", section="leaving.test", reason="ok")


def test_a_reload_keeps_the_clients_in_the_backlog(pinproxyd, tls_server):
    server = tls_server()
    before = {"global": {"max_connections": 1}, NAME: to(server)}
    after = {"global": {"max_connections": 1}, NAME: to(server, idle_timeout="1h")}
    daemon = pinproxyd(before)
    first = open_tunnel(daemon.address(NAME))
    waiting = connect(daemon.address(NAME))
    waiting.sendall(b"patience")
    daemon.reload(after)
    daemon.reload(after)
    first.close()
    assert read_exactly(waiting, 8) == b"patience"
    waiting.close()


def test_a_reload_that_raises_the_limit_serves_a_waiting_client(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({"global": {"max_connections": 1}, NAME: to(server)})
    first = open_tunnel(daemon.address(NAME))
    waiting = connect(daemon.address(NAME))
    waiting.sendall(b"patience")
    daemon.wait_event(event="limit", what="max_connections")
    daemon.reload({"global": {"max_connections": 2}, NAME: to(server)})
    assert read_exactly(waiting, 8) == b"patience"
    first.close()
    waiting.close()


@pytest.mark.valgrind
def test_a_failed_reload_changes_nothing(pinproxyd, tls_server):
    server = tls_server()
    good = {NAME: to(server)}
    daemon = pinproxyd(good)
    tunnel = open_tunnel(daemon.address(NAME))
    daemon.reload({NAME: to(server, pin="sha256//short"), "new.test": to(server)}, ok=False)
    assert f"{daemon.file}:" in daemon.log()
    ping(tunnel)
    assert_accepted(daemon)
    assert not daemon.addresses("new.test")
    daemon.reload(good)
    ping(tunnel)
    tunnel.close()


def test_a_reload_without_the_file_changes_nothing(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    daemon.file.unlink()
    daemon.reload(ok=False)
    assert_accepted(daemon)


def test_a_reload_to_a_port_in_use_changes_nothing(pinproxyd, tls_server):
    """The listener that could be bound is not kept either."""
    server, free = tls_server(), closed_port()
    daemon = pinproxyd({"global": {"workers": 1}, NAME: to(server)})
    assert_accepted(daemon)
    before = wait_steady(daemon.fds)
    daemon.reload({"global": {"workers": 1}, NAME: to(server, pin="sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="),
                   "fine.test": to(server, listen=f"127.0.0.1:{free}"),
                   "taken.test": to(server, listen=f"127.0.0.1:{server.port}")}, ok=False)
    assert_accepted(daemon)
    with pytest.raises(ConnectionRefusedError):
        connect(f"127.0.0.1:{free}")
    wait_until(lambda: daemon.fds() <= before, "the descriptors given back")


def test_a_reload_without_a_ca_file_changes_nothing(pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue())
    anchors = ca.cert.pem_file()
    daemon = pinproxyd({NAME: to(server, verify="pki", ca_file=anchors)})
    anchors.unlink()
    daemon.reload(ok=False)
    assert_accepted(daemon)


@pytest.mark.threads
def test_reloads_under_load_fail_no_client(pinproxyd, tls_server):
    """No client fails while the configuration changes."""
    server = tls_server()
    shapes = [{"global": {"workers": 4}, NAME: to(server)},
              {"global": {"workers": 4}, NAME: to(server, pin=[server.cert.cert_pin]), "more.test": to(server)}]
    daemon = pinproxyd(shapes[0])
    with ContinuousClients(*[daemon.address(NAME)] * 2, data=b"client data;" * 50) as clients:
        for i in range(20):
            daemon.reload(shapes[(i + 1) % 2])
            time.sleep(0.05)
    assert clients.served > 20


@pytest.mark.threads
def test_the_daemon_survives_signals_in_quick_succession(pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"workers": 4}, NAME: to(tls_server())})
    for _ in range(50):
        daemon.signal(signal.SIGHUP)
        daemon.signal(signal.SIGUSR1)
    assert_accepted(daemon)


# stop

@pytest.mark.valgrind
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_without_tunnels_is_immediate(number, pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"drain_timeout": "1h"}, NAME: to(tls_server())})
    daemon.signal(number)
    daemon.wait(0)
    assert daemon.events(event="stop")


def test_a_stop_lets_an_open_tunnel_finish(pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"drain_timeout": "1h"}, NAME: to(tls_server())})
    tunnel = open_tunnel(daemon.address(NAME))
    daemon.signal(signal.SIGTERM)

    def closed():
        try:
            connect(daemon.address(NAME)).close()
        except ConnectionRefusedError:
            return True
    wait_until(closed, "the listener closed")
    ping(tunnel, b"a last word" * 1000)
    assert daemon.running()
    tunnel.shutdown(socket.SHUT_WR)
    assert read_all(tunnel) == b""
    daemon.wait(0)
    assert daemon.events(event="tunnel_close")[0]["reason"] == "ok"


def test_drain_timeout_resets_open_tunnels(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({"global": {"drain_timeout": "300ms"}, NAME: to(server)})
    with open_tunnel(daemon.address(NAME)) as tunnel:
        daemon.signal(signal.SIGTERM)
        assert read_to_reset(tunnel) == b""
    daemon.wait(0)
    assert server.wait_done()[0].end in ("truncated", "reset")


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_at_once(second, pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"drain_timeout": "1h"}, NAME: to(tls_server())})
    with open_tunnel(daemon.address(NAME)) as tunnel:
        daemon.signal(signal.SIGTERM)
        time.sleep(0.3)
        ping(tunnel)
        daemon.signal(second)
        assert read_to_reset(tunnel) == b""
    daemon.wait(0)


def test_a_stop_ends_a_handshake_after_drain_timeout(pinproxyd, raw_server):
    server = raw_server(servers.never_answer)
    daemon = pinproxyd({"global": {"drain_timeout": "300ms"},
                        NAME: to(server, pin=f"sha256//{'A' * 42}8=")})
    with connect(daemon.address(NAME)) as client:
        server.wait_conns()
        daemon.signal(signal.SIGTERM)
        assert read_to_reset(client) == b""
    daemon.wait(0)


def test_a_stop_does_not_wait_for_a_lookup(pinproxyd):
    daemon = pinproxyd({"global": {"drain_timeout": "1h"}, "nowhere.test": {
        "listen": "127.0.0.1:0", "pin": f"sha256//{'A' * 42}8="}}, names={})
    clients = []
    for _ in range(20):
        try:
            clients.append(connect(daemon.address("nowhere.test")))
        except ConnectionResetError:
            pass  # its lookup has already failed
    daemon.signal(signal.SIGTERM)
    daemon.signal(signal.SIGTERM)
    daemon.wait(0)
    for client in clients:
        client.close()


def test_drain_timeout_of_zero_resets_tunnels_at_once(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({"global": {"drain_timeout": "0"}, NAME: to(server)})
    with open_tunnel(daemon.address(NAME)) as tunnel:
        daemon.signal(signal.SIGTERM)
        daemon.wait_event(event="tunnel_close", reason="drained")
        assert read_to_reset(tunnel) == b""
    daemon.wait(0)


def test_a_stop_ends_a_busy_tunnel_after_drain_timeout(pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"drain_timeout": "300ms"}, NAME: to(tls_server(servers.send_forever))})
    with connect(daemon.address(NAME)) as client:
        read_exactly(client, 1 << 20)
        daemon.signal(signal.SIGTERM)
        with pytest.raises(ConnectionResetError):
            while client.recv(1 << 18):
                pass
            raise AssertionError("a clean end where a reset belongs")
    daemon.wait(0)


def test_a_reload_during_a_stop_does_not_listen_again(pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"drain_timeout": "1h"}, NAME: to(tls_server())})
    tunnel = open_tunnel(daemon.address(NAME))
    daemon.signal(signal.SIGTERM)
    wait_until(lambda: not listens(daemon), "the listener closed")
    daemon.signal(signal.SIGHUP)
    time.sleep(0.3)
    assert not listens(daemon)
    tunnel.close()
    daemon.wait(0)


def listens(daemon):
    try:
        connect(daemon.address(NAME)).close()
        return True
    except ConnectionRefusedError:
        return False


# status

@pytest.mark.valgrind
def test_sigusr1_logs_the_status_of_every_section(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server), "idle.test": to(server)})
    with open_tunnel(daemon.address(NAME)):
        daemon.signal(signal.SIGUSR1)
        daemon.wait_event(event="status", section=NAME)
        daemon.wait_event(event="status", section="idle.test")
    daemon.stop()
    assert len(daemon.events(event="status")) == 2


# counts in start and reload

def test_start_and_reload_log_the_number_of_sections_and_listeners(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, listen=["127.0.0.1:0", f"unix:{tmp_path}/sock"]), "two.test": to(server)})
    start = daemon.wait_event(event="start")
    assert (start["sections"], start["listeners"]) == ("2", "3")
    assert start["version"]
    assert start["level"] == "notice"
    reload = daemon.reload({NAME: to(server, listen=["127.0.0.1:0", f"unix:{tmp_path}/sock"])})
    assert (reload["sections"], reload["listeners"]) == ("1", "2")
