"""pinproxy learned, and the other commands of the tool in a section that learns."""

import json
import os

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_not_sent, assert_nothing_sent, assert_refused
from harness.certs import NAME, OTHER, day
from harness.clients import open_tunnel, ping, read_to_any_end
from harness.config import ini
from harness.daemon import run_pinproxy
from harness.learned import PLACE, Announcer, tofu
from harness.waiting import eventually

DONE, NOTHING, USAGE, TRUST, CONFIG = 0, 1, 2, 3, 78
OK, WARNING, CRITICAL = 0, 1, 2


@pytest.fixture
def file(tmp_path, state):
    """A configuration with the directory `state`, without a daemon."""
    path = tmp_path / "tool.conf"
    path.write_text(ini(state.config({NAME: {"listen": "127.0.0.1:0", "verify": "tofu"}})))
    return path


@pytest.fixture
def changed_key(state, pinproxyd, tls_server, tmp_path):
    """A daemon that has learned one key, and its server with another one."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    first = server.cert
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")
    state.wait_refused(server.cert.pin)
    return daemon, server, first


def learned(file, *arguments):
    return run_pinproxy("learned", *arguments, "-c", file)


SECOND = f"sha256//{'B' * 42}8="
FULL = (f"# by hand\n{NAME} {PLACE} {OTHER} 2026-03-04 from=tofu # checked\n"
        f"other.test [::1]:636 {OTHER} 2026-05-06 from=pins_url until=2031-07-08\n"
        f"{NAME} {PLACE} {SECOND} 2026-09-10 from=tofu refused # look\n")


# list

@pytest.mark.parametrize("text", [None, "", "# nothing but this\n"], ids=["no_file", "empty", "comment"])
def test_list_says_that_there_are_no_keys(text, file, state):
    if text is not None:
        state.write(text)
    run = learned(file, "list")
    assert run.returncode == DONE, run.err
    assert "no keys" in run.out
    run = learned(file, "list", "--json")
    assert run.returncode == DONE, run.err
    assert json.loads(run.out) == []


@pytest.mark.valgrind
def test_list_shows_every_field(file, state):
    state.write(FULL)
    run = learned(file, "list")
    assert run.returncode == DONE, run.err
    first, second, third = run.out.splitlines()[-3:]
    for line, data in ((first, [NAME, PLACE, OTHER, "2026-03-04", "tofu"]),
                        (second, ["other.test", "[::1]:636", OTHER, "2026-05-06", "pins_url", "2031-07-08"]),
                        (third, [NAME, SECOND, "2026-09-10", "refused"])):
        assert all(word in line for word in data), line
    assert "refused" not in first + second
    assert state.text() == FULL


def test_list_as_json_has_every_field(file, state):
    state.write(FULL)
    run = learned(file, "list", "--json")
    assert run.returncode == DONE, run.err
    first, second, third = json.loads(run.out)
    assert first == {"section": NAME, "place": PLACE, "pin": OTHER, "first_seen": "2026-03-04", "from": "tofu",
                     "refused": False}
    assert (second["from"], second["until"]) == ("pins_url", "2031-07-08")
    assert third["refused"] is True


def test_list_shows_what_the_daemon_learned(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    run = learned(daemon.file, "list")
    assert all(word in run.out for word in (NAME, PLACE, server.cert.pin, day(0), "tofu"))


@pytest.mark.parametrize("action", [["list"], ["forget", NAME], ["accept", NAME, OTHER]], ids=lambda action: action[0])
def test_a_damaged_file_is_reported_with_its_line_and_not_changed(action, file, state):
    state.write(FULL + "damage\n")
    run = learned(file, *action)
    assert run.returncode == CONFIG
    assert f"{state.file}:5: " in run.err
    assert state.text() == FULL + "damage\n"


# forget

@pytest.mark.valgrind
def test_forget_removes_only_the_keys_of_its_section(file, state):
    state.write(FULL)
    run = learned(file, "forget", NAME)
    assert run.returncode == DONE, run.err
    assert NAME in run.out
    lines = FULL.splitlines(True)
    assert state.text() == lines[0] + lines[2]


@pytest.mark.parametrize("action", ["forget", "accept"])
def test_forget_and_accept_change_nothing_without_a_file(action, file, state):
    state.directory.mkdir()
    run = learned(file, action, *([NAME, OTHER] if action == "accept" else [NAME]))
    assert run.returncode == NOTHING and NAME in run.err
    assert not state.file.exists()


@pytest.mark.parametrize("action", ["forget", "accept"])
def test_a_missing_directory_is_reported_with_its_option(action, file, state):
    """"No such file or directory" would not say which."""
    run = learned(file, action, *([NAME, OTHER] if action == "accept" else [NAME]))
    assert run.returncode == NOTHING
    assert str(state.directory) in run.err and "state_dir" in run.err and f"[{NAME}]" in run.err
    assert not state.directory.exists()


def test_forget_of_an_unknown_section_changes_nothing(file, state):
    state.write(FULL)
    run = learned(file, "forget", "nowhere.test")
    assert run.returncode == NOTHING
    assert "nowhere.test" in run.err
    assert state.text() == FULL


def test_forget_works_for_a_section_that_left_the_configuration(file, state):
    state.write(FULL)
    assert learned(file, "forget", "other.test").returncode == DONE
    assert [key.section for key in state.keys()] == [NAME, NAME]


def test_forget_makes_a_first_use_possible_again_within_a_moment(changed_key, state):
    daemon, server, _ = changed_key
    run = learned(daemon.file, "forget", NAME)
    assert run.returncode == DONE, run.err
    assert eventually(assert_accepted, daemon)["pin"] == server.cert.pin
    assert [(key.pin, key.refused) for key in state.keys()] == [(server.cert.pin, False)]


@pytest.mark.threads
def test_forget_closes_open_tunnels_where_on_pin_removed_is_close(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({
        NAME: tofu(server, on_pin_removed="close"), "staying.test": tofu(server, on_pin_removed="close"),
        "keeping.test": tofu(server)}))
    with open_tunnel(daemon.address(NAME)) as closing, open_tunnel(daemon.address("staying.test")) as staying, \
            open_tunnel(daemon.address("keeping.test")) as keeping:
        assert learned(daemon.file, "forget", NAME).returncode == DONE
        assert learned(daemon.file, "forget", "keeping.test").returncode == DONE
        closed = daemon.wait_event(event="tunnel_close", section=NAME)
        assert closed["reason"] == "pin_removed"
        assert read_to_any_end(closing)[0] == b""
        ping(staying)
        ping(keeping)
    daemon.stop()
    assert {event["section"] for event in daemon.events(event="tunnel_close", reason="pin_removed")} == {NAME}


# accept

@pytest.mark.valgrind
def test_accept_replaces_the_learned_key_by_the_refused_one(changed_key, state):
    daemon, server, first = changed_key
    run = learned(daemon.file, "accept", NAME, server.cert.pin)
    assert run.returncode == DONE, run.err
    assert NAME in run.out and server.cert.pin in run.out
    assert [(key.pin, key.origin, key.refused) for key in state.keys()] == [(server.cert.pin, "tofu", False)]
    assert eventually(assert_accepted, daemon)["pin"] == server.cert.pin
    server.use(first)
    assert_refused(daemon, "refused", "tofu_changed")


def test_accept_works_while_the_daemon_is_stopped(changed_key, state, pinproxyd):
    daemon, server, _ = changed_key
    daemon.stop()
    assert learned(daemon.file, "accept", NAME, server.cert.pin).returncode == DONE
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert assert_accepted(daemon)["pin"] == server.cert.pin
    assert not daemon.events(event="learned")


def test_accept_keeps_other_sections_and_comments(file, state):
    state.write(FULL)
    assert learned(file, "accept", NAME, SECOND).returncode == DONE
    lines = FULL.splitlines(True)
    assert state.text() == lines[0] + lines[2] + f"{NAME} {PLACE} {SECOND} {day(0)} from=tofu # look\n"


@pytest.mark.parametrize("section", ["other.test", "nowhere.test"], ids=["nothing_refused", "unknown"])
def test_accept_without_a_refused_key_changes_nothing(section, file, state):
    state.write(FULL)
    run = learned(file, "accept", section, SECOND)
    assert run.returncode == NOTHING
    assert section in run.err
    assert state.text() == FULL


def test_accept_takes_the_named_key_or_none(changed_key, state, tmp_path):
    """Another server has presented its key since the administrator read the log."""
    daemon, server, first = changed_key
    named = server.cert
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")
    state.wait_refused(server.cert.pin)
    before = state.text()
    run = learned(daemon.file, "accept", NAME, named.pin)
    assert run.returncode == NOTHING
    assert named.pin in run.err and server.cert.pin in run.err
    assert state.text() == before
    run = learned(daemon.file, "accept", NAME, first.pin)
    assert run.returncode == NOTHING and "already" in run.err
    assert state.text() == before


def test_accept_without_a_pin_says_what_to_do(changed_key, state):
    daemon, _, _ = changed_key
    before = state.text()
    run = learned(daemon.file, "accept", NAME)
    assert run.returncode == USAGE
    assert "PIN" in run.err and "learned list" in run.err
    assert state.text() == before


def test_accept_closes_tunnels_to_the_key_it_replaces(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, on_pin_removed="close")}))
    with open_tunnel(daemon.address(NAME)) as old:
        server.use(certs.self_signed(tmp_path))
        assert_refused(daemon, "refused", "tofu_changed")
        state.wait_refused(server.cert.pin)
        ping(old)
        assert learned(daemon.file, "accept", NAME, server.cert.pin).returncode == DONE
        assert daemon.wait_event(event="tunnel_close", section=NAME)["reason"] == "pin_removed"
    assert_accepted(daemon)


@pytest.mark.parametrize("action", ["forget", "accept"])
def test_the_file_keeps_its_owner(action, file, state):
    """Files that root creates in the directory of the daemon's user belong to that user."""
    owner = 65534 if os.geteuid() == 0 else os.geteuid()
    state.write(FULL)
    for path in (state.directory, state.file):
        os.chown(path, owner, -1)
    assert learned(file, action, *([NAME, SECOND] if action == "accept" else [NAME])).returncode == DONE
    assert {path.stat().st_uid for path in state.directory.iterdir()} == {owner}


