"""The files that a configuration names must be regular, of limited size, and without blocks that would be skipped."""

import os
import socket
import subprocess
import threading

import pytest

from harness import certs
from harness.assertions import SECRET, assert_accepted, assert_refused
from harness.certs import NAME, hashed_directory
from harness.clients import REFUSED, exchange, try_connection
from harness.config import ini, to
from harness.daemon import PINPROXYD, run_pinproxy, run_pinproxyd
from harness.openssl import openssl
from harness.revocation import crl
from harness.waiting import DEADLINE

OPTIONS = ["include", "pin", "revoked", "issuer", "ca_file", "crl_file", "ca_dir"]


def naming(option, path, server, ca):
    """Returns a configuration in which `option` names the file at `path`."""
    pki = {"verify": "pki", "pin": None, "ca_file": ca.cert.pem_file()}
    return {
        "include": lambda: {"global": {"include": path}, NAME: to(server)},
        "pin": lambda: {NAME: to(server, pin=[server.cert.pin, f"key:{path}"])},
        "revoked": lambda: {NAME: to(server, revoked=f"key:{path}")},
        "issuer": lambda: {NAME: to(server, pin=[server.cert.pin, f"issuer-cert:{path}"])},
        "ca_file": lambda: {NAME: to(server, **{**pki, "ca_file": [ca.cert.pem_file(), path]})},
        "crl_file": lambda: {NAME: to(server, crl_file=path, **pki)},
        "ca_dir": lambda: {NAME: to(server, ca_dir=path.parent, **pki)},
    }[option]()


def good(option, path, ca, tmp_path):
    """Writes a file that is valid for the option."""
    if option == "include":
        path.write_text("[other.test]\nlisten = 127.0.0.1:0\npin = " + certs.OTHER + "\n")
    elif option == "crl_file":
        path.write_bytes(crl(tmp_path, ca).read_bytes())
    else:
        path.write_bytes(certs.CA(tmp_path, "Another").cert.pem)


def fifo(path):
    os.mkfifo(path)


def link_to_fifo(path):
    os.mkfifo(path.with_name("fifo"))
    path.symlink_to("fifo")


def unix_socket(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(path))


def device(path):
    path.symlink_to("/dev/zero")


def directory(path):
    path.mkdir()


