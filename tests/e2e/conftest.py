"""Fixtures. What a test starts is stopped after it, and its log shown if the test is red."""

import os
import resource
import sys
import time

import pytest

sys.dont_write_bytecode = True
pytest.register_assert_rewrite("harness")  # a failed assertion there shows its values, as one in a test does

from harness import certs, servers
from harness.daemon import PINPROXY, PINPROXYD, Daemon
from harness.service_manager import Manager

LOG_LINES = 200


def pytest_configure(config):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft != resource.RLIM_INFINITY and soft < want:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))
    for binary in (PINPROXYD, PINPROXY):
        if not os.access(binary, os.X_OK):
            pytest.exit(f"{binary} is not there: build first, or set PINPROXYD and PINPROXY", 2)


def pytest_collection_modifyitems(config, items):
    if os.environ.get("PINPROXY_FAST") == "1":
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    time.sleep(0.5)  # what the daemons have to say about it may be on its way
    for daemon in getattr(item, "daemons", []):
        lines = daemon.log().splitlines()[-LOG_LINES:]
        report.sections.append((f"{daemon.file}", daemon.file.read_text(errors="backslashreplace")))
        report.sections.append((f"log of pid {daemon.process and daemon.process.pid}", "\n".join(lines)))


class Stack:
    """Stops what was started, last first; one failure does not spare the rest."""

    def __init__(self):
        self.things = []

    def add(self, thing):
        self.things.append(thing)
        return thing

    def stop(self):
        failure = None
        while self.things:
            try:
                self.things.pop().stop()
            except BaseException as error:
                failure = failure or error
        if failure:
            raise failure


@pytest.fixture
def stack():
    stack = Stack()
    yield stack
    stack.stop()


@pytest.fixture
def pinproxyd(request, tmp_path, stack):
    """Starts a daemon: pinproxyd({section: {key: value}}) or pinproxyd("INI text")."""
    request.node.daemons = []

    def start(config, wait=True, **options):
        directory = tmp_path / f"daemon{len(request.node.daemons)}"
        directory.mkdir()
        daemon = Daemon(directory, config, **options)
        request.node.daemons.append(daemon)
        stack.add(daemon)
        if wait:
            daemon.start()
        else:
            daemon.launch()
        return daemon

    yield start
    try:
        stack.stop()
    finally:
        for daemon in request.node.daemons:
            daemon.kill()


@pytest.fixture
def tls_server(tmp_path, stack):
    """Starts a TLS server; without a certificate it makes itself one."""
    def start(behave=servers.echo, cert=None, **options):
        return stack.add(servers.TlsServer(behave, cert or certs.self_signed(tmp_path), **options))
    return start


@pytest.fixture
def raw_server(stack):
    def start(behave, **options):
        return stack.add(servers.RawServer(behave, **options))
    return start


@pytest.fixture
def relay(stack):
    def start(target, first, pause=None):
        return stack.add(servers.Relay(target, first, pause))
    return start


@pytest.fixture
def gate(stack):
    return lambda target, first=0: stack.add(servers.Gate(target, first))


@pytest.fixture
def manager(tmp_path, stack):
    """A service manager, for env={"NOTIFY_SOCKET": manager.path}."""
    return stack.add(Manager(tmp_path / "notify"))


@pytest.fixture
def ca(tmp_path):
    return certs.CA(tmp_path)
