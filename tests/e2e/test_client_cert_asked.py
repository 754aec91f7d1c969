"""Servers that ask for a client certificate, and what the tools say of them."""

import json
import ssl

import pytest

from harness import servers
from harness.certs import NAME
from harness.config import to
from harness.daemon import run_pinproxy
from harness.servers import ask_client

OK, CRITICAL = 0, 2
VERSIONS = {"tls1.2": ssl.TLSVersion.TLSv1_2, "tls1.3": ssl.TLSVersion.TLSv1_3}
REQUIRED = "the server requires a client certificate"


@pytest.fixture(params=VERSIONS)
def start(request, tls_server):
    """Starts a server of one TLS version: start(behaviour)."""
    version = VERSIONS[request.param]
    return lambda behave=servers.echo: tls_server(behave, minimum=version, maximum=version)


def two_pins(server, backup):
    return {NAME: to(server, pin=[server.cert.pin, backup.pin])}


def test_live_is_critical_if_the_server_requires_a_client_certificate(start, check, backup):
    server = start()
    ask_client(server, server.cert)
    run = check(two_pins(server, backup), "--live")
    assert run.returncode == CRITICAL, run.out + run.err
    assert "client_cert" in run.out and REQUIRED in run.out
    assert server.wait_done()[0].received == 0


def test_live_waits_for_a_refusal_that_is_slow(tls_server, check, backup, relay):
    """With TLS 1.3 the handshake is complete long before the refusal comes."""
    server = tls_server()
    ask_client(server, server.cert)
    slow = relay(server, first=-20, pause=0.01)
    run = check(two_pins(slow, backup), "--live")
    assert run.returncode == CRITICAL, run.out + run.err
    assert REQUIRED in run.out


def truncate(conn):
    conn.truncate()


@pytest.mark.parametrize("behave", [servers.echo, servers.stall, truncate])
def test_live_is_ok_if_the_server_accepts_a_client_without_one(behave, start, check, backup):
    server = start(behave)
    ask_client(server, server.cert, required=False)
    run = check(two_pins(server, backup), "--live")
    assert run.returncode == OK, run.out + run.err
    assert "the server asks for a client certificate, and accepts a client without one" in run.out


@pytest.mark.parametrize("behave", [servers.echo, servers.stall])
def test_live_is_ok_if_the_server_accepts_and_sends_no_ticket(behave, tls_server, check, backup):
    """Then it says nothing at all: it is asked to close the connection, or the time for the handshake passes."""
    server = tls_server(behave)
    ask_client(server, server.cert, required=False)
    server.context.num_tickets = 0
    config = two_pins(server, backup)
    config[NAME]["handshake_timeout"] = "1s"
    run = check(config, "--live")
    assert run.returncode == OK, run.out + run.err


def test_live_is_ok_if_a_server_sends_data_without_end(tls_server, check, backup):
    server = tls_server(servers.send_forever)
    ask_client(server, server.cert, required=False)
    server.context.num_tickets = 0
    config = two_pins(server, backup)
    config[NAME]["handshake_timeout"] = "1s"
    run = check(config, "--live")
    assert run.returncode == OK, run.out + run.err


@pytest.mark.parametrize("required", [True, False], ids=["required", "optional"])
def test_fetch_says_that_the_server_asks_for_a_client_certificate(required, start):
    server = start()
    ask_client(server, server.cert, required)
    run = run_pinproxy("fetch", server.address)
    assert run.returncode == 0, run.err
    assert server.cert.pin in run.out
    assert "the server asks for a client certificate" in run.out.lower()
    assert "client_cert" in run_pinproxy("fetch", "--ini", server.address).out
    assert json.loads(run_pinproxy("fetch", "--json", server.address).out)["asks_client_cert"] is True


def test_fetch_says_nothing_of_client_certificates_if_the_server_does_not_ask(start):
    server = start()
    assert "client" not in run_pinproxy("fetch", server.address).out
    assert "client" not in run_pinproxy("fetch", "--ini", server.address).out
    assert json.loads(run_pinproxy("fetch", "--json", server.address).out)["asks_client_cert"] is False


def test_connect_says_that_the_server_requires_a_client_certificate(start):
    server = start()
    ask_client(server, server.cert)
    run = run_pinproxy("connect", server.address, "--pin", server.cert.pin, input=b"hello")
    assert run.returncode == 1
    assert "client_cert" in run.err and REQUIRED in run.err
    assert run.out == ""
