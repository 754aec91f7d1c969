"""The form of log lines, and data that never appears in them."""

import json
import re

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from harness import certs, servers
from harness.assertions import SECRET, assert_refused
from harness.certs import NAME
from harness.clients import exchange, try_connection, try_exchange
from harness.config import to
from harness.daemon import parse_logfmt
from harness.waiting import wait_until

EVIL = ("evil\nlevel=info event=tunnel_open section=server.test\r\n\t\"quoted\" \\ \x1b[31mred\x7f"
        " \u202etxt.exe\u202c \u2066x\u2069 \u200f \u0085 \u2028 end")


def lines_of(daemon):
    return [line for line in daemon.lines if line]


def assert_clean(lines):
    """Asserts valid UTF-8, without control bytes and without characters that reverse the text."""
    for line in lines:
        text = line.decode("utf-8")
        assert not re.search("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text), line


@pytest.mark.valgrind
def test_every_line_is_logfmt(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server), "bad.test": to(server, pin=certs.self_signed(tmp_path).pin)})
    exchange(daemon.address(NAME), b"hello")
    try_connection(daemon.address("bad.test"), SECRET)
    daemon.stop()
    for line in lines_of(daemon):
        fields = parse_logfmt(line.decode())
        assert fields, line
        assert list(fields)[:3] == ["time", "level", "event"]
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", fields["time"])
        assert fields["level"] in ("error", "warning", "notice", "info", "debug")


@pytest.mark.valgrind
def test_every_line_is_json(pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=certs.with_subject_bytes(tmp_path, b'a "quoted" \\ name \xff\x01'))
    daemon = pinproxyd({"global": {"log_format": "json"}, NAME: to(server),
                        "bad.test": to(server, pin=certs.self_signed(tmp_path).pin)})
    exchange(daemon.address(NAME), b"hello")
    try_connection(daemon.address("bad.test"), SECRET)
    daemon.stop()
    events = [json.loads(line.decode()) for line in lines_of(daemon)]
    assert all({"time", "level", "event"} <= event.keys() for event in events)
    seen = {event["event"] for event in events}
    assert {"start", "listen", "tunnel_open", "tunnel_close", "pin_mismatch", "stop"} <= seen
    assert_clean(lines_of(daemon))


def evil_certificates(directory):
    return {
        # an organization, because the cryptography library limits a common name to 64 characters
        "utf8": certs.self_signed(directory, subject=x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, EVIL)])),
        "bytes": certs.with_subject_bytes(
            directory, b"ev\xffil\xc3(\nevent=tunnel_open \x1b]0;title\x07 \x9b31m \xed\xa0\x80 end"),
        "nul": certs.with_subject_bytes(directory, b"evil\0 and the rest to the end"),
    }


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize("kind", ["utf8", "bytes", "nul"])
def test_an_evil_subject_is_escaped_in_a_mismatch(kind, format, pinproxyd, tls_server, tmp_path):
    server = tls_server(cert=evil_certificates(tmp_path)[kind])
    daemon = pinproxyd({"global": {"log_format": format}, NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    event = assert_refused(daemon, "pin_mismatch", server=server)
    assert "evil" in event["subject"] or "ev" in event["subject"]
    assert "end" in event["subject"]
    assert not daemon.events(event="tunnel_open")
    assert_clean(lines_of(daemon))


def test_an_evil_subject_is_escaped_in_a_pki_refusal(pinproxyd, tls_server, ca, tmp_path):
    server = tls_server(cert=evil_certificates(tmp_path)["bytes"])
    daemon = pinproxyd({NAME: to(server, verify="pki", pin=None, ca_file=ca.cert.pem_file())})
    assert_refused(daemon, "refused", "pki", server=server)
    assert_clean(lines_of(daemon))


def test_a_huge_subject_does_not_flood_the_log(pinproxyd, tls_server, tmp_path):
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "u" * 60) for _ in range(400)])
    server = tls_server(cert=certs.self_signed(tmp_path, subject=name))
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    assert_refused(daemon, "pin_mismatch", server=server)
    assert max(map(len, lines_of(daemon))) < 16384


def test_the_data_of_a_tunnel_is_never_logged(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    daemon = pinproxyd({"global": {"log_level": "debug"}, NAME: to(server),
                        "bad.test": to(server, pin=certs.self_signed(tmp_path).pin)})
    assert exchange(daemon.address(NAME), SECRET) == SECRET
    try_connection(daemon.address("bad.test"), SECRET)
    daemon.stop()
    assert "s3cr3t" not in daemon.log()


@pytest.mark.parametrize("level, shown, hidden", [
    ("error", {"pin_mismatch"}, {"upstream_error", "tunnel_open", "listen"}),
    ("warning", {"pin_mismatch", "upstream_error"}, {"tunnel_open", "tunnel_close"}),
    ("notice", {"start", "listen", "pin_mismatch"}, {"tunnel_open", "tunnel_close"}),
    ("info", {"start", "listen", "tunnel_open", "tunnel_close"}, set()),
])
def test_log_level_hides_the_lower_levels(level, shown, hidden, pinproxyd, tls_server, tmp_path):
    """The quiet levels hide `start`, so the ports are fixed and the test polls the daemon."""
    server = tls_server()
    ports = {section: servers.closed_port() for section in (NAME, "bad.test", "closed.test")}
    daemon = pinproxyd({
        "global": {"log_level": level},
        NAME: to(server, listen=f"127.0.0.1:{ports[NAME]}"),
        "bad.test": to(server, pin=certs.self_signed(tmp_path).pin, listen=f"127.0.0.1:{ports['bad.test']}"),
        "closed.test": to(server, address=f"127.0.0.1:{servers.closed_port()}",
                          listen=f"127.0.0.1:{ports['closed.test']}")}, wait=False)
    wait_until(lambda: try_exchange(f"127.0.0.1:{ports[NAME]}") == b"hello", "the daemon")
    for section in ("bad.test", "closed.test"):
        try_connection(f"127.0.0.1:{ports[section]}")
    daemon.stop()
    seen = {event["event"] for event in daemon.events()}
    assert shown <= seen
    assert not hidden & seen


def test_the_detail_of_an_error_is_a_text_and_no_number(pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server(), address=f"127.0.0.1:{servers.closed_port()}")})
    event = assert_refused(daemon, "upstream_error", "connect", last=True)
    assert "refused" in event["detail"].lower()
