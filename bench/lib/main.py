"""Measures figures: those that are named (a figure, a measurement, a file of bench/figures), or all.

    bench/run [name ..]       BENCH_SCALE=small: on little data, to see that it works
    bench/run --list          what there is
"""

import importlib.util
import os
import sys
import time
import traceback

sys.dont_write_bytecode = True
# Figures may go by the workload of others.
sys.path.append(os.path.join(os.path.dirname(__file__), "../figures"))

import disk
from figure import WrongAnswer
from results import Results, number, significant
from server import HONEST, ROOT
from stamp import stamp


class Bench:
    """What a measurement is given: how large it is to be, and where to say how far it is."""

    def __init__(self, scale):
        if scale not in ("full", "small"):
            sys.exit(f"bench: BENCH_SCALE is full or small, not {scale}")
        self.small = scale == "small"
        self.began = time.monotonic()
        self.shown = 0
        self.live = sys.stdout.isatty()

    def pick(self, full, small):
        return small if self.small else full

    def ready(self, server):
        """All is set up; what happens from here on is measured."""
        server.run("CHECKPOINT")
        disk.settle()
        self.flush_ms = disk.flush_ms()

    def say(self, text):
        self.clear()
        print(f"{time.monotonic() - self.began:6.0f} s  {text}", flush=True)

    def progress(self, text):
        """How far something is: in place on a terminal, now and then elsewhere."""
        now = time.monotonic()
        if self.live:
            print(f"\r\033[K{now - self.began:6.0f} s  {text}", end="", flush=True)
        elif now - self.shown > 10:
            self.say(text)
        else:
            return
        self.shown = now

    def clear(self):
        if self.live:
            print("\r\033[K", end="")


def files():
    """The modules of bench/figures, by name."""
    found = {}
    for path in sorted((ROOT / "bench/figures").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"figures_{path.stem}", path)
        found[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found[path.stem])
    return found


def measurements(module):
    return [value for value in vars(module).values() if hasattr(value, "figures")]


def chosen(modules, names):
    """(measurement, those of its figures that are wanted), for names; all if there are none."""
    everything = [(stem, function) for stem, module in modules.items() for function in measurements(module)]
    unknown = set(names)
    plan = []
    for stem, function in everything:
        whole = {stem, f"{stem}.{function.__name__}"}
        wanted = [figure for figure in function.figures if not names or figure.name in names or whole & set(names)]
        unknown -= whole | {figure.name for figure in function.figures}
        if wanted:
            plan.append((f"{stem}.{function.__name__}", function, wanted))
    if unknown:
        sys.exit(f"bench: no figure {', '.join(sorted(unknown))}; bench/run --list has them all")
    return plan


def show(modules):
    for stem, module in modules.items():
        for function in measurements(module):
            print(f"{stem}.{function.__name__}")
            for figure in function.figures:
                target = figure.target_text()
                print(f"    {figure.name} ({figure.unit}{f', {target}' if target else ''})\n        {figure.meaning}")


def heading(module):
    title, _, text = module.__doc__.strip().partition("\n")
    return title.rstrip("."), text.strip()


def main(arguments):
    modules = files()
    if arguments == ["--list"]:
        return show(modules)
    if any(argument.startswith("-") for argument in arguments):
        sys.exit(__doc__)
    plan = chosen(modules, arguments)
    bench = Bench(os.environ.get("BENCH_SCALE", "full"))
    results = Results(ROOT / (".cache/bench" if bench.small else "bench"),
                      {heading(module): [figure for function in measurements(module) for figure in function.figures]
                       for module in modules.values()}, HONEST)
    missed = []
    for name, function, wanted in plan:
        bench.say(f"== {name}")
        bench.flush_ms = None
        values = function(bench)
        measured_on = {**stamp(ROOT), "flush_ms": significant(bench.flush_ms)}
        if set(values) != {figure.name for figure in function.figures}:
            raise WrongAnswer(f"{name} measured {', '.join(sorted(values))}")
        for figure in wanted:
            results.put(figure, values[figure.name], measured_on)
            written = results.figures[figure.name]
            met = figure.met(written["ours"], written["ratio"])
            if met is False:
                missed.append(figure.name)
            verdict = {True: f"  target {figure.target_text()}: met", False: f"  target {figure.target_text()}: MISSED", None: ""}[met]
            peer = "" if written["peer"] is None else f"  (peer {number(written['peer'])}, {number(written['ratio'])} times better)"
            bench.say(f"{figure.name} = {number(written['ours'])} {figure.unit}{peer}{verdict}")
            if written["note"]:
                bench.say(f"    {written['note']}")
        results.write()
    # A missed target is a finding, no failure.
    bench.say(f"written: {results.json.relative_to(ROOT)}, {results.table.relative_to(ROOT)}")
    if missed and not bench.small:
        bench.say(f"targets missed: {', '.join(missed)}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except WrongAnswer as wrong:
        traceback.print_exc()
        sys.exit(f"bench: {wrong}")
