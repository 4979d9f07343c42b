"""Plots, as SVG: plain text, the same for the same figures."""

import math
from xml.sax.saxutils import escape

OURS, PEER, TARGET, GRID = "#1f6fb4", "#c2571a", "#333333", "#d8d8d8"
WIDTH, ROW, LEFT, RIGHT = 720, 26, 220, 70


def page(width, height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
            ' font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")


def text(x, y, what, anchor="start", colour="#222222"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(what)}</text>'


def line(x1, y1, x2, y2, colour, width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


class Scale:
    """Logarithmic, in whole decades."""

    def __init__(self, values, start, end):
        self.low = math.floor(math.log10(min(values)))
        self.high = max(self.low + 1, math.ceil(math.log10(max(values))))
        self.start, self.end = start, end

    def __call__(self, value):
        return self.start + (math.log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self):
        return [10.0 ** exponent for exponent in range(self.low, self.high + 1)]


def number(value):
    for size, letter in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def bars(rows):
    """`rows`: (name, times better than the peer, target or None)."""
    bottom = 40 + ROW * len(rows)
    scale = Scale([1] + [value for _, *values in rows for value in values if value], LEFT, WIDTH - RIGHT)
    parts = [text(LEFT, 20, "times better than the peer; the mark is the target")]
    for tick in scale.ticks():
        parts += [line(scale(tick), 30, scale(tick), bottom, TARGET if tick == 1 else GRID),
                  text(scale(tick), bottom + 16, number(tick), "middle")]
    for i, (name, ratio, target) in enumerate(rows):
        y = 34 + i * ROW
        left, right = sorted((scale(1), scale(ratio)))
        parts += [text(LEFT - 8, y + 14, name, "end"),
                  f'<rect x="{left:.1f}" y="{y}" width="{max(1, right - left):.1f}" height="{ROW - 8}" fill="{OURS}"/>',
                  text(max(right, scale(target or ratio)) + 6, y + 14, f"{ratio:.3g}")]
        if target:
            parts.append(line(scale(target), y - 2, scale(target), y + ROW - 6, PEER, 3))
    return page(WIDTH, bottom + 30, parts)


def curves(across, series):
    """`series`: {name: [(size, seconds)]}; both axes are logarithmic."""
    height, top, left = 380, 36, 70
    points = [point for curve in series.values() for point in curve]
    x = Scale([size for size, _ in points], left, WIDTH - RIGHT)
    y = Scale([seconds for _, seconds in points], height - 50, top)
    parts = [text(left, 20, "seconds"), text((left + WIDTH - RIGHT) / 2, height - 10, across, "middle")]
    for tick in x.ticks():
        parts += [line(x(tick), top, x(tick), height - 50, GRID), text(x(tick), height - 32, number(tick), "middle")]
    for tick in y.ticks():
        parts += [line(left, y(tick), WIDTH - RIGHT, y(tick), GRID), text(left - 8, y(tick) + 4, number(tick), "end")]
    for (name, curve), colour in zip(series.items(), (OURS, PEER)):
        path = " ".join(f"{x(size):.1f},{y(seconds):.1f}" for size, seconds in curve)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(size):.1f}" cy="{y(seconds):.1f}" r="3" fill="{colour}"/>' for size, seconds in curve]
        parts.append(text(x(curve[-1][0]) + 8, y(curve[-1][1]) + 4, name, colour=colour))
    return page(WIDTH, height, parts)
