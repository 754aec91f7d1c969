"""A handshake that is under way at a reload is judged by the new configuration, whole."""

import contextlib
import fcntl
import signal
import ssl

import pytest

from harness import certs
from harness.assertions import SECRET, TELLING, told
from harness.certs import NAME, day
from harness.clients import connect, ping, read_exactly, read_to_any_end
from harness.config import to
from harness.frozen_threads import held, workers
from harness.learned import PLACE, state
from harness.revocation import crl
from harness.servers import FullBacklog
from harness.waiting import wait_steady, wait_until

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
versions = pytest.mark.parametrize("version", VERSIONS)

# Of the server's first flight so much has come: nothing; or all but its end, so that the certificate has been
# judged already.
PLACES = {"hello": 0, "judged": -20}
places = pytest.mark.parametrize("place", PLACES)


@pytest.fixture
def scene(pinproxyd, tls_server, gate, ca, tmp_path):
    return Scene(pinproxyd, tls_server, gate, ca, tmp_path)


class Scene:
    """A server with a certificate of a CA, a gate before it, and a daemon whose client waits for the handshake."""

    def __init__(self, pinproxyd, tls_server, gate, ca, directory):
        self.start, self.tls_server, self.new_gate, self.ca, self.directory = pinproxyd, tls_server, gate, ca, directory
        self.other = certs.self_signed(directory)
        self.sections = {"global": {"state_dir": directory / "state", "workers": 1}}

    def serve(self, place="hello", version="1.3"):
        self.server = self.tls_server(cert=self.ca.issue(), minimum=VERSIONS[version], maximum=VERSIONS[version])
        self.gate = self.new_gate(self.server, PLACES[place])

    def config(self, options):
        """None: without the section."""
        second = {"second.test": to(self.server)}
        return {**self.sections, **second, **({NAME: to(self.gate, **options)} if options is not None else {})}

    def begin(self, options, count=1):
        """Starts the daemon and a client, whose handshake comes as far as the gate lets it."""
        self.daemon = self.start(self.config(options))
        self.sock = self.knock(count)

    def knock(self, count=1):
        sock = connect(self.daemon.address(NAME))
        sock.sendall(SECRET)
        self.gate.wait_held(count)
        # what the gate let through has been read, and judged
        wait_steady(lambda: [bytes(conn.wire) for conn in self.gate.conns], quiet=0.1)
        return sock

    def reload(self, options):
        self.daemon.reload(self.config(options))

    def opens(self):
        """The tunnel_open event."""
        self.gate.open()
        assert read_exactly(self.sock, len(SECRET)) == SECRET
        self.sock.close()
        return self.daemon.wait_event(event="tunnel_open", section=NAME)

    def refused(self, event, reason=None):
        """With nothing in clear to the server, and one event."""
        self.gate.open()
        assert read_to_any_end(self.sock) == (b"", True)
        self.sock.close()
        line = self.daemon.wait_event(event=lambda name: name in TELLING, section=NAME)
        self.daemon.stop()
        assert told(self.daemon) == [(event, reason)], line
        self.gate.stop()
        self.server.stop()
        self.server.saw_nothing(SECRET)
        return line


# What the reload changes: the options before and after it, and how the client is then refused.

def pki(s, **options):
    return {"verify": "pki", "pin": None, "ca_file": s.ca.cert.pem_file(), **options}


def both(s, **options):
    return {"verify": "pin+pki", "pin": s.server.cert.pin, "ca_file": s.ca.cert.pem_file(), **options}


def stranger(s):
    return certs.CA(s.directory, "Stranger").cert.pem_file()


REFUSED = {
    "pin_removed": lambda s: ({"pin": [s.server.cert.pin, s.other.pin]}, {"pin": s.other.pin}, ("pin_mismatch", None)),
    "pin_over": lambda s: ({}, {"pin": f"{s.server.cert.pin} until={day(-1)}"}, ("refused", "expired_pins")),
    "issuer_pin_removed": lambda s: ({"pin": f"issuer-cert:{s.ca.cert.pem_file()}"},
                                     {"pin": f"issuer-cert:{stranger(s)}"}, ("pin_mismatch", None)),
    "revoked": lambda s: ({}, {"revoked": s.server.cert.pin}, ("refused", "revoked")),
    "name_checked": lambda s: ({}, {"also_check": "name", "verify_name": "other.test"}, ("refused", "name")),
    "verify_pki": lambda s: ({}, pki(s, ca_file=stranger(s)), ("refused", "pki")),
    "verify_both": lambda s: ({}, both(s, ca_file=stranger(s)), ("refused", "pki")),
    "verify_pin": lambda s: (pki(s), {"pin": s.other.pin}, ("pin_mismatch", None)),
    "verify_name": lambda s: (pki(s), pki(s, verify_name="other.test"), ("refused", "pki")),
    "ca_changed": lambda s: (pki(s), pki(s, ca_file=stranger(s)), ("refused", "pki")),
    "crl_added": lambda s: (pki(s), pki(s, crl_file=crl(s.directory, s.ca, s.server.cert)), ("refused", "pki")),
    "staple_wanted": lambda s: (pki(s), pki(s, ocsp="staple"), ("refused", "pki")),
    "report_ended": lambda s: (both(s, pin=s.other.pin, enforce="report"), both(s, pin=s.other.pin),
                               ("pin_mismatch", None)),
    "section_removed": lambda s: ({}, None, ("refused", "pin_removed")),
}


