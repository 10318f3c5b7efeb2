"""Wait until the bus answers as its clients will ask, or say why it does not (beneath every hop)."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from lienthong.embedded.kafka import ADMIN
from lienthong.errors import BusNotUsable

TROUBLE: Final = re.compile(r"\b(FATAL|PANIC|ERROR|Exception|Error|error)\b")
FULL: Final = "No space left on device"
ANSWER_WITHIN: Final = 1.0
LONGEST: Final = 300


@contextmanager
def asking_brokers(bootstrap_servers: str, password: str, brokers: int) -> Iterator[Callable[[], bool]]:
    """Make a question that is answered yes when an authenticated client sees every broker.

    The last thing asked for is a group's committed offset: that creates the topic of the offsets, for
    which the first reader would otherwise wait. (The admin client's own calls about groups are not used:
    librdkafka 2.16 aborts the whole process when one of them times out while the coordinator moves.)
    """
    client = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": ADMIN,
            "sasl.password": password,
            "group.id": "lienthong.start",
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200,
            "log_level": 0,
        }
    )

    def answered() -> bool:
        try:
            if len(client.list_topics(timeout=ANSWER_WITHIN).brokers) < brokers:
                return False
            committed = client.committed([TopicPartition("lienthong.start", 0)], timeout=ANSWER_WITHIN)
        except KafkaException:
            return False
        return all(partition.error is None for partition in committed)

    try:
        yield answered
    finally:
        client.close()


def not_started(name: str, *logs: Path) -> BusNotUsable:
    """Say which part of the bus ended, with the last words of trouble in its logs."""
    words = next((found for log in logs if (found := find_trouble(log))), "it left no word")
    remedy = f"Its log says more: {logs[0]}."
    if FULL in words:
        remedy = "Free some space on that disk, then start again; nothing acknowledged is lost."
    return BusNotUsable(reason=f"{name} ended while it was starting: {words}.", remedy=remedy)


def find_trouble(log: Path) -> str | None:
    """Find the last line of a log that tells of trouble; else its last line."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 65536))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    spoken = [line.strip() for line in lines if line.strip() and not line.startswith(("\t", "    at "))]
    trouble = [line for line in spoken if TROUBLE.search(line)]
    last = (trouble or spoken)[-1:]
    return last[0][:LONGEST].rstrip(".") if last else None
