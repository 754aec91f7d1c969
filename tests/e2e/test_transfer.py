"""Bytes arrive whole, in order and once, and each side sees how the other ended."""

import hashlib
import os
import random
import socket
import threading

import pytest

from harness import certs, servers
from harness.certs import NAME
from harness.clients import (
    connect, exchange, open_tunnel, ping, read_all, read_exactly, read_to_any_end, read_to_reset, try_connection)
from harness.config import to
from harness.daemon import instrumented
from harness.tls_connection import reset
from harness.waiting import wait_steady, wait_until

MB = 1 << 20


def chunks(data, seed):
    """Yields the bytes in pieces of very different sizes."""
    rng, view, at = random.Random(seed), memoryview(data), 0
    while at < len(data):
        size = rng.randint(1, rng.choice([3, 1500, 20000, 300000]))
        yield bytes(view[at:at + size])
        at += size


def send_and_receive(send, receive, finish, data, seed):
    """Sends `data` in pieces while it reads to the end. Returns (number of bytes, digest) of the data that it read."""
    failure = []

    def sender():
        try:
            for piece in chunks(data, seed):
                send(piece)
            finish()
        except Exception as error:
            failure.append(error)

    thread = threading.Thread(target=sender)
    thread.start()
    digest, count = hashlib.sha256(), 0
    while piece := receive():
        digest.update(piece)
        count += len(piece)
    thread.join()
    assert not failure, failure
    return count, digest.hexdigest()


def assert_whole_exchange(pinproxyd, tls_server, listen, size):
    down, up = random.Random(1).randbytes(size), random.Random(2).randbytes(size)
    arrived = []

    def both_ways(conn):
        arrived.append(send_and_receive(conn.send, conn.recv, conn.close_notify, down, seed=3))

    daemon = pinproxyd({NAME: to(tls_server(both_ways), listen=listen)})
    with connect(daemon.address(NAME)) as client:
        rng = random.Random(4)
        got = send_and_receive(
            client.sendall, lambda: client.recv(rng.choice([1, 100, 5000, 300000])),
            lambda: client.shutdown(socket.SHUT_WR), up, seed=5)
    assert got == (size, hashlib.sha256(down).hexdigest())
    wait_until(lambda: arrived, "the server's end")
    assert arrived == [(size, hashlib.sha256(up).hexdigest())]
    closed = daemon.wait_event(event="tunnel_close")
    assert (closed["sent"], closed["received"], closed["reason"]) == (str(size), str(size), "ok")


@pytest.mark.slow
def test_64_mb_arrive_whole_in_both_directions_at_once(listen, pinproxyd, tls_server):
    assert_whole_exchange(pinproxyd, tls_server, listen, 64 * MB)


@pytest.mark.threads
def test_2_mb_arrive_whole_in_both_directions_at_once(listen, pinproxyd, tls_server):
    assert_whole_exchange(pinproxyd, tls_server, listen, 2 * MB)


@pytest.mark.valgrind
def test_a_tunnel_without_data_ends_cleanly(listen, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, listen=listen)})
    assert exchange(daemon.address(NAME), b"") == b""
    assert server.wait_done()[0].end == "close_notify"


