"""What the processes of a server use, as the kernel counts it."""

import os
import pathlib
import threading
import time


def cpu_seconds(pid):
    """The processor time of a process since it began, its own and the kernel's for it."""
    # The number of its clock, as clock_getcpuclockid() makes it.
    return time.clock_gettime(~pid << 3 | 2)


def own_bytes(pid):
    """(what a process has in memory for itself, {segment that it shares with its parallel workers: bytes}); nothing if it is gone."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        maps = pathlib.Path(f"/proc/{pid}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0, {}
    kilobytes = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")), 0)
    segments = {line.split()[5] for line in maps.splitlines() if "/dev/shm/PostgreSQL." in line}
    return kilobytes * 1024, {segment: allocated(segment) for segment in segments}


def allocated(file):
    try:
        return os.stat(file).st_blocks * 512
    except FileNotFoundError:
        return 0


def workers(pid):
    """The parallel workers of a backend."""
    parent = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    for child in pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        try:
            if f"parallel worker for PID {pid} " in pathlib.Path(f"/proc/{child}/cmdline").read_text().replace("\0", " "):
                yield int(child)
        except (FileNotFoundError, ProcessLookupError):
            pass


class Watch:
    """Looks, while it lasts, how much memory a backend and its parallel workers have at a time, without the server's buffers."""
    INTERVAL = 0.01     # seconds

    def __init__(self, pid):
        self.pid, self.peak, self.workers = pid, 0, 0
        self.over = threading.Event()
        self.watcher = threading.Thread(target=self.watch)

    def __enter__(self):
        self.watcher.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.watcher.join()

    def watch(self):
        while not self.over.wait(self.INTERVAL):
            pids = [self.pid, *workers(self.pid)]
            own, shared = zip(*map(own_bytes, pids))
            segments = {name: size for found in shared for name, size in found.items()}
            self.peak = max(self.peak, sum(own) + sum(segments.values()))
            self.workers = max(self.workers, len(pids) - 1)
