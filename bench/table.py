"""Markdown of what was measured. Values are lists, one of each round, None for a failure."""

import statistics


def more_is_better(measure):
    return measure.endswith(("MB/s", "%")) or "per second" in measure


def best_of(measure, values):
    return max(values) if more_is_better(measure) else min(values)


def best_rival(measure, values, rivals):
    """The one with the best median; None when none has any."""
    medians = {r: median(values[r]) for r in rivals if known(values.get(r, []))}
    if not medians:
        return None
    best = best_of(measure, medians.values())
    return next(r for r, value in medians.items() if value == best)


def ratios(measure, values, proxy, rivals):
    """Each round's value over that of the best rival in the same round."""
    best = best_rival(measure, values, rivals)
    if best is None:
        return []
    return [value / other for value, other in zip(values[proxy], values[best])
            if value is not None and other is not None and other > 0]


def digits(value):
    """Three of them, or all before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def known(values):
    return [v for v in values if v is not None]


def median(values):
    return statistics.median(known(values)) if known(values) else None


def spread(values):
    if not known(values):
        return "failed" if values else ""
    found = known(values)
    text = digits(statistics.median(found))
    if len(found) == 1:
        return text
    low, _, high = statistics.quantiles(found, n=4, method="inclusive")
    return f"{text} ({digits(low)}-{digits(high)})"


def ratio_text(measure, values, proxy, rivals):
    found = ratios(measure, values, proxy, rivals)
    return f"{statistics.median(found):.2f}" if found else ""


def lines(head, rows):
    return "\n".join(["| " + " | ".join(row) + " |" for row in
                      [head, ["---"] * len(head), *rows]]) + "\n"


def table(columns, results, proxies, rivals):
    """A row for each proxy. results: {column: {proxy: values}}"""
    rows = []
    for proxy in proxies:
        cells = []
        for column in columns:
            values = results[column].get(proxy, [])
            ratio = ratio_text(column, results[column], proxy, rivals) if values else ""
            cells.append(spread(values) + (f" {ratio}x" if ratio else ""))
        if any(cells):
            rows.append([proxy, *cells])
    return lines(["proxy", *columns], rows)


def gist(results, ours, shipped, tuned):
    """A row for each measure: ours, the best rival by its median, and ratios of the same round."""
    rows = []
    for measure, values in results.items():
        best = best_rival(measure, values, shipped)
        if not known(values.get(ours, [])) or best is None:
            continue
        rows.append([measure, spread(values[ours]), f"{best} {digits(median(values[best]))}",
                     ratio_text(measure, values, ours, shipped),
                     ratio_text(measure, values, ours, tuned)])
    return lines(["measure", ours, "best rival as shipped", "ratio", "ratio to the best tuned"],
                 rows)


def over_floor(results, ours, relay, ciphers):
    """CPU time per GB over that of the cipher and of the relay in the same round."""
    rows = []
    for measure, values in results.items():
        if not measure.endswith("CPU s/GB"):
            continue
        found = [value / (cipher + bare) for value, cipher, bare
                 in zip(values.get(ours, []), ciphers, values.get(relay, [])) if value and bare]
        rows.append([measure, spread(found)])
    return lines(["measure", f"{ours} over the floor: cipher and relay"], rows)
