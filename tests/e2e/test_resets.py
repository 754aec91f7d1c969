"""A reset stays a reset and a clean end stays a clean end, in both directions and in every state."""

import fcntl
import socket
import termios
import time

import pytest

from harness import servers
from harness.certs import NAME
from harness.clients import (
    connect, fill_socket, ping, read_all, read_exactly, read_to_any_end, read_to_reset, try_connection)
from harness.config import to
from harness.tls_connection import reset
from harness.waiting import wait_until

ROUNDS = 25  # a race shows in one of this many rounds


def greet_then_echo(conn):
    conn.send(b"hello")
    servers.echo(conn)


def wait_unread(client, count):
    """Waits until the client's socket holds `count` unread bytes, and does not read them."""
    wait_until(lambda: len(client.recv(count, socket.MSG_PEEK)) == count, "bytes that the client does not read")


# a client that resets

@pytest.mark.threads
def test_a_request_before_a_client_reset_never_looks_complete(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    for _ in range(ROUNDS):
        client = connect(daemon.address(NAME))
        ping(client)
        client.sendall(b"DELETE /a HTTP/1.1\r\n")
        reset(client)
    ends = [conn.end for conn in server.wait_done(ROUNDS)]
    assert "close_notify" not in ends, ends
    wait_until(lambda: len(daemon.events(event="tunnel_close")) == ROUNDS, "the end of every tunnel")
    assert {line["reason"] for line in daemon.events(event="tunnel_close")} == {"client_reset"}


def test_a_client_that_closes_with_unread_data_resets_the_tunnel(listen, pinproxyd, tls_server):
    """The kernel sends a reset, on TCP and Unix sockets, because the program did not read its data."""
    server = tls_server(greet_then_echo)
    daemon = pinproxyd({NAME: to(server, listen=listen)})
    for _ in range(ROUNDS):
        client = connect(daemon.address(NAME))
        wait_unread(client, 5)
        client.sendall(b"DELETE /a HTTP/1.1\r\n")
        client.close()
    ends = [conn.end for conn in server.wait_done(ROUNDS)]
    assert "close_notify" not in ends, ends
    wait_until(lambda: len(daemon.events(event="tunnel_close")) == ROUNDS, "the end of every tunnel")
    assert {line["reason"] for line in daemon.events(event="tunnel_close")} == {"client_reset"}


def test_a_client_reset_after_its_fin_is_a_reset(pinproxyd, tls_server):
    server = tls_server(servers.stall)
    daemon = pinproxyd({NAME: to(server, half_close_timeout="off")})
    client = connect(daemon.address(NAME))
    daemon.wait_event(event="tunnel_open")
    client.sendall(b"request")
    client.shutdown(socket.SHUT_WR)
    time.sleep(0.2)
    reset(client)
    assert daemon.wait_event(event="tunnel_close")["reason"] == "client_reset"
    server.released.set()
    server.wait_done()


@pytest.mark.parametrize("amount", ["little", "all that fits"])
def test_a_client_that_resets_while_the_server_does_not_read_is_noticed(amount, pinproxyd, tls_server):
    server = tls_server(servers.stall)
    daemon = pinproxyd({NAME: to(server)})
    client = connect(daemon.address(NAME))
    server.wait_conns()
    if amount == "little":
        client.sendall(b"x")
        daemon.wait_event(event="tunnel_open")
    else:
        fill_socket(client)
    reset(client)
    assert daemon.wait_event(event="tunnel_close")["reason"] == "client_reset"
    server.released.set()
    assert server.wait_done()[0].end in ("truncated", "reset")


def test_a_unix_client_that_resets_while_the_server_does_not_read_is_noticed(pinproxyd, tls_server, tmp_path):
    def greet_then_stall(conn):
        conn.send(b"hello")
        servers.stall(conn)
    server = tls_server(greet_then_stall)
    daemon = pinproxyd({NAME: to(server, listen=f"unix:{tmp_path}/sock")})
    client = connect(daemon.address(NAME))
    wait_unread(client, 5)
    fill_socket(client)
    client.close()
    assert daemon.wait_event(event="tunnel_close")["reason"] == "client_reset"
    server.released.set()
    assert server.wait_done()[0].end in ("truncated", "reset")


def test_a_client_that_resets_after_it_has_finished_is_noticed(pinproxyd, tls_server):
    server = tls_server(servers.stall)
    daemon = pinproxyd({NAME: to(server, half_close_timeout="off")})
    client = connect(daemon.address(NAME))
    client.sendall(b"request")
    client.shutdown(socket.SHUT_WR)
    daemon.wait_event(event="tunnel_open")
    time.sleep(0.3)
    reset(client)
    assert daemon.wait_event(event="tunnel_close")["reason"] == "client_reset"


@pytest.mark.parametrize("words", [b"", b"a request"])
def test_a_client_that_resets_during_the_handshake_is_noticed(words, pinproxyd, tls_server, relay):
    server = tls_server()
    stalled = relay(server, first=20)
    daemon = pinproxyd({NAME: to(stalled, handshake_timeout="1h")})
    client = connect(daemon.address(NAME))
    stalled.wait_conns()
    client.sendall(words)
    reset(client)
    assert daemon.wait_event(event="tunnel_close")["reason"] == "client_reset"
    assert server.wait_done()[0].end
    server.assert_nothing_received(words or b"none")


# a client that closes in order

def test_data_that_a_client_sent_before_it_closed_is_delivered(listen, pinproxyd, tls_server, relay):
    """The handshake is slow, and the client leaves before the answer."""
    server = tls_server(servers.count_bytes)
    slow = relay(server, first=200, pause=0.002)
    daemon = pinproxyd({NAME: to(slow, listen=listen, handshake_timeout="1h")})
    client = connect(daemon.address(NAME))
    client.sendall(b"fire and forget")
    client.close()
    conn = server.wait_done()[0]
    assert (bytes(conn.plaintext), conn.end) == (b"fire and forget", "close_notify")
    assert daemon.wait_event(event="tunnel_close")["sent"] == "15"


def test_all_data_of_a_unix_client_that_closed_reaches_a_server_that_answers(pinproxyd, tls_server, tmp_path):
    """An answer that nobody reads does not prevent the delivery of the rest."""
    sent = b"".join(b"line %05d\n" % i for i in range(12_000))
    server = tls_server(servers.echo)
    daemon = pinproxyd({NAME: to(server, listen=f"unix:{tmp_path}/sock")})
    for count in range(1, 6):
        client = connect(daemon.address(NAME))
        client.sendall(sent)
        client.close()
        conn = server.wait_done(count)[count - 1]
        assert (conn.received, conn.end) == (len(sent), "close_notify")
    wait_until(lambda: len(daemon.events(event="tunnel_close")) == 5, "the end of every tunnel")
    assert {line["reason"] for line in daemon.events(event="tunnel_close")} == {"ok"}


def test_a_unix_client_that_closed_ends_a_server_that_sends_for_ever(pinproxyd, tls_server, tmp_path):
    server = tls_server(servers.send_forever)
    daemon = pinproxyd({NAME: to(server, listen=f"unix:{tmp_path}/sock")})
    client = connect(daemon.address(NAME))
    client.sendall(b"request")
    client.close()
    server.wait_done()
    daemon.wait_event(event="tunnel_close")


def test_the_tunnel_of_a_unix_client_that_closed_waits_for_a_slow_server(pinproxyd, tls_server, tmp_path):
    """Data that fits into no buffer is delivered when the server reads again."""
    server = tls_server(servers.stall)
    daemon = pinproxyd({NAME: to(server, listen=f"unix:{tmp_path}/sock")})
    client = connect(daemon.address(NAME))
    sent = fill_socket(client)
    client.close()
    time.sleep(1.5)
    assert not daemon.events(event="tunnel_close")
    server.released.set()
    conn = server.wait_done()[0]
    assert (conn.received, conn.end) == (sent, "close_notify")
    assert daemon.wait_event(event="tunnel_close")["reason"] == "ok"


def test_the_tunnel_of_a_client_that_closed_waits_no_longer_than_half_close_timeout(pinproxyd, tls_server, tmp_path):
    """The daemon knows the client's end, although the server has not read up to it."""
    server = tls_server(servers.stall)
    daemon = pinproxyd({NAME: to(server, listen=f"unix:{tmp_path}/sock", half_close_timeout="1s")})
    client = connect(daemon.address(NAME))
    fill_socket(client)
    client.close()
    assert daemon.wait_event(event="tunnel_close")["reason"] == "half_close"
    server.released.set()
    assert server.wait_done()[0].end != "close_notify"


def test_the_tunnel_of_a_unix_client_that_sent_nothing_ends_with_it(pinproxyd, tls_server, relay, tmp_path):
    server = tls_server()
    stalled = relay(server, first=20)
    daemon = pinproxyd({NAME: to(stalled, listen=f"unix:{tmp_path}/sock", handshake_timeout="1h")})
    client = connect(daemon.address(NAME))
    stalled.wait_conns()
    client.close()
    daemon.wait_event(event="tunnel_close")
    assert server.wait_done()[0].end


# a server that resets

def send_then_reset(data):
    def behave(conn):
        conn.send(data)
        conn.reset()
    return behave


@pytest.mark.parametrize("truncation", ["reset", "allow"])
def test_a_server_that_resets_after_data_resets_the_client(truncation, pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server(send_then_reset(b"half an answ")), truncation=truncation)})
    for _ in range(ROUNDS):
        heard, was_reset = try_connection(daemon.address(NAME))
        assert was_reset and b"half an answ".startswith(heard)
    wait_until(lambda: len(daemon.events(event="tunnel_close")) == ROUNDS, "the end of every tunnel")
    assert {line["reason"] for line in daemon.events(event="tunnel_close")} == {"truncated"}


