"""`via = section:NAME`: TLS inside TLS. No byte goes to the inner server before the outer one is trusted."""

import signal

import pytest
from harness import parents, servers
from harness.assertions import SECRET, assert_accepted, assert_refused, failures
from harness.certs import CA, NAME, client_certificate, day, self_signed
from harness.clients import connect, exchange, open_tunnel, ping, read_all, read_to_any_end, try_exchange
from harness.config import ini, to
from harness.config_errors import assert_config_error, write_marked
from harness.daemon import run_pinproxy, run_pinproxyd
from harness.parents import Route
from harness.servers import ask_client
from harness.tls_connection import reset
from harness.waiting import wait_until

OUTER = "proxy.test"


class Proxy:
    """An HTTPS proxy before a server, and the sections that use it."""

    def __init__(self, tls_server, inner=None, **options):
        self.inner = inner or tls_server()
        self.route = Route(self.inner, **options)
        self.outer = tls_server(parents.http(self.route))

    def config(self, inner=None, outer=None, login=""):
        return {OUTER: {**to(self.outer, listen=None), **(outer or {})},
                NAME: {**to(self.inner, address=None, port=self.inner.port, via=f"section:{login}{OUTER}"),
                       **(inner or {})}}


@pytest.fixture
def proxy(tls_server):
    return lambda inner=None, **options: Proxy(tls_server, inner, **options)


@pytest.mark.threads
def test_the_inner_server_is_reached_through_the_outer_one(proxy, pinproxyd):
    p = proxy()
    daemon = pinproxyd(p.config())
    event = assert_accepted(daemon)
    assert event["upstream"] == f"{NAME}:{p.inner.port}"
    assert p.route.asked == [f"{NAME}:{p.inner.port}"]
    assert p.outer.conns[0].sni == OUTER and p.inner.conns[0].sni == NAME
    assert daemon.wait_event(event="tunnel_open", section=OUTER)["upstream"] == p.outer.address
    daemon.wait_event(event="tunnel_close", section=OUTER, reason="ok")
    assert b"hello" not in p.outer.conns[0].plaintext
    assert failures(daemon) == failures(daemon, OUTER) == []


def test_credentials_are_sent_inside_the_outer_tls(proxy, pinproxyd):
    p = proxy(credentials=(b"me", b"p@w"))
    daemon = pinproxyd(p.config(login="me:p%40w@"))
    assert_accepted(daemon)
    assert b"Proxy-Authorization" not in p.outer.conns[0].wire
    assert "p%40w" not in daemon.log() and "p@w" not in daemon.log()


def test_an_outer_server_that_is_not_trusted_gets_nothing(proxy, pinproxyd, tmp_path):
    p = proxy()
    daemon = pinproxyd(p.config(outer={"pin": self_signed(tmp_path).pin}))
    event = assert_refused(daemon, "upstream_error", "via")
    assert event["detail"].startswith(f"[{OUTER}]: pin_mismatch")
    daemon.wait_event(event="pin_mismatch", section=OUTER)
    daemon.stop()
    p.outer.stop()
    p.outer.assert_nothing_received(SECRET, b"CONNECT")
    assert p.inner.conns == []


def test_an_inner_server_that_is_not_trusted_gets_nothing(proxy, pinproxyd, tmp_path):
    p = proxy()
    daemon = pinproxyd(p.config(inner={"pin": self_signed(tmp_path).pin}))
    assert_refused(daemon, "pin_mismatch", server=p.inner)
    assert failures(daemon, OUTER) == []


def test_a_refusal_of_the_outer_server_is_in_its_words(proxy, pinproxyd):
    p = proxy()
    p.route.refused[f"{NAME}:{p.inner.port}"] = 403
    event = assert_refused(pinproxyd(p.config()), "upstream_error", "via", server=p.inner)
    assert f"[{OUTER}]: 403 No: not you" in event["detail"]


