"""The name constraints of a CA (RFC 5280 section 4.2.1.10) apply to the requested name, not to a wildcard."""

import pytest

from harness.assertions import assert_accepted, assert_refused
from harness.chains import issue
from harness.config import to

ASKED = "bar.zone.test"

MODES = {
    "pki": lambda server, inner, root: {"verify": "pki", "pin": None, "ca_file": root.pem_file()},
    "pin+pki": lambda server, inner, root: {"verify": "pin+pki", "ca_file": root.pem_file()},
    "tofu+pki": lambda server, inner, root: {"verify": "tofu+pki", "pin": None, "ca_file": root.pem_file()},
    "report": lambda server, inner, root: {"verify": "pin+pki", "enforce": "report", "ca_file": root.pem_file()},
    "issuer and pki": lambda server, inner, root: {"verify": "pin+pki", "pin": f"issuer:{inner.pin}",
                                                   "ca_file": root.pem_file()},
    "issuer": lambda server, inner, root: {"pin": f"issuer:{inner.pin}"},
    "issuer's certificate": lambda server, inner, root: {"pin": f"issuer-cert:{root.pem_file()}"},
}


@pytest.fixture
def serve(tls_server, tmp_path):
    """Starts a server below a CA that excludes, or permits, some names."""
    def serve(names, **constraints):
        root = issue(tmp_path, "Root", None, ca=True)
        inner = issue(tmp_path, "Inner", root, ca=True, **constraints)
        return tls_server(cert=issue(tmp_path, "the server", inner, names=names, sent=[inner])), inner, root
    return serve


def section(mode, where, tmp_path, **options):
    server, inner, root = where
    return {"global": {"state_dir": tmp_path / "state"}, ASKED: to(server, **MODES[mode](server, inner, root), **options)}


@pytest.mark.parametrize("mode", MODES)
def test_a_wildcard_over_an_excluded_name_is_refused(mode, serve, pinproxyd, tmp_path):
    where = serve(["*.zone.test"], excluded=[ASKED])
    event = assert_refused(pinproxyd(section(mode, where, tmp_path)), "refused", "pki", section=ASKED, server=where[0])
    assert "excluded subtree violation" in event["detail"]


@pytest.mark.parametrize("mode", MODES)
def test_a_wildcard_beside_an_excluded_name_is_accepted(mode, serve, pinproxyd, tmp_path):
    where = serve(["*.zone.test"], excluded=["foo.zone.test", "ar.zone.test"])
    assert assert_accepted(pinproxyd(section(mode, where, tmp_path)), ASKED)


@pytest.mark.parametrize("name", ["BAR.Zone.Test", "bar.zone.test."])
def test_no_spelling_evades_an_excluded_name(name, serve, pinproxyd, tmp_path):
    where = serve(["*.zone.test"], excluded=[ASKED])
    daemon = pinproxyd(section("pki", where, tmp_path, verify_name=name))
    assert_refused(daemon, "refused", "pki", section=ASKED, server=where[0])


def test_a_server_pin_ignores_name_constraints(serve, pinproxyd, tmp_path):
    where = serve(["*.zone.test"], excluded=[ASKED])
    daemon = pinproxyd({ASKED: to(where[0])})
    assert_accepted(daemon, ASKED)
