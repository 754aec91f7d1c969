"""The directory of learned pins, and the files in it, are refused if other users can write them."""

import os

import pytest

from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME, OTHER
from harness.config import ini
from harness.daemon import run_pinproxy, run_pinproxyd
from harness.learned import PLACE, tofu
from harness.waiting import wait_until

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")


def create(state, name):
    (state.directory / name).touch(mode=0o600)


def file_mode(name, mode):
    def make_unsafe(state):
        create(state, name)
        (state.directory / name).chmod(mode)
    return make_unsafe


def file_owner(name):
    def make_unsafe(state):
        create(state, name)
        os.chown(state.directory / name, NOBODY, -1)
    return make_unsafe


def open_parent(state):
    """Other users could replace the directory."""
    state.directory.parent.chmod(0o777)


def link_that_others_can_move(state):
    """The directory itself is safe."""
    home = state.directory.parent / "home"
    state.directory.rename(home)
    shared = state.directory.parent / "shared"
    shared.mkdir()
    (shared / "link").symlink_to(home)
    shared.chmod(0o777)
    state.directory.symlink_to(shared / "link")


# case: (the name in the error, a function that makes the state unsafe)
UNSAFE = {
    "directory_for_all": ("", lambda state: state.directory.chmod(0o777)),
    "directory_for_the_group": ("", lambda state: state.directory.chmod(0o770)),
    "directory_with_the_sticky_bit": ("", lambda state: state.directory.chmod(0o1777)),
    "file_for_all": ("learned", file_mode("learned", 0o666)),
    "file_for_the_group": ("learned", file_mode("learned", 0o620)),
    "lock_for_all": ("learned.lock", file_mode("learned.lock", 0o666)),
    "new_file_for_all": ("learned.new", file_mode("learned.new", 0o602)),
    "parent_for_all": ("", open_parent),
    "link_that_others_can_move": ("", link_that_others_can_move),
}
OF_ANOTHER_USER = {
    "directory_of_another": ("", lambda state: os.chown(state.directory, NOBODY, -1)),
    "file_of_another": ("learned", file_owner("learned")),
    "lock_of_another": ("learned.lock", file_owner("learned.lock")),
}
CASES = [*UNSAFE, *(pytest.param(case, marks=needs_root) for case in OF_ANOTHER_USER)]


@pytest.fixture
def file(tmp_path, state):
    """A configuration with a safe directory."""
    (tmp_path / "var").mkdir(mode=0o755)
    state.directory = tmp_path / "var" / "state"
    state.file = state.directory / "learned"
    state.write(f"{NAME} {PLACE} {OTHER} 2026-01-01 from=tofu\n")
    path = tmp_path / "tool.conf"
    path.write_text(ini(state.config({NAME: {"listen": "127.0.0.1:0", "verify": "tofu"}})))
    return path


def make_unsafe(case, state):
    name, how = {**UNSAFE, **OF_ANOTHER_USER}[case]
    how(state)
    return str(state.directory / name)


@pytest.mark.parametrize("case", CASES)
def test_a_start_refuses_a_state_that_others_can_write(case, file, state):
    named = make_unsafe(case, state)
    run = run_pinproxyd("-c", file)
    assert run.returncode == 78, run.err
    assert named in run.err and "chmod go-w" in run.err
    assert "event=start" not in run.err


@pytest.mark.parametrize("case", CASES)
def test_a_reload_refuses_a_state_that_others_can_write(case, file, state, pinproxyd, tls_server):
    server = tls_server()
    state.write("")
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    named = make_unsafe(case, state)
    failed = daemon.reload(state.config({NAME: tofu(server, revoked=server.cert.pin)}), ok=False)
    assert named in failed["detail"] and "chmod go-w" in failed["detail"]
    assert_accepted(daemon)


@pytest.mark.parametrize("action", [["list"], ["forget", NAME], ["accept", NAME, OTHER]], ids=lambda words: words[0])
@pytest.mark.parametrize("case", [*UNSAFE, pytest.param("file_of_another", marks=needs_root)])
def test_the_tool_refuses_a_state_that_others_can_write(case, action, file, state):
    named, before = make_unsafe(case, state), state.text()
    run = run_pinproxy("learned", *action, "-c", file)
    assert run.returncode == 78, run.err
    assert named in run.err and not run.out
    assert state.text() == before


def test_check_refuses_a_state_that_others_can_write(file, state):
    named = make_unsafe("file_for_all", state)
    run = run_pinproxy("check", "-c", file)
    assert run.returncode == 2
    assert named in run.out + run.err


def test_a_file_that_others_can_write_is_not_read(file, state, pinproxyd, tls_server):
    """The running daemon keeps the keys that it has read, and writes nothing."""
    server = tls_server()
    state.write("")
    daemon = pinproxyd(state.config({NAME: tofu(server), "other.test": tofu(server)}))
    assert_accepted(daemon)
    state.file.chmod(0o666)
    with open(state.file, "r+") as file:
        file.write(state.text().replace(server.cert.pin, OTHER))
    event = daemon.wait_event(event="learned_failed")
    assert str(state.file) in event["detail"]
    assert_accepted(daemon)


def test_the_file_is_read_again_when_its_directory_is_safe_again(file, state, pinproxyd, tls_server):
    """A key that an administrator removed in the meantime is not accepted after the reload."""
    server = tls_server()
    state.write("")
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    wait_until(state.text, "the key is written")
    state.directory.chmod(0o777)
    state.write(state.text().replace(server.cert.pin, OTHER))
    daemon.wait_event(event="learned_failed")
    state.directory.chmod(0o700)
    daemon.reload()
    assert_refused(daemon, "refused", "tofu_changed")
    assert len(daemon.events(event="learned_failed")) == 1


def test_a_fifo_in_place_of_the_file_does_not_hang(file, state):
    state.file.unlink()
    os.mkfifo(state.file, 0o600)
    for run in (run_pinproxyd("-c", file), run_pinproxy("learned", "list", "-c", file)):
        assert run.returncode == 78, run.err
        assert str(state.file) in run.err


def test_a_fifo_in_place_of_the_lock_does_not_hang(file, state):
    os.mkfifo(state.directory / "learned.lock", 0o600)
    run = run_pinproxy("learned", "forget", NAME, "-c", file)
    assert run.returncode in (0, 1), run.err


def test_files_that_everyone_can_read_are_accepted(file, state, pinproxyd, tls_server):
    """Links of the same user, and a parent directory like /tmp, are accepted as well."""
    server = tls_server()
    state.write("")
    state.file.chmod(0o644)
    state.directory.chmod(0o755)
    home = state.directory.parent / "home"
    state.directory.rename(home)
    state.directory.symlink_to("home")
    state.directory.parent.chmod(0o1777)
    assert_accepted(pinproxyd(state.config({NAME: tofu(server)})))
    assert [key.pin for key in state.keys()] == [server.cert.pin]