@versions
@places
@pytest.mark.parametrize("change", REFUSED)
def test_refused_by_the_new_configuration(change, place, version, scene):
    scene.serve(place, version)
    before, after, how = REFUSED[change](scene)
    scene.begin(before)
    scene.reload(after)
    scene.refused(*how)


@pytest.mark.threads
@versions
def test_pin_removed_under_threads(version, scene):
    scene.serve("judged", version)
    scene.begin({})
    scene.reload({"pin": scene.other.pin})
    scene.refused("pin_mismatch")


def test_older_tls_version_that_is_no_longer_permitted(scene):
    scene.serve("judged", "1.2")
    scene.begin({})
    scene.reload({"tls_min": "1.3"})
    assert "tls_min" in scene.refused("upstream_error", "tls")["detail"]


UNCHANGED = {
    "nothing": lambda s: ({}, {}),
    "another_pin_removed": lambda s: ({"pin": [s.server.cert.pin, s.other.pin]}, {}),
    "another_pin_added": lambda s: ({}, {"pin": [s.other.pin, s.server.cert.pin]}),
    "pin_renamed": lambda s: ({}, {"pin": f"{s.server.cert.pin} name=new"}),
    "another_key_revoked": lambda s: ({}, {"revoked": s.other.pin}),
    "deadlines": lambda s: ({}, {"idle_timeout": "1h", "handshake_timeout": "19s"}),
    "pin_to_pki": lambda s: ({}, pki(s)),
    "pki_to_both": lambda s: (pki(s), both(s)),
    "crl_without_it": lambda s: (pki(s), pki(s, crl_file=crl(s.directory, s.ca))),
    "another_ca_added": lambda s: (pki(s), pki(s, ca_file=[stranger(s), s.ca.cert.pem_file()])),
}


@versions
@places
@pytest.mark.parametrize("change", UNCHANGED)
def test_opens_where_the_new_configuration_accepts_it(change, place, version, scene):
    scene.serve(place, version)
    before, after = UNCHANGED[change](scene)
    scene.begin(before)
    scene.reload(after)
    scene.opens()
    assert told(scene.daemon) == []


NEWLY_TRUSTED = {
    "pin_added": lambda s: ({"pin": s.other.pin}, {}),
    "revoked_no_more": lambda s: ({"revoked": s.server.cert.pin}, {}),
    "ca_added": lambda s: (pki(s, ca_file=stranger(s)), pki(s)),
    "crl_without_it": lambda s: (pki(s, crl_file=crl(s.directory, s.ca, s.server.cert)), pki(s)),
}


@versions
@pytest.mark.parametrize("change", NEWLY_TRUSTED)
def test_opens_though_the_old_configuration_refused_it(change, version, scene):
    scene.serve("hello", version)
    before, after = NEWLY_TRUSTED[change](scene)
    scene.begin(before)
    scene.reload(after)
    scene.opens()
    assert told(scene.daemon) == []


def test_report_mode_begins_within_the_handshake(scene):
    scene.serve()
    scene.begin(both(scene, pin=scene.other.pin))
    scene.reload(both(scene, pin=scene.other.pin, enforce="report"))
    scene.opens()
    assert told(scene.daemon) == [("pin_mismatch", None)]


def test_new_deadlines_and_names_are_those_of_the_tunnel(scene):
    """It has taken over the section in all: the pin's new name is logged, and the new idle_timeout ends it."""
    scene.serve("judged")
    scene.begin({"pin": f"{scene.server.cert.pin} name=old"})
    scene.reload({"pin": f"{scene.server.cert.pin} name=new", "idle_timeout": "1s"})
    scene.gate.open()
    assert read_exactly(scene.sock, len(SECRET)) == SECRET
    assert scene.daemon.wait_event(event="tunnel_open")["pin"] == "new"
    assert read_to_any_end(scene.sock) == (b"", False)
    scene.daemon.wait_event(event="tunnel_close", reason="idle")


