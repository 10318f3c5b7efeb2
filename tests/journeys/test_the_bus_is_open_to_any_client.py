"""What is on the bus is a standard: CloudEvents for any SDK, Kafka for any client that a contract grants."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import KafkaError, KafkaException

from lienthong.cluster.connection import department_connection
from tests.journeys.conftest import REPOSITORY, City, wait_for
from tests.journeys.plain_client import read


def test_the_public_sdk_reads_every_record_as_a_cloudevent(log: dict[str, list[Any]]) -> None:
    """Promise: every record is a CloudEvent 1.0, for any tool, without our library."""
    read_events = 0
    for topic, records in log.items():
        for record in records:
            headers = dict(record.headers() or [])
            event = from_binary(KafkaMessage(headers, record.key(), record.value()), JSONFormat())
            assert event.get_specversion() == "1.0", topic
            assert event.get_id() == headers["ce_id"].decode()
            assert event.get_extension("partitionkey") == record.key().decode()
            read_events += 1
    assert read_events > 1_000


def test_values_are_plain_json_with_their_diacritics(log: dict[str, list[Any]]) -> None:
    """Promise: any Kafka tool reads the data as it is."""
    values = b"".join(record.value() for record in log["science.unit.v1"])
    assert "Phường Ba Đình".encode() in values
    assert b"\\u" not in values


def test_a_granted_department_reads_with_a_plain_client(city: City) -> None:
    """Promise: a grant is all that a plain Kafka client needs."""
    settings = department_connection(city.data, "onestop").for_confluent()
    (records,) = read(settings, ["justice.birth-registered.v1"], "onestop.looking").values()
    assert records


def test_a_department_without_a_grant_is_refused_by_the_broker(city: City) -> None:
    """Promise: nobody reads what no contract grants."""
    settings = department_connection(city.data, "science").for_confluent()
    with pytest.raises(KafkaException) as refused:
        read(settings, ["justice.birth-registered.v1"], "science.looking")
    assert refused.value.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def snippet() -> str:
    """The reader that the README shows."""
    text = (REPOSITORY / "README.md").read_text()
    (code,) = re.findall(r"```python\n(# reader\.py.*?)```", text, flags=re.DOTALL)
    return str(code)


@pytest.mark.parametrize(("department", "granted"), [("education", True), ("science", False)])
def test_the_reader_of_the_readme_runs_in_another_folder(
    city: City, tmp_path: Path, department: str, granted: bool
) -> None:
    """Promise: a reader of ten lines, in any folder, for a granted department; a refusal for another."""
    code = snippet()
    assert len([line for line in code.splitlines() if line.strip() and not line.startswith("#")]) <= 12
    (tmp_path / "reader.py").write_text(
        code.replace('Department("education")', f'Department("{department}")')
    )
    said = tmp_path / "said.txt"
    awaited = "đã khai sinh" if granted else "No contract grants"
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "faststream", "run", "reader:app", "--port", "0"],
            cwd=tmp_path,
            env=os.environ | {"LIENTHONG_ROOT": str(REPOSITORY), "LIENTHONG_DATA": str(city.data)},
            stdout=file,
            stderr=file,
        )
    try:
        wait_for(lambda: awaited in said.read_text(), city, within=30)
    finally:
        process.terminate()
        process.wait(20)