@pytest.mark.parametrize("truncation", ["reset", "allow"])
def test_a_server_that_resets_while_the_client_does_not_read_is_noticed(truncation, pinproxyd, tls_server):
    def pour_then_reset(conn):
        conn.sock.settimeout(0.5)
        try:
            servers.send_forever(conn)
        except TimeoutError:
            reset(conn.sock)
    daemon = pinproxyd({NAME: to(tls_server(pour_then_reset), truncation=truncation)})
    with connect(daemon.address(NAME), receive_buffer=16384) as client:
        assert daemon.wait_event(event="tunnel_close")["reason"] == "truncated"
        read_to_reset(client)


def close_then_reset(data):
    """Ends cleanly, and does not read the data that the client may still send."""
    def behave(conn):
        conn.send(data)
        conn.close_notify()
        time.sleep(0.2)
        conn.reset()
    return behave


@pytest.mark.slow
def test_a_slow_client_gets_all_data_before_close_notify(pinproxyd, tls_server):
    """The server resets after it, long before the client has read all."""
    data, rest = bytes(range(256)) * 2000, 60_000

    def end_then_reset(conn):
        conn.send(data)
        conn.close_notify()
        conn.released.wait()
        conn.reset()
    server = tls_server(end_then_reset)
    daemon = pinproxyd({NAME: to(server)})
    with connect(daemon.address(NAME), receive_buffer=16384) as client:
        assert read_exactly(client, len(data) - rest) == data[:-rest]
        time.sleep(0.5)
        server.released.set()
        time.sleep(7)
        assert read_all(client) == data[-rest:]


