"""A log that nobody reads, or that cannot be written, does not stop the daemon."""

import fcntl
import os
import pty
import resource
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from harness.assertions import assert_accepted
from harness.certs import NAME
from harness.clients import exchange, try_exchange
from harness.config import ini, to
from harness.daemon import PINPROXYD, WRAPPER, environment, parse_line
from harness.servers import closed_port
from harness.waiting import DEADLINE, wait_until

SECTIONS = 200  # the number of lines for each SIGUSR1


class LogReader:
    """The reading end of the log. It reads only when it is asked to."""

    def __init__(self, fd):
        self.fd, self.rest, self.events = fd, b"", []
        os.set_blocking(fd, False)

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                data = os.read(self.fd, 1 << 16)
            except OSError:  # the other end of a terminal is closed
                return self.events
            if not data:
                break
            *lines, self.rest = (self.rest + data.replace(b"\r", b"")).split(b"\n")
            parsed = [parse_line(line.decode()) for line in lines]
            assert None not in parsed, f"not a whole line: {lines[parsed.index(None)]!r}"
            self.events += parsed
        return self.events

    def named(self, name):
        return [event for event in self.read() if event["event"] == name]

    def address(self):
        return wait_until(lambda: [e for e in self.named("listen") if e["section"] == NAME],
                          "the listener")[0]["address"]


def pipe(_):
    return os.pipe()


def blocking_socket(_):
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def terminal(_):
    return pty.openpty()


def fifo(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    ours = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    return ours, os.open(path, os.O_WRONLY)


def config(server, **settings):
    sections = {f"s{i}.test": to(server) for i in range(SECTIONS)}
    return {"global": settings, NAME: to(server), **sections}


@pytest.fixture
def launch(tmp_path):
    """Starts a daemon with a descriptor as its standard error."""
    processes = []

    def start(settings, stderr, **options):
        file = tmp_path / f"{len(processes)}.conf"
        file.write_text(ini(settings))
        process = subprocess.Popen(WRAPPER + [PINPROXYD, "-c", str(file)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=stderr, env=environment(), **options)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def log_much(process, rounds=60):
    """Makes the daemon log much more than the pipe and the queue hold. Signals may be merged."""
    for _ in range(rounds):
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.02)


@pytest.mark.threads
@pytest.mark.parametrize("channel", [pipe, blocking_socket, terminal, fifo])
def test_a_log_that_nobody_reads_stops_nothing(channel, launch, tls_server, tmp_path):
    ours, theirs = channel(tmp_path)
    flags = fcntl.fcntl(theirs, fcntl.F_GETFL)
    process = launch(config(tls_server()), theirs)
    log = LogReader(ours)
    address = log.address()
    wait_until(lambda: log.named("start"), "the start")
    log_much(process)
    for _ in range(50):
        assert exchange(address, b"hello") == b"hello"
    assert fcntl.fcntl(theirs, fcntl.F_GETFL) == flags, "others may share this descriptor"
    # when the log is read again, missing lines are counted at once, and then all is as before
    wait_until(lambda: log.named("log_dropped"), "the count of dropped lines")
    dropped = log.named("log_dropped")[0]
    assert dropped["level"] == "warning" and int(dropped["count"]) > 0
    assert exchange(address, b"hello") == b"hello"
    before = len(log.events)
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload" in [event["event"] for event in log.read()[before:]], "the reload")
    process.terminate()
    wait_until(lambda: log.named("stop"), "the stop")
    assert process.wait(DEADLINE) == 0
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("channel", [pipe, blocking_socket, terminal])
def test_sigterm_stops_a_daemon_whose_log_nobody_reads(channel, launch, tls_server, tmp_path):
    ours, theirs = channel(tmp_path)
    process = launch(config(tls_server()), theirs)
    log = LogReader(ours)
    wait_until(lambda: log.named("start"), "the start")
    log_much(process)
    process.send_signal(signal.SIGHUP)
    process.terminate()
    assert process.wait(DEADLINE) == 0
    os.close(ours)
    os.close(theirs)


def test_a_full_disk_stops_nothing(launch, tls_server):
    """/dev/full accepts no line. The ports are fixed, because the log cannot show them."""
    port = closed_port()
    with open("/dev/full", "wb") as full:
        process = launch({NAME: to(tls_server(), listen=f"127.0.0.1:{port}")}, full)
    wait_until(lambda: try_exchange(f"127.0.0.1:{port}") == b"hello", "the daemon")
    process.terminate()
    assert process.wait(DEADLINE) == 0


def test_a_log_reader_that_went_away_stops_nothing(launch, tls_server):
    ours, theirs = os.pipe()
    process = launch({NAME: to(tls_server())}, theirs)
    log = LogReader(ours)
    address = log.address()
    os.close(ours)
    for _ in range(10):
        assert exchange(address, b"hello") == b"hello"
    process.terminate()
    assert process.wait(DEADLINE) == 0
    os.close(theirs)


def test_a_log_file_has_every_line_when_the_daemon_exited(launch, tls_server, tmp_path):
    with open(tmp_path / "log", "wb") as file:
        process = launch(config(tls_server()), file)
    read = lambda: [parse_line(line) for line in (tmp_path / "log").read_text().splitlines()]
    wait_until(lambda: "start" in [event["event"] for event in read() if event], "the start")
    process.terminate()
    assert process.wait(DEADLINE) == 0
    events = [event["event"] for event in read()]
    assert events[-1] == "stop" and events.count("listen") == SECTIONS + 1


def test_a_log_file_that_is_too_large_stops_nothing(launch, tls_server, tmp_path):
    """RLIMIT_FSIZE would kill the daemon by a signal."""
    port = closed_port()
    with open(tmp_path / "log", "wb") as file:
        process = launch({NAME: to(tls_server(), listen=f"127.0.0.1:{port}")}, file,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)))
    wait_until(lambda: "event=start" in (tmp_path / "log").read_text(), "the start")
    for _ in range(30):
        assert exchange(f"127.0.0.1:{port}", b"hello") == b"hello"
    process.send_signal(signal.SIGUSR1)
    assert exchange(f"127.0.0.1:{port}", b"hello") == b"hello"
    process.terminate()
    assert process.wait(DEADLINE) == 0
    assert (tmp_path / "log").stat().st_size == 4096


def test_a_service_manager_that_does_not_read_stops_nothing(pinproxyd, tls_server, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        daemon = pinproxyd({NAME: to(tls_server())}, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        holds = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())
        for done in range(1, holds // 2 + 10):  # a reload is two messages
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: len(daemon.events(event="reload")) == done, "the reload")
        assert_accepted(daemon)
        daemon.stop()
