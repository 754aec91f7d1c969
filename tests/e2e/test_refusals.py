"""Servers and clients that must be refused, over TCP and over a Unix socket, with the proof that nothing was sent."""

import ssl

import pytest
from cryptography.hazmat.primitives import hashes

from harness import certs, servers
from harness.assertions import SECRET, assert_refused
from harness.certs import NAME, day
from harness.clients import REFUSED, open_tunnel, ping, try_connection
from harness.config import to
from harness.servers import closed_port
from harness.waiting import wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
NOBODYS_PIN = f"sha256//{'A' * 42}8="
SHORT_KEY = certs.rsa_key(1024)


class Case:
    """`make(directory, root)` returns the server's certificate and the trust options of the section."""

    def __init__(self, event, reason, make, tls=None):
        self.event, self.reason, self.make, self.tls = event, reason, make, tls or {}


def fresh(directory, **options):
    return certs.self_signed(directory, **options)


def own(trust, **options):
    """Returns a function that makes a self-signed certificate, with the trust options trust(cert)."""
    def make(directory, root):
        cert = certs.self_signed(directory, **options)
        return cert, trust(cert)
    return make


def issued(trust, names=(NAME,), **options):
    """Returns a function that makes a certificate of the root, with the trust options trust(cert, root)."""
    def make(directory, root):
        cert = root.issue(names, **options)
        return cert, trust(cert, root)
    return make


def pinned_elsewhere(directory, root):
    return fresh(directory), {"pin": fresh(directory).pin}


def same_key_another_certificate(directory, root):
    key = certs.ec_key()
    return fresh(directory, key=key), {"pin": fresh(directory, key=key).cert_pin}


def pinned_certificate_merely_sent_along(directory, root):
    good, evil = fresh(directory), fresh(directory)
    evil.chain = [good.cert]
    return evil, {"pin": [good.pin, good.cert_pin]}


def key_of_the_issuer(directory, root):
    inner = certs.CA(directory, "Inner", parent=root)
    return inner.issue(), {"pin": inner.cert.pin}


def another_root(directory, root):
    stranger = certs.CA(directory)
    return stranger.issue(), {"verify": "pki", "ca_file": root.cert.pem_file(), "pin": None}


def pinned_under_another_root(directory, root):
    cert = certs.CA(directory).issue()
    return cert, {"verify": "pin+pki", "ca_file": root.cert.pem_file(), "pin": cert.pin}


def intermediate_not_sent(directory, root):
    cert = certs.CA(directory, "Inner", parent=root).issue()
    cert.chain = []
    return cert, pki(cert, root)


def revoked_issuer(directory, root):
    inner = certs.CA(directory, "Inner", parent=root)
    return inner.issue(), {"verify": "pki", "ca_file": root.cert.pem_file(), "revoked": inner.cert.pin, "pin": None}


def pki(cert, root):
    return {"verify": "pki", "ca_file": root.cert.pem_file(), "pin": None}


def both(cert, root):
    return {"verify": "pin+pki", "ca_file": root.cert.pem_file(), "pin": cert.pin}


def plain(cert):
    return {"pin": cert.pin}


