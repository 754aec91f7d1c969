"""A name server that answers, is slow, fails, or does not answer (RFC 1035; A and AAAA records)."""

import os
import socket
import struct
import threading
import time

import pytest

A, AAAA = 1, 28
OK, SERVER_FAILURE, NAME_ERROR = 0, 2, 3
FAMILIES = {A: socket.AF_INET, AAAA: socket.AF_INET6}


class NameServer:
    """`names`: {name: address or addresses}; `delays`: {name: seconds}. `mode`: "answer", "fail" or "silent".

    `silent`: questions that get no answer (A, AAAA); `failing`: those that fail; `late`: {question: seconds}."""

    def __init__(self, names, delays=None):
        self.names, self.delays, self.mode = names, delays or {}, "answer"
        self.silent, self.failing, self.late = set(), set(), {}
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
        if mode == "silent" or kind in self.silent:
            return
        time.sleep(self.delays.get(name, 0) + self.late.get(kind, 0))
        addresses = self.names.get(name, [])
        if isinstance(addresses, str):
            addresses = [addresses]
        code = SERVER_FAILURE if mode == "fail" or kind in self.failing else OK if addresses else NAME_ERROR
        records = []
        if code == OK and kind in FAMILIES:
            found = [socket.inet_pton(FAMILIES[kind], address) for address in addresses
                     if (":" in address) == (kind == AAAA)]
            records = [struct.pack("!HHHIH", 0xc00c, kind, 1, 0, len(data)) + data for data in found]
        header = query[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        try:
            self.socket.sendto(header + query[12:end + 4] + b"".join(records), client)
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
