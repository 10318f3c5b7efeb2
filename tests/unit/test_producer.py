"""A send has three outcomes; only what is surely not in the log is told as not written."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata, TopicPartition

from lienthong.producer import (
    LASTING,
    MOST_BYTES,
    NOT_NOW,
    Acknowledged,
    NotWritten,
    OutgoingRecord,
    Producer,
    Unknown,
    _outcome,
    connection_arguments,
)
from lienthong.settings import Settings


def every_kafka_error(root: type = kafka_errors.KafkaError) -> set[type[Exception]]:
    return {root}.union(*(every_kafka_error(child) for child in root.__subclasses__()))


ERRORS = sorted(every_kafka_error(), key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", LASTING, ids=lambda kind: kind.__name__)
def test_what_the_broker_will_never_take_is_not_tried_again(kind):
    assert _outcome(kind()) == NotWritten(f"the broker will never take it: {kind.__name__}", lasting=True)


@pytest.mark.parametrize("kind", NOT_NOW, ids=lambda kind: kind.__name__)
def test_what_an_operator_can_mend_is_tried_again(kind):
    assert _outcome(kind()) == NotWritten(f"the broker does not let us write: {kind.__name__}", lasting=False)


@pytest.mark.parametrize(
    "error",
    [
        kafka_errors.KafkaTimeoutError(),
        kafka_errors.RequestTimedOutError(),
        kafka_errors.NotEnoughReplicasAfterAppendError(),
        kafka_errors.KafkaConnectionError(),
        kafka_errors.NodeNotReadyError(),
        kafka_errors.OutOfOrderSequenceNumber(),
        kafka_errors.DuplicateSequenceNumber(),
        kafka_errors.ProducerFenced(),
        kafka_errors.UnknownError(),
        TimeoutError(),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_where_the_record_may_be_in_the_log_the_outcome_is_unknown(error):
    assert _outcome(error) == Unknown(f"without confirmation: {type(error).__name__}")


def test_no_error_of_kafka_counts_as_acknowledged_and_only_the_listed_as_not_written():
    told = {kind: _outcome(kind()) for kind in ERRORS}
    assert [kind.__name__ for kind, outcome in told.items() if isinstance(outcome, Acknowledged)] == []
    not_written = {kind for kind, outcome in told.items() if isinstance(outcome, NotWritten)}
    assert not_written == set(LASTING) | set(NOT_NOW)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_outcome_never_repeats_what_the_error_says(kind):
    outcome = _outcome(kind("Nguyễn Thị Bí Mật"))
    assert "Bí Mật" not in str(outcome)


def settings(**others: Any) -> Settings:
    told = {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "username": "health",
        "password": "secret",
        "database_url": "postgresql://health@127.0.0.1/health",
    }
    return Settings(**{**told, **others})


def test_the_client_is_given_the_departments_own_credentials_and_scram():
    assert connection_arguments(settings()) == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "health",
        "sasl_plain_password": "secret",
    }


def test_over_tls_the_brokers_certificate_and_name_are_checked():
    import ssl

    settings = Settings(
        bootstrap_servers="bus.hanoi.example:9092",
        username="health",
        password="secret",
        database_url="postgresql://health@127.0.0.1/health",
    )
    context = connection_arguments(settings)["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


async def test_brokers_that_say_nothing_at_the_start_are_told_as_theirs_and_not_the_databases():
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        producer = Producer(settings(bootstrap_servers=address, delivery_seconds=0.2))
        with pytest.raises(kafka_errors.KafkaTimeoutError):
            await producer.send([large(b"0")])


class Broker:
    """Stands for aiokafka's client: takes batches of one partition after another, or tells an error."""

    def __init__(self, errors: dict[int, Exception]) -> None:
        self._errors = errors
        self.client = SimpleNamespace(_sync_task=None)
        self.taken: list[tuple[int, int]] = []
        """Partition and number of records of each batch, in the order in which they came."""

    async def partitions_for(self, _: str) -> set[int]:
        return {0, 1}

    def create_batch(self) -> Any:
        return BatchBuilder(MOST_BYTES, 0)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[RecordMetadata]:
        first = sum(count for place, count in self.taken if place == partition)
        number = len(self.taken)
        self.taken.append((partition, batch.record_count()))
        told: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        if number in self._errors:
            told.set_exception(self._errors[number])
        else:
            at = TopicPartition(topic, partition)
            told.set_result(RecordMetadata(topic, partition, at, first, -1, 0, 0))
        return told

    async def stop(self) -> None:
        pass


def large(key: bytes) -> OutgoingRecord:
    """Make a record of which one batch holds two."""
    return OutgoingRecord("health.noted.v1", key, b"x" * (MOST_BYTES * 2 // 5), [])


async def send(records: list[OutgoingRecord], errors: dict[int, Exception]) -> tuple[Broker, list[Any]]:
    producer = Producer(settings())
    broker = Broker(errors)
    producer._client = broker  # type: ignore[assignment]
    return broker, await producer.send(records)


async def test_each_record_of_a_batch_has_its_own_place():
    broker, outcomes = await send([large(b"0")] * 5, {})
    (place,) = {outcome.partition for outcome in outcomes}
    assert broker.taken == [(place, 2), (place, 2), (place, 1)]
    assert [outcome.offset for outcome in outcomes] == [0, 1, 2, 3, 4]


async def test_nothing_follows_a_batch_of_which_nothing_was_heard_and_other_keys_go_on():
    records = [large(b"0"), large(b"0"), large(b"1"), large(b"0"), large(b"0")]
    broker, outcomes = await send(records, {0: kafka_errors.LeaderNotAvailableError()})
    (hurt, two), (other, one) = broker.taken
    assert (two, one) == (2, 1)
    assert hurt != other
    unheard = Unknown("without confirmation: LeaderNotAvailableError")
    assert outcomes == [unheard, unheard, Acknowledged(other, 0), unheard, unheard]


async def test_what_can_never_be_written_holds_nothing_up():
    _, outcomes = await send([large(b"0")] * 4, {0: kafka_errors.MessageSizeTooLargeError()})
    assert [type(outcome) for outcome in outcomes] == [NotWritten, NotWritten, Acknowledged, Acknowledged]