def test_each_address_is_asked_for_over_a_new_outer_connection(proxy, pinproxyd):
    p = proxy(refused={"192.0.2.1:443": 502})
    daemon = pinproxyd(p.config(inner={"address": ["192.0.2.1", "192.0.2.2"], "port": 443}))
    assert_accepted(daemon)
    assert p.route.asked == ["192.0.2.1:443", "192.0.2.2:443"]
    assert len(p.outer.conns) == 2


@pytest.mark.parametrize("answer", (b"HTTP/1.1 200 OK\r\n\r\nx", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9999))
def test_a_hostile_outer_server_gets_no_plaintext(answer, tls_server, pinproxyd):
    def behave(conn):
        conn.recv()
        conn.send(answer)
        conn.recv_all()

    outer = tls_server(behave)
    daemon = pinproxyd({OUTER: to(outer, listen=None), NAME: to(outer, address=None, via=f"section:{OUTER}")})
    assert_refused(daemon, "upstream_error", "via")
    daemon.stop()
    outer.stop()
    for conn in outer.conns:
        assert SECRET not in conn.plaintext and bytes(conn.plaintext).startswith(b"CONNECT ")


def test_connect_timeout_covers_the_outer_connection(proxy, pinproxyd, raw_server):
    p = proxy()
    silent = raw_server(servers.never_answer)
    daemon = pinproxyd(p.config(inner={"connect_timeout": "300ms"}, outer={"address": silent.address}))
    event = assert_refused(daemon, "upstream_error", "timeout")
    assert "connect_timeout" in event["detail"]
    daemon.wait_event(event="tunnel_close", section=OUTER)


def test_an_outer_server_that_is_not_there_is_named(proxy, pinproxyd):
    p = proxy()
    daemon = pinproxyd(p.config(outer={"address": f"127.0.0.1:{servers.closed_port()}"}))
    event = assert_refused(daemon, "upstream_error", "via")
    assert event["detail"].startswith(f"[{OUTER}]: connect: ")
    daemon.wait_event(event="upstream_error", section=OUTER, reason="connect")


def test_much_passes_both_ways(proxy, tls_server, pinproxyd):
    p = proxy(tls_server(servers.count_bytes))
    daemon = pinproxyd(p.config())
    assert exchange(daemon.address(NAME), b"x" * (8 << 20)) == str(8 << 20).encode()
    p.inner.behave = servers.answer_after_end(b"y" * (8 << 20))
    assert exchange(daemon.address(NAME), b"x") == b"y" * (8 << 20)


def test_a_first_end_of_the_server_passes(proxy, tls_server, pinproxyd):
    p = proxy(tls_server(servers.send_then_read(b"bye")))
    with connect(pinproxyd(p.config()).address(NAME)) as client:
        assert read_all(client) == b"bye"


def end_with_close_notify(conn):
    conn.close_notify()


def end_with_truncation(conn):
    conn.truncate()


@pytest.mark.parametrize("truncation", ("reset", "allow"))
@pytest.mark.parametrize("end", (end_with_close_notify, end_with_truncation, parents.reset_while_read))
def test_an_outer_end_without_an_inner_one(end, truncation, proxy, pinproxyd):
    """It is a truncation. Where the inner section allows one, the outer end must still be in order."""
    p = proxy()
    daemon = pinproxyd(p.config(inner={"truncation": truncation}))
    with open_tunnel(daemon.address(NAME)) as client:
        end(p.outer.conns[0])
        allowed = truncation == "allow" and end is end_with_close_notify
        assert read_to_any_end(client) == (b"", not allowed)
    if not allowed:
        daemon.wait_event(event="truncated", section=NAME)


def test_a_reset_of_the_client_resets_both(proxy, pinproxyd):
    p = proxy()
    daemon = pinproxyd(p.config())
    client = open_tunnel(daemon.address(NAME))
    reset(client)
    daemon.wait_event(event="tunnel_close", section=NAME, reason="client_reset")
    daemon.wait_event(event="tunnel_close", section=OUTER, reason="client_reset")
    wait_until(lambda: p.outer.conns[0].end, "the end at the outer server")
    assert p.outer.conns[0].end == "reset"
    wait_until(lambda: p.inner.conns[0].done, "the end at the inner server")
    assert p.inner.conns[0].end != "close_notify"


