"""Clients and servers of other projects."""

import hashlib
import os
import subprocess

import pytest

from harness import certs, real_servers
from harness.assertions import assert_refused
from harness.certs import NAME
from harness.clients import connect, read_exactly
from harness.config import to
from harness.databases import USER, Postgres
from harness.real_servers import need
from harness.waiting import DEADLINE


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, timeout=DEADLINE, **options)


@pytest.fixture
def cert(tmp_path):
    return certs.self_signed(tmp_path)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_curl_gets_a_page_from_openssl_s_server(version, pinproxyd, cert, stack, tmp_path):
    curl, = need("curl")
    server = stack.add(real_servers.openssl_server(tmp_path, cert, "-www", version))
    daemon = pinproxyd({NAME: to(server, truncation="allow")})
    got = run(curl, "-sS", f"http://{daemon.address(NAME)}/")
    assert got.returncode == 0, got.stderr
    assert b"s_server" in got.stdout


def test_each_line_gets_its_answer_from_openssl_s_server(pinproxyd, cert, stack, tmp_path):
    server = stack.add(real_servers.openssl_server(tmp_path, cert, "-rev"))
    daemon = pinproxyd({NAME: to(server)})
    with connect(daemon.address(NAME)) as client:
        for word in (b"pinned", b"proxy", b"x" * 1000 + b"y"):
            client.sendall(word + b"\n")
            assert read_exactly(client, len(word) + 1) == word[::-1] + b"\n"


def test_openssl_s_server_with_another_key_is_refused(pinproxyd, cert, stack, tmp_path):
    server = stack.add(real_servers.openssl_server(tmp_path, cert, "-www"))
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    assert_refused(daemon, "pin_mismatch", data=b"GET / HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("group", ["X25519", "P-256", "P-384"])
def test_a_hello_retry_request_is_answered(group, pinproxyd, cert, stack, tmp_path):
    server = stack.add(real_servers.openssl_server(tmp_path, cert, "-rev", "-tls1_3", "-groups", group))
    daemon = pinproxyd({NAME: to(server, groups="P-521:P-384:P-256:X25519")})
    with connect(daemon.address(NAME)) as client:
        client.sendall(b"abc\n")
        assert read_exactly(client, 4) == b"cba\n"


def test_curl_gets_pages_from_nginx(pinproxyd, cert, stack, tmp_path):
    curl, = need("curl")
    root = tmp_path / "www"
    root.mkdir()
    (root / "page").write_text("a page from nginx\n")
    big = os.urandom(5_000_000)
    (root / "big").write_bytes(big)
    server = stack.add(real_servers.nginx(tmp_path, cert, root))
    daemon = pinproxyd({NAME: to(server)})
    base = f"http://{daemon.address(NAME)}"
    # two requests over one kept-alive connection
    got = run(curl, "-sS", "--fail", f"{base}/page", f"{base}/page")
    assert got.stdout == b"a page from nginx\n" * 2, got.stderr
    got = run(curl, "-sS", "--fail", "-H", "Connection: close", f"{base}/big")
    assert hashlib.sha256(got.stdout).digest() == hashlib.sha256(big).digest(), got.stderr
    # nginx does not answer close_notify, so only the connection that it closes itself ends cleanly
    daemon.wait_event(event="tunnel_close", reason="ok")


def test_curl_gets_a_page_from_nginx_over_a_unix_socket(pinproxyd, cert, stack, tmp_path):
    curl, = need("curl")
    root = tmp_path / "www"
    root.mkdir()
    (root / "page").write_text("a page from nginx\n")
    server = stack.add(real_servers.nginx(tmp_path, cert, root))
    pinproxyd({NAME: to(server, listen=f"unix:{tmp_path}/sock")})
    got = run(curl, "-sS", "--fail", "--unix-socket", tmp_path / "sock", f"http://{NAME}/page")
    assert got.stdout == b"a page from nginx\n", got.stderr


def test_curl_sees_the_refusal_as_an_error(pinproxyd, cert, stack, tmp_path):
    curl, = need("curl")
    root = tmp_path / "www"
    root.mkdir()
    (root / "page").write_text("a page from nginx\n")
    server = stack.add(real_servers.nginx(tmp_path, cert, root))
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    got = run(curl, "-sS", "--fail", f"http://{daemon.address(NAME)}/page")
    # 7: curl 8.23 counts a reset that comes before its request is sent as a failure to connect.
    assert got.returncode in (7, 52, 56)
    assert got.stdout == b""
    daemon.wait_event(event="pin_mismatch", section=NAME)


def test_curl_accepts_the_same_pin(cert, stack, tmp_path):
    """The text is the same in curl's --pinnedpubkey."""
    curl, = need("curl")
    root = tmp_path / "www"
    root.mkdir()
    (root / "page").write_text("a page from nginx\n")
    server = stack.add(real_servers.nginx(tmp_path, cert, root))
    got = run(curl, "-sS", "--fail", "-k", "--pinnedpubkey", cert.pin, f"https://{server.address}/page")
    assert got.stdout == b"a page from nginx\n", got.stderr


def test_redis_works_through_a_tunnel(pinproxyd, cert, stack, tmp_path):
    redis_cli, = need("redis-cli")
    server = stack.add(real_servers.redis_tls(tmp_path, cert))
    daemon = pinproxyd({NAME: to(server)})
    port = daemon.address(NAME).rsplit(":", 1)[1]

    def redis(*command, **options):
        got = run(redis_cli, "-h", "127.0.0.1", "-p", port, *command, **options)
        assert got.returncode == 0, got.stderr
        return got.stdout.strip()

    assert redis("PING") == b"PONG"
    assert redis("SET", "key", "a value") == b"OK"
    assert redis("GET", "key") == b"a value"
    assert redis("-x", "SET", "big", input=b"v" * 3_000_000) == b"OK"
    assert redis("STRLEN", "big") == b"3000000"
    commands = b"".join(b"INCR counter\n" for _ in range(5000))
    assert redis(input=commands).split()[-1] == b"5000"


def test_redis_with_another_key_is_refused(pinproxyd, cert, stack, tmp_path):
    redis_cli, = need("redis-cli")
    server = stack.add(real_servers.redis_tls(tmp_path, cert))
    daemon = pinproxyd({NAME: to(server, pin=certs.self_signed(tmp_path).pin)})
    port = daemon.address(NAME).rsplit(":", 1)[1]
    got = run(redis_cli, "-h", "127.0.0.1", "-p", port, "PING")
    assert b"PONG" not in got.stdout
    daemon.wait_event(event="pin_mismatch")


@pytest.mark.slow
def test_psql_works_through_a_tunnel_to_postgres(pinproxyd, cert, stack, tmp_path):
    psql, = need("psql")
    postgres = stack.add(Postgres())
    server = stack.add(real_servers.tls_before(tmp_path, cert, postgres.port))
    daemon = pinproxyd({NAME: to(server)})
    host, port = daemon.address(NAME).rsplit(":", 1)
    target = f"host={host} port={port} user={USER} dbname=postgres sslmode=disable"
    got = run(psql, target, "-At", "-c", "select count(*), sum(n) from generate_series(1, 200000) n")
    assert got.stdout.strip() == b"200000|20000100000", got.stderr
    rows = run(psql, target, "-At", "-c", "select repeat('r', 1000) from generate_series(1, 5000)")
    assert rows.stdout == (b"r" * 1000 + b"\n") * 5000, rows.stderr
