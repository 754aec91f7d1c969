"""Names in files, arguments and certificates cannot control the terminal."""

import json
import os
import re

import pytest

from harness import certs
from harness.certs import NAME
from harness.config import ini, to
from harness.daemon import run_pinproxy, run_pinproxyd

EVIL = "ev\x1b]0;title\x07il\n\u202etxt\r\x7f end"
BYTES = os.fsdecode(b"ev\xffil\x9b31m end")
NAMES = pytest.mark.parametrize("name", [EVIL, BYTES], ids=["utf8", "bytes"])

CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f]|\xe2\x80\xae")


def assert_escaped(*outputs):
    for output in outputs:
        assert not CONTROL.search(output), output
        output.decode()  # valid UTF-8


@NAMES
def test_hash_escapes_a_file_name(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(certs.self_signed(tmp_path).pem)
    run = run_pinproxy("hash", path)
    assert run.returncode == 0, run.err
    assert_escaped(run.stdout, run.stderr)
    assert len(run.stdout.splitlines()) == 2
    run = run_pinproxy("hash", "--json", path)
    assert_escaped(run.stdout)
    assert all("end" in item["file"] for item in json.loads(run.out))


@NAMES
def test_hash_escapes_the_name_of_a_missing_file(name):
    run = run_pinproxy("hash", name)
    assert run.returncode == 1
    assert_escaped(run.stderr)
    assert len(run.stderr.splitlines()) == 1


@NAMES
@pytest.mark.parametrize("command", ["hash", "fetch", "check", "connect", "learned", None])
def test_a_file_name_that_looks_like_an_option_is_escaped(command, name):
    """`pinproxy hash *` in a directory with such a file must not do harm."""
    for option in (f"--{name}", f"-{name[2:]}"):
        run = run_pinproxy(command, option) if command else run_pinproxyd(option)
        assert run.returncode == 2
        assert_escaped(run.stderr)
        assert "unknown option" in run.err and "--help" in run.err, run.err


@pytest.mark.parametrize("kind", ["bytes", "nul"])
def test_hash_escapes_the_subject_of_a_certificate(kind, tmp_path):
    name = {"bytes": b"ev\x1b]0;title\x07il\n\xff end", "nul": b"ev\0il end"}[kind]
    run = run_pinproxy("hash", certs.with_subject_bytes(tmp_path, name).pem_file())
    assert run.returncode == 0
    assert_escaped(run.stdout)
    assert len(run.stdout.splitlines()) == 2


@NAMES
@pytest.mark.parametrize("right", [True, False], ids=["ok", "broken"])
def test_each_command_escapes_the_name_of_the_configuration(name, right, tls_server, tmp_path):
    path = tmp_path / name
    path.write_text(ini({NAME: to(tls_server(), **({} if right else {"pin": "bad"}))}))
    for run in (run_pinproxyd("-t", "-c", path), run_pinproxy("check", "-c", path),
                run_pinproxy("check", "--json", "-c", path), run_pinproxy("check", "-c", path, name),
                run_pinproxy("connect", "-c", path, name)):
        assert run.stdout or run.stderr
        assert_escaped(run.stdout, run.stderr)


@NAMES
@pytest.mark.parametrize("arguments", [["hash"], ["fetch"], ["connect"], ["check", "-c"], ["learned", "list", "-c"],
                                       ["fetch", "127.0.0.1", "--sni"], ["connect", "a.test", "--pin"],
                                       ["check", "--warn-days"], []], ids=" ".join)
def test_the_tool_escapes_its_arguments(name, arguments):
    run = run_pinproxy(*arguments, name)
    assert run.returncode != 0
    assert_escaped(run.stdout, run.stderr)


@NAMES
def test_the_daemon_escapes_its_arguments(name):
    for arguments in (["-c", name], ["-t", "-c", name], [name]):
        run = run_pinproxyd(*arguments)
        assert run.returncode in (2, 78)
        assert_escaped(run.stderr)


@NAMES
def test_fetch_escapes_the_subject_of_a_certificate(name, tls_server, tmp_path):
    evil = os.fsencode(name)[:60]
    server = tls_server(cert=certs.with_subject_bytes(tmp_path, evil))
    for options in ([], ["--ini"], ["--json"]):
        run = run_pinproxy("fetch", server.address, *options)
        assert run.returncode == 0, run.err
        assert_escaped(run.stdout, run.stderr)
