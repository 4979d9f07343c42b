"""The bridge.

kafka-bridge copies a topic of 48 partitions, clicks as JSON of 450 bytes compressed by zstd, to a staging table of eleven columns. The
broker is an embedded one, librdkafka's; for the latency it is Apache Kafka. It, the bridge, and the server share the machine's cores.
Time runs from the claim of the partitions to the last commit, without the seconds that the embedded broker takes to form a group. Of
the rates the median of five turns counts. What they are compared with loads the same rows by psql, to a table like it, in turns."""

import contextlib
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[2] / "kafka-bridge/tests"
sys.path.append(str(TESTS / "tools"))

import processes
from figure import Figure, Value, WrongAnswer, measures
from process import cpu_seconds
from server import ROOT, Server

PARTITIONS = 48
TURNS = 5
RATES = (50_000, 25_000)  # messages a second
START = 5  # seconds in which the broker compiles itself as it goes, and all find each other
# The last batch, which does not fill, waits no longer than that.
QUICK = 'batch = { age = "50ms" }'
COLUMNS = "event_id, event_time, device_id, campaign, network, ip, user_agent, click_cost, kafka_partition, kafka_offset, kafka_time"
# What jsonb_populate_recordset() makes of a message.
MESSAGE = "event_id uuid, event_time timestamptz, device jsonb, campaign text, network text, ip inet, user_agent text, click_cost numeric"


