"""verify = tofu: another key than the learned one is refused, and the log says what to do."""

import fcntl
import re
import shlex

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_not_sent, assert_refused
from harness.certs import NAME, OTHER, day
from harness.clients import try_exchange
from harness.daemon import PINPROXYD, WRAPPER, Daemon, run_pinproxy
from harness.learned import PLACE, tofu
from harness.parallel import run_parallel
from harness.waiting import eventually


def command_in(detail):
    """Returns the arguments of the command in a detail, as a shell splits them."""
    return shlex.split(re.search(r"pinproxy (learned accept .*)", detail)[1])


@pytest.mark.valgrind
def test_a_changed_key_is_refused_and_the_log_says_what_to_do(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    first = server.cert
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    line = assert_refused(daemon, "refused", "tofu_changed")
    assert first.pin in line["detail"] and server.cert.pin in line["detail"]
    assert f"pinproxy learned accept {NAME} {server.cert.pin} -c {daemon.file}" in line["detail"]
    assert line["level"] == "warning"
    state.wait_refused(server.cert.pin)
    assert [key.pin for key in state.keys() if not key.refused] == [first.pin]
    assert_not_sent(server)


def test_a_refused_key_stays_refused_and_the_first_stays_accepted(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    first = server.cert
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "refused", "tofu_changed")
    state.wait_refused(server.cert.pin)
    assert_refused(daemon, "refused", "tofu_changed")
    server.use(first)
    assert_accepted(daemon)
    assert len(state.keys()) == 2
    assert len(daemon.events(event="learned")) == 1


def test_the_latest_refused_key_is_recorded(state, pinproxyd, tls_server, tmp_path):
    """`accept` must take the key of the latest log line, and not an earlier one."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    second, third = certs.self_signed(tmp_path), certs.self_signed(tmp_path)
    for cert in (second, third, second):
        server.use(cert)
        assert_refused(daemon, "refused", "tofu_changed")
        state.wait_refused(cert.pin)
    assert len(state.keys()) == 2


def test_the_latest_refused_key_is_recorded_while_another_is_written(state, pinproxyd, tls_server, tmp_path):
    """Another process holds the lock of the file. `accept` would otherwise take the wrong key."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    with open(state.directory / "learned.lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for _ in range(3):
            server.use(certs.self_signed(tmp_path))
            assert_refused(daemon, "refused", "tofu_changed")
    state.wait_refused(server.cert.pin)


@pytest.mark.threads
def test_many_refused_keys_leave_one_record(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    for _ in range(20):
        server.use(certs.self_signed(tmp_path))
        run_parallel([lambda: try_exchange(daemon.address(NAME))] * 3)
    daemon.stop()
    assert len(daemon.events(event="tunnel_open")) == 1
    assert [key.refused for key in state.keys()] == [False, True]


def test_the_command_in_the_log_works(state, pinproxyd, tls_server, tmp_path):
    """It is run word for word, in the daemon's working directory."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    detail = assert_refused(daemon, "refused", "tofu_changed")["detail"]
    state.wait_refused(server.cert.pin)
    run = run_pinproxy(*command_in(detail), cwd=daemon.directory)
    assert run.returncode == 0, run.err
    assert eventually(assert_accepted, daemon)["pin"] == server.cert.pin


@pytest.mark.parametrize("name", ["$(id)", "a;b", "it's", "-x", "--json", "a&b>c"])
def test_the_command_in_the_log_is_safe_in_a_shell(name, state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(state.config({name: tofu(server, host="a.test")}))
    assert_accepted(daemon, name)
    server.use(certs.self_signed(tmp_path))
    detail = assert_refused(daemon, "refused", "tofu_changed", name)["detail"]
    state.wait_refused(server.cert.pin, name)
    run = run_pinproxy(*command_in(detail), cwd=daemon.directory)
    assert run.returncode == 0, run.err
    eventually(assert_accepted, daemon, name)


def test_the_command_in_the_log_names_the_file_as_the_daemon_does(state, stack, tls_server, tmp_path):
    server = tls_server()
    daemon = Daemon(tmp_path, state.config({NAME: tofu(server)}))
    daemon.command = lambda: WRAPPER + [PINPROXYD, "-c", "./pinproxyd.conf"]
    stack.add(daemon).start()
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    assert f"pinproxy learned accept {NAME} {server.cert.pin} -c ./pinproxyd.conf" in \
        assert_refused(daemon, "refused", "tofu_changed")["detail"]


def test_the_command_in_the_log_is_whole_however_long_the_path(state, stack, tls_server, tmp_path):
    deep = tmp_path / ("d" * 150) / ("e" * 150)
    deep.mkdir(parents=True)
    server = tls_server()
    daemon = stack.add(Daemon(deep, state.config({NAME: tofu(server)}))).start()
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    detail = assert_refused(daemon, "refused", "tofu_changed")["detail"]
    assert f"pinproxy learned accept {NAME} {server.cert.pin} -c {daemon.file}" in detail


def test_a_changed_key_is_compared_with_the_learned_one_and_not_an_announced_one(state, pinproxyd, tls_server):
    kept, announced = f"sha256//{'B' * 42}8=", f"sha256//{'C' * 42}8="
    state.write(f"{NAME} {PLACE} {announced} 2026-01-01 from=pins_url until={day(9)}\n"
                f"{NAME} {PLACE} {kept} 2026-01-02 from=tofu\n")
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, pins_url="/pins")}))
    detail = assert_refused(daemon, "refused", "tofu_changed")["detail"]
    assert kept in detail and server.cert.pin in detail
    assert_not_sent(server)


def test_a_key_recorded_as_refused_is_refused(state, pinproxyd, tls_server):
    server = tls_server()
    state.write(f"{NAME} {PLACE} {OTHER} 2026-01-01 from=tofu\n"
                f"{NAME} {PLACE} {server.cert.pin} 2026-01-02 from=tofu refused\n")
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_refused(daemon, "refused", "tofu_changed", server=server)
