"""What no proxy can go below on this machine: the cipher, and a handshake's arithmetic. The third
part, two socket traversals, is the plain relay's row."""

import subprocess

import peers

HANDSHAKES = 1000


def openssl_speed(count, *what):
    """The last `count` numbers that openssl-speed(1) prints."""
    said = subprocess.run(["openssl", "speed", "-seconds", "1", *what], check=True, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return [float(word.rstrip("k")) for word in said.split()[-count:]]


def cipher(name):
    """CPU seconds per GB, in records of 16 KiB."""
    return 1e6 / openssl_speed(1, "-bytes", "16384", "-evp", name)[0]


def measure(bench):
    verifications, = openssl_speed(1, "ecdsap256")
    exchanges, = openssl_speed(1, "ecdhx25519")
    with peers.Client(bench.place) as client:
        connection, = client.ask(f"shake {bench.upstream.port} {HANDSHAKES}")
    return {
        "AES-128-GCM, CPU s/GB": cipher("aes-128-gcm"),
        "AES-256-GCM, CPU s/GB": cipher("aes-256-gcm"),
        # the client's part: a key of its own, a shared secret, and the server's signature
        "public-key operations of a full handshake, CPU ms": 1000 / verifications
                                                             + 2 * 1000 / exchanges,
        "a bare client's full connection, CPU ms": connection,
    }
