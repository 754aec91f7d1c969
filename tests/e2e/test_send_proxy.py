"""send_proxy: the header of the PROXY protocol is the first plaintext, and names the local client."""

import socket

import pytest

from harness import parents, servers
from harness.assertions import assert_not_sent, assert_refused
from harness.certs import NAME, self_signed
from harness.clients import connect, exchange, read_all, read_exactly
from harness.config import to
from harness.daemon import run_pinproxy, run_pinproxyd
from harness.learned import Announcer, wait_announced, with_pins_url
from harness.parents import Route
from harness.proxy_protocol import SIGNATURE, haproxy, split_header, stunnel
from harness.waiting import wait_until

LISTENERS = ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"]
SERVED = servers.answer_after_end(b"done")


def proxied(server, version, **options):
    return {"global": {"remote_clients": True}, NAME: to(server, send_proxy=version, **options)}


def plaintext(server):
    """Returns the plaintext that the server has got on its only connection."""
    assert len(server.conns) == 1
    return bytes(server.conns[0].plaintext)


@pytest.mark.valgrind
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("listen", LISTENERS)
def test_the_header_has_the_addresses_of_the_client_and_the_listener(version, listen, pinproxyd, tls_server):
    server = tls_server(SERVED)
    daemon = pinproxyd(proxied(server, version, listen=listen))
    with connect(daemon.address(NAME).replace("0.0.0.0", "127.0.0.3")) as client:
        ends = client.getsockname()[:2], client.getpeername()[:2]  # now, because the tunnel may close soon
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"done"
    header, rest = split_header(plaintext(server))
    assert header == ("PROXY", *ends)
    assert rest == b"hello"


@pytest.mark.parametrize("version, command", [("v1", "UNKNOWN"), ("v2", "LOCAL")])
def test_a_client_of_a_unix_socket_has_no_address(version, command, pinproxyd, tls_server, tmp_path):
    server = tls_server(SERVED)
    daemon = pinproxyd(proxied(server, version, listen=f"unix:{tmp_path}/proxy.sock"))
    assert exchange(daemon.address(NAME), b"hello") == b"done"
    header, rest = split_header(plaintext(server))
    assert header == (command, None, None) and rest == b"hello"


def test_the_header_comes_before_a_client_that_says_nothing(pinproxyd, tls_server):
    """A server that speaks first waits for it."""
    def greet(conn):
        assert conn.recv().startswith(SIGNATURE)
        conn.send(b"220 ready\r\n")
        conn.recv_all()
    server = tls_server(greet)
    daemon = pinproxyd(proxied(server, "v2"))
    with connect(daemon.address(NAME)) as client:
        assert read_exactly(client, 11) == b"220 ready\r\n"


def test_there_is_one_header_for_each_connection(pinproxyd, tls_server):
    server = tls_server(SERVED)
    daemon = pinproxyd(proxied(server, "v2"))
    data = b"x" * 300_000
    for _ in range(2):
        assert exchange(daemon.address(NAME), data) == b"done"
    for conn in server.conns:
        assert conn.received == 16 + 12 + len(data)
        assert bytes(conn.plaintext).count(SIGNATURE) == 1


def test_the_header_is_not_counted(pinproxyd, tls_server):
    daemon = pinproxyd(proxied(tls_server(SERVED), "v1"))
    exchange(daemon.address(NAME), b"hello")
    assert daemon.wait_event(event="tunnel_close")["sent"] == "5"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_server_that_is_refused_gets_no_header(version, pinproxyd, tls_server):
    server, good = tls_server(), tls_server()
    daemon = pinproxyd(proxied(server, version, pin=good.cert.pin))
    assert_refused(daemon, "pin_mismatch", server=server)
    for data in (b"PROXY ", SIGNATURE):
        assert_not_sent(server, data)


def test_a_reload_turns_it_on_and_off(pinproxyd, tls_server):
    server = tls_server(SERVED)
    daemon = pinproxyd({NAME: to(server)})
    for version, begin in (("off", b"hello"), ("v1", b"PROXY TCP4 "), ("v2", SIGNATURE), ("off", b"hello")):
        daemon.reload({NAME: to(server, send_proxy=version)})
        assert exchange(daemon.address(NAME), b"hello") == b"done"
        assert bytes(server.conns[-1].plaintext).startswith(begin)


