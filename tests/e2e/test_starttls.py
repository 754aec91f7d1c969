"""STARTTLS: the client of each protocol gets its conversation, and a server without TLS gets nothing of the client."""

import dataclasses
import signal
import socket

import pytest

from harness import certs, parents, servers
from harness.assertions import SECRET, assert_nothing_sent, assert_refused
from harness.certs import NAME
from harness.clients import connect, read_exactly
from harness.config import to
from harness.daemon import run_pinproxy, run_pinproxyd
from harness.starttls import CONVERSATIONS, StarttlsServer, send_in_bytes
from harness.waiting import DEADLINE, wait_until

LISTENING = {name: talk for name, talk in CONVERSATIONS.items() if name != "ftp"}
OFFERING = [name for name, talk in CONVERSATIONS.items() if talk.missing]


@pytest.fixture
def starttls_server(tmp_path, stack):
    def start(conversation, behave=None, cert=None, **options):
        return stack.add(StarttlsServer(conversation, cert or certs.self_signed(tmp_path), behave, **options))
    return start


def section(server, protocol, **options):
    return {NAME: to(server, starttls=protocol, **options)}


def answer_greeting(daemon, greeting):
    """A client that sends only after it has read the greeting."""
    with connect(daemon.address(NAME)) as client:
        assert read_exactly(client, len(greeting)) == greeting
        client.sendall(b"hello")
        assert read_exactly(client, 5) == b"hello"


@pytest.mark.parametrize("send", [None, send_in_bytes], ids=["whole", "in_bytes"])
@pytest.mark.parametrize("protocol", LISTENING)
def test_a_client_gets_the_greeting_and_then_its_own_conversation(protocol, send, pinproxyd, starttls_server):
    talk = CONVERSATIONS[protocol]
    server = starttls_server(talk, servers.echo, **({"send": send} if send else {}))
    daemon = pinproxyd(section(server, protocol))
    for _ in range(2):
        answer_greeting(daemon, talk.greeting)
    server.stop()
    asked = b"".join(expected for expected, _ in talk.turns)
    for conn in server.conns:
        assert bytes(conn.wire) == asked and bytes(conn.tls.plaintext) == b"hello"


@pytest.mark.threads
@pytest.mark.valgrind
def test_bytes_that_a_client_sends_first_arrive_after_tls(pinproxyd, starttls_server):
    server = starttls_server(CONVERSATIONS["ldap"], servers.echo)
    daemon = pinproxyd(section(server, "ldap"))
    with connect(daemon.address(NAME)) as client:
        client.sendall(SECRET)
        assert read_exactly(client, len(SECRET)) == SECRET
    server.stop()
    assert SECRET not in server.conns[0].wire and server.conns[0].tls.plaintext == SECRET


@pytest.mark.parametrize("protocol", [name for name in OFFERING if name in LISTENING])
def test_a_server_that_does_not_offer_tls_is_refused(protocol, pinproxyd, starttls_server):
    server = starttls_server(CONVERSATIONS[protocol].without_tls())
    daemon = pinproxyd(section(server, protocol))
    line = assert_refused(daemon, "upstream_error", "starttls", server=server)
    assert line["detail"] == f"{protocol}: the server does not offer STARTTLS"


@pytest.mark.parametrize("protocol", LISTENING)
def test_a_refusal_is_logged_in_the_words_of_the_server(protocol, pinproxyd, starttls_server):
    server = starttls_server(CONVERSATIONS[protocol].refusing())
    daemon = pinproxyd(section(server, protocol))
    detail = assert_refused(daemon, "upstream_error", "starttls", server=server)["detail"]
    assert "the server refuses" in detail
    assert "key" in detail and "to\\x80day" in detail, detail


@pytest.mark.parametrize("protocol", LISTENING)
def test_one_byte_too_many_before_tls_is_refused(protocol, pinproxyd, starttls_server):
    """CVE-2011-0411: bytes that an attacker adds to the answer would pass for the server's after TLS."""
    talk = CONVERSATIONS[protocol]
    server = starttls_server(talk.replace(len(talk.turns) - 1, talk.turns[-1][1] + talk.more[:1]), servers.echo)
    daemon = pinproxyd(section(server, protocol))
    line = assert_refused(daemon, "upstream_error", "starttls", server=server)
    assert "more than its answer before TLS" in line["detail"]


@pytest.mark.parametrize("protocol", LISTENING)
def test_an_answer_that_is_injected_later_is_refused(protocol, pinproxyd, starttls_server):
    """It comes behind the ClientHello, where TLS does not accept it."""
    def inject(conn):
        conn.sock.recv(5)
        conn.sock.sendall(CONVERSATIONS[protocol].more * 3)
        conn.drain()
    server = starttls_server(CONVERSATIONS[protocol], last=inject)
    daemon = pinproxyd(section(server, protocol))
    assert_refused(daemon, "upstream_error", "tls", server=server)


