"""Events on their way: producer, broker, kafka-bridge, staging; by default those of a shop, to the checkout preset."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "kafka-bridge/tests/tools"))

from processes import Bridge

PRODUCER = ROOT / ".cache/bridge/producer"
# The embedded broker keeps 5 MiB a partition: what a bridge that was killed has yet to read must fit.
PARTITIONS = 32


def build():
    subprocess.run([ROOT / "test/lib/dependencies.sh", "bridge"], check=True)
    subprocess.run(["make", "-s", "-C", ROOT / "kafka-bridge", "kafka-bridge", "tools"], check=True)


class Producer:
    """demo/producer on a broker of its own, or on the one at `brokers`. With `--stream lines` it sends what is told to it."""

    def __init__(self, *options, brokers=None, stream="checkout", input=subprocess.PIPE):
        command = [PRODUCER, "--stream", stream, "--partitions", str(PARTITIONS), *options]
        self.process = subprocess.Popen([*command, *(["--brokers", brokers] if brokers else [])], stdin=input,
                                        stdout=subprocess.PIPE, text=True)
        self.brokers = self.process.stdout.readline().strip()
        assert self.brokers, "the producer did not start"

    def tell(self, topic, payload):
        self.process.stdin.write(f"{topic}\t\t{payload}\n")

    def made(self):
        """Waits until all is sent; what that was."""
        return json.loads(self.process.stdout.readline())

    def end(self):
        if self.process.stdin:
            self.process.stdin.close()
        self.process.wait()


def bridge(directory, name, brokers, cursor, change=lambda config: config, dsn="", of="checkouts", mapping="{}", batch='rows = 5000, age = "50ms"'):
    """A bridge as attribution.bridge_config() has it, in small batches."""
    cursor.execute("SELECT attribution.bridge_config(%s, %s, mapping => %s)", (of, brokers, mapping))
    head, *pipelines = change(cursor.fetchone()[0]).split("[[pipeline]]\n")
    assert head.startswith("[kafka]") and pipelines
    return Bridge(directory, name, brokers, "[[pipeline]]\n".join(f"batch = {{ {batch} }}\n" + text for text in pipelines), columns="", dsn=dsn)


def create(cursor):
    """The preset, and the users there are: 0 to 99."""
    cursor.execute("""
        CREATE EXTENSION attribution;
        SET client_min_messages = warning;
        SELECT attribution.create_checkout();
        INSERT INTO commerce.users (id, username, password) SELECT n, 'user ' || n, '' FROM generate_series(0, 99) AS n""")
