"""pins_url: where, and how long, announced pins have an effect; and the configuration."""

import re

import pytest

from harness.assertions import assert_accepted, assert_not_sent, assert_refused
from harness.certs import NAME, OTHER, day
from harness.config import ini, to
from harness.daemon import run_pinproxyd
from harness.learned import PLACE, Announcer, http_response, wait_announced, with_pins_url
from harness.waiting import wait_until


# Where and how long.

def test_a_restart_keeps_announced_pins(state, pinproxyd, announcer, backup):
    """The server changes to the backup while the daemon is stopped, so the configured pin no longer matches."""
    config = state.config({NAME: with_pins_url(announcer)})
    daemon = pinproxyd(config)
    wait_announced(daemon, backup.pin)
    daemon.stop()
    announcer.use(backup)
    daemon = pinproxyd(config)
    assert assert_accepted(daemon)["pin"] == backup.pin
    wait_until(lambda: len(announcer.behave.requests) == 2, "the second question")
    daemon.stop()
    assert not daemon.events(event="learned", pin=backup.pin)


def test_announced_pins_have_no_effect_without_pins_url(learned_daemon, state, announcer, backup):
    learned_daemon.reload(state.config({NAME: to(announcer)}))
    assert_accepted(learned_daemon)
    announcer.use(backup)
    assert_refused(learned_daemon, "pin_mismatch")
    assert_not_sent(announcer)


def test_a_key_revoked_after_its_announcement_is_refused(learned_daemon, state, announcer, backup):
    learned_daemon.reload(state.config({NAME: with_pins_url(announcer, revoked=backup.pin)}))
    announcer.use(backup)
    assert_refused(learned_daemon, "refused", "revoked")
    assert_not_sent(announcer)


@pytest.mark.parametrize("line, counts", [
    (f"{NAME} {PLACE} %s 2026-01-01 from=pins_url until={day(2)} via={OTHER}", True),
    (f"{NAME} {PLACE} %s 2026-01-01 from=pins_url until={day(0)} via={OTHER}", False),
    (f"{NAME} {PLACE} %s 2026-01-01 from=pins_url until={day(-3)} via={OTHER}", False),
    (f"{NAME} {NAME}:444 %s 2026-01-01 from=pins_url until={day(2)} via={OTHER}", False),
    (f"{NAME} elsewhere.test:443 %s 2026-01-01 from=pins_url until={day(2)} via={OTHER}", False),
    (f"other.test {PLACE} %s 2026-01-01 from=pins_url until={day(2)} via={OTHER}", False),
    (f"{NAME} {PLACE} %s 2026-01-01 from=tofu", False),
    (f"{NAME} {PLACE} %s 2026-01-01 from=pins_url until={day(2)}", False),
    (f"{NAME} {PLACE} %s 2026-01-01 from=pins_url until={day(2)} via=issuer:{OTHER}", False),
    (f"{NAME} {PLACE} %s 2026-01-01 from=pins_url until={day(2)} via=cert:sha256:{'ab' * 32}", False),
], ids=["live", "last_day", "over", "another_port", "another_host", "another_section", "from_tofu",
        "via_nothing", "via_an_issuer", "via_another_pin"])
def test_only_a_live_line_with_a_configured_origin_has_an_effect(line, counts, state, pinproxyd, tls_server):
    server = tls_server(Announcer())
    server.behave.answer = http_response()
    state.write(line % server.cert.pin + "\n")
    daemon = pinproxyd(state.config({NAME: with_pins_url(server, pin=OTHER)}))
    if counts:
        assert assert_accepted(daemon)["pin"] == server.cert.pin
        return
    event = daemon.wait_event(event=lambda name: name in ("pin_mismatch", "refused"), section=NAME)
    assert event.get("reason", "expired_pins") == "expired_pins"
    assert_refused(daemon, event["event"])
    assert_not_sent(server)
    assert server.behave.requests == []


# The configuration.

@pytest.mark.parametrize("value", ["pins", "https://server.test/pins", "", "/two words", "/tab\there", "/bell\x07",
                                   "/del\x7f"],
                         ids=["no_slash", "url", "empty", "blank", "tab", "control", "delete"])
def test_a_value_that_is_no_path_is_an_error(value, tmp_path):
    file = tmp_path / "pinproxyd.conf"
    file.write_text(f"[{NAME}]\nlisten = 127.0.0.1:0\npin = {OTHER}\npins_url = {value}\n")
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == 78, run.err
    assert re.search(rf"{re.escape(str(file))}:\d+: .*(pins_url|path|/)", run.err), run.err


@pytest.mark.parametrize("verify", ["pin", "pin+pki", "tofu", "tofu+pki", "pki"])
def test_pins_url_is_an_error_only_in_mode_pki(verify, ca, state, tmp_path):
    section = {"listen": "127.0.0.1:0", "verify": verify, "pins_url": "/"}
    if verify.startswith("pin"):
        section["pin"] = OTHER
    if verify.endswith("pki"):
        section["ca_file"] = ca.cert.pem_file()
    file = tmp_path / "pinproxyd.conf"
    file.write_text(ini(state.config({NAME: section})))
    run = run_pinproxyd("-t", "-c", file)
    assert run.returncode == (78 if verify == "pki" else 0), run.err
    if verify == "pki":
        assert "pins_url" in run.err


def test_a_key_revoked_before_its_announcement_is_refused(state, pinproxyd, announcer, backup):
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, revoked=backup.pin)}))
    wait_announced(daemon, backup.pin)
    announcer.use(backup)
    assert_refused(daemon, "refused", "revoked")


def test_a_first_use_makes_the_daemon_ask_at_once(state, pinproxyd, announcer, backup):
    """The daemon does not ask before a client has learned the key, and asks as soon as one has."""
    daemon = pinproxyd(state.config({NAME: with_pins_url(announcer, pin=None, verify="tofu")}))
    announcer.wait_done()
    assert not daemon.events(event="learned")
    assert_accepted(daemon)
    wait_announced(daemon, backup.pin)
