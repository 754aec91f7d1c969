"""Stapled OCSP responses: a server without a good one is refused, and the log names the fault."""

import pytest
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness import certs
from harness.assertions import assert_refused
from harness.certs import NAME
from harness.config import to
from harness.revocation import deliver, responder, response, response_for_another


def section(server, ca, verify="pki", **options):
    pin = server.cert.pin if verify == "pin+pki" else None
    return {NAME: to(server, verify=verify, pin=pin, ca_file=ca.cert.pem_file(), ocsp="staple", **options)}


GOOD = {
    "by_the_issuer": lambda cert, ca: response(cert, ca),
    "by_its_responder": lambda cert, ca: response(cert, ca, responder(ca)),
    "without_a_next_update": lambda cert, ca: response(cert, ca, start=0, end=None),
}

BAD = {
    "missing": (lambda cert, ca: None, "no response was stapled"),
    "expired": (lambda cert, ca: response(cert, ca, start=-9, end=-2), "has expired"),
    "old_without_a_next_update": (lambda cert, ca: response(cert, ca, start=-3, end=None), "over a day old"),
    "early": (lambda cert, ca: response(cert, ca, start=2, end=9), "not valid yet"),
    "for_another_certificate": (response_for_another, "for another certificate"),
    "unknown": (lambda cert, ca: response(cert, ca, status=ocsp.OCSPCertStatus.UNKNOWN), "does not know"),
    "revoked": (lambda cert, ca: response(cert, ca, status=ocsp.OCSPCertStatus.REVOKED), "is revoked"),
    "another_ca": (lambda cert, ca: response(cert, ca, certs.CA(cert.directory, "Test Root")), "not signed by"),
    "responder_of_another_ca": (lambda cert, ca: response(cert, ca, responder(certs.CA(cert.directory))), "not signed by"),
    "no_responder": (lambda cert, ca: response(cert, ca, responder(ca, ExtendedKeyUsageOID.SERVER_AUTH)), "not signed by"),
    "the_server_itself": (lambda cert, ca: response(cert, ca, cert), "not signed by"),
    "try_later": (lambda cert, ca: bytes.fromhex("30030a0103"), "no answer"),
}


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("name", GOOD)
def test_a_good_response_is_accepted(name, version, pinproxyd, stapling_server, ca):
    cert = ca.issue()
    server = stapling_server(cert, GOOD[name](cert, ca), version)
    deliver(pinproxyd(section(server, ca)), server)


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_response_is_refused(name, version, pinproxyd, stapling_server, ca):
    make, words = BAD[name]
    cert = ca.issue()
    server = stapling_server(cert, make(cert, ca), version)
    event = assert_refused(pinproxyd(section(server, ca)), "refused", "pki", server=server)
    assert event["detail"].startswith("OCSP: ") and words in event["detail"], event["detail"]


def test_each_fault_has_its_own_message():
    words = [words for _, words in BAD.values()]
    assert len(set(words)) == len(words) - 3  # four faults of a signature share one message


@pytest.mark.parametrize("version", ["2", "3"])
def test_the_response_of_an_intermediate_issuer_is_accepted(version, pinproxyd, stapling_server, ca, tmp_path):
    """The issuer makes the response, not the root."""
    inner = certs.CA(tmp_path, "Inner", parent=ca)
    cert = inner.issue()
    server = stapling_server(cert, response(cert, inner), version)
    deliver(pinproxyd(section(server, ca, "pin+pki")), server)


def test_the_pins_are_checked_before_the_response(pinproxyd, stapling_server, ca, tmp_path):
    cert = ca.issue()
    config = section(stapling_server(cert, None, "3"), ca, "pin+pki")
    config[NAME]["pin"] = certs.self_signed(tmp_path).pin
    assert_refused(pinproxyd(config), "pin_mismatch", last=True)


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_session_with_a_good_response_is_resumed(version, pinproxyd, stapling_server, ca):
    cert = ca.issue()
    server = stapling_server(cert, response(cert, ca), version)
    daemon = pinproxyd({"global": {"workers": 1}, **section(server, ca, resume="yes")})
    deliver(daemon, server, b"full handshake\n")
    deliver(daemon, server, b"resumed\n")
    assert [e["resumed"] for e in daemon.events(event="tunnel_open")] == ["no", "yes"]


def test_no_response_is_required_without_the_option(pinproxyd, stapling_server, ca):
    cert = ca.issue()
    server = stapling_server(cert, None, "3")
    config = section(server, ca)
    del config[NAME]["ocsp"]
    deliver(pinproxyd(config), server)
