"""Resumption: each ticket is offered once, and no session evades a change of trust."""

import ssl

import pytest

from harness import certs
from harness.assertions import SECRET, assert_accepted, assert_not_sent, assert_refused, failures, resumed
from harness.certs import NAME, day
from harness.clients import REFUSED, connect, ping, try_connection
from harness.config import to
from harness.waiting import wait_until

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
versions = pytest.mark.parametrize("version", VERSIONS)


@pytest.fixture
def server_of(tls_server):
    return lambda version, **options: tls_server(minimum=VERSIONS[version], maximum=VERSIONS[version], **options)


def config(server, section=NAME, **options):
    """Returns a configuration with one worker, because each worker has sessions of its own."""
    return {"global": {"workers": 1}, section: to(server, **{"resume": "yes", **options})}


def show(server, cert):
    """Presents another certificate in the same context. Unlike with `use`, old tickets stay valid."""
    server.context.load_cert_chain(cert.chain_file(), cert.key_file())


def psk_identities(wire):
    """Returns the tickets that a TLS 1.3 ClientHello offers (RFC 8446 section 4.2.11); [] if it offers none."""
    hello = bytes(wire[5:5 + int.from_bytes(wire[3:5], "big")])
    at = 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 1 + hello[at]
    at += 2
    while at < len(hello):
        kind, size = int.from_bytes(hello[at:at + 2], "big"), int.from_bytes(hello[at + 2:at + 4], "big")
        at += 4
        if kind == 41:
            length = int.from_bytes(hello[at + 2:at + 4], "big")
            return [hello[at + 4:at + 4 + length]]
        at += size
    return []


# Tickets.

def test_no_ticket_is_offered_twice(pinproxyd, server_of):
    """The connections come one after another and many at once. The first offers none."""
    server = server_of("1.3")
    daemon = pinproxyd(config(server))
    assert resumed(daemon, 4) == ["no", "yes", "yes", "yes"]
    socks = [connect(daemon.address(NAME)) for _ in range(20)]
    for sock in socks:
        ping(sock)
    for sock in socks:
        sock.close()
    offered = [identity for conn in server.wait_conns(24) for identity in psk_identities(conn.wire)]
    # three of the first four, and at least two of the twenty: the tickets that the first four left
    assert len(offered) >= 5
    assert len(set(offered)) == len(offered)
    yes = sum(event["resumed"] == "yes" for event in daemon.events(event="tunnel_open"))
    assert yes == len(offered)


def test_a_ticket_that_the_server_refused_is_not_offered_again(pinproxyd, server_of, tmp_path):
    server = server_of("1.3")
    daemon = pinproxyd(config(server))
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path, key=server.cert.key))
    assert resumed(daemon, 2) in (["no", "no"], ["no", "yes"])
    offered = [identity for conn in server.wait_conns(3) for identity in psk_identities(conn.wire)]
    assert len(offered) == 2 and offered[0] != offered[1]


@versions
def test_a_session_is_resumed_by_id_without_tickets(version, pinproxyd, server_of):
    """The server stores the session, and the client has its identifier."""
    server = server_of(version)
    server.context.options |= ssl.OP_NO_TICKET
    daemon = pinproxyd(config(server))
    assert resumed(daemon, 3) == ["no", "yes", "yes"]


@versions
@pytest.mark.parametrize("verify", ["pki", "pin+pki", "tofu", "tofu+pki", "issuer"])
def test_a_session_is_resumed_in_each_trust_mode(verify, version, pinproxyd, server_of, ca, tmp_path):
    server = server_of(version, cert=ca.issue())
    trust = {"verify": verify, "ca_file": ca.cert.pem_file(), "pin": server.cert.pin if verify == "pin+pki" else None}
    if verify == "issuer":
        trust = {"pin": f"issuer-cert:{ca.cert.pem_file()}"}
    settings = config(server, **trust)
    settings["global"]["state_dir"] = tmp_path / "state"
    daemon = pinproxyd(settings)
    events = [assert_accepted(daemon) for _ in range(2)]
    assert [event["resumed"] for event in events] == ["no", "yes"]
    assert events[0].get("pin") == events[1].get("pin") or verify.startswith("tofu")


