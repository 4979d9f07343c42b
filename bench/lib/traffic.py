"""The mobile preset with eight days of made-up traffic, and whether what is decided about it is right."""

import datetime
import pathlib
import time

from figure import WrongAnswer

DAYS = 8
CHUNK = 100_000
SINCE_WITHOUT_PROGRESS = 90     # seconds; a worker looks around once a minute, whatever it has missed


class Traffic:
    """`clicks` and `impressions` are how many the days hold; the last of them came just now."""

    def __init__(self, bench, server):
        self.bench, self.server = bench, server
        self.clicks = bench.pick(400_000, 20_000)
        self.impressions = bench.pick(1_000_000, 50_000)
        self.other_events = bench.pick(400_000, 20_000)
        self.decided = bench.pick(50_000, 1_000)
        self.until = server.value("SELECT now()")
        self.since = self.until - datetime.timedelta(days=DAYS)

    def load(self):
        server = self.server
        server.run("SELECT attribution.create_mobile('game')")
        server.run("SELECT attribution.make_partitions(t::regclass, %s, %s)"
                   " FROM unnest('{game.clicks,game.impressions,game.events,game.installs_decisions,game.installs_credits}'::text[]) AS t",
                   (self.since, self.until))
        server.run((pathlib.Path(__file__).parent / "traffic.sql").read_text(),
                   {"since": self.since, "until": self.until, "devices": self.impressions // 2, "clicks": self.clicks,
                    "impressions": self.impressions, "events": self.other_events})
        for what, count in (("clicks", self.clicks), ("impressions", self.impressions), ("other_events", self.other_events)):
            self.add(what, count)
        # Installs from before the rule, of which most are closed as soon as they are decided. Their numbers are far beyond the others.
        server.run("ALTER TABLE game.events DISABLE TRIGGER attribution_installs")
        self.add_past_installs(self.decided, 1_000_000_000)
        server.run("ALTER TABLE game.events ENABLE ALWAYS TRIGGER attribution_installs")
        server.run("ANALYZE")
        server.run("CALL attribution.reconcile('installs')")
        # A worker may have taken some of them.
        self.wait_until_decided()
        server.run("VACUUM (ANALYZE)")

    def add(self, what, count, *more):
        """Rows 1 to count, in pieces, with progress."""
        marks = ", %s" * len(more)
        for first in range(1, count + 1, CHUNK):
            last = min(first + CHUNK - 1, count)
            self.server.run(f"SELECT traffic.add_{what}(%s, %s{marks})", (first, last, *more))
            self.bench.progress(f"{last:,} of {count:,} {what.replace('_', ' ')}")

    def add_past_installs(self, count, past=0):
        """Over the last seven days, with numbers above `past`."""
        since = self.until - datetime.timedelta(days=7)
        span = self.until - since
        for first in range(1, count + 1, CHUNK):
            last = min(first + CHUNK - 1, count)
            self.server.run("SELECT traffic.add_installs(%s, %s, %s, %s)",
                            (past + first, past + last, since + span * (first - 1) / count, since + span * last / count))
            self.bench.progress(f"{last:,} of {count:,} installs")

    # Waiting and checking

    def undecided(self):
        waiting, dead = self.server.run("SELECT count(*) FILTER (WHERE due < 'infinity'), count(*) FILTER (WHERE due = 'infinity')"
                                        " FROM game.installs_pending WHERE arrived_at IS NULL OR due = 'infinity'")[0]
        if dead:
            raise WrongAnswer(f"{dead} installs were set aside as dead letters")
        return waiting

    def wait_until_decided(self, every=0.1):
        """Until nothing in the queue is undecided; an error when nothing gets on."""
        least, since = self.undecided(), time.monotonic()
        while least:
            time.sleep(every)
            now = self.undecided()
            if now < least:
                least, since = now, time.monotonic()
                self.bench.progress(f"{now:,} undecided")
            elif time.monotonic() - since > SINCE_WITHOUT_PROGRESS:
                raise WrongAnswer(f"{now} installs are undecided and nobody has decided any for {SINCE_WITHOUT_PROGRESS} s")

    def check_counts(self, installs):
        """One decision with one credit for each of so many, and those from before."""
        installs += self.decided
        counts = self.server.run(
            "SELECT (SELECT count(*) FROM game.events WHERE event_id = 'install'), (SELECT count(*) FROM game.installs_decisions),"
            " (SELECT count(*) FROM game.installs_credits), (SELECT count(DISTINCT conversion_id) FROM game.installs_attribution)")[0]
        if counts != (installs,) * 4:
            raise WrongAnswer(f"{installs} installs were brought; installs, decisions, credits, installs with both: {counts}")

    def check_decisions(self, since="-infinity", until="infinity"):
        """Those on installs of a time are what attribute() says, and not all are organic."""
        both = ("(SELECT conversion_id, conversion_time, outcome, tier, touch_id FROM game.installs_attribute(%(since)s, %(until)s))",
                "(SELECT conversion_id, conversion_time, outcome, tier, touch_id FROM game.installs_attribution"
                " WHERE conversion_time >= %(since)s AND conversion_time < %(until)s)")
        span = {"since": since, "until": until}
        wrong = [self.server.value(f"SELECT count(*) FROM ({a} EXCEPT ALL {b}) AS d", span) for a, b in (both, both[::-1])]
        if wrong != [0, 0]:
            raise WrongAnswer(f"attribute() says otherwise of {wrong[0]} installs, where {wrong[1]} decisions are stored")
        if not self.server.value(f"SELECT count(touch_id) FROM {both[1]} AS d", span):
            raise WrongAnswer("no install was attributed")

    def close_all(self):
        """Runs the rule as of the day after tomorrow, when nothing is open any more. What a worker is at just now is left for another turn."""
        while self.server.value("SELECT count(*) FROM game.installs_pending"):
            self.server.run("CALL attribution.run('installs', as_of => now() + interval '2 days')")
