"""What queueing costs.

The time to bring rows to a table whose rule queues conversions by its trigger, divided by the time to bring the same rows to the
same table without a rule. The two take turns; the median over the pairs. Nobody decides meanwhile: that the worker wants a
processor too is no part of it."""

import io
import statistics
import time

from figure import Figure, Value, WrongAnswer, measures
from server import Server

COLUMNS = "event_uid, event_time, store_id, event_id, ifa, oa_uid, client_ip, user_agent"
ROWS = """SELECT gen_random_uuid(), now(), 'com.example.game1', '{event}', gen_random_uuid(), gen_random_uuid(), inet '10.0.0.0' + n, 'agent ' || n % 300
  FROM generate_series(1, {rows}) AS n"""
TABLES = ("game.events", "plain.events")


@measures(Figure("queue_overhead", "×", "Installs inserted one by one, each its own transaction, flushed to the disk: time with the"
                 " rule by time without."),
          Figure("queue_overhead_copy", "×", "Installs by COPY, many in a transaction."),
          Figure("queue_overhead_others", "×", "Events by COPY that are no installs, so that the rule's filter leaves them out."))
def overhead(bench):
    with Server(shared_preload_libraries="attribution", **{"attribution.worker": "off"}) as server:
        server.run("SELECT attribution.create_mobile('game')")
        # The same tables, without a trigger once the rule is gone.
        server.run("SELECT attribution.create_mobile('plain', rule => 'none')")
        server.run("SELECT attribution.drop_rule('none')")
        session = server.connect().cursor()
        return {"queue_overhead": compare(bench, server, Inserts(session), bench.pick(40, 6), bench.pick(500, 50)),
                "queue_overhead_copy": compare(bench, server, Copies(session, "install"), bench.pick(20, 6), bench.pick(20_000, 2_000)),
                "queue_overhead_others": compare(bench, server, Copies(session, "app_open"), bench.pick(20, 6), bench.pick(20_000, 2_000))}


class Inserts:
    """Rows one by one, each its own transaction."""
    text = "inserts"

    def __init__(self, session):
        self.session = session
        for number, table in enumerate(TABLES):
            session.execute(f"PREPARE insert_{number} AS INSERT INTO {table} ({COLUMNS}) {ROWS.format(event='install', rows=1)}")

    def bring(self, number, rows):
        """So many to one of the tables. Returns how long it took, in seconds."""
        began = time.perf_counter()
        for _ in range(rows):
            self.session.execute(f"EXECUTE insert_{number}")
        return time.perf_counter() - began


class Copies:
    """Rows by COPY, in one transaction."""
    text = "rows by COPY"

    def __init__(self, session, event):
        self.session, self.event = session, event

    def bring(self, number, rows):
        text = io.StringIO()
        self.session.copy_expert(f"COPY ({ROWS.format(event=self.event, rows=rows)}) TO STDOUT", text)
        text.seek(0)
        began = time.perf_counter()
        self.session.copy_expert(f"COPY {TABLES[number]} ({COLUMNS}) FROM STDIN", text)
        return time.perf_counter() - began


def compare(bench, server, way, pairs, rows):
    """Brings rows to both tables in turn, in the one order and the other."""
    bench.ready(server)
    times = [[], []]
    for pair in range(-1, pairs):
        for number in (0, 1) if pair % 2 else (1, 0):
            times[number].append(way.bring(number, rows))
        bench.progress(f"{pair + 1} of {pairs} pairs of {rows} {way.text}")
    check(server)
    queued, plain = (taken[1:] for taken in times)         # the first pair was to warm up
    each = [statistics.median(taken) * 1e6 / rows for taken in (plain, queued)]
    return Value(statistics.median(a / b for a, b in zip(queued, plain)),
                 note=f"{pairs} pairs of {rows:,} {way.text}: {each[0]:.3g} µs for each without the rule, {each[1]:.3g} µs with it.")


def check(server):
    """Both tables hold as many rows; the installs of the one, and nothing else, are queued."""
    counts = server.run("SELECT (SELECT count(*) FROM game.events) - (SELECT count(*) FROM plain.events),"
                        " (SELECT count(*) FROM game.events AS e FULL JOIN game.installs_pending AS p ON p.conversion_id = e.event_uid"
                        "   WHERE (e.event_id = 'install') IS DISTINCT FROM (p.conversion_id IS NOT NULL))")[0]
    if counts != (0, 0):
        raise WrongAnswer(f"{counts[0]} rows more with the rule than without, {counts[1]} rows queued that should not be or the reverse")
