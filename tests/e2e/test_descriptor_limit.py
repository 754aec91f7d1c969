"""Connection attempts do not use up the descriptors that tunnels need."""


import pytest

from harness import servers
from harness.assertions import assert_accepted
from harness.certs import NAME
from harness.clients import connect
from harness.config import to
from harness.waiting import wait_steady, wait_until

NOFILE = 512


def connect_unanswered(daemon, section):
    """Returns a client of a section whose upstream never answers. The caller closes it."""
    return connect(daemon.address(section))


@pytest.fixture
def unanswered(stack):
    """Sixteen addresses that never answer."""
    return [stack.add(servers.FullBacklog()).address] * 16


def test_addresses_that_never_answer_do_not_use_up_the_descriptors(pinproxyd, tls_server, unanswered):
    server = tls_server()
    daemon = pinproxyd({"global": {"workers": 2, "drain_timeout": "100ms"}, NAME: to(server),
                        "dead.test": to(server, address=unanswered, connect_timeout="30s")}, nofile=NOFILE)
    before = daemon.fds()
    clients = [connect_unanswered(daemon, "dead.test") for _ in range(60)]
    # each client makes its first attempt, and more while descriptors are left
    wait_until(lambda: daemon.fds() >= before + 120, "the dials")
    peak = wait_steady(lambda: daemon.fds() // 32)
    assert peak * 32 < NOFILE // 2
    for _ in range(30):
        assert_accepted(daemon)
    assert not daemon.events(event="limit")
    for client in clients:
        client.close()


def test_the_default_max_connections_leaves_descriptors_for_every_client(pinproxyd, tls_server, unanswered):
    """This holds even if all of them wait for addresses that never answer."""
    server = tls_server()
    daemon = pinproxyd({"global": {"workers": 2, "drain_timeout": "100ms"}, NAME: to(server),
                        "dead.test": to(server, address=unanswered, connect_timeout="60s")}, nofile=NOFILE)
    clients = []
    for _ in range(NOFILE):
        clients.append(connect_unanswered(daemon, "dead.test"))
        if len(clients) % 20 == 0 and daemon.events(event="limit"):
            break
    daemon.wait_event(event="limit", what="max_connections")
    wait_steady(lambda: daemon.fds() // 16)
    assert daemon.fds() > NOFILE // 2
    assert not daemon.events(event="limit", what="files")
    for client in clients:
        client.close()


def test_an_address_after_sixteen_that_never_answer_is_reached(pinproxyd, tls_server, unanswered):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, address=[*unanswered, server.address])})
    assert_accepted(daemon)
