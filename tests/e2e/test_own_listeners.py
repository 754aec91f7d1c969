"""A connection to one of the daemon's own listeners is refused before it is made."""

import pytest

from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME
from harness.clients import REFUSED, try_connection
from harness.config import to
from harness.servers import closed_port

REMOTE = {"global": {"remote_clients": "yes"}}


def assert_loop_refused(daemon, listener, section=NAME, owner=NAME):
    """Asserts that no connection to the listener was made: it would have begun a tunnel."""
    mark = daemon.mark()
    event = assert_refused(daemon, "upstream_error", "loop", section=section)
    assert event["level"] == "warning", event
    assert listener in event["detail"] and f"[{owner}]" in event["detail"], event
    ends = daemon.events(since=mark, event=lambda name: name in ("upstream_error", "tunnel_close", "refused"))
    assert len(ends) == 1, ends


@pytest.mark.parametrize("listen, address", [
    ("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("127.0.0.1", "[::ffff:127.0.0.1]"),
    ("127.0.0.1", "[::ffff:0.0.0.0]"), ("127.0.0.1", "localhost"), ("127.0.0.7", "127.0.0.7"),
    ("[::1]", "[::1]"), ("[::1]", "[::]"), ("[::1]", "[0:0:0:0:0:0:0:1]"),
    ("0.0.0.0", "127.0.0.1"), ("0.0.0.0", "127.0.0.9"), ("0.0.0.0", "[::ffff:127.0.0.9]"), ("0.0.0.0", "0.0.0.0"),
    ("[::]", "[::1]"), ("[::]", "[::]"),
])
def test_a_connection_to_the_own_listener_of_a_section_is_refused(listen, address, pinproxyd, tls_server):
    port = closed_port()
    family = "ipv6" if listen.startswith("[") else "ipv4" if address == "localhost" else "any"
    section = to(tls_server(), listen=f"{listen}:{port}", address=f"{address}:{port}", family=family)
    daemon = pinproxyd({**REMOTE, NAME: section})
    for _ in range(3):
        assert_loop_refused(daemon, f"{listen}:{port}")


def test_an_own_listener_is_refused_when_the_host_names_this_machine(pinproxyd, tls_server):
    port = closed_port()
    section = to(tls_server(), listen=f"127.0.0.1:{port}", address=None, host="localhost", port=port, family="ipv4")
    assert_loop_refused(pinproxyd({NAME: section}), f"127.0.0.1:{port}")


def test_an_own_listener_is_refused_when_a_name_resolves_to_it(pinproxyd, tls_server):
    port = closed_port()
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"127.0.0.5:{port}", address=f"{NAME}:{port}")},
                       names={NAME: ["127.0.0.5"]})
    assert_loop_refused(daemon, f"127.0.0.5:{port}")


def test_an_own_listener_is_refused_when_the_kernel_chose_its_port(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    daemon.reload({NAME: to(server, address=daemon.address(NAME))})
    assert_loop_refused(daemon, daemon.address(NAME))


@pytest.mark.parametrize("listen, address, bind", [
    ("127.0.0.3", "0.0.0.0", "127.0.0.3"), ("127.0.0.1", "0.0.0.0", "0.0.0.0"), ("[::1]", "[::]", "::"),
    ("[::1]", "[::]", "::1"),
])
def test_an_own_listener_is_refused_when_the_source_address_leads_to_it(listen, address, bind, pinproxyd, tls_server):
    """For connect(2), 0.0.0.0 is the address that the socket is bound to, if it is bound to one."""
    port = closed_port()
    section = to(tls_server(), listen=f"{listen}:{port}", address=f"{address}:{port}", bind=bind)
    assert_loop_refused(pinproxyd({NAME: section}), f"{listen}:{port}")


@pytest.mark.valgrind
@pytest.mark.threads
def test_a_loop_of_two_sections_is_refused(pinproxyd, tls_server):
    one, two, server = closed_port(), closed_port(), tls_server()
    daemon = pinproxyd({NAME: to(server, listen=f"127.0.0.1:{one}", address=f"127.0.0.1:{two}"),
                        "two.test": to(server, listen=f"127.0.0.1:{two}", address=f"127.0.0.1:{one}")})
    assert_loop_refused(daemon, f"127.0.0.1:{two}", owner="two.test")
    assert_loop_refused(daemon, f"127.0.0.1:{one}", section="two.test")


def test_the_listener_of_another_section_is_refused_though_there_is_no_loop(pinproxyd, tls_server):
    port, server = closed_port(), tls_server()
    daemon = pinproxyd({NAME: to(server, address=f"127.0.0.1:{port}"),
                        "two.test": to(server, listen=f"127.0.0.1:{port}")})
    assert_loop_refused(daemon, f"127.0.0.1:{port}", owner="two.test")
    assert_accepted(daemon, "two.test")


def test_an_own_listener_is_skipped_for_the_next_address(pinproxyd, tls_server):
    port, server = closed_port(), tls_server()
    daemon = pinproxyd({NAME: to(server, listen=f"127.0.0.1:{port}", address=[f"127.0.0.1:{port}", server.address])})
    assert_accepted(daemon)


def test_an_own_listener_and_a_closed_port_are_a_failure_to_connect(pinproxyd, tls_server):
    port = closed_port()
    addresses = [f"127.0.0.1:{port}", f"127.0.0.1:{closed_port()}"]
    daemon = pinproxyd({NAME: to(tls_server(), listen=f"127.0.0.1:{port}", address=addresses)})
    event = assert_refused(daemon, "upstream_error")
    assert event["reason"] == "connect" and "own listener" in event["detail"]


@pytest.mark.parametrize("listen, host", [("127.0.0.1", "127.0.0.2"), ("127.0.0.1", "::1"), ("[::1]", "127.0.0.1")])
def test_another_program_on_the_same_port_is_reached(listen, host, pinproxyd, tls_server):
    server = tls_server(host=host, port=closed_port())
    assert_accepted(pinproxyd({NAME: to(server, listen=f"{listen}:{server.port}")}))


def test_a_reload_updates_the_own_listeners(pinproxyd, tls_server):
    port, server = closed_port(), tls_server()
    daemon = pinproxyd({NAME: to(server, listen=f"127.0.0.1:{port}"), "two.test": to(server)})
    daemon.reload({NAME: to(server), "two.test": to(server, address=f"127.0.0.1:{port}", listen="127.0.0.2:0")})
    mark = daemon.mark()
    assert try_connection(daemon.addresses("two.test")[-1]) == REFUSED
    assert daemon.wait_event(event="upstream_error", since=mark)["reason"] == "connect"
    daemon.reload({NAME: to(server, listen=f"127.0.0.1:{port}"),
                   "two.test": to(server, address=f"127.0.0.1:{port}", listen="127.0.0.3:0")})
    mark = daemon.mark()
    assert try_connection(daemon.addresses("two.test")[-1]) == REFUSED
    assert daemon.wait_event(event="upstream_error", since=mark)["reason"] == "loop"


def test_pins_url_does_not_ask_an_own_listener(pinproxyd, tls_server, tmp_path):
    port = closed_port()
    section = to(tls_server(), listen=f"127.0.0.1:{port}", address=f"127.0.0.1:{port}", pins_url="/pins")
    daemon = pinproxyd({"global": {"state_dir": tmp_path / "state"}, NAME: section})
    event = daemon.wait_event(event="upstream_error")
    assert event["reason"] == "loop" and "own listener" in event["detail"], event
