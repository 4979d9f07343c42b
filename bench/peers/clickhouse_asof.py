"""The backfill by ClickHouse (chdb), on its own storage: ASOF JOIN. As duckdb_asof.py."""

import json
import sys
import time

from chdb import session

directory, threads = sys.argv[1:]
db = session.Session(f"{directory}/clickhouse")
db.query("CREATE DATABASE IF NOT EXISTS bench")
for table in ("clicks", "impressions", "installs"):
    db.query(f"CREATE TABLE bench.{table} (id Int64, at DateTime64(6, 'UTC'), app Int32, device UUID)"
             " ENGINE = MergeTree ORDER BY (app, device, at)")
    db.query(f"INSERT INTO bench.{table} SELECT * FROM file('{directory}/{table}.csv', 'CSV',"
             " 'id Int64, at DateTime64(6, ''UTC''), app Int32, device UUID') SETTINGS date_time_input_format = 'best_effort'")
    db.query(f"OPTIMIZE TABLE bench.{table} FINAL")
print(json.dumps("ready"), flush=True)

for _ in sys.stdin:
    db.query("DROP TABLE IF EXISTS bench.decided")
    began = time.monotonic()
    db.query("CREATE TABLE bench.decided (install Int64, touch Nullable(Int64)) ENGINE = MergeTree ORDER BY install")
    db.query(f"""
        INSERT INTO bench.decided
        SELECT install, multiIf(click > 0 AND click_at >= at - INTERVAL 7 DAY, click,
                                m.id > 0 AND m.at >= c.at - INTERVAL 1 DAY, m.id, NULL)
        FROM (SELECT i.id AS install, i.at AS at, i.app AS app, i.device AS device, c.id AS click, c.at AS click_at
              FROM bench.installs AS i ASOF LEFT JOIN bench.clicks AS c
                ON c.app = i.app AND c.device = i.device AND c.at <= i.at) AS c
        ASOF LEFT JOIN bench.impressions AS m ON m.app = c.app AND m.device = c.device AND m.at <= c.at
        SETTINGS max_threads = {threads}""")
    seconds = time.monotonic() - began
    attributed, total = json.loads(str(db.query("SELECT count(touch), toInt64(sum(touch)) FROM bench.decided", "JSONCompactEachRow")))
    print(json.dumps({"seconds": seconds, "attributed": int(attributed), "sum": int(total)}), flush=True)