def test_single_bytes_arrive_one_by_one(pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server())})
    with connect(daemon.address(NAME)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(300):
            ping(client, bytes([i % 256]))


# ends

@pytest.mark.valgrind
def test_a_half_close_of_the_client_reaches_the_server_and_the_answer_arrives(listen, pinproxyd, tls_server):
    """The client's FIN becomes close_notify upstream. The other direction stays open."""
    answer = os.urandom(3 * MB)
    server = tls_server(servers.answer_after_end(answer))
    daemon = pinproxyd({NAME: to(server, listen=listen)})
    assert exchange(daemon.address(NAME), b"request") == answer
    conn = server.wait_done()[0]
    assert (bytes(conn.plaintext), conn.end) == (b"request", "close_notify")
    assert daemon.wait_event(event="tunnel_close")["reason"] == "ok"


def test_a_half_close_of_the_server_reaches_the_client_and_the_rest_arrives(listen, pinproxyd, tls_server):
    """The server's close_notify becomes a FIN to the client, who may still send."""
    server = tls_server(servers.send_then_read(b"all I have"))
    daemon = pinproxyd({NAME: to(server, listen=listen)})
    rest = os.urandom(3 * MB)
    with connect(daemon.address(NAME)) as client:
        assert read_all(client) == b"all I have"
        client.sendall(rest)
        client.shutdown(socket.SHUT_WR)
        conn = server.wait_done()[0]
    assert conn.end == "close_notify"
    assert conn.received == len(rest) and conn.plaintext == rest[:len(conn.plaintext)]
    assert daemon.wait_event(event="tunnel_close")["reason"] == "ok"


@pytest.mark.valgrind
def test_a_truncated_answer_resets_the_client(pinproxyd, tls_server):
    data = os.urandom(100_000)
    daemon = pinproxyd({NAME: to(tls_server(servers.send_then_truncate(data)))})
    with connect(daemon.address(NAME)) as client:
        assert read_to_reset(client) == data
    daemon.wait_event(event="truncated", section=NAME)
    daemon.stop()
    assert len(daemon.events(event="truncated")) == 1


def test_a_large_truncated_answer_arrives_before_the_reset(pinproxyd, tls_server):
    """All authenticated data arrives before the reset, though the client reads slowly."""
    data = os.urandom(MB)
    server = tls_server(servers.send_then_truncate(data, count=10))
    daemon = pinproxyd({NAME: to(server)})
    with connect(daemon.address(NAME), receive_buffer=16384) as client:
        wait_steady(lambda: server.conns and server.conns[0].sent)
        assert read_to_reset(client, pause=0.002) == data * 10
    daemon.wait_event(event="truncated", section=NAME)


def test_truncation_on_a_unix_socket_is_logged(pinproxyd, tls_server, tmp_path):
    data = os.urandom(100_000)
    daemon = pinproxyd({NAME: to(tls_server(servers.send_then_truncate(data)), listen=f"unix:{tmp_path}/sock")})
    with connect(daemon.address(NAME)) as client:
        assert read_to_any_end(client)[0] == data
    daemon.wait_event(event="truncated", section=NAME)


def test_no_byte_of_a_truncated_record_reaches_the_client(pinproxyd, tls_server):
    """Half a record is not authenticated."""
    def half(conn):
        conn.send(b"whole")
        conn.tls.write(b"x" * 16000)
        conn.sock.sendall(conn.outgoing.read()[:8000])
        conn.truncate()
    daemon = pinproxyd({NAME: to(tls_server(half))})
    with connect(daemon.address(NAME)) as client:
        assert read_to_reset(client) == b"whole"
    daemon.wait_event(event="truncated", section=NAME)


def test_truncation_after_a_half_close_of_the_client_resets_the_client(pinproxyd, tls_server):
    """The server reads the request, begins to answer, and ends without close_notify."""
    def cut_answer(conn):
        conn.recv_all()
        conn.send(b"half an answ")
        conn.truncate()
    daemon = pinproxyd({NAME: to(tls_server(cut_answer))})
    with connect(daemon.address(NAME)) as client:
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        assert read_to_reset(client) == b"half an answ"
    daemon.wait_event(event="truncated", section=NAME)


def test_truncation_is_a_clean_end_where_it_is_allowed(pinproxyd, tls_server):
    data = os.urandom(100_000)
    daemon = pinproxyd({NAME: to(tls_server(servers.send_then_truncate(data)), truncation="allow")})
    with connect(daemon.address(NAME)) as client:
        assert read_all(client) == data
    daemon.stop()
    assert not daemon.events(event="truncated")


def test_a_client_reset_closes_the_upstream_without_close_notify(pinproxyd, tls_server):
    """The server must not take a broken request for a whole one."""
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    client = open_tunnel(daemon.address(NAME))
    reset(client)
    assert server.wait_done()[0].end in ("truncated", "reset")
    daemon.wait_event(event="tunnel_close")


def test_a_client_reset_closes_the_tunnel_while_the_server_sends(pinproxyd, tls_server):
    server = tls_server(servers.send_forever)
    daemon = pinproxyd({NAME: to(server)})
    client = connect(daemon.address(NAME))
    read_exactly(client, 100_000)
    reset(client)
    server.wait_done()
    daemon.wait_event(event="tunnel_close")


def test_a_client_reset_during_the_handshake_closes_the_upstream_at_once(pinproxyd, tls_server, relay):
    """The daemon does not wait for handshake_timeout."""
    server = tls_server()
    stalled = relay(server, first=20)
    daemon = pinproxyd({NAME: to(stalled, handshake_timeout="1h")})
    client = connect(daemon.address(NAME))
    stalled.wait_conns()
    reset(client)
    assert server.wait_done()[0].end
    daemon.stop()
    assert not daemon.events(event="tunnel_open")


def test_an_upstream_reset_resets_the_client(pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server(servers.send_then_reset(b"some words")))})
    with connect(daemon.address(NAME)) as client:
        assert read_exactly(client, 10) == b"some words"
        client.sendall(b"go")
        assert read_to_reset(client) == b""
    daemon.wait_event(event="tunnel_close")


