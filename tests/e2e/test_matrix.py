"""The trust matrix: every chain of harness/chains.py under every policy, over TLS 1.2 and 1.3.

The expected verdict of each cell was derived from the rules, with the reason, before it was tried:

    o  accepted
    M  pin_mismatch: no live pin matches, or no pinned issuer was found
    P  refused, pki: a pin (or the anchor of one) matches, and the chain does not verify
    W  refused, weak
    T  upstream_error, tls: the server has not proved that it holds the key

After the cells come the expected messages of P and W, with the depth in the chain (0 is the server's
own certificate). A chain that is refused for another reason than its own proves nothing.
"""

import base64
import re
import socket
import ssl
import subprocess
from collections import Counter

import pytest

from harness import servers
from harness.assertions import FAILURES
from harness.certs import NAME
from harness.chains import Hierarchy
from harness.clients import connect
from harness.daemon import Daemon
from harness.openssl import openssl_version

# the cryptography library warns of SHA-1 and MD5
pytestmark = pytest.mark.filterwarnings("ignore:.* signatures are deprecated")

VERSIONS = {"12": ssl.TLSVersion.TLSv1_2, "13": ssl.TLSVersion.TLSv1_3}

OUTCOMES = {("tunnel_open", None): "o", ("pin_mismatch", None): "M", ("refused", "pki"): "P",
            ("refused", "weak"): "W", ("upstream_error", "tls"): "T"}

SAYS = {
    "anchor": "self-signed certificate in certificate chain",
    "camd": "CA signature digest algorithm too weak",
    "cakey": "CA certificate key too weak",
    "critical": "unhandled critical extension",
    "deep": "certificate chain too long",
    "early": "certificate is not yet valid",
    "excluded": "excluded subtree violation",
    "expired": "certificate has expired",
    "issuer": "unable to get local issuer certificate",
    "key": "EE certificate key too weak",
    "name": "hostname mismatch",
    "notca": "invalid CA certificate",
    "path": "path length constraint exceeded",
    "permitted": "permitted subtree violation",
    "purpose": "unsuitable certificate purpose",
    "self": "self-signed certificate",
    "sign": "certificate signature failure",
}

# The policies. Pins are those of the good server, of the CA that issued it, and of the root above,
# which most servers do not send.
COLUMNS = {
    "key": lambda p: {"pin": p.leaf.pin},
    "cert": lambda p: {"pin": p.leaf.cert_pin},
    "issuer": lambda p: {"pin": f"issuer:{p.inner.pin}"},
    "issuer_root": lambda p: {"pin": f"issuer:{p.root.pin}"},
    "issuer_cert": lambda p: {"pin": f"issuer-{p.inner.cert_pin}"},
    "issuer_file": lambda p: {"pin": f"issuer-cert:{p.root.pem_file()}"},
    "mixed": lambda p: {"pin": [f"issuer-{p.inner.cert_pin} name=issuer", f"{p.leaf.pin} name=server"]},
    "key_pki": lambda p: {"verify": "pin+pki", "pin": p.leaf.pin},
    "issuer_pki": lambda p: {"verify": "pin+pki", "pin": f"issuer:{p.inner.pin}"},
    "file_pki": lambda p: {"verify": "pin+pki", "pin": f"issuer-cert:{p.root.pem_file()}"},
    "pki": lambda p: {"verify": "pki"},
    "tofu": lambda p: {"verify": "tofu"},
    "tofu_pki": lambda p: {"verify": "tofu+pki"},
}

