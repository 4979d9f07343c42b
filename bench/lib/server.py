"""A throw-away server of test/lib/server.sh, as somebody who means it would configure it."""

import pathlib
import subprocess
import time

import psycopg2
from figure import WrongAnswer

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# test/lib/server.sh trades durability for speed. No figure may rest on that; what is not named here is PostgreSQL's default.
HONEST = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "shared_buffers": "1GB", "max_wal_size": "4GB"}


HUGE_PAGES = pathlib.Path("/proc/sys/vm/nr_hugepages")


def reserve_huge_pages(shared_buffers):
    """For so many GB and what else is shared, as a machine for a database is set up; PostgreSQL takes them where there are any. Returns how
    many there were before; None: it is not allowed, and the server does without."""
    try:
        before = HUGE_PAGES.read_text()
        HUGE_PAGES.write_text(str(int(before) + int(shared_buffers.removesuffix("GB")) * 545 + 64))
        return before
    except OSError:
        return None


class Server:
    """With the extension, and a database of its own. `settings`: what the figure needs beside HONEST."""

    def __init__(self, **settings):
        self.settings = {**HONEST, **settings}

    def __enter__(self):
        self.huge_pages = reserve_huge_pages(self.settings["shared_buffers"])
        options = [part for name, value in self.settings.items() for part in ("--conf", f"{name} = '{value}'")]
        # The server ends when its standard input does; its log is shown if the word comes.
        self.process = subprocess.Popen(
            [ROOT / "test/lib/server.sh", "--install", ROOT, "--database", "bench", *options, "--", "sh", "-c",
             'echo "$PGHOST $PGPORT"; read -r word; [ "$word" != failed ]'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        place = self.process.stdout.readline().split()
        if not place:
            self.process.wait()
            raise RuntimeError("the server did not start")
        self.place = dict(zip(("host", "port"), place))
        self.session = self.connect()
        self.run("CREATE EXTENSION attribution")
        return self

    def __exit__(self, failure, *_):
        try:
            self.process.communicate("failed\n" if failure else "")
        except BrokenPipeError:
            self.process.wait()
        if self.huge_pages is not None:
            HUGE_PAGES.write_text(self.huge_pages)

    def connect(self):
        """Another session; every statement is a transaction."""
        session = psycopg2.connect(dbname="bench", user="postgres", **self.place)
        session.autocommit = True
        return session

    def run(self, sql, parameters=None):
        """Its rows, if it has any."""
        with self.session.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else None

    def value(self, sql, parameters=None):
        return self.run(sql, parameters)[0][0]

    def wait_for(self, sql, what, seconds=60):
        """Until the query answers true."""
        end = time.monotonic() + seconds
        while not self.value(sql):
            if time.monotonic() > end:
                raise WrongAnswer(f"waited {seconds} s in vain for {what}")
            time.sleep(0.05)
