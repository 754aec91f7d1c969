"""Descriptors: what dials may take, and what is left for others."""


import pytest

from harness import servers
from harness.assertions import assert_accepted
from harness.certs import NAME
from harness.clients import connect
from harness.config import to
from harness.waiting import wait_steady, wait_until

NOFILE = 512


def lose(daemon, section):
    """A client of a section that nobody answers for; closed by the caller."""
    return connect(daemon.address(section))


@pytest.fixture
def dead(stack):
    """Sixteen addresses that never answer."""
    return [stack.add(servers.FullBacklog()).address] * 16


def test_addresses_that_never_answer_do_not_use_up_the_descriptors(pinproxyd, tls_server, dead):
    server = tls_server()
    daemon = pinproxyd({"global": {"workers": 2, "drain_timeout": "100ms"}, NAME: to(server),
                        "dead.test": to(server, address=dead, connect_timeout="30s")}, nofile=NOFILE)
    before = daemon.fds()
    clients = [lose(daemon, "dead.test") for _ in range(60)]
    # each has its first attempt, and more are made as long as there is room for them
    wait_until(lambda: daemon.fds() >= before + 120, "the dials")
    most = wait_steady(lambda: daemon.fds() // 32)
    assert most * 32 < NOFILE // 2
    for _ in range(30):
        assert_accepted(daemon)
    assert not daemon.events(event="limit")
    for client in clients:
        client.close()


def test_the_default_max_connections_leaves_descriptors_for_every_client(pinproxyd, tls_server, dead):
    """Even if all of them wait for dead addresses."""
    server = tls_server()
    daemon = pinproxyd({"global": {"workers": 2, "drain_timeout": "100ms"}, NAME: to(server),
                        "dead.test": to(server, address=dead, connect_timeout="60s")}, nofile=NOFILE)
    clients = []
    for _ in range(NOFILE):
        clients.append(lose(daemon, "dead.test"))
        if len(clients) % 20 == 0 and daemon.events(event="limit"):
            break
    daemon.wait_event(event="limit", what="max_connections")
    wait_steady(lambda: daemon.fds() // 16)
    assert daemon.fds() > NOFILE // 2
    assert not daemon.events(event="limit", what="files")
    for client in clients:
        client.close()


def test_an_address_after_sixteen_that_never_answer_is_reached(pinproxyd, tls_server, dead):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, address=[*dead, server.address])})
    assert_accepted(daemon)