# Calls.

@pytest.mark.parametrize("arguments", [
    [], ["lists"], ["list", NAME], ["forget"], ["accept"], ["forget", "a.test", "b.test"],
    ["accept", "a.test"], ["accept", "a.test", "b.test"], ["accept", NAME, "cert:sha256:" + "ab" * 32],
    ["accept", NAME, OTHER, OTHER], ["accept", NAME, f"{OTHER};{OTHER}"], ["forget", NAME, "--json"], ["list", "--no-such-option"], ["list", "-c"],
], ids=["nothing", "unknown", "list_what", "forget_what", "accept_what", "forget_two", "accept_which_key", "accept_two",
        "accept_certificate", "accept_two_keys", "accept_two_keys_in_one", "forget_as_json",
        "unknown_option", "c_without_file"])
def test_a_wrong_call_is_a_usage_error(arguments):
    run = run_pinproxy("learned", *arguments)
    assert run.returncode == USAGE, run.err
    assert run.err and not run.out


def test_help_names_every_action():
    run = run_pinproxy("learned", "--help")
    assert run.returncode == DONE
    assert all(word in run.out for word in ("list", "forget", "accept", "--json", "-c"))


@pytest.mark.parametrize("action", [["list"], ["forget", NAME], ["accept", NAME, OTHER]], ids=lambda action: action[0])
def test_a_configuration_error_is_reported(action, tmp_path):
    run = learned(tmp_path / "none.conf", *action)
    assert run.returncode == CONFIG and "none.conf" in run.err
    file = tmp_path / "bad.conf"
    file.write_text(f"[{NAME}]\npin = bad\n")
    run = learned(file, *action)
    assert run.returncode == CONFIG and f"{file}:2: " in run.err


