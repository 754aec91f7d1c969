"""fetch and check say what can be known about the next renewal of a server. That is never a failure."""

import json

import pytest

from harness import certs
from harness.certs import NAME, day
from harness.config import to
from harness.daemon import run_pinproxy

OK, WARNING = 0, 1
INTERMEDIATE = "is of an intermediate CA"
ONE_CERTIFICATE = "is of one certificate and ends with it"


def renewal(check, config, *arguments, status=OK):
    """Returns the sentences about the renewal of the first section. Asserts that text and JSON agree."""
    text = check(config, *arguments)
    run = check(config, "--json", *arguments)
    assert (text.returncode, run.returncode) == (status, status), text.out + text.err
    sentences = json.loads(run.out)["sections"][0]["renewal"]
    assert [line.strip() for line in text.out.splitlines() if "renewal: " in line] == [
        f"renewal: {one}" for one in sentences]
    return sentences


@pytest.mark.parametrize("form", ["issuer:{key}", "issuer-cert:{file}"])
def test_check_live_says_that_a_pinned_intermediate_can_change(form, check, tls_server, inner, backup):
    server = tls_server(cert=inner.issue())
    pin = form.format(key=inner.cert.pin, file=inner.cert.pem_file())
    sentence, = renewal(check, {NAME: to(server, pin=[f"{pin} name=ca", backup.pin])}, "--live")
    assert sentence.startswith(f"pin ca {INTERMEDIATE}, CN=Inner Authority,")
    assert "without notice" in sentence and "root" in sentence and "second intermediate" in sentence


def test_an_intermediate_in_a_file_is_known_without_a_connection(check, tls_server, inner, backup):
    server = tls_server(cert=inner.issue())
    sentence, = renewal(check, {NAME: to(server, pin=[f"issuer-cert:{inner.cert.pem_file()}", backup.pin])})
    assert INTERMEDIATE in sentence and not server.conns


def test_an_intermediate_by_its_digest_is_not_known_without_a_connection(check, tls_server, inner, backup):
    config = {NAME: to(tls_server(cert=inner.issue()), pin=[f"issuer:{inner.cert.pin}", backup.pin])}
    assert renewal(check, config) == []


def test_the_key_and_the_certificate_of_one_intermediate_are_one_ca(check, tls_server, inner):
    pins = [f"issuer:{inner.cert.pin}", f"issuer-cert:{inner.cert.pem_file()}"]
    sentence, = renewal(check, {NAME: to(tls_server(cert=inner.issue()), pin=pins)}, "--live")
    assert INTERMEDIATE in sentence


@pytest.mark.parametrize("other", ["root", "second", "unknown"])
@pytest.mark.parametrize("live", [[], ["--live"]], ids=["", "live"])
def test_the_root_or_a_second_intermediate_survives_it(live, other, check, tls_server, ca, inner, tmp_path):
    second = certs.CA(tmp_path, "Second Authority", parent=ca)
    pin = {"root": f"issuer-cert:{ca.cert.pem_file()}", "second": f"issuer-cert:{second.cert.pem_file()}",
           "unknown": f"issuer:{second.cert.pin}"}[other]
    pins = [f"issuer-cert:{inner.cert.pem_file()}", pin]
    assert renewal(check, {NAME: to(tls_server(cert=inner.issue()), pin=pins)}, *live) == []


def test_an_expired_pin_of_the_root_does_not_help(check, tls_server, ca, inner, backup):
    pins = [f"issuer-cert:{ca.cert.pem_file()} until={day(-1)}", f"issuer-cert:{inner.cert.pem_file()}", backup.pin]
    sentence, = renewal(check, {NAME: to(tls_server(cert=inner.issue()), pin=pins)}, status=WARNING)
    assert INTERMEDIATE in sentence


