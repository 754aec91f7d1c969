"""The tool ends its connections cleanly, because each other end is an error in the server's log."""

import ssl
import subprocess
import time

import pytest

from harness import certs
from harness.certs import NAME
from harness.config import ini, to
from harness.daemon import PINPROXY, run_pinproxy

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [V12, V13], ids=["tls1.2", "tls1.3"])


def read_late(conn):
    """Tickets are sent with the handshake. A client that closes without reading them sends a reset."""
    time.sleep(0.3)
    conn.recv_all()
    conn.close_notify()
    conn.rest = conn.sock.recv(1)  # a reset after close_notify raises here


@pytest.fixture
def server(tls_server, tmp_path):
    def start(version):
        return tls_server(read_late, cert=certs.self_signed(tmp_path), minimum=version, maximum=version)
    return start


def assert_ended_cleanly(server):
    conn, = server.wait_done()
    assert conn.error is None
    assert conn.end == "close_notify"
    assert getattr(conn, "rest", "a reset") == b""


@VERSIONS
def test_fetch_ends_its_connection_in_order(version, server):
    server = server(version)
    assert run_pinproxy("fetch", server.address).returncode == 0
    assert_ended_cleanly(server)


@VERSIONS
@pytest.mark.parametrize("options", [{}, {"verify": "tofu", "pin": None}], ids=["pin", "first-use"])
def test_check_ends_its_connection_in_order(options, version, server, tmp_path):
    server = server(version)
    path = tmp_path / "check.conf"
    path.write_text("[global]\nstate_dir = state\n" + ini({NAME: to(server, **options)}))
    assert run_pinproxy("check", "--live", "-c", path).returncode in (0, 1)
    assert_ended_cleanly(server)


@VERSIONS
def test_connect_ends_its_connection_in_order(version, server):
    server = server(version)
    run = run_pinproxy("connect", server.address, "--pin", server.cert.pin, input=b"")
    assert run.returncode == 0, run.err
    assert_ended_cleanly(server)


@VERSIONS
def test_a_refusal_reaches_the_server_as_an_alert(version, server, tmp_path):
    server = server(version)
    path = tmp_path / "check.conf"
    path.write_text(ini({NAME: to(server, pin=certs.self_signed(tmp_path).pin)}))
    assert run_pinproxy("check", "--live", "-c", path).returncode == 2
    conn, = server.wait_done()
    assert "alert" in str(conn.error).lower()
    assert conn.end is None


@VERSIONS
def test_a_server_that_does_not_end_is_not_waited_for_long(version, tls_server):
    def never_end(conn):
        conn.released.wait()
    server = tls_server(never_end, minimum=version, maximum=version)
    begun = time.monotonic()
    assert run_pinproxy("fetch", server.address).returncode == 0
    assert time.monotonic() - begun < 10


def test_a_report_that_cannot_be_written_keeps_its_exit_status(server, tmp_path):
    """The exit status 1 of a write error would be a mere warning for a monitoring plugin."""
    path = tmp_path / "check.conf"
    other = certs.self_signed(tmp_path).pin
    with open("/dev/full", "w", encoding="ascii") as full:
        for options, status in (({"pin": other}, 2), ({}, 1)):
            path.write_text(ini({NAME: to(server(V13), **options)}))
            run = subprocess.run([PINPROXY, "check", "--live", "-c", path], stdout=full, stderr=subprocess.PIPE, timeout=30)
            assert run.returncode == status and b"No space left" in run.stderr, run
