"""warm: connections that are dialled and verified ahead, so that a client waits for no handshake."""

import signal
import time

import pytest

from harness import certs, parents, servers
from harness.assertions import SECRET, assert_accepted, assert_nothing_sent, assert_refused
from harness.carriers import over
from harness.certs import NAME
from harness.clients import ContinuousClients, connect, exchange, open_tunnel, ping, read_all, read_exactly, try_exchange
from harness.config import ini, to
from harness.daemon import run_pinproxyd
from harness.learned import tofu
from harness.parallel import run_parallel
from harness.revocation import response
from harness.waiting import PATIENCE, wait_until


def status(daemon, section=NAME):
    mark = daemon.mark()
    daemon.signal(signal.SIGUSR1)
    return daemon.wait_event(since=mark, event="status", section=section)


def wait_warm(daemon, count, section=NAME):
    """Waits until so many connections are ready."""
    wait_until(lambda: int(status(daemon, section).get("warm", 0)) == count, f"{count} warm connections")


def opened(server):
    """Returns the connections whose handshake is complete and that have not ended."""
    return [conn for conn in server.conns if not conn.done]


def with_workers(count, sections):
    return {"global": {"workers": count}, **sections}


@pytest.fixture(params=[1, 3], ids=["one_worker", "three_workers"])
def workers(request):
    return request.param


@pytest.mark.threads
@pytest.mark.valgrind
def test_a_client_waits_for_no_handshake(workers, pinproxyd, tls_server, backup):
    """Every handshake fails from the time when the client connects."""
    server = tls_server()
    daemon = pinproxyd(with_workers(workers, {NAME: to(server, warm=1)}))
    wait_warm(daemon, 1)
    server.use(backup)
    assert exchange(daemon.address(NAME), b"hello") == b"hello"
    daemon.wait_event(event="pin_mismatch")
    assert len(daemon.events(event="tunnel_open")) == 1


def test_the_number_holds_for_all_workers_and_is_kept_up(workers, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(with_workers(workers, {NAME: to(server, warm=4)}))
    wait_warm(daemon, 4)
    assert len(server.conns) == 4
    tunnels = [open_tunnel(daemon.address(NAME)) for _ in range(3)]
    wait_warm(daemon, 4)
    assert len(server.conns) == 7
    for tunnel in tunnels:
        ping(tunnel)
        tunnel.close()
    assert len(opened(server)) >= 4
    daemon.stop()
    assert not daemon.events(event=lambda name: name in ("upstream_error", "refused", "truncated"))


def test_every_listener_has_its_own(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, warm=2, listen=["127.0.0.1:0", "127.0.0.1:0"])})
    wait_warm(daemon, 4)
    for address in daemon.addresses(NAME):
        assert exchange(address, b"hello") == b"hello"


def test_it_may_come_from_defaults(pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server()), "defaults": {"warm": 1}})
    wait_warm(daemon, 1)


@pytest.mark.threads
def test_many_clients_at_once_get_what_is_theirs(pinproxyd, tls_server):
    daemon = pinproxyd(with_workers(3, {NAME: to(tls_server(), warm=5)}))
    wait_warm(daemon, 5)
    clients = [lambda i=i: try_exchange(daemon.address(NAME), b"%d" % i) for i in range(60)]
    assert run_parallel(clients) == [b"%d" % i for i in range(60)]
    wait_warm(daemon, 5)
    assert int(status(daemon)["total"]) == 60


def test_they_are_no_tunnels(pinproxyd, tls_server):
    """They do not count for max_connections, of which one is left for the client."""
    daemon = pinproxyd({"global": {"max_connections": 1}, NAME: to(tls_server(), warm=3, max_connections=1)})
    wait_warm(daemon, 3)
    assert int(status(daemon)["tunnels"]) == 0
    assert_accepted(daemon)


def test_none_gets_older_than_warm_lifetime(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, warm=1, warm_lifetime="500ms")})
    server.wait_done(2)
    assert [conn.end for conn in server.conns[:2]] == ["close_notify"] * 2
    assert len(opened(server)) <= 1
    assert_accepted(daemon)


# A server that ends what it is asked ahead.

def end_some(how, count):
    """Ends the first `count` connections as soon as they are open, and echoes on the others."""
    left = [count]

    def behave(conn):
        if left[0] > 0:
            left[0] -= 1
            how(conn)
        else:
            servers.echo(conn)
    return behave


@pytest.mark.parametrize("how", ["close_notify", "truncate", "reset"])
def test_one_that_the_server_ends_is_replaced(how, pinproxyd, tls_server):
    server = tls_server(end_some(lambda conn: getattr(conn, how)(), 2))
    daemon = pinproxyd({NAME: to(server, warm=1)})
    server.wait_conns(3)
    wait_warm(daemon, 1)
    assert_accepted(daemon)
    daemon.stop()
    assert not daemon.events(event=lambda name: name in ("upstream_error", "refused", "truncated"))


