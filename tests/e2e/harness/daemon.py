"""Runs pinproxyd and reads its log; runs pinproxy."""

import json
import os
import re
import resource
import select
import shlex
import signal
import subprocess
import threading
import time
from pathlib import Path

from harness.config import ini
from harness.mount_namespace import in_mount_namespace
from harness.waiting import DEADLINE, PATIENCE

SRCDIR = Path(os.environ.get("PINPROXY_SRCDIR", Path(__file__).resolve().parents[3]))
PINPROXYD = os.path.abspath(os.environ.get("PINPROXYD", SRCDIR / "build" / "pinproxyd"))
PINPROXY = os.path.abspath(os.environ.get("PINPROXY", SRCDIR / "build" / "pinproxy"))
WRAPPER = shlex.split(os.environ.get("PINPROXY_WRAPPER", ""))

COMPLAINTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "ThreadSanitizer")

FIELD = re.compile(r'([A-Za-z0-9_.]+)=(?:"((?:[^"\\]|\\.)*)"|([^ "]*))(?: |$)')
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def instrumented():
    """Returns whether a wrapper or a sanitizer makes the memory use meaningless."""
    return bool(WRAPPER) or any(name in Path(PINPROXYD).read_bytes() for name in (b"__asan_init", b"__tsan_init"))


def parse_logfmt(line):
    """Returns the fields of a log line, or None if any part of it is not logfmt."""
    fields, at = {}, 0
    while at < len(line):
        match = FIELD.match(line, at)
        if not match:
            return None
        key, quoted, bare = match.groups()
        fields[key] = bare if quoted is None else re.sub(r'\\([ntr"\\])', lambda m: ESCAPES[m.group(1)], quoted)
        at = match.end()
    return fields if "event" in fields else None


def parse_line(line):
    if line.startswith("{"):
        try:
            return json.loads(line)
        except ValueError:
            return None
    return parse_logfmt(line)


def complaints(text):
    return [line for line in text.splitlines() if any(word in line for word in COMPLAINTS)]


def environment(extra=None):
    service = ("NOTIFY_SOCKET", "JOURNAL_STREAM", "INVOCATION_ID", "LISTEN_FDS")
    env = {key: value for key, value in os.environ.items() if key not in service}
    env.update(extra or {})
    return env


