"""Servers that begin in plaintext: a conversation, and then TLS."""

import dataclasses

from harness.certs import NAME
from harness.servers import _Server, server_context
from harness.tls_connection import KEPT, TlsConn
from harness.waiting import DEADLINE


@dataclasses.dataclass(frozen=True)
class Conversation:
    """The turns before TLS: (bytes that must come first, answer). `greeting` is what the client gets after TLS."""

    turns: tuple
    greeting: bytes = b""
    missing: bytes = b""  # the last answer but one, of a server without TLS
    refusal: bytes = b""  # the last answer, of a server that refuses
    more: bytes = b"\r\n"  # what an attacker adds to the last answer

    def replace(self, turn, answer):
        """The same, but with another answer in a turn, which is the last one."""
        return dataclasses.replace(self, turns=(*self.turns[:turn], (self.turns[turn][0], answer)))

    def for_host(self, host):
        """The same, with a client that names another host."""
        return dataclasses.replace(self, turns=tuple(
            (expected.replace(b"to='%s'" % NAME.encode(), b"to='%s'" % host.encode()), answer)
            for expected, answer in self.turns))

    def without_tls(self):
        return self.replace(len(self.turns) - 2, self.missing)

    def refusing(self):
        return self.replace(len(self.turns) - 1, self.refusal)

    def injecting(self):
        return self.replace(len(self.turns) - 1, self.turns[-1][1] + self.more)


STREAM = (b"<?xml version='1.0'?><stream:stream to='%s' version='1.0' xml:lang='en' xmlns='jabber:client' "
          b"xmlns:stream='http://etherx.jabber.org/streams'>" % NAME.encode())
STREAM_ANSWER = (b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' id='1' version='1.0' "
                 b"xmlns:stream='http://etherx.jabber.org/streams'>")
XMPP_TLS = b"xmlns='urn:ietf:params:xml:ns:xmpp-tls'"
START_TLS = b"1.3.6.1.4.1.1466.20037"

