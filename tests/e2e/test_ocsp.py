"""Stapled OCSP responses: a server without a good one is refused and gets nothing, and the log names the fault."""

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness import certs
from harness.assertions import SECRET, assert_refused, failures
from harness.certs import DAY, NAME, now
from harness.chains import issue
from harness.clients import connect
from harness.config import to
from harness.revocation import deliver, responder, response, response_for_another, sign_response


def section(server, ca, tmp_path, verify="pki", **options):
    pin = server.cert.pin if verify == "pin+pki" else None
    return {"global": {"workers": 1, "state_dir": tmp_path / "state"},
            NAME: to(server, verify=verify, pin=pin, ca_file=ca.cert.pem_file(), ocsp="staple", **options)}


def build(cert, ca, signer=None, *, known_by=hashes.SHA1, digest=hashes.SHA256, name=ocsp.OCSPResponderEncoding.HASH):
    """Returns a good response in a chosen shape."""
    builder = (ocsp.OCSPResponseBuilder()
               .add_response(cert=cert.cert, issuer=ca.cert.cert, algorithm=known_by(),
                             cert_status=ocsp.OCSPCertStatus.GOOD, this_update=now() - DAY, next_update=now() + DAY,
                             revocation_time=None, revocation_reason=None)
               .responder_id(name, signer.cert if signer else ca.cert.cert))
    if signer:
        builder = builder.certificates([signer.cert])
    return sign_response(builder, (signer or ca).key, digest)


def one_bit_off(cert, ca):
    """Returns a response with a broken signature. Without certificates the signature is at the end."""
    good = bytearray(response(cert, ca))
    good[-1] ^= 1
    return bytes(good)


def status_changed(cert, ca):
    """Returns a response whose status was changed to "good" after it was signed."""
    bad = response(cert, ca, status=ocsp.OCSPCertStatus.UNKNOWN)
    assert bad.count(b"\x82\x00\x18\x0f") == 1  # [2] unknown, then thisUpdate
    return bad.replace(b"\x82\x00\x18\x0f", b"\x80\x00\x18\x0f")


def responder_of_age(ca, **dates):
    return issue(ca.cert.directory, "responder", ca.cert, purpose=ExtendedKeyUsageOID.OCSP_SIGNING, **dates)


def in_wrapping(status, body=b""):
    return certs.der(0x30, certs.der(0x0a, bytes([status])) + body)


def with_body(kind, content):
    """Returns a successful response of a kind."""
    body = certs.der(0x06, bytes.fromhex(kind)) + certs.der(0x04, content)
    return in_wrapping(0, certs.der(0xa0, certs.der(0x30, body)))


BASIC = "2b0601050507300101"
CERT_STATUS = {"unknown": ocsp.OCSPCertStatus.UNKNOWN, "revoked": ocsp.OCSPCertStatus.REVOKED}

BAD = {
    "missing": (lambda cert, ca: None, "no response was stapled"),
    "expired": (lambda cert, ca: response(cert, ca, start=-9, end=-2), "has expired"),
    "old_without_a_next_update": (lambda cert, ca: response(cert, ca, start=-3, end=None), "more than a day old"),
    "early": (lambda cert, ca: response(cert, ca, start=2, end=9), "not valid yet"),
    "for_another_certificate": (response_for_another, "for another certificate"),
    "unknown": (lambda cert, ca: response(cert, ca, status=CERT_STATUS["unknown"]), "does not know"),
    "revoked": (lambda cert, ca: response(cert, ca, status=CERT_STATUS["revoked"]), "is revoked"),
    "revoked_says_its_responder": (
        lambda cert, ca: response(cert, ca, responder(ca), status=CERT_STATUS["revoked"]), "is revoked"),
    "signature_one_bit_off": (one_bit_off, "not signed by"),
    "status_changed_afterwards": (status_changed, "not signed by"),
    "responder_expired": (lambda cert, ca: response(cert, ca, responder_of_age(ca, start=-9, end=-2)), "not signed by"),
    "responder_not_yet_valid": (
        lambda cert, ca: response(cert, ca, responder_of_age(ca, start=2, end=9)), "not signed by"),
    "responder_without_its_purpose": (
        lambda cert, ca: response(cert, ca, responder(ca, ExtendedKeyUsageOID.SERVER_AUTH)), "not signed by"),
    "responder_of_another_ca": (
        lambda cert, ca: response(cert, ca, responder(certs.CA(cert.directory))), "not signed by"),
    "another_ca_of_the_same_name": (
        lambda cert, ca: response(cert, ca, certs.CA(cert.directory, "Test Root")), "not signed by"),
    "the_server_itself": (lambda cert, ca: response(cert, ca, cert), "not signed by"),
    "basic_of_garbage": (lambda cert, ca: with_body(BASIC, b"garbage"), "unknown kind"),
    "another_kind": (lambda cert, ca: with_body("2b06010505073001" + "7f", b"\x05\x00"), "unknown kind"),
    **{f"status_{status}": (lambda cert, ca, status=status: in_wrapping(status), "answered with an error")
       for status in (1, 2, 3, 5, 6)},
}

