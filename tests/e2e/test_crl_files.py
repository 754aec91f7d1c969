"""Revocation lists: which files are valid, in which sections they have an effect, and OpenSSL's verdict on ours."""


import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from harness import certs
from harness.assertions import SECRET, assert_accepted, assert_not_sent, assert_refused, failures
from harness.certs import NAME
from harness.clients import REFUSED, open_tunnel, ping, try_connection
from harness.config import ini, to
from harness.daemon import run_pinproxyd
from harness.openssl import openssl
from harness.revocation import crl, responder, response

MODES = ["pki", "pin+pki", "tofu+pki"]


def section(server, ca, lists, tmp_path, verify="pki", **options):
    """Returns a section of a mode that uses lists. The state is in the test's directory."""
    pin = server.cert.pin if verify == "pin+pki" else None
    return {"global": {"state_dir": tmp_path / "state"},
            NAME: to(server, verify=verify, pin=pin, ca_file=ca.cert.pem_file(), crl_file=lists, **options)}


# OpenSSL understands the lists and responses that the tests make. Otherwise a refusal would prove nothing.

@pytest.mark.parametrize("revoked, status, words", [
    (None, 0, "OK"), ("leaf", 2, "certificate revoked"), ("inner", 2, "certificate revoked")])
def test_openssl_agrees_about_the_lists_made_here(revoked, status, words, ca, tmp_path):
    inner = certs.CA(tmp_path, "Inner", parent=ca)
    leaf = inner.issue()
    lists = [crl(tmp_path, inner, *([leaf] if revoked == "leaf" else [])),
             crl(tmp_path, ca, *([inner.cert] if revoked == "inner" else []))]
    run = openssl("verify", "-crl_check_all", "-CAfile", ca.cert.pem_file(), "-untrusted", inner.cert.pem_file(),
                         "-CRLfile", lists[0], "-CRLfile", lists[1], leaf.pem_file(), check=False)
    said = (run.stdout + run.stderr).decode()
    assert (run.returncode, words in said) == (status, True), said


@pytest.mark.parametrize("delegated", [False, True], ids=["issuer", "responder"])
@pytest.mark.parametrize("status, words", [
    (ocsp.OCSPCertStatus.GOOD, ": good"), (ocsp.OCSPCertStatus.REVOKED, ": revoked"),
    (ocsp.OCSPCertStatus.UNKNOWN, ": unknown")])
def test_openssl_agrees_about_the_ocsp_responses_made_here(status, words, delegated, ca, tmp_path):
    leaf = ca.issue()
    path = tmp_path / "response.der"
    path.write_bytes(response(leaf, ca, responder(ca) if delegated else None, status=status))
    run = openssl("ocsp", "-respin", path, "-issuer", ca.cert.pem_file(), "-cert", leaf.pem_file(),
                         "-CAfile", ca.cert.pem_file())
    said = (run.stdout + run.stderr).decode()
    assert "Response verify OK" in said and words in said, said


# Modes.

@pytest.mark.parametrize("verify", MODES)
@pytest.mark.parametrize("which", ["none", "leaf", "inner"])
def test_each_mode_checks_the_whole_chain_for_revocation(which, verify, pinproxyd, tls_server, ca, tmp_path):
    inner = certs.CA(tmp_path, "Inner", parent=ca)
    server = tls_server(cert=inner.issue())
    lists = [crl(tmp_path, inner, *([server.cert] if which == "leaf" else [])),
             crl(tmp_path, ca, *([inner.cert] if which == "inner" else []))]
    daemon = pinproxyd(section(server, ca, lists, tmp_path, verify))
    if which == "none":
        assert_accepted(daemon)
        return
    event = assert_refused(daemon, "refused", "pki", server=server)
    assert f"certificate revoked at depth {0 if which == 'leaf' else 1}" in event["detail"], event["detail"]
    assert not daemon.events(event="learned")


@pytest.mark.parametrize("verify", ["pin", "tofu"])
@pytest.mark.parametrize("key, value", [("crl_file", "{crl}"), ("ocsp", "staple")])
def test_revocation_options_in_a_mode_without_pki_are_an_error(key, value, verify, ca, tmp_path):
    """The error names the line of the option that would have no effect."""
    pin = f"pin = {ca.cert.pin}\n" if verify == "pin" else ""
    file = tmp_path / "a.conf"
    text = f"[a.test]\nlisten = 127.0.0.1:0\nverify = {verify}\n{pin}{key} = {value.format(crl=crl(tmp_path, ca))}\n"
    file.write_text(text)
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78
    assert f"{file}:{len(text.splitlines())}: " in run.err and "has no effect" in run.err, run.err


