"""A handshake that is under way at a reload is judged by the new configuration only."""

import contextlib
import fcntl
import signal
import ssl

import pytest

from harness import certs
from harness.assertions import FAILURES, SECRET, assert_not_sent, assert_nothing_sent, failures, resumed
from harness.certs import NAME, client_certificate, day
from harness.clients import connect, read_exactly, read_to_any_end, try_exchange
from harness.config import to
from harness.frozen_threads import frozen, workers
from harness.learned import tofu
from harness.revocation import crl
from harness.servers import FullBacklog, ask_client
from harness.waiting import wait_steady, wait_until

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
versions = pytest.mark.parametrize("version", VERSIONS)

# How much of the server's first flight has come: nothing, or all except its end, so that the certificate has
# already been judged.
PLACES = {"hello": 0, "judged": -20}
places = pytest.mark.parametrize("place", PLACES)


@pytest.fixture
def handshake(pinproxyd, tls_server, relay, ca, tmp_path):
    return Handshake(pinproxyd, tls_server, relay, ca, tmp_path)


class Handshake:
    """A handshake that waits at a chosen point: a daemon with a client, a server below a CA, and a relay between them.

    First start_server(), then begin() with the options of the section, then reload() with others; at last
    assert_accepted() or assert_refused(), which let the handshake continue.
    """

    def __init__(self, pinproxyd, tls_server, relay, ca, directory):
        self.start, self.tls_server, self.new_relay, self.ca, self.directory = pinproxyd, tls_server, relay, ca, directory
        self.other = certs.self_signed(directory)
        self.sections = {"global": {"state_dir": directory / "state", "workers": 1}}

    def start_server(self, place="hello", version="1.3"):
        self.server = self.tls_server(cert=self.ca.issue(), minimum=VERSIONS[version], maximum=VERSIONS[version])
        self.relay = self.new_relay(self.server, PLACES[place])

    def config(self, options):
        """Returns the configuration with these options in the section; None leaves the section out."""
        second = {"second.test": to(self.server)}
        return {**self.sections, **second, **({NAME: to(self.relay, **options)} if options is not None else {})}

    def begin(self, options, count=1):
        """Starts the daemon and a client. The relay holds the handshake."""
        self.daemon = self.start(self.config(options))
        self.sock = self.connect(count)

    def connect(self, count=1):
        sock = connect(self.daemon.address(NAME))
        sock.sendall(SECRET)
        self.relay.wait_held(count)
        # the daemon has read and judged the forwarded bytes
        wait_steady(lambda: [bytes(conn.wire) for conn in self.relay.conns], quiet=0.1)
        return sock

    def reload(self, options):
        self.daemon.reload(self.config(options))

    def assert_accepted(self):
        """Asserts that the client gets its data back. Returns the `tunnel_open` event."""
        self.relay.open()
        assert read_exactly(self.sock, len(SECRET)) == SECRET
        self.sock.close()
        return self.daemon.wait_event(event="tunnel_open", section=NAME)

    def assert_refused(self, event, reason=None):
        """Asserts a reset, a single event, and that the server received no plaintext."""
        self.relay.open()
        assert read_to_any_end(self.sock) == (b"", True)
        self.sock.close()
        line = self.daemon.wait_event(event=lambda name: name in FAILURES, section=NAME)
        self.daemon.stop()
        assert failures(self.daemon) == [(event, reason)], line
        self.relay.stop()
        assert_nothing_sent(self.server, SECRET)
        return line


# The options before and after the reload, and the event and reason of the refusal.

def pki(s, **options):
    return {"verify": "pki", "pin": None, "ca_file": s.ca.cert.pem_file(), **options}


def both(s, **options):
    return {"verify": "pin+pki", "pin": s.server.cert.pin, "ca_file": s.ca.cert.pem_file(), **options}


def other_ca_file(s):
    return certs.CA(s.directory, "Stranger").cert.pem_file()


