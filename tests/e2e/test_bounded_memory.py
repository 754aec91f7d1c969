"""A tunnel holds little memory, even if a side reads slowly or not at all, or sends many TLS messages."""

import contextlib
import ctypes
import ctypes.util
import hashlib
import random
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import certs, servers
from harness.certs import NAME
from harness.clients import REFUSED, connect, open_tunnel, ping, try_connection
from harness.config import to
from harness.daemon import instrumented
from harness.parallel import run_parallel
from harness.waiting import DEADLINE, wait_steady, wait_until

KIB, MIB = 1 << 10, 1 << 20

STALLED_MAX = 512 * KIB  # what a stalled tunnel may hold in addition to an idle one
IDLE_MAX = 64 * KIB      # what may remain of that when it is idle again


def wait_idle(daemon, *counts, quiet=0.7):
    """Waits until the counts and the daemon's memory do not change. Returns the largest memory that it saw."""
    most = 0

    def look():
        nonlocal most
        now = daemon.anonymous_memory()
        most = max(most, now)
        return now, [count() for count in counts]

    wait_steady(look, quiet)
    return most


def assert_grown_at_most(limit, before, now, tunnels=1):
    if not instrumented():
        assert now - before <= limit * tunnels, f"{(now - before) / tunnels / KIB:.1f} KiB for each tunnel"


@contextlib.contextmanager
def stopped(daemon):
    daemon.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        daemon.signal(signal.SIGCONT)