def ends_after(protocol):
    """(protocol, number of turns) of servers that end after some turns, of which the last one has no answer."""
    return [(protocol, turn) for turn, (_, answer) in enumerate(CONVERSATIONS[protocol].turns) if answer]


SILENT = [case for protocol in LISTENING for case in ends_after(protocol)]


def until(protocol, turn):
    talk = CONVERSATIONS[protocol]
    return dataclasses.replace(talk, turns=(*talk.turns[:turn], (talk.turns[turn][0], b"")))


@pytest.mark.parametrize("protocol, turn", SILENT)
def test_a_dialog_that_stalls_is_a_timeout(protocol, turn, pinproxyd, starttls_server):
    server = starttls_server(until(protocol, turn))
    daemon = pinproxyd(section(server, protocol, connect_timeout="300ms"))
    line = assert_refused(daemon, "upstream_error", "timeout", server=server)
    detail, _, hint = line["detail"].partition(": ")
    assert detail == f"no {protocol} answer (connect_timeout) within 300ms"
    answered = any(answer for _, answer in CONVERSATIONS[protocol].turns[:turn])
    assert ("remove 'starttls'" in hint) == (not answered)


@pytest.mark.parametrize("protocol, turn", SILENT)
def test_a_server_that_closes_early_is_refused(protocol, turn, pinproxyd, starttls_server):
    server = starttls_server(until(protocol, turn), last=lambda conn: conn.sock.close())
    daemon = pinproxyd(section(server, protocol))
    line = assert_refused(daemon, "upstream_error", "starttls", server=server)
    assert "the server closed the connection" in line["detail"]


@pytest.mark.parametrize("protocol, start, more", [
    ("smtp", b"220-hi\r\n", b"220-more\r\n"),
    ("smtp", b"220 ", b"x" * 100),
    ("imap", b"* OK hi\r\n", b"* 1 EXISTS\r\n"),
    ("pop3", b"+OK hi\r\n+OK list\r\n", b"MORE\r\n"),
    ("nntp", b"200 hi\r\n101 list\r\n", b"MORE\r\n"),
    ("sieve", b"", b"\"X\" \"more\"\r\n"),
    ("sieve", b"\"X\" {4000}\r\n", b"x" * 100),
    ("xmpp", b"<?xml version='1.0'?>", b" \n" * 50),
    ("xmpp", b"<?xml version='1.0'?>", b"<" + b"a" * 99),
    ("ldap", b"\x30\x82\x40\x00", b"\x04\x00" * 50)])
def test_a_server_that_sends_without_an_end_is_refused(protocol, start, more, pinproxyd, starttls_server):
    def flood(conn):
        conn.sock.sendall(start)
        while True:
            conn.sock.sendall(more)
    server = starttls_server(dataclasses.replace(CONVERSATIONS[protocol], turns=()), last=flood)
    daemon = pinproxyd(section(server, protocol))
    assert_refused(daemon, "upstream_error", "starttls")
    assert_nothing_sent(server, SECRET)


def test_the_greeting_may_come_with_the_answer_of_a_parent_proxy(pinproxyd, starttls_server, raw_server):
    """Two dialogs run, and what the first leaves unread is the second one's."""
    talk = CONVERSATIONS["smtp"]
    server = starttls_server(talk, servers.echo)

    def answer_late(conn):
        while not conn.wire.endswith(b"\r\n\r\n"):
            assert conn.recv()
        out = socket.create_connection((server.host, server.port), DEADLINE)
        greeting = b""
        while len(greeting) < len(talk.greeting):
            greeting += out.recv(1000)
        conn.sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n" + greeting)
        return out, b""
    parent = raw_server(parents.serve(answer_late))
    daemon = pinproxyd(section(server, "smtp", via=f"http://{parent.address}"))
    answer_greeting(daemon, talk.greeting)


def test_an_imap_server_that_has_authenticated_the_connection_is_refused(pinproxyd, starttls_server):
    """In that state STARTTLS is impossible: a client that goes ahead would send its mail in plaintext."""
    server = starttls_server(dataclasses.replace(CONVERSATIONS["imap"], turns=((b"", b"* PREAUTH welcome\r\n"),)))
    daemon = pinproxyd(section(server, "imap"))
    assert "PREAUTH" in assert_refused(daemon, "upstream_error", "starttls", server=server)["detail"]


@pytest.mark.threads
@pytest.mark.valgrind
def test_a_refused_server_sends_no_greeting_to_the_client(pinproxyd, starttls_server, tmp_path):
    """The greeting came before TLS, and must not get to the client before the verdict either."""
    server = starttls_server(CONVERSATIONS["smtp"], servers.echo)
    daemon = pinproxyd(section(server, "smtp", pin=certs.self_signed(tmp_path).pin))
    assert_refused(daemon, "pin_mismatch", server=server)


