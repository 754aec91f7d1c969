"""A tunnel is the same over every carrier of TLS: each promise of it, over each value of `via`."""

import hashlib
import random
import socket
import threading
import time

import pytest

from harness import certs, servers
from harness.assertions import SECRET, assert_refused
from harness.carriers import over
from harness.certs import NAME
from harness.clients import (
    connect, exchange, open_tunnel, ping, read_all, read_exactly, read_to_any_end, read_to_reset)
from harness.config import ini
from harness.daemon import instrumented, run_pinproxy
from harness.parallel import run_parallel
from harness.tls_connection import reset
from harness.waiting import DEADLINE, wait_steady, wait_until

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
    closed = daemon.wait_event(event="tunnel_close")
    assert (closed["sent"], closed["received"], closed["reason"]) == (str(size), str(size), "ok")


def test_a_client_that_has_finished_gets_the_whole_answer(carried, pinproxyd):
    answer = random.Random(1).randbytes(64 * KIB)
    server = carried(servers.answer_after_end(answer))
    daemon = pinproxyd({NAME: over(server)})
    assert exchange(daemon.address(NAME), b"question") == answer
    conn, = server.wait_done()
    assert bytes(conn.plaintext) == b"question"
    assert conn.end == "close_notify"
    assert daemon.wait_event(event="tunnel_close")["reason"] == "ok"


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