class Setting:
    """A server, a broker, and a bridge between them."""

    def __init__(self, bench, server, brokers=()):
        """`brokers`: the address of some that are there."""
        bench.progress("building the bridge")
        subprocess.run([ROOT / "test/lib/dependencies.sh", "bridge"], check=True)
        subprocess.run(["make", "-s", "-C", ROOT / "kafka-bridge", "kafka-bridge", "tools"], check=True)
        self.bench, self.server = bench, server
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="bridge-bench."))
        self.kafka = processes.Kafka(*brokers)
        self.dsn = " ".join(f"{name}={value}" for name, value in server.place.items()) + " user=postgres dbname=bench"
        self.psql = ["psql", "-qX", "-v", "ON_ERROR_STOP=1", self.dsn]
        self.number = 0
        server.run(f"CREATE TABLE clicks {processes.TABLE.replace(' CHECK (click_cost >= 0)', '')}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kafka.end()
        shutil.rmtree(self.work)

    def start(self, topic, table="clicks", batch="", properties="", columns=None, more=""):
        """Returns a bridge under a new name: it begins at the topic's beginning."""
        self.number += 1
        name = f"turn{self.number}"
        pipeline = f'name = "{name}"\ntopics = "{topic}"\ntable = "{table}"\n{batch}\n{more}'
        one = processes.Bridge(self.work, name, self.kafka.brokers, pipeline, dsn=self.dsn, properties=properties,
                                 **({"columns": columns} if columns else {}))
        one.start()
        return one

    def finish(self, one, rows):
        """Waits for them. Returns (seconds from the claim to the last commit, of the bridge's processor time)."""
        try:
            self.server.wait_for(f"SELECT coalesce(sum(rows), 0) >= {rows} FROM attribution.bridge_ledger WHERE pipeline = '{one.name}'", f"{rows} rows")
            cpu = cpu_seconds(one.process.pid)
        finally:
            if one.kill(signal.SIGTERM):
                raise WrongAnswer(one.log())
        seconds, dead = self.server.run(f"""
            SELECT extract(epoch FROM max(advanced_at) - min(claimed_at))::float8, sum(dead) FROM attribution.bridge_ledger WHERE pipeline = '{one.name}'""")[0]
        if dead:
            raise WrongAnswer(f"{dead} dead letters")
        return seconds, cpu

    def check(self, rows):
        counted = self.server.run("SELECT count(*), count(DISTINCT event_id), count(DISTINCT (kafka_partition, kafka_offset)) FROM clicks")[0]
        if counted != (rows, rows, rows):
            raise WrongAnswer(f"{counted} of {rows} rows")

    def load(self, *arguments):
        """By psql, to an empty table. Returns the seconds."""
        self.server.run("DROP TABLE IF EXISTS loaded; CREATE TABLE loaded (LIKE clicks)")
        self.bench.ready(self.server)
        began = time.monotonic()
        subprocess.run([*self.psql, *arguments], check=True)
        return time.monotonic() - began


def statements(setting, sample):
    """Files of INSERT statements for a thousand rows each: (of values, of JSON)."""
    server = setting.server
    server.run("CREATE TABLE messages (payload text, kafka_partition int, kafka_offset bigint, kafka_time timestamptz)")
    setting.kafka.tell(f"topic sample {PARTITIONS}")
    setting.kafka.tell(f"produce sample {PARTITIONS} 0 {sample}")
    one = setting.start("sample", "messages", more='format = "raw"', columns="""[pipeline.columns]
payload = { meta = "value" }
kafka_partition = { meta = "partition" }
kafka_offset = { meta = "offset" }
kafka_time = { meta = "timestamp" }
""")
    setting.finish(one, sample)
    server.run(f"CREATE TYPE message AS ({MESSAGE}, kafka_partition int, kafka_offset bigint, kafka_time timestamptz)")
    grouped = "(SELECT *, row_number() OVER () / 1000 AS part FROM {}) AS r GROUP BY part"
    queries = {
        "values": f"""SELECT 'INSERT INTO loaded ({COLUMNS}) VALUES ' ||
            string_agg(format('(%L,%L,%L,%L,%L,%L,%L,%L,%L,%L,%L)', {COLUMNS}), ',') || ';' FROM {grouped.format(f'(SELECT * FROM clicks LIMIT {sample}) AS c')}""",
        "json": f"""SELECT 'INSERT INTO loaded ({COLUMNS}) SELECT event_id, event_time, (device->>''id'')::uuid, campaign, network, ip, user_agent,'
            ' click_cost, kafka_partition, kafka_offset, kafka_time FROM jsonb_populate_recordset(NULL::message, ' ||
            quote_literal('[' || string_agg(left(payload, -1) || format(',"kafka_partition":%s,"kafka_offset":%s,"kafka_time":"%s"}}',
                                                                        kafka_partition, kafka_offset, kafka_time), ',') || ']') || ');'
            FROM {grouped.format('messages')}""",
    }
    files = []
    for name, query in queries.items():
        files.append(setting.work / name)
        with open(files[-1], "w") as file:
            subprocess.run([*setting.psql, "-At", "-c", query], check=True, stdout=file)
    return files


@measures(
    Figure("bridge_rows_per_s", "rows/s", "From Kafka to a staging table.", "higher", target=200_000),
    Figure("bridge_vs_copy", "rows/s", "The same; by COPY of the rows in PostgreSQL's binary format, as they come out of such a table.", "higher", ratio_target=0.5),
    Figure("bridge_vs_insert", "rows/s", "The same; by INSERT statements of 1,000 rows.", "higher", ratio_target=3),
    Figure("bridge_vs_jsonb", "rows/s", "The same; by jsonb_populate_recordset() of 1,000 messages at a time.", "higher", ratio_target=3),
    Figure("bridge_cpu_us", "us", "The bridge's processor time for a row, with that of starting it.", target=3))
def throughput(bench):
    rows, sample = bench.pick(1_000_000, 20_000), bench.pick(200_000, 5_000)
    with Server(shared_buffers="2GB", max_wal_size="16GB") as server, Setting(bench, server) as setting:
        bench.progress("producing")
        setting.kafka.tell(f"topic clicks {PARTITIONS}")
        setting.kafka.tell(f"produce clicks {PARTITIONS} 0 {rows}")
        taken = {name: [] for name in ("bridge", "cpu", "copy", "insert", "jsonb")}
        for turn in range(TURNS):
            server.run("TRUNCATE clicks")
            bench.ready(server)
            seconds, cpu = setting.finish(setting.start("clicks", batch=QUICK), rows)
            taken["bridge"].append(seconds)
            taken["cpu"].append(cpu)
            setting.check(rows)
            if turn == 0:
                values, json = statements(setting, sample)
            copied = setting.work / "rows"
            with open(copied, "wb") as file:
                subprocess.run([*setting.psql, "-c", f"COPY clicks ({COLUMNS}) TO STDOUT (FORMAT binary)"], check=True, stdout=file)
            taken["copy"].append(setting.load("-c", f"\\copy loaded ({COLUMNS}) FROM '{copied}' (FORMAT binary)"))
            taken["insert"].append(setting.load("-f", values))
            taken["jsonb"].append(setting.load("-f", json))
            bench.progress(f"turn {turn + 1} of {TURNS}: " + ", ".join(f"{name} {times[-1]:.2f} s" for name, times in taken.items()))
        median = {name: statistics.median(times) for name, times in taken.items()}
        spread = f"{rows / max(taken['bridge']):,.0f} to {rows / min(taken['bridge']):,.0f} rows/s."
        rate = rows / median["bridge"]
        return {"bridge_rows_per_s": Value(rate, note=f"{rows:,} rows a turn; {spread}"),
                "bridge_vs_copy": Value(rate, rows / median["copy"]),
                "bridge_vs_insert": Value(rate, sample / median["insert"]),
                "bridge_vs_jsonb": Value(rate, sample / median["jsonb"]),
                "bridge_cpu_us": Value(median["cpu"] / rows * 1e6)}


@measures(Figure("bridge_latency_ms", "ms", "From Kafka's timestamp of a message, which the producer gives it, to the commit of its row; the median, in batches of"
                 " 1,000 rows, at the highest of several rates at which nothing piles up, without what was produced in the first seconds.", target=50))
def latency(bench):
    with tempfile.TemporaryDirectory(prefix="kafka.") as directory, Server(track_commit_timestamp="on") as server, apache_kafka(directory) as brokers, \
            Setting(bench, server, brokers) as setting:
        for rate in RATES:
            rows = rate * (START + bench.pick(20, 1))
            median, nearly_all, batch = latency_at(rate, rows, bench, server, setting)
            bench.progress(f"{rate:,} messages/s: median {median:.0f} ms, 99 % within {nearly_all:.0f} ms, {batch:,.0f} rows in a batch")
            if batch < 1100 and nearly_all < 1000:
                break
        return {"bridge_latency_ms": Value(median, note=f"{rate:,} messages/s; 99 % within {nearly_all:.0f} ms; {batch:,.0f} rows in a batch.")}


@contextlib.contextmanager
def apache_kafka(directory):
    """A broker on this machine. (The embedded one has little to give at a time, and less the more partitions there are.)"""
    subprocess.run([ROOT / "test/lib/dependencies.sh", "kafka"], check=True)
    jars = subprocess.run([TESTS / "kafka/jars"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    broker = subprocess.Popen([sys.executable, TESTS / "kafka/broker.py", jars, f"{directory}/broker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield [broker.stdout.readline().strip()]
    finally:
        broker.communicate()


def latency_at(rate, rows, bench, server, setting):
    """Returns the median and 99 % in ms, and how many rows a batch had."""
    server.run("TRUNCATE clicks")
    topic = f"clicks{setting.number}"
    setting.kafka.tell(f"topic {topic} {PARTITIONS}")
    # As old as a batch of 1,000 is, or a little older.
    one = setting.start(topic, batch=f'batch = {{ rows = 1000, age = "{1_200_000 // rate}ms" }}')
    server.wait_for(f"SELECT count(*) = {PARTITIONS} FROM attribution.bridge_ledger WHERE pipeline = '{one.name}' AND owner IS NOT NULL", "the claim")
    bench.ready(server)
    setting.kafka.tell(f"paced {topic} {PARTITIONS} 0 {rows} {rate}")
    setting.finish(one, rows)
    setting.check(rows)
    median, nearly_all = server.run("""
        SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ms), percentile_disc(0.99) WITHIN GROUP (ORDER BY ms)
        FROM (SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - kafka_time)::float8 * 1000 AS ms FROM clicks
               WHERE kafka_time > (SELECT min(kafka_time) + make_interval(secs => %s) FROM clicks)) AS r""", (START,))[0]
    return median, nearly_all, rows / server.value(f"SELECT sum(batches)::float8 FROM attribution.bridge_minute WHERE pipeline = '{one.name}'")
