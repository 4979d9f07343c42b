"""Ingestion.

Touchpoints come by COPY into partitions by day, one day after the other, in the order of time; each day begins with an empty
partition. The same rows go to tables that differ in their indexes alone, in turns. What counts is the processor time of the
backend, until after its commits; WAL is written and flushed. A checkpoint precedes each turn, and there is no autovacuum. The
median of five days, after one to warm up and to compare what the indexes find."""

import dataclasses
import statistics

from figure import Figure, Value, WrongAnswer, measures
from process import cpu_seconds
from server import Server

SINCE = "2026-01-01 00:00+00"
DAYS = 5
# The schemas: one for each kind of index.
LANES = {"touch": "touch indexes", "btree": "B-trees", "bare": "none"}


@dataclasses.dataclass
class Table:
    """Of each lane. `row`: the select list that makes row n, which comes at `at`, on a device; `keys`: the match columns of each tier."""
    name: str
    row: str
    keys: list
    rows: int           # a day
    transaction: int    # rows by one COPY
    devices: int

    def write(self, server, day):
        """One file for each transaction of a day. The next day's take their places."""
        directory = server.value("SELECT current_setting('data_directory')")
        files = []
        for first in range(day * self.rows, (day + 1) * self.rows, self.transaction):
            files.append(f"{directory}/{self.name}_{len(files)}")
            server.run(f"""COPY (
                SELECT {self.row} FROM (
                  SELECT n, timestamptz '{SINCE}' + n * (interval '1 day' / {self.rows}) AS at,
                    (hashint8extended(n, {len(self.name)}) & 1073741823) % {self.devices} AS device
                  FROM generate_series({first}, {first + self.transaction - 1}::bigint) AS n) AS r
              ) TO '{files[-1]}'""")
        return files

    def check(self, server):
        """All lanes have the same rows, and find the same by their indexes."""
        counted = "SELECT count(*), sum(hashtextextended(t::text, 0)) FROM "
        whole = {lane: server.run(f"{counted}{lane}.{self.name} AS t")[0] for lane in LANES}
        if len(set(whole.values())) != 1:
            raise WrongAnswer(f"{self.name} differs: {whole}")
        for key in self.keys:
            columns = ", ".join(key)
            found = {lane: server.run(f"""
                {counted} (SELECT DISTINCT {columns} FROM {lane}.{self.name} WHERE ({columns}) IS NOT NULL ORDER BY {columns} LIMIT 100) AS k
                CROSS JOIN LATERAL (SELECT * FROM {lane}.{self.name} AS t
                                    WHERE {' AND '.join(f't.{column} = k.{column}' for column in key)} OFFSET 0) AS t""")[0]
                     for lane in LANES}
            if len(set(found.values())) != 1 or found["bare"][0] < 100:
                raise WrongAnswer(f"{self.name} by {columns}: {found}")


def compare(bench, server, tables):
    """{lane: [seconds of each day]}"""
    for table in tables:
        for lane in LANES:
            server.run("SELECT attribution.make_partitions(%s, %s, %s::timestamptz + %s * interval '1 day')",
                       (f"{lane}.{table.name}", SINCE, SINCE, DAYS + 1))
    session = server.connect()
    pid = session.get_backend_pid()
    seconds = {lane: [] for lane in LANES}
    order = list(LANES)
    for day in range(DAYS + 1):
        bench.progress(f"day {day} of {DAYS}: making its rows")
        files = [(table, file) for table in tables for file in table.write(server, day)]
        for lane in order:
            bench.ready(server)
            began = cpu_seconds(pid)
            with session.cursor() as cursor:
                for table, file in files:
                    cursor.execute(f"COPY {lane}.{table.name} FROM '{file}'")
            seconds[lane].append(cpu_seconds(pid) - began)
            bench.progress(f"day {day} of {DAYS}: {LANES[lane]}, {seconds[lane][-1]:.2f} s")
        # Who comes first is another one each day.
        order.append(order.pop(0))
        if day == 0:
            for table in tables:
                table.check(server)
    if problems := server.run("SELECT index, problem FROM attribution.touch_indexes, attribution.touch_index_check(index)"):
        raise WrongAnswer(f"touch indexes that are not sound: {problems}")
    return {lane: taken[1:] for lane, taken in seconds.items()}


