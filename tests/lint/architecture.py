#!/usr/bin/env python3
"""ARCHITECTURE.md names what exists: files, functions and identifiers in backticks, and every module.

A file in backticks must exist, by its path from the root or from src/, or by its name alone. In
`module.c: function` the file must define the function. Any other identifier must occur in the code
of src/, outside comments. Every module of src/FLOORS must be in the table of modules.
"""

import os
import pathlib
import re
import sys
import tempfile

CODE = re.compile(r'/\*.*?\*/|//[^\n]*|("(?:\\.|[^"\\\n])*")', re.S)
FILE = re.compile(r"[\w./-]+\.(?:[chy]|py|sh|md|[158])")
IN_FILE = re.compile(r"(\w+\.[ch]): (\w+)(?:\(\))?")
NAME = re.compile(r"[A-Za-z_]\w*")

# Files and functions of libuv and OpenSSL.
FOREIGN = {"<openssl/ssl.h>", "<uv.h>", "<ini.h>", "uv.h", "uv__stream_io", "openssl.cnf"}


def read_sources(root):
    """{name of a file: its text without comments}, of all files below src/"""
    files = {}
    for path in sorted((root / "src").rglob("*.[ch]")):
        text = CODE.sub(lambda m: m[1] or " ", path.read_text())
        files[path.name] = files.get(path.name, "") + text
    return files


def file_exists(root, name):
    if "/" in name:
        return (root / name).exists() or (root / "src" / name).exists()
    return any(any((root / top).rglob(name)) for top in ("src", "tests", "man")) or (root / name).exists()


def check_span(root, span, sources, words):
    """What is wrong with the text between two backticks, or None."""
    if span in FOREIGN or re.search(r"\b[A-Z]+\.[ch]$|_NAME\b", span):
        return None
    if match := IN_FILE.fullmatch(span):
        text = sources.get(match[1])
        if text is None:
            return f"{match[1]} does not exist"
        if not re.search(rf"^\w[^\n;=(]*\b{match[2]}\([^;]*?\)\n\{{", text, re.M):
            return f"{match[1]} does not define {match[2]}"
        return None
    if FILE.fullmatch(span) or re.fullmatch(r"\w+/[\w/]+", span):
        found = file_exists(root, span) or file_exists(root, span + ".c")
        return None if found else f"{span} does not exist"
    if span.startswith("make ") or "/" in span.split()[0]:
        command = span.split()[0]
        return None if "/" not in command or file_exists(root, command) else f"{command} does not exist"
    unknown = [name for name in NAME.findall(span) if name not in words]
    return f"{', '.join(unknown)}: not in the code of src/" if unknown else None


def check_table(text, floors):
    """Modules of src/FLOORS that the table of modules does not have, and the other way round."""
    listed = re.findall(r"^\d+ (\w+/\w+)$", floors, re.M)
    rows = []
    for cell in re.findall(r"^\| (\w+/[^|]*?) \|", text, re.M):
        directory, names = cell.split("/", 1)
        rows += [f"{directory}/{name}" for name in names.split(", ")]
    patterns = [row[:-1] for row in rows if row.endswith("*")]
    problems = [f"{module} is not in the table" for module in listed
                if module not in rows and not module.startswith(tuple(patterns))]
    problems += [f"{row} is in the table, but not in src/FLOORS" for row in rows
                 if row not in listed and not row.endswith("*")]
    return problems + [f"{row} is in the table twice" for row in set(rows) if rows.count(row) > 1]


def check(root):
    text = (root / "ARCHITECTURE.md").read_text()
    sources = read_sources(root)
    words = set(NAME.findall(" ".join(sources.values())))
    problems = check_table(text, (root / "src/FLOORS").read_text())
    prose = re.sub(r"^    .*$", "", text, flags=re.M)
    for match in re.finditer(r"`([^`]+)`", prose):
        problem = check_span(root, " ".join(match[1].split()), sources, words)
        if problem:
            line = prose.count("\n", 0, match.start()) + 1
            problems.append(f"ARCHITECTURE.md:{line}: {problem}")
    return problems


def self_check():
    """Every kind of fault is found, and nothing else, in a page that has one of each."""
    page = ("| a/low, gone | x |\n`low.c: low_run` `low.c:\nlow_call` `low.c: low_word` `lost.c` "
            "`a/lost.c` `a/low.c` `low_word` `low_run()` `said` `comment_word` `option = value`\n")
    code = ('/* comment_word */\nint low_run(int low_word)\n{\n    return low_call("option=value said");'
            " // comment_word\n}\n")
    expected = ["a/high is not in the table", "a/gone is in the table, but", "low.c does not define low_call",
                "low.c does not define low_word", "lost.c does not exist", "a/lost.c does not exist",
                "comment_word: not in the code"]
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        (root / "src/a").mkdir(parents=True)
        (root / "src/a/low.c").write_text(code)
        (root / "src/FLOORS").write_text("0 a/low\n0 a/high\n")
        (root / "ARCHITECTURE.md").write_text(page)
        found = check(root)
    missed = [e for e in expected if not any(e in f for f in found)]
    return [f"self-check: does not notice: {e}" for e in missed] or (
        [] if len(found) == len(expected) else ["self-check: too much:", *found])


def main():
    top = pathlib.Path(__file__).resolve().parents[2]
    problems = self_check() or check(pathlib.Path(os.environ.get("PINPROXY_SRCDIR", top)))
    if problems:
        print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
