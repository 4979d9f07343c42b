"""Multi-touch models

Heuristics over a rule: 4.96 million touchpoints of 48,900 people and 105,000 purchases, a window of 7 days, about 6.8 million pairs
of a purchase and a touchpoint; first, last, linear and position based in one statement, beside the usual SQL: a join, window
functions, and sums. Data-driven models over a million paths of 1 to 12 steps through 12 channels: a table (path text[], conversions,
value, nulls), beside ChannelAttribution, which simulates, at its defaults. Everything is in memory; the median of some turns counts, in one
process each."""

import statistics
import tempfile
import time

import peers
from figure import Figure, Value, WrongAnswer, measures
from server import Server

SETTINGS = {"jit": "off", "work_mem": "256MB", "attribution.work_mem": "1GB", "shared_buffers": "4GB", "max_wal_size": "16GB",
            "max_parallel_workers_per_gather": 0, "timezone": "UTC"}
MODELS = "{first_touch,last_touch,linear,position_based}"
# What a warehouse package would generate.
USUAL = """
    WITH pair AS (
        SELECT b.id AS buy, e.channel, row_number() OVER (PARTITION BY b.id ORDER BY e.at, e.id) AS n, count(*) OVER (PARTITION BY b.id) AS total
        FROM buys AS b JOIN touches AS e ON e.person = b.person AND e.at <= b.at AND e.at >= b.at - interval '7 days'
    ), credit AS (
        SELECT channel, CASE WHEN n = 1 THEN 1.0 ELSE 0 END AS first, CASE WHEN n = total THEN 1.0 ELSE 0 END AS last,
            1.0::float8 / total AS linear,
            CASE WHEN total = 1 THEN 1.0::float8 WHEN total = 2 THEN 0.5 WHEN n IN (1, total) THEN 0.4 ELSE 0.2 / (total - 2) END AS position
        FROM pair
    )
    SELECT channel, sum(first)::float8, sum(last)::float8, sum(linear), sum(position) FROM credit GROUP BY channel ORDER BY channel"""
OURS = f"""
    SELECT channel, max(conversions) FILTER (WHERE model = 'first_touch'), max(conversions) FILTER (WHERE model = 'last_touch'),
        max(conversions) FILTER (WHERE model = 'linear'), max(conversions) FILTER (WHERE model = 'position_based')
    FROM attribution.compare_models('buys', '-infinity', 'infinity', '{MODELS}') WHERE channel IS NOT NULL GROUP BY channel ORDER BY channel"""


def timed(server, query, parameters=None):
    began = time.monotonic()
    rows = server.run(query, parameters)
    return time.monotonic() - began, rows


def same(a, b, tolerance=1e-6):
    return len(a) == len(b) and all(x[0] == y[0] and all(abs(p - q) <= tolerance * max(1, abs(q)) for p, q in zip(x[1:], y[1:]))
                                    for x, y in zip(a, b))


