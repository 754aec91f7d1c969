"""What is special about the carriers of TLS: Unix sockets, programs and serial lines."""

import socket
import sys
import time
from pathlib import Path

import pytest

from harness import carriers, certs, servers
from harness.assertions import assert_refused
from harness.carriers import over
from harness.certs import NAME
from harness.clients import connect, exchange, open_tunnel, ping, read_all, read_to_reset, try_connection
from harness.config import ini
from harness.daemon import run_pinproxy, run_pinproxyd
from harness.parallel import run_parallel
from harness.tls_connection import reset
from harness.waiting import wait_until

PIN = "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="


@pytest.fixture
def unix_carrier(tmp_path):
    return carriers.Unix(tmp_path)


@pytest.fixture
def exec_carrier(tmp_path):
    return carriers.Exec(tmp_path)


@pytest.fixture
def serial_carrier(tmp_path):
    return carriers.Serial(tmp_path)


@pytest.fixture
def serve(stack, tmp_path):
    """Starts a TLS server behind a carrier: serve(carrier, behaviour)."""
    def start(carrier, behave=servers.echo):
        return stack.add(carrier.start(servers.TlsServer, behave, certs.self_signed(tmp_path)))
    return start


@pytest.fixture
def script(tmp_path):
    """Writes an executable shell script and returns its path."""
    def write(text, name="program"):
        path = tmp_path / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path
    return write


def via(value, **options):
    return {"listen": "127.0.0.1:0", "pin": PIN, "via": value, **options}


