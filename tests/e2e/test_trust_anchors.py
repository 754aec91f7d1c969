"""Trust anchors: files, directories, the system's store, and intermediates."""


import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME, hashed_directory
from harness.chains import issue
from harness.clients import exchange
from harness.config import to
from harness.revocation import crl


@pytest.mark.parametrize("verify", ["pki", "pin+pki"])
def test_a_ca_file_is_an_anchor(verify, pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue())
    pin = server.cert.pin if verify == "pin+pki" else None
    assert_accepted(pinproxyd({NAME: to(server, verify=verify, pin=pin, ca_file=ca.cert.pem_file())}))


@pytest.mark.parametrize("verify", ["pki", "pin+pki"])
def test_a_ca_dir_is_an_anchor(verify, pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    pin = server.cert.pin if verify == "pin+pki" else None
    where = hashed_directory(tmp_path / "anchors", ca.cert)
    assert_accepted(pinproxyd({NAME: to(server, verify=verify, pin=pin, ca_dir=where)}))


def test_one_of_several_ca_files_is_enough(pinproxyd, tls_server, ca, tmp_path):
    files = [certs.CA(tmp_path).cert.pem_file(), ca.cert.pem_file()]
    assert_accepted(pinproxyd({NAME: to(tls_server(cert=ca.issue()), verify="pki", ca_file=files)}))


def test_the_system_store_is_the_default(pinproxyd, tls_server, ca):
    # A variable of OpenSSL names the system's store.
    env = {"SSL_CERT_FILE": str(ca.cert.pem_file())}
    assert_accepted(pinproxyd({NAME: to(tls_server(cert=ca.issue()), verify="pki")}, env=env))


def test_the_systems_directories_are_read_when_the_configuration_is_loaded(pinproxyd, tls_server, ca, tmp_path):
    """A verdict reads no file: what changes in a directory has an effect at a reload."""
    where = hashed_directory(tmp_path / "anchors", ca.cert)
    env = {"SSL_CERT_FILE": str(tmp_path / "none.pem"), "SSL_CERT_DIR": f"{tmp_path}/none:{where}"}
    daemon = pinproxyd({NAME: to(tls_server(cert=ca.issue()), verify="pki")}, env=env)
    for link in where.iterdir():
        link.unlink()
    other = hashed_directory(tmp_path / "others", certs.CA(tmp_path).cert)
    assert_accepted(daemon)
    for file in other.iterdir():
        (where / file.name).write_bytes(file.read_bytes())
    daemon.reload()
    assert_refused(daemon, "refused", "pki")


def test_ca_file_replaces_the_system_store(pinproxyd, tls_server, ca, tmp_path):
    env = {"SSL_CERT_FILE": str(ca.cert.pem_file())}
    other = certs.CA(tmp_path).cert.pem_file()
    daemon = pinproxyd({NAME: to(tls_server(cert=ca.issue()), verify="pki", ca_file=other)}, env=env)
    with pytest.raises(ConnectionResetError):
        exchange(daemon.address(NAME), b"hello")
    daemon.wait_event(event="refused", reason="pki")


def test_a_chain_with_an_intermediate_is_accepted(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=certs.CA(tmp_path, "Inner", parent=ca).issue())
    assert_accepted(pinproxyd({NAME: to(server, verify="pki", ca_file=ca.cert.pem_file())}))


def test_verify_name_replaces_the_host_name(pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue(["other.test"]))
    assert_accepted(pinproxyd({NAME: to(server, verify="pki", ca_file=ca.cert.pem_file(), verify_name="other.test")}))


def test_a_wildcard_certificate_is_accepted(pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue(["*.example.test"]))
    assert_accepted(pinproxyd({"api.example.test": to(server, verify="pki", ca_file=ca.cert.pem_file())}), "api.example.test")


def test_a_name_in_another_case_is_accepted(pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue(["Server.TEST"]))
    assert_accepted(pinproxyd({NAME: to(server, verify="pki", ca_file=ca.cert.pem_file())}))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_an_ip_address_in_the_certificate_is_accepted(address, pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue([address]), host=address)
    section = to(server, verify="pki", ca_file=ca.cert.pem_file(), host=address, port=server.port, address=None)
    assert_accepted(pinproxyd({"literal": section}), "literal")


def test_a_certificate_pin_and_the_pki_accept_together(pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue())
    assert_accepted(pinproxyd({NAME: to(server, verify="pin+pki", pin=server.cert.cert_pin, ca_file=ca.cert.pem_file())}))


def test_a_revoked_key_of_another_chain_has_no_effect(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    assert_accepted(pinproxyd({NAME: to(server, verify="pki", ca_file=ca.cert.pem_file(),
                               revoked=certs.CA(tmp_path).cert.pin)}))


# An intermediate CA as an anchor.

MODES = ["pki", "pin+pki", "tofu+pki"]


@pytest.fixture
def outer(ca, tmp_path):
    return certs.CA(tmp_path, "Outer", parent=ca)


def below(outer, tmp_path, sent, **options):
    """Returns a certificate two levels below `outer`. Its server sends `sent` of the chain above."""
    inner = certs.CA(tmp_path, "Inner", parent=outer)
    cert = inner.issue(**options)
    cert.chain = [inner.cert.cert, *sent]
    return cert


def by_mode(verify, server, tmp_path, **options):
    pin = server.cert.pin if verify == "pin+pki" else None
    return {"global": {"state_dir": tmp_path / "state"}, NAME: to(server, verify=verify, pin=pin, **options)}


def refusal_detail(daemon, server, reason="pki"):
    return assert_refused(daemon, "refused", reason, server=server)["detail"]


@pytest.mark.parametrize("sent", ["nothing", "outer", "outer and root"])
@pytest.mark.parametrize("verify", MODES)
def test_an_intermediate_in_a_ca_file_is_an_anchor(verify, sent, pinproxyd, tls_server, ca, outer, tmp_path):
    more = {"nothing": [], "outer": [outer.cert.cert], "outer and root": [outer.cert.cert, ca.cert.cert]}[sent]
    server = tls_server(cert=below(outer, tmp_path, more))
    assert_accepted(pinproxyd(by_mode(verify, server, tmp_path, ca_file=outer.cert.pem_file())))


def test_an_intermediate_in_a_ca_dir_is_an_anchor(pinproxyd, tls_server, ca, outer, tmp_path):
    server = tls_server(cert=below(outer, tmp_path, []))
    where = hashed_directory(tmp_path / "anchors", outer.cert)
    assert_accepted(pinproxyd(by_mode("pki", server, tmp_path, ca_dir=where)))


@pytest.mark.parametrize("verify", MODES)
def test_dates_names_and_revocation_are_checked_below_an_intermediate(verify, pinproxyd, tls_server, ca, outer, tmp_path):
    expired = tls_server(cert=below(outer, tmp_path, [], start=-9, end=-2))
    misnamed = tls_server(cert=below(outer, tmp_path, [], names=["other.test"]))
    revoked = tls_server(cert=below(outer, tmp_path, []))
    options = {"ca_file": outer.cert.pem_file()}
    assert "expired at depth 0" in refusal_detail(pinproxyd(by_mode(verify, expired, tmp_path, **options)), expired)
    assert "hostname mismatch" in refusal_detail(pinproxyd(by_mode(verify, misnamed, tmp_path, **options)), misnamed)
    daemon = pinproxyd(by_mode(verify, revoked, tmp_path, revoked=outer.cert.pin, **options))
    refusal_detail(daemon, revoked, "revoked")


def test_an_intermediate_past_its_dates_is_refused(pinproxyd, tls_server, ca, tmp_path):
    outer = issue(tmp_path, "Outer", ca.cert, ca=True, start=-9, end=-2)
    server = tls_server(cert=issue(tmp_path, "the server", outer, names=[NAME], sent=[outer]))
    assert "expired at depth 1" in refusal_detail(pinproxyd(by_mode("pki", server, tmp_path, ca_file=outer.pem_file())), server)


def test_an_intermediate_that_is_no_ca_is_refused(pinproxyd, tls_server, ca, tmp_path):
    outer = issue(tmp_path, "Outer", ca.cert, ca=True, ca_flag=False)
    server = tls_server(cert=issue(tmp_path, "the server", outer, names=[NAME], sent=[outer]))
    assert "invalid CA" in refusal_detail(pinproxyd(by_mode("pki", server, tmp_path, ca_file=outer.pem_file())), server)


def test_an_intermediate_beside_its_root_does_not_hide_the_root(pinproxyd, tls_server, ca, outer, tmp_path):
    """The root may be revoked or pinned."""
    server = tls_server(cert=below(outer, tmp_path, [outer.cert.cert]))
    options = {"ca_file": [outer.cert.pem_file(), ca.cert.pem_file()]}
    refusal_detail(pinproxyd(by_mode("pki", server, tmp_path, revoked=ca.cert.pin, **options)), server, "revoked")
    server = tls_server(cert=server.cert)
    assert_accepted(pinproxyd({NAME: to(server, verify="pin+pki", pin=f"issuer-cert:{ca.cert.pem_file()}", **options)}))


def test_a_pinned_issuer_above_an_anchor_is_a_mismatch_that_says_what_to_do(pinproxyd, tls_server, ca, outer, tmp_path):
    """The pinned issuer is not in the verified chain."""
    server = tls_server(cert=below(outer, tmp_path, [outer.cert.cert]))
    section = to(server, verify="pin+pki", pin=f"issuer-cert:{ca.cert.pem_file()}", ca_file=outer.cert.pem_file())
    event = assert_refused(pinproxyd({NAME: section}), "pin_mismatch", server=server)
    assert "add it to ca_file" in event["detail"]


def test_an_intermediate_is_no_anchor_with_revocation_lists(pinproxyd, tls_server, ca, outer, tmp_path):
    """The lists must cover the whole chain."""
    server = tls_server(cert=outer.issue())
    lists = [crl(tmp_path, outer), crl(tmp_path, ca, outer.cert)]
    daemon = pinproxyd(by_mode("pki", server, tmp_path, ca_file=outer.cert.pem_file(), crl_file=lists))
    refusal_detail(daemon, server)


def test_an_intermediate_in_the_system_store_is_no_anchor(pinproxyd, tls_server, ca, outer, tmp_path):
    server = tls_server(cert=outer.issue())
    daemon = pinproxyd(by_mode("pki", server, tmp_path), env={"SSL_CERT_FILE": str(outer.cert.pem_file())})
    refusal_detail(daemon, server)


def test_another_intermediate_of_the_same_name_is_no_anchor(pinproxyd, tls_server, ca, outer, tmp_path):
    server = tls_server(cert=below(outer, tmp_path, [outer.cert.cert]))
    twin = certs.CA(tmp_path, "Outer", parent=ca)
    refusal_detail(pinproxyd(by_mode("pki", server, tmp_path, ca_file=twin.cert.pem_file())), server)


def test_the_certificate_of_the_server_is_an_anchor_only_if_it_is_self_signed(pinproxyd, tls_server, ca, tmp_path):
    own = tls_server(cert=certs.self_signed(tmp_path))
    assert_accepted(pinproxyd(by_mode("pki", own, tmp_path, ca_file=own.cert.pem_file())))
    issued = tls_server(cert=ca.issue())
    refusal_detail(pinproxyd(by_mode("pki", issued, tmp_path, ca_file=issued.cert.pem_file())), issued)


@pytest.mark.parametrize("mode", ["pki", "also_check"])
@pytest.mark.parametrize("names, host", [(["*.my_zone.test"], "a.my_zone.test"), (["a.my_zone.test"], "a.my_zone.test"),
                                         (["*.zone.test"], "a_b.zone.test")])
def test_an_underscore_in_a_name_is_accepted(mode, names, host, pinproxyd, tls_server, tmp_path):
    ca = certs.CA(tmp_path)
    server = tls_server(cert=ca.issue(names=names))
    trust = {"verify": "pki", "ca_file": ca.cert.pem_file()} if mode == "pki" else {"also_check": "name"}
    daemon = pinproxyd({NAME: to(server, host=host, **trust)})
    assert_accepted(daemon)


def test_an_address_is_compared_without_its_zone(pinproxyd, tls_server, tmp_path):
    ca = certs.CA(tmp_path)
    server = tls_server(cert=ca.issue(names=["::1"]))
    daemon = pinproxyd({NAME: to(server, host="::1%lo", verify="pki", ca_file=ca.cert.pem_file())})
    assert_accepted(daemon)
