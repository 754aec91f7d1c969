"""raw_key: a server's raw public key in place of a certificate (RFC 7250), which OpenSSL has from version 3.2 on."""

import itertools
import json

import pytest

from harness import certs, real_servers
from harness.assertions import SECRET, assert_accepted, assert_closed, assert_nothing_sent, assert_refused
from harness.certs import NAME
from harness.clients import connect, read_exactly
from harness.config import ini, to
from harness.daemon import run_pinproxy, run_pinproxyd
from harness.learned import FROM_URL, http_response, pkp, tofu
from harness.openssl import openssl_version
from harness.revocation import PrintingServer
from harness.waiting import wait_until

VERSIONS = ["-tls1_2", "-tls1_3"]
FORMS = ["offer", "require"]

numbers = itertools.count()


@pytest.fixture
def raw_key_server(stack, tmp_path):
    """Starts `openssl s_server`, which sends its raw public key to clients that accept one, and else its certificate."""
    def start(*arguments, cert=None):
        cert = cert or certs.self_signed(tmp_path)
        return stack.add(PrintingServer(cert, "-enable_server_rpk", *arguments))
    return start


@pytest.fixture
def certificate_server(stack, tmp_path):
    """Starts `openssl s_server`, which knows no raw public keys."""
    return lambda *arguments: stack.add(PrintingServer(certs.self_signed(tmp_path), *arguments))


def transfer(daemon, server):
    """Sends data each way. Returns the client's socket and the `tunnel_open` event."""
    mark, data = daemon.mark(), b"message %d\n" % next(numbers)
    sock = connect(daemon.address(NAME))
    sock.sendall(data)
    wait_until(lambda: server.has_received(data), "the data at the server")
    server.send(b"220 hello\n")
    assert read_exactly(sock, 10) == b"220 hello\n"
    return sock, daemon.wait_event(since=mark, event="tunnel_open")


def assert_refused_without_a_byte(daemon, server, event, reason=None):
    line = assert_refused(daemon, event, reason, last=True)
    server.assert_nothing_received(SECRET)
    return line


# Configuration.

