"""The tables and rules that everything goes on in, and what all the threads know of each other.

Days pass quickly: the world's day moves on with the faults. Conversions happen in the second half of a day, and no tier
looks back for more than half a day, so that a day that is dropped takes nothing along that another day's decisions need.
"""

import collections
import subprocess
import sys
import threading

import checks
import rules
from clock import DAY, at, time_text
from schedule import Rule, Schedule, Table, Tier

FIRST_DAY = at(2025, 1, 6)
PEOPLE = 200                 # who are about at a time
MOST_DAYS = 60               # less than the window of re-attribution: what was new then still counts

SCHEMA, WHOLE = "chaos", "chaos with gone"
OWNER = "chaos_owner"        # of the second rule

TABLES = {name: Table(name, "text", partitioned=True, unique=True) for name in ("conversions", "clicks", "impressions")}
RULES = [
    Rule("installs", [
        Tier("click", "clicks", ["app", "gadget"], [], "12 hours"),
        Tier("click by print", "clicks", ["app", "ip", "agent"], ["gadget"], "6 hours"),
        Tier("impression", "impressions", ["app", "gadget"], [], "6 hours"),
    ], "first_match", "last_touch", filter="kind = 'install'", carry=["network", "campaign"],
         installation_key=["app", "device"], key_columns=["app", "device"], lateness="4 seconds"),
    Rule("purchases", [
        Tier("click", "clicks", ["app", "gadget"], [], "12 hours"),
        Tier("view", "impressions", ["app", "ip", "agent"], ["gadget"], "3 hours", strict=True),
    ], "all", "first_touch", filter="kind = 'purchase'", value=True, carry=["network", "cost"], lateness="1 second",
         settlement="200 milliseconds", kept="bought"),
]
LIVE = Schedule(0, SCHEMA, FIRST_DAY, "text", TABLES, RULES, [], [], None, "free")
# The same tables with what was in partitions that are dropped: what the oracle goes by.
EVER = Schedule(0, WHOLE, FIRST_DAY, "text", TABLES, RULES, [], [], None, "free")


class World:
    """What the threads share."""

    def __init__(self, seed, faults):
        self.seed = seed
        self.rounds_per_day = max(4, -(-faults // MOST_DAYS))
        self.round = 0                           # moves on with the faults
        self.stop = threading.Event()            # of all clients
        self.lock = threading.Lock()
        self.acknowledged = set()                # transactions: (writer, number)
        self.undone = set()                      # transactions that certainly did not commit
        self.undone_ids = set()                  # conversions that were never committed
        self.in_doubt = 0                        # the connection was lost within the COMMIT
        self.prepared = {}                       # gid -> (transaction, ids of its conversions)
        self.recent = {name: collections.deque(maxlen=400) for name in TABLES}     # ids that are there, or were
        self.endings = collections.Counter()

    def day(self, of_round=None):
        return FIRST_DAY + (self.round if of_round is None else of_round) // self.rounds_per_day * DAY

    def committed(self, transaction, ids):
        with self.lock:
            self.acknowledged.add(transaction)
            for table, some in ids.items():
                self.recent[table].extend(some)

    def rolled_back(self, transaction, ids):
        with self.lock:
            self.undone.add(transaction)
            self.undone_ids.update(ids["conversions"])

    def doubtful(self):
        with self.lock:
            self.in_doubt += 1


def psql(text, *options):
    return subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *options], input=text.encode(),
                          capture_output=True, check=False)


def make():
    done = psql(_setup())
    if done.returncode:
        sys.exit(done.stderr.decode())


def _keys(table, row):
    """What a row has in common with the rows that it concerns: the device, the fingerprint; its own id."""
    device = "gadget" if table.is_touch else "device"
    own = "" if table.is_touch else f", 'id ' || {row}.{table.id}"
    return (f"ARRAY['device ' || {row}.app || ' ' || nullif({row}.{device}, ''),"
            f" 'print ' || {row}.app || ' ' || {row}.ip || ' ' || {row}.agent{own}]")


def note(table, relation):
    """SQL that notes a change of all rows of a relation."""
    return (f"INSERT INTO chaos.change (key) SELECT key FROM {relation} AS r, unnest({_keys(TABLES[table], 'r')}) AS key"
            " WHERE key IS NOT NULL")


