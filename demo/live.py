"""What the demos share: events that go from producers through Kafka and kafka-bridge into a rule's tables, and are shown once a second. The
server is that of PGHOST."""

import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "test/checkout"), str(ROOT / "test/chaos")]

import psycopg2
import pipeline
from processes import Kafka
from server import await_that

__all__ = ["ROOT", "Show", "Way", "await_that", "connect", "pipeline", "row", "step"]
BEGAN = int(os.environ.get("demo_began", time.time()))
TROUBLE = ["--duplicates", "0.01", "--late", "0.005", "--out-of-order", "0.02", "--malformed", "0.001"]
BAR = 24


def step(what):
    print(f"\n\033[1m== {what}\033[0m ({time.time() - BEGAN:.0f} s)", flush=True)


def connect():
    session = psycopg2.connect("")
    session.autocommit = True
    return session.cursor()


def row(cursor, text):
    cursor.execute(text)
    return cursor.fetchone()


class Way:
    """From Kafka, embedded or at $KAFKA, to the tables of a rule."""

    def __init__(self, cursor, rule, topics, mapping="{}", batch='rows = 5000, age = "50ms"'):
        """`topics`: how many partitions each has on the embedded broker, which keeps 5 MiB of a partition. Elsewhere it is 8."""
        elsewhere = os.environ.get("KAFKA")
        self.cursor = cursor
        self.kafka = Kafka(*([elsewhere] if elsewhere else []))
        self.prefix = f"demo{os.getpid()}." if elsewhere else ""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="demo."))
        self.sent, self.sending = [], []
        for topic, partitions in topics.items():
            self.kafka.tell(f"topic {self.prefix}{topic} {8 if elsewhere else partitions}")
        self.bridge = pipeline.bridge(self.directory, "demo", self.kafka.brokers, cursor,
                                      lambda config: config.replace('topics = ["', f'topics = ["{self.prefix}'), of=rule, mapping=mapping, batch=batch)

    def __enter__(self):
        self.bridge.start()
        return self

    def __exit__(self, *failure):
        self.bridge.kill(signal.SIGTERM)
        for producer in self.sending:
            producer.process.kill()
            producer.process.wait()
        self.kafka.end()
        shutil.rmtree(self.directory)

    def produce(self, *options, stream, input=None):
        """Has a producer run; what it made is in `sent` at its end."""
        producer = pipeline.Producer("--prefix", self.prefix, *options, brokers=self.kafka.brokers, stream=stream, input=input)
        self.sending.append(producer)

        def finish():
            made = producer.made()
            producer.end()
            self.sending.remove(producer)
            self.sent.append(made)
        threading.Thread(target=finish, daemon=True).start()

    def tell(self, topic, payload):
        """One message."""
        producer = pipeline.Producer("--prefix", self.prefix, brokers=self.kafka.brokers, stream="lines")
        producer.tell(topic, payload)
        producer.process.stdin.close()
        self.sent.append(producer.made())
        producer.process.wait()

    def messages(self):
        """How many there are; nothing while some are yet to be sent."""
        if self.sending:
            if any(producer.process.poll() for producer in self.sending):
                raise SystemExit("a producer ended")
            return None
        return sum(made["messages"] for made in self.sent)

    def check(self):
        if self.bridge.process.poll() is not None:
            raise SystemExit(f"kafka-bridge ended:\n{self.bridge.log()[-2000:]}")


