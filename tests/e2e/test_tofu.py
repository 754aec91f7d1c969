"""verify = tofu: the key that was seen first is kept, and no other is accepted."""

import fcntl
import re
import shlex
import shutil
import signal
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from harness import certs, servers
from harness.assertions import assert_accepted, assert_not_sent, assert_refused
from harness.certs import NAME, OTHER, day
from harness.clients import connect, read_exactly, try_exchange
from harness.config import ini
from harness.daemon import PINPROXYD, WRAPPER, Daemon, run_pinproxy, run_pinproxyd
from harness.learned import PLACE, State, parse, tofu
from harness.mount_namespace import in_mount_namespace
from harness.parallel import run_parallel
from harness.servers import TlsServer
from harness.tls_connection import Truncated, reset
from harness.waiting import DEADLINE, wait_steady, wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def command_in(detail):
    """The arguments of the tool, as a shell reads them where the detail has a command."""
    return shlex.split(re.search(r"pinproxy (learned accept .*)", detail)[1])


# The first use.

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

    def look(conn):
        data = conn.recv()
        seen.append(state.text())
        conn.send(data)
        conn.close_notify()
    server = tls_server(look)
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
    """Whichever was first: no tunnel is ever opened to the other."""
    server = stack.add(AlternatingServer(certs.self_signed(tmp_path), certs.self_signed(tmp_path)))
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    run_parallel([lambda: try_exchange(daemon.address(NAME))] * 24)
    daemon.stop()
    kept, = [key.pin for key in state.keys() if not key.refused]
    assert {event["pin"] for event in daemon.events(event="tunnel_open")} == {kept}
    assert [event["pin"] for event in daemon.events(event="learned")] == [kept]
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


# A key that changed.

