"""pinproxyd -t reports what a start as the daemon's user would find: certain failures are errors, others warnings."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import certs
from harness.certs import NAME
from harness.config import ini
from harness.daemon import PINPROXYD, run_pinproxyd, run_program
from harness.mount_namespace import in_mount_namespace
from harness.servers import closed_port

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
PIN = f"sha256//{'A' * 42}8="


def open_up(directory):
    """Lets everyone search the directory and its parents."""
    for path in [directory, *directory.parents]:
        if os.stat(path).st_uid == os.geteuid() and os.stat(path).st_mode & 0o111 != 0o111:
            path.chmod(os.stat(path).st_mode | 0o111)


def check(directory, sections, **options):
    path = directory / "pinproxyd.conf"
    path.write_text(ini({"global": options, **sections}))
    path.chmod(0o644)
    return run_pinproxyd("-t", "-c", path)


def tofu(**options):
    return {NAME: {"listen": "127.0.0.1:0", "verify": "tofu", **options}}


def test_a_state_dir_without_a_parent_is_an_error(tmp_path):
    run = check(tmp_path, tofu(), state_dir=tmp_path / "none" / "state")
    assert run.returncode == 78
    assert f"pinproxyd.conf:2: state_dir = {tmp_path / 'none'}" in run.err, run.err


def test_a_state_dir_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "state").write_text("")
    run = check(tmp_path, tofu(), state_dir=tmp_path / "state")
    assert run.returncode == 78
    run = check(tmp_path, tofu(), state_dir=tmp_path / "state" / "below")
    assert run.returncode == 78


def test_an_unused_state_dir_may_be_missing(tmp_path):
    run = check(tmp_path, {NAME: {"listen": "127.0.0.1:0", "pin": PIN}}, state_dir=tmp_path / "none" / "state")
    assert run.returncode == 0 and run.err == ""


def test_a_state_dir_that_can_be_created_causes_no_message(tmp_path):
    run = check(tmp_path, tofu(), state_dir=tmp_path / "state")
    assert run.returncode == 0 and run.err == ""
    assert not (tmp_path / "state").exists()


@root
def test_a_state_dir_that_the_user_cannot_create_is_a_warning(tmp_path):
    open_up(tmp_path)
    run = check(tmp_path, tofu(), state_dir=tmp_path / "state", user="nobody")
    assert run.returncode == 0
    assert "warning" in run.err and str(tmp_path / "state") in run.err and "nobody" in run.err
    assert run_pinproxyd("-c", tmp_path / "pinproxyd.conf").returncode == 78


@root
def test_a_state_dir_that_the_user_cannot_write_to_is_a_warning(tmp_path):
    open_up(tmp_path)
    (tmp_path / "state").mkdir(mode=0o755)
    run = check(tmp_path, tofu(), state_dir=tmp_path / "state", user="nobody")
    assert run.returncode == 0
    assert "warning" in run.err and str(tmp_path / "state") in run.err


@root
def test_files_that_the_user_cannot_read_are_warnings(tmp_path):
    """There is one for each file, also for included files and the files that they name: a reload reads them."""
    open_up(tmp_path)
    cert, ca = certs.self_signed(tmp_path), certs.CA(tmp_path)
    more, pinned, anchors = tmp_path / "more.conf", tmp_path / "pinned.pem", tmp_path / "anchors.pem"
    more.write_text(ini({"more.test": {"pin": f"key:{pinned}", "verify": "pin+pki", "ca_file": anchors}}))
    pinned.write_bytes(cert.pem)
    anchors.write_bytes(ca.cert.pem)
    for path in (more, pinned, anchors):
        path.chmod(0o600)
    run = check(tmp_path, {NAME: {"listen": "127.0.0.1:0", "pin": PIN, "revoked": f"key:{pinned}"}}, user="nobody",
                include=more)
    assert run.returncode == 0
    lines = run.err.splitlines()
    assert len(lines) == 3 and all("warning" in line and "nobody" in line for line in lines), run.err
    for path in (more, pinned, anchors):
        assert str(path) in run.err
        path.chmod(0o644)
    assert run_pinproxyd("-t", "-c", tmp_path / "pinproxyd.conf").err == ""


@root
def test_the_installed_configuration_is_checked_as_the_user_of_the_unit(tmp_path):
    """The user of the unit owns no file. For any other configuration the user is unknown."""
    open_up(tmp_path)
    installed = Path(re.search(r"default: (/\S+/pinproxyd.conf)", run_pinproxyd("-h").out).group(1))
    there = next(parent for parent in installed.parents if parent.exists())
    path = tmp_path / "etc" / installed.relative_to(there)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = ini({"global": {"state_dir": "/srv/state"}, NAME: {"listen": f"127.0.0.1:{closed_port()}", "pin": PIN}})
    for mode, warned in ((0o600, True), (0o644, False)):
        path.write_text(text)
        path.chmod(mode)
        run = run_program(in_mount_namespace('mount --bind "$0" "$1" && exec "$2" -t', tmp_path / "etc", there, PINPROXYD))
        assert run.returncode == 0, run.err
        assert ("DynamicUser" in run.err) == warned, run.err
        assert run_pinproxyd("-t", "-c", path).err == ""


@root
def test_the_user_of_the_unit_gets_keys_from_systemd(ca, tmp_path):
    """Nobody should make a key readable by everyone because of a warning."""
    open_up(tmp_path)
    installed = Path(re.search(r"default: (/\S+/pinproxyd.conf)", run_pinproxyd("-h").out).group(1))
    there = next(parent for parent in installed.parents if parent.exists())
    path = tmp_path / "etc" / installed.relative_to(there)
    path.parent.mkdir(parents=True, exist_ok=True)
    client = certs.client_certificate(ca)
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for directory in (tmp_path, credentials):
        key = directory / "key.pem"
        key.write_bytes(client.key_file().read_bytes() + client.pem)
        key.chmod(0o600)
    script = 'mount --bind "$0" "$1" && exec env CREDENTIALS_DIRECTORY="$2" "$3" -t'
    for value, warned in ((tmp_path / "key.pem", True), ("%d/key.pem", False)):
        path.write_text(ini({NAME: {"listen": f"127.0.0.1:{closed_port()}", "pin": PIN, "client_cert": value}}))
        path.chmod(0o644)
        run = run_program(in_mount_namespace(script, tmp_path / "etc", there, credentials, PINPROXYD))
        assert run.returncode == 0, run.err
        assert ("LoadCredential=" in run.err) == warned, run.err
        assert "let everyone read it" not in run.err


def test_a_unix_socket_that_cannot_be_created_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    places = {"none/x.sock": "No such file", "file": "not a socket", "open/x.sock": "other users can write"}
    for place, word in places.items():
        run = check(tmp_path, {NAME: {"listen": f"unix:{place}", "pin": PIN}})
        assert run.returncode == 0
        assert run.err.startswith("warning: ") and f"listen = unix:{place}: " in run.err and word in run.err, run.err
        start = run_pinproxyd("-c", tmp_path / "pinproxyd.conf")
        assert start.returncode != 0 and word in start.err
    run = check(tmp_path, {NAME: {"listen": "unix:x.sock", "pin": PIN}})
    assert run.returncode == 0 and run.err == ""


@root
def test_a_configuration_from_a_pipe_causes_no_warning(tmp_path):
    text = ini({"global": {"user": "nobody"}, NAME: {"listen": "127.0.0.1:0", "pin": PIN}})
    run = run_program([PINPROXYD, "-t", "-c", "/dev/stdin"], input=text.encode())
    assert run.returncode == 0 and run.err == "", run.err


def test_a_relative_socket_is_valid_where_the_working_directory_cannot_be_searched(tmp_path):
    """A user who came from /root by su has such a directory."""
    tmp_path.joinpath("cwd").mkdir()
    daemon = Path(tempfile.mkdtemp(prefix="pinproxy-"))
    try:
        daemon.chmod(0o755)
        command = ["sh", "-c", 'chmod 0 . && exec "$@"', "sh"]
        if os.geteuid() == 0:
            command += ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        run = subprocess.run([*command, shutil.copy(PINPROXYD, daemon), "-t", "-c", "-"], cwd=tmp_path / "cwd",
                             input=ini({NAME: {"listen": "unix:sock", "pin": PIN}}), text=True, capture_output=True)
    finally:
        shutil.rmtree(daemon)
    assert run.returncode == 0, (run.returncode, run.stderr)
