"""A PKCS#11 token in files (SoftHSM), and the ways in which OpenSSL reaches it."""

import os
import re
import subprocess
from pathlib import Path

from harness.openssl import openssl, openssl_version
from harness.real_servers import need
from harness.waiting import DEADLINE

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
LABEL, PIN = "test", "73510"


def _directory(option):
    """Returns one of OpenSSL's own directories."""
    return Path(re.search(rb'"(.*)"', openssl("version", option).stdout)[1].decode())


def ways():
    """Returns the ways that this system has: through a provider, or in versions before 4 through an engine."""
    places = {"provider": _directory("-m")}
    if openssl_version() < (4,):
        places["engine"] = _directory("-e")
    return [way for way, place in places.items() if (place / "pkcs11.so").exists()]


def _run(*command, env):
    subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=DEADLINE, env=env)


class Token:
    """`env` is the environment in which programs reach the token."""

    def __init__(self, directory, way):
        util, tool = need("softhsm2-util", "p11tool")
        directory.mkdir()
        (directory / "objects").mkdir()
        conf = directory / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {directory}/objects\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.directory, self.util, self.tool = directory, util, tool
        self.own = {**os.environ, "SOFTHSM2_CONF": str(conf), "GNUTLS_PIN": PIN}
        self.run(util, "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "99999")
        self.env = {"SOFTHSM2_CONF": str(conf), **self._environment(way)}

    def _environment(self, way):
        if way == "engine":
            return {"PKCS11_MODULE_PATH": MODULE}
        conf = self.directory / "openssl.cnf"
        conf.write_text("openssl_conf = init\n[init]\nproviders = providers\n"
                        "[providers]\ndefault = own\npkcs11 = token\n[own]\nactivate = 1\n"
                        f"[token]\nactivate = 1\npkcs11-module-path = {MODULE}\n"
                        # SoftHSM has ended before OpenSSL does, when a process exits
                        "pkcs11-module-quirks = no-deinit\n")
        return {"OPENSSL_CONF": str(conf)}

    def run(self, *command):
        _run(*command, env=self.own)

    def add(self, name, cert):
        """Stores a certificate and its key. Returns the URI of both."""
        number = f"{len(name):02x}{ord(name[0]):02x}"
        self.run(self.util, "--import", cert.key_file(), "--token", LABEL, "--label", name, "--id", number, "--pin", PIN)
        self.run(self.tool, f"--provider={MODULE}", "--login", "--write", f"--load-certificate={cert.pem_file()}",
                 f"--label={name}", f"--id={number}", f"pkcs11:token={LABEL}")
        return f"pkcs11:token={LABEL};object={name}"