@pytest.mark.threads
def test_revoking_the_outer_key_closes_what_is_inside(proxy, pinproxyd):
    p = proxy()
    daemon = pinproxyd(p.config(inner={"truncation": "allow"}))
    with open_tunnel(daemon.address(NAME)) as client:
        daemon.reload(p.config(outer={"revoked": p.outer.cert.pin, "pin": "sha256//" + "A" * 42 + "E="}))
        assert read_to_any_end(client) == (b"", True)
    daemon.wait_event(event="tunnel_close", section=OUTER, reason="revoked")
    line = daemon.wait_event(event="truncated", section=NAME)
    assert f"[{OUTER}]: revoked" in line["detail"]
    assert_refused(daemon, "upstream_error", "via")


def test_removing_the_outer_pin_closes_what_is_inside(proxy, pinproxyd, tmp_path):
    p = proxy()
    config = p.config(outer={"on_pin_removed": "close"})
    daemon = pinproxyd(config)
    with open_tunnel(daemon.address(NAME)) as client:
        config[OUTER]["pin"] = self_signed(tmp_path).pin
        daemon.reload(config)
        assert read_to_any_end(client) == (b"", True)
    daemon.wait_event(event="tunnel_close", section=OUTER, reason="pin_removed")


def test_the_date_of_the_outer_pin_closes_what_is_inside(proxy, pinproxyd, clock):
    p = proxy()
    daemon = pinproxyd(p.config(outer={"on_pin_removed": "close", "pin": f"{p.outer.cert.pin} until={day(1)}"},
                                inner={"truncation": "allow"}), env=clock.env)
    with open_tunnel(daemon.address(NAME)) as client:
        clock.before_midnight(2)
        assert read_to_any_end(client) == (b"", True)
    daemon.wait_event(event="tunnel_close", section=OUTER, reason="expired_pins")
    assert_refused(daemon, "upstream_error", "via")


def test_the_outer_server_is_shown_the_certificate_of_its_section(proxy, pinproxyd, tmp_path):
    p = proxy()
    ca = CA(tmp_path)
    ask_client(p.outer, ca.cert)
    daemon = pinproxyd(p.config())
    assert_refused(daemon, "upstream_error", "via")
    client = client_certificate(ca)
    daemon.reload(p.config(outer={"client_cert": client.pem_file(), "client_key": client.key_file()}))
    assert_accepted(daemon)


def test_options_for_clients_of_the_outer_section_do_not_apply(proxy, pinproxyd):
    p = proxy()
    daemon = pinproxyd(p.config(outer={"client": "postgres", "send_proxy": "v1"}))
    assert_accepted(daemon)
    assert failures(daemon, OUTER) == []


def test_a_reload_that_changes_neither_keeps_both(proxy, pinproxyd):
    p = proxy()
    daemon = pinproxyd(p.config())
    with open_tunnel(daemon.address(NAME)) as client:
        daemon.reload({**p.config(), "other": to(p.inner)})
        ping(client)
        daemon.reload(p.config(inner={"via": "tcp", "address": p.inner.address}))
        ping(client)
    assert len(p.outer.conns) == 1


@pytest.mark.parametrize("trusted", (True, False))
def test_an_outer_handshake_under_way_is_judged_by_the_new_configuration(trusted, proxy, pinproxyd, relay, tmp_path):
    p = proxy()
    held = relay(p.outer)
    other = self_signed(tmp_path).pin
    old, new = (other, p.outer.cert.pin) if trusted else (p.outer.cert.pin, other)
    daemon = pinproxyd(p.config(outer={"address": held.address, "pin": old}))
    with connect(daemon.address(NAME)) as client:
        held.wait_held(1)
        daemon.reload(p.config(outer={"address": held.address, "pin": new}))
        held.open()
        if trusted:
            ping(client)
        else:
            assert read_to_any_end(client) == (b"", True)
            daemon.wait_event(event="upstream_error", section=NAME, reason="via")
    assert bool(p.route.asked) == trusted


