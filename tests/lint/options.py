#!/usr/bin/env python3
"""The option table, pinproxyd.conf(5) and the sample configuration name the same options.

The table is the output of `pinproxyd --help-config`, which prints the rows of src/config/options.c.
In the page an option is an item ".It Ic NAME" (of [global] under a heading that says so). If the
table has a default, the item says "The default is VALUE". Every item says "A reload applies it", or,
if the table says that it needs a restart, "A change needs a restart", and not both. In the sample an option is
"NAME = VALUE", or ";NAME = VALUE" where it is switched off; VALUE is then the default, if there is
one.
"""

import os
import pathlib
import re
import subprocess
import sys

LATER = "(not supported yet)"
RESTART = "(needs a restart)"


def read_table(text):
    """{(scope, name): default or None}, those not built yet, and those that a reload does not apply"""
    table, later, restart, scope = {}, set(), set(), None
    for line in text.splitlines():
        if line.startswith("["):
            scope = "global" if line.startswith("[global]") else "section"
        elif match := re.match(r"  (\w+)\*? +(\S+) ", line):
            table[scope, match[1]] = None if match[2] == "-" else match[2]
            if line.endswith(LATER):
                later.add((scope, match[1]))
            if line.endswith(RESTART):
                restart.add((scope, match[1]))
    return table, later, restart


def plain(line):
    """A line of mdoc without its macros and quotes."""
    if line.startswith("."):
        line = re.sub(r"^\.\w+ ?|(?<= )(Ar|Cm|Ic|Li|No|Ns|Ql|Pa|Sy|Em|Dq|Sq|Nm|Ta)(?= )", "", line)
    return line.replace('"', "").replace("\\&", "").strip()


def read_page(text):
    """{(scope, name): the text of its item}"""
    items, scope, item = {}, None, None
    for line in text.splitlines():
        if match := re.match(r"\.S[hs] (.*)", line):
            scope = "global" if "global" in match[1].lower() else "section"
            item = None
        elif match := re.match(r"\.It Ic (\w+)", line):
            item = (scope, match[1])
            items[item] = ""
        elif item:
            items[item] += " " + plain(line)
    return items


def read_sample(text):
    """[(line number, scope, name, value, whether it is switched off)]"""
    found, scope = [], None
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r";?\[(.*)\]", line):
            scope = "global" if match[1] == "global" else "section"
        elif match := re.match(r"(;?)(\w+) = (.*)", line):
            found.append((number, scope, match[2], match[3], bool(match[1])))
    return found


def check_page(table, later, restart, page):
    problems = []
    for key, default in table.items():
        if key not in page:
            problems += [] if key in later else [f"the page lacks {key[1]} ({key[0]})"]
            continue
        said = re.search(r"The default is +(\S+?)[.,;]?( |$)", page[key])
        if default and key not in later and (not said or said[1] != default):
            problems.append(f"the page's default of {key[1]} ({key[0]}) is "
                            f"{said[1] if said else 'not said'}, not {default}")
        sentence, other = "A reload applies it", "A change needs a restart"
        if key in restart:
            sentence, other = other, sentence
        if key not in later and sentence not in page[key]:
            problems.append(f"the page does not say of {key[1]} ({key[0]}): {sentence}")
        if other in page[key]:
            problems.append(f"the page says of {key[1]} ({key[0]}), which is wrong: {other}")
    return problems + [f"the page has {name} ({scope}), which no option is"
                       for scope, name in page if (scope, name) not in table]


def check_sample(table, later, sample):
    problems = []
    for number, scope, name, value, off in sample:
        if (scope, name) not in table:
            problems.append(f"sample, line {number}: {name} is no option of [{scope}]")
        elif off and table[scope, name] not in (None, value):
            problems.append(f"sample, line {number}: {name} is {table[scope, name]} by default")
    named = {(scope, name) for _, scope, name, _, _ in sample}
    return problems + [f"the sample lacks {name} ({scope})"
                       for scope, name in table if (scope, name) not in named | later]


def check(table_text, page_text, sample_text):
    table, later, restart = read_table(table_text)
    if len(table) < 3 or not restart:
        return [f"--help-config could not be read, or has no option that ends with {RESTART}"]
    return (check_page(table, later, restart, read_page(page_text))
            + check_sample(table, later, read_sample(sample_text)))


def self_check():
    """Each kind of difference is found, and none where there is none."""
    table = ("[global]\n  workers              auto   threads (needs a restart)\n"
             "[HOST], and [defaults]\n  pin*                 -      pins\n"
             "  port                 443    port\n"
             "  warm                 0      ahead (not supported yet)\n")
    page = (".Sh THE GLOBAL SECTION\n.It Ic workers No = Ar n\nThreads.\nThe default is\n.Cm auto .\n"
            "A change needs a restart.\n.Sh HOSTS\n.It Ic pin\nPins.\nA reload applies it.\n"
            ".It Ic port\nPort.\nThe default is\n.Cm 443 .\nA reload applies it.\n")
    sample = "[global]\n;workers = auto\n;[h]\n;pin = x\n;port = 443\n"
    faults = {
        "the page lacks pin": (page.replace("Ic pin", "Cm pin"), sample),
        "default of port": (page.replace("443", "44"), sample),
        "default of workers (global) is not said": (page.replace("The default is\n.Cm auto", "", 1),
                                                    sample),
        "workers (global): A change needs": (page.replace("A change needs a restart", "A reload applies it"),
                                             sample),
        "pin (section): A reload applies": (page.replace("Pins.\nA reload applies it", "Pins"), sample),
        "pin (section), which is wrong: A change needs": (
            page.replace("Pins.\n", "Pins.\nA change needs a restart.\n"), sample),
        "has ports": (page.replace("Ic pin", "Ic ports"), sample),
        "line 5: port is 443": (page, sample.replace("443", "44")),
        "sample lacks workers": (page, sample.replace(";workers = auto", "")),
        "prt is no option": (page, sample + ";prt = 1\n"),
    }
    problems = [f"self-check: {p}" for p in check(table, page, sample)]
    for fault, (bad_page, bad_sample) in faults.items():
        if not any(fault in p for p in check(table, bad_page, bad_sample)):
            problems.append(f"self-check: does not notice: {fault}")
    return problems


def main():
    top = pathlib.Path(os.environ.get("PINPROXY_SRCDIR", pathlib.Path(__file__).parents[2]))
    pinproxyd = os.environ.get("PINPROXYD", str(top / "build/pinproxyd"))
    problems = self_check()
    if not problems:
        table = subprocess.run([pinproxyd, "--help-config"], check=True, text=True,
                               stdout=subprocess.PIPE).stdout
        problems = check(table, (top / "man/pinproxyd.conf.5").read_text(),
                         (top / "etc/pinproxyd.conf").read_text())
    if problems:
        print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
