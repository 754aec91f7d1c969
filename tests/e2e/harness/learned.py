"""Learned keys: their file, as the specification has it, and servers that announce pins."""

import re
from typing import NamedTuple, Optional

import pytest

from harness.assertions import SECRET, TELLING
from harness.certs import NAME
from harness.clients import REFUSED, knock, talk
from harness.config import to
from harness.waiting import wait_until

LINE = re.compile(
    r"(?P<section>\S+) (?P<place>\S+:\d+) (?P<pin>sha256//[A-Za-z0-9+/]{43}=) (?P<since>\d{4}-\d\d-\d\d)"
    r"(?: from=(?P<origin>tofu|pins_url))?(?: until=(?P<until>\d{4}-\d\d-\d\d))?(?P<refused> refused)?"
    r"(?: via=(?P<via>\S+))?(?: #.*)?")

DAY = 86400
PLACE = f"{NAME}:443"
FROM_URL = {"event": "learned", "from": "pins_url"}


class Key(NamedTuple):
    section: str
    place: str
    pin: str
    since: str
    origin: Optional[str]
    until: Optional[str]
    refused: bool
    via: Optional[str] = None


class State:
    """A state_dir. It is the daemon that makes it."""

    def __init__(self, directory):
        self.directory, self.file = directory, directory / "learned"

    def config(self, sections):
        return {"global": {"state_dir": self.directory}, **sections}

    def write(self, text):
        """As an editor does it: another file in its place."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        new = self.directory / "edited"
        new.write_bytes(text.encode() if isinstance(text, str) else text)
        new.chmod(0o600)  # whatever the umask
        new.rename(self.file)

    def text(self):
        return self.file.read_text() if self.file.exists() else ""

    def version(self):
        """Another whenever the file has been written or replaced. It may have been read: that moves its atime."""
        info = self.file.stat()
        return info.st_ino, info.st_mtime_ns, info.st_ctime_ns

    def keys(self, section=None):
        """In the order of the file. Fails on a line that is neither a key nor a comment, or not ended."""
        return parse(self.text(), section)

    def wait_refused(self, pin, section=NAME):
        """Noting may lag the log."""
        wait_until(lambda: [key.pin for key in self.keys(section) if key.refused] == [pin], f"{pin} noted as refused")


def parse(text, section=None):
    found = []
    assert not text or text.endswith("\n"), text
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            match = LINE.fullmatch(line)
            assert match, line
            found.append(Key(**{**match.groupdict(), "refused": bool(match["refused"])}))
    return [key for key in found if section in (None, key.section)]


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


def tofu(server, **options):
    """A section that keeps the key which it sees first."""
    return to(server, **{"verify": "tofu", "pin": None, **options})


def passes(daemon, section=NAME):
    """The tunnel_open event of a connection that was let through."""
    mark = daemon.mark()
    assert talk(daemon.address(section), b"hello") == b"hello"
    return daemon.wait_event(since=mark, event="tunnel_open", section=section)


def turned_away(daemon, event, reason=None, section=NAME):
    """The event of a connection that was refused."""
    mark = daemon.mark()
    assert knock(daemon.address(section), SECRET) == REFUSED
    line = daemon.wait_event(since=mark, event=lambda name: name in TELLING, section=section)
    assert line["event"] == event and reason in (None, line.get("reason")), line
    return line


def never_heard(server):
    """What clients of refused connections said did not get to the server."""
    server.stop()
    for conn in server.conns:
        assert SECRET not in conn.plaintext and SECRET not in conn.wire


def pkp(*pins, max_age=30 * DAY):
    """The value of a Public-Key-Pins field, of pins in the configuration's form."""
    words = [f'pin-sha256="{pin.removeprefix("sha256//")}"' for pin in pins]
    return "; ".join([*words, f"max-age={max_age}"])


def http(*fields, status="200 OK", body="pins"):
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", body]
    return "\r\n".join(head).encode()


class Announcer:
    """A behaviour: answers a GET with `answer`, and echoes whatever else comes."""

    def __init__(self, *pins, **options):
        self.requests = []
        self.announce(*pins, **options)

    def announce(self, *pins, **options):
        self.answer = http(f"Public-Key-Pins: {pkp(*pins, **options)}")

    def say(self, conn):
        conn.send(self.answer)
        conn.close_notify()

    def __call__(self, conn):
        data = conn.recv()
        if data.startswith(b"GET "):
            while b"\r\n\r\n" not in data:
                more = conn.recv()
                if not more:
                    return
                data += more
            self.requests.append(data.decode())
            self.say(conn)
            return
        while data:
            conn.send(data)
            data = conn.recv()
        conn.close_notify()
