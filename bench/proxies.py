"""The proxies: how each is called and configured. All verify the server; buffers and the like are
as shipped."""

import dataclasses
import os
import pathlib
import re
import shutil
import string
import subprocess

PINPROXYD = os.environ.get(
    "PINPROXYD", str(pathlib.Path(__file__).resolve().parents[1] / "build/pinproxyd"))
NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"


@dataclasses.dataclass
class Proxy:
    """In arguments and configuration: $port to listen on, $upstream's port, $dir, $cert, and
    $connections, how many sockets suffice."""
    name: str
    program: str
    package: str
    arguments: str
    version: str  # the argument that prints it
    config: str = ""
    needs: str = "/"  # a file besides the program

    def installed(self):
        return bool(shutil.which(self.program)) and os.path.exists(self.needs)

    def version_text(self):
        said = subprocess.run([self.program, self.version], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=10).stdout
        found = re.search(r"\d+\.\d+[\w.+-]*", said)
        return f"{self.name} {found[0] if found else '(version unknown)'}"

    def command(self, **places):
        """Writes the configuration into `dir`, and returns the command line."""
        path = pathlib.Path(places["dir"]) / f"{self.name}.conf"
        path.write_text(string.Template(self.config).substitute(places))
        filled = string.Template(self.arguments).substitute(places, config=path)
        return [self.program, *filled.split()]


OURS = Proxy("pinproxyd", PINPROXYD, "none: build it, see CONTRIBUTING.md", "-c $config", "-V", """
[global]
workers = 1
log_level = warning
log_format = text
drain_timeout = 1s
[bench.test]
listen = 127.0.0.1:$port
address = 127.0.0.1:$upstream
pin = cert:$cert
""")

RIVALS = [
    Proxy("stunnel", "stunnel4", "stunnel4", "$config", "-version", """
foreground = yes
syslog = no
debug = warning
pid =
[bench]
client = yes
accept = 127.0.0.1:$port
connect = 127.0.0.1:$upstream
CAfile = $cert
verifyPeer = yes
checkHost = bench.test
"""),
    Proxy("haproxy", "haproxy", "haproxy", "-db -f $config", "-v", """
defaults
    mode tcp
    timeout connect 10s
    timeout client 10m
    timeout server 10m
listen bench
    bind 127.0.0.1:$port
    server upstream 127.0.0.1:$upstream ssl verify required ca-file $cert sni str(bench.test)
"""),
    Proxy("nginx", "nginx", "nginx libnginx-mod-stream", "-e stderr -p $dir -c $config", "-v", f"""
load_module {NGINX_STREAM};
daemon off;
pid $dir/nginx.pid;
error_log stderr;
events {{ worker_connections $connections; }}
stream {{
    server {{
        listen 127.0.0.1:$port;
        proxy_pass 127.0.0.1:$upstream;
        proxy_ssl on;
        proxy_ssl_verify on;
        proxy_ssl_trusted_certificate $cert;
        proxy_ssl_protocols TLSv1.2 TLSv1.3;
        proxy_ssl_name bench.test;
        proxy_ssl_server_name on;
    }}
}}
""", needs=NGINX_STREAM),
    Proxy("socat", "socat", "socat",
          "TCP4-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork,backlog=512 "
          "OPENSSL:127.0.0.1:$upstream,verify=1,cafile=$cert,commonname=bench.test", "-V"),
]
