"""Backfill.

Installs of a day against eight days of clicks and two of impressions: the last click of seven days, or else the last impression
of one, on the same app and device. All decisions are written to a new table. Everything is in memory; each takes its turn, and
the median of five turns counts. All answers are compared before anything is timed. PostgreSQL may use two parallel workers, and
the others two threads; there is no just-in-time compilation, which costs each of the queries more than it brings. Then a few
installs of the same, decided for whoever asks, by prepared statements; and new ones that are decided once and for all, with the
decisions stored."""

import contextlib
import statistics
import tempfile
import threading
import time

import peers
import psycopg2
from figure import Figure, Value, WrongAnswer, measures
from limit import Limit
from server import Server

OURS = "SELECT conversion_id AS install, touch_id AS touch FROM installs_attribute()"
SQL = {
    "LATERAL": """
        SELECT i.id AS install, coalesce(c.id, m.id) AS touch FROM installs AS i
        LEFT JOIN LATERAL (SELECT id FROM clicks AS c WHERE c.device = i.device AND c.app = i.app
            AND c.at <= i.at AND c.at >= i.at - interval '7 days' ORDER BY c.at DESC LIMIT 1) AS c ON true
        LEFT JOIN LATERAL (SELECT id FROM impressions AS m WHERE m.device = i.device AND m.app = i.app
            AND m.at <= i.at AND m.at >= i.at - interval '1 day' ORDER BY m.at DESC LIMIT 1) AS m ON c.id IS NULL""",
    "DISTINCT ON": """
        WITH c AS (
            SELECT DISTINCT ON (i.id) i.id, i.at, i.app, i.device, c.id AS click FROM installs AS i
            LEFT JOIN clicks AS c ON c.device = i.device AND c.app = i.app AND c.at <= i.at AND c.at >= i.at - interval '7 days'
            ORDER BY i.id, c.at DESC)
        SELECT id AS install, click AS touch FROM c WHERE click IS NOT NULL
        UNION ALL (
            SELECT DISTINCT ON (c.id) c.id, m.id FROM c
            LEFT JOIN impressions AS m ON m.device = c.device AND m.app = c.app AND m.at <= c.at AND m.at >= c.at - interval '1 day'
            WHERE click IS NULL ORDER BY c.id, m.at DESC)""",
    "window function": """
        WITH c AS (
            SELECT * FROM (
                SELECT i.id, i.at, i.app, i.device, c.id AS click, row_number() OVER (PARTITION BY i.id ORDER BY c.at DESC) AS n
                FROM installs AS i LEFT JOIN clicks AS c
                  ON c.device = i.device AND c.app = i.app AND c.at <= i.at AND c.at >= i.at - interval '7 days') AS r WHERE n = 1)
        SELECT id AS install, click AS touch FROM c WHERE click IS NOT NULL
        UNION ALL
        SELECT id, touch FROM (
            SELECT c.id, m.id AS touch, row_number() OVER (PARTITION BY c.id ORDER BY m.at DESC) AS n FROM c
            LEFT JOIN impressions AS m ON m.device = c.device AND m.app = c.app AND m.at <= c.at AND m.at >= c.at - interval '1 day'
            WHERE click IS NULL) AS r WHERE n = 1""",
}
# What run() does of new installs, by SQL: takes them from the queue and stores a header and a credit for each.
WRITTEN = """
    WITH taken AS (DELETE FROM fresh_pending RETURNING conversion_id),
      decided AS MATERIALIZED (
        SELECT i.id, i.at, CASE WHEN c.id IS NOT NULL THEN 'click' WHEN m.id IS NOT NULL THEN 'impression' END AS tier,
          coalesce(c.id, m.id) AS touch, coalesce(c.at, m.at) AS touched
        FROM taken JOIN fresh AS i ON i.id = taken.conversion_id
        LEFT JOIN LATERAL (SELECT id, at FROM clicks AS c WHERE c.device = i.device AND c.app = i.app
            AND c.at <= i.at AND c.at >= i.at - interval '7 days' ORDER BY c.at DESC LIMIT 1) AS c ON true
        LEFT JOIN LATERAL (SELECT id, at FROM impressions AS m WHERE m.device = i.device AND m.app = i.app
            AND m.at <= i.at AND m.at >= i.at - interval '1 day' ORDER BY m.at DESC LIMIT 1) AS m ON c.id IS NULL),
      headers AS (
        INSERT INTO fresh_decisions (conversion_id, conversion_time, outcome, tier, lookback, rule_version, decided_at, run)
        SELECT id, at, CASE WHEN tier IS NULL THEN 'organic' ELSE 'attributed' END, tier,
          CASE WHEN tier = 'impression' THEN interval '1 day' ELSE interval '7 days' END, 1, clock_timestamp(), 0 FROM decided)
    INSERT INTO fresh_credits (conversion_id, conversion_time, credit_position, decided_at, tier, touch_id, touch_time, credit)
    SELECT id, at, 1, clock_timestamp(), tier, touch, touched, 1 FROM decided"""
