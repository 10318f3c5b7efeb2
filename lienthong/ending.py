"""End Kafka's clients within bounds, whatever they wait for and whatever they cancel (hops 4, 5)."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient

from lienthong.logs import get_log

STOP_SECONDS: Final = 5.0
"""A client that takes longer to stop is cut off."""

CUT_OFF_SECONDS: Final = 10.0
"""A client that is cut off has nothing left to wait for: it takes moments on any machine."""


def is_told_to_end(error: BaseException) -> bool:
    """Tell a cancellation of the running task from one that somebody let through from another task."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def is_from_callee(error: BaseException) -> bool:
    """Tell what a department's own code let through, `SystemExit` too, from what is meant for us."""
    return not isinstance(error, (KeyboardInterrupt, GeneratorExit)) and not is_told_to_end(error)


async def end_within(ending: Coroutine[Any, Any, None], seconds: float) -> bool:
    """Let a client end, for so long at most; tells whether it did.

    aiokafka's clients await tasks of their own that they have cancelled: that cancellation would go on to
    whoever stops them, and end it without a word. An error of Kafka's while ending is of no account.
    """
    task = asyncio.create_task(ending)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        task.cancel()
    if not task.done():
        await asyncio.wait([task], timeout=seconds)
        return False
    if task.cancelled():
        return False
    error = task.exception()
    if error is not None and not isinstance(error, kafka_errors.KafkaError):
        raise error
    return True


async def stop_producer(client: AIOKafkaProducer, within: float = STOP_SECONDS) -> None:
    """Stop a client that may wait for ever for what it still holds; the outbox has all of that."""
    _forget_what_failed(client.client)
    if not await end_within(client.stop(), within):
        get_log().warning("producer_abandoned", after_seconds=within)
        await end_within(_abandon(client), CUT_OFF_SECONDS)


async def stop_consumer(consumer: AIOKafkaConsumer, within: float = STOP_SECONDS) -> None:
    """Leave the group and stop, within bounds; a consumer that is stuck must not stay a member unseen."""
    _forget_what_failed(consumer._client)  # noqa: SLF001
    if not await end_within(consumer.stop(), within):
        get_log().warning("consumer_abandoned", after_seconds=within)
        await end_within(_cut_off(consumer), CUT_OFF_SECONDS)


async def _cut_off(consumer: AIOKafkaConsumer) -> None:
    coordinator, fetcher = consumer._coordinator, consumer._fetcher  # noqa: SLF001
    tasks: list[asyncio.Task[Any] | None] = []
    if coordinator is not None:
        tasks += [coordinator._coordination_task, coordinator._heartbeat_task]  # noqa: SLF001
        tasks.append(coordinator._commit_refresh_task)  # noqa: SLF001
    if fetcher is not None:
        tasks += [fetcher._fetch_task, *fetcher._pending_tasks]  # noqa: SLF001
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    await _abort_connections(consumer._client)  # noqa: SLF001
    await asyncio.gather(*running, return_exceptions=True)
    await consumer._client.close()  # noqa: SLF001


async def _abandon(client: AIOKafkaProducer) -> None:
    """End what waits for brokers that do not answer; the client would wait for its longest timeouts."""
    await _abort_connections(client.client)
    await client._sender.close()  # noqa: SLF001
    await client.client.close()


def _forget_what_failed(client: AIOKafkaClient) -> None:
    """Let go of a task of the client's own that an error has ended: it would be told to whoever closes it."""
    asking = client._sync_task  # noqa: SLF001
    if asking is not None and asking.done():
        if not asking.cancelled():
            asking.exception()
        client._sync_task = None  # noqa: SLF001


async def _abort_connections(client: AIOKafkaClient) -> None:
    """Cut a client's connections, and let nothing wait for news of the cluster: there will be none."""
    for connection in client._conns.values():  # noqa: SLF001
        if connection.connected():
            connection._writer.transport.abort()  # noqa: SLF001
    _forget_what_failed(client)
    await client.close()
    asked, answered = client._md_update_fut, asyncio.get_running_loop().create_future()  # noqa: SLF001
    for future in (asked, answered):
        if future is not None and not future.done():
            future.set_result(False)
    client._md_update_fut = answered  # noqa: SLF001
