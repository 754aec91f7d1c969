"""psql and libpq, with their defaults, through a tunnel to PostgreSQL."""

import os
import signal
import subprocess
import threading

import pytest

from harness import certs
from harness.assertions import assert_refused
from harness.certs import NAME
from harness.clients import connect, read_exactly
from harness.config import to
from harness.daemon import run_pinproxy
from harness.databases import PASSWORD, USER, Postgres
from harness.real_servers import need, need_module
from harness.servers import server_context
from harness.tls_connection import TlsConn
from harness.waiting import DEADLINE, wait_until

# Direct TLS exists since version 17.
WAYS = {"starttls": {"starttls": "postgres"}}
if Postgres.version() >= 17:
    WAYS["direct"] = {"alpn": "postgresql", "client": "postgres"}


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    server = Postgres(certs.self_signed(tmp_path_factory.mktemp("postgres")))
    yield server
    server.stop()


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


@pytest.fixture
def database(pinproxyd, postgres, way):
    """The daemon, before the server."""
    return pinproxyd({NAME: to(postgres, **way)})


def target(daemon, **options):
    host, port = daemon.address(NAME).rsplit(":", 1)
    words = {"host": host, "port": port, "user": USER, "dbname": "postgres", **options}
    return " ".join(f"{key}={value}" for key, value in words.items())


def environment(**more):
    ours = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return {**ours, "PGPASSWORD": PASSWORD, "LC_ALL": "C", **more}


def psql(target, query, **env):
    program, = need("psql")
    return subprocess.run([program, "-X", target, "-At", "-c", query], capture_output=True, text=True, timeout=DEADLINE,
                          env=environment(**env), check=False)


def test_psql_works_with_its_defaults(database):
    got = psql(target(database), "select ssl from pg_stat_ssl where pid = pg_backend_pid()")
    assert (got.stdout, got.returncode) == ("t\n", 0), got.stderr
    assert database.wait_event(event="tunnel_close")["reason"] == "ok"


def test_psql_works_over_a_unix_socket(pinproxyd, postgres, way, tmp_path):
    pinproxyd({NAME: to(postgres, listen=f"unix:{tmp_path}/.s.PGSQL.5432", **way)})
    got = psql(f"host={tmp_path} user={USER} dbname=postgres", "select 6 * 7")
    assert got.stdout == "42\n", got.stderr


def test_a_wrong_password_is_refused_in_the_servers_words(database):
    got = psql(target(database), "select 1", PGPASSWORD="another")
    assert got.returncode == 2
    assert f'FATAL:  password authentication failed for user "{USER}"' in got.stderr


def test_sslmode_require_is_refused_in_libpqs_words(database):
    got = psql(target(database, sslmode="require"), "select 1")
    assert got.returncode == 2
    assert "server does not support SSL, but SSL was required" in got.stderr


def test_channel_binding_require_is_refused_in_libpqs_words(database):
    got = psql(target(database, channel_binding="require"), "select 1")
    assert got.returncode == 2
    assert "channel binding" in got.stderr and "require" in got.stderr


