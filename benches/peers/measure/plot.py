"""The plot: one bar per row and proxy, how much processor time a request takes. Plain SVG, readable on light and dark pages."""

from xml.sax.saxutils import escape

from .figures import OURS, TITLES
from .work import GROUPS

COLOURS = {
    "countersign": "#0b6e4f",
    "haproxy": "#3f7cac",
    "envoy": "#9b5094",
    "nginx": "#8a8d3f",
    "nginx-jwt": "#c08a2d",
    "caddy": "#b0524a",
}
WIDTH, LEFT, RIGHT = 860, 250, 90
BAR, GAP, HEAD = 11, 12, 30
# Bodies of 1 MiB take a hundred times as long as everything else, so they stand in the tables only.
TALL = 10


def plot(figures):
    """The whole picture."""
    floor = figures.median("open", OURS) or 1
    rows = [row for row in figures.rows if max(figures.median(row.name, name) or 0 for name in figures.proxies) < TALL * floor]
    most = max((max(figures.values(row.name, name), default=0) for row in rows for name in figures.proxies), default=1)
    scale = (WIDTH - LEFT - RIGHT) / most
    marks, y = [], legend_height(figures)
    for group, title in GROUPS.items():
        members = [row for row in rows if row.group == group]
        if not members:
            continue
        y += HEAD
        marks.append(text(8, y - 10, title, weight="bold"))
        for row in members:
            y = draw_row(figures, row, y, scale, marks)
    whole = legend(figures) + marks
    height = y + 20
    note = text(LEFT, height - 6, "µs of the proxy's processor per request, median; the thin line is the least and the most of all rounds", size=11)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="Processor time per request, by proxy">\n'
        # A ground of its own: the page behind may be dark.
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n' + "\n".join([*whole, note]) + "\n</svg>\n"
    )


def draw_row(figures, row, y, scale, marks):
    """The bars of one row; returns where the next begins."""
    present = [name for name in figures.proxies if figures.values(row.name, name)]
    marks.append(text(LEFT - 8, y + BAR * len(present) / 2 + 4, row.title, anchor="end"))
    for name in present:
        values, middle = figures.values(row.name, name), figures.median(row.name, name)
        centre = y + BAR / 2
        marks.append(
            f'<rect x="{LEFT}" y="{y:.1f}" width="{middle * scale:.1f}" height="{BAR - 1}" fill="{COLOURS[name]}">'
            f"<title>{escape(TITLES[name])}, {escape(row.title)}: {middle:.1f} µs</title></rect>"
        )
        marks.append(
            f'<line x1="{LEFT + min(values) * scale:.1f}" x2="{LEFT + max(values) * scale:.1f}" y1="{centre:.1f}" y2="{centre:.1f}" '
            f'stroke="#222222" stroke-width="1"/>'
        )
        marks.append(text(LEFT + max(values) * scale + 5, centre + 3.5, f"{middle:.1f}", size=10))
        y += BAR
    return y + GAP


def legend_height(figures):
    return 28 if figures.proxies else 0


def legend(figures):
    marks, x = [], 8
    for name in figures.proxies:
        marks.append(f'<rect x="{x}" y="8" width="11" height="11" fill="{COLOURS[name]}"/>')
        marks.append(text(x + 16, 18, TITLES[name]))
        x += 34 + 7.2 * len(TITLES[name])
    return marks


def text(x, y, words, anchor="start", size=12, weight="normal"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="#222222">{escape(words)}</text>'
