"""Who notes which conversions are pending. One that is, and is in nobody's hands, will be decided once more at least, by a
snapshot that shows all that is committed now: that much is promised of its last decision."""

from checks import Stored
from client import Client
from world import LIVE, RULES


def look(cursor, rule):
    # The snapshot is that of the statement, which comes before the locks; a claimed row is passed over.
    cursor.execute(f"""
        INSERT INTO chaos.seen (rule, id, snapshot)
        SELECT %s, conversion_id, pg_current_snapshot()
        FROM (SELECT conversion_id FROM {Stored(LIVE, rule).pending} ORDER BY 1 FOR UPDATE SKIP LOCKED) AS p
        ON CONFLICT (rule, id) DO UPDATE SET snapshot = excluded.snapshot""", (rule.name,))


class Probe(Client):
    application = "probe"

    def turn(self, cursor):
        for rule in RULES:
            look(cursor, rule)
        self.pause(0.1, 0.8)