def test_another_outer_section_is_used_after_a_reload(proxy, pinproxyd, relay):
    p = proxy()
    held = relay(p.outer)
    daemon = pinproxyd(p.config(outer={"address": held.address}))
    with connect(daemon.address(NAME)) as client:
        held.wait_held(1)
        config = p.config()
        config["second"] = to(p.outer, listen=None, host=OUTER)
        config[NAME]["via"] = "section:second"
        daemon.reload(config)
        ping(client)
    daemon.wait_event(event="tunnel_close", section=OUTER)
    daemon.wait_event(event="tunnel_close", section="second", reason="ok")


@pytest.mark.threads
def test_max_connections_of_the_outer_section_holds(proxy, pinproxyd):
    p = proxy()
    daemon = pinproxyd(p.config(outer={"max_connections": 1}))
    with open_tunnel(daemon.address(NAME)) as client:
        event = assert_refused(daemon, "upstream_error", "via")
        assert event["detail"] == f"[{OUTER}]: max_connections"
        daemon.wait_event(event="limit", section=OUTER, what="max_connections")
        ping(client)
    wait_until(lambda: len(daemon.events(event="tunnel_close", section=OUTER)) == 1, "the end of the outer tunnel")
    assert_accepted(daemon)


def test_a_section_serves_its_own_clients_and_others(proxy, pinproxyd):
    p = proxy()
    config = p.config(outer={"listen": "127.0.0.1:0", "resume": "yes"})
    daemon = pinproxyd(config)
    assert_accepted(daemon)
    with connect(daemon.address(OUTER)) as client:
        client.sendall(b"CONNECT a.example:1 HTTP/1.1\r\nHost: a.example:1\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
    assert p.route.asked == [f"{NAME}:{p.inner.port}", "a.example:1"]


def test_sections_may_be_inside_of_each_other(tls_server, pinproxyd):
    inner = tls_server()
    config, target = {}, inner
    for name in ("d", "c", "b", "a"):
        outer = tls_server(parents.http(Route(target)))
        config[name] = to(outer, listen=None, host=f"{name}.test")
        target = outer
    for name, via in (("d", "c"), ("c", "b"), ("b", "a")):
        config[name].update(via=f"section:{via}", address="192.0.2.1")
    config[NAME] = to(inner, address=None, via="section:d")
    daemon = pinproxyd(config)
    assert_accepted(daemon)
    for name in "abcd":
        daemon.wait_event(event="tunnel_close", section=name, reason="ok")


@pytest.mark.parametrize("chain, circle, word", (
    (("b", "a"), "ab", "[a] via [b] via [a]"), (("b", "b"), "b", "[b] via [b]"), (("a",), "a", "[a] via [a]"),
    (("nobody",), "a", "no section [nobody]"), (("b", "c", "d", "e", "f", ""), "a", "more than 4 sections")))
def test_sections_without_an_end_are_errors(chain, circle, word, tmp_path):
    text, names = "", "abcdef"
    for name, via in zip(names, chain):
        mark = ">>" if name in circle else ""
        text += f"[{name}]\nverify = pki\n" + (f"{mark}via = section:{via}\n" if via else "")
    path = tmp_path / "pinproxyd.conf"
    marks = write_marked(path, text)
    run = run_pinproxyd("-t", "-c", path)
    assert_config_error(path, marks, word, run)
    assert len(run.err.splitlines()) == len(circle)


def test_a_section_that_speaks_no_http_is_an_error(tmp_path):
    path = tmp_path / "pinproxyd.conf"
    marks = write_marked(path, "[a]\nverify = pki\n>>via = section:b\n[b]\nverify = pki\nalpn = h2\n")
    assert_config_error(path, marks, "http/1.1", run_pinproxyd("-t", "-c", path))
    write_marked(path, "[a]\nverify = pki\nvia = section:B.\n[b]\nverify = pki\nalpn = h2\n  http/1.1\n")
    assert run_pinproxyd("-t", "-c", path).returncode == 0


def test_a_stop_waits_for_what_is_inside(proxy, pinproxyd):
    p = proxy()
    daemon = pinproxyd(p.config())
    with open_tunnel(daemon.address(NAME)) as client:
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: try_exchange(daemon.address(NAME)) is None, "the listener to be closed")
        ping(client)
        client.shutdown(1)
        assert read_all(client) == b""
    assert daemon.process.wait(20) == 0
    assert {event["reason"] for event in daemon.events(event="tunnel_close")} == {"ok"}


