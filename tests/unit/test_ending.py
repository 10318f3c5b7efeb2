"""Clients end in time, and end nobody else."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import errors as kafka_errors

from lienthong.department import Department
from lienthong.ending import end_within, stop_consumer, stop_producer
from lienthong.service import Service


async def await_what_it_cancelled() -> None:
    """Behave as aiokafka's fetcher does when it closes: the cancellation of its own task passes through."""
    task = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    await task


async def test_a_client_that_cancels_itself_while_ending_does_not_end_whoever_stops_it():
    assert not await end_within(await_what_it_cancelled(), 5)


async def test_a_client_that_never_ends_is_given_up():
    assert not await end_within(asyncio.sleep(60), 0.01)


async def test_an_error_of_kafka_while_ending_is_of_no_account_and_another_is_told():
    async def fail(error: Exception) -> None:
        raise error

    assert await end_within(fail(kafka_errors.KafkaConnectionError()), 5)
    with pytest.raises(ZeroDivisionError):
        await end_within(fail(ZeroDivisionError()), 5)


async def test_a_client_of_which_a_task_has_failed_ends_like_any_other():
    async def fail() -> None:
        raise RuntimeError

    producer, consumer = AIOKafkaProducer(), AIOKafkaConsumer()
    for client in (producer.client, consumer._client):
        client._sync_task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await stop_producer(producer)
    await stop_consumer(consumer)


async def test_a_part_of_a_service_that_is_cancelled_by_a_client_of_its_own_is_begun_afresh():
    begun: list[int] = []

    async def run() -> None:
        begun.append(1)
        if len(begun) == 1:
            await await_what_it_cancelled()

    await Service(Department("north"), "")._keep_running("reader", run)
    assert len(begun) == 2


async def test_a_part_of_a_service_that_is_told_to_end_ends():
    task = Service(Department("north"), "")._keep_running("reader", lambda: asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    assert await asyncio.gather(task, return_exceptions=True) != [None]
    assert task.cancelled()
