"""The throw-away server: how it is ended and started again, and which processes are its own."""

import os
import pathlib
import signal
import subprocess
import time

import psycopg2


class Stuck(Exception):
    """Something that had to happen did not."""


def await_that(what, condition, seconds=120):
    """Returns what `condition` does, once it is true. The time is a multiple of what the slowest machine needs."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Stuck(f"waited in vain for {what}")
        time.sleep(0.02)


class Server:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.data = self.directory / "data"
        self.program = os.readlink(f"/proc/{self.pid()}/exe")
        self.process = None          # the postmaster, if it was started here

    def pid(self):
        """The postmaster's; 0: there is none."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            # What is left of one that was killed may be another program's pid by now.
            return pid if os.path.samefile(f"/proc/{pid}/cwd", self.data) else 0
        except (OSError, ValueError):
            return 0

    def owns(self, pid):
        """Whether a process was started by the postmaster."""
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        return int(stat.rpartition(")")[2].split()[1]) == self.pid() != 0

    def kill(self, pid):
        """kill -9 of one of its processes. Returns whether it was there."""
        if not self.owns(pid):
            return False
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def restart(self, how):
        """Ends the server by a signal, and starts it again."""
        pid = self.pid()
        os.kill(pid, how)
        await_that("the server to end", lambda: self._is_gone(pid))
        await_that("the server to start", self._started)

    def _is_gone(self, pid):
        if self.process is not None and self.process.poll() is not None:
            self.process = None
        try:
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return True

    def _started(self):
        # Where the postmaster was killed, its children may hold on to the shared memory for a moment.
        if self.process is None or self.process.poll() is not None:
            owner = self.data.stat()
            # PostgreSQL refuses to run as root.
            user = {} if os.getuid() == owner.st_uid else {
                "user": owner.st_uid, "group": owner.st_gid, "extra_groups": [owner.st_gid]}
            with open(self.directory / "log", "ab") as log:
                self.process = subprocess.Popen([self.program, "-D", "data"], cwd=self.directory, stdout=log, stderr=log,
                                                stdin=subprocess.DEVNULL, **user)
        return self.answers()

    @staticmethod
    def answers():
        try:
            psycopg2.connect("connect_timeout=10").close()
            return True
        except psycopg2.OperationalError:
            return False

    def private_memory(self, pid):
        """Bytes of a process that are its own, without shared buffers; 0 if it is gone."""
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return 0
        return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:")), 0)