def test_an_upstream_reset_resets_a_client_that_sends(pinproxyd, tls_server):
    def take_some(conn):
        conn.recv_exactly(100_000)
        conn.reset()
    daemon = pinproxyd({NAME: to(tls_server(take_some))})
    with connect(daemon.address(NAME)) as client:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while True:
                client.sendall(b"x" * 65536)
    daemon.wait_event(event="tunnel_close")


def test_no_descriptor_leaks(pinproxyd, tls_server, raw_server, tmp_path):
    good, bad, cut = tls_server(), tls_server(), tls_server(servers.send_then_truncate(b"x"))
    plain = raw_server(servers.close_at_hello)
    daemon = pinproxyd({
        "global": {"workers": 1}, "good.test": to(good), "cut.test": to(cut),
        "plain.test": to(plain, pin=good.cert.pin),
        "bad.test": to(bad, pin=certs.self_signed(tmp_path).pin),
        "closed.test": {"listen": "127.0.0.1:0", "address": f"127.0.0.1:{servers.closed_port()}",
                        "pin": good.cert.pin}})
    open_tunnel(daemon.address("good.test")).close()
    before = wait_steady(daemon.fds)
    for _ in range(10):
        exchange(daemon.address("good.test"), b"x" * 100_000)
        reset(open_tunnel(daemon.address("good.test")))
        for section in ("cut.test", "plain.test", "bad.test", "closed.test"):
            try_connection(daemon.address(section))
    wait_until(lambda: daemon.fds() <= before, "the descriptors given back")


# back-pressure

def measure_stalled(daemon, start, count=20):
    """Returns the clients that start(count) opened, and the memory that each stalled tunnel takes."""
    open_tunnel(daemon.address("warm.test")).close()
    before = daemon.rss()
    clients = start(count)
    return clients, (daemon.rss() - before) / count


LIMIT = (512 + 256) * 1024  # 512 KiB in flight, and what a TLS connection and the allocator take


def test_a_client_that_does_not_read_stalls_the_server_until_it_reads(pinproxyd, tls_server):
    server, warm = tls_server(servers.send_forever), tls_server()
    daemon = pinproxyd({NAME: to(server), "warm.test": to(warm)})

    def start(count):
        clients = [connect(daemon.address(NAME)) for _ in range(count)]
        server.wait_conns(count)
        wait_steady(lambda: [conn.sent for conn in server.conns])
        assert all(conn.sent for conn in server.conns)
        return clients

    clients, each = measure_stalled(daemon, start)
    if not instrumented():
        assert each < LIMIT
    # The tunnel is stalled and not broken. It continues where it stopped.
    pattern = bytes(range(256)) * 256
    stopped_at = server.conns[0].sent
    for client in clients[:3]:
        assert read_exactly(client, 65536 * 4) == pattern * 4
    wait_until(lambda: sum(conn.sent for conn in server.conns) > stopped_at, "the flow to go on")
    for client in clients:
        reset(client)


def test_a_server_that_does_not_read_stalls_the_client_until_it_reads(pinproxyd, tls_server):
    server, warm = tls_server(servers.stall), tls_server()
    daemon = pinproxyd({NAME: to(server), "warm.test": to(warm)})
    block = b"z" * 65536
    sent = {}

    def start(count):
        clients = [connect(daemon.address(NAME)) for _ in range(count)]
        server.wait_conns(count)
        for client in clients:
            client.setblocking(False)
            sent[client] = 0

        def fill():
            for client in clients:
                try:
                    while True:
                        sent[client] += client.send(block)
                        assert sent[client] < 100 * MB, "no end to what is taken"
                except BlockingIOError:
                    pass
            return sum(sent.values())
        wait_steady(fill)
        return clients

    clients, each = measure_stalled(daemon, start)
    server.released.set()
    if not instrumented():
        assert each < LIMIT
    for client in clients:
        client.settimeout(60)
        client.shutdown(socket.SHUT_WR)
        assert int(read_all(client)) == sent[client]
        client.close()


def test_two_stalled_directions_do_not_deadlock(pinproxyd, tls_server):
    """Both directions are filled and then drained. Nothing is lost."""
    size = 8 * MB

    def pour_then_read(conn):
        thread = threading.Thread(target=lambda: (conn.send(b"d" * size), conn.close_notify()))
        thread.start()
        conn.released.wait()
        conn.recv_all()
        thread.join()

    server = tls_server(pour_then_read)
    daemon = pinproxyd({NAME: to(server)})
    with connect(daemon.address(NAME)) as client:
        def pour():
            client.sendall(b"u" * size)
            client.shutdown(socket.SHUT_WR)
        thread = threading.Thread(target=pour)
        thread.start()
        server.wait_conns()
        wait_steady(lambda: server.conns[0].sent)
        server.released.set()
        assert read_all(client) == b"d" * size
        thread.join()
    assert server.wait_done()[0].received == size
