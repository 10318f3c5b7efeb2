"""Three brokers behind proxies, a database, scratch departments: for the faults that need a cluster."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from lienthong import contracts
from lienthong.chaos.proxy import Proxy, fronts
from lienthong.cluster.apply import apply_contracts
from lienthong.cluster.connection import admin_connection
from lienthong.embedded import Bus
from lienthong.testing import until
from tests.broker.scratch import City, Pair, write_city

PAIRS = 4
"""One for each file of tests: a topic more is work for brokers that start again."""
BROKERS = ("kafka-1", "kafka-2", "kafka-3")


@dataclass
class Three:
    """A bus of three brokers, each behind a proxy, and departments that use it."""

    bus: Bus
    proxies: Mapping[str, Proxy]
    city: City

    @property
    def data(self) -> Path:
        return self.bus.data

    def pid(self, name: str) -> int:
        return self.bus.children[name]

    async def ask(self, question: Callable[[AdminClient], Any]) -> Any:
        """Ask the cluster; not in this loop, which carries the answer."""

        def asked() -> Any:
            return question(AdminClient(admin_connection(self.data).for_confluent() | {"log_level": 0}))

        return await asyncio.to_thread(asked)

    async def leaders(self, topic: str) -> dict[int, int]:
        found = await self.ask(lambda admin: admin.list_topics(topic, timeout=20).topics[topic])
        return {number: partition.leader for number, partition in found.partitions.items()}

    async def is_whole(self) -> bool:
        """Whether all brokers are there, and every copy of every topic of the departments is up to date."""
        if len(self.bus.children) < 4:
            return False
        found = await self.ask(lambda admin: admin.list_topics(timeout=20))
        return len(found.brokers) == 3 and all(
            len(partition.isrs) == 3
            for topic in found.topics.values()
            for partition in topic.partitions.values()
        )

    async def read(self, topic: str) -> list[str]:
        """Read a topic whole, with a plain client: the ids of its events, as they lie there."""
        return await asyncio.to_thread(self._read, topic)

    def _read(self, topic: str) -> list[str]:
        properties = admin_connection(self.data).for_confluent() | {
            "group.id": "looking.on",
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        }
        consumer, found, ended = Consumer(properties), [], 0
        partitions = len(consumer.list_topics(topic, timeout=20).topics[topic].partitions)
        consumer.subscribe([topic])
        try:
            while ended < partitions:
                record = consumer.poll(60)
                assert record is not None, f"no end of {topic} within 60 s"
                if record.error() is None:
                    found.append(dict(record.headers())["ce_id"].decode())
                elif record.error().name() == "_PARTITION_EOF":
                    ended += 1
        finally:
            consumer.close()
        return found

    @asynccontextmanager
    async def frozen(self, *names: str) -> AsyncIterator[None]:
        pids = [self.pid(name) for name in names]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="package")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Three]:
    """A cluster for all the tests of this folder that ask for one; each leaves it whole."""
    data, root = tmp_path_factory.mktemp("three"), tmp_path_factory.mktemp("city")
    async with fronts(BROKERS, data) as proxies:
        bus = Bus(data, 3, advertised={name: proxy.port for name, proxy in proxies.items()})
        await asyncio.to_thread(bus.start)
        try:
            city = await asyncio.to_thread(write_city, root, data, PAIRS)
            await asyncio.to_thread(apply_contracts, contracts.load_contracts(root), data, date(2026, 1, 1))
            yield Three(bus, proxies, city)
        finally:
            await asyncio.to_thread(bus.stop)


@pytest.fixture
async def whole(three: Three) -> AsyncIterator[Three]:
    """The cluster, whole before a test and after it."""
    await until(three.is_whole, within=240)
    yield three
    await until(three.is_whole, within=240)


@pytest.fixture(scope="module")
def pair(three: Three) -> Pair:
    return three.city.take()
