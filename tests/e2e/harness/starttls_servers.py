"""Servers of other projects that begin in plaintext: mail, news, directory, chat and files.

Each runs in a directory of its own, on free ports, with the test's certificate. Nothing below /etc is changed.
"""

import grp
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.certs import NAME
from harness.real_servers import Process, need
from harness.servers import closed_port

USER, PASSWORD = "me", "secret"


def need_root(program):
    if os.geteuid() != 0:
        pytest.skip(f"{program} starts as root alone")


class Starttls:
    """A server process in a directory that its user may enter, which that of pytest is not.

    `files` are {name: text}; PORT in the name of an attribute is a free port.
    """

    def __init__(self, cert):
        self.cert = cert
        self.process = None
        self.directory = Path(tempfile.mkdtemp(prefix="pinproxy-"))
        self.directory.chmod(0o755)
        self.certificate, self.key = self.directory / "cert.pem", self.directory / "key.pem"
        shutil.copy(cert.pem_file(), self.certificate)
        shutil.copy(cert.key_file(), self.key)
        self.port = closed_port()
        self.address = f"127.0.0.1:{self.port}"
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self):
        raise NotImplementedError

    def make(self, *names, owner=None, group=None, mode=None):
        """Makes directories."""
        for name in names:
            path = self.directory / name
            path.mkdir(parents=True, exist_ok=True)
            if owner or group:
                shutil.chown(path, owner, group)
            if mode:
                path.chmod(mode)

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    def give(self, user):
        """Makes a user the owner of all files."""
        for path in [self.directory, *self.directory.rglob("*")]:
            shutil.chown(path, user, user)

    def run(self, *command, **options):
        self.process = Process(self.directory, [str(word) for word in command], self.port, cwd=self.directory, **options)

    def log(self):
        return self.process.log.read_text(errors="replace")

    def stop(self):
        if self.process:
            self.process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Postfix(Starttls):
    """Accepts mail for anyone at the host NAME, and discards it."""

    def start(self):
        postconf, = need("postconf")
        need_root("postfix")
        daemons = subprocess.run([postconf, "-h", "daemon_directory"], check=True, capture_output=True, text=True).stdout.strip()
        self.make("etc", "queue", "queue/pid")
        self.make("data", *(f"queue/{name}" for name in (
            "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
            "trace")), owner="postfix")
        self.make("queue/maildrop", owner="postfix", group="postdrop", mode=0o730)
        self.make("queue/public", owner="postfix", group="postdrop", mode=0o710)
        self.write("etc/main.cf", f"""
compatibility_level = 3.6
maillog_file = /dev/stdout
queue_directory = {self.directory}/queue
data_directory = {self.directory}/data
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
myhostname = {NAME}
mydestination = {NAME}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
local_transport = discard:
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_cert_file = {self.certificate}
smtpd_tls_key_file = {self.key}
smtpd_tls_security_level = encrypt
""")
        self.write("etc/master.cf", f"""
127.0.0.1:{self.port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
discard unix - - n - - discard
retry unix - - n - - error
postlog unix-dgram n - n - 1 postlogd
""")
        # It ends its whole process group, which must be its own.
        self.run(f"{daemons}/master", "-c", self.directory / "etc", "-d", start_new_session=True)


class Dovecot(Starttls):
    """IMAP, POP3 and ManageSieve on three ports. USER has the password PASSWORD."""

    def start(self):
        dovecot, = need("dovecot")
        self.ports = {"imap": self.port, "pop3": closed_port(), "sieve": closed_port()}
        self.make("mail", "home")
        if os.geteuid() == 0:
            owner, login, internal = "nobody", "dovenull", "dovecot"
            for name in ("mail", "home"):
                shutil.chown(self.directory / name, owner, grp.getgrgid(pwd.getpwnam(owner).pw_gid).gr_name)
        else:
            owner = login = internal = pwd.getpwuid(os.geteuid()).pw_name
        group = grp.getgrgid(pwd.getpwnam(owner).pw_gid).gr_name
        internal_group = grp.getgrgid(pwd.getpwnam(internal).pw_gid).gr_name
        version = subprocess.run([dovecot, "--version"], check=True, capture_output=True, text=True).stdout
        new = tuple(map(int, version.split(".")[:2])) >= (2, 4)
        (self.directory / "certificates").mkdir()
        text = f"""
{"dovecot_config_version = 2.4.0" if new else ""}
{"dovecot_storage_version = 2.4.0" if new else ""}
base_dir = {self.directory}/run
{"state_dir = " + str(self.directory) + "/state" if new else ""}
log_path = /dev/stderr
protocols = imap pop3 sieve
default_login_user = {login}
default_internal_user = {internal}
default_internal_group = {internal_group}
first_valid_uid = 0
ssl = required
"""
        if new:
            text += f"""
ssl_server_cert_file = {self.certificate}
ssl_server_key_file = {self.key}
mail_driver = maildir
mail_path = {self.directory}/mail
mail_uid = {owner}
mail_gid = {group}
passdb static {{
  password = {PASSWORD}
}}
userdb static {{
  fields {{
    uid = {owner}
    gid = {group}
    home = {self.directory}/home
  }}
}}
sieve_script personal {{
  path = {self.directory}/home/sieve
}}
"""
        else:
            text += f"""
ssl_cert = <{self.certificate}
ssl_key = <{self.key}
mail_location = maildir:{self.directory}/mail
mail_uid = {owner}
mail_gid = {group}
passdb {{
  driver = static
  args = password={PASSWORD}
}}
userdb {{
  driver = static
  args = uid={owner} gid={group} home={self.directory}/home
}}
"""
        for service, name in ("imap-login", "imap"), ("pop3-login", "pop3"), ("managesieve-login", "sieve"):
            address = "listen" if new else "address"
            secure = "" if name == "sieve" else f"  inet_listener {name}s {{\n    port = 0\n  }}\n"
            text += (f"service {service} {{\n  chroot =\n  inet_listener {name} {{\n    {address} = 127.0.0.1\n"
                     f"    port = {self.ports[name]}\n  }}\n{secure}}}\n")
        text += "".join(f"service {name} {{\n  chroot =\n}}\n" for name in ("anvil", "stats"))
        self.write("dovecot.conf", text)
        self.run(dovecot, "-F", "-c", self.directory / "dovecot.conf")


