"""What a client cancels by itself ends nobody who waits for it; what is told to end, ends."""

import asyncio

import pytest

from lienthong import Department
from lienthong.ending import is_told_to_end
from lienthong.service import Service


async def wait_for_what_is_cancelled() -> None:
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    gone.cancel()
    await gone


async def test_a_cancellation_of_what_is_awaited_is_told_from_one_of_the_task() -> None:
    told: list[bool] = []

    async def wait(forever: bool) -> None:
        try:
            await (asyncio.Event().wait() if forever else wait_for_what_is_cancelled())
        except asyncio.CancelledError:
            told.append(is_told_to_end())

    await wait(forever=False)
    task = asyncio.create_task(wait(forever=True))
    await asyncio.sleep(0)
    task.cancel()
    await task
    assert told == [False, True]


async def test_a_part_whose_client_lets_go_of_it_begins_afresh_and_ends_when_it_is_told_to() -> None:
    begun: list[int] = []
    runs = asyncio.Event()

    async def run() -> None:
        begun.append(len(begun))
        if len(begun) == 1:
            await wait_for_what_is_cancelled()
        runs.set()
        await asyncio.Event().wait()

    service = Service(Department("health"), "")
    part = service._keep_running("reader", run)
    async with asyncio.timeout(10):
        await runs.wait()
    assert not part.done()
    part.cancel()
    with pytest.raises(asyncio.CancelledError):
        await part
    assert begun == [0, 1]
