"""What goes wrong with brokers: what is acknowledged is there, and what is not there is not acknowledged."""

import asyncio
import os
import signal

import pytest

from lienthong.chaos.faults import FAULTS
from lienthong.producer import Acknowledged, Producer
from lienthong.testing import until
from tests.broker.scratch import Pair
from tests.broker.test_producer import record, settings_of
from tests.chaos.conftest import BROKERS, Three
from tests.chaos.traffic import flowing

KAFKAS_OWN_SECONDS = 10.0
"""How long nothing is acknowledged after a leader died, with the settings that Kafka comes with."""

GAP = """
SELECT max(gap) FROM (
    SELECT extract(epoch FROM acknowledged_at - lag(acknowledged_at) OVER (ORDER BY acknowledged_at)) AS gap
    FROM lienthong.published WHERE acknowledged_at > $1) AS gaps
"""


async def test_with_two_of_three_brokers_away_nothing_is_acknowledged_and_nothing_is_lost(
    whole: Three, pair: Pair
) -> None:
    leader = f"kafka-{(await whole.leaders(pair.thing.TOPIC))[0]}"
    others = [name for name in BROKERS if name != leader]
    impatient = Producer(settings_of(whole.data, pair.publisher, delivery_seconds=8.0))
    assert isinstance((await impatient.send([record(f"{pair.publisher}.place.v1")]))[0], Acknowledged)
    async with flowing(pair) as made, whole.frozen(*others):
        (outcome,) = await impatient.send([record(f"{pair.publisher}.place.v1")])
        assert not isinstance(outcome, Acknowledged)
        before, committed = await made.acknowledged(), len(made.committed)
        await until(lambda: len(made.committed) > committed + 100)
        assert await made.acknowledged() == before
    await impatient.stop()


@pytest.mark.parametrize("broker", BROKERS)
async def test_a_broker_that_pauses_for_three_seconds_keeps_what_it_leads(
    whole: Three, pair: Pair, broker: str
) -> None:
    before = await whole.leaders(pair.thing.TOPIC)
    async with flowing(pair):
        async with whole.frozen(broker):
            await asyncio.sleep(3.0)
        assert await whole.leaders(pair.thing.TOPIC) == before


async def test_a_leader_that_is_killed_is_replaced_sooner_than_by_kafkas_own_settings(
    whole: Three, pair: Pair
) -> None:
    async with flowing(pair) as made:
        leader = (await whole.leaders(pair.thing.TOPIC))[0]
        before, moment = await made.acknowledged(), await made.source.pool.fetchval("SELECT now()")
        os.kill(whole.pid(f"kafka-{leader}"), signal.SIGKILL)
        await until(lambda: made.acknowledged_since(before, 500), within=120)
        gap = float(await made.source.pool.fetchval(GAP, moment))
    assert gap < KAFKAS_OWN_SECONDS, f"{gap:.1f} s without an acknowledgement"


def test_every_fault_has_a_name_of_its_own_and_says_what_it_does() -> None:
    assert [name for name, fault in FAULTS.items() if name != fault.name or not fault.about] == []
