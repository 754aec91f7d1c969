"""Files of client certificates with errors, and what is worth a warning."""

import os
import pty
import select
import subprocess

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness.certs import NAME, CA, client_certificate, day, ec_key
from harness.config import ini, to
from harness.config_errors import assert_config_error, write_marked
from harness.daemon import PINPROXYD, environment, run_pinproxyd
from harness.waiting import DEADLINE
from test_client_cert import PASSWORD, pkcs12_encrypted, private, store, together, write

PIN = "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="
HEAD = f"[{NAME}]\nlisten = 127.0.0.1:0\npin = {PIN}\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files in a directory of their own, which is returned."""
    directory = tmp_path_factory.mktemp("files")
    ca = CA(directory)
    me, other = client_certificate(ca), client_certificate(ca)
    together(me, directory, "me.pem")
    for name, data in {
        "cert.pem": me.pem,
        "key.pem": private(me),
        "two-keys.pem": private(me) + private(other),
        "other.key": private(other),
        "wrong.pem": me.pem + private(other),
        "ca-first.pem": ca.cert.pem + me.pem + private(me),
        "encrypted.pem": me.pem + private(me, password=PASSWORD),
        "encrypted.p12": store(me, PASSWORD),
        "cut.pem": me.pem + private(me)[:100],
        "cut.p12": store(me)[:-10],
        "cut.der": me.der[:-10],
        "garbage": b"this is nothing\n" * 20,
        "empty": b"",
        "csr.pem": me.csr_file().read_bytes(),
        "many.pem": private(me) + me.pem * 11,
        "good-password": PASSWORD.encode(),
        "bad-password": b"wrong",
        "no-password": b"\nsecond line\n",
        "nul-password": b"a\0b\n",
        "long-password": b"x" * 1024,
        "large": b"\n" * (16 * 1024 * 1024 + 1),
        "weak.pem": b"",
    }.items():
        write(directory, name, data)
    os.mkfifo(directory / "pipe")
    (directory / "directory").mkdir()
    return directory