# Changes of trust.

def changes(server, tmp_path):
    other = certs.self_signed(tmp_path).pin
    return {
        "pin_added": ({}, {"pin": [server.cert.pin, other]}),
        "pin_taken_away": ({"pin": [server.cert.pin, other]}, {}),
        "pin_dated": ({}, {"pin": f"{server.cert.pin} until={day(9)}"}),
        "pin_of_the_certificate": ({}, {"pin": server.cert.cert_pin}),
        "revoked_added": ({}, {"revoked": other}),
        "revoked_taken_away": ({"revoked": other}, {}),
        "host": ({}, {"host": "other.test"}),
        "port": ({}, {"port": 444}),
        "dates": ({}, {"also_check": "dates"}),
        "ciphers": ({}, {"ciphers": "ECDHE+AESGCM", "ciphersuites": "TLS_AES_128_GCM_SHA256"}),
    }


@versions
@pytest.mark.parametrize("name", [
    "pin_added", "pin_taken_away", "pin_dated", "pin_of_the_certificate", "revoked_added", "revoked_taken_away", "host",
    "port", "dates", "ciphers"])
def test_no_session_is_resumed_past_any_change_of_trust(name, version, pinproxyd, server_of, tmp_path):
    server = server_of(version)
    before, after = changes(server, tmp_path)[name]
    daemon = pinproxyd(config(server, **before))
    assert resumed(daemon, 2) == ["no", "yes"]
    daemon.reload(config(server, **after))
    assert resumed(daemon, 2) == ["no", "yes"]


@versions
def test_no_session_is_resumed_when_trust_changed_and_changed_back(version, pinproxyd, server_of, tmp_path):
    server = server_of(version)
    daemon = pinproxyd(config(server))
    assert resumed(daemon, 2) == ["no", "yes"]
    daemon.reload(config(server, revoked=server.cert.pin))
    # so the worker has seen this configuration before the next one
    assert try_connection(daemon.address(NAME), SECRET) == REFUSED
    daemon.reload(config(server))
    assert resumed(daemon, 1) == ["no"]


@versions
def test_a_resumed_session_logs_the_new_name_of_its_pin(version, pinproxyd, server_of):
    """A name changes no trust. The session may be resumed, and the log has the current name."""
    server = server_of(version)
    daemon = pinproxyd(config(server, pin=f"{server.cert.pin} name=old"))
    assert assert_accepted(daemon)["pin"] == "old"
    daemon.reload(config(server, pin=f"{server.cert.pin} name=new"))
    assert assert_accepted(daemon)["pin"] == "new"


@versions
def test_no_session_is_resumed_by_a_renamed_section(version, pinproxyd, server_of):
    server = server_of(version)
    daemon = pinproxyd(config(server))
    assert_accepted(daemon)
    daemon.reload(config(server, "other.test", host=NAME))
    assert resumed(daemon, 2, "other.test") == ["no", "yes"]


@versions
def test_no_session_is_resumed_after_resume_is_turned_off(version, pinproxyd, server_of):
    server = server_of(version)
    daemon = pinproxyd(config(server))
    assert resumed(daemon, 2) == ["no", "yes"]
    daemon.reload(config(server, resume="no"))
    assert resumed(daemon, 2) == ["no", "no"]


@versions
@pytest.mark.parametrize("what", ["server", "ca"])
def test_a_key_revoked_by_a_reload_is_refused_though_it_has_a_session(what, version, pinproxyd, server_of, ca):
    """There is one failure event and a reset, and the server gets nothing more than the earlier data."""
    server = server_of(version, cert=ca.issue())
    trust = {"verify": "pki", "pin": None, "ca_file": ca.cert.pem_file()}
    daemon = pinproxyd(config(server, **trust))
    assert resumed(daemon, 2) == ["no", "yes"]
    server.wait_done(2)
    daemon.reload(config(server, revoked=server.cert.pin if what == "server" else ca.cert.pin, **trust))
    assert_refused(daemon, "refused", "revoked")
    daemon.stop()
    assert failures(daemon) == [("refused", "revoked")]
    server.stop()
    assert sum(conn.received for conn in server.conns) == 2 * len(b"hello")


