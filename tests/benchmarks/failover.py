"""Fail-over: how long nothing is acknowledged after a broker that leads is killed or frozen, by our producer.

Three brokers. One record after the other is sent and awaited, so that the longest time between two
acknowledgements is the gap that a department sees. Every other leader that is killed is the controller too:
then another controller must be chosen first, which begins to count anew.
"""

import asyncio
import os
import re
import signal
import statistics
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import ElectionType
from confluent_kafka.admin import AdminClient, NewTopic

from lienthong.embedded import Bus
from lienthong.producer import Acknowledged, OutgoingRecord, Producer, connection_arguments
from lienthong.settings import Settings
from lienthong.testing import until
from tests.benchmarks.figures import Balance, Figure

SECTION: Final = "Fail-over: seconds without an acknowledgement, three brokers"
TOPIC: Final = "failover.records"
PAUSE_SECONDS: Final = 3.0
KAFKAS_OWN: Final = {
    "broker.session.timeout.ms": "9000",
    "broker.heartbeat.interval.ms": "2000",
    "controller.quorum.fetch.timeout.ms": "2000",
}
"""What brokers wait for where nobody says otherwise."""

FENCED: Final = re.compile(r"Fencing broker \d+|[Ff]enced broker: \d+")
CHOSEN: Final = re.compile(r"Becoming the active controller")


@dataclass
class Writer:
    """Sends one record after the other to one partition, and notes when each was acknowledged."""

    producer: Producer
    keys: list[bytes] = field(default_factory=list)
    """One for each partition."""
    partition: int = 0
    heard: list[tuple[float, int]] = field(default_factory=list)
    sent: int = 0
    _over: bool = False

    async def write(self) -> None:
        await self._find_keys()
        while not self._over:
            number, self.sent = self.sent, self.sent + 1
            record = OutgoingRecord(TOPIC, self.keys[self.partition], str(number).encode(), [])
            outcome = None
            while not isinstance(outcome, Acknowledged):
                with suppress(Exception):
                    (outcome,) = await self.producer.send([record])
            self.heard.append((time.monotonic(), number))
            await asyncio.sleep(0.005)

    async def _find_keys(self) -> None:
        """Find keys that go to each partition, by trying."""
        found: dict[int, bytes] = {}
        while len(found) < 3:
            key, number = f"key-{self.sent}".encode(), self.sent
            self.sent += 1
            (outcome,) = await self.producer.send([OutgoingRecord(TOPIC, key, str(number).encode(), [])])
            if isinstance(outcome, Acknowledged):
                found.setdefault(outcome.partition, key)
                self.heard.append((time.monotonic(), number))
        self.keys = [found[number] for number in sorted(found)]

    def end(self) -> None:
        self._over = True

    def gap_since(self, moment: float) -> float:
        """The longest time between two acknowledgements, the last one before the moment included."""
        before = max((at for at, _ in self.heard if at <= moment), default=moment)
        after = [at for at, _ in self.heard if at > moment]
        times = [before, *after]
        return max((b - a for a, b in pairwise(times)), default=0.0)


def settings_of(bus: Bus) -> Settings:
    return Settings(
        bootstrap_servers=bus.description["bootstrap_servers"],
        security_protocol="SASL_PLAINTEXT",
        username="admin",
        password_file=bus.data / "secrets" / "kafka-admin.password",
        database_url="postgresql://nobody@127.0.0.1/none",
        log_level="error",
    )


def admin_of(bus: Bus) -> AdminClient:
    return AdminClient(
        {
            "bootstrap.servers": bus.description["bootstrap_servers"],
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "admin",
            "sasl.password": (bus.data / "secrets" / "kafka-admin.password").read_text(),
            "log_level": 0,
        }
    )


def leaders(admin: AdminClient) -> list[int]:
    """Who leads each partition."""
    found = admin.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
    return [found[number].leader for number in sorted(found)]


def is_whole(admin: AdminClient) -> bool:
    found = admin.list_topics(TOPIC, timeout=10)
    isrs = [len(partition.isrs) for partition in found.topics[TOPIC].partitions.values()]
    return len(found.brokers) == 3 and isrs == [3, 3, 3]


def lead_as_preferred(admin: AdminClient) -> bool:
    """Let each broker lead a partition of its own: the first broker the first one, and so on."""
    admin.elect_leaders(ElectionType.PREFERRED).result(15)
    return leaders(admin) == [1, 2, 3]


def controller_of(bus: Bus) -> int:
    """Who became the active controller last, as the brokers' logs say."""
    said = [
        (line, number)
        for number in (1, 2, 3)
        for line in (bus.data / f"kafka-{number}" / "logs" / "server.log")
        .read_text(errors="replace")
        .split("\n")
        if CHOSEN.search(line)
    ]
    return max(said)[1]


