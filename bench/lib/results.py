"""The results: a JSON file that figures are merged into, and a table made from it."""

import json
import re

import plot

HEAD = """# Figures

Made by `make bench` from `results.json`; [README.md](README.md) says how. Each figure has its own date, as one can be measured
alone.

Release build. Servers with {settings}; all else is PostgreSQL's default, also autovacuum, unless a note says otherwise.
Clients run on the same machine.
"""


def significant(number):
    """With four digits, as more would be noise."""
    return None if number is None else float(f"{number:.4g}")


class Results:
    """`groups`: {title and text of a file of bench/figures: its figures}, as the table has them."""

    def __init__(self, directory, groups, settings):
        self.json, self.table = directory / "results.json", directory / "results.md"
        self.groups, self.settings = groups, settings
        self.figures = json.loads(self.json.read_text()) if self.json.exists() else {}

    def put(self, figure, value, stamp):
        ratio = significant(figure.ratio(value))
        self.figures[figure.name] = {"ours": significant(value.ours), "peer": significant(value.peer), "ratio": ratio,
                                     "unit": figure.unit, "note": value.note, **stamp}
        if value.points:
            curves = {"ours": value.points, "peer": value.peer_points}
            self.figures[figure.name]["curves"] = {name: [[size, significant(seconds)] for size, seconds in points]
                                                   for name, points in curves.items() if points}

    def write(self):
        known = {figure.name for figures in self.groups.values() for figure in figures}
        kept = {name: value for name, value in sorted(self.figures.items()) if name in known}
        self.json.parent.mkdir(parents=True, exist_ok=True)
        self.json.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
        (self.json.parent / "plots").mkdir(exist_ok=True)
        self.table.write_text(self.markdown(kept))

    def plots(self, title, figures, kept):
        """Writes those of a group; returns the lines that show them."""
        plots = {}
        rows = [(figure.name, kept[figure.name]["ratio"], figure.ratio_target) for figure in figures if kept[figure.name]["ratio"]]
        if rows:
            plots[re.sub("[^a-z]+", "_", title.lower())] = plot.bars(rows)
        for figure in figures:
            if curves := kept[figure.name].get("curves"):
                plots[figure.name] = plot.curves(figure.across, curves)
        for name, svg in plots.items():
            (self.json.parent / "plots" / f"{name}.svg").write_text(svg)
        return "".join(f"![{name}](plots/{name}.svg)\n\n" for name in plots)

    def markdown(self, kept):
        settings = ", ".join(f"`{name} = {value}`" for name, value in self.settings.items())
        parts = [HEAD.format(settings=settings)]
        for (title, text), figures in self.groups.items():
            there = [figure for figure in figures if figure.name in kept]
            if there:
                parts.append(f"\n## {title}\n\n{text}\n\n" + self.plots(title, there, kept) + "".join(self.lines(there, kept)))
        return "".join(parts)

    @staticmethod
    def lines(figures, kept):
        yield "| figure | ours | unit | target | met | peer | times better |\n|---|--:|---|---|---|--:|--:|\n"
        for figure in figures:
            value = kept[figure.name]
            met = {True: "yes", False: "**no**", None: ""}[figure.met(value["ours"], value["ratio"])]
            yield (f"| `{figure.name}` | {number(value['ours'])} | {figure.unit} | {figure.target_text()} | {met} "
                   f"| {number(value['peer'])} | {number(value['ratio'])} |\n")
        yield "\n"
        for figure in figures:
            note = kept[figure.name]["note"]
            yield f"* `{figure.name}`: {figure.meaning}{f' {note}' if note else ''}\n"
        yield "\n"
        stamps = {}
        for figure in figures:
            value = kept[figure.name]
            stamps.setdefault(tuple(value[key] for key in ("date", "commit", "machine", "postgresql")), []).append(figure.name)
        for (date, commit, machine, postgresql), names in sorted(stamps.items()):
            which = "" if len(stamps) == 1 else f" ({', '.join(f'`{name}`' for name in names)})"
            flushes = sorted({kept[name]["flush_ms"] for name in names} - {None})
            disk = f" As they began, it took {' to '.join(f'{ms:g}' for ms in (flushes[0], flushes[-1])[:len(flushes)])} ms to flush 8 kB." if flushes else ""
            yield f"Measured {date}, commit {commit}, {machine}, {postgresql}{which}.{disk}\n"


def number(value):
    return "" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,g}"
