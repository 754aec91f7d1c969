"""Each error in a configuration gives exit status 78, FILE:LINE and a helpful word, at start and with -t.

The marks and placeholders in the texts are those of harness/config_errors.py.
"""

import os

import pytest

from harness.assertions import assert_accepted
from harness.certs import day
from harness.config_errors import (
    DIGEST, HEAD, HEX, PINNED, assert_config_error, assert_valid, error_messages, write_marked)
from harness.daemon import run_pinproxyd

ERRORS = {
    # the syntax of the file
    "key_outside_any_section": (">>pin = {good}\n" + PINNED, ""),
    "no_equals_sign": (PINNED + ">>listen 127.0.0.1:0\n", ""),
    "unclosed_section": (PINNED + ">>[other.test\nlisten = 127.0.0.1:0\npin = {good}\n", ""),
    "empty_section_name": (PINNED + ">>[]\n", ""),
    "line_over_199": (HEAD + ">>pin = {good} name=" + "n" * 170 + "\n", "199"),
    "comment_line_over_199_is_fine_but_not_its_neighbour": (
        "; " + "c" * 150 + "\n" + HEAD + ">>pin = {good}" + " " * 170 + "name=x\n", "199"),
    "section_name_over_49": (PINNED + ">>[" + "a" * 50 + ".test]\npin = {good}\n", "49"),
    "nul_byte": (HEAD + ">>pin = {good}\0 name=x\n", "NUL"),
    "unknown_section_kind": (PINNED + ">>[socks:inner]\nlisten = 127.0.0.1:0\n", "socks"),
    "unknown_key": (PINNED + ">>lissten = 127.0.0.1:0\n", "lissten"),
    "unknown_key_in_global": ("[global]\n>>worker = 2\n" + PINNED, "worker"),
    "unknown_key_in_defaults": ("[defaults]\n>>timeout = 2\n" + PINNED, "timeout"),
    "global_key_in_a_host_section": (PINNED + ">>workers = 2\n", "workers"),
    "host_key_in_global": ("[global]\n>>port = 2\n" + PINNED, "port"),
    "listen_in_defaults": ("[defaults]\n>>listen = 127.0.0.1:0\n" + PINNED, "listen"),
    "host_in_defaults": ("[defaults]\n>>host = a.test\n" + PINNED, "host"),
    "key_twice": (PINNED + "port = 443\n>>port = 444\n", "port"),
    "key_twice_in_global": ("[global]\nworkers = 1\n>>workers = 1\n" + PINNED, "workers"),
    "section_twice": (PINNED + ">>[server.test]\npin = {other}\nlisten = 127.0.0.1:0\n", "already defined"),
    "global_twice": ("[global]\nworkers = 1\n" + PINNED + ">>[global]\nlog_level = info\n", "already defined"),
    "continuation_of_a_single_value": (PINNED + "port = 443\n>>    444\n", "port"),

    # trust
    "pin_missing": (HEAD, "pin"),
    "pin_missing_under_pin_and_pki": (HEAD + "verify = pin+pki\n", "pin"),
    "pin_empty": (HEAD + "pin =\n", "pin"),
    "pin_with_verify_pki": (PINNED + "verify = pki\n", "pin"),
    "pin_unknown_form": (HEAD + ">>pin = key\n", "sha256//"),
    "pin_bare_base64": (HEAD + ">>pin = " + DIGEST + "\n", "sha256//"),
    "pin_one_slash": (HEAD + ">>pin = sha256/" + DIGEST + "\n", "sha256//"),
    "pin_short": (HEAD + ">>pin = sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fu\n", "44"),
    "pin_long": (HEAD + ">>pin = sha256//AAAA" + DIGEST + "\n", "44"),
    "pin_spare_bits": (HEAD + ">>pin = sha256//" + DIGEST.replace("g=", "h=") + "\n", "spare"),
    "pin_url_alphabet": (HEAD + ">>pin = sha256//" + DIGEST.replace("/", "_") + "\n", "base64"),
    "pin_missing_padding": (HEAD + ">>pin = sha256//" + DIGEST[:-1] + "\n", "padding"),
    "pin_double_padding": (HEAD + ">>pin = sha256//" + DIGEST[:-2] + "==\n", ""),
    "pin_space_within": (HEAD + ">>pin = sha256//" + DIGEST[:20] + " " + DIGEST[20:] + "\n", ""),
    "pin_all_zero": (HEAD + ">>pin = sha256//" + "A" * 43 + "=\n", "zero"),
    "pin_md5": (HEAD + ">>pin = md5//1B2M2Y8AsgTpgAmY7PhCfg==\n", "SHA-256"),
    "pin_sha1": (HEAD + ">>pin = sha1//2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n", "SHA-256"),
    "pin_sha512": (HEAD + ">>pin = sha512//" + "A" * 86 + "==\n", ""),
    "pin_certificate_md5": (HEAD + ">>pin = cert:md5:" + "ab" * 16 + "\n", "SHA-256"),
    "pin_certificate_sha1": (HEAD + ">>pin = cert:sha1:" + "ab" * 20 + "\n", "SHA-256"),
    "pin_hex_short": (HEAD + ">>pin = cert:sha256:" + HEX[:-1] + "\n", "64"),
    "pin_hex_long": (HEAD + ">>pin = cert:sha256:" + HEX + "00\n", "64"),
    "pin_hex_of_other_letters": (HEAD + ">>pin = cert:sha256:" + HEX[:-2] + "zz\n", "hex"),
    "pin_hex_partial_colons": (HEAD + ">>pin = cert:sha256:" + HEX[:2] + ":" + HEX[2:] + "\n", "colon"),
    "pin_hex_colons_but_one": (
        HEAD + ">>pin = cert:sha256:" + ":".join(HEX[i:i + 2] for i in range(0, 60, 2)) + ":" + HEX[60:] + "\n", "colon"),
    "pin_hex_trailing_colon": (
        HEAD + ">>pin = cert:sha256:" + ":".join(HEX[i:i + 2] for i in range(0, 64, 2)) + ":\n", "colon"),
    "pin_hex_with_a_sign": (HEAD + ">>pin = cert:sha256:+1" + HEX[2:] + "\n", "hex"),
    "pin_hex_all_zero": (HEAD + ">>pin = cert:sha256:" + "0" * 64 + "\n", "zero"),
    "pin_twice": (HEAD + "pin = {good}\n>>    {good}\n", ""),
    "pin_twice_on_one_line": (HEAD + ">>pin = {good};{good}\n", ""),
    "pin_twice_in_two_forms": (HEAD + "pin = {cert_pin}\n>>    key:{cert}\n", ""),
    "pin_twice_in_two_forms_of_a_certificate": (HEAD + "pin = cert:sha256:{cert_hex}\n>>    cert:{cert}\n", ""),
    "pin_semicolon_and_nothing": (HEAD + ">>pin = {good};\n", ""),
    "pin_semicolon_and_another_form": (HEAD + ">>pin = {good};cert:sha256:" + HEX + "\n", ""),
    "pin_certificate_file_missing": (HEAD + ">>pin = cert:no/such/file.pem\n", "no/such/file.pem"),
    "pin_key_file_missing": (HEAD + ">>pin = key:no/such/file.pem\n", "no/such/file.pem"),
    "pin_certificate_file_is_a_directory": (HEAD + ">>pin = cert:{directory}\n", "{directory}"),
    "pin_certificate_file_is_empty": (HEAD + ">>pin = cert:{empty}\n", "{empty}"),
    "pin_certificate_file_is_garbage": (HEAD + ">>pin = cert:{garbage}\n", "{garbage}"),
    "pin_certificate_file_is_cut": (HEAD + ">>pin = cert:{cut}\n", "{cut}"),
    "pin_certificate_from_a_csr": (HEAD + ">>pin = cert:{csr}\n", "key:"),
    "pin_certificate_no_file": (HEAD + ">>pin = cert:\n", ""),
    "pin_from_a_private_key": (HEAD + ">>pin = key:{key}\n", "private"),
    "pin_until_no_date": (HEAD + ">>pin = {good} until=tomorrow\n", "until"),
    "pin_until_no_such_day": (HEAD + ">>pin = {good} until=2027-02-30\n", "until"),
    "pin_until_american": (HEAD + ">>pin = {good} until=06/30/2027\n", "until"),
    "pin_until_short": (HEAD + ">>pin = {good} until=2027-6-30\n", "until"),
    "pin_until_empty": (HEAD + ">>pin = {good} until=\n", "until"),
    "pin_until_twice": (HEAD + ">>pin = {good} until=2027-06-30 until=2028-06-30\n", "until"),
    "pin_name_empty": (HEAD + ">>pin = {good} name=\n", "name"),
    "pin_unknown_attribute": (HEAD + ">>pin = {good} colour=red\n", ""),
    "pin_trailing_word": (HEAD + ">>pin = {good} today\n", ""),
    "issuer_pin_twice": (HEAD + "pin = issuer:sha256//" + DIGEST + "\n>>  issuer:sha256//" + DIGEST + "\n", "already"),
    "issuer_pin_from_a_file": (HEAD + ">>pin = issuer:{cert}\n", "issuer-cert:FILE"),
    "issuer_certificate_of_no_ca": (HEAD + ">>pin = issuer-cert:{cert}\n", "is not a CA's"),
    "issuer_certificate_from_a_csr": (HEAD + ">>pin = issuer-cert:{csr}\n", "CA's certificate"),
    "issuer_certificate_missing": (HEAD + ">>pin = issuer-cert:no/such.pem\n", "no/such.pem"),
    "issuer_certificate_short": (HEAD + ">>pin = issuer-cert:sha256:aabb\n", "64 hex"),
    "revoked_issuer_certificate": (PINNED + ">>revoked = issuer-cert:sha256:" + HEX + "\n", "signature"),
    "enforce_no": (PINNED + ">>enforce = no\n", "report"),
    "enforce_without_pki": (PINNED + ">>enforce = report\n", "pin+pki"),
    "pins_url_without_pins": (HEAD + "verify = pki\n>>pins_url = /pins\n", "pin+pki"),
    "pins_url_with_starttls": (PINNED + "starttls = smtp\n>>pins_url = /pins\n", "HTTP"),
    "starttls_unknown": (PINNED + ">>starttls = gopher\n", "smtp"),
    "starttls_ftp_with_listen": (PINNED + ">>starttls = ftp\n", "data connections"),
    "client_unknown": (PINNED + ">>client = oracle\n", "raw, postgres"),
    "client_postgres_with_other_starttls": (PINNED + "starttls = mysql\n>>client = postgres\n", "starttls = postgres"),
    "client_postgres_of_defaults_with_other_starttls": (
        "[defaults]\nclient = postgres\n>>" + PINNED + "starttls = smtp\n", "client = raw"),
    "starttls_ftp_of_defaults_with_listen": (
        "[defaults]\nstarttls = ftp\n>>" + PINNED, "data connections"),
    "pins_url_of_another_host": (PINNED + ">>pins_url = https://other.example/pins\n", "slash"),
    "crl_file_without_pki": (PINNED + ">>crl_file = {cert}\n", "has no effect"),
    "crl_file_missing": (HEAD + "verify = pki\n>>crl_file = no/such.crl\n", "no/such.crl"),
    "crl_file_is_no_list": (HEAD + "verify = pki\n>>crl_file = {cert}\n", "revocation list"),
    "ocsp_without_pki": (PINNED + ">>ocsp = staple\n", "has no effect"),
    "tofu_with_an_issuer_pin": (HEAD + ">>verify = tofu\npin = issuer:sha256//" + DIGEST + "\n", "own key"),
    "tofu_in_a_name_with_blanks": (">>[my host]\nhost = a.example\nlisten = 127.0.0.1:0\nverify = tofu\n", "blanks"),
    "revoked_certificate_digest": (PINNED + ">>revoked = cert:sha256:" + HEX + "\n", "signature"),
    "revoked_certificate_file": (PINNED + ">>revoked = cert:{cert}\n", "signature"),
    "revoked_short": (PINNED + ">>revoked = sha256//AAAA\n", "44"),
    "revoked_file_missing": (PINNED + ">>revoked = key:no/such.pem\n", "no/such.pem"),
    "verify_unknown": (PINNED + ">>verify = pins\n", "pin+pki"),
    "also_check_unknown": (PINNED + ">>also_check = issuer\n", "dates"),
    "ca_file_missing": (HEAD + "verify = pki\n>>ca_file = no/such/ca.pem\n", "no/such/ca.pem"),
    "ca_file_is_garbage": (HEAD + "verify = pki\n>>ca_file = {garbage}\n", "{garbage}"),
    "ca_file_is_empty": (HEAD + "verify = pki\n>>ca_file = {empty}\n", "{empty}"),
    "ca_dir_missing": (HEAD + "verify = pki\n>>ca_dir = no/such/dir\n", "no/such/dir"),
    "verify_name_empty": (HEAD + "verify = pki\n>>verify_name =\n", ""),
    "verify_name_with_a_port": (HEAD + "verify = pki\n>>verify_name = spiffe://td.test:443/a\n", "port"),
    "verify_name_without_a_path": (HEAD + "verify = pki\n>>verify_name = spiffe://td.test\n", "TRUST-DOMAIN/PATH"),
    "verify_name_with_an_escape": (HEAD + "verify = pki\n>>verify_name = spiffe://td.test/%61\n", "percent"),
    "verify_name_leading_dot": (HEAD + "verify = pki\n>>verify_name = .example.com\n", "dot"),

    # hosts
    "host_empty": (PINNED + ">>host =\n", "host"),
    "host_leading_dot": (PINNED + ">>host = .example.com\n", "dot"),
    "host_empty_label": (PINNED + ">>host = example..com\n", ""),
    "host_not_ascii": (PINNED + ">>host = b\u00fccher.example\n", "xn--"),
    "host_label_over_63": (PINNED + ">>host = " + "a" * 64 + ".example.com\n", "63"),
    "host_with_a_space": (PINNED + ">>host = a b.example\n", ""),
    "host_with_a_slash": (PINNED + ">>host = https://example.com/\n", ""),
    "host_with_a_port": (PINNED + ">>host = example.com:443\n", ""),
    "section_name_leading_dot": (">>[.example.com]\nlisten = 127.0.0.1:0\npin = {good}\n", "dot"),
    "section_name_not_a_host": (">>[my backend]\nlisten = 127.0.0.1:0\npin = {good}\n", "host"),
    "wildcard_with_a_listener": ("[*.example.com]\nlisten = 127.0.0.1:0\npin = {good}\n", ""),
    "sni_leading_dot": (PINNED + ">>sni = .example.com\n", ""),
    "port_zero": (PINNED + ">>port = 0\n", "65535"),
    "port_too_high": (PINNED + ">>port = 65536\n", "65535"),
    "port_negative": (PINNED + ">>port = -1\n", "65535"),
    "port_by_name": (PINNED + ">>port = https\n", "65535"),
    "port_hex": (PINNED + ">>port = 0x1bb\n", "65535"),
    "port_overflowing": (PINNED + ">>port = 99999999999999999999443\n", "65535"),
    "address_empty_label": (PINNED + ">>address = a..b:443\n", ""),
    "address_port_too_high": (PINNED + ">>address = 127.0.0.1:70000\n", ""),
    "address_port_zero": (PINNED + ">>address = 127.0.0.1:0\n", ""),
    "address_open_bracket": (PINNED + ">>address = [::1:443\n", ""),
    "bind_a_name": (PINNED + ">>bind = localhost\n", ""),
    "family_unknown": (PINNED + ">>family = ipv5\n", "ipv6"),

    # listeners
    "listen_without_a_port": (HEAD.replace("listen = 127.0.0.1:0", ">>listen = 127.0.0.1") + "pin = {good}\n", "PORT"),
    "listen_port_too_high": (HEAD.replace("listen = 127.0.0.1:0", ">>listen = 127.0.0.1:65536") + "pin = {good}\n", ""),
    "listen_by_name": (HEAD.replace("listen = 127.0.0.1:0", ">>listen = localhost:8443") + "pin = {good}\n", "IP"),
    "listen_on_all_addresses": (
        HEAD.replace("listen = 127.0.0.1:0", ">>listen = 0.0.0.0:8443") + "pin = {good}\n", "remote_clients"),
    "listen_on_all_addresses_of_ipv6": (
        HEAD.replace("listen = 127.0.0.1:0", ">>listen = [::]:8443") + "pin = {good}\n", "remote_clients"),
    "listen_on_a_remote_address": (
        HEAD.replace("listen = 127.0.0.1:0", ">>listen = 192.0.2.1:8443") + "pin = {good}\n", "remote_clients"),
    "listen_twice_in_a_section": (PINNED + "listen = 127.0.0.1:8443\n>>    127.0.0.1:8443\n", "8443"),
    "listen_twice_in_two_sections": (
        "[a.test]\nlisten = 127.0.0.1:8443\npin = {good}\n[b.test]\n>>listen = 127.0.0.1:8443\npin = {good}\n", "8443"),
    "listen_twice_unix": (
        "[a.test]\nlisten = unix:/tmp/x.sock\npin = {good}\n[b.test]\n>>listen = unix:/tmp/x.sock\npin = {good}\n",
        "x.sock"),
    "listen_unix_without_a_path": (PINNED + ">>listen = unix:\n", ""),
    "listen_unix_path_too_long": (PINNED + ">>listen = unix:/tmp/" + "p" * 110 + "\n", ""),
    "listen_unix_bad_mode": (PINNED + ">>listen = unix:/tmp/x.sock,mode=rw\n", "mode"),
    "listen_unix_mode_not_octal": (PINNED + ">>listen = unix:/tmp/x.sock,mode=0689\n", "mode"),
    "listen_unix_unknown_attribute": (PINNED + ">>listen = unix:/tmp/x.sock,owner=me\n", ""),

    # TLS
    "tls_min_1_1": (PINNED + ">>tls_min = 1.1\n", "1.2"),
    "tls_min_1_0": (PINNED + ">>tls_min = 1.0\n", "1.2"),
    "tls_max_1_1": (PINNED + ">>tls_max = 1.1\n", "1.2"),
    "tls_min_unknown": (PINNED + ">>tls_min = TLSv1.2\n", "1.2"),
    "tls_max_below_tls_min": (PINNED + "tls_min = 1.3\ntls_max = 1.2\n", "tls_m"),
    "ciphers_unknown": (PINNED + ">>ciphers = NO-SUCH-CIPHER\n", "ciphers"),
    "ciphersuites_unknown": (PINNED + ">>ciphersuites = TLS_NO_SUCH\n", "ciphersuites"),
    "groups_unknown": (PINNED + ">>groups = no-such-curve\n", "groups"),
    "sigalgs_never_offered": (PINNED + ">>sigalgs = RSA+SHA1\n", "RSA+SHA1"),
    "ciphers_one_unknown": (PINNED + ">>ciphers = ECDHE+AESGCM:NO-SUCH\n", "NO-SUCH"),
    "ciphersuites_without_tls13": (PINNED + ">>ciphersuites = TLS_AES_128_GCM_SHA256\ntls_max = 1.2\n", "tls_max"),
    "ciphers_without_tls12": (PINNED + ">>ciphers = ECDHE+AESGCM\ntls_min = 1.3\n", "tls_min"),
    "ciphers_in_defaults_without_tls12": (
        "[defaults]\n>>ciphers = ECDHE+AESGCM\ntls_min = 1.3\n" + PINNED, "tls_min"),
    "groups_never_offered": (PINNED + ">>groups = brainpoolP256r1\ntls_min = 1.3\n", "brainpoolP256r1"),
    "sigalgs_unknown": (PINNED + ">>sigalgs = no-such-thing\n", "sigalgs"),
    "truncation_unknown": (PINNED + ">>truncation = maybe\n", "allow"),

    # units
    "duration_no_number": (PINNED + ">>connect_timeout = soon\n", "connect_timeout"),
    "duration_unknown_unit": (PINNED + ">>connect_timeout = 10w\n", "connect_timeout"),
    "duration_negative": (PINNED + ">>connect_timeout = -1s\n", "connect_timeout"),
    "duration_with_a_space": (PINNED + ">>connect_timeout = 10 seconds\n", "connect_timeout"),
    "duration_fraction": (PINNED + ">>handshake_timeout = 1.5s\n", "handshake_timeout"),
    "duration_overflowing": (PINNED + ">>idle_timeout = 99999999999999999999d\n", "idle_timeout"),
    "duration_empty": (PINNED + ">>dns_ttl =\n", "dns_ttl"),
    "boolean_unknown": ("[global]\n>>remote_clients = maybe\n" + PINNED, "remote_clients"),
    "boolean_number": ("[global]\n>>remote_clients = 1\n" + PINNED, "remote_clients"),
    "number_negative": (PINNED + ">>max_connections = -1\n", "max_connections"),
    "number_no_number": (PINNED + ">>max_connections = many\n", "max_connections"),
    "workers_zero": ("[global]\n>>workers = 0\n" + PINNED, "workers"),
    "workers_no_number": ("[global]\n>>workers = two\n" + PINNED, "workers"),
    "log_level_unknown": ("[global]\n>>log_level = loud\n" + PINNED, "notice"),
    "log_format_unknown": ("[global]\n>>log_format = xml\n" + PINNED, "json"),
    "user_unknown": ("[global]\nuser = no-such-user-here\n" + PINNED, "no-such-user-here"),
}

