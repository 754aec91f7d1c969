"""pinproxy check: the exit statuses of monitoring plugins."""

import json
import re

import pytest

from harness import certs
from harness.certs import NAME, day
from harness.config import to
from harness.daemon import run_pinproxy
from harness.revocation import crl
from harness.servers import closed_port

OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3


def two_pins(server, backup, **options):
    return to(server, pin=[server.cert.pin, backup.pin], **options)


def test_a_good_configuration_is_ok_without_a_connection(check, tls_server, backup):
    server = tls_server()
    run = check({NAME: two_pins(server, backup)})
    assert run.returncode == OK, run.out + run.err
    assert not server.conns


def test_live_connects_and_sends_nothing(check, tls_server, backup):
    server = tls_server()
    run = check({NAME: two_pins(server, backup)}, "--live")
    assert run.returncode == OK, run.out + run.err
    assert NAME in run.out
    assert server.wait_done()[0].received == 0


def test_live_names_the_pin_that_matched(check, tls_server, backup):
    server = tls_server()
    run = check({NAME: to(server, pin=[f"{backup.pin} name=next", f"{server.cert.pin} name=today"])}, "--live")
    assert run.returncode == OK, run.out + run.err
    assert "today" in run.out


@pytest.mark.parametrize("live", [[], ["--live"]], ids=["", "live"])
def test_a_single_pin_is_a_warning(live, check, tls_server):
    run = check({NAME: to(tls_server())}, *live)
    assert run.returncode == WARNING, run.out + run.err
    assert "pin" in run.out


def test_a_revoked_pin_is_no_backup(check, tls_server, backup):
    run = check({NAME: two_pins(tls_server(), backup, revoked=backup.pin)})
    assert run.returncode == WARNING
    assert f"{backup.pin} is revoked" in run.out and "only one pin" in run.out
    run = check({NAME: to(tls_server(), pin=[backup.pin], revoked=backup.pin)})
    assert run.returncode == CRITICAL
    assert "no pin is left" in run.out


def test_the_pki_needs_no_backup_pin(check, tls_server, ca):
    server = tls_server(cert=ca.issue())
    run = check({NAME: to(server, verify="pki", ca_file=ca.cert.pem_file())}, "--live")
    assert run.returncode == OK, run.out + run.err


@pytest.mark.parametrize("live", [[], ["--live"]], ids=["", "live"])
def test_a_pin_that_expires_soon_is_a_warning(live, check, tls_server, backup):
    server = tls_server()
    config = {NAME: to(server, pin=[f"{server.cert.pin} until={day(5)}", f"{backup.pin} until={day(5)}"])}
    assert check(config, *live).returncode == WARNING
    assert check(config, "--warn-days", "2", *live).returncode == OK
    config = {NAME: to(server, pin=[f"{server.cert.pin} until={day(60)}", f"{backup.pin} until={day(60)}"])}
    assert check(config, *live).returncode == OK
    assert check(config, "--warn-days", "70", *live).returncode == WARNING


def test_a_certificate_that_expires_soon_is_a_warning(check, tls_server, tmp_path, backup):
    server = tls_server(cert=certs.self_signed(tmp_path, start=-90, end=5))
    config = {NAME: two_pins(server, backup)}
    assert check(config).returncode == OK
    assert check(config, "--live").returncode == WARNING
    assert check(config, "--live", "--warn-days", "2").returncode == OK


@pytest.mark.parametrize("hours, said", [(-0.5, "ago"), (0.5, "minutes"), (1.5, "1 hour"), (36, "1 day")])
def test_the_time_that_is_left_has_a_fitting_unit(hours, said, check, tls_server, tmp_path, backup):
    """Half an hour is not shown in days, and one hour has no plural."""
    server = tls_server(cert=certs.self_signed(tmp_path, start=-3, end=hours / 24))
    check_said = check({NAME: two_pins(server, backup)}, "--live").out
    fetch_said = run_pinproxy("fetch", server.address).out
    for out in (check_said, fetch_said):
        line = next(line for line in out.splitlines() if "expire" in line.lower() or "valid" in line)
        assert said in line, out
        assert "1 days" not in line and "1 hours" not in line
        assert hours > 0 or re.search(r"(29|30) minutes ago", line), out


