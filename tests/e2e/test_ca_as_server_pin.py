"""A CA that is pinned as if it were the server: files with a chain, and the messages of the tool and the log."""

import re

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME, OTHER
from harness.config import to
from harness.daemon import run_pinproxy, run_pinproxyd
from harness.learned import Announcer

OK, WARNING, CRITICAL = 0, 1, 2


def lines(*parts):
    """Returns the line on which each part begins in a file of all parts."""
    return [1 + sum(len(before.pem.splitlines()) for before in parts[:i]) for i in range(len(parts))]


# Files.

@pytest.mark.parametrize("order", ["leaf first", "leaf last", "leaf between"])
@pytest.mark.parametrize("option", ["pin = cert:", "pin = key:", "revoked = key:"])
def test_file_with_a_chain_is_an_error_that_names_the_servers_line(option, order, ca, inner, tmp_path):
    leaf = inner.issue()
    parts = {"leaf first": [leaf, inner.cert, ca.cert], "leaf last": [ca.cert, inner.cert, leaf],
             "leaf between": [inner.cert, leaf]}[order]
    path, file = tmp_path / "fullchain.pem", tmp_path / "a.conf"
    path.write_bytes(b"".join(part.pem for part in parts))
    file.write_text(f"[{NAME}]\nlisten = 127.0.0.1:0\npin = {OTHER}\n{option}{path}\n")
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78
    line = lines(*parts)[parts.index(leaf)]
    assert f"{file}:4: " in run.err and f" {path}:{line}: the file is a chain" in run.err, run.err
    assert ("a CA that is revoked" in run.err) == option.startswith("revoked")
    # the block at that line was meant
    path.write_bytes(leaf.pem)
    assert run_pinproxyd("-t", "-c", file).returncode == 0


def test_file_with_a_chain_of_cas_is_an_error(ca, inner, tmp_path):
    """A pin of both would be a pin of the upper one."""
    path, file = tmp_path / "cas.pem", tmp_path / "a.conf"
    path.write_bytes(ca.cert.pem + inner.cert.pem)
    file.write_text(f"[{NAME}]\nlisten = 127.0.0.1:0\npin = issuer-cert:{path}\n")
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78
    assert f"{file}:3: " in run.err and f" {path}:{lines(ca.cert, inner.cert)[1]}: the file is a chain" in run.err


def test_connect_refuses_a_chain_as_a_pin(tls_server, inner, tmp_path):
    server = tls_server(cert=inner.issue())
    path = tmp_path / "fullchain.pem"
    path.write_bytes(server.cert.pem + inner.cert.pem)
    run = run_pinproxy("connect", server.address, "--pin", f"cert:{path}", input=b"")
    assert run.returncode == 2 and "chain" in run.err
    assert not server.conns


def test_a_file_of_unrelated_certificates_is_a_list_of_pins(pinproxyd, tls_server, ca, tmp_path):
    """Among them are a CA's own, and two self-signed ones with one name and key."""
    key = certs.ec_key()
    today, tomorrow = (certs.self_signed(tmp_path, key=key, ca=True) for _ in range(2))
    path = tmp_path / "list.pem"
    path.write_bytes(today.pem + tomorrow.pem + ca.cert.pem)
    daemon = pinproxyd({NAME: to(tls_server(cert=tomorrow), pin=f"cert:{path}")})
    assert_accepted(daemon)


@pytest.mark.parametrize("form", ["cert", "key"])
def test_a_self_signed_certificate_with_the_ca_flag_is_accepted(form, pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, ca=True))
    daemon = pinproxyd({NAME: to(server, pin=f"{form}:{server.cert.pem_file()}")})
    assert_accepted(daemon)


# Messages.

@pytest.mark.parametrize("kind", ["key", "certificate"])
def test_mismatch_says_that_the_pin_is_of_a_ca(kind, pinproxyd, tls_server, inner):
    server = tls_server(cert=inner.issue())
    pin = inner.cert.pin if kind == "key" else inner.cert.cert_pin
    daemon = pinproxyd({NAME: to(server, pin=pin)})
    detail = assert_refused(daemon, "pin_mismatch", server=server)["detail"]
    assert f"this is the {kind} of the CA CN=Inner Authority" in detail
    # and the pin that it suggests works
    said = re.search(r"(issuer\S+) pins it", detail)[1]
    assert_accepted(pinproxyd({NAME: to(tls_server(cert=server.cert), pin=said)}))


