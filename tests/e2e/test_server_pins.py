"""Server pins: their forms, and what they accept."""

import pytest

from harness import certs
from harness.assertions import assert_accepted
from harness.certs import NAME, day
from harness.clients import exchange
from harness.config import to


OTHER = "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="

FORMS = {
    "key_digest": lambda c: c.pin,
    "two_digests_as_curl_writes_them": lambda c: f"{OTHER};{c.pin}",
    "certificate_digest": lambda c: f"cert:sha256:{c.hex}",
    "certificate_digest_upper_case": lambda c: f"cert:sha256:{c.hex.upper()}",
    "certificate_digest_with_colons": lambda c: f"cert:sha256:{c.colons}",
    "certificate_digest_with_colons_lower_case": lambda c: f"cert:sha256:{c.colons.lower()}",
    "certificate_pem": lambda c: f"cert:{c.pem_file()}",
    "certificate_der": lambda c: f"cert:{c.der_file()}",
    "key_of_certificate_pem": lambda c: f"key:{c.pem_file()}",
    "key_of_certificate_der": lambda c: f"key:{c.der_file()}",
    "key_of_public_key_pem": lambda c: f"key:{c.pubkey_file()}",
    "key_of_public_key_der": lambda c: f"key:{c.pubkey_der_file()}",
    "key_of_csr_pem": lambda c: f"key:{c.csr_file()}",
    "key_of_csr_der": lambda c: f"key:{c.csr_der_file()}",
    "until_a_day_to_come": lambda c: f"{c.pin} until={day(2)}",
    "until_and_name": lambda c: f"cert:{c.pem_file()} until={day(400)} name=this-year",
    "comment_after_it": lambda c: f"{c.pin}   ; today's key",
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_pin_is_accepted(form, pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, pin=FORMS[form](server.cert))})
    assert_accepted(daemon)


@pytest.mark.parametrize("key", [certs.rsa_key, certs.ec_key], ids=["rsa", "ecdsa"])
@pytest.mark.valgrind
def test_each_kind_of_key_can_be_pinned(key, pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, key=key()))
    assert_accepted(pinproxyd({NAME: to(server)}))


def test_a_pin_file_is_found_beside_the_configuration(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    (tmp_path / "daemon0").mkdir()
    (tmp_path / "daemon0" / "server.pem").write_bytes(server.cert.pem)
    (tmp_path / "daemon0").rename(tmp_path / "kept")
    text = f"[{NAME}]\nlisten = 127.0.0.1:0\naddress = {server.address}\npin = cert:kept/server.pem\n"
    (tmp_path / "pinned.conf").write_text(text)
    assert_accepted(pinproxyd(f"[global]\ninclude = {tmp_path}/pinned.conf\n"))


def test_every_certificate_of_a_file_is_a_pin(pinproxyd, tls_server, tmp_path):
    server, other = tls_server(), certs.self_signed(tmp_path)
    bundle = tmp_path / "both.pem"
    bundle.write_bytes(other.pem + server.cert.pem)
    assert_accepted(pinproxyd({NAME: to(server, pin=f"cert:{bundle}")}))


@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_of_several_pins_is_enough(at, pinproxyd, tls_server, tmp_path):
    server = tls_server()
    pins = [f"{certs.self_signed(tmp_path).pin} name=other{i}" for i in range(2)]
    pins.insert(at, f"{server.cert.pin} name=right")
    event = assert_accepted(pinproxyd({NAME: to(server, pin=pins)}))
    assert event["pin"] == "right"


def test_each_pin_may_have_a_line_of_its_own(pinproxyd, tls_server):
    server = tls_server()
    assert_accepted(pinproxyd(f"[{NAME}]\nlisten = 127.0.0.1:0\naddress = {server.address}\n"
                     f"pin = {OTHER}\npin = {server.cert.pin}\n"))


def test_matched_pin_is_logged_in_the_configurations_form(pinproxyd, tls_server):
    server = tls_server()
    assert server.cert.pin in assert_accepted(pinproxyd({NAME: to(server)}))["pin"]


def test_tunnel_open_and_tunnel_close_have_all_fields(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server, pin=f"{server.cert.pin} name=today")})
    opened = assert_accepted(daemon)
    assert {"client", "upstream", "tls", "cipher", "pin", "resumed", "ms"} <= opened.keys()
    assert opened["pin"] == "today" and opened["resumed"] == "no"
    assert str(server.port) in opened["upstream"]
    closed = daemon.wait_event(event="tunnel_close", section=NAME)
    assert (closed["sent"], closed["received"]) == ("5", "5")
    assert {"ms", "reason"} <= closed.keys()


def test_dates_names_and_issuers_have_no_effect_on_a_pinned_key(pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.CA(tmp_path).issue(["elsewhere.test"], start=-20, end=-10))
    assert_accepted(pinproxyd({NAME: to(server)}))


def test_a_live_pin_beside_an_expired_one_is_accepted(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    pins = [f"{certs.self_signed(tmp_path).pin} until={day(-1)}", f"{server.cert.pin} until={day(3)} name=live"]
    assert assert_accepted(pinproxyd({NAME: to(server, pin=pins)}))["pin"] == "live"


def test_a_key_pin_survives_renewal(pinproxyd, tls_server, tmp_path):
    key = certs.ec_key()
    server = tls_server(cert=certs.self_signed(tmp_path, key=key))
    daemon = pinproxyd({NAME: to(server)})
    assert_accepted(daemon)
    server.use(certs.self_signed(tmp_path, key=key))
    assert_accepted(daemon)


@pytest.mark.parametrize("check", ["name", "dates", "name\n    dates"], ids=["name", "dates", "both"])
def test_also_check_accepts_a_certificate_with_the_right_name_and_dates(check, pinproxyd, tls_server):
    server = tls_server()
    assert_accepted(pinproxyd({NAME: to(server, also_check=check)}))


def test_revoked_does_not_affect_other_keys(pinproxyd, tls_server, tmp_path):
    server, other, third = tls_server(), certs.self_signed(tmp_path), certs.self_signed(tmp_path)
    assert_accepted(pinproxyd({NAME: to(server, revoked=[other.pin, f"key:{third.pem_file()}"])}))


def test_each_section_reaches_its_own_server(pinproxyd, tls_server):
    one, two = tls_server(), tls_server()
    daemon = pinproxyd({"one.test": to(one), "two.test": to(two)})
    assert_accepted(daemon, "one.test")
    assert_accepted(daemon, "two.test")
    assert len(one.conns) == len(two.conns) == 1


def test_defaults_are_inherited_and_lists_are_replaced(pinproxyd, tls_server, tmp_path):
    server, other = tls_server(), certs.self_signed(tmp_path)
    daemon = pinproxyd({
        "defaults": {"pin": [f"{server.cert.pin} name=inherited"], "tls_max": "1.2"},
        "one.test": to(server, pin=None),
        "two.test": to(server, pin=f"{other.pin} name=own"),
    })
    opened = assert_accepted(daemon, "one.test")
    assert opened["pin"] == "inherited" and "1.2" in opened["tls"]
    with pytest.raises(ConnectionResetError):
        exchange(daemon.address("two.test"), b"hello")
    daemon.wait_event(event="pin_mismatch", section="two.test")
