"""A reload is logged when every worker has applied it, and has an effect from then on."""

import contextlib
import signal
import threading
import time

import pytest

from harness import certs
from harness.assertions import SECRET, assert_nothing_sent
from harness.certs import NAME
from harness.clients import connect, open_tunnel, read_to_any_end
from harness.config import to
from harness.frozen_threads import frozen, thread_state, workers
from harness.servers import send_forever
from harness.waiting import DEADLINE, wait_until

# How long a test waits for a line that must not come.
GRACE = 0.5


def one_worker(server, **options):
    return {"global": {"workers": 1}, NAME: to(server, **options)}


def request_reload(daemon, config):
    """Writes the configuration and sends SIGHUP. Returns the end of the log before it."""
    daemon.write(config)
    mark = daemon.mark()
    daemon.signal(signal.SIGHUP)
    return mark


def assert_not_logged(daemon, mark):
    time.sleep(GRACE)
    assert not daemon.events(mark, event="reload")


@pytest.mark.threads
def test_a_reload_waits_for_a_busy_worker(pinproxyd, tls_server):
    """A client that has seen the log line may send secrets into the tunnel. No byte of them is forwarded."""
    server = tls_server()
    daemon = pinproxyd(one_worker(server))
    with open_tunnel(daemon.address(NAME)) as sock:
        with frozen(daemon, workers(daemon)):
            mark = request_reload(daemon, one_worker(server, revoked=server.cert.pin))
            assert_not_logged(daemon, mark)
        daemon.wait_event(mark, event="reload")
        with contextlib.suppress(OSError):
            sock.sendall(SECRET)
        assert read_to_any_end(sock)[0] == b""
    daemon.stop()
    server.stop()
    assert [bytes(conn.plaintext) for conn in server.conns] == [b"ping"]


def test_a_reload_waits_for_each_worker(pinproxyd, tls_server):
    """One of four is busy, and the others have applied the reload."""
    server = tls_server()
    config = {"global": {"workers": 4}, NAME: to(server)}
    daemon = pinproxyd(config)
    for tid in workers(daemon):
        with frozen(daemon, [tid]):
            mark = request_reload(daemon, config)
            assert_not_logged(daemon, mark)
        daemon.wait_event(mark, event="reload")


@pytest.mark.threads
def test_a_busy_worker_applies_the_reload_before_it_moves_bytes(pinproxyd, tls_server):
    """Data that was waiting when the reload came is not forwarded first, in either direction."""
    def behave(conn):
        conn.send(conn.recv())
        conn.released.wait(DEADLINE)
        conn.send(b"more")
        while conn.recv():
            pass
    server = tls_server(behave)
    daemon = pinproxyd(one_worker(server))
    socks = [open_tunnel(daemon.address(NAME)) for _ in range(40)]
    with frozen(daemon, workers(daemon)):
        for sock in socks[:20]:
            sock.sendall(SECRET)
        server.released.set()
        wait_until(lambda: all(conn.sent == 8 for conn in server.conns), "the servers' second word")
        mark = request_reload(daemon, one_worker(server, revoked=server.cert.pin))
        assert_not_logged(daemon, mark)
    daemon.wait_event(mark, event="reload")
    for sock in socks:
        assert read_to_any_end(sock) == (b"", True)
        sock.close()
    daemon.stop()
    server.stop()
    assert [bytes(conn.plaintext) for conn in server.conns] == [b"ping"] * 40


def test_ready_is_sent_when_every_worker_has_applied_the_reload(pinproxyd, tls_server, service_manager):
    server = tls_server()
    daemon = pinproxyd(one_worker(server), env={"NOTIFY_SOCKET": service_manager.path})
    assert service_manager.next()["READY"] == "1"
    with frozen(daemon, workers(daemon)):
        mark = request_reload(daemon, one_worker(server))
        assert service_manager.next()["RELOADING"] == "1"
        assert service_manager.is_silent(GRACE)
    assert service_manager.next()["READY"] == "1"
    assert daemon.events(mark, event="reload")


def test_a_second_reload_during_the_first_replaces_it(pinproxyd, tls_server, tmp_path):
    """The reloads revoke different keys. The log line is for the later one."""
    server, other = tls_server(), certs.self_signed(tmp_path)
    daemon = pinproxyd(one_worker(server))
    with open_tunnel(daemon.address(NAME)) as sock:
        with frozen(daemon, workers(daemon)):
            mark = request_reload(daemon, one_worker(server, revoked=other.pin))
            assert_not_logged(daemon, mark)
            request_reload(daemon, one_worker(server, revoked=server.cert.pin))
            assert_not_logged(daemon, mark)
        daemon.wait_event(mark, event="reload")
        assert read_to_any_end(sock) == (b"", True)
        daemon.wait_event(event="tunnel_close", reason="revoked")
    assert daemon.reload(one_worker(server))
    open_tunnel(daemon.address(NAME)).close()


