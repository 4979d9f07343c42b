"""A failing family made small: fewer worlds, tiers, settings and rows, as long as the same check still fails."""

import copy

import script


def shrink(seed, family, fails):
    """`fails` runs a script and returns its differences by check. Returns the smallest script found, as text."""
    found = fails(script.script(seed, family))
    if not found:
        return "nothing fails"
    check = next(iter(found))
    plan = script.Plan(checks=(check,))

    def still(candidate, plan):
        return check in fails(script.script(seed, candidate, plan))

    plain = script.Plan(checks=(check,), plain=True)
    if still(family, plain):
        plan = plain
    elif not still(family, plan):
        plan = script.Plan()

    for step in (_worlds, _tiers, _settings, _rows):
        for candidate in step(family):
            # A generator is told what became of its candidate by the family's being replaced or not.
            smaller = candidate()
            if smaller is not None and still(smaller, plan):
                family.__dict__.update(smaller.__dict__)
    text = script.script(seed, family, plan)
    differences = "\n".join(f"-- {line}" for line in fails(text).get(check, ["not every time"]))
    return f"{text}\n-- {check}:\n{differences}"


def _worlds(family):
    """Halves of the worlds, then halves of what is left, down to one."""
    while True:
        worlds = sorted({row["number"] for relation in family.relations for row in relation.rows})
        if len(worlds) < 2:
            return
        size = len(worlds)
        while size > 1:
            size = -(-size // 2)
            for start in range(0, len(worlds), size):
                part = set(worlds[start:start + size])
                before = family.relations
                yield lambda: _keep(family, lambda relation, row: row["number"] in part)
                if family.relations is not before:
                    break
            else:
                continue
            break
        else:
            return


def _tiers(family):
    for tier in list(family.rule.tiers):
        def without(name=tier.name):
            smaller = copy.deepcopy(family)
            smaller.rule.tiers = [t for t in smaller.rule.tiers if t.name != name]
            return smaller if smaller.rule.tiers else None
        yield without


def _settings(family):
    plain = {"filter": None, "predicate": None, "own_lookback": False, "conflict": [], "skew": "0", "strict": False}
    for name, value in plain.items():
        for n in range(len(family.rule.tiers)):
            def with_plain(n=n, name=name, value=value):
                smaller = copy.deepcopy(family)
                setattr(smaller.rule.tiers[n], name, value)
                if name == "predicate":
                    smaller.rule.tiers[n].predicate_columns = []
                return smaller
            yield with_plain
    for name in ("filter", "empty"):
        def with_default(name=name):
            smaller = copy.deepcopy(family)
            setattr(smaller.rule, name, None)
            return smaller
        yield with_default


def _rows(family):
    for r in range(len(family.relations)):
        n = 0
        while n < len(family.relations[r].rows):
            before = len(family.relations[r].rows)
            yield lambda: _keep(family, lambda relation, row: not (relation is family.relations[r]
                                                                   and row is family.relations[r].rows[n]))
            if len(family.relations[r].rows) == before:
                n += 1


def _keep(family, wanted):
    """A copy of the family with the rows that are wanted."""
    kept = [[row for row in relation.rows if wanted(relation, row)] for relation in family.relations]
    smaller = copy.deepcopy(family)
    for relation, rows in zip(smaller.relations, kept):
        relation.rows = [dict(row) for row in rows]
    return smaller