@measures(Figure("heuristics_vs_sql", "s", "Four heuristic models, by compare_models(); the peer is the usual SQL.", ratio_target=8))
def heuristics(bench):
    people, turns = bench.pick(48_900, 500), bench.pick(3, 1)
    with Server(**SETTINGS) as server:
        server.run("CREATE TABLE touches (id bigint, person int, at timestamptz, channel text)")
        server.run("CREATE TABLE buys (id bigint PRIMARY KEY, person int, at timestamptz)")
        # Visits come in the ten days of the reference, most of them page views. Some people come often, and buy often: of a pair of a
        # purchase and a visit there are 65 a purchase, as in the reference.
        often = "floor(%s * ((hashint8extended({}, {}) & 1073741823) / 1073741824.0) ^ 1.54)::int"
        server.run(f"""INSERT INTO touches SELECT n, {often.format('n', 1)}, timestamptz '2026-01-01 00:00+00'
                       + (hashint8extended(n, 2) & 1073741823) %% 864000 * interval '1 second',
                       CASE WHEN hashint8extended(n, 3) & 31 < 2 THEN 'cart' WHEN hashint8extended(n, 3) & 31 < 3 THEN 'fav' ELSE 'pv' END
                       FROM generate_series(1, %s) AS n""", (people, people * 101))
        server.run(f"""INSERT INTO buys SELECT n, {often.format('n', 4)}, timestamptz '2026-01-01 00:00+00'
                       + (hashint8extended(n, 5) & 1073741823) %% 864000 * interval '1 second' FROM generate_series(1, %s) AS n""",
                   (people, people * 105_000 // 48_900))
        server.run("CREATE INDEX ON touches (person, at)")
        server.run("CREATE INDEX ON touches USING touch (person, at)")
        server.run("CREATE INDEX ON buys (person, at)")
        server.run("SELECT attribution.create_rule('buys', 'buys', 'id', 'at', channel => 'touch.channel')")
        server.run("SELECT attribution.add_tier('buys', 'touch', 'touches', '{person}', '7 days')")
        server.run("VACUUM (ANALYZE)")
        bench.ready(server)
        seconds = {"ours": [], "peer": []}
        for turn in range(turns):
            ours, found = timed(server, OURS)
            peer, wanted = timed(server, USUAL)
            if not same(found, wanted):
                raise WrongAnswer(f"the answers differ: {found} and {wanted}")
            seconds["ours"].append(ours)
            seconds["peer"].append(peer)
            bench.progress(f"turn {turn + 1} of {turns}: {ours:.2f} s, SQL {peer:.2f} s")
        return {"heuristics_vs_sql": Value(statistics.median(seconds["ours"]), statistics.median(seconds["peer"]))}


def load_paths(server, count):
    """Walks through channels of which some are common and some are rare: 12 of them, half as likely each."""
    server.run("""CREATE TABLE paths AS
        SELECT ARRAY(SELECT 'channel ' || chr(97 + least(11, floor(-ln(((hashint8extended(n * 16 + k, 6) & 1073741823) + 1) / 1073741825.0) / ln(1.6)))::int)
                     FROM generate_series(1, 1 + least(11, (hashint8extended(n, 7) & 1073741823) %% 7 + (hashint8extended(n, 8) & 1073741823) %% 6)) AS k) AS path,
            1 + (hashint8extended(n, 9) & 3)::float8 AS conversions, ((hashint8extended(n, 10) & 1023) / 8.0)::float8 AS value,
            (hashint8extended(n, 11) & 15)::float8 AS nulls
        FROM generate_series(1, %s) AS n""", (count,))
    server.run("VACUUM (ANALYZE) paths")


@measures(
    Figure("markov_vs_channelattribution", "s", "A Markov model of order 1, exact; the peer simulates.", ratio_target=5),
    Figure("markov2_vs_channelattribution", "s", "The same of order 2.", ratio_target=5),
    Figure("shapley_vs_heuristics", "s", "Shapley values; the peer is first, last, linear and position based over the same paths.",
           ratio_target=0.5))
def data_driven(bench):
    peers.install(bench)
    count, turns = bench.pick(1_000_000, 10_000), bench.pick(3, 1)
    with Server(**SETTINGS) as server, tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        load_paths(server, count)
        with server.connect().cursor() as cursor, open(f"{directory}/paths.csv", "w", encoding="ascii") as file:
            cursor.copy_expert("COPY (SELECT array_to_string(path, ' > ') AS path, conversions, value, nulls FROM paths) TO STDOUT (FORMAT csv, HEADER)",
                               file)
        peer = peers.Peer("channelattribution", directory, threads=1)
        bench.ready(server)
        values = {}
        for order, name in ((1, "markov_vs_channelattribution"), (2, "markov2_vs_channelattribution")):
            ours, theirs, off = [], [], 0
            for turn in range(turns):
                seconds, rows = timed(server, """SELECT credit.channel, credit.conversions FROM
                    (SELECT attribution.markov(path, conversions, value, nulls, %s) AS credits FROM paths) AS m, unnest(credits) AS credit""", (order,))
                ours.append(seconds)
                answer = peer.ask(str(order))
                theirs.append(answer["seconds"])
                exact = dict(rows)
                if set(exact) != set(answer["credits"]):
                    raise WrongAnswer(f"the channels differ: {sorted(exact)} and {sorted(answer['credits'])}")
                off = max(abs(answer["credits"][c] / x - 1) for c, x in exact.items())
                bench.progress(f"{name}, turn {turn + 1} of {turns}: {seconds:.2f} s, {answer['seconds']:.2f} s")
            values[name] = Value(statistics.median(ours), statistics.median(theirs), f"Its credits are off by up to {off:.1%}.")
        peer.end()
        shapley, heuristic = [], []
        for _ in range(turns):
            shapley.append(timed(server, "SELECT attribution.shapley(path, conversions, value) FROM paths")[0])
            heuristic.append(timed(server, f"SELECT attribution.heuristics(path, conversions, value, '{MODELS}') FROM paths")[0])
        values["shapley_vs_heuristics"] = Value(statistics.median(shapley), statistics.median(heuristic))
        return values
