"""What goes wrong on the way to brokers, and between them: nothing is lost, nothing happens twice."""

import asyncio
from contextlib import ExitStack

import pytest

from lienthong.chaos.proxy import Trouble, cut
from lienthong.testing import until
from tests.broker.scratch import Pair
from tests.chaos.conftest import BROKERS, Three
from tests.chaos.traffic import flowing, traffic


def everywhere(three: Three, trouble: Trouble) -> ExitStack:
    stack = ExitStack()
    for proxy in three.proxies.values():
        stack.enter_context(proxy.trouble(trouble))
    return stack


@pytest.mark.parametrize("who", ["publisher", "reader"])
async def test_a_department_that_is_cut_from_the_bus_goes_on_where_it_was(
    whole: Three, pair: Pair, who: str
) -> None:
    async with flowing(pair) as made:
        with everywhere(whole, cut(f"{getattr(pair, who)}.*")):
            began = len(made.committed)
            await until(lambda: len(made.committed) > began + 100)
        # What had been under way when the cut began is asked for again after the request's own time is over.


async def test_a_client_that_is_cut_from_one_broker_goes_on_where_the_others_lead(
    whole: Three, pair: Pair
) -> None:
    leaders = await whole.leaders(pair.thing.TOPIC)
    async with flowing(pair) as made:
        with whole.proxies[f"kafka-{leaders[0]}"].trouble(cut(f"{pair.publisher}.*")):
            began = len(made.committed)
            await until(lambda: len(made.committed) > began + 100)


async def test_an_acknowledgement_that_is_lost_neither_loses_nor_doubles_its_record(
    whole: Three, pair: Pair
) -> None:
    async with traffic(pair) as made:
        for _ in range(5):
            with everywhere(whole, Trouble(f"{pair.publisher}.*", answers_lost=True)):
                await made.publish(20)
                # The request arrived, its answer did not: the client does not know.
                await asyncio.sleep(0.3)
            await until(made.acknowledged_all, within=60)
        await made.settle()
        found = await whole.read(pair.thing.TOPIC)
        assert sorted(found) == sorted(made.committed), "the broker knew what it had"


async def test_a_half_open_connection_is_given_up_and_nothing_is_lost(whole: Three, pair: Pair) -> None:
    async with flowing(pair) as made:
        with everywhere(whole, Trouble(f"{pair.publisher}.*", answers_held=True)):
            began = len(made.committed)
            await until(lambda: len(made.committed) > began + 50)
        for proxy in whole.proxies.values():
            proxy.reset(f"{pair.publisher}.*")


async def test_connections_that_are_reset_all_the_time_delay_and_nothing_more(
    whole: Three, pair: Pair
) -> None:
    connections = sum(proxy.connections for proxy in whole.proxies.values())
    async with flowing(pair):
        for number in range(30):
            whole.proxies[BROKERS[number % 3]].reset(f"{pair.publisher if number % 2 else pair.reader}.*")
            await asyncio.sleep(0.1)
    made = sum(proxy.connections for proxy in whole.proxies.values()) - connections
    assert made < 600, "nobody storms a broker that has let go of it"


async def test_a_long_and_narrow_way_delays_and_nothing_more(whole: Three, pair: Pair) -> None:
    slow = Trouble(f"{pair.publisher}.*", delay_seconds=0.2, bytes_per_second=200_000)
    async with flowing(pair) as made:
        with everywhere(whole, slow):
            began = await made.acknowledged()
            await until(lambda: made.acknowledged_since(began, 50), within=60)


async def test_a_leader_that_is_cut_from_the_brokers_that_copy_it_acknowledges_nothing_that_could_be_lost(
    whole: Three, pair: Pair
) -> None:
    leader = f"kafka-{(await whole.leaders(pair.thing.TOPIC))[0]}"
    async with flowing(pair) as made:
        with whole.proxies[leader].trouble(cut("broker-*")):
            began = len(made.committed)
            await until(lambda: len(made.committed) > began + 150)
