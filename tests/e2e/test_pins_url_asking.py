"""pins_url: where and when the daemon asks."""

import signal
import time

from harness import certs
from harness.certs import NAME
from harness.clients import connect
from harness.config import to
from harness.frozen_threads import frozen, workers
from harness.learned import Announcer
from harness.waiting import wait_until


def test_the_main_loop_asks_no_host(pinproxyd, tls_server, state):
    """A slow host must not delay new clients. While the workers are busy, nobody asks, and new clients are accepted."""
    server = tls_server()
    daemon = pinproxyd(state.config({"other.test": to(server)}))
    with frozen(daemon, workers(daemon)):
        daemon.write(state.config({"other.test": to(server), NAME: to(server, pins_url="/pins")}))
        daemon.signal(signal.SIGHUP)
        daemon.wait_event(event="listen", section=NAME)
        before = daemon.fds()
        time.sleep(0.5)
        assert not server.conns
        with connect(daemon.address(NAME)):
            wait_until(lambda: daemon.fds() == before + 1, "the client to be accepted")
    server.wait_conns(1)


def test_a_host_is_asked_again_when_a_reload_comes_during_the_request(pinproxyd, tls_server, relay, state, tmp_path):
    """A request that began under the old configuration does not finish under it."""
    announcer = Announcer()
    server = tls_server(announcer)
    spare = certs.self_signed(tmp_path)
    announcer.announce(server.cert.pin, spare.pin)
    way = relay(server)
    daemon = pinproxyd(state.config({NAME: to(way, pins_url="/pins")}))
    way.wait_held(1)
    daemon.reload(state.config({NAME: to(way, pins_url="/pins", idle_timeout="1h")}))
    way.wait_held(2)
    way.open()
    daemon.wait_event(event="learned", section=NAME, pin=spare.pin)
    assert len(announcer.requests) == 1