class Show:
    """What has come how far, of a way and a rule: on a terminal one picture, in the place of the last; elsewhere a line each time."""

    def __init__(self, way, schema, rule, conversions, latest, headings, widths):
        """`conversions`: their table, id and time; `latest`: a query for the newest decisions, as text."""
        self.way, self.schema, self.rule, self.conversions = way, schema, rule, conversions
        self.latest, self.headings, self.widths = latest, headings, widths
        self.terminal = sys.stdout.isatty()
        self.again()

    def again(self):
        """Another picture, below what is there."""
        self.began, self.before, self.most, self.lines = time.monotonic(), None, 1, 0

    def look(self):
        cursor, table = self.way.cursor, f"{self.schema}.{self.rule}"
        read, dead = row(cursor, "SELECT coalesce(sum(rows + dead), 0)::bigint, coalesce(sum(dead), 0)::bigint FROM attribution.bridge_ledger")
        lag, = row(cursor, "SELECT sum(lag)::bigint FROM attribution.bridge_lag")
        moved, twice = row(cursor, "SELECT sum(moved)::bigint, sum(duplicates)::bigint FROM attribution.ingest_progress")
        decided, attributed = row(cursor, f"SELECT count(*), count(*) FILTER (WHERE outcome = 'attributed') FROM {table}_decisions")
        undecided, = row(cursor, f"SELECT count(*) FROM {table}_pending WHERE arrived_at IS NULL")
        relation, identity, at = self.conversions
        delay, = row(cursor, f"""
            SELECT round(1000 * extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY d.decided_at - c.received_at)))
              FROM {relation} AS c JOIN {table}_decisions AS d ON d.conversion_id = c.{identity} AND d.conversion_time = c.{at}
             WHERE c.received_at > now() - interval '2 seconds'""")
        return {"at": time.monotonic() - self.began, "read": read, "dead": dead, "lag": lag, "moved": moved or 0, "twice": twice or 0, "decided": decided,
                "attributed": attributed, "undecided": undecided, "delay": delay}

    def newest(self):
        cursor = self.way.cursor
        cursor.execute(self.latest)
        rows = [["-" if value is None else str(value) for value in values] for values in cursor.fetchall()]
        return ["  " + "  ".join(f"{value:<{width}}" for value, width in zip(values, self.widths)).rstrip() for values in [self.headings, *rows]]

    def show(self, seen):
        rate = (seen["read"] - self.before["read"]) / max(0.001, seen["at"] - self.before["at"]) if self.before else 0
        self.most = max(self.most, seen["lag"] or 0)
        bar = "█" * round(BAR * (seen["lag"] or 0) / self.most)
        lag = "-" if seen["lag"] is None else f"{seen['lag']:,}"
        share = f"{100 * seen['attributed'] / max(1, seen['decided']):.1f} %"
        if self.terminal:
            lines = [f"{seen['at']:5.0f} s",
                     f"\033[1mtopics -> staging\033[0m       {seen['read']:>9,} messages  {rate:>8,.0f} a second   lag {lag:>9}  {bar}",
                     f"\033[1mstaging -> events\033[0m       {seen['moved']:>9,} events    {seen['twice']:>8,} came twice {seen['dead']:>6,} were none",
                     f"\033[1m{f'{self.rule} -> decisions':<22}\033[0m {seen['decided']:>9,} decided   {seen['undecided']:>8,} wait       {share:>8} attributed"
                     + (f"   {seen['delay']} ms after staging" if seen["delay"] is not None else ""), "", *self.newest()]
            lines += [""] * (self.lines - len(lines))
            if self.lines:
                print(f"\033[{self.lines}A", end="")
            print("\n".join("\033[2K" + line for line in lines), flush=True)
            self.lines = len(lines)
        else:
            if self.before is None:
                print(f"{'':>7}  {'messages':>10}  {'a second':>8}  {'events':>10}  {self.rule:>9}  {'attributed':>10}  {'ms':>5}  {'lag':>9}")
            delay = "" if seen["delay"] is None else seen["delay"]
            print(f"{seen['at']:>5.0f} s  {seen['read']:>10,}  {rate:>8,.0f}  {seen['moved']:>10,}  {seen['decided']:>9,}  {share:>10}  {delay:>5}  {lag:>9}  {bar}".rstrip(),
                  flush=True)
        self.before = seen

    def until_all_is_there(self):
        """Shows how it goes until all that is sent is read, moved and decided."""
        staging = [name for name, in self.query("SELECT staging::text FROM attribution.ingestion")]
        while True:
            messages = self.way.messages()
            seen = self.look()
            over = messages is not None and seen["read"] >= messages and seen["lag"] == 0 and seen["undecided"] == 0 \
                and not any(row(self.way.cursor, f"SELECT EXISTS (SELECT FROM {name})")[0] for name in staging)
            if over:
                return
            self.show(seen)
            self.way.check()
            time.sleep(1 if self.terminal else 2)

    def end(self):
        """The last picture: that of a terminal is there."""
        self.show(self.look())
        if not self.terminal:
            print("\n" + "\n".join(self.newest()))
        return self.before

    def query(self, text):
        self.way.cursor.execute(text)
        return self.way.cursor.fetchall()
