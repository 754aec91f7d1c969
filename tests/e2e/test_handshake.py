"""The handshake: versions, SNI, ALPN, ciphers, groups, and servers that misbehave."""

import ssl
import time

import pytest

from harness import certs, servers
from harness.assertions import assert_accepted
from harness.certs import NAME
from harness.clients import connect, exchange, read_exactly, read_to_reset
from harness.config import to
from harness.daemon import run_pinproxyd
from harness.openssl import openssl
from harness.servers import ask_client

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("version, said", [(V12, "1.2"), (V13, "1.3")], ids=["tls1.2", "tls1.3"])
@pytest.mark.valgrind
def test_each_tls_version_works_and_is_logged(version, said, pinproxyd, tls_server):
    server = tls_server(minimum=version, maximum=version)
    assert said in assert_accepted(pinproxyd({NAME: to(server)}))["tls"]


@pytest.mark.parametrize("key, value, said", [("tls_max", "1.2", "1.2"), ("tls_min", "1.3", "1.3")])
def test_tls_min_and_tls_max_limit_the_version(key, value, said, pinproxyd, tls_server):
    assert said in assert_accepted(pinproxyd({NAME: to(tls_server(), **{key: value})}))["tls"]


def test_sni_is_the_name_of_the_section(pinproxyd, tls_server):
    server = tls_server()
    assert_accepted(pinproxyd({NAME: to(server)}))
    assert server.conns[0].sni == NAME


def test_sni_is_the_option_host_if_there_is_one(pinproxyd, tls_server):
    server = tls_server()
    assert_accepted(pinproxyd({"backend": to(server, host="host.test")}), "backend")
    assert server.conns[0].sni == "host.test"


def test_sni_is_the_option_sni_if_there_is_one(pinproxyd, tls_server):
    server = tls_server()
    assert_accepted(pinproxyd({NAME: to(server, sni="front.test")}))
    assert server.conns[0].sni == "front.test"


def test_sni_off_sends_no_sni(pinproxyd, tls_server):
    server = tls_server()
    assert_accepted(pinproxyd({NAME: to(server, sni="off")}))
    assert server.conns[0].sni is None


def test_sni_has_no_trailing_dot(pinproxyd, tls_server):
    server = tls_server()
    assert_accepted(pinproxyd({"dotted": to(server, host="host.test.")}), "dotted")
    assert server.conns[0].sni == "host.test"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_ip_address_is_not_sent_as_sni(address, pinproxyd, tls_server):
    server = tls_server(host=address)
    assert_accepted(pinproxyd({"literal": to(server, host=address, port=server.port, address=None)}), "literal")
    assert server.conns[0].sni is None


def test_alpn_offers_the_configured_protocols(pinproxyd, tls_server):
    server = tls_server(alpn=["imap", "http/1.1"])
    assert_accepted(pinproxyd({NAME: to(server, alpn=["h2", "http/1.1"])}))
    assert server.conns[0].tls.selected_alpn_protocol() == "http/1.1"


def test_no_alpn_is_offered_by_default(pinproxyd, tls_server):
    server = tls_server(alpn=["http/1.1"])
    assert_accepted(pinproxyd({NAME: to(server)}))
    assert server.conns[0].tls.selected_alpn_protocol() is None


