"""Mistakes that an administrator would not notice are errors. They never remove a protection silently."""

import pytest

from harness import certs
from harness.assertions import assert_accepted, assert_refused
from harness.certs import NAME
from harness.config import to
from harness.config_errors import DIGEST, HEAD, HEX, PINNED, assert_config_error, write_marked
from harness.daemon import run_pinproxyd

LISTS = ("pin", "revoked", "ca_file", "ca_dir", "crl_file", "also_check", "address", "alpn")


def assert_mistake(path, text, word=""):
    marks = write_marked(path, text)
    run = run_pinproxyd("-t", "-c", path)
    assert_config_error(path, marks, word, run)
    return run


# lists

@pytest.mark.parametrize("option", LISTS + ("listen",))
def test_an_empty_list_of_a_section_is_an_error(option, expand, tmp_path):
    pin = "" if option == "pin" else "pin = {good}\n"
    assert_mistake(tmp_path / "pinproxyd.conf", expand(f"[server.test]\n{pin}>>{option} =\n"), option)
    assert_mistake(tmp_path / "pinproxyd.conf", expand(f"[server.test]\n>>{option} = ; none\n{pin}"), option)


@pytest.mark.parametrize("option", LISTS)
def test_an_empty_list_of_defaults_is_an_error(option, expand, tmp_path):
    assert_mistake(tmp_path / "pinproxyd.conf", expand(f"[defaults]\n>>{option} =\n" + PINNED), option)


def test_an_empty_include_is_an_error(expand, tmp_path):
    assert_mistake(tmp_path / "pinproxyd.conf", expand("[global]\n>>include =\n" + PINNED), "include")


