"""What is personal is in the data of events and in the owners' tables, and nowhere else."""

import json
import re
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from lienthong import contracts
from lienthong.cluster.connection import read_secret
from lienthong.contracts import Contract, Field
from lienthong.settings import load_bus
from tests.journeys.conftest import REPOSITORY, City

DAY = re.compile(r"\d{4}-\d\d-\d\d")
SHORTEST = 8
"""Codes like a sex or an ethnicity are too short to be looked for as text."""

LATELY = (datetime.now(UTC) - timedelta(days=60)).date().isoformat()
"""A newborn's birthday is in every timestamp of these weeks: only older days tell of anybody."""


def personal_values(fields: tuple[Field, ...], data: Any) -> Iterator[str]:
    """Walk an event's data and give what its contract calls personal or sensitive."""
    for field in fields:
        value = data.get(field.name) if isinstance(data, dict) else None
        if value is None:
            continue
        if field.fields:
            yield from personal_values(field.fields, value)
        elif field.codes:
            continue  # a word of a code list says nothing without the rest
        elif field.classification in {"personal", "sensitive"} and _tells_of_somebody(str(value)):
            yield str(value)


def _tells_of_somebody(value: str) -> bool:
    return len(value) >= SHORTEST and not (DAY.fullmatch(value) and value > LATELY)


@pytest.fixture(scope="module")
def known() -> contracts.Contracts:
    return contracts.load_contracts(REPOSITORY)


@pytest.fixture(scope="module")
async def problems(city: City, known: contracts.Contracts) -> list[tuple[bytes, str]]:
    """Every raw record that was kept back, and the reason that was given."""
    where = load_bus(city.data)["postgres"]
    secret = read_secret(city.data / "secrets" / "postgres.password")
    found: list[tuple[bytes, str]] = []
    for department in ("health", "onestop", "justice", "trade"):
        db = await asyncpg.connect(
            host=where["host"], port=where["port"], user="postgres", password=secret, database=department
        )
        found += [tuple(row) for row in await db.fetch("SELECT raw, reason FROM lienthong.intake_problems")]
        await db.close()
    return found


@pytest.fixture(scope="module")
def secrets(
    log: dict[str, list[Any]], problems: list[tuple[bytes, str]], known: contracts.Contracts
) -> set[str]:
    """Every name, personal number and date of birth of the demo, those of bad records included."""
    found: set[str] = set()
    for topic, contract in known.contracts.items():
        for record in log[topic]:
            found |= set(personal_values(contract.fields, json.loads(record.value())))
    for raw, _ in problems:
        text = raw.decode(errors="replace")
        if '"full_name"' in text:
            found |= set(re.findall(r'"full_name":\s*"([^"\\]{8,})"', text))
            found |= set(re.findall(r'"(?:personal_number|born_on|born_at)":\s*"([^"]{8,})"', text))
    assert len(found) > 1_000
    return found


def leaks(secrets: set[str], text: str) -> list[str]:
    return [secret for secret in secrets if secret in text]


def test_no_log_holds_personal_data(city: City, secrets: set[str]) -> None:
    """Promise: personal data is in no log, of a service or of the bus."""
    # Kafka calls the segments of its topics logs too; those hold the data itself.
    logs = [file for file in city.data.rglob("*.log") if not file.stem.isdecimal()]
    files = [*logs, city.output, city.report]
    assert len(files) > 6
    for file in files:
        assert leaks(secrets, file.read_text(errors="replace")) == [], file.name


def test_no_refusal_and_no_reason_holds_personal_data(
    log: dict[str, list[Any]], problems: list[tuple[bytes, str]], secrets: set[str]
) -> None:
    """Promise: a refusal says what is wrong where, and repeats no value."""
    refusals = [
        record.value().decode() for topic in log if topic.endswith(".refusals") for record in log[topic]
    ]
    assert len(refusals) >= 5
    assert leaks(secrets, "\n".join(refusals)) == []
    assert leaks(secrets, "\n".join(reason for _, reason in problems)) == []


def test_no_key_and_no_header_holds_the_personal_data_of_its_event(
    log: dict[str, list[Any]], known: contracts.Contracts
) -> None:
    """Promise: keys, subjects and headers are free of personal data."""
    looked = 0
    for topic, contract in known.contracts.items():
        for record in log[topic]:
            looked += _look(record, contract)
    assert looked > 500


def test_no_key_and_no_header_names_anybody(log: dict[str, list[Any]], secrets: set[str]) -> None:
    """Promise: no name and no personal number of anybody is in a key or a header, dead letters included."""
    # Instants recur: one child's hour of birth is another's hour of notification, which is no secret.
    named = {secret for secret in secrets if not re.match(r"\d{4}-\d\d-\d\dT", secret)}
    envelopes = "\n".join(
        f"{record.key()!r} {value.decode(errors='replace')}"
        for records in log.values()
        for record in records
        for _, value in record.headers() or []
    )
    assert leaks(named, envelopes) == []


def test_no_metric_holds_personal_data(city: City, secrets: set[str]) -> None:
    """Promise: figures count events and name nobody."""
    services = json.loads(Path(city.data / "services.json").read_text())
    for name, told in services.items():
        with urllib.request.urlopen(f"http://127.0.0.1:{told['port']}/metrics", timeout=5) as answer:
            assert leaks(secrets, answer.read().decode()) == [], name


def _look(record: Any, contract: Contract) -> int:
    own = set(personal_values(contract.fields, json.loads(record.value())))
    envelope = record.key().decode() + "\n".join(value.decode() for _, value in record.headers())
    assert leaks(own, envelope) == [], str(contract.topic)
    return len(own)
