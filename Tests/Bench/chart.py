"""Bar charts as SVG: one panel a figure, one bar a contender. Readable on light and dark."""

from html import escape

COLOURS = "#2f81f7", "#c98500", "#3a9d5d", "#8b949e", "#a371f7", "#d1586b", "#1fa7a7", "#b08d57"
LETTER = 7.2
WIDTH, MARGIN = 760, 12
LABEL_WIDTH, VALUE_WIDTH = 112, 92
BAR, GAP, TITLE, SPACE = 16, 4, 24, 14
STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #57606a; }
    .title { font-weight: 600; fill: #1f2328; }
    .range { stroke: #57606a; stroke-width: 1.5; }
    @media (prefers-color-scheme: dark) {
        text { fill: #9da7b1; }
        .title { fill: #e6edf3; }
        .range { stroke: #c9d1d9; }
    }"""


def draw(title, figures, results, names=None):
    """`names` are the bars of each panel, top to bottom; all contenders, if not said."""
    names = names or results.contenders
    parts, y = [], MARGIN + 14
    parts.append(f'<text class="title" x="{MARGIN}" y="{y}">{escape(title)}</text>')
    y += SPACE
    for figure in figures:
        y = _panel(parts, figure, results, names, y)
    height = y + MARGIN
    body = "\n  ".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img" aria-label="{escape(title)}">\n'
            f"  <style>{STYLE}\n  </style>\n  {body}\n</svg>\n")


def _panel(parts, figure, results, names, y):
    """Bars are medians, the thin line is the least and the most of all rounds. Without a tunnel
    may be far beyond the rest: its bar is then cut, and its number says how far it went."""
    spreads = {name: results.spread(name, figure.key) for name in names}
    shown = {name: spread for name, spread in spreads.items() if spread is not None}
    tunnels = [spread.most for name, spread in shown.items() if name != "no tunnel"]
    top = max(tunnels or [spread.most for spread in shown.values()]) * 1.02 or 1
    y += TITLE
    parts.append(f'<text class="title" x="{MARGIN}" y="{y - 8}">{escape(figure.title)}, '
                 f"{escape(figure.unit)}</text>")
    label = max(LABEL_WIDTH, 8 + LETTER * max(map(len, names)))
    left, length = MARGIN + label, WIDTH - 2 * MARGIN - label - VALUE_WIDTH
    for name, spread in shown.items():
        def place(value):
            return left + length * min(max(value, 0) / top, 1)

        middle = y + BAR / 2
        parts.append(f'<text x="{left - 8}" y="{middle + 4.5}" text-anchor="end">'
                     f"{escape(name)}</text>")
        parts.append(f'<rect x="{left}" y="{y}" width="{place(spread.median) - left:.1f}" '
                     f'height="{BAR}" rx="2" fill="{COLOURS[names.index(name) % len(COLOURS)]}"/>')
        cut = spread.median > top
        if spread.count > 1 and not cut:
            parts.append(f'<line class="range" x1="{place(spread.least):.1f}" y1="{middle}" '
                         f'x2="{place(spread.most):.1f}" y2="{middle}"/>')
        arrow = " →" if cut else ""
        parts.append(f'<text x="{left + length + 8}" y="{middle + 4.5}">'
                     f"{figure.show(spread.median)}{arrow}</text>")
        y += BAR + GAP
    return y + SPACE
