"""Client certificates and servers of other projects."""

import pytest

from harness import certs
from harness.certs import CA, NAME, client_certificate
from harness.clients import exchange
from harness.config import ini, to
from harness.daemon import run_pinproxy
from harness.real_servers import gnutls_serv, nginx
from test_client_cert import together

REQUEST = b"GET /page HTTP/1.0\r\n\r\n"


@pytest.fixture
def live(check, backup, tmp_path):
    """Runs `pinproxy check --live` on a section: live(server, further options)."""
    return lambda server, **options: check({NAME: to(server, pin=[server.cert.pin, backup.pin], **options)}, "--live")


@pytest.fixture
def web(ca, tmp_path, stack):
    root = tmp_path / "www"
    root.mkdir()
    (root / "page").write_text("for clients with a certificate")
    for path in (tmp_path, root):
        path.chmod(0o755)
    return stack.add(nginx(tmp_path, certs.self_signed(tmp_path), root, client_ca=ca.cert))


def test_nginx_serves_a_client_with_a_certificate(web, ca, pinproxyd, live, tmp_path):
    path = together(client_certificate(ca), tmp_path)
    daemon = pinproxyd({NAME: to(web, client_cert=path, truncation="allow")})
    assert b"for clients with a certificate" in exchange(daemon.address(NAME), REQUEST)
    run = live(web, client_cert=path)
    assert run.returncode == 0 and "the server accepts the client certificate" in run.out, run.out


def test_nginx_refuses_a_client_without_one_over_http(web, pinproxyd, live):
    """In TLS it accepts every client."""
    daemon = pinproxyd({NAME: to(web, truncation="allow")})
    assert b" 400 " in exchange(daemon.address(NAME), REQUEST)
    run = live(web)
    assert run.returncode == 0 and "accepts a client without one" in run.out, run.out


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_gnutls_accepts_a_certificate_and_its_refusals_are_recognised(version, ca, live, stack, tmp_path):
    server = stack.add(gnutls_serv(tmp_path, certs.self_signed(tmp_path), ca.cert, version))
    good = together(client_certificate(ca), tmp_path, "good.pem")
    stranger = together(client_certificate(CA(tmp_path, "Stranger")), tmp_path, "stranger.pem")
    run = live(server, client_cert=good)
    assert run.returncode == 0 and "the server accepts the client certificate" in run.out, run.out
    run = live(server, client_cert=stranger)
    assert run.returncode == 2 and "the server refused the client certificate: " in run.out, run.out
    run = live(server)
    assert run.returncode == 2 and "the server requires a client certificate" in run.out, run.out


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_gnutls_echoes_a_line_of_a_client_with_a_certificate(version, ca, stack, tmp_path):
    server = stack.add(gnutls_serv(tmp_path, certs.self_signed(tmp_path), ca.cert, version))
    path = tmp_path / "p.conf"
    # gnutls-serv sends no close_notify
    path.write_text(ini({NAME: to(server, client_cert=together(client_certificate(ca), tmp_path), truncation="allow")}))
    run = run_pinproxy("connect", "-c", path, NAME, input=b"hello\n")
    assert run.out == "hello\n", run.err
