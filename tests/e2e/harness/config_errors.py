"""Configurations with errors, and what pinproxyd must say about them.

In a text, ">>" at the beginning of a line marks a line that the error must name. Where the error is about a whole
section there is no mark, and the error may name any line of the file. The fixture `expand` replaces {good} and {other}
by pins, and {cert}, {csr}, {key} and others by paths of files.
"""

import re

from harness import certs
from harness.daemon import run_pinproxyd

HEAD = "[server.test]\nlisten = 127.0.0.1:0\n"
PINNED = HEAD + "pin = {good}\n"
DIGEST = "YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg="
HEX = "60b87575447dcba2a36b7d11ac09fb24a9db406fee12d2cc90180517616e8a18"


def placeholders(directory):
    """Returns {placeholder: value}, and writes the files that the values name."""
    cert, other = certs.self_signed(directory), certs.self_signed(directory)
    (directory / "empty").write_bytes(b"")
    (directory / "garbage").write_bytes(b"this is no certificate\n" * 20)
    (directory / "cut").write_bytes(cert.pem[:len(cert.pem) // 2])
    (directory / "directory").mkdir()
    names = {"good": cert.pin, "other": other.pin, "cert_pin": cert.pin, "cert_hex": cert.hex,
             "cert": cert.pem_file(), "csr": cert.csr_file(), "key": cert.key_file()}
    return {**names, **{name: directory / name for name in ("empty", "garbage", "cut", "directory")}}


def write_marked(path, text):
    """Writes the text without its marks. Returns the line numbers of the marks."""
    lines = text.split("\n")
    marks = [number for number, line in enumerate(lines, 1) if line.startswith(">>")]
    path.write_text("\n".join(line.removeprefix(">>") for line in lines))
    return marks


def error_messages(path, err):
    """Returns (line number, message) of each error that names this file."""
    return [(int(m.group(1)), m.group(0)) for m in re.finditer(rf"{re.escape(str(path))}:(\d+): .+", err)]


def assert_config_error(path, marks, word, run):
    """Asserts exit status 78, and an error that names a marked line of the file and contains word."""
    assert run.returncode == 78, (run.returncode, run.err)
    found = error_messages(path, run.err)
    assert found, run.err
    if marks:
        found = [message for message in found if message[0] in marks]
        assert found, (marks, run.err)
    assert any(word.lower() in message.lower() for _, message in found), run.err


def assert_valid(path):
    """Asserts that pinproxyd -t accepts the configuration."""
    run = run_pinproxyd("-t", "-c", path)
    assert run.returncode == 0, run.err
