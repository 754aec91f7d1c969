"""The fixtures. They stop everything that a test started, and show the logs of the daemons of a failed test."""

import os
import resource
import sys
import time

import pytest

sys.dont_write_bytecode = True
pytest.register_assert_rewrite("harness")  # a failed assertion there shows its values, as one in a test does

from harness import carriers, certs, servers
from harness.certs import NAME
from harness.clock import Clock
from harness.config import ini
from harness.config_errors import placeholders
from harness.daemon import PINPROXY, PINPROXYD, Daemon, run_pinproxy
from harness.learned import Announcer, State, wait_announced, with_pins_url
from harness.openssl import openssl_version
from harness.revocation import StaplingServer
from harness.service_manager import ServiceManager

LOG_LINES = 200


def pytest_configure(config):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft != resource.RLIM_INFINITY and soft < want:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))
    for binary in (PINPROXYD, PINPROXY):
        if not os.access(binary, os.X_OK):
            pytest.exit(f"{binary} is not there: build first, or set PINPROXYD and PINPROXY", 2)


def deselect(config, items, marker):
    chosen = [item for item in items if item.get_closest_marker(marker)]
    config.hook.pytest_deselected(items=chosen)
    items[:] = [item for item in items if item not in chosen]


def pytest_collection_modifyitems(config, items):
    if openssl_version() < (3, 2):
        deselect(config, items, "raw_keys")
    if os.environ.get("PINPROXY_FAST") == "1":
        deselect(config, items, "slow")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    time.sleep(0.5)  # the daemons may still write about it
    for daemon in getattr(item, "daemons", []):
        lines = daemon.log().splitlines()[-LOG_LINES:]
        report.sections.append((f"{daemon.file}", daemon.file.read_text(errors="backslashreplace")))
        report.sections.append((f"log of pid {daemon.process and daemon.process.pid}", "\n".join(lines)))


class Stack:
    """Stops what was started, the last first. Stops the rest even if one stop fails."""

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
    """Starts a TLS server: tls_server(behaviour, certificate). Without a certificate it has a self-signed one."""
    def start(behave=servers.echo, cert=None, **options):
        return stack.add(servers.TlsServer(behave, cert or certs.self_signed(tmp_path), **options))
    return start


@pytest.fixture
def clock(tmp_path):
    """A time of day for daemons that are started with env=clock.env."""
    return Clock(tmp_path)


@pytest.fixture
def raw_server(stack):
    def start(behave, **options):
        return stack.add(servers.RawServer(behave, **options))
    return start


@pytest.fixture(params=carriers.CARRIERS)
def carrier(request, tmp_path):
    """A carrier. The test runs once over each of them."""
    return carriers.CARRIERS[request.param](tmp_path)


@pytest.fixture
def carried(carrier, stack, tmp_path):
    """Starts a TLS server behind the carrier: carried(behaviour, certificate)."""
    def start(behave=servers.echo, cert=None, **options):
        return stack.add(carrier.start(servers.TlsServer, behave, cert or certs.self_signed(tmp_path), **options))
    return start


@pytest.fixture
def relay(stack):
    """Starts a relay before a server, which holds back what the server answers."""
    return lambda target, first=0, pause=None: stack.add(servers.Relay(target, first, pause))


@pytest.fixture
def stapling_server(stack):
    """Starts `openssl s_server` with a stapled OCSP response: stapling_server(certificate, response, "2" or "3")."""
    return lambda *arguments: stack.add(StaplingServer(*arguments))


@pytest.fixture
def service_manager(tmp_path, stack):
    """A service manager, for env={"NOTIFY_SOCKET": service_manager.path}."""
    return stack.add(ServiceManager(tmp_path / "notify"))


@pytest.fixture(params=["tcp", "unix"])
def listen(request, tmp_path):
    """A value of the option `listen`. The test runs once for each kind of socket."""
    return "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/sock"


@pytest.fixture
def ca(tmp_path):
    """A root CA."""
    return certs.CA(tmp_path)


@pytest.fixture
def inner(ca, tmp_path):
    """An intermediate CA below `ca`. Its servers send its certificate."""
    return certs.CA(tmp_path, "Inner Authority", parent=ca)


@pytest.fixture
def backup(tmp_path):
    """A second certificate, for a pin that is not in use yet."""
    return certs.self_signed(tmp_path)


@pytest.fixture
def state(tmp_path):
    """A state_dir, for state.config(sections)."""
    return State(tmp_path / "state")


@pytest.fixture
def announcer(tls_server, backup):
    """A server that announces its own key and that of `backup`."""
    server = tls_server(Announcer())
    server.behave.announce(server.cert.pin, backup.pin)
    return server


@pytest.fixture
def learned_daemon(state, pinproxyd, announcer, backup):
    """A daemon that has learned the pin of `backup` from `announcer`."""
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer)}))
    daemon.first_pin = announcer.cert.pin
    wait_announced(daemon, backup.pin)
    return daemon


@pytest.fixture
def expand(tmp_path):
    """Replaces the placeholders of harness/config_errors.py in a text."""
    values = placeholders(tmp_path)

    def expand(text):
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        return text
    return expand


@pytest.fixture
def check(tmp_path):
    """Runs `pinproxy check` on a configuration: check({section: options}, "--live")."""
    def check(config, *arguments):
        path = tmp_path / "check.conf"
        path.write_text(config if isinstance(config, str) else ini(config))
        return run_pinproxy("check", "-c", path, *arguments)
    return check
