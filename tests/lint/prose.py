#!/usr/bin/env python3
"""Documents and the comments of headers are written in plain English.

Prints FILE:LINE, the words to avoid, and plainer words or the rule. Code is not checked: literal
displays of mdoc, indented blocks and backticks of Markdown, and all of a header but its comments.
Arguments are files to check in place of FILES.
"""

import os
import pathlib
import re
import sys
import tempfile

# What is checked: one pattern a line.
FILES = [
    "man/*.[1-8]",
    "src/**/*.h",
    "ARCHITECTURE.md",
    "README.md",
    "CONTRIBUTING.md",
    "NEWS",
    "etc/*.conf",
    "systemd/*.in",
    "bench/README.md",
    "tools/*",
]

# (words to avoid, as a regular expression in which a space is any white space; plain words; an
# example, which the self-check finds)
RULES = [
    (r"anew", "again", "it is read anew"),
    (r"(go|goes|going|went|gone) on", "continue", "the daemon goes on"),
    (r"stands?( beside| behind| for| in| there| at)?|stood", "is, appears", "the value stands there"),
    (r"whoever|whomever", "anyone who, the person who", "whoever runs it"),
    (r"whom", "rewrite the clause", "the server to whom it belongs"),
    (r"(put|puts|putting) up with", "accept", "it puts up with it"),
    (r"(is|are|was|were|be) over", "has ended, has expired", "when the handshake is over"),
    (r"held to|(hold|holds|holding) (it|them|(a|the) \w+)( \w+)? to (its|their|these|this)",
     "check against", "tunnels that are held to it"),
    (r"(look|looks|looked|looking) at", "check, read", "names are not looked at"),
    (r"(has|have|had) gone|(is|are) gone", "was removed, was closed", "the pin has gone"),
    (r"told|tells?|telling", "report, notify, show, log", "the worker is told"),
    (r"(count|counts|counted) for nothing", "has no effect", "it counts for nothing"),
    (r"nothing but", "only", "with nothing but OpenSSL"),
    (r"but for|save for", "except", "the same, but for the name"),
    (r"for want of|for lack of", "without, because there is no", "for want of memory"),
    (r"(is|are|was|were|be) given", "set, passed", "where none is given"),
    (r"(to|can|could)( so)? be had", "is available", "a pin can so be had"),
    (r"(will|would) do", "is enough, is accepted", "any certificate will do"),
    (r"by (an)?other ways?", "in another way", "confirm it by another way"),
    (r"(go|goes|going|went) by", "use", "a running daemon goes by it"),
    (r"all the same", "still", "it is text all the same"),
    (r"nevertheless|nonetheless", "still", "the status is 0 nevertheless"),
    (r"likewise", "also, as with X", "the tunnel then ends likewise"),
    (r"mind that", "note that", "mind that it replaces the other"),
    (r"mends?|mended|mending", "correct, repair", "it mends the file"),
    (r"in vain", "without success", "it waited in vain"),
    (r"lest", "so that ... not", "lest it fails"),
    (r"thereof|therein|thereby|whereof|wherein|whereby|whereupon|hereof|henceforth|thence|whence",
     "rewrite the clause", "the file and the keys therein"),
    (r"ought|shall", "must, should", "it ought to be so"),
    (r"amiss|awry", "wrong", "nothing is amiss"),
    (r"so many", "this number of", "after so many of them"),
    (r"makes? (nothing|little) of", "ignores", "it makes nothing of it"),
    (r"(come|comes|came) to pass|(come|comes|came) in by", "happens, uses", "sockets that clients come in by"),
    (r"farewell|betimes|meantime", "a plain word", "in the meantime"),
    (r"for the sake of|on behalf of", "for, to", "for the sake of speed"),
    (r"(set|sets|setting) forth", "describe", "the page sets forth the rules"),
    (r"[.!?] (what|whatever|whether|of)|: (what|whatever|of)", "begin with the subject",
     "It ends. Of a value the first kilobyte is kept"),
]
CHECKS = [(re.compile(r"(?:(?<![\w-])|(?=[.!?:]))(?:%s)(?![\w-])" % words.replace(" ", r"\s+"), re.I), plain)
          for words, plain, _ in RULES]