CASES = {
    # no pin matches
    "another_key": Case("pin_mismatch", None, pinned_elsewhere),
    "same_key_another_certificate": Case("pin_mismatch", None, same_key_another_certificate),
    "pinned_certificate_merely_sent_along": Case("pin_mismatch", None, pinned_certificate_merely_sent_along),
    "key_of_the_issuer_as_server_pin": Case("pin_mismatch", None, key_of_the_issuer),
    "valid_chain_another_key": Case("pin_mismatch", None, issued(
        lambda cert, root: {**both(cert, root), "pin": fresh(cert.directory).pin})),
    "another_key_and_a_bad_chain": Case("pin_mismatch", None, lambda d, root: (
        fresh(d), both(fresh(d), root))),

    # expired pins
    "pin_past_its_date": Case("refused", "expired_pins", own(lambda c: {"pin": f"{c.pin} until={day(-1)}"})),
    "pin_on_its_last_day": Case("refused", "expired_pins", own(lambda c: {"pin": f"{c.pin} until={day(0)}"})),
    "live_pin_of_another_key_beside_an_expired_one": Case("refused", "expired_pins", own(
        lambda c: {"pin": [f"{c.pin} until={day(-9)}", fresh(c.directory).pin]})),
    "pin_past_its_date_under_pki": Case("refused", "expired_pins", issued(
        lambda c, root: {**both(c, root), "pin": f"{c.pin} until={day(-1)}"})),

    # revoked
    "revoked_by_digest": Case("refused", "revoked", own(lambda c: {"pin": c.pin, "revoked": c.pin})),
    "revoked_by_key_file": Case("refused", "revoked", own(
        lambda c: {"pin": c.cert_pin, "revoked": f"key:{c.pubkey_file()}"})),
    "revoked_under_pin_and_pki": Case("refused", "revoked", issued(
        lambda c, root: {**both(c, root), "revoked": c.pin})),
    "revoked_under_pki": Case("refused", "revoked", issued(lambda c, root: {**pki(c, root), "revoked": c.pin})),
    "revoked_issuer": Case("refused", "revoked", revoked_issuer),
    "revoked_root": Case("refused", "revoked", issued(
        lambda c, root: {**both(c, root), "revoked": root.cert.pin})),

    # more checks than the pin
    "also_check_name": Case("refused", "name", own(
        lambda c: {"pin": c.pin, "also_check": "name"}, names=["elsewhere.test"])),
    "also_check_expired": Case("refused", "dates", own(
        lambda c: {"pin": c.pin, "also_check": "dates"}, start=-9, end=-2)),
    "also_check_not_yet_valid": Case("refused", "dates", own(
        lambda c: {"pin": c.pin, "also_check": ["name", "dates"]}, start=2, end=9)),

    # PKI
    "self_signed_under_pki": Case("refused", "pki", lambda d, root: (fresh(d), pki(None, root))),
    "another_root": Case("refused", "pki", another_root),
    "wrong_name": Case("refused", "pki", issued(pki, ["elsewhere.test"])),
    "common_name_only": Case("refused", "pki", issued(pki, [], subject=certs.subject_of(NAME))),
    "expired": Case("refused", "pki", issued(pki, start=-9, end=-2)),
    "not_yet_valid": Case("refused", "pki", issued(pki, start=2, end=9)),
    "intermediate_not_sent": Case("refused", "pki", intermediate_not_sent),
    "verify_name_that_is_not_there": Case("refused", "pki", issued(
        lambda c, root: {**pki(c, root), "verify_name": "other.test"})),
    "ip_literal_as_dns_name": Case("refused", "pki", issued(
        lambda c, root: {**pki(c, root), "host": "127.0.0.1"}, ["127-0-0-1.test", "*.0.0.1"])),

    # the pin matches, and the PKI refuses
    "pinned_but_wrong_name": Case("refused", "pki", issued(both, ["elsewhere.test"])),
    "pinned_but_expired": Case("refused", "pki", issued(both, start=-9, end=-2)),
    "pinned_under_another_root": Case("refused", "pki", pinned_under_another_root),

    # weak
    "rsa_1024": Case("refused", "weak", own(plain, key=SHORT_KEY)),
    "rsa_1024_under_tls_1_2": Case("refused", "weak", own(plain, key=SHORT_KEY), {"maximum": V12}),
    "rsa_1024_under_pki": Case("refused", "weak", issued(pki, key=SHORT_KEY)),
    "rsa_1024_under_pin_and_pki": Case("refused", "weak", issued(both, key=SHORT_KEY)),

    # TLS
    "server_below_tls_min": Case("upstream_error", "tls", own(
        lambda c: {"pin": c.pin, "tls_min": "1.3"}), {"maximum": V12}),
    "server_above_tls_max": Case("upstream_error", "tls", own(
        lambda c: {"pin": c.pin, "tls_max": "1.2"}), {"minimum": V13}),
    "tls_1_1": Case("upstream_error", "tls", own(plain), {
        "minimum": ssl.TLSVersion.TLSv1_1, "maximum": ssl.TLSVersion.TLSv1_1, "ciphers": "ALL:@SECLEVEL=0"}),
    "anonymous_ciphers_only": Case("upstream_error", "tls", own(plain), {
        "maximum": V12, "ciphers": "aNULL:@SECLEVEL=0"}),
}


@pytest.mark.parametrize("case", CASES)
def test_each_case_is_refused_and_nothing_is_sent(case, listen, pinproxyd, tls_server, ca, tmp_path):
    case = CASES[case]
    cert, trust = case.make(tmp_path, ca)
    server = tls_server(cert=cert, **case.tls)
    daemon = pinproxyd({NAME: to(server, listen=listen, **trust)})
    assert_refused(daemon, case.event, case.reason, server=server)
    assert not daemon.events(event="tunnel_open")


@pytest.mark.valgrind
@pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])
def test_a_mismatch_is_refused_in_each_tls_version(version, pinproxyd, tls_server, tmp_path):
    server = tls_server(minimum=version, maximum=version)
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    assert_refused(daemon, "pin_mismatch", server=server)


