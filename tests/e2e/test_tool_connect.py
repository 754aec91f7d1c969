"""pinproxy connect: a pinned connection on stdin and stdout."""

import os
import signal
import socket
import subprocess
import threading

import pytest

from harness import certs, servers
from harness.assertions import assert_not_sent, assert_nothing_sent
from harness.certs import NAME, day
from harness.clients import ping, read_all, read_exactly, read_to_any_end
from harness.config import ini, to
from harness.daemon import PINPROXY, environment, run_pinproxy
from harness.servers import closed_port
from harness.tls_connection import reset
from harness.waiting import DEADLINE, wait_steady

ACCEPTED, NETWORK, USAGE, TRUST, CONFIG = 0, 1, 2, 3, 78


def http_server(conn):
    """Answers one request and ends, as with HTTP/1.0."""
    request = b""
    while b"\r\n\r\n" not in request:
        more = conn.recv()
        if not more:
            return
        request += more
    body = b"<p>the page</p>\n"
    conn.send(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    conn.close_notify()


def test_a_certificate_file_is_a_pin(tls_server, tmp_path):
    server = tls_server()
    (tmp_path / "server_cert.pem").write_bytes(server.cert.pem)
    run = run_pinproxy("connect", f"localhost:{server.port}", "--pin", "cert:server_cert.pem", cwd=tmp_path,
                       input=b"hello")
    assert run.returncode == ACCEPTED, run.err
    assert run.stdout == b"hello"


def test_a_refusal_names_both_subjects(tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, subject=certs.subject_of("The Impostor")))
    pinned = certs.self_signed(tmp_path, subject=certs.subject_of("The Real One"))
    (tmp_path / "server_cert.pem").write_bytes(pinned.pem)
    run = run_pinproxy("connect", f"localhost:{server.port}", "--pin", "cert:server_cert.pem", cwd=tmp_path,
                       input=b"secret")
    assert run.returncode == TRUST
    assert "The Impostor" in run.err and "The Real One" in run.err
    assert run.stdout == b""
    assert_nothing_sent(server, b"secret")


