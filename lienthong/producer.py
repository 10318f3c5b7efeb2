"""Send records and hear, for each, one of three outcomes: acknowledged, not written, or unknown (hop 4)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors

from lienthong import metrics
from lienthong.ending import stop_producer
from lienthong.login import mechanism_of, renew
from lienthong.logs import get_log
from lienthong.settings import Settings
from lienthong.sizes import LETTER_BYTES


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
    """Translate the settings for aiokafka's clients."""
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
        """Connect; raises the client's error when the brokers cannot be reached or refuse the credentials."""
        client = AIOKafkaProducer(
            **connection_arguments(self._settings),
            client_id=f"{self._settings.username}.relay.{self._settings.instance}",
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            # What is sent in one go is in one batch already.
            linger_ms=0,
            max_batch_size=131_072,
            # An event is held to its topic's limit by the broker, and to its contract's by the gate.
            max_request_size=LETTER_BYTES,
            # A broker that is frozen answers nobody: each question to it costs so long. What is sent again
            # after that keeps its number, so the broker that leads by then knows it.
            request_timeout_ms=5_000,
            retry_backoff_ms=100,
        )
        try:
            await client.start()
        except BaseException:
            await stop_producer(client)
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

        Records of one topic keep their order: where a topic cannot be written, the rest of it is held back.
        After an unknown outcome the producer is replaced, so that nothing it still holds can arrive after
        what is sent next.
        """
        if not records:
            return []
        if self._client is None:
            await self.start()
        client = self._client
        assert client is not None
        outcomes: dict[int, Outcome] = {}
        waiting: dict[asyncio.Future[Any], int] = {}
        held: dict[str, Outcome] = {}
        deadline = asyncio.get_running_loop().time() + self._settings.delivery_seconds
        for number, record in enumerate(records):
            if record.topic in held:
                outcomes[number] = held[record.topic]
                continue
            try:
                if record.topic not in self._reached:
                    async with asyncio.timeout(TOPIC_SECONDS):
                        await client.partitions_for(record.topic)
                    self._reached.add(record.topic)
                async with asyncio.timeout_at(deadline):
                    future = await client.send(
                        record.topic, value=record.value, key=record.key, headers=list(record.headers)
                    )
                future.add_done_callback(_heard)
                waiting[future] = number
            except (kafka_errors.KafkaError, TimeoutError, AssertionError) as error:
                outcomes[number] = outcome = _outcome_unsent(error, known=record.topic in self._reached)
                if not (isinstance(outcome, NotWritten) and outcome.lasting):
                    held[record.topic] = outcome
        if waiting:
            done, _ = await asyncio.wait(
                waiting, timeout=max(0.0, deadline - asyncio.get_running_loop().time())
            )
            for future, number in waiting.items():
                outcomes[number] = _result(future) if future in done else Unknown("no confirmation in time")
        ordered = [outcomes[number] for number in range(len(records))]
        self._count(records, ordered)
        if any(isinstance(outcome, Unknown) for outcome in ordered):
            self._log.warning("producer_replaced", reason=_first_unknown(ordered))
            await self.stop()
        return ordered

    @staticmethod
    def _count(records: Sequence[OutgoingRecord], outcomes: Sequence[Outcome]) -> None:
        for record, outcome in zip(records, outcomes, strict=True):
            if isinstance(outcome, Acknowledged):
                metrics.EVENTS_ACKNOWLEDGED.labels(record.topic).inc()
            else:
                metrics.EVENTS_UNDELIVERED.labels(record.topic).inc()


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


def _outcome(error: BaseException) -> Outcome:
    name = type(error).__name__
    if isinstance(error, LASTING):
        return NotWritten(f"the broker will never take it: {name}", lasting=True)
    if isinstance(error, NOT_NOW):
        return NotWritten(f"the broker does not let us write: {name}", lasting=False)
    return Unknown(f"without confirmation: {name}")


def _outcome_unsent(error: BaseException, *, known: bool) -> Outcome:
    """Tell the outcome of a record that the client did not even take."""
    if not known and isinstance(error, (TimeoutError, kafka_errors.KafkaTimeoutError)):
        return NotWritten("no broker knows the topic (`lienthong apply` makes it)", lasting=False)
    return _outcome(error)