LATER = {
    "client_http": "client = http",
    "http_hosts": "http_hosts = localhost",
    "allow_user": "allow_user = root",
    "allow_group": "allow_group = root",
    "verify_dane": "verify = dane",
    "listen_systemd": "listen = systemd:web",
}

LATER_GLOBAL = {
    "metrics": "metrics = 127.0.0.1:9100",
    "control": "control = /tmp/control.sock",
    "log_format_journal": "log_format = journal",
}


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_is_reported_with_its_line(name, expand, tmp_path):
    text, word = ERRORS[name]
    path = tmp_path / "pinproxyd.conf"
    marks = write_marked(path, expand(text))
    assert_config_error(path, marks, expand(word), run_pinproxyd("-t", "-c", path))
    assert_config_error(path, marks, expand(word), run_pinproxyd("-c", path))


@pytest.mark.parametrize("name", LATER)
def test_an_option_of_a_later_version_is_refused(name, expand, tmp_path):
    """An option of a later version is refused by name, and never ignored."""
    path = tmp_path / "pinproxyd.conf"
    marks = write_marked(path, expand(PINNED + ">>" + LATER[name] + "\n"))
    assert_config_error(path, marks, "not supported yet", run_pinproxyd("-t", "-c", path))
    if not name.startswith("listen"):
        marks = write_marked(path, expand("[defaults]\n>>" + LATER[name] + "\n" + PINNED))
        assert_config_error(path, marks, "not supported yet", run_pinproxyd("-t", "-c", path))