KINDS = {kind.__name__: kind for kind in (fifo, link_to_fifo, unix_socket, device, directory)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", OPTIONS)
def test_a_named_file_that_is_not_regular_is_an_error(option, kind, pinproxyd, tls_server, ca, tmp_path, monkeypatch):
    """The error comes at once, at the start and at a reload. After the reload the daemon continues to serve."""
    monkeypatch.chdir(tmp_path)
    server = tls_server(cert=ca.issue())
    where = tmp_path / "named"
    where.mkdir()
    path = where / ("01234567.0" if option == "ca_dir" else "file")
    good(option, path, ca, tmp_path)
    daemon = pinproxyd(naming(option, path, server, ca))
    path.unlink()
    KINDS[kind](path)
    assert str(path) in daemon.reload(ok=False)["detail"]
    assert_accepted(daemon)
    run = run_pinproxyd("-t", "-c", daemon.file)
    assert run.returncode == 78
    assert str(path) in run.err
    daemon.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_configuration_that_is_not_regular_any_more_fails_a_reload(kind, pinproxyd, tls_server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    daemon.file.unlink()
    KINDS[kind](daemon.file)
    assert str(daemon.file) in daemon.reload(ok=False)["detail"]
    assert_accepted(daemon)
    daemon.stop()


@pytest.mark.parametrize("option", ["include", "pin", "ca_file"])
def test_file_that_is_too_large_is_an_error(option, tls_server, ca, tmp_path):
    server, path, file = tls_server(cert=ca.issue()), tmp_path / "large", tmp_path / "a.conf"
    good(option, path, ca, tmp_path)
    file.write_text(ini(naming(option, path, server, ca)))
    with path.open("ab") as f:
        f.write(b"\n" * ((1 << 24) - path.stat().st_size))
    assert run_pinproxyd("-t", "-c", file).returncode == 0
    with path.open("ab") as f:
        f.write(b"\n")
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78
    assert "too large" in run.err


def test_revocation_lists_may_be_larger_than_other_files(tls_server, ca, tmp_path):
    server, path, file = tls_server(cert=ca.issue()), tmp_path / "large", tmp_path / "a.conf"
    good("crl_file", path, ca, tmp_path)
    file.write_text(ini(naming("crl_file", path, server, ca)))
    with path.open("ab") as f:
        f.write(b"\n" * ((1 << 26) - path.stat().st_size))
    assert run_pinproxyd("-t", "-c", file).returncode == 0
    with path.open("ab") as f:
        f.write(b"\n")
    assert run_pinproxyd("-t", "-c", file).returncode == 78


# A command line may name a pipe.

def test_the_tool_reads_a_pipe(tls_server, ca, tmp_path):
    run = run_pinproxy("hash", "/dev/stdin", input=ca.cert.pem)
    assert run.returncode == 0 and ca.cert.pin in run.out
    server = tls_server()
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with subprocess.Popen(["cp", server.cert.pem_file(), path]):
        run = run_pinproxy("connect", server.address, "--pin", f"cert:{path}", input=b"hello")
    assert (run.returncode, run.out) == (0, "hello"), run.err


def test_the_daemon_reads_its_configuration_from_a_pipe_once(tls_server, tmp_path):
    server = tls_server()
    text = ini({"global": {"log_format": "text"}, NAME: to(server)})
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    with subprocess.Popen([PINPROXYD, "-c", "/dev/stdin"], stdin=read, stderr=subprocess.PIPE, text=True) as process:
        os.close(read)
        alarm = threading.Timer(2 * DEADLINE, process.kill)
        alarm.start()
        try:
            lines = iter(process.stderr.readline, "")
            assert any("event=start" in line for line in lines)
            process.send_signal(1)
            failed = next(line for line in lines if "event=reload" in line)
            assert "event=reload_failed" in failed and "a regular file is needed" in failed
            process.terminate()
            assert process.wait(DEADLINE) == 0
        finally:
            alarm.cancel()
            process.kill()


# PEM: text that looks like a block is read, or is an error that names the line.

def lines_of(pem, change):
    return b"".join(change(line) for line in pem.splitlines(keepends=True))


HIDDEN = {
    "indented": lambda pem: lines_of(pem, lambda line: b"    " + line),
    "indented_by_a_tab": lambda pem: lines_of(pem, lambda line: b"\t" + line),
    "quoted": lambda pem: lines_of(pem, lambda line: b"> " + line),
    "commented_out": lambda pem: lines_of(pem, lambda line: b"# " + line),
    "begin_indented": lambda pem: b" " + pem,
    "text_before_begin": lambda pem: b"today: " + pem,
    "begin_missing": lambda pem: pem.split(b"\n", 1)[1],
    "begin_with_four_dashes": lambda pem: pem[1:],
    "begin_in_lower_case": lambda pem: pem.replace(b"BEGIN", b"begin"),
    "typographic_dashes": lambda pem: pem.replace(b"-----", "—–".encode()),
    "no_end": lambda pem: pem[:pem.index(b"-----END")],
    "cut_short": lambda pem: pem[:len(pem) // 2],
    "all_on_one_line": lambda pem: pem.replace(b"\n", b"") + b"\n",
    "escaped_ends_of_lines": lambda pem: pem.replace(b"\n", b"\\n") + b"\n",
    "ends_of_lines_as_blanks": lambda pem: pem.replace(b"\n", b" ") + b"\n",
    "utf16": lambda pem: pem.decode().encode("utf-16"),
    "nul": lambda pem: pem.replace(b"\n", b"\0\n"),
    "other_end": lambda pem: pem.replace(b"-----END ", b"-----END OLD "),
    "unknown_label": lambda pem: pem.replace(b"CERTIFICATE", b"CERTIFICATES").replace(b"CRL", b"CRLS"),
    "not_base64": lambda pem: pem.replace(b"\nM", b"\n!"),
    "not_der": lambda pem: pem.replace(b"\nM", b"\nA"),
}

SHOWN = {
    "crlf": lambda pem: pem.replace(b"\n", b"\r\n"),
    "cr": lambda pem: pem.replace(b"\n", b"\r"),
    "blanks_behind": lambda pem: pem.replace(b"\n", b" \t\n"),
    "empty_lines": lambda pem: pem.replace(b"\n", b"\n\n"),
    "byte_order_mark": lambda pem: b"\xef\xbb\xbf" + pem,
    "no_newline_at_the_end": lambda pem: pem.rstrip(b"\n"),
    "one_long_line": lambda pem: pem.replace(b"\n", b"").replace(b"-----MI", b"-----\nMI").replace(b"-----END", b"\n-----END"),
    "behind_text": lambda pem: b"Certificate:\n    Data:\n\tVersion: 3 (0x2)\n  -----\nsubject=CN = x\n\n" + pem,
}


@pytest.mark.parametrize("how", HIDDEN)
@pytest.mark.parametrize("option", ["pin", "issuer", "revoked", "ca_file", "crl_file", "ca_dir"])
def test_a_pem_block_that_would_be_skipped_is_an_error(option, how, tls_server, ca, tmp_path):
    server, file = tls_server(cert=ca.issue()), tmp_path / "a.conf"
    where = hashed_directory(tmp_path / "named", ca.cert)
    path = where / ("01234567.0" if option == "ca_dir" else "file")
    good(option, path, ca, tmp_path)
    file.write_text(ini(naming(option, path, server, ca)))
    assert run_pinproxyd("-t", "-c", file).returncode == 0
    first = path.read_bytes()
    good(option, path, ca, tmp_path)
    second = path.read_bytes()
    for content in (first + HIDDEN[how](second), HIDDEN[how](second), HIDDEN[how](first) + second):
        path.write_bytes(content)
        run = run_pinproxyd("-t", "-c", file)
        assert run.returncode == 78, content
        assert f"{file}:" in run.err and str(path) in run.err


@pytest.mark.parametrize("how", SHOWN)
def test_a_newer_list_is_found_in_each_layout_of_a_file(how, pinproxyd, tls_server, ca, tmp_path):
    """The older list is valid, and does not revoke the server."""
    server, path = tls_server(cert=ca.issue()), tmp_path / "lists.pem"
    old, new = crl(tmp_path, ca, start=-3).read_bytes(), crl(tmp_path, ca, server.cert).read_bytes()
    path.write_bytes(old + SHOWN[how](new))
    daemon = pinproxyd({NAME: to(server, verify="pki", ca_file=ca.cert.pem_file(), crl_file=path)})
    assert "revoked" in assert_refused(daemon, "refused", "pki")["detail"]


@pytest.mark.parametrize("how", SHOWN)
@pytest.mark.parametrize("option", ["ca_file", "issuer", "cert", "key"])
def test_a_certificate_is_found_in_each_layout_of_a_file(option, how, pinproxyd, tls_server, ca, tmp_path):
    server, path = tls_server(cert=ca.issue()), tmp_path / "file.pem"
    cert = ca.cert if option in ("ca_file", "issuer") else server.cert
    path.write_bytes(certs.CA(tmp_path, "Another").cert.pem + SHOWN[how](cert.pem))
    trust = {"ca_file": {"verify": "pki", "pin": None, "ca_file": path}, "issuer": {"pin": f"issuer-cert:{path}"},
             "cert": {"pin": f"cert:{path}"}, "key": {"pin": f"key:{path}"}}[option]
    daemon = pinproxyd({NAME: to(server, **trust)})
    assert_accepted(daemon)


def test_hash_names_the_line_of_a_broken_block(tmp_path, ca):
    path = tmp_path / "file.pem"
    path.write_bytes(b"today's\n" + ca.cert.pem + b"\n  " + ca.cert.pem)
    run = run_pinproxy("hash", path)
    assert run.returncode == 1 and not run.out
    assert f"{path}:{len(ca.cert.pem.splitlines()) + 3}: " in run.err


# Blocks of another kind.

@pytest.mark.parametrize("option, content, word", [
    ("ca_file", lambda ca, tmp: ca.cert.key_file().read_bytes(), "private key"),
    ("ca_file", lambda ca, tmp: crl(tmp, ca).read_bytes(), "crl_file"),
    ("ca_file", lambda ca, tmp: ca.cert.csr_file().read_bytes(), "not a certificate"),
    ("ca_file", lambda ca, tmp: ca.cert.pubkey_file().read_bytes(), "not a certificate"),
    ("crl_file", lambda ca, tmp: ca.cert.key_file().read_bytes(), "not a revocation list"),
    ("crl_file", lambda ca, tmp: ca.cert.csr_file().read_bytes(), "not a revocation list"),
    ("pin", lambda ca, tmp: crl(tmp, ca).read_bytes(), "neither"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_pem_block_of_another_kind_is_an_error(option, content, word, tls_server, ca, tmp_path):
    server, path, file = tls_server(cert=ca.issue()), tmp_path / "file.pem", tmp_path / "a.conf"
    good(option, path, ca, tmp_path)
    path.write_bytes(path.read_bytes() + content(ca, tmp_path))
    file.write_text(ini(naming(option, path, server, ca)))
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78
    assert f"{file}:" in run.err and str(path) in run.err and word in run.err, run.err


def test_a_trusted_certificate_of_openssl_is_an_anchor_if_it_is_one_for_servers(pinproxyd, tls_server, ca, tmp_path):
    """It is not an anchor if it is trusted for other purposes only."""
    server = tls_server(cert=ca.issue())
    for use, heard in (("serverAuth", b"hello"), ("emailProtection", None)):
        path = tmp_path / f"{use}.pem"
        subprocess.run(["openssl", "x509", "-in", ca.cert.pem_file(), "-addtrust", use, "-trustout", "-out", path],
                       check=True)
        assert b"TRUSTED CERTIFICATE" in path.read_bytes()
        daemon = pinproxyd({NAME: to(server, verify="pki", ca_file=path)})
        if heard:
            assert exchange(daemon.address(NAME), b"hello") == heard
        else:
            assert try_connection(daemon.address(NAME), SECRET) == REFUSED


def test_a_certificate_twice_in_a_ca_file_is_valid(pinproxyd, tls_server, ca, tmp_path):
    path = tmp_path / "twice.pem"
    path.write_bytes(ca.cert.pem * 2)
    daemon = pinproxyd({NAME: to(tls_server(cert=ca.issue()), verify="pki", ca_file=path)})
    assert_accepted(daemon)


# Missing trust anchors.

def test_ca_file_in_der_is_an_error_that_says_how_to_convert_it(tls_server, ca, tmp_path):
    file = tmp_path / "a.conf"
    file.write_text(ini({NAME: to(tls_server(cert=ca.issue()), verify="pki", ca_file=ca.cert.der_file())}))
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78
    assert f"{ca.cert.directory}/cert.der" in run.err and "openssl x509 -inform der" in run.err


def test_ca_dir_without_hashes_is_an_error_that_says_how_to_make_them(tls_server, ca, tmp_path):
    file = tmp_path / "a.conf"
    where = tmp_path / "anchors"
    where.mkdir()
    (where / "ca.pem").write_bytes(ca.cert.pem)
    file.write_text(ini({NAME: to(tls_server(cert=ca.issue()), verify="pki", ca_dir=where)}))
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78
    assert f"openssl rehash {where}" in run.err
    openssl("rehash", where)
    assert run_pinproxyd("-t", "-c", file).returncode == 0


def test_ca_dir_that_is_a_file_is_an_error_that_says_so(tls_server, ca, tmp_path):
    file = tmp_path / "a.conf"
    file.write_text(ini({NAME: to(tls_server(cert=ca.issue()), verify="pki", ca_dir=ca.cert.pem_file())}))
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78
    assert "ca_file" in run.err


def test_revocation_lists_of_a_ca_dir_are_used_beside_a_crl_file(pinproxyd, tls_server, ca, tmp_path):
    server, where = tls_server(cert=ca.issue()), tmp_path / "anchors"
    where.mkdir()
    (where / "ca.pem").write_bytes(ca.cert.pem)
    (where / "list.pem").write_bytes(crl(tmp_path, ca, server.cert).read_bytes())
    openssl("rehash", where)
    daemon = pinproxyd({NAME: to(server, verify="pki", ca_dir=where, crl_file=crl(tmp_path, ca, start=-3))})
    assert "revoked" in assert_refused(daemon, "refused", "pki")["detail"]


def test_a_missing_system_store_is_an_error(tls_server, ca, tmp_path):
    file, empty = tmp_path / "a.conf", tmp_path / "empty"
    empty.mkdir()
    server = tls_server(cert=ca.issue())
    env = {"SSL_CERT_FILE": str(tmp_path / "none.pem"), "SSL_CERT_DIR": f"{tmp_path}/none:{empty}"}
    file.write_text(ini({NAME: to(server, verify="pki")}))
    run = run_pinproxyd("-t", "-c", file, env=env)
    assert run.returncode == 78
    assert f"{file}:1: " in run.err and "ca_file" in run.err
    # a section with pins only needs none
    file.write_text(ini({NAME: to(server)}))
    assert run_pinproxyd("-t", "-c", file, env=env).returncode == 0
    # a directory is enough
    hashed_directory(empty / "hashed", ca.cert)
    file.write_text(ini({NAME: to(server, verify="pki")}))
    env["SSL_CERT_DIR"] += "/hashed"
    assert run_pinproxyd("-t", "-c", file, env=env).returncode == 0


def test_a_file_of_a_thousand_renewals_loads_in_time(tmp_path):
    """The certificates have one name and key and are self-signed, so none of them issued another."""
    key = certs.ec_key()
    path = tmp_path / "renewals.pem"
    path.write_bytes(b"".join(certs.self_signed(tmp_path, key=key).pem for _ in range(1000)))
    conf = tmp_path / "x.conf"
    conf.write_text(ini({NAME: {"listen": "127.0.0.1:0", "pin": f"cert:{path}"}}))
    done = run_pinproxyd("-t", "-c", conf)
    assert done.returncode == 0, done.err
