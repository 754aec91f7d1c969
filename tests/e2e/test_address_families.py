"""Names with addresses of both families (RFC 8305), and addresses that did not connect lately."""

import time

import pytest

from harness.assertions import assert_accepted
from harness.certs import NAME
from harness.clients import try_exchange
from harness.config import to
from harness.nameserver import A, AAAA, NameServer
from harness.servers import FullBacklog, closed_port


class Both:
    """A name with a server in each family, on one port."""

    def __init__(self, tls_server, stack, name="both.test"):
        self.name = name
        self.four = tls_server()
        self.six = tls_server(cert=self.four.cert, host="::1", port=self.four.port)
        self.dns = stack.add(NameServer({name: ["127.0.0.1", "::1"]}))

    def section(self, **settings):
        # a look-up that waits for a question without an answer takes longer than connect_timeout
        return {self.name: {"listen": "127.0.0.1:0", "port": self.four.port, "pin": self.four.cert.pin,
                            "connect_timeout": "4s", **settings}}

    def conns(self):
        return len(self.four.conns), len(self.six.conns)


def is_served(daemon, section="both.test"):
    return try_exchange(daemon.address(section)) == b"hello"


def test_ipv6_is_used_where_both_families_answer(pinproxyd, tls_server, stack):
    both = Both(tls_server, stack)
    daemon = pinproxyd(both.section(), nameserver=both.dns.address)
    assert is_served(daemon)
    assert both.conns() == (0, 1)


@pytest.mark.threads
@pytest.mark.parametrize("silent, conns", [(AAAA, (3, 0)), (A, (0, 3))])
def test_a_question_without_an_answer_does_not_delay_the_other_family(silent, conns, pinproxyd, tls_server, stack):
    both = Both(tls_server, stack)
    both.dns.silent = {silent}
    daemon = pinproxyd(both.section(), nameserver=both.dns.address)
    assert [is_served(daemon) for _ in range(3)] == [True] * 3
    assert both.conns() == conns


def test_a_failed_question_does_not_cost_the_other_family(pinproxyd, tls_server, stack):
    """Some name servers fail for AAAA (RFC 4074)."""
    both = Both(tls_server, stack)
    both.dns.failing = {AAAA}
    daemon = pinproxyd(both.section(), nameserver=both.dns.address)
    assert is_served(daemon) and is_served(daemon)
    assert both.conns() == (2, 0)


def test_an_answer_that_comes_later_joins_the_addresses(pinproxyd, tls_server, stack):
    """The address that is known first refuses."""
    six = tls_server(host="::1", port=closed_port())
    dns = stack.add(NameServer({"late.test": ["127.0.0.1", "::1"]}))
    dns.late = {AAAA: 1}
    daemon = pinproxyd({"late.test": {"listen": "127.0.0.1:0", "port": six.port, "pin": six.cert.pin}},
                       nameserver=dns.address)
    assert is_served(daemon, "late.test")


def test_hosts_overrides_dns_in_both_families(pinproxyd, tls_server, stack):
    """A name with an IPv4 address in hosts(5) has no IPv6 address, whatever a name server says."""
    both = Both(tls_server, stack)
    daemon = pinproxyd(both.section(), names={"both.test": ["127.0.0.1"]}, nameserver=both.dns.address)
    assert is_served(daemon)
    assert both.conns() == (1, 0)
    assert not both.dns.asked


@pytest.mark.parametrize("family, conns", [("ipv4", (1, 0)), ("ipv6", (0, 1))])
def test_only_the_family_that_is_configured_is_looked_up(family, conns, pinproxyd, tls_server, stack):
    both = Both(tls_server, stack)
    both.dns.silent = {AAAA if family == "ipv4" else A}
    daemon = pinproxyd(both.section(family=family), nameserver=both.dns.address)
    assert is_served(daemon)
    assert both.conns() == conns
    assert both.dns.asked == ["both.test"]


def test_a_dead_name_server_that_comes_back_serves_the_next_client(pinproxyd, tls_server, stack):
    both = Both(tls_server, stack)
    both.dns.mode = "fail"
    daemon = pinproxyd(both.section(), nameserver=both.dns.address)
    assert not is_served(daemon)
    assert daemon.wait_event(event="upstream_error")["reason"] == "resolve"
    both.dns.mode = "answer"
    assert is_served(daemon)


def test_an_address_that_failed_is_tried_last_until_a_reload(pinproxyd, tls_server):
    port = closed_port()
    good = tls_server()
    config = {NAME: to(good, address=[f"127.0.0.1:{port}", good.address])}
    daemon = pinproxyd(config)
    assert_accepted(daemon)
    first = tls_server(cert=good.cert, port=port)
    assert_accepted(daemon)
    assert (len(first.conns), len(good.conns)) == (0, 2)
    daemon.reload({NAME: to(good, address=[f"127.0.0.1:{port}", good.address], idle_timeout="1h")})
    assert_accepted(daemon)
    assert (len(first.conns), len(good.conns)) == (1, 2)


def test_an_address_that_is_silent_delays_one_client_only(pinproxyd, tls_server, stack):
    good, silent = tls_server(), stack.add(FullBacklog())
    daemon = pinproxyd({NAME: to(good, address=[silent.address, good.address])})

    def first_byte():
        start = time.monotonic()
        assert_accepted(daemon)
        return time.monotonic() - start
    times = [first_byte() for _ in range(6)]
    assert times[0] >= 0.25
    assert min(times[1:]) < 0.25  # one of five, since the machine may be busy


def test_all_addresses_are_tried_although_all_of_them_failed(pinproxyd, tls_server):
    ports = [closed_port(), closed_port()]
    daemon_server = tls_server()
    daemon = pinproxyd({NAME: to(daemon_server, address=[f"127.0.0.1:{port}" for port in ports])})
    assert not is_served(daemon, NAME)
    tls_server(cert=daemon_server.cert, port=ports[0])
    assert is_served(daemon, NAME)


def test_a_name_without_an_answer_does_not_hold_up_the_next_address(pinproxyd, tls_server, stack):
    server = tls_server()
    dns = stack.add(NameServer({}))
    dns.mode = "silent"
    daemon = pinproxyd({NAME: to(server, address=["silent.test", server.address], connect_timeout="4s")},
                       nameserver=dns.address)
    assert_accepted(daemon)
    assert "silent.test" in dns.asked
