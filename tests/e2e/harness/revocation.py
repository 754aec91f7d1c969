"""Revocation lists, OCSP responses, and a server that staples them."""

import subprocess
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness import certs
from harness.assertions import SECRET
from harness.certs import DAY, NAME, now
from harness.chains import issue
from harness.clients import connect
from harness.openssl import openssl_version
from harness.servers import closed_port
from harness.waiting import DEADLINE, wait_until

_numbers = iter(range(1, 10_000))


def crl(directory, ca, *revoked, start=-1, end=7, der=False, digest=hashes.SHA256):
    """Returns the path of a CA's revocation list. Returns a certificate. `start` and `end` are days from now."""
    builder = (x509.CertificateRevocationListBuilder().issuer_name(ca.cert.cert.subject)
               .last_update(now() + start * DAY).next_update(now() + end * DAY)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
               .add_extension(x509.CRLNumber(next(_numbers)), critical=False))
    for cert in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(cert.cert.serial_number)
            .revocation_date(now() - DAY).build())
    path = directory / f"list{next(_numbers)}.crl"
    whole = certs.sign(builder, ca.key, digest())
    path.write_bytes(whole if der else certs.pem("X509 CRL", whole).encode())
    return path


def responder(ca, purpose=ExtendedKeyUsageOID.OCSP_SIGNING):
    """Returns a certificate, with its key, of a responder that the CA delegates to."""
    return issue(ca.cert.directory, "responder", ca.cert, purpose=purpose)


def response(cert, issuer, signer=None, *, status=ocsp.OCSPCertStatus.GOOD, start=-1, end=3, signer_cert=None):
    """Returns an OCSP response in DER. The issuer signs it, unless there is another signer."""
    signer = signer or issuer
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=cert.cert, issuer=issuer.cert.cert, algorithm=hashes.SHA1(), cert_status=status,
        this_update=now() + start * DAY, next_update=None if end is None else now() + end * DAY,
        revocation_time=now() - DAY if revoked else None, revocation_reason=None)
    own = signer.cert.cert if hasattr(signer.cert, "cert") else signer.cert
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, own)
    if signer is not issuer:
        builder = builder.certificates([own])
    return sign_response(builder, signer.key)


def response_for_another(cert, ca):
    """Returns a response for another certificate of the CA. Skips the test if s_server does not staple that."""
    if openssl_version() >= (3, 6):
        pytest.skip("since OpenSSL 3.6, s_server compares the serial numbers; tests/unit/ocsp.c has this case")
    return response(ca.issue(), ca)


def sign_response(builder, key, digest=hashes.SHA256):
    """Returns an OCSP response in DER, from a builder of the cryptography library."""
    whole = builder.sign(key, hashes.SHA256() if certs.is_weak(digest()) else digest()).public_bytes(Encoding.DER)
    if not certs.is_weak(digest()):
        return whole
    # OCSPResponse, ResponseBytes, BasicOCSPResponse (RFC 6960 section 4.2.1)
    (status, _), (_, tagged) = certs.der_elements(certs.der_elements(whole)[0][1])
    (kind, _), (_, basic) = certs.der_elements(certs.der_elements(tagged)[0][1])
    basic = certs.signed_weakly(basic, key, digest())
    return certs.der(0x30, status + certs.der(0xa0, certs.der(0x30, kind + certs.der(0x04, basic))))


class PrintingServer:
    """`openssl s_server`, which prints the plaintext that it receives."""

    def __init__(self, cert, *arguments):
        self.cert, self.port = cert, closed_port()
        self.address = f"127.0.0.1:{self.port}"
        command = ["openssl", "s_server", "-accept", self.address, "-cert", cert.pem_file(), "-key", cert.key_file(),
                   *arguments]
        if cert.chain:
            command += ["-cert_chain", cert.issuers_file()]
        # At the end of its standard input it would exit. With -rev or -www it would not print what it receives.
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.output = bytearray()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        wait_until(lambda: b"ACCEPT" in self.output, "s_server")

    def _read(self):
        while data := self.process.stdout.read1(65536):
            self.output += data

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(DEADLINE)
        self.process.stdout.close()
        self.process.stdin.close()

    def send(self, data):
        """Sends data to the client that is connected."""
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def has_received(self, data):
        return data.strip() in self.output

    def assert_nothing_received(self, *data):
        """Asserts that the server printed none of data."""
        assert not [one for one in data if self.has_received(one)], bytes(self.output)


class StaplingServer(PrintingServer):
    """One with a response stapled (None: no response)."""

    def __init__(self, cert, staple, version):
        self.staple = cert.directory / "staple.der"  # the server reads it for each handshake
        arguments = [f"-tls1_{version}"]
        if staple is not None:
            self.staple.write_bytes(staple)
            arguments += ["-status_file", self.staple]
        super().__init__(cert, *arguments)


def deliver(daemon, server, data=SECRET):
    """Sends data through the daemon and waits until a PrintingServer has printed it."""
    with connect(daemon.address(NAME)) as sock:
        sock.sendall(data)
        wait_until(lambda: server.has_received(data), "the data at the server")
