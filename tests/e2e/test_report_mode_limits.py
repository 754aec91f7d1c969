"""enforce = report: its refusals, its errors in the configuration, and its end."""

import signal

import pytest

from harness import certs
from harness.assertions import SECRET, assert_accepted, assert_not_sent, assert_refused, failures
from harness.certs import NAME, day
from harness.clients import REFUSED, open_tunnel, ping, read_to_any_end, try_connection
from harness.config import ini, to
from harness.daemon import run_pinproxy, run_pinproxyd
from harness.revocation import StaplingServer, crl, response


def section(server, ca, tmp_path, pin=None, enforce="report", name=NAME, **options):
    """Returns a section that is pinned to a key that the server does not have."""
    pin = pin or certs.self_signed(tmp_path).pin
    return {name: to(server, verify="pin+pki", pin=pin, enforce=enforce, ca_file=ca.cert.pem_file(),
                     **({"verify_name": NAME} if name != NAME else {}), **options)}


# Configuration.

@pytest.mark.parametrize("verify", ["pin", "pki", "tofu", "tofu+pki"])
@pytest.mark.parametrize("enforce", ["report", f"report until={day(9)}"], ids=["endless", "until"])
def test_report_mode_in_another_trust_mode_is_an_error(enforce, verify, ca, tmp_path):
    pin = f"pin = {ca.cert.pin}\n" if verify == "pin" else ""
    file = tmp_path / "a.conf"
    text = f"[a.test]\nlisten = 127.0.0.1:0\nverify = {verify}\n{pin}enforce = {enforce}\n"
    file.write_text(text)
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78
    assert f"{file}:{len(text.splitlines())}: " in run.err and "pin+pki" in run.err, run.err


def test_inherited_report_mode_in_another_trust_mode_is_an_error(ca, tmp_path):
    """A line in another section must not permit a mismatch."""
    file = tmp_path / "a.conf"
    file.write_text(f"[defaults]\nenforce = report\n[a.test]\nlisten = 127.0.0.1:0\npin = {ca.cert.pin}\n")
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78 and f"{file}:" in run.err and "pin+pki" in run.err, run.err


@pytest.mark.parametrize("value", [
    "report until=", "report until=2027-02-30", "report until=tomorrow", "report 2027-01-31", "reports",
    "report until=2027-01-31 x", "off", "no", "maybe"])
def test_a_bad_value_of_enforce_is_an_error(value, ca, tmp_path):
    file = tmp_path / "a.conf"
    file.write_text(f"[a.test]\nlisten = 127.0.0.1:0\nverify = pin+pki\npin = {ca.cert.pin}\nenforce = {value}\n")
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78 and f"{file}:5: " in run.err, run.err


# Events.

def test_a_reported_mismatch_has_the_fields_of_an_enforced_one(pinproxyd, tls_server, ca, tmp_path):
    """An enforced mismatch of the same server is beside it."""
    server = tls_server(cert=ca.issue())
    pin = certs.self_signed(tmp_path).pin
    daemon = pinproxyd({**section(server, ca, tmp_path, pin), **section(server, ca, tmp_path, pin, "yes", "held.test")})
    opened = assert_accepted(daemon)
    held = assert_refused(daemon, "pin_mismatch", section="held.test")
    let_through = daemon.wait_event(event="pin_mismatch", section=NAME)
    assert set(let_through) == set(held) | {"enforce"}
    for key in ("level", "subject", "issuer", "not_after", "presented", "expected", "pki", "upstream"):
        assert let_through[key] == held[key], key
    assert not opened.get("pin")
    assert failures(daemon) == [("pin_mismatch", None)] and failures(daemon, "held.test") == [("pin_mismatch", None)]
    daemon.signal(signal.SIGUSR1)
    status = daemon.wait_event(event="status", section=NAME)
    assert (status["enforce"], status["mismatches"]) == ("report", "1")
    assert "enforce" not in daemon.wait_event(event="status", section="held.test")


def test_every_mismatch_is_counted(pinproxyd, tls_server, ca, tmp_path):
    """Suppressed lines are logged as a count."""
    daemon = pinproxyd(section(tls_server(cert=ca.issue()), ca, tmp_path))
    for _ in range(40):
        assert_accepted(daemon)
    daemon.signal(signal.SIGUSR1)
    assert daemon.wait_event(event="status", section=NAME)["mismatches"] == "40"
    daemon.stop()
    assert sum(1 + int(event.get("repeated", 0)) for event in daemon.events(event="pin_mismatch")) == 40


