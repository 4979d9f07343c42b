"""What must be true of stored decisions: SQL that prints a line `diff|check|...` for everything that is not."""

import oracle
from oracle import CARRIED
from schedule import literal, quote

HEADER = ["conversion_id", "conversion_time", "outcome", "kind", "tier", "value"]
CREDIT = ["credit_position", "credit_tier", "touch_id", "touch_time", "credit"]
AS_OF = ["conversion_id", "conversion_time", "outcome", "kind", "tier", "credit_position", "touch_id", "touch_time",
         "credit", "value", "rule_version", "decided_at"]

# What the tables held at recorded instants, to hold decisions_as_of() against.
SETUP = f"""
CREATE TEMP TABLE instant (rule text, at timestamptz);
CREATE TEMP TABLE instant_decision AS
SELECT ''::text AS rule, now() AS at, ''::text COLLATE "C" AS conversion_id, now() AS conversion_time,
    ''::text AS outcome, ''::text AS kind, ''::text AS tier, 1 AS credit_position, ''::text COLLATE "C" AS touch_id,
    now() AS touch_time, 1::float8 AS credit, 1::numeric AS value, 1 AS rule_version, now() AS decided_at LIMIT 0;
"""


class Stored:
    """The tables of a rule's decisions, as SQL."""

    def __init__(self, schedule, rule):
        self.schedule = schedule
        self.rule = rule
        self.place = f"{schedule.schema} kept" if rule.kept else schedule.schema
        decisions, credits = rule.kept or f"{rule.name}_decisions", f"{rule.kept or rule.name}_credits"
        self.decisions, self.decisions_history = self.table(decisions), self.table(decisions + "_history")
        self.credits, self.credits_history = self.table(credits), self.table(credits + "_history")
        for name in ["pending", "installations", "attribution", "decisions_as_of"]:
            setattr(self, name, self.table(f"{rule.name}_{name}"))

    def table(self, name):
        return f"{quote(self.place)}.{quote(name)}"

    def rows(self):
        """The current decisions, a row a credit, as the oracle tells them."""
        carried = ", ".join(f"credit.{c}" if c in self.rule.carry else
                            f"NULL::{'numeric' if c == 'cost' else 'text'} AS {c}" for c in CARRIED)
        return f"""
SELECT conversion_id::text COLLATE "C" AS conversion_id, conversion_time, header.outcome, header.kind, header.tier,
    header.value::text AS value, credit.credit_position, credit.tier AS credit_tier,
    credit.touch_id::text COLLATE "C" AS touch_id, credit.touch_time, credit.credit, {carried}
FROM {self.decisions} AS header FULL JOIN {self.credits} AS credit USING (conversion_id, conversion_time)"""

    def as_of_rows(self):
        return f"""
SELECT conversion_id::text COLLATE "C" AS conversion_id, conversion_time, header.outcome, header.kind, header.tier,
    credit.credit_position, credit.touch_id::text COLLATE "C" AS touch_id, credit.touch_time, credit.credit,
    header.value, header.rule_version, header.decided_at
FROM {self.decisions} AS header FULL JOIN {self.credits} AS credit USING (conversion_id, conversion_time)"""


def difference(check, expected, answer, columns=None):
    some = ", ".join(columns) if columns else "*"
    expected, answer = (f"SELECT {some} FROM ({query}) AS q" for query in (expected, answer))
    return f"""
SELECT 'diff|{check}|expected ' || row::text FROM ({expected} EXCEPT ALL {answer}) AS row LIMIT 8;
SELECT 'diff|{check}|got      ' || row::text FROM ({answer} EXCEPT ALL {expected}) AS row LIMIT 8;
"""


def found(check, query):
    """Rows of a query that must have none."""
    return f"SELECT 'diff|{check}|' || row::text FROM ({query}) AS row LIMIT 8;\n"


