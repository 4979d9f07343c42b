"""A shop's events on their way: producer, broker, kafka-bridge, staging, the checkout preset."""

import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "kafka-bridge/tests/faults"), str(ROOT / "kafka-bridge/tests/kafka")]

from bridge import Bridge

PRODUCER = ROOT / ".cache/bridge/producer"
# The embedded broker keeps 5 MiB a partition: what a bridge that was killed has yet to read must fit.
PARTITIONS = 32


class Producer:
    """demo/producer on a broker of its own, or on the one at `brokers`."""

    def __init__(self, *options, brokers=None):
        command = [PRODUCER, "--stream", "checkout", "--partitions", str(PARTITIONS), *options]
        self.process = subprocess.Popen([*command, *(["--brokers", brokers] if brokers else [])], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.brokers = self.process.stdout.readline().strip()
        assert self.brokers, "the producer did not start"

    def made(self):
        """Waits until all is sent; what that was."""
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def toml(value):
    return json.dumps(value)


def pipelines(cursor, target_of="i.staging"):
    """The pipelines for what is ingested: a staging table for each topic, mapped as attribution.ingestion says."""
    cursor.execute(f"""
        SELECT i.topic, ({target_of})::text, i.mapping, array_agg(a.attname::text ORDER BY a.attnum)
          FROM attribution.ingestion AS i JOIN pg_attribute AS a ON a.attrelid = i.staging AND a.attnum > 0 AND NOT a.attisdropped
         GROUP BY i.topic, i.target, i.staging, i.mapping ORDER BY i.topic""")
    meta = {"kafka_partition": "partition", "kafka_offset": "offset", "kafka_time": "timestamp"}
    out = []
    for topic, table, mapping, columns in cursor.fetchall():
        lines = [f'name = "{topic}"', f'topics = "{topic}"', f'table = "{table}"', 'batch = { rows = 5000, age = "50ms" }', "[pipeline.columns]"]
        for column in columns:
            settings = {"meta": meta[column]} if column in meta else mapping.get(column, {})
            if settings is not None:
                lines.append(f"{column} = {{ {', '.join(f'{key} = {toml(value)}' for key, value in settings.items())} }}")
        out.append("\n".join(lines) + "\n")
    return "[[pipeline]]\n".join(out)


def bridge(directory, name, brokers, cursor, target_of="i.staging"):
    return Bridge(directory, name, brokers, pipelines(cursor, target_of), columns="")


def create(cursor):
    """The preset, and the users there are: 0 to 99."""
    cursor.execute("""
        CREATE EXTENSION attribution;
        SET client_min_messages = warning;
        SELECT attribution.create_checkout();
        INSERT INTO commerce.users (id, username, password) SELECT n, 'user ' || n, '' FROM generate_series(0, 99) AS n""")