def test_a_request_on_stdin_gets_its_page(tls_server):
    server = tls_server(http_server)
    run = run_pinproxy("connect", server.address, "--pin", server.cert.pin,
                       input=b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert run.returncode == ACCEPTED, run.err
    assert run.stdout.startswith(b"HTTP/1.0 200 OK\r\n")
    assert run.stdout.endswith(b"<p>the page</p>\n")


@pytest.mark.parametrize("first", [0, 60], ids=["silent", "in_the_handshake"])
def test_handshake_timeout_ends_a_stalled_server(first, tls_server, relay, tmp_path):
    """The default of the tool would be longer than the option of the section."""
    stalled = relay(tls_server(), first)
    path = tmp_path / "stalled.conf"
    path.write_text(ini({NAME: to(stalled, handshake_timeout="400ms")}))
    run = run_pinproxy("connect", "-c", path, NAME, input=b"hello")
    assert run.returncode == NETWORK
    assert run.err


@pytest.mark.slow
def test_the_default_timeout_ends_a_stalled_server(raw_server, tls_server):
    server = raw_server(servers.never_answer)
    run = run_pinproxy("connect", server.address, "--pin", tls_server().cert.pin, input=b"hello")
    assert run.returncode == NETWORK
    assert run.err


def test_20_mb_arrive_whole_in_both_directions(tls_server):
    server, data = tls_server(), os.urandom(20_000_000)
    run = run_pinproxy("connect", server.address, "--pin", server.cert.pin, input=data)
    assert run.returncode == ACCEPTED, run.err
    assert run.stdout == data


def test_an_answer_after_the_end_of_stdin_arrives(tls_server):
    answer = os.urandom(3_000_000)
    server = tls_server(servers.answer_after_end(answer))
    run = run_pinproxy("connect", server.address, "--pin", server.cert.pin, input=b"request")
    assert run.returncode == ACCEPTED, run.err
    assert run.stdout == answer
    assert server.conns[0].plaintext == b"request"


def test_stdin_and_stdout_may_be_regular_files(tls_server, tmp_path):
    """An event loop cannot poll regular files."""
    server, data = tls_server(), os.urandom(1_000_000)
    (tmp_path / "in").write_bytes(data)
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as sink:
        done = subprocess.run([PINPROXY, "connect", server.address, "--pin", server.cert.pin],
                              stdin=source, stdout=sink, stderr=subprocess.PIPE, env=environment(), timeout=DEADLINE)
    assert done.returncode == ACCEPTED, done.stderr
    assert (tmp_path / "out").read_bytes() == data


def test_stdin_and_stdout_may_be_pipes_that_do_not_block(tls_server):
    """The caller of the tool may have set O_NONBLOCK."""
    server = tls_server(servers.echo)
    stdin, ours = os.pipe()
    theirs, stdout = os.pipe()
    os.set_blocking(stdin, False)
    os.set_blocking(stdout, False)
    process = subprocess.Popen([PINPROXY, "connect", f"localhost:{server.port}", "--pin", server.cert.pin],
                               stdin=stdin, stdout=stdout, env=environment())
    os.close(stdin)
    os.close(stdout)
    data = os.urandom(1 << 20)
    server.wait_conns()
    with open(ours, "wb") as out, open(theirs, "rb") as answer:
        writer = threading.Thread(target=lambda: (out.write(data), out.close()))
        writer.start()
        assert wait_steady(lambda: server.conns[0].sent)  # its output is full
        assert answer.read() == data
        writer.join(DEADLINE)
    assert process.wait(DEADLINE) == ACCEPTED


def test_an_empty_stdin_still_gets_the_banner(tls_server):
    server = tls_server(servers.send_then_read(b"a banner\n"))
    run = run_pinproxy("connect", server.address, "--pin", server.cert.pin)
    assert run.returncode == ACCEPTED, run.err
    assert run.stdout == b"a banner\n"


def test_connect_ends_when_the_reader_of_its_output_goes_away(tls_server):
    """So `pinproxy connect ... | head -1` ends."""
    server = tls_server(servers.send_forever)
    process = subprocess.Popen([PINPROXY, "connect", server.address, "--pin", server.cert.pin],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    process.stdout.read(1000)
    process.stdout.close()
    try:
        assert process.wait(DEADLINE) != 0
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stderr.close()


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_output_that_cannot_be_written_fails(size, tls_server):
    """Lost output is a failure with a reason, even if the server has sent all of it."""
    server = tls_server(servers.send_then_read(os.urandom(size)))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PINPROXY, "connect", server.address, "--pin", server.cert.pin], stdout=full,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(), timeout=DEADLINE)
    assert done.returncode == NETWORK
    assert b"standard output: No space left on device" in done.stderr


def test_output_that_fails_resets_the_server(tls_server):
    server = tls_server()
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen([PINPROXY, "connect", server.address, "--pin", server.cert.pin], stdout=full,
                                   stdin=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env=environment())
        process.stdin.write(b"hello")  # standard input stays open
        try:
            assert process.wait(DEADLINE) == NETWORK
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stderr.close()
    assert server.wait_done()[0].end == "reset"


def test_input_that_cannot_be_read_fails(tls_server, tmp_path):
    server = tls_server()
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        done = subprocess.run([PINPROXY, "connect", server.address, "--pin", server.cert.pin], stdin=directory,
                              capture_output=True, env=environment(), timeout=DEADLINE)
    finally:
        os.close(directory)
    assert done.returncode == NETWORK
    assert b"standard input: Is a directory" in done.stderr


def test_input_that_fails_resets_the_server(tls_server):
    """A read error must not look like the end of the input, so the server gets no close_notify."""
    server = tls_server()
    terminal, stdin = os.openpty()
    process = subprocess.Popen([PINPROXY, "connect", server.address, "--pin", server.cert.pin], stdin=stdin,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), bufsize=0)
    os.close(stdin)
    try:
        os.write(terminal, b"hello\n")
        assert process.stdout.readline() == b"hello\n"
        os.close(terminal)
        assert process.wait(DEADLINE) == NETWORK
        assert b"standard input: Input/output error" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
    assert server.wait_done()[0].end == "reset"


@pytest.fixture
def on_a_socket():
    """Starts `connect` on a TCP socket, as inetd does. Returns (the peer's socket, the process)."""
    processes = []

    def start(server, **options):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = socket.create_connection(listener.getsockname(), DEADLINE)
            sock, _ = listener.accept()
        with sock:
            processes.append(subprocess.Popen([PINPROXY, "connect", server.address, "--pin", server.cert.pin],
                                              stdin=sock, stdout=sock, stderr=subprocess.DEVNULL, env=environment()))
        return peer, processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("behave", [servers.send_then_truncate(b"half an answ"), servers.send_then_reset(b"half an answ")],
                         ids=["cut", "reset"])
