"""The picture: bars for the measures that matter most, by gnuplot."""

import subprocess

import table

PANELS = {
    "CPU seconds per GB": {f"{name} {n}, CPU s/GB": f"{name}\\n{n}" for name in
                           ("download", "upload") for n in (1, 16)},
    "CPU ms per new connection": {"full, CPU ms": "full", "resumed, CPU ms": "resumed"},
    "KiB per idle tunnel, of 1000": {"fresh at 1000, KiB": "fresh",
                                     "used at 1000, 5 s later, KiB": "used"},
    "CPU us per request": {"CPU us per request": "64 kept-alive connections"},
}
LEFT_OUT = {"socat"}  # a process for each tunnel: its bars would hide the others
COLORS = ["#c03028", "#4878a8", "#78a8d0", "#d08838", "#e8c088", "#608058", "#a0a0a0", "#606060"]


def data(panel, results, proxies):
    """A block of gnuplot's: a row for each group of bars, a column for each proxy."""
    rows = []
    for measure, label in panel.items():
        cells = [table.median(results.get(measure, {}).get(proxy, [])) for proxy in proxies]
        rows.append(" ".join([f'"{label}"', *("NaN" if c is None else f"{c:.4g}" for c in cells)]))
    return "\n".join(rows)


def draw(path, results, proxies):
    """False: there is no gnuplot."""
    script = ["set terminal svg size 1000,760 font 'sans-serif,11' background '#ffffff'",
              f"set output '{path}'", "set multiplot layout 2,2",
              "set style data histogram", "set style histogram cluster gap 1",
              "set style fill solid", "set boxwidth 0.9", "set grid ytics", "set yrange [0:*]",
              "set xtics nomirror scale 0", "set key inside top left horizontal samplen 1", "set offsets 0,0,graph 0.25,0"]
    for number, (title, panel) in enumerate(PANELS.items()):
        shown = [proxy for proxy in proxies if proxy not in LEFT_OUT and any(
            table.median(results.get(m, {}).get(proxy, [])) is not None for m in panel)]
        if not shown:
            continue
        script += [f"$data{number} << END", data(panel, results, shown), "END",
                   f"set title '{title}'",
                   "plot " + ", ".join(
                       f"$data{number} using {i + 2}:xtic(1) title '{proxy}' "
                       f"linecolor '{COLORS[proxies.index(proxy) % len(COLORS)]}'"
                       for i, proxy in enumerate(shown))]
    try:
        subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)
    except FileNotFoundError:
        return False
    return True
