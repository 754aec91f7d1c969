"""The PROXY protocol: a parser of its headers, and a chain of real servers that read them inside TLS."""

import socket
import struct
from pathlib import Path
from typing import NamedTuple

from harness.real_servers import Process, need
from harness.servers import closed_port

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


class Header(NamedTuple):
    command: str  # PROXY, LOCAL or UNKNOWN
    source: tuple = None  # (address, port)
    destination: tuple = None


def split_header(data):
    """Returns the header that data begins with, and what follows it."""
    if data.startswith(SIGNATURE):
        return _split_v2(data)
    line, rest = data.split(b"\r\n", 1)
    word, family, *fields = line.decode().split(" ")
    assert word == "PROXY", line
    if family == "UNKNOWN":
        assert not fields, line
        return Header("UNKNOWN"), rest
    source, destination, source_port, port = fields
    for address in (source, destination):
        assert (":" in address) == (family == "TCP6"), line
    return Header("PROXY", (source, int(source_port)), (destination, int(port))), rest


def _split_v2(data):
    command, family, length = struct.unpack_from("!BBH", data, 12)
    addresses, rest = data[16:16 + length], data[16 + length:]
    if command == 0x20:
        assert (family, length) == (0, 0)
        return Header("LOCAL"), rest
    assert command == 0x21
    kind, size = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}[family]
    assert length == 2 * size + 4
    source, destination = (socket.inet_ntop(kind, addresses[at:at + size]) for at in (0, size))
    source_port, port = struct.unpack_from("!HH", addresses, 2 * size)
    return Header("PROXY", (source, source_port), (destination, port)), rest


def haproxy(directory):
    """Starts HAProxy, which expects a header in plaintext. Its HTTP answers name the client and the listener."""
    program, = need("haproxy")
    port, file = closed_port(), Path(directory) / "haproxy.cfg"
    file.write_text(f"""
defaults
  mode http
  timeout client 20s
  timeout server 20s
  timeout connect 20s
frontend plain
  bind 127.0.0.1:{port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst]:%[dst_port]"
""")
    return Process(directory, [program, "-db", "-f", str(file)], port)


def stunnel(directory, cert, target):
    """Starts stunnel, which ends TLS and passes the plaintext on to target."""
    program, = need("stunnel4")
    port, file = closed_port(), Path(directory) / "stunnel.conf"
    file.write_text(f"""
foreground = yes
pid =
[tls]
accept = 127.0.0.1:{port}
connect = {target}
cert = {cert.pem_file()}
key = {cert.key_file()}
""")
    return Process(directory, [program, str(file)], port, cert)