# The lines behind those of HEAD, and what is said of the marked one.
ERRORS = {
    "missing": (">>client_cert = none.pem", "none.pem: No such file"),
    "missing_key": ("client_cert = cert.pem\n>>client_key = none.key", "none.key: No such file"),
    "missing_password": ("client_cert = encrypted.pem\n>>client_key_password = file:none", "none: No such file"),
    "pipe": (">>client_cert = pipe", "is a pipe"),
    "pipe_as_key": ("client_cert = cert.pem\n>>client_key = pipe", "is a pipe"),
    "pipe_as_password": ("client_cert = encrypted.pem\n>>client_key_password = file:pipe", "is a pipe"),
    "device": (">>client_cert = /dev/zero", "is a device"),
    "directory": (">>client_cert = directory", "Is a directory"),
    "large": (">>client_cert = large", "is too large"),
    "large_password": ("client_cert = encrypted.pem\n>>client_key_password = file:large", "is too large"),
    "garbage": (">>client_cert = garbage", "neither a certificate nor a private key"),
    "empty": (">>client_cert = empty", "neither a certificate nor a private key"),
    "cut_pem": (">>client_cert = cut.pem", "cut.pem: line "),
    "cut_pkcs12": (">>client_cert = cut.p12", "neither a certificate nor a private key"),
    "cut_der": (">>client_cert = cut.der", "neither a certificate nor a private key"),
    "csr": (">>client_cert = csr.pem", "neither a certificate nor a private key"),
    "no_key": (">>client_cert = cert.pem", "no private key: add it, or set client_key"),
    "no_key_in_its_file": ("client_cert = cert.pem\n>>client_key = cert.pem", "no private key"),
    "no_certificate": (">>client_cert = key.pem", "has no certificate"),
    "two_keys": ("client_cert = cert.pem\n>>client_key = two-keys.pem", "more than one private key"),
    "key_of_another": ("client_cert = cert.pem\n>>client_key = other.key", "does not belong to the certificate"),
    "key_of_another_in_one_file": (">>client_cert = wrong.pem", "does not belong to the certificate"),
    "issuer_first": (">>client_cert = ca-first.pem", "put the client's own certificate first"),
    "many": (">>client_cert = many.pem", "more than 10 certificates"),
    "encrypted": (">>client_cert = encrypted.pem", "is encrypted: set client_key_password"),
    "encrypted_pkcs12": (">>client_cert = encrypted.p12", "is encrypted: set client_key_password"),
    "wrong_password": (">>client_cert = encrypted.pem\nclient_key_password = file:bad-password",
                       "cannot be decrypted, the password may be wrong"),
    "wrong_password_of_pkcs12": (">>client_cert = encrypted.p12\nclient_key_password = file:bad-password",
                                 "cannot be decrypted, the password may be wrong"),
    "empty_password": ("client_cert = encrypted.pem\n>>client_key_password = file:no-password", "first line is empty"),
    "empty_file_of_password": ("client_cert = encrypted.pem\n>>client_key_password = file:empty", "first line is empty"),
    "nul_in_password": ("client_cert = encrypted.pem\n>>client_key_password = file:nul-password", "NUL byte"),
    "long_password": ("client_cert = encrypted.pem\n>>client_key_password = file:long-password", "1023 bytes"),
    "password_itself": (f"client_cert = encrypted.pem\n>>client_key_password = {PASSWORD[:7]}", "expected file:PATH"),
    "key_alone": (">>client_key = key.pem", "no effect without a certificate"),
    "password_alone": (">>client_key_password = file:good-password", "no effect without a certificate"),
    "key_of_a_certificate_that_is_off": ("client_cert = off\n>>client_key = key.pem", "no effect without a certificate"),
    "unknown_uri": (">>client_cert = nonsense:something", "neither a path nor a URI"),
    "remote_file": (">>client_cert = file://host/me.pem", "without the name of a host"),
    "empty_path": (">>client_cert = file:", "expected the name of a file"),
    "long_scheme": (f">>client_cert = {'x' * 40}:y", "scheme that is too long"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_is_reported_with_its_line(name, files):
    text, word = ERRORS[name]
    path = files / f"{name}.conf"
    assert_config_error(path, write_marked(path, HEAD + text + "\n"), word, run_pinproxyd("-t", "-c", path))


def test_the_error_of_a_damaged_block_has_its_line_in_the_file(files):
    path = files / "p.conf"
    lines = (files / "cert.pem").read_text().count("\n")
    path.write_text(f"{HEAD}client_cert = cut.pem\n")
    assert f"cut.pem: line {lines + 1}: " in run_pinproxyd("-t", "-c", path).err


def test_a_weak_key_is_refused_with_the_reason_of_openssl(ca, tmp_path):
    from cryptography.hazmat.primitives.asymmetric import rsa
    weak = client_certificate(ca, key=rsa.generate_private_key(65537, 1024))
    path = tmp_path / "p.conf"
    marks = write_marked(path, f"{HEAD}>>client_cert = {together(weak, tmp_path)}\n")
    assert_config_error(path, marks, "key too small", run_pinproxyd("-t", "-c", path))


def test_an_error_of_the_defaults_is_reported_once(files):
    path = files / "p.conf"
    path.write_text(f"[defaults]\nclient_cert = wrong.pem\n{HEAD}[b.test]\npin = {PIN}\n")
    run = run_pinproxyd("-t", "-c", path)
    assert run.returncode == 78
    assert run.err.count("does not belong") == 1 and f"{path}:2: " in run.err


@pytest.mark.parametrize("before", ["?", ";"])
def test_a_pin_in_a_uri_is_not_printed(before, files):
    path = files / "p.conf"
    uri = f"pkcs11:token=none;object=x{before}pin-value=s3cr3t-pin"
    path.write_text(f"{HEAD}client_cert = cert.pem\nclient_key = {uri}\n")
    run = run_pinproxyd("-t", "-c", path)
    assert run.returncode == 78
    assert "pkcs11:token=none;object=x" in run.err
    assert "s3cr3t-pin" not in run.err + run.out


def test_no_password_is_printed(files):
    path = files / "p.conf"
    path.write_text(f"{HEAD}client_cert = cut.pem\nclient_key_password = file:good-password\n")
    run = run_pinproxyd("-t", "-c", path)
    assert run.returncode == 78 and PASSWORD not in run.err


@pytest.mark.parametrize("value", ["s3cr3t-word", "pass:s3cr3t-word", "FILE:s3cr3t-word"])
def test_a_password_in_the_place_of_its_file_is_not_printed(value, files):
    path = files / "p.conf"
    path.write_text(f"{HEAD}client_cert = cert.pem\nclient_key_password = {value}\n")
    run = run_pinproxyd("-t", "-c", path)
    assert run.returncode == 78 and "client_key_password = ***: expected file:PATH" in run.err
    assert "s3cr3t-word" not in run.err + run.out


@pytest.mark.parametrize("value", ["encrypted.pem", "encrypted.p12", "pkcs11:token=none", "cert.pem\nclient_key = encrypted.pem"])
def test_nothing_is_asked_on_the_terminal(value, files):
    path = files / "p.conf"
    path.write_text(f"{HEAD}client_cert = {value}\n")
    master, terminal = pty.openpty()
    try:
        run = subprocess.Popen([PINPROXYD, "-t", "-c", path], stdin=terminal, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=environment(), start_new_session=True,
                               preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)))
        assert run.wait(DEADLINE) == 78
        assert not select.select([master], [], [], 0)[0], os.read(master, 1000)
    finally:
        os.close(terminal)
        os.close(master)


# Warnings: of `pinproxyd -t`, of the daemon's log, and of `pinproxy check`.

def assert_warned(config, part, pinproxyd, check, tmp_path):
    path = tmp_path / "warned.conf"
    path.write_text(ini(config))
    run = run_pinproxyd("-t", "-c", path)
    assert run.returncode == 0
    assert any(line.startswith(f"warning: [{NAME}]: ") and part in line for line in run.err.splitlines()), run.err
    event = pinproxyd(config).wait_event(event="client_cert", section=NAME)
    assert event["level"] == "warning" and part in event["detail"]
    run = check(config)
    assert run.returncode == 1 and part in run.out, run.out + run.err


