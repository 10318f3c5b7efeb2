"""A password says by itself which of a department's two logins it belongs to."""

import pytest
from aiokafka.client import AIOKafkaClient

from lienthong.login import is_stand_in, mechanism_of, renew, role_of
from lienthong.producer import connection_arguments
from lienthong.settings import Settings

OWN, STAND_IN = "kJ3_-abc", "next.kJ3_-abc"


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "password").write_text(OWN)
    return Settings(
        bootstrap_servers="127.0.0.1:9092",
        security_protocol="SASL_PLAINTEXT",
        username="health",
        password_file=tmp_path / "password",
        database_url="postgresql://health@127.0.0.1/health",
        database_password_file=tmp_path / "password",
    )


@pytest.mark.parametrize(
    ("password", "stands_in", "mechanism", "role"),
    [(OWN, False, "SCRAM-SHA-512", "health"), (STAND_IN, True, "SCRAM-SHA-256", "health-next")],
)
def test_a_password_names_its_mechanism_and_its_role(password, stands_in, mechanism, role):
    assert is_stand_in(password) is stands_in
    assert mechanism_of(password) == mechanism
    assert role_of("health", password) == role_of("health-next", password) == role


def test_a_service_takes_the_login_that_its_file_holds_at_this_moment(settings):
    assert connection_arguments(settings)["sasl_mechanism"] == "SCRAM-SHA-512"
    assert settings.read_database_url() == f"postgresql://health:{OWN}@127.0.0.1/health"
    settings.password_file.write_text(STAND_IN)
    assert connection_arguments(settings)["sasl_mechanism"] == "SCRAM-SHA-256"
    assert settings.read_database_url() == f"postgresql://health-next:{STAND_IN}@127.0.0.1/health"


async def test_a_client_that_is_open_takes_another_password_for_its_next_connection(settings):
    client = AIOKafkaClient(**connection_arguments(settings))
    assert renew(client, OWN) is False
    assert renew(client, STAND_IN) is True
    assert renew(client, STAND_IN) is False
    assert (client._sasl_mechanism, client._sasl_plain_password) == (
        "SCRAM-SHA-256",
        STAND_IN,
    )