def test_ciphers_selects_the_cipher_of_tls_1_2(pinproxyd, tls_server):
    server = tls_server(maximum=V12)
    opened = assert_accepted(pinproxyd({NAME: to(server, ciphers="ECDHE-ECDSA-CHACHA20-POLY1305")}))
    assert opened["cipher"] == server.conns[0].tls.cipher()[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"


def test_ciphersuites_selects_the_cipher_of_tls_1_3(pinproxyd, tls_server):
    server = tls_server()
    opened = assert_accepted(pinproxyd({NAME: to(server, ciphersuites="TLS_AES_128_GCM_SHA256")}))
    assert opened["cipher"] == "TLS_AES_128_GCM_SHA256"


def test_ciphers_of_the_defaults_may_be_for_another_version(pinproxyd, tls_server):
    """They have no effect in a section without TLS 1.2. In the section itself they would be an error."""
    server = tls_server()
    daemon = pinproxyd({"defaults": {"ciphers": "ECDHE+AESGCM"}, NAME: to(server, tls_min="1.3")})
    assert "1.3" in assert_accepted(daemon)["tls"]


def test_a_server_without_a_common_group_is_refused(pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, key=certs.rsa_key()))
    server.context.set_ecdh_curve("prime256v1")
    daemon = pinproxyd({NAME: to(server, groups="secp384r1")})
    with pytest.raises(ConnectionResetError):
        exchange(daemon.address(NAME), b"hello")
    daemon.wait_event(event="upstream_error", reason="tls")


@pytest.fixture
def dhe_server(tls_server, tmp_path):
    """A server with TLS 1.2 and finite-field Diffie-Hellman only."""
    parameters = tmp_path / "dh.pem"
    openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048", "-out", parameters)
    server = tls_server(cert=certs.self_signed(tmp_path, key=certs.rsa_key()), maximum=V12, ciphers="DHE+AESGCM")
    server.context.load_dh_params(str(parameters))
    return server


def test_finite_field_diffie_hellman_is_not_offered(pinproxyd, dhe_server):
    """The server would choose the group, and so how long the daemon computes before the server has proved its key."""
    daemon = pinproxyd({NAME: to(dhe_server)})
    with pytest.raises(ConnectionResetError):
        exchange(daemon.address(NAME), b"hello")
    daemon.wait_event(event="upstream_error", reason="tls")
    assert not daemon.events(event="slow_key_exchange")


def test_finite_field_diffie_hellman_that_is_configured_is_offered_with_a_warning(pinproxyd, dhe_server):
    daemon = pinproxyd({NAME: to(dhe_server, ciphers="ECDHE+AESGCM:DHE-RSA-AES128-GCM-SHA256")})
    assert assert_accepted(daemon)["cipher"] == "DHE-RSA-AES128-GCM-SHA256"
    warning = daemon.wait_event(event="slow_key_exchange", section=NAME)
    assert warning["level"] == "warning"
    assert "DHE-RSA-AES128-GCM-SHA256" in warning["detail"]
    run = run_pinproxyd("-t", "-c", daemon.file)
    assert run.returncode == 0
    assert f"[{NAME}]".encode() in run.stderr and b"DHE-RSA-AES128-GCM-SHA256" in run.stderr


def test_a_finite_field_group_causes_a_warning(pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server(), groups="X25519:ffdhe3072")})
    assert_accepted(daemon)
    daemon.wait_event(event="slow_key_exchange", section=NAME)


@pytest.mark.parametrize("record", [b"\x16\x03\x03\x00\x04\0\0\0\0", b"\x16\x03\x03\x40\x00" + bytes(16384)],
                         ids=["one", "many"])
