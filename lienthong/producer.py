"""Send records and hear, for each, one of three outcomes: acknowledged, not written, or unknown (hop 4)."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder

from lienthong import metrics
from lienthong.broken_connections import tell_broken_connections
from lienthong.ending import stop_producer
from lienthong.login import mechanism_of, renew
from lienthong.logs import get_log
from lienthong.settings import Settings
from lienthong.sizes import BATCH_BYTES


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record as it will stand in the log. `value` None is a tombstone."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """All in-sync replicas have it."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class NotWritten:
    """Surely not in the log. `lasting`: sending the same record again can never succeed."""

    reason: str
    lasting: bool


@dataclass(frozen=True, slots=True)
class Unknown:
    """Perhaps in the log, perhaps not: keep it and send it again; the inbox of each reader makes it once."""

    reason: str


Outcome = Acknowledged | NotWritten | Unknown

LASTING: Final = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidTimestampError,
    kafka_errors.CorruptRecordException,
)
"""The broker will never take this record."""

MOST_BYTES: Final = BATCH_BYTES // 2
"""Of a batch that holds more than one record."""

_PARTITIONER: Final = DefaultPartitioner()

TOPIC_SECONDS: Final = 5.0
"""A topic of which the brokers know nothing for so long is not there."""

NOT_NOW: Final = (
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
    kafka_errors.UnknownTopicOrPartitionError,
    kafka_errors.InvalidTopicError,
    kafka_errors.PolicyViolationError,
)
"""Surely not written, but an operator can mend the cause (`lienthong apply`)."""


def connection_arguments(settings: Settings) -> dict[str, Any]:
    """Translate the settings for aiokafka's clients; what they connect with tells when it is broken."""
    tell_broken_connections()
    password = settings.read_password()
    arguments: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "security_protocol": settings.security_protocol,
        "sasl_mechanism": mechanism_of(password),
        "sasl_plain_username": settings.username,
        "sasl_plain_password": password,
    }
    if settings.security_protocol == "SASL_SSL":
        import ssl

        arguments["ssl_context"] = ssl.create_default_context(cafile=settings.ca_file)
    return arguments