def test_a_mismatch_is_critical(check, tls_server, backup, tmp_path):
    server = tls_server()
    run = check({NAME: to(server, pin=[backup.pin, certs.self_signed(tmp_path).pin])}, "--live")
    assert run.returncode == CRITICAL
    assert server.cert.pin in run.out + run.err
    assert server.wait_done()[0].received == 0


def test_a_pki_failure_is_critical(check, tls_server, ca):
    server = tls_server(cert=ca.issue(start=-9, end=-2))
    run = check({NAME: to(server, verify="pki", ca_file=ca.cert.pem_file())}, "--live")
    assert run.returncode == CRITICAL
    assert "expired" in run.out + run.err


def test_expired_pins_are_critical(check, tls_server, backup):
    server = tls_server()
    config = {NAME: to(server, pin=[f"{server.cert.pin} until={day(-2)}", f"{backup.pin} until={day(-2)}"])}
    assert check(config, "--live").returncode == CRITICAL


def test_an_unreachable_server_is_unknown(check, tls_server, backup):
    server = tls_server()
    run = check({NAME: two_pins(server, backup, address=f"127.0.0.1:{closed_port()}")}, "--live")
    assert run.returncode == UNKNOWN
    assert NAME in run.out + run.err


def test_mismatch_outweighs_unreachable_and_warning(check, tls_server, backup, tmp_path):
    server = tls_server()
    config = {"a.test": two_pins(server, backup, address=f"127.0.0.1:{closed_port()}"),
              "b.test": to(server, pin=[backup.pin, certs.self_signed(tmp_path).pin]),
              "c.test": to(server)}
    assert check(config, "--live").returncode == CRITICAL
    assert check(config, "--live", "a.test", "c.test").returncode == UNKNOWN
    assert check(config, "--live", "c.test").returncode == WARNING


def test_only_named_sections_are_checked(check, tls_server, backup):
    one, two = tls_server(), tls_server()
    run = check({"one.test": two_pins(one, backup), "two.test": two_pins(two, backup)}, "--live", "two.test")
    assert run.returncode == OK, run.out + run.err
    assert not one.conns and len(two.conns) == 1


def test_an_unknown_section_is_an_error(check, tls_server, backup):
    run = check({NAME: two_pins(tls_server(), backup)}, "--live", "nowhere.test")
    assert run.returncode in (CRITICAL, UNKNOWN)
    assert "nowhere.test" in run.out + run.err


def test_a_broken_configuration_is_critical(check, tmp_path):
    run = check(f"[{NAME}]\nlisten = 127.0.0.1:0\npin = sha256//bad\nport = x\n")
    assert run.returncode == CRITICAL
    for line in (3, 4):
        assert f"{tmp_path}/check.conf:{line}: " in run.out + run.err


def test_a_missing_configuration_is_critical(tmp_path):
    run = run_pinproxy("check", "-c", tmp_path / "none.conf")
    assert run.returncode == CRITICAL
    assert "none.conf" in run.out + run.err


def test_json_is_valid(check, tls_server, backup):
    server = tls_server()
    run = check({NAME: two_pins(server, backup)}, "--live", "--json")
    assert run.returncode == OK, run.out + run.err
    json.loads(run.out)
    assert NAME in run.out


def test_json_of_a_failure_is_valid(check, tls_server, backup):
    server = tls_server()
    run = check({NAME: two_pins(server, backup, address=f"127.0.0.1:{closed_port()}")}, "--live", "--json")
    assert run.returncode == UNKNOWN
    json.loads(run.out)


def test_an_unknown_option_is_critical_or_unknown():
    """For a monitoring plugin 2 is critical. A wrong call must not look like success or a warning."""
    assert run_pinproxy("check", "--no-such-option").returncode in (CRITICAL, UNKNOWN)


