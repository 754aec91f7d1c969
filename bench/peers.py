"""The server and the clients, client.c and upstream.c: compiled, started, spoken to."""

import base64
import hashlib
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


def compile_all(place):
    for name in "upstream", "client", "first", "relay":
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", HERE / f"{name}.c", "-o", place / name, "-lssl",
                        "-lcrypto", "-pthread"], check=True)


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


def make_certificate(place):
    """Writes cert.pem and key.pem, and returns the pin of the key."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test",
            "-keyout", place / "key.pem", "-out", place / "cert.pem")
    public = openssl("pkey", "-in", place / "key.pem", "-pubout", "-outform", "DER")
    return "sha256//" + base64.b64encode(hashlib.sha256(public).digest()).decode()


class Peer:
    """A program that answers lines with lines."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def read(self):
        """The numbers of a line."""
        line = self.process.stdout.readline()
        if not line or line.startswith("error"):
            raise OSError(f"{self.process.args[0]}: {line.strip() or 'has ended'}")
        return [float(word) for word in line.split()]

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, line):
        self.tell(line)
        return self.read()


class Upstream(Peer):
    def __init__(self, place, suite):
        super().__init__(place / "upstream", place / "cert.pem", place / "key.pem", suite,
                         place / "server.sock")
        self.port, self.plain_port = map(int, self.read())

    def handshakes(self):
        """(all so far, those of them that were resumed)"""
        return self.ask("")


def first_answer(place, kind, port, count, pause):
    """(median, 99th percentile, maximum) in microseconds; see first.c. The pause is in seconds."""
    done = subprocess.run([place / "first", kind, str(port), str(count), str(int(pause * 1e6))],
                          stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise OSError(f"first {kind}: no answer")
    return [float(word) for word in done.stdout.split()]


class Client(Peer):
    """See client.c for the commands. Without a port it can only speak to the server."""

    def __init__(self, place, port=None):
        super().__init__(place / "client")
        if port:
            self.ask(f"port {port}")

    def seconds(self, line):
        return self.ask(line)[0]

    def open(self, count):
        return self.seconds(f"open {count}")

    def request(self, kind, size, count, over, at_once):
        return self.seconds(f"ask {kind} {size} {count} {over} {at_once}")

    def visit(self, count, at_once=16):
        return self.seconds(f"visit {count} {at_once}")
