"""What goes wrong: processes killed, terminated and cancelled, the server shut down; each when there was progress since the
one before."""

import collections
import signal

import psycopg2

from client import is_lost
from server import await_that

LAUNCHER, WORKER = "attribution launcher", "attribution worker"
PROCESS = {"launcher": f"backend_type = '{LAUNCHER}'", "worker": f"backend_type = '{WORKER}' AND datname = 'chaos'"}

# All of these come to pass before one comes again.
CYCLE = (["kill worker"] * 5 + ["kill launcher"] + ["kill writer"] * 3 + ["kill run"] * 2 + ["kill reattribute"]
         + ["kill partitions", "kill postmaster"] + ["terminate worker"] * 2
         + ["terminate launcher", "terminate writer", "terminate run", "terminate partitions"]
         + ["cancel worker", "cancel writer", "cancel run", "cancel reattribute"]
         + ["immediate shutdown", "fast shutdown"])
SHUTDOWNS = {"immediate shutdown": signal.SIGQUIT, "fast shutdown": signal.SIGINT, "kill postmaster": signal.SIGKILL}
TRANSACTIONS = 20            # from one fault to the next, at least


def plan(rng, count):
    """The kinds of faults, in their order."""
    kinds = []
    while len(kinds) < count:
        cycle = list(CYCLE)
        rng.shuffle(cycle)
        kinds += cycle
    return kinds[:count]


class Faults:
    def __init__(self, world, server, rng):
        self.world = world
        self.server = server
        self.rng = rng
        self.connection = None
        self.counts = collections.Counter()
        self.caught = 0              # processes that were in the middle of a transaction
        self.most_memory = collections.Counter()
        self.before = (0, 0)         # what was done when the last fault came

    # A connection of its own

    def ask(self, sql, *parameters):
        """The rows of a query; None where the server does not answer."""
        try:
            if self.connection is None:
                self.connection = psycopg2.connect(application_name="faults", connect_timeout=10)
                self.connection.autocommit = True
            with self.connection.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                return cursor.fetchall()
        except psycopg2.Error as error:
            if not is_lost(error):
                raise
            self.connection = None
            return None

    def processes(self, name):
        """pids of the processes of a name, those within a transaction that writes before the others."""
        condition = PROCESS.get(name, "application_name = %s")
        return self.ask(f"SELECT pid, backend_xid IS NOT NULL FROM pg_stat_activity WHERE {condition}"
                        " ORDER BY 2 DESC, random()", *([] if name in PROCESS else [name])) or []

    # Progress

    def done(self):
        """Transactions that clients know to be committed, and decisions that were made."""
        rows = self.ask("SELECT coalesce(sum(decided), 0) FROM attribution.run_log")
        return rows and (len(self.world.acknowledged), rows[0][0])

    def progress(self):
        """Whether something was written and something was decided since the last fault, and a worker is there for more."""
        now = self.done()
        return (now and now[0] >= self.before[0] + TRANSACTIONS and now[1] > self.before[1]
                and self.processes("worker"))

    def strike(self, kind):
        await_that(f"progress before '{kind}'", self.progress)
        self.note_memory()
        self.world.stop.wait(self.rng.uniform(0, 0.8))
        how, _, name = kind.partition(" ")
        self.before = await_that("an answer", self.done)
        if kind in SHUTDOWNS:
            self.server.restart(SHUTDOWNS[kind])
        else:
            await_that(f"'{kind}'", lambda: self.hit(how, name))
        self.counts[kind] += 1

    def hit(self, how, name):
        """One process of a name gets it; half of the times one in the middle of a transaction, if there soon is one."""
        processes = self.processes(name)
        if self.rng.random() < 0.5:
            for _ in range(100):
                if processes and processes[0][1]:
                    break
                processes = self.processes(name)
        if not processes:
            return False
        pid, in_transaction = processes[0]
        if how == "kill":
            hit = self.server.kill(pid)
            # The others have to go as well, and come back.
            await_that("the server to recover", lambda: not self.server.owns(pid) and self.server.answers())
        else:
            hit = self.ask(f"SELECT pg_{how}_backend(%s)", pid) == [(True,)]
        self.caught += hit and in_transaction
        return hit

    def note_memory(self):
        for name in ("worker", "run", "reattribute"):
            for pid, _ in self.processes(name):
                self.most_memory[name] = max(self.most_memory[name], self.server.private_memory(pid))