@pytest.mark.parametrize("how", ["close_notify", "truncate", "reset"])
def test_a_client_never_gets_one_that_the_server_has_ended(how, pinproxyd, tls_server):
    """Each client connects when the server has just ended the connection that waits for it."""
    def end_first(conns, conn):
        if conn is conns[0]:
            conn.released.wait()
            getattr(conn, how)()
        else:
            servers.echo(conn)

    for _ in range(5):
        server = tls_server()
        server.behave = lambda conn, conns=server.conns: end_first(conns, conn)
        daemon = pinproxyd({NAME: to(server, warm=1)})
        wait_warm(daemon, 1)
        server.released.set()
        wait_until(lambda s=server: s.conns[0].done or s.conns[0].end, "the end by the server")
        assert exchange(daemon.address(NAME), b"hello") == b"hello"
        daemon.stop()


def test_a_server_that_refuses_to_be_asked_ahead_is_not_flooded(pinproxyd, tls_server):
    server = tls_server(lambda conn: conn.reset())
    daemon = pinproxyd({NAME: to(server, warm=4)})
    time.sleep(2)
    assert 1 <= len(server.conns) <= 40
    daemon.stop()


def test_a_server_that_is_down_is_tried_again(pinproxyd, tls_server, raw_server):
    closed = raw_server(servers.never_answer)
    address, port = closed.address, closed.port
    closed.stop()
    cert = tls_server().cert
    daemon = pinproxyd({NAME: {"listen": "127.0.0.1:0", "address": address, "pin": cert.pin, "warm": 2}})
    assert daemon.wait_event(event="upstream_error", section=NAME)["reason"] == "connect"
    tls_server(cert=cert, port=port)
    wait_warm(daemon, 2)
    assert_accepted(daemon)
    assert len(daemon.events(event="upstream_error")) < 20
    daemon.stop()


# Today's trust.

@pytest.mark.threads
def test_one_whose_key_is_revoked_is_not_used(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, warm=2)})
    wait_warm(daemon, 2)
    daemon.reload({NAME: to(server, warm=2, revoked=server.cert.pin)})
    assert_refused(daemon, "refused", "revoked")
    daemon.stop()
    assert not daemon.events(event="tunnel_open")
    assert_nothing_sent(server, SECRET)


@pytest.mark.parametrize("removed", ["keep", "close"])
def test_one_whose_pin_has_expired_is_not_used(removed, pinproxyd, tls_server, clock):
    server = tls_server()
    pin = f"{server.cert.pin} until={certs.day(1)}"
    daemon = pinproxyd({NAME: to(server, pin=pin, warm=1, on_pin_removed=removed)}, env=clock.env)
    wait_warm(daemon, 1)
    clock.before_midnight(-1)
    assert_refused(daemon, "refused", "expired_pins")
    daemon.stop()
    assert_nothing_sent(server, SECRET)


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("resume", ["no", "yes"])
def test_one_with_a_stapled_response_is_used(resume, version, pinproxyd, stapling_server, ca):
    cert = ca.issue()
    server = stapling_server(cert, response(cert, ca), version)
    daemon = pinproxyd(with_workers(1, {NAME: to(server, verify="pki", pin=None, ca_file=ca.cert.pem_file(),
                                                 ocsp="staple", resume=resume, warm=1)}))
    for _ in range(3):  # the server serves one connection after the other
        wait_warm(daemon, 1)
        mark = daemon.mark()
        with connect(daemon.address(NAME)):
            daemon.wait_event(since=mark, event="tunnel_open")
    daemon.stop()
    assert len(daemon.events(event="tunnel_open")) == 3
    assert not daemon.events(event="refused")


@pytest.mark.threads
def test_reloads_that_add_and_remove_them_disturb_no_client(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(with_workers(3, {NAME: to(server)}))
    with ContinuousClients(daemon.address(NAME)) as clients:
        for count in (3, 0, 5, 1, 4):
            daemon.reload(with_workers(3, {NAME: to(server, warm=count)}))
            time.sleep(0.1)
        clients.wait_more(10)


def test_a_reload_to_another_server_replaces_them(pinproxyd, tls_server):
    old, new = tls_server(), tls_server()
    daemon = pinproxyd({NAME: to(old, warm=2)})
    wait_warm(daemon, 2)
    daemon.reload({NAME: to(new, warm=2)})
    assert_accepted(daemon)
    wait_until(lambda: not opened(old), "the end of the old connections")
    wait_warm(daemon, 2)
    assert_nothing_sent(old, b"hello")


def test_a_reload_that_changes_nothing_keeps_them(workers, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd(with_workers(workers, {NAME: to(server, warm=3)}))
    wait_warm(daemon, 3)
    daemon.reload()
    daemon.reload({**with_workers(workers, {NAME: to(server, warm=3)}), "before.test": to(tls_server())})
    wait_warm(daemon, 3)
    assert len(server.conns) == 3
    assert_accepted(daemon)


def test_a_reload_changes_the_number(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    for count in (3, 1, 0, 2):
        daemon.reload({NAME: to(server, warm=count)})
        wait_warm(daemon, count)
        wait_until(lambda n=count: len(opened(server)) == n, f"{count} connections at the server")
    daemon.reload({"other.test": to(server)})
    wait_until(lambda: not opened(server), "no connection at the server")


def test_a_first_use_is_left_to_a_client(pinproxyd, tls_server, state):
    server = tls_server()
    daemon = pinproxyd(state.config({NAME: tofu(server, warm=1)}))
    time.sleep(0.5)
    assert not server.conns
    assert_accepted(daemon)
    wait_warm(daemon, 1)
    assert_accepted(daemon)
    assert len(daemon.events(event="learned")) == 1
    assert not daemon.events(event="refused")


def test_a_mismatch_is_logged_once_for_each_attempt(pinproxyd, tls_server, backup):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, pin=backup.pin, warm=4)})
    event = daemon.wait_event(event="pin_mismatch", section=NAME)
    assert "client" not in event and server.cert.pin in event["presented"]
    assert int(status(daemon)["mismatches"]) >= 1
    assert int(status(daemon)["tunnels"]) == 0