def concerns(conversion):
    """SQL of the keys of what concerns a conversion."""
    return _keys(TABLES["conversions"], conversion)


def gone(rule):
    """The table of a rule's decisions on what was dropped, as they were then."""
    return f"{SCHEMA}.{rule.name}_gone"


def _setup():
    sql = f"""
SET client_min_messages = warning;
CREATE EXTENSION attribution;
CREATE ROLE {OWNER};
GRANT attribution_admin TO {OWNER};
CREATE SCHEMA {SCHEMA};
CREATE SCHEMA "{WHOLE}";
GRANT CREATE ON DATABASE chaos TO {OWNER};
GRANT USAGE, CREATE ON SCHEMA {SCHEMA} TO {OWNER};
CREATE SCHEMA "{SCHEMA} kept" AUTHORIZATION {OWNER};

-- Rows of earlier days are not written any more: they are dropped, or about to be.
CREATE TABLE chaos.floor (day timestamptz);
INSERT INTO chaos.floor VALUES ('{time_text(FIRST_DAY)}');
-- Up to which days that was done.
CREATE TABLE chaos.dropped (day timestamptz);
-- Which transactions there were.
CREATE TABLE chaos.ledger (writer text, number integer, PRIMARY KEY (writer, number));
-- Which transaction changed what, by the keys of the rows before and after.
CREATE TABLE chaos.change (xid xid8 DEFAULT pg_current_xact_id(), key text);
-- When a conversion was last seen to be pending, and in nobody's hands; and until when it stays open, at least.
CREATE TABLE chaos.seen (rule text, id text, snapshot pg_snapshot, open_until timestamptz, PRIMARY KEY (rule, id));
-- What could be seen at a time, at the latest.
CREATE TABLE chaos.glance (at timestamptz PRIMARY KEY, snapshot pg_snapshot);
"""
    for table in TABLES.values():
        name = f"{SCHEMA}.{table.name}"
        types = {table.id: "text", table.time: "timestamptz", "amount": "numeric", "score": "int", "reach": "interval",
                 "cost": "numeric"}
        columns = ", ".join(f"{column} {types.get(column, 'text')}" for column in table.columns)
        device = "gadget" if table.is_touch else "device"
        sql += f"""
CREATE TABLE {name} ({columns}, PRIMARY KEY ({table.id}, {table.time})) PARTITION BY RANGE ({table.time});
CREATE TABLE {name}_default PARTITION OF {name} DEFAULT;
CREATE INDEX ON {name} (app, {device}, {table.time});
CREATE INDEX ON {name} (app, ip, agent, {table.time});
CREATE INDEX ON {name} USING touch (app, {device}, {table.time});
CREATE INDEX ON {name} USING touch (app, ip, agent, {table.time}) WITH (bucket_pages = 1);
CREATE INDEX ON {name} USING touch ({table.id}, {table.time});
INSERT INTO attribution.partitioning (relation) VALUES ('{name}');
SELECT attribution.make_partitions('{name}', '{time_text(FIRST_DAY)}', '{time_text(FIRST_DAY + 2 * DAY)}') \\g /dev/null
CREATE TABLE {name}_gone (LIKE {name});
CREATE VIEW "{WHOLE}".{table.name} AS TABLE {name} UNION ALL TABLE {name}_gone;
CREATE FUNCTION {name}_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO chaos.change (key) SELECT key FROM unnest({_keys(table, 'OLD')}) AS key WHERE key IS NOT NULL;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO chaos.change (key) SELECT key FROM unnest({_keys(table, 'NEW')}) AS key WHERE key IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER changes AFTER INSERT OR UPDATE OR DELETE ON {name} FOR EACH ROW EXECUTE FUNCTION {name}_changes();
ALTER TABLE {name} ENABLE ALWAYS TRIGGER changes;
"""
    installs, purchases = RULES
    sql += f"""
GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO {OWNER};
GRANT TRIGGER ON {SCHEMA}.conversions TO {OWNER};
""" + rules.make(LIVE, installs) + f"SET ROLE {OWNER};\n" + rules.state(LIVE, purchases) + f"""
RESET ROLE;
SELECT attribution.activate('purchases') \\g /dev/null
"""
    sql += checks.SETUP.replace("TEMP ", "")
    for rule in RULES:
        sql += f"CREATE TABLE {gone(rule)} AS {checks.Stored(LIVE, rule).rows()};\n"
    return sql