GOOD = {
    "by_the_issuer": lambda cert, ca: response(cert, ca),
    "by_its_responder": lambda cert, ca: response(cert, ca, responder(ca)),
    "without_a_next_update": lambda cert, ca: response(cert, ca, start=0, end=None),
    "known_by_sha256": lambda cert, ca: build(cert, ca, known_by=hashes.SHA256),
    "named_responder": lambda cert, ca: build(cert, ca, responder(ca), name=ocsp.OCSPResponderEncoding.NAME),
    "signed_with_sha384": lambda cert, ca: build(cert, ca, digest=hashes.SHA384),
}


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_response_is_refused_and_nothing_is_sent(name, version, pinproxyd, stapling_server, ca, tmp_path):
    make, words = BAD[name]
    cert = ca.issue()
    server = stapling_server(cert, make(cert, ca), version)
    event = assert_refused(pinproxyd(section(server, ca, tmp_path)), "refused", "pki", server=server)
    assert event["detail"].startswith("OCSP: ") and words in event["detail"], event["detail"]


def test_each_fault_has_its_own_message():
    """Faults of one kind share a message, such as those of the signature."""
    assert len({words for _, words in BAD.values()}) == 10


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("name", GOOD)
def test_a_good_response_is_accepted(name, version, pinproxyd, stapling_server, ca, tmp_path):
    """This also proves that the server of the test above would have printed the data."""
    cert = ca.issue()
    server = stapling_server(cert, GOOD[name](cert, ca), version)
    deliver(pinproxyd(section(server, ca, tmp_path)), server)


@pytest.mark.parametrize("verify", ["pki", "pin+pki", "tofu+pki"])
@pytest.mark.parametrize("version", ["2", "3"])
def test_each_mode_with_pki_requires_a_response(version, verify, pinproxyd, stapling_server, ca, tmp_path):
    """No key is learned from a server without a good response."""
    cert = ca.issue()
    server = stapling_server(cert, response(cert, ca, status=CERT_STATUS["revoked"]), version)
    daemon = pinproxyd(section(server, ca, tmp_path, verify))
    assert assert_refused(daemon, "refused", "pki")["detail"].startswith("OCSP: ")
    assert not daemon.events(event="learned")
    server.staple.write_bytes(response(cert, ca))
    deliver(daemon, server, b"now it may\n")
    daemon.stop()
    server.stop()
    assert failures(daemon) == [("refused", "pki")] and not server.has_received(SECRET)


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_later_revocation_refuses_a_new_connection(version, pinproxyd, stapling_server, ca, tmp_path):
    """A new connection is judged by its own response, not by an earlier one."""
    cert = ca.issue()
    server = stapling_server(cert, response(cert, ca), version)
    daemon = pinproxyd(section(server, ca, tmp_path))
    deliver(daemon, server, b"still good\n")
    server.staple.write_bytes(response(cert, ca, status=CERT_STATUS["revoked"]))
    assert_refused(daemon, "refused", "pki", server=server)


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_refused_connection_leaves_no_session(version, pinproxyd, stapling_server, ca, tmp_path):
    """With TLS 1.2 the ticket arrives before the response is checked."""
    cert = ca.issue()
    server = stapling_server(cert, response(cert, ca, status=CERT_STATUS["unknown"]), version)
    daemon = pinproxyd(section(server, ca, tmp_path, resume="yes"))
    assert_refused(daemon, "refused", "pki")
    server.staple.write_bytes(response(cert, ca))
    deliver(daemon, server, b"now it may\n")
    assert daemon.wait_event(event="tunnel_open")["resumed"] == "no"
    server.stop()
    assert not server.has_received(SECRET)


