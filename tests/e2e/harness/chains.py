"""Chains for the trust matrix: good ones, and one for each fault.

`Hierarchy` makes the good hierarchy (Root, Inner, the server's leaf) and has a method for each row of the
matrix. A row may have other CAs, `inner` and `root` in the dict that its method returns. These are then
pinned, or trust anchors, in place of the good ones.
"""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness import certs
from harness.certs import DAY, NAME, der, ec_key, now, subject_of

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def issue(directory, subject, signer, *, key=None, names=(), ca=False, path_length=None, start=-1, end=90,
          purpose=ExtendedKeyUsageOID.SERVER_AUTH, digest=hashes.SHA256, permitted=None, excluded=None,
          sent=(), critical=None, ca_flag=True, ca_flag_critical=True, may_sign=True, key_usage=True,
          ca_purpose=None):
    """Returns a certificate of the CA `signer`, or a self-signed one. Its server also sends the certificates `sent`.

    With `ca`, `ca_flag=False` leaves the basic constraints out, `key_usage=False` the key usage, and
    `may_sign=False` its right to sign certificates.
    """
    key = key or ec_key()
    issuer, signing_key = (signer.cert.subject, signer.key) if signer else (subject_of(subject), key)
    public = key.public_key()
    builder = (x509.CertificateBuilder().subject_name(subject_of(subject)).issuer_name(issuer).public_key(public)
               .serial_number(x509.random_serial_number())
               .not_valid_before(now() + start * DAY).not_valid_after(now() + end * DAY)
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
                              critical=False))
    if ca_flag:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length if ca else None), critical=ca_flag_critical)
    if ca and key_usage:
        builder = builder.add_extension(
            x509.KeyUsage(True, False, False, False, False, may_sign, True, False, False), critical=True)
    if ca:
        purpose = ca_purpose
    if purpose:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    if permitted or excluded:
        trees = [[x509.DNSName(n) for n in t] if t else None for t in (permitted, excluded)]
        builder = builder.add_extension(x509.NameConstraints(*trees), critical=True)
    if critical:
        builder = builder.add_extension(
            x509.UnrecognizedExtension(x509.ObjectIdentifier(critical), b"\x05\x00"), critical=True)
    cert = certs.sign_certificate(builder, signing_key, digest())
    return certs.Cert(directory, cert, key, [c.cert for c in sent])


def with_signature(cert, signature):
    """Returns the same certificate with another signature value."""
    x = cert.cert
    whole = der(0x30, x.tbs_certificate_bytes + certs.EC_SHA256 + der(0x03, b"\0" + signature))
    return certs.Cert(cert.directory, x509.load_der_x509_certificate(whole), cert.key, cert.chain)


def malleated(cert):
    """Returns the certificate with the other valid ECDSA signature, (r, n - s), which anyone can compute."""
    r, s = decode_dss_signature(cert.cert.signature)
    return with_signature(cert, encode_dss_signature(r, P256_ORDER - s))


def forged(cert):
    """Returns the same certificate, signed with a random key."""
    return with_signature(cert, ec_key().sign(cert.cert.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256())))


class Stolen(certs.Cert):
    """A victim's certificate, served with a thief's private key.

    OpenSSL compares the public keys when it loads a pair. So the thief's file has the victim's public point
    beside his own private number (RFC 5915).
    """

    def __init__(self, victim, thief):
        super().__init__(victim.directory, victim.cert, victim.key, victim.chain)
        number = thief.private_numbers().private_value.to_bytes(32, "big")
        point = victim.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        prime256v1 = bytes.fromhex("06082a8648ce3d030107")
        self.forged = der(0x30, der(0x02, b"\1") + der(0x04, number) + der(0xa0, prime256v1)
                          + der(0xa1, der(0x03, b"\0" + point)))

    def key_file(self):
        return self._file("forged.pem", certs.pem("EC PRIVATE KEY", self.forged).encode())