# connect

def run_connect(file, data=b"hello"):
    return run_pinproxy("connect", "-c", file, NAME, input=data)


def configure(file, state, server, **options):
    file.write_text(ini(state.config({NAME: tofu(server, **options)})))


@pytest.mark.valgrind
def test_connect_learns_the_key_as_the_daemon_does(file, state, tls_server, tmp_path):
    server = tls_server()
    configure(file, state, server)
    run = run_connect(file)
    assert run.returncode == DONE, run.err
    assert run.stdout == b"hello"
    assert state.text() == f"{NAME} {PLACE} {server.cert.pin} {day(0)} from=tofu\n"
    assert run_connect(file).returncode == DONE
    assert len(state.keys()) == 1
    first = server.cert
    server.use(certs.self_signed(tmp_path))
    run = run_connect(file, b"secret")
    assert run.returncode == TRUST
    assert first.pin in run.err and server.cert.pin in run.err
    assert f"pinproxy learned accept {NAME} {server.cert.pin} -c {file}" in run.err
    state.wait_refused(server.cert.pin)
    assert_not_sent(server, b"secret")


def test_connect_and_the_daemon_share_their_keys(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert run_connect(daemon.file).returncode == DONE
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")
    assert_not_sent(server)


def test_connect_sends_nothing_when_the_key_cannot_be_stored(file, state, tls_server):
    server = tls_server()
    configure(file, state, server)
    state.directory.write_text("a file in its place")
    run = run_connect(file, b"secret")
    assert run.returncode != DONE and run.stdout == b""
    assert str(state.directory) in run.err
    assert_nothing_sent(server, b"secret")


# check

def check(file, *arguments):
    return run_pinproxy("check", "-c", file, "--live", *arguments)


def test_check_of_a_section_without_a_key_learns_nothing(file, state, tls_server):
    server = tls_server()
    configure(file, state, server)
    run = check(file)
    assert run.returncode == WARNING, run.out + run.err
    assert "the first connection stores the key" in run.out
    assert not state.file.exists()
    assert server.wait_done()[0].received == 0


def test_check_names_the_learned_key_that_matches(file, state, tls_server):
    server = tls_server()
    configure(file, state, server)
    assert run_connect(file).returncode == DONE
    before = state.text()
    run = check(file)
    assert run.returncode == OK, run.out + run.err
    assert f"pin {server.cert.pin} matches" in run.out and "learned" in run.out
    json.loads(check(file, "--json").out)
    assert state.text() == before


def test_check_of_a_changed_key_is_critical_and_notes_nothing(file, state, tls_server, tmp_path):
    server = tls_server()
    first = server.cert
    configure(file, state, server)
    assert run_connect(file).returncode == DONE
    before = state.text()
    server.use(certs.self_signed(tmp_path))
    run = check(file)
    assert run.returncode == CRITICAL, run.out + run.err
    assert first.pin in run.out and server.cert.pin in run.out
    assert state.text() == before


def test_connect_accepts_an_announced_pin(state, pinproxyd, tls_server, tmp_path):
    backup = certs.self_signed(tmp_path)
    server = tls_server(Announcer())
    server.behave.announce(server.cert.pin, backup.pin)
    daemon = pinproxyd(state.config({NAME: tofu(server, verify="pin", pin=server.cert.pin, pins_url="/pins")}))
    daemon.wait_event(event="learned", pin=backup.pin)
    daemon.stop()
    server.use(backup)
    run = run_connect(daemon.file)
    assert run.returncode == DONE, run.err
    assert run.stdout == b"hello"


def test_check_names_the_announced_pin_that_matches(state, pinproxyd, tls_server, tmp_path):
    backup = certs.self_signed(tmp_path)
    server = tls_server(Announcer())
    server.behave.announce(server.cert.pin, backup.pin)
    daemon = pinproxyd(state.config({NAME: tofu(server, verify="pin", pin=server.cert.pin, pins_url="/pins")}))
    daemon.wait_event(event="learned", pin=backup.pin)
    server.use(backup)
    run = check(daemon.file)
    assert run.returncode in (OK, WARNING), run.out + run.err
    assert f"pin {backup.pin} matches" in run.out


def test_check_of_a_damaged_file_is_critical(file, state, tls_server):
    configure(file, state, tls_server())
    state.write("damage\n")
    run = check(file)
    assert run.returncode == CRITICAL
    assert f"{state.file}:1: " in run.out + run.err
