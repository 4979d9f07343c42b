"""Models over whole paths as their definitions say, in fractions: slow, exact, and without a glance at the extension's way.

A path is (channels, conversions, value, nulls). Markov: states are windows of the last k channels, a shorter path is one
state. p without c is the chance to convert when every step to a state with c ends the walk; it is had from the linear
system x = Qx + b, by Gauss-Jordan elimination."""

from decimal import Decimal
from fractions import Fraction
from itertools import permutations

START = ("start",)


def chain(paths, order):
    """{state: {next state or "conversion" or "null": weight}}, {state: mean unit value of its conversions}"""
    steps, worth, times = {}, {}, {}
    for channels, conversions, value, nulls in paths:
        weight = conversions + nulls
        if not channels or weight == 0:
            continue
        size = min(order, len(channels))
        states = [tuple(channels[i:i + size]) for i in range(len(channels) - size + 1)]
        for a, b in zip([START] + states, states):
            row = steps.setdefault(a, {})
            row[b] = row.get(b, 0) + weight
        row = steps.setdefault(states[-1], {})
        row["conversion"] = row.get("conversion", 0) + conversions
        row["null"] = row.get("null", 0) + nulls
        worth[states[-1]] = worth.get(states[-1], 0) + value
        times[states[-1]] = times.get(states[-1], 0) + conversions
    return steps, {s: worth[s] / times[s] if times[s] else Fraction(0) for s in worth}


def solve(matrix, right):
    """x of matrix x = right; matrix is square, rows are {column: number}."""
    rows = [(dict(row), r) for row, r in zip(matrix, right)]
    for i in range(len(rows)):
        pivot = next(j for j in range(i, len(rows)) if rows[j][0].get(i))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        row, r = rows[i]
        scale = row[i]
        row, r = {c: v / scale for c, v in row.items()}, r / scale
        rows[i] = (row, r)
        for j, (other, s) in enumerate(rows):
            factor = other.get(i)
            if j == i or not factor:
                continue
            for c, v in row.items():
                other[c] = other.get(c, 0) - factor * v
                if not other[c]:
                    del other[c]
            rows[j] = (other, s - factor * r)
    return [r for _, r in rows]


def expected(steps, reward, without):
    """What a walk from the start is worth if steps to states with a channel end it."""
    # A state that leads nowhere but to itself and the others like it, never to an end, can't be: every path ends.
    states = [s for s in steps if s == START or without not in s]
    place = {s: i for i, s in enumerate(states)}
    matrix, right = [], []
    for state in states:
        total = sum(steps[state].values())
        row = {place[state]: Fraction(1)}
        for to, weight in steps[state].items():
            if to in place:
                row[place[to]] = row.get(place[to], 0) - Fraction(weight) / total
        matrix.append({c: v for c, v in row.items() if v})
        right.append(Fraction(steps[state].get("conversion", 0)) / total * reward(state))
    return solve(matrix, right)[place[START]] if START in place else Fraction(0)


def markov(paths, order):
    """{channel: (removal effect, conversions, value removal effect, value)}"""
    steps, worth = chain(paths, order)
    channels = sorted({c for path in paths for c in path[0]})
    result = {}
    for what, reward, at in (("conversions", lambda s: Fraction(1), 1), ("value", lambda s: worth.get(s, Fraction(0)), 2)):
        whole = expected(steps, reward, None)
        total = sum((path[at] for path in paths if path[0]), Fraction(0))
        effects = {c: 1 - expected(steps, reward, c) / whole if whole else None for c in channels}
        effect_sum = sum(e for e in effects.values() if e is not None)
        for c in channels:
            credit = effects[c] / effect_sum * total if whole else Fraction(0)
            result.setdefault(c, []).extend((effects[c], credit))
    return result


def transitions(paths, order):
    """{(from, to or outcome): weight}, without loops"""
    steps, _ = chain(paths, order)
    return {(a, b): w for a, row in steps.items() for b, w in row.items() if a != b and w}


def shapley_values(channels, game):
    """By definition: what a channel adds to those before it, over all orders of arrival."""
    sums = {c: Fraction(0) for c in channels}
    orders = list(permutations(channels))
    for order in orders:
        there, before = set(), Fraction(0)
        for c in order:
            there.add(c)
            now = game(there)
            sums[c] += now - before
            before = now
    return {c: s / len(orders) for c, s in sums.items()}


def shapley(paths, at=1):
    channels = sorted({c for path in paths for c in path[0]})
    return shapley_values(channels, lambda there: sum((p[at] for p in paths if p[0] and set(p[0]) <= there), Fraction(0)))


