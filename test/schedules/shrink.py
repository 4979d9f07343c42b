"""A failing schedule made small: fewer operations, writes, rows and settings, as long as the same check still fails."""

import copy
from dataclasses import replace


def shrink(schedule, fails):
    """`fails` runs a schedule and returns its differences by check. Returns the smallest schedule found."""
    found = fails(schedule)
    if not found:
        return None
    wanted = kinds(found)

    def still(candidate):
        return bool(kinds(fails(candidate)) & wanted)

    while True:
        before = size(schedule)
        for step in (_operations, _writes, _rows, _settings):
            schedule = step(schedule, still)
        if size(schedule) >= before:
            return schedule


def kinds(differences):
    """The names of the checks that failed, without the numbers of the steps, which shrinking changes."""
    return {" ".join(word for word in check.split() if not word.isdigit()) for check in differences}


def size(schedule):
    writes = schedule.before + [write for operation in schedule.operations for write in operation.writes]
    return len(schedule.operations) + len(writes) + sum(len(write.rows) for write in writes)


def _fewer(items, try_without):
    """Leave out halves, quarters .. single items. `try_without` takes what is left and says whether it still fails."""
    length = max(1, len(items) // 2)
    while items:
        start = 0
        while start < len(items):
            left = items[:start] + items[start + length:]
            if try_without(left):
                items = left
            else:
                start += length
        if length == 1:
            return items
        length = max(1, length // 2)
    return items


def _operations(schedule, still):
    return replace(schedule, operations=_fewer(
        schedule.operations, lambda left: still(replace(schedule, operations=left))))


def _writes(schedule, still):
    schedule = replace(schedule, before=_fewer(schedule.before, lambda left: still(replace(schedule, before=left))))
    for n in range(len(schedule.operations)):
        def with_writes(left, n=n, schedule=schedule):
            operations = list(schedule.operations)
            operations[n] = replace(operations[n], writes=left)
            return replace(schedule, operations=operations)
        schedule = with_writes(_fewer(schedule.operations[n].writes, lambda left: left and still(with_writes(left))))
    return schedule


def _rows(schedule, still):
    schedule = copy.deepcopy(schedule)
    for write in schedule.before + [write for operation in schedule.operations for write in operation.writes]:
        def without(left, write=write):
            kept, write.rows = write.rows, left
            if still(schedule):
                return True
            write.rows = kept
            return False
        _fewer(write.rows, lambda left: left and without(left))
        for column in list(write.set):
            value = write.set.pop(column)
            if not write.set or not still(schedule):
                write.set[column] = value
    return schedule


def _settings(schedule, still):
    """One rule, one tier, plain tables, default settings."""
    def attempt(change):
        nonlocal schedule
        candidate = copy.deepcopy(schedule)
        if change(candidate) is not False and still(candidate):
            schedule = candidate

    def only_rule(n, candidate):
        candidate.rules = candidate.rules[n:n + 1]
        for operation in candidate.operations:
            operation.rule = 0
            operation.parts = [(part[0], 0, part[2]) for part in operation.parts]

    if len(schedule.rules) > 1:
        attempt(lambda candidate: only_rule(0, candidate))
    if len(schedule.rules) > 1:
        attempt(lambda candidate: only_rule(1, candidate))
    for r in range(len(schedule.rules)):
        for t in reversed(range(len(schedule.rules[r].tiers))):
            attempt(lambda candidate: len(candidate.rules[r].tiers) > 1 and candidate.rules[r].tiers.pop(t))
        for name, plain in {"filter": None, "empty": None, "value": False, "carry": [], "installation_key": [],
                            "settlement": "0"}.items():
            attempt(lambda candidate: setattr(candidate.rules[r], name, plain))
        for t in range(len(schedule.rules[r].tiers)):
            attempt(lambda candidate: (setattr(candidate.rules[r].tiers[t], "predicate", None),
                                       setattr(candidate.rules[r].tiers[t], "predicate_columns", [])))
            for name, plain in {"filter": None, "conflict": [], "own_lookback": False, "skew": "0", "strict": False,
                                "lookback": "7 days"}.items():
                attempt(lambda candidate: setattr(candidate.rules[r].tiers[t], name, plain))
    for name in schedule.tables:
        for setting in ("partitioned", "unique"):
            attempt(lambda candidate: setattr(candidate.tables[name], setting, False))
    return schedule