def test_a_server_that_resets_after_close_notify_ends_the_tunnel(listen, pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server(close_then_reset(b"a whole answer")), listen=listen)})
    with connect(daemon.address(NAME)) as client:
        assert read_all(client) == b"a whole answer"
        assert daemon.wait_event(event="tunnel_close")["reason"] == "upstream_closed"


def test_a_slow_client_gets_all_data_before_a_reset(pinproxyd, tls_server):
    data = bytes(range(256)) * 8000

    def deliver_then_reset(conn):
        conn.send(data)
        wait_until(lambda: fcntl.ioctl(conn.sock, termios.TIOCOUTQ, b"\0" * 4) == b"\0" * 4, "all acknowledged")
        conn.reset()
    daemon = pinproxyd({NAME: to(tls_server(deliver_then_reset))})
    with connect(daemon.address(NAME), receive_buffer=16384) as client:
        assert read_to_reset(client, pause=0.01) == data
    daemon.wait_event(event="truncated", section=NAME)


@pytest.mark.parametrize("left", [1, 5, 6, 8000])
def test_a_truncated_record_is_an_error_though_truncation_is_allowed(left, pinproxyd, tls_server):
    """The record ends in its header, right after it, or in its body."""
    def cut_record(conn):
        conn.send(b"whole")
        conn.recv_exactly(4)
        conn.tls.write(b"x" * 16000)
        conn.sock.sendall(conn.outgoing.read()[:left])
        conn.truncate()
    daemon = pinproxyd({NAME: to(tls_server(cut_record), truncation="allow")})
    with connect(daemon.address(NAME)) as client:
        assert read_exactly(client, 5) == b"whole"
        client.sendall(b"more")
        assert read_to_reset(client) == b""
    daemon.wait_event(event="truncated", section=NAME)


