"""Keys, certificates and CAs, made for each test."""

import base64
import datetime
import hashlib
import ipaddress
import itertools
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from harness.openssl import openssl

NAME = "server.test"  # the usual name of the upstream
OTHER = "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="  # a pin that no server has

_count = itertools.count(1)
DAY = datetime.timedelta(days=1)


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)


def day(offset):
    """Returns a date in the form of `until`, `offset` days from today."""
    return (now() + offset * DAY).strftime("%Y-%m-%d")


def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


def rsa_key(bits=2048):
    return rsa.generate_private_key(65537, bits)


def spki_pin(public_key):
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()


class Cert:
    """A certificate and its key, and its files and pins in each form."""

    def __init__(self, directory, cert, key, chain=()):
        self.cert, self.key, self.chain = cert, key, list(chain)
        self.directory = Path(directory) / f"cert{next(_count)}"
        self.directory.mkdir(parents=True)
        self.der = cert.public_bytes(Encoding.DER)
        self.pem = cert.public_bytes(Encoding.PEM)
        self.pin = spki_pin(cert.public_key())
        self.hex = hashlib.sha256(self.der).hexdigest()
        self.colons = ":".join(self.hex[i:i + 2] for i in range(0, 64, 2)).upper()
        self.cert_pin = f"cert:sha256:{self.hex}"

    def _file(self, name, content):
        path = self.directory / name
        path.write_bytes(content)
        return path

    def pem_file(self):
        return self._file("cert.pem", self.pem)

    def der_file(self):
        return self._file("cert.der", self.der)

    def chain_file(self):
        return self._file("chain.pem", b"".join(c.public_bytes(Encoding.PEM) for c in [self.cert, *self.chain]))

    def issuers_file(self):
        """Returns the file of the chain without the certificate itself."""
        return self._file("issuers.pem", b"".join(c.public_bytes(Encoding.PEM) for c in self.chain))

    def key_file(self):
        return self._file("key.pem", self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def key_der_file(self):
        return self._file("key.der", self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))

    def pubkey_file(self):
        return self._file("pub.pem", self.cert.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def pubkey_der_file(self):
        return self._file("pub.der", self.cert.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def _csr(self):
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject_of(NAME))
        return builder.sign(self.key, hashes.SHA256())

    def csr_file(self):
        return self._file("csr.pem", self._csr().public_bytes(Encoding.PEM))

    def csr_der_file(self):
        return self._file("csr.der", self._csr().public_bytes(Encoding.DER))


def der(tag, content):
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def der_elements(data):
    """Returns (element, content) of each DER element in data."""
    found = []
    while data:
        size = data[1] & 0x7f if data[1] & 0x80 else 0
        start = 2 + size
        end = start + (int.from_bytes(data[2:start], "big") if size else data[1])
        found.append((data[:end], data[start:end]))
        data = data[end:]
    return found


# AlgorithmIdentifiers (RFC 5758, RFC 4055, RFC 3279).
EC_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
EC_SHA1 = bytes.fromhex("300906072a8648ce3d0401")
RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")
RSA_WEAK = {"sha1": bytes.fromhex("300d06092a864886f70d0101050500"),
            "md5": bytes.fromhex("300d06092a864886f70d0101040500")}


def signed_weakly(whole, key, digest):
    """Signs a DER certificate, list or basic OCSP response again with SHA-1 or MD5. `key` has signed it with SHA-256.

    The cryptography library refuses a weak digest since version 43.
    """
    (tbs, _), _, _, *rest = der_elements(der_elements(whole)[0][1])
    if isinstance(key, rsa.RSAPrivateKey):
        was, becomes, scheme = RSA_SHA256, RSA_WEAK[digest.name], (padding.PKCS1v15(), digest)
    else:
        was, becomes, scheme = EC_SHA256, EC_SHA1, (ec.ECDSA(digest),)
    tbs = der(0x30, der_elements(tbs)[0][1].replace(was, becomes))
    return der(0x30, tbs + becomes + der(0x03, b"\0" + key.sign(tbs, *scheme)) + b"".join(w for w, _ in rest))


def is_weak(digest):
    return digest.name in ("sha1", "md5")


def sign(builder, key, digest):
    """Returns a certificate or list in DER, from a builder of the cryptography library."""
    whole = builder.sign(key, hashes.SHA256() if is_weak(digest) else digest).public_bytes(Encoding.DER)
    return signed_weakly(whole, key, digest) if is_weak(digest) else whole


def sign_certificate(builder, key, digest):
    return x509.load_der_x509_certificate(sign(builder, key, digest))


def pem(label, whole):
    text = base64.b64encode(whole).decode()
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    return f"-----BEGIN {label}-----\n" + "\n".join(lines) + f"\n-----END {label}-----\n"


def subject_of(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _alternative_names(names):
    found = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append((x509.UniformResourceIdentifier if "://" in name else x509.DNSName)(name))
    return x509.SubjectAlternativeName(found)


def _build(subject, public_key, issuer, signer, *, names=(), ca=False, start=-1, end=90, digest=None,
           usage=ExtendedKeyUsageOID.SERVER_AUTH):
    """Returns a certificate. `start` and `end` are days from now. `usage`: the extended key usage, or None."""
    builder = (x509.CertificateBuilder()
               .subject_name(subject).issuer_name(issuer).public_key(public_key)
               .serial_number(x509.random_serial_number())
               .not_valid_before(now() + start * DAY).not_valid_after(now() + end * DAY)
               .add_extension(x509.BasicConstraints(ca, None), critical=True))
    if ca:
        builder = builder.add_extension(
            x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
    elif usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if names:
        builder = builder.add_extension(_alternative_names(names), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    return sign_certificate(builder, signer, digest or hashes.SHA256())


def self_signed(directory, names=(NAME,), key=None, subject=None, **options):
    key = key or ec_key()
    name = subject or subject_of(names[0] if names else "nameless")
    return Cert(directory, _build(name, key.public_key(), name, key, names=names, **options), key)


class CA:
    """A CA: a root, or below `parent`."""

    def __init__(self, directory, common_name="Test Root", parent=None, **options):
        self.directory, self.parent, self.key = directory, parent, ec_key()
        self.name = subject_of(common_name)
        issuer, signer = (parent.name, parent.key) if parent else (self.name, self.key)
        cert = _build(self.name, self.key.public_key(), issuer, signer, ca=True, end=3650, **options)
        self.cert = Cert(directory, cert, self.key)

    def issue(self, names=(NAME,), key=None, subject=None, **options):
        """Returns a server's certificate, with the chain that its server sends, without the root."""
        key = key or ec_key()
        subject = subject or subject_of(names[0] if names else "nameless")
        cert = _build(subject, key.public_key(), self.name, self.key, names=names, **options)
        chain = [self.cert.cert] if self.parent else []
        return Cert(self.directory, cert, key, chain)


def client_certificate(ca, name="client", **options):
    """Returns a certificate for a client."""
    options.setdefault("usage", ExtendedKeyUsageOID.CLIENT_AUTH)
    return ca.issue([], subject=subject_of(name), **options)


def with_subject_bytes(directory, common_name):
    """Returns a self-signed certificate whose common name is any bytes.

    It is a T61String, because OpenSSL refuses a UTF8String that is not UTF-8.
    """
    stand_in = b"Q" * len(common_name)
    key = ec_key()
    cert = self_signed(directory, key=key, subject=subject_of(stand_in.decode())).cert
    tbs = cert.tbs_certificate_bytes.replace(der(0x0c, stand_in), der(0x14, common_name))
    signature = key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    whole = der(0x30, tbs + EC_SHA256 + der(0x03, b"\0" + signature))
    return Cert(directory, x509.load_der_x509_certificate(whole), key)


def hashed_directory(directory, cert):
    """Makes a directory of trust anchors as `openssl rehash` does, with one certificate in it."""
    directory.mkdir()
    (directory / "root.pem").write_bytes(cert.pem)
    openssl("rehash", directory)
    return directory
