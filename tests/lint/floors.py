#!/usr/bin/env python3
"""The floors of src/FLOORS hold: no include points upwards, and no file is outside the list."""

import fnmatch
import os
import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"][^>"]+[>"])')


def read_floors(path):
    """The modules in order, and [(header pattern, who may include it)]."""
    modules, headers, problems, last = [], [], [], 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0].startswith("<"):
            headers.append((words[0], words[1:]))
            continue
        if len(words) != 2 or not words[0].isdigit():
            problems.append(f"{path}:{number}: neither FLOOR MODULE nor <HEADER> MODULE...")
            continue
        if int(words[0]) < last:
            problems.append(f"{path}:{number}: floor {words[0]} stands after floor {last}")
        if words[1] in modules:
            problems.append(f"{path}:{number}: {words[1]} is listed twice")
        last = int(words[0])
        modules.append(words[1])
    return modules, headers, problems


def place(module, header, modules):
    """Where a module's header or code stands in the list."""
    return modules.index(f"{module}.h" if header and f"{module}.h" in modules else module)


def check_include(where, path, include, modules, headers):
    """What is wrong with one include, or None."""
    module = path[:-2]
    if include.startswith("<"):
        for pattern, allowed in headers:
            if fnmatch.fnmatch(include, pattern):
                if not any(fnmatch.fnmatch(module, who) for who in allowed):
                    return f"{where}: {include} is not for {module}"
        return None
    target = include[1:-3] if include.endswith('.h"') else include
    if target == module:
        return None
    if target not in modules:
        return f"{where}: {include} is no header of a listed module"
    if place(target, True, modules) > place(module, path.endswith(".h"), modules):
        return f"{where}: {module} may not look up to {target}"
    return None


def check_makefile(root, fragment, files):
    """Files that no Makefile fragment names are not built and not distributed."""
    text = (root / fragment).read_text() if (root / fragment).exists() else ""
    return [f"{file}: not in {fragment}" for file in files if not re.search(
        rf"(^|\s){re.escape(file)}(\.c)?(\s|$)", text)]


def check(root):
    problems = []
    modules, headers, found = read_floors(root / "src/FLOORS")
    problems += found
    present = {m: [] for m in modules if (root / "src" / m).suffix and (root / "src" / m).exists()}
    for path in sorted((root / "src").rglob("*.[ch]")):
        present.setdefault(str(path.relative_to(root / "src").with_suffix("")), []).append(path)
    problems += [f"src/FLOORS: {m} does not exist" for m in modules if m not in present]
    for module, paths in present.items():
        if module not in modules:
            problems.append(f"src/FLOORS: {module} is missing")
            continue
        for path in paths:
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if match := INCLUDE.match(line):
                    where = f"{path.relative_to(root)}:{number}"
                    file = str(path.relative_to(root / "src"))
                    problem = check_include(where, file, match[1], modules, headers)
                    problems += [problem] if problem else []
    problems += check_makefile(root, "src/Makefile.inc", [
        str(p.relative_to(root)) for paths in present.values() for p in paths])
    for kind in "unit", "fuzz":
        tests = sorted((root / "tests" / kind).glob("*.c"))
        problems += check_makefile(root, "tests/Makefile.inc", [
            str(p.relative_to(root).with_suffix("")) for p in tests])
    return problems


def self_check():
    """Every kind of fault is found in a tree that has one of each."""
    faults = {
        "looks up": ("src/a/low.c", '#include "b/high.h"\n', "may not look up to b/high"),
        "later on the same floor": ("src/a/low.h", '#include "a/next.h"\n', "look up to a/next"),
        "not listed": ("src/a/lost.c", "\n", "a/lost is missing"),
        "a header over its module": ("src/b/split.h", '#include "b/high.h"\n', "b/split may not"),
        "unknown header": ("src/b/high.c", '#include "config.h"\n', "no header of a listed"),
        "loop below its floor": ("src/a/next.c", "# include <uv.h>\n", "<uv.h> is not for a/next"),
        "OpenSSL elsewhere": ("src/b/high.h", "#include <openssl/ssl.h>\n", "is not for b/high"),
        "not built": ("src/a/low.h", "\n", "src/a/low.h: not in src/Makefile.inc"),
        "test not built": ("tests/unit/test_x.c", "\n", "tests/unit/test_x: not in tests"),
    }
    floors = "0 a/low\n0 a/next\n1 b/split.h\n1 b/high\n1 b/split\n1 b/gone\n<uv.h> b/*\n<openssl/*> a/*\n"
    expected = [fault[2] for fault in faults.values()] + ["b/gone does not exist"]
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for path, text, _ in faults.values():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            with (root / path).open("a") as file:
                file.write(text)
        (root / "src/FLOORS").write_text(floors)
        found = check(root)
    return [f"self-check: does not notice: {e}" for e in expected if not any(e in f for f in found)]


def main():
    top = pathlib.Path(__file__).resolve().parents[2]
    problems = self_check() or check(pathlib.Path(os.environ.get("PINPROXY_SRCDIR", top)))
    if problems:
        print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
