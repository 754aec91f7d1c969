"""Real database servers, each in a directory of its own, on a free port of 127.0.0.1.

They do not run as root, nor below a directory that only root may enter. Nothing in /etc is read."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness.real_servers import Process, need
from harness.servers import closed_port

USER, PASSWORD = "tester", "secret words"


class _Database:
    """A server process of the system's user `user`, with a copy of the certificate."""

    user = None

    def __init__(self, cert=None):
        self.process = None
        self.programs = self._programs()
        self.cert = cert
        self.directory = tempfile.mkdtemp(prefix="pinproxy-database-")
        try:
            self.options = {"cwd": self.directory}
            if os.geteuid() == 0:
                self.options.update(user=self.user, group=self.user, extra_groups=[])
            if cert:
                self._write("server.crt", Path(cert.chain_file()).read_text())
                self._write("server.key", Path(cert.key_file()).read_text())
            self._own(self.directory)
            self.port = closed_port()
            self.address = f"127.0.0.1:{self.port}"
            self._start()
        except BaseException:
            self.stop()
            raise

    def _own(self, path):
        if os.geteuid() == 0:
            shutil.chown(path, self.user, self.user)

    def _write(self, name, text):
        path = Path(self.directory) / name
        path.write_text(text)
        path.chmod(0o600)
        self._own(path)
        return str(path)

    def _run(self, *command, **options):
        got = subprocess.run([str(word) for word in command], capture_output=True, **self.options, **options)
        assert got.returncode == 0, (got.stdout, got.stderr)

    def stop(self):
        if self.process:
            self.process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class Postgres(_Database):
    """PostgreSQL. With a certificate, only clients with TLS and the password get in; without one, all do."""

    user = "postgres"

    def _start(self):
        initdb, postgres = self.programs
        data = f"{self.directory}/data"
        options = ["-c", "fsync=off"]
        if self.cert:
            password = self._write("password", PASSWORD)
            self._run(initdb, "-D", data, "-U", USER, "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync")
            hba = self._write("hba", "hostssl all all 127.0.0.1/32 scram-sha-256\n")
            options += ["-c", "ssl=on", "-c", f"ssl_cert_file={self.directory}/server.crt",
                        "-c", f"ssl_key_file={self.directory}/server.key", "-c", f"hba_file={hba}"]
        else:
            self._run(initdb, "-D", data, "-U", USER, "-A", "trust", "--no-sync")
        # signal 2 ends the sessions too
        self.process = Process(self.directory, [
            postgres, "-D", data, "-h", "127.0.0.1", "-p", str(self.port), "-k", self.directory, *options], self.port,
            stop_signal=2, **self.options)

    @staticmethod
    def _programs():
        for place in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
            if (place / "initdb").exists():
                return str(place / "initdb"), str(place / "postgres")
        return need("initdb", "postgres")

    @staticmethod
    def version():
        """Returns the major version."""
        program = Postgres._programs()[1]
        return int(subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
                   .stdout.split()[2].split(".")[0])


class MariaDB(_Database):
    """MariaDB, with users who must use TLS: one with the usual plugin, and one with ed25519."""

    user = "mysql"

    @staticmethod
    def _programs():
        return need("mariadbd", "mariadb-install-db")

    def _start(self):
        mariadbd, install = self.programs
        data = f"{self.directory}/data"
        # A server that starts removes the temporary tables of all others in the same tmpdir.
        common = ["--no-defaults", f"--datadir={data}", f"--tmpdir={self.directory}"]
        users = self._write("users.sql", f"""
CREATE DATABASE things;
CREATE USER '{USER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL;
GRANT ALL ON things.* TO '{USER}'@'127.0.0.1';
INSTALL SONAME 'auth_ed25519';
CREATE USER 'edward'@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('{PASSWORD}') REQUIRE SSL;
""")
        self._run(install, *common, "--auth-root-authentication-method=normal", "--skip-test-db",
                  "--innodb-flush-log-at-trx-commit=0")
        self.process = Process(self.directory, [
            mariadbd, *common, "--bind-address=127.0.0.1", f"--port={self.port}",
            f"--socket={self.directory}/socket", f"--pid-file={self.directory}/pid", "--skip-name-resolve",
            "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", "--local-infile=ON",
            f"--init-file={users}", f"--ssl-cert={self.directory}/server.crt", f"--ssl-key={self.directory}/server.key"], self.port,
            **self.options)
