"""Clients of MariaDB and MySQL through a tunnel: the real server of MariaDB, and scripted ones."""

import hashlib
import os
import struct
import subprocess

import pytest

from harness import certs
from harness.assertions import assert_refused
from harness.certs import NAME
from harness.clients import connect, read_exactly, read_to_any_end
from harness.config import to
from harness.daemon import run_pinproxy
from harness.databases import PASSWORD, USER, MariaDB
from harness.mysql import (ALL, NONCE, OK, Scripted, fast_login, full_login, handshake, no_login, packet, read_packet,
                           switched_login)
from harness.real_servers import need, need_module
from harness.servers import server_context
from harness.tls_connection import TlsConn
from harness.waiting import DEADLINE

pymysql = need_module("pymysql")


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory):
    server = MariaDB(certs.self_signed(tmp_path_factory.mktemp("mariadb")))
    yield server
    server.stop()


@pytest.fixture
def database(pinproxyd, mariadb):
    """The daemon, before the server."""
    # the server answers COM_QUIT with the end of TCP, and sends no close_notify
    return pinproxyd({NAME: to(mariadb, starttls="mysql", truncation="allow")})


def client(daemon, *arguments, user=USER, password=PASSWORD):
    """Runs the command-line client, which reads no configuration."""
    program, = need("mariadb")
    host, port = daemon.address(NAME).rsplit(":", 1)
    return subprocess.run([program, "--no-defaults", f"--host={host}", f"--port={port}", f"--user={user}",
                           "--default-character-set=utf8mb4", "--batch", "--skip-column-names", *arguments],
                          capture_output=True, timeout=DEADLINE, check=False,
                          env={**os.environ, "MYSQL_PWD": password})


def python_client(daemon, **options):
    host, port = daemon.address(NAME).rsplit(":", 1)
    return pymysql.connect(**{"host": host, "port": int(port), "user": USER, "password": PASSWORD, **options})


def fetch(conn, query):
    with conn.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def test_the_client_works_with_its_defaults(database):
    got = client(database, "-e", "show status like 'ssl_version'; select 6 * 7; select database()")
    assert got.returncode == 0, got.stderr
    lines = got.stdout.decode().splitlines()
    assert lines[0].startswith("Ssl_version\tTLSv1.") and lines[1:] == ["42", "NULL"]
    # the server may end TCP with a reset, as it does not read the end of TLS
    assert database.wait_event(event="tunnel_close")["reason"] in ("ok", "unanswered")
    assert not database.events(event=lambda event: event in ("truncated", "upstream_error"))


def test_a_database_and_a_character_set_are_the_clients(database):
    got = client(database, "--default-character-set=latin1", "things", "-e",
                 "select database(), @@character_set_client, hex('\xe9')".encode("latin1"))
    assert got.stdout == b"things\tlatin1\tE9\n", got.stderr
    got = client(database, "things", "-e", "select database(), @@character_set_client, hex('\xe9')".encode())
    assert got.stdout == b"things\tutf8mb4\tC3A9\n", got.stderr


def test_a_client_in_python_works(database):
    for options in ({}, {"database": "things"}, {"charset": "latin1", "read_timeout": DEADLINE}):
        with python_client(database, **options) as conn:
            assert fetch(conn, "select 6 * 7, database()") == ((42, options.get("database")),)


def test_a_wrong_password_is_refused_in_the_servers_words(database):
    got = client(database, "-e", "select 1", password="another")
    assert got.returncode == 1
    assert f"ERROR 1045 (28000): Access denied for user '{USER}'".encode() in got.stderr
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        python_client(database, password="another")


def test_an_unknown_database_is_refused_in_the_servers_words(database):
    with pytest.raises(pymysql.err.OperationalError, match="to database 'nothing'|Unknown database"):
        python_client(database, database="nothing")


def test_a_client_that_wants_tls_is_refused_in_its_own_words(database):
    got = client(database, "--ssl-verify-server-cert", "-e", "select 1")
    assert b"SSL is required, but the server does not support it" in got.stderr


def test_another_authentication_plugin_works(database):
    need("mariadb")
    got = client(database, "-e", "select current_user()", user="edward")
    assert got.stdout == b"edward@127.0.0.1\n", got.stderr
    got = client(database, "-e", "select 1", user="edward", password="another")
    assert b"Access denied for user 'edward'" in got.stderr


