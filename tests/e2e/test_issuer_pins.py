"""Issuer pins: their forms, and their messages in logs and errors. test_matrix.py tests their chains."""

import re

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME, OTHER, day
from harness.config import to
from harness.daemon import run_pinproxyd


def bundle(*cas):
    path = cas[0].cert.directory / "bundle.pem"
    path.write_bytes(b"".join(ca.cert.pem for ca in cas))
    return path


# form: (pin, its name in tunnel_open)
FORMS = {
    "key_digest": lambda c: (f"issuer:{c.pin}", f"issuer:{c.pin}"),
    "certificate_digest": lambda c: (f"issuer-cert:sha256:{c.hex}", f"issuer-cert:sha256:{c.hex}"),
    "certificate_digest_upper_case": lambda c: (f"issuer-cert:sha256:{c.hex.upper()}", f"issuer-cert:sha256:{c.hex}"),
    "certificate_digest_with_colons": lambda c: (f"issuer-cert:sha256:{c.colons}", f"issuer-cert:sha256:{c.hex}"),
    "certificate_pem": lambda c: (f"issuer-cert:{c.pem_file()}", f"issuer-cert:sha256:{c.hex}"),
    "certificate_der": lambda c: (f"issuer-cert:{c.der_file()}", f"issuer-cert:sha256:{c.hex}"),
    "until_a_day_to_come": lambda c: (f"issuer:{c.pin} until={day(2)}", f"issuer:{c.pin}"),
    "until_and_name": lambda c: (f"issuer-cert:{c.pem_file()} until={day(400)} name=our-ca", "our-ca"),
    "name": lambda c: (f"issuer:{c.pin} name=our-ca", "our-ca"),
    "comment_after_it": lambda c: (f"issuer:{c.pin}   ; ours", f"issuer:{c.pin}"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.valgrind
def test_each_form_of_an_issuer_pin_is_accepted_and_logged(form, pinproxyd, tls_server, inner):
    pin, label = FORMS[form](inner.cert)
    daemon = pinproxyd({NAME: to(tls_server(cert=inner.issue()), pin=pin)})
    assert assert_accepted(daemon)["pin"] == label


def test_every_certificate_of_a_file_is_a_pin(pinproxyd, tls_server, inner, tmp_path):
    pin = f"issuer-cert:{bundle(certs.CA(tmp_path, 'Another'), inner)}"
    daemon = pinproxyd({NAME: to(tls_server(cert=inner.issue()), pin=pin)})
    assert assert_accepted(daemon)["pin"] == f"issuer-cert:sha256:{inner.cert.hex}"


def test_a_file_is_found_beside_the_configuration(pinproxyd, tls_server, inner, tmp_path):
    server = tls_server(cert=inner.issue())
    (tmp_path / "ours.pem").write_bytes(inner.cert.pem)
    (tmp_path / "host.conf").write_text(
        f"[{NAME}]\nlisten = 127.0.0.1:0\naddress = {server.address}\npin = issuer-cert:ours.pem\n")
    assert_accepted(pinproxyd(f"[global]\ninclude = {tmp_path}/host.conf\n"))


def test_a_pinned_root_is_accepted_though_the_server_does_not_send_it(pinproxyd, tls_server, ca):
    """No server sends its root."""
    daemon = pinproxyd({NAME: to(tls_server(cert=ca.issue()), pin=f"issuer-cert:{ca.cert.pem_file()}")})
    assert_accepted(daemon)


@pytest.mark.parametrize("form", ["issuer:{pin}", "issuer-cert:sha256:{hex}"])
def test_a_digest_of_a_ca_that_is_not_sent_is_a_mismatch_that_says_what_to_write(form, pinproxyd, tls_server, ca):
    """The mismatch says that a digest is not enough, and what to write."""
    server = tls_server(cert=ca.issue())
    daemon = pinproxyd({NAME: to(server, pin=form.format(pin=ca.cert.pin, hex=ca.cert.hex))})
    event = assert_refused(daemon, "pin_mismatch", server=server)
    assert "issuer-cert:FILE" in event["detail"]


def test_mismatch_shows_each_ca_that_was_sent(pinproxyd, tls_server, ca, tmp_path):
    outer = certs.CA(tmp_path, "Outer", parent=ca)
    inner = certs.CA(tmp_path, "Inner", parent=outer)
    cert = inner.issue()
    cert.chain = [inner.cert.cert, outer.cert.cert]
    server = tls_server(cert=cert)
    daemon = pinproxyd({NAME: to(server, pin=f"issuer:{OTHER}")})
    presented = assert_refused(daemon, "pin_mismatch", server=server)["presented"].split()
    assert presented[:2] == [cert.pin, cert.cert_pin]
    for authority in (inner.cert, outer.cert):
        assert f"issuer:{authority.pin}" in presented
        assert f"issuer-cert:sha256:{authority.hex}" in presented
    assert len(presented) == 6


def test_a_mismatch_shows_the_expected_pin(pinproxyd, tls_server, ca, inner, tmp_path):
    other, server = certs.CA(tmp_path, "Quite Another"), tls_server(cert=inner.issue())
    daemon = pinproxyd({NAME: to(server, pin=f"issuer-cert:{other.cert.pem_file()} name=ours",
                                 ca_file=ca.cert.pem_file())})
    event = assert_refused(daemon, "pin_mismatch", server=server)
    assert event["expected"] == "ours" and "Quite Another" in event["expected_subject"]
    assert event["pki"] == "valid"


def test_each_pin_that_a_mismatch_presents_can_be_pasted(pinproxyd, tls_server, inner):
    server = tls_server(cert=inner.issue())
    daemon = pinproxyd({NAME: to(server, pin=OTHER)})
    presented = assert_refused(daemon, "pin_mismatch", server=server)["presented"].split()
    for pin in presented:
        assert_accepted(pinproxyd({NAME: to(tls_server(cert=server.cert), pin=pin)}))


@pytest.mark.parametrize("order", [1, -1], ids=["server_first", "issuer_first"])
def test_server_pins_are_tried_first(order, pinproxyd, tls_server, inner):
    server = tls_server(cert=inner.issue())
    pins = [f"{server.cert.pin} name=own", f"issuer:{inner.cert.pin} name=authority"]
    daemon = pinproxyd({NAME: to(server, pin=pins[::order])})
    assert assert_accepted(daemon)["pin"] == "own"
    server.use(inner.issue())
    assert assert_accepted(daemon)["pin"] == "authority"


def test_a_digest_may_be_a_server_pin_and_an_issuer_pin(pinproxyd, tls_server, inner):
    """The key of a CA may also be the server's own."""
    pins = [inner.cert.pin, f"issuer:{inner.cert.pin}", f"cert:sha256:{inner.cert.hex}",
            f"issuer-cert:sha256:{inner.cert.hex}"]
    assert_accepted(pinproxyd({NAME: to(tls_server(cert=inner.issue()), pin=pins)}))


@pytest.mark.parametrize("until", [-1, 0])
@pytest.mark.parametrize("form", ["issuer:{pin}", "issuer-cert:sha256:{hex}", "issuer-cert:{file}"])
def test_an_issuer_pin_past_its_date_is_refused(until, form, pinproxyd, tls_server, inner):
    server = tls_server(cert=inner.issue())
    pin = form.format(pin=inner.cert.pin, hex=inner.cert.hex, file=inner.cert.pem_file())
    daemon = pinproxyd({NAME: to(server, pin=f"{pin} until={day(until)}")})
    assert_refused(daemon, "refused", "expired_pins", server=server)


def test_a_live_issuer_pin_above_an_expired_one_is_accepted(pinproxyd, tls_server, ca, inner):
    pins = [f"issuer:{inner.cert.pin} until={day(-1)}", f"issuer-cert:{ca.cert.pem_file()} name=root"]
    assert assert_accepted(pinproxyd({NAME: to(tls_server(cert=inner.issue()), pin=pins)}))["pin"] == "root"


def test_a_chain_of_a_pinned_issuer_that_does_not_verify_is_refused(pinproxyd, tls_server, inner):
    server = tls_server(cert=inner.issue(start=-9, end=-2))
    daemon = pinproxyd({NAME: to(server, pin=f"issuer:{inner.cert.pin}")})
    assert "expired" in assert_refused(daemon, "refused", "pki", server=server)["detail"]


# ">>" marks the line that the error must name; the second string is a word that it must contain.
HEAD = f"[{NAME}]\nlisten = 127.0.0.1:0\n"
DIGEST, HEX = OTHER[8:], "60b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a18"
ERRORS = {
    "key_file": (">>pin = issuer-cert:{pubkey}\n", "certificate"),
    "csr_file": (">>pin = issuer-cert:{csr}\n", "certificate"),
    "private_key_file": (">>pin = issuer-cert:{private}\n", "private key"),
    "empty_file": (">>pin = issuer-cert:{empty}\n", "certificate"),
    "no_such_file": (">>pin = issuer-cert:no-such-file.pem\n", "no-such-file.pem"),
    "leaf": (">>pin = issuer-cert:{leaf}\n", "is not a CA's"),
    "leaf_beside_a_ca": (">>pin = issuer-cert:{mixed}\n", "is not a CA's"),
    "issuer_with_a_file": (">>pin = issuer:{ca}\n", "issuer-cert:"),
    "issuer_with_a_key_file": (">>pin = issuer:key:{ca}\n", "issuer"),
    "issuer_bare_base64": (f">>pin = issuer:{DIGEST}\n", "sha256//"),
    "issuer_short": (f">>pin = issuer:sha256//{DIGEST[:-8]}\n", "44"),
    "issuer_spare_bits": (f">>pin = issuer:sha256//{DIGEST.replace('g=', 'h=')}\n", "spare"),
    "issuer_all_zero": (f">>pin = issuer:sha256//{'A' * 43}=\n", "zero"),
    "issuer_sha1": (">>pin = issuer:sha1//2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n", "sha1"),
    "issuer_of_a_certificate_digest": (f">>pin = issuer:sha256:{HEX}\n", ""),
    "issuer_cert_short": (f">>pin = issuer-cert:sha256:{HEX[:-2]}\n", "64"),
    "issuer_cert_all_zero": (f">>pin = issuer-cert:sha256:{'0' * 64}\n", "zero"),
    "issuer_cert_of_a_key_digest": (f">>pin = issuer-cert:sha256//{DIGEST}\n", ""),
    "issuer_cert_md5": (">>pin = issuer-cert:md5:d41d8cd98f00b204e9800998ecf8427e\n", "md5"),
    "same_key_twice": (f"pin = issuer:{OTHER}\n>>pin = issuer:{OTHER} name=again\n", "already"),
    "same_certificate_twice": (
        f"pin = issuer-cert:sha256:{HEX}\n>>pin = issuer-cert:sha256:{HEX.upper()}\n", "already"),
    "same_certificate_twice_via_a_file": ("pin = issuer-cert:sha256:{hex}\n>>pin = issuer-cert:{ca}\n", "already"),
    "same_certificate_twice_in_a_file": (">>pin = issuer-cert:{twice}\n", "already"),
    "two_files_of_one_certificate": ("pin = issuer-cert:{ca}\n>>pin = issuer-cert:{ca_der}\n", "already"),
    "two_in_one_value": (f">>pin = issuer:{OTHER};issuer:{OTHER}\n", "value of its own"),
    "in_revoked": ("pin = {other}\n>>revoked = issuer:{other}\n", ""),
}


@pytest.mark.parametrize("case", ERRORS)
def test_each_error_in_an_issuer_pin_is_reported_with_its_line(case, ca, inner, tmp_path):
    text, word = ERRORS[case]
    cert = inner.issue()
    mixed, twice, empty = tmp_path / "mixed.pem", tmp_path / "twice.pem", tmp_path / "empty.pem"
    mixed.write_bytes(ca.cert.pem + cert.pem)
    twice.write_bytes(ca.cert.pem * 2)
    empty.write_bytes(b"")
    text = HEAD + text.format(
        other=OTHER, ca=ca.cert.pem_file(), ca_der=ca.cert.der_file(), hex=ca.cert.hex, leaf=cert.pem_file(),
        mixed=mixed, twice=twice, empty=empty, pubkey=ca.cert.pubkey_file(), csr=ca.cert.csr_file(),
        private=ca.cert.key_file())
    number = text[:text.index(">>")].count("\n") + 1
    file = tmp_path / "pinproxyd.conf"
    file.write_text(text.replace(">>", ""))
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78, run.err
    assert re.search(rf"^{re.escape(str(file))}:{number}: .*{re.escape(word)}", run.err, re.M), run.err


def test_a_revoked_ca_in_the_chain_is_refused(pinproxyd, tls_server, ca, inner):
    server = tls_server(cert=inner.issue())
    daemon = pinproxyd({NAME: to(server, pin=f"issuer-cert:{ca.cert.pem_file()}", revoked=inner.cert.pin)})
    assert_refused(daemon, "refused", "revoked", server=server)


def test_the_ip_address_is_checked_in_the_chain_of_a_pinned_issuer(pinproxyd, tls_server, inner):
    """A wildcard does not match an address."""
    server = tls_server(cert=inner.issue(["127.0.0.1"]))
    section = to(server, pin=f"issuer:{inner.cert.pin}", host="127.0.0.1", port=server.port, address=None)
    daemon = pinproxyd({"literal": section})
    assert_accepted(daemon, "literal")
    server.use(inner.issue(["*.0.0.1"]))
    assert "IP address mismatch" in assert_refused(daemon, "refused", "pki", section="literal")["detail"]
