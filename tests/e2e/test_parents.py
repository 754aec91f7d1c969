"""A parent proxy carries the tunnel, and decides nothing: SOCKS5 and HTTP CONNECT."""

import time

import pytest
from harness import servers
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME, self_signed
from harness.clients import connect, exchange, read_to_any_end
from harness.config import to
from harness.config_errors import assert_config_error, write_marked
from harness.daemon import run_pinproxy, run_pinproxyd
from harness.parents import PROTOCOLS, Route
from harness.tls_connection import reset

SCHEMES = pytest.mark.parametrize("scheme", PROTOCOLS)


@pytest.fixture
def parent(raw_server):
    """Starts a parent proxy before a server. Returns its route, with `via` for a section."""
    def start(scheme, target, login="", **options):
        route = Route(target, **options)
        server = raw_server(PROTOCOLS[scheme](route))
        route.server, route.via = server, f"{scheme}://{login}{server.address}"
        return route
    return start


def through(route, server, **options):
    return to(server, **{"via": route.via, "address": None, "port": server.port, **options})


@SCHEMES
def test_the_parent_is_asked_for_the_host_by_name(scheme, parent, pinproxyd, tls_server):
    server = tls_server()
    route = parent(scheme, server)
    daemon = pinproxyd({NAME: through(route, server)})
    event = assert_accepted(daemon)
    assert event["upstream"] == f"{NAME}:{server.port}"
    assert route.asked == [f"{NAME}:{server.port}"]
    assert server.conns[0].sni == NAME


@SCHEMES
def test_an_address_is_asked_for_as_it_is(scheme, parent, pinproxyd, tls_server):
    server = tls_server()
    route = parent(scheme, server)
    daemon = pinproxyd({NAME: through(route, server, address="[2001:db8::7]:8443"),
                        "literal": through(route, server, host="192.0.2.7")})
    assert_accepted(daemon)
    assert_accepted(daemon, "literal")
    asked = [text.replace("[", "").replace("]", "") for text in route.asked]
    assert asked == ["2001:db8::7:8443", f"192.0.2.7:{server.port}"]


@SCHEMES
def test_answers_may_come_byte_by_byte(scheme, parent, pinproxyd, tls_server):
    server = tls_server()
    route = parent(scheme, server, login="me:pw@", credentials=(b"me", b"pw"), pause=0.002)
    assert_accepted(pinproxyd({NAME: through(route, server)}))


@SCHEMES
def test_the_next_address_is_asked_for_when_one_is_refused(scheme, parent, pinproxyd, tls_server):
    server = tls_server()
    code = {"socks5": 5, "http": 502}[scheme]
    route = parent(scheme, server, refused={"192.0.2.1:443": code, "b.example:443": code})
    daemon = pinproxyd({NAME: through(route, server, port=443, address=["192.0.2.1", "b.example", "192.0.2.3"])})
    assert_accepted(daemon)
    assert route.asked == ["192.0.2.1:443", "b.example:443", "192.0.2.3:443"]
    route.refused["192.0.2.3:443"] = code
    event = assert_refused(daemon, "upstream_error", "via")
    words = {"socks5": "Connection refused", "http": "502 No: not you"}[scheme]
    for address in ("192.0.2.1:443", "b.example:443", "192.0.2.3:443"):
        assert f"{address}: {words}" in event["detail"]


@SCHEMES
def test_a_refusal_is_logged_in_the_words_of_the_parent(scheme, parent, pinproxyd, tls_server):
    server = tls_server()
    words = {2: "connection not allowed by ruleset"} if scheme == "socks5" else {403: "403 No: not you"}
    for code, text in words.items():
        route = parent(scheme, server, refused={f"{NAME}:{server.port}": code})
        daemon = pinproxyd({NAME: through(route, server)})
        event = assert_refused(daemon, "upstream_error", "via", server=server)
        assert text in event["detail"] and route.server.address in event["detail"]