REFUSED = {
    "pin_removed": lambda s: ({"pin": [s.server.cert.pin, s.other.pin]}, {"pin": s.other.pin}, ("pin_mismatch", None)),
    "pin_over": lambda s: ({}, {"pin": f"{s.server.cert.pin} until={day(-1)}"}, ("refused", "expired_pins")),
    "issuer_pin_removed": lambda s: ({"pin": f"issuer-cert:{s.ca.cert.pem_file()}"},
                                     {"pin": f"issuer-cert:{other_ca_file(s)}"}, ("pin_mismatch", None)),
    "revoked": lambda s: ({}, {"revoked": s.server.cert.pin}, ("refused", "revoked")),
    "name_checked": lambda s: ({}, {"also_check": "name", "verify_name": "other.test"}, ("refused", "name")),
    "verify_pki": lambda s: ({}, pki(s, ca_file=other_ca_file(s)), ("refused", "pki")),
    "verify_both": lambda s: ({}, both(s, ca_file=other_ca_file(s)), ("refused", "pki")),
    "verify_pin": lambda s: (pki(s), {"pin": s.other.pin}, ("pin_mismatch", None)),
    "verify_name": lambda s: (pki(s), pki(s, verify_name="other.test"), ("refused", "pki")),
    "ca_changed": lambda s: (pki(s), pki(s, ca_file=other_ca_file(s)), ("refused", "pki")),
    "crl_added": lambda s: (pki(s), pki(s, crl_file=crl(s.directory, s.ca, s.server.cert)), ("refused", "pki")),
    "staple_wanted": lambda s: (pki(s), pki(s, ocsp="staple"), ("refused", "pki")),
    "report_ended": lambda s: (both(s, pin=s.other.pin, enforce="report"), both(s, pin=s.other.pin),
                               ("pin_mismatch", None)),
    "section_removed": lambda s: ({}, None, ("refused", "pin_removed")),
}


@versions
@places
@pytest.mark.parametrize("change", REFUSED)
def test_a_handshake_is_refused_by_the_new_configuration(change, place, version, handshake):
    handshake.start_server(place, version)
    before, after, refusal = REFUSED[change](handshake)
    handshake.begin(before)
    handshake.reload(after)
    handshake.assert_refused(*refusal)


@pytest.mark.threads
@versions
def test_a_removed_pin_refuses_a_handshake_under_threads(version, handshake):
    handshake.start_server("judged", version)
    handshake.begin({})
    handshake.reload({"pin": handshake.other.pin})
    handshake.assert_refused("pin_mismatch")


def test_a_tls_version_that_is_no_longer_permitted_is_refused(handshake):
    handshake.start_server("judged", "1.2")
    handshake.begin({})
    handshake.reload({"tls_min": "1.3"})
    assert "tls_min" in handshake.assert_refused("upstream_error", "tls")["detail"]


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
    "another_ca_added": lambda s: (pki(s), pki(s, ca_file=[other_ca_file(s), s.ca.cert.pem_file()])),
}


@versions
@places
@pytest.mark.parametrize("change", UNCHANGED)
def test_a_handshake_is_accepted_by_the_new_configuration(change, place, version, handshake):
    handshake.start_server(place, version)
    before, after = UNCHANGED[change](handshake)
    handshake.begin(before)
    handshake.reload(after)
    handshake.assert_accepted()
    assert failures(handshake.daemon) == []


@versions
@pytest.mark.parametrize("revoked", [False, True], ids=["trusted", "revoked"])
def test_a_client_certificate_is_shown_to_a_server_that_the_new_configuration_trusts(
        revoked, version, handshake, ca):
    """The server's certificate has come, but not the proof that it holds the key."""
    handshake.start_server(version=version)
    handshake.relay = handshake.new_relay(ask_client(handshake.server, ca.cert), -120)
    client = client_certificate(ca)
    options = {"client_cert": client.pem_file(), "client_key": client.key_file()}
    handshake.begin(options)
    handshake.reload({**options, **({"revoked": handshake.server.cert.pin} if revoked else {})})
    if revoked:
        handshake.assert_refused("refused", "revoked")
    else:
        handshake.assert_accepted()
    with contextlib.suppress(ValueError):  # the server has refused the handshake
        assert bool(handshake.server.conns[-1].tls.getpeercert(binary_form=True)) != revoked


