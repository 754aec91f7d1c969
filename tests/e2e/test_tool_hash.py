"""pinproxy hash: the same digests as openssl's."""

import base64
import json

import pytest

from harness import certs
from harness.daemon import run_pinproxy
from harness.openssl import openssl


def openssl_key_pin(key_file):
    der = openssl("pkey", "-in", key_file, "-pubout", "-outform", "der").stdout
    return "sha256//" + base64.b64encode(openssl("dgst", "-sha256", "-binary", input=der).stdout).decode()


def openssl_fingerprint(cert_file):
    """Returns the digest of cert:sha256:HEX, in lower case and without colons."""
    line = openssl("x509", "-in", cert_file, "-noout", "-fingerprint", "-sha256").stdout.decode()
    return line.split("=")[1].strip().replace(":", "").lower()


def plain(text):
    return text.lower().replace(":", "")


@pytest.fixture(params=[certs.ec_key, certs.rsa_key], ids=["ecdsa", "rsa"])
def cert(request, tmp_path):
    return certs.self_signed(tmp_path, key=request.param())


@pytest.mark.parametrize("kind", ["pem_file", "der_file"])
def test_hash_of_a_certificate_has_the_digests_of_openssl(kind, cert):
    run = run_pinproxy("hash", getattr(cert, kind)())
    assert run.returncode == 0, run.err
    assert openssl_key_pin(cert.key_file()) in run.out
    assert openssl_fingerprint(cert.pem_file()) in plain(run.out)


@pytest.mark.parametrize("kind", ["key_file", "key_der_file", "pubkey_file", "pubkey_der_file", "csr_file", "csr_der_file"])
def test_hash_of_a_key_or_request_has_the_digest_of_openssl(kind, cert):
    run = run_pinproxy("hash", getattr(cert, kind)())
    assert run.returncode == 0, run.err
    assert openssl_key_pin(cert.key_file()) in run.out


def test_hash_reads_a_private_key_of_the_old_form(tmp_path):
    """`openssl ecparam -genkey` and `openssl rsa -traditional` write this form."""
    cert = certs.self_signed(tmp_path)
    old = tmp_path / "old.pem"
    old.write_bytes(openssl("ec", "-in", cert.key_file()).stdout)
    assert b"EC PRIVATE KEY" in old.read_bytes()
    run = run_pinproxy("hash", old)
    assert run.returncode == 0, run.err
    assert cert.pin in run.out


def test_hash_reads_stdin(cert):
    run = run_pinproxy("hash", "-", input=cert.pem)
    assert run.returncode == 0, run.err
    assert cert.pin in run.out


def test_hash_reads_several_files_and_a_bundle(tmp_path):
    one, two, three = (certs.self_signed(tmp_path) for _ in range(3))
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(one.pem + two.pem)
    run = run_pinproxy("hash", bundle, three.csr_file())
    assert run.returncode == 0, run.err
    for cert in (one, two, three):
        assert cert.pin in run.out


def test_json_is_valid_and_has_the_digests(cert):
    run = run_pinproxy("hash", "--json", cert.pem_file())
    assert run.returncode == 0, run.err
    json.loads(run.out)
    assert cert.pin in run.out
    assert cert.hex in plain(run.out)


def test_json_may_follow_the_file(cert):
    run = run_pinproxy("hash", cert.pem_file(), "--json")
    assert run.returncode == 0, run.err
    json.loads(run.out)


def test_hash_never_shows_the_private_key(cert):
    run = run_pinproxy("hash", cert.key_file())
    assert "PRIVATE" not in run.out + run.err
    secret = cert.key_file().read_text().splitlines()[1]
    assert secret not in run.out + run.err


@pytest.mark.parametrize("content", [
    b"", b"nothing of the kind\n", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
    ids=["empty", "other_text", "broken_pem"])
def test_a_file_without_a_key_is_an_error(content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    run = run_pinproxy("hash", path)
    assert run.returncode == 1
    assert str(path) in run.err


def test_a_missing_file_is_an_error(tmp_path):
    run = run_pinproxy("hash", tmp_path / "none.pem")
    assert run.returncode == 1
    assert "none.pem" in run.err


def test_a_call_without_a_file_is_a_usage_error():
    assert run_pinproxy("hash").returncode == 2