def blank(match):
    """White space of the same shape: line numbers and offsets stay."""
    return re.sub(r"[^\n]", " ", match[0])


def comment(match):
    """A comment, which begins a sentence unless it follows code, or the blanks of other code."""
    if not match[0].startswith(("/*", "//")):
        return blank(match)
    line = match.string[:match.start()].rpartition("\n")[2]
    return ("  " if line.strip() else ". ") + match[0][2:]


def prose_of(name, text):
    """The text without its code."""
    if name.endswith((".h", ".c")):
        code = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|[^/"]+|[/"]', re.S)
        text = code.sub(comment, text)
        return re.sub(r"^ *\*/?", blank, text, flags=re.M)
    if re.search(r"\.[1-8]$", name):
        text = re.sub(r"^\.(?:Bd -literal.*?^\.Ed|Dl [^\n]*|Ql [^\n]*)$", blank, text, flags=re.M | re.S)
        return re.sub(r"^\.(\\\".*|\w\w\b)", blank, text, flags=re.M)
    if name.endswith(".md"):
        text = re.sub(r"^(    |\t).*$", blank, text, flags=re.M)
        return re.sub(r"`[^`]*`", lambda m: re.sub(r"[^\n]", "x", m[0]), text)
    return re.sub(r"^[;#] ?", blank, text, flags=re.M)


def check_text(name, text):
    """["NAME:LINE: ..."], in the order of lines"""
    prose = prose_of(name, text)
    found = []
    for pattern, plain in CHECKS:
        for match in pattern.finditer(prose):
            line = prose.count("\n", 0, match.end()) + 1
            found.append((line, f"{name}:{line}: avoid \"{' '.join(match[0].split())}\": {plain}"))
    return [problem for _, problem in sorted(found)]


def check(root, names):
    problems = []
    for name in names:
        path = root / name
        if path.is_file() and not path.name.endswith((".inc", ".svg")):
            problems += check_text(str(name), path.read_text())
    return problems


def self_check():
    """Each rule finds its example in each kind of file, and code and plain words pass."""
    problems = []
    for words, _, example in RULES:
        broken = example.replace(" ", "\n")
        samples = {"x.5": f".Sh NAME\n{broken}.\n", "x.md": f"# X\n\n{broken}.\n",
                   "x.h": f"int x;\n/*\n * {broken}.\n */\n", "NEWS": broken + "\n"}
        problems += [f"self-check: does not notice in {name}: {example}" for name, text in samples.items()
                     if not check_text(name, text)]
    clean = {"x.5": ".Bd -literal\nread anew\n.Ed\n.Dl told = anew\nIt is read again.\n",
             "x.md": "It is `anew`.\n\n    told anew\n\nIt is read again.\n",
             "x.h": 'int anew = told("it stands"); /* of the whole file */\n'}
    if not check_text("x.h", "/* Whether it is open. */\nint x;\n"):
        problems.append("self-check: does not notice a comment that begins with Whether")
    problems += [f"self-check: too much: {p}" for name, text in clean.items() for p in check_text(name, text)]
    with tempfile.TemporaryDirectory() as name:
        (pathlib.Path(name) / "x.md").write_text("One.\n\nIt is read\nanew.\n")
        if check(pathlib.Path(name), ["x.md"]) != ['x.md:4: avoid "anew": again']:
            problems.append("self-check: does not name the file and line")
    return problems


def main():
    root = pathlib.Path(os.environ.get("PINPROXY_SRCDIR", pathlib.Path(__file__).resolve().parents[2]))
    names = sys.argv[1:] or sorted(p.relative_to(root) for pattern in FILES for p in root.glob(pattern))
    problems = self_check()
    if not problems and not sys.argv[1:] and len(names) < len(FILES):
        problems = ["files are missing"]
    problems = problems or check(pathlib.Path() if sys.argv[1:] else root, names)
    if problems:
        print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
