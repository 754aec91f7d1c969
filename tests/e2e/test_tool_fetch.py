"""pinproxy fetch: the certificates that a host presents."""

import json
import re

import pytest

from harness import certs, servers
from harness.assertions import assert_accepted
from harness.certs import NAME
from harness.daemon import PINPROXY, run_pinproxy, run_pinproxyd, run_program
from harness.mount_namespace import in_mount_namespace
from harness.servers import closed_port


def test_fetch_shows_the_chain_and_its_pins(tls_server, ca, tmp_path):
    inner = certs.CA(tmp_path, "Inner Authority", parent=ca)
    server = tls_server(cert=inner.issue(["server.test", "www.server.test"]))
    run = run_pinproxy("fetch", server.address)
    assert run.returncode == 0, run.err
    for text in ("Inner Authority", "www.server.test", server.cert.pin, inner.cert.pin,
                 server.cert.cert.not_valid_after.strftime("%Y-%m-%d")):
        assert text in run.out
    assert server.cert.hex in run.out.lower().replace(":", "")


def test_fetch_says_that_the_key_is_not_trusted_yet(tls_server):
    run = run_pinproxy("fetch", tls_server().address)
    assert re.search(r"not.{0,40}trust|confirm", run.out + run.err, re.S | re.I)


def test_fetch_sends_no_plaintext(tls_server):
    server = tls_server()
    run_pinproxy("fetch", server.address)
    assert server.wait_done()[0].received == 0


def test_fetch_sends_the_host_or_the_option_as_sni(tls_server):
    server = tls_server()
    assert run_pinproxy("fetch", server.address, "--sni", "front.test").returncode == 0
    assert run_pinproxy("fetch", "--sni", "other.test", f"localhost:{server.port}").returncode == 0
    assert run_pinproxy("fetch", f"localhost:{server.port}").returncode == 0
    assert run_pinproxy("fetch", server.address).returncode == 0
    assert [conn.sni for conn in server.wait_done(4)] == ["front.test", "other.test", "localhost", None]


def test_ini_is_a_section_that_works(pinproxyd, tls_server):
    server = tls_server()
    run = run_pinproxy("fetch", f"localhost:{server.port}", "--ini")
    assert run.returncode == 0, run.err
    assert server.cert.pin in run.out
    text = re.sub(r"(?m)^\s*[;#]?\s*listen\s*=.*\n", "", run.out)
    text = re.sub(r"(?m)^(\[.*\])$", r"\1\nlisten = 127.0.0.1:0", text)
    daemon = pinproxyd(text)
    section = daemon.wait_event(event="listen")["section"]
    assert_accepted(daemon, section)


def test_ini_alone_is_a_valid_configuration(tls_server, tmp_path):
    (tmp_path / "pasted.conf").write_text(run_pinproxy("fetch", f"localhost:{tls_server().port}", "--ini").out)
    run = run_pinproxyd("-t", "-c", tmp_path / "pasted.conf")
    assert run.returncode == 0, run.err


def test_json_is_valid_and_has_the_pin(tls_server):
    server = tls_server()
    run = run_pinproxy("fetch", server.address, "--json")
    assert run.returncode == 0, run.err
    json.loads(run.out)
    assert server.cert.pin in run.out


def test_an_ipv6_address_is_reached(tls_server):
    server = tls_server(host="::1")
    run = run_pinproxy("fetch", server.address)
    assert run.returncode == 0, run.err
    assert server.cert.pin in run.out


def test_expired_and_nameless_certificates_are_shown_as_well(tls_server, tmp_path):
    server = tls_server(cert=certs.self_signed(tmp_path, names=[], start=-9, end=-2))
    run = run_pinproxy("fetch", server.address)
    assert run.returncode == 0, run.err
    assert server.cert.pin in run.out