def test_a_mismatch_of_an_issuer_pin_is_accepted_and_logged(pinproxyd, tls_server, ca, tmp_path):
    pin = f"issuer-cert:{certs.CA(tmp_path, 'Another Root').cert.pem_file()}"
    daemon = pinproxyd(section(tls_server(cert=ca.issue()), ca, tmp_path, pin))
    assert not assert_accepted(daemon).get("pin")
    event = daemon.wait_event(event="pin_mismatch", enforce="report")
    assert "Another Root" in event["expected_subject"]


def test_a_matching_pin_causes_no_failure_event(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    pins = [f"{server.cert.pin} name=right", certs.self_signed(tmp_path).pin]
    daemon = pinproxyd(section(server, ca, tmp_path, pins))
    assert assert_accepted(daemon)["pin"] == "right"
    daemon.stop()
    assert failures(daemon) == []


def test_each_reload_warns_of_each_section_in_report_mode(pinproxyd, tls_server, ca, tmp_path):
    """There is one event for each section in report mode, and none for the others."""
    server = tls_server(cert=ca.issue())
    reporting = {**section(server, ca, tmp_path),
                 **section(server, ca, tmp_path, None, f"report until={day(5)}", "b.test"),
                 **section(server, ca, tmp_path, server.cert.pin, "yes", "c.test"),
                 **section(server, ca, tmp_path, None, f"report until={day(-1)}", "d.test")}

    def warned(since):
        return sorted((event["section"], event["level"], event.get("until"))
                      for event in daemon.events(since, event="report_mode"))
    expected = sorted([(NAME, "warning", None), ("b.test", "warning", day(5))], key=lambda row: row[0])
    daemon = pinproxyd(reporting)
    daemon.wait_event(event="report_mode", section="b.test")
    daemon.wait_event(event="report_mode", section=NAME)
    assert sorted(warned(0), key=lambda row: row[0]) == expected

    mark = daemon.mark()
    daemon.reload()
    daemon.wait_event(mark, event="report_mode", section="b.test")
    daemon.wait_event(mark, event="report_mode", section=NAME)
    assert sorted(warned(mark), key=lambda row: row[0]) == expected

    mark = daemon.mark()
    daemon.reload(section(server, ca, tmp_path, server.cert.pin, "yes"))
    assert_accepted(daemon)
    assert warned(mark) == []


# Refusals.

@pytest.mark.parametrize("why", ["name", "expired", "another_root", "self_signed"])
def test_a_certificate_that_the_pki_refuses_is_refused(why, pinproxyd, tls_server, ca, tmp_path):
    cert = {"name": lambda: ca.issue(["elsewhere.test"]), "expired": lambda: ca.issue(start=-9, end=-2),
            "another_root": lambda: certs.CA(tmp_path).issue(),
            "self_signed": lambda: certs.self_signed(tmp_path)}[why]()
    server = tls_server(cert=cert)
    assert_refused(pinproxyd(section(server, ca, tmp_path)), "refused", "pki", server=server)


def test_a_certificate_on_a_revocation_list_is_refused(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    daemon = pinproxyd(section(server, ca, tmp_path, crl_file=crl(tmp_path, ca, server.cert)))
    assert "revoked" in assert_refused(daemon, "refused", "pki", server=server)["detail"]


@pytest.mark.parametrize("version", ["2", "3"])
def test_a_bad_or_missing_ocsp_response_is_refused(version, pinproxyd, stack, ca, tmp_path):
    for staple in (lambda cert: None, lambda cert: response(cert, ca, end=-2, start=-9)):
        cert = ca.issue()
        server = stack.add(StaplingServer(cert, staple(cert), version))
        daemon = pinproxyd(section(server, ca, tmp_path, ocsp="staple"))
        assert assert_refused(daemon, "refused", "pki", last=True)["detail"].startswith("OCSP: ")


def test_a_weak_key_is_refused(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue(key=certs.rsa_key(1024)))
    assert_refused(pinproxyd(section(server, ca, tmp_path)), "refused", "weak", server=server)


@pytest.mark.parametrize("which", ["server", "inner", "root"])
@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "not_pinned"])
def test_a_revoked_key_is_refused_though_pins_are_only_reported(pinned, which, pinproxyd, tls_server, ca, tmp_path):
    inner = certs.CA(tmp_path, "Inner", parent=ca)
    server = tls_server(cert=inner.issue())
    key = {"server": server.cert, "inner": inner.cert, "root": ca.cert}[which].pin
    daemon = pinproxyd(section(server, ca, tmp_path, server.cert.pin if pinned else None, revoked=key))
    assert_refused(daemon, "refused", "revoked", server=server)


