"""Plaintext clients. They speak to upstream.c, through a proxy or not."""

import socket
import struct
import threading
import time

CHUNK = bytearray(1 << 20)
PATIENCE = struct.pack("ll", 30, 0)  # struct timeval


class Client:
    """One blocking connection; what takes over 30 s raises BlockingIOError."""

    def __init__(self, port):
        self.sock = socket.socket()
        # The kernel's timeouts, since with Python's MSG_WAITALL would not wait.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, PATIENCE)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, PATIENCE)
        self.sock.connect(("127.0.0.1", port))

    def ask(self, kind, size):
        self.sock.sendall(b"%c%015d" % (ord(kind), size))

    def receive(self, size, flags=0):
        while size:
            n = self.sock.recv_into(CHUNK, min(size, len(CHUNK)), flags | socket.MSG_WAITALL)
            if n == 0:
                raise OSError(f"the connection ended {size} bytes early")
            size -= n

    def download(self, size):
        self.ask("d", size)
        self.receive(size, socket.MSG_TRUNC)  # tcp(7): counted, not copied

    def upload(self, size):
        self.ask("u", size)
        for done in range(0, size, len(CHUNK)):
            self.sock.sendall(memoryview(CHUNK)[:size - done])
        self.receive(1)

    def start_echo(self):
        self.ask("e", 1)
        self.sock.sendall(b"x")

    def close(self):
        self.sock.close()


def answers(port):
    """Whether a byte gets to the upstream and back."""
    try:
        client = Client(port)
        try:
            client.start_echo()
            client.receive(1)
            return True
        finally:
            client.close()
    except OSError:
        return False


def open_tunnels(port, count, at_once=20):
    """So many clients, each of which has had one byte back."""
    clients = []
    try:
        while len(clients) < count:
            batch = [Client(port) for _ in range(min(at_once, count - len(clients)))]
            clients += batch
            for client in batch:
                client.start_echo()
            for client in batch:
                client.receive(1)
    except BaseException:
        close(clients)
        raise
    return clients


def close(clients):
    for client in clients:
        client.close()


def transfer(clients, direction, size):
    """Moves `size` bytes, spread over the clients; returns the seconds that took."""
    failures = []

    def work(client):
        try:
            getattr(client, direction)(size // len(clients))
        except OSError as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.monotonic() - start
