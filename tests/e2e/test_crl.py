"""Revocation lists: every certificate of the chain is checked, and every list is verified."""

import pytest
from cryptography.hazmat.primitives import hashes

from harness import certs
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME
from harness.config import ini, to
from harness.daemon import run_pinproxyd
from harness.revocation import crl


def section(server, ca, lists, verify="pki", **options):
    pin = server.cert.pin if verify == "pin+pki" else None
    return {NAME: to(server, verify=verify, pin=pin, ca_file=ca.cert.pem_file(), crl_file=lists, **options)}


@pytest.mark.parametrize("verify", ["pki", "pin+pki"])
@pytest.mark.parametrize("der", [False, True], ids=["pem", "der"])
def test_a_server_that_no_list_revokes_is_accepted(verify, der, pinproxyd, tls_server, ca, inner, tmp_path):
    server = tls_server(cert=inner.issue())
    other = certs.self_signed(tmp_path)
    lists = [crl(tmp_path, ca, other, der=der), crl(tmp_path, inner, other, der=der)]
    assert_accepted(pinproxyd(section(server, ca, lists, verify)))


def test_several_lists_in_one_file_are_all_read(pinproxyd, tls_server, ca, inner, tmp_path):
    both = tmp_path / "both.crl"
    both.write_bytes(crl(tmp_path, ca).read_bytes() + crl(tmp_path, inner).read_bytes())
    assert_accepted(pinproxyd(section(tls_server(cert=inner.issue()), ca, both)))


def bad(name, ca, inner, leaf, where):
    """Returns lists with one fault."""
    good, above = crl(where, inner), crl(where, ca)
    return {"leaf": [crl(where, inner, leaf), above], "inner": [good, crl(where, ca, inner.cert)],
            "expired": [crl(where, inner, start=-9, end=-2), above],
            "expired_above": [good, crl(where, ca, start=-9, end=-2)],
            "early": [crl(where, inner, start=2, end=9), above],
            "missing": [above], "missing_above": [good],
            "of_another": [crl(where, certs.CA(where, "Inner", parent=ca)), above]}[name]


@pytest.mark.parametrize("name, words", [
    ("leaf", "certificate revoked at depth 0"), ("inner", "certificate revoked at depth 1"),
    ("expired", "CRL has expired at depth 0"), ("expired_above", "CRL has expired at depth 1"),
    ("early", "CRL is not yet valid at depth 0"), ("missing", "unable to get certificate CRL at depth 0"),
    ("missing_above", "unable to get certificate CRL at depth 1"), ("of_another", "at depth 0")])
def test_a_revoked_certificate_or_a_bad_list_is_refused(name, words, pinproxyd, tls_server, ca, inner, tmp_path):
    server = tls_server(cert=inner.issue())
    daemon = pinproxyd(section(server, ca, bad(name, ca, inner, server.cert, tmp_path)))
    event = assert_refused(daemon, "refused", "pki", server=server)
    assert words in event["detail"], event["detail"]


def test_a_list_that_revokes_a_pinned_server_refuses_it(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    daemon = pinproxyd(section(server, ca, crl(tmp_path, ca, server.cert), "pin+pki"))
    assert "revoked" in assert_refused(daemon, "refused", "pki", server=server)["detail"]


def test_a_reload_reads_the_lists_again(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    path = crl(tmp_path, ca)
    daemon = pinproxyd(section(server, ca, path))
    assert_accepted(daemon)
    path.write_bytes(b"-----BEGIN X509 CRL-----\nbroken\n")
    event = daemon.reload(ok=False)
    assert f"{daemon.file}" in event["detail"] and f"{path}" in event["detail"]
    assert_accepted(daemon)  # with the list that was read before
    path.write_bytes(crl(tmp_path, ca, server.cert).read_bytes())
    daemon.reload()
    assert "certificate revoked" in assert_refused(daemon, "refused", "pki")["detail"]


def test_a_list_with_a_weak_signature_is_an_error(tls_server, ca, tmp_path):
    """Someone who can forge a list can omit a certificate."""
    path = tmp_path / "pinproxyd.conf"
    weak = crl(tmp_path, ca, digest=hashes.SHA1)
    path.write_text(ini(section(tls_server(cert=ca.issue()), ca, weak)))
    run = run_pinproxyd("-t", "-c", path)
    assert run.returncode == 78 and f"{weak}: " in run.err and "SHA-1" in run.err
