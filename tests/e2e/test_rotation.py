"""A new key without an outage, in the steps of the README, and the messages of `pinproxy check --live`."""

import re

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from harness import certs
from harness.assertions import assert_accepted
from harness.certs import NAME, day
from harness.clients import ContinuousClients, exchange
from harness.config import ini, to
from harness.daemon import run_pinproxy
from harness.openssl import openssl

OK, WARNING, CRITICAL = 0, 1, 2


def check_live(file):
    return run_pinproxy("check", "-c", file, "--live")


@pytest.mark.threads
@pytest.mark.parametrize("written", ["hash", "key_file"])
def test_a_rotation_under_load_fails_no_request(written, pinproxyd, tls_server, stack, tmp_path):
    """The server changes from one key to the next, and no request fails."""
    server = tls_server()
    today = f"{server.cert.pin} name=today until={day(60)}"
    daemon = pinproxyd({NAME: to(server, pin=today)})
    clients = stack.add(ContinuousClients(daemon.address(NAME), data=b"a request"))
    clients.wait_more()

    # 1. the next key, and its request
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "next.key",
            "-out", "next.csr", "-subj", f"/CN={NAME}", cwd=tmp_path)
    # 2. its pin, before there is a certificate
    run = run_pinproxy("hash", tmp_path / "next.csr")
    assert run.returncode == 0, run.err
    pin = re.search(r"sha256//\S{44}", run.out)[0]
    assert pin in run_pinproxy("hash", tmp_path / "next.key").out
    next_pin = {"hash": pin, "key_file": f"key:{tmp_path}/next.csr"}[written] + " name=next"
    # 3. reload
    daemon.reload({NAME: to(server, pin=[today, next_pin])})
    clients.wait_more()
    run = check_live(daemon.file)
    assert run.returncode == OK, run.out + run.err
    assert "pin today matches" in run.out and "backup pin next: not seen yet" in run.out
    # 4. the new certificate
    key = load_pem_private_key((tmp_path / "next.key").read_bytes(), None)
    server.use(certs.self_signed(tmp_path, key=key))
    assert server.cert.pin == pin
    clients.wait_more()
    # 5. the server uses it
    run = check_live(daemon.file)
    assert run.returncode == OK, run.out + run.err
    assert "pin next matches" in run.out and "the server already uses next: pin today can be removed" in run.out
    # 6. today's pin is removed
    daemon.reload({NAME: to(server, pin=next_pin)})
    clients.wait_more()
    run = check_live(daemon.file)
    assert run.returncode == WARNING and "only one pin" in run.out, run.out + run.err
    clients.stop()
    daemon.stop()
    assert {event["pin"] for event in daemon.events(event="tunnel_open")} == {"today", "next"}
    assert not daemon.events(level=lambda level: level == "error")


def test_the_old_key_is_refused_when_its_pin_is_removed(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)})
    assert_accepted(daemon)
    daemon.reload({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    with pytest.raises(ConnectionResetError):
        exchange(daemon.address(NAME), b"hello")
    assert check_live(daemon.file).returncode == CRITICAL


# The messages of check --live.

@pytest.fixture
def check_pins(tmp_path, tls_server):
    """Runs check with several pins. The server has the key of pin number `at`."""
    def check_pins(at, *endings, **options):
        keys = [certs.ec_key() for _ in endings]
        server = tls_server(cert=certs.self_signed(tmp_path, key=keys[at], **options))
        path = tmp_path / "check.conf"
        pins = [f"{certs.spki_pin(key.public_key())} {ending}" for key, ending in zip(keys, endings)]
        path.write_text(ini({NAME: to(server, pin=pins)}))
        run = check_live(path)
        return run.returncode, run.out
    return check_pins


def test_check_names_the_backup_pins_that_are_not_used_yet(check_pins):
    status, out = check_pins(0, "name=today", "name=next", "name=after")
    assert status == OK, out
    assert "pin today matches" in out
    assert "backup pin next: not seen yet" in out and "backup pin after: not seen yet" in out
    assert "can be removed" not in out


def test_check_says_that_the_old_pin_can_go(check_pins):
    status, out = check_pins(1, "name=today", "name=next", "name=after")
    assert status == OK, out
    assert "pin next matches" in out
    assert "the server already uses next: pin today can be removed" in out
    assert "backup pin after: not seen yet" in out
    assert "today: not seen" not in out


def test_check_names_no_backup_when_the_last_pin_matches(check_pins):
    _, out = check_pins(1, "name=today", "name=next")
    assert "the server already uses next: pin today can be removed" in out
    assert "not seen yet" not in out


def test_check_skips_an_expired_pin(check_pins):
    _, out = check_pins(1, f"name=past until={day(-2)}", "name=today", "name=next")
    assert "pin today matches" in out and "backup pin next: not seen yet" in out
    assert "already uses" not in out and "past: not seen" not in out


def test_check_warns_of_a_single_pin(check_pins):
    status, out = check_pins(0, "name=today")
    assert status == WARNING, out
    assert "pin today matches" in out and "only one pin" in out


def test_check_shows_the_days_that_are_left(check_pins):
    status, out = check_pins(0, f"name=today until={day(100)}", "name=next", end=200)
    assert status == OK, out
    for days, date in ((100, day(100)), (200, day(200))):
        line, = [line for line in out.splitlines() if date in line]
        assert f"{days} days" in line or f"{days - 1} days" in line, line


def test_check_warns_when_the_matching_pin_ends_soon(check_pins):
    status, out = check_pins(0, f"name=today until={day(5)}", "name=next")
    assert status == WARNING, out
    assert day(5) in out
