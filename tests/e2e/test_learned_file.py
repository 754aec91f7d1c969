"""The file of learned keys: edited by hand, damaged, or impossible to write."""

import shutil
import time
from pathlib import Path

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_not_sent, assert_refused
from harness.certs import NAME, OTHER, day
from harness.clients import exchange
from harness.config import ini
from harness.daemon import Daemon, run_pinproxyd
from harness.learned import PLACE, State, parse, tofu
from harness.mount_namespace import in_mount_namespace
from harness.waiting import eventually


# A file edited by hand.

def test_a_line_removed_by_hand_has_an_effect_within_a_moment(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server), "other.test": tofu(server)}))
    assert_accepted(daemon)
    assert_accepted(daemon, "other.test")
    server.use(certs.self_signed(tmp_path))
    state.write("".join(line for line in state.text().splitlines(True) if not line.startswith(NAME)))
    assert eventually(assert_accepted, daemon)["pin"] == server.cert.pin
    assert_refused(daemon, "refused", "tofu_changed", "other.test")


def test_a_file_removed_by_hand_is_an_empty_one(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    state.file.unlink()
    server.use(certs.self_signed(tmp_path))
    assert eventually(assert_accepted, daemon)["pin"] == server.cert.pin
    assert [key.pin for key in state.keys()] == [server.cert.pin]


def test_a_key_added_by_hand_has_an_effect_within_a_moment(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    state.write(f"{NAME} {PLACE} {server.cert.pin} 2026-01-01\n")
    assert eventually(assert_accepted, daemon)["pin"] == server.cert.pin
    assert len(daemon.events(event="learned")) == 1


def assert_no_exchange(daemon):
    """A client that would end, which can be repeated until it is refused."""
    try:
        exchange(daemon.address(NAME), b"hello")
    except OSError:
        return
    raise AssertionError("the client was accepted")


def test_a_file_edited_in_place_is_read_again(state, pinproxyd, tls_server):
    """The file is not renamed and keeps its length."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    time.sleep(0.05)  # a time stamp is no finer than the kernel's tick
    text = state.text().replace(server.cert.pin, OTHER)
    with open(state.file, "r+") as file:
        file.write(text)
    eventually(assert_no_exchange, daemon)
    assert_refused(daemon, "refused", "tofu_changed")


@pytest.mark.parametrize("newline", ["\n", ""], ids=["", "no_newline_at_the_end"])
def test_comments_survive_later_writes(newline, state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server), "other.test": tofu(server)}))
    assert_accepted(daemon)
    mine = (f"# seen by phone, Anna\n\n{NAME} {PLACE} {server.cert.pin} {day(0)} from=tofu # checked\n"
            f"   # the last word{newline}")
    state.write(mine)
    assert_accepted(daemon)
    assert_accepted(daemon, "other.test")
    ended = mine if newline else mine + "\n"
    assert state.text() == ended + f"other.test other.test:443 {server.cert.pin} {day(0)} from=tofu\n"
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")
    state.wait_refused(server.cert.pin)
    assert state.text().startswith(ended)


# A damaged file.

GOOD = f"{NAME} {PLACE} {OTHER} 2026-01-01 from=tofu"
DAMAGES = {
    "one_word": "hello",
    "no_place": f"{NAME} {OTHER} 2026-01-01 from=tofu",
    "place_without_port": f"{NAME} {NAME} {OTHER} 2026-01-01 from=tofu",
    "place_with_a_bad_port": f"{NAME} {NAME}:70000 {OTHER} 2026-01-01 from=tofu",
    "short_pin": GOOD.replace("ihg= ", " "),
    "spare_bits": GOOD.replace("ihg= ", "ihh= "),
    "zero_pin": f"{NAME} {PLACE} sha256//{'A' * 43}= 2026-01-01 from=tofu",
    "sha1_pin": f"{NAME} {PLACE} sha1//2jmj7l5rSw0yVb/vlWAYkK/YBwk= 2026-01-01 from=tofu",
    "no_date": GOOD.replace(" 2026-01-01", ""),
    "no_such_day": GOOD.replace("2026-01-01", "2026-02-30"),
    "unknown_word": GOOD + " trusted",
    "unknown_origin": GOOD.replace("tofu", "mars"),
    "bad_until": GOOD + " until=soon",
    "cut_in_the_pin": GOOD[:60],
    "nul_byte": GOOD + " \0",
    "binary": "\x01\x02\x03\x04",
    "same_key_twice": f"{GOOD}\n{GOOD}",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.valgrind
def test_a_damaged_file_stops_the_start(damage, state, tls_server, tmp_path):
    text = f"# comment\nother.test other.test:443 {OTHER} 2026-01-01\n{DAMAGES[damage]}\n"
    state.write(text)
    number = text.count("\n")
    file = tmp_path / "pinproxyd.conf"
    file.write_text(ini(state.config({NAME: tofu(tls_server())})))
    run = run_pinproxyd("-c", file)
    assert run.returncode == 78, run.err
    assert f"{state.file}:{number}: " in run.err
    assert state.file.read_bytes() == text.encode()


def test_a_file_that_cannot_be_read_stops_the_start(state, tls_server, tmp_path):
    state.file.mkdir(parents=True)
    file = tmp_path / "pinproxyd.conf"
    file.write_text(ini(state.config({NAME: tofu(tls_server())})))
    run = run_pinproxyd("-c", file)
    assert run.returncode == 78, run.err
    assert str(state.file) in run.err


def test_a_reload_with_a_damaged_file_changes_nothing(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server), "other.test": tofu(server)}))
    assert_accepted(daemon)
    good, bad = state.text(), state.text() + "damage\n"
    state.write(bad)
    failed = daemon.reload(state.config({NAME: tofu(server, revoked=server.cert.pin)}), ok=False)
    assert f"{state.file}:2: " in failed["detail"]
    assert_accepted(daemon)
    assert state.text() == bad
    state.write(good)
    daemon.reload(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)


@pytest.mark.threads
def test_a_file_damaged_at_run_time_keeps_known_keys_and_is_not_overwritten(state, pinproxyd, tls_server, tmp_path):
    """Known keys still work, new ones are refused, and the file is not overwritten, so that it can be repaired."""
    server = tls_server()
    first = server.cert
    daemon = pinproxyd(state.config({NAME: tofu(server), "other.test": tofu(server)}))
    assert_accepted(daemon)
    good, bad = state.text(), state.text().replace("sha256//", "sha256/")
    state.write(bad)
    assert_accepted(daemon)
    assert_refused(daemon, "refused", "unsaved", "other.test")
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")
    assert state.text() == bad
    state.write(good)
    assert_accepted(daemon, "other.test")
    assert_refused(daemon, "refused", "tofu_changed")
    state.wait_refused(server.cert.pin)
    server.use(first)
    assert_accepted(daemon)
    assert_not_sent(server)


# A file that cannot be written.

def test_a_removed_state_dir_refuses_a_first_use(state, pinproxyd, tls_server):
    """A key that cannot be stored gets no byte."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    shutil.rmtree(state.directory)
    state.directory.write_text("a file in its place")
    line = assert_refused(daemon, "refused", "unsaved", server=server)
    assert str(state.directory) in line["detail"]
    assert not daemon.events(event="learned")


def test_a_full_disk_refuses_a_first_use_and_keeps_the_file(state, stack, tls_server, tmp_path):
    """On a file system of one page the first key fits and the second does not. The file stays whole."""
    server = tls_server()
    state.directory.mkdir()
    daemon = Daemon(tmp_path, state.config({NAME: tofu(server), "other.test": tofu(server)}))
    plain, script = daemon.command(), 'mount -t tmpfs -o size=4k,mode=700 none "$0" && exec "$@"'
    daemon.command = lambda: in_mount_namespace(script, state.directory, *plain, map_root=True)
    stack.add(daemon).start()
    assert_accepted(daemon)
    inside = State(Path(f"/proc/{daemon.pid}/root{state.directory}"))
    before = inside.text()
    assert parse(before)
    line = assert_refused(daemon, "refused", "unsaved", "other.test")
    assert "space" in line["detail"]
    assert inside.text() == before
    assert_accepted(daemon)
    assert [event["section"] for event in daemon.events(event="learned")] == [NAME]
    assert_not_sent(server)