def value(seconds, tables, indexes):
    median = {lane: statistics.median(taken) for lane, taken in seconds.items()}
    rows = " and ".join(f"{table.rows:,} {table.name}" for table in tables)
    return Value(median["touch"], median["btree"],
                 f"{rows} a day, {tables[0].transaction:,} in a transaction. {indexes} Without these indexes it takes {median['bare']:.3g} s.")


def narrow(bench, transaction):
    """The table of the backfill."""
    rows = bench.pick(1_000_000, 20_000)
    table = Table("clicks", "n, at, (device % 3)::int, md5(device::text)::uuid", [["app", "device"]], rows, transaction, rows // 4)
    with Server(shared_buffers="4GB", max_wal_size="16GB", autovacuum="off", jit="off") as server:
        for lane in LANES:
            server.run(f"CREATE SCHEMA {lane}")
            server.run(f"CREATE TABLE {lane}.clicks (id bigint, at timestamptz, app int, device uuid) PARTITION BY RANGE (at)")
        server.run("CREATE INDEX ON touch.clicks USING touch (app, device, at)")
        server.run("CREATE INDEX ON btree.clicks (device, at)")
        return value(compare(bench, server, [table]), [table], "Touch index (app, device, time).")


@measures(Figure("ingest_vs_btree", "s", "A day of clicks, four columns wide; by a B-tree on (device, time).", ratio_target=1.8))
def ingest(bench):
    return {"ingest_vs_btree": narrow(bench, bench.pick(100_000, 10_000))}


@measures(Figure("ingest_small_vs_btree", "s", "The same in small transactions, which give a touch index less to collect."))
def ingest_small(bench):
    return {"ingest_small_vs_btree": narrow(bench, 1_000)}


TOUCH_ROW = """
    md5('{table}' || n)::uuid, at, 'com.example.game' || device % 3, 'network ' || n % 8,
    'campaign ' || n % 40, (n % 40)::text, 'ad ' || n % 400, (n % 400)::text,
    CASE WHEN device % 8 > 0 THEN md5(device::text)::uuid END, inet '10.0.0.0' + device / 3,
    'Mozilla/5.0 (Linux; Android 13; SM-A' || device % 300 || ') AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 Mobile Safari/537.36',
    {click_id}, 'SE', NULL::text, NULL::text, at"""


@measures(Figure("ingest5_vs_btree", "s", "The tables of create_mobile(), whose five tiers need three indexes on clicks and two on"
                 " impressions; by B-trees on the same columns. All have their primary keys besides.", ratio_target=1.8))
def five_tiers(bench):
    devices = bench.pick(200_000, 10_000)
    fingerprint = ["store_id", "client_ip", "user_agent"]
    tables = [
        Table("clicks", TOUCH_ROW.format(table="clicks", click_id="md5('id ' || n)"),
              [["store_id", "click_id"], ["store_id", "ifa"], fingerprint], bench.pick(200_000, 4_000), bench.pick(50_000, 2_000), devices),
        Table("impressions", TOUCH_ROW.format(table="impressions", click_id="NULL::text"),
              [["store_id", "ifa"], fingerprint], bench.pick(250_000, 6_000), bench.pick(50_000, 2_000), devices)]
    with Server(shared_buffers="4GB", max_wal_size="16GB", autovacuum="off", jit="off") as server:
        for lane in LANES:
            server.run("SELECT attribution.create_mobile(%s, rule => %s)", (lane, lane))
            for table in tables:
                if lane != "touch":
                    for index, in server.run("SELECT indexrelid::regclass::text FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
                                             " JOIN pg_am AS a ON a.oid = c.relam WHERE a.amname = 'touch' AND i.indrelid = %s::regclass",
                                             (f"{lane}.{table.name}",)):
                        server.run(f"DROP INDEX {index}")
                if lane == "btree":
                    for key in table.keys:
                        server.run(f"CREATE INDEX ON btree.{table.name} ({', '.join(key)}, event_time)")
        return {"ingest5_vs_btree": value(compare(bench, server, tables), tables,
                                          f"An average row takes {row_bytes(server)} bytes.")}


def row_bytes(server):
    return server.value("SELECT avg(pg_column_size(c.*))::int FROM touch.clicks AS c")
