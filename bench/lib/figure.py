"""What a figure is, and how a file of bench/figures says which ones it makes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    name: str
    unit: str
    meaning: str
    better: str = "lower"               # or "higher"
    target: float = None                # below it, or at least that much where higher is better
    ratio_target: float = None          # at least so many times better than the peer
    across: str = None                  # what the points of its curve are over

    def ratio(self, value):
        """How many times better than the peer."""
        if value.peer is None:
            return None
        return value.peer / value.ours if self.better == "lower" else value.ours / value.peer

    def met(self, ours, ratio):
        """Whether it reaches its targets; None if it has none."""
        met = []
        if self.target is not None:
            met.append(ours < self.target if self.better == "lower" else ours >= self.target)
        if self.ratio_target is not None:
            met.append(ratio is not None and ratio >= self.ratio_target)
        return all(met) if met else None

    def target_text(self):
        texts = []
        if self.target is not None:
            texts.append(f"{'<' if self.better == 'lower' else '≥'} {self.target:,g}")
        if self.ratio_target is not None:
            texts.append(f"≥ {self.ratio_target:g} times the peer")
        return ", ".join(texts)


@dataclass(frozen=True)
class Value:
    """What was measured of a figure. `note`: what a reader must know of this very measurement. `points`: (size, seconds) of its
    curve, and those of the peer."""
    ours: float
    peer: float = None
    note: str = ""
    points: list = ()
    peer_points: list = ()


class WrongAnswer(Exception):
    """The figure is worthless: what was to be measured did not do its work."""


def measures(*figures):
    """Marks a function of a file of bench/figures: it takes a Bench and returns {name: Value} for all of these figures."""
    def mark(function):
        function.figures = figures
        return function
    return mark
