"""A tunnel is the same over every carrier of TLS: each promise of it, over each value of `via`."""

import hashlib
import random
import socket

import pytest

from harness import servers
from harness.assertions import SECRET, assert_refused
from harness.carriers import over
from harness.certs import NAME
from harness.clients import (
    connect, exchange, open_tunnel, ping, read_all, read_exactly, read_to_any_end, read_to_reset)
from harness.config import ini
from harness.daemon import instrumented, run_pinproxy
from harness.parallel import run_parallel
from harness.tls_connection import reset
from harness.waiting import wait_steady, wait_until

KIB, MIB = 1 << 10, 1 << 20


def pieces(data, seed):
    """Yields the bytes in pieces of very different sizes."""
    rng, view, at = random.Random(seed), memoryview(data), 0
    while at < len(data):
        size = rng.randint(1, rng.choice([3, 1500, 20000, 300000]))
        yield bytes(view[at:at + size])
        at += size


def send_and_receive(send, receive, finish, data, seed):
    """Sends data in pieces and reads to the end, at the same time. Returns the count and the digest of what it read."""
    def sender():
        for piece in pieces(data, seed):
            send(piece)
        finish()

    def receiver():
        digest, count = hashlib.sha256(), 0
        while piece := receive():
            digest.update(piece)
            count += len(piece)
        return count, digest.hexdigest()

    return run_parallel([sender, receiver])[1]


@pytest.mark.slow
def test_bytes_arrive_whole_in_both_directions_at_once(carrier, carried, pinproxyd):
    size = carrier.bulk
    down, up = random.Random(1).randbytes(size), random.Random(2).randbytes(size)
    arrived = []

    def both_ways(conn):
        arrived.append(send_and_receive(conn.send, conn.recv, conn.close_notify, down, seed=3))

    daemon = pinproxyd({NAME: over(carried(both_ways))})
    with connect(daemon.address(NAME)) as client:
        rng = random.Random(4)
        got = send_and_receive(client.sendall, lambda: client.recv(rng.choice([100, 5000, 300000])),
                               lambda: client.shutdown(socket.SHUT_WR), up, seed=5)
    assert got == (size, hashlib.sha256(down).hexdigest())
    wait_until(lambda: arrived, "the server's end")
    assert arrived == [(size, hashlib.sha256(up).hexdigest())]
    closed = daemon.wait_event(event="tunnel_close", section=NAME)
    assert (closed["sent"], closed["received"], closed["reason"]) == (str(size), str(size), "ok")


def test_a_client_that_has_finished_gets_the_whole_answer(carried, pinproxyd):
    answer = random.Random(1).randbytes(64 * KIB)
    server = carried(servers.answer_after_end(answer))
    daemon = pinproxyd({NAME: over(server)})
    assert exchange(daemon.address(NAME), b"question") == answer
    conn, = server.wait_done()
    assert bytes(conn.plaintext) == b"question"
    assert conn.end == "close_notify"
    assert daemon.wait_event(event="tunnel_close", section=NAME)["reason"] == "ok"


def test_a_server_that_has_finished_gets_everything(carried, pinproxyd):
    server = carried(servers.send_then_read(b"hello"))
    daemon = pinproxyd({NAME: over(server)})
    data = random.Random(1).randbytes(64 * KIB)
    with connect(daemon.address(NAME)) as client:
        assert read_all(client) == b"hello"
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        conn, = server.wait_done()
    assert bytes(conn.plaintext) == data
    assert conn.end == "close_notify"


def test_a_server_that_cuts_the_stream_resets_the_client(carrier, carried, pinproxyd):
    words = random.Random(1).randbytes(32 * KIB)

    def cut(conn):
        conn.send(words)
        carrier.cut(conn)

    daemon = pinproxyd({NAME: over(carried(cut))})
    with connect(daemon.address(NAME)) as client:
        assert read_to_reset(client) == words
    daemon.wait_event(event="truncated", section=NAME)
    assert daemon.wait_event(event="tunnel_close", section=NAME)["reason"] == "truncated"


def test_a_client_that_resets_cuts_the_stream_to_the_server(carrier, carried, pinproxyd):
    server = carried(servers.echo)
    daemon = pinproxyd({NAME: over(server)})
    client = open_tunnel(daemon.address(NAME))
    reset(client)
    conn, = server.wait_done()
    assert conn.end == ("reset" if carrier.resets else "truncated")
    assert daemon.wait_event(event="tunnel_close", section=NAME)["reason"] == "client_reset"


def test_a_server_without_the_pin_gets_not_one_plaintext_byte(carried, pinproxyd, backup):
    server = carried(servers.echo)
    daemon = pinproxyd({NAME: over(server, pin=backup.pin)})
    assert_refused(daemon, "pin_mismatch", server=server)