# Protocols.

def test_what_the_server_says_first_is_delivered_once(pinproxyd, tls_server):
    def behave(conn):
        conn.send(b"220 ready\r\n")
        servers.echo(conn)

    server = tls_server(behave)
    daemon = pinproxyd({NAME: to(server, warm=2)})
    wait_warm(daemon, 2)
    for _ in range(3):
        with connect(daemon.address(NAME)) as client:
            assert read_exactly(client, 11) == b"220 ready\r\n"
            ping(client)
        wait_warm(daemon, 2)


def test_much_that_the_server_says_first_is_delivered_whole(pinproxyd, tls_server):
    block = bytes(range(256)) * 8192

    def behave(conn):
        conn.send(block)
        conn.close_notify()
        conn.recv_all()

    daemon = pinproxyd({NAME: to(tls_server(behave), warm=1)})
    wait_warm(daemon, 1)
    time.sleep(0.3)
    with connect(daemon.address(NAME)) as client:
        assert read_all(client) == block


def test_sessions_are_resumed(pinproxyd, tls_server):
    daemon = pinproxyd(with_workers(1, {NAME: to(tls_server(), warm=1, resume="yes")}))
    results = []
    for _ in range(4):
        wait_warm(daemon, 1)
        results.append(assert_accepted(daemon)["resumed"])
    assert results[-1] == "yes"


# Other ways to the server.

def test_they_are_made_over_each_carrier_of_several_tunnels(carrier, carried, pinproxyd, backup, tmp_path):
    server = carried()
    config = {NAME: over(server, warm=2)}
    if carrier.name == "serial":
        path = tmp_path / "one.conf"
        path.write_text(ini(config))
        done = run_pinproxyd("-t", "-c", path)
        assert done.returncode == 78 and "one tunnel at a time" in done.err
        return
    daemon = pinproxyd(config)
    wait_warm(daemon, 2)
    server.use(backup)
    assert exchange(daemon.address(NAME), b"hello") == b"hello"
    daemon.wait_event(event="pin_mismatch")
    daemon.stop()


def test_they_are_made_inside_tunnels_of_a_section(pinproxyd, tls_server, backup):
    inner = tls_server()
    outer = tls_server(parents.http(parents.Route(inner)))
    config = {"proxy.test": to(outer, listen=None),
              NAME: to(inner, address=None, port=inner.port, via="section:proxy.test", warm=1)}
    daemon = pinproxyd(config)
    wait_warm(daemon, 1)
    inner.use(backup)
    outer.use(certs.self_signed(backup.directory))
    assert exchange(daemon.address(NAME), b"hello") == b"hello"
    daemon.wait_event(event="pin_mismatch", section="proxy.test")


def test_a_reload_that_changes_the_outer_section_replaces_them(pinproxyd, tls_server, backup):
    inner = tls_server()
    outer = tls_server(parents.http(parents.Route(inner)))
    config = {"proxy.test": to(outer, listen=None),
              NAME: to(inner, address=None, port=inner.port, via="section:proxy.test", warm=1)}
    daemon = pinproxyd(config)
    wait_warm(daemon, 1)
    daemon.reload({**config, "proxy.test": to(outer, listen=None, pin=backup.pin)})
    assert_refused(daemon, "upstream_error", "via")
    daemon.stop()
    assert_nothing_sent(inner, SECRET)


# The end.

def test_a_drain_ends_them_and_makes_no_more(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, warm=2)})
    wait_warm(daemon, 2)
    with open_tunnel(daemon.address(NAME)) as client:
        wait_warm(daemon, 2)
        daemon.signal(signal.SIGTERM)
        wait_until(lambda: len(opened(server)) == 1, "the end of the warm connections")
        time.sleep(0.5)
        assert len(opened(server)) == 1
        ping(client)
    daemon.wait()
    assert [conn.end for conn in server.conns if conn.received == 0] == ["close_notify"] * 2


@pytest.mark.valgrind
def test_a_stop_while_they_are_dialled_is_clean(pinproxyd, tls_server, relay):
    gate = relay(tls_server())
    daemon = pinproxyd({NAME: to(gate, warm=5)})
    gate.wait_held(1)
    daemon.stop()
