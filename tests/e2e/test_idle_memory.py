"""What an idle tunnel takes, and that it is given back."""


from harness import servers
from harness.certs import NAME
from harness.clients import open_tunnel, ping, read_exactly
from harness.config import to
from harness.daemon import instrumented, run_pinproxyd
from harness.waiting import DEADLINE, wait_until

KIB = 1 << 10
TUNNELS = 300
# bench/ measures 16 with OpenSSL 3.0, and 32 were measured with 3.5; what a worker keeps at hand is in it here.
MOST = (20 if "OpenSSL 3.0" in run_pinproxyd("-V").out else 36) * KIB
DATA = b"a quarter of a mebibyte" * 11400


def talk_much(client):
    client.sendall(DATA)
    assert read_exactly(client, len(DATA)) == DATA


def patient_echo(conn):
    """Opening all the others may take a busy machine longer than a server usually waits here."""
    conn.sock.settimeout(10 * DEADLINE)
    servers.echo(conn)


def test_idle_tunnels_take_little_memory_and_return_it(pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"workers": 1}, NAME: to(tls_server(patient_echo))})
    first = open_tunnel(daemon.address(NAME))
    talk_much(first)
    before = daemon.anonymous_memory()
    clients = [open_tunnel(daemon.address(NAME)) for _ in range(TUNNELS)]
    for client in clients:
        ping(client)
    if not instrumented():
        assert (daemon.anonymous_memory() - before) / TUNNELS <= MOST
    for client in clients:
        talk_much(client)
    if not instrumented():
        wait_until(lambda: (daemon.anonymous_memory() - before) / TUNNELS <= MOST, "what bytes took, given back")
    for client in clients:
        client.close()
    wait_until(lambda: len(daemon.events(event="tunnel_close")) == TUNNELS, "the end of all but one")
    if not instrumented():
        wait_until(lambda: daemon.anonymous_memory() - before <= TUNNELS * MOST / 2, "the memory of what has gone")
    ping(first)
