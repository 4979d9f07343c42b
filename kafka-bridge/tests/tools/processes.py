"""The bridge and the embedded broker, as processes of tests and of the benchmark."""

import pathlib
import signal
import socket
import subprocess
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = ROOT / "kafka-bridge/kafka-bridge"
MOCK = ROOT / ".cache/bridge/mock-kafka"

COLUMNS = """
[pipeline.columns]
event_id = { required = true }
event_time = { required = true }
device_id = { path = "device.id" }
campaign = {}
network = {}
ip = { on_error = "null" }
user_agent = {}
click_cost = {}
kafka_partition = { meta = "partition" }
kafka_offset = { meta = "offset" }
kafka_time = { meta = "timestamp" }
"""

TABLE = """(event_id uuid, event_time timestamptz, device_id uuid, campaign text, network text, ip inet, user_agent text,
click_cost numeric CHECK (click_cost >= 0), kafka_partition int, kafka_offset bigint, kafka_time timestamptz)"""


class Kafka:
    """The embedded broker; or, with an address, a hand on the one that is there."""

    def __init__(self, *address):
        self.process = subprocess.Popen([MOCK, *address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.brokers = self.process.stdout.readline().strip()
        assert self.brokers, "the embedded broker did not start"

    def ask(self, line):
        """What it answers after "ok"."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        assert answer[:1] == ["ok"], f"mock-kafka failed: {line}"
        return answer[1:]

    def tell(self, line):
        assert self.ask(line) == []

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Bridge:
    """One kafka-bridge. `pipeline`: lines of its [[pipeline]]."""

    def __init__(self, directory, name, brokers, pipeline, columns=COLUMNS, properties="", dsn=""):
        self.port = free_port()
        self.directory, self.name = directory, name
        self.config = directory / f"{name}.toml"
        self.config.write_text(f"""[kafka]
brokers = "{brokers}"
[kafka.properties]
"session.timeout.ms" = "4000"
"heartbeat.interval.ms" = "500"
"reconnect.backoff.max.ms" = "300"
{properties}
[postgres]
dsn = "{dsn}"
[http]
listen = "127.0.0.1:{self.port}"
[bridge]
retry_max = "500ms"
shutdown_timeout = "10s"
[[pipeline]]
{pipeline}
{columns}""")
        self.process = None

    def start(self):
        log = open(self.directory / f"{self.name}.log", "ab")
        self.process = subprocess.Popen([PROGRAM, "--config", self.config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        return self.process.wait()

    def run(self, *arguments):
        return subprocess.run([PROGRAM, "--config", self.config, *arguments], capture_output=True, text=True, check=False)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return answer.read().decode()

    def rss(self):
        """Bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))

    def log(self):
        return (self.directory / f"{self.name}.log").read_text()