def conversion_rate(paths, at=1):
    def game(there):
        within = [p for p in paths if p[0] and set(p[0]) <= there]
        walks = sum(p[1] + p[3] for p in within)
        return sum(p[at] for p in within) / walks if walks else Fraction(0)
    return shapley_values(sorted({c for path in paths for c in path[0]}), game)


def shapley_ordered(paths, at=1):
    """A channel's share of a conversion, 1/m, is split over its places."""
    result = {}
    for path in paths:
        for i, c in enumerate(path[0], 1):
            share = path[at] / len(set(path[0])) / path[0].count(c)
            result[c, i] = result.get((c, i), Fraction(0)) + share
    return result


def weights(model, path):
    """Credits of the places of a path; touchpoints are a day apart."""
    name, _, settings = model.rstrip(")").partition("(")
    settings = [s.strip() for s in settings.split(",")] if settings else []
    n = len(path)
    if name == "first_touch":
        return [Fraction(i == 0) for i in range(n)]
    if name == "last_touch":
        return [Fraction(i == n - 1) for i in range(n)]
    if name == "last_non_direct":
        passed = settings or ["direct"]
        winner = max((i for i in range(n) if path[i] not in passed), default=n - 1)
        return [Fraction(i == winner) for i in range(n)]
    if name == "linear":
        return [Fraction(1, n)] * n
    if name == "linear_distinct":
        return [Fraction(1, len(set(path)) * path.count(c)) for c in path]
    if name == "position_based":
        f, l = (Fraction(s) for s in settings or ("0.4", "0.4"))
        middle = 1 - f - l
        if n == 1:
            return [Fraction(1)]
        if n == 2:
            return [f + middle / 2, l + middle / 2]
        return [f] + [middle / (n - 2)] * (n - 2) + [l]
    if name == "time_decay":
        half_life = int(settings[0].split()[0]) if settings else 7
        raw = [2.0 ** (-(n - 1 - i) / half_life) for i in range(n)]
        return [w / sum(raw) for w in raw]
    if name == "w_shaped":
        a, b, c = (Fraction(s) for s in settings[1:] or ("0.3", "0.3", "0.3"))
        k = path.index(settings[0]) if settings[0] in path else None
        raw = [Fraction(0)] * n
        for place, share in ((0, a), (k, b), (n - 1, c)):
            if place is not None:
                raw[place] += share
        others = [i for i in range(n) if i not in (0, k, n - 1)]
        for i in others:
            raw[i] += (1 - a - b - c) / len(others)
        return [w / sum(raw) for w in raw]
    raise ValueError(model)


def heuristics(paths, model, at=1):
    result = {}
    for path in paths:
        for c, w in zip(path[0], weights(model, path[0]) if path[0] else []):
            result[c] = result.get(c, 0) + w * path[at]
    return result


def assists(paths):
    """Of each channel: conversions it began, ended, and assisted without ending them, and the last by the one before."""
    result = {}
    for channel in {c for path, conversions, *_ in paths if conversions for c in path}:
        first = sum((p[1] for p in paths if p[0] and p[0][0] == channel), Fraction(0))
        last = sum((p[1] for p in paths if p[0] and p[0][-1] == channel), Fraction(0))
        assisted = sum((p[1] for p in paths if channel in p[0] and p[0][-1] != channel), Fraction(0))
        result[channel] = [first, last, assisted, assisted / last if last else None]
    return result


def lengths(paths):
    """Conversions and value by the length of the path."""
    result = {}
    for path, conversions, value, _ in paths:
        if conversions or value:
            known = result.setdefault(len(path), [Fraction(0), Fraction(0)])
            result[len(path)] = [known[0] + conversions, known[1] + value]
    return result


def share(value, credits):
    """A value in proportion to credits as PostgreSQL makes numeric of them (15 digits): whole units of the last digit, and one more, of
    what is left, for the largest remainders, of equal ones the first."""
    scale = 10 ** -value.as_tuple().exponent
    parts = [Fraction(f"{credit:.15g}") for credit in credits]
    exact = [abs(Fraction(value)) * scale * part / sum(parts) for part in parts]
    units = [int(x) for x in exact]
    for k in sorted(range(len(parts)), key=lambda k: (units[k] - exact[k], k))[:int(sum(exact)) - sum(units)]:
        units[k] += 1
    return [(Decimal(n) / scale).copy_sign(value) if n else Decimal(0) for n in units]
