"""The psql script that checks one family: make it, ask the oracle, ask the extension, compare.

Its output: `check|name` as a check begins, `diff|name|...` for each difference, `done|name|n` when it has ended.
"""

import json
import random
import re
from dataclasses import dataclass, replace

import explain
import layout
import rules
from family import literal, quote
from oracle import DROP_TABLES, EMPTY_TABLES, Oracle

PRELUDE = r"""\set ON_ERROR_STOP on
\set QUIET on
\set VERBOSITY verbose
\pset format unaligned
\pset tuples_only on
-- PostgreSQL 16 gave the setting another name.
SELECT CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'force_parallel_mode' ELSE 'debug_parallel_query' END
    AS force_parallel \gset
SET client_min_messages = error;
SET search_path = worlds, public;
SET jit = off;
SET statement_timeout = '60s';
"""

DECISION = "conversion_id, conversion_time, outcome, tier, touch_id, touch_time, credit_position, credit"
TOUCHPOINT = "conversion_id, conversion_time, tier, touch_position, path_length, touch_id, touch_time, credit"
PATH = "conversion_id, conversion_time, path, touch_ids, touch_times, credits"
KINDS = {"attribute": ("decision", DECISION), "touchpoints": ("touchpoint", TOUCHPOINT), "conversion_paths": ("path", PATH)}

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]
SETTINGS = [
    {"attribution.batch_size": "1"}, {"attribution.batch_size": "7"}, {"attribution.batch_size": "100000"},
    {"attribution.work_mem": "'64kB'"}, {"attribution.enable_touch_index": "off"},
    {"attribution.min_parallel_conversions": "1"},
    {"attribution.min_parallel_conversions": "1", "max_parallel_workers_per_gather": "1"},
    # how PostgreSQL plans
    {"work_mem": "'64kB'"}, {"enable_hashjoin": "off", "enable_mergejoin": "off"},
    {"enable_nestloop": "off", "enable_hashjoin": "off"}, {"enable_nestloop": "off", "enable_mergejoin": "off"},
    {"enable_seqscan": "off"}, {"enable_indexscan": "off", "enable_bitmapscan": "off"}, {"enable_sort": "off"},
    {"enable_hashagg": "off", "enable_material": "off", "enable_memoize": "off"},
    {"enable_partition_pruning": "off"}, {"enable_partitionwise_join": "on", "enable_partitionwise_aggregate": "on"},
    {"parallel_setup_cost": "0", "parallel_tuple_cost": "0", "min_parallel_table_scan_size": "0"},
    {":force_parallel": "on"}, {"plan_cache_mode": "force_generic_plan"}, {"plan_cache_mode": "force_custom_plan"},
    {"join_collapse_limit": "1", "from_collapse_limit": "1"}, {"cursor_tuple_fraction": "0.001"},
    # how it reads and writes values
    {"DateStyle": "'SQL, DMY'", "IntervalStyle": "'iso_8601'"},
    {"bytea_output": "escape"}, {"extra_float_digits": "0"}, {"standard_conforming_strings": "off"},
    {"transform_null_equals": "on"}, {"quote_all_identifiers": "on"},
    # what a transaction may
    {"search_path": "pg_catalog"}, {"default_transaction_read_only": "on"},
    {"default_transaction_isolation": "serializable"},
]


@dataclass(frozen=True)
class Plan:
    """How a family is checked. A failure is reproduced with less of it."""
    checks: tuple = None          # names of the only checks to make
    plain: bool = False           # plain tables without indexes, default settings


def script(seed, family, plan=Plan()):
    return _Script(random.Random(f"{seed} script {family.number}"), seed, family, plan).text()


def _difference(check, expected, answer):
    return f"""SELECT 'diff|{check}|expected ' || row::text FROM ({expected} EXCEPT ALL {answer}) AS row LIMIT 8;
SELECT 'diff|{check}|got      ' || row::text FROM ({answer} EXCEPT ALL {expected}) AS row LIMIT 8;"""


