"""The trust matrix: every chain of matrix_certs.py under every policy, over TLS 1.2 and 1.3.

What must come of each cell was written down from the rules, with the reason, before it was tried:

    o  accepted
    M  pin_mismatch: no live pin matches, or no pinned issuer was found
    P  refused, pki: a pin (or the anchor of one) is there, and the chain does not verify
    W  refused, weak
    T  upstream_error, tls: the server has not proved that it holds the key
"""

import base64
import re
import ssl
import subprocess

import pytest

import servers
from certs import NAME
from clients import knock, talk
from daemon import Daemon
from matrix_certs import World
from refusal import TELLING

VERSIONS = {"12": ssl.TLSVersion.TLSv1_2, "13": ssl.TLSVersion.TLSv1_3}

OUTCOMES = {"M": ("pin_mismatch", None), "P": ("refused", "pki"), "W": ("refused", "weak"),
            "T": ("upstream_error", "tls")}

# The policies. Pins are those of the good server, of the CA that issued it, and of the root above,
# which servers do not send.
COLUMNS = {
    "key": lambda p: {"pin": p.leaf.pin},
    "cert": lambda p: {"pin": p.leaf.cert_pin},
    "issuer": lambda p: {"pin": f"issuer:{p.inner.pin}"},
    "issuer_root": lambda p: {"pin": f"issuer:{p.root.pin}"},
    "issuer_cert": lambda p: {"pin": f"issuer-{p.inner.cert_pin}"},
    "issuer_file": lambda p: {"pin": f"issuer-cert:{p.root.pem_file()}"},
    "mixed": lambda p: {"pin": [p.leaf.pin, f"issuer-{p.inner.cert_pin}"]},
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
good                                 o o o M o o o  o o o  o  o o  the root is not sent, and its digest is no certificate
root_sent                            o o o o o o o  o o o  o  o o  now it is
renewed_with_the_same_key            o M o M o o o  o o o  o  o o  another certificate, the same key
renewed_with_another_key             M M o M o o o  M o o  o  o o  what issuer pins are for
by_the_root_itself                   o M M M M o o  o M o  o  o o  Inner has no part in it
twin_sent_behind                     o o o M o o o  o o o  o  o o  a superfluous certificate does no harm
root_signed_with_sha1                o M o M o o o  o o o  o  o o  an anchor's own signature is not relied on

other_ca                             M M M M M M M  M M M  P  o P  nothing that is pinned was sent or named
other_ca_the_same_key                o M M M M M o  P M M  P  o P  the key is the pinned one, whoever signed
same_names_other_keys                M M M M M P M  M M P  P  o P  the root at hand is named, and did not sign
pinned_ca_merely_appended            M M P M P P P  M P P  P  o P  sent along, it proves nothing
pinned_ca_behind_a_valid_chain       M M P M P o P  M M o  o  o o  the chain that verifies has another Inner
issued_by_a_leaf                     M M P M P P P  M P P  P  o P  a server's certificate is no CA
the_pinned_ca_as_server              M M M M M P M  M M P  P  o P  the leaf does not vouch for itself; it has no name
issuer_not_sent                      o o M M M M o  P M M  P  o P  a digest cannot build a chain, nor the root over a gap
cross_signed_twin                    o o o M M M o  P P M  P  o P  the key of Inner is there, its certificate is not
self_signed_the_same_key             o M M M M M o  P M M  P  o P  the key is known, the certificate nobody's
self_signed_other_key                M M M M M M M  M M M  P  o P  nothing is known

no_ca_flag                           o M P M P P o  P P P  P  o P  a pinned issuer must be a CA
path_length                          o M P M P P o  P P P  P  o P  Inner may issue to servers only
too_deep                             o M P M P P o  P P P  P  o P  more than eight certificates below the anchor
name_not_permitted                   o M P M P P o  P P P  P  o P  the anchor's own constraints count
name_excluded                        o M P M P P o  P P P  P  o P  likewise
inner_expired                        o M P M P P o  P P P  P  o P  the pinned CA's own dates count
inner_not_yet                        o M P M P P o  P P P  P  o P  likewise
root_expired                         o M o M o P o  P P P  P  o P  above a pinned Inner nothing is looked at
root_not_yet                         o M o M o P o  P P P  P  o P  likewise
weak_ca                              o M W M W W o  W W W  W  o W  an anchor's key is relied on
inner_signed_with_sha1               o M o M o W o  W W W  W  o W  above a pinned Inner nothing is looked at

leaf_expired                         o M P M P P o  P P P  P  o P  a pinned key is known good, whatever the date
leaf_not_yet                         o M P M P P o  P P P  P  o P  likewise
wrong_name                           o M P M P P o  P P P  P  o P  else any server of that CA would do
name_in_the_cn_only                  o M P M P P o  P P P  P  o P  the CN counts for nothing
nul_in_the_name                      o M P M P P o  P P P  P  o P  a name does not end at a NUL
wildcard_over_a_top_level            o M P M P P o  P P P  P  o P  '*' wants two labels behind it
wrong_purpose                        o M P M P P o  P P P  P  o P  a client's certificate
unknown_critical_extension           o M P M P P o  P P P  P  o P  what is critical must be understood
weak_leaf                            M M W M W W W  M W W  W  W W  pins are looked at first; then the key's strength
weak_leaf_that_is_pinned             W W W M W W W  W W W  W  W W  a pin does not make it strong
leaf_signed_with_sha1                o M W M W W o  W W W  W  o W  weak where the signature is relied on
leaf_signed_with_md5                 o M W M W W o  W W W  W  o W  likewise
signature_encoded_anew               o M o M o o o  o o o  o  o o  a valid signature in other bytes: another digest
signature_of_another                 o M P M P P o  P P P  P  o P  not Inner's signature
stolen_without_its_key               T T T M T T T  T T T  T  T T  all is right, but for the proof of the key
"""


def read_matrix():
    rows = {}
    for line in MATRIX.strip().splitlines():
        if line.strip():
            name, *cells = line.split(None, len(COLUMNS) + 1)
            rows[name] = dict(zip(COLUMNS, cells))
    return rows


ROWS = read_matrix()


class Pins:
    """What is written down beforehand, for one row."""

    def __init__(self, world, row):
        self.leaf = row.get("leaf", world.leaf)
        self.inner = row.get("inner", world.inner)
        self.root = row.get("root", world.root)


class Field:
    """Every server, and one daemon with a section for every cell."""

    def __init__(self, directory):
        world = World(directory)
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
        self.learned = directory / "state" / "learned"
        self.daemon = Daemon(where, sections).start()
        self.addresses = {e["section"]: e["address"] for e in self.daemon.events(event="listen")}

    def stop(self):
        try:
            self.daemon.stop()
        finally:
            self.daemon.kill()
            for server in self.servers.values():
                server.stop()


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    field = Field(tmp_path_factory.mktemp("matrix"))
    yield field
    field.stop()


def ends(field, section, address, secret):
    """What came of one client: its outcome's letter, held to all that belongs to it."""
    mark = field.daemon.mark()
    heard, was_reset = knock(address, secret)
    event = field.daemon.wait_event(since=mark, section=section, event=lambda e: e in TELLING + ("tunnel_open",))
    if event["event"] == "tunnel_open":
        return "o"
    assert heard == b"" and was_reset, f"{section}: {heard!r}, reset: {was_reset}"
    telling = field.daemon.events(mark, section=section, event=lambda e: e in TELLING)
    assert len(telling) == 1, telling
    assert not field.daemon.events(mark, section=section, event=lambda e: e in ("tunnel_open", "tunnel_close", "learned"))
    for letter, (name, reason) in OUTCOMES.items():
        if (event["event"], event.get("reason")) == (name, reason):
            return letter
    return f"{event['event']} {event.get('reason')}: {event.get('detail')}"


def passes(field, section, address, secret):
    mark = field.daemon.mark()
    try:
        assert talk(address, secret) == secret
    except ConnectionResetError:
        said = [e for e in field.daemon.events(mark, section=section)]
        return f"reset: {said}"
    field.daemon.wait_event(since=mark, section=section, event="tunnel_open")
    return "o"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("row", ROWS)
def test_chain(row, version, field):
    server = field.servers[row, version]
    found, secrets = {}, []
    for column, want in ROWS[row].items():
        section = f"{row}-{version}-{column}"
        secret = f"secret of {section}.".encode()
        run = passes if want == "o" else ends
        found[column] = run(field, section, field.addresses[section], secret)
        if want != "o":
            secrets.append(secret)
    assert found == ROWS[row]
    server.wait_done(len(COLUMNS))
    for conn in server.conns:
        for secret in secrets:
            assert secret not in conn.plaintext and secret not in conn.wire
    learned = field.learned.read_text() if field.learned.exists() else ""
    for column in ("tofu", "tofu_pki"):
        kept = f"{row}-{version}-{column} " in learned
        assert kept == (ROWS[row][column] == "o"), f"{column}: kept is {kept}"


# OpenSSL's DANE engine as an oracle: the policies that TLSA records can express (RFC 7671).

DANE = {
    "key": lambda p: f"3 1 1 {spki_digest(p.leaf)}",
    "cert": lambda p: f"3 0 1 {p.leaf.hex}",
    "issuer": lambda p: f"2 1 1 {spki_digest(p.inner)}",
    "issuer_root": lambda p: f"2 1 1 {spki_digest(p.root)}",
    "issuer_cert": lambda p: f"2 0 1 {p.inner.hex}",
    "issuer_file": lambda p: f"2 0 0 {p.root.der.hex()}",
    "key_pki": lambda p: f"1 1 1 {spki_digest(p.leaf)}",
    "issuer_pki": lambda p: f"0 1 1 {spki_digest(p.inner)}",
    "file_pki": lambda p: f"0 0 1 {p.root.hex}",
}

# Where we decide otherwise than the oracle, and why: {(row, column): what it does}.
UNDATED = "accepts"  # RFC 7671 section 5.2 has it so: of an anchor that is no root, it looks at no dates
CN = "accepts"       # without any subjectAltName it falls back on the CN, which RFC 9525 forbids
DIFFERENCES = {(row, column): UNDATED
               for row in ("inner_expired", "inner_not_yet") for column in ("issuer", "issuer_cert")}
DIFFERENCES.update({("name_in_the_cn_only", column): CN
                    for column in ("issuer", "issuer_cert", "issuer_file", "key_pki", "issuer_pki", "file_pki")})


def spki_digest(cert):
    return base64.b64decode(cert.pin[len("sha256//"):]).hex()


def oracle_accepts(server, version, record, root):
    run = subprocess.run(
        ["openssl", "s_client", "-connect", server.address, f"-tls1_{version[1]}", "-servername", NAME,
         "-dane_tlsa_domain", NAME, "-dane_tlsa_rrdata", record, "-dane_ee_no_namechecks",
         "-verify_return_error", "-verify_depth", "8", "-cipher", "DEFAULT@SECLEVEL=2",
         "-CAfile", root.pem_file(), "-no-CApath", "-no-CAstore"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    text = run.stdout.decode(errors="replace")
    return run.returncode == 0 and bool(re.search(r"Verif(y return code|ication)(: OK|: 0 \(ok\))", text))


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_oracle(version, field):
    """Each difference is explained, and each explanation is of a difference."""
    different = set()
    for row, cells in ROWS.items():
        for column, record in DANE.items():
            theirs = oracle_accepts(field.servers[row, version], version, record(field.pins[row]),
                                    field.pins[row].root)
            if theirs != (cells[column] == "o"):
                different.add((row, column, "accepts" if theirs else "refuses"))
    explained = {(row, column, what) for (row, column), what in DIFFERENCES.items()}
    assert different == explained, f"not explained: {sorted(different - explained)}; " \
                                   f"explained in vain: {sorted(explained - different)}"