def test_several_statements_in_a_query_are_the_clients_choice(database):
    flag = pymysql.constants.CLIENT.MULTI_STATEMENTS
    with python_client(database, client_flag=flag) as conn, conn.cursor() as cursor:
        cursor.execute("select 1; select 2")
        assert cursor.fetchall() == ((1,),) and cursor.nextset() and cursor.fetchall() == ((2,),)
    with python_client(database) as conn, pytest.raises(pymysql.err.ProgrammingError, match="syntax"):
        fetch(conn, "select 1; select 2")


@pytest.mark.parametrize("starttls, flag, count", [
    ("mysql", 0, 0), ("mysql_found_rows", pymysql.constants.CLIENT.FOUND_ROWS, 1)])
def test_rows_are_counted_as_the_client_expects(starttls, flag, count, pinproxyd, mariadb):
    daemon = pinproxyd({NAME: to(mariadb, starttls=starttls)})
    with python_client(daemon, client_flag=flag, database="things") as conn, conn.cursor() as cursor:
        cursor.execute("create temporary table t as select 1 as n")
        assert cursor.execute("update t set n = 1") == count
    other = pymysql.constants.CLIENT.FOUND_ROWS - flag
    with pytest.raises(pymysql.err.OperationalError, match="pinproxyd: .*CLIENT_FOUND_ROWS: set starttls = mysql"):
        python_client(daemon, client_flag=other)
    assert "CLIENT_FOUND_ROWS" in daemon.wait_event(event="refused", reason="greeting")["detail"]


def test_a_large_result_is_whole(database):
    got = client(database, "-e", "select repeat('r', 1000) from seq_1_to_20000", "things", "--quick")
    if got.returncode:  # the engine of sequences is not there
        got = client(database, "-e", "with recursive s (n) as (select 1 union all select n + 1 from s where n < 20000) "
                     "select repeat('r', 1000) from s", "--init-command=set max_recursive_iterations = 100000")
    assert got.stdout == (b"r" * 1000 + b"\n") * 20000, got.stderr


def test_a_large_value_is_whole(database):
    value = os.urandom(3_000_000)
    with python_client(database) as conn, conn.cursor() as cursor:
        cursor.execute("select sha2(%s, 256), length(%s)", (value, value))
        assert cursor.fetchone() == (hashlib.sha256(value).hexdigest(), 3_000_000)


def test_a_local_file_is_loaded(database, tmp_path):
    (tmp_path / "rows").write_text("".join(f"{n}\n" for n in range(1000)))
    with python_client(database, database="things", local_infile=True) as conn, conn.cursor() as cursor:
        cursor.execute("create temporary table t (n int)")
        cursor.execute(f"load data local infile '{tmp_path}/rows' into table t")
        cursor.execute("select count(*), sum(n) from t")
        assert cursor.fetchone() == (1000, 499500)


def test_a_killed_query_is_an_error_of_the_server(database):
    with python_client(database) as one, python_client(database) as other, one.cursor() as cursor:
        other.kill(one.thread_id())
        with pytest.raises(pymysql.err.OperationalError):
            cursor.execute("select 1")


def test_a_server_with_another_key_gets_no_byte(pinproxyd, mariadb, tmp_path):
    daemon = pinproxyd({NAME: to(mariadb, starttls="mysql", pin=certs.self_signed(tmp_path).pin)})
    assert client(daemon, "-e", "select 1").returncode == 1
    daemon.wait_event(event="pin_mismatch")


def test_the_tool_does_the_same(mariadb):
    got = run_pinproxy("connect", mariadb.address, "--starttls", "mysql", "--pin", mariadb.cert.pin, input=b"")
    assert b"MariaDB" in got.stdout, got.stderr
    got = run_pinproxy("fetch", mariadb.address, "--starttls", "mysql")
    assert mariadb.cert.pin.encode() in got.stdout, got.stderr


# Scripted servers.

@pytest.fixture
def cert(tmp_path):
    return certs.self_signed(tmp_path)


@pytest.fixture
def scripted(raw_server, cert):
    def start(login=fast_login, **options):
        script = Scripted(cert, login, **options)
        server = raw_server(script)
        server.cert, server.script = cert, script
        return server
    return start


