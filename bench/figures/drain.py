"""A backlog.

Installs of the last seven days are queued by their trigger while nobody decides, beside eight days of clicks and impressions;
then all of them are decided for the first time. From the beginning to the commit of the last decision."""

import threading

from figure import Figure, Value, measures
from server import Server
from traffic import Traffic

# From a time to the commit of the last decision.
SECONDS = "SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin)) - %s)::float8 FROM game.installs_decisions"


@measures(Figure("drain_per_s", "installs/s", "Decided and stored by one CALL of attribution.run().", "higher"))
def run(bench):
    return {"drain_per_s": drain(bench, by_run)}


@measures(Figure("drain_old_snapshot_per_s", "installs/s", "The same, while somebody else holds a snapshot that is older than the"
                 " backlog, so that nothing of the queue can be cleaned up.", "higher"))
def old_snapshot(bench):
    return {"drain_old_snapshot_per_s": drain(bench, by_run, old_snapshot=True)}


@measures(Figure("drain_worker_per_s", "installs/s", "Decided and stored by the worker, from when it is switched on; it does the rungs"
                 " that come due meanwhile as well.", "higher"))
def worker(bench):
    return {"drain_worker_per_s": drain(bench, by_worker)}


def drain(bench, decide, old_snapshot=False):
    installs = bench.pick(1_000_000, 20_000)
    with Server(shared_preload_libraries="attribution", track_commit_timestamp="on", **{"attribution.worker": "off"}) as server:
        traffic = Traffic(bench, server)
        traffic.load()
        if old_snapshot:
            reader = server.connect()
            reader.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
            reader.cursor().execute("SELECT count(*) FROM game.installs_pending")
        traffic.add_past_installs(installs)
        # As autovacuum would have done, had they come in a day.
        server.run("ANALYZE")
        bench.ready(server)
        began = server.value("SELECT clock_timestamp()")
        decide(server, traffic)
        seconds = server.value(SECONDS, (began,))
        traffic.check_counts(installs)
        traffic.check_decisions(traffic.until - (traffic.until - traffic.since) / 100, traffic.until)
        return Value(installs / seconds, note=f"{installs:,} installs, {traffic.clicks:,} clicks, {traffic.impressions:,} impressions:"
                                              f" {seconds:.1f} s.")


def by_run(server, traffic):
    """attribution.run() in a session of its own; this one looks how far it is."""
    failure = []

    def call():
        try:
            server.connect().cursor().execute("CALL attribution.run('installs')")
        except Exception as error:      # for the session that waits
            failure.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    while caller.is_alive():
        caller.join(1)
        traffic.bench.progress(f"{server.value('SELECT coalesce(sum(decided), 0) FROM attribution.run_log'):,} decided")
    if failure:
        raise failure[0]


def by_worker(server, traffic):
    server.run("ALTER SYSTEM SET attribution.worker = on")
    server.run("SELECT pg_reload_conf()")
    # Each look reads the whole queue.
    traffic.wait_until_decided(every=2)