# Servers whose ticket keys outlive their certificate.

@versions
def test_a_session_belongs_to_the_certificate_of_its_full_handshake(version, pinproxyd, server_of, tmp_path):
    """It is valid as long as it lasts. A full handshake then meets the other key."""
    server = server_of(version)
    daemon = pinproxyd(config(server))
    assert_accepted(daemon)
    show(server, certs.self_signed(tmp_path))
    assert resumed(daemon, 1) == ["yes"]
    daemon.reload(config(server, revoked=certs.self_signed(tmp_path).pin))  # removes the sessions
    assert_refused(daemon, "pin_mismatch")
    daemon.stop()
    assert failures(daemon) == [("pin_mismatch", None)]
    server.stop()
    assert sum(conn.received for conn in server.conns) == 2 * len(b"hello")


@versions
def test_a_new_key_is_not_hidden_by_a_session_of_the_old_one(version, pinproxyd, server_of, tmp_path):
    """The old key is revoked. Its session is not used, though the server would accept the ticket."""
    server = server_of(version)
    old, new = server.cert, certs.self_signed(tmp_path)
    daemon = pinproxyd(config(server, pin=[old.pin, f"{new.pin} name=new"]))
    assert resumed(daemon, 2) == ["no", "yes"]
    show(server, new)
    daemon.reload(config(server, pin=[old.pin, f"{new.pin} name=new"], revoked=old.pin))
    event = assert_accepted(daemon)
    assert (event["resumed"], event["pin"]) == ("no", "new")


@versions
def test_a_refused_connection_leaves_no_session(version, pinproxyd, server_of, tmp_path):
    """The policy is the same before and after, so that a session of the refused connection could be found again."""
    server = server_of(version)
    other = certs.self_signed(tmp_path)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    settings = config(server, pin=None, verify="tofu")
    settings["global"]["state_dir"] = state
    daemon = pinproxyd(settings)
    assert_accepted(daemon)
    learned = (state / "learned").read_text()
    right = server.cert
    server.use(other)
    for _ in range(3):
        assert try_connection(daemon.address(NAME), SECRET) == REFUSED
    daemon.wait_event(event="refused", reason="tofu_changed")
    wait_until(lambda: " refused" in (state / "learned").read_text(), "the note of the refused key")
    (state / "learned").write_text(learned.replace(right.pin, other.pin))
    daemon.reload()  # after which an edit is in force
    assert resumed(daemon, 2) == ["no", "yes"]


# Sections.

@versions
def test_each_section_has_sessions_of_its_own(version, pinproxyd, server_of, tmp_path):
    """The sections have the same pins, more pins or a wrong pin. Sections with one server share no session."""
    server = server_of(version)
    other = certs.self_signed(tmp_path).pin
    daemon = pinproxyd({**config(server, "a.test", host=NAME),
                        "b.test": to(server, host=NAME, resume="yes"),
                        "c.test": to(server, host=NAME, resume="yes", pin=[server.cert.pin, other]),
                        "wrong.test": to(server, host=NAME, resume="yes", pin=other),
                        "revoked.test": to(server, host=NAME, resume="yes", revoked=server.cert.pin),
                        "off.test": to(server, host=NAME)})
    assert resumed(daemon, 2, "a.test") == ["no", "yes"]
    assert try_connection(daemon.address("wrong.test"), SECRET) == REFUSED
    assert try_connection(daemon.address("revoked.test"), SECRET) == REFUSED
    for section in ("b.test", "c.test"):
        assert resumed(daemon, 2, section) == ["no", "yes"]
    assert resumed(daemon, 2, "off.test") == ["no", "no"]
    assert resumed(daemon, 1, "a.test") == ["yes"]
    daemon.stop()
    assert failures(daemon, "wrong.test") == [("pin_mismatch", None)]
    assert failures(daemon, "revoked.test") == [("refused", "revoked")]
    assert_not_sent(server)
