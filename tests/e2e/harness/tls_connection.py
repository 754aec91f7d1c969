"""A TLS connection that shows what came, as plaintext and as ciphertext, and how it ended.

Python's SSLSocket hides close_notify; a memory BIO does not.
"""

import socket
import ssl
import struct
import threading

from harness.waiting import DEADLINE

KEPT = 1 << 20  # bytes of each stream that are kept for the test


class Truncated(Exception):
    """TCP ended before TLS did."""


def reset(sock):
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class TlsConn:
    """`end` is how the peer ended the connection: close_notify, truncated, reset, or None if it did not yet."""

    def __init__(self, sock, context, server_side=True, server_hostname=None):
        sock.settimeout(DEADLINE)
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side, server_hostname)
        self.lock = threading.RLock()       # the SSL object
        self.send_lock = threading.RLock()  # keeps the records in order
        self.ready = bytearray()            # decrypted, not yet returned by recv()
        self.wire = bytearray()             # as it came, up to KEPT
        self.plaintext = bytearray()        # decrypted, up to KEPT
        self.received = 0
        self.sent = 0
        self.handshake_done = False
        self.error = None
        self.end = None

    # wire

    def flush(self):
        with self.send_lock:
            while True:
                with self.lock:
                    data = self.outgoing.read()
                if not data:
                    return
                self.sock.sendall(data)

    def _pull(self):
        """Reads once from the socket into TLS. Returns False at the end of TCP."""
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            self.end = self.end or "reset"
            raise
        if not data:
            return False
        if len(self.wire) < KEPT:
            self.wire += data
        with self.lock:
            self.incoming.write(data)
        return True

    # TLS

    def handshake(self):
        while True:
            try:
                with self.lock:
                    self.tls.do_handshake()
                self.flush()
                self.handshake_done = True
                # What came with the last flight must not wait for the socket.
                with self.lock:
                    self._decrypt()
                return self
            except ssl.SSLWantReadError:
                self.flush()
                if not self._pull():
                    self.end = "truncated"
                    raise Truncated("during the handshake")
            except ssl.SSLError as error:
                self.error = error
                self.flush()
                raise

    def _decrypt(self):
        while self.end != "close_notify":
            try:
                data = self.tls.read(65536)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                data = b""
            if not data:
                self.end = "close_notify"
                return
            self.received += len(data)
            if len(self.plaintext) < KEPT:
                self.plaintext += data
            self.ready += data

    def recv(self, limit=1 << 20):
        """Returns plaintext, or b"" after close_notify. Raises Truncated or ConnectionResetError."""
        while not self.ready:
            if self.end == "close_notify":
                return b""
            if not self._pull():
                if self.end is None:
                    self.end = "truncated"
                raise Truncated("TCP ended without close_notify")
            with self.lock:
                self._decrypt()
            # A thread that is sending also sends what this read caused; to wait for that thread could take for ever.
            if self.outgoing.pending and self.send_lock.acquire(blocking=False):
                try:
                    self.flush()
                finally:
                    self.send_lock.release()
        data = bytes(self.ready[:limit])
        del self.ready[:limit]
        return data

    def recv_all(self):
        parts = []
        while data := self.recv():
            parts.append(data)
        return b"".join(parts)

    def recv_exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.recv(count - len(data))
            assert more, f"ended after {len(data)} of {count} bytes"
            data += more
        return data

    def drain_raw(self):
        """Reads to the end of TCP, and ignores errors of TLS."""
        try:
            while self._pull():
                with self.lock:
                    try:
                        self._decrypt()
                    except ssl.SSLError:
                        pass
        except OSError:
            pass

    def send(self, data):
        with self.send_lock:
            with self.lock:
                self.tls.write(data)
            self.flush()
        self.sent += len(data)

    def close_notify(self):
        with self.send_lock:
            with self.lock:
                self._decrypt()  # unwrap() would read and lose the records that _pull() stored
                try:
                    self.tls.unwrap()
                except ssl.SSLError:
                    pass  # the peer's close_notify may come much later
            self.flush()

    def truncate(self):
        """Ends TCP without close_notify, by a FIN. To close with bytes unread would be a reset."""
        self.sock.shutdown(socket.SHUT_WR)
        self.drain_raw()
        self.sock.close()

    def reset(self):
        reset(self.sock)