#                                key           issuer      key_pki
#                                | cert        | file      | issuer_pki
#                                | | issuer    | | mixed   | | file_pki
#                                | | | root    | | |       | | | pki tofu tofu_pki
#                                | | | | cert
MATRIX = """
good                                 o o o M o o o  o o o  o  o o  -           the root is not sent, and its digest is no certificate
root_sent                            o o o o o o o  o o o  o  o o  -           now it is
sent_in_disorder                     o o o o o o o  o o o  o  o o  -           the root before Inner: only the signer matters
renewed_with_the_same_key            o M o M o o o  o o o  o  o o  -           another certificate, the same key
renewed_with_another_key             M M o M o o o  M o o  o  o o  -           the purpose of issuer pins
renewed_with_rsa_2048                M M o M o o o  M o o  o  o o  -           just strong enough
no_purpose_named                     o M o M o o o  o o o  o  o o  -           without the extension every purpose is permitted
deep_but_allowed                     o M o M o o o  o o o  o  o o  -           eight certificates with the root
by_the_root_itself                   o M M M M o o  o M o  o  o o  -           Inner is not in the chain
ca_of_openssl_req                    o M o o o o o  o o o  o  o o  -           X509_V_FLAG_X509_STRICT would refuse it, and prevent no forgery
ca_of_easy_rsa                       o M o o o o o  o o o  o  o o  -           the same
twin_sent_behind                     o o o M o o o  o o o  o  o o  -           a superfluous certificate does no harm
root_signed_with_sha1                o M o M o o o  o o o  o  o o  -           an anchor's own signature is not relied on

other_ca                             M M M M M M M  M M M  P  o P  issuer@0    nothing that is pinned was sent or named
other_ca_the_same_key                o M M M M M o  P M M  P  o P  issuer@0    the key is the pinned one, with any issuer
same_names_other_keys                M M M M M P M  M M P  P  o P  issuer@1    the chain names the pinned root, which did not sign it
pinned_ca_merely_appended            M M P M P P P  M P P  P  o P  issuer@0    a certificate that is only sent proves nothing
pinned_root_merely_appended          M M M P M P M  M M P  P  o P  anchor@1    the same with the root
pinned_ca_behind_a_valid_chain       M M P M P o P  M M o  o  o o  issuer@1    the chain that verifies has another Inner
issued_by_a_leaf                     M M P M P P P  M P P  P  o P  notca@1     a server's certificate is no CA
the_pinned_ca_as_server              M M M M M P M  M M P  P  o P  name@0      the leaf is not its own issuer, and has no name
the_pinned_ca_as_server_by_name      M M M M M o M  M M o  o  o o  -           the same with a name, and sent twice
issuer_not_sent                      o o M M M M o  P M M  P  o P  issuer@0    a digest cannot complete a chain, nor can the root
cross_signed_twin                    o o o M M M o  P P M  P  o P  issuer@1    the chain has the key of Inner, not its certificate
twin_sent_before_inner               o o o M o P o  P P P  P  o P  issuer@1    OpenSSL follows the first that matches, to a dead end
forged_twin                          o o o M M P o  P P P  P  o P  sign@1      the digest of a key matches any certificate with it
forged_twin_as_a_root                o o P M M M o  P P M  P  o P  sign@1/anchor@1  a certificate that claims to be self-signed must be
self_signed_the_same_key             o M M M M M o  P M M  P  o P  self@0      the key is pinned, and no CA issued the certificate
self_signed_other_key                M M M M M M M  M M M  P  o P  self@0      nothing is pinned

no_ca_flag                           o M P M P P o  P P P  P  o P  notca@1     a pinned issuer must be a CA
no_basic_constraints                 o M P M P P o  P P P  P  o P  notca@1     without the extension it is no CA (RFC 5280, 4.2.1.9)
no_basic_constraints_of_the_root     o M o P o P o  P P P  P  o P  notca@2     the same for any anchor
ca_may_not_sign                      o M P M P P o  P P P  P  o P  notca@1     a CA, but its key usage has no keyCertSign
ca_for_clients_only                  o M P M P P o  P P P  P  o P  purpose@1   the purposes of a CA limit those below it
path_length                          o M P M P P o  P P P  P  o P  path@2      Inner may issue to servers only
root_path_length                     o M o P o P o  P P P  P  o P  path@2      above a pinned Inner nothing is checked
too_deep                             o M P M P P o  P P P  P  o P  deep@9      more than eight certificates below the anchor
name_not_permitted                   o M P M P P o  P P P  P  o P  permitted@0 the anchor's own constraints are checked
name_excluded                        o M P M P P o  P P P  P  o P  excluded@0  the same
root_excludes_the_name               o M o P o P o  P P P  P  o P  excluded@0  above a pinned Inner nothing is checked
inner_expired                        o M P M P P o  P P P  P  o P  expired@1   the pinned CA's own dates are checked
inner_not_yet                        o M P M P P o  P P P  P  o P  early@1     the same
root_expired                         o M o P o P o  P P P  P  o P  expired@2   above a pinned Inner nothing is checked
root_not_yet                         o M o P o P o  P P P  P  o P  early@2     the same
weak_ca                              o M W M W W o  W W W  W  o W  cakey@1     an anchor's key is relied on
weak_ca_by_one_bit                   o M W M W W o  W W W  W  o W  cakey@1     2047 are under 2048
weak_root                            o M o W o W o  W W W  W  o W  cakey@2     above a pinned Inner nothing is checked
inner_signed_with_sha1               o M o M o W o  W W W  W  o W  camd@1      the same

leaf_expired                         o M P M P P o  P P P  P  o P  expired@0   a pinned key is good at any date
leaf_not_yet                         o M P M P P o  P P P  P  o P  early@0     the same
wrong_name                           o M P M P P o  P P P  P  o P  name@0      otherwise any server of that CA would be accepted
name_in_the_cn_only                  o M P M P P o  P P P  P  o P  name@0      the CN has no effect
nul_in_the_name                      o M P M P P o  P P P  P  o P  name@0      a name does not end at a NUL
wildcard_over_a_top_level            o M P M P P o  P P P  P  o P  name@0      '*' needs two labels after it
wrong_purpose                        o M P M P P o  P P P  P  o P  purpose@0   a client's certificate
unknown_critical_extension           o M P M P P o  P P P  P  o P  critical@0  a critical extension must be understood
weak_leaf                            M M W M W W W  M W W  W  W W  key@0       pins are checked first, then the strength of the key
weak_leaf_by_one_bit                 M M W M W W W  M W W  W  W W  key@0       2047 are under 2048
weak_leaf_that_is_pinned             W W W M W W W  W W W  W  W W  key@0       a pin does not make it strong
leaf_signed_with_sha1                o M W M W W o  W W W  W  o W  camd@0      weak where the signature is relied on
leaf_signed_with_md5                 o M W M W W o  W W W  W  o W  camd@0      the same
signature_in_other_bytes             o M o M o o o  o o o  o  o o  -           a valid signature in other bytes: another digest
signature_of_the_ca_in_other_bytes   o o o M M o o  o o o  o  o o  -           the same for Inner, whose key keeps its digest
signature_of_another                 o M P M P P o  P P P  P  o P  sign@0      not Inner's signature
stolen_without_its_key               T T T M T T T  T T T  T  T T  -           all is right except the proof of the key
"""