def test_old_configurations_are_freed(scene):
    """A handshake outlives many reloads; nothing of them is used after (sanitizers tell) or kept."""
    scene.serve("judged")
    scene.begin({})
    for seconds in range(20):
        scene.reload({"half_close_timeout": seconds + 1, "pin": [certs.self_signed(scene.directory).pin, scene.server.cert.pin]})
    scene.opens()


# Dialling.

@pytest.fixture
def unanswered(stack):
    return stack.add(FullBacklog())


def test_reload_while_dialling_dials_where_the_new_section_leads(unanswered, scene):
    scene.serve()
    scene.gate.open()
    daemon = scene.daemon = scene.start(scene.config({"address": unanswered.address}))
    scene.sock = connect(daemon.address(NAME))
    scene.sock.sendall(SECRET)
    wait_steady(daemon.fds, quiet=0.2)
    scene.reload({})
    scene.opens()


@pytest.mark.parametrize("change", ["removed", "revoked", "unchanged"])
def test_reload_while_dialling(change, unanswered, scene):
    scene.serve()
    scene.gate.open()
    addresses = [unanswered.address, scene.gate.address]
    daemon = scene.daemon = scene.start(scene.config({"address": addresses}))
    with held(daemon, workers(daemon)):
        scene.sock = connect(daemon.address(NAME))
        scene.sock.sendall(SECRET)
    scene.reload({"removed": None, "revoked": {"address": addresses, "revoked": scene.server.cert.pin},
                  "unchanged": {"address": addresses, "idle_timeout": "1h"}}[change])
    if change == "unchanged":
        scene.opens()
    else:
        scene.refused("refused", "revoked" if change == "revoked" else "pin_removed")


# Learned keys.

TOFU = {"verify": "tofu", "pin": None}


def line(pin, origin="tofu"):
    return f"{NAME} {PLACE} {pin} 2026-01-01 from={origin}\n"


@versions
@places
@pytest.mark.parametrize("reload", [True, False])
def test_another_key_is_written_into_the_file(reload, place, version, scene, state):
    scene.serve(place, version)
    state.write(line(scene.server.cert.pin))
    scene.begin(TOFU)
    state.write(line(scene.other.pin))
    if reload:
        scene.reload(TOFU)
    scene.refused("refused", "tofu_changed")


@versions
@places
def test_key_from_pins_url_is_forgotten(place, version, scene, state):
    scene.serve(place, version)
    state.write(line(scene.server.cert.pin, "pins_url"))
    options = {"pin": scene.other.pin, "pins_url": "/pins"}
    scene.begin(options, count=2)  # the daemon's own as well
    state.write("")
    scene.gate.open()
    assert read_to_any_end(scene.sock) == (b"", True)
    scene.sock.close()
    scene.daemon.wait_event(event="pin_mismatch", section=NAME)
    scene.daemon.stop()
    assert {event for event, _ in told(scene.daemon)} == {"pin_mismatch"}
    scene.gate.stop()
    scene.server.stop()
    scene.server.saw_nothing(SECRET)


def test_key_that_stays_in_the_file_opens(scene, state):
    scene.serve("judged")
    state.write(line(scene.server.cert.pin))
    scene.begin(TOFU)
    state.write("# another line\n" + line(scene.server.cert.pin) + line(scene.other.pin).replace(NAME, "second.test"))
    scene.opens()


@versions
@places
@pytest.mark.parametrize("change", ["host", "port", "address"])
def test_key_of_the_server_before_is_not_learned_for_the_one_after(change, place, version, scene, state):
    """Nobody has said that they are one server: whoever comes first after the reload is."""
    scene.serve(place, version)
    elsewhere = scene.tls_server(cert=scene.other)
    changes = {"host": {"host": "elsewhere.test"}, "port": {"port": 8443},
               "address": {"address": f"127.0.0.1:{elsewhere.port}"}}
    scene.begin(TOFU)
    scene.reload({**TOFU, **changes[change]})
    scene.refused("refused", "unsaved")
    assert state.text() == ""


