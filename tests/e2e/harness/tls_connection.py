"""One TLS connection with every end of it in sight: what came, in clear and in cipher, and how it ended.

Python's SSLSocket hides close_notify; a memory BIO does not.
"""

import socket
import ssl
import struct
import threading

from harness.waiting import DEADLINE

KEPT = 1 << 20  # bytes of each stream that are kept for a later look


class Truncated(Exception):
    """TCP ended where TLS had not."""


def reset(sock):
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class TlsConn:
    """`end` says how the peer ended: close_notify, truncated, reset, or None while it has not."""

    def __init__(self, sock, context, server_side=True, server_hostname=None):
        sock.settimeout(DEADLINE)
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side, server_hostname)
        self.lock = threading.RLock()       # the SSL object
        self.send_lock = threading.RLock()  # the order of records
        self.ready = bytearray()            # decrypted, not yet asked for
        self.wire = bytearray()             # as it came, up to KEPT
        self.plaintext = bytearray()        # decrypted, up to KEPT
        self.received = 0
        self.sent = 0
        self.shaken = False
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
        """One read from the socket into TLS; False at TCP's end."""
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
                self.shaken = True
                # What came with the last flight is not to wait for the socket.
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
        """Plaintext; b"" after close_notify; raises Truncated or ConnectionResetError."""
        while not self.ready:
            if self.end == "close_notify":
                return b""
            if not self._pull():
                if self.end is None:
                    self.end = "truncated"
                raise Truncated("TCP ended without close_notify")
            with self.lock:
                self._decrypt()
            # A sender at work takes what reading gave rise to along; waiting for it could be for ever.
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
        """Reads on to the end of TCP, whatever TLS says."""
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
                self._decrypt()  # unwrap() would read records that _pull() has put there, and lose them
                try:
                    self.tls.unwrap()
                except ssl.SSLError:
                    pass  # wants the peer's, which may come much later
            self.flush()

    def cut(self):
        """TCP's end without close_notify: a FIN. To close with bytes unread would be a reset."""
        self.sock.shutdown(socket.SHUT_WR)
        self.drain_raw()
        self.sock.close()

    def reset(self):
        reset(self.sock)
