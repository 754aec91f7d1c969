"""The file of learned keys, and servers that announce pins."""

import re
from typing import NamedTuple, Optional

from harness.certs import NAME
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
    """A state_dir, which the daemon creates."""

    def __init__(self, directory):
        self.directory, self.file = directory, directory / "learned"

    def config(self, sections):
        return {"global": {"state_dir": self.directory}, **sections}

    def write(self, text):
        """Replaces the file by another one, as an editor does."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        new = self.directory / "edited"
        new.write_bytes(text.encode() if isinstance(text, str) else text)
        new.chmod(0o600)  # whatever the umask
        new.rename(self.file)

    def text(self):
        return self.file.read_text() if self.file.exists() else ""

    def version(self):
        """Returns a value that changes when the file is written or replaced, but not when it is read."""
        info = self.file.stat()
        return info.st_ino, info.st_mtime_ns, info.st_ctime_ns

    def keys(self, section=None):
        """Returns the keys in the order of the file. Fails on a line that is no key and no comment, or has no newline."""
        return parse(self.text(), section)

    def wait_refused(self, pin, section=NAME):
        """Waits until pin is the only key noted as refused. The file may be written after the log line."""
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


def tofu(server, **options):
    """Returns the options of a section that learns the key it sees first."""
    return to(server, **{"verify": "tofu", "pin": None, **options})


def with_pins_url(server, **options):
    """Returns the options of a section that asks its server for pins."""
    return to(server, **{"pins_url": "/pins", **options})


def pkp(*pins, max_age=30 * DAY):
    """Returns the value of a Public-Key-Pins field. The pins are written as in the configuration."""
    words = [f'pin-sha256="{pin.removeprefix("sha256//")}"' for pin in pins]
    return "; ".join([*words, f"max-age={max_age}"])


def http_response(*fields, status="200 OK", body="pins"):
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", body]
    return "\r\n".join(head).encode()


def wait_announced(daemon, pin, since=0, section=NAME):
    """Waits until the daemon has learned an announced pin. Returns the `learned` event."""
    return daemon.wait_event(since=since, pin=pin, section=section, **FROM_URL)


def wait_announcement_failed(daemon, section=NAME):
    """Waits for a `pins_url_failed` event of the section and returns it."""
    event = daemon.wait_event(event="pins_url_failed", section=section)
    assert event["level"] == "warning" and event["detail"]
    return event


def assert_nothing_learned(daemon, state):
    """Stops the daemon and asserts that it learned no key."""
    daemon.stop()
    assert state.keys() == [] and not daemon.events(event="learned")


class Announcer:
    """A behaviour of TlsServer: answers a GET with `answer`, and echoes anything else."""

    def __init__(self, *pins, **options):
        self.requests = []
        self.announce(*pins, **options)

    def announce(self, *pins, **options):
        self.answer = http_response(f"Public-Key-Pins: {pkp(*pins, **options)}")

    def send_answer(self, conn):
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
            self.send_answer(conn)
            return
        while data:
            conn.send(data)
            data = conn.recv()
        conn.close_notify()


class OpenAnnouncer(Announcer):
    """Answers, and leaves the connection open."""

    def send_answer(self, conn):
        conn.send(self.answer)
        conn.recv_all()
