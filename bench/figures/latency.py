"""Latency.

From the commit of a conversion, or of a late touchpoint, to the commit of the decision that the worker makes of it, by the commit
timestamps of their rows (`track_commit_timestamp = on`): exact, and nobody watches. PostgreSQL takes a commit's timestamp before
it flushes the commit, so the conversion's own flush is part of the time and the decision's is not. The mobile preset,
with eight days of clicks and impressions."""

import heapq
import random
import threading
import time

from figure import Figure, Value, WrongAnswer, measures
from quantile import quantile
from server import Server
from traffic import Traffic

# Milliseconds from the commit of install k to that of its first decision. A header that was restated is in the history,
# written anew; but a new installation was entered by the transaction of its first decision, and is not touched again.
FIRST_DECISIONS = """
SELECT extract(epoch FROM coalesce(pg_xact_commit_timestamp(CASE WHEN h.conversion_id IS NULL THEN d.xmin ELSE i.xmin END),
                                   h.decided_at) - pg_xact_commit_timestamp(e.xmin))::float8 * 1000
  FROM generate_series(%s, %s) AS k
  JOIN game.events AS e ON e.event_uid = traffic.uid('install', k)
  JOIN game.installs_decisions AS d ON d.conversion_id = e.event_uid
  LEFT JOIN LATERAL (SELECT * FROM game.installs_decisions_history AS h WHERE h.conversion_id = e.event_uid ORDER BY decided_at LIMIT 1) AS h ON true
  LEFT JOIN game.installs_installations AS i ON i.conversion_id = e.event_uid"""

# Of each install: how long after its first decision the late click was committed, how long after that the decision that
# has it, and how long that was after the rung of the ladder it waited for; in ms.
RESTATEMENTS = """
WITH times AS (
  SELECT k, h.decided_at, p.arrived_at, h.outcome AS was, d.outcome AS now_is,
         pg_xact_commit_timestamp(c.xmin) AS touched, pg_xact_commit_timestamp(d.xmin) AS restated
    FROM generate_series(%s, %s) AS k
    JOIN game.clicks AS c ON c.link_uid = traffic.uid('late click', k)
    JOIN game.installs_decisions AS d ON d.conversion_id = traffic.uid('install', k)
    JOIN game.installs_pending AS p ON p.conversion_id = d.conversion_id
    JOIN game.installs_decisions_history AS h ON h.conversion_id = d.conversion_id)
SELECT k, extract(epoch FROM touched - decided_at)::float8 * 1000, extract(epoch FROM restated - touched)::float8 * 1000,
       extract(epoch FROM restated - (SELECT min(arrived_at + delay) FROM unnest('{1 s,10 s,1 min,10 min}'::interval[]) AS delay
                                       WHERE arrived_at + delay > touched))::float8 * 1000
  FROM times WHERE was = 'organic' AND now_is = 'attributed'"""


def worker_server():
    return Server(shared_preload_libraries="attribution", track_commit_timestamp="on")


def wait_for_worker(server):
    server.wait_for("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'attribution worker' AND datname = current_database())",
                    "the worker")


def add_installs(server, first, last, gap):
    """Installs that happen now, each in its own transaction, with gaps between two numbers of seconds. Returns how long commits took, in ms."""
    times = []
    for k in range(first, last + 1):
        time.sleep(random.uniform(*gap))
        began = time.perf_counter()
        server.run("SELECT traffic.add_install(%s)", (k,))
        times.append((time.perf_counter() - began) * 1000)
    return times


def first_decisions(server, first, last, installs):
    """Of so many installs, which have numbers from first to last."""
    times = [row[0] for row in server.run(FIRST_DECISIONS, (first, last))]
    if len(times) != installs:
        raise WrongAnswer(f"{installs} installs, {len(times)} decisions")
    return times


def check(traffic, installs):
    """All is decided as attribute() has it, once the last touchpoint has been found."""
    traffic.close_all()
    traffic.check_counts(installs)
    traffic.check_decisions()


