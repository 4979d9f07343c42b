"""The calls that make a family's rule, and those that read it."""

import json

from family import literal, quote


def names(columns):
    return f"ARRAY[{', '.join(map(literal, columns))}]::name[]"


def texts(values):
    return f"ARRAY[{', '.join(map(literal, values))}]::text[]"


def call(function, **arguments):
    """SQL of a call in named notation. Text arguments are passed as SQL already."""
    return f"SELECT attribution.{function}({', '.join(f'{name} => {value}' for name, value in arguments.items())});"


def regclass(schema, relation):
    return literal(f"{quote(schema)}.{quote(relation.name)}") + "::regclass"


def create(rule, schema, rng):
    """Make the rule: tiers in order, or in any order by `before`; as they are, or wrong first and then altered."""
    conversions = rule.conversions
    wrong = rng.random() < 0.15
    arguments = dict(rule=literal(rule.name), conversions=regclass(schema, conversions),
                     id_column=literal(conversions.columns["id"].name),
                     time_column=literal(conversions.columns["time"].name))
    right = dict(path=literal(rule.path), model=literal(rule.model))
    if rule.filter is not None:
        right["filter"] = literal(rule.filter)
    if rule.empty is not None:
        right["empty"] = texts(rule.empty)
    if wrong:
        arguments.update(filter=literal("false"), path=literal(other_path(rule.path)),
                         model=literal(other_model(rule.model)))
    else:
        arguments.update(right)
    statements = [call("create_rule", **arguments)]

    tiers = list(enumerate(rule.tiers))
    if rng.random() < 0.3:
        rng.shuffle(tiers)
    added = []
    for place, tier in tiers:
        weaker = [p for p in added if p > place]
        before = {"before": literal(rule.tiers[min(weaker)].name)} if weaker else {}
        statements.append(call("add_tier", **tier_arguments(rule, tier, schema, rng, wrong), **before))
        added.append(place)
    if wrong:
        tier = rng.choice(rule.tiers)
        too_many = dict(tier_arguments(rule, tier, schema, rng), tier=literal("dropped"), before=literal(tier.name))
        statements.append(call("add_tier", **too_many))
        statements.append(call("drop_tier", rule=literal(rule.name), tier=literal("dropped")))
        statements.append(call("alter_rule", rule=literal(rule.name), **{"filter": "''", **right}))
        for tier in rule.tiers:
            statements.append(call(
                "alter_tier", rule=literal(rule.name), tier=literal(tier.name),
                lookback=f"interval {literal(tier.lookback)}", filter=literal(tier.filter or ""),
                predicate=literal(tier.predicate or ""), strict=str(tier.strict).lower(),
                skew=f"interval {literal(tier.skew)}"))
    return "\n".join(statements) + "\n"


def tier_arguments(rule, tier, schema, rng, wrong=False):
    columns, theirs = tier.relation.columns, rule.conversions.columns
    arguments = dict(rule=literal(rule.name), tier=literal(tier.name), touchpoints=regclass(schema, tier.relation),
                     match=names(columns[role].name for role in tier.match),
                     lookback="interval '12 seconds'" if wrong else f"interval {literal(tier.lookback)}")

    def unless_default(name, value, default):
        if value != default or rng.random() < 0.5:
            arguments[name] = value

    unless_default("conversion_match", names(theirs[role].name for role in tier.conversion_match), arguments["match"])
    if tier.conflict:
        arguments["conflict"] = names(columns[role].name for role in tier.conflict)
        unless_default("conversion_conflict", names(theirs[role].name for role in tier.conflict), arguments["conflict"])
    unless_default("id_column", literal(columns["id"].name), literal(theirs["id"].name))
    unless_default("time_column", literal(columns[tier.time].name), literal(theirs["time"].name))
    if tier.own_lookback:
        arguments["lookback_column"] = literal(columns["own"].name)
    if wrong:
        arguments.update(filter=literal("false"), predicate=literal("false"))
    else:
        for name in ("filter", "predicate"):
            if getattr(tier, name) is not None:
                arguments[name] = literal(getattr(tier, name))
        if tier.strict:
            arguments["strict"] = "true"
        elif tier.skew != "0":
            arguments["skew"] = f"interval {literal(tier.skew)}"
    return arguments


def other_path(path):
    return {"first_match": "all", "all": "first_match"}[path]


def other_model(model):
    return {"last_touch": "first_touch", "first_touch": "last_touch"}[model]


def read(function, rule, since=None, until=None, overrides=None, schema=None):
    """SQL of a call in FROM: attribution.attribute(...), or with a schema the rule's own function there."""
    arguments = [] if schema else [literal(rule.name)]
    if since is not None or until is not None:
        arguments += [f"since => {literal(since)}", f"until => {literal(until)}"]
    if overrides:
        arguments.append(f"overrides => {literal(json.dumps(overrides))}")
    where = f"{quote(schema)}.{quote(rule.name + '_' + function)}" if schema else f"attribution.{function}"
    return f"{where}({', '.join(arguments)})"
