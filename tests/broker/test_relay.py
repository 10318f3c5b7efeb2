"""The relay: nothing is overtaken, two of them are as one, and what was left half done goes on."""

import asyncio
from collections import defaultdict
from typing import Any

from lienthong import Department
from lienthong.testing import running, until
from tests.broker.scratch import City, Pair

_LOG = "SELECT record_partition, record_offset, id FROM lienthong.published WHERE topic = $1 ORDER BY 1, 2"


async def publish(service: Any, department: Department, *facts: Any) -> list[str]:
    async with service.pool.acquire() as db, db.transaction():
        return [await department.publish(db, fact) for fact in facts]


async def written(service: Any, pair: Pair) -> dict[int, list[tuple[int, str]]]:
    """What the broker confirmed, by partition: (offset, id)."""
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for partition, offset, event_id in await service.pool.fetch(_LOG, pair.thing.TOPIC):
        found[partition].append((offset, str(event_id)))
    return dict(found)


async def has_looked(service: Any, pair: Pair) -> None:
    """Wait until the relay has looked once more: a dead letter waits for no transaction."""
    await service.pool.execute(
        "INSERT INTO lienthong.dead_letter (topic, key, value, header_names, header_values)"
        " VALUES ($1, 'k', 'v', '{}', '{}')",
        f"{pair.publisher}.follow-up.dlt",
    )
    await until(lambda: service.pool.fetchval("SELECT NOT EXISTS (SELECT FROM lienthong.dead_letter)"))


async def test_a_transaction_that_commits_late_is_not_overtaken(scratch: City) -> None:
    """Promise: facts of one key are on the bus in the order in which their rows were written."""
    pair = scratch.take()
    publisher = Department(pair.publisher)
    async with running(publisher, data=pair.data, root=pair.root) as service:
        async with service.pool.acquire() as db:
            late = db.transaction()
            await late.start()
            first = await publisher.publish(db, pair.thing(thing_id="vat", amount=1))
            (second,) = await publish(service, publisher, pair.thing(thing_id="vat", amount=2))
            for _ in range(2):
                await has_looked(service, pair)
            assert await written(service, pair) == {}, "what was committed first waits for what began first"
            await late.commit()
        await until(lambda: _are_there(service, pair, 2))
        (log,) = (await written(service, pair)).values()
        assert [event_id for _, event_id in log] == [first, second]


async def test_a_transaction_that_is_undone_late_holds_nobody_up_any_more(scratch: City) -> None:
    pair = scratch.take()
    publisher = Department(pair.publisher)
    async with running(publisher, data=pair.data, root=pair.root) as service:
        async with service.pool.acquire() as db:
            late = db.transaction()
            await late.start()
            await publisher.publish(db, pair.thing(thing_id="vat", amount=1))
            ids = await publish(service, publisher, *(pair.thing(thing_id="vat", amount=n) for n in (2, 3)))
            await late.rollback()
        await until(lambda: _are_there(service, pair, 2))
        (log,) = (await written(service, pair)).values()
        assert [event_id for _, event_id in log] == ids


async def _are_there(service: Any, pair: Pair, facts: int) -> bool:
    return sum(map(len, (await written(service, pair)).values())) == facts


async def test_two_services_of_a_department_relay_as_one(scratch: City) -> None:
    """Promise: a second relay neither doubles a fact nor lets one of the same key pass another."""
    pair = scratch.take()
    departments = [Department(pair.publisher), Department(pair.publisher)]
    told: dict[str, list[str]] = defaultdict(list)
    async with running(departments[1], data=pair.data, root=pair.root) as second:
        async with running(departments[0], data=pair.data, root=pair.root) as first:
            services = [first, second]
            for amount in range(100, 140):
                await _tell(told, services[amount % 2], departments[amount % 2], pair, amount)
            await until(lambda: _are_there(first, pair, 40))
            await asyncio.gather(
                *(
                    _tell_on(told, service, department, pair, f"vat-{number}")
                    for number, (service, department) in enumerate(zip(services, departments, strict=True))
                )
            )
        # Whichever relayed: the other does now.
        await _tell(told, second, departments[1], pair, 500)
        await until(lambda: _are_there(second, pair, 81))
        log = await written(second, pair)
        for places in log.values():
            assert [offset for offset, _ in places] == list(range(len(places))), "nothing is there twice"
        order = {event_id: place for places in log.values() for place, (_, event_id) in enumerate(places)}
        wrong = [key for key, ids in told.items() if sorted(ids, key=order.__getitem__) != ids]
        assert wrong == []


async def _tell(
    told: dict[str, list[str]],
    service: Any,
    department: Department,
    pair: Pair,
    amount: int,
    key: str = "vat",
) -> None:
    told[key] += await publish(service, department, pair.thing(thing_id=key, amount=amount))


async def _tell_on(
    told: dict[str, list[str]], service: Any, department: Department, pair: Pair, key: str
) -> None:
    for amount in range(200, 220):
        await _tell(told, service, department, pair, amount, key)