def test_a_failed_reload_during_the_first_does_not_report_the_first(pinproxyd, tls_server, service_manager):
    server = tls_server()
    daemon = pinproxyd(one_worker(server), env={"NOTIFY_SOCKET": service_manager.path})
    assert service_manager.next()["READY"] == "1"
    with open_tunnel(daemon.address(NAME)) as sock:
        with frozen(daemon, workers(daemon)):
            mark = request_reload(daemon, {**one_worker(server, revoked=server.cert.pin), "more.test": to(server)})
            assert service_manager.next()["RELOADING"] == "1"
            daemon.wait_event(mark, event="listen")
            request_reload(daemon, "[broken\n")
            assert service_manager.next()["RELOADING"] == "1"
            daemon.wait_event(mark, event="reload_failed")
            assert service_manager.is_silent(GRACE)
            assert not daemon.events(mark, event="reload")
        assert service_manager.next()["READY"] == "1"
        assert daemon.events(mark, event="reload")
        assert read_to_any_end(sock) == (b"", True)


@pytest.mark.parametrize("tunnel", [True, False], ids=["tunnel", "idle"])
def test_a_worker_that_never_answers_does_not_delay_the_exit(tunnel, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(one_worker(server))
    sock = open_tunnel(daemon.address(NAME)) if tunnel else None
    with frozen(daemon, workers(daemon)):
        mark = request_reload(daemon, one_worker(server))
        assert_not_logged(daemon, mark)
        daemon.signal(signal.SIGTERM)
        if tunnel:
            time.sleep(GRACE)
            daemon.signal(signal.SIGTERM)
        # its parent is notified when the frozen thread is released
        wait_until(lambda: thread_state(daemon.pid, daemon.pid) == "Z", "the end of the daemon")
    daemon.wait(0)
    if sock:
        sock.close()


def test_clients_that_wait_for_their_worker_are_judged_by_the_reload(pinproxyd, tls_server):
    """The first client was accepted before the reload, the second after it."""
    server = tls_server()
    daemon = pinproxyd(one_worker(server))
    address, before = daemon.address(NAME), daemon.fds()
    with frozen(daemon, workers(daemon)):
        socks = [connect(address)]
        wait_until(lambda: daemon.fds() == before + 1, "the first to be accepted")
        mark = request_reload(daemon, one_worker(server, revoked=server.cert.pin))
        assert_not_logged(daemon, mark)
        socks.append(connect(address))
        wait_until(lambda: daemon.fds() == before + 2, "the second to be accepted")
        for sock in socks:
            sock.sendall(SECRET)
    for sock in socks:
        assert read_to_any_end(sock) == (b"", True)
        sock.close()
    daemon.stop()
    assert [event["reason"] for event in daemon.events(event="refused")] == ["revoked"] * 2
    assert_nothing_sent(server, SECRET)


@pytest.mark.threads
def test_nothing_reaches_a_revoked_server_after_the_reload_is_logged(pinproxyd, tls_server):
    """Some tunnels carry data without a pause, and others keep the workers busy."""
    late, after, done = [], threading.Event(), threading.Event()

    def record(conn):
        while data := conn.recv():
            if b"!" in data:
                late.append(data)
            conn.send(data)

    def shuttle(sock):
        try:
            while True:
                sock.sendall((b"!" if after.is_set() else b".") * 16384)
                sock.recv(1 << 16)
        except OSError:
            pass

    def drain(sock):
        while not done.is_set():
            sock.recv(1 << 18)
    busy, server = tls_server(send_forever), tls_server(record)
    config = {"global": {"workers": 2}, "busy.test": to(busy), NAME: to(server)}
    daemon = pinproxyd(config)
    socks = [open_tunnel(daemon.address(NAME)) for _ in range(8)]
    busy_socks = [connect(daemon.address("busy.test")) for _ in range(8)]
    shuttles = [threading.Thread(target=shuttle, args=(sock,)) for sock in socks]
    drains = [threading.Thread(target=drain, args=(sock,)) for sock in busy_socks]
    for thread in shuttles + drains:
        thread.start()
    try:
        wait_until(lambda: all(conn.received > 1 << 16 for conn in server.conns), "bytes to flow")
        daemon.reload({**config, NAME: to(server, revoked=server.cert.pin)})
        after.set()
        for thread in shuttles:
            thread.join(DEADLINE)
            assert not thread.is_alive()
    finally:
        done.set()
        for thread in drains:
            thread.join(DEADLINE)
        for sock in socks + busy_socks:
            sock.close()
    daemon.stop()
    server.stop()
    assert not late
