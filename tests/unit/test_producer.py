"""A send has three outcomes; only what is surely not in the log is told as not written; an end is bounded."""

import asyncio

import pytest
from aiokafka import errors as kafka_errors

from lienthong.department import Department
from lienthong.producer import (
    LASTING,
    NOT_NOW,
    Acknowledged,
    NotWritten,
    Unknown,
    _outcome,
    connection_arguments,
    end_within,
)
from lienthong.service import Service
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


def test_the_client_is_given_the_departments_own_credentials_and_scram():
    settings = Settings(
        bootstrap_servers="127.0.0.1:9092",
        security_protocol="SASL_PLAINTEXT",
        username="health",
        password="secret",
        database_url="postgresql://health@127.0.0.1/health",
    )
    assert connection_arguments(settings) == {
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
