"""Scaling.

The backfill with more and more touchpoints, and with more and more installs. Touchpoints and devices grow together, so that the
same share of the installs is attributed. Linear is what takes twice as long for twice as much; a step's growth is how much longer
the next size takes, divided by how much larger it is. All in memory; the median of three turns, of which those of more than
100,000 installs are one. All answers are compared with SQL's. What a backfill takes of memory is that of the backend and its parallel
workers together, looked at every hundredth of a second: their own, and what they share beside the server's buffers."""

import statistics
import time

from backfill import OURS, SETTINGS, SQL, Reference
from figure import Figure, Value, WrongAnswer, measures
from process import Watch
from server import Server


def growth(points):
    """Of the worst step: 1 is linear, less is better."""
    return max((b[1] / a[1]) / (b[0] / a[0]) for a, b in zip(points, points[1:]))


@measures(Figure("scaling_touchpoints", "×", "200,000 installs against 1 M to 50 M touchpoints: the growth of the worst step. The curve"
                 " has the best formulation in SQL beside it, DISTINCT ON.", target=1.1, across="touchpoints"))
def touchpoints(bench):
    ours, peer = [], []
    for millions in (1, 2, 5, 10, 20, 50):
        with Server(**SETTINGS) as server:
            reference = Reference(bench, server, touchpoints=bench.pick(millions * 1_000_000, millions * 20_000), btree=False)
            bench.ready(server)
            count = reference.clicks + reference.impressions
            for points, query in ((ours, " " + OURS), (peer, SQL["DISTINCT ON"])):
                turns = [reference.decide(query) for _ in range(bench.pick(4, 2))]
                points.append((count, statistics.median(seconds for seconds, _ in turns[1:]), turns[0][1]))
                bench.progress(f"{count:,} touchpoints: {points[-1][1]:.2f} s")
            if ours[-1][2] != peer[-1][2]:
                raise WrongAnswer(f"{count} touchpoints: the answers differ: {ours[-1][2]}, {peer[-1][2]}")
    curve = [point[:2] for point in ours]
    return {"scaling_touchpoints": Value(growth(curve), points=curve, peer_points=[point[:2] for point in peer])}


@measures(
    Figure("scaling_installs", "×", "1 to 1 M installs against 18 M touchpoints, attributed by prepared statements: the growth of the"
           " worst step. The curve has LATERAL beside it.", target=1.1, across="installs"),
    Figure("backfill_peak_mb", "MB", "Memory of a backfill of 1 M installs, attribution.work_mem = 64MB.", target=128))
def installs(bench):
    with Server(**SETTINGS) as server:
        reference = Reference(bench, server, installs=bench.pick(1_000_000, 10_000))
        server.run("CREATE INDEX ON installs (at)")
        server.run("VACUUM (ANALYZE) installs")
        peak = memory(bench, reference)
        counted = "SELECT count(touch), coalesce(sum(touch), 0)::bigint FROM ({}) AS decided"
        server.run("PREPARE ours (timestamptz, timestamptz) AS " + counted.format(OURS.replace("attribute()", "attribute($1, $2)")))
        server.run("PREPARE peer (timestamptz, timestamptz) AS " + counted.format(SQL["LATERAL"] + " WHERE i.at >= $1 AND i.at < $2"))
        times = [at for at, in server.run("SELECT at FROM installs ORDER BY at")]
        bench.ready(server)
        curves = {"ours": [], "peer": []}
        count = 1
        while count <= reference.installs:
            until = times[count] if count < len(times) else "infinity"
            answers = {}
            for query, points in curves.items():
                turns = [reference.answer(query, (times[0], until)) for _ in range(4 if count <= 100_000 else 1)]
                answers[query] = turns[0][1]
                points.append((count, statistics.median(seconds for seconds, _ in turns[1:] or turns)))
                bench.progress(f"{count:,} installs: {query} {points[-1][1]:.4f} s")
            if answers["ours"] != answers["peer"]:
                raise WrongAnswer(f"{count} installs: the answers differ: {answers}")
            count *= 10
        return {"scaling_installs": Value(growth(curves["ours"]), points=curves["ours"], peer_points=curves["peer"]),
                "backfill_peak_mb": peak}


def memory(bench, reference):
    """In a session of its own, at the largest batch that may be asked for."""
    session = reference.server.connect()
    cursor = session.cursor()
    cursor.execute("SET attribution.work_mem = '64MB'; SET attribution.batch_size = 1000000; SET work_mem = '4MB'")
    bench.progress("watching the memory of a backfill")
    with Watch(session.get_backend_pid()) as watch:
        began = time.monotonic()
        cursor.execute("CREATE TABLE watched AS " + OURS)
        seconds = time.monotonic() - began
    cursor.execute("SELECT count(*) FROM watched")
    if cursor.fetchone()[0] != reference.installs:
        raise WrongAnswer("not every install is decided")
    return Value(watch.peak / 1e6, note=f"{reference.installs:,} installs in {seconds:.1f} s, with {watch.workers} parallel workers.")