class Daemon:
    """A pinproxyd process. `config` is INI text or a dict for config.ini()."""

    def __init__(self, directory, config, *, nofile=None, names=None, nameserver=None, env=None):
        self.directory = Path(directory)
        self.file = self.directory / "pinproxyd.conf"
        self.write(config)
        self.nofile = nofile
        self.env = environment(env)
        self.hosts = None
        self.nameserver = nameserver  # its address
        if nameserver:
            names = names or {}
        if names is not None:
            self.hosts = self.directory / "hosts"
            self.name_addresses(names)
        self.lines = []
        self.rest = b""  # the beginning of a line
        self.changed = threading.Condition()
        self.process = None
        self.checked = False

    # configuration

    def write(self, config):
        self.file.write_text(config if isinstance(config, str) else ini(config))

    def name_addresses(self, names):
        """Replaces the daemon's /etc/hosts: {name: [address, ...]}. Writes in place, for the file is bind-mounted."""
        lines = [f"{address} {name}\n" for name, addresses in names.items() for address in addresses]
        self.hosts.write_text("".join(lines) + "\n")

    # life

    def command(self):
        command = WRAPPER + [PINPROXYD, "-c", str(self.file)]
        if self.hosts is None:
            return command
        # In its mount namespace /etc/hosts is the test's, and the only name server is the test's.
        resolv = self.directory / "resolv.conf"
        resolv.write_text(f"nameserver {self.nameserver}\noptions timeout:5 attempts:2\n" if self.nameserver
                          else "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        script = 'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
        return in_mount_namespace(script, self.hosts, resolv, *command)

    def launch(self):
        limits = None
        if self.nofile:
            limits = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile, self.nofile))
        self.process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=self.env, cwd=self.directory, preexec_fn=limits, bufsize=0)
        os.set_blocking(self.process.stderr.fileno(), False)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def start(self):
        self.launch()
        self.wait_event(event="start")
        return self

    def _read(self):
        poll = select.poll()
        poll.register(self.process.stderr, select.POLLIN)
        ended = False
        while not ended:
            poll.poll()
            with self.changed:
                ended = self._drain()
                self.changed.notify_all()

    def _drain(self):
        """Reads what is written so far. So no line is missed that was written before what a test saw elsewhere.

        The caller holds `changed`. Returns True at the end of the log."""
        data = None
        while self.process:
            data = self.process.stderr.read(1 << 16)
            if not data:
                break
            *lines, self.rest = (self.rest + data).split(b"\n")
            self.lines += lines
        if data is None:
            return False
        if self.rest:
            self.lines.append(self.rest)
            self.rest = b""
        return True

    @property
    def pid(self):
        return self.process.pid

    def signal(self, number):
        self.process.send_signal(number)

    def running(self):
        return self.process.poll() is None

    def wait(self, status=0):
        """Waits for the daemon to exit. Asserts its exit status and that no sanitizer complained."""
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the daemon did not end")
        finally:
            self.checked = True
            self.reader.join(DEADLINE)
        said = complaints(self.log())
        assert not said, said
        assert self.process.returncode == status, f"exit status {self.process.returncode}, not {status}"

    def stop(self):
        """Sends SIGTERM, and a second one if open tunnels delay the exit. Asserts exit status 0."""
        if self.checked or self.process is None:
            return
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(1.5 * PATIENCE)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGTERM)
        self.wait()

    def kill(self):
        """Kills the daemon if it still runs, as it may after a failed test."""
        if self.process and self.running():
            self.process.kill()
            self.process.wait()

    def reload(self, config=None, ok=True):
        """Sends SIGHUP. Returns the `reload` event, or with ok=False the `reload_failed` event."""
        if config is not None:
            self.write(config)
        mark = self.mark()
        self.signal(signal.SIGHUP)
        event = self.wait_event(event=lambda name: name in ("reload", "reload_failed"), since=mark)
        assert event["event"] == ("reload" if ok else "reload_failed"), event
        return event

    # log

    def mark(self):
        """Returns the current end of the log, for `since`."""
        with self.changed:
            self._drain()
            return len(self.lines)

    def log(self):
        with self.changed:
            self._drain()
            return b"\n".join(self.lines).decode(errors="backslashreplace")

    def events(self, since=0, **wanted):
        """Returns the events with the wanted fields. A wanted value may be a function of the field's value."""
        with self.changed:
            self._drain()
            lines = self.lines[since:]
        found = []
        for raw in lines:
            fields = parse_line(raw.decode(errors="backslashreplace"))
            if fields and all(_matches(fields.get(key), value) for key, value in wanted.items()):
                found.append(fields)
        return found

    def wait_event(self, since=0, deadline=DEADLINE, **wanted):
        """Waits for an event with the wanted fields and returns the first."""
        end = time.monotonic() + deadline
        while True:
            alive = self.running() or self.reader.is_alive()
            found = self.events(since, **wanted)
            if found:
                return found[0]
            assert alive, f"the daemon ended, status {self.process.poll()}, without {wanted}:\n{self.log()}"
            assert time.monotonic() < end, f"no event {wanted}"
            with self.changed:
                self.changed.wait(0.05)

    def address(self, section, nth=0):
        """Returns the address of a listener of the section, as the `listen` event has it."""
        return self.addresses(section)[nth]

    def addresses(self, section):
        return [event["address"] for event in self.events(event="listen", section=section)]

    # resources

    def anonymous_memory(self):
        """Returns the anonymous memory in bytes: exact, and without what is shared with files (proc(5))."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Anonymous:\s+(\d+) kB$", text, re.M).group(1)) * 1024

    def rss(self):
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) * 1024

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def _matches(value, wanted):
    if callable(wanted):
        return value is not None and wanted(value)
    return value is not None and str(value) == str(wanted)


def run_pinproxyd(*arguments, cwd=None, env=None, prefix=(), stdout=subprocess.PIPE):
    """Runs pinproxyd until it exits by itself: -t, -V, a broken configuration."""
    return run_program([*prefix, *WRAPPER, PINPROXYD, *map(str, arguments)], cwd=cwd, env=env, stdout=stdout)


def run_pinproxy(*arguments, cwd=None, env=None, input=None):
    return run_program([PINPROXY, *map(str, arguments)], cwd=cwd, env=env, input=input)


def run_program(command, cwd=None, env=None, input=None, stdout=subprocess.PIPE):
    """Returns the process with its output as text, in which bytes that are not UTF-8 are backslash escapes."""
    source = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, cwd=cwd, env=environment(env),
                          timeout=DEADLINE, **source)
    done.out = (done.stdout or b"").decode(errors="backslashreplace")
    done.err = done.stderr.decode(errors="backslashreplace")
    assert not complaints(done.err), done.err
    assert done.returncode >= 0, f"{command} died of signal {-done.returncode}\n{done.err}"
    return done