@pytest.mark.parametrize("kind", ["server", "issuer"])
def test_inherited_lists_have_no_effect_in_a_mode_without_pki(kind, pinproxyd, tls_server, ca, tmp_path):
    """They are inherited from [defaults], and the section did not ask for them."""
    server = tls_server(cert=ca.issue())
    pin = server.cert.pin if kind == "server" else f"issuer-cert:{ca.cert.pem_file()}"
    daemon = pinproxyd({"defaults": {"crl_file": crl(tmp_path, ca, server.cert), "ocsp": "staple"},
                        NAME: to(server, pin=pin)})
    assert_accepted(daemon)


def test_inherited_lists_have_an_effect_in_a_mode_with_pki(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    daemon = pinproxyd({"defaults": {"crl_file": crl(tmp_path, ca, server.cert)},
                        NAME: to(server, verify="pki", pin=None, ca_file=ca.cert.pem_file())})
    assert_refused(daemon, "refused", "pki", server=server)


def test_sections_with_the_same_anchors_keep_their_own_lists(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    trust = {"verify": "pki", "pin": None, "ca_file": ca.cert.pem_file()}
    daemon = pinproxyd({"plain.test": to(server, verify_name=NAME, **trust),
                        "good.test": to(server, verify_name=NAME, crl_file=crl(tmp_path, ca), **trust),
                        "bad.test": to(server, verify_name=NAME, crl_file=crl(tmp_path, ca, server.cert), **trust)})
    assert_accepted(daemon, "plain.test")
    assert_accepted(daemon, "good.test")
    assert_refused(daemon, "refused", "pki", section="bad.test")
    assert_accepted(daemon, "plain.test")


# Files.

def other_pem(tmp_path):
    return certs.self_signed(tmp_path).pem


BROKEN = {
    "empty": lambda good, der, tmp: b"",
    "garbage": lambda good, der, tmp: b"\x00\x01garbage" * 40,
    "certificate": lambda good, der, tmp: other_pem(tmp),
    "header_only": lambda good, der, tmp: good[:30],
    "cut_short": lambda good, der, tmp: good[:len(good) // 2],
    "second_cut_short": lambda good, der, tmp: good + good[:len(good) // 2],
    "first_damaged": lambda good, der, tmp: good.replace(b"\nM", b"\n!", 1) + good,
    "der_cut_short": lambda good, der, tmp: der[:-1],
    "der_with_a_tail": lambda good, der, tmp: der + b"\0",
}


@pytest.mark.parametrize("name", [*BROKEN, "missing"])
def test_broken_file_is_an_error_at_start_and_a_failed_reload(name, pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    path = crl(tmp_path, ca)
    good, der = path.read_bytes(), crl(tmp_path, ca, der=True).read_bytes()
    daemon = pinproxyd(section(server, ca, path, tmp_path))
    assert_accepted(daemon)
    if name == "missing":
        path.unlink()
    else:
        path.write_bytes(BROKEN[name](good, der, tmp_path))
    line = 1 + next(i for i, text in enumerate(daemon.file.read_text().splitlines()) if text.startswith("crl_file"))

    run = run_pinproxyd("-c", daemon.file)
    assert run.returncode == 78
    assert f"{daemon.file}:{line}: crl_file = {path}: " in run.err, run.err

    with open_tunnel(daemon.address(NAME)) as old:
        assert f"{path}" in daemon.reload(ok=False)["detail"]
        ping(old)
        assert_accepted(daemon)


def test_a_list_between_other_blocks_of_a_file_is_read(pinproxyd, tls_server, ca, tmp_path):
    """CAs publish comments, certificates and lists in one file."""
    server = tls_server(cert=ca.issue())
    path = tmp_path / "bundle.pem"
    path.write_bytes(b"# lists of today\n" + ca.cert.pem + b"\n" + crl(tmp_path, ca, server.cert).read_bytes() + b"\n")
    assert_refused(pinproxyd(section(server, ca, path, tmp_path)), "refused", "pki", server=server)


def test_the_newer_of_two_lists_decides(pinproxyd, tls_server, ca, tmp_path):
    """An old list that is still valid does not hide a revocation in a newer one, in either order."""
    server = tls_server(cert=ca.issue())
    old, new = crl(tmp_path, ca, start=-3), crl(tmp_path, ca, server.cert, start=-1)
    trust = {"verify": "pki", "pin": None, "ca_file": ca.cert.pem_file(), "verify_name": NAME}
    daemon = pinproxyd({"a.test": to(server, crl_file=[old, new], **trust),
                        "b.test": to(server, crl_file=[new, old], **trust)})
    for name in ("a.test", "b.test"):
        assert_refused(daemon, "refused", "pki", section=name)


def test_a_forged_list_is_refused(pinproxyd, tls_server, ca, tmp_path):
    """It has the right name and key identifier, and the signature of another key."""
    server = tls_server(cert=ca.issue())
    forger = certs.CA(tmp_path)
    builder = (x509.CertificateRevocationListBuilder().issuer_name(ca.cert.cert.subject)
               .last_update(certs.now() - certs.DAY).next_update(certs.now() + certs.DAY)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False))
    path = tmp_path / "forged.crl"
    path.write_bytes(builder.sign(forger.key, hashes.SHA256()).public_bytes(certs.Encoding.PEM))
    event = assert_refused(pinproxyd(section(server, ca, path, tmp_path)), "refused", "pki", server=server)
    assert "CRL signature failure at depth 0" in event["detail"], event["detail"]


@pytest.mark.parametrize("extension", [
    x509.DeltaCRLIndicator(1),
    x509.IssuingDistributionPoint(None, None, False, False, None, True, False),
    x509.IssuingDistributionPoint(None, None, False, False, frozenset([x509.ReasonFlags.key_compromise]), False, False),
    x509.IssuingDistributionPoint(None, None, False, False, None, False, True),
], ids=["delta", "indirect", "some_reasons", "attribute_certificates"])
def test_a_kind_of_list_that_would_have_no_effect_is_an_error(extension, tls_server, ca, tmp_path):
    """A complete list beside it would be taken for all revocations."""
    server = tls_server(cert=ca.issue())
    builder = (x509.CertificateRevocationListBuilder().issuer_name(ca.cert.cert.subject)
               .last_update(certs.now() - certs.DAY).next_update(certs.now() + certs.DAY)
               .add_extension(x509.CRLNumber(2), critical=False).add_extension(extension, critical=True)
               .add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(server.cert.cert.serial_number)
                                        .revocation_date(certs.now() - certs.DAY).build()))
    path, file = crl(tmp_path, ca), tmp_path / "a.conf"
    file.write_text(ini(section(server, ca, path, tmp_path)))
    assert run_pinproxyd("-t", "-c", file).returncode == 0
    with path.open("ab") as f:
        f.write(builder.sign(ca.key, hashes.SHA256()).public_bytes(certs.Encoding.PEM))
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78
    assert f"crl_file = {path}: " in run.err and "complete list" in run.err


# Reloads.

def test_a_new_list_refuses_new_connections_and_keeps_open_tunnels(pinproxyd, tls_server, ca, tmp_path):
    """Only `revoked` closes open tunnels; a list is checked for new connections."""
    server = tls_server(cert=ca.issue())
    path = crl(tmp_path, ca)
    daemon = pinproxyd(section(server, ca, path, tmp_path))
    with open_tunnel(daemon.address(NAME)) as old:
        path.write_bytes(crl(tmp_path, ca, server.cert).read_bytes())
        daemon.reload()
        assert_refused(daemon, "refused", "pki")
        ping(old)
    daemon.stop()
    assert failures(daemon) == [("refused", "pki")]
    assert_not_sent(server)


def test_reloads_add_and_remove_a_list(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    daemon = pinproxyd(section(server, ca, None, tmp_path))
    assert_accepted(daemon)
    daemon.reload(section(server, ca, crl(tmp_path, ca, server.cert), tmp_path))
    assert try_connection(daemon.address(NAME), SECRET) == REFUSED
    daemon.reload(section(server, ca, None, tmp_path))
    assert_accepted(daemon)
