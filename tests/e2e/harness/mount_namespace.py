"""Runs commands in mount namespaces of their own."""

import functools
import os
import subprocess

import pytest

WHY = "no mount namespaces here (a plain chroot, or a container without the right to make them)"


def _unshare(map_root):
    flags = "-rm" if map_root or os.geteuid() != 0 else "-m"
    return ["unshare", flags, "sh", "-c"]


@functools.cache
def _works(map_root):
    try:
        trial = subprocess.run([*_unshare(map_root), "mount --bind /etc/hosts /etc/hosts"], capture_output=True)
    except FileNotFoundError:
        return False
    return trial.returncode == 0


def in_mount_namespace(script, *arguments, map_root=False):
    """Returns a command that runs a shell script in a mount namespace of its own. Its arguments begin at $0.

    With map_root it has a user namespace too, even for root. Skips the test if the machine allows neither.
    """
    if not _works(map_root):
        pytest.skip(WHY)
    return [*_unshare(map_root), script, *map(str, arguments)]