# Lives of 6 days and longer: the warning begins 14 days ahead, or with the last third of a shorter life.

@pytest.mark.parametrize("life, left, status", [
    (6, 5.9, OK), (6, 2.1, OK), (6, 1.9, WARNING), (6, -0.1, WARNING), (39, 13.1, OK), (39, 12.9, WARNING),
    (47, 15, OK), (47, 14.1, OK), (47, 13.9, WARNING), (90, 14.1, OK), (90, 13.9, WARNING), (398, 13.9, WARNING)])
def test_the_share_of_a_life_decides_when_a_certificate_is_a_warning(life, left, status, check, tls_server, tmp_path,
                                                                     backup):
    server = tls_server(cert=certs.self_signed(tmp_path, start=left - life, end=left))
    run = check({NAME: two_pins(server, backup)}, "--live")
    assert run.returncode == status, run.out


@pytest.mark.parametrize("days, status", [(4, WARNING), (2, OK), (0, OK)])
def test_warn_days_are_meant_however_short_a_life_is(days, status, check, tls_server, tmp_path, backup):
    server = tls_server(cert=certs.self_signed(tmp_path, start=-3, end=3))
    config = {NAME: two_pins(server, backup)}
    assert check(config, "--live").returncode == OK
    assert check(config, "--live", "--warn-days", days).returncode == status


def test_an_expired_certificate_is_a_warning_with_any_days(check, tls_server, tmp_path, backup):
    server = tls_server(cert=certs.self_signed(tmp_path, start=-3, end=-0.1))
    run = check({NAME: two_pins(server, backup)}, "--live", "--warn-days", "0")
    assert run.returncode == WARNING and "expired on" in run.out


# Revocation lists.

def with_list(server, ca, path):
    return {NAME: to(server, verify="pki", ca_file=ca.cert.pem_file(), crl_file=path)}


@pytest.mark.parametrize("live", [[], ["--live"]], ids=["", "live"])
@pytest.mark.parametrize("start, end, status", [(-1, 7, OK), (-4, 3, OK), (-6, 2, WARNING), (-60, 15, OK),
                                                (-60, 13, WARNING)])
def test_a_revocation_list_that_expires_soon_is_a_warning(start, end, status, live, check, tls_server, ca, tmp_path):
    path = crl(tmp_path, ca, start=start, end=end)
    run = check(with_list(tls_server(cert=ca.issue()), ca, path), *live)
    assert run.returncode == status, run.out
    expires = f"the revocation list of CN=Test Root in {path} expires on {day(end)}, in "
    assert (expires in run.out) == (status == WARNING)


def test_an_expired_revocation_list_is_a_warning_and_live_a_refusal(check, tls_server, ca, tmp_path):
    config = with_list(tls_server(cert=ca.issue()), ca, crl(tmp_path, ca, start=-9, end=-2))
    run = check(config)
    assert run.returncode == WARNING and "expired on" in run.out, run.out
    assert check(config, "--live").returncode == CRITICAL


def test_warn_days_apply_to_revocation_lists(check, tls_server, ca, tmp_path):
    config = with_list(tls_server(cert=ca.issue()), ca, crl(tmp_path, ca, start=-1, end=7))
    assert check(config, "--warn-days", "8").returncode == WARNING
    assert check(config, "--warn-days", "6").returncode == OK


def test_json_has_the_dates_of_revocation_lists(check, tls_server, ca, inner, tmp_path):
    server = tls_server(cert=inner.issue())
    lists = [crl(tmp_path, ca, end=9), crl(tmp_path, inner, end=5)]
    run = check({NAME: to(server, verify="pki", ca_file=ca.cert.pem_file(), crl_file=lists)}, "--json")
    section, = json.loads(run.out)["sections"]
    assert [(one["issuer"], one["file"], one["next_update"]) for one in section["crls"]] == [
        ("CN=Test Root", str(lists[0]), day(9)), ("CN=Inner Authority", str(lists[1]), day(5))]
    assert [one["days_left"] in (end - 1, end) for one, end in zip(section["crls"], (9, 5))] == [True, True]