def test_a_pinned_root_alone_has_no_sentence(check, tls_server, ca, inner):
    pins = [f"issuer-cert:{ca.cert.pem_file()}"]
    assert renewal(check, {NAME: to(tls_server(cert=inner.issue()), pin=pins)}, "--live", status=WARNING) == []


def test_check_says_that_a_pinned_certificate_ends(check, tls_server, backup):
    server = tls_server()
    config = {NAME: to(server, pin=[f"{server.cert.cert_pin} name=today", backup.cert_pin])}
    sentence, = renewal(check, config)
    assert f"pin today {ONE_CERTIFICATE}:" in sentence
    sentence, = renewal(check, config, "--live")
    assert f"{ONE_CERTIFICATE}, on {server.cert.cert.not_valid_after:%Y-%m-%d}:" in sentence


def test_a_pinned_key_beside_a_certificate_has_no_sentence(check, tls_server, backup):
    server = tls_server()
    assert renewal(check, {NAME: to(server, pin=[server.cert.cert_pin, backup.pin])}, "--live") == []


@pytest.mark.parametrize("form, words", [
    ("{server.pin}", "the next key of the server is unknown"),
    ("{server.cert_pin}", "the renewal of the certificate is an outage"),
    ("issuer:{ca.pin}", "the pin of a second CA")])
def test_the_only_pin_is_a_warning_in_words_that_fit_it(form, words, check, tls_server, ca):
    server = tls_server(cert=ca.issue())
    run = check({NAME: to(server, pin=form.format(server=server.cert, ca=ca.cert))})
    assert run.returncode == WARNING
    line, = [line for line in run.out.splitlines() if "only one pin" in line]
    assert words in line


def test_check_says_how_a_new_key_is_accepted_after_a_first_use(state, tls_server, pinproxyd, check):
    server = tls_server()
    config = state.config({NAME: to(server, verify="tofu", pin=None)})
    assert renewal(check, config) == []
    assert check(config, "--live").returncode == WARNING
    config = state.config({NAME: to(server, verify="tofu")})
    sentence, = renewal(check, config)
    assert "pinproxy learned accept" in sentence


def test_the_pki_has_no_sentence(check, tls_server, ca, inner):
    server = tls_server(cert=inner.issue())
    assert renewal(check, {NAME: to(server, verify="pki", ca_file=ca.cert.pem_file())}, "--live") == []


def fetched(server):
    """Returns the sentences of fetch. Asserts that text and JSON agree, and that --ini has a comment only."""
    text, run, ini = (run_pinproxy("fetch", server.address, *form) for form in ([], ["--json"], ["--ini"]))
    assert (text.returncode, run.returncode, ini.returncode) == (OK, OK, OK)
    sentences = json.loads(run.out)["renewal"]
    assert [line[4:] for line in text.out.splitlines() if line.startswith("  - ")] == sentences
    assert not any(one in ini.out for one in sentences) and "next key" in ini.out
    return sentences


def test_fetch_says_what_a_renewal_may_change(tls_server, inner):
    server = tls_server(cert=inner.issue())
    key, cert, issuer = fetched(server)
    assert "next key of the server is unknown" in key
    assert f"ends with it, on {server.cert.cert.not_valid_after:%Y-%m-%d}" in cert
    assert issuer.startswith("CN=Inner Authority is an intermediate CA") and "without notice" in issuer


def test_fetch_says_nothing_of_issuers_where_there_is_no_intermediate(tls_server, ca):
    for cert in (None, ca.issue()):
        assert len(fetched(tls_server(cert=cert))) == 2


def test_evil_names_do_not_reach_the_terminal(tls_server, tmp_path, ca, check):
    inner = certs.CA(tmp_path, "evil\x1b[2J\nname", parent=ca)
    server = tls_server(cert=inner.issue())
    sentence, = renewal(check, {NAME: to(server, pin=f"issuer:{inner.cert.pin}")}, "--live", status=WARNING)
    for one in (fetched(server)[2], sentence):
        assert "evil" in one and "name" in one and one.isprintable()