def test_a_silent_client_is_reset_as_well(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    assert_refused(daemon, "pin_mismatch", data=b"")


def test_a_refused_server_that_sends_first_is_not_heard(pinproxyd, tls_server, tmp_path):
    server = tls_server(servers.send_then_read(b"220 welcome\r\n" * 1000))
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    assert_refused(daemon, "pin_mismatch", server=server)


def test_a_refused_server_gets_an_alert(pinproxyd, tls_server, tmp_path):
    server = tls_server(maximum=V12)
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    assert_refused(daemon, "pin_mismatch", server=server)
    assert "alert" in str(server.conns[0].error).lower()


def test_a_mismatch_shows_the_presented_certificate(pinproxyd, tls_server, ca, tmp_path):
    inner = certs.CA(tmp_path, "Inner Authority", parent=ca)
    server = tls_server(cert=inner.issue(subject=certs.subject_of("Someone Else")))
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin, verify="pin+pki",
                                 ca_file=ca.cert.pem_file())})
    event = assert_refused(daemon, "pin_mismatch", server=server)
    assert event["level"] == "error"
    assert server.address in event["upstream"] or str(server.port) in event["upstream"]
    assert "Someone Else" in event["subject"]
    assert "Inner Authority" in event["issuer"]
    assert server.cert.cert.not_valid_after.strftime("%Y-%m-%d") in event["not_after"]
    assert server.cert.pin in event["presented"]
    assert inner.cert.pin in event["presented"]
    assert event["pki"] == "valid"


def test_a_mismatch_shows_the_fault_of_the_chain(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue(start=-9, end=-2))
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin, verify="pin+pki",
                                 ca_file=ca.cert.pem_file())})
    event = assert_refused(daemon, "pin_mismatch", server=server)
    assert "expired" in event["pki"]


def test_a_pki_refusal_has_the_reason_of_openssl(pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue(start=-9, end=-2))
    daemon = pinproxyd({NAME: to(server, pin=None, verify="pki", ca_file=ca.cert.pem_file())})
    assert "expired" in assert_refused(daemon, "refused", "pki", server=server)["detail"]


def test_a_sha1_signature_is_refused_under_pki(pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue(digest=hashes.SHA1()))
    daemon = pinproxyd({NAME: to(server, pin=None, verify="pki", ca_file=ca.cert.pem_file())})
    assert assert_refused(daemon, "refused", server=server)["reason"] in ("weak", "pki")


def test_a_client_that_starts_tls_itself_is_refused(listen, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, listen=listen)})
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=NAME)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    assert_refused(daemon, "refused", "tls_from_client", data=outgoing.read(), server=server)


def test_a_changed_key_is_refused_while_the_old_tunnel_stays_open(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    with open_tunnel(daemon.address(NAME)) as old:
        server.use(certs.self_signed(tmp_path))
        assert_refused(daemon, "pin_mismatch")
        ping(old)
    assert SECRET not in server.wait_conns(2)[1].plaintext


@pytest.mark.parametrize("behave", [servers.answer_garbage, servers.close_at_hello, servers.reset_at_hello])
@pytest.mark.valgrind
def test_a_server_without_tls_is_refused(behave, listen, pinproxyd, raw_server):
    server = raw_server(behave)
    daemon = pinproxyd({NAME: to(server, listen=listen, pin=NOBODYS_PIN)})
    assert_refused(daemon, "upstream_error", "tls", server=server)


def test_a_closed_port_is_refused(listen, pinproxyd):
    daemon = pinproxyd({NAME: {"listen": listen, "address": f"127.0.0.1:{closed_port()}",
                               "pin": NOBODYS_PIN}})
    assert_refused(daemon, "upstream_error", "connect", last=True)


def test_a_name_that_does_not_resolve_is_refused(listen, pinproxyd):
    daemon = pinproxyd({"nowhere.test": {"listen": listen, "pin": NOBODYS_PIN}}, names={})
    assert_refused(daemon, "upstream_error", "resolve", section="nowhere.test", last=True)


def test_a_repeated_refusal_is_counted_in_the_log(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})

    clients = 0

    def count_is_logged():
        nonlocal clients
        clients += 1
        assert try_connection(daemon.address(NAME)) == REFUSED
        return daemon.events(event="pin_mismatch", repeated=lambda count: int(count) > 0)

    for _ in range(60):
        count_is_logged()
    assert len(daemon.events(event="pin_mismatch")) < 60
    wait_until(count_is_logged, "an event with repeated=")
    daemon.stop()
    lines = daemon.events(event="pin_mismatch")
    assert sum(1 + int(event.get("repeated", 0)) for event in lines) == clients