def shrink_buffers(sock):
    """Makes the kernel buffer little of the data that the socket does not read."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)


def connect_with_small_buffers(address):
    host, port = address.rsplit(":", 1)
    sock = socket.socket()
    sock.settimeout(DEADLINE)
    shrink_buffers(sock)
    sock.connect((host, int(port)))
    return sock


def shut_down(sock):
    """Closes a socket. A thread that sends or reads is woken by a shutdown and not by close()."""
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


# A side that does not read.

TUNNELS = 24
WARM_UP = MIB // 2
PIECE = 64 * KIB
SENT_MAX = 128 * MIB
END = b"--- and that was the last of it."


class Sender(threading.Thread):
    """Sends WARM random bytes; when `pour` is set, more of them until `enough` is set; then END."""

    def __init__(self, who, send, start_sending, enough):
        super().__init__(daemon=True)
        self.rng, self.send, self.start_sending, self.enough = random.Random(who), send, start_sending, enough
        self.count, self.digest, self.failure = 0, hashlib.sha256(), None
        self.start()

    def run(self):
        try:
            while self.count < WARM_UP:
                self._send(self.rng.randbytes(PIECE))
            self.start_sending.wait(DEADLINE)
            while not self.enough.is_set():
                assert self.count < SENT_MAX, "no end to what is taken"
                self._send(self.rng.randbytes(PIECE))
            self._send(END)
        except Exception as failure:
            self.failure = failure

    def _send(self, data):
        self.send(data)
        self.digest.update(data)
        self.count += len(data)

    def whole(self):
        self.join(DEADLINE)
        assert not self.is_alive(), "still sending"
        assert not self.failure, self.failure
        return self.count, self.digest.hexdigest()


class Receiver:
    def __init__(self, recv):
        self.recv = recv
        self.count, self.digest, self.tail = 0, hashlib.sha256(), b""

    def _read(self, is_enough):
        while not is_enough():
            data = self.recv(PIECE)
            assert data, f"ended after {self.count} bytes"
            self.digest.update(data)
            self.count += len(data)
            self.tail = (self.tail + data)[-len(END):]

    def read_warm(self):
        self._read(lambda: self.count >= WARM_UP)

    def read_on(self):
        self._read(lambda: self.tail == END)

    def whole(self):
        return self.count, self.digest.hexdigest()


class Side:
    """One end of a tunnel, with a sender if it sends and a receiver if it receives."""

    def __init__(self, who, send, recv, sends, receives, start_sending, enough):
        self.sender = Sender(who, send, start_sending, enough) if sends else None
        self.receiver = Receiver(recv) if receives else None
        self.is_warm = self.is_done = False

    def warm_up(self):
        if self.receiver:
            self.receiver.read_warm()
        self.is_warm = True

    def read_on(self):
        if self.receiver:
            self.receiver.read_on()
        if self.sender:
            self.sender.whole()
        self.is_done = True

    def sent(self):
        return self.sender.count if self.sender else 0


@pytest.mark.parametrize("down, up", [(True, False), (False, True), (True, True)],
                         ids=["client_does_not_read", "server_does_not_read", "nobody_reads"])
def test_a_side_that_does_not_read_makes_a_tunnel_hold_little_memory(down, up, pinproxyd, tls_server):
    """The daemon is stopped while its sockets fill up, so that it then reads as much as possible in a turn."""
    start_sending, enough = threading.Event(), threading.Event()
    sides = {}

    def serve(conn):
        who = conn.recv_exactly(4)
        conn.send(who)
        conn.recv_exactly(1)
        side = sides[int(who)] = Side(f"server {who}", conn.send, conn.recv, down, up, start_sending, enough)
        side.warm_up()
        conn.released.wait()
        side.read_on()
        servers.echo(conn)

    server = tls_server(serve)
    shrink_buffers(server.listener)
    daemon = pinproxyd({"global": {"workers": 1}, NAME: to(server)})
    clients = [connect_with_small_buffers(daemon.address(NAME)) for _ in range(TUNNELS)]
    try:
        for who, client in enumerate(clients):
            ping(client, b"%04d" % who)
        before = wait_idle(daemon, quiet=0.2)

        # Some bytes make the kernel enlarge its buffers.
        for client in clients:
            client.sendall(b"!")
        client_sides = [Side(f"client {who}", client.sendall, client.recv, up, down, start_sending, enough)
                for who, client in enumerate(clients)]
        run_parallel([side.warm_up for side in client_sides])
        wait_until(lambda: sum(side.is_warm for side in list(sides.values())) == TUNNELS, "the servers' share")
        server_sides = [sides[who] for who in range(TUNNELS)]
        senders = [side.sender for side in client_sides + server_sides if side.sender]

        with stopped(daemon):
            start_sending.set()
            wait_idle(daemon, *[side.sent for side in client_sides + server_sides], quiet=0.3)
        stalled = wait_idle(daemon, *[side.sent for side in client_sides + server_sides])
        assert_grown_at_most(STALLED_MAX, before, stalled, TUNNELS)
        assert all(sender.is_alive() for sender in senders), [sender.failure for sender in senders]

        # The tunnels are stalled and not broken.
        enough.set()
        server.released.set()
        run_parallel([side.read_on for side in client_sides])
        wait_until(lambda: all(side.is_done for side in server_sides), "the servers to have read all")
        for sending, receiving in [*zip(client_sides, server_sides), *zip(server_sides, client_sides)]:
            if sending.sender:
                assert receiving.receiver.whole() == sending.sender.whole()
        for client in clients:
            ping(client)
        if not instrumented():
            wait_until(lambda: daemon.anonymous_memory() - before <= IDLE_MAX * TUNNELS, "what was held, given back")
    finally:
        start_sending.set()
        enough.set()
        for client in clients:
            shut_down(client)


# A server that sends TLS messages instead of data.

CLIENTS = 8  # the log has at most ten lines of a repeated event
MESSAGES = 2000
BLOCK = random.Random(0).randbytes(4200)  # a little more data than permits one message

TLS_1_2, TLS_1_3 = 0x303, 0x304
SSL_CTRL_SET_MAX_PROTO_VERSION = 124
SSL_FILETYPE_PEM = 1

VERSIONS = {"key_update_requested": TLS_1_3, "key_update": TLS_1_3, "ticket": TLS_1_3, "hello_request": TLS_1_2}


def libssl():
    """Returns OpenSSL, which can send messages that Python's ssl module cannot."""
    pointer, number, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    signatures = {
        "TLS_server_method": (pointer,),
        "SSL_CTX_new": (pointer, pointer),
        "SSL_CTX_free": (None, pointer),
        "SSL_CTX_ctrl": (ctypes.c_long, pointer, number, ctypes.c_long, pointer),
        "SSL_CTX_use_certificate_chain_file": (number, pointer, text),
        "SSL_CTX_use_PrivateKey_file": (number, pointer, text, number),
        "SSL_new": (pointer, pointer),
        "SSL_free": (None, pointer),
        "SSL_set_fd": (number, pointer, number),
        "SSL_accept": (number, pointer),
        "SSL_write": (number, pointer, text, number),
        "SSL_key_update": (number, pointer, number),
        "SSL_new_session_ticket": (number, pointer),
        "SSL_renegotiate": (number, pointer),
        "SSL_do_handshake": (number, pointer),
    }
    library = ctypes.CDLL(ctypes.util.find_library("ssl") or "libssl.so.3")
    for name, (result, *arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class MessageSender:
    """The server's side of TLS, which reads nothing after the handshake. Its socket must block."""

    def __init__(self, sock, chain_file, key_file, version):
        self.lib = libssl()
        self.ctx = self.lib.SSL_CTX_new(self.lib.TLS_server_method())
        self._must(self.lib.SSL_CTX_ctrl(self.ctx, SSL_CTRL_SET_MAX_PROTO_VERSION, version, None))
        self._must(self.lib.SSL_CTX_use_certificate_chain_file(self.ctx, bytes(chain_file)))
        self._must(self.lib.SSL_CTX_use_PrivateKey_file(self.ctx, bytes(key_file), SSL_FILETYPE_PEM))
        self.ssl = self.lib.SSL_new(self.ctx)
        self._must(self.lib.SSL_set_fd(self.ssl, sock.fileno()))
        self._must(self.lib.SSL_accept(self.ssl))

    def _must(self, result):
        if result <= 0:
            raise ConnectionError("libssl says no")

    def send(self, data):
        self._must(self.lib.SSL_write(self.ssl, data, len(data)))

    def send_message(self, message):
        if message == "ticket":
            self._must(self.lib.SSL_new_session_ticket(self.ssl))
        elif message == "hello_request":
            self._must(self.lib.SSL_renegotiate(self.ssl))
        else:
            self._must(self.lib.SSL_key_update(self.ssl, message == "key_update_requested"))
        self._must(self.lib.SSL_do_handshake(self.ssl))

    def free(self):
        self.lib.SSL_free(self.ssl)
        self.lib.SSL_CTX_free(self.ctx)


@pytest.fixture
def message_server(raw_server, tmp_path):
    """Starts a server that calls behave(conn, sender) for each connection."""
    def start(behave, version):
        cert = certs.self_signed(tmp_path)
        files = cert.chain_file(), cert.key_file()

        def serve(conn):
            conn.sock.settimeout(None)
            message_sender = MessageSender(conn.sock, *files, version)
            try:
                behave(conn, message_sender)
            finally:
                message_sender.free()

        server = raw_server(serve)
        server.cert = cert
        return server
    return start


@pytest.mark.parametrize("message", VERSIONS)
def test_a_flood_of_tls_messages_is_refused_and_other_tunnels_continue(message, pinproxyd, message_server, tls_server):
    """The tunnels of the same thread continue undisturbed."""
    def flood(conn, message_sender):
        for _ in range(MESSAGES):
            message_sender.send_message(message)
        servers.never_answer(conn)

    server = message_server(flood, VERSIONS[message])
    daemon = pinproxyd({"global": {"workers": 1}, NAME: to(server, resume="yes"), "other.test": to(tls_server())})
    address = daemon.address(NAME)

    def ends():
        return daemon.events(event="upstream_error", section=NAME)

    with open_tunnel(daemon.address("other.test")) as neighbour:
        # The first flood makes OpenSSL and the heap allocate what they keep. OpenSSL 4.0 keeps a quarter more than 3.0.
        assert try_connection(address) == REFUSED
        wait_until(lambda: len(ends()) == 1, "the end of the first flood")
        before = daemon.anonymous_memory()
        with ThreadPoolExecutor(CLIENTS) as pool:
            floods = [pool.submit(try_connection, address) for _ in range(CLIENTS)]
            ping(neighbour)
            most = wait_idle(daemon, lambda: len(ends()), quiet=0.3)
        assert [visit.result() for visit in floods] == [REFUSED] * CLIENTS
        wait_until(lambda: len(ends()) == 1 + CLIENTS, "as many ends as there were floods")
        assert {(end["reason"], end["detail"]) for end in ends()} == {
            ("tls", "a flood of TLS messages without data")}
        assert_grown_at_most(STALLED_MAX, before, most, CLIENTS)
        ping(neighbour)
        open_tunnel(daemon.address("other.test")).close()
        if not instrumented():
            wait_until(lambda: daemon.anonymous_memory() - before <= IDLE_MAX * CLIENTS, "what was held, given back")


class BlockReader(threading.Thread):
    """Reads for ever, and checks that the data is BLOCK after BLOCK."""

    def __init__(self, sock):
        super().__init__(daemon=True)
        self.sock, self.count, self.is_right = sock, 0, True
        self.start()

    def run(self):
        blocks = BLOCK * (2 + PIECE // len(BLOCK))
        with contextlib.suppress(OSError):
            while data := self.sock.recv(PIECE):
                at = self.count % len(BLOCK)
                self.is_right &= data == blocks[at:at + len(data)]
                self.count += len(data)


@pytest.mark.parametrize("message, rounds", [("key_update_requested", 24_000), ("ticket", 4000)])
def test_tls_messages_between_data_do_not_pile_up(message, rounds, pinproxyd, message_server, tls_server):
    """The server sends as many messages as its data permits, and reads no answer. The client reads and sends.

    Whether the daemon refuses, delays or accepts this is not tested here.
    """
    start_sending, never, done = threading.Event(), threading.Event(), threading.Event()
    head = 1000

    def send_all(conn, message_sender):
        message_sender.send(BLOCK * head)
        conn.released.wait()
        for _ in range(rounds):
            message_sender.send(BLOCK)
            message_sender.send_message(message)
        done.wait(DEADLINE)

    server = message_server(send_all, VERSIONS[message])
    shrink_buffers(server.listener)
    daemon = pinproxyd({"global": {"workers": 1}, NAME: to(server, resume="yes"), "other.test": to(tls_server())})
    client = connect(daemon.address(NAME))
    try:
        listener = BlockReader(client)
        sender = Sender("client", client.sendall, start_sending, never)
        start_sending.set()
        before = wait_idle(daemon, lambda: listener.count, lambda: sender.count)
        assert listener.count == head * len(BLOCK)
        server.released.set()
        most = wait_idle(daemon, lambda: listener.count)
        # Half, because the client's data that the server does not read takes the other half.
        assert_grown_at_most(STALLED_MAX // 2, before, most)
        assert listener.count > head * len(BLOCK)
        assert listener.is_right
        open_tunnel(daemon.address("other.test")).close()
    finally:
        done.set()
        server.stop()
        shut_down(client)
