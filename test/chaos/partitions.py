"""Who makes, detaches, attaches and drops partitions, and moves the rows that wait for them."""

from checks import Stored
from client import Client
from clock import DAY, time_text
from schedule import quote
from world import FIRST_DAY, LIVE, RULES, SCHEMA, TABLES, gone, note

TIME = "SET LOCAL lock_timeout = '2s'"
DAYS_LEFT = 2                # how many days stay behind the world's own


class Partitions(Client):
    application = "partitions"
    made = dropped = detached = 0
    dropped_until = 0            # up to which day there is nothing any more

    def turn(self, cursor):
        self.attach(cursor)
        self.raise_floor(cursor)
        getattr(self, self.rng.choices(["make", "drop", "detach", "maintain"], [4, 4, 1, 2])[0])(cursor)
        self.pause(0, 0.5)

    def transaction(self, cursor, *statements):
        cursor.execute("BEGIN")
        cursor.execute(TIME)
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("COMMIT")

    def make(self, cursor):
        """The partitions of the world's day and the next, and those that were missed. Rows that wait in the default partition
        move: that is no change."""
        cursor.execute("SELECT coalesce(max(day), %s) FROM chaos.dropped", (time_text(FIRST_DAY),))
        since, until = cursor.fetchone()[0], time_text(self.world.day() + 2 * DAY)
        for table in TABLES:
            default = f"{SCHEMA}.{table}_default"
            cursor.execute("BEGIN")
            cursor.execute(TIME)
            cursor.execute(f"ALTER TABLE {default} DISABLE TRIGGER changes")
            cursor.execute("SELECT attribution.make_partitions(%s, %s, %s)",
                           (f"{SCHEMA}.{table}", since, until))
            made = cursor.fetchone()[0]
            cursor.execute(f"ALTER TABLE {default} ENABLE ALWAYS TRIGGER changes")
            cursor.execute("COMMIT")
            self.made += made

    def maintain(self, cursor):
        """The tables of decisions are partitioned, too."""
        stored = Stored(LIVE, self.rng.choice(RULES))
        table = self.rng.choice([stored.decisions, stored.credits, stored.decisions_history, stored.credits_history])
        self.transaction(cursor, f"SELECT attribution.maintain_partitions('{table}')")

    # A day that comes to an end

    def floor(self):
        return self.world.day() - DAYS_LEFT * DAY

    def raise_floor(self, cursor):
        """Waits for all who may still write to earlier days."""
        floor = time_text(self.floor())
        self.transaction(cursor, f"UPDATE chaos.floor SET day = '{floor}' WHERE day < '{floor}'")

    def drop(self, cursor):
        cursor.execute("SELECT day::text, extract(epoch FROM day)::bigint * 1000000 FROM chaos.floor")
        floor, day = cursor.fetchone()
        cursor.execute("BEGIN")
        cursor.execute(TIME)
        dropped = 0
        for table in TABLES.values():
            name = f"{SCHEMA}.{table.name}"
            cursor.execute(f"INSERT INTO {name}_gone SELECT * FROM {name} WHERE {table.time} < %s", (floor,))
            cursor.execute("SELECT attribution.drop_partitions(%s, %s)", (name, floor))
            dropped += cursor.fetchone()[0]
            # What pending conversions need is kept: then all is kept.
            cursor.execute(f"SELECT EXISTS (SELECT FROM {name} WHERE {table.time} < %s)", (floor,))
            if cursor.fetchone()[0]:
                cursor.execute("ROLLBACK")
                return
        for rule in RULES:
            stored = Stored(LIVE, rule)
            cursor.execute(f"INSERT INTO {gone(rule)} SELECT * FROM ({stored.rows()}) AS stored WHERE conversion_time < %s"
                           f" AND conversion_time >= (SELECT coalesce(max(day), '-infinity') FROM chaos.dropped)", (floor,))
        cursor.execute("INSERT INTO chaos.dropped VALUES (%s)", (floor,))
        cursor.execute("COMMIT")
        self.dropped += dropped
        self.dropped_until = day

    # A day that is away for a while

    def detach(self, cursor):
        table = self.rng.choice(list(TABLES))
        cursor.execute("SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
                       " WHERE inhparent = %s::regclass AND relname <> %s ORDER BY relname DESC LIMIT 3",
                       (f"{SCHEMA}.{table}", f"{table}_default"))
        leaves = [leaf for leaf, in cursor.fetchall()]
        if not leaves:
            return
        leaf = f"{SCHEMA}.{quote(self.rng.choice(leaves))}"
        # Noted afterwards, when nobody else can reach them.
        self.transaction(cursor, f"ALTER TABLE {SCHEMA}.{table} DETACH PARTITION {leaf}", note(table, leaf))
        self.detached += 1
        self.pause(0, 2)
        self.attach(cursor)

    def attach(self, cursor):
        """Attaches what is detached, with the rows that came into the default partition meanwhile."""
        cursor.execute("SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'"
                       r" AND NOT relispartition AND relname ~ '^[a-z]+_\d{8}$'", (SCHEMA,))
        for leaf, in cursor.fetchall():
            table, _, day = leaf.partition("_")
            name, columns = f"{SCHEMA}.{table}", ", ".join(TABLES[table].columns)
            since = f"'{day} 00:00+00'::timestamptz"
            self.transaction(
                cursor, f"LOCK TABLE {SCHEMA}.{leaf}, {name}_default IN ACCESS EXCLUSIVE MODE",
                f"WITH moved AS (DELETE FROM {name}_default WHERE {TABLES[table].time} >= {since}"
                f" AND {TABLES[table].time} < {since} + interval '1 day' RETURNING {columns})"
                f" INSERT INTO {SCHEMA}.{leaf} ({columns}) SELECT {columns} FROM moved ON CONFLICT DO NOTHING",
                f"ALTER TABLE {name} ATTACH PARTITION {SCHEMA}.{leaf} FOR VALUES FROM ({since})"
                f" TO ({since} + interval '1 day')", note(table, f"{SCHEMA}.{leaf}"),
                # What is found again counts its own time as its arrival: it closes at once.
                *([f"UPDATE chaos.seen SET open_until = '-infinity' WHERE id IN (SELECT conversion_id FROM {SCHEMA}.{leaf})"]
                  if table == "conversions" else []))

