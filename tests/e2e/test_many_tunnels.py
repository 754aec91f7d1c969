"""Many tunnels, and more than the limits permit."""

import resource
import time

import pytest

from harness import certs
from harness.certs import NAME
from harness.clients import REFUSED, connect, exchange, open_tunnel, ping, read_all, read_exactly, try_connection
from harness.config import to
from harness.daemon import instrumented
from harness.parallel import run_parallel
from harness.waiting import DEADLINE, wait_until


@pytest.mark.threads
def test_500_tunnels_work_at_once(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({"global": {"workers": 4}, NAME: to(server)})
    clients = [connect(daemon.address(NAME)) for _ in range(500)]
    for i, client in enumerate(clients):
        client.sendall(f"I am client {i:04d}. ".encode() * 50)
    for i, client in enumerate(clients):
        assert read_exactly(client, 18 * 50) == f"I am client {i:04d}. ".encode() * 50
    for i, client in enumerate(clients):
        ping(client, b"again %d" % i)
        client.shutdown(1)
    for client in clients:
        assert read_all(client) == b""
        client.close()
    wait_until(lambda: len(daemon.events(event="tunnel_close")) == 500, "500 tunnels closed")


@pytest.mark.threads
def test_clients_that_come_and_go_are_served_by_all_workers(pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"workers": 4}, NAME: to(tls_server())})

    def visit(who):
        for i in range(25):
            data = f"{who}.{i};".encode() * 200
            assert exchange(daemon.address(NAME), data) == data

    run_parallel([lambda who=who: visit(who) for who in range(8)])
    wait_until(lambda: len(daemon.events(event="tunnel_close", reason="ok")) == 200, "200 tunnels closed")


def test_a_client_beyond_the_global_limit_waits(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({"global": {"max_connections": 2}, NAME: to(server)})
    first, second = open_tunnel(daemon.address(NAME)), open_tunnel(daemon.address(NAME))
    waiting = connect(daemon.address(NAME))
    waiting.sendall(b"let me in")
    waiting.settimeout(0.5)
    with pytest.raises(TimeoutError):
        waiting.recv(1)
    assert len(server.conns) == 2
    daemon.wait_event(event="limit", what="max_connections")
    first.close()
    waiting.settimeout(DEADLINE)
    assert read_exactly(waiting, 9) == b"let me in"
    ping(second)
    waiting.close()
    second.close()


def test_clients_beyond_the_global_limit_are_all_served_in_time(pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"max_connections": 3, "workers": 2}, NAME: to(tls_server())})
    answers = run_parallel([lambda i=i: exchange(daemon.address(NAME), b"%d" % i) for i in range(30)])
    assert answers == [b"%d" % i for i in range(30)]


def test_a_client_beyond_a_sections_limit_is_reset(pinproxyd, tls_server):
    server, other = tls_server(), tls_server()
    daemon = pinproxyd({NAME: to(server, max_connections=1), "other.test": to(other)})
    first = open_tunnel(daemon.address(NAME))
    assert try_connection(daemon.address(NAME)) == REFUSED
    daemon.wait_event(event="limit", what="max_connections", section=NAME)
    ping(first)
    exchange(daemon.address("other.test"), b"not concerned")
    first.close()
    wait_until(lambda: daemon.events(event="tunnel_close", section=NAME), "the first tunnel's end")
    open_tunnel(daemon.address(NAME)).close()
    assert len(server.conns) == 2


def test_limit_is_logged_once_a_second_at_most(pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server(), max_connections=1)})
    first = open_tunnel(daemon.address(NAME))
    for _ in range(100):
        try_connection(daemon.address(NAME))
    first.close()
    daemon.stop()
    seconds = [event["time"][:19] for event in daemon.events(event="limit")]
    assert seconds
    assert len(seconds) <= 2 * len(set(seconds))


def test_the_daemon_recovers_from_a_shortage_of_descriptors(pinproxyd, tls_server):
    """The limit falls while the daemon runs. It refuses new clients and keeps open tunnels."""
    daemon = pinproxyd({NAME: to(tls_server())})
    tunnels = [open_tunnel(daemon.address(NAME)) for _ in range(3)]
    hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (daemon.fds() + 1, hard))
    more_clients = connect_many(daemon, 40)
    daemon.wait_event(event="limit", what="files")
    for tunnel in tunnels:
        ping(tunnel, b"still here")
    for client in more_clients:
        client.close()
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (hard, hard))
    wait_until(lambda: is_served(daemon), "service after the shortage")
    for tunnel in tunnels:
        ping(tunnel, b"still here")
        tunnel.close()


def test_the_daemon_recovers_when_no_descriptor_is_left(pinproxyd, tls_server):
    """Waiting clients are served when others have left."""
    daemon = pinproxyd({NAME: to(tls_server())})
    tunnels = [open_tunnel(daemon.address(NAME)) for _ in range(4)]
    hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (daemon.fds(), hard))
    outside = connect_many(daemon, 5)
    daemon.wait_event(event="limit", what="files")
    ping(tunnels[0])
    for tunnel in tunnels[1:]:
        tunnel.close()
    for client in outside:
        client.close()
    wait_until(lambda: is_served(daemon), "service after others have left")
    ping(tunnels[0])
    tunnels[0].close()


def test_a_low_descriptor_limit_makes_clients_wait_and_loses_none(pinproxyd, tls_server):
    """With max_connections = 0 the limit comes from RLIMIT_NOFILE."""
    daemon = pinproxyd({"global": {"workers": 1}, NAME: to(tls_server())}, nofile=96)

    def ping_twice(i):
        with connect(daemon.address(NAME)) as client:
            ping(client, b"%04d" % i)
            time.sleep(0.02)
            ping(client, b"%04d" % i)
            return i

    answers = run_parallel([lambda i=i: ping_twice(i) for i in range(120)])
    assert answers == list(range(120))


def connect_many(daemon, count):
    """Returns connections. Some more may be refused at once."""
    more_clients = []
    for _ in range(count):
        try:
            more_clients.append(connect(daemon.address(NAME)))
        except ConnectionResetError:
            pass
    return more_clients


def is_served(daemon):
    try:
        with connect(daemon.address(NAME), timeout=2) as client:
            ping(client)
            return True
    except (OSError, AssertionError):
        return False


def test_refused_clients_do_not_count_against_the_limit(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd({"global": {"max_connections": 2}, "bad.test": to(server, pin=certs.self_signed(tmp_path).pin),
                        NAME: to(server)})
    for _ in range(10):
        try_connection(daemon.address("bad.test"))
    assert exchange(daemon.address(NAME), b"served") == b"served"


def test_memory_of_closed_tunnels_is_given_back(pinproxyd, tls_server):
    """Many tunnels one after another take no more memory than a few."""
    daemon = pinproxyd({"global": {"workers": 1}, NAME: to(tls_server())})

    def visits(count):
        for _ in range(count):
            exchange(daemon.address(NAME), b"x" * 100_000)
        return daemon.rss()

    before = visits(50)
    after = visits(300)
    if not instrumented():
        assert after - before < 300 * 4096
