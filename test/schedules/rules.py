"""The calls that make a schedule's rules, and those that change them."""

from checks import Stored
from schedule import CONVERSION_NAMES, literal, quote


def call(function, arguments):
    """SQL of a call in named notation. Arguments are passed as SQL."""
    return f"SELECT attribution.{function}({', '.join(f'{k} => {v}' for k, v in arguments.items())}) \\g /dev/null\n"


def array(values, type_):
    return f"ARRAY[{', '.join(map(literal, values))}]::{type_}[]"


def _theirs(columns):
    return array([CONVERSION_NAMES.get(column, column) for column in columns], "name")


def _regclass(schedule, table):
    return literal(f"{quote(schedule.schema)}.{quote(table)}") + "::regclass"


def make(schedule, rule):
    return state(schedule, rule) + call("activate", {"rule": literal(rule.name)})


def state(schedule, rule):
    """The rule as a draft."""
    arguments = {
        "rule": literal(rule.name), "conversions": _regclass(schedule, "conversions"),
        "id_column": "'conversion_id'", "time_column": "'happened_at'", "path": literal(rule.path),
        "model": literal(rule.model), "carry": array(rule.carry, "name"),
        "installation_key": array(rule.installation_key, "text"),
        "reattribution_window": f"interval {literal(rule.window)}",
        "allowed_lateness": f"interval {literal(rule.lateness)}",
        "settlement": f"interval {literal(rule.settlement)}"}
    if rule.filter:
        arguments["filter"] = literal(rule.filter)
    if rule.empty is not None:
        arguments["empty"] = array(rule.empty, "text")
    if rule.value:
        arguments["value_column"] = "'amount'"
    before = ""
    if rule.kept:
        stored = Stored(schedule, rule)
        before = f"CREATE SCHEMA IF NOT EXISTS {quote(stored.place)};\n"
        arguments.update(decisions=literal(stored.decisions), credits=literal(stored.credits))
    return before + call("create_rule", arguments) + "".join(_add_tier(schedule, rule, tier) for tier in rule.tiers)


def _add_tier(schedule, rule, tier):
    arguments = {
        "rule": literal(rule.name), "tier": literal(tier.name), "touchpoints": _regclass(schedule, tier.table),
        "match": array(tier.match, "name"), "conversion_match": _theirs(tier.match),
        "lookback": f"interval {literal(tier.lookback)}",
        "conflict": array(tier.conflict, "name"), "conversion_conflict": _theirs(tier.conflict),
        "id_column": "'touch_id'", "time_column": "'touched_at'", "skew": f"interval {literal(tier.skew)}",
        "strict": str(tier.strict).lower()}
    if tier.filter:
        arguments["filter"] = literal(tier.filter)
    if tier.predicate:
        arguments["predicate"] = literal(tier.predicate)
    if tier.own_lookback:
        arguments["lookback_column"] = "'reach'"
    return call("add_tier", arguments)


def change(rule, changes):
    """Changes the rule, and returns the calls that do so."""
    name = {"rule": literal(rule.name)}
    calls, settings = "", {}
    for setting, value in changes.items():
        if setting == "lookback":
            for tier in rule.tiers:
                if tier.name == value[0]:
                    tier.lookback = value[1]
                    calls += call("alter_tier", {**name, "tier": literal(tier.name),
                                                 "lookback": f"interval {literal(tier.lookback)}"})
        elif setting == "without":
            if len(rule.tiers) > 1 and value in [tier.name for tier in rule.tiers]:
                rule.tiers = [tier for tier in rule.tiers if tier.name != value]
                calls += call("drop_tier", {**name, "tier": literal(value)})
        elif setting == "installation_key":
            rule.installation_key, rule.key_columns = value
            settings[setting] = array(rule.installation_key, "text")
        elif setting == "carry":
            rule.carry = value
            settings[setting] = array(value, "name")
        elif setting == "value":
            rule.value = value
            settings["value_column"] = "'amount'" if value else "''"
        else:
            setattr(rule, setting, value)
            settings[{"window": "reattribution_window"}.get(setting, setting)] = literal(value)
    if settings:
        calls += call("alter_rule", {**name, **settings})
    return calls + call("activate", name)


def drop(rule):
    return call("drop_rule", {"rule": literal(rule.name), "keep_decisions": "false"})