class _Script:
    def __init__(self, rng, seed, family, plan):
        self.rng = rng
        self.seed = seed
        self.family = family
        self.rule = family.rule
        self.plan = plan
        self.parts = [PRELUDE]

    def text(self):
        chance = lambda p: self.rng.random() < p       # drawn whether wanted or not: a plan changes no other draw
        rule, schema = self.rule, self.family.schema
        oracle = Oracle(rule, schema)
        self.make(rule, schema, "layout")
        active = self.activated
        self.parts.append(oracle.sql())
        self.invariants()
        self.compare("attribute", "attribute", rule)
        self.compare("touchpoints", "touchpoints", rule)
        self.compare("paths", "conversion_paths", rule)
        for n, (since, until) in enumerate(self.family.edges):
            if chance(0.3):
                self.compare(f"attribute in range {n}", "attribute", rule, since, until)
                self.compare(f"touchpoints in range {n}", "touchpoints", rule, since, until)
        if chance(0.3):
            self.compare("typed attribute", "attribute", rule, schema=schema)
            self.compare("typed touchpoints", "touchpoints", rule, schema=schema)
        if chance(0.5):
            self.explain(oracle, "explain", {})
        if chance(0.4):
            self.one_by_one()
        if chance(0.4):
            self.again()
        if chance(0.5):
            self.overrides("overrides", self.some_overrides())
        if chance(0.7):
            self.model()
        if chance(0.25):
            self.draft(active)
        elif chance(0.4):
            self.changed()
        self.drop(rule, schema)
        return "".join(self.parts)

    def wanted(self, *checks):
        return self.plan.checks is None or any(check in self.plan.checks for check in checks)

    def again(self):
        """The same rows, laid out and inserted otherwise."""
        rule, schema = replace(self.rule, name=self.rule.name + " again"), self.family.schema + " again"
        wanted = self.wanted("attribute laid out again", "touchpoints laid out again")
        if wanted:
            self.make(rule, schema, "layout again")
        self.compare("attribute laid out again", "attribute", rule)
        self.compare("touchpoints laid out again", "touchpoints", rule)
        if wanted:
            self.drop(rule, schema)

    def make(self, rule, schema, what):
        """The relations, then the rule; both by a random choice of their own, that a shorter plan doesn't move."""
        rng = random.Random(f"{self.seed} {what} {self.family.number}")
        build = layout.plain if self.plan.plain else layout.build
        self.parts += [build(rng, self.family, schema), f"\\echo check|create {schema}\n\\o /dev/null\n",
                       rules.create(rule, schema, rng)]
        self.activated = rng.random() < 0.6
        if self.activated:
            self.parts.append(rules.call("activate", rule=literal(rule.name)) + "\n")
        self.parts.append("\\o\n")

    def drop(self, rule, schema):
        self.parts.append(f"\\o /dev/null\n{rules.call('drop_rule', rule=literal(rule.name))}\n\\o\n"
                          f"DROP SCHEMA {quote(schema)} CASCADE;\n")

    def invariants(self):
        """Of the oracle itself: one decision a conversion, one credit of 1 or none, positions that run from 1."""
        self.parts.append(r"""
SELECT 'diff|oracle|' || conversion_id FROM oracle_decision GROUP BY conversion_id HAVING count(*) <> 1;
SELECT 'diff|oracle|' || conversion_id FROM oracle_touchpoint GROUP BY conversion_id
HAVING sum(credit) <> 1 OR max(touch_position) <> max(path_length) OR count(touch_position) <> max(path_length);
SELECT 'done|oracle|' || count(*) FROM oracle_decision;
SELECT 'stat|' || count(*) || '|' || count(touch_id) || '|' || (SELECT count(*) FROM oracle_touchpoint)
FROM oracle_decision;
""")

    def settings(self):
        """Settings for one call, and what puts them back."""
        chosen = {"TimeZone": literal(self.rng.choice(ZONES))}
        for some in self.rng.sample(SETTINGS, self.rng.choice([0, 1, 1, 2])):
            chosen.update(some)
        if self.plan.plain:
            chosen = {}
        before = "".join(f"SET {name} = {value};\n" for name, value in chosen.items())
        after = ("".join(f"RESET {name};\n" for name in chosen)
                 + "SET TimeZone = 'UTC';\nSET search_path = worlds, public;\n")
        told = ", ".join(f"{name} = {value}".replace("'", "") for name, value in chosen.items())
        return f"\\echo settings|{told}\n{before}", after

    def compare(self, check, function, rule, since=None, until=None, overrides=None, schema=None):
        before, after = self.settings()
        if not self.wanted(check):
            return
        kind, columns = KINDS[function]
        # The last digits of a credit are anybody's.
        compared = columns.replace("credits", "ARRAY(SELECT round(u::numeric, 9) FROM unnest(credits) AS u) AS credits")
        compared = re.sub("credit$", "round(credit::numeric, 9) AS credit", compared)
        typed = columns.replace("conversion_id", "conversion_id::text").replace("touch_id", "touch_id::text")
        during = ("" if since is None else
                  f" WHERE conversion_time >= {literal(since)} AND conversion_time < {literal(until)}")
        expected = f"SELECT {compared} FROM oracle_{kind}{during}"
        answer = f"SELECT {compared} FROM answer_{kind}"
        self.parts.append(f"""
\\echo check|{check}
{EMPTY_TABLES.format(prefix='answer')}
{before}INSERT INTO answer_{kind} ({columns}) SELECT {typed if schema else columns}
FROM {rules.read(function, rule, since, until, overrides, schema)};
{after}{_difference(check, expected, answer)}
SELECT 'done|{check}|' || count(*) FROM answer_{kind};
DROP TABLE answer_decision, answer_touchpoint, answer_path;
""")

    def one_by_one(self):
        """A call for each instant that has a conversion: what lies outside a range still makes identities."""
        before, after = self.settings()
        check = "attribute one by one"
        if not self.wanted(check):
            return
        some = ("SELECT DISTINCT conversion_time AS t FROM oracle_decision WHERE conversion_time < '3000-01-01'"
                " ORDER BY 1 LIMIT 25")
        self.parts.append(f"""
\\echo check|{check}
{EMPTY_TABLES.format(prefix='answer')}
{before}INSERT INTO answer_decision ({DECISION}) SELECT {DECISION} FROM ({some}) AS instants,
LATERAL attribution.attribute({literal(self.rule.name)}, t, t + interval '1 microsecond');
{after}{_difference(check, f"SELECT {DECISION} FROM oracle_decision WHERE conversion_time IN ({some})",
                    f"SELECT {DECISION} FROM answer_decision")}
SELECT 'done|{check}|' || count(*) FROM answer_decision;
DROP TABLE answer_decision, answer_touchpoint, answer_path;
""")

    def changed(self):
        """The rows change, the relations get a column, perhaps in this transaction: nothing may be stale."""
        together = self.rng.random() < 0.5
        check = "after changes"
        if not self.wanted(f"attribute {check}", f"touchpoints {check}"):
            return
        self.parts.append("BEGIN;\n" if together else "")
        for relation in self.family.relations:
            table = f"{quote(self.family.schema)}.{quote(relation.name)}"
            time, shard = (quote(relation.columns[role].name) for role in ("time", "shard"))
            self.parts.append(f"""
SELECT relkind IN ('r', 'p') AS is_table FROM pg_class WHERE oid = {literal(table)}::regclass \\gset
\\if :is_table
ALTER TABLE {table} ADD COLUMN added int DEFAULT 3;
DELETE FROM {table} WHERE {shard} = 1;
UPDATE {table} SET {time} = {time} + interval '1 hour' WHERE {shard} = 0 AND {time} < '3000-01-01';
\\endif
""")
        self.parts += [DROP_TABLES, Oracle(self.rule, self.family.schema).sql()]
        self.compare(f"attribute {check}", "attribute", self.rule)
        self.compare(f"touchpoints {check}", "touchpoints", self.rule)
        self.parts.append("COMMIT;\n" if together else "")

    def explain(self, oracle, check, overrides):
        if self.wanted(check):
            self.parts += [f"\\echo check|{check}\n", explain.check(oracle, check, literal(json.dumps(overrides)))]

    def some_overrides(self):
        rng, rule = self.rng, self.rule
        overrides = {}
        if rng.random() < 0.5:
            overrides["path"] = rng.choice([rule.path, rules.other_path(rule.path)])
        if rng.random() < 0.5:
            overrides["model"] = rng.choice([rule.model, rules.other_model(rule.model)])
        if rng.random() < 0.5 or not overrides:
            overrides["lookback"] = {tier.name: rng.choice(["1 day", "14 days", "1 hour", "00:00:01", "24:00:00"])
                                     for tier in rng.sample(rule.tiers, rng.randint(1, len(rule.tiers)))}
        if rng.random() < 0.4 and len(rule.tiers) > 1:
            overrides["without_tiers"] = [tier.name for tier in
                                          rng.sample(rule.tiers, rng.randint(1, len(rule.tiers) - 1))]
        return overrides

    def overrides(self, check, overrides, oracle_settings=None):
        """The reads under overrides, and the oracle under the same settings."""
        oracle = Oracle(self.rule, self.family.schema, **(oracle_settings or overrides))
        self.parts += [DROP_TABLES, oracle.sql()]
        self.compare(f"attribute with {check}", "attribute", self.rule, overrides=overrides)
        self.compare(f"touchpoints with {check}", "touchpoints", self.rule, overrides=overrides)
        self.explain(oracle, f"explain with {check}", overrides)

    def model(self):
        """A model that divides the credit."""
        tier = self.rng.choice(self.rule.tiers).name
        named = [] if "'" in tier else [f"last_non_direct({tier})", f"w_shaped({tier})"]
        model = self.rng.choice(["linear", "linear_distinct", "position_based(0.4, 0.4)", "position_based(0.1, 0.3)", "time_decay(1 day)",
                                 "time_decay(7 days)"] + named)
        path = self.rng.choice([self.rule.path, rules.other_path(self.rule.path)])
        overrides = {"model": model, "path": path}
        check = "a model that divides"
        self.parts += [DROP_TABLES, Oracle(self.rule, self.family.schema, path, model).sql()]
        self.compare(f"attribute with {check}", "attribute", self.rule, overrides=overrides)
        self.compare(f"touchpoints with {check}", "touchpoints", self.rule, overrides=overrides)
        self.compare(f"paths with {check}", "conversion_paths", self.rule, overrides=overrides)
        since, until = self.rng.choice(self.family.edges)
        self.compare(f"paths in range with {check}", "conversion_paths", self.rule, since, until, overrides=overrides)

    def draft(self, active):
        """A change after activation is a draft: reads keep to the active version, unless they name the draft's."""
        rule, tier = self.rule, self.rng.choice(self.rule.tiers)
        changed = dict(path=rules.other_path(rule.path), lookback={tier.name: "5 hours"})
        if not self.wanted("attribute beside a draft", "attribute with the draft", "touchpoints with the draft",
                           "explain with the draft"):
            return
        self.parts += [DROP_TABLES, Oracle(rule, self.family.schema).sql(), "\\echo check|draft\n\\o /dev/null\n",
                       "" if active else rules.call("activate", rule=literal(rule.name)) + "\n",
                       rules.call("alter_rule", rule=literal(rule.name), path=literal(changed["path"])) + "\n",
                       rules.call("alter_tier", rule=literal(rule.name), tier=literal(tier.name),
                                  lookback="interval '5 hours'") + "\n\\o\n"]
        self.compare("attribute beside a draft", "attribute", rule)
        self.overrides("the draft", {"version": 2}, changed)