@measures(Figure("latency_idle_p50_ms", "ms", "Commit of an install to commit of its decision, on a server that is idle otherwise: the median.", target=5),
          Figure("latency_idle_p99_ms", "ms", "The same: one in a hundred takes longer.", target=50))
def idle(bench):
    warm_up, installs = bench.pick(30, 5), bench.pick(300, 30)
    with worker_server() as server:
        traffic = Traffic(bench, server)
        traffic.load()
        wait_for_worker(server)
        bench.ready(server)
        add_installs(server, 1, warm_up, (0.05, 0.4))
        bench.progress(f"{installs} installs")
        commits = add_installs(server, warm_up + 1, warm_up + installs, (0.05, 0.4))
        traffic.wait_until_decided()
        times = first_decisions(server, warm_up + 1, warm_up + installs, installs)
        check(traffic, warm_up + installs)
        note = (f"{installs} installs, one at a time, 0.05 to 0.4 s apart, after {warm_up} that do not count; {traffic.clicks:,} clicks,"
                f" {traffic.impressions:,} impressions.")
        return {"latency_idle_p50_ms": Value(quantile(times, 0.5), note=f"{note} To insert one takes its client {quantile(commits, 0.5):.2g} ms."),
                "latency_idle_p99_ms": Value(quantile(times, 0.99), note=f"The longest: {max(times):.3g} ms.")}


@measures(Figure("latency_load_p99_ms", "ms", "Commit of an install to commit of its decision, under 5,000 clicks/s and 50 installs/s: one"
                 " in a hundred takes longer.", target=500))
def load(bench):
    seconds = bench.pick(60, 5)
    with worker_server() as server:
        traffic = Traffic(bench, server)
        traffic.load()
        wait_for_worker(server)
        bench.ready(server)
        warm_up = 20
        add_installs(server, 1, warm_up, (0, 0))
        traffic.wait_until_decided()
        writers = [Writer(server.connect(), number, traffic.clicks, warm_up, seconds) for number in range(Writer.WRITERS)]
        bench.progress(f"{seconds} s of load")
        began = time.monotonic()
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        took = time.monotonic() - began
        for writer in writers:
            if writer.failure:
                raise writer.failure
        traffic.wait_until_decided()
        installs = sum(writer.installs for writer in writers)
        clicks = sum(writer.clicks for writer in writers)
        # One of the writers may have made one more than the other.
        times = first_decisions(server, warm_up + 1, warm_up + installs + 1, installs)
        restated = server.value("SELECT count(*) FROM game.installs_decisions_history")
        check(traffic, warm_up + installs)
        return {"latency_load_p99_ms": Value(quantile(times, 0.99), note=(
            f"{took:.0f} s, {clicks / took:,.0f} clicks/s in transactions of {Writer.CLICKS}, {installs / took:.1f} installs/s, each a transaction,"
            f" by {Writer.WRITERS} connections; the median was {quantile(times, 0.5):.3g} ms, the longest {max(times):.3g} ms; {restated} decisions"
            " were restated meanwhile."))}


