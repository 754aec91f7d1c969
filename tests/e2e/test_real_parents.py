"""Parent proxies of other projects: Dante, Tinyproxy, and Squid as an HTTPS proxy."""

import pytest
from harness import real_servers
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME, self_signed
from harness.clients import exchange
from harness.config import to


def through(server, via, **options):
    return to(server, **{"via": via, **options})


@pytest.fixture
def start(stack, tmp_path):
    return lambda program, *arguments: stack.add(program(tmp_path, *arguments))


def check(daemon, server):
    """Asserts that bytes pass whole, and that a failure behind the proxy is its refusal."""
    assert_accepted(daemon)
    data = bytes(range(256)) * 4096
    assert exchange(daemon.address(NAME), data) == data
    server.stop()
    return assert_refused(daemon, "upstream_error", "via")["detail"]


def test_dante(start, pinproxyd, tls_server):
    server = tls_server()
    proxy = start(real_servers.dante)
    daemon = pinproxyd({NAME: through(server, f"socks5://{proxy.address}"),
                        "forbidden": through(server, f"socks5://{proxy.address}", address="127.0.0.9", host=NAME,
                                             sni="off")})
    event = assert_refused(daemon, "upstream_error", "via", section="forbidden")
    assert "connection not allowed by ruleset" in event["detail"]
    assert "Connection refused" in check(daemon, server)


def test_dante_with_a_password_that_is_missing(start, pinproxyd, tls_server):
    server = tls_server()
    proxy = start(real_servers.dante, "nobody")
    daemon = pinproxyd({NAME: through(server, f"socks5://{proxy.address}"),
                        "wrong": through(server, f"socks5://nobody:wrong@{proxy.address}", host=NAME, sni="off")})
    assert "USER:PASSWORD" in assert_refused(daemon, "upstream_error", "via")["detail"]
    assert "rejected" in assert_refused(daemon, "upstream_error", "via", section="wrong")["detail"]


def test_tinyproxy(start, pinproxyd, tls_server):
    server = tls_server()
    proxy = start(real_servers.tinyproxy)
    detail = check(pinproxyd({NAME: through(server, f"http://{proxy.address}")}), server)
    assert f"HTTP proxy {proxy.address}: 500 Unable to connect" in detail


def test_tinyproxy_with_a_password(start, pinproxyd, tls_server):
    server = tls_server()
    proxy = start(real_servers.tinyproxy, "me secret")
    daemon = pinproxyd({NAME: through(server, f"http://me:secret@{proxy.address}"),
                        "bare": through(server, f"http://{proxy.address}", host=NAME, sni="off"),
                        "wrong": through(server, f"http://me:other@{proxy.address}", host=NAME, sni="6.test")})
    assert_accepted(daemon)
    assert "407" in assert_refused(daemon, "upstream_error", "via", section="bare")["detail"]
    detail = assert_refused(daemon, "upstream_error", "via", section="wrong")["detail"]
    assert "40" in detail and "it rejects the user or the password" in detail


def test_squid(start, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    proxy = start(real_servers.squid, self_signed(tmp_path))
    daemon = pinproxyd({"proxy.test": to(proxy, listen=None), NAME: through(server, "section:proxy.test")})
    assert "HTTP proxy [proxy.test]: 503 Service Unavailable" in check(daemon, server)
    daemon.wait_event(event="tunnel_open", section="proxy.test")


def test_squid_without_the_pin_is_asked_for_nothing(start, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    proxy = start(real_servers.squid, self_signed(tmp_path))
    daemon = pinproxyd({"proxy.test": to(proxy, listen=None, pin=self_signed(tmp_path).pin),
                        NAME: through(server, "section:proxy.test")})
    event = assert_refused(daemon, "upstream_error", "via", server=server)
    assert event["detail"].startswith("[proxy.test]: pin_mismatch")
