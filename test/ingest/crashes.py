"""Loaders stage rows, among them duplicates and bad ones; several move them; something is killed again and again. In the end each
id is in the event table once, each bad row among the rejected, and the counts add up to what was committed."""

import argparse
import pathlib
import random
import signal
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))

import psycopg2
from server import Server, await_that

LOADERS = 2
ROWS = 200                  # new ones of a transaction; every tenth is bad
BATCHES_BETWEEN_FAULTS = 20

SETUP = """
CREATE EXTENSION attribution;
CREATE TABLE events (id bigint, at timestamptz NOT NULL, k int CHECK (k >= 0)) PARTITION BY RANGE (at);
CREATE TABLE events_default PARTITION OF events DEFAULT;
CREATE INDEX ON events USING touch (id, at);
CREATE TABLE orders (id bigint, at timestamptz, k int);
SELECT attribution.create_rule('orders', 'orders', 'id', 'at');
SELECT attribution.add_tier('orders', 'click', 'events', '{k}', '1 day', id_column => 'id', time_column => 'at');
SELECT attribution.activate('orders');
SELECT attribution.ingest_from('events', attribution.make_staging('events'), batch_rows => 500);
CREATE TABLE loaded (loader int, batch int, good int, bad int, again int);
"""
# Whoever loses a connection, a lock or his life here may try again.
FAULTS = {None, "57014", "57P01", "57P02", "57P03", "40P01", "55P03"}


class Client(threading.Thread):
    """Repeats `turn` until the end."""

    def __init__(self, world, name):
        super().__init__(name=name, daemon=True)
        self.world = world
        self.rng = random.Random(f"{world.seed} {name}")

    def run(self):
        try:
            while not self.world.over.is_set():
                try:
                    session = psycopg2.connect(application_name=self.name.split()[0], options="-c client_min_messages=error")
                    session.autocommit = True
                    while not self.world.over.is_set():
                        with session.cursor() as cursor:
                            self.turn(cursor)
                except psycopg2.Error as error:
                    if error.pgcode not in FAULTS:
                        raise
                    self.world.over.wait(0.02)
        except Exception as error:              # pylint: disable=broad-except
            self.world.surprises.append(f"{self.name}: {error}")

    def turn(self, cursor):
        raise NotImplementedError


class Loader(Client):
    def __init__(self, world, number):
        super().__init__(world, f"loader {number}")
        self.number, self.batch = number, 0
        self.done = []              # batches that are known to be committed

    def turn(self, cursor):
        self.batch += 1
        first = self.number * 10**9 + self.batch * ROWS
        rows = [(n, -1 if n % 10 == 0 else 1) for n in range(first, first + ROWS)]
        bad = sum(k < 0 for _, k in rows)
        # Ids of good rows, of this batch or an earlier one, at another time.
        earlier = [self.number * 10**9 + self.rng.choice([*self.done, self.batch]) * ROWS + self.rng.randrange(ROWS) for _ in range(20)]
        again = [(n, 1) for n in earlier if n % 10]
        self.rng.shuffle(rows)
        values = ",".join(f"({n}, now() - {self.rng.randrange(20)} * interval '1 day' - {self.rng.randrange(86400)} * interval '1 s', {k})"
                          for n, k in rows + again)
        # In one transaction: what is there says how much was committed.
        cursor.execute(f"INSERT INTO events_staging (id, at, k) VALUES {values};"
                       f"INSERT INTO loaded VALUES ({self.number}, {self.batch}, {ROWS - bad}, {bad}, {len(again)})")
        self.done.append(self.batch)
        self.world.batches += 1


class Mover(Client):
    def turn(self, cursor):
        cursor.execute("CALL attribution.ingest('events')")


