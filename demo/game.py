#!/usr/bin/python3
"""The part of demo/run that follows when its server runs: a publisher's week through Kafka, today live, the report, a click that comes late."""

import json
import subprocess

import live
from live import ROOT, Show, Way, await_that, connect, row, step

GENERATE = ROOT / ".cache/demo/generate"
EVENTS, RATE, DEVICES = 36_000, 3_000, 8_000
# A week of impressions is about 400 MB there. Batches that wait longer for company get smaller by compression.
PARTITIONS = {"clicks": 8, "impressions": 160, "events": 16}
PRODUCER = ["--property", "linger.ms=100", "--property", "queue.buffering.max.messages=200000"]
EPOCH = {"time": "epoch_ms"}
MAPPING = {table: {"columns": {"event_time": {**EPOCH, "required": True}}} for table in PARTITIONS}
MAPPING["events"]["columns"]["install_begin_time"] = EPOCH
LATEST = """SELECT left(conversion_id::text, 8), to_char(conversion_time, 'DD Mon HH24:MI:SS.MS'), to_char(touch_time, 'DD Mon HH24:MI:SS.MS'),
         coalesce(tier, outcome), network, campaign_name
    FROM game.installs_attribution ORDER BY conversion_time DESC LIMIT 5"""
TIERS = """
\\pset footer off
\\pset title 'The tiers of rule "installs", strongest first'
SELECT tier, touchpoints, match, lookback, conflict FROM attribution.tiers WHERE rule = 'installs' ORDER BY strength"""


def build():
    source = ROOT / "demo/generate.cpp"
    GENERATE.parent.mkdir(parents=True, exist_ok=True)
    if not GENERATE.exists() or GENERATE.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["g++", "-std=c++20", "-O2", "-Wall", "-Wextra", f"-I{ROOT}/demo/producer", "-o", GENERATE, source], check=True)


def psql(text, **variables):
    settings = [option for name, value in variables.items() for option in ("-v", f"{name}={value}")]
    subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", *settings, "-f", "-"], input=text, text=True, check=True)


def create(cursor):
    print("CREATE EXTENSION attribution;\nSELECT attribution.create_mobile('game');", flush=True)
    cursor.execute("""
        CREATE EXTENSION attribution;
        SET client_min_messages = warning;
        SELECT attribution.create_mobile('game')""")
    psql(TIERS)
    print("SELECT attribution.bridge_config('installs', mapping => '{\"clicks\": {\"columns\": {\"event_time\": {\"time\": \"epoch_ms\"}}}, ..}');",
          flush=True)


def late_click(cursor, way):
    """Of an install that was organic, by the same way as all others."""
    install, app, device, clicked = row(cursor, """
        SELECT d.conversion_id, e.store_id, e.ifa, (extract(epoch FROM e.event_time - interval '10 minutes') * 1000)::bigint
          FROM game.installs_decisions AS d JOIN game.events AS e ON (e.event_uid, e.event_time) = (d.conversion_id, d.conversion_time)
         WHERE d.outcome = 'organic' AND e.ifa <> '00000000-0000-0000-0000-000000000000' AND d.conversion_time < '2026-01-12 00:00+00'
         ORDER BY d.conversion_id LIMIT 1""")
    before, = row(cursor, "SELECT clock_timestamp()")
    click = {"link_uid": "1a7e1a7e-0000-4000-8000-000000000001", "event_time": clicked, "store_id": app, "network": "latenet",
             "campaign_name": "late_but_true", "ifa": device}
    print(f"An install of {device[:8]}.. was organic. Now a click of that device comes, ten minutes older than the install:\n  {json.dumps(click)}", flush=True)
    way.tell("clicks", json.dumps(click))
    await_that("the click", lambda: row(cursor, f"SELECT count(*) = 1 FROM game.clicks WHERE link_uid = '{click['link_uid']}'")[0])
    print("Open installs are decided again 1 s, 10 s, 1 min, 10 min .. after they came. Here that is not waited for:\n"
          "CALL attribution.run('installs', as_of => now() + interval '1 hour');", flush=True)
    cursor.execute("CALL attribution.run('installs', as_of => now() + interval '1 hour')")
    # The worker may have had it in its hands just then.
    await_that("the decision", lambda: row(cursor, f"SELECT outcome = 'attributed' FROM game.installs_decisions WHERE conversion_id = '{install}'")[0])
    psql((ROOT / "demo/late.sql").read_text(), install=install, before=before)


def main():
    build()
    step("Tables, the rule, the way there: three statements")
    cursor = connect()
    create(cursor)
    with Way(cursor, "installs", PARTITIONS, json.dumps(MAPPING), 'rows = 20000, age = "50ms"') as way:
        show = Show(way, "game", "installs", ("game.events", "event_uid", "event_time"), LATEST, ("install", "at", "touched", "tier", "network", "campaign"),
                    (8, 19, 19, 25, 7, 14))
        step("A week's clicks, impressions and events, from Kafka to decisions")
        with subprocess.Popen([GENERATE], stdout=subprocess.PIPE) as devices:
            way.produce(*PRODUCER, stream="lines", input=devices.stdout)
            show.until_all_is_there()
        seen = show.end()
        print(f"\n{way.sent[0]['messages']:,} messages were sent. {seen['moved']:,} events are there, {seen['twice']:,} came twice; each of "
              f"{seen['decided']:,} installs has one decision.", flush=True)

        step("Today's, live")
        show.again()
        way.produce("--events", str(EVENTS), "--rate", str(RATE), "--density", str(RATE), "--devices", str(DEVICES), *live.TROUBLE, stream="mobile")
        show.until_all_is_there()
        show.end()

        step("Report")
        cursor.execute("VACUUM (ANALYZE) game.clicks, game.impressions, game.events")
        # What is written now isn't written while the time is taken.
        cursor.execute("CHECKPOINT")
        psql((ROOT / "demo/report.sql").read_text())

        step("A click that comes late")
        late_click(cursor, way)


main()
