"""verify = tofu: keys that are not learned."""

import re
import socket
import ssl

import pytest

from harness import certs, servers
from harness.assertions import assert_accepted, assert_not_sent, assert_refused
from harness.certs import NAME, OTHER, day
from harness.daemon import run_pinproxyd
from harness.learned import PLACE, tofu
from harness.tls_connection import Truncated
from harness.waiting import DEADLINE

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


# Keys that are not learned.

@pytest.mark.parametrize("first", [100, 300, 600])
@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
def test_a_handshake_that_does_not_finish_learns_nothing(version, first, state, pinproxyd, tls_server, relay):
    server = relay(tls_server(minimum=version, maximum=version), first)
    daemon = pinproxyd(state.config({NAME: tofu(server, handshake_timeout="400ms")}))
    assert_refused(daemon, "upstream_error", "timeout", server=server)
    assert state.keys() == [] and not daemon.events(event="learned")


class SignatureForger(servers.RawServer):
    """Forwards to a server with TLS 1.2 and breaks its signature, as if it had the certificate without the key."""

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
                    break  # ServerHelloDone: the client continues
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
    """Anyone can send a certificate. The refusal is because of the signature, and nothing is written."""
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
    """No command could make it acceptable."""
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


# Keys that are configured.

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
