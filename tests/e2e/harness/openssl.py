"""Runs openssl(1)."""

import re
import subprocess

from harness.waiting import DEADLINE


def openssl(*arguments, cwd=None, input=None, check=True):
    """Returns the finished process with its output as bytes. With check, a failure of openssl fails the test."""
    source = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    done = subprocess.run(["openssl", *map(str, arguments)], cwd=cwd, capture_output=True, timeout=DEADLINE, **source)
    assert not check or done.returncode == 0, done.stderr
    return done


def openssl_version():
    """Returns the version of openssl(1), for instance (3, 0, 17)."""
    return tuple(int(part) for part in re.findall(rb"\d+", openssl("version").stdout)[:3])