CONVERSATIONS = {
    "smtp": Conversation((
        (b"", b"220-a.test ESMTP\r\n220 ready\r\n"),
        (b"EHLO [127.0.0.1]\r\n", b"250-a.test\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"),
        (b"STARTTLS\r\n", b"220 go ahead\r\n")),
        greeting=b"220-a.test ESMTP\r\n220 ready\r\n",
        missing=b"250-a.test\r\n250 SIZE 1000\r\n", refusal=b"454 no \"key\" to\x80day\r\n",
        more=b"250 injected\r\n"),
    "imap": Conversation((
        (b"", b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n"),
        (b"A1 CAPABILITY\r\n", b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\nA1 OK done\r\n"),
        (b"A2 STARTTLS\r\n", b"A2 OK go ahead\r\n")),
        greeting=b"* OK ready\r\n",
        missing=b"* CAPABILITY IMAP4rev1\r\nA1 OK done\r\n", refusal=b"A2 NO \"key\" to\x80day\r\n",
        more=b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"),
    "pop3": Conversation((
        (b"", b"+OK ready <1896.697170952@a.test>\r\n"),
        (b"CAPA\r\n", b"+OK list\r\nTOP\r\nSTLS\r\n.\r\n"),
        (b"STLS\r\n", b"+OK go ahead\r\n")),
        greeting=b"+OK ready <1896.697170952@a.test>\r\n",
        missing=b"+OK list\r\nTOP\r\n.\r\n", refusal=b"-ERR no \"key\" to\x80day\r\n", more=b"+OK injected\r\n"),
    "nntp": Conversation((
        (b"", b"201 ready\r\n"),
        (b"CAPABILITIES\r\n", b"101 list\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n"),
        (b"STARTTLS\r\n", b"382 go ahead\r\n")),
        greeting=b"201 ready\r\n",
        missing=b"101 list\r\nVERSION 2\r\n.\r\n", refusal=b"580 no \"key\" to\x80day\r\n", more=b"200 injected\r\n"),
    "sieve": Conversation((
        (b"", b"\"IMPLEMENTATION\" \"test\"\r\n\"SIEVE\" {8}\r\nfileinto\r\n\"STARTTLS\"\r\nOK \"ready\"\r\n"),
        (b"STARTTLS\r\n", b"OK \"go ahead\"\r\n")),
        missing=b"\"IMPLEMENTATION\" \"STARTTLS\"\r\nOK\r\n", refusal=b"NO \"no \\\"key\\\" to\x80day\"\r\n",
        more=b"\"SIEVE\" \"injected\"\r\nOK\r\n"),
    "xmpp": Conversation((
        (STREAM, STREAM_ANSWER + b"<stream:features><starttls " + XMPP_TLS + b"/></stream:features>"),
        (b"<starttls " + XMPP_TLS + b"/>", b"<proceed " + XMPP_TLS + b"/>")),
        missing=STREAM_ANSWER + b"<stream:features/>",
        refusal=b"<stream:error><x/><text>no \"key\" to\x80day</text></stream:error>", more=b"<stream:stream>"),
    "ldap": Conversation((
        (b"", b""),
        (b"\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + START_TLS,
         b"\x30\x84\x00\x00\x00\x28\x02\x01\x01\x78\x84\x00\x00\x00\x1f\x0a\x01\x00\x04\x00\x04\x00\x8a\x16" + START_TLS)),
        refusal=b"\x30\x1b\x02\x01\x01\x78\x16\x0a\x01\x02\x04\x00\x04\x0fno \"key\" to\x80day", more=b"\x30\x0c\x02"),
    "ftp": Conversation((
        (b"", b"120 soon\r\n220-ready\r\n 220 or not\r\n220 ready\r\n"),
        (b"AUTH TLS\r\n", b"234 go ahead\r\n")),
        greeting=b"220-ready\r\n 220 or not\r\n220 ready\r\n",
        refusal=b"502 no \"key\" to\x80day\r\n", more=b"230 injected\r\n"),
}


def send_whole(sock, data):
    sock.sendall(data)


def send_in_bytes(sock, data):
    for at in range(len(data)):
        sock.sendall(data[at:at + 1])


class PlainConn:
    """A connection before TLS."""

    def __init__(self, sock):
        sock.settimeout(DEADLINE)
        self.sock = sock
        self.wire = bytearray()  # what came before TLS, and all that came if TLS did not start
        self.tls = None          # the TlsConn after it

    def expect(self, data):
        """Reads exactly data, and not a byte more."""
        while data:
            got = self.sock.recv(len(data))
            self.wire += got
            if not got or not data.startswith(got):
                raise ConnectionError(f"{got} came instead of {data}")
            data = data[len(got):]

    def drain(self):
        while data := self.sock.recv(65536):
            if len(self.wire) < KEPT:
                self.wire += data


class StarttlsServer(_Server):
    """Speaks a conversation, then TLS, then does what `behave` does; without `behave` only the conversation.

    `send` sends each answer. `last` runs after the conversation, before TLS.
    """

    def __init__(self, conversation, cert, behave=None, send=send_whole, last=None):
        self.conversation, self.cert, self.behave, self.send, self.last = conversation, cert, behave, send, last
        self.context = server_context(cert)
        super().__init__()

    def _serve(self, sock, _):
        conn = PlainConn(sock)
        self.conns.append(conn)
        try:
            for expected, answer in self.conversation.turns:
                conn.expect(expected)
                self.send(sock, answer)
            if self.last:
                self.last(conn)
            if not self.behave:
                conn.drain()
                return
            conn.tls = TlsConn(sock, self.context)
            conn.tls.released = self.released
            conn.tls.handshake()
            self.behave(conn.tls)
            if conn.tls.end is None and sock.fileno() >= 0:
                conn.tls.drain_raw()
        finally:
            sock.close()

    def assert_nothing_received(self, *data):
        """Asserts that no connection received plaintext over TLS, nor any of data in clear."""
        for conn in self.conns:
            assert not conn.tls or conn.tls.received == 0
            for one in data:
                assert one not in conn.wire
                assert not conn.tls or one not in conn.tls.wire
