"""A name server that answers, is slow, fails, or does not answer (RFC 1035, A records only)."""

import os
import socket
import struct
import threading
import time

import pytest

A, OK, SERVER_FAILURE, NAME_ERROR = 1, 0, 2, 3


class NameServer:
    """`names`: {name: address}; `delays`: {name: seconds}. `mode`: "answer", "fail" or "silent"."""

    def __init__(self, names, delays=None):
        self.names, self.delays, self.mode = names, delays or {}, "answer"
        self.asked = []
        # the port must be 53, so the address is one that no other test process uses
        self.address = f"127.53.{os.getpid() >> 8 & 255}.{(os.getpid() & 255) or 1}"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.bind((self.address, 53))
        except PermissionError:
            self.socket.close()
            pytest.skip("a name server on port 53 needs root")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(512)
            except OSError:
                return
            if not query:
                return
            threading.Thread(target=self._answer, args=(query, client), daemon=True).start()

    def _answer(self, query, client):
        name, end = self._question(query)
        kind, = struct.unpack_from("!H", query, end)
        self.asked.append(name)
        mode = self.mode
        if mode == "silent":
            return
        time.sleep(self.delays.get(name, 0))
        address = self.names.get(name)
        code = SERVER_FAILURE if mode == "fail" else OK if address else NAME_ERROR
        records = b""
        if code == OK and kind == A:
            records = struct.pack("!HHHIH", 0xc00c, A, 1, 0, 4) + socket.inet_aton(address)
        header = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, 1 if records else 0, 0, 0)
        try:
            self.socket.sendto(header + query[12:end + 4] + records, client)
        except OSError:
            pass  # it was stopped

    @staticmethod
    def _question(query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        return ".".join(labels).lower(), at + 1

    def stop(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self.address, 53))
        self.thread.join()
        self.socket.close()
