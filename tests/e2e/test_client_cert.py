"""Mutual TLS: the client certificate in each of its forms, and how it is renewed."""

import os
import ssl

import pytest
from cryptography.hazmat.primitives.serialization import (BestAvailableEncryption, Encoding, NoEncryption,
                                                          PrivateFormat, pkcs12)

from harness import certs
from harness.assertions import assert_accepted, assert_refused, resumed
from harness.certs import NAME, CA, client_certificate
from harness.config import ini, to
from harness.daemon import run_pinproxy, run_pinproxyd
from harness.learned import tofu
from harness.openssl import openssl
from harness.servers import ask_client

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
PASSWORD = "corréct horse;battery # staple"


@pytest.fixture
def client(ca):
    """A client certificate of `ca`."""
    return client_certificate(ca)


@pytest.fixture
def server(tls_server, ca):
    """A server that requires a certificate of `ca`."""
    return ask_client(tls_server(), ca.cert)


def shown(server):
    """Returns the client's certificate of the latest connection, in DER."""
    return server.conns[-1].tls.getpeercert(binary_form=True)


def write(directory, name, data):
    path = directory / name
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def private(client, encoding=Encoding.PEM, form=PrivateFormat.PKCS8, password=None):
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return client.key.private_bytes(encoding, form, encryption)


def together(client, directory, name="client.pem"):
    return write(directory, name, client.pem + private(client))


# The forms of the files. Each returns the values of the options.

def pem(client, directory):
    return {"client_cert": write(directory, "c.pem", client.pem), "client_key": write(directory, "k.pem", private(client))}


def pem_together(client, directory):
    return {"client_cert": together(client, directory)}


def pem_key_first_with_text(client, directory):
    return {"client_cert": write(directory, "c.pem", b"my key:\n" + private(client) + b"\nmy cert:\n" + client.pem)}


def pem_traditional(client, directory):
    key = private(client, form=PrivateFormat.TraditionalOpenSSL)
    assert b"EC PRIVATE KEY" in key
    return {"client_cert": write(directory, "c.pem", key + client.pem)}


def pem_with_parameters(client, directory):
    parameters = openssl("ecparam", "-name", "prime256v1").stdout
    return {"client_cert": write(directory, "c.pem", parameters + private(client) + client.pem)}


def der(client, directory):
    return {"client_cert": write(directory, "c.der", client.der),
            "client_key": write(directory, "k.der", private(client, Encoding.DER))}


def password_file(directory, password=PASSWORD):
    return f"file:{write(directory, 'password', password.encode() + chr(10).encode() + b'a second line')}"


def pem_encrypted(client, directory):
    return {"client_cert": write(directory, "c.pem", client.pem + private(client, password=PASSWORD)),
            "client_key_password": password_file(directory)}


def pem_encrypted_traditional(client, directory):
    key = private(client, form=PrivateFormat.TraditionalOpenSSL, password=PASSWORD)
    assert b"DEK-Info" in key
    return {"client_cert": write(directory, "c.pem", client.pem + key), "client_key_password": password_file(directory)}


def der_encrypted(client, directory):
    return {"client_cert": write(directory, "c.der", client.der),
            "client_key": write(directory, "k.der", private(client, Encoding.DER, password=PASSWORD)),
            "client_key_password": password_file(directory)}


def store(client, password=None):
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(b"me", client.key, client.cert, client.chain[::-1], encryption)


def pkcs12_encrypted(client, directory):
    return {"client_cert": write(directory, "c.p12", store(client, PASSWORD)),
            "client_key_password": password_file(directory)}


def pkcs12_plain(client, directory):
    return {"client_cert": write(directory, "c.p12", store(client))}


def file_uri(client, directory):
    return {"client_cert": f"file://{together(client, directory)}"}


FORMS = [pem, pem_together, pem_key_first_with_text, pem_traditional, pem_with_parameters, der, pem_encrypted,
         pem_encrypted_traditional, der_encrypted, pkcs12_encrypted, pkcs12_plain, file_uri]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_client_certificate_is_shown(form, pinproxyd, server, client, tmp_path):
    daemon = pinproxyd({NAME: to(server, **form(client, tmp_path))})
    assert_accepted(daemon)
    assert shown(server) == client.der
    assert not daemon.events(event="client_cert"), "a warning"


@VERSIONS
@pytest.mark.parametrize("key", [certs.ec_key, certs.rsa_key])
@pytest.mark.valgrind
def test_a_client_certificate_works_with_each_version_and_kind_of_key(version, key, pinproxyd, tls_server, ca, tmp_path):
    server = ask_client(tls_server(minimum=version, maximum=version), ca.cert)
    client = client_certificate(ca, key=key())
    daemon = pinproxyd({NAME: to(server, client_cert=together(client, tmp_path))})
    assert_accepted(daemon)
    assert shown(server) == client.der


