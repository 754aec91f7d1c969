"""STARTTLS with servers of other projects, and clients that know nothing of TLS."""

import base64
import imaplib
import poplib
import smtplib
import subprocess

import pytest

from harness import certs
from harness.certs import NAME
from harness.clients import connect, read_exactly
from harness.config import to
from harness.daemon import run_pinproxy
from harness.real_servers import need
from harness.starttls_servers import PASSWORD, USER, Dovecot, Nnrpd, Postfix, Prosody, Slapd, Vsftpd
from harness.waiting import DEADLINE, wait_until


@pytest.fixture
def cert(tmp_path):
    return certs.self_signed(tmp_path)


def host_and_port(daemon, section=NAME):
    host, port = daemon.address(section).rsplit(":", 1)
    return host, int(port)


class Lines:
    """A client of a protocol of lines."""

    def __init__(self, sock):
        self.sock, self.file = sock, sock.makefile("rb")

    def read(self):
        return self.file.readline().rstrip(b"\r\n")

    def read_until(self, is_last):
        lines = [self.read()]
        while not is_last(lines[-1]):
            assert lines[-1] or lines[-2:], "the server closed the connection"
            lines.append(self.read())
        return lines

    def ask(self, line):
        self.sock.sendall(line + b"\r\n")
        return self.read()


def test_a_mail_is_submitted_to_postfix(pinproxyd, cert, stack):
    server = stack.add(Postfix(cert))
    daemon = pinproxyd({NAME: to(server, starttls="smtp")})
    with smtplib.SMTP(*host_and_port(daemon), local_hostname="client.test", timeout=DEADLINE) as client:
        assert client.ehlo()[0] == 250 and not client.has_extn("starttls")
        assert client.sendmail(f"{USER}@{NAME}", [f"you@{NAME}"], "Subject: pinned\r\n\r\nhello\r\n") == {}
    wait_until(lambda: "status=sent" in server.log() and "ehlo=2 starttls=1 mail=1" in server.log(), "the delivery")


def test_a_mailbox_is_read_over_imap_from_dovecot(pinproxyd, cert, stack):
    server = stack.add(Dovecot(cert))
    daemon = pinproxyd({NAME: to(server, starttls="imap")})
    client = imaplib.IMAP4(*host_and_port(daemon), timeout=DEADLINE)
    assert b"[" not in client.welcome
    assert "STARTTLS" not in client.capabilities and "LOGINDISABLED" not in client.capabilities
    assert client.login(USER, PASSWORD)[0] == "OK"
    assert client.append("INBOX", None, None, b"Subject: pinned\r\n\r\nhello\r\n")[0] == "OK"
    assert client.select()[1] == [b"1"]
    assert client.fetch("1", "BODY[TEXT]")[1][0][1] == b"hello\r\n"
    client.logout()


def test_a_mailbox_is_read_over_pop3_from_dovecot(pinproxyd, cert, stack):
    server = stack.add(Dovecot(cert))
    daemon = pinproxyd({NAME: to(server, starttls="pop3", address=f"127.0.0.1:{server.ports['pop3']}")})
    client = poplib.POP3(*host_and_port(daemon), timeout=DEADLINE)
    assert "STLS" not in client.capa()
    client.user(USER)
    assert client.pass_(PASSWORD).startswith(b"+OK")
    assert client.stat() == (0, 0)
    client.quit()


def test_a_script_is_stored_over_managesieve_in_dovecot(pinproxyd, cert, stack):
    server = stack.add(Dovecot(cert))
    daemon = pinproxyd({NAME: to(server, starttls="sieve", address=f"127.0.0.1:{server.ports['sieve']}")})
    with connect(daemon.address(NAME)) as sock:
        client = Lines(sock)
        capabilities = client.read_until(lambda line: line.startswith(b"OK"))
        assert not any(line.startswith(b'"STARTTLS"') for line in capabilities)
        assert any(line.startswith(b'"SASL"') and b"PLAIN" in line for line in capabilities)
        login = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())
        assert client.ask(b'AUTHENTICATE "PLAIN" "' + login + b'"').startswith(b"OK")
        assert client.ask(b'PUTSCRIPT "pinned" {5+}\r\nkeep;').startswith(b"OK")
        assert client.ask(b"LISTSCRIPTS") == b'"pinned"'


def test_a_directory_is_read_from_slapd(pinproxyd, cert, stack):
    ldapwhoami, ldapsearch = need("ldapwhoami", "ldapsearch")
    server = stack.add(Slapd(cert))
    daemon = pinproxyd({NAME: to(server, starttls="ldap")})
    login = ["-x", "-H", f"ldap://{daemon.address(NAME)}", "-D", f"cn={USER},dc=test", "-w", PASSWORD]
    for command in [ldapwhoami, *login], [ldapsearch, *login, "-LLL", "-b", "", "-s", "base", "namingContexts"]:
        got = subprocess.run(command, capture_output=True, timeout=DEADLINE)
        assert got.returncode == 0 and b"dc=test" in got.stdout, got
    got = subprocess.run([ldapwhoami, "-x", "-H", f"ldap://{server.address}"], capture_output=True, timeout=DEADLINE)
    assert b"onfidentiality required" in got.stderr, got  # so the proxy has made the difference


def test_news_are_read_from_inn(pinproxyd, cert, stack):
    server = stack.add(Nnrpd(cert))
    daemon = pinproxyd({NAME: to(server, starttls="nntp")})
    with connect(daemon.address(NAME)) as sock:
        client = Lines(sock)
        assert client.read().startswith(b"201 ")
        assert client.ask(b"CAPABILITIES").startswith(b"101 ")
        capabilities = client.read_until(lambda line: line == b".")
        assert b"READER" in capabilities and b"STARTTLS" not in capabilities
        assert client.ask(b"LIST").startswith(b"215 ")
        assert client.read_until(lambda line: line == b".") == [NAME.encode() + b" 0000000000 0000000001 y", b"."]
        assert client.ask(b"QUIT").startswith(b"205 ")


def test_a_user_logs_in_to_prosody(pinproxyd, cert, stack):
    server = stack.add(Prosody(cert))
    daemon = pinproxyd({NAME: to(server, starttls="xmpp")})
    with connect(daemon.address(NAME)) as sock:
        def read_to(end):
            got = b""
            while not got.endswith(end):
                got += read_exactly(sock, 1)
            return got
        sock.sendall(b"<?xml version='1.0'?><stream:stream to='%s' version='1.0' xmlns='jabber:client' "
                     b"xmlns:stream='http://etherx.jabber.org/streams'>" % NAME.encode())
        features = read_to(b"</stream:features>")
        assert b"xmpp-tls" not in features and b"<mechanism>PLAIN</mechanism>" in features
        login = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())
        sock.sendall(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s</auth>" % login)
        assert b"<success " in read_to(b">")


def test_the_tool_talks_to_vsftpd(cert, stack, tmp_path):
    server = stack.add(Vsftpd(cert))
    run = run_pinproxy("fetch", server.address, "--starttls", "ftp", "--ini")
    assert run.returncode == 0 and cert.pin in run.out, run.err
    # vsftpd ends TCP without close_notify
    (tmp_path / "ftp.conf").write_text(run.out + "truncation = allow\n")
    run = run_pinproxy("connect", "-c", tmp_path / "ftp.conf", "127.0.0.1",
                       input=b"USER anonymous\r\nPASS x\r\nPWD\r\nQUIT\r\n")
    assert run.returncode == 0, run.err
    assert [line[:3] for line in run.out.splitlines()] == ["220", "331", "230", "257", "221"]