def test_a_list_with_its_values_on_the_next_lines_is_valid(expand, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    write_marked(path, expand(HEAD + "pin = ; today's and tomorrow's\n\n  ; today\n  {good}\n\t{other} ; tomorrow\n"))
    assert run_pinproxyd("-t", "-c", path).returncode == 0


@pytest.mark.parametrize("option", ["pin", "revoked"])
@pytest.mark.parametrize("line", ["{good} ; {other}", "{good} ;{other}", "{good} ; two: ; {other}", "{good} ; key:{cert}",
                                  "{good} ; cert:{cert}", "; {good}"])
def test_a_pin_in_a_comment_is_an_error(option, line, expand, tmp_path):
    pin = "" if option == "pin" else "pin = {cert_pin}\n"
    assert_mistake(tmp_path / "pinproxyd.conf", expand(f"[server.test]\n{pin}>>{option} = {line}\n"), "comment")


@pytest.mark.parametrize("line", ["pin = {other} ; until=2027-06-30", "pin = {other} ;name=next", "also_check = name ; dates",
                                  "listen = unix:x ; mode=0600", "pin = \"{other}\"", "ca_file = '{cert}'"])
def test_a_part_of_a_value_in_a_comment_or_in_quotes_is_an_error(line, expand, tmp_path):
    assert_mistake(tmp_path / "pinproxyd.conf", expand(PINNED + f">>{line}\n"))


def test_a_report_mode_with_its_end_in_a_comment_is_an_error(expand, tmp_path):
    text = PINNED + "verify = pin+pki\n>>enforce = report ; until=2027-06-30\n"
    assert_mistake(tmp_path / "pinproxyd.conf", expand(text), "comment")


def test_revoked_of_a_section_adds_to_that_of_defaults(pinproxyd, tls_server, tmp_path):
    server, other = tls_server(), certs.self_signed(tmp_path)
    daemon = pinproxyd({"defaults": {"revoked": server.cert.pin}, NAME: to(server, revoked=other.pin)})
    assert_refused(daemon, "refused", "revoked", data=b"hello")


def test_a_key_revoked_by_defaults_and_by_a_section_is_valid(expand, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    path.write_text(expand("[defaults]\nrevoked = {other}\n" + PINNED + "revoked = {other}\n"))
    assert run_pinproxyd("-t", "-c", path).returncode == 0


# indented lines

@pytest.mark.parametrize("indent", [" ", "\t", "    "])
def test_an_indented_option_is_an_error(indent, expand, tmp_path):
    assert_mistake(tmp_path / "pinproxyd.conf", expand(HEAD + f">>{indent}pin = {{good}}\n"), "is indented")
    assert_mistake(tmp_path / "pinproxyd.conf", expand(f"[server.test]\n>>{indent}pin = {{good}}\n"), "is indented")
    assert_mistake(tmp_path / "pinproxyd.conf", expand(PINNED + f">>{indent}port=443\n"), "is indented")


@pytest.mark.parametrize("indent", [" ", "\t"])
def test_an_indented_section_is_an_error(indent, expand, tmp_path):
    text = PINNED + f">>{indent}[other.test]\nlisten = 127.0.0.1:0\npin = {{other}}\n"
    run = assert_mistake(tmp_path / "pinproxyd.conf", expand(text), "section")
    assert run.err.count("\n") == 1, run.err


# no section

@pytest.mark.parametrize("text", ["", "; nothing\n", "[global]\nworkers = 1\n", "[defaults]\nport = 444\n"])
def test_a_configuration_without_a_section_is_an_error(text, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    path.write_text(text)
    for arguments in (("-t",), ()):
        run = run_pinproxyd(*arguments, "-c", path)
        assert run.returncode == 78, run.err
        assert "no host section" in run.err


@pytest.mark.parametrize("text", ["", "[global]\ninclude = conf.d/*.conf\n"])
def test_a_reload_without_a_section_changes_nothing(text, pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server())})
    daemon.reload(text, ok=False)
    assert_accepted(daemon)


@pytest.mark.parametrize("errors", [40, 1500])
def test_a_reload_logs_every_error(errors, pinproxyd, tls_server):
    daemon = pinproxyd({NAME: to(tls_server())})
    text = "[a.test]\n" + "".join(f"wrong{i} = 1\n" for i in range(errors))
    last = "has no pin" if errors < 1000 else f"{errors + 1 - 1000} errors more"
    for _ in range(2):
        mark = daemon.mark()
        daemon.reload(text, ok=False)
        daemon.wait_event(since=mark, event="reload_failed", detail=lambda detail: last in detail)
        wrong = daemon.events(since=mark, event="reload_failed", detail=lambda detail: "unknown option 'wrong" in detail)
        assert len(wrong) == min(errors, 1000)


def test_a_hash_after_a_value_is_an_error(expand, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.conf").write_text(expand("[a.test]\npin = {good}\n"))
    assert_mistake(path, expand("[global]\n>>include = conf.d/*.conf   # one file a host\n" + PINNED), "'#'")
    assert_mistake(path, expand(HEAD + ">>pin = {good} # today\n"), "'#'")
    assert_mistake(path, expand(PINNED + ">>port = 443\t# https\n"), "'#'")


# names

@pytest.mark.parametrize("name", ["server.test.", "SERVER.test", "Server.Test."])
def test_a_name_in_two_spellings_is_one_section(name, expand, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    run = assert_mistake(path, expand(PINNED + f">>[{name}]\npin = {{other}}\n"), "already defined")
    assert f"{path}:1" in run.err


def test_a_trailing_dot_does_not_appear_in_the_log(pinproxyd, tls_server):
    server = tls_server()
    daemon = pinproxyd({NAME + ".": to(server)})
    assert_accepted(daemon)
    daemon.wait_event(event="tunnel_close", section=NAME)


@pytest.mark.parametrize("head", ["[global]", "[defaults]"])
def test_the_error_of_a_repeated_section_names_the_first(head, expand, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    run = assert_mistake(path, expand(f"\n{head}\n" + PINNED + f">>{head}\n"), "already defined")
    assert f"{path}:2" in run.err


@pytest.mark.parametrize("option", ["sni", "verify_name"])
def test_the_word_host_is_an_error_as_a_name(option, expand, tmp_path):
    assert_mistake(tmp_path / "pinproxyd.conf", expand(PINNED + f">>{option} = host\n"), "leave this line out")


def test_verify_name_with_a_zone_is_an_error(expand, tmp_path):
    assert_mistake(tmp_path / "pinproxyd.conf", expand(PINNED + ">>verify_name = ::1%lo\n"), "zone")


# durations

@pytest.mark.parametrize("line", ["connect_timeout = 0", "connect_timeout = off", "handshake_timeout = 0",
                                  "handshake_timeout = off", "dns_ttl = off"])
def test_a_timeout_that_cannot_be_off_is_an_error(line, expand, tmp_path):
    assert_mistake(tmp_path / "pinproxyd.conf", expand(PINNED + f">>{line}\n"), line.split()[0])


def test_drain_timeout_off_is_an_error(expand, tmp_path):
    assert_mistake(tmp_path / "pinproxyd.conf", expand("[global]\n>>drain_timeout = off\n" + PINNED), "drain_timeout")


# syntax of other programs

OTHERS = {
    "accept = 8443": "listen",
    "connect = server.test:443": "host",
    "CAfile = /etc/ssl/ca.pem": "ca_file",
    "cert = client.pem": "client_cert",
    "checkHost = server.test": "verify_name",
    "TIMEOUTidle = 30": "idle_timeout",
    "proxy_pass = server.test:443": "host",
    "cacert = ca.pem": "ca_file",
    "pinnedpubkey = sha256//x": "pin = sha256//",
    "verify = yes": "pki",
    "verify = 2": "pki",
    "verify = no": "tofu",
    "client = yes": "leave this line out",
    "listen = 8443": "127.0.0.1:8443",
    "listen = *:8443": "0.0.0.0",
    "host = https://server.test/": "URL",
    "host = server.test:443": "port = N",
    "host = [::1]": "brackets",
    "address = https://192.0.2.1": "URL",
    "tls_min = TLSv1.2": "tls_min = 1.2",
}


@pytest.mark.parametrize("line", OTHERS)
def test_options_of_other_programs_are_errors_that_name_ours(line, expand, tmp_path):
    text = "[server.test]\npin = {good}\n" + (f">>{line}\n")
    assert_mistake(tmp_path / "pinproxyd.conf", expand(text), OTHERS[line])


@pytest.mark.parametrize("name, word", [("https://server.test/", "URL"), ("server.test:443", "port = N"),
                                        ("server.test/path", "path")])
def test_a_section_name_that_is_no_host_name_is_an_error(name, word, expand, tmp_path):
    assert_mistake(tmp_path / "pinproxyd.conf", expand(f">>[{name}]\npin = {{good}}\n"), word)


PINS = {
    "sha256/{digest}": "sha256//BASE64", "sha256:{digest}": "sha256//BASE64", "{digest}": "sha256//BASE64",
    'pin-sha256="{digest}"': "sha256//BASE64", '"sha256//{digest}"': "remove the quotes", "{cert_hex}": "cert:sha256:HEX",
    "sha256:{cert_hex}": "cert:sha256:HEX", "SHA256 Fingerprint={colons}": "cert:sha256:HEX",
    "sha256 Fingerprint={colons}": "cert:sha256:HEX", "{good} {other}": "one pin a line",
    "{good}, {other}": "one pin a line", "{cert}": "cert:FILE",
}


@pytest.mark.parametrize("value", PINS)
def test_pins_as_other_programs_write_them_are_errors_that_show_ours(value, expand, tmp_path):
    path = tmp_path / "pinproxyd.conf"
    colons = ":".join(HEX[i:i + 2] for i in range(0, 64, 2)).upper()
    text = expand(value.replace("{digest}", DIGEST).replace("{colons}", colons))
    assert_mistake(path, HEAD + f">>pin = {text}\n", PINS[value])


def test_the_directory_of_the_configuration_is_not_read_as_a_pattern(expand, tmp_path):
    """Otherwise its included files would not be found, and their hosts not served."""
    directory = tmp_path / "d[a]*?"
    (directory / "conf.d").mkdir(parents=True)
    (directory / "conf.d" / "a.conf").write_text(expand("[a.test]\npin = {good}\n"))
    (directory / "pinproxyd.conf").write_text("[global]\ninclude = conf.d/*.conf\n")
    run = run_pinproxyd("-t", "-c", directory / "pinproxyd.conf")
    assert run.returncode == 0 and "1 section" in run.out, run.err