@pytest.mark.valgrind
def test_a_changed_key_is_refused_and_the_log_says_what_to_do(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    first = server.cert
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    line = assert_refused(daemon, "refused", "tofu_changed")
    assert first.pin in line["detail"] and server.cert.pin in line["detail"]
    assert f"pinproxy learned accept {NAME} {server.cert.pin} -c {daemon.file}" in line["detail"]
    assert line["level"] == "warning"
    state.wait_refused(server.cert.pin)
    assert [key.pin for key in state.keys() if not key.refused] == [first.pin]
    assert_not_sent(server)


def test_a_refused_key_stays_refused_and_the_first_stays_accepted(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    first = server.cert
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")
    state.wait_refused(server.cert.pin)
    assert_refused(daemon, "refused", "tofu_changed")
    server.use(first)
    assert_accepted(daemon)
    assert len(state.keys()) == 2
    assert len(daemon.events(event="learned")) == 1


def test_the_latest_refused_key_is_recorded(state, pinproxyd, tls_server, tmp_path):
    """What `accept` would take is what the log told of last, not a key from before."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    second, third = certs.self_signed(tmp_path), certs.self_signed(tmp_path)
    for cert in (second, third, second):
        server.use(cert)
        assert_refused(daemon, "refused", "tofu_changed")
        state.wait_refused(cert.pin)
    assert len(state.keys()) == 2


def test_the_latest_refused_key_is_recorded_while_another_is_written(state, pinproxyd, tls_server, tmp_path):
    """Another process holds the lock of the file meanwhile. `accept` would take the wrong one."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    with open(state.directory / "learned.lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for _ in range(3):
            server.use(certs.self_signed(tmp_path))
            assert_refused(daemon, "refused", "tofu_changed")
    state.wait_refused(server.cert.pin)


@pytest.mark.threads
def test_many_refused_keys_leave_one_record(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    for _ in range(20):
        server.use(certs.self_signed(tmp_path))
        run_parallel([lambda: try_exchange(daemon.address(NAME))] * 3)
    daemon.stop()
    assert len(daemon.events(event="tunnel_open")) == 1
    assert [key.refused for key in state.keys()] == [False, True]


def test_the_command_in_the_log_works(state, pinproxyd, tls_server, tmp_path):
    """Word for word, from where the daemon was started."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    detail = assert_refused(daemon, "refused", "tofu_changed")["detail"]
    state.wait_refused(server.cert.pin)
    run = run_pinproxy(*command_in(detail), cwd=daemon.directory)
    assert run.returncode == 0, run.err
    assert assert_accepted(daemon)["pin"] == server.cert.pin


@pytest.mark.parametrize("name", ["$(id)", "a;b", "it's", "-x", "--json", "a&b>c"])
def test_the_command_in_the_log_is_safe_in_a_shell(name, state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({name: tofu(server, host="a.test")}))
    assert_accepted(daemon, name)
    server.use(certs.self_signed(tmp_path))
    detail = assert_refused(daemon, "refused", "tofu_changed", name)["detail"]
    state.wait_refused(server.cert.pin, name)
    run = run_pinproxy(*command_in(detail), cwd=daemon.directory)
    assert run.returncode == 0, run.err
    assert_accepted(daemon, name)


def test_the_command_in_the_log_names_the_file_as_the_daemon_does(state, stack, tls_server, tmp_path):
    server = tls_server()
    daemon = Daemon(tmp_path, state.config({NAME: tofu(server)}))
    daemon.command = lambda: WRAPPER + [PINPROXYD, "-c", "./pinproxyd.conf"]
    stack.add(daemon).start()
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    assert f"pinproxy learned accept {NAME} {server.cert.pin} -c ./pinproxyd.conf" in \
        assert_refused(daemon, "refused", "tofu_changed")["detail"]


def test_the_command_in_the_log_is_whole_however_long_the_path(state, stack, tls_server, tmp_path):
    deep = tmp_path / ("d" * 150) / ("e" * 150)
    deep.mkdir(parents=True)
    server = tls_server()
    daemon = stack.add(Daemon(deep, state.config({NAME: tofu(server)}))).start()
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    detail = assert_refused(daemon, "refused", "tofu_changed")["detail"]
    assert f"pinproxy learned accept {NAME} {server.cert.pin} -c {daemon.file}" in detail


def test_a_changed_key_is_compared_with_the_learned_one_and_not_an_announced_one(state, pinproxyd, tls_server):
    kept, announced = f"sha256//{'B' * 42}8=", f"sha256//{'C' * 42}8="
    state.write(f"{NAME} {PLACE} {announced} 2026-01-01 from=pins_url until={day(9)}\n"
                f"{NAME} {PLACE} {kept} 2026-01-02 from=tofu\n")
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, pins_url="/pins")}))
    detail = assert_refused(daemon, "refused", "tofu_changed")["detail"]
    assert kept in detail and server.cert.pin in detail
    assert_not_sent(server)


def test_a_key_recorded_as_refused_is_refused(state, pinproxyd, tls_server):
    server = tls_server()
    state.write(f"{NAME} {PLACE} {OTHER} 2026-01-01 from=tofu\n"
                f"{NAME} {PLACE} {server.cert.pin} 2026-01-02 from=tofu refused\n")
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_refused(daemon, "refused", "tofu_changed", server=server)


# Keys that are not kept.

@pytest.mark.parametrize("first", [100, 300, 600])
@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
def test_a_handshake_that_does_not_finish_learns_nothing(version, first, state, pinproxyd, tls_server, relay):
    server = relay(tls_server(minimum=version, maximum=version), first)
    daemon = pinproxyd(state.config({NAME: tofu(server, handshake_timeout="400ms")}))
    assert_refused(daemon, "upstream_error", "timeout", server=server)
    assert state.keys() == [] and not daemon.events(event="learned")


class SignatureForger(servers.RawServer):
    """Stands before a server of TLS 1.2 and spoils its signature: the certificate is shown, the key not held."""

    SERVER_KEY_EXCHANGE = 12

    def __init__(self, target):
        self.target = target
        super().__init__(self._relay)

    def _relay(self, conn):
        with socket.create_connection((self.target.host, self.target.port), DEADLINE) as out:
            out.sendall(conn.recv())
            while True:
                head = self._exactly(out, 5)
                record = bytearray(self._exactly(out, int.from_bytes(head[3:5], "big")))
                self._spoil(record)
                conn.sock.sendall(head + record)
                if record[0] == 14 or bytes(record[-4:]) == b"\x0e\0\0\0":
                    break  # ServerHelloDone: from here on it is the client's turn
            while data := conn.recv():
                out.sendall(data)

    def _spoil(self, record):
        at = 0
        while at + 4 <= len(record):
            end = at + 4 + int.from_bytes(record[at + 1:at + 4], "big")
            if record[at] == self.SERVER_KEY_EXCHANGE:
                record[end - 1] ^= 1
            at = end

    @staticmethod
    def _exactly(sock, count):
        data = b""
        while len(data) < count:
            more = sock.recv(count - len(data))
            if not more:
                raise Truncated("the server behind the forger went away")
            data += more
        return data


def test_a_key_that_the_handshake_does_not_prove_is_not_learned(state, pinproxyd, stack, tls_server):
    forger = stack.add(SignatureForger(tls_server(maximum=V12)))
    daemon = pinproxyd(state.config({NAME: tofu(forger)}))
    assert_refused(daemon, "upstream_error", "tls")
    daemon.stop()
    assert state.keys() == [] and not daemon.events(event="learned")


def test_a_changed_key_that_the_handshake_does_not_prove_is_not_recorded(state, pinproxyd, stack, tls_server):
    """Anybody can send a certificate: what it is refused for is the signature, and nothing is written."""
    state.write(f"{NAME} {PLACE} {OTHER} 2026-01-01 from=tofu\n")
    before = state.version()
    forger = stack.add(SignatureForger(tls_server(maximum=V12)))
    daemon = pinproxyd(state.config({NAME: tofu(forger)}))
    for _ in range(3):
        assert_refused(daemon, "upstream_error", "tls")
    daemon.stop()
    assert not daemon.events(event="refused")
    assert state.version() == before and [path.name for path in state.directory.iterdir()] == ["learned"]


def test_a_refused_key_is_written_once_however_often_it_is_presented(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")
    state.wait_refused(server.cert.pin)
    before = state.version()
    for _ in range(5):
        assert_refused(daemon, "refused", "tofu_changed")
    daemon.stop()
    assert state.version() == before


WEAK_KEY = certs.rsa_key(1024)


def test_a_weak_key_is_not_learned(state, pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, key=WEAK_KEY))
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_refused(daemon, "refused", "weak", server=server)
    assert state.keys() == [] and not daemon.events(event="learned")


def test_a_changed_key_that_is_weak_is_not_recorded(state, pinproxyd, tls_server, tmp_path):
    """No command could make it accepted; and a key may be weak because its signatures cost too much."""
    state.write(f"{NAME} {PLACE} {OTHER} 2026-01-01 from=tofu\n")
    before = state.version()
    server = tls_server(cert=certs.self_signed(tmp_path, key=WEAK_KEY))
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_refused(daemon, "refused", "weak", server=server)
    daemon.stop()
    assert state.version() == before


def test_a_revoked_key_is_not_learned(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, revoked=server.cert.pin)}))
    assert_refused(daemon, "refused", "revoked", server=server)
    assert state.keys() == [] and not daemon.events(event="learned")


def test_a_learned_key_that_is_revoked_is_refused(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    daemon.reload(state.config({NAME: tofu(server, revoked=server.cert.pin)}))
    assert_refused(daemon, "refused", "revoked")
    assert_not_sent(server)


@pytest.mark.parametrize("check, options", [
    ("name", {"names": ["elsewhere.test"]}), ("dates", {"start": -9, "end": -2}),
])
def test_a_key_that_also_check_refuses_is_not_learned(check, options, state, pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, **options))
    daemon = pinproxyd(state.config({NAME: tofu(server, also_check=check)}))
    assert_refused(daemon, "refused", check, server=server)
    assert state.keys() == []


# Keys known beforehand.

def test_a_configured_pin_is_accepted_and_nothing_is_learned(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    pins = [certs.self_signed(tmp_path).pin, f"{server.cert.pin} name=known"]
    daemon = pinproxyd(state.config({NAME: tofu(server, pin=pins)}))
    assert assert_accepted(daemon)["pin"] == "known"
    daemon.stop()
    assert state.keys() == [] and not daemon.events(event="learned")


def test_another_key_than_the_configured_pin_is_not_learned(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, pin=OTHER)}))
    assert_refused(daemon, "pin_mismatch", server=server)
    assert state.keys() == [] and not daemon.events(event="learned")


def test_an_expired_configured_pin_permits_no_first_use(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, pin=f"{server.cert.pin} until={day(-1)}")}))
    assert_refused(daemon, "refused", "expired_pins", server=server)
    assert state.keys() == []


def test_a_pin_added_to_a_learned_key_is_accepted_beside_it(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    first, second = server.cert, certs.self_signed(tmp_path)
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    daemon.reload(state.config({NAME: tofu(server, pin=f"{second.pin} name=next")}))
    assert assert_accepted(daemon)["pin"] == first.pin
    server.use(second)
    assert assert_accepted(daemon)["pin"] == "next"
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")


@pytest.mark.parametrize("form", [
    lambda ca: f"issuer:{ca.pin}", lambda ca: f"issuer-cert:sha256:{ca.hex}",
    lambda ca: f"issuer-cert:{ca.pem_file()}",
], ids=["issuer", "issuer_cert", "issuer_cert_file"])
def test_an_issuer_pin_under_tofu_is_an_error(form, ca, state, tmp_path):
    file = tmp_path / "pinproxyd.conf"
    file.write_text(f"[{NAME}]\nlisten = 127.0.0.1:0\nverify = tofu\npin = {form(ca.cert)}\n")
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78
    assert re.search(rf"{re.escape(str(file))}:\d+: .*issuer", run.err), run.err


# tofu+pki.

def under(ca, **options):
    return {"verify": "tofu+pki", "ca_file": ca.cert.pem_file(), **options}


def test_tofu_and_pki_learns_a_key_that_the_pki_accepts(state, pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue())
    daemon = pinproxyd(state.config({NAME: tofu(server, **under(ca))}))
    assert assert_accepted(daemon)["pin"] == server.cert.pin
    assert [key.pin for key in state.keys()] == [server.cert.pin]


@pytest.mark.parametrize("make", [
    lambda ca: certs.self_signed(ca.directory), lambda ca: certs.CA(ca.directory).issue(),
    lambda ca: ca.issue(start=-9, end=-2), lambda ca: ca.issue(["elsewhere.test"]),
], ids=["self_signed", "another_root", "expired", "wrong_name"])
def test_tofu_and_pki_learns_no_key_that_the_pki_refuses(make, state, pinproxyd, tls_server, ca):
    server = tls_server(cert=make(ca))
    daemon = pinproxyd(state.config({NAME: tofu(server, **under(ca))}))
    assert_refused(daemon, "refused", "pki", server=server)
    assert state.keys() == [] and not daemon.events(event="learned")


def test_tofu_and_pki_are_checked_at_every_connection(state, pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue())
    first = server.cert
    daemon = pinproxyd(state.config({NAME: tofu(server, **under(ca))}))
    assert_accepted(daemon)
    server.use(ca.issue(key=first.key, start=-9, end=-2))
    assert_refused(daemon, "refused", "pki")
    server.use(ca.issue())
    assert_refused(daemon, "refused", "tofu_changed")
    server.use(ca.issue(key=first.key))
    assert_accepted(daemon)
    assert_not_sent(server)


# Where a learned key counts.

@pytest.mark.parametrize("moved", [{"host": "moved.test"}, {"port": 444}], ids=["host", "port"])
def test_another_host_or_port_is_a_new_first_use(moved, state, pinproxyd, tls_server):
    old, new = tls_server(), tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(old)}))
    assert_accepted(daemon)
    daemon.reload(state.config({NAME: tofu(new, **moved)}))
    assert assert_accepted(daemon)["pin"] == new.cert.pin
    place = f"{moved.get('host', NAME)}:{moved.get('port', 443)}"
    assert (place, new.cert.pin) in [(key.place, key.pin) for key in state.keys()]
    assert (place, old.cert.pin) not in [(key.place, key.pin) for key in state.keys()]


def test_a_key_of_another_section_has_no_effect(state, pinproxyd, tls_server):
    server = tls_server()
    state.write(f"other.test {PLACE} {server.cert.pin} 2026-01-01 from=tofu\n"
                f"{NAME} {PLACE} {OTHER} 2026-01-01 from=tofu\n")
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_refused(daemon, "refused", "tofu_changed", server=server)


def test_a_learned_key_has_no_effect_under_verify_pin(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    daemon.reload(state.config({NAME: tofu(server, verify="pin", pin=OTHER)}))
    assert_refused(daemon, "pin_mismatch")
    assert_not_sent(server)


def test_a_restart_keeps_the_keys(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    daemon.stop()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    assert not daemon.events(event="learned")
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")


def test_no_session_of_a_replaced_key_is_resumed(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, resume="yes")}))
    assert_accepted(daemon)
    wait_until(lambda: assert_accepted(daemon)["resumed"] == "yes", "a resumed session")
    state.write(f"{NAME} {PLACE} {OTHER} {day(0)} from=tofu\n")
    assert_refused(daemon, "refused", "tofu_changed")
    assert_not_sent(server)


def test_a_forgotten_key_is_learned_again_though_it_has_a_session(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, resume="yes")}))
    assert_accepted(daemon)
    wait_until(lambda: assert_accepted(daemon)["resumed"] == "yes", "a resumed session")
    state.write("")
    assert_accepted(daemon)
    assert [key.pin for key in state.keys()] == [server.cert.pin]
    assert len(daemon.events(event="learned")) == 2


# The file by hand.

def test_a_line_removed_by_hand_has_an_effect_at_the_next_connection(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server), "other.test": tofu(server)}))
    assert_accepted(daemon)
    assert_accepted(daemon, "other.test")
    server.use(certs.self_signed(tmp_path))
    state.write("".join(line for line in state.text().splitlines(True) if not line.startswith(NAME)))
    assert assert_accepted(daemon)["pin"] == server.cert.pin
    assert_refused(daemon, "refused", "tofu_changed", "other.test")


def test_a_file_removed_by_hand_is_an_empty_one(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    state.file.unlink()
    server.use(certs.self_signed(tmp_path))
    assert assert_accepted(daemon)["pin"] == server.cert.pin
    assert [key.pin for key in state.keys()] == [server.cert.pin]


def test_a_key_added_by_hand_has_an_effect_at_the_next_connection(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    state.write(f"{NAME} {PLACE} {server.cert.pin} 2026-01-01\n")
    assert assert_accepted(daemon)["pin"] == server.cert.pin
    assert len(daemon.events(event="learned")) == 1


def test_a_file_edited_in_place_is_read_again(state, pinproxyd, tls_server):
    """Not renamed, not even of another length."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    time.sleep(0.05)  # a time stamp is no finer than the kernel's tick
    text = state.text().replace(server.cert.pin, OTHER)
    with open(state.file, "r+") as file:
        file.write(text)
    assert_refused(daemon, "refused", "tofu_changed")


@pytest.mark.parametrize("newline", ["\n", ""], ids=["", "no_newline_at_the_end"])
def test_comments_survive_later_writes(newline, state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server), "other.test": tofu(server)}))
    assert_accepted(daemon)
    mine = (f"# seen by phone, Anna\n\n{NAME} {PLACE} {server.cert.pin} {day(0)} from=tofu # checked\n"
            f"   # the last word{newline}")
    state.write(mine)
    assert_accepted(daemon)
    assert_accepted(daemon, "other.test")
    ended = mine if newline else mine + "\n"
    assert state.text() == ended + f"other.test other.test:443 {server.cert.pin} {day(0)} from=tofu\n"
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")
    state.wait_refused(server.cert.pin)
    assert state.text().startswith(ended)


