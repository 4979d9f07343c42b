"""Who notes which conversions are pending. One that is, and is in nobody's hands, will be decided once more at least, by a
snapshot that shows all that is committed now; and it stays open for the allowed lateness after its arrival. That much is
promised of its last decision."""

from checks import Stored
from client import Client
from world import LIVE, RULES


def look(cursor, rule):
    # The snapshot is that of the statement, which comes before the locks; a claimed row is passed over. A conversion arrives at
    # the time that counts as now for the run that decides it first: one that is under way, or a later one.
    cursor.execute(f"""
        INSERT INTO chaos.seen (rule, id, snapshot, open_until)
        SELECT %(rule)s, conversion_id, pg_current_snapshot(), least(arrived_at, statement_timestamp(), (
            SELECT min(as_of) FROM attribution.run_log AS l JOIN pg_stat_activity AS a ON a.pid = l.pid AND backend_start < started_at
            WHERE finished_at IS NULL AND rule = %(rule)s)) + %(lateness)s::interval
        FROM (SELECT conversion_id, arrived_at FROM {Stored(LIVE, rule).pending} ORDER BY 1 FOR UPDATE SKIP LOCKED) AS p
        ON CONFLICT (rule, id) DO UPDATE SET snapshot = excluded.snapshot, open_until = excluded.open_until""",
                   {"rule": rule.name, "lateness": rule.lateness})


class Probe(Client):
    application = "probe"

    def turn(self, cursor):
        cursor.execute("INSERT INTO chaos.glance SELECT clock_timestamp(), pg_current_snapshot()")
        for rule in RULES:
            look(cursor, rule)
        self.pause(0, 0.5)
