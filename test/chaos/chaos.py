#!/usr/bin/python3
"""Writes, runs and faults side by side, and the verdict in the end. Called by test/chaos/run."""

import argparse
import collections
import pathlib
import random
import signal
import sys
import time

sys.dont_write_bytecode = True
TEST = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(TEST / "schedules"), str(TEST / "worlds")]     # for their oracle and their clock

import world as worlds
from faults import Faults, plan
from partitions import Partitions
from probe import Probe
from runner import Reattributor, Runner
from server import Server, Stuck, await_that
from verdict import Verdict
from writer import Resolver, Writer

WRITERS = 4

# psycopg2 prints what it can't raise, where a COPY loses its connection.
sys.excepthook = lambda kind, *rest: None if kind is SystemError else sys.__excepthook__(kind, *rest)


class Chaos:
    def __init__(self, options):
        self.options = options
        self.world = worlds.World(options.seed, options.faults)
        self.server = Server(options.server)
        self.faults = Faults(self.world, self.server, random.Random(f"{options.seed} faults"))
        self.partitions = Partitions(self.world, 1)
        self.clients = [Writer(self.world, number) for number in range(1, WRITERS + 1)] + [
            Runner(self.world, 1), Runner(self.world, 2), Reattributor(self.world, 1), self.partitions,
            Probe(self.world, 1), Resolver(self.world, 1)]
        self.began = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.began:4.0f} s  {text}", flush=True)

    def strike_all(self):
        kinds = plan(random.Random(f"{self.options.seed} kinds"), self.options.faults)
        for number, kind in enumerate(kinds):
            self.world.round = number
            self.faults.strike(kind)
            # Who changes tables has to wait for all others, and loses most of the time.
            if number % 24 == 23:
                await_that("partitions to be dropped", lambda: self.partitions.dropped_until >= self.partitions.floor())
            elif number % 4 == 3:
                turns = self.partitions.turns
                await_that("partitions to change", lambda turns=turns: self.partitions.turns > turns)
            if (number + 1) % 25 == 0:
                self.say(f"{number + 1} faults, {len(self.world.acknowledged)} transactions")

    def tell(self):
        """What there was."""
        world = self.world
        show = lambda counts: ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        print(f"faults: {sum(self.faults.counts.values())} ({show(self.faults.counts)}); "
              f"{self.faults.caught} within a transaction that had written")
        print(f"transactions: {show(world.endings)}; {len(world.acknowledged)} acknowledged, {len(world.undone)} undone, "
              f"{world.in_doubt} in doubt")
        lost = collections.Counter()
        for client in self.clients:
            lost[f"of {client.application}"] += client.losses
        partitions = self.partitions
        print(f"partitions: {partitions.made} made, {partitions.dropped} dropped, {partitions.detached} times one was away; "
              f"connections lost: {show(lost)}")

    def run(self):
        self.server.restart(signal.SIGINT)       # to be its parent
        worlds.make()
        for client in self.clients:
            client.start()
        try:
            self.strike_all()
        finally:
            self.world.stop.set()
            for client in self.clients:
                client.join()
        self.tell()
        self.say("the faults are over")
        surprises = [surprise for client in self.clients for surprise in client.surprises]
        return Verdict(self.world, self.server, self.faults, self.partitions, surprises).give()


def main():
    parser = argparse.ArgumentParser(prog="test/chaos/run")
    parser.add_argument("--server", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--faults", type=int, default=25)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {options.seed}", flush=True)
    chaos = Chaos(options)
    try:
        failed = chaos.run()
    except Stuck as stuck:
        print(f"FAILED: {stuck}")
        print(worlds.psql(STATE).stdout.decode(errors="replace"))
        print("0 passed, 1 failed")
        failed = 1
    if failed:
        print(f"repeat with test/chaos/run --faults {options.faults} --seed {options.seed}")
    return 1 if failed else 0


STATE = """
SELECT pid, backend_type, application_name, state, wait_event_type, wait_event, left(query, 100) AS query FROM pg_stat_activity;
TABLE attribution.backlog;
SELECT run, rule, procedure, started_at, finished_at, pid, decided, error FROM attribution.run_log ORDER BY run DESC LIMIT 10;
"""

if __name__ == "__main__":
    sys.exit(main())
