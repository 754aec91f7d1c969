"""The proxies: how each is called and configured. All verify the server."""

import dataclasses
import os
import pathlib
import re
import shutil
import signal
import string
import subprocess

PINPROXYD = os.environ.get(
    "PINPROXYD", str(pathlib.Path(__file__).resolve().parents[1] / "build/pinproxyd"))
NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"


@dataclasses.dataclass(frozen=True)
class Proxy:
    """
    In arguments and configuration: $listen, 127.0.0.1 and a port, and $number for each section;
    $upstream's port ($plain: without TLS), $dir, $cert and its $pin, $workers, $connections, which is how many
    tunnels there may be, $sockets, twice that, and $resumption, which is one of two texts below.
    """
    name: str
    program: str
    package: str
    arguments: str
    version: str = ""  # the argument that prints it
    head: str = ""
    section: str = ""
    tail: str = ""
    full: str = ""  # makes every handshake a full one
    resumed: str = ""  # ... or a resumed one, where there is a session; both empty: it cannot
    needs: str = "/"  # a file besides the program
    tuned: bool = False  # as no Debian package ships it
    reload: int = 0  # the signal
    forks: bool = False  # a process for each tunnel
    threads: bool = True  # can use several CPUs
    is_rival: bool = True

    def installed(self):
        return bool(shutil.which(self.program)) and os.path.exists(self.needs)

    def resumes(self):
        return self.full != self.resumed

    def version_text(self):
        if not self.version:
            return None
        said = subprocess.run([self.program, self.version], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=10).stdout
        found = re.search(r"\d+\.\d+[\w.+-]*", said)
        return f"{self.program.rpartition('/')[2]} {found[0] if found else '(version unknown)'}"

    def command(self, *, dir, listens, resume=False, **places):
        """Writes the configuration into `dir`, and returns the command line."""
        path = pathlib.Path(dir) / f"{self.program.rpartition('/')[2]}.conf"
        places |= {"dir": dir, "config": path, "resumption": self.resumed if resume else self.full,
                   "listen": listens[0], "port": listens[0].rpartition(":")[2]}
        sections = [string.Template(self.section).substitute(places, listen=listen, number=number)
                    for number, listen in enumerate(listens)]
        path.write_text(string.Template(self.head).substitute(places) + "".join(sections)
                        + string.Template(self.tail).substitute(places))
        return [self.program, *string.Template(self.arguments).substitute(places).split()]


OURS = Proxy(
    "pinproxyd", PINPROXYD, "none: build it, see CONTRIBUTING.md", "-c $config", "-V",
    head="""
[global]
workers = $workers
log_level = warning
log_format = text
drain_timeout = 1s
max_connections = $connections
""",
    section="""
[bench$number.test]
listen = $listen
address = 127.0.0.1:$upstream
sni = bench.test
pin = $pin
resume = $resumption
""", full="no", resumed="yes", reload=signal.SIGHUP, is_rival=False)

def over(name, way):
    """pinproxyd with another carrier of TLS."""
    return dataclasses.replace(OURS, name=f"pinproxyd, {name}", section=OURS.section.replace(
        "address = 127.0.0.1:$upstream", way))


CARRIERS = [OURS, over("unix:", "via = unix:$dir/server.sock"),
            over("exec:", "via = exec:$dir/upstream pass $dir/server.sock.exec")]

# The same with connections that are made ahead.
WARM = dataclasses.replace(OURS, name="pinproxyd, warm = 4", section=OURS.section + "warm = 4\n")

STUNNEL = Proxy(
    "stunnel", "stunnel4", "stunnel4", "$config", "-version",
    head="""
foreground = yes
syslog = no
debug = warning
pid =
sessionResume = $resumption
""",
    section="""
[bench$number]
client = yes
accept = $listen
connect = 127.0.0.1:$upstream
CAfile = $cert
verifyPeer = yes
checkHost = bench.test
""", full="no", resumed="yes", reload=signal.SIGHUP)

HAPROXY = Proxy(
    "haproxy", "haproxy", "haproxy", "-db -f $config", "-v",
    head="""
global
    nbthread $workers
    maxconn $connections
defaults
    mode tcp
    timeout connect 10s
    timeout client 10m
    timeout server 10m
""",
    section="""
listen bench$number
    bind $listen
    server upstream 127.0.0.1:$upstream ssl verify required ca-file $cert sni str(bench.test) $resumption
""", full="no-ssl-reuse")

NGINX = Proxy(
    "nginx", "nginx", "nginx libnginx-mod-stream", "-e stderr -p $dir -c $config", "-v",
    head=f"""
load_module {NGINX_STREAM};
daemon off;
pid $dir/nginx.pid;
error_log stderr;
worker_processes $workers;
events {{ worker_connections $sockets; }}
stream {{
    proxy_ssl on;
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate $cert;
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    proxy_ssl_name bench.test;
    proxy_ssl_server_name on;
    proxy_ssl_session_reuse $resumption;
""",
    section="""
    server {
        listen $listen;
        proxy_pass 127.0.0.1:$upstream;
    }
""", tail="}\n", full="off", resumed="on",
    reload=signal.SIGHUP, needs=NGINX_STREAM)

SOCAT = Proxy(
    "socat", "socat", "socat",
    "TCP4-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork,backlog=512 "
    "OPENSSL:127.0.0.1:$upstream,verify=1,cafile=$cert,commonname=bench.test", "-V",
    forks=True, threads=False)

RIVALS = [
    STUNNEL, HAPROXY,
    dataclasses.replace(HAPROXY, name="haproxy, 64 KiB", tuned=True,
                        head=HAPROXY.head.replace("global\n", "global\n    tune.bufsize 65536\n")),
    NGINX,
    dataclasses.replace(NGINX, name="nginx, 64 KiB", tuned=True,
                        head=NGINX.head + "    proxy_buffer_size 64k;\n"),
    SOCAT,
]


def openssl_version():
    """Of the library that all of them use."""
    return subprocess.run(["openssl", "version"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.split("(")[0].strip()


def before(program):
    """An earlier build of ours, as the rival."""
    return dataclasses.replace(OURS, name="before", program=str(program), is_rival=True)


def relay(program):
    """The upper bound: bytes without TLS."""
    return Proxy("plain relay", str(program), "", "$port $plain", threads=False, is_rival=False)
