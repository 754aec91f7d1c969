#!/usr/bin/env python3
"""Identifiers and paths in the documents exist.

In DOCUMENTS, a file in backticks must exist, by its path from the root or from src/, or by its name
alone. In `module.c: function` the file must define the function. Any other identifier in backticks
must occur in the code of src/, outside comments; except in ARCHITECTURE.md, it may also occur in
tests/, tools/ or the build system. Every path below a directory of the repository must exist, in
backticks or not; NAME in a path matches anything. Every module of src/FLOORS must be in the table
of modules of ARCHITECTURE.md.
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

# Documents that exist are checked.
DOCUMENTS = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "tests/README.md"]
STRICT = "ARCHITECTURE.md"  # names the code of src/ only
PATH = re.compile(r"(?<![\w/.$-])(?:src|tests|tools|man|bench|m4|systemd|\.ci|etc)/[\w.-]+(?:/[\w.-]+)*/?")

# Words of other programs, and of values that a reader replaces.
OTHERS = {"autoreconf", "journalctl", "http_proxy", "BASE64", "HEX", "FILE", "DIR", "X",
          "module_verb_noun", "MODULE_THING", "_MAX", "_MIN"}

# Files and functions of libuv and OpenSSL.
FOREIGN = {"<openssl/ssl.h>", "<uv.h>", "<ini.h>", "uv.h", "uv__stream_io", "openssl.cnf"}


def read_sources(root):
    """{name of a file: its text without comments}, of all files below src/"""
    files = {}
    for path in sorted((root / "src").rglob("*.[ch]")):
        text = CODE.sub(lambda m: m[1] or " ", path.read_text())
        files[path.name] = files.get(path.name, "") + text
    return files


def read_words(root):
    """The words of tests, tools and the build system, with OTHERS"""
    words = set(OTHERS)
    for top in ("tests", "tools", "m4", "systemd", ".ci", "configure.ac", "Makefile.am"):
        path = root / top
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if (file.is_file() and not {"corpus", "__pycache__"} & set(file.parts)
                    and file.suffix != ".md" and file.name != pathlib.Path(__file__).name):
                words |= set(NAME.findall(file.read_text(errors="replace")))
    return words


def path_exists(root, path):
    pattern = path.rstrip("/.").replace("NAME", "*")
    return any(any(root.glob(pattern + end)) for end in ("", ".c"))


def file_exists(root, name):
    if "/" in name:
        return (root / name).exists() or (root / "src" / name).exists()
    return any(any((root / top).rglob(name)) for top in ("src", "tests", "man")) or (root / name).exists()


def check_span(root, span, sources, words):
    """What is wrong with the text between two backticks, or None."""
    if span in FOREIGN or re.search(r"\b[A-Z]+\.[ch]$|_NAME\b", span):
        return None
    span = re.sub(r"\w+://\S*|(?<![\w.])/[\w./-]+", "", span).strip()  # of another host or file system
    if not span or PATH.match(span):  # check_document() has the paths
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
    if span.startswith("make "):
        return None
    unknown = [name for name in NAME.findall(span) if name not in words]
    return f"{', '.join(unknown)}: not in the code" if unknown else None


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


def check_document(root, name, sources, words):
    text = (root / name).read_text()
    prose = re.sub(r"^    .*$", lambda m: " " * len(m[0]), text, flags=re.M)
    problems = []
    for match in re.finditer(r"`([^`]+)`", prose):
        if problem := check_span(root, " ".join(match[1].split()), sources, words):
            problems.append((match.start(), problem))
    for match in PATH.finditer(text):
        if not path_exists(root, match[0]):
            problems.append((match.start(), f"{match[0]} does not exist"))
    return [f"{name}:{text.count(chr(10), 0, at) + 1}: {problem}" for at, problem in sorted(problems)]


def check(root):
    sources = read_sources(root)
    strict = set(NAME.findall(" ".join(sources.values())))
    words = strict | read_words(root)
    problems = check_table((root / STRICT).read_text(), (root / "src/FLOORS").read_text())
    for name in DOCUMENTS:
        if (root / name).exists():
            problems += check_document(root, name, sources, strict if name == STRICT else words)
    return problems


def self_check():
    """Every kind of fault is found, and nothing else, in pages that have one of each."""
    page = ("| a/low, gone | x |\n`low.c: low_run` `low.c:\nlow_call` `low.c: low_word` `lost.c` "
            "`a/lost.c` `a/low.c` `low_word` `low_run()` `said` `comment_word` `option = value` "
            "`test_word`\n")
    other = ("`low_word` `test_word` `lost_word` `/etc/ssl/x.pem` `http://a/b` `said//BASE64`\n"
             "src/a/low.c src/a/NAME.c `tests/NAME.py` tools/lost\n\n    tests/lost.py /etc/lost/x.conf\n")
    code = ('/* comment_word */\nint low_run(int low_word)\n{\n    return low_call("option=value said");'
            " // comment_word\n}\n")
    expected = ["a/high is not in the table", "a/gone is in the table, but", "low.c does not define low_call",
                "low.c does not define low_word", "lost.c does not exist", "a/lost.c does not exist",
                "comment_word: not in the code", "ARCHITECTURE.md:3: test_word: not in the code",
                "README.md:1: lost_word: not in the code", "README.md:2: tools/lost does not exist",
                "README.md:4: tests/lost.py does not exist"]
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        (root / "src/a").mkdir(parents=True)
        (root / "tests").mkdir()
        (root / "src/a/low.c").write_text(code)
        (root / "src/FLOORS").write_text("0 a/low\n0 a/high\n")
        (root / "tests/a.py").write_text("test_word\n")
        (root / STRICT).write_text(page)
        (root / "README.md").write_text(other)
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
