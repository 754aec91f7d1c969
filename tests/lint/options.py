#!/usr/bin/env python3
"""The option table, pinproxyd.conf(5) and the sample configuration name the same options.

The table is the output of `pinproxyd --help-config`, and the rows of src/config/options.c that have
OPTION_RESTART. In the page an option is an item ".It Ic NAME" (of [global] under a heading that says
so). If the table has a default, the item says "The default is VALUE". Every item says "A reload
applies it", or, with OPTION_RESTART, "A change needs a restart". In the sample an option is
"NAME = VALUE", or ";NAME = VALUE" where it is switched off; VALUE is then the default, if there is
one.
"""

import os
import pathlib
import re
import subprocess
import sys

LATER = "(not supported yet)"


def read_table(text):
    """{(scope, name): default or None}, and the set of those that are not built yet."""
    table, later, scope = {}, set(), None
    for line in text.splitlines():
        if line.startswith("["):
            scope = "global" if line.startswith("[global]") else "section"
        elif match := re.match(r"  (\w+)\*? +(\S+) ", line):
            table[scope, match[1]] = None if match[2] == "-" else match[2]
            if line.endswith(LATER):
                later.add((scope, match[1]))
    return table, later


def read_restart(source):
    """{(scope, name)} of the options that a reload does not change"""
    rows = re.findall(r'\{\.name = "(\w+)",\s*\.scope = OPTION_(\w+),\s*\.flags = ([^,]*),', source)
    return {("global" if scope == "GLOBAL" else "section", name)
            for name, scope, flags in rows if "OPTION_RESTART" in flags}


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
        sentence = "A change needs a restart" if key in restart else "A reload applies it"
        if key not in later and sentence not in page[key]:
            problems.append(f"the page does not say of {key[1]} ({key[0]}): {sentence}")
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


def check(table_text, source_text, page_text, sample_text):
    table, later = read_table(table_text)
    restart = read_restart(source_text)
    if len(table) < 3 or not restart or not restart <= table.keys():
        return ["--help-config or the rows with OPTION_RESTART could not be read"]
    return (check_page(table, later, restart, read_page(page_text))
            + check_sample(table, later, read_sample(sample_text)))


def self_check():
    """Each kind of difference is found, and none where there is none."""
    table = ("[global]\n  workers              auto   threads\n"
             "[HOST], and [defaults]\n  pin*                 -      pins\n"
             "  port                 443    port\n"
             "  warm                 0      ahead (not supported yet)\n")
    source = ('    {.name = "workers", .scope = OPTION_GLOBAL, .flags = OPTION_RESTART, .value = "auto"},\n'
              '    {.name = "pin", .scope = OPTION_SECTION, .flags = OPTION_LIST,\n')
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
        "has ports": (page.replace("Ic pin", "Ic ports"), sample),
        "line 5: port is 443": (page, sample.replace("443", "44")),
        "sample lacks workers": (page, sample.replace(";workers = auto", "")),
        "prt is no option": (page, sample + ";prt = 1\n"),
    }
    problems = [f"self-check: {p}" for p in check(table, source, page, sample)]
    for fault, (bad_page, bad_sample) in faults.items():
        if not any(fault in p for p in check(table, source, bad_page, bad_sample)):
            problems.append(f"self-check: does not notice: {fault}")
    return problems


def main():
    top = pathlib.Path(os.environ.get("PINPROXY_SRCDIR", pathlib.Path(__file__).parents[2]))
    pinproxyd = os.environ.get("PINPROXYD", str(top / "build/pinproxyd"))
    problems = self_check()
    if not problems:
        table = subprocess.run([pinproxyd, "--help-config"], check=True, text=True,
                               stdout=subprocess.PIPE).stdout
        problems = check(table, (top / "src/config/options.c").read_text(),
                         (top / "man/pinproxyd.conf.5").read_text(),
                         (top / "etc/pinproxyd.conf").read_text())
    if problems:
        print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