@contextlib.contextmanager
def locked(state):
    """The lock of the learned pins is another's: a first key waits for it."""
    state.directory.mkdir(exist_ok=True)
    with open(state.directory / "learned.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


KEEPING = {
    "unchanged": lambda s: (TOFU, None),
    "pinned": lambda s: ({"pin": s.server.cert.pin}, None),
    "pinned_to_another": lambda s: ({"pin": s.other.pin}, ("pin_mismatch", None)),
    "revoked": lambda s: ({**TOFU, "revoked": s.server.cert.pin}, ("refused", "revoked")),
    "pki": lambda s: (pki(s, ca_file=stranger(s)), ("refused", "pki")),
    "removed": lambda s: (None, ("refused", "pin_removed")),
}


@pytest.mark.parametrize("change", KEEPING)
def test_reload_while_the_first_key_is_being_kept(change, scene, state):
    scene.serve()
    after, how = KEEPING[change](scene)
    with locked(state):
        scene.begin(TOFU)
        scene.gate.open()
        wait_until(lambda: scene.server.conns and scene.server.conns[0].shaken, "the handshake's end")
        scene.reload(after)
    if how:
        scene.refused(*how)
    else:
        scene.opens()


# Sessions.

def visit(scene):
    mark = scene.daemon.mark()
    with connect(scene.daemon.address(NAME)) as sock:
        ping(sock)
        return scene.daemon.wait_event(mark, event="tunnel_open", section=NAME)["resumed"]


def begin_resumed(scene, version, **options):
    """A handshake that offers a session, held before the server's answer."""
    scene.serve("hello", version)
    scene.gate.open()
    scene.daemon = scene.start(scene.config({"resume": "yes", **options}))
    assert visit(scene) == "no"
    scene.daemon.wait_event(event="tunnel_close", section=NAME)
    scene.gate.shut()
    scene.sock = scene.knock(2)


@versions
@pytest.mark.parametrize("change", ["pin", "revoked", "name"])
def test_resumed_session_is_refused(change, version, scene):
    begin_resumed(scene, version)
    after, how = {"pin": ({"pin": scene.other.pin}, ("pin_mismatch", None)),
                  "revoked": ({"revoked": scene.server.cert.pin}, ("refused", "revoked")),
                  "name": ({"also_check": "name", "verify_name": "x.test"}, ("refused", "name"))}[change]
    scene.reload({"resume": "yes", **after})
    scene.gate.open()
    assert read_to_any_end(scene.sock) == (b"", True)
    scene.daemon.wait_event(event=how[0], section=NAME)
    scene.daemon.stop()
    assert told(scene.daemon) == [how]
    scene.gate.stop()
    scene.server.stop()
    assert not any(SECRET in conn.plaintext for conn in scene.server.conns)


@versions
def test_session_is_never_resumed_across_a_change_of_trust(version, scene):
    """The server's key is still accepted; a new connection is made with a full handshake."""
    begin_resumed(scene, version)
    after = {"resume": "yes", "pin": [scene.server.cert.pin, scene.other.pin]}
    scene.reload(after)
    scene.gate.open()
    assert read_to_any_end(scene.sock) == (b"", True)
    assert "session" in scene.daemon.wait_event(event="upstream_error", reason="tls")["detail"]
    assert visit(scene) == "no"
    assert visit(scene) == "yes"


@versions
def test_session_is_resumed_where_nothing_changed(version, scene):
    begin_resumed(scene, version)
    scene.reload({"resume": "yes", "idle_timeout": "1h"})
    mark = scene.daemon.mark()
    scene.gate.open()
    assert read_exactly(scene.sock, len(SECRET)) == SECRET
    assert scene.daemon.events(mark, event="tunnel_open")[0]["resumed"] == "yes"
    assert visit(scene) == "yes"


@versions
@pytest.mark.parametrize("change", ["trust", "nothing"])
def test_session_is_kept_only_where_the_trust_is_the_same(change, version, scene):
    scene.serve("hello", version)
    after = {"resume": "yes", "pin": [scene.server.cert.pin, scene.other.pin][:2 if change == "trust" else 1]}
    scene.begin({"resume": "yes"})
    scene.reload(after)
    scene.gate.open()
    assert read_exactly(scene.sock, len(SECRET)) == SECRET
    assert visit(scene) == ("no" if change == "trust" else "yes")


# A worker that skips a configuration.

def test_section_that_was_away_for_one_reload_counts_right(scene):
    """Its worker sees only the later reload."""
    scene.serve()
    scene.begin({})
    with held(scene.daemon, workers(scene.daemon)):
        mark = scene.daemon.mark()
        for options in (None, {"listen": "127.0.0.1:0"}):
            scene.daemon.write(scene.config(options))
            scene.daemon.signal(signal.SIGHUP)
            wait_steady(scene.daemon.log, quiet=0.3)
        assert not scene.daemon.events(mark, event="reload")
    scene.daemon.wait_event(mark, event="reload")
    scene.opens()
    scene.daemon.wait_event(event="tunnel_close", section=NAME)
    scene.daemon.signal(signal.SIGUSR1)
    assert scene.daemon.wait_event(event="status", section=NAME)["tunnels"] == "0"
