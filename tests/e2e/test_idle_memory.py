"""What an idle tunnel takes, and that it is given back."""

import re
from pathlib import Path

from certs import NAME
from clients import open_tunnel, ping, read_exactly
from config import to
from daemon import instrumented
from waiting import wait_until

KIB = 1 << 10
TUNNELS = 300
MOST = 20 * KIB  # bench/ measures 16; what a worker keeps at hand is in it here
DATA = b"a quarter of a mebibyte" * 11400


def memory(daemon):
    """Anonymous memory in bytes: not what is shared with files (proc(5))."""
    text = Path(f"/proc/{daemon.pid}/smaps_rollup").read_text()
    return int(re.search(r"^Anonymous:\s+(\d+) kB$", text, re.M).group(1)) * KIB


def talk_much(client):
    client.sendall(DATA)
    assert read_exactly(client, len(DATA)) == DATA


def test_idle_tunnels_are_small_and_given_back(pinproxyd, tls_server):
    daemon = pinproxyd({"global": {"workers": 1}, NAME: to(tls_server())})
    first = open_tunnel(daemon.address(NAME))
    talk_much(first)
    before = memory(daemon)
    clients = [open_tunnel(daemon.address(NAME)) for _ in range(TUNNELS)]
    for client in clients:
        ping(client)
    if not instrumented():
        assert (memory(daemon) - before) / TUNNELS <= MOST
    for client in clients:
        talk_much(client)
    if not instrumented():
        wait_until(lambda: (memory(daemon) - before) / TUNNELS <= MOST, "what bytes took, given back")
    for client in clients:
        client.close()
    wait_until(lambda: len(daemon.events(event="tunnel_close")) == TUNNELS, "the end of all but one")
    if not instrumented():
        wait_until(lambda: memory(daemon) - before <= TUNNELS * MOST / 2, "the memory of what has gone")
    ping(first)