def test_a_server_of_another_protocol_is_named(pinproxyd, starttls_server):
    server = starttls_server(dataclasses.replace(CONVERSATIONS["smtp"], turns=((b"", b"SSH-2.0-OpenSSH_9.2\r\n"),)))
    daemon = pinproxyd(section(server, "imap"))
    line = assert_refused(daemon, "upstream_error", "starttls", server=server)
    assert line["detail"] == "imap: the server's greeting is not one of IMAP: SSH-2.0-OpenSSH_9.2"


@pytest.mark.threads
@pytest.mark.valgrind
def test_a_reload_turns_starttls_on(pinproxyd, starttls_server):
    server = starttls_server(CONVERSATIONS["smtp"], servers.echo)
    daemon = pinproxyd({NAME: to(server)})
    assert_refused(daemon, "upstream_error", "tls")
    daemon.reload(section(server, "smtp"))
    answer_greeting(daemon, CONVERSATIONS["smtp"].greeting)


def test_the_greeting_of_a_warm_connection_waits_for_its_client(pinproxyd, starttls_server):
    talk = CONVERSATIONS["smtp"]
    server = starttls_server(talk, servers.echo)
    daemon = pinproxyd(section(server, "smtp", warm=1))

    def is_warm():
        mark = daemon.mark()
        daemon.signal(signal.SIGUSR1)
        return daemon.wait_event(since=mark, event="status", section=NAME).get("warm") == "1"
    wait_until(is_warm, "a warm connection")
    answer_greeting(daemon, talk.greeting)
    wait_until(lambda: server.conns[0].tls.end, "the end of the connection that was warm")
    assert server.conns[0].tls.plaintext == b"hello"


def test_check_live_asks_for_tls(starttls_server, tmp_path):
    """Also over FTP, which no listener serves."""
    servers_of = {name: starttls_server(talk, servers.echo) for name, talk in CONVERSATIONS.items()}
    text = "".join(f"[{name}.test]\nhost = {NAME}\naddress = {server.address}\nstarttls = {name}\npin = {server.cert.pin}\n"
                   for name, server in servers_of.items())
    (tmp_path / "pinproxyd.conf").write_text(text)
    run = run_pinproxy("check", "--live", "-c", tmp_path / "pinproxyd.conf")
    assert run.returncode == 1, run.out + run.err  # a warning: each has only one pin
    for name in servers_of:
        assert f"{name}.test" in run.out
    assert "could not" not in run.out


@pytest.mark.parametrize("protocol", CONVERSATIONS)
def test_fetch_asks_for_tls_and_prints_a_section_that_does(protocol, starttls_server, tmp_path):
    server = starttls_server(CONVERSATIONS[protocol].for_host("127.0.0.1"), servers.echo)
    run = run_pinproxy("fetch", f"127.0.0.1:{server.port}", "--starttls", protocol, "--ini")
    assert run.returncode == 0, run.err
    assert f"starttls = {protocol}\n" in run.out and server.cert.pin in run.out
    (tmp_path / "pasted.conf").write_text(run.out)
    run = run_pinproxyd("-t", "-c", tmp_path / "pasted.conf")
    assert run.returncode == 0, run.err


def test_fetch_shows_the_words_of_a_server_that_refuses_tls(starttls_server):
    server = starttls_server(CONVERSATIONS["ftp"].refusing())
    run = run_pinproxy("fetch", f"127.0.0.1:{server.port}", "--starttls", "ftp")
    assert run.returncode == 1 and run.out == ""
    assert 'the server refuses AUTH TLS: 502 no "key" to\\x80day' in run.err


def test_connect_prints_the_greeting_and_then_what_comes_over_tls(starttls_server):
    talk = CONVERSATIONS["ftp"]
    server = starttls_server(talk, servers.echo)
    run = run_pinproxy("connect", f"127.0.0.1:{server.port}", "--starttls", "ftp", "--pin", server.cert.pin,
                       input=b"USER me\r\n")
    assert run.returncode == 0, run.err
    assert run.out.encode() == talk.greeting + b"USER me\r\n"


def test_connect_prints_no_greeting_of_a_server_that_is_refused(starttls_server, tmp_path):
    server = starttls_server(CONVERSATIONS["smtp"], servers.echo)
    run = run_pinproxy("connect", f"127.0.0.1:{server.port}", "--starttls", "smtp", "--pin",
                       certs.self_signed(tmp_path).pin, input=SECRET)
    assert run.returncode == 3 and run.out == ""
    assert_nothing_sent(server, SECRET)