@pytest.mark.parametrize("version", ["2", "3"])
def test_ocsp_added_by_a_reload_refuses_a_server_without_a_response(version, pinproxyd, stapling_server, ca, tmp_path):
    """An earlier session without a response is not resumed."""
    cert = ca.issue()
    server = stapling_server(cert, None, version)
    config = section(server, ca, tmp_path, resume="yes")
    without = {**config, NAME: {key: value for key, value in config[NAME].items() if key != "ocsp"}}
    daemon = pinproxyd(without)
    deliver(daemon, server, b"not asked for\n")
    daemon.reload(config)
    assert_refused(daemon, "refused", "pki", server=server)


@pytest.mark.parametrize("version", ["2", "3"])
def test_ocsp_added_by_a_reload_makes_a_full_handshake(version, pinproxyd, stapling_server, ca, tmp_path):
    """The earlier session has no response, and the server has a good one."""
    cert = ca.issue()
    server = stapling_server(cert, response(cert, ca), version)
    config = section(server, ca, tmp_path, resume="yes")
    daemon = pinproxyd({**config, NAME: {key: value for key, value in config[NAME].items() if key != "ocsp"}})
    deliver(daemon, server, b"before\n")
    daemon.reload(config)
    deliver(daemon, server, b"after\n")
    assert [event["resumed"] for event in daemon.events(event="tunnel_open")] == ["no", "no"]


def test_a_response_signed_with_sha1_is_refused(pinproxyd, stapling_server, ca, tmp_path):
    cert = ca.issue()
    daemon = pinproxyd(section(stapling_server(cert, build(cert, ca, digest=hashes.SHA1), "3"), ca, tmp_path))
    with connect(daemon.address(NAME)):
        event = daemon.wait_event(event=lambda name: name in ("tunnel_open", "refused"), section=NAME)
    assert event["event"] == "refused"


@pytest.mark.parametrize("version", ["2", "3"])
def test_the_response_of_an_intermediate_issuer_is_accepted(version, pinproxyd, stapling_server, ca, tmp_path):
    """The issuer makes the response, not the root."""
    inner = certs.CA(tmp_path, "Inner", parent=ca)
    cert = inner.issue()
    server = stapling_server(cert, response(cert, inner), version)
    deliver(pinproxyd(section(server, ca, tmp_path, "pin+pki")), server)


def test_the_pins_are_checked_before_the_response(pinproxyd, stapling_server, ca, tmp_path):
    cert = ca.issue()
    config = section(stapling_server(cert, None, "3"), ca, tmp_path, "pin+pki")
    config[NAME]["pin"] = certs.self_signed(tmp_path).pin
    assert_refused(pinproxyd(config), "pin_mismatch", last=True)


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_session_with_a_good_response_is_resumed(version, pinproxyd, stapling_server, ca, tmp_path):
    cert = ca.issue()
    server = stapling_server(cert, response(cert, ca), version)
    daemon = pinproxyd(section(server, ca, tmp_path, resume="yes"))
    deliver(daemon, server, b"full handshake\n")
    deliver(daemon, server, b"resumed\n")
    assert [event["resumed"] for event in daemon.events(event="tunnel_open")] == ["no", "yes"]


def test_no_response_is_required_without_the_option(pinproxyd, stapling_server, ca, tmp_path):
    cert = ca.issue()
    server = stapling_server(cert, None, "3")
    config = section(server, ca, tmp_path)
    del config[NAME]["ocsp"]
    deliver(pinproxyd(config), server)