def test_evil_subject_does_not_reach_the_terminal(tls_server, tmp_path):
    server = tls_server(cert=certs.with_subject_bytes(tmp_path, b"evil\n[x]\npin = y\x1b[2J\xff\x9b end"))
    for form in ([], ["--ini"], ["--json"]):
        run = run_pinproxy("fetch", server.address, *form)
        assert run.returncode == 0, run.err
        text = run.stdout.decode("utf-8")
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
        assert "\npin = y" not in text
        assert server.cert.pin in text


@pytest.mark.parametrize("behave", [servers.answer_garbage, servers.close_at_hello, servers.reset_at_hello])
def test_a_server_without_tls_is_a_failure(behave, raw_server):
    run = run_pinproxy("fetch", raw_server(behave).address)
    assert run.returncode == 1
    assert run.err


def test_a_closed_port_is_a_failure():
    run = run_pinproxy("fetch", f"127.0.0.1:{closed_port()}")
    assert run.returncode == 1
    assert "refused" in run.err.lower()


@pytest.mark.parametrize("arguments", [
    [], ["a.test", "b.test"], ["a..test"], [".test"], ["a.test:0"], ["a.test:70000"], ["a.test", "--no-such-option"],
    ["a.test", "--ini", "--json"], ["a.test", "--sni"], ["-a.test"], [""], ["a.test", "--starttls", "gopher"]],
    ids=["nothing", "two_hosts", "empty_label", "leading_dot", "port_0", "port_70000", "unknown_option",
         "ini_and_json", "sni_without_name", "dash", "empty", "unknown_protocol"])
def test_a_wrong_call_is_a_usage_error(arguments):
    run = run_pinproxy("fetch", *arguments)
    assert run.returncode == 2, run.err
    assert run.err


def fetch_ini(tmp_path, port, *names):
    """Returns what fetch --ini prints for hosts that /etc/hosts resolves to this machine."""
    (tmp_path / "hosts").write_text("".join(f"127.0.0.1 {name}\n" for name in names))
    found = []
    for name in names:
        run = run_program(in_mount_namespace('mount --bind "$0" /etc/hosts && exec "$@"', tmp_path / "hosts", PINPROXY, "fetch",
                                      f"{name}:{port}", "--ini"))
        assert run.returncode == 0, run.err
        found.append(run.out)
    return found


def test_ini_of_hosts_with_long_names_has_a_section_for_each(tls_server, tmp_path):
    long = ["a" * 45 + "." + "b" * 45 + "." + end for end in ("one.test", "two.test")]
    names = [*long, "c" * 44 + ".test", "c" * 45 + ".test"]
    sections = fetch_ini(tmp_path, tls_server().port, *names)
    listen = (f"listen = unix:{number}" for number in range(9))
    (tmp_path / "pasted.conf").write_text("\n".join(re.sub("listen = .*", next(listen), text) for text in sections))
    run = run_pinproxyd("-t", "-c", tmp_path / "pasted.conf")
    assert run.returncode == 0, run.err
    heads = [text.splitlines()[0] for text in sections]
    assert len(set(heads)) == len(names) and heads[2] == f"[{names[2]}]"
    for name, text in zip(names, sections):
        assert f"[{name}]\n" in text or f"\nhost = {name}\n" in text


@pytest.mark.parametrize("name", ["global", "defaults", "proxy", "Proxy"])
def test_ini_of_a_host_named_like_a_special_section_is_valid(name, tls_server, tmp_path):
    (text,) = fetch_ini(tmp_path, tls_server().port, name)
    (tmp_path / "pasted.conf").write_text(text)
    run = run_pinproxyd("-t", "-c", tmp_path / "pasted.conf")
    assert run.returncode == 0, run.err
    assert f"\nhost = {name}\n" in text


@pytest.mark.parametrize("url", ["https://server.test/", "https://server.test:443", "server.test/path"])
def test_a_url_in_place_of_a_host_is_an_error(url):
    for command in (["fetch", url], ["connect", url, "--pin", f"sha256//{'A' * 42}8="]):
        run = run_pinproxy(*command)
        assert run.returncode == 2
        assert "host's name" in run.err, run.err
