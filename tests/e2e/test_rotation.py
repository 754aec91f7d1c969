"""A key is rotated as the README and pinproxyd.conf(5) tell it, under load, without one failed request."""

import subprocess
import threading

import certs
from certs import NAME
from clients import talk
from config import to
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from daemon import run_pinproxy


class Load:
    """Requests, one after the other, in a few threads, until it is stopped."""

    def __init__(self, address, threads=3):
        self.address, self.done, self.failures = address, 0, []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        while not self.stopping.is_set():
            try:
                assert talk(self.address, b"request") == b"request"
                self.done += 1
            except Exception as error:
                self.failures.append(error)

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        assert self.done > 10 and not self.failures, self.failures


def test_rotation(pinproxyd, tls_server, stack, tmp_path):
    server = tls_server()
    today = f"{server.cert.pin} name=today"
    daemon = pinproxyd({NAME: to(server, pin=today)})
    load = stack.add(Load(daemon.address(NAME)))

    def check():
        return run_pinproxy("check", "--live", "-c", daemon.file)

    def served(pin):
        daemon.wait_event(since=daemon.mark(), event="tunnel_open", pin=pin)

    assert check().returncode == 1  # one pin only: the next renewal would be an outage

    # 1. the next key, and its request
    key, request = tmp_path / "next.key", tmp_path / "next.csr"
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", request, "-subj", f"/CN={NAME}"], check=True, capture_output=True)
    # 2. its pin, from the request, behind today's
    pin = run_pinproxy("hash", request).out.split()[0]
    assert run_pinproxy("hash", key).out.split()[0] == pin
    daemon.reload({NAME: to(server, pin=[today, f"{pin} name=next"])})
    run = check()
    assert run.returncode == 0, run.out
    assert "pin today matches" in run.out and "backup pin next: not seen yet" in run.out
    served("today")
    # 3. the new certificate, on the server
    private = load_pem_private_key(key.read_bytes(), None)
    assert certs.spki_pin(x509.load_pem_x509_csr(request.read_bytes()).public_key()) == pin
    server.use(certs.self_signed(tmp_path, key=private))
    served("next")
    # 4. the old pin goes
    run = check()
    assert run.returncode == 0, run.out
    assert "the server already uses next: pin today can go" in run.out
    after = certs.self_signed(tmp_path)
    daemon.reload({NAME: to(server, pin=[f"{pin} name=next", f"{after.pin} name=after-next"])})
    served("next")
    run = check()
    assert run.returncode == 0 and "backup pin after-next: not seen yet" in run.out, run.out
    load.stop()
    assert not daemon.events(event=lambda e: e in ("pin_mismatch", "refused", "upstream_error"))
