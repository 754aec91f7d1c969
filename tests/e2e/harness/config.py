"""Writes pinproxyd's configuration."""


OTHERS = "+sections"


def ini(sections):
    """Returns the text of {section: {option: value}}. A list is written as an administrator does, one value a line.

    The value of OTHERS in a section is more sections, which the section needs.
    """
    lines = []
    for section, options in sections.items():
        if others := options.get(OTHERS):
            lines.append(ini(others))
        lines.append(f"[{section}]")
        for key, value in options.items():
            if key == OTHERS:
                continue
            values = value if isinstance(value, (list, tuple)) else [value]
            lines.append(f"{key} = {values[0]}")
            lines += [f"    {more}" for more in values[1:]]
        lines.append("")
    return "\n".join(lines)


def to(server, **options):
    """Returns the options of a section whose upstream is `server`, pinned to that server's key by default.

    An option with the value None is left out.
    """
    section = {"listen": "127.0.0.1:0", "address": server.address}
    if options.get("verify") != "pki":
        section["pin"] = server.cert.pin if getattr(server, "cert", None) else None
    section.update(options)
    return {key: value for key, value in section.items() if value is not None}