def children(pid):
    """Returns the process ids of the children of a process, of all its threads, with zombies."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found += [int(child) for child in (task / "children").read_text().split()]
        except FileNotFoundError:
            pass
    return found


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# Unix sockets.

def test_a_unix_socket_that_is_missing_is_a_failure_to_connect_until_it_is_there(
        pinproxyd, unix_carrier, serve, tmp_path):
    server = serve(unix_carrier)
    moved = unix_carrier.path.rename(tmp_path / "moved.sock")
    daemon = pinproxyd({NAME: over(server)})
    line = assert_refused(daemon, "upstream_error", "connect")
    assert line["detail"] == f"unix:{unix_carrier.path}: No such file or directory"
    moved.rename(unix_carrier.path)
    assert exchange(daemon.address(NAME), b"hello") == b"hello"
    assert daemon.wait_event(event="tunnel_open")["upstream"] == f"unix:{unix_carrier.path}"


def test_a_full_backlog_of_a_unix_socket_is_waited_for(pinproxyd, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "full.sock"))
        listener.listen(0)
        fillers = []
        try:
            while True:
                fillers.append(socket.socket(socket.AF_UNIX))
                fillers[-1].setblocking(False)
                fillers[-1].connect(str(tmp_path / "full.sock"))
        except BlockingIOError:
            pass
        daemon = pinproxyd({NAME: via(f"unix:{tmp_path}/full.sock", connect_timeout="300ms")})
        line = assert_refused(daemon, "upstream_error", "timeout")
        assert "backlog" in line["detail"]
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("name", ["own.sock", "alias.sock", "./sub/../own.sock"])
def test_the_own_unix_listener_is_a_loop(name, pinproxyd, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "alias.sock").symlink_to(tmp_path / "own.sock")
    daemon = pinproxyd({
        NAME: via(f"unix:{tmp_path}/{name}"),
        "other.test": via("tcp", listen=f"unix:{tmp_path}/own.sock", address="127.0.0.1:9")})
    line = assert_refused(daemon, "upstream_error", "loop")
    assert "own listener" in line["detail"] and "[other.test]" in line["detail"]


# Programs.

@pytest.mark.threads
def test_a_program_gets_no_descriptor_of_other_tunnels(pinproxyd, exec_carrier, serve, script):
    server = serve(exec_carrier)
    listing = script("ls -1 /proc/self/fd >&2\nenv >&2\nexit 0\n")
    daemon = pinproxyd({"global": {"workers": 2}, NAME: over(server), "list.test": via(f"exec:{listing}")})
    tunnels = [open_tunnel(daemon.address(NAME)) for _ in range(4)]
    try_connection(daemon.address("list.test"))
    daemon.wait_event(event="exec_exit", section="list.test")
    lines = [event["line"] for event in daemon.events(event="exec_stderr", section="list.test")]
    assert [line for line in lines if line.isdigit()] == ["0", "1", "2", "3"]  # 3 is the directory that ls reads
    names = {line.split("=")[0] for line in lines if "=" in line}
    assert names <= {"PATH", "LANG", "HOME", "PWD", "OLDPWD", "SHLVL", "_"} and "PATH" in names
    for tunnel in tunnels:
        ping(tunnel)
        tunnel.close()


@pytest.mark.threads
def test_programs_end_with_their_tunnels_and_leave_no_zombie(pinproxyd, exec_carrier, serve):
    daemon = pinproxyd({"global": {"workers": 2}, NAME: over(serve(exec_carrier))})
    tunnels = run_parallel([lambda: open_tunnel(daemon.address(NAME)) for _ in range(6)])
    assert len(children(daemon.pid)) == 6
    for tunnel in tunnels[:3]:
        tunnel.close()
    for tunnel in tunnels[3:]:
        reset(tunnel)
    wait_until(lambda: not children(daemon.pid), "the end of the programs")
    assert len(daemon.events(event="exec_exit", section=NAME)) == 6


def test_a_program_that_ignores_the_end_is_killed_with_its_children(pinproxyd, script, tmp_path):
    stubborn = script(f"trap '' TERM\nsleep 1000 &\necho $! > {tmp_path}/child\nwhile :; do sleep 1000; done\n")
    daemon = pinproxyd({NAME: via(f"exec:{stubborn}")})
    client = connect(daemon.address(NAME))
    grandchild = int(wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text(), "its child"))
    assert is_alive(grandchild)
    reset(client)
    daemon.wait_event(event="exec_exit", signal=9, level="info")
    wait_until(lambda: not is_alive(grandchild), "the end of the program's child")
    assert not children(daemon.pid)


def test_a_stop_of_the_daemon_leaves_no_program(pinproxyd, script, tmp_path):
    """Neither one whose tunnel is open, nor one that still has the time to finish after an end in order."""
    stubborn = script("trap '' TERM HUP INT\nwhile :; do sleep 1000; done\n")
    daemon = pinproxyd({
        "global": {"drain_timeout": "0"}, NAME: via(f"exec:{stubborn}"),
        "short.test": via(f"exec:{stubborn}", handshake_timeout="100ms")})
    with connect(daemon.address(NAME)):
        assert_refused(daemon, "upstream_error", "timeout", section="short.test")
        programs = wait_until(lambda: len(children(daemon.pid)) == 2 and children(daemon.pid), "the programs")
        daemon.stop()
    wait_until(lambda: not any(map(is_alive, programs)), "the end of the programs")


@pytest.mark.parametrize("allow", ["reset", "allow"])
def test_a_program_that_fails_resets_the_client(allow, pinproxyd, exec_carrier, serve):
    def fail(conn):
        conn.send(b"some words")
        conn.sock.program.sendall(b"\x03")
        conn.truncate()

    daemon = pinproxyd({NAME: over(serve(exec_carrier, fail), truncation=allow)})
    with connect(daemon.address(NAME)) as client:
        assert read_to_reset(client) == b"some words"
    assert daemon.wait_event(event="truncated")["detail"] == "the program exited with status 3"
    assert daemon.wait_event(event="exec_exit")["status"] == "3"


def test_the_end_of_a_program_without_an_error_is_a_truncation_that_can_be_allowed(pinproxyd, exec_carrier, serve):
    def end(conn):
        conn.send(b"some words")
        conn.sock.program.sendall(b"\0")
        conn.truncate()

    server = serve(exec_carrier, end)
    daemon = pinproxyd({NAME: over(server), "allowed.test": over(server, truncation="allow")})
    with connect(daemon.address(NAME)) as client:
        assert read_to_reset(client) == b"some words"
    assert daemon.wait_event(event="truncated")["detail"] == "the program exited with status 0"
    with connect(daemon.address("allowed.test")) as client:
        assert read_all(client) == b"some words"


def test_a_program_that_ends_before_tls_says_why(pinproxyd, script):
    daemon = pinproxyd({NAME: via(f"exec:{script('echo no route to the gateway >&2; exit 7')}")})
    line = assert_refused(daemon, "upstream_error", "tls")
    assert line["detail"] == "the program exited with status 7"
    assert line["upstream"].startswith("exec:")
    assert daemon.wait_event(event="exec_stderr")["line"] == "no route to the gateway"
    assert daemon.wait_event(event="exec_exit", level="warning")["status"] == "7"
    daemon.stop()
    done = run_pinproxy("connect", "-c", daemon.file, NAME)
    assert done.returncode == 1
    assert "no route to the gateway\n" in done.err and "the program exited with status 7" in done.err


def test_arguments_are_words_and_no_shell_sees_them(pinproxyd, script):
    show = script('for word; do echo "<$word>" >&2; done\n')
    daemon = pinproxyd({NAME: via(f"""exec:{show} 'a b' "c\\"d" e\\ f $HOME *.c | '' `id`""")})
    try_connection(daemon.address(NAME))
    daemon.wait_event(event="exec_exit")
    assert [event["line"] for event in daemon.events(event="exec_stderr")] == [
        "<a b>", '<c"d>', "<e f>", "<$HOME>", "<*.c>", "<|>", "<>", "<`id`>"]