def test_the_request_for_pins_is_of_the_daemon_itself(state, pinproxyd, tls_server, tmp_path):
    requests = []

    class Behind(Announcer):
        def __call__(self, conn):
            header, rest = split_header(conn.recv())
            requests.append((header.command, rest.split(b" ")[0]))
            self.send_answer(conn)
    cert, backup = self_signed(tmp_path), self_signed(tmp_path)
    server = tls_server(Behind(cert.pin, backup.pin), cert)
    daemon = pinproxyd(state.config({NAME: with_pins_url(server, send_proxy="v1")}))
    wait_announced(daemon, backup.pin)
    assert requests[0] == ("UNKNOWN", b"GET")


@pytest.mark.parametrize("version, command", [("v1", "UNKNOWN"), ("v2", "LOCAL")])
def test_the_tool_connects_as_itself(version, command, pinproxyd, tls_server):
    server = tls_server(SERVED)
    daemon = pinproxyd(proxied(server, version))
    run = run_pinproxy("connect", "-c", daemon.file, NAME, input=b"hello")
    assert (run.returncode, run.out) == (0, "done")
    header, rest = split_header(plaintext(server))
    assert header == (command, None, None) and rest == b"hello"


def test_a_warm_connection_begins_with_the_header_of_its_client(pinproxyd, tls_server):
    server = tls_server(SERVED)
    daemon = pinproxyd(proxied(server, "v1", warm=1))
    wait_until(lambda: server.conns and server.conns[0].handshake_done, "a warm connection")
    with connect(daemon.address(NAME)) as client:
        ends = client.getsockname(), client.getpeername()  # now, because the server may close the tunnel soon
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"done"
    used = [split_header(bytes(conn.plaintext)) for conn in server.conns if conn.plaintext]
    assert used == [(("PROXY", *ends), b"hello")]


def test_an_outer_section_sends_the_header_of_its_own_clients_alone(pinproxyd, tls_server):
    inner = tls_server(SERVED)
    route = Route(inner)
    outer = tls_server(parents.http(route))
    daemon = pinproxyd({"proxy.test": to(outer, listen=None, send_proxy="v1"),
                        NAME: to(inner, address=None, port=inner.port, via="section:proxy.test", send_proxy="v2")})
    assert exchange(daemon.address(NAME), b"hello") == b"done"
    assert bytes(outer.conns[0].plaintext).startswith(b"CONNECT ")
    header, rest = split_header(plaintext(inner))
    assert header.command == "PROXY" and rest == b"hello"


def test_starttls_and_a_header_are_an_error(tmp_path, tls_server):
    path = tmp_path / "pinproxyd.conf"
    path.write_text(f"[a.test]\nlisten = 127.0.0.1:0\npin = {tls_server().cert.pin}\nstarttls = smtp\nsend_proxy = v1\n")
    run = run_pinproxyd("-t", "-c", path)
    assert run.returncode == 78 and f"{path}:5: [a.test] has starttls and send_proxy" in run.err


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_behind_stunnel_learns_who_the_client_is(version, pinproxyd, tmp_path, stack):
    plain = stack.add(haproxy(tmp_path))
    server = stack.add(stunnel(tmp_path, self_signed(tmp_path), plain.address))
    daemon = pinproxyd(proxied(server, version))
    with connect(daemon.address(NAME)) as client:
        (host, port), (to_host, to_port) = client.getsockname(), client.getpeername()
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        head, body = read_all(client).split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200")
    assert body.decode() == f"{host}:{port} {to_host}:{to_port}"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_behind_stunnel_accepts_a_unix_client(version, pinproxyd, tmp_path, stack):
    plain = stack.add(haproxy(tmp_path))
    server = stack.add(stunnel(tmp_path, self_signed(tmp_path), plain.address))
    daemon = pinproxyd(proxied(server, version, listen=f"unix:{tmp_path}/proxy.sock"))
    with connect(daemon.address(NAME)) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 200")