class Slapd(Starttls):
    """An LDAP server that requires TLS."""

    def start(self):
        slapd, = need("slapd")
        self.make("db")
        self.write("slapd.conf", f"""
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {self.directory}/pid
TLSCertificateFile {self.certificate}
TLSCertificateKeyFile {self.key}
security tls=1
database mdb
suffix "dc=test"
rootdn "cn={USER},dc=test"
rootpw {PASSWORD}
directory {self.directory}/db
""")
        self.run(slapd, "-h", f"ldap://{self.address}", "-f", self.directory / "slapd.conf", "-d", "0")


class Nnrpd(Starttls):
    """The news server of InterNetNews for readers, with an empty group."""

    BIN = "/usr/lib/news/bin"

    def start(self):
        nnrpd, makedbz, overchan = (shutil.which(f"{self.BIN}/{name}") or need(name)[0]
                                    for name in ("nnrpd", "makedbz", "overchan"))
        need_root("nnrpd")
        at = self.directory
        self.make("db", "etc", "log", "run", "spool/overview", "tmp")
        inn = self.write("etc/inn.conf", f"""
mta: "/bin/false %s"
organization: test
fromhost: {NAME}
pathhost: {NAME}
domain: {NAME}
pathnews: /usr/lib/news
pathdb: {at}/db
pathetc: {at}/etc
pathrun: {at}/run
pathlog: {at}/log
pathspool: {at}/spool
pathtmp: {at}/tmp
pathoverview: {at}/spool/overview
hismethod: hisv6
enableoverview: true
ovmethod: tradindexed
nnrpdposthost: none
tlscertfile: {self.certificate}
tlskeyfile: {self.key}
tlscafile: {self.certificate}
tlscapath: {at}/etc
""")
        self.write("etc/readers.conf", """
auth "all" {
    hosts: "*"
    default: "reader"
}
access "all" {
    users: "reader"
    newsgroups: "*"
    access: R
}
""")
        for name in ("etc/storage.conf", "etc/inn-secrets.conf", "db/newsgroups", "db/active.times", "db/history"):
            self.write(name, "")
        self.write("db/active", f"{NAME} 0000000000 0000000001 y\n")
        self.give("news")
        for path in self.key, at / "etc/inn-secrets.conf":
            path.chmod(0o600)
        news = {"user": "news", "group": "news", "extra_groups": [], "env": {**os.environ, "INNCONF": str(inn)},
                "cwd": at, "check": True, "capture_output": True, "stdin": subprocess.DEVNULL}
        subprocess.run([makedbz, "-i", "-o", "-f", str(at / "db/history")], **news)
        subprocess.run([overchan], **news)
        self.run(nnrpd, "-D", "-f", "-p", self.port, "-b", "127.0.0.1", "-c", "readers.conf", env=news["env"])


class Prosody(Starttls):
    """An XMPP server for the domain NAME."""

    def start(self):
        prosody, = need("prosody")
        host = re.sub(r"[^A-Za-z0-9]", lambda match: f"%{ord(match[0]):02x}", NAME)
        self.make("certs", f"data/{host}/accounts")
        self.write(f"data/{host}/accounts/{USER}.dat", f'return {{ ["password"] = "{PASSWORD}"; }};\n')
        self.write("prosody.cfg.lua", f"""
run_as_root = true
pidfile = "{self.directory}/pid"
data_path = "{self.directory}/data"
certificates = "{self.directory}/certs"
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {self.port} }}
c2s_direct_tls_ports = {{ }}
s2s_ports = {{ }}
s2s_direct_tls_ports = {{ }}
modules_enabled = {{ "saslauth", "tls" }}
modules_disabled = {{ "s2s" }}
authentication = "internal_plain"
c2s_require_encryption = true
ssl = {{ key = "{self.key}", certificate = "{self.certificate}" }}
VirtualHost "{NAME}"
""")
        self.run(prosody, "--config", self.directory / "prosody.cfg.lua", "-F")


class Vsftpd(Starttls):
    """An FTP server for anonymous users, who need TLS."""

    def start(self):
        vsftpd, = need("vsftpd")
        self.make("empty", "files")
        self.write("vsftpd.conf", f"""
listen=YES
listen_address=127.0.0.1
listen_port={self.port}
background=NO
anonymous_enable=YES
anon_root={self.directory}/files
secure_chroot_dir={self.directory}/empty
run_as_launching_user={"NO" if os.geteuid() == 0 else "YES"}
seccomp_sandbox=NO
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
ssl_ciphers=HIGH
rsa_cert_file={self.certificate}
rsa_private_key_file={self.key}
""")
        self.run(vsftpd, self.directory / "vsftpd.conf")