MISTAKES = {
    "pki": ({"verify": "pki", "pin": None}, "PKI"),
    "pin+pki": ({"verify": "pin+pki"}, "PKI"),
    "tofu+pki": ({"verify": "tofu+pki", "pin": None}, "PKI"),
    "name": ({"also_check": "name"}, "also_check"),
    "dates": ({"also_check": "dates"}, "also_check"),
    "certificate_alone": ({"pin": "cert:sha256:" + 32 * "a1"}, "key:"),
    "yes": ({"raw_key": "yes"}, "offer"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_no_raw_key_can_have_is_an_error(mistake, tls_server, tmp_path):
    options, word = MISTAKES[mistake]
    (tmp_path / "p.conf").write_text(ini({NAME: to(tls_server(), **{"raw_key": "offer", **options})}))
    run = run_pinproxyd("-t", "-c", tmp_path / "p.conf")
    assert run.returncode == 78 and word in run.stderr.decode()


def test_an_older_openssl_is_an_error_that_says_why(pinproxyd, tls_server, tmp_path):
    """On newer ones the option is accepted, at a start and at a reload."""
    server = tls_server()
    supported = openssl_version() >= (3, 2)
    (tmp_path / "p.conf").write_text(ini({NAME: to(server, raw_key="offer")}))
    run = run_pinproxyd("-t", "-c", tmp_path / "p.conf")
    assert run.returncode == (0 if supported else 78)
    for tool in (["fetch", server.address, "--raw-key"], ["check", "-c", tmp_path / "p.conf"],
                 ["connect", "--raw-key", "--pin", server.cert.pin, server.address]):
        failed = run_pinproxy(*tool, input=b"")
        assert supported or (failed.returncode != 0 and b"OpenSSL 3.2" in failed.stderr + failed.stdout)
    if not supported:
        line = ini({NAME: to(server, raw_key="offer")}).splitlines().index("raw_key = offer") + 1
        assert f"p.conf:{line}: ".encode() in run.stderr and b"RFC 7250" in run.stderr
    daemon = pinproxyd({NAME: to(server)})
    daemon.reload({NAME: to(server, raw_key="offer")}, ok=supported)
    assert_accepted(daemon)


def test_fetch_and_connect_without_the_option_ask_for_no_raw_key(tls_server):
    server = tls_server()
    assert run_pinproxy("fetch", server.address).returncode == 0
    assert run_pinproxy("connect", "-c", "x.conf", "--raw-key", NAME).returncode == 2


# Connections.

@pytest.mark.raw_keys
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("form", FORMS)
def test_a_pinned_raw_key_is_accepted(form, version, pinproxyd, raw_key_server):
    server = raw_key_server(version)
    daemon = pinproxyd({NAME: to(server, raw_key=form)})
    sock, event = transfer(daemon, server)
    sock.close()
    assert event["pin"] == server.cert.pin
    assert run_pinproxy("fetch", server.address, "--raw-key").returncode == 0


@pytest.mark.raw_keys
@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_with_the_key_is_a_pin(version, pinproxyd, raw_key_server):
    server = raw_key_server(version)
    daemon = pinproxyd({NAME: to(server, raw_key="require", pin=f"key:{server.cert.pubkey_file()}")})
    transfer(daemon, server)[0].close()


@pytest.mark.raw_keys
@pytest.mark.parametrize("key", ["rsa", "ec"])
def test_keys_of_both_kinds_are_accepted(key, pinproxyd, raw_key_server, tmp_path):
    cert = certs.self_signed(tmp_path, key=certs.rsa_key() if key == "rsa" else certs.ec_key())
    server = raw_key_server(cert=cert)
    transfer(pinproxyd({NAME: to(server, raw_key="require")}), server)[0].close()


@pytest.mark.raw_keys
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("form", FORMS)
def test_another_raw_key_is_refused_and_logged_without_a_certificate(form, version, pinproxyd, raw_key_server, tmp_path):
    server = raw_key_server(version)
    pin = certs.self_signed(tmp_path).pin
    daemon = pinproxyd({NAME: to(server, raw_key=form, pin=pin)})
    event = assert_refused_without_a_byte(daemon, server, "pin_mismatch")
    assert event["presented"] == server.cert.pin and event["expected"] == pin
    assert not {"subject", "issuer", "not_after"} & set(event)
    assert "raw public key" in event["detail"] and "without a certificate" in event["pki"]


@pytest.mark.raw_keys
@pytest.mark.parametrize("pins", ["cert", "issuer"])
def test_pins_of_certificates_match_no_raw_key(pins, pinproxyd, raw_key_server, tmp_path):
    """The certificate of the very key is pinned, and the key as that of a CA."""
    server = raw_key_server()
    pin = f"cert:{server.cert.pem_file()}" if pins == "cert" else f"issuer:{server.cert.pin}"
    daemon = pinproxyd({NAME: to(server, raw_key="offer", pin=[certs.self_signed(tmp_path).pin, pin])})
    assert_refused_without_a_byte(daemon, server, "pin_mismatch")


@pytest.mark.raw_keys
@pytest.mark.parametrize("version", VERSIONS)
def test_a_revoked_raw_key_is_refused(version, pinproxyd, raw_key_server):
    server = raw_key_server(version)
    daemon = pinproxyd({NAME: to(server, raw_key="require", revoked=server.cert.pin)})
    event = assert_refused_without_a_byte(daemon, server, "refused", "revoked")
    assert event["presented"] == server.cert.pin and "subject" not in event


@pytest.mark.raw_keys
def test_a_pin_past_its_date_is_refused(pinproxyd, raw_key_server):
    server = raw_key_server()
    daemon = pinproxyd({NAME: to(server, raw_key="offer", pin=f"{server.cert.pin} until={certs.day(-1)}")})
    assert_refused_without_a_byte(daemon, server, "refused", "expired_pins")


@pytest.mark.raw_keys
def test_a_weak_raw_key_is_refused(pinproxyd, raw_key_server, tmp_path):
    server = raw_key_server("-cipher", "DEFAULT:@SECLEVEL=0",
                            cert=certs.self_signed(tmp_path, key=certs.rsa_key(1024)))
    daemon = pinproxyd({NAME: to(server, raw_key="offer")})
    assert_refused_without_a_byte(daemon, server, "refused", "weak")


@pytest.mark.raw_keys
@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_is_refused_where_a_raw_key_is_required(version, pinproxyd, certificate_server):
    server = certificate_server(version)
    daemon = pinproxyd({NAME: to(server, raw_key="offer")})
    transfer(daemon, server)[0].close()
    daemon.reload({NAME: to(server, raw_key="require")})
    event = assert_refused(daemon, "refused", "raw_key")
    assert "raw_key = require" in event["detail"] and "subject" in event
    server.assert_nothing_received(SECRET)


@pytest.mark.raw_keys
def test_a_certificate_of_a_server_that_knows_no_raw_keys_is_checked(pinproxyd, tls_server):
    server, other, third = tls_server(), tls_server(), tls_server()
    daemon = pinproxyd({"a.test": to(server, raw_key="offer"), "b.test": to(other, raw_key="offer", pin=server.cert.pin),
                        "c.test": to(third, raw_key="require")})
    assert_accepted(daemon, "a.test")
    assert_refused(daemon, "pin_mismatch", section="b.test")
    assert_refused(daemon, "refused", "raw_key", section="c.test")
    assert_nothing_sent(other, SECRET)
    assert_nothing_sent(third, SECRET)


@pytest.mark.raw_keys
def test_no_raw_key_is_accepted_that_was_not_asked_for(pinproxyd, raw_key_server):
    server = raw_key_server()
    sock, _ = transfer(pinproxyd({NAME: to(server, pin=f"cert:{server.cert.pem_file()}")}), server)
    sock.close()


# Resumption and reloads.

@pytest.mark.raw_keys
@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_resumed_until_its_raw_key_is_revoked(version, pinproxyd, raw_key_server):
    server = raw_key_server(version)
    options, one = {"raw_key": "require", "resume": "yes"}, {"workers": 1}  # each worker has a cache of its own
    daemon = pinproxyd({"global": one, NAME: to(server, **options)})
    for expected in ("no", "yes", "yes"):
        sock, event = transfer(daemon, server)
        mark = daemon.mark()
        sock.close()
        daemon.wait_event(since=mark, event="tunnel_close")
        assert event["resumed"] == expected and event["pin"] == server.cert.pin
    daemon.reload({"global": one, NAME: to(server, revoked=server.cert.pin, **options)})
    assert_refused(daemon, "refused", "revoked")
    server.assert_nothing_received(SECRET)


CLOSING = {"revoked": ({"revoked": "OWN"}, "revoked"), "pin_removed": ({"pin": "OTHER"}, "pin_removed")}


@pytest.mark.raw_keys
@pytest.mark.parametrize("change", CLOSING)
def test_a_reload_closes_an_open_tunnel(change, pinproxyd, raw_key_server, tmp_path):
    server = raw_key_server()
    options, reason = CLOSING[change]
    pins = {"OWN": server.cert.pin, "OTHER": certs.self_signed(tmp_path).pin}
    same = {"raw_key": "offer", "on_pin_removed": "close"}
    daemon = pinproxyd({NAME: to(server, **same)})
    sock, _ = transfer(daemon, server)
    daemon.reload({NAME: to(server, **{**same, **{key: pins[value] for key, value in options.items()}})})
    assert_closed(daemon, sock, reason)


@pytest.mark.raw_keys
def test_a_reload_that_wants_no_raw_key_keeps_an_open_tunnel(pinproxyd, raw_key_server):
    server = raw_key_server()
    daemon = pinproxyd({NAME: to(server, raw_key="require")})
    sock, _ = transfer(daemon, server)
    daemon.reload({NAME: to(server)})
    server.send(b"still here\n")
    assert read_exactly(sock, 11) == b"still here\n"
    sock.close()


# Learned pins.

@pytest.mark.raw_keys
def test_a_raw_key_is_learned_at_first_use(pinproxyd, raw_key_server, state, tmp_path):
    server, other = raw_key_server(), raw_key_server(cert=certs.self_signed(tmp_path))
    daemon = pinproxyd(state.config({NAME: tofu(server, raw_key="require")}))
    for _ in range(2):
        sock, event = transfer(daemon, server)
        sock.close()
        assert event["pin"] == server.cert.pin
    assert [key.pin for key in state.keys()] == [server.cert.pin]
    daemon.reload(state.config({NAME: tofu(other, raw_key="require")}))
    event = assert_refused(daemon, "refused", "tofu_changed")
    other.assert_nothing_received(SECRET)
    assert server.cert.pin in event["detail"] and other.cert.pin in event["detail"]
    state.wait_refused(other.cert.pin)


@pytest.mark.raw_keys
def test_pins_are_announced_over_a_connection_with_a_raw_key(pinproxyd, stack, state, tmp_path):
    cert, backup = certs.self_signed(tmp_path), certs.self_signed(tmp_path)
    (tmp_path / "pins").write_bytes(http_response(f"Public-Key-Pins: {pkp(cert.pin, backup.pin)}"))
    program = real_servers.need("openssl")[0]
    port = real_servers.closed_port()
    server = stack.add(real_servers.Process(
        tmp_path, [program, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(cert.pem_file()), "-key",
                   str(cert.key_file()), "-HTTP", "-enable_server_rpk"], port, cert, cwd=tmp_path))
    daemon = pinproxyd(state.config({NAME: to(server, raw_key="require", pins_url="/pins")}))
    daemon.wait_event(**FROM_URL)
    assert [key.pin for key in state.keys()] == [backup.pin]


# gnutls-serv, which has no certificate at all.

@pytest.fixture
def gnutls(stack, tmp_path):
    return stack.add(real_servers.gnutls_raw_key_server(tmp_path, certs.self_signed(tmp_path)))


@pytest.mark.raw_keys
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_gnutls_serv_echoes(tls, pinproxyd, gnutls):
    daemon = pinproxyd({NAME: to(gnutls, raw_key="require", tls_min=tls, tls_max=tls)})
    with connect(daemon.address(NAME)) as sock:
        for line in (b"hello\n", b"x" * 5000 + b"\n"):
            sock.sendall(line)
            assert read_exactly(sock, len(line)) == line


@pytest.mark.raw_keys
def test_gnutls_serv_with_another_key_is_refused(pinproxyd, gnutls, tmp_path):
    daemon = pinproxyd({NAME: to(gnutls, raw_key="require", pin=certs.self_signed(tmp_path).pin)})
    assert assert_refused(daemon, "pin_mismatch", last=True)["presented"] == gnutls.cert.pin


@pytest.mark.raw_keys
def test_without_the_option_gnutls_serv_cannot_be_spoken_to(pinproxyd, gnutls):
    assert_refused(pinproxyd({NAME: to(gnutls)}), "upstream_error", "tls", last=True)


# The tool.

@pytest.mark.raw_keys
def test_fetch_shows_a_raw_key_and_a_section_that_accepts_it(gnutls, tmp_path):
    assert run_pinproxy("fetch", gnutls.address).returncode == 1
    run = run_pinproxy("fetch", gnutls.address, "--raw-key")
    text = run.stdout.decode()
    assert run.returncode == 0 and "a raw public key, without a certificate" in text
    assert gnutls.cert.pin in text and "EC P-256" in text and "subject" not in text
    section = run_pinproxy("fetch", gnutls.address, "--raw-key", "--ini").stdout.decode()
    (tmp_path / "p.conf").write_text(section)
    assert "raw_key = offer" in section
    live = run_pinproxy("check", "--live", "-c", tmp_path / "p.conf")
    assert live.returncode == 1, live.stdout  # only one pin
    assert b"a raw public key, which has no end" in live.stdout


@pytest.mark.raw_keys
def test_json_has_a_raw_key_in_place_of_a_certificate(gnutls, tmp_path):
    shown = json.loads(run_pinproxy("fetch", gnutls.address, "--raw-key", "--json").stdout)
    assert shown["chain"] == [{"raw_key": True, "key_type": "EC P-256", "pin": gnutls.cert.pin}]
    (tmp_path / "p.conf").write_text(ini({NAME: to(gnutls, raw_key="require")}))
    checked = json.loads(run_pinproxy("check", "--live", "--json", "-c", tmp_path / "p.conf").stdout)
    assert checked["sections"][0]["certificate"] == shown["chain"][0]


@pytest.mark.raw_keys
def test_check_live_is_critical_if_the_raw_key_is_another(gnutls, tmp_path):
    (tmp_path / "p.conf").write_text(ini({NAME: to(gnutls, raw_key="require", pin=certs.self_signed(tmp_path).pin)}))
    run = run_pinproxy("check", "--live", "-c", tmp_path / "p.conf")
    assert run.returncode == 2
    assert b"presented: a raw public key" in run.stdout and gnutls.cert.pin.encode() in run.stdout


@pytest.mark.raw_keys
def test_connect_passes_bytes_to_the_pinned_key_alone(gnutls, tmp_path):
    run = run_pinproxy("connect", gnutls.address, "--raw-key", "--pin", gnutls.cert.pin, input=b"hello\n")
    assert run.stdout == b"hello\n"
    run = run_pinproxy("connect", gnutls.address, "--raw-key", "--pin", certs.self_signed(tmp_path).pin, input=b"hello\n")
    assert run.returncode == 3 and run.stdout == b""
    assert b"presented" in run.stderr and b"a raw public key" in run.stderr and gnutls.cert.pin.encode() in run.stderr