def right(schedule, rule, check):
    """The decisions are those that the oracle finds in the data as it is now."""
    stored = Stored(schedule, rule)
    columns = HEADER + CREDIT + CARRIED
    said = ("SELECT conversion_id COLLATE \"C\" AS conversion_id, conversion_time, outcome, kind, tier,"
            " touch_id COLLATE \"C\" AS touch_id, touch_time, credit_position, credit")
    return (oracle.sql(schedule, rule)
            + difference(check, "TABLE oracle_decision", stored.rows(), columns)
            + difference(f"{check} attribute()", f"{said} FROM oracle_decision",
                         f"{said} FROM attribution.attribute({literal(rule.name)})")
            + found(f"{check} diff()", f"SELECT * FROM attribution.diff({literal(rule.name)})")
            + _installations(stored, check)
            + f"SELECT 'done|{check}|' || count(*) || '|' || count(touch_id) || '|' || count(nullif(kind, 'new'))"
              " FROM oracle_decision;\n")


def seen(schedule, rule, check):
    """After a run each header is that of its conversion as it is now; the touchpoints are the ladder's matter."""
    header = 'conversion_id::text COLLATE "C" AS conversion_id'
    value = "amount::text" if rule.value else "NULL"
    return ("DROP TABLE IF EXISTS oracle_conversion;" + oracle.conversions(schedule, rule) + difference(
        check, f"SELECT {header}, happened_at AS conversion_time, {value} AS value FROM oracle_conversion",
        f"SELECT {header}, conversion_time, value::text FROM {Stored(schedule, rule).decisions}"))


def _installations(stored, check):
    """What was decided to be new is remembered by its key."""
    if not stored.rule.installation_key:
        return ""
    keys = ", ".join(f"key{n}::text" for n in range(1, len(stored.rule.installation_key) + 1))
    empty = " OR ".join(oracle.empty(stored.rule, f"key{n}") for n in range(1, len(stored.rule.installation_key) + 1))
    return difference(
        f"{check} installations",
        'SELECT key COLLATE "C" AS key, conversion_time, conversion_id FROM oracle_decision'
        " WHERE kind = 'new' AND key IS NOT NULL",
        f'SELECT ARRAY[{keys}] COLLATE "C" AS key, conversion_time, conversion_id::text COLLATE "C" AS conversion_id'
        f" FROM {stored.installations} WHERE NOT ({empty})")


def sound(schedule, rule, check):
    """What holds at any time."""
    return consistent(schedule, rule, check) + found(
        f"{check}: log", f"SELECT run, error FROM attribution.run_log WHERE rule = {literal(rule.name)} AND error IS NOT NULL")


def consistent(schedule, rule, check):
    """What holds of the tables at any time, whatever happens."""
    s = Stored(schedule, rule)
    log = f"SELECT run FROM attribution.run_log WHERE rule = {literal(rule.name)}"
    return "".join([
        found(f"{check}: one header", f"SELECT conversion_id FROM {s.decisions} GROUP BY 1 HAVING count(*) > 1"),
        found(f"{check}: credits of headers", f"""
            SELECT conversion_id, conversion_time, header.decided_at, array_agg(credit.decided_at) AS theirs,
                sum(credit.credit) AS credit
            FROM {s.decisions} AS header FULL JOIN {s.credits} AS credit USING (conversion_id, conversion_time)
            GROUP BY 1, 2, 3
            HAVING header.decided_at IS NULL OR bool_or(credit.decided_at IS DISTINCT FROM header.decided_at)
                OR abs(sum(credit.credit) - 1) > 1e-12 OR max(credit.credit_position) <> count(*)
                OR count(DISTINCT credit.credit_position) <> count(*)"""),
        found(f"{check}: credits of history", f"""
            SELECT conversion_id, conversion_time, decided_at, count(header.outcome), sum(credit.credit) AS credit
            FROM {s.decisions_history} AS header
            FULL JOIN {s.credits_history} AS credit USING (conversion_id, conversion_time, decided_at)
            GROUP BY 1, 2, 3
            HAVING count(header.outcome) <> count(*) OR sum(credit.credit) IS NULL
                OR abs(sum(credit.credit) - 1) > 1e-12 OR max(credit.credit_position) <> count(*)
                OR count(DISTINCT credit.credit_position) <> count(*)"""),
        found(f"{check}: intervals", f"""
            SELECT * FROM (
                SELECT conversion_id, decided_at, superseded_at,
                    lead(decided_at) OVER (PARTITION BY conversion_id ORDER BY decided_at, superseded_at) AS next
                FROM (SELECT conversion_id, decided_at, superseded_at FROM {s.decisions_history}
                      UNION ALL SELECT conversion_id, decided_at, 'infinity' FROM {s.decisions}) AS all_of_them) AS q
            WHERE decided_at >= superseded_at OR superseded_at > next"""),
        found(f"{check}: runs", f"""
            SELECT conversion_id, run FROM {s.decisions} WHERE run NOT IN ({log}) OR run IS NULL
            UNION ALL SELECT conversion_id, superseded_by FROM {s.decisions_history}
            WHERE superseded_by NOT IN ({log}) OR superseded_by IS NULL"""),
        found(f"{check}: outcome", f"""
            SELECT * FROM {s.decisions} AS header JOIN {s.credits} AS credit USING (conversion_id, conversion_time)
            WHERE (header.outcome = 'organic') <> (credit.touch_id IS NULL)
                OR (header.outcome = 'organic') <> (header.tier IS NULL) OR header.rule_version < 1"""),
        found(f"{check}: view", f"""
            SELECT conversion_id, conversion_time, outcome, touch_id FROM {s.attribution}
            EXCEPT SELECT conversion_id, conversion_time, outcome, touch_id
            FROM {s.decisions} JOIN {s.credits} USING (conversion_id, conversion_time)"""),
        found(f"{check}: rows of the view", f"""
            SELECT * FROM (SELECT (SELECT count(*) FROM {s.attribution}) AS view,
                                  (SELECT count(*) FROM {s.decisions}) AS headers) AS counts WHERE view <> headers"""),
    ])


