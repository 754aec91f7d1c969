"""Pins of issuers: their forms and their messages. Which chains they accept is the matrix's matter."""

import pytest

import certs
from certs import NAME, day
from clients import knock, talk
from config import to
from refusal import SECRET, assert_refused


@pytest.fixture
def inner(ca, tmp_path):
    return certs.CA(tmp_path, "Inner Authority", parent=ca)


def passes(daemon, section=NAME):
    assert talk(daemon.address(section), b"hello") == b"hello"
    return daemon.wait_event(event="tunnel_open", section=section)


FORMS = {
    "key": lambda c: f"issuer:{c.pin}",
    "certificate": lambda c: f"issuer-cert:sha256:{c.hex}",
    "certificate_with_colons": lambda c: f"issuer-cert:sha256:{c.colons}",
    "pem": lambda c: f"issuer-cert:{c.pem_file()}",
    "der": lambda c: f"issuer-cert:{c.der_file()}",
    "until_and_name": lambda c: f"issuer-cert:{c.pem_file()} until={day(9)} name=our-ca",
}


@pytest.mark.parametrize("form", FORMS)
def test_form_accepts(form, pinproxyd, tls_server, inner):
    server = tls_server(cert=inner.issue())
    event = passes(pinproxyd({NAME: to(server, pin=FORMS[form](inner.cert))}))
    assert event["pin"] == "our-ca" or event["pin"].startswith(("issuer:sha256//", "issuer-cert:sha256:"))


def test_matched_pin_is_named(pinproxyd, tls_server, inner):
    server = tls_server(cert=inner.issue())
    assert passes(pinproxyd({NAME: to(server, pin=f"issuer:{inner.cert.pin}")}))["pin"] == f"issuer:{inner.cert.pin}"


def test_file_of_several_cas(pinproxyd, tls_server, inner, tmp_path):
    bundle = tmp_path / "cas.pem"
    bundle.write_bytes(certs.CA(tmp_path).cert.pem + inner.cert.pem)
    passes(pinproxyd({NAME: to(tls_server(cert=inner.issue()), pin=f"issuer-cert:{bundle}")}))


def test_server_pins_are_tried_first(pinproxyd, tls_server, inner):
    server = tls_server(cert=inner.issue())
    pins = [f"issuer:{inner.cert.pin} name=ca", f"{server.cert.pin} name=server"]
    daemon = pinproxyd({NAME: to(server, pin=pins)})
    assert passes(daemon)["pin"] == "server"
    server.use(inner.issue())
    mark = daemon.mark()
    assert talk(daemon.address(NAME), b"hello") == b"hello"
    assert daemon.wait_event(since=mark, event="tunnel_open")["pin"] == "ca"


def test_digest_of_an_issuer_that_is_not_sent(pinproxyd, tls_server, ca, inner):
    server = tls_server(cert=inner.issue())
    event = assert_refused(pinproxyd({NAME: to(server, pin=f"issuer:{ca.cert.pin}")}), server, "pin_mismatch")
    assert "issuer-cert:FILE" in event["detail"]


def test_mismatch_shows_each_ca_in_the_configurations_form(pinproxyd, tls_server, inner, ca, tmp_path):
    server = tls_server(cert=inner.issue())
    other = certs.CA(tmp_path, "Quite Another")
    daemon = pinproxyd({NAME: to(server, pin=f"issuer-cert:{other.cert.pem_file()} name=ours", ca_file=ca.cert.pem_file())})
    event = assert_refused(daemon, server, "pin_mismatch")
    leaf, authority = server.cert, inner.cert
    assert event["presented"] == f"{leaf.pin} {leaf.cert_pin} issuer:{authority.pin} issuer-{authority.cert_pin}"
    assert event["expected"] == "ours" and "Quite Another" in event["expected_subject"]
    assert event["pki"] == "valid"


def test_what_is_presented_can_be_pasted(pinproxyd, tls_server, inner):
    server = tls_server(cert=inner.issue())
    refusing = pinproxyd({NAME: to(server, pin=certs.self_signed(inner.directory).pin)})
    knock(refusing.address(NAME), SECRET)
    for pin in refusing.wait_event(event="pin_mismatch")["presented"].split():
        passes(pinproxyd({NAME: to(server, pin=pin)}))


def test_until_of_an_issuer_pin(pinproxyd, tls_server, inner):
    server = tls_server(cert=inner.issue())
    daemon = pinproxyd({NAME: to(server, pin=f"issuer:{inner.cert.pin} until={day(-1)}")})
    assert_refused(daemon, server, "refused", "expired_pins")


def test_live_pin_above_one_past_its_date(pinproxyd, tls_server, ca, inner):
    server = tls_server(cert=inner.issue())
    pins = [f"issuer:{inner.cert.pin} until={day(-1)}", f"issuer-cert:{ca.cert.pem_file()} name=root"]
    assert passes(pinproxyd({NAME: to(server, pin=pins)}))["pin"] == "root"


def test_revoked_ca_in_the_chain(pinproxyd, tls_server, ca, inner):
    server = tls_server(cert=inner.issue())
    daemon = pinproxyd({NAME: to(server, pin=f"issuer-cert:{ca.cert.pem_file()}", revoked=inner.cert.pin)})
    assert_refused(daemon, server, "refused", "revoked")


def test_ip_address_in_a_pinned_chain(pinproxyd, tls_server, inner):
    """A wildcard is no address."""
    server = tls_server(cert=inner.issue(["127.0.0.1"]))
    section = to(server, pin=f"issuer:{inner.cert.pin}", host="127.0.0.1", port=server.port, address=None)
    daemon = pinproxyd({"literal": section})
    passes(daemon, "literal")
    server.use(inner.issue(["*.0.0.1"]))
    knock(daemon.address("literal"), SECRET)
    daemon.wait_event(event="refused", reason="pki", detail=lambda d: "IP address mismatch" in d)