@pytest.mark.parametrize("form", [pem_together, pkcs12_encrypted])
def test_the_chain_of_the_file_is_sent(form, pinproxyd, tls_server, tmp_path):
    """The server knows the root alone. In a PKCS#12 file the certificates have no order."""
    root = CA(tmp_path)
    inner = CA(tmp_path, "Inner", parent=CA(tmp_path, "Middle", parent=root))
    client = client_certificate(inner)
    client.chain = [inner.cert.cert, inner.parent.cert.cert]
    options = form(client, tmp_path)
    if form == pem_together:
        options["client_cert"].write_bytes(client.chain_file().read_bytes() + private(client))
    server = ask_client(tls_server(), root.cert)
    assert_accepted(pinproxyd({NAME: to(server, **options)}))
    assert shown(server) == client.der


def test_relative_paths_start_at_the_configuration(pinproxyd, server, client, tmp_path):
    daemon = pinproxyd({NAME: to(server, client_cert="me.pem", client_key="keys/me.key")}, wait=False)
    daemon.wait(78)
    write(daemon.directory, "me.pem", client.pem)
    (daemon.directory / "keys").mkdir()
    write(daemon.directory / "keys", "me.key", private(client))
    assert run_pinproxyd("-t", "-c", daemon.file, cwd="/").returncode == 0


