#!/usr/bin/python3
"""The live part of demo/checkout: starts producer and bridge, and shows once a second what goes on. The server is that of PGHOST."""

import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "test/checkout"), str(ROOT / "test/chaos")]

import psycopg2
import pipeline
from server import await_that

EVENTS, RATE = 60_000, 2_500
LATEST = """SELECT checkout_id, click_id, checkout_time, click_time, user_name
  FROM commerce.attributed_checkouts ORDER BY checkout_time DESC LIMIT 5"""


def connect():
    session = psycopg2.connect("")
    session.autocommit = True
    return session.cursor()


def row(cursor, text):
    cursor.execute(text)
    return cursor.fetchone()


def look(cursor):
    """What has come how far."""
    read, dead = row(cursor, "SELECT coalesce(sum(rows + dead), 0)::bigint, coalesce(sum(dead), 0)::bigint FROM attribution.bridge_ledger")
    lag, = row(cursor, "SELECT coalesce(sum(lag), 0)::bigint FROM attribution.bridge_lag")
    moved, twice = row(cursor, "SELECT sum(moved)::bigint, sum(duplicates)::bigint FROM attribution.ingest_progress")
    decided, attributed, unknown = row(cursor, """
        SELECT count(*), count(*) FILTER (WHERE outcome = 'attributed'), count(*) FILTER (WHERE user_name IS NULL) FROM commerce.checkouts_decisions""")
    undecided, = row(cursor, "SELECT count(*) FROM commerce.checkouts_pending WHERE arrived_at IS NULL")
    delay, = row(cursor, """
        SELECT round(1000 * extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY d.decided_at - k.received_at)))
          FROM commerce.checkouts AS k JOIN commerce.checkouts_decisions AS d ON d.conversion_id = k.checkout_id AND d.conversion_time = k.datetime_occured
         WHERE k.received_at > now() - interval '2 seconds'""")
    return {"read": read, "dead": dead, "lag": lag, "moved": moved or 0, "twice": twice or 0, "decided": decided, "attributed": attributed,
            "unknown": unknown, "undecided": undecided, "delay": delay}


def show(cursor, began, seen, before):
    """One picture; on a terminal in the place of the last one."""
    lines = [f"\033[1mtopics -> staging\033[0m      {seen['read']:>9,} messages   {seen['read'] - before['read']:>7,} a second   lag {seen['lag']:,}",
             f"\033[1mstaging -> events\033[0m      {seen['moved']:>9,} events     {seen['twice']:>7,} came twice   {seen['dead']:,} were no events",
             f"\033[1mcheckouts -> decisions\033[0m {seen['decided']:>9,} decided    {seen['undecided']:>7,} wait         "
             + (f"{seen['delay']} ms from staging to decision" if seen["delay"] is not None else ""),
             f"\033[1mattributed\033[0m             {100 * seen['attributed'] / max(1, seen['decided']):>8.1f} %           {seen['unknown']:>7,} of users who are in no table", "",
             *LATEST.split("\n"), ""]
    cursor.execute(LATEST)
    for checkout, click, at, clicked, user in cursor.fetchall():
        lines.append(f"  {checkout[:8]}..  {(click or '-')[:8]:<8}..  {at:%H:%M:%S.%f}"[:-3] + f"  {f'{clicked:%H:%M:%S.%f}'[:-3] if clicked else '-':<12}  {user or '-'}")
    lines += [""] * (12 - len(lines))
    lines.insert(0, f"{time.monotonic() - began:5.0f} s")
    if sys.stdout.isatty():
        if before["shown"]:
            print(f"\033[{len(lines)}A", end="")
        lines = ["\033[2K" + line for line in lines]
    print("\n".join(lines), flush=True)
    seen["shown"] = True
    return seen


def main():
    cursor = connect()
    pipeline.create(cursor)
    work = pathlib.Path(tempfile.mkdtemp(prefix="checkout-demo."))
    print("SELECT attribution.create_checkout();    -- tables, rule, sink, staging: all there is to set up\n")
    prefix = f"demo{os.getpid()}." if os.environ.get("KAFKA") else ""
    producer = pipeline.Producer("--events", str(EVENTS), "--rate", str(RATE), "--density", str(RATE), "--prefix", prefix, "--duplicates", "0.01", "--late", "0.005",
                                 "--out-of-order", "0.02", "--malformed", "0.001", brokers=os.environ.get("KAFKA"))
    bridge = pipeline.bridge(work, "demo", producer.brokers, cursor, lambda config: config.replace('topics = ["', f'topics = ["{prefix}'))
    made = []
    sending = threading.Thread(target=lambda: made.append(producer.made()), daemon=True)
    try:
        bridge.start()
        sending.start()
        began = time.monotonic()
        seen = {"read": 0, "shown": False}
        while True:
            now = look(cursor)
            seen = show(cursor, began, now, seen)
            if made and now["read"] >= made[0]["messages"] and now["undecided"] == 0 \
               and row(cursor, "SELECT count(*) = 0 FROM commerce.checkouts_staging")[0]:
                break
            time.sleep(1)
            if bridge.process.poll() is not None:
                raise SystemExit(f"kafka-bridge ended:\n{bridge.log()[-2000:]}")
        # A checkout that is decided before its click is there gets it at its next turn, a second later.
        await_that("the last clicks", lambda: row(cursor, "SELECT count(*) = 0 FROM commerce.checkouts_decisions WHERE outcome = 'organic'")[0])
        now = look(cursor)
        show(cursor, began, now, seen)
        events = made[0]["events"]
        print(f"\n{events:,} events were sent in {made[0]['messages']:,} messages: {made[0]['duplicates']:,} twice, {made[0]['late']:,} late, "
              f"{made[0]['out_of_order']:,} out of order, {made[0]['malformed']:,} that were none. {now['moved']:,} events are there, and every checkout once.")
        checkout, = row(cursor, "SELECT checkout_id FROM commerce.attributed_checkouts ORDER BY checkout_time DESC LIMIT 1")
        print(f"\nSELECT * FROM attribution.explain('checkouts', '{checkout}');")
        cursor.execute("SELECT touch_id, reason, verdict FROM attribution.explain('checkouts', %s)", (checkout,))
        for touch, reason, verdict in cursor.fetchall():
            print(f"  {(touch or '-')[:8]:<8}..  {reason:<14}  {verdict}")
    finally:
        bridge.kill(signal.SIGTERM)
        producer.end()
        shutil.rmtree(work)


main()