class World:
    def __init__(self, options):
        self.seed = options.seed
        self.over = threading.Event()
        self.surprises = []
        self.batches = 0
        self.server = Server(options.server)
        self.rng = random.Random(f"{options.seed} faults")

    def ask(self, sql):
        """The rows of a query, as soon as the server answers."""
        return await_that("an answer", lambda: self.try_to_ask(sql))[0]

    @staticmethod
    def try_to_ask(sql):
        try:
            session = psycopg2.connect(options="-c client_min_messages=error")
            session.autocommit = True
            with session.cursor() as cursor:
                cursor.execute(sql)
                rows = cursor.fetchall() if cursor.description else None
            session.close()
            return (rows,)
        except psycopg2.Error as error:
            if error.pgcode not in FAULTS:
                raise
            return None

    def hit(self, condition):
        pids = self.ask(f"SELECT pid FROM pg_stat_activity WHERE {condition} AND backend_xid IS NOT NULL LIMIT 1")
        return bool(pids) and self.server.kill(pids[0][0])

    def strike(self, kind):
        before = self.batches
        moved = self.ask("SELECT moved FROM attribution.ingest_progress")[0][0]
        await_that("progress", lambda: self.surprises or self.batches >= before + BATCHES_BETWEEN_FAULTS
                   and self.ask("SELECT moved FROM attribution.ingest_progress")[0][0] > moved)
        if kind == "immediate shutdown":
            self.server.restart(signal.SIGQUIT)
        else:
            condition = {"kill mover": "application_name = 'mover'", "kill worker": "backend_type = 'attribution worker'",
                         "kill loader": "application_name = 'loader'"}[kind]
            await_that(f"'{kind}'", lambda: self.surprises or self.hit(condition))
            await_that("the server to recover", self.server.answers)

    def verdict(self):
        await_that("all to be moved", lambda: self.ask("CALL attribution.ingest('events')") is None
                   and self.ask("SELECT count(*) FROM events_staging") == [(0,)])
        good, bad, again = self.ask("SELECT sum(good), sum(bad), sum(again) FROM loaded")[0]
        moved, duplicates, rejected = self.ask("SELECT moved, duplicates, rejected FROM attribution.ingest_status")[0]
        checks = {
            "moved, duplicates and rejected are what was committed": ((good, again, bad), (moved, duplicates, rejected)),
            "each id is there once": ([(good, good)], self.ask("SELECT count(*), count(DISTINCT id) FROM events")),
            "bad rows are set aside once": ([(bad, bad)], self.ask("SELECT count(*), count(DISTINCT id) FROM events_rejected WHERE rejected_sqlstate = '23514'")),
            "every day has its partition": ([(0,)], self.ask("SELECT count(*) FROM events_default")),
            "touch indexes are sound": ([], self.ask("SELECT i.index, p.problem FROM attribution.touch_indexes AS i, attribution.touch_index_check(i.index) AS p")),
            "no surprises": ([], self.surprises)}
        failed = 0
        for what, (expected, got) in checks.items():
            if expected != got:
                failed += 1
                print(f"FAILED: {what}\n  expected: {expected}\n  got:      {got}")
        print(f"{moved} moved, {duplicates} duplicates, {rejected} rejected")
        print(f"{len(checks) - failed} passed, {failed} failed")
        return failed


def main():
    parser = argparse.ArgumentParser(prog="test/ingest/run")
    parser.add_argument("--server", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--faults", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    world = World(options)
    world.server.restart(signal.SIGINT)          # to be its parent
    world.ask(SETUP)
    clients = [Loader(world, number) for number in range(1, LOADERS + 1)] + [Mover(world, "mover 1"), Mover(world, "mover 2")]
    for client in clients:
        client.start()
    kinds = ["kill mover", "immediate shutdown", "kill worker", "kill mover", "kill loader"]
    try:
        for number in range(options.faults):
            world.strike(kinds[number % len(kinds)])
    finally:
        world.over.set()
        for client in clients:
            client.join()
    return 1 if world.verdict() else 0


if __name__ == "__main__":
    sys.exit(main())
