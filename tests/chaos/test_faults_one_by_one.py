"""Each fault that the checker injects, alone, while facts go from one department to another."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from lienthong.chaos.faults import brokers, clients, databases, disks, network
from lienthong.chaos.proxy import Proxy
from lienthong.embedded.secret import load_or_generate
from lienthong.settings import load_bus
from tests.broker.scratch import Pair
from tests.chaos.conftest import BROKERS, Three
from tests.chaos.traffic import flowing

FAULTS = {
    fault.name: fault
    for module in (network, brokers, disks, databases, clients)
    for fault in module.FAULTS
    # That one is for services that are processes of their own.
    if fault.name != "service-out-of-memory"
}
SECONDS = 5.0


class Seen:
    """The cluster and the two departments, as a fault sees a city."""

    def __init__(self, three: Three, pair: Pair) -> None:
        self._three = three
        self.brokers: Sequence[str] = BROKERS
        self.services: Sequence[str] = (f"{pair.publisher}-1", f"{pair.reader}-1")

    @property
    def data(self) -> Path:
        return self._three.data

    def pids(self) -> Mapping[str, int]:
        return self._three.bus.children

    def database_url(self, department: str) -> str:
        where = load_bus(self.data)["postgres"]
        secret = load_or_generate(self.data / "secrets" / f"{department}.password")
        return f"postgresql://{department}:{secret}@{where['host']}:{where['port']}/{department}"

    def proxy(self, broker: str) -> Proxy | None:
        return self._three.proxies[broker]

    async def restart_service(self, name: str) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("name", sorted(FAULTS))
async def test_facts_arrive_once_and_in_order_whatever_happens(whole: Three, pair: Pair, name: str) -> None:
    over = asyncio.Event()
    async with flowing(pair) as made:
        asyncio.get_running_loop().call_later(SECONDS, over.set)
        done = await FAULTS[name].strike(Seen(whole, pair), random.Random(name), over)
        assert done, "the fault could not be injected"
        await made.publish()
