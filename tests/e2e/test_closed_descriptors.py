"""The programs work when some of the descriptors 0 to 2 are closed: no file opened later takes their place."""

import os
import signal
import subprocess

import pytest

from harness import certs
from harness.certs import NAME
from harness.clients import exchange, try_exchange
from harness.config import ini, to
from harness.daemon import PINPROXY, PINPROXYD, WRAPPER, environment
from harness.servers import closed_port
from harness.waiting import DEADLINE, wait_until

CLOSED = [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)]


def start(program, closed, *arguments, **options):
    """Starts a program with descriptors closed, as a shell does with 0<&- 1<&- 2<&-."""
    script = 'exec "$@" ' + " ".join(f"{fd}<&-" for fd in closed)
    return subprocess.Popen(["sh", "-c", script, "sh", *WRAPPER, program, *map(str, arguments)],
                            stdin=subprocess.DEVNULL, env=environment(), **options)


@pytest.mark.parametrize("closed", CLOSED)
def test_the_daemon_serves_and_stops_with_standard_descriptors_closed(closed, tls_server, tmp_path):
    port = closed_port()
    file = tmp_path / "pinproxyd.conf"
    file.write_text(ini({"global": {"log_level": "debug"}, NAME: to(tls_server(), listen=f"127.0.0.1:{port}")}))
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        process = start(PINPROXYD, closed, "-c", file, stdout=out, stderr=err)
    try:
        address = f"127.0.0.1:{port}"
        wait_until(lambda: try_exchange(address) == b"hello", "the daemon")
        if not WRAPPER:
            assert {os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in closed} == {"/dev/null"}
        for _ in range(200):  # enough lines to fill a pipe
            assert exchange(address, b"hello") == b"hello"
        process.send_signal(signal.SIGHUP)
        assert exchange(address, b"hello") == b"hello"
        process.terminate()
        assert process.wait(DEADLINE) == 0
        if 2 not in closed:
            assert "event=stop" in (tmp_path / "err").read_text()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("closed", CLOSED)
def test_the_tool_reports_or_fails_with_standard_descriptors_closed(closed, tmp_path):
    cert = certs.self_signed(tmp_path)
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        status = start(PINPROXY, closed, "hash", cert.pem_file(), stdout=out, stderr=err).wait(DEADLINE)
    if 1 in closed:
        assert status == 1  # the report is lost
    else:
        assert status == 0 and cert.pin in (tmp_path / "out").read_text()


@pytest.mark.parametrize("closed", CLOSED)
def test_fetch_does_not_write_its_report_into_its_connection(closed, tls_server, tmp_path):
    server = tls_server()
    with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
        status = start(PINPROXY, closed, "fetch", server.address, stdout=out, stderr=err).wait(DEADLINE)
    assert status == (1 if 1 in closed else 0)
