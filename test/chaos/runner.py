"""Who calls run() and reattribute() by hand, beside the worker."""

from client import Client
from clock import DAY, MINUTE, time_text
from world import FIRST_DAY, RULES


class Runner(Client):
    application = "run"
    connection_options = "-c statement_timeout=0 -c client_min_messages=error"

    def turn(self, cursor):
        rule = self.rng.choice(RULES).name
        cursor.execute(f"SET attribution.batch_size = {self.rng.choice([1, 5, 50, 10000])}")
        self.call(cursor, rule)
        self.pause(0, 0.5)

    def call(self, cursor, rule):
        cursor.execute("CALL attribution.run(%s)", (rule,))


class Reattributor(Runner):
    application = "reattribute"

    def call(self, cursor, rule):
        """Of some minutes, so that not every mistake is mended at once; sometimes reconcile() instead."""
        if self.rng.random() < 0.2:
            cursor.execute("CALL attribution.reconcile(%s)", (rule,))
            return
        since = max(FIRST_DAY, self.world.day() - self.rng.randint(0, 2) * DAY) + self.rng.randint(12 * 60, 24 * 60) * MINUTE
        cursor.execute("CALL attribution.reattribute(%s, since => %s, until => %s)",
                       (rule, time_text(since), time_text(since + 10 * MINUTE)))
