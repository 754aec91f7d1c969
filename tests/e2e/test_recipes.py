"""Each recipe of pinproxy-recipes(7) works with the program that it is for."""

import os
import re
import subprocess

import pytest

from harness import certs, real_servers, recipes
from harness.databases import PASSWORD, USER, MariaDB, Postgres
from harness.mysql import Scripted, full_login
from harness.real_servers import need, need_module
from harness.recipes import Recipe
from harness.starttls_servers import PASSWORD as SECRET
from harness.starttls_servers import USER as LOGIN
from harness.starttls_servers import Dovecot, Postfix, Slapd
from harness.waiting import DEADLINE, wait_until

TESTED = set()


def recipe(name):
    """Returns a recipe and notes that there is a test of it."""
    TESTED.add(name)
    return name


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, timeout=DEADLINE, **options)


@pytest.fixture
def cert(tmp_path):
    return certs.self_signed(tmp_path)


class Program:
    """A program that a test starts, and that ends with it."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait(DEADLINE)


def answer_line(answer):
    def behave(conn):
        assert conn.recv_exactly(7) == b"status\n"
        conn.send(answer)
        conn.close_notify()
        conn.recv_all()
    return behave


def port_of(daemon, section):
    return daemon.address(section).rsplit(":", 1)[1]


@pytest.mark.parametrize("name", [recipe("Redis")])
def test_redis(name, pinproxyd, cert, stack, tmp_path):
    redis_cli, = need("redis-cli")
    page = Recipe(name)
    server = stack.add(real_servers.redis_tls(tmp_path, cert))
    daemon = pinproxyd(page.config_with(add=[("address", server.address)], listen="127.0.0.1:0", pin=cert.pin))
    assert page.has_command("redis-cli", "-h 127.0.0.1", "-p 6379", "PING")
    got = run(redis_cli, "-h", "127.0.0.1", "-p", port_of(daemon, page.section), "PING")
    assert got.stdout.strip() == b"PONG", got.stderr


@pytest.mark.parametrize("name", [recipe("PostgreSQL")])
def test_postgresql(name, pinproxyd, cert, stack):
    psql, = need("psql")
    page = Recipe(name)
    server = stack.add(Postgres(cert))
    daemon = pinproxyd(page.config_with(add=[("address", server.address)], listen="127.0.0.1:0", pin=cert.pin))
    assert page.has_command("psql", "host=127.0.0.1", "user=")
    got = run(psql, "-X", f"host=127.0.0.1 port={port_of(daemon, page.section)} user={USER} dbname=postgres", "-At", "-c",
              "select 6 * 7", env={**os.environ, "PGPASSWORD": PASSWORD})
    assert got.stdout.strip() == b"42", got.stderr


@pytest.mark.parametrize("name", [recipe("MariaDB")])
def test_mariadb(name, pinproxyd, cert, stack):
    mariadb, = need("mariadb")
    page = Recipe(name)
    server = stack.add(MariaDB(cert))
    daemon = pinproxyd(page.config_with(add=[("address", server.address)], listen="127.0.0.1:0", pin=cert.pin))
    assert page.has_command("mariadb", "--skip-ssl", "--protocol=tcp", "--host=127.0.0.1", "--user=")
    got = run(mariadb, "--no-defaults", "--skip-ssl", "--protocol=tcp", "--host=127.0.0.1",
              f"--port={port_of(daemon, page.section)}", f"--user={USER}", "-BN", "-e", "select 6 * 7", "things",
              env={**os.environ, "MYSQL_PWD": PASSWORD})
    assert got.stdout.strip() == b"42", got.stderr


@pytest.mark.parametrize("name", [recipe("MySQL")])
def test_mysql(name, pinproxyd, cert, raw_server, tmp_path):
    pymysql = need_module("pymysql")
    page = Recipe(name)
    script = Scripted(cert, full_login)
    server = raw_server(script)
    path = re.search(r"unix:(\S+?),mode=", page.config)[1]
    daemon = pinproxyd(page.config_with(add=[("address", server.address)], listen=f"unix:{tmp_path}/sock", pin=cert.pin))
    assert page.has_command("mysql", f"--socket={path}", "--user=")
    with pymysql.connect(unix_socket=f"{tmp_path}/sock", user=USER, password=PASSWORD):
        pass
    daemon.wait_event(event="tunnel_close", reason="ok")


@pytest.mark.parametrize("name", [recipe("SMTP submission")])
def test_smtp(name, pinproxyd, cert, stack, tmp_path):
    curl, = need("curl")
    page = Recipe(name)
    server = stack.add(Postfix(cert))
    daemon = pinproxyd(page.config_with(add=[("address", server.address)], listen="127.0.0.1:0", pin=cert.pin))
    assert page.has_command("curl", "smtp://127.0.0.1:587/", "-T")
    (tmp_path / "mail.txt").write_text("Subject: pinned\n\nhello\n")
    got = run(curl, "-sS", f"smtp://{daemon.address(page.section)}/client.example.com", "-T", tmp_path / "mail.txt",
              "--mail-from", f"app@{certs.NAME}", "--mail-rcpt", f"you@{certs.NAME}")
    assert got.returncode == 0, got.stderr
    wait_until(lambda: "status=sent" in server.log(), "the delivery")


@pytest.mark.parametrize("name", [recipe("IMAP")])
def test_imap(name, pinproxyd, cert, stack):
    curl, = need("curl")
    page = Recipe(name)
    server = stack.add(Dovecot(cert))
    daemon = pinproxyd(page.config_with(add=[("address", server.address)], listen="127.0.0.1:0", pin=cert.pin))
    assert page.has_command("curl", "imap://127.0.0.1:143/", "--user", "-X 'EXAMINE INBOX'")
    got = run(curl, "-sS", f"imap://{daemon.address(page.section)}/", "--user", f"{LOGIN}:{SECRET}", "-X", "EXAMINE INBOX")
    assert got.returncode == 0 and b"0 EXISTS" in got.stdout, got


@pytest.mark.parametrize("name", [recipe("LDAP")])
def test_ldap(name, pinproxyd, cert, stack):
    ldapsearch, = need("ldapsearch")
    page = Recipe(name)
    server = stack.add(Slapd(cert))
    daemon = pinproxyd(page.config_with(add=[("address", server.address)], listen="127.0.0.1:0", pin=cert.pin))
    assert page.has_command("ldapsearch", "-x", "-H ldap://127.0.0.1:389", "-D", "-b") and not page.has_command("-Z")
    got = run(ldapsearch, "-x", "-H", f"ldap://{daemon.address(page.section)}", "-D", f"cn={LOGIN},dc=test", "-w", SECRET,
              "-LLL", "-b", "", "-s", "base", "namingContexts")
    assert got.returncode == 0 and b"dc=test" in got.stdout, got


def answer_http(conn):
    request = b""
    while b"\r\n\r\n" not in request:
        request += conn.recv()
    assert b"Host: api.example.com\r\n" in request
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
    conn.close_notify()


@pytest.mark.parametrize("name", [recipe("HTTPS proxy")])
def test_https_proxy(name, pinproxyd, cert, stack, tls_server, tmp_path):
    curl, = need("curl")
    page = Recipe(name)
    server = tls_server(answer_http)
    proxy = stack.add(real_servers.squid(tmp_path, cert))
    page.config = page.config_with(add=[("address", server.address)], listen="127.0.0.1:0", pin=server.cert.pin)
    daemon = pinproxyd(page.config_with(add=[("address", proxy.address)], section="proxy.example.net", pin=cert.pin))
    assert page.has_command("curl", "Host: api.example.com", "http://127.0.0.1:8443/")
    got = run(curl, "-sS", "-H", "Host: api.example.com", f"http://{daemon.address(page.section)}/")
    assert got.stdout == b"hello", got.stderr
    daemon.wait_event(event="tunnel_close", section="proxy.example.net", reason="ok")


@pytest.mark.parametrize("name", [recipe("A helper program")])
def test_a_helper_program(name, pinproxyd, cert, tls_server, tmp_path):
    """The program that the recipe names is a script here, which copies to the server as `ssh -W` does."""
    socat, curl = need("socat", "curl")
    page = Recipe(name)
    server = tls_server(answer_http, cert)
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text("#!/bin/sh\n"
                   '[ "$*" = "-W api.example.com:443 gateway.example.com" ] || exit 9\n'
                   f"exec {socat} - TCP:{server.address}\n")
    ssh.chmod(0o755)
    daemon = pinproxyd(page.config_with(listen="127.0.0.1:0", pin=cert.pin),
                       env={"PATH": f"{ssh.parent}:{os.environ['PATH']}"})
    assert page.has_command("curl", "-H 'Host: api.example.com'", "http://127.0.0.1:8443/")
    got = run(curl, "-sS", "-H", "Host: api.example.com", f"http://{daemon.address(page.section)}/status")
    assert got.stdout == b"hello", got.stderr
    daemon.wait_event(event="exec_exit", status=0)


@pytest.mark.parametrize("name", [recipe("A serial device")])
def test_a_serial_device(name, pinproxyd, cert, tls_server, stack, tmp_path):
    socat, = need("socat")
    page = Recipe(name)
    server = tls_server(answer_line(b"12 kWh\n"), cert)
    ours, theirs = tmp_path / "ttyUSB0", tmp_path / "ttyS0"
    stack.add(Program(socat, f"PTY,rawer,link={ours}", f"PTY,rawer,link={theirs}"))  # the line
    wait_until(lambda: ours.exists() and theirs.exists(), "the line")
    assert page.has_command("socat", "/dev/ttyS0,rawer,b115200", "TCP:127.0.0.1:443")
    stack.add(Program(socat, f"{theirs},rawer,b115200", f"TCP:{server.address}"))
    daemon = pinproxyd(page.config_with(via=f"serial:{ours},115200", listen="127.0.0.1:0", pin=cert.pin))
    assert page.has_command("echo status", "socat - TCP:127.0.0.1:5020")
    got = run(socat, "-", f"TCP:{daemon.address(page.section)}", input=b"status\n")
    assert got.stdout == b"12 kWh\n", got.stderr
    assert daemon.wait_event(event="tunnel_close")["reason"] == "ok"


def test_each_recipe_has_a_test():
    assert set(recipes.names()) == TESTED
