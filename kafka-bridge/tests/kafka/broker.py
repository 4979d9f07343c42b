"""A Kafka broker of one node for tests: KRaft, one listener in plain text and one with TLS and SCRAM, each on a port that is free.

    kafka-bridge/tests/kafka/broker.py JARS DIRECTORY     prints the address, and ends with its input
"""

import pathlib
import signal
import socket
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "faults"))

from bridge import await_that, free_port

# What the tests wait for: the cleaner runs at once, and nobody waits for a group to fill.
SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={directory}/broker.pem
log.dirs={directory}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.backoff.ms=100
log.retention.check.interval.ms=200
"""

LOG = """log4j.rootLogger=WARN,out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c: %m%n
"""

USER, PASSWORD = "bridge", "a secret"


def self_signed(directory, name):
    """The files of a certificate for 127.0.0.1 and of its key."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


class Broker:
    def __init__(self, jars, directory):
        """`directory`: of its own; all that it leaves is there."""
        self.jars, self.directory = jars, pathlib.Path(directory)
        self.directory.mkdir()
        plain, secure, controller = free_port(), free_port(), free_port()
        self.address, self.secure_address = f"127.0.0.1:{plain}", f"127.0.0.1:{secure}"
        self.settings = self.directory / "server.properties"
        self.settings.write_text(SETTINGS.format(plain=plain, secure=secure, controller=controller, directory=self.directory))
        (self.directory / "log4j.properties").write_text(LOG)
        self.process = None
        self.certificate, key = self_signed(self.directory, "broker")
        (self.directory / "broker.pem").write_text(key.read_text() + self.certificate.read_text())
        self.java("kafka.tools.StorageTool", "format", "--cluster-id", "MkU3OEVBNTcwNTJENDM2Qg", "--config", self.settings,
                  "--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]")
        self.start()

    def command(self, main, *arguments):
        return ["java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
                f"-Dlog4j.configuration=file:{self.directory}/log4j.properties", "-cp", f"{self.jars}/*", main, *arguments]

    def java(self, main, *arguments):
        subprocess.run(self.command(main, *arguments), check=True, capture_output=True)

    def start(self):
        log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(self.command("kafka.Kafka", self.settings), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        await_that("Kafka to start", self.answers)

    def answers(self):
        assert self.process.poll() is None, f"Kafka ended: {self.log()[-2000:]}"
        # It listens when it is ready; what comes sooner than it has a leader, clients repeat.
        try:
            socket.create_connection(self.address.split(":")).close()
            return True
        except OSError:
            return False

    def end(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait()

    def log(self):
        return (self.directory / "log").read_text()


if __name__ == "__main__":
    one = Broker(*sys.argv[1:])
    try:
        print(one.address, flush=True)
        sys.stdin.read()
    finally:
        one.end()