def test_a_socket_is_reset_after_half_an_answer(behave, on_a_socket, tls_server):
    peer, process = on_a_socket(tls_server(behave))
    with peer:
        assert read_exactly(peer, 12) == b"half an answ"
        try:
            peer.sendall(b"go")
        except ConnectionResetError:
            pass
        else:
            assert read_to_any_end(peer) == (b"", True)
    assert process.wait(DEADLINE) == NETWORK


def test_a_socket_ends_cleanly_after_a_whole_answer(on_a_socket, tls_server):
    peer, process = on_a_socket(tls_server())
    with peer:
        peer.sendall(b"all of it")
        peer.shutdown(socket.SHUT_WR)
        assert read_all(peer) == b"all of it"
    assert process.wait(DEADLINE) == ACCEPTED


def test_a_socket_that_is_reset_resets_the_server(on_a_socket, tls_server):
    server = tls_server()
    for _ in range(5):
        peer, process = on_a_socket(server)
        ping(peer)
        peer.sendall(b"DELETE /a HTTP/1.1\r\n")
        reset(peer)
        assert process.wait(DEADLINE) == NETWORK
    assert "close_notify" not in [conn.end for conn in server.wait_done(5)]


def test_a_socket_that_is_reset_while_the_server_does_not_read_is_noticed(on_a_socket, tls_server):
    def stall(conn):
        conn.released.wait()
        conn.recv_all()
    server = tls_server(stall)
    peer, process = on_a_socket(server)
    peer.settimeout(1)
    with pytest.raises(TimeoutError):
        while True:
            peer.sendall(b"x" * 65536)
    reset(peer)
    assert process.wait(DEADLINE) == NETWORK
    server.released.set()
    assert server.wait_done()[0].end in ("truncated", "reset")


def test_each_line_is_sent_when_it_is_written(tls_server):
    """A line does not wait for the end of the input."""
    server = tls_server()
    process = subprocess.Popen([PINPROXY, "connect", server.address, "--pin", server.cert.pin],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment())
    guard = threading.Timer(DEADLINE, process.kill)
    guard.start()
    try:
        for line in (b"one\n", b"two\n", b"three\n"):
            process.stdin.write(line)
            assert process.stdout.readline() == line
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(DEADLINE) == ACCEPTED
    finally:
        guard.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def test_one_of_several_pins_is_enough(tls_server, tmp_path):
    server, other = tls_server(), certs.self_signed(tmp_path)
    run = run_pinproxy("connect", server.address, "--pin", other.pin, "--pin", server.cert.cert_pin, input=b"hello")
    assert run.returncode == ACCEPTED, run.err
    assert run.stdout == b"hello"


@pytest.mark.parametrize("form", ["pin", "cert_pin", "csr", "pubkey", "der"])
def test_each_form_of_a_pin_is_accepted(form, tls_server):
    server = tls_server()
    cert = server.cert
    pin = {"pin": cert.pin, "cert_pin": cert.cert_pin, "csr": f"key:{cert.csr_file()}",
           "pubkey": f"key:{cert.pubkey_file()}", "der": f"cert:{cert.der_file()}"}[form]
    run = run_pinproxy("connect", "--pin", pin, server.address, input=b"hello")
    assert run.returncode == ACCEPTED, run.err


def test_expired_pin_is_refused(tls_server):
    server = tls_server()
    run = run_pinproxy("connect", server.address, "--pin", f"{server.cert.pin} until={day(-2)}", input=b"secret")
    assert run.returncode == TRUST
    assert_nothing_sent(server, b"secret")


def test_a_truncated_answer_is_a_failure(tls_server):
    """All data that was authenticated before is written."""
    server = tls_server(servers.send_then_truncate(b"half an answer"))
    run = run_pinproxy("connect", server.address, "--pin", server.cert.pin)
    assert run.returncode == NETWORK
    assert run.stdout == b"half an answer"


def test_a_truncated_answer_after_the_end_of_stdin_is_a_failure(tls_server):
    """The end of the input comes between the half and the truncation."""
    def answer_then_cut(conn):
        conn.send(b"half an answer")
        conn.recv_all()
        conn.truncate()
    server = tls_server(answer_then_cut)
    process = subprocess.Popen([PINPROXY, "connect", server.address, "--pin", server.cert.pin], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), bufsize=0)
    assert process.stdout.read(14) == b"half an answer"
    _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == NETWORK
    assert b"without close_notify" in err