def decided(schedule, rule, check, as_of):
    """After a run nothing is left that was due."""
    pending = Stored(schedule, rule).pending
    return found(check, f"SELECT * FROM {pending} WHERE due <= {as_of}")


def closed(schedule, rule, check):
    return (found(check, f"SELECT * FROM {Stored(schedule, rule).pending}")
            + found(f"{check}: backlog", "SELECT rule, undecided, open FROM attribution.backlog"
                    f" WHERE rule = {literal(rule.name)} AND (undecided <> 0 OR open <> 0)"))


def record(schedule, rule):
    """Keeps what the tables hold now."""
    name = literal(rule.name)
    return f"""INSERT INTO instant VALUES ({name}, clock_timestamp());
INSERT INTO instant_decision SELECT {name}, (SELECT max(at) FROM instant WHERE rule = {name}), now.*
FROM ({Stored(schedule, rule).as_of_rows()}) AS now;
"""


def recorded(schedule, rule, check):
    """decisions_as_of() tells what the tables held at each recorded instant."""
    name = literal(rule.name)
    columns = ", ".join(AS_OF)
    typed = columns.replace("conversion_id", "conversion_id::text").replace("touch_id", "touch_id::text")
    expected = f"SELECT at, {columns} FROM instant_decision WHERE rule = {name}"
    return (difference(check, expected, f"SELECT instant.at, {columns} FROM instant CROSS JOIN LATERAL"
                       f" attribution.decisions_as_of({name}, instant.at) WHERE rule = {name}")
            + difference(f"{check} typed", expected, f"SELECT instant.at, {typed} FROM instant CROSS JOIN LATERAL"
                         f" {Stored(schedule, rule).decisions_as_of}(instant.at) WHERE rule = {name}")
            + difference(f"{check} now", Stored(schedule, rule).as_of_rows(),
                         f"SELECT {columns} FROM attribution.decisions_as_of({name}, clock_timestamp())")
            + f"SELECT 'done|{check}|' || count(*) FROM instant WHERE rule = {name};\n")


def _tables(schedule, rule):
    """The tables that hold what was decided; and the names of copies of them."""
    stored = Stored(schedule, rule)
    names = ["decisions", "credits", "decisions_history", "credits_history"]
    names += ["installations"] if rule.installation_key else []
    return [(name, getattr(stored, name), quote(f"kept {name} of {rule.name}")) for name in names]


def keep(schedule, rule):
    """Keeps the tables to the last column, for unchanged()."""
    return "".join(f"CREATE TEMP TABLE {kept} AS TABLE {table};\n" for _, table, kept in _tables(schedule, rule))


def unchanged(schedule, rule, check):
    return "".join(difference(f"{check}: {name}", f"TABLE {kept}", f"TABLE {table}") + f"DROP TABLE {kept};\n"
                   for name, table, kept in _tables(schedule, rule))
