"""A client of the server: a thread with a connection, which it makes again when it is lost."""

import random
import threading
import time

import psycopg2

# What any statement may run into here: cancelled, terminated, shut down, deadlocks, locks that others hold.
FAULTS = {"57014", "57P01", "57P02", "57P03", "40P01", "55P03"}


def is_lost(error):
    """Whether an error is the end of its connection."""
    return error.pgcode is None or error.pgcode.startswith("57P")


class Client(threading.Thread):
    """`turn` does one thing; it is repeated until the world stops."""

    application = "client"
    expected = FAULTS
    connection_options = "-c statement_timeout=60s -c lock_timeout=3s -c client_min_messages=error"

    def __init__(self, world, number):
        super().__init__(name=f"{self.application} {number}", daemon=True)
        self.world = world
        self.number = number
        self.stop = world.stop
        self.rng = random.Random(f"{world.seed} {self.name}")
        self.connection = None
        self.surprises = []          # errors that no fault explains
        self.losses = 0              # of connections
        self.turns = 0

    def run(self):
        while not self.stop.is_set():
            try:
                self.connection = psycopg2.connect(application_name=self.application, options=self.connection_options,
                                                   connect_timeout=10)
            except psycopg2.OperationalError:
                time.sleep(0.02)
                continue
            self.connection.autocommit = True
            self.work()
            self.connection.close()

    def work(self):
        """Turns until the end, or until the connection is lost."""
        while not self.stop.is_set():
            try:
                with self.connection.cursor() as cursor:
                    self.turn(cursor)
                    self.turns += 1
            except psycopg2.Error as error:
                self.judge(error)
                if not self.recover():
                    self.losses += 1
                    return
            except Exception as error:              # pylint: disable=broad-except
                self.surprises.append(f"{self.name}: {error!r}")
                self.recover()

    def judge(self, error):
        """Notes an error that nothing explains."""
        if not is_lost(error) and error.pgcode not in self.expected:
            self.surprises.append(f"{self.name}: {error.pgcode} {str(error).strip()}")

    def recover(self):
        """Whether the connection can still be used; a transaction that is open on it is rolled back."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
            return True
        except psycopg2.Error as error:
            return error.pgcode == "57014" and self.recover()

    def pause(self, least, most):
        """Load comes in its own time."""
        self.stop.wait(self.rng.uniform(least, most))

    def turn(self, cursor):
        raise NotImplementedError
