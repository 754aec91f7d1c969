"""The recipes of pinproxy-recipes(7), so that the page and its tests cannot differ."""

import os
import re
from pathlib import Path

PAGE = Path(os.environ["PINPROXY_SRCDIR"]) / "man" / "pinproxy-recipes.7"


def names():
    return re.findall(r"^\.Ss (.+)$", PAGE.read_text(), re.M)


class Recipe:
    """A recipe: the literal blocks of its subsection. The first is the configuration, the others are commands."""

    def __init__(self, name):
        parts = re.split(r"^\.S[sh] (.+)$\n", PAGE.read_text(), flags=re.M)
        self.name = name
        self.text = dict(zip(parts[1::2], parts[2::2]))[name]
        blocks = re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", self.text, re.M | re.S)
        self.config = self._plain(blocks[0])
        self.commands = [self._plain(block) for block in blocks[1:]]
        self.section = re.search(r"^\[([^]:]+)\]$", self.config, re.M)[1]

    @staticmethod
    def _plain(block):
        assert not re.search(r"^\.", block, re.M), "a macro in a literal block"
        return block.replace("\\e", "\\").replace("\\-", "-").replace("\\&", "")

    def config_with(self, add=(), section=None, **values):
        """Returns the configuration as text, for the section of that name, by default the first, with other values.

        An option that the page sets gets the value in its place. Each (key, value) of `add` is one more line, for what
        only the test needs, such as the address.
        """
        section = section or self.section
        lines, inside, used = [], False, set()
        for line in self.config.splitlines():
            if line.startswith("["):
                inside = line == f"[{section}]"
            match = re.match(r"(\w+) *=", line)
            if inside and match and match[1] in values:
                used.add(match[1])
                line = f"{match[1]} = {values[match[1]]}"
            lines.append(line)
            if line == f"[{section}]":
                lines += [f"{key} = {value}" for key, value in add]
        missing = set(values) - used
        assert not missing, f"the recipe does not set {missing}"
        return "\n".join(lines) + "\n"

    def has_command(self, *words):
        """Returns true if a command of the recipe has all of the words."""
        return any(all(word in line for word in words) for command in self.commands for line in command.splitlines())