def test_the_tool_goes_the_same_way(proxy, pinproxyd, tmp_path):
    p = proxy()
    daemon = pinproxyd(p.config())
    run = run_pinproxy("connect", "-c", daemon.file, NAME, input=b"hello")
    assert (run.returncode, run.out) == (0, "hello"), run.err
    run = run_pinproxy("check", "-c", daemon.file, "--live", NAME)
    assert run.returncode in (0, 1) and p.inner.cert.pin in run.out, run.out + run.err
    broken = p.config(outer={"pin": self_signed(tmp_path).pin})
    daemon.reload(broken)
    run = run_pinproxy("connect", "-c", daemon.file, NAME, input=b"hello")
    assert run.returncode == 1 and "pin_mismatch" in run.err and run.out == ""
    run = run_pinproxy("check", "-c", daemon.file, "--live", NAME)
    assert run.returncode == 3, run.out + run.err


def test_no_descriptor_is_left(proxy, pinproxyd):
    """Each thread has a few of its own as soon as it is used."""
    daemon = pinproxyd(proxy().config())
    assert_accepted(daemon)
    before = daemon.fds()
    for _ in range(20):
        assert_accepted(daemon)
    wait_until(lambda: daemon.fds() < before + 10, "the descriptors to be closed")


def test_a_warm_connection_goes_through_the_outer_section(proxy, pinproxyd):
    p = proxy()
    daemon = pinproxyd({"global": {"workers": 1}, **p.config(inner={"warm": 1})})
    wait_until(lambda: p.inner.conns and p.inner.conns[0].handshake_done, "the warm connection")
    assert_accepted(daemon)
    assert p.inner.conns[0].received == 5
    wait_until(lambda: len(p.inner.conns) == 2 and p.inner.conns[1].handshake_done, "another one")
    daemon.reload({"global": {"workers": 1}, **p.config(inner={"warm": 1}, outer={
        "revoked": p.outer.cert.pin, "pin": "sha256//" + "A" * 42 + "E="})})
    wait_until(lambda: p.inner.conns[1].done, "the end of the warm connection")
    assert_refused(daemon, "upstream_error", "via")


def test_a_stop_does_not_wait_for_warm_connections(proxy, pinproxyd):
    p = proxy()
    daemon = pinproxyd({"global": {"workers": 1, "drain_timeout": "1h"}, **p.config(inner={"warm": 2})})
    wait_until(lambda: len(p.inner.conns) == 2 and all(conn.handshake_done for conn in p.inner.conns), "both")
    daemon.stop()


def test_a_check_learns_nothing_from_the_outer_section(proxy, tmp_path):
    p = proxy()
    state = tmp_path / "state"
    config = tmp_path / "pinproxyd.conf"
    config.write_text(ini({"global": {"state_dir": state}, **p.config(outer={"verify": "tofu", "pin": None})}).replace(
        "pin = None\n", ""))
    run = run_pinproxy("check", "-c", config, "--live", NAME)
    assert run.returncode == 3 and f"[{OUTER}]: " in run.out + run.err, run.out + run.err
    assert not (state / "learned").exists() and p.route.asked == []
    run = run_pinproxy("connect", "-c", config, NAME, input=b"hello")
    assert (run.returncode, run.out) == (0, "hello"), run.err
    assert p.outer.cert.pin in (state / "learned").read_text()
    assert run_pinproxy("check", "-c", config, "--live", NAME).returncode in (0, 1)
