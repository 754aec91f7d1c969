"""verify_name = spiffe://...: the certificate must be an X.509-SVID of that workload."""

import pytest

from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME, subject_of
from harness.config import ini, to
from harness.daemon import run_pinproxy

ID = "spiffe://domain.test/billing/api"

MODES = {
    "pki": lambda ca: {"verify": "pki", "pin": None, "ca_file": ca.cert.pem_file()},
    "pin+pki": lambda ca: {"verify": "pin+pki", "ca_file": ca.cert.pem_file()},
    "issuer": lambda ca: {"pin": f"issuer-cert:{ca.cert.pem_file()}"},
    "also_check": lambda ca: {"also_check": "name"},
}

GOOD = {"alone": [ID], "with_a_dns_name": ["domain.test", ID, NAME], "with_an_address": ["127.0.0.1", ID]}

BAD = {
    "no_uri": ([NAME], "no URI"),
    "two_uris": ([ID, "spiffe://domain.test/other"], "more than one"),
    "a_web_address_beside_it": (["https://domain.test/", ID], "more than one"),
    "another_workload": (["spiffe://domain.test/billing"], "another"),
    "another_domain": (["spiffe://other.test/billing/api"], "another"),
    "domain_in_another_case": (["spiffe://Domain.test/billing/api"], "another"),
    "path_in_another_case": (["spiffe://domain.test/billing/API"], "another"),
    "percent_encoded": (["spiffe://domain.test/billing/%61pi"], "another"),
    "slash_at_the_end": ([ID + "/"], "another"),
}


@pytest.mark.parametrize("mode", MODES)
def test_an_svid_is_accepted(mode, pinproxyd, tls_server, ca):
    servers = {f"{names}.test": tls_server(cert=ca.issue(GOOD[names])) for names in GOOD}
    daemon = pinproxyd({name: to(server, verify_name=ID, **MODES[mode](ca)) for name, server in servers.items()})
    for name in servers:
        assert_accepted(daemon, name)


@pytest.mark.parametrize("mode", MODES)
def test_every_other_certificate_is_refused(mode, pinproxyd, tls_server, ca):
    servers = {f"{row}.test": tls_server(cert=ca.issue(BAD[row][0], subject=subject_of("svid"))) for row in BAD}
    daemon = pinproxyd({name: to(server, verify_name=ID, **MODES[mode](ca)) for name, server in servers.items()})
    for row, (name, server) in zip(BAD, servers.items()):
        event = assert_refused(daemon, "refused", "name" if mode == "also_check" else "pki", section=name)
        assert BAD[row][1] in event["detail"], row
        server.stop()
        server.assert_nothing_received()


@pytest.mark.parametrize("mode", MODES)
def test_a_ca_with_the_id_is_refused(mode, pinproxyd, tls_server, ca):
    server = tls_server(cert=ca.issue([ID], subject=subject_of("svid"), ca=True))
    daemon = pinproxyd({NAME: to(server, verify_name=ID, **MODES[mode](ca))})
    assert_refused(daemon, "refused", "name" if mode == "also_check" else "pki", server=server)


def test_fetch_shows_the_id(tls_server, ca):
    run = run_pinproxy("fetch", tls_server(cert=ca.issue([NAME, ID])).address)
    assert run.returncode == 0 and f"{NAME}, {ID}" in run.stdout.decode()


def test_check_live_says_that_the_id_is_another(tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue(["spiffe://domain.test/other"], subject=subject_of("svid")))
    (tmp_path / "p.conf").write_text(ini({NAME: to(server, verify_name=ID, **MODES["pki"](ca))}))
    run = run_pinproxy("check", "--live", "-c", tmp_path / "p.conf")
    assert run.returncode == 2 and "its URI name is another" in run.stdout.decode()