@pytest.mark.parametrize("name", LATER_GLOBAL)
def test_a_global_option_of_a_later_version_is_refused(name, expand, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    marks = write_marked(path, expand("[global]\n>>" + LATER_GLOBAL[name] + "\n" + PINNED))
    assert_config_error(path, marks, "not supported yet", run_pinproxyd("-t", "-c", path))


@pytest.mark.parametrize("head", ["[proxy]", "[proxy:inner]"])
def test_a_shared_listener_is_refused(head, expand, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    marks = write_marked(path, expand(PINNED + f">>{head}\nlisten = 127.0.0.1:1080\n"))
    assert_config_error(path, marks, "not supported yet", run_pinproxyd("-t", "-c", path))


# files

def test_a_missing_configuration_is_an_error(tmp_path):
    run = run_pinproxyd("-c", tmp_path / "none.conf")
    assert run.returncode == 78
    assert "none.conf" in run.err


def test_a_directory_as_configuration_is_an_error(tmp_path):
    run = run_pinproxyd("-t", "-c", tmp_path)
    assert run.returncode == 78
    assert str(tmp_path) in run.err


def as_nobody():
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []


def test_unreadable_files_are_errors(expand, tmp_path):
    """The configuration, an included file and a pinned certificate cannot be read."""
    for directory in [tmp_path, *tmp_path.parents]:
        if directory.owner() == tmp_path.owner() and os.stat(directory).st_mode & 0o077 == 0:
            os.chmod(directory, 0o711)
    main, more, secret = tmp_path / "main.conf", tmp_path / "more.conf", tmp_path / "secret.pem"
    for path in (more, secret):
        path.write_text("")
        path.chmod(0)
    marks = write_marked(main, expand(f"[global]\n>>include = {more}\n[server.test]\n>>pin = cert:{secret}\n"))
    main.chmod(0o644)
    run = run_pinproxyd("-t", "-c", main, prefix=as_nobody())
    assert run.returncode == 78
    assert "more.conf" in run.err
    assert any(line == marks[1] for line, _ in error_messages(main, run.err)), run.err
    main.chmod(0)
    run = run_pinproxyd("-t", "-c", main, prefix=as_nobody())
    assert run.returncode == 78
    assert "main.conf" in run.err


def test_all_errors_of_all_files_are_reported_at_once(expand, tmp_path):
    (tmp_path / "conf.d").mkdir()
    one, two = tmp_path / "conf.d" / "one.conf", tmp_path / "conf.d" / "two.conf"
    main = tmp_path / "pinproxyd.conf"
    marks = {
        main: write_marked(main, expand("[global]\ninclude = conf.d/*.conf\n>>workers = none\n>>nonsense = 1\n"
                                      "[server.test]\n>>listen = 0.0.0.0:1\n>>pin = sha256//bad\n>>port = 0\n")),
        one: write_marked(one, expand("[one.test]\n>>via = gopher://127.0.0.1:1\npin = {good}\n>>tls_min = 1.1\n")),
        two: write_marked(two, expand("[two.test]\n>>idle_timeout = x\n>>pin = cert:none.pem\n")),
    }
    run = run_pinproxyd("-t", "-c", main)
    assert run.returncode == 78
    for path, lines in marks.items():
        assert set(lines) <= {line for line, _ in error_messages(path, run.err)}, (path, run.err)


def test_a_section_in_two_files_is_an_error(expand, tmp_path):
    main, more = tmp_path / "pinproxyd.conf", tmp_path / "more.conf"
    write_marked(main, expand("[global]\ninclude = more.conf\n" + PINNED))
    marks = write_marked(more, expand(">>[server.test]\npin = {other}\n"))
    assert_config_error(more, marks, "already defined", run_pinproxyd("-t", "-c", main))


def test_a_listener_in_two_files_is_an_error(expand, tmp_path):
    main, more = tmp_path / "pinproxyd.conf", tmp_path / "more.conf"
    marks = write_marked(main, expand("[global]\ninclude = more.conf\n[a.test]\n>>listen = 127.0.0.1:8443\npin = {good}\n"))
    marks_more = write_marked(more, expand("[b.test]\n>>listen = 127.0.0.1:8443\npin = {good}\n"))
    run = run_pinproxyd("-t", "-c", main)
    assert run.returncode == 78
    assert [m for m in error_messages(more, run.err) if m[0] in marks_more] or \
        [m for m in error_messages(main, run.err) if m[0] in marks], run.err


# includes

def test_an_include_of_a_missing_file_is_an_error(expand, tmp_path):
    main = tmp_path / "pinproxyd.conf"
    marks = write_marked(main, expand("[global]\n>>include = none.conf\n" + PINNED))
    assert_config_error(main, marks, "none.conf", run_pinproxyd("-t", "-c", main))


def test_an_include_within_an_included_file_is_an_error(expand, tmp_path):
    main, more = tmp_path / "pinproxyd.conf", tmp_path / "more.conf"
    write_marked(main, expand("[global]\ninclude = more.conf\n" + PINNED))
    marks = write_marked(more, "[global]\n>>include = third.conf\n")
    (tmp_path / "third.conf").write_text("")
    run = run_pinproxyd("-t", "-c", main)
    assert run.returncode == 78
    assert error_messages(more, run.err), run.err


def test_an_include_pattern_that_matches_nothing_is_valid(expand, tmp_path):
    main = tmp_path / "pinproxyd.conf"
    write_marked(main, expand("[global]\ninclude = conf.d/*.conf\n" + PINNED))
    (tmp_path / "conf.d").mkdir()
    assert_valid(main)


def test_an_include_pattern_in_a_missing_directory_is_valid(expand, tmp_path):
    main = tmp_path / "pinproxyd.conf"
    write_marked(main, expand("[global]\ninclude = conf.d/*.conf\n" + PINNED))
    assert_valid(main)


def test_several_includes_are_all_read(pinproxyd, tls_server, tmp_path):
    server = tls_server()
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.conf").write_text(
            f"[{name}.test]\nlisten = 127.0.0.1:0\naddress = {server.address}\npin = {server.cert.pin}\n")
    daemon = pinproxyd(f"[global]\ninclude = {tmp_path}/a.conf\n    {tmp_path}/[bc].conf\n")
    for name in ("a", "b", "c"):
        assert_accepted(daemon, f"{name}.test")


# valid configurations

FINE = {
    "byte_order_mark": "\ufeff" + PINNED,
    "windows_line_ends": PINNED.replace("\n", "\r\n"),
    "no_newline_at_the_end": PINNED.rstrip("\n"),
    "comments": "; one\n# two\n" + PINNED + "port = 443 ; three\n",
    "line_of_199": "; " + "c" * 197 + "\n" + PINNED,
    "section_name_of_49": "[" + "a" * 44 + ".test]\nlisten = 127.0.0.1:0\npin = {good}\n",
    "pins_below_an_empty_value": HEAD + "pin =\n    {good}\n    {other}\n",
    "durations": PINNED + "connect_timeout = 500ms\nhandshake_timeout = 5m\nidle_timeout = 2h\n"
                          "half_close_timeout = 1d\ndns_ttl = 30\nkeepalive = off\n",
    "booleans": "[global]\nremote_clients = On\n" + PINNED,
    "same_pin_in_two_sections": PINNED + "[other.test]\nlisten = 127.0.0.1:0\npin = {good}\n",
    "port_zero_of_two_listeners": PINNED + "[other.test]\nlisten = 127.0.0.1:0\npin = {other}\n",
}


@pytest.mark.parametrize("name", FINE)
def test_each_valid_configuration_is_accepted(name, expand, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    path.write_bytes(expand(FINE[name]).encode())
    assert_valid(path)


def test_a_name_over_253_characters_is_an_error(expand, tmp_path):
    """A line cannot hold such a name, so the line is refused. The name is never shortened."""
    path = tmp_path / "pinproxyd.conf"
    name = ".".join(["a" * 50] * 6)
    marks = write_marked(path, expand(PINNED + f">>host = {name}\n"))
    assert_config_error(path, marks, "", run_pinproxyd("-t", "-c", path))


def test_a_valid_configuration_has_no_messages(expand, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    write_marked(path, expand(PINNED))
    run = run_pinproxyd("-t", "-c", path)
    assert run.returncode == 0
    assert ":1:" not in run.err


def test_a_check_of_the_configuration_binds_no_port(tls_server, expand, tmp_path):
    """A check beside a running daemon finds its ports in use, and that is no error."""
    server = tls_server()
    path = tmp_path / "pinproxyd.conf"
    path.write_text(expand(f"[server.test]\nlisten = {server.address}\npin = {{good}}\n"))
    assert_valid(path)


def test_expired_pins_are_valid(expand, tmp_path):
    """Otherwise a daemon could not be restarted on the next day."""
    path = tmp_path / "pinproxyd.conf"
    path.write_text(expand(HEAD + "pin = {good} until=" + day(-3) + "\n"))
    assert_valid(path)