@pytest.mark.parametrize("behave", [servers.answer_garbage, servers.close_at_hello, servers.reset_at_hello])
def test_a_server_without_tls_is_a_failure(behave, raw_server, tmp_path):
    server = raw_server(behave)
    run = run_pinproxy("connect", server.address, "--pin", certs.self_signed(tmp_path).pin, input=b"secret")
    assert run.returncode == NETWORK
    assert_nothing_sent(server, b"secret")


def test_a_closed_port_is_a_failure(tmp_path):
    run = run_pinproxy("connect", f"127.0.0.1:{closed_port()}", "--pin", certs.self_signed(tmp_path).pin)
    assert run.returncode == NETWORK
    assert "refused" in run.err.lower()


def test_a_section_of_a_configuration_decides(tls_server, ca, tmp_path):
    server = tls_server(cert=ca.issue())
    path = tmp_path / "pinproxyd.conf"
    path.write_text(ini({
        NAME: to(server, verify="pin+pki", ca_file=ca.cert.pem_file(), sni="front.test"),
        "other.test": to(server, pin=certs.self_signed(tmp_path).pin),
        "revoked.test": to(server, revoked=server.cert.pin),
    }))
    run = run_pinproxy("connect", "-c", path, NAME, input=b"hello")
    assert run.returncode == ACCEPTED, run.err
    assert run.stdout == b"hello"
    assert server.conns[0].sni == "front.test"
    assert run_pinproxy("connect", "-c", path, "other.test", input=b"secret").returncode == TRUST
    assert run_pinproxy("connect", "-c", path, "revoked.test", input=b"secret").returncode == TRUST
    assert_not_sent(server, b"secret")


def test_an_unknown_section_is_an_error(tls_server, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    path.write_text(ini({NAME: to(tls_server())}))
    run = run_pinproxy("connect", "-c", path, "nowhere.test")
    assert run.returncode in (USAGE, CONFIG)
    assert "nowhere.test" in run.err


def test_a_broken_configuration_is_an_error(tmp_path):
    path = tmp_path / "pinproxyd.conf"
    path.write_text(f"[{NAME}]\npin = bad\n")
    run = run_pinproxy("connect", "-c", path, NAME)
    assert run.returncode == CONFIG
    assert f"{path}:2: " in run.err


def test_a_missing_configuration_is_an_error(tmp_path):
    run = run_pinproxy("connect", "-c", tmp_path / "none.conf", NAME)
    assert run.returncode == CONFIG
    assert "none.conf" in run.err


GOOD = "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="


@pytest.mark.parametrize("arguments", [
    [], ["a.test:443"], ["--pin", GOOD], ["a.test", "--pin"], ["a.test", "--pin", "sha256//short"],
    ["a.test", "--pin", "cert:no-such-file.pem"], ["a.test", "--pin", GOOD, "--pin", GOOD],
    ["a..test", "--pin", GOOD], ["a.test:99999", "--pin", GOOD], ["a.test", "b.test", "--pin", GOOD],
    ["a.test", "--pin", GOOD, "--no-such-option"], ["a.test", "--pin", ""],
], ids=["nothing", "no_pin", "no_host", "pin_without_value", "bad_pin", "missing_file", "same_pin_twice", "bad_host",
        "bad_port", "two_hosts", "unknown_option", "empty_pin"])
def test_a_wrong_call_is_a_usage_error(arguments):
    run = run_pinproxy("connect", *arguments)
    assert run.returncode == USAGE, run.err
    assert run.err
    assert run.stdout == b""


def test_sighup_ends_it_as_ssh_does_with_a_proxy_command(tls_server):
    """ssh ends its ProxyCommand with this signal."""
    server = tls_server()
    process = subprocess.Popen([PINPROXY, "connect", server.address, "--pin", server.cert.pin],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment(),
                               preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    guard = threading.Timer(DEADLINE, process.kill)
    guard.start()
    try:
        process.stdin.write(b"SSH-2.0-x\n")
        assert process.stdout.readline() == b"SSH-2.0-x\n"
        process.send_signal(signal.SIGHUP)
        process.wait(DEADLINE)
        assert process.returncode != -signal.SIGKILL
        assert server.wait_done()[0].end
    finally:
        guard.cancel()
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