def test_a_flood_of_hello_requests_ends_the_handshake(record, pinproxyd, raw_server):
    """OpenSSL ignores HelloRequests, so the server could send them as long as a handshake may take."""
    def flood(conn):
        conn.recv()
        while True:
            conn.sock.sendall(record * (1 + 65536 // len(record)))
    server = raw_server(flood)
    daemon = pinproxyd({NAME: to(server, pin="sha256//AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=")})
    with pytest.raises(ConnectionResetError):
        exchange(daemon.address(NAME), b"hello")
    error = daemon.wait_event(event="upstream_error")
    assert error["reason"] == "tls" and "flood" in error["detail"]


@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
def test_a_list_of_very_many_certificates_is_refused(version, pinproxyd, tls_server, tmp_path):
    """OpenSSL would decode the key of each before the daemon can check any of them."""
    cert = certs.self_signed(tmp_path)
    cert.chain = [cert.cert] * 100
    server = tls_server(cert=cert, minimum=version, maximum=version)
    daemon = pinproxyd({NAME: to(server)})
    with pytest.raises(ConnectionResetError):
        exchange(daemon.address(NAME), b"hello")
    error = daemon.wait_event(event="upstream_error")
    assert error["reason"] == "tls" and "certificates" in error["detail"]


@pytest.mark.parametrize("behave, said", [(servers.close_at_hello, "closed"), (servers.reset_at_hello, "reset")],
                         ids=["close", "reset"])
def test_starttls_is_suggested_for_a_server_that_closes_at_the_hello(behave, said, pinproxyd, raw_server):
    """PostgreSQL before 17 and LDAP need it. It is not suggested for a server that has sent something."""
    pin = "sha256//AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
    daemon = pinproxyd({"a.test": to(raw_server(behave), pin=pin),
                        "b.test": to(raw_server(begin_and(behave)), pin=pin)})
    for section in "a.test", "b.test":
        with pytest.raises(ConnectionResetError):
            exchange(daemon.address(section), b"hello")
        detail = daemon.wait_event(event="upstream_error", section=section)["detail"]
        assert f"the server {said} the connection during the handshake" in detail
        assert ("STARTTLS" in detail) == (section == "a.test")


def begin_and(behave):
    def begin(conn):
        conn.sock.sendall(b"\x16\x03\x03\x00\x40\x02")  # the first bytes of a ServerHello
        time.sleep(0.2)
        behave(conn)
    return begin


def test_every_connection_makes_a_full_handshake_by_default(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    for _ in range(3):
        exchange(daemon.address(NAME), b"hello")
    for conn in server.wait_done(3):
        assert not conn.tls.session_reused
    assert {event["resumed"] for event in daemon.events(event="tunnel_open")} == {"no"}


def test_a_server_that_requests_a_client_certificate_gets_none(pinproxyd, tls_server):
    server = tls_server()
    ask_client(server, server.cert, required=False)
    assert_accepted(pinproxyd({NAME: to(server)}))
    assert server.conns[0].tls.getpeercert(binary_form=True) is None


@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
def test_a_server_that_requires_a_client_certificate_resets_the_client(version, pinproxyd, tls_server):
    """With TLS 1.3 the refusal comes after our side has finished. The client must still not see a clean end."""
    server = tls_server(minimum=version, maximum=version)
    ask_client(server, server.cert)
    daemon = pinproxyd({NAME: to(server)})
    with pytest.raises(ConnectionResetError):
        exchange(daemon.address(NAME), b"hello")
    assert server.wait_conns()[0].received == 0
    error = daemon.wait_event(event="upstream_error", reason="client_cert")
    assert error["detail"] == "the server requires a client certificate"
    if version == V13:
        daemon.wait_event(event="tunnel_close", reason="client_cert")


def test_a_handshake_in_single_bytes_succeeds(pinproxyd, tls_server, relay):
    """The records come in single bytes for a while, and nothing is lost."""
    server = relay(tls_server(), first=0, pause=0.0003)
    assert_accepted(pinproxyd({NAME: to(server)}))


def test_garbage_after_the_handshake_resets_the_client(pinproxyd, tls_server):
    def spoil(conn):
        conn.send(b"good")
        conn.sock.sendall(b"\x17\x03\x03\x00\x40" + b"\xaa" * 64)
        conn.drain_raw()
    daemon = pinproxyd({NAME: to(tls_server(spoil))})
    with connect(daemon.address(NAME)) as client:
        assert read_to_reset(client) == b"good"
    daemon.wait_event(event="upstream_error", reason="tls")


def test_data_in_the_last_flight_of_the_handshake_arrives(pinproxyd, tls_server):
    """A TLS 1.3 server may send data before it has our Finished. That data arrives."""
    daemon = pinproxyd({NAME: to(tls_server(lambda conn: (conn.send(b"220 hello"), servers.echo(conn))))})
    with connect(daemon.address(NAME)) as client:
        assert read_exactly(client, 9) == b"220 hello"