class Producer:
    """An idempotent producer that is replaced, never trusted to heal."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._log = get_log(department=settings.username)
        self._client: AIOKafkaProducer | None = None
        self._reached: set[str] = set()

    async def start(self) -> None:
        """Connect, within `delivery_seconds`.

        Raises:
            KafkaError: the brokers cannot be reached, refuse the credentials, or say nothing.
        """
        client = AIOKafkaProducer(
            **connection_arguments(self._settings),
            client_id=f"{self._settings.username}.relay.{self._settings.instance}",
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=0,
            # An event is held to its topic's limit by the broker, and to its contract's by the gate.
            max_batch_size=MOST_BYTES,
            # A broker that is frozen answers nobody: each question to it costs so long. What is sent again
            # after that keeps its number, so the broker that leads by then knows it.
            request_timeout_ms=5_000,
            retry_backoff_ms=100,
        )
        try:
            async with asyncio.timeout(self._settings.delivery_seconds):
                await client.start()
        except BaseException as error:
            await stop_producer(client)
            if isinstance(error, TimeoutError):
                raise kafka_errors.KafkaTimeoutError from error  # it is not the database that is away
            raise
        self._client = client

    def renew(self, password: str) -> bool:
        """Log in with this password from the next connection on; tells whether it is another one."""
        return self._client is not None and renew(self._client.client, password)

    async def stop(self) -> None:
        """Stop within bounds: an idempotent batch never expires by itself."""
        client, self._client = self._client, None
        self._reached.clear()
        if client is not None:
            await stop_producer(client)

    async def send(self, records: Sequence[OutgoingRecord]) -> list[Outcome]:
        """Send records in order and wait for every outcome, at most `delivery_seconds`.

        Records of one key keep their order: of each partition one batch is under way, and what follows it is
        sent when it was acknowledged. (A client lets the next batch go where one was given up for want of a
        leader, and a broker that lost what it knew of the producer takes it.) After an unknown outcome the
        producer is replaced, so that nothing it still holds can arrive after what is sent next.
        """
        if not records:
            return []
        if self._client is None:
            await self.start()
        client = self._client
        assert client is not None
        deadline = asyncio.get_running_loop().time() + self._settings.delivery_seconds
        outcomes: dict[int, Outcome] = {}
        places: dict[tuple[str, int], deque[int]] = {}
        known: dict[str, Sequence[int] | NotWritten | Unknown] = {}
        for number, record in enumerate(records):
            if (found := known.get(record.topic)) is None:
                found = known[record.topic] = await self._find_partitions(client, record.topic)
            if isinstance(found, NotWritten | Unknown):
                outcomes[number] = found
            else:
                places.setdefault((record.topic, _choose(record.key, found)), deque()).append(number)
        async with asyncio.TaskGroup() as sending:
            for place, numbers in places.items():
                sending.create_task(_send_in_order(client, place, records, numbers, outcomes, deadline))
        ordered = [outcomes[number] for number in range(len(records))]
        self._count(records, ordered)
        if any(isinstance(outcome, Unknown) for outcome in ordered):
            self._log.warning("producer_replaced", reason=_first_unknown(ordered))
            await self.stop()
        return ordered

    async def _find_partitions(
        self, client: AIOKafkaProducer, topic: str
    ) -> Sequence[int] | NotWritten | Unknown:
        """Find the partitions of a topic, or why it cannot be written."""
        try:
            async with asyncio.timeout(TOPIC_SECONDS):
                found = sorted(await client.partitions_for(topic))
        except (kafka_errors.KafkaError, OSError, AssertionError) as error:
            return _outcome_unsent(error, known=topic in self._reached)
        self._reached.add(topic)
        return found

    @staticmethod
    def _count(records: Sequence[OutgoingRecord], outcomes: Sequence[Outcome]) -> None:
        for record, outcome in zip(records, outcomes, strict=True):
            if isinstance(outcome, Acknowledged):
                metrics.EVENTS_ACKNOWLEDGED.labels(record.topic).inc()
            else:
                metrics.EVENTS_UNDELIVERED.labels(record.topic).inc()


async def _send_in_order(
    client: AIOKafkaProducer,
    place: tuple[str, int],
    records: Sequence[OutgoingRecord],
    numbers: deque[int],
    outcomes: dict[int, Outcome],
    deadline: float,
) -> None:
    """Send what goes to one partition, batch after batch; behind one that is not there, nothing."""
    while numbers:
        batch, sent = client.create_batch(), list[int]()
        while numbers and _append(batch, records[numbers[0]]):
            sent.append(numbers.popleft())
        outcome = await _send_batch(client, batch, place, deadline)
        match outcome:
            case Acknowledged(partition, first):
                outcomes |= {n: Acknowledged(partition, offset) for offset, n in enumerate(sent, first)}
            case NotWritten(lasting=True):
                outcomes |= dict.fromkeys(sent, outcome)
            case _:
                outcomes |= dict.fromkeys((*sent, *numbers), outcome)
                return


def _append(batch: BatchBuilder, record: OutgoingRecord) -> bool:
    """Put a record into a batch, if there is room; the first one always finds it."""
    headers = list(record.headers)
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=headers) is not None


async def _send_batch(
    client: AIOKafkaProducer, batch: BatchBuilder, place: tuple[str, int], deadline: float
) -> Outcome:
    """Send a batch and wait for its outcome; the place is that of its first record."""
    topic, partition = place
    try:
        async with asyncio.timeout_at(deadline):
            future = await client.send_batch(batch, topic, partition=partition)
    except (kafka_errors.KafkaError, OSError, AssertionError) as error:
        return _outcome(error)
    future.add_done_callback(_heard)
    left = deadline - asyncio.get_running_loop().time()
    done, _ = await asyncio.wait([future], timeout=max(0.0, left))
    return _result(future) if done else Unknown("no confirmation in time")


def _choose(key: bytes | None, partitions: Sequence[int]) -> int:
    """Choose a partition as every Kafka client does: by the key, where there is one."""
    chosen: int = _PARTITIONER(key, partitions, partitions)
    return chosen


def _heard(future: asyncio.Future[Any]) -> None:
    """Take note of an error even when nobody waits any more."""
    if not future.cancelled():
        future.exception()


def _first_unknown(outcomes: Sequence[Outcome]) -> str:
    return next(outcome.reason for outcome in outcomes if isinstance(outcome, Unknown))


def _result(future: asyncio.Future[Any]) -> Outcome:
    if future.cancelled():
        return Unknown("the producer stopped")
    error = future.exception()
    if error is not None:
        return _outcome(error)
    written = future.result()
    return Acknowledged(written.partition, written.offset)


def _outcome(error: BaseException) -> NotWritten | Unknown:
    name = type(error).__name__
    if isinstance(error, LASTING):
        return NotWritten(f"the broker will never take it: {name}", lasting=True)
    if isinstance(error, NOT_NOW):
        return NotWritten(f"the broker does not let us write: {name}", lasting=False)
    return Unknown(f"without confirmation: {name}")


def _outcome_unsent(error: BaseException, *, known: bool) -> NotWritten | Unknown:
    """Tell the outcome of a record that the client did not even take."""
    if not known and isinstance(error, (TimeoutError, kafka_errors.KafkaTimeoutError)):
        return NotWritten("no broker knows the topic (`lienthong apply` makes it)", lasting=False)
    return _outcome(error)