# The end of report mode.

@pytest.mark.parametrize("days", [-1, 0])
def test_a_mismatch_is_refused_from_the_date_on(days, pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    daemon = pinproxyd(section(server, ca, tmp_path, enforce=f"report until={day(days)}"))
    event = assert_refused(daemon, "pin_mismatch", server=server)
    assert "enforce" not in event


def test_an_expired_pin_is_refused_from_the_date_on(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    pin = f"{server.cert.pin} until={day(-1)}"
    daemon = pinproxyd(section(server, ca, tmp_path, pin, f"report until={day(0)}"))
    event = assert_refused(daemon, "refused", "expired_pins", server=server)
    assert "enforce" not in event


def test_a_reload_that_ends_report_mode_refuses_a_mismatch(pinproxyd, tls_server, ca, tmp_path):
    """Open tunnels stay, as with any reload."""
    server = tls_server(cert=ca.issue())
    pin = certs.self_signed(tmp_path).pin
    daemon = pinproxyd(section(server, ca, tmp_path, pin))
    with open_tunnel(daemon.address(NAME)) as old:
        daemon.reload(section(server, ca, tmp_path, pin, "yes"))
        assert try_connection(daemon.address(NAME), SECRET) == REFUSED
        ping(old)
    daemon.stop()
    events = daemon.events(event="pin_mismatch")
    assert [event.get("enforce") for event in events] == ["report", None]
    assert_not_sent(server)


@pytest.mark.parametrize("which", ["server", "root"])
def test_a_tunnel_of_a_reported_mismatch_is_closed_when_its_key_is_revoked(which, pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    pin = certs.self_signed(tmp_path).pin
    daemon = pinproxyd(section(server, ca, tmp_path, pin))
    key = server.cert.pin if which == "server" else ca.cert.pin
    with open_tunnel(daemon.address(NAME)) as old:
        daemon.reload(section(server, ca, tmp_path, pin, revoked=key))
        assert read_to_any_end(old) == (b"", True)
    daemon.wait_event(event="tunnel_close", section=NAME, reason="revoked")


# The tool.

@pytest.mark.parametrize("enforce, pinned, status", [
    ("report", "right", 1), ("report", "wrong", 1), (f"report until={day(5)}", "wrong", 1),
    ("yes", "right", 0), ("yes", "wrong", 2), (f"report until={day(-1)}", "wrong", 2)],
    ids=["right", "wrong", "wrong_until", "enforced_right", "enforced_wrong", "over"])
def test_check_warns_while_a_section_reports(enforce, pinned, status, tls_server, ca, tmp_path):
    """The status is never 0 in report mode, live or not, and critical when a mismatch is enforced."""
    server = tls_server(cert=ca.issue())
    backup = certs.self_signed(tmp_path).pin
    first = server.cert.pin if pinned == "right" else certs.self_signed(tmp_path).pin
    file = tmp_path / "a.conf"
    file.write_text(ini(section(server, ca, tmp_path, [first, backup], enforce)))
    reporting = "report" in enforce and day(-1) not in enforce
    run = run_pinproxy("check", "-c", file)
    assert run.returncode == (1 if reporting else 0), run.out
    assert ("enforce = report" in run.out) == reporting, run.out
    for more in ([], ["--json"]):
        run = run_pinproxy("check", "--live", "-c", file, *more)
        assert run.returncode == status, run.out
        assert ("enforce = report" in run.out) == reporting, run.out


def test_connect_names_the_key_that_report_mode_accepts(tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    file = tmp_path / "a.conf"
    file.write_text(ini(section(server, ca, tmp_path)))
    run = run_pinproxy("connect", "-c", file, NAME, input=b"hello")
    assert server.cert.pin in run.err, run.err