class Writer(threading.Thread):
    """A connection that writes by the clock: what it is late with it does at once."""
    WRITERS = 2
    CLICKS = 50                             # in a transaction
    CLICKS_EVERY = WRITERS * CLICKS / 5000  # seconds
    INSTALL_EVERY = WRITERS / 50

    def __init__(self, session, number, last_click, last_install, seconds):
        super().__init__()
        self.session, self.number, self.seconds = session, number, seconds
        self.last_click, self.last_install = last_click, last_install
        self.clicks = self.installs = 0
        self.failure = None

    def run(self):
        try:
            self.write()
        except Exception as error:      # for the one that waits
            self.failure = error

    def write(self):
        cursor = self.session.cursor()
        began = time.monotonic()
        # Those of all writers are spread over the time.
        share = self.number / self.WRITERS
        turns = [(share * self.CLICKS_EVERY, self.CLICKS_EVERY, self.add_clicks), (share * self.INSTALL_EVERY, self.INSTALL_EVERY, self.add_install)]
        heapq.heapify(turns)
        while turns[0][0] < self.seconds:
            at, every, add = turns[0]
            time.sleep(max(0, began + at - time.monotonic()))
            add(cursor)
            heapq.heapreplace(turns, (at + every, every, add))

    def add_clicks(self, cursor):
        first = self.last_click + 1 + (self.clicks * self.WRITERS + self.number * self.CLICKS)
        cursor.execute("SELECT traffic.add_clicks(%s, %s)", (first, first + self.CLICKS - 1))
        self.clicks += self.CLICKS

    def add_install(self, cursor):
        cursor.execute("SELECT traffic.add_install(%s)", (self.last_install + 1 + self.installs * self.WRITERS + self.number,))
        self.installs += 1


@measures(Figure("restatement_p50_ms", "ms", "Commit of a late touchpoint to commit of the decision that has it, for one that is committed"
                 " at a random moment of the first ten seconds after its install: the median. What it waits for is the ladder, which decides"
                 " again 1 s, 10 s and 1 min after the first decision."),
          Figure("restatement_p99_ms", "ms", "The same: one in a hundred takes longer."),
          Figure("restatement_early_p50_ms", "ms", "The same, of those committed within the first second alone: the median."),
          Figure("restatement_after_rung_p50_ms", "ms", "The part of it that comes after the rung was due: the median."),
          Figure("restatement_after_rung_p99_ms", "ms", "The same: one in a hundred takes longer."))
def restatement(bench):
    installs = bench.pick(300, 30)
    with worker_server() as server:
        traffic = Traffic(bench, server)
        traffic.load()
        wait_for_worker(server)
        bench.ready(server)
        bench.progress(f"{installs} installs with late clicks")
        add_late_clicks(server, installs, bench.pick(0.3, 0.1))
        # What was committed as a rung passed waits for the next one.
        server.wait_for(f"SELECT count(*) >= {installs} FROM generate_series(1, {installs}) AS k JOIN game.installs_decisions AS d"
                        " ON d.conversion_id = traffic.uid('install', k) WHERE d.outcome = 'attributed'", "all restatements", 90)
        rows = server.run(RESTATEMENTS, (1, installs))
        times = [took for k, _, took, _ in rows if not is_early(k)]
        early = [took for _, late, took, _ in rows if late < 1000]
        after_rung = [after for *_, after in rows]
        check(traffic, installs)
        note = f"{len(times)} installs, on a server that is idle otherwise."
        if len(rows) < installs:
            note += f" {installs - len(rows)} more had their click before their first decision."
        return {"restatement_p50_ms": Value(quantile(times, 0.5), note=note), "restatement_p99_ms": Value(quantile(times, 0.99)),
                "restatement_early_p50_ms": Value(quantile(early, 0.5), note=f"{len(early)} installs."),
                "restatement_after_rung_p50_ms": Value(quantile(after_rung, 0.5)),
                "restatement_after_rung_p99_ms": Value(quantile(after_rung, 0.99))}


def is_early(k):
    """Whether its click is to come within a second, so that there are enough of these."""
    return k % 4 == 0


def add_late_clicks(server, installs, every):
    """Organic installs at random moments, so many seconds apart on average, and a click for each within ten seconds after it."""
    at, turns = 0, []
    for k in range(1, installs + 1):
        at += random.uniform(0, 2 * every)
        turns += [(at, "SELECT traffic.add_install(%s, organic => true)", k),
                  (at + random.uniform(0.05, 1 if is_early(k) else 10), "SELECT traffic.add_late_click(%s)", k)]
    began = time.monotonic()
    for at, sql, k in sorted(turns):
        time.sleep(max(0, began + at - time.monotonic()))
        server.run(sql, (k,))
