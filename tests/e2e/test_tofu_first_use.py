"""verify = tofu: the key of the first connection is learned."""

import re
import ssl

import pytest

from harness import certs, servers
from harness.assertions import assert_accepted
from harness.certs import NAME, OTHER, day
from harness.clients import connect, read_exactly, try_exchange
from harness.config import ini
from harness.daemon import run_pinproxyd
from harness.learned import PLACE, State, parse, tofu
from harness.parallel import run_parallel
from harness.servers import TlsServer

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.mark.valgrind
def test_a_first_use_is_learned_and_logged(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    opened = assert_accepted(daemon)
    assert opened["pin"] == server.cert.pin
    assert state.text() == f"{NAME} {PLACE} {server.cert.pin} {day(0)} from=tofu\n"
    learned, = daemon.events(event="learned")
    assert (learned["section"], learned["pin"], learned["from"]) == (NAME, server.cert.pin, "tofu")
    assert learned["level"] == "notice"
    order = [event["event"] for event in daemon.events() if event["event"] in ("learned", "tunnel_open")]
    assert order == ["learned", "tunnel_open"]


def test_the_key_is_on_disk_before_a_byte_reaches_the_server(state, pinproxyd, tls_server):
    seen = []

    def record(conn):
        data = conn.recv()
        seen.append(state.text())
        conn.send(data)
        conn.close_notify()
    server = tls_server(record)
    assert_accepted(pinproxyd(state.config({NAME: tofu(server)})))
    assert [key.pin for key in parse(seen[0])] == [server.cert.pin]


def test_the_key_is_on_disk_before_a_byte_reaches_the_client(state, pinproxyd, tls_server):
    server = tls_server(servers.send_then_read(b"220 welcome\r\n"))
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    with connect(daemon.address(NAME)) as sock:
        assert read_exactly(sock, 1) == b"2"
        assert [key.pin for key in state.keys()] == [server.cert.pin]


def test_a_second_use_learns_nothing(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    before = state.text()
    assert assert_accepted(daemon)["pin"] == server.cert.pin
    assert state.text() == before
    assert len(daemon.events(event="learned")) == 1


@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
@pytest.mark.parametrize("key", [certs.rsa_key, certs.ec_key], ids=["rsa", "ecdsa"])
def test_a_first_use_is_learned_in_each_tls_version(version, key, state, pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, key=key()), minimum=version, maximum=version)
    assert_accepted(pinproxyd(state.config({NAME: tofu(server)})))
    assert [key.pin for key in state.keys()] == [server.cert.pin]


def test_a_renewed_certificate_with_the_same_key_is_accepted(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path, key=server.cert.key))
    assert_accepted(daemon)


def test_a_relative_state_dir_is_beside_the_configuration(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({"global": {"state_dir": "learned-here"}, NAME: tofu(server)})
    assert_accepted(daemon)
    assert [key.pin for key in State(daemon.directory / "learned-here").keys()] == [server.cert.pin]


def test_a_check_of_the_configuration_creates_and_learns_nothing(state, tls_server, tmp_path):
    server = tls_server()
    file = tmp_path / "pinproxyd.conf"
    file.write_text(ini(state.config({NAME: tofu(server)})))
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 0, run.err
    assert not state.directory.exists() and not server.conns


def test_the_parent_of_the_state_dir_is_not_created(tmp_path, pinproxyd, tls_server):
    missing = State(tmp_path / "missing" / "state")
    file = tmp_path / "pinproxyd.conf"
    file.write_text(ini(missing.config({NAME: tofu(tls_server())})))
    run = run_pinproxyd("-c", file)
    assert run.returncode != 0
    assert str(missing.directory) in run.err
    assert not missing.directory.parent.exists()


def test_each_section_learns_keys_of_its_own(state, pinproxyd, tls_server):
    one, two = tls_server(), tls_server()
    daemon = pinproxyd(state.config({"one.test": tofu(one), "two.test": tofu(two), "again.test": tofu(one)}))
    for section in ("one.test", "two.test", "again.test"):
        assert_accepted(daemon, section)
    assert {(key.section, key.place, key.pin) for key in state.keys()} == {
        ("one.test", "one.test:443", one.cert.pin), ("two.test", "two.test:443", two.cert.pin),
        ("again.test", "again.test:443", one.cert.pin)}


@pytest.mark.parametrize("options, place", [
    ({}, PLACE), ({"host": "real.test"}, "real.test:443"), ({"port": 8443}, f"{NAME}:8443"),
    ({"host": "::1", "port": 636}, "[::1]:636"), ({"host": "127.0.0.9"}, "127.0.0.9:443"),
], ids=["name", "host", "port", "ipv6", "ipv4"])
def test_a_key_is_learned_for_host_and_port_and_not_for_the_address(options, place, state, pinproxyd, tls_server):
    assert_accepted(pinproxyd(state.config({NAME: tofu(tls_server(), **options)})))
    assert [(key.section, key.place) for key in state.keys()] == [(NAME, place)]


@pytest.mark.threads
def test_many_first_connections_at_once_learn_one_key(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    run_parallel([lambda: assert_accepted(daemon)] * 24)
    daemon.stop()
    assert len(daemon.events(event="tunnel_open", pin=server.cert.pin)) == 24
    assert len(state.keys()) == 1
    assert len(daemon.events(event="learned")) == 1


class AlternatingServer(TlsServer):
    """Presents its two certificates in turn."""

    def __init__(self, cert, other):
        self.certs_in_turn = [cert, other]
        super().__init__(servers.echo, cert)

    def _serve(self, sock, peer):
        self.certs_in_turn.reverse()
        self.use(self.certs_in_turn[0])
        super()._serve(sock, peer)


@pytest.mark.threads
def test_first_connections_to_two_keys_learn_one_of_them(state, pinproxyd, stack, tmp_path):
    """No tunnel is ever opened to the other key."""
    server = stack.add(AlternatingServer(certs.self_signed(tmp_path), certs.self_signed(tmp_path)))
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    run_parallel([lambda: try_exchange(daemon.address(NAME))] * 24)
    daemon.stop()
    learned_pin, = [key.pin for key in state.keys() if not key.refused]
    assert {event["pin"] for event in daemon.events(event="tunnel_open")} == {learned_pin}
    assert [event["pin"] for event in daemon.events(event="learned")] == [learned_pin]
    assert daemon.events(event="refused", reason="tofu_changed")


@pytest.mark.parametrize("name", ["two words", "#numbered", "tab\there"])
@pytest.mark.parametrize("trust", ["verify = tofu", f"pin = {OTHER}\npins_url = /pins"], ids=["tofu", "pins_url"])
def test_a_section_name_that_the_file_cannot_hold_is_an_error(name, trust, tmp_path):
    file = tmp_path / "pinproxyd.conf"
    section = f"[{name}]\nhost = a.test\nlisten = 127.0.0.1:0\n"
    file.write_text(section + trust + "\n")
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78, run.err
    assert re.search(rf"{re.escape(str(file))}:\d+: ", run.err), run.err
    file.write_text(section + f"pin = {OTHER}\n")
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 0, run.err