def test_an_interrupt_cancels_a_query_of_psql(database):
    program, = need("psql")
    with subprocess.Popen([program, "-X", target(database), "-At", "-c", "select pg_sleep(60)"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as client:
        try:
            wait_until(lambda: "1" in psql(target(database), "select count(*) from pg_stat_activity where state = "
                       "'active' and query like 'select pg_sleep%'").stdout, "the query to run")
            client.send_signal(signal.SIGINT)
            _, stderr = client.communicate(timeout=DEADLINE)
        finally:
            client.kill()
    assert "canceling statement due to user request" in stderr


def test_libpq_cancels_a_query(database):
    psycopg2 = need_module("psycopg2")
    conn = psycopg2.connect(target(database), password=PASSWORD)
    try:
        cancel = threading.Timer(0.2, conn.cancel)
        cancel.start()
        with pytest.raises(psycopg2.errors.QueryCanceled), conn.cursor() as cursor:
            cursor.execute("select pg_sleep(%s)", (DEADLINE,))
        cancel.join()
    finally:
        conn.close()


def test_a_large_result_is_whole(database):
    got = psql(target(database), "select repeat('r', 1000) from generate_series(1, 20000)")
    assert got.stdout == ("r" * 1000 + "\n") * 20000, got.stderr


def test_a_large_copy_is_whole(database):
    psycopg2 = need_module("psycopg2")
    import io  # pylint: disable=import-outside-toplevel
    conn = psycopg2.connect(target(database), password=PASSWORD)
    try:
        with conn.cursor() as cursor:
            cursor.execute("create temporary table t (n int, words text)")
            cursor.copy_from(io.StringIO("".join(f"{n}\t{'w' * 500}\n" for n in range(20000))), "t")
            cursor.execute("select count(*), sum(n), sum(length(words)) from t")
            assert cursor.fetchone() == (20000, 20000 * 19999 // 2, 500 * 20000)
    finally:
        conn.close()


def test_a_server_with_another_key_gets_no_byte(pinproxyd, postgres, way, tmp_path):
    daemon = pinproxyd({NAME: to(postgres, pin=certs.self_signed(tmp_path).pin, **way)})
    got = psql(target(daemon), "select 1")
    assert got.returncode == 2
    daemon.wait_event(event="pin_mismatch")


def test_the_tool_does_the_same(postgres):
    got = run_pinproxy("connect", postgres.address, "--starttls", "postgres", "--pin", postgres.cert.pin,
                       input=SSL_REQUEST)
    assert (got.returncode, got.stdout) == (0, b"N"), got.stderr
    got = run_pinproxy("fetch", postgres.address, "--starttls", "postgres")
    assert postgres.cert.pin.encode() in got.stdout, got.stderr


# Scripted servers.

SSL_REQUEST = bytes.fromhex("00000008 04d2162f")
GSS_REQUEST = bytes.fromhex("00000008 04d21630")
STARTUP = bytes.fromhex("0000000b 00030000 757800")
SASL = b"R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"
SASL_SHORT = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"
AUTH_OK = b"R\0\0\0\x08\0\0\0\0"


@pytest.fixture
def cert(tmp_path):
    return certs.self_signed(tmp_path)


@pytest.fixture
def scripted(raw_server, cert):
    """Starts a server that answers SSLRequest with `answer`, and then is one for TLS."""
    def start(behave=None, answer=b"S"):
        def serve(conn):
            request = conn.recv()
            conn.request = request
            conn.sock.sendall(answer)
            if behave:
                conn.tls = TlsConn(conn.sock, server_context(cert))
                conn.tls.handshake()
                behave(conn.tls)
            while conn.recv():
                pass
        server = raw_server(serve)
        server.cert = cert
        return server
    return start


def authenticate(conn):
    """Offers both mechanisms, and asks for nothing."""
    conn.recv_exactly(len(STARTUP))
    for byte in SASL + AUTH_OK:
        conn.send(bytes([byte]))
    conn.send(SASL)
    assert conn.recv_exactly(len(SSL_REQUEST)) == SSL_REQUEST
    conn.close_notify()


def test_only_what_a_plain_client_cannot_use_is_changed(pinproxyd, scripted):
    daemon = pinproxyd({NAME: to(scripted(authenticate), starttls="postgres")})
    with connect(daemon.address(NAME)) as client:
        for request in (GSS_REQUEST, SSL_REQUEST, GSS_REQUEST):
            client.sendall(request)
            assert read_exactly(client, 1) == b"N"
        client.sendall(STARTUP)
        # behind the end of authentication all bytes pass
        assert read_exactly(client, len(SASL_SHORT + AUTH_OK + SASL)) == SASL_SHORT + AUTH_OK + SASL
        client.sendall(SSL_REQUEST)
        assert client.recv(1) == b""
    assert daemon.wait_event(event="tunnel_close")["reason"] == "ok"


def test_direct_tls_offers_the_protocol_of_postgresql(pinproxyd, tls_server, cert):
    server = tls_server(authenticate, cert, alpn=["postgresql"])
    daemon = pinproxyd({NAME: to(server, alpn="postgresql", client="postgres")})
    with connect(daemon.address(NAME)) as client:
        client.sendall(SSL_REQUEST + STARTUP)
        assert read_exactly(client, 1 + len(SASL_SHORT)) == b"N" + SASL_SHORT
        client.sendall(SSL_REQUEST)
        assert client.recv(1000).startswith(AUTH_OK[:1])
    assert server.wait_conns()[0].tls.selected_alpn_protocol() == "postgresql"


def test_a_raw_client_gets_the_servers_own_offer(pinproxyd, scripted):
    def offer(conn):
        assert conn.recv_exactly(8) == SSL_REQUEST
        conn.send(SASL)
        conn.close_notify()
    daemon = pinproxyd({NAME: to(scripted(offer), starttls="postgres", client="raw")})
    with connect(daemon.address(NAME)) as client:
        client.sendall(SSL_REQUEST)
        assert read_exactly(client, len(SASL)) == SASL


@pytest.mark.parametrize("answer, detail", [
    (b"N", "postgres: the server does not offer TLS"),
    (b"E\0\0\0\x23SFATAL\0C53300\0Mtoo many cooks\0\0", "postgres: the server refused: too many cooks"),
    (b"Eunsupported protocol\n\0", "postgres: the server refused: unsupported protocol\n"),
    (b"SSH-2.0-OpenSSH\r\n", "postgres: the server sent more than its answer before TLS"),
    (b"SE\0\0\0\x08injected", "postgres: the server sent more than its answer before TLS"),
    (b"220 mail\r\n", "postgres: the server's answer is not PostgreSQL's: it begins with byte 0x32"),
], ids=["no", "error", "old-error", "ssh", "injected", "smtp"])
def test_a_server_without_tls_is_refused(answer, detail, pinproxyd, scripted):
    server = scripted(answer=answer)
    daemon = pinproxyd({NAME: to(server, starttls="postgres")})
    line = assert_refused(daemon, "upstream_error", "starttls")
    assert line["detail"] == detail
    assert [conn.request for conn in server.conns] == [SSL_REQUEST]
    server.assert_nothing_received(b"secret")


def test_a_server_that_does_not_answer_is_a_timeout(pinproxyd, raw_server, cert):
    server = raw_server(lambda conn: [None for _ in iter(conn.recv, b"")])
    server.cert = cert
    daemon = pinproxyd({NAME: to(server, starttls="postgres", connect_timeout="300ms")})
    assert "no postgres" in assert_refused(daemon, "upstream_error", "timeout")["detail"]


def test_a_server_that_closes_is_an_error(pinproxyd, raw_server, cert):
    server = raw_server(lambda conn: conn.recv())
    server.cert = cert
    daemon = pinproxyd({NAME: to(server, starttls="postgres")})
    assert assert_refused(daemon, "upstream_error", "starttls")["detail"] == "postgres: the server closed the connection"
