"""Writes pinproxyd's INI."""


def ini(sections):
    """Text of {section: {key: value}}; a list is one value a line, as an administrator writes it."""
    lines = []
    for section, options in sections.items():
        lines.append(f"[{section}]")
        for key, value in options.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            lines.append(f"{key} = {values[0]}")
            lines += [f"    {more}" for more in values[1:]]
        lines.append("")
    return "\n".join(lines)


def to(server, **options):
    """Options of a section that leads to `server`, pinned to its key unless they say otherwise.

    A value of None leaves the key out.
    """
    section = {"listen": "127.0.0.1:0", "address": server.address}
    if options.get("verify") != "pki":
        section["pin"] = server.cert.pin if getattr(server, "cert", None) else None
    section.update(options)
    return {key: value for key, value in section.items() if value is not None}