def test_a_fin_between_records_is_a_clean_end_where_truncation_is_allowed(pinproxyd, tls_server):
    """This holds even if the server then resets because of data that the client sent later."""
    def answer_and_close(conn):
        conn.recv_exactly(1)
        conn.send(b"a whole answer")
        conn.sock.close()
    server = tls_server(answer_and_close)
    daemon = pinproxyd({NAME: to(server, truncation="allow")})
    for _ in range(ROUNDS):
        with connect(daemon.address(NAME)) as client:
            client.sendall(b"?")
            assert read_all(client) == b"a whole answer"
    daemon.stop()
    assert not daemon.events(event="truncated")


def test_a_server_that_resets_in_the_handshake_is_logged_as_reset(pinproxyd, raw_server, tls_server):
    daemon = pinproxyd({NAME: to(raw_server(servers.reset_at_hello), pin=tls_server().cert.pin)})
    with connect(daemon.address(NAME)) as client:
        assert read_to_any_end(client) == (b"", True)
    assert "reset the connection during the handshake" in daemon.wait_event(event="upstream_error")["detail"]


# ordinary ends

def cut_at_end(conn):
    """Echoes, and closes TCP without close_notify after the client's close_notify, as nginx and many others do."""
    while data := conn.recv():
        conn.send(data)
    conn.truncate()


def test_a_server_that_closes_after_the_client_without_close_notify_is_ok(pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server(cut_at_end))})
    with connect(daemon.address(NAME)) as client:
        ping(client)
        client.shutdown(socket.SHUT_WR)
        assert read_to_reset(client) == b""
    closed = daemon.wait_event(event="tunnel_close")
    assert closed["reason"] == "ok" and "without close_notify" in closed["detail"], closed
    daemon.stop()
    assert not daemon.events(event="truncated")


def test_a_server_that_closes_without_an_answer_is_logged_as_unanswered(pinproxyd, tls_server):
    def hang_up_on_request(conn):
        conn.recv_all()
        conn.truncate()
    daemon = pinproxyd({NAME: to(tls_server(hang_up_on_request))})
    with connect(daemon.address(NAME)) as client:
        client.sendall(b"request")
        client.shutdown(socket.SHUT_WR)
        assert read_to_reset(client) == b""
    assert daemon.wait_event(event="tunnel_close")["reason"] == "unanswered"
