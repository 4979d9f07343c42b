"""Checkouts end to end.

demo/producer makes a shop's clicks and checkouts; they go through an embedded broker, kafka-bridge, staging and ingestion, and the worker
attributes each checkout, with the user's name looked up. Producer, broker, bridge and server share the machine's cores. Rate: all
events are produced as fast as it goes; time runs from the claim of the partitions, without the seconds that the embedded broker takes to
form a group, until every checkout is attributed to its click. Latency: from a checkout's own time, which is when it was produced, to the
commit of the decision that has its click, at half of that rate, without what was produced before the bridge had its partitions."""

import pathlib
import shutil
import signal
import sys
import tempfile

from figure import Figure, Value, WrongAnswer, measures
from process import cpu_seconds
from server import ROOT, Server

sys.path.append(str(ROOT / "test/checkout"))


class Shop:
    """A server with the preset and a bridge; `produce()` brings events."""

    def __init__(self, bench):
        import pipeline
        pipeline.build()
        self.bench, self.pipeline = bench, pipeline
        self.server = Server(shared_preload_libraries="attribution", track_commit_timestamp="on", max_wal_size="16GB", shared_buffers="2GB")
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="checkout-bench."))

    def __enter__(self):
        self.server.__enter__()
        self.server.run("DROP EXTENSION attribution")
        with self.server.session.cursor() as cursor:
            self.pipeline.create(cursor)
        return self

    def __exit__(self, *failure):
        shutil.rmtree(self.work)
        self.server.__exit__(*failure)

    def bring(self, events, rate):
        """Produces events, `rate` a second (0: as fast as it goes), waits until all checkouts have their clicks. Returns (seconds, the bridge's
        processor time)."""
        server, dsn = self.server, " ".join(f"{name}={value}" for name, value in self.server.place.items()) + " user=postgres dbname=bench"
        # Their own times go by as they are produced; as fast as it goes, at a rate that none will reach.
        producer = self.pipeline.Producer("--events", str(events), "--rate", str(rate), "--density", str(rate or 1_000_000))
        try:
            with server.session.cursor() as cursor:
                bridge = self.pipeline.bridge(self.work, f"bench{rate}", producer.brokers, cursor, lambda config: config.replace('name = "', f'name = "{rate} '), dsn)
            bridge.start()
            try:
                made = producer.made()
                server.wait_for(f"""
                    SELECT coalesce(sum(rows), 0) >= {made['messages']} FROM attribution.bridge_ledger WHERE pipeline LIKE '{rate} %'""", "the bridge", 300)
                # By what is counted anyway: looking at the tables all the time took 5 s of processor time where the worker used 25.
                server.wait_for(f"""
                    SELECT sum(p.moved) >= {made['messages']} AND max(p.moved) FILTER (WHERE p.target = 'commerce.checkouts'::regclass)
                           <= (SELECT coalesce(sum(l.changed - l.restated), 0) FROM attribution.run_log AS l)
                      FROM attribution.ingest_progress AS p""", "the first decisions", 300)
                server.wait_for("""
                    SELECT NOT EXISTS (SELECT FROM commerce.clicks_staging) AND NOT EXISTS (SELECT FROM commerce.checkouts_staging)
                       AND NOT EXISTS (SELECT FROM commerce.checkouts_pending WHERE arrived_at IS NULL)
                       AND NOT EXISTS (SELECT FROM commerce.checkouts_decisions WHERE outcome = 'organic')
                       AND (SELECT count(*) FROM commerce.checkouts_decisions) = (SELECT count(*) FROM commerce.checkouts)""", "the decisions", 300)
                seconds = server.value(f"""
                    SELECT extract(epoch FROM clock_timestamp() - min(claimed_at))::float8 FROM attribution.bridge_ledger WHERE pipeline LIKE '{rate} %'""")
                cpu = cpu_seconds(bridge.process.pid)
            finally:
                if bridge.kill(signal.SIGTERM):
                    raise WrongAnswer(bridge.log())
        finally:
            producer.end()
        return seconds, cpu


@measures(Figure("checkout_events_per_s", "events/s", "Clicks and checkouts from the producer to the attributed row.", "higher", target=25_000),
          Figure("checkout_p99_ms", "ms", "From a checkout's production to the commit of its decision with its click, 99 %, at half of that rate.", target=1000))
def end_to_end(bench):
    events = bench.pick(600_000, 10_000)
    with Shop(bench) as shop:
        seconds, cpu = shop.bring(events, 0)
    rate = events / seconds
    bench.progress(f"{rate:,.0f} events/s")
    half = max(1, int(rate / 2))
    with Shop(bench) as shop:
        shop.bring(bench.pick(half * 20, half * 8), half)
        median, nearly_all = shop.server.run("""
            SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ms), percentile_disc(0.99) WITHIN GROUP (ORDER BY ms)
            FROM (SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - conversion_time)::float8 * 1000 AS ms FROM commerce.checkouts_decisions
                   WHERE conversion_time > (SELECT max(claimed_at) + interval '1 second' FROM attribution.bridge_ledger)) AS r""")[0]
        return {"checkout_events_per_s": Value(rate, note=f"{events:,} events; {cpu / events * 1e6:.1f} us an event of the bridge's processor time."),
                "checkout_p99_ms": Value(nearly_all, note=f"At {half:,} events/s; median {median:.0f} ms.")}