def read_matrix():
    """Returns ({row: {column: letter}}, {row: the messages that P and W may have})."""
    rows, says = {}, {}
    for line in MATRIX.strip().splitlines():
        if line.strip():
            name, *cells = line.split(None, len(COLUMNS) + 2)
            rows[name] = dict(zip(COLUMNS, cells))
            says[name] = [f"{SAYS[word]} at depth {depth}" for word, depth in
                          re.findall(r"(\w+)@(\d)", cells[len(COLUMNS)])]
    return rows, says


ROWS, WORDS = read_matrix()


class Pins:
    """The certificates that the configuration of a row pins."""

    def __init__(self, world, row):
        self.leaf = row.get("leaf", world.leaf)
        self.inner = row.get("inner", world.inner)
        self.root = row.get("root", world.root)


class Matrix:
    """All servers, and one daemon with a section for each cell."""

    def __init__(self, directory):
        world = Hierarchy(directory)
        self.sections_used = []
        self.servers, self.pins, sections = {}, {}, {"global": {"state_dir": directory / "state"}}
        for row in ROWS:
            made = getattr(world, row)()
            self.pins[row] = Pins(world, made)
            for version, number in VERSIONS.items():
                server = servers.TlsServer(servers.echo, made["cert"], minimum=number, maximum=number)
                self.servers[row, version] = server
                for column, trust in COLUMNS.items():
                    sections[f"{row}-{version}-{column}"] = {
                        "host": NAME, "address": server.address, "listen": "127.0.0.1:0",
                        "ca_file": self.pins[row].root.pem_file(), **trust(self.pins[row])}
        where = directory / "daemon"
        where.mkdir()
        self.state = directory / "state" / "learned"
        self.daemon = Daemon(where, sections)
        try:
            self.daemon.start()
        except BaseException:
            self.daemon.kill()
            raise
        self.addresses = {e["section"]: e["address"] for e in self.daemon.events(event="listen")}

    def learned(self):
        """Returns {section: the key learned for it}."""
        lines = self.state.read_text().splitlines() if self.state.exists() else []
        rows = [line.split() for line in lines if not line.startswith("#")]
        return {row[0]: row[2] for row in rows if row}

    def stop(self):
        try:
            self.daemon.stop()
        finally:
            self.daemon.kill()
            for server in self.servers.values():
                server.stop()
        # Nothing can come later. Each client had exactly one outcome.
        outcomes = Counter(event["section"] for event in self.daemon.events(event=is_outcome))
        assert outcomes == Counter(self.sections_used)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    matrix = Matrix(tmp_path_factory.mktemp("matrix"))
    yield matrix
    matrix.stop()


