"""The key of a client certificate in a PKCS#11 token, through the provider or the engine that this system has."""

import pytest

from harness import certs
from harness.assertions import assert_accepted
from harness.certs import NAME, client_certificate
from harness.clients import exchange
from harness.config import ini, to
from harness.daemon import run_pinproxy, run_pinproxyd
from harness.parallel import run_parallel
from harness.real_servers import need
from harness.servers import ask_client
from harness.token import PIN, Token, ways
from test_client_cert import VERSIONS, shown, write

WAYS = pytest.mark.parametrize("way", ways())


@pytest.fixture
def token(way, tmp_path):
    return Token(tmp_path / "token", way)


@pytest.fixture
def pin(tmp_path):
    return f"file:{write(tmp_path, 'pin', PIN.encode())}"


@pytest.fixture
def server(tls_server, ca):
    return ask_client(tls_server(), ca.cert)


def test_this_system_has_a_way_to_use_a_token():
    if not ways():
        need("OpenSSL's PKCS#11 provider or engine")


@WAYS
@VERSIONS
@pytest.mark.parametrize("key", [certs.ec_key, certs.rsa_key])
def test_a_key_in_a_token_is_used(key, version, token, pin, pinproxyd, tls_server, ca):
    server = ask_client(tls_server(minimum=version, maximum=version), ca.cert)
    client = client_certificate(ca, key=key())
    uri = token.add("mine", client)
    daemon = pinproxyd({NAME: to(server, client_cert=client.pem_file(), client_key=uri, client_key_password=pin)},
                       env=token.env)
    assert_accepted(daemon)
    assert shown(server) == client.der
    assert not daemon.events(event="client_cert"), "a warning"


@WAYS
def test_the_certificate_may_be_in_the_token_too(token, pin, pinproxyd, server, ca):
    first, second = client_certificate(ca, "first"), client_certificate(ca, "second")
    uris = {"a.test": token.add("first", first), "b.test": token.add("other", second)}
    daemon = pinproxyd({name: to(server, client_cert=uri, client_key_password=pin) for name, uri in uris.items()},
                       env=token.env)
    for name, client in ("a.test", first), ("b.test", second), ("a.test", first):
        assert_accepted(daemon, name)
        assert shown(server) == client.der
    daemon.reload()
    assert_accepted(daemon, "b.test")
    assert not daemon.events(event="client_cert"), "a warning"


@WAYS
def test_the_pin_may_be_in_the_uri(token, pinproxyd, server, ca):
    client = client_certificate(ca)
    uri = token.add("mine", client)
    daemon = pinproxyd({NAME: to(server, client_cert=client.pem_file(), client_key=f"{uri}?pin-value={PIN}")},
                       env=token.env)
    assert_accepted(daemon)
    assert shown(server) == client.der


@WAYS
def test_many_tunnels_use_the_token_at_the_same_time(token, pin, pinproxyd, server, ca):
    client = client_certificate(ca)
    uri = token.add("mine", client)
    daemon = pinproxyd({"global": {"workers": 3}, NAME: to(server, client_cert=uri, client_key_password=pin)},
                       env=token.env)
    address = daemon.address(NAME)
    assert run_parallel([lambda: exchange(address, b"hello")] * 24) == [b"hello"] * 24
    daemon.reload()
    assert_accepted(daemon)


@WAYS
def test_the_tool_uses_the_token(token, pin, server, ca, tmp_path):
    client = client_certificate(ca)
    uri = token.add("mine", client)
    path = tmp_path / "p.conf"
    path.write_text(ini({NAME: to(server, client_cert=uri, client_key_password=pin)}))
    run = run_pinproxy("connect", "-c", path, NAME, input=b"hello", env=token.env)
    assert (run.returncode, run.out) == (0, "hello"), run.err
    assert run.err == ""


# What is said of the marked value.
FAULTS = {
    "wrong_pin": {"client_key_password": "file:wrong"},
    "no_pin": {},
    "no_such_object": {"client_key": "pkcs11:token=test;object=none", "client_key_password": "file:pin"},
    "no_such_token": {"client_key": "pkcs11:token=none;object=mine", "client_key_password": "file:pin"},
}


@WAYS
@pytest.mark.parametrize("fault", FAULTS)
def test_a_key_that_cannot_be_used_is_an_error_in_its_line(fault, token, pin, ca, server, tmp_path):
    client = client_certificate(ca)
    options = {"client_cert": client.pem_file(), "client_key": token.add("mine", client), **FAULTS[fault]}
    write(tmp_path, "wrong", b"00000")
    text = ini({NAME: to(server, **options)})
    path = tmp_path / "p.conf"
    path.write_text(text)
    line = text.split("\n").index(f"client_key = {options['client_key']}") + 1
    run = run_pinproxyd("-t", "-c", path, env=token.env)
    assert run.returncode == 78
    assert run.err.startswith(f"{path}:{line}: client_key = pkcs11:"), run.err
    assert run.err.count("\n") == 1, run.err
    assert "00000" not in run.err and PIN not in run.err
    if fault == "no_pin":
        assert "client_key_password" in run.err


@WAYS
def test_the_key_of_another_certificate_is_an_error(way, token, pin, ca, server, tmp_path):
    uri = token.add("mine", client_certificate(ca))
    path = tmp_path / "p.conf"
    path.write_text(ini({NAME: to(server, client_cert=client_certificate(ca, "other").pem_file(), client_key=uri,
                                  client_key_password=pin)}))
    run = run_pinproxyd("-t", "-c", path, env=token.env)
    assert run.returncode == 78
    assert "does not belong to the certificate" in run.err
