"""Other engines, each in a process of its own, with what Python's package index has of them."""

import json
import subprocess

from figure import WrongAnswer
from server import ROOT

PYTHON = ROOT / ".cache/bench/peers/bin/python"
REQUIREMENTS = ROOT / "bench/peers/requirements.txt"


def install(bench):
    """Once; again when other versions are asked for."""
    stamp = PYTHON.parent.parent / "installed"
    if stamp.exists() and stamp.read_text() == REQUIREMENTS.read_text():
        return
    bench.say("installing the peers")
    subprocess.run([ROOT / "test/lib/dependencies.sh", "peers"], check=True)
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--clear", PYTHON.parent.parent], check=True)
    subprocess.run([PYTHON, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "-r", REQUIREMENTS], check=True)
    stamp.write_text(REQUIREMENTS.read_text())


class Peer:
    """A script of bench/peers that has loaded the files of a directory."""

    def __init__(self, script, directory, threads):
        self.name = script
        self.process = subprocess.Popen([PYTHON, ROOT / f"bench/peers/{script}.py", directory, str(threads)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise WrongAnswer(f"{self.name} ended with status {self.process.wait()}")
        return json.loads(line)

    def ask(self, line):
        """What it answers to a line."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()

    def run(self):
        """(seconds, (attributed, sum of the touchpoints' ids))"""
        answer = self.ask("run")
        return answer["seconds"], (answer["attributed"], answer["sum"])

    def end(self):
        self.process.stdin.close()
        self.process.wait()
