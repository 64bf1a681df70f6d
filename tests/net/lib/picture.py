# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/dashboard.svg: what Prometheus has kept of a storm, drawn as the dashboard shows it."""

from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, TOP = 960, 150, 56, 54
COLORS = ("#1a7f37", "#c8400a", "#9a6700", "#8250df", "#0969da", "#57606a")


def _text(x, y, text, size=11, color="#59636e", anchor="start", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" '
            f'text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>')


def _panel(y, title, unit, series, began, ended):
    """One panel: series is [(name, [(time, value)])]."""
    most = max([v for _, points in series for _, v in points] + [1]) * 1.1
    wide, out = WIDTH - LEFT - 24, [_text(16, y - 8, title, 14, "#1f2328", weight="bold")]
    out.append(f'<rect x="{LEFT}" y="{y}" width="{wide}" height="{HEIGHT}" fill="#f6f8fa"/>')
    for part in range(3):
        at = y + HEIGHT - part * HEIGHT / 2.2
        out.append(f'<line x1="{LEFT}" y1="{at:.1f}" x2="{LEFT + wide}" y2="{at:.1f}" '
                   'stroke="#d1d9e0" stroke-dasharray="2 4"/>')
        out.append(_text(LEFT - 6, at + 4, f"{most * part / 2.2:.0f}", anchor="end"))
    for n, (name, points) in enumerate(series):
        color = COLORS[n % len(COLORS)]
        line = " ".join(f"{LEFT + wide * (at - began) / (ended - began):.1f},"
                        f"{y + HEIGHT - HEIGHT * value / most:.1f}" for at, value in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        out.append(_text(LEFT + 130 * n + 220, y - 8, f"{name}", 12, color, weight="bold"))
    for second in range(0, int(ended - began) + 1, 5):
        out.append(_text(LEFT + wide * second / (ended - began), y + HEIGHT + 14, f"{second} s",
                         anchor="middle"))
    out.append(_text(LEFT + 4, y + 14, unit))
    return out


def draw(path, panels, began, ended):
    """panels: [(title, unit, series)] of what query_range has answered; times are seconds."""
    height = TOP + len(panels) * (HEIGHT + 56)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
           f'viewBox="0 0 {WIDTH} {height}" role="img" font-family="-apple-system, Segoe UI, '
           'Helvetica, Arial, sans-serif">',
           f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8" fill="#ffffff" '
           'stroke="#d1d9e0"/>',
           _text(16, 28, "A storm as Prometheus saw it", 19, "#1f2328", weight="bold")]
    for n, (title, unit, series) in enumerate(panels):
        out += _panel(TOP + 16 + n * (HEIGHT + 56), title, unit, series, began, ended)
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n</svg>\n")
