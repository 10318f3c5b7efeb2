"""What goes wrong on the way: cut, slow, half-open and reset connections, lost acknowledgements."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from lienthong.chaos.fault import City, Fault
from lienthong.chaos.proxy import Proxy, Trouble, cut

LEAST_SECONDS: Final = 3.0
MOST_SECONDS: Final = 15.0


async def hold(dice: random.Random, over: asyncio.Event, least: float, most: float) -> float:
    """Let a fault last, but no longer than there is time; gives how long it was to be."""
    seconds = round(dice.uniform(least, most), 1)
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        pass
    return seconds


def departments(city: City) -> list[str]:
    """Name the departments whose processes run: `north-1` is one of north's."""
    return sorted({service.rpartition("-")[0] for service in city.services})


def _broker(city: City, dice: random.Random) -> tuple[str, Proxy] | None:
    """Choose a broker behind a proxy."""
    fronted = [(name, proxy) for name in city.brokers if (proxy := city.proxy(name)) is not None]
    return dice.choice(fronted) if fronted else None


async def _trouble(
    city: City, dice: random.Random, over: asyncio.Event, trouble: Trouble, who: str
) -> dict[str, Any]:
    """Make trouble between one broker and some of its clients."""
    if (chosen := _broker(city, dice)) is None:
        return {}
    broker, proxy = chosen
    with proxy.trouble(trouble):
        seconds = await hold(dice, over, LEAST_SECONDS, MOST_SECONDS)
    return {"broker": broker, "who": who, "seconds": seconds}


async def cut_client(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Let nothing pass between one department and one broker."""
    who = f"{dice.choice(departments(city))}.*"
    return await _trouble(city, dice, over, cut(who), who)


async def lose_answers(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Let a department's requests arrive and lose what a broker answers: was it written, or was it not?"""
    who = f"{dice.choice(departments(city))}.*"
    return await _trouble(city, dice, over, Trouble(who, answers_lost=True), who)


async def half_open(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Let requests pass and answers wait: each side believes that it is connected."""
    who = f"{dice.choice(departments(city))}.*"
    return await _trouble(city, dice, over, Trouble(who, answers_held=True), who)


async def slow(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Make everybody's way to one broker long and narrow."""
    delay = round(dice.uniform(0.02, 0.2), 3)
    trouble = Trouble("*", delay_seconds=delay, bytes_per_second=500_000)
    return await _trouble(city, dice, over, trouble, "*") | {"delay_seconds": delay}


async def reset(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Reset connections again and again, of one department or of everybody."""
    who = dice.choice([f"{department}.*" for department in departments(city)] + ["*"])
    proxies = [proxy for broker in city.brokers if (proxy := city.proxy(broker)) is not None]
    count = 0
    for _ in range(dice.randint(3, 15)):
        if over.is_set():
            break
        count += sum(proxy.reset(who) for proxy in proxies if dice.random() < 0.5)
        await hold(dice, over, 0.1, 1.0)
    return {"who": who, "connections": count} if proxies else {}


async def cut_brokers(city: City, dice: random.Random, over: asyncio.Event) -> dict[str, Any]:
    """Cut one broker from the others: it copies nothing of theirs, and they nothing of its own."""
    if (chosen := _broker(city, dice)) is None:
        return {}
    broker, _ = chosen
    with _isolated(city, broker):
        seconds = await hold(dice, over, LEAST_SECONDS, 2 * MOST_SECONDS)
    return {"broker": broker, "seconds": seconds}


@contextmanager
def _isolated(city: City, broker: str) -> Iterator[None]:
    number = broker.rpartition("-")[2]
    with ExitStack() as stack:
        for name in city.brokers:
            if (proxy := city.proxy(name)) is not None:
                who = "broker-*" if name == broker else f"broker-{number}-*"
                stack.enter_context(proxy.trouble(cut(who)))
        yield


FAULTS: Final[Sequence[Fault]] = (
    Fault("client-cut", "nothing passes between a department and a broker", cut_client),
    Fault("acknowledgements-lost", "requests arrive, their answers are lost", lose_answers),
    Fault("half-open", "requests arrive, their answers wait", half_open),
    Fault("slow-network", "everybody's way to a broker is long and narrow", slow),
    Fault("connections-reset", "connections are reset again and again", reset),
    Fault("brokers-cut", "a broker is cut from the other brokers", cut_brokers),
)
