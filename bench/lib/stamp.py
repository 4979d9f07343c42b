"""When, of what and on what machine a figure was measured."""

import datetime
import os
import pathlib
import subprocess


def stamp(root):
    return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"), "commit": commit(root),
            "machine": machine(),
            "postgresql": output([os.environ.get("PG_CONFIG", "pg_config"), "--version"]).split(" (")[0]}


def output(command):
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


def commit(root):
    """With a plus if what is measured differs from it; the results themselves make no difference."""
    git = ["git", "-c", "safe.directory=*", "-C", root]
    try:
        changes = output([*git, "status", "--porcelain", "--", ".", ":!bench/results.*"])
        return output([*git, "rev-parse", "--short=10", "HEAD"]) + ("+" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine():
    model = next((line.split(":")[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), os.uname().machine)
    gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return f"{model}, {os.cpu_count()} cores, {gigabytes:.0f} GB"
