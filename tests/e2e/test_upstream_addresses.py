"""The addresses of an upstream: several of them, names and families."""

import time

import pytest

from harness import servers
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME
from harness.clients import REFUSED, open_tunnel, try_connection, try_exchange
from harness.config import to
from harness.parallel import run_parallel
from harness.servers import closed_port
from harness.waiting import wait_until


@pytest.mark.valgrind
def test_the_next_address_is_tried_when_the_first_is_closed(pinproxyd, tls_server):
    server = tls_server()
    assert_accepted(pinproxyd({NAME: to(server, address=[f"127.0.0.1:{closed_port()}", server.address])}))


def test_the_next_address_is_tried_when_the_first_does_not_answer(pinproxyd, tls_server, stack):
    server, full = tls_server(), stack.add(servers.FullBacklog())
    assert_accepted(pinproxyd({NAME: to(server, address=[full.address, server.address])}))


def test_an_address_without_a_port_takes_the_port_of_the_section(pinproxyd, tls_server):
    server = tls_server()
    assert_accepted(pinproxyd({NAME: to(server, address="127.0.0.1", port=server.port)}))


def test_the_first_address_that_works_is_used(pinproxyd, tls_server, tmp_path):
    one = tls_server()
    two = tls_server(cert=one.cert)
    daemon = pinproxyd({NAME: to(one, address=[one.address, two.address])})
    for _ in range(4):
        assert_accepted(daemon)
    assert (len(one.conns), len(two.conns)) == (4, 0)


def test_the_next_address_is_not_tried_after_a_mismatch(pinproxyd, tls_server):
    """A mismatch is no failure to connect."""
    evil, good = tls_server(), tls_server()
    daemon = pinproxyd({NAME: to(good, address=[evil.address, good.address])})
    assert_refused(daemon, "pin_mismatch")
    assert not good.conns


def test_an_ipv6_address_is_reached(pinproxyd, tls_server):
    server = tls_server(host="::1")
    assert_accepted(pinproxyd({NAME: to(server)}))


def test_localhost_is_reached(pinproxyd, tls_server):
    server = tls_server()
    assert_accepted(pinproxyd({NAME: to(server, address=f"localhost:{server.port}")}))


def test_the_host_is_resolved_where_there_is_no_address(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({"upstream.test": to(server, address=None, port=server.port)},
                       names={"upstream.test": ["127.0.0.1"]})
    assert_accepted(daemon, "upstream.test")
    assert server.conns[0].sni == "upstream.test"


def test_all_addresses_of_a_name_are_tried(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({"multi.test": to(server, address=None, port=server.port)},
                       names={"multi.test": ["127.0.0.3", "127.0.0.2", "127.0.0.1", "::1"]})
    assert_accepted(daemon, "multi.test")


def test_the_next_address_is_tried_when_a_name_does_not_resolve(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, address=["nowhere.test:443", server.address])}, names={})
    assert_accepted(daemon)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_family_selects_the_addresses_of_a_name(family, pinproxyd, tls_server):
    four = tls_server()
    six = tls_server(cert=four.cert, host="::1", port=four.port)
    daemon = pinproxyd({"dual.test": to(four, address=None, port=four.port, family=family)},
                       names={"dual.test": ["127.0.0.1", "::1"]})
    assert_accepted(daemon, "dual.test")
    assert (len(four.conns), len(six.conns)) == ((1, 0) if family == "ipv4" else (0, 1))


def test_a_name_without_an_address_of_the_family_is_refused(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({"four.test": to(server, address=None, port=server.port, family="ipv6")},
                       names={"four.test": ["127.0.0.1"]})
    assert_refused(daemon, "upstream_error", "resolve", section="four.test")
    assert not server.conns


def test_bind_sets_the_source_address(pinproxyd, tls_server):
    server = tls_server()
    assert_accepted(pinproxyd({NAME: to(server, bind="127.0.0.2")}))
    assert server.conns[0].peer[0] == "127.0.0.2"


def test_the_daemon_starts_without_dns_and_serves_once_names_resolve(pinproxyd, tls_server):
    """Until then each client is refused, with the reason in the log."""
    server = tls_server()
    daemon = pinproxyd({"late.test": to(server, address=None, port=server.port, dns_ttl="100ms")}, names={})
    assert_refused(daemon, "upstream_error", "resolve", section="late.test")
    daemon.name_addresses({"late.test": ["127.0.0.1"]})

    wait_until(lambda: try_exchange(daemon.address("late.test")) == b"hello", "service once the name resolves")


def test_a_changed_address_is_used_after_dns_ttl(pinproxyd, tls_server):
    old = tls_server()
    new = tls_server(cert=old.cert, host="127.0.0.2", port=old.port)
    daemon = pinproxyd({"moving.test": to(old, address=None, port=old.port, dns_ttl="200ms")},
                       names={"moving.test": ["127.0.0.1"]})
    assert_accepted(daemon, "moving.test")
    daemon.name_addresses({"moving.test": ["127.0.0.2"]})

    def moved():
        assert_accepted(daemon, "moving.test")
        return new.conns
    wait_until(moved, "a connection to the new address")


def test_the_last_good_address_is_used_while_the_resolver_fails(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({"kept.test": to(server, address=None, port=server.port, dns_ttl="100ms")},
                       names={"kept.test": ["127.0.0.1"]})
    assert_accepted(daemon, "kept.test")
    daemon.name_addresses({})
    for _ in range(5):
        time.sleep(0.15)
        assert_accepted(daemon, "kept.test")


def test_a_name_that_does_not_resolve_does_not_delay_other_sections(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({"nowhere.test": {"listen": "127.0.0.1:0", "pin": server.cert.pin}, NAME: to(server)}, names={})
    clients = [lambda: try_connection(daemon.address("nowhere.test"))] * 50
    *outcomes, _ = run_parallel([*clients, lambda: assert_accepted(daemon)])
    assert outcomes == [REFUSED] * 50


def test_an_upstream_that_comes_back_is_reached_again(pinproxyd, tls_server):
    """An address that failed is tried again for the next client."""
    port = closed_port()
    first = tls_server()
    daemon = pinproxyd({NAME: to(first, address=f"127.0.0.1:{port}")})
    assert_refused(daemon, "upstream_error", "connect")
    tls_server(cert=first.cert, port=port)
    open_tunnel(daemon.address(NAME)).close()