def test_files_may_be_systemd_credentials(pinproxyd, server, client, tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    write(credentials, "cert", client.pem)
    write(credentials, "key", private(client, password=PASSWORD))
    write(credentials, "password", PASSWORD.encode())
    config = {NAME: to(server, client_cert="%d/cert", client_key="%d/key", client_key_password="file:%d/password")}
    assert_accepted(pinproxyd(config, env={"CREDENTIALS_DIRECTORY": str(credentials)}))
    assert shown(server) == client.der


def test_credentials_without_their_directory_are_an_error(server, tmp_path):
    path = tmp_path / "p.conf"
    path.write_text(ini({NAME: to(server, client_cert="%d/cert", client_key_password="file:%d/password")}))
    run = run_pinproxyd("-t", "-c", path)
    assert run.returncode == 78
    assert run.err.count("CREDENTIALS_DIRECTORY is not set") == 2, run.err


def test_a_server_that_does_not_ask_is_shown_nothing(pinproxyd, tls_server, client, tmp_path):
    server = tls_server()
    assert_accepted(pinproxyd({NAME: to(server, client_cert=together(client, tmp_path))}))
    assert shown(server) is None


def test_a_section_can_turn_off_the_certificate_of_the_defaults(pinproxyd, tls_server, ca, client, tmp_path):
    server = ask_client(tls_server(), ca.cert, required=False)
    daemon = pinproxyd({"defaults": pem_encrypted(client, tmp_path), NAME: to(server, client_cert="off"),
                        "two.test": to(server)})
    assert_accepted(daemon)
    assert shown(server) is None
    assert_accepted(daemon, "two.test")
    assert shown(server) == client.der


def test_sections_show_their_own_certificates(pinproxyd, server, ca, tmp_path):
    clients = {f"{name}.test": client_certificate(ca, name) for name in ("a", "b")}
    daemon = pinproxyd({name: to(server, client_cert=together(client, tmp_path, name))
                        for name, client in clients.items()})
    for name in ("a.test", "b.test", "a.test"):
        assert_accepted(daemon, name)
        assert shown(server) == clients[name].der


# Who learns who the client is.

def test_a_server_that_no_pin_matches_is_shown_nothing(pinproxyd, tls_server, ca, client, backup, tmp_path):
    server = ask_client(tls_server(), ca.cert, required=False)
    daemon = pinproxyd({NAME: to(server, pin=backup.pin, client_cert=together(client, tmp_path))})
    assert_refused(daemon, "pin_mismatch")
    conn = server.wait_done()[0]
    assert not conn.handshake_done
    assert client.der not in conn.wire


@VERSIONS
def test_a_server_whose_key_has_changed_is_shown_nothing(version, pinproxyd, state, tls_server, ca, client, tmp_path):
    """It completes the handshake, to prove its new key, and gets no certificate."""
    server = ask_client(tls_server(minimum=version, maximum=version), ca.cert, required=False)
    daemon = pinproxyd(state.config({NAME: tofu(server, client_cert=together(client, tmp_path))}))
    assert_accepted(daemon)
    assert shown(server) == client.der
    server.use(certs.self_signed(tmp_path))
    ask_client(server, ca.cert, required=False)
    assert_refused(daemon, "refused", "tofu_changed")
    conn = server.wait_done(2)[1]
    assert conn.handshake_done
    assert conn.tls.getpeercert(binary_form=True) is None


# Renewal.

def test_a_reload_shows_what_the_file_has_now(pinproxyd, server, ca, client, tmp_path):
    path, second = together(client, tmp_path), client_certificate(ca, "second")
    daemon = pinproxyd({NAME: to(server, client_cert=path)})
    assert_accepted(daemon)
    together(second, tmp_path)
    assert_accepted(daemon)
    assert shown(server) == client.der
    daemon.reload()
    assert_accepted(daemon)
    assert shown(server) == second.der


def test_a_reload_with_a_damaged_file_changes_nothing(pinproxyd, server, client, tmp_path):
    path = together(client, tmp_path)
    daemon = pinproxyd({NAME: to(server, client_cert=path)})
    path.write_bytes(client.pem)
    daemon.reload(ok=False)
    assert_accepted(daemon)
    assert shown(server) == client.der


@VERSIONS
def test_no_session_is_resumed_past_a_change_of_the_file(version, pinproxyd, tls_server, ca, client, tmp_path):
    """The server remembers the client of a session, and would not ask again."""
    server = ask_client(tls_server(minimum=version, maximum=version), ca.cert)
    path, second = together(client, tmp_path), client_certificate(ca, "second")
    daemon = pinproxyd({"global": {"workers": 1}, NAME: to(server, client_cert=path, resume="yes")})
    assert resumed(daemon, 2) == ["no", "yes"]
    assert shown(server) == client.der
    together(second, tmp_path)
    daemon.reload()
    assert resumed(daemon, 1) == ["no"]
    assert shown(server) == second.der


# The server's answer.

@VERSIONS
def test_a_refused_certificate_has_a_reason_of_its_own(version, pinproxyd, tls_server, ca, check, backup, tmp_path):
    server = ask_client(tls_server(minimum=version, maximum=version), ca.cert)
    old = client_certificate(ca, start=-30, end=-1)
    config = {NAME: to(server, pin=[server.cert.pin, backup.pin], client_cert=together(old, tmp_path))}
    daemon = pinproxyd(config)
    error = assert_refused(daemon, "upstream_error", "client_cert", server=server)
    assert error["detail"] == "the server refused the client certificate: certificate expired"
    if version == V13:
        daemon.wait_event(event="tunnel_close", reason="client_cert")


def test_a_key_that_sigalgs_excludes_is_said_to_be_so(pinproxyd, tls_server, ca, client, tmp_path):
    """OpenSSL sends no certificate then."""
    server = ask_client(tls_server(cert=certs.self_signed(tmp_path, key=certs.rsa_key())), ca.cert)
    daemon = pinproxyd({NAME: to(server, client_cert=together(client, tmp_path), sigalgs="RSA-PSS+SHA256")})
    error = assert_refused(daemon, "upstream_error", "client_cert")
    assert "sigalgs" in error["detail"]


@VERSIONS
def test_live_is_critical_for_a_refused_certificate(version, tls_server, ca, check, backup, tmp_path):
    server = ask_client(tls_server(minimum=version, maximum=version), ca.cert)
    stranger = client_certificate(CA(tmp_path, "Stranger"))
    config = {NAME: to(server, pin=[server.cert.pin, backup.pin], client_cert=together(stranger, tmp_path))}
    run = check(config, "--live")
    assert run.returncode == 2, run.out + run.err
    assert "the server refused the client certificate: unknown CA" in run.out


@VERSIONS
def test_live_is_ok_for_an_accepted_certificate(version, tls_server, ca, check, client, backup, tmp_path):
    server = ask_client(tls_server(minimum=version, maximum=version), ca.cert)
    config = {NAME: to(server, pin=[server.cert.pin, backup.pin], client_cert=together(client, tmp_path))}
    run = check(config, "--live")
    assert run.returncode == 0, run.out + run.err
    assert "the server accepts the client certificate" in run.out


def test_live_says_that_the_server_does_not_ask(tls_server, check, client, backup, tmp_path):
    server = tls_server()
    config = {NAME: to(server, pin=[server.cert.pin, backup.pin], client_cert=together(client, tmp_path))}
    run = check(config, "--live")
    assert run.returncode == 0, run.out + run.err
    assert "the server does not ask for the client certificate" in run.out


def test_connect_shows_the_certificate_of_its_section(server, client, tmp_path):
    path = tmp_path / "p.conf"
    path.write_text(ini({NAME: to(server, client_cert=together(client, tmp_path))}))
    run = run_pinproxy("connect", "-c", path, NAME, input=b"hello")
    assert (run.returncode, run.out) == (0, "hello"), run.err
    assert shown(server) == client.der


def test_the_path_of_the_certificate_may_be_a_link(pinproxyd, server, client, tmp_path):
    os.symlink(together(client, tmp_path), tmp_path / "link.pem")
    assert_accepted(pinproxyd({NAME: to(server, client_cert=tmp_path / "link.pem")}))
