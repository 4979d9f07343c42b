"""When data changed and when a rule ran, so that it is known which conversions closed after the last change.

Of these rule 9 promises that their decisions are what a batch over the final data gives. A conversion arrives at the
first run after a change of its rows; it closes in the first run, that one or a later one, whose time is at least the
allowed lateness after that. Changes that may not concern the rule are passed over, so that a conversion may close later
than is thought here, but not earlier. Triggers note the changes; their rows get a time once they are committed.
"""

import oracle
from checks import CREDIT, HEADER, Stored, difference
from oracle import CARRIED
from schedule import literal, quote


def setup(schedule):
    place = quote(schedule.schema)
    sql = f"""
CREATE TABLE {place}.change (was {place}.conversions, is_now {place}.conversions, at timestamptz);
CREATE TABLE {place}.ran (rule text, at timestamptz, as_of timestamptz);
CREATE FUNCTION {place}.conversion_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {place}.change (was, is_now) VALUES (
        CASE WHEN TG_OP <> 'INSERT' THEN ROW(OLD.*)::{place}.conversions END,
        CASE WHEN TG_OP <> 'DELETE' THEN ROW(NEW.*)::{place}.conversions END);
    RETURN NULL;
END $$;
CREATE FUNCTION {place}.touch_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {place}.change (was) VALUES (NULL);
    RETURN NULL;
END $$;
"""
    for table in schedule.tables.values():
        function = "touch_changes" if table.is_touch else "conversion_changes"
        name = f"{place}.{table.name}"
        sql += (f"CREATE TRIGGER changes AFTER INSERT OR UPDATE OR DELETE ON {name} FOR EACH ROW"
                f" EXECUTE FUNCTION {place}.{function}();\nALTER TABLE {name} ENABLE ALWAYS TRIGGER changes;\n")
    return sql


def note_change(schedule):
    """For a change that no trigger sees."""
    return f"INSERT INTO {quote(schedule.schema)}.change (was) VALUES (NULL);\n"


def note_run(schedule, rule, as_of):
    """To be called right before a run, outside of a transaction."""
    place = quote(schedule.schema)
    return (f"UPDATE {place}.change SET at = clock_timestamp() WHERE at IS NULL;\n"
            f"INSERT INTO {place}.ran VALUES ({literal(rule.name)}, clock_timestamp(), {as_of});\n")


def _arrivals(schedule, rule):
    """The last change of each id that certainly queues it: a row comes, goes, moves, or passes when it did not."""
    place = quote(schedule.schema)

    def passes(row):
        return (f"coalesce((SELECT ({rule.filter or 'true'}) AND conversion.happened_at IS NOT NULL"
                f" FROM (SELECT ({row}).*) AS conversion), false)")

    return f"""
    SELECT id, max(at) AS at
    FROM (SELECT at, (was).conversion_id AS old_id, (is_now).conversion_id AS new_id,
              was IS DISTINCT FROM NULL AND {passes('was')} AS passed,
              is_now IS DISTINCT FROM NULL AND {passes('is_now')} AS passes,
              (was).happened_at IS DISTINCT FROM (is_now).happened_at AS moved
          FROM (SELECT at, was, is_now FROM {place}.change) AS conversion_change) AS c
    CROSS JOIN LATERAL (VALUES (old_id, passed), (new_id, passes)) AS side (id, concerned)
    WHERE concerned AND (moved OR passed <> passes OR old_id IS DISTINCT FROM new_id)
    GROUP BY id"""


def right(schedule, rule, check):
    """The decisions of what closed after the last change are those that the oracle finds."""
    place, ran = quote(schedule.schema), f"{quote(schedule.schema)}.ran"
    columns = HEADER + CREDIT + CARRIED
    promised = "conversion_id IN (SELECT id FROM promised)"
    return f"""
DROP TABLE IF EXISTS promised;
CREATE TEMP TABLE promised AS
WITH arrived AS (
    SELECT change.id, first.at, first.as_of
    FROM ({_arrivals(schedule, rule)}) AS change
    CROSS JOIN LATERAL (SELECT ran.at, ran.as_of FROM {ran} WHERE rule = {literal(rule.name)} AND ran.at >= change.at
                        ORDER BY ran.at LIMIT 1) AS first
), closed AS (
    SELECT arrived.id, min(ran.at) AS at
    FROM arrived JOIN {ran} ON ran.at >= arrived.at AND ran.as_of >= arrived.as_of + interval {literal(rule.lateness)}
    WHERE rule = {literal(rule.name)} GROUP BY 1
)
SELECT id::text COLLATE "C" AS id FROM closed
WHERE at > (SELECT coalesce(max(change.at), '-infinity') FROM {place}.change);
""" + oracle.sql(schedule, rule) + difference(
        check, f"SELECT * FROM oracle_decision WHERE {promised}",
        f"SELECT * FROM ({Stored(schedule, rule).rows()}) AS stored WHERE {promised}", columns
    ) + "SELECT 'done|promised|' || count(*) FROM promised;\n"