def test_a_program_that_cannot_run_is_an_error_at_load_and_later_a_failure_to_connect(pinproxyd, script, tmp_path):
    config = tmp_path / "broken.conf"
    for value, words in (("exec:no-such-program x", "in any directory of PATH"), ("exec:./nothing", "No such file"),
                         ("exec:/etc/passwd", "Permission denied"), ("exec:'x", "a quote is not closed")):
        config.write_text(ini({NAME: via(value)}))
        done = run_pinproxyd("-t", "-c", config)
        assert done.returncode == 78 and words in done.err, done.err
    program = script("exec cat\n")
    daemon = pinproxyd({NAME: via(f"exec:{program}")})
    program.unlink()
    line = assert_refused(daemon, "upstream_error", "connect")
    assert line["detail"] == f"{program}: No such file or directory"


def test_a_flood_of_standard_error_neither_stops_the_tunnel_nor_fills_the_log(pinproxyd, exec_carrier, serve, script):
    program = script(f"yes >&2 &\nexec {sys.executable} -I -S {carriers.HELPER} $1\n")
    server = serve(exec_carrier)
    daemon = pinproxyd({NAME: over(server, via=f"exec:{program} {exec_carrier.path}")})
    with open_tunnel(daemon.address(NAME)) as client:
        time.sleep(0.5)
        ping(client)
        assert len(daemon.events(event="exec_stderr")) < 200
    daemon.wait_event(event="exec_exit")
    assert not children(daemon.pid)


def test_the_descriptors_of_programs_are_counted(pinproxyd, exec_carrier, serve):
    """With few descriptors, clients wait in the backlog and none fails."""
    daemon = pinproxyd({"global": {"workers": 1}, NAME: over(serve(exec_carrier))}, nofile=160)
    answers = run_parallel([lambda: exchange(daemon.address(NAME), b"hello") for _ in range(40)])
    assert answers == [b"hello"] * 40
    assert not daemon.events(event="upstream_error")
    assert not daemon.events(event="limit", what="files")


# Serial lines.

def test_a_second_client_of_a_serial_line_waits_for_connect_timeout(pinproxyd, serial_carrier, serve):
    daemon = pinproxyd({NAME: over(serve(serial_carrier), connect_timeout="1s")})
    with open_tunnel(daemon.address(NAME)) as first:
        line = assert_refused(daemon, "upstream_error", "timeout")
        assert "in use by another tunnel or program" in line["detail"]
        ping(first)
    daemon.wait_event(event="tunnel_close")
    assert exchange(daemon.address(NAME), b"hello") == b"hello"


def test_a_missing_or_wrong_device_is_a_failure_to_connect(pinproxyd, tmp_path):
    daemon = pinproxyd({NAME: via("serial:/dev/no-such-line"), "null.test": via("serial:/dev/null")})
    assert assert_refused(daemon, "upstream_error", "connect")["detail"] == \
        "/dev/no-such-line: No such file or directory"
    line = assert_refused(daemon, "upstream_error", "connect", section="null.test")
    assert line["detail"].startswith("/dev/null: it is no terminal device")


def test_unplugging_the_device_resets_the_client(pinproxyd, serial_carrier, serve):
    daemon = pinproxyd({NAME: over(serve(serial_carrier), truncation="allow")})
    with open_tunnel(daemon.address(NAME)) as client:
        serial_carrier.line.close()
        assert read_to_reset(client) == b""
    assert "unplugged" in daemon.wait_event(event="truncated")["detail"]
    assert daemon.wait_event(event="tunnel_close")["reason"] == "truncated"
