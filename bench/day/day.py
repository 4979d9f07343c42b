"""A big publisher's day: the tables of create_mobile(), 10 M clicks over 7 days, 100 M impressions over 24 hours, 40 M installations that
are known already. Twice 1 M installs of these 24 hours come and are decided and written by attribution.run(), called by three times as
many sessions side by side as there are cores, since each waits for the disk as well: first with nothing in memory, neither the server's
buffers nor the system's cache, then with what the first has left there. Between the two the first are looked at again, as happens to
those that are still open, and change nothing: the second time none of them is due."""

import concurrent.futures
import contextlib
import datetime
import json
import os
import pathlib
import sys
import time

sys.dont_write_bytecode = True

from figure import WrongAnswer
from ingest import TOUCH_ROW
from main import Bench
from process import Watch
from server import ROOT, Server
from stamp import stamp

SCALE = int(os.environ.get("DAY_SCALE", "1"))
CLICKS, IMPRESSIONS, KNOWN, INSTALLS = (count // SCALE for count in (10_000_000, 100_000_000, 40_000_000, 1_000_000))
DEVICES = 30_000_000 // SCALE
PIECE = max(1000, 1_000_000 // SCALE)
LOADERS = 2
RUNNERS = 3 * os.cpu_count()
Watch.INTERVAL = 0.1     # seconds: looking at a backend's memory takes a millisecond of a core
TARGET = 60     # seconds
# Who decides changes more pages than there are buffers. Else it is he who writes them, when he needs the buffers, and who waits then until
# the WAL is on disk that is about them. When they go from the system's cache to the disk is the system's to say, until a checkpoint: who has
# each written at once writes many of them several times, while others wait for the disk to read.
SETTINGS = {"max_wal_size": "16GB", "maintenance_work_mem": "512MB", "bgwriter_delay": "10ms", "bgwriter_lru_maxpages": "2000",
            "bgwriter_lru_multiplier": "10", "bgwriter_flush_after": "0", "wal_writer_delay": "10ms",
            # As docs/operations.md has it; but who decides here are the sessions that are measured.
            "shared_preload_libraries": "attribution", "attribution.worker": "off"}
MADE = """(SELECT n, timestamptz '{until}' - ({rows} - n) * (interval '{span}' / {rows}) AS at, (hashint8extended(n, {seed}) & 1073741823) % {devices} AS device
  FROM generate_series({first}::bigint, {last}::bigint) AS n) AS r"""
INSTALL_ROW = """md5('install' || n)::uuid, at, 'com.example.game' || device % 3, 'install',
  CASE WHEN device % 8 > 0 THEN md5(device::text)::uuid END, md5('instance' || n)::uuid, inet '10.0.0.0' + device / 3,
  'Mozilla/5.0 (Linux; Android 13; SM-A' || device % 300 || ') AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 Mobile Safari/537.36',
  CASE WHEN n % 8 = 0 THEN md5('id ' || n % {clicks}) END"""


def in_pieces(bench, server, rows, statement, what):
    """Runs a statement for 1 to so many, by several sessions."""
    def work(first):
        session = server.connect()
        session.cursor().execute(statement(first, min(first + PIECE - 1, rows)))
        session.close()
        return first

    with concurrent.futures.ThreadPoolExecutor(LOADERS) as loaders:
        for first in loaders.map(work, range(1, rows + 1, PIECE)):
            bench.progress(f"{first:,} of {rows:,} {what}")


def fill(bench, server, table, rows, statement):
    """Rows first and its indexes then, which is faster."""
    indexes = server.run("SELECT c.relname, pg_get_indexdef(i.indexrelid), n.conname, pg_get_constraintdef(n.oid) FROM pg_index AS i"
                         " JOIN pg_class AS c ON c.oid = i.indexrelid LEFT JOIN pg_constraint AS n ON n.conindid = i.indexrelid"
                         " WHERE i.indrelid = %s::regclass ORDER BY n.conname", (f"game.{table}",))
    for name, _, constraint, _ in indexes:
        server.run(f"ALTER TABLE game.{table} DROP CONSTRAINT {constraint}" if constraint else f"DROP INDEX game.{name}")
    in_pieces(bench, server, rows, statement, table)
    for _, definition, constraint, keys in indexes:
        bench.progress(f"indexing {table}")
        server.run(f"ALTER TABLE game.{table} ADD CONSTRAINT {constraint} {keys}" if constraint else definition.replace(" ON ONLY ", " ON "))


def load(bench, server, until):
    server.run("SELECT attribution.create_mobile('game')")
    for table in ("clicks", "impressions", "events", "installs_decisions", "installs_credits"):
        server.run("SELECT attribution.make_partitions(%s, %s, %s)", (f"game.{table}", until - datetime.timedelta(days=8), until))
    for table, rows, span, click_id in (("clicks", CLICKS, "7 days", "md5('id ' || n)"), ("impressions", IMPRESSIONS, "24 hours", "NULL::text")):
        row = TOUCH_ROW.format(table=table, click_id=click_id)
        fill(bench, server, table, rows, lambda first, last: f"INSERT INTO game.{table} SELECT {row} FROM " + MADE.format(
            until=until, rows=rows, span=span, seed=len(table), devices=DEVICES, first=first, last=last))
    # Of devices 1 to so many, within the last 80 days: these were new then, and whoever of them installs now does so again.
    fill(bench, server, "installs_installations", KNOWN, lambda first, last: f"""
        INSERT INTO game.installs_installations SELECT 'com.example.game' || n % 3, md5(n::text)::uuid,
          timestamptz '{until}' - interval '2 days' - n % 78 * interval '1 day', md5('known' || n)::uuid
        FROM generate_series({first}::bigint, {last}::bigint) AS n""")
    # They count where the events don't reach back to.
    server.run("UPDATE attribution.partitioning SET horizon = %s WHERE relation = 'game.events'::regclass", (until - datetime.timedelta(days=1.5),))
    # As after days in force: its partitions are known to the rule. Else each of the first runs looks through them, and queues what is there.
    server.run("CALL attribution.run('installs')")
    bench.progress("VACUUM")
    server.run("VACUUM (ANALYZE)")


def bring(bench, server, until, batch):
    """Installs of the last 24 hours, queued by their trigger."""
    columns = "event_uid, event_time, store_id, event_id, ifa, oa_uid, client_ip, user_agent, click_id"
    row, total = INSTALL_ROW.format(clicks=CLICKS), 2 * INSTALLS
    in_pieces(bench, server, INSTALLS, lambda first, last: f"INSERT INTO game.events ({columns}) SELECT {row} FROM " + MADE.format(
        until=until, rows=total, span="24 hours", seed=1000, devices=2 * DEVICES,
        # Each batch has every other one of them.
        first=first, last=last).replace("(SELECT n,", f"(SELECT 2 * n - {batch} AS n,").replace(f"({total} - n)", f"({total} - (2 * n - {batch}))")
        .replace("hashint8extended(n,", f"hashint8extended(2 * n - {batch},"), "installs")
    server.run("VACUUM (ANALYZE) game.events, game.installs_pending")


def forget(server):
    """Nothing is in memory: the server's buffers hold another table, and the system's cache is empty."""
    server.run("CREATE EXTENSION IF NOT EXISTS pg_prewarm")
    server.run("CREATE TABLE IF NOT EXISTS other AS SELECT repeat('-', 1800) AS filling FROM generate_series(1, 700000)")
    # Twice, as what was used often gives way at the second time.
    for _ in range(2):
        server.run("SELECT pg_prewarm('other')")
    server.run("CHECKPOINT")
    os.sync()
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")


def read_blocks(server):
    return server.value("SELECT blks_read FROM pg_stat_database WHERE datname = current_database()")


def decide(bench, server, later="0"):
    # One time for all, or who begins a second later looks again at what the others have decided.
    as_of = server.value(f"SELECT clock_timestamp() + interval '{later}'")
    last_run = server.value("SELECT max(run) FROM attribution.run_log") or 0
    sessions = [server.connect() for _ in range(RUNNERS)]
    pids = [session.get_backend_pid() for session in sessions]
    before = read_blocks(server)
    watches = [Watch(pid) for pid in pids]
    with contextlib.ExitStack() as watched, concurrent.futures.ThreadPoolExecutor(RUNNERS) as runners:
        for watch in watches:
            watched.enter_context(watch)
        began = time.monotonic()
        list(runners.map(lambda session: session.cursor().execute("CALL attribution.run('installs', as_of => %s)", (as_of,)), sessions))
        seconds = time.monotonic() - began
    # Their own; those of parallel workers are not in it.
    from_disk = sum(int(next(line for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines()
                             if line.startswith("read_bytes")).split()[1]) for pid in pids)
    for session in sessions:
        session.close()
    server.wait_for(f"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY (ARRAY{pids}))", "the sessions' end, which tells their reads")
    decided = server.value("SELECT sum(decided)::int FROM attribution.run_log WHERE run > %s", (last_run,))
    if decided != INSTALLS:
        raise WrongAnswer(f"{decided} installs were decided, and not {INSTALLS}")
    return {"seconds": round(seconds, 2), "sessions": RUNNERS, "peak_mb": round(sum(watch.peak for watch in watches) / 1e6),
            "parallel_workers": sum(watch.workers for watch in watches),
            "read_into_buffers_mb": round((read_blocks(server) - before) * 8192 / 1e6), "backend_read_from_disk_mb": round(from_disk / 1e6)}


def check(server, brought, until):
    """One decision for each, and those of some minutes as attribute() says by plain SQL."""
    counts = server.run("SELECT (SELECT count(*) FROM game.installs_decisions), (SELECT count(*) FROM game.installs_credits),"
                        " (SELECT count(*) FROM game.installs_pending WHERE arrived_at IS NULL)")[0]
    if counts != (brought, brought, 0):
        raise WrongAnswer(f"of {brought} installs there are so many decisions, credits, and undecided: {counts}")
    since = until - datetime.timedelta(minutes=1 if SCALE == 1 else 60)
    columns = "conversion_id, conversion_time, outcome, tier, touch_id"
    one = f"SELECT {columns} FROM game.installs_attribution WHERE conversion_time >= '{since}'"
    other = f"SELECT {columns} FROM game.installs_attribute('{since}', 'infinity')"
    server.run("SET attribution.enable_touch_index = off")
    wrong = [server.value(f"SELECT count(*) FROM ({a} EXCEPT ALL {b}) AS d") for a, b in ((one, other), (other, one))]
    server.run("RESET attribution.enable_touch_index")
    if wrong != [0, 0] or not server.value(f"SELECT count(*) FROM ({one}) AS d"):
        raise WrongAnswer(f"decisions of the last installs differ from plain SQL's: {wrong}")


def main():
    bench = Bench("full")
    with Server(**SETTINGS) as server:
        until = server.value("SELECT date_trunc('second', now())")
        load(bench, server, until)
        results = {**stamp(ROOT), "settings": server.settings, "scale": f"1/{SCALE}",
                   "clicks": CLICKS, "impressions": IMPRESSIONS, "known": KNOWN, "installs": INSTALLS,
                   "click_bytes": server.value("SELECT avg(pg_column_size(c.*))::int FROM game.clicks AS c TABLESAMPLE SYSTEM (1)"),
                   "impression_bytes": server.value("SELECT avg(pg_column_size(m.*))::int FROM game.impressions AS m TABLESAMPLE SYSTEM (1)")}
        for batch, name in ((1, "cold"), (None, "again"), (0, "warm")):
            if batch is not None:
                bring(bench, server, until, batch)
            bench.ready(server)
            if name == "cold":
                forget(server)
            results[name] = decide(bench, server, "2 hours" if name == "again" else "0")
            bench.say(f"{name}: {results[name]}")
            check(server, INSTALLS * (2 if name == "warm" else 1), until)
        for name, which in (("database", "pg_database_size(current_database()) - coalesce(pg_total_relation_size('other'), 0)"),
                            ("touch_indexes", "(SELECT sum(pg_relation_size(c.oid)) FROM pg_class AS c JOIN pg_am AS a ON a.oid = c.relam"
                                              " WHERE a.amname = 'touch' AND c.relkind = 'i')")):
            results[f"{name}_gb"] = round(float(server.value(f"SELECT {which}")) / 1e9, 3)
        results["kinds"] = dict(server.run("SELECT kind, count(*) FROM game.installs_decisions GROUP BY 1 ORDER BY 1"))
        results["outcomes"] = dict(server.run("SELECT coalesce(tier, 'organic'), count(*) FROM game.installs_decisions GROUP BY 1 ORDER BY 1"))
    where = ROOT / ("bench/day.json" if SCALE == 1 else ".cache/bench/day.json")
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_text(json.dumps(results, indent=2) + "\n")
    print(where.read_text())
    if SCALE == 1:
        for name in ("cold", "warm"):
            print(f"{name}: {results[name]['seconds']} s; target {TARGET} s: {'met' if results[name]['seconds'] < TARGET else 'MISSED'}")


main()
