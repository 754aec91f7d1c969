"""Servers of other projects, on free ports, in the test's directory."""

import importlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.servers import closed_port
from harness.waiting import DEADLINE, wait_until


def _missing(names):
    text = f"not installed: {', '.join(names)}"
    if os.environ.get("PINPROXY_NO_SKIP") == "1":
        pytest.fail(text)
    pytest.skip(text, allow_module_level=True)


def need_module(name):
    """Returns a module of Python, or does as need() does."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return _missing([name])


def need(*programs):
    """Returns the paths of the programs. If one is missing, skips the test, or fails it with PINPROXY_NO_SKIP=1."""
    found = [shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/bin") for program in programs]
    missing = [program for program, path in zip(programs, found) if not path]
    if missing:
        _missing(missing)
    return found


class Process:
    """A server process. It is ready when its port accepts connections."""

    def __init__(self, directory, command, port, cert=None, stop_signal=None, **options):
        self.cert, self.port, self.address = cert, port, f"127.0.0.1:{port}"
        self.stop_signal = stop_signal
        self.log = Path(directory) / f"{Path(command[0]).name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        try:
            wait_until(self._ready, f"{command[0]} to listen")
        except BaseException:
            self.stop()
            raise

    def _ready(self):
        assert self.process.poll() is None, self.log.read_text(errors="replace")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        if self.process.poll() is None:
            if self.stop_signal:
                self.process.send_signal(self.stop_signal)
            else:
                self.process.terminate()
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def dante(directory, user=None):
    """Starts Dante, a SOCKS proxy. With `user`, a name of this system, it asks for that user's password."""
    program, = need("danted")
    port = closed_port()
    method = "username" if user else "none"
    (Path(directory) / "danted.conf").write_text(f"""
logoutput: stderr
internal: 127.0.0.1 port = {port}
external: lo
clientmethod: none
socksmethod: {method}
user.unprivileged: nobody
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks block {{ from: 0.0.0.0/0 to: 127.0.0.9/32 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
""")
    return Process(directory, [program, "-f", f"{directory}/danted.conf", "-p", f"{directory}/danted.pid"], port)


def tinyproxy(directory, credentials=None):
    """Starts Tinyproxy, an HTTP proxy, perhaps with "USER PASSWORD"."""
    program, = need("tinyproxy")
    port = closed_port()
    (Path(directory) / "tinyproxy.conf").write_text(f"""
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 20
{f"BasicAuth {credentials}" if credentials else ""}
""")
    return Process(directory, [program, "-d", "-c", f"{directory}/tinyproxy.conf"], port)


def squid(directory, cert):
    """Starts Squid as an HTTPS proxy."""
    program, = need("squid")
    port = closed_port()
    where = tempfile.mkdtemp(prefix="pinproxy-squid-")
    shutil.copy(cert.pem_file(), f"{where}/cert.pem")
    shutil.copy(cert.key_file(), f"{where}/key.pem")
    Path(f"{where}/squid.conf").write_text(f"""
https_port 127.0.0.1:{port} tls-cert={where}/cert.pem tls-key={where}/key.pem
http_access allow all
cache deny all
cache_log {where}/cache.log
access_log none
pid_filename none
coredump_dir {where}
shutdown_lifetime 0 seconds
pinger_enable off
visible_hostname localhost
netdb_filename none
""")
    if os.geteuid() == 0:
        shutil.chown(where, "proxy", "proxy")
        for path in Path(where).iterdir():
            shutil.chown(path, "proxy", "proxy")
    try:
        server = Process(directory, [program, "-N", "-f", f"{where}/squid.conf"], port, cert)
    except BaseException:
        shutil.rmtree(where, ignore_errors=True)
        raise
    stop = server.stop

    def stop_and_remove():
        stop()
        shutil.rmtree(where, ignore_errors=True)
    server.stop = stop_and_remove
    return server


def openssl_server(directory, cert, *arguments):
    program, = need("openssl")
    port = closed_port()
    command = [program, "s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert.pem_file(), "-key", cert.key_file(),
               "-quiet", *arguments]
    return Process(directory, [str(word) for word in command], port, cert)


def gnutls_raw_key_server(directory, cert):
    """Starts gnutls-serv, which has the raw public key of a certificate, and no certificate. It echoes."""
    program, = need("gnutls-serv")
    port = closed_port()
    return Process(directory, [program, "--quiet", "--echo", "--port", str(port), "--priority",
                               "NORMAL:+CTYPE-SRV-RAWPK", "--rawpkkeyfile", str(cert.key_file()),
                               "--rawpkfile", str(cert.pubkey_file())], port, cert)


def nginx(directory, cert, root, client_ca=None):
    """Starts nginx, which serves the files below `root` over TLS, with `client_ca` to clients with a certificate of it."""
    program, = need("nginx")
    port = closed_port()
    where = Path(directory) / "nginx"
    where.mkdir()
    temporary = "\n".join(f"{kind}_temp_path {where}/{kind};"
                          for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (where / "nginx.conf").write_text(f"""
{"user root;" if os.geteuid() == 0 else ""}
daemon off;
master_process off;
pid {where}/pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    {temporary}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {cert.chain_file()};
        ssl_certificate_key {cert.key_file()};
        root {root};
        {f"ssl_client_certificate {client_ca.pem_file()}; ssl_verify_client on;" if client_ca else ""}
    }}
}}
""")
    return Process(directory, [program, "-e", "stderr", "-p", str(where), "-c", str(where / "nginx.conf")], port, cert)


def gnutls_serv(directory, cert, client_ca, version):
    """Starts GnuTLS's server, which echoes lines, and requires a certificate of `client_ca`. `version`: "1.2"."""
    program, = need("gnutls-serv")
    port = closed_port()
    return Process(directory, [
        program, "-q", "--echo", "-p", str(port), f"--x509keyfile={cert.key_file()}",
        f"--x509certfile={cert.pem_file()}", f"--x509cafile={client_ca.pem_file()}", "--require-client-cert",
        "--verify-client-cert", f"--priority=NORMAL:-VERS-ALL:+VERS-TLS{version}"], port, cert)


def tls_before(directory, cert, port_behind):
    """Starts socat, which puts TLS in front of a TCP server."""
    socat, = need("socat")
    port = closed_port()
    return Process(directory, [
        socat, f"OPENSSL-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,verify=0,"
               f"cert={cert.pem_file()},key={cert.key_file()}",
        f"TCP:127.0.0.1:{port_behind}"], port, cert)


def redis_tls(directory, cert):
    program, = need("redis-server")
    port = closed_port()
    return Process(directory, [program, "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1",
                               "--tls-cert-file", str(cert.pem_file()), "--tls-key-file", str(cert.key_file()),
                               "--tls-ca-cert-file", str(cert.pem_file()), "--tls-auth-clients", "no",
                               "--save", "", "--appendonly", "no", "--dir", str(directory)], port, cert)
