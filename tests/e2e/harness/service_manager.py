"""The receiving side of sd_notify(3)."""

import select
import socket

from harness.waiting import DEADLINE


class ServiceManager:
    """Listens on the socket that NOTIFY_SOCKET names, as systemd does."""

    def __init__(self, path):
        self.path = str(path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(self.path)
        self.sock.settimeout(DEADLINE)

    def next(self):
        message = self.sock.recv(4096).decode()
        return dict(line.split("=", 1) for line in message.splitlines())

    def is_silent(self, seconds):
        return not select.select([self.sock], [], [], seconds)[0]

    def stop(self):
        self.sock.close()
