"""A send has three outcomes; only what is surely not in the log is told as not written."""

import pytest
from aiokafka import errors as kafka_errors

from lienthong.producer import (
    LASTING,
    NOT_NOW,
    Acknowledged,
    NotWritten,
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
