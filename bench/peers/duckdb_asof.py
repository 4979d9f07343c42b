"""The backfill by DuckDB, on its own storage: ASOF JOIN. Reads the CSV files of a directory, then answers each line of its
input by one of {seconds, attributed, sum}."""

import json
import sys
import time

import duckdb

directory, threads = sys.argv[1:]
db = duckdb.connect(f"{directory}/duckdb")
db.execute(f"SET threads = {threads}")
db.execute("SET TimeZone = 'UTC'")
for table in ("clicks", "impressions", "installs"):
    db.execute(f"CREATE TABLE {table} AS SELECT * FROM read_csv('{directory}/{table}.csv', header = false, columns ="
               " {'id': 'BIGINT', 'happened': 'TIMESTAMPTZ', 'app': 'INTEGER', 'device': 'UUID'})")
db.execute("CHECKPOINT")
print(json.dumps("ready"), flush=True)

for _ in sys.stdin:
    db.execute("DROP TABLE IF EXISTS decided")
    began = time.monotonic()
    db.execute("""
        CREATE TABLE decided AS
        SELECT install, CASE WHEN clicked >= happened - INTERVAL 7 DAY THEN click
                             WHEN seen >= happened - INTERVAL 1 DAY THEN impression END AS touch
        FROM (SELECT c.*, m.id AS impression, m.happened AS seen
              FROM (SELECT i.id AS install, i.happened, i.app, i.device, c.id AS click, c.happened AS clicked
                    FROM installs AS i ASOF LEFT JOIN clicks AS c
                      ON c.app = i.app AND c.device = i.device AND c.happened <= i.happened) AS c
              ASOF LEFT JOIN impressions AS m ON m.app = c.app AND m.device = c.device AND m.happened <= c.happened)""")
    seconds = time.monotonic() - began
    attributed, total = db.execute("SELECT count(touch), sum(touch) FROM decided").fetchone()
    print(json.dumps({"seconds": seconds, "attributed": attributed, "sum": int(total)}), flush=True)