# A damaged file.

GOOD = f"{NAME} {PLACE} {OTHER} 2026-01-01 from=tofu"
DAMAGES = {
    "one_word": "hello",
    "no_place": f"{NAME} {OTHER} 2026-01-01 from=tofu",
    "place_without_port": f"{NAME} {NAME} {OTHER} 2026-01-01 from=tofu",
    "place_with_a_bad_port": f"{NAME} {NAME}:70000 {OTHER} 2026-01-01 from=tofu",
    "short_pin": GOOD.replace("ihg= ", " "),
    "spare_bits": GOOD.replace("ihg= ", "ihh= "),
    "zero_pin": f"{NAME} {PLACE} sha256//{'A' * 43}= 2026-01-01 from=tofu",
    "sha1_pin": f"{NAME} {PLACE} sha1//2jmj7l5rSw0yVb/vlWAYkK/YBwk= 2026-01-01 from=tofu",
    "no_date": GOOD.replace(" 2026-01-01", ""),
    "no_such_day": GOOD.replace("2026-01-01", "2026-02-30"),
    "unknown_word": GOOD + " trusted",
    "unknown_origin": GOOD.replace("tofu", "mars"),
    "bad_until": GOOD + " until=soon",
    "cut_in_the_pin": GOOD[:60],
    "nul_byte": GOOD + " \0",
    "binary": "\x01\x02\x03\x04",
    "same_key_twice": f"{GOOD}\n{GOOD}",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.valgrind
def test_a_damaged_file_stops_the_start(damage, state, tls_server, tmp_path):
    text = f"# comment\nother.test other.test:443 {OTHER} 2026-01-01\n{DAMAGES[damage]}\n"
    state.write(text)
    number = text.count("\n")
    file = tmp_path / "pinproxyd.conf"
    file.write_text(ini(state.config({NAME: tofu(tls_server())})))
    run = run_pinproxyd("-c", file)
    assert run.returncode == 78, run.err
    assert f"{state.file}:{number}: " in run.err
    assert state.file.read_bytes() == text.encode()


def test_a_file_that_cannot_be_read_stops_the_start(state, tls_server, tmp_path):
    state.file.mkdir(parents=True)
    file = tmp_path / "pinproxyd.conf"
    file.write_text(ini(state.config({NAME: tofu(tls_server())})))
    run = run_pinproxyd("-c", file)
    assert run.returncode == 78, run.err
    assert str(state.file) in run.err


def test_a_reload_with_a_damaged_file_changes_nothing(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server), "other.test": tofu(server)}))
    assert_accepted(daemon)
    good, bad = state.text(), state.text() + "damage\n"
    state.write(bad)
    failed = daemon.reload(state.config({NAME: tofu(server, revoked=server.cert.pin)}), ok=False)
    assert f"{state.file}:2: " in failed["detail"]
    assert_accepted(daemon)
    assert state.text() == bad
    state.write(good)
    daemon.reload(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)


