"""Markdown of what was measured."""

import statistics


def ratios(values, proxy, rivals, best):
    """Each round's value over that of the best rival in the same round."""
    found = []
    for number, value in enumerate(values[proxy]):
        others = [values[r][number] for r in rivals if values[r][number] is not None]
        if value is not None and others:
            found.append(value / best(others))
    return found


def digits(value):
    """Three of them, or all before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def cell(values, proxy, rivals, best):
    known = [v for v in values[proxy] if v is not None]
    if not known:
        return "failed"
    text = f"{digits(statistics.median(known))} ({digits(min(known))}-{digits(max(known))})"
    if found := ratios(values, proxy, rivals, best):
        text += f" {statistics.median(found):.2f}x"
    return text


def table(title, columns, results, rivals, best):
    """results: {column: {proxy: [value, or None for a failure, of each round]}}"""
    proxies = list(results[columns[0]])
    lines = [f"### {title}", "", f"| proxy | {' | '.join(columns)} |",
             "|---" * (len(columns) + 1) + "|"]
    for proxy in proxies:
        cells = [cell(results[column], proxy, rivals, best) for column in columns]
        lines.append(f"| {proxy} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
