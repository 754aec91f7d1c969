"""The group of the key agreement in the log, and ClientHellos that are longer than a TCP segment."""

import socket
import ssl
import threading
import time

import pytest

from harness import certs
from harness.assertions import assert_accepted, resumed
from harness.certs import NAME
from harness.config import to
from harness.servers import RawServer
from harness.waiting import DEADLINE

SEGMENT = 1448  # bytes of a TCP segment over Ethernet
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
@pytest.mark.parametrize("group", ["X25519", "P-256", "P-384"])
def test_tunnel_open_has_the_group_by_the_name_that_the_option_takes(group, version, pinproxyd, tls_server, tmp_path):
    # TLS 1.2 would need the curve of an EC certificate among the groups (RFC 8422 section 5.1)
    server = tls_server(cert=certs.self_signed(tmp_path, key=certs.rsa_key()), minimum=version, maximum=version)
    assert assert_accepted(pinproxyd({NAME: to(server, groups=group)}))["group"] == group


def test_the_group_is_a_hybrid_where_openssl_has_one(pinproxyd, tls_server):
    """The servers of these tests use the same OpenSSL as the daemon."""
    opened = assert_accepted(pinproxyd({NAME: to(tls_server())}))
    assert opened["group"] == ("X25519MLKEM768" if ssl.OPENSSL_VERSION_INFO >= (3, 5) else "X25519")


@pytest.mark.parametrize("version, groups", [(V12, ["X25519", None]), (V13, ["X25519", "X25519"])],
                         ids=["tls1.2", "tls1.3"])
def test_a_resumed_session_has_a_group_if_it_has_a_key_agreement(version, groups, pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, key=certs.rsa_key()), minimum=version, maximum=version)
    daemon = pinproxyd({"global": {"workers": 1}, NAME: to(server, resume="yes", groups="X25519")})
    assert resumed(daemon, 2) == ["no", "yes"]
    assert [event.get("group") for event in daemon.events(event="tunnel_open")] == groups


class SlowPath(RawServer):
    """Forwards to a server in pieces, with a pause after each, until that server has answered."""

    def __init__(self, target, piece):
        self.target, self.piece, self.cert, self.hello = target, piece, target.cert, b""
        super().__init__(self._forward)

    def _forward(self, conn):
        with socket.create_connection((self.target.host, self.target.port), DEADLINE) as out:
            out.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answered = threading.Event()
            back = threading.Thread(target=self._forward_answer, args=(out, conn.sock, answered), daemon=True)
            back.start()
            while data := conn.sock.recv(self.piece):
                waiting = not answered.is_set()  # before the last piece, which is answered at once
                if waiting:
                    self.hello += data
                out.sendall(data)
                if waiting:
                    time.sleep(0.005)
            out.shutdown(socket.SHUT_WR)
            back.join(DEADLINE)

    @staticmethod
    def _forward_answer(out, sock, answered):
        while data := out.recv(65536):
            answered.set()
            sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)


def test_a_client_hello_in_many_segments_works(pinproxyd, tls_server, stack):
    path = stack.add(SlowPath(tls_server(), piece=SEGMENT // 2))
    assert_accepted(pinproxyd({NAME: to(path, alpn=[f"{number:02d}".ljust(190, "x") for number in range(64)])}))
    assert len(path.hello) > 8 * SEGMENT


def test_a_client_hello_in_two_segments_works(pinproxyd, tls_server, stack):
    """With X25519MLKEM768 it is as long as this one by default. Some servers read it in one piece only."""
    path = stack.add(SlowPath(tls_server(), piece=SEGMENT))
    daemon = pinproxyd({NAME: to(path, alpn=[f"{number}".ljust(150, "x") for number in range(9)])})
    assert_accepted(daemon)
    assert SEGMENT < len(path.hello) < 2 * SEGMENT + 1000
