"""Staged rows.

Clicks of kafka-bridge's kind lie in a staging table, and go on into the day partitions of create_mobile(), which hold eight days
already: by attribution.ingest(), with the touch indexes of the tiers, one on the id, and the primary key. Of a hundred staged rows
one has come before, at another time, and one comes twice."""

import time

from figure import Figure, Value, WrongAnswer, measures
from process import cpu_seconds
from server import Server

DAYS = 8
CHUNK = 200_000

# Row n, which comes at `at`. As JSON such a row takes some 450 bytes.
COLUMNS = """link_uid, event_time, store_id, network, campaign_name, campaign_id, ad_name, ad_id, ifa, client_ip, user_agent, click_id, country_iso,
    state_iso, city_name, kafka_partition, kafka_offset, kafka_time"""
ROW = """
    md5('click' || n)::uuid, at, 'com.example.game' || device % 3, 'network ' || n % 8,
    'campaign ' || n % 40, (n % 40)::text, 'ad ' || n % 400, (n % 400)::text,
    CASE WHEN device % 8 > 0 THEN md5(device::text)::uuid END, inet '10.0.0.0' + device / 3,
    'Mozilla/5.0 (Linux; Android 13; SM-A' || device % 300 || ') AppleWebKit/537.36 (KHTML, like Gecko) Chrome/116.0.0.0 Mobile Safari/537.36',
    md5('id ' || n), 'SE', 'AB', 'Stockholm', (n % 48)::int, n / 48, at"""


def stage(server, first, last, since, until):
    """Rows first to last - 1, over a time. One of a hundred is one of the past, and one is of the same id as the row before last."""
    server.run(f"""
        INSERT INTO game.clicks_staging ({COLUMNS})
        SELECT {ROW} FROM (
          SELECT CASE k % 100 WHEN 50 THEN k / 2 WHEN 51 THEN k - 2 ELSE k END AS n,
            timestamptz '{since}' + (timestamptz '{until}' - timestamptz '{since}') * ((k - {first})::float8 / {last - first}) AS at,
            (hashint8extended(k, 6) & 1073741823) % 200000 AS device
          FROM generate_series({first}, {last - 1}::bigint) AS k) AS r""")


@measures(Figure("staging_merge_rows_per_s", "rows/s", "Staged rows that go into indexed day partitions, each once, in one session.", "higher", target=100_000),
          Figure("staging_merge_us", "us", "The processor time of the session for such a row."))
def merge(bench):
    past, staged = bench.pick(2_000_000, 40_000), bench.pick(1_000_000, 20_000)
    with Server(max_wal_size="16GB", jit="off") as server:
        server.run("SELECT attribution.create_mobile('game')")
        server.run("CREATE INDEX ON game.clicks USING touch (link_uid, event_time)")
        server.run("SELECT attribution.ingest_from('game.clicks', attribution.make_staging('game.clicks'))")
        until, since = server.run(f"SELECT now(), now() - interval '{DAYS} days'")[0]
        for first in range(1, past + 1, CHUNK):
            last = min(first + CHUNK, past + 1)
            stage(server, first, last, since + (until - since) * (first - 1) / past, since + (until - since) * (last - 1) / past)
            server.run("CALL attribution.ingest('game.clicks')")
            bench.progress(f"{last:,} of {past:,} clicks of the past")
        server.run("VACUUM (ANALYZE)")
        before = server.run("SELECT moved, duplicates, rejected FROM attribution.ingest_status")[0]
        stage(server, past + 1, past + staged + 1, until, server.value("SELECT now() + interval '1 minute'"))
        bench.ready(server)
        session = server.connect()
        pid = session.get_backend_pid()
        cpu, began = cpu_seconds(pid), time.monotonic()
        with session.cursor() as cursor:
            cursor.execute("CALL attribution.ingest('game.clicks')")
        seconds, cpu = time.monotonic() - began, cpu_seconds(pid) - cpu
        left, moved, duplicates, rejected = server.run("SELECT staged, moved, duplicates, rejected FROM attribution.ingest_status")[0]
        counts = [now - then for now, then in zip((moved, duplicates, rejected), before)]
        if left or rejected or sum(counts) != staged:
            raise WrongAnswer(f"{staged} rows were staged: {left} left, moved, duplicates, rejected: {counts}")
        rows, ids = server.run("SELECT count(*), count(DISTINCT link_uid) FROM game.clicks")[0]
        if rows != ids or rows != moved or abs(counts[1] - staged * 0.02) > staged * 0.001:
            raise WrongAnswer(f"{rows} rows with {ids} ids; {counts[1]} duplicates of {staged}")
        width = server.value("SELECT avg(pg_column_size(c.*))::int FROM game.clicks AS c")
        staging = server.value("SELECT pg_relation_size('game.clicks_staging')")
    return {"staging_merge_rows_per_s": Value(staged / seconds, note=f"{staged:,} rows after {past:,}. In the table a row takes {width} bytes. "
                                              f"The staging table takes {staging >> 10} KB then."),
            "staging_merge_us": Value(cpu / staged * 1e6)}