NEWLY_TRUSTED = {
    "pin_added": lambda s: ({"pin": s.other.pin}, {}),
    "revoked_no_more": lambda s: ({"revoked": s.server.cert.pin}, {}),
    "ca_added": lambda s: (pki(s, ca_file=other_ca_file(s)), pki(s)),
    "crl_without_it": lambda s: (pki(s, crl_file=crl(s.directory, s.ca, s.server.cert)), pki(s)),
}


@versions
@pytest.mark.parametrize("change", NEWLY_TRUSTED)
def test_a_handshake_is_accepted_though_the_old_configuration_refused_it(change, version, handshake):
    handshake.start_server("hello", version)
    before, after = NEWLY_TRUSTED[change](handshake)
    handshake.begin(before)
    handshake.reload(after)
    handshake.assert_accepted()
    assert failures(handshake.daemon) == []


def test_report_mode_that_begins_during_the_handshake_has_an_effect(handshake):
    handshake.start_server()
    handshake.begin(both(handshake, pin=handshake.other.pin))
    handshake.reload(both(handshake, pin=handshake.other.pin, enforce="report"))
    handshake.assert_accepted()
    assert failures(handshake.daemon) == [("pin_mismatch", None)]


def test_the_tunnel_has_the_new_timeouts_and_pin_names(handshake):
    """The tunnel uses the whole new section: it logs the new name of the pin, and the new idle_timeout ends it."""
    handshake.start_server("judged")
    handshake.begin({"pin": f"{handshake.server.cert.pin} name=old"})
    handshake.reload({"pin": f"{handshake.server.cert.pin} name=new", "idle_timeout": "1s"})
    handshake.relay.open()
    assert read_exactly(handshake.sock, len(SECRET)) == SECRET
    assert handshake.daemon.wait_event(event="tunnel_open")["pin"] == "new"
    assert read_to_any_end(handshake.sock) == (b"", False)
    handshake.daemon.wait_event(event="tunnel_close", reason="idle")


def test_old_configurations_are_freed(handshake):
    """A handshake outlives many reloads. Sanitizers show whether an old configuration is used after it was freed."""
    handshake.start_server("judged")
    handshake.begin({})
    for seconds in range(20):
        pins = [certs.self_signed(handshake.directory).pin, handshake.server.cert.pin]
        handshake.reload({"half_close_timeout": seconds + 1, "pin": pins})
    handshake.assert_accepted()


# Connecting.

@pytest.fixture
def unanswered(stack):
    return stack.add(FullBacklog())


def test_a_reload_while_connecting_connects_to_the_new_address(unanswered, handshake):
    handshake.start_server()
    handshake.relay.open()
    daemon = handshake.daemon = handshake.start(handshake.config({"address": unanswered.address}))
    handshake.sock = connect(daemon.address(NAME))
    handshake.sock.sendall(SECRET)
    wait_steady(daemon.fds, quiet=0.2)
    handshake.reload({})
    handshake.assert_accepted()


@pytest.mark.parametrize("change", ["removed", "revoked", "unchanged"])
def test_a_reload_while_connecting_decides_by_the_new_configuration(change, unanswered, handshake):
    handshake.start_server()
    handshake.relay.open()
    addresses = [unanswered.address, handshake.relay.address]
    daemon = handshake.daemon = handshake.start(handshake.config({"address": addresses}))
    with frozen(daemon, workers(daemon)):
        handshake.sock = connect(daemon.address(NAME))
        handshake.sock.sendall(SECRET)
    handshake.reload({"removed": None, "revoked": {"address": addresses, "revoked": handshake.server.cert.pin},
                  "unchanged": {"address": addresses, "idle_timeout": "1h"}}[change])
    if change == "unchanged":
        handshake.assert_accepted()
    else:
        handshake.assert_refused("refused", "revoked" if change == "revoked" else "pin_removed")


# Learned keys.

TOFU = {"verify": "tofu", "pin": None}


def line(pin, origin="tofu", section=NAME):
    return f"{section} {section}:443 {pin} 2026-01-01 from={origin}\n"


