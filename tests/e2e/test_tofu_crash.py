"""verify = tofu: daemons that are killed or stopped, clients that go away, and several daemons."""

import fcntl
import signal
import threading

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME
from harness.clients import connect, try_exchange
from harness.learned import State, tofu
from harness.parallel import run_parallel
from harness.tls_connection import reset
from harness.waiting import DEADLINE, wait_steady, wait_until

MANY = [f"s{i}.test" for i in range(40)]


@pytest.mark.parametrize("after", [1, 10, 30])
def test_a_daemon_killed_during_many_first_uses_leaves_a_whole_file(after, state, pinproxyd, tls_server):
    """Every key that was logged as learned is in the file, and the next daemon starts with it."""
    server = tls_server()
    config = state.config({name: tofu(server) for name in MANY})
    daemon = pinproxyd(config)
    clients = [threading.Thread(target=try_exchange, args=(daemon.address(name),)) for name in MANY]
    for client in clients:
        client.start()
    wait_until(lambda: len(daemon.events(event="learned")) >= after, f"{after} first uses")
    daemon.process.kill()
    daemon.wait(-9)
    for client in clients:
        client.join(DEADLINE)
    stored = state.keys()
    assert {key.pin for key in stored} == {server.cert.pin}
    assert {event["section"] for event in daemon.events(event="learned")} <= {key.section for key in stored}
    daemon = pinproxyd(config)
    for name in MANY:
        assert_accepted(daemon, name)
    assert sorted(key.section for key in state.keys()) == sorted(MANY)


@pytest.mark.threads
def test_a_daemon_stopped_during_many_first_uses_exits_cleanly(state, pinproxyd, tls_server):
    """A first signal lets them finish, a second one ends them. The exit is clean."""
    server = tls_server()
    daemon = pinproxyd(state.config({name: tofu(server) for name in MANY}))
    clients = [threading.Thread(target=try_exchange, args=(daemon.address(name),)) for name in MANY]
    for client in clients:
        client.start()
    wait_until(lambda: daemon.events(event="learned"), "a first use")
    daemon.signal(signal.SIGTERM)
    daemon.signal(signal.SIGTERM)
    daemon.wait()
    for client in clients:
        client.join(DEADLINE)
    assert {event["section"] for event in daemon.events(event="learned")} <= {key.section for key in state.keys()}


@pytest.mark.parametrize("end", ["client", "timeout"])
def test_a_learned_key_is_logged_though_its_client_is_gone(end, state, pinproxyd, tls_server):
    """Another process holds the lock of the file until the client has left."""
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, handshake_timeout="1s" if end == "timeout" else "1h")}))
    with open(state.directory / "learned.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sock = connect(daemon.address(NAME))
        wait_until(lambda: server.conns and server.conns[0].handshake_done, "the handshake")
        if end == "client":
            reset(sock)
        daemon.wait_event(event="tunnel_close" if end == "client" else "upstream_error")
        sock.close()
    logged, stored = wait_steady(lambda: (daemon.events(event="learned"), state.keys()))
    assert [event["pin"] for event in logged] == [key.pin for key in stored]


@pytest.mark.threads
def test_clients_that_reset_during_their_first_use_harm_no_later_one(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({name: tofu(server) for name in MANY}))
    for name in MANY:
        reset(connect(daemon.address(name)))
    for name in MANY:
        assert_accepted(daemon, name)
    assert sorted(key.section for key in state.keys()) == sorted(MANY)


@pytest.mark.threads
def test_two_daemons_with_one_state_dir_lose_no_key(state, pinproxyd, tls_server):
    server = tls_server()
    daemons = [pinproxyd(state.config({name: tofu(server) for name in MANY[half::2]})) for half in (0, 1)]
    run_parallel([lambda name=name, daemon=daemons[i % 2]: assert_accepted(daemon, name) for i, name in enumerate(MANY)])
    assert sorted(key.section for key in state.keys()) == sorted(MANY)


def test_a_key_that_one_daemon_learned_is_checked_by_the_other(state, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    one, two = (pinproxyd(state.config({NAME: tofu(server)})) for _ in range(2))
    assert_accepted(one)
    server.use(certs.self_signed(tmp_path))
    assert_refused(two, "refused", "tofu_changed")


def test_a_reload_changes_the_state_dir(state, pinproxyd, tls_server, tmp_path):
    server, other = tls_server(), State(tmp_path / "other")
    daemon = pinproxyd(state.config({NAME: tofu(server)}))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path))
    daemon.reload(other.config({NAME: tofu(server)}))
    assert assert_accepted(daemon)["pin"] == server.cert.pin
    assert [key.pin for key in other.keys()] == [server.cert.pin]
    assert [key.pin for key in state.keys()] != [server.cert.pin]


def test_a_section_without_tofu_writes_nothing(state, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, verify="pin", pin=server.cert.pin)}))
    assert_accepted(daemon)
    daemon.stop()
    assert not state.file.exists() and not daemon.events(event="learned")