# Rows of a table: distinct times, and devices of which each has about as many.
ROWS = """
    SELECT {first} + n, timestamptz '{since}' + n::float8 / {rows} * interval '{days} days',
        device % 3, md5(device::text)::uuid
    FROM (SELECT n, (hashint8extended(n, {seed}) & 1073741823) % {devices} AS device FROM generate_series(0, {rows} - 1) AS n) AS r"""


TIERS = (("click", "clicks", "7 days"), ("impression", "impressions", "1 day"))


class Reference:
    """The tables and the rule, loaded."""

    def __init__(self, bench, server, installs=None, touchpoints=None, btree=True):
        self.bench, self.server = bench, server
        self.installs = installs or bench.pick(200_000, 5_000)
        touchpoints = touchpoints or bench.pick(18_000_000, 450_000)
        self.clicks, self.impressions, self.devices = touchpoints * 4 // 9, touchpoints * 5 // 9, touchpoints // 9
        for table, first, days, rows in (("clicks", 0, 8, self.clicks), ("impressions", 1_000_000_000, 2, self.impressions)):
            server.run(f"CREATE TABLE {table} (id bigint, at timestamptz, app int, device uuid) PARTITION BY RANGE (at)")
            server.run("SELECT attribution.make_partitions(%s, '2026-01-01 00:00+00'::timestamptz + %s, '2026-01-09 00:00+00')",
                       (table, f"{8 - days} days"))
            bench.progress(f"loading {rows:,} {table}")
            server.run(f"INSERT INTO {table}" + self.rows(first, days, rows))
        server.run("CREATE TABLE installs (id bigint PRIMARY KEY, at timestamptz, app int, device uuid)")
        # A third of the installs are of devices that nobody has seen.
        server.run("INSERT INTO installs" + self.rows(0, 1, self.installs, self.devices * 3 // 2))
        server.run("SELECT attribution.create_rule('installs', 'installs', 'id', 'at')")
        for tier, table, lookback in TIERS:
            bench.progress(f"indexing {table}")
            server.run(f"CREATE INDEX {table}_touch ON {table} USING touch (app, device, at)")
            if btree:
                server.run(f"CREATE INDEX {table}_btree ON {table} (device, app, at)")
            server.run("SELECT attribution.add_tier('installs', %s, %s, '{app,device}', %s, id_column => 'id', time_column => 'at')",
                       (tier, table, lookback))
        server.run("SELECT attribution.activate('installs')")
        server.run("VACUUM (ANALYZE)")

    def rows(self, first, days, rows, devices=None):
        return ROWS.format(first=first, days=days, rows=rows, since=f"2026-01-{9 - days:02} 00:00+00", seed=first + days,
                           devices=devices or self.devices)

    @staticmethod
    def indexes(kind):
        return f"SELECT inhrelid FROM pg_inherits WHERE inhparent IN ('clicks_{kind}'::regclass, 'impressions_{kind}'::regclass)"

    def index_bytes(self, kind):
        return self.server.value(f"SELECT sum(pg_relation_size(oid))::bigint FROM ({self.indexes(kind)}) AS i (oid)")

    def decide(self, query):
        """(seconds, (attributed, sum of the touchpoints' ids))"""
        self.server.run("DROP TABLE IF EXISTS decided")
        began = time.monotonic()
        self.server.run("CREATE TABLE decided AS" + query)
        seconds = time.monotonic() - began
        return seconds, self.server.run("SELECT count(touch), sum(touch)::bigint FROM decided")[0]

    def export(self, directory):
        with self.server.connect().cursor() as cursor:
            for table in ("clicks", "impressions", "installs"):
                self.bench.progress(f"exporting {table}")
                with open(f"{directory}/{table}.csv", "w", encoding="ascii") as file:
                    cursor.copy_expert(f"COPY (SELECT * FROM {table}) TO STDOUT (FORMAT csv)", file)

    def answer(self, query, times):
        """(seconds, (attributed, sum of the touchpoints' ids)) for the installs between times: a list, or a pair."""
        parameters = times if isinstance(times, tuple) else (times,)
        began = time.monotonic()
        answer = self.server.run(f"EXECUTE {query} ({', '.join(['%s'] * len(parameters))})", parameters)[0]
        return time.monotonic() - began, answer


SETTINGS = {"jit": "off", "work_mem": "256MB", "attribution.work_mem": "256MB", "attribution.batch_size": 200_000,
            "max_parallel_workers_per_gather": 2, "effective_cache_size": "8GB", "shared_buffers": "4GB", "max_wal_size": "16GB",
            "maintenance_work_mem": "1GB", "timezone": "UTC",
            # As docs/operations.md has it; but who decides here is the backend that is measured.
            "shared_preload_libraries": "attribution", "attribution.worker": "off"}


@measures(
    Figure("backfill_vs_sql", "s", "The best of three formulations in SQL, with a B-tree on (device, app, time).", ratio_target=8),
    Figure("backfill_vs_duckdb", "s", "DuckDB, ASOF JOIN on its own storage.", ratio_target=4),
    Figure("backfill_vs_clickhouse", "s", "ClickHouse (chdb), ASOF JOIN on its own storage.", ratio_target=2),
    Figure("backfill_vs_limit", "s", "The limit: a parallel scan of the touch indexes' pages that only adds up their bytes.", ratio_target=0.2),
    Figure("backfill_cancel_ms", "ms", "From the cancellation of a backfill to its end, which leaves nothing behind: the longest of several, at"
           " moments spread over it.", target=100),
    Figure("index_size_vs_btree", "bytes", "The touch indexes of both tables; the peer's are those B-trees.", ratio_target=2))
def backfill(bench):
    peers.install(bench)
    turns = bench.pick(5, 3)
    with Server(**SETTINGS) as server, tempfile.TemporaryDirectory(dir="/var/tmp") as directory, contextlib.ExitStack() as others:
        reference = Reference(bench, server)
        reference.export(directory)
        ways = {"ours": lambda: reference.decide(" " + OURS),
                **{name: lambda query=query: reference.decide(query) for name, query in SQL.items()}}
        for script in ("duckdb_asof", "clickhouse_asof"):
            bench.progress(f"loading {script}")
            peer = peers.Peer(script, directory, threads=2)
            others.callback(peer.end)
            ways[script] = peer.run
        answers = {name: way()[1] for name, way in ways.items()}
        if len(set(answers.values())) != 1:
            raise WrongAnswer(f"the answers differ: {answers}")
        ways["limit"] = Limit(server, reference.indexes("touch")).run
        answers["limit"] = ways["limit"]()[1]
        bench.ready(server)
        seconds = {name: [] for name in ways}
        for turn in range(turns):
            for name, way in ways.items():
                taken, answer = way()
                if answer != answers[name]:
                    raise WrongAnswer(f"{name} answers {answer} now")
                seconds[name].append(taken)
                bench.progress(f"turn {turn + 1} of {turns}: {name} {taken:.2f} s")
        median = {name: statistics.median(taken) for name, taken in seconds.items()}
        best = min(SQL, key=median.get)
        told = ", ".join(f"{name} {median[name]:.2f} s" for name in SQL)
        size = (f"{reference.installs:,} installs, {reference.clicks:,} clicks, {reference.impressions:,} impressions;"
                f" {answers['ours'][0]:,} attributed.")
        return {"backfill_vs_sql": Value(median["ours"], median[best], f"{size} {told}."),
                "backfill_vs_duckdb": Value(median["ours"], median["duckdb_asof"]),
                "backfill_vs_clickhouse": Value(median["ours"], median["clickhouse_asof"]),
                "backfill_vs_limit": Value(median["ours"], median["limit"]),
                "backfill_cancel_ms": cancelled(bench, server, median["ours"]),
                "index_size_vs_btree": Value(reference.index_bytes("touch"), reference.index_bytes("btree"))}


def cancelled(bench, server, usual):
    """Backfills that take about so many seconds, cancelled: how long they go on."""
    took, turns = [], bench.pick(20, 5)
    watch = server.connect().cursor()
    for turn in range(turns):
        errors = []

        def decide():
            try:
                server.run("CREATE TABLE decided AS " + OURS)
            except psycopg2.errors.QueryCanceled as error:
                errors.append(error)                                # pylint: disable=cell-var-from-loop

        watch.execute("DROP TABLE IF EXISTS decided")
        backfill_in_work = threading.Thread(target=decide)
        backfill_in_work.start()
        time.sleep(usual * turn / turns)
        began = time.monotonic()
        watch.execute("SELECT pg_cancel_backend(%s)", (server.session.get_backend_pid(),))
        backfill_in_work.join()
        if errors:                                                  # or it was over already
            took.append((time.monotonic() - began) * 1000)
            watch.execute("SELECT to_regclass('decided') IS NULL AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE leader_pid = %s)",
                          (server.session.get_backend_pid(),))
            if watch.fetchone() != (True,):
                raise WrongAnswer("a cancelled backfill left something behind")
    bench.progress(f"{len(took)} of {turns} cancelled, after {max(took):.1f} ms at most")
    return Value(max(took), note=f"{len(took)} cancelled; median {statistics.median(took):.1f} ms.")


@measures(
    Figure("live2000_vs_sql", "ms", "2,000 new installs; by LATERAL.", ratio_target=10),
    Figure("live1_vs_sql", "ms", "One new install, without the way to the server and back: a hundred one after the other, in a"
           " function; by LATERAL.", ratio_target=3),
    Figure("live2000_written_vs_sql", "ms", "2,000 new installs taken from the queue, decided, and their decisions stored and committed,"
           " by run(); by a statement that does the same by LATERAL, for the same tables.", ratio_target=3))
def live(bench):
    turns = bench.pick(51, 5)
    with Server(**SETTINGS) as server:
        reference = Reference(bench, server)
        counted = "SELECT count(touch), coalesce(sum(touch), 0)::bigint{} FROM ({}) AS decided"
        for name, query in (("ours", OURS.replace("attribute()", "attribute($1, $2)")),
                            ("peer", SQL["LATERAL"] + " WHERE i.at >= $1 AND i.at < $2")):
            server.run(f"PREPARE {name}_2000 (timestamptz, timestamptz) AS " + counted.format("", query))
            one = query.replace("$1", "times[place]").replace("$2", "times[place + 1]")
            server.run(f"""
                CREATE FUNCTION {name}_each(times timestamptz[], OUT touched bigint, OUT touches bigint) LANGUAGE plpgsql AS $$
                DECLARE
                  counted bigint;
                  total bigint;
                BEGIN
                  touched := 0;
                  touches := 0;
                  FOR place IN 1 .. cardinality(times) - 1 LOOP
                    {counted.format(" INTO counted, total", one)};
                    touched := touched + counted;
                    touches := touches + total;
                  END LOOP;
                END $$""")
            server.run(f"PREPARE {name}_1 (timestamptz[]) AS SELECT * FROM {name}_each($1)")
        server.run("CREATE INDEX ON installs (at)")
        server.run("VACUUM (ANALYZE) installs")
        # So that both find all that they read in memory.
        for query in (OURS, SQL["LATERAL"]):
            reference.decide(" " + query)
        times = [at for at, in server.run("SELECT at FROM installs ORDER BY at")]
        bench.ready(server)
        values = {}
        for name, each, count in (("live2000_vs_sql", 2000, 1), ("live1_vs_sql", 1, 100)):
            milliseconds = {"ours": [], "peer": []}
            for turn in range(turns + 5):
                # Others each time; the first ones warm up.
                first = (turn * 7919 + 1) * each * count % (len(times) - each * count)
                ends = times[first:first + each * count + 1:each]
                answers = {}
                for who, taken in milliseconds.items():
                    seconds, answers[who] = reference.answer(f"{who}_{each}", ends if each == 1 else tuple(ends))
                    if turn >= 5:
                        taken.append(seconds * 1000 / count)
                if answers["ours"] != answers["peer"]:
                    raise WrongAnswer(f"{name}: the answers differ: {answers}")
                bench.progress(f"{name}: {turn + 1} of {turns + 5}")
            values[name] = Value(*(statistics.median(taken) for taken in milliseconds.values()))
        return {**values, "live2000_written_vs_sql": written(bench, server)}


def written(bench, server):
    count, turns = bench.pick(2000, 200), bench.pick(11, 3)
    server.run("CREATE TABLE fresh (LIKE installs INCLUDING INDEXES)")
    # Closed by its first decision, an install leaves the queue.
    server.run("SELECT attribution.create_rule('fresh', 'fresh', 'id', 'at', allowed_lateness => '0')")
    for tier, table, lookback in TIERS:
        server.run("SELECT attribution.add_tier('fresh', %s, %s, '{app,device}', %s, id_column => 'id', time_column => 'at')",
                   (tier, table, lookback))
    server.run("SELECT attribution.activate('fresh')")
    for table in ("fresh_decisions", "fresh_credits"):
        server.run("SELECT attribution.make_partitions(%s, '2026-01-08 00:00+00', '2026-01-09 00:00+00')", (table,))
    server.run("PREPARE written AS" + WRITTEN)
    milliseconds = {"CALL attribution.run('fresh')": [], "EXECUTE written": []}
    for turn in range(turns + 1):
        for i, (statement, taken) in enumerate(milliseconds.items()):
            # Others each time; the first turn warms up.
            server.run("INSERT INTO fresh SELECT * FROM installs ORDER BY at LIMIT %s OFFSET %s", (count, (2 * turn + i) * count))
            server.run("ANALYZE fresh_pending")
            began = time.monotonic()
            server.run(statement)
            taken.append((time.monotonic() - began) * 1000)
            bench.progress(f"turn {turn} of {turns}: {statement} {taken[-1]:.0f} ms")
        if turn == 0:
            check_written(server, 2 * count)
            bench.ready(server)
    check_written(server, 2 * count * (turns + 1))
    ours, peer = (statistics.median(taken[1:]) for taken in milliseconds.values())
    return Value(ours, peer)


def check_written(server, count):
    """All of so many are decided, whoever did it, as attribute() says; and none waits."""
    stored = "SELECT conversion_id, conversion_time, outcome, tier, touch_id, touch_time FROM "
    differ = [server.value(f"SELECT count(*) FROM ({stored}{a} EXCEPT ALL {stored}{b}) AS d")
              for a, b in (("fresh_attribution", "fresh_attribute()"), ("fresh_attribute()", "fresh_attribution"))]
    counts = server.run("SELECT (SELECT count(*) FROM fresh_attribution), (SELECT count(*) FROM fresh_pending)")[0]
    if differ != [0, 0] or counts != (count, 0):
        raise WrongAnswer(f"of {count} installs {counts[0]} are decided, {counts[1]} wait; {differ} differ from attribute()")