class Witness:
    """A section with a learned key, whose clients are refused as soon as the daemon has read an edited file."""

    NAME = "witness.test"

    def __init__(self, handshake):
        self.handshake, server = handshake, handshake.tls_server()
        handshake.sections[self.NAME] = tofu(server)
        self.line = line(server.cert.pin, section=self.NAME)
        self.edited_line = line(handshake.other.pin, section=self.NAME)

    def wait_read(self):
        """Waits until the daemon has read a file with edited_line."""
        address = self.handshake.daemon.address(self.NAME)
        wait_until(lambda: try_exchange(address) is None, "the daemon to read the file")


@versions
@places
@pytest.mark.parametrize("reload", [True, False])
def test_a_key_replaced_in_the_file_during_the_handshake_is_refused(reload, place, version, handshake, state):
    handshake.start_server(place, version)
    witness = Witness(handshake)
    state.write(line(handshake.server.cert.pin) + witness.line)
    handshake.begin(TOFU)
    state.write(line(handshake.other.pin) + witness.edited_line)
    if reload:
        handshake.reload(TOFU)
    else:
        witness.wait_read()
    handshake.assert_refused("refused", "tofu_changed")


@versions
@places
def test_an_announced_key_removed_during_the_handshake_is_refused(place, version, handshake, state):
    handshake.start_server(place, version)
    witness = Witness(handshake)
    origin = f"pins_url until={day(2)} via={handshake.other.pin}"
    state.write(line(handshake.server.cert.pin, origin) + witness.line)
    options = {"pin": handshake.other.pin, "pins_url": "/pins"}
    handshake.begin(options, count=2)  # the daemon's own connection as well
    state.write(witness.edited_line)
    witness.wait_read()
    handshake.relay.open()
    assert read_to_any_end(handshake.sock) == (b"", True)
    handshake.sock.close()
    handshake.daemon.wait_event(event="pin_mismatch", section=NAME)
    handshake.daemon.stop()
    assert {event for event, _ in failures(handshake.daemon)} == {"pin_mismatch"}
    handshake.relay.stop()
    assert_nothing_sent(handshake.server, SECRET)


def test_a_key_that_stays_in_the_file_is_accepted(handshake, state):
    handshake.start_server("judged")
    state.write(line(handshake.server.cert.pin))
    handshake.begin(TOFU)
    state.write("# another line\n" + line(handshake.server.cert.pin) + line(handshake.other.pin, section="second.test"))
    handshake.assert_accepted()


@versions
@places
@pytest.mark.parametrize("change", ["host", "port", "address"])
def test_a_key_is_not_learned_for_a_server_that_the_reload_changed(change, place, version, handshake, state):
    """Nothing shows that both are one server. The first connection after the reload is the first use."""
    handshake.start_server(place, version)
    elsewhere = handshake.tls_server(cert=handshake.other)
    changes = {"host": {"host": "elsewhere.test"}, "port": {"port": 8443},
               "address": {"address": f"127.0.0.1:{elsewhere.port}"}}
    handshake.begin(TOFU)
    handshake.reload({**TOFU, **changes[change]})
    handshake.assert_refused("refused", "unsaved")
    assert state.text() == ""


