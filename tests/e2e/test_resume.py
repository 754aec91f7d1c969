"""Sessions are resumed only with `resume = yes`, and never past a change of trust."""

import ssl

import pytest

from harness import certs
from harness.assertions import SECRET, assert_refused, resumed
from harness.certs import NAME
from harness.clients import try_connection
from harness.config import to
from harness.revocation import crl

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def config(server, section=NAME, **options):
    options.setdefault("resume", "yes")
    return {"global": {"workers": 1}, section: to(server, **options)}


@pytest.mark.valgrind
@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_resumed_again_and_again(version, pinproxyd, tls_server):
    server = tls_server(minimum=VERSIONS[version], maximum=VERSIONS[version])
    daemon = pinproxyd(config(server))
    assert resumed(daemon, 4) == ["no", "yes", "yes", "yes"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resume", [None, "no"])
def test_no_session_is_resumed_without_the_option(resume, version, pinproxyd, tls_server):
    server = tls_server(minimum=VERSIONS[version], maximum=VERSIONS[version])
    daemon = pinproxyd(config(server, resume=resume))
    assert resumed(daemon, 3) == ["no", "no", "no"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("change", ["pin_added", "revoked_added", "mode", "verify_name", "sni", "alpn"])
def test_no_session_is_resumed_past_a_change_of_trust(change, version, pinproxyd, tls_server, tmp_path):
    server = tls_server(minimum=VERSIONS[version], maximum=VERSIONS[version])
    other = certs.self_signed(tmp_path).pin
    changed = {"pin_added": {"pin": [server.cert.pin, other]}, "revoked_added": {"revoked": other},
               "mode": {"also_check": "name"}, "verify_name": {"verify_name": "other.test"},
               "sni": {"sni": "off"}, "alpn": {"alpn": "http/1.1"}}[change]
    daemon = pinproxyd(config(server))
    assert resumed(daemon, 2) == ["no", "yes"]
    daemon.reload(config(server, **changed))
    assert resumed(daemon, 2) == ["no", "yes"]


def test_no_session_is_resumed_past_a_new_revocation_list(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    path = crl(tmp_path, ca)
    options = {"verify": "pki", "pin": None, "ca_file": ca.cert.pem_file(), "crl_file": path}
    daemon = pinproxyd(config(server, **options))
    assert resumed(daemon, 2) == ["no", "yes"]
    path.write_bytes(crl(tmp_path, ca).read_bytes())
    daemon.reload()
    assert resumed(daemon, 2) == ["no", "yes"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_resumed_past_a_reload_that_changes_no_trust(version, pinproxyd, tls_server):
    server = tls_server(minimum=VERSIONS[version], maximum=VERSIONS[version])
    daemon = pinproxyd(config(server))
    assert resumed(daemon, 1) == ["no"]
    daemon.reload(config(server, idle_timeout="1h"))
    assert resumed(daemon, 1) == ["yes"]


@pytest.mark.parametrize("version", VERSIONS)
def test_no_session_of_a_revoked_key_is_resumed(version, pinproxyd, tls_server):
    server = tls_server(minimum=VERSIONS[version], maximum=VERSIONS[version])
    daemon = pinproxyd(config(server))
    assert resumed(daemon, 2) == ["no", "yes"]
    received = sum(conn.received for conn in server.wait_done(2))
    daemon.reload(config(server, revoked=server.cert.pin))
    assert_refused(daemon, "refused", "revoked")
    assert sum(conn.received for conn in server.conns) == received


@pytest.mark.parametrize("version", VERSIONS)
def test_no_session_of_a_forgotten_key_is_resumed(version, pinproxyd, tls_server, tmp_path):
    """The policy is the same, but the learned key is not. A resumed session is judged by the current one."""
    server = tls_server(minimum=VERSIONS[version], maximum=VERSIONS[version])
    other = certs.self_signed(tmp_path).pin
    state = tmp_path / "state"
    daemon = pinproxyd({"global": {"workers": 1, "state_dir": state},
                        NAME: to(server, pin=None, verify="tofu", resume="yes")})
    assert resumed(daemon, 2) == ["no", "yes"]
    line = (state / "learned").read_text()
    (state / "learned").write_text(line.replace(server.cert.pin, other))
    daemon.reload()  # after which an edit is in force
    received = sum(conn.received for conn in server.wait_done(2))
    assert_refused(daemon, "refused", "tofu_changed")
    assert sum(conn.received for conn in server.conns) == received


def test_no_session_is_resumed_by_another_section(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({**config(server, "a.test"), "b.test": to(server, resume="yes")})
    assert [resumed(daemon, 1, section) for section in ("a.test", "b.test", "a.test")] == [["no"], ["no"], ["yes"]]


def test_a_refused_server_leaves_no_session(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd(config(server, pin=certs.self_signed(tmp_path).pin))
    for _ in range(2):
        try_connection(daemon.address(NAME), SECRET)
    daemon.stop()
    assert len(daemon.events(event="pin_mismatch")) == 2 and not daemon.events(event="tunnel_open")


def test_a_server_that_forgot_the_session_gets_a_full_handshake(pinproxyd, tls_server, tmp_path):
    """A full handshake follows, and its certificate is checked."""
    server = tls_server()
    daemon = pinproxyd(config(server))
    assert resumed(daemon, 1) == ["no"]
    server.use(certs.self_signed(tmp_path, key=server.cert.key))
    assert resumed(daemon, 1) == ["no"]
    server.use(certs.self_signed(tmp_path))
    assert_refused(daemon, "pin_mismatch")