def count(bus: Bus, pattern: re.Pattern[str]) -> int:
    return sum(
        len(pattern.findall((bus.data / f"kafka-{n}" / "logs" / "server.log").read_text(errors="replace")))
        for n in (1, 2, 3)
    )


async def measure(*, quick: bool) -> list[Figure]:
    """Kill leaders under our settings and under Kafka's own, and freeze some for 3 s under ours."""
    kills = 4 if quick else 16
    ours = await _run(kills, pauses=2 if quick else 6)
    theirs = await _run(max(2, kills // 4), pauses=0, settings=KAFKAS_OWN)
    return [*_figures("our settings", ours, None), *_figures("Kafka's own", theirs, "our settings")]


@dataclass
class Found:
    """What a run came to."""

    gaps: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    moved: int = 0
    balance: Balance = field(default_factory=lambda: Balance(0, 0, 0))


async def _run(kills: int, pauses: int, settings: Mapping[str, str] | None = None) -> Found:
    found = Found()
    with TemporaryDirectory(prefix="lienthong-failover-") as folder:
        bus = Bus(Path(folder), 3, settings=settings)
        await asyncio.to_thread(bus.start)
        try:
            admin = admin_of(bus)
            copies = [[1, 2, 3], [2, 3, 1], [3, 1, 2]]
            admin.create_topics([NewTopic(TOPIC, 3, replica_assignment=copies)])[TOPIC].result(20)
            writer = Writer(Producer(settings_of(bus)))
            writing = asyncio.create_task(writer.write())
            for number in range(pauses):
                await _ready(writer, admin, number)
                moved, gap = await _pause(bus, writer, admin, 1 + number % 3)
                found.pauses.append(gap)
                found.moved += moved
            for number in range(kills):
                await _ready(writer, admin, number)
                controller = controller_of(bus)
                victim = controller if number % 2 else 1 + controller % 3
                found.gaps.append(await _kill(bus, writer, admin, victim))
            writer.end()
            await writing
            await writer.producer.stop()
            found.balance = Balance.of([str(number) for _, number in writer.heard], await read_all(bus))
        finally:
            await asyncio.to_thread(bus.stop)
    return found


async def _ready(writer: Writer, admin: AdminClient, number: int) -> None:
    """Let the cluster be whole again; then not always the same moment between two of its heartbeats."""
    heard = len(writer.heard)
    await until(lambda: len(writer.heard) > heard + 20 and is_whole(admin), within=240)
    await until(lambda: lead_as_preferred(admin), within=30)
    await asyncio.sleep(2.0 + 0.13 * (number % 5))


async def _kill(bus: Bus, writer: Writer, admin: AdminClient, victim: int) -> float:
    await _write_to(writer, victim)
    at = time.monotonic()
    os.kill(bus.children[f"kafka-{victim}"], signal.SIGKILL)
    await until(lambda: leaders(admin)[victim - 1] not in {victim, -1}, within=60)
    heard = len(writer.heard)
    await until(lambda: len(writer.heard) > heard + 20, within=60)
    return writer.gap_since(at)


async def _write_to(writer: Writer, broker: int) -> None:
    """Write to what this broker leads."""
    writer.partition, heard = broker - 1, len(writer.heard)
    await until(lambda: len(writer.heard) > heard + 5, within=30)


async def _pause(bus: Bus, writer: Writer, admin: AdminClient, victim: int) -> tuple[bool, float]:
    await _write_to(writer, victim)
    pid, at, fenced = bus.children[f"kafka-{victim}"], time.monotonic(), count(bus, FENCED)
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(PAUSE_SECONDS)
    os.kill(pid, signal.SIGCONT)
    heard = len(writer.heard)
    await until(lambda: len(writer.heard) > heard + 20, within=60)
    return leaders(admin) != [1, 2, 3] or count(bus, FENCED) > fenced, writer.gap_since(at)


def _figures(name: str, found: Found, beside: str | None) -> list[Figure]:
    gaps = found.gaps
    note = f"{len(gaps)} leaders killed"
    worst = Figure(
        SECTION, f"{name}, longest", max(gaps), "s", found.balance, _beside(beside, "longest"), note
    )
    usual = Figure(SECTION, f"{name}, median", statistics.median(gaps), "s", None, _beside(beside, "median"))
    if not found.pauses:
        return [usual, worst]
    said = f"{found.moved} of {len(found.pauses)} pauses of {PAUSE_SECONDS:.0f} s moved a leader"
    return [usual, worst, Figure(SECTION, f"{name}, a pause", max(found.pauses), "s", note=said)]


def _beside(beside: str | None, what: str) -> str | None:
    return f"{beside}, {what}" if beside else None


async def read_all(bus: Bus) -> list[str]:
    async with AIOKafkaConsumer(
        **connection_arguments(settings_of(bus)),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    ) as consumer:
        places = [TopicPartition(TOPIC, number) for number in range(3)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        found: list[str] = []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [record.value.decode() for record in records]
        return found
