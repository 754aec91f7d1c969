"""The messages to the service manager, sd_notify(3), and the priorities of the journal."""

import os
import signal
import socket
import subprocess


from harness.certs import NAME
from harness.config import to
from harness.daemon import PINPROXYD, WRAPPER, environment
from harness.waiting import DEADLINE, wait_until


def test_the_service_manager_gets_ready_reloading_and_stopping(pinproxyd, tls_server, service_manager):
    server = tls_server()
    daemon = pinproxyd({NAME: to(server)}, env={"NOTIFY_SOCKET": service_manager.path})
    ready = service_manager.next()
    assert ready["READY"] == "1"
    assert "1 listeners" in ready["STATUS"]
    daemon.reload({NAME: to(server), "more.test": to(server)})
    # in one message, because Type=notify-reload accepts RELOADING only with the time
    reloading = service_manager.next()
    assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0
    ready = service_manager.next()
    assert ready["READY"] == "1"
    assert "2 listeners" in ready["STATUS"]
    daemon.process.send_signal(signal.SIGTERM)
    assert service_manager.next()["STOPPING"] == "1"


def test_the_service_manager_gets_ready_after_a_failed_reload(pinproxyd, tls_server, service_manager):
    """Otherwise the manager would wait for READY and then kill the daemon."""
    daemon = pinproxyd({NAME: to(tls_server())}, env={"NOTIFY_SOCKET": service_manager.path})
    assert service_manager.next()["READY"] == "1"
    daemon.reload("[broken\n", ok=False)
    assert service_manager.next()["RELOADING"] == "1"
    assert service_manager.next()["READY"] == "1"


def test_ready_is_sent_after_the_listeners_are_bound(pinproxyd, tls_server, service_manager):
    daemon = pinproxyd({NAME: to(tls_server())}, env={"NOTIFY_SOCKET": service_manager.path})
    assert service_manager.next()["READY"] == "1"
    host, port = daemon.address(NAME).rsplit(":", 1)
    socket.create_connection((host, int(port))).close()


def test_lines_have_the_priority_when_stderr_is_the_journal(tmp_path):
    """systemd.exec(5): JOURNAL_STREAM names the stream; then "<4>" before a line is its priority."""
    config = tmp_path / "pinproxyd.conf"
    config.write_text(f"[{NAME}]\nlisten = 127.0.0.1:0\nverify = pki\n")
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        info = os.fstat(stderr.fileno())
        process = subprocess.Popen(
            [*WRAPPER, PINPROXYD, "-c", config], stderr=stderr, stdout=subprocess.DEVNULL,
            env=environment({"JOURNAL_STREAM": f"{info.st_dev}:{info.st_ino}"}))
    try:
        wait_until(lambda: "event=start" in log.read_text(), "the start")
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0
    assert all(line.startswith("<") and line[2] == ">" for line in log.read_text().splitlines())
    assert any(line.startswith("<5>") and "event=start" in line for line in log.read_text().splitlines())
