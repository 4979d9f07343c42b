"""What a process of the server uses, as the kernel counts it."""

import time


def cpu_seconds(pid):
    """The processor time of a process since it began, its own and the kernel's for it."""
    # The number of its clock, as clock_getcpuclockid() makes it.
    return time.clock_gettime(~pid << 3 | 2)
