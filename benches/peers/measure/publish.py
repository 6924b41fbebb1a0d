"""The tables, in Markdown; and where they and the plot go."""

import sys
from pathlib import Path

from .figures import BOUNDS, OURS, TITLES, Figures
from .place import FOLDER, ROOT, fail
from .plot import plot
from .work import GROUPS, ROWS

PAGE = ROOT / "docs" / "performance.md"
LEAST_ROUNDS = 3


def publish(result, write):
    """Prints the tables, keeps them with the plot beside the figures, and puts them into the documentation if asked to."""
    if write and (why := obstacle(result["cells"], result["proxies"], result["rounds"], result["binary"])):
        fail(why)
    figures = Figures(result)
    suffix = "-logs" if result["logs"] else ""
    picture = f"peers{suffix}.svg"
    text = page(figures, picture)
    drawn = plot(figures)
    (FOLDER / f"result{suffix}.md").write_text(text)
    (FOLDER / picture).write_text(drawn)
    print(text)
    if write:
        (PAGE.parent / picture).write_text(drawn)
        between(PAGE, f"peers{suffix}", text)
        print(f"written into {PAGE.relative_to(ROOT)} and docs/{picture}", file=sys.stderr)


def obstacle(rows, proxies, rounds, binary):
    """Why figures of this kind are not published; `None` if they may be."""
    if {row.name for row in ROWS} - set(rows) or set(TITLES) - set(proxies):
        return "only a whole run is published; leave out --rows and --proxies"
    if rounds < LEAST_ROUNDS:
        return f"a median of less than {LEAST_ROUNDS} rounds is not published"
    if binary is not None and Path(binary).parent.name != "dist":
        return "only Countersign as it ships is published: leave out --binary, or name one that was built with the profile dist"
    return None


def between(path, name, text):
    """Replaces what stands between the two markers of this name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = path.read_text()
    before, found, rest = old.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        fail(f"{path.name} lacks the markers {begin} and {end}")
    path.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}")


def page(figures, picture):
    result = figures.result
    command = "benches/peers/run" + (" --logs" if result["logs"] else "") + f" --rounds {result['rounds']} --seconds {result['seconds']}"
    versions = ", ".join(f"{TITLES[name]} {result['versions'][name]}" for name in figures.proxies)
    logs = "access logs and audit records on, to `/dev/null`" if result["logs"] else "no access logs, no audit records"
    parts = [
        f"`{command}`, {result['measured']}, {result['processor']}, one core for the proxy; {logs}. {versions}.\n",
        f"![Processor time per request]({picture})\n",
        bounds(figures),
        "**Processor time of the proxy per request**, µs, median; in brackets what Countersign costs of that.\n",
        table(figures, processor_cell),
        "**Requests per second**, median. `≥`: the proxy's core was less than nine tenths busy, the load tool was the bound.\n",
        table(figures, rate_cell),
        "**Latency under that load**, p50 / p99 in milliseconds, medians; 32 requests at once.\n",
        table(figures, latency_cell),
        "**Resident memory**, MiB, the most over the rounds: idle, and while or before these rows ran.\n",
        memory(figures),
    ]
    return "\n".join(part for part in parts if part)


def table(figures, cell):
    """A row per kind of request, a column per proxy."""
    head = "".join(f" {TITLES[name]} |" for name in figures.proxies)
    lines = [f"| |{head}", f"|---|{'---:|' * len(figures.proxies)}"]
    for group, title in GROUPS.items():
        rows = [row for row in figures.rows if row.group == group]
        if rows:
            lines.append(f"| *{title}* |{' |' * len(figures.proxies)}")
        for row in rows:
            lines.append(f"| {row.title} |" + "".join(f" {cell(figures, row, name)} |" for name in figures.proxies))
    return "\n".join(lines) + "\n"


def processor_cell(figures, row, proxy):
    micros = figures.median(row.name, proxy)
    if micros is None:
        return ""
    text = f"{micros:.1f}" if micros < 1_000 else f"{micros:,.0f}"
    if proxy == OURS:
        return f"**{text}**"
    ratio = figures.ratio(row.name, OURS, row.name, proxy)
    return text if ratio is None else f"{text} ({ratio:.2f})"


def rate_cell(figures, row, proxy):
    rate = figures.median(row.name, proxy, "rate")
    if rate is None:
        return ""
    return f"{'≥ ' if figures.median(row.name, proxy, 'busy') < 0.9 else ''}{rate:,.0f}"


def latency_cell(figures, row, proxy):
    middle, high = figures.median(row.name, proxy, "p50_us"), figures.median(row.name, proxy, "p99_us")
    return "" if middle is None else f"{middle / 1000:.2f} / {high / 1000:.2f}"


# Row -> the words for it. A process to which every token is new began empty.
MEMORY = {
    "rs256-new": "a new process after as many RS256 tokens as it was given, each new",
    "h2-open": "while HTTP/2 ran, after everything before",
    "down-1m": "while bodies of 1 MiB came down, after everything before",
    "up-1m": "while bodies of 1 MiB went up, after everything before",
}


def memory(figures):
    head = "".join(f" {TITLES[name]} |" for name in figures.proxies)
    idle = figures.result["idle_kib"]
    lines = [f"| |{head}", f"|---|{'---:|' * len(figures.proxies)}"]
    lines.append("| idle |" + "".join(f" {idle[name] / 1024:.0f} |" for name in figures.proxies))
    for row, title in MEMORY.items():
        peaks = [figures.values(row, name, "peak_kib") for name in figures.proxies]
        if any(peaks):
            lines.append(f"| {title} |" + "".join(f" {max(peak) / 1024:.0f} |" if peak else " |" for peak in peaks))
    return "\n".join(lines) + "\n"


def bounds(figures):
    """What we promised against the others, and what came of it."""
    lines = []
    for row, bound, other_row, other, words in BOUNDS:
        ratio = figures.ratio(row, OURS, other_row, other)
        if ratio is not None:
            verdict = "met" if ratio <= bound else "**missed**"
            lines.append(f"| {words} | {bound:.2f} | {ratio:.2f} | {verdict} |")
    if not lines:
        return ""
    return "\n".join(["| processor time of Countersign per request | at most | measured | |", "|---|---:|---:|---|", *lines]) + "\n"
