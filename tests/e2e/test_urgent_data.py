"""Urgent data arrives in line, on TCP and Unix sockets. No byte is lost or reordered."""

import array
import os
import socket

import pytest

from harness import servers
from harness.certs import NAME
from harness.clients import connect, open_tunnel, read_all, read_exactly
from harness.config import to
from harness.tls_connection import TlsConn
from harness.waiting import wait_until


def send_urgent(client, byte):
    try:
        client.send(byte, socket.MSG_OOB)
    except OSError as error:
        pytest.skip(f"the kernel has no urgent data on this socket: {error}")


def test_urgent_bytes_from_the_client_arrive_in_line(listen, pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server(), listen=listen)})
    with open_tunnel(daemon.address(NAME)) as client:
        for i in range(20):
            byte = bytes([65 + i])
            client.sendall(b"before")
            send_urgent(client, byte)
            client.sendall(b"after")
            assert read_exactly(client, 12) == b"before" + byte + b"after"


def test_an_urgent_byte_that_waited_for_the_handshake_arrives_in_line(listen, pinproxyd, tls_server, relay):
    slow = relay(tls_server(), first=200, pause=0.0005)
    daemon = pinproxyd({NAME: to(slow, listen=listen)})
    with connect(daemon.address(NAME)) as client:
        send_urgent(client, b"A")
        client.sendall(b"between")
        send_urgent(client, b"B")
        client.sendall(b"after")
        assert read_exactly(client, 14) == b"AbetweenBafter"


def test_urgent_bytes_before_the_end_lose_no_data(listen, pinproxyd, tls_server):
    """A read stops at an urgent byte. If both sides have ended, libuv takes that for the end of the stream."""
    server = tls_server(servers.send_then_read(b"bye"))
    daemon = pinproxyd({NAME: to(server, listen=listen)})
    for count in range(1, 6):
        with connect(daemon.address(NAME)) as client:
            assert read_all(client) == b"bye"
            for _ in range(3):
                client.send(b"before")
                send_urgent(client, b"!")
                client.send(b"after")
        conn = server.wait_done(count)[count - 1]
        assert (bytes(conn.plaintext), conn.end) == (b"before!after" * 3, "close_notify")


@pytest.mark.parametrize("slow", [False, True], ids=["at once", "slow handshake"])
def test_descriptors_that_a_client_passes_lose_no_data(slow, pinproxyd, tls_server, relay, tmp_path):
    """A read of a Unix socket stops after passed descriptors too. They are closed."""
    server = tls_server(servers.count_bytes)
    upstream = relay(server, first=200, pause=0.003) if slow else server
    daemon = pinproxyd({"global": {"workers": 1},
                        NAME: to(upstream, listen=f"unix:{tmp_path}/sock", handshake_timeout="1h")})
    before = daemon.fds() + 1  # libuv opens one for itself with the first connection of a loop
    with open(os.devnull) as null:
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null.fileno()]))]
        for count in range(1, 4):
            with connect(daemon.address(NAME)) as client:
                for _ in range(3):
                    client.sendmsg([b"with"], passed)
                    client.sendall(b"without")
            conn = server.wait_done(count)[count - 1]
            assert (bytes(conn.plaintext), conn.end) == (b"withwithout" * 3, "close_notify")
    wait_until(lambda: daemon.fds() <= before, "all descriptors to be closed")


def test_urgent_bytes_from_the_server_arrive_in_line(pinproxyd, tls_server):
    """A server, or someone on the path, that marks a byte of a record as urgent does not break the stream."""
    def urgent(conn: TlsConn):
        while data := conn.recv():
            conn.tls.write(data)
            record = conn.outgoing.read()
            conn.sock.sendall(record[:9])
            conn.sock.send(record[9:10], socket.MSG_OOB)
            conn.sock.sendall(record[10:])
        conn.close_notify()
    daemon = pinproxyd({NAME: to(tls_server(urgent))})
    with connect(daemon.address(NAME)) as client:
        for _ in range(20):
            client.sendall(b"ping")
            assert read_exactly(client, 4) == b"ping"