@pytest.mark.parametrize("login", [fast_login, full_login, switched_login])
def test_caching_sha2_password_works_over_a_unix_socket(login, pinproxyd, scripted, tmp_path):
    server = scripted(login)
    daemon = pinproxyd({NAME: to(server, starttls="mysql", listen=f"unix:{tmp_path}/sock")})
    with pymysql.connect(unix_socket=f"{tmp_path}/sock", user=USER, password=PASSWORD, database="things"):
        pass
    assert daemon.wait_event(event="tunnel_close")["reason"] == "ok"
    assert b"things\0caching_sha2_password\0" in server.script.response


def test_what_the_client_wants_is_set_after_authentication(pinproxyd, scripted):
    server = scripted()
    daemon = pinproxyd({NAME: to(server, starttls="mysql")})
    with python_client(daemon, charset="latin1", client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS):
        pass
    server.stop()
    assert server.script.commands[:2] == [
        b"\x1b\0\0", b"\3SET character_set_client=8,character_set_results=8,collation_connection=8"]


def test_a_refused_option_ends_the_tunnel(pinproxyd, raw_server, cert):
    def refuse(conn):
        conn.sock.sendall(handshake())
        read_exactly(conn.sock, 36)
        tls = TlsConn(conn.sock, server_context(cert))
        tls.handshake()
        read_packet(tls)
        tls.send(packet(3, OK))
        read_packet(tls)
        tls.send(packet(1, b"\xff\x17\x04#HY000no such thing"))
        tls.drain_raw()
    server = raw_server(refuse)
    server.cert = cert
    daemon = pinproxyd({NAME: to(server, starttls="mysql")})
    with pytest.raises(pymysql.err.OperationalError):
        python_client(daemon, charset="latin1")
    line = daemon.wait_event(event="upstream_error", reason="starttls")
    assert line["detail"] == "the server refused the client's options: error 1047: no such thing"


def test_the_client_sees_a_server_without_tls(pinproxyd, scripted):
    daemon = pinproxyd({NAME: to(scripted(no_login), starttls="mysql")})
    with connect(daemon.address(NAME)) as sock:
        greeting = read_exactly(sock, len(handshake()))
    differing = [i for i, (a, b) in enumerate(zip(greeting, handshake())) if a != b]
    assert len(differing) <= 4
    low, high = struct.unpack_from("<H3xH", greeting, greeting.index(NONCE[:8]) + 9)
    assert low & 0x0800 == 0 and low | high << 16 | 0xffc00822 == ALL | 0xffc00822


def test_a_client_that_asks_for_tls_itself_is_refused(pinproxyd, scripted):
    daemon = pinproxyd({NAME: to(scripted(no_login), starttls="mysql")})
    with connect(daemon.address(NAME)) as sock:
        read_exactly(sock, len(handshake()))
        sock.sendall(packet(1, struct.pack("<IIB23x", 0x0008aa00, 1 << 24, 45)))
        assert read_to_any_end(sock) == (b"", True)
    daemon.wait_event(event="refused", reason="tls_from_client")


@pytest.mark.parametrize("greeting, detail", [
    (handshake(ALL & ~0x800), "mysql: the server does not offer TLS"),
    (packet(0, b"\xff\x10\x04Too many connections"), "mysql: the server refused: error 1040: Too many connections"),
    (packet(0, b"\xff\x6a\x04#HY000Host is not allowed"), "mysql: the server refused: error 1130: Host is not allowed"),
    (handshake() + b"\1", "mysql: the server sent more than its answer before TLS"),
    (packet(0, b"\x09" + handshake()[5:]), "mysql: the server's handshake packet is not of protocol version 10"),
    (packet(0, b"\x0a" + b"v" * 60), "mysql: the server's handshake packet is malformed: the version has no end"),
    (packet(0, handshake()[4:40]), "mysql: the server's handshake packet is too short for protocol 4.1"),
    (handshake(ALL & ~0x200), "mysql: the server is older than MySQL 4.1"),
    (b"220 mail.example ESMTP\r\n", "mysql: the server's first bytes are no handshake packet of MySQL"),
], ids=["no-tls", "error", "error-state", "injected", "version-9", "endless", "short", "old", "smtp"])
def test_a_server_without_tls_is_refused(greeting, detail, pinproxyd, raw_server, cert):
    def greet(conn):
        conn.sock.sendall(greeting)
        while conn.recv():
            pass
    server = raw_server(greet)
    server.cert = cert
    daemon = pinproxyd({NAME: to(server, starttls="mysql")})
    assert assert_refused(daemon, "upstream_error", "starttls")["detail"] == detail
    assert all(len(conn.wire) in (0, 36) for conn in server.conns)  # SSLRequest at most
