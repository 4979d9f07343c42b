"""What all tests of the bridge begin with."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "kafka-bridge/tests/tools"), str(ROOT / "test/chaos")]

from processes import TABLE, Bridge, Kafka, free_port
from server import await_that
