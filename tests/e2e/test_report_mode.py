"""enforce = report: the PKI decides, and a mismatch of the pins is only logged."""

import signal

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME, day
from harness.config import to
from harness.daemon import run_pinproxy


@pytest.fixture
def section(tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())

    def make(pin=None, enforce="report", **options):
        pin = pin or certs.self_signed(tmp_path).pin
        return {NAME: to(server, verify="pin+pki", pin=pin, enforce=enforce, ca_file=ca.cert.pem_file(), **options)}
    make.server = server
    return make


@pytest.mark.parametrize("enforce", ["report", f"report until={day(3)}"], ids=["endless", "until"])
def test_a_mismatch_is_accepted_and_logged(enforce, pinproxyd, section):
    daemon = pinproxyd(section(enforce=enforce))
    warning = daemon.wait_event(event="report_mode", section=NAME)
    assert warning["level"] == "warning" and warning.get("until") == (day(3) if "until" in enforce else None)
    assert not assert_accepted(daemon).get("pin")
    assert_accepted(daemon)
    events = daemon.events(event="pin_mismatch", section=NAME)
    assert len(events) == 2
    for event in events:
        assert event["enforce"] == "report" and event["level"] == "error" and event["pki"] == "valid"
        assert section.server.cert.pin in event["presented"]


def test_a_matching_pin_is_logged_as_usual(pinproxyd, section):
    daemon = pinproxyd(section(pin=f"{section.server.cert.pin} name=right"))
    assert assert_accepted(daemon)["pin"] == "right"
    assert not daemon.events(event="pin_mismatch")


def test_a_matching_issuer_pin_is_logged_as_usual(pinproxyd, section, ca):
    daemon = pinproxyd(section(pin=f"issuer-cert:{ca.cert.pem_file()} name=ca"))
    assert assert_accepted(daemon)["pin"] == "ca"


def test_an_expired_pin_is_accepted_and_logged(pinproxyd, section):
    daemon = pinproxyd(section(pin=f"{section.server.cert.pin} until={day(-1)}"))
    assert_accepted(daemon)
    event = daemon.wait_event(event="refused", reason="expired_pins")
    assert event["enforce"] == "report"


def test_report_mode_past_its_date_refuses_a_mismatch(pinproxyd, section):
    daemon = pinproxyd(section(enforce=f"report until={day(-1)}"))
    assert_refused(daemon, "pin_mismatch", server=section.server)
    assert not daemon.events(event="report_mode")


def test_the_pki_still_refuses_an_unknown_certificate(pinproxyd, section, tmp_path):
    section.server.use(certs.self_signed(tmp_path))
    assert_refused(pinproxyd(section()), "refused", "pki", server=section.server)


@pytest.mark.parametrize("which", ["server", "ca"])
def test_a_revoked_key_is_still_refused(which, pinproxyd, section, ca):
    key = section.server.cert.pin if which == "server" else ca.cert.pin
    assert_refused(pinproxyd(section(revoked=key)), "refused", "revoked", server=section.server)


def test_status_and_check_warn_of_report_mode(pinproxyd, section, tmp_path):
    config = section(pin=[certs.self_signed(tmp_path).pin, certs.self_signed(tmp_path).pin])
    daemon = pinproxyd(config)
    assert_accepted(daemon)
    daemon.signal(signal.SIGUSR1)
    status = daemon.wait_event(event="status", section=NAME)
    assert status["enforce"] == "report" and status["mismatches"] == "1"
    run = run_pinproxy("check", "-c", daemon.file)
    assert run.returncode == 1 and "ACCEPTED" in run.out
    run = run_pinproxy("check", "--live", "-c", daemon.file)
    assert run.returncode == 1 and section.server.cert.pin in run.out and "only reported" in run.out


def test_a_session_of_a_reported_mismatch_is_not_resumed(pinproxyd, section):
    daemon = pinproxyd({"global": {"workers": 1}, **section(resume="yes")})
    assert_accepted(daemon)
    assert_accepted(daemon)
    assert [e["resumed"] for e in daemon.events(event="tunnel_open")] == ["no", "no"]