class Hierarchy:
    def __init__(self, directory):
        self.directory = directory
        self.key = ec_key()  # the server's key, which is pinned
        self.inner_key = ec_key()
        self.root = self.issue("Good Root", None, ca=True, end=3650)
        self.inner = self.issue("Good Inner", self.root, ca=True, end=1000, key=self.inner_key)
        self.leaf = self.issue_leaf(self.inner)
        self.other_root = self.issue("Other Root", None, ca=True, end=3650)

    def issue(self, subject, signer, **options):
        return issue(self.directory, subject, signer, **options)

    def issue_leaf(self, signer, sent=None, **options):
        """Returns a certificate with the right name and the pinned key, sent with its issuer, by default."""
        options.setdefault("key", self.key)
        options.setdefault("names", [NAME])
        return self.issue("the server", signer, sent=[signer] if sent is None else sent, **options)

    def other_inner(self, **options):
        options.setdefault("ca", True)
        return self.issue("Another Inner", options.pop("signer", self.root), **options)

    def under(self, inner, **options):
        """Returns a row in which another CA issues the server, and is pinned in place of the good one."""
        return {"cert": self.issue_leaf(inner, **options), "inner": inner}

    def served(self, sent):
        """Returns the good leaf, sent with other certificates."""
        return certs.Cert(self.directory, self.leaf.cert, self.key, [c.cert for c in sent])

    def below_inner(self, count):
        chain = [self.inner]
        for depth in range(count):
            chain.insert(0, self.issue(f"Sub {depth}", chain[0], ca=True))
        return self.issue_leaf(chain[0], sent=chain)

    def under_root(self, **options):
        """Returns a row with a root of its own, two levels above the server. The root is sent and pinned."""
        root = self.issue("Own Root", None, ca=True, **options)
        inner = self.other_inner(signer=root)
        return {"cert": self.issue_leaf(inner, sent=[inner, root]), "inner": inner, "root": root}

    def twin(self):
        """Returns a certificate with Inner's name and key, issued by another root."""
        return self.issue("Good Inner", self.other_root, ca=True, key=self.inner_key)

    # good

    def good(self):
        return {"cert": self.leaf}

    def root_sent(self):
        return {"cert": self.served([self.inner, self.root])}

    def renewed_with_the_same_key(self):
        return {"cert": self.issue_leaf(self.inner)}

    def renewed_with_another_key(self):
        return {"cert": self.issue_leaf(self.inner, key=ec_key())}

    def by_the_root_itself(self):
        return {"cert": self.issue_leaf(self.root, sent=[])}

    def twin_sent_behind(self):
        return {"cert": self.served([self.inner, self.twin()])}

    def sent_in_disorder(self):
        return {"cert": self.served([self.root, self.inner])}

    def renewed_with_rsa_2048(self):
        return {"cert": self.issue_leaf(self.inner, key=rsa.generate_private_key(65537, 2048))}

    def no_purpose_named(self):
        return {"cert": self.issue_leaf(self.inner, purpose=None)}

    def deep_but_allowed(self):
        return {"cert": self.below_inner(5)}

    def root_signed_with_sha1(self):
        root = self.issue("Old Root", None, ca=True, digest=hashes.SHA1)
        inner = self.issue("Old Inner", root, ca=True)
        return {**self.under(inner), "root": root}

    def ca_of_openssl_req(self):
        """Debian 12's `openssl req -x509` makes a root without a key usage."""
        return self.under_root(key_usage=False)

    def ca_of_easy_rsa(self):
        """The basic constraints of easy-rsa are not critical."""
        return self.under_root(ca_flag_critical=False)

    # other issuers

    def other_ca(self):
        return {"cert": self.issue_leaf(self.other_root, sent=[], key=ec_key())}

    def other_ca_the_same_key(self):
        return {"cert": self.issue_leaf(self.other_root, sent=[])}

    def same_names_other_keys(self):
        root = self.issue("Good Root", None, ca=True)
        inner = self.issue("Good Inner", root, ca=True)
        return {"cert": self.issue_leaf(inner, key=ec_key())}

    def pinned_ca_merely_appended(self):
        return {"cert": self.issue_leaf(self.other_root, sent=[self.inner], key=ec_key())}

    def pinned_root_merely_appended(self):
        return {"cert": self.issue_leaf(self.other_root, sent=[self.other_root, self.root], key=ec_key())}

    def pinned_ca_behind_a_valid_chain(self):
        other = self.other_inner()
        return {"cert": self.issue_leaf(other, sent=[other, self.inner], key=ec_key())}

    def issued_by_a_leaf(self):
        return {"cert": self.issue_leaf(self.leaf, sent=[self.leaf, self.inner], key=ec_key())}

    def the_pinned_ca_as_server(self):
        return {"cert": certs.Cert(self.directory, self.inner.cert, self.inner_key, [])}

    def the_pinned_ca_as_server_by_name(self):
        inner = self.other_inner(names=[NAME])
        return {"cert": certs.Cert(self.directory, inner.cert, inner.key, [inner.cert]), "inner": inner}

    def issuer_not_sent(self):
        return {"cert": self.served([])}

    def cross_signed_twin(self):
        return {"cert": self.served([self.twin()])}

    def twin_sent_before_inner(self):
        return {"cert": self.served([self.twin(), self.inner])}

    def forged_twin(self):
        return {"cert": self.served([forged(self.inner)])}

    def forged_twin_as_a_root(self):
        return {"cert": self.served([forged(self.issue("Good Inner", None, ca=True, key=self.inner_key))])}

    def self_signed_the_same_key(self):
        return {"cert": self.issue_leaf(None, sent=[])}

    def self_signed_other_key(self):
        return {"cert": self.issue_leaf(None, sent=[], key=ec_key())}

    # faults of a CA

    def no_ca_flag(self):
        return self.under(self.other_inner(ca=False))

    def no_basic_constraints(self):
        return self.under(self.other_inner(ca_flag=False))

    def no_basic_constraints_of_the_root(self):
        return self.under_root(ca_flag=False)

    def ca_may_not_sign(self):
        return self.under(self.other_inner(may_sign=False))

    def ca_for_clients_only(self):
        return self.under(self.other_inner(ca_purpose=ExtendedKeyUsageOID.CLIENT_AUTH))

    def path_length(self):
        inner = self.other_inner(path_length=0)
        sub = self.issue("Sub", inner, ca=True)
        return {"cert": self.issue_leaf(sub, sent=[sub, inner]), "inner": inner}

    def too_deep(self):
        return {"cert": self.below_inner(9)}

    def name_not_permitted(self):
        return self.under(self.other_inner(permitted=["elsewhere.test"]))

    def name_excluded(self):
        return self.under(self.other_inner(excluded=[NAME]))

    def inner_expired(self):
        return self.under(self.other_inner(start=-20, end=-2))

    def inner_not_yet(self):
        return self.under(self.other_inner(start=2, end=90))

    def root_expired(self):
        return self.under_root(start=-20, end=-2)

    def root_not_yet(self):
        return self.under_root(start=2)

    def weak_root(self):
        return self.under_root(key=rsa.generate_private_key(65537, 1024))

    def root_path_length(self):
        return self.under_root(path_length=0)

    def root_excludes_the_name(self):
        return self.under_root(excluded=[NAME])

    def weak_ca(self):
        return self.under(self.other_inner(key=rsa.generate_private_key(65537, 1024)))

    def weak_ca_by_one_bit(self):
        return self.under(self.other_inner(key=rsa.generate_private_key(65537, 2047)))

    def inner_signed_with_sha1(self):
        return self.under(self.other_inner(digest=hashes.SHA1))

    # faults of the leaf

    def leaf_expired(self):
        return {"cert": self.issue_leaf(self.inner, start=-20, end=-2)}

    def leaf_not_yet(self):
        return {"cert": self.issue_leaf(self.inner, start=2, end=90)}

    def wrong_name(self):
        return {"cert": self.issue_leaf(self.inner, names=["elsewhere.test"])}

    def name_in_the_cn_only(self):
        return {"cert": self.issue(NAME, self.inner, key=self.key, sent=[self.inner])}

    def nul_in_the_name(self):
        return {"cert": self.issue_leaf(self.inner, names=[NAME + "\0.elsewhere.test"])}

    def wildcard_over_a_top_level(self):
        return {"cert": self.issue_leaf(self.inner, names=["*.test"])}

    def wrong_purpose(self):
        return {"cert": self.issue_leaf(self.inner, purpose=ExtendedKeyUsageOID.CLIENT_AUTH)}

    def unknown_critical_extension(self):
        return {"cert": self.issue_leaf(self.inner, critical="1.2.3.4.5.6")}

    def weak_leaf(self):
        return {"cert": self.issue_leaf(self.inner, key=rsa.generate_private_key(65537, 1024))}

    def weak_leaf_by_one_bit(self):
        return {"cert": self.issue_leaf(self.inner, key=rsa.generate_private_key(65537, 2047))}

    def weak_leaf_that_is_pinned(self):
        cert = self.issue_leaf(self.inner, key=rsa.generate_private_key(65537, 1024))
        return {"cert": cert, "leaf": cert}

    def leaf_signed_with_sha1(self):
        return {"cert": self.issue_leaf(self.inner, digest=hashes.SHA1)}

    def leaf_signed_with_md5(self):
        return self.under(self.other_inner(key=rsa.generate_private_key(65537, 2048)), digest=hashes.MD5)

    def signature_in_other_bytes(self):
        return {"cert": malleated(self.leaf)}

    def signature_of_the_ca_in_other_bytes(self):
        return {"cert": self.served([malleated(self.inner)])}

    def signature_of_another(self):
        return {"cert": forged(self.leaf)}

    def stolen_without_its_key(self):
        return {"cert": Stolen(self.leaf, ec_key())}
