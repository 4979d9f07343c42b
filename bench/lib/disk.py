"""The disk that the servers are on. What a commit waits for is a flush, which takes twenty times as long on a disk that is busy."""

import os
import statistics
import tempfile
import time


def settle():
    """Waits until all that was written and deleted is done with."""
    os.sync()


def flush_ms():
    """How long it takes to bring a page to the disk: the median."""
    times = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(200):
            file.seek(0)
            file.write(os.urandom(8192))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000