def test_a_mismatch_does_not_call_an_unrelated_certificate_an_issuer(pinproxyd, tls_server, inner, tmp_path):
    """A pinned self-signed certificate is public. A server that sends it does not make it a CA."""
    pinned = certs.self_signed(tmp_path, ca=True)
    cert = inner.issue()
    cert.chain.append(pinned.cert)
    server = tls_server(cert=cert)
    daemon = pinproxyd({NAME: to(server, pin=pinned.pin)})
    assert "issuer" not in assert_refused(daemon, "pin_mismatch", server=server).get("detail", "")


@pytest.mark.parametrize("kind", ["key", "certificate"])
def test_check_live_counts_no_ca_as_a_backup(kind, check, tls_server, inner):
    server = tls_server(cert=inner.issue())
    pin = inner.cert.pin if kind == "key" else inner.cert.cert_pin
    run = check({NAME: to(server, pin=[server.cert.pin, pin])}, "--live")
    assert run.returncode == WARNING, run.out
    assert "backup" not in run.out and "only one pin" in run.out
    assert f"{pin}: this is the {kind} of a CA" in run.out


def test_check_live_counts_no_announced_ca_as_a_backup(check, state, pinproxyd, tls_server, inner):
    server = tls_server(Announcer(), cert=inner.issue())
    server.behave.announce(server.cert.pin, inner.cert.pin)
    config = state.config({NAME: to(server, pins_url="/pins")})
    daemon = pinproxyd(config)
    daemon.wait_event(event="learned", pin=inner.cert.pin)
    daemon.stop()
    run = check(config, "--live")
    assert run.returncode == WARNING, run.out
    assert "only one pin" in run.out and f"{inner.cert.pin}: this is the key of a CA" in run.out


def test_check_live_is_ok_for_a_server_that_is_its_own_ca(check, tls_server, tmp_path):
    """The server sends its certificate twice."""
    cert = certs.self_signed(tmp_path, ca=True)
    cert.chain = [cert.cert]
    run = check({NAME: to(tls_server(cert=cert), pin=[cert.pin, OTHER])}, "--live")
    assert run.returncode == OK, run.out


def test_check_live_says_that_the_pin_is_of_a_ca(check, tls_server, inner):
    run = check({NAME: to(tls_server(cert=inner.issue()), pin=[inner.cert.pin, OTHER])}, "--live")
    assert run.returncode == CRITICAL
    assert f"issuer:{inner.cert.pin} pins it" in run.out and "Inner Authority" in run.out


def test_check_counts_no_ca_in_a_file_of_its_own_as_a_backup(check, tls_server, inner):
    """The check does not connect to the server."""
    server = tls_server(cert=inner.issue())
    run = check({NAME: to(server, pin=[f"cert:{server.cert.pem_file()}", f"key:{inner.cert.pem_file()}"])})
    assert run.returncode == WARNING, run.out
    assert "only one pin" in run.out and "of a CA" in run.out


@pytest.mark.parametrize("form", ["cert", "key"])
def test_check_counts_no_ca_as_a_backup_of_a_pin_without_a_file(form, check, tls_server, inner):
    """Only the certificate shows that the key is a CA's."""
    server = tls_server(cert=inner.issue())
    run = check({NAME: to(server, pin=[server.cert.pin, f"{form}:{inner.cert.pem_file()}"])})
    assert run.returncode == WARNING, run.out
    assert "only one pin" in run.out and "of a CA" in run.out


def test_check_suggests_the_certificate_of_an_issuer(check, tls_server, inner):
    server = tls_server(cert=inner.issue())
    pins = [f"issuer:{inner.cert.pin}", f"issuer-cert:{inner.cert.pem_file()}"]
    run = check({NAME: to(server, pin=pins)})
    assert run.returncode == OK, run.out
    assert f"issuer:{inner.cert.pin} binds only the key of the CA" in run.out and "issuer-cert:FILE" in run.out
    assert "alone" not in check({NAME: to(server, pin=[pins[1], OTHER])}).out


def test_check_live_says_that_stapling_can_never_succeed(check, tls_server, ca):
    server = tls_server(cert=ca.issue())
    config = {NAME: to(server, verify="pki", ca_file=ca.cert.pem_file(), ocsp="staple")}
    run = check(config, "--live")
    assert run.returncode == CRITICAL
    assert "can never succeed" in run.out
    assert "never" not in check({NAME: {**config[NAME], "ocsp": "off"}}, "--live").out