@contextlib.contextmanager
def locked(state):
    """Holds the lock of the learned pins, so that the daemon waits to store a first key."""
    state.directory.mkdir(exist_ok=True)
    with open(state.directory / "learned.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


KEEPING = {
    "unchanged": lambda s: (TOFU, None),
    "pinned": lambda s: ({"pin": s.server.cert.pin}, None),
    "pinned_to_another": lambda s: ({"pin": s.other.pin}, ("pin_mismatch", None)),
    "revoked": lambda s: ({**TOFU, "revoked": s.server.cert.pin}, ("refused", "revoked")),
    "pki": lambda s: (pki(s, ca_file=other_ca_file(s)), ("refused", "pki")),
    "removed": lambda s: (None, ("refused", "pin_removed")),
}


@pytest.mark.parametrize("change", KEEPING)
def test_a_reload_while_the_first_key_is_stored_decides_by_the_new_configuration(change, handshake, state):
    handshake.start_server()
    after, refusal = KEEPING[change](handshake)
    with locked(state):
        handshake.begin(TOFU)
        handshake.relay.open()
        wait_until(lambda: handshake.server.conns and handshake.server.conns[0].handshake_done, "the handshake's end")
        handshake.reload(after)
    if refusal:
        handshake.assert_refused(*refusal)
    else:
        handshake.assert_accepted()


# Sessions.

def begin_resumed(handshake, version, **options):
    """Begins a handshake that offers a session. The relay holds the server's answer."""
    handshake.start_server("hello", version)
    handshake.relay.open()
    handshake.daemon = handshake.start(handshake.config({"resume": "yes", **options}))
    assert resumed(handshake.daemon, 1) == ["no"]
    handshake.daemon.wait_event(event="tunnel_close", section=NAME)
    handshake.relay.close()
    handshake.sock = handshake.connect(2)


@versions
@pytest.mark.parametrize("change", ["pin", "revoked", "name"])
def test_a_session_that_the_server_resumes_is_refused_by_the_new_configuration(change, version, handshake):
    begin_resumed(handshake, version)
    after, refusal = {"pin": ({"pin": handshake.other.pin}, ("pin_mismatch", None)),
                  "revoked": ({"revoked": handshake.server.cert.pin}, ("refused", "revoked")),
                  "name": ({"also_check": "name", "verify_name": "x.test"}, ("refused", "name"))}[change]
    handshake.reload({"resume": "yes", **after})
    handshake.relay.open()
    assert read_to_any_end(handshake.sock) == (b"", True)
    handshake.daemon.wait_event(event=refusal[0], section=NAME)
    handshake.daemon.stop()
    assert failures(handshake.daemon) == [refusal]
    handshake.relay.stop()
    assert_not_sent(handshake.server)


@versions
def test_a_session_is_not_resumed_across_a_change_of_trust(version, handshake):
    """The server's key is still accepted. A new connection makes a full handshake."""
    begin_resumed(handshake, version)
    after = {"resume": "yes", "pin": [handshake.server.cert.pin, handshake.other.pin]}
    handshake.reload(after)
    handshake.relay.open()
    assert read_to_any_end(handshake.sock) == (b"", True)
    assert "session" in handshake.daemon.wait_event(event="upstream_error", reason="tls")["detail"]
    assert resumed(handshake.daemon, 2) == ["no", "yes"]


@versions
def test_a_session_is_resumed_where_the_trust_is_the_same(version, handshake):
    begin_resumed(handshake, version)
    handshake.reload({"resume": "yes", "idle_timeout": "1h"})
    mark = handshake.daemon.mark()
    handshake.relay.open()
    assert read_exactly(handshake.sock, len(SECRET)) == SECRET
    assert handshake.daemon.events(mark, event="tunnel_open")[0]["resumed"] == "yes"
    assert resumed(handshake.daemon, 1) == ["yes"]


@versions
@pytest.mark.parametrize("change", ["trust", "nothing"])
def test_a_session_is_stored_only_where_the_trust_is_the_same(change, version, handshake):
    handshake.start_server("hello", version)
    after = {"resume": "yes", "pin": [handshake.server.cert.pin, handshake.other.pin][:2 if change == "trust" else 1]}
    handshake.begin({"resume": "yes"})
    handshake.reload(after)
    handshake.relay.open()
    assert read_exactly(handshake.sock, len(SECRET)) == SECRET
    assert resumed(handshake.daemon, 1) == ["no" if change == "trust" else "yes"]


# A worker that skips a configuration.

def test_a_section_that_one_reload_removed_counts_its_tunnels_correctly(handshake):
    """The worker sees only the later reload."""
    handshake.start_server()
    handshake.begin({})
    with frozen(handshake.daemon, workers(handshake.daemon)):
        mark = handshake.daemon.mark()
        for options in (None, {"listen": "127.0.0.1:0"}):
            handshake.daemon.write(handshake.config(options))
            handshake.daemon.signal(signal.SIGHUP)
            wait_steady(handshake.daemon.log, quiet=0.3)
        assert not handshake.daemon.events(mark, event="reload")
    handshake.daemon.wait_event(mark, event="reload")
    handshake.assert_accepted()
    handshake.daemon.wait_event(event="tunnel_close", section=NAME)
    handshake.daemon.signal(signal.SIGUSR1)
    assert handshake.daemon.wait_event(event="status", section=NAME)["tunnels"] == "0"
