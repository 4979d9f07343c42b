#!/usr/bin/python3
"""The part of demo/checkout that follows when its server runs: a shop's clicks and checkouts, live."""

import live
from live import Show, Way, await_that, connect, pipeline, row, step

EVENTS, RATE = 60_000, 2_500
LATEST = """SELECT checkout_id, click_id, checkout_time, click_time, user_name
  FROM commerce.attributed_checkouts ORDER BY checkout_time DESC LIMIT 5"""


def main():
    step("A shop, live")
    cursor = connect()
    print("SELECT attribution.create_checkout();    -- tables, rule, sink, staging: all there is to set up\n")
    pipeline.create(cursor)
    with Way(cursor, "checkouts", {"clicks": pipeline.PARTITIONS, "checkouts": pipeline.PARTITIONS}) as way:
        show = Show(way, "commerce", "checkouts", ("commerce.checkouts", "checkout_id", "datetime_occured"), f"""
            SELECT left(checkout_id, 8), left(click_id, 8), to_char(checkout_time, 'HH24:MI:SS.MS'), to_char(click_time, 'HH24:MI:SS.MS'), user_name
              FROM ({LATEST}) AS latest""", LATEST.split("SELECT ")[1].split("\n")[0].split(", "), (11, 8, 13, 12, 9))
        way.produce("--events", str(EVENTS), "--rate", str(RATE), "--density", str(RATE), *live.TROUBLE, stream="checkout")
        show.until_all_is_there()
        # A checkout that is decided before its click is there gets it at its next turn, a second later.
        await_that("the last clicks", lambda: row(cursor, "SELECT count(*) = 0 FROM commerce.checkouts_decisions WHERE outcome = 'organic'")[0])
        seen, made = show.end(), way.sent[0]
        print(f"\n{made['events']:,} events were sent in {made['messages']:,} messages: {made['duplicates']:,} twice, {made['late']:,} late, "
              f"{made['out_of_order']:,} out of order, {made['malformed']:,} that were none. {seen['moved']:,} events are there, and every checkout once.")
        checkout, = row(cursor, "SELECT checkout_id FROM commerce.attributed_checkouts ORDER BY checkout_time DESC LIMIT 1")
        print(f"\nSELECT * FROM attribution.explain('checkouts', '{checkout}');")
        cursor.execute("SELECT touch_id, reason, verdict FROM attribution.explain('checkouts', %s)", (checkout,))
        for touch, reason, verdict in cursor.fetchall():
            print(f"  {(touch or '-')[:8]:<8}..  {reason:<14}  {verdict}")


main()
