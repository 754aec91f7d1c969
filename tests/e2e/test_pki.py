"""Where trust anchors count: what must pass."""

import subprocess

import pytest

import certs
from certs import NAME
from clients import talk
from config import to


def passes(daemon, section=NAME):
    assert talk(daemon.address(section), b"hello") == b"hello"
    return daemon.wait_event(event="tunnel_open", section=section)


def hashed_directory(directory, cert):
    """As `openssl rehash` makes it."""
    directory.mkdir()
    (directory / "root.pem").write_bytes(cert.pem)
    subprocess.run(["openssl", "rehash", directory], check=True)
    return directory


@pytest.mark.parametrize("verify", ["pki", "pin+pki"])
def test_ca_file(verify, pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue())
    pin = server.cert.pin if verify == "pin+pki" else None
    passes(pinproxyd({NAME: to(server, verify=verify, pin=pin, ca_file=ca.cert.pem_file())}))


@pytest.mark.parametrize("verify", ["pki", "pin+pki"])
def test_ca_dir(verify, pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    pin = server.cert.pin if verify == "pin+pki" else None
    where = hashed_directory(tmp_path / "anchors", ca.cert)
    passes(pinproxyd({NAME: to(server, verify=verify, pin=pin, ca_dir=where)}))


def test_one_of_several_ca_files(pinproxyd, tls_server, ca, tmp_path):
    files = [certs.CA(tmp_path).cert.pem_file(), ca.cert.pem_file()]
    passes(pinproxyd({NAME: to(tls_server(cert=ca.issue()), verify="pki", ca_file=files)}))


def test_system_store(pinproxyd, tls_server, ca):
    # OpenSSL's own variable says where the system's store is.
    env = {"SSL_CERT_FILE": str(ca.cert.pem_file())}
    passes(pinproxyd({NAME: to(tls_server(cert=ca.issue()), verify="pki")}, env=env))


def test_ca_file_replaces_the_system_store(pinproxyd, tls_server, ca, tmp_path):
    env = {"SSL_CERT_FILE": str(ca.cert.pem_file())}
    other = certs.CA(tmp_path).cert.pem_file()
    daemon = pinproxyd({NAME: to(tls_server(cert=ca.issue()), verify="pki", ca_file=other)}, env=env)
    with pytest.raises(ConnectionResetError):
        talk(daemon.address(NAME), b"hello")
    daemon.wait_event(event="refused", reason="pki")


def test_chain_with_an_intermediate(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=certs.CA(tmp_path, "Inner", parent=ca).issue())
    passes(pinproxyd({NAME: to(server, verify="pki", ca_file=ca.cert.pem_file())}))


def test_verify_name(pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue(["other.test"]))
    passes(pinproxyd({NAME: to(server, verify="pki", ca_file=ca.cert.pem_file(), verify_name="other.test")}))


def test_wildcard_certificate(pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue(["*.example.test"]))
    passes(pinproxyd({"api.example.test": to(server, verify="pki", ca_file=ca.cert.pem_file())}), "api.example.test")


def test_name_in_another_case(pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue(["Server.TEST"]))
    passes(pinproxyd({NAME: to(server, verify="pki", ca_file=ca.cert.pem_file())}))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_ip_address_in_the_certificate(address, pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue([address]), host=address)
    section = to(server, verify="pki", ca_file=ca.cert.pem_file(), host=address, port=server.port, address=None)
    passes(pinproxyd({"literal": section}), "literal")


def test_pin_on_the_certificate_and_pki(pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue())
    passes(pinproxyd({NAME: to(server, verify="pin+pki", pin=server.cert.cert_pin, ca_file=ca.cert.pem_file())}))


def test_revoked_key_elsewhere_does_not_hurt(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    passes(pinproxyd({NAME: to(server, verify="pki", ca_file=ca.cert.pem_file(),
                               revoked=certs.CA(tmp_path).cert.pin)}))
