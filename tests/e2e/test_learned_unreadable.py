"""A user who may not read the learned keys can still check the other sections."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import certs
from harness.certs import NAME, OTHER
from harness.config import ini, to
from harness.daemon import PINPROXY
from harness.learned import PLACE, State, tofu
from harness.waiting import DEADLINE

NOBODY = 65534
OK, WARNING, CRITICAL, UNKNOWN, CONFIG = 0, 1, 2, 3, 78
PLAIN = "plain.test"


class OtherUser:
    """Another user, with the tool in a directory that this user can read except for the state in it."""

    def __init__(self, directory):
        self.directory = directory
        self.state = State(directory / "state")
        self.file = directory / "tool.conf"
        self.tool = shutil.copy(PINPROXY, directory)

    def configure(self, sections):
        self.file.write_text(ini(self.state.config(sections)))
        self.state.write(f"{NAME} {PLACE} {OTHER} 2026-01-01 from=tofu\n")
        if os.geteuid() != 0:
            self.state.directory.chmod(0)

    def run(self, *arguments, input=b""):
        other = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        done = subprocess.run([self.tool, *arguments, "-c", self.file], capture_output=True, timeout=DEADLINE,
                              cwd="/", input=input, **other)
        done.out, done.err = done.stdout.decode(), done.stderr.decode()
        assert done.returncode >= 0 and "ERROR: " not in done.err, done.err
        return done


@pytest.fixture
def other_user():
    directory = Path(tempfile.mkdtemp(prefix="pinproxy-"))
    directory.chmod(0o755)
    yield OtherUser(directory)
    if (directory / "state").exists():
        (directory / "state").chmod(0o700)
    shutil.rmtree(directory)


@pytest.fixture
def pins(tmp_path):
    return [certs.self_signed(tmp_path).pin for _ in range(2)]


def report_of(run, section):
    """Returns the first line that `check` prints for a section, and the lines after it."""
    lines = run.out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{section}:"))
    end = next((i for i in range(start + 1, len(lines)) if not lines[i].startswith(" ")), len(lines))
    return lines[start], " ".join(lines[start + 1:end])


@pytest.mark.parametrize("live", [(), ("--live",)], ids=["", "live"])
def test_sections_that_do_not_learn_are_checked(live, other_user, tls_server, pins):
    server = tls_server()
    other_user.configure({NAME: tofu(server), PLAIN: to(server, pin=[server.cert.pin, pins[0]])})
    run = other_user.run("check", *live)
    assert run.returncode == UNKNOWN, run.out + run.err
    assert report_of(run, PLAIN)[0] == f"{PLAIN}: ok"
    head, rest = report_of(run, NAME)
    assert head == f"{NAME}: unknown"
    assert "unknown: " in rest and "run as root or as the daemon's user" in rest and str(other_user.state.file) in rest
    server.stop()
    assert len(server.conns) == len(live)


def test_a_section_with_pins_url_is_unknown_too(other_user, tls_server):
    server = tls_server()
    other_user.configure({NAME: to(server, pins_url="/pins")})
    run = other_user.run("check")
    assert run.returncode == UNKNOWN and report_of(run, NAME)[0] == f"{NAME}: unknown"


def test_a_named_section_that_does_not_learn_is_ok(other_user, tls_server, pins):
    other_user.configure({NAME: tofu(tls_server()), PLAIN: to(tls_server(), pin=pins)})
    run = other_user.run("check", PLAIN)
    assert run.returncode == OK, run.out + run.err


def test_unknown_is_worse_than_a_warning_and_better_than_critical(other_user, tls_server, pins):
    server = tls_server()
    other_user.configure({NAME: tofu(server), "one.test": to(server)})
    assert other_user.run("check").returncode == UNKNOWN
    other_user.configure({NAME: tofu(server), "one.test": to(server), "bad.test": to(server, pin=pins)})
    assert other_user.run("check", "--live").returncode == CRITICAL


def test_json_contains_all_sections(other_user, tls_server, pins):
    other_user.configure({NAME: tofu(tls_server()), PLAIN: to(tls_server(), pin=pins)})
    run = other_user.run("check", "--json")
    assert run.returncode == UNKNOWN
    answer = json.loads(run.out)
    assert {one["section"]: one["status"] for one in answer["sections"]} == {NAME: "unknown", PLAIN: "ok"}


def test_a_configuration_error_is_still_critical(other_user, tls_server):
    other_user.configure({NAME: tofu(tls_server(), port="x")})
    run = other_user.run("check")
    assert run.returncode == CRITICAL and f"{other_user.file}:" in run.err


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["", "json"])
def test_learned_list_is_unknown(options, other_user, tls_server):
    other_user.configure({NAME: tofu(tls_server())})
    run = other_user.run("learned", "list", *options)
    assert run.returncode == UNKNOWN
    assert "unknown: " in run.err and "run as root or as the daemon's user" in run.err and not run.out


@pytest.mark.parametrize("action", [["forget", NAME], ["accept", NAME, OTHER]], ids=lambda words: words[0])
def test_learned_forget_and_accept_say_who_may_run_them(action, other_user, tls_server):
    other_user.configure({NAME: tofu(tls_server())})
    run = other_user.run("learned", *action)
    assert run.returncode == 1
    assert "run as root or as the daemon's user" in run.err


def test_connect_to_a_section_that_does_not_learn_works(other_user, tls_server):
    server = tls_server()
    other_user.configure({NAME: tofu(server), PLAIN: to(server)})
    run = other_user.run("connect", PLAIN, input=b"hello")
    assert run.returncode == OK, run.err
    assert run.stdout == b"hello"


def test_connect_to_a_section_that_learns_sends_nothing(other_user, tls_server):
    server = tls_server()
    other_user.configure({NAME: tofu(server)})
    run = other_user.run("connect", NAME, input=b"secret")
    assert run.returncode == CONFIG
    assert "run as root or as the daemon's user" in run.err
    server.stop()
    assert not server.conns