def test_a_server_that_says_nothing_is_given_up(carrier, stack, pinproxyd, backup):
    server = stack.add(carrier.start(servers.RawServer, servers.never_answer))
    server.cert = None
    daemon = pinproxyd({NAME: over(server, pin=backup.pin, handshake_timeout="300ms")})
    line = assert_refused(daemon, "upstream_error", "timeout", server=server)
    assert "TLS handshake" in line["detail"]


def test_a_server_that_is_no_tls_server_is_refused(carrier, stack, pinproxyd, backup):
    server = stack.add(carrier.start(servers.RawServer, servers.answer_garbage))
    server.cert = None
    daemon = pinproxyd({NAME: over(server, pin=backup.pin)})
    assert_refused(daemon, "upstream_error", "tls", server=server)


def test_an_idle_tunnel_ends_in_order(carried, pinproxyd):
    server = carried(servers.echo)
    daemon = pinproxyd({NAME: over(server, idle_timeout="1s")})
    with open_tunnel(daemon.address(NAME)) as client:
        assert read_all(client) == b""
    conn, = server.wait_done()
    assert conn.end == "close_notify"
    assert daemon.wait_event(event="tunnel_close", section=NAME)["reason"] == "idle"


def test_a_client_that_does_not_read_makes_the_tunnel_hold_little(carrier, carried, pinproxyd):
    block = random.Random(1).randbytes(64 * KIB)
    first = random.Random(2).randbytes(min(carrier.bulk // 4, MIB))
    total = min(carrier.bulk, 32 * MIB) // len(block)

    def send_much(conn):
        conn.send(first)
        conn.recv_exactly(1)
        for _ in range(total):
            conn.send(block)
        conn.close_notify()

    server = carried(send_much)
    daemon = pinproxyd({"global": {"workers": 1}, NAME: over(server)})
    with connect(daemon.address(NAME), receive_buffer=16 * KIB) as client:
        assert read_exactly(client, len(first)) == first  # the buffers of the thread are in use from now on
        before = daemon.anonymous_memory()
        client.sendall(b"!")
        conn, = server.wait_conns()
        wait_steady(lambda: conn.sent, quiet=0.3)
        if not instrumented():
            # the heap has a share of its own, which is not known
            assert daemon.anonymous_memory() - before <= MIB * carrier.tunnels
        got = hashlib.sha256()
        while data := client.recv(1 << 18):
            got.update(data)
    assert got.digest() == hashlib.sha256(block * total).digest()
    assert daemon.wait_event(event="tunnel_close", section=NAME)["received"] == str(len(first) + total * len(block))


def test_tunnels_follow_one_another(carried, pinproxyd):
    daemon = pinproxyd({NAME: over(carried(servers.echo))})
    for number in range(4):
        data = random.Random(number).randbytes(3000)
        assert exchange(daemon.address(NAME), data) == data
    assert len(daemon.events(event="tunnel_open", section=NAME)) == 4


def test_tunnels_run_at_the_same_time_or_wait_for_their_turn(carried, pinproxyd):
    daemon = pinproxyd({"global": {"workers": 2}, NAME: over(carried(servers.echo))})
    words = [random.Random(number).randbytes(2000) for number in range(6)]
    assert run_parallel([lambda data=data: exchange(daemon.address(NAME), data) for data in words]) == words


def test_a_reload_keeps_an_open_tunnel_and_applies_to_the_next(carried, pinproxyd, backup):
    server = carried(servers.echo)
    daemon = pinproxyd({NAME: over(server)})
    with open_tunnel(daemon.address(NAME)) as client:
        daemon.reload({NAME: over(server, pin=[server.cert.pin, backup.pin])})
        ping(client, b"still here")
    daemon.wait_event(event="tunnel_close", section=NAME)
    open_tunnel(daemon.address(NAME)).close()


def test_a_stop_leaves_no_tunnel(carried, pinproxyd):
    server = carried(servers.echo)
    daemon = pinproxyd({"global": {"drain_timeout": "0"}, NAME: over(server)})
    with open_tunnel(daemon.address(NAME)) as client:
        daemon.stop()
        assert read_to_any_end(client) == (b"", True)
    server.wait_done()


def test_the_tool_takes_the_same_way(carried, tmp_path):
    server = carried(servers.echo)
    config = tmp_path / "tool.conf"
    config.write_text(ini({NAME: over(server)}))
    got = run_pinproxy("connect", "-c", config, NAME, input=b"hello")
    assert (got.returncode, got.out) == (0, "hello"), got.err
    got = run_pinproxy("check", "-c", config, "--live")
    assert got.returncode == 1 and f"pin {server.cert.pin} matches" in got.out, (got.out, got.err)