@SCHEMES
@pytest.mark.parametrize("form", ("p%40w", "file:{}/pw", "file:%d/pw"))
def test_a_user_and_a_password_are_sent(scheme, form, parent, pinproxyd, tls_server, tmp_path):
    (tmp_path / "pw").write_text("p@w\nanother line\n")
    server = tls_server()
    route = parent(scheme, server, login=f"me:{form.format(tmp_path)}@", credentials=(b"me", b"p@w"))
    daemon = pinproxyd({NAME: through(route, server)}, env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert_accepted(daemon)
    assert "p@w" not in daemon.log() and "p%40w" not in daemon.log()


@SCHEMES
def test_a_password_that_is_wrong_or_missing_is_named(scheme, parent, pinproxyd, tls_server):
    server = tls_server()
    route = parent(scheme, server, login="me:hunter2@", credentials=(b"me", b"pw"))
    bare = f"{scheme}://{route.server.address}"
    daemon = pinproxyd({NAME: through(route, server), "bare": through(route, server, via=bare, host=NAME, sni="off")})
    event = assert_refused(daemon, "upstream_error", "via")
    assert "rejects" in event["detail"] or "rejected" in event["detail"]
    event = assert_refused(daemon, "upstream_error", "via", section="bare")
    assert "USER:PASSWORD" in event["detail"]
    assert "hunter2" not in daemon.log()
    assert route.asked == []


@SCHEMES
def test_the_server_is_checked_as_without_a_parent(scheme, parent, pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=self_signed(tmp_path))
    route = parent(scheme, server)
    daemon = pinproxyd({NAME: through(route, server, pin=self_signed(tmp_path).pin)})
    assert_refused(daemon, "pin_mismatch", server=server)


HOSTILE = {
    "wrong version": (b"\4\0", b"HTTP/2 200\r\n\r\n"),
    "another protocol": (b"220 mail.example.com ESMTP\r\n",) * 2,
    "a method that was not offered": (b"\5\1", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    "malformed": (b"\5\0\5\0\0\x7f", b"HTTP/1.1 200 OK\r\nno field\r\n\r\n"),
    "one byte too many": (b"\5\0\5\0\0\1\0\0\0\0\0\0x", b"HTTP/1.1 200 OK\r\n\r\nx"),
    "a whole answer too many": (b"\5\0\5\0\0\1\0\0\0\0\0\0\x16\3\3", b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    "nothing": (b"", b""),
    "an end within the answer": (b"\5\0\5\0\0\1", b"HTTP/1.1 200 OK\r\n"),
    "an end behind a refusal": (b"\5\0\5\2", b"HTTP/1.1 403 No\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nno"),
    "too many interim responses": (b"\5\0\5\1", b"HTTP/1.1 100 x\r\n\r\n" * 20),
    "an endless head": (b"\5\0\5\1", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000),
    "an endless line": (b"\5\0\5\1", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200000),
    "control bytes": (b"\5\0\5\xee", b"HTTP/1.1 403 \x1b[31m\r\n\r\n"),
}


@SCHEMES
@pytest.mark.parametrize("answer", HOSTILE)
def test_a_hostile_parent_gets_no_byte_of_the_client(scheme, answer, pinproxyd, raw_server, tls_server):
    def behave(conn):
        conn.recv()
        conn.sock.sendall(HOSTILE[answer][scheme == "http"])
        if answer.startswith("one byte") or answer.startswith("a whole"):
            servers.never_answer(conn)

    server = raw_server(behave)
    daemon = pinproxyd({NAME: to(tls_server(), address=None, via=f"{scheme}://{server.address}")})
    event = assert_refused(daemon, "upstream_error", "via", server=server)
    assert "\x1b" not in daemon.log()
    if answer == "an end behind a refusal":
        assert ("ruleset" if scheme == "socks5" else "403 No: no") in event["detail"]


@SCHEMES
def test_a_parent_that_resets_is_an_error(scheme, pinproxyd, raw_server, tls_server):
    server = raw_server(servers.reset_at_hello)
    daemon = pinproxyd({NAME: to(tls_server(), address=None, via=f"{scheme}://{server.address}")})
    assert_refused(daemon, "upstream_error", "via", server=server)


@SCHEMES
@pytest.mark.parametrize("answer", (b"", b"\5\0", b"HTTP/1.1 100 x\r\n\r\n"))
def test_a_parent_that_stalls_is_a_timeout(scheme, answer, pinproxyd, raw_server, tls_server):
    def behave(conn):
        conn.recv()
        conn.sock.sendall(answer if (answer[:1] == b"\5") == (scheme == "socks5") else b"")
        servers.never_answer(conn)

    server = raw_server(behave)
    daemon = pinproxyd({NAME: to(tls_server(), address=None, connect_timeout="300ms",
                                 via=f"{scheme}://{server.address}")})
    event = assert_refused(daemon, "upstream_error", "timeout", server=server)
    assert "connect_timeout" in event["detail"]


@SCHEMES
def test_connect_timeout_covers_all_addresses(scheme, pinproxyd, raw_server, tls_server):
    """Each refusal takes a part of the time, which no new connection extends."""
    def behave(conn):
        conn.recv()
        conn.sock.sendall(b"\5\0" if scheme == "socks5" else b"HTTP/1.1 502 No\r\n")
        time.sleep(0.2)
        conn.sock.sendall(b"\5\5" if scheme == "socks5" else b"\r\n")

    server = raw_server(behave)
    daemon = pinproxyd({NAME: to(tls_server(), address=[f"192.0.2.{n}" for n in range(1, 100)],
                                 connect_timeout="1s", via=f"{scheme}://{server.address}")})
    assert_refused(daemon, "upstream_error", "timeout")
    assert len(server.conns) < 99


@SCHEMES
def test_a_parent_that_is_not_there_is_a_failed_connection(scheme, pinproxyd, tls_server):
    via = f"{scheme}://127.0.0.1:{servers.closed_port()}"
    daemon = pinproxyd({NAME: to(tls_server(), address=None, via=via)})
    assert_refused(daemon, "upstream_error", "connect")


@SCHEMES
def test_an_own_listener_is_no_parent(scheme, pinproxyd, tls_server, tmp_path):
    path = servers.closed_port()
    daemon = pinproxyd({NAME: to(tls_server(), address=None, via=f"{scheme}://127.0.0.1:{path}"),
                        "other": to(tls_server(), listen=f"127.0.0.1:{path}")})
    assert_refused(daemon, "upstream_error", "loop")


@SCHEMES
def test_ends_pass_through_a_parent(scheme, parent, pinproxyd, tls_server):
    server = tls_server(servers.count_bytes)
    route = parent(scheme, server)
    daemon = pinproxyd({NAME: through(route, server)})
    assert exchange(daemon.address(NAME), b"x" * 300000) == b"300000"
    server.behave = lambda conn: reset(conn.sock)
    with connect(daemon.address(NAME)) as client:
        assert read_to_any_end(client) == (b"", True)


@SCHEMES
def test_a_new_address_after_a_refusal_is_that_of_the_new_configuration(scheme, parent, pinproxyd, tls_server):
    server = tls_server()
    route = parent(scheme, server, refused={"192.0.2.1:443": 5 if scheme == "socks5" else 502})
    daemon = pinproxyd({NAME: through(route, server, port=443, address=["192.0.2.1", "192.0.2.2"])})
    assert_accepted(daemon)
    daemon.reload({NAME: through(route, server, port=443, address=["192.0.2.1", "192.0.2.3"])})
    assert_accepted(daemon)
    assert route.asked == ["192.0.2.1:443", "192.0.2.2:443", "192.0.2.1:443", "192.0.2.3:443"]


@pytest.mark.parametrize("via", ("socks5://me:hunter2@127.0.0.1", "http://me:hunter2@127.0.0.1:0",
                                 "sock5://me:hunter2@127.0.0.1:1080", "http://me:hunter2%@127.0.0.1:1"))
def test_an_error_shows_no_password(via, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    marks = write_marked(path, f"[{NAME}]\nverify = pki\n>>via = {via}\n")
    run = run_pinproxyd("-t", "-c", path)
    assert_config_error(path, marks, "via = ", run)
    assert "hunter2" not in run.err + run.out


@SCHEMES
def test_the_tool_takes_the_same_way(scheme, parent, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    route = parent(scheme, server, login="me:hunter2@", credentials=(b"me", b"hunter2"))
    where = f"{NAME}:{server.port}"
    run = run_pinproxy("connect", where, "--via", route.via, "--pin", server.cert.pin, input=b"hello")
    assert (run.returncode, run.out) == (0, "hello"), run.err
    run = run_pinproxy("fetch", where, "--via", route.via, "--ini")
    assert run.returncode == 0 and "hunter2" not in run.out + run.err
    assert f"via = {scheme}://me:***@{route.server.address}\n" in run.out and "file:PATH" in run.out
    (tmp_path / "pw").write_text("hunter2\n")
    via = route.via.replace("hunter2", "file:pw")
    run = run_pinproxy("fetch", where, "--via", via, "--ini", cwd=tmp_path)
    assert f"via = {via}\n" in run.out, run.err
    text = run.out.replace("listen = 127.0.0.1:8", "listen = 127.0.0.1:0 ; 8").replace("file:pw", f"file:{tmp_path}/pw")
    assert_accepted(pinproxyd(text))


def test_the_tool_has_no_section_to_go_through():
    for command in (("fetch",), ("connect", "--pin", "sha256//" + "A" * 42 + "E=")):
        run = run_pinproxy(*command, "a.example", "--via", "section:b.example")
        assert run.returncode == 2 and "there is no section here" in run.err
    run = run_pinproxy("fetch", "a.example", "--via", "socks5://me:hunter2@b.example")
    assert run.returncode == 2 and "HOST:PORT" in run.err and "hunter2" not in run.err