@pytest.mark.threads
def test_a_file_damaged_at_run_time_keeps_known_keys_and_is_not_overwritten(state, pinproxyd, tls_server, tmp_path):
    """Known keys still work, new ones wait, and nobody writes over what may be mended."""
    server = tls_server()
    first = server.cert
    daemon = pinproxyd(state.config({NAME: tofu(server), "other.test": tofu(server)}))
    assert_accepted(daemon)
    good, bad = state.text(), state.text().replace("sha256//", "sha256/")
    state.write(bad)
    assert_accepted(daemon)
    assert_refused(daemon, "refused", "unsaved", "other.test")
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")
    assert state.text() == bad
    state.write(good)
    assert_accepted(daemon, "other.test")
    assert_refused(daemon, "refused", "tofu_changed")
    state.wait_refused(server.cert.pin)
    server.use(first)
    assert_accepted(daemon)
    assert_not_sent(server)


# What cannot be kept.

def test_a_removed_state_dir_refuses_a_first_use(state, pinproxyd, tls_server):
    """No place to keep the key, no byte; where the key is known, all is well."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    shutil.rmtree(state.directory)
    state.directory.write_text("a file in its place")
    line = assert_refused(daemon, "refused", "unsaved", server=server)
    assert str(state.directory) in line["detail"]
    assert not daemon.events(event="learned")


def test_a_full_disk_refuses_a_first_use_and_keeps_the_file(state, stack, tls_server, tmp_path):
    """A file system of one page: the first key fits, the second does not, and the file stays whole."""
    server = tls_server()
    state.directory.mkdir()
    daemon = Daemon(tmp_path, state.config({NAME: tofu(server), "other.test": tofu(server)}))
    plain, script = daemon.command(), 'mount -t tmpfs -o size=4k,mode=700 none "$0" && exec "$@"'
    daemon.command = lambda: in_mount_namespace(script, state.directory, *plain, map_root=True)
    stack.add(daemon).start()
    assert_accepted(daemon)
    inside = State(Path(f"/proc/{daemon.pid}/root{state.directory}"))
    before = inside.text()
    assert parse(before)
    line = assert_refused(daemon, "refused", "unsaved", "other.test")
    assert "space" in line["detail"]
    assert inside.text() == before
    assert_accepted(daemon)
    assert [event["section"] for event in daemon.events(event="learned")] == [NAME]
    assert_not_sent(server)


# Crashes, stops, and several daemons.

MANY = [f"s{i}.test" for i in range(40)]


@pytest.mark.parametrize("after", [1, 10, 30])
def test_a_daemon_killed_during_many_first_uses_leaves_a_whole_file(after, state, pinproxyd, tls_server):
    """Whatever was told as learned is in a file that is whole, and the next daemon starts on it."""
    server = tls_server()
    config = state.config({name: tofu(server) for name in MANY})
    daemon = pinproxyd(config)
    clients = [threading.Thread(target=try_exchange, args=(daemon.address(name),)) for name in MANY]
    for client in clients:
        client.start()
    wait_until(lambda: len(daemon.events(event="learned")) >= after, f"{after} first uses")
    daemon.process.kill()
    daemon.wait(-9)
    for client in clients:
        client.join(DEADLINE)
    kept = state.keys()
    assert {key.pin for key in kept} == {server.cert.pin}
    assert {event["section"] for event in daemon.events(event="learned")} <= {key.section for key in kept}
    daemon = pinproxyd(config)
    for name in MANY:
        assert_accepted(daemon, name)
    assert sorted(key.section for key in state.keys()) == sorted(MANY)


@pytest.mark.threads
def test_a_daemon_stopped_during_many_first_uses_exits_cleanly(state, pinproxyd, tls_server):
    """A stop lets them finish, a second one cuts them short; either way it is a clean end."""
    server = tls_server()
    daemon = pinproxyd(state.config({name: tofu(server) for name in MANY}))
    clients = [threading.Thread(target=try_exchange, args=(daemon.address(name),)) for name in MANY]
    for client in clients:
        client.start()
    wait_until(lambda: daemon.events(event="learned"), "a first use")
    daemon.signal(signal.SIGTERM)
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    for client in clients:
        client.join(DEADLINE)
    assert {event["section"] for event in daemon.events(event="learned")} <= {key.section for key in state.keys()}


@pytest.mark.parametrize("end", ["client", "timeout"])
def test_a_learned_key_is_logged_though_its_client_is_gone(end, state, pinproxyd, tls_server):
    """Another process holds the lock of the file for so long that nobody waits any more."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, handshake_timeout="1s" if end == "timeout" else "1h")}))
    with open(state.directory / "learned.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sock = connect(daemon.address(NAME))
        wait_until(lambda: server.conns and server.conns[0].handshake_done, "the handshake")
        if end == "client":
            reset(sock)
        daemon.wait_event(event="tunnel_close" if end == "client" else "upstream_error")
        sock.close()
    told, kept = wait_steady(lambda: (daemon.events(event="learned"), state.keys()))
    assert [event["pin"] for event in told] == [key.pin for key in kept]


@pytest.mark.threads
def test_clients_that_reset_during_their_first_use_harm_no_later_one(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({name: tofu(server) for name in MANY}))
    for name in MANY:
        reset(connect(daemon.address(name)))
    for name in MANY:
        assert_accepted(daemon, name)
    assert sorted(key.section for key in state.keys()) == sorted(MANY)


@pytest.mark.threads
def test_two_daemons_with_one_state_dir_lose_no_key(state, pinproxyd, tls_server):
    server = tls_server()
    daemons = [pinproxyd(state.config({name: tofu(server) for name in MANY[half::2]})) for half in (0, 1)]
    run_parallel([lambda name=name, daemon=daemons[i % 2]: assert_accepted(daemon, name) for i, name in enumerate(MANY)])
    assert sorted(key.section for key in state.keys()) == sorted(MANY)


def test_a_key_that_one_daemon_learned_is_checked_by_the_other(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    one, two = (pinproxyd(state.config({NAME: tofu(server)})) for _ in range(2))
    assert_accepted(one)
    server.use(certs.self_signed(tmp_path))
    assert_refused(two, "refused", "tofu_changed")


def test_a_reload_changes_the_state_dir(state, pinproxyd, tls_server, tmp_path):
    server, other = tls_server(), State(tmp_path / "other")
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    daemon.reload(other.config({NAME: tofu(server)}))
    assert assert_accepted(daemon)["pin"] == server.cert.pin
    assert [key.pin for key in other.keys()] == [server.cert.pin]
    assert [key.pin for key in state.keys()] != [server.cert.pin]


def test_a_section_without_tofu_writes_nothing(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, verify="pin", pin=server.cert.pin)}))
    assert_accepted(daemon)
    daemon.stop()
    assert not state.file.exists() and not daemon.events(event="learned")