@pytest.fixture
def section(ca, backup, tmp_path):
    """Returns a configuration of one section: section(certificate, further options)."""
    def section(client=None, **options):
        options.setdefault("client_cert", together(client or client_certificate(ca), tmp_path))
        return {NAME: {"listen": "127.0.0.1:0", "address": "127.0.0.1:1", "pin": [PIN, backup.pin], **options}}
    return section


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_a_key_that_its_owner_and_group_can_read_is_no_warning(mode, section, check):
    config = section()
    config[NAME]["client_cert"].chmod(mode)
    run = check(config)
    assert run.returncode == 0, run.out + run.err


@pytest.mark.parametrize("mode", ["0644", "0604", "0444"])
def test_a_key_that_everybody_can_read_is_a_warning(mode, section, pinproxyd, check, tmp_path):
    config = section()
    config[NAME]["client_cert"].chmod(int(mode, 8))
    assert_warned(config, f"client_cert, {config[NAME]['client_cert']} (mode {mode})", pinproxyd, check, tmp_path)


def test_a_certificate_without_its_key_may_be_read_by_everybody(section, ca, check, tmp_path):
    client = client_certificate(ca)
    cert, key = write(tmp_path, "c.pem", client.pem), write(tmp_path, "k.pem", private(client))
    cert.chmod(0o644)
    run = check(section(client_cert=cert, client_key=key))
    assert run.returncode == 0, run.out + run.err
    key.chmod(0o644)
    assert f"client_key, {key} (mode 0644)" in check(section(client_cert=cert, client_key=key)).out


def test_a_password_that_everybody_can_read_is_a_warning(section, ca, pinproxyd, check, tmp_path):
    options = pkcs12_encrypted(client_certificate(ca), tmp_path)
    (tmp_path / "password").chmod(0o644)
    assert_warned(section(**options), "client_key_password", pinproxyd, check, tmp_path)


def test_a_password_that_is_not_needed_is_a_warning(section, pinproxyd, check, tmp_path):
    password = write(tmp_path, "password", b"unused")
    assert_warned(section(client_key_password=f"file:{password}"), "has no effect: the private key is not encrypted",
                  pinproxyd, check, tmp_path)


def test_a_certificate_that_is_not_for_clients_is_a_warning(section, ca, pinproxyd, check, tmp_path):
    config = section(client_certificate(ca, usage=ExtendedKeyUsageOID.SERVER_AUTH))
    assert_warned(config, "its extended key usage lacks clientAuth", pinproxyd, check, tmp_path)


@pytest.mark.parametrize("usage", [None, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, ExtendedKeyUsageOID.CLIENT_AUTH])
def test_a_certificate_for_clients_is_no_warning(usage, section, ca, check):
    run = check(section(client_certificate(ca, usage=usage)))
    assert run.returncode == 0, run.out + run.err


@pytest.mark.parametrize("end, within, stage", [(20, "30", "first"), (5, "7", "second"), (-2, "1", "last")])
def test_a_client_certificate_that_ends_soon_is_logged(end, within, stage, section, ca, pinproxyd):
    client = client_certificate(ca, start=end - 398, end=end)
    event = pinproxyd(section(client)).wait_event(event="pin_expiring", section=NAME, what="client_cert")
    assert event["level"] == "warning" and event["subject"] == "CN=client"
    assert (event["not_after"], event["within"], event["stage"]) == (day(end), within, stage)
    assert int(event["days"]) in (end - 1, end)
    assert ("has expired" in event["detail"]) == (end < 0)


def test_a_client_certificate_that_ends_later_is_not_logged(section, ca, pinproxyd):
    daemon = pinproxyd(section(client_certificate(ca, start=-300, end=98)))
    daemon.reload()
    daemon.reload()
    assert not daemon.events(event="pin_expiring")


@pytest.mark.parametrize("end, status, text", [(60, 0, "the client certificate is valid until"),
                                               (5, 1, "the client certificate is valid until"),
                                               (-2, 1, "the client certificate expired on")])
def test_check_warns_of_a_client_certificate_that_ends_soon(end, status, text, section, ca, check):
    run = check(section(client_certificate(ca, start=end - 398, end=end)))
    assert run.returncode == status, run.out + run.err
    assert f"{text} {day(end)}" in run.out


def test_a_file_that_the_daemons_user_cannot_read_is_a_warning(section, ca, tmp_path):
    client = client_certificate(ca)
    key = write(tmp_path, "k.pem", private(client))
    config = section(client_cert=write(tmp_path, "c.pem", client.pem), client_key=key)
    path = tmp_path / "p.conf"
    path.write_text("[global]\nuser = nobody\n" + ini(config))
    if os.geteuid() != 0:
        pytest.skip("only root can start as another user")
    run = run_pinproxyd("-t", "-c", path)
    assert run.returncode == 0
    assert f"warning: {key}: the daemon's user nobody cannot read it" in run.err, run.err