def is_outcome(event):
    return event in FAILURES or event == "tunnel_open"


def run_client(address, payload):
    """Returns (the data that a client got back, whether it was reset). The client ends when it has all its data."""
    received = b""
    try:
        with connect(address) as sock:
            sock.sendall(payload)
            while data := sock.recv(65536):
                received += data
                if received == payload:
                    sock.shutdown(socket.SHUT_WR)
    except (ConnectionResetError, BrokenPipeError):
        return received, True
    return received, False


def run_cell(matrix, row, column, section, payload):
    """Returns the outcome of one client as a letter, or a description of the fault in it."""
    mark = matrix.daemon.mark()
    matrix.sections_used.append(section)
    received, was_reset = run_client(matrix.addresses[section], payload)
    event = matrix.daemon.wait_event(since=mark, section=section, event=is_outcome)
    letter = OUTCOMES.get((event["event"], event.get("reason")))
    ended = (received, was_reset)
    if ended != ((payload, False) if letter == "o" else (b"", True)):
        return f"{letter}, but the client heard {received!r}, reset: {was_reset}"
    wrong = letter and missing_in_event(row, column, letter, event)
    return letter if letter and not wrong else f"{wrong or 'unknown'}: {event}"


WEAK_KEY = re.compile(r"the server's key has (1024|2047) bits")


def cause_left_out(message):
    """Returns a message without the cause that OpenSSL 3.6 adds to it."""
    return message.replace(" or the system clock is incorrect", "")


def missing_in_event(row, column, letter, event):
    """Returns what an event of this letter lacks, or None."""
    if letter in "PW":
        # the key of a server that matches by itself, or need not match, is checked before any chain
        alone = column.startswith("tofu") or column in ("key", "cert", "mixed", "key_pki") and ROWS[row]["key"] == "W"
        weak = WEAK_KEY.fullmatch(event["detail"]) if letter == "W" and alone else None
        return None if weak or cause_left_out(event["detail"]) in WORDS[row] else f"{letter}, but detail is not {WORDS[row]}"
    if letter == "M":
        # the event must show whether it is a renewal or an attack
        pki = ["valid"] if ROWS[row]["pki"] in "oT" else WORDS[row]
        return None if cause_left_out(event["pki"]) in pki else f"M, but pki is not {pki}"
    if letter == "o" and column == "mixed":
        # server pins are tried first, in any order
        pin = "server" if ROWS[row]["key"] == "o" else "issuer"
        return None if event["pin"] == pin else f"o, but pin is not {pin!r}"
    return None


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("row", ROWS)
def test_each_chain_has_its_verdict_under_each_policy(row, version, matrix):
    server = matrix.servers[row, version]
    before, mark = len(server.conns), matrix.daemon.mark()
    found, may_arrive = {}, []
    for column in COLUMNS:
        section = f"{row}-{version}-{column}"
        payload = f"secret of {section}.".encode()
        found[column] = run_cell(matrix, row, column, section, payload)
        may_arrive.append(payload if found[column] == "o" else b"")
    wrong = [f"{column}: {found[column]}, where {ROWS[row][column]} belongs"
             for column in COLUMNS if found[column] != ROWS[row][column]]
    assert not wrong, "\n".join(wrong)
    # The server has a connection for each client, in the order of the clients.
    conns = server.wait_done(before + len(COLUMNS))[before:]
    outcomes = matrix.daemon.events(mark, event=is_outcome, section=lambda name: name.startswith(f"{row}-{version}-"))
    assert len(outcomes) == len(COLUMNS)
    assert [bytes(conn.plaintext) for conn in conns] == may_arrive
    assert not any(b"secret of" in conn.wire for conn in conns)
    learned = matrix.learned()
    for column in COLUMNS:
        kept = column.startswith("tofu") and found[column] == "o"
        assert learned.get(f"{row}-{version}-{column}") == (server.cert.pin if kept else None)


def test_strict_checks_would_refuse_ordinary_cas(tmp_path):
    """So the rows of their names show that the daemon does not use strict checks."""
    world = Hierarchy(tmp_path)
    refusals = {"ca_of_openssl_req": "CA cert does not include key usage"}
    if openssl_version() < (4,):
        # OpenSSL 4.0 does not ask for this any more, not even if it is strict.
        refusals["ca_of_easy_rsa"] = "Basic Constraints of CA cert not marked critical"
    for row, message in refusals.items():
        made = getattr(world, row)()
        arguments = ["-CAfile", made["root"].pem_file(), "-untrusted", made["inner"].pem_file(), made["cert"].pem_file()]
        subprocess.run(["openssl", "verify", *arguments], check=True, capture_output=True)
        strict = subprocess.run(["openssl", "verify", "-x509_strict", *arguments], check=False, capture_output=True,
                                text=True)
        assert strict.returncode != 0 and message in strict.stdout + strict.stderr


# OpenSSL's DANE engine as an oracle: the policies that TLSA records can express (RFC 7671).

DANE = {
    "key": lambda p: [f"3 1 1 {spki_digest(p.leaf)}"],
    "cert": lambda p: [f"3 0 1 {p.leaf.hex}"],
    "issuer": lambda p: [f"2 1 1 {spki_digest(p.inner)}"],
    "issuer_root": lambda p: [f"2 1 1 {spki_digest(p.root)}"],
    "issuer_cert": lambda p: [f"2 0 1 {p.inner.hex}"],
    "issuer_file": lambda p: [f"2 0 0 {p.root.der.hex()}"],
    "mixed": lambda p: [f"2 0 1 {p.inner.hex}", f"3 1 1 {spki_digest(p.leaf)}"],
    "key_pki": lambda p: [f"1 1 1 {spki_digest(p.leaf)}"],
    "issuer_pki": lambda p: [f"0 1 1 {spki_digest(p.inner)}"],
    "file_pki": lambda p: [f"0 0 1 {p.root.hex}"],
}

# Where the daemon decides otherwise than the oracle, and why.
DIFFERENCES = {}


def differ(why, rows, columns):
    DIFFERENCES.update({(row, column): why for row in rows.split() for column in columns.split()})


differ("it ignores the dates of an anchor that is not self-signed; the daemon checks those of a pinned CA",
       "inner_expired inner_not_yet", "issuer issuer_cert")
differ("it checks whether an anchor may sign, and not whether it has the CA flag",
       "no_basic_constraints", "issuer issuer_cert")
differ("the same for a root",
       "no_basic_constraints_of_the_root", "issuer_root issuer_file key_pki issuer_pki file_pki")
differ("it takes the twin for the issuer, since it comes first; the daemon tries the pinned certificates first",
       "twin_sent_before_inner", "issuer_cert")
differ("it requires 112 bits of strength, which RSA with 2047 bits has; the rule here is 2048",
       "weak_leaf_by_one_bit", "issuer issuer_cert issuer_file mixed issuer_pki file_pki")
differ("the same for the key of a CA",
       "weak_ca_by_one_bit", "issuer issuer_cert issuer_file key_pki issuer_pki file_pki")
differ("it does not check that an anchor which claims to be self-signed is so",
       "forged_twin_as_a_root", "issuer")
differ("without a subjectAltName it uses the CN, which has no effect here (RFC 9525)",
       "name_in_the_cn_only", "issuer issuer_cert issuer_file key_pki issuer_pki file_pki")


def spki_digest(cert):
    return base64.b64decode(cert.pin[len("sha256//"):]).hex()


def oracle_accepts(server, version, records, root):
    sections_used = [word for record in records for word in ("-dane_tlsa_rrdata", record)]
    run = subprocess.run(
        ["openssl", "s_client", "-connect", server.address, f"-tls1_{version[1]}", "-servername", NAME,
         "-dane_tlsa_domain", NAME, *sections_used, "-dane_ee_no_namechecks",
         "-verify_return_error", "-verify_depth", "8", "-cipher", "DEFAULT@SECLEVEL=2",
         "-CAfile", root.pem_file(), "-no-CApath", "-no-CAstore"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    text = run.stdout.decode(errors="replace")
    accepts = run.returncode == 0 and "Verification: OK" in text
    # it must accept because of a record; without a usable one it would check the PKI only
    assert not accepts or re.search(r"^DANE TLSA [0-3] [01] [01] .*(matched|signed)", text, re.MULTILINE), text
    return accepts


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_the_oracle_differs_only_where_a_reason_is_given(version, matrix):
    """Each difference has an explanation, and each explanation has a difference."""
    different = set()
    for row, cells in ROWS.items():
        for column, records in DANE.items():
            theirs = oracle_accepts(matrix.servers[row, version], version, records(matrix.pins[row]),
                                    matrix.pins[row].root)
            if theirs != (cells[column] == "o"):
                different.add((row, column))
    explained = set(DIFFERENCES)
    assert different == explained, f"not explained: {sorted(different - explained)}; " \
                                   f"explained in vain: {sorted(explained - different)}"
