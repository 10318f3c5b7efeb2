"""Confluent's public registry client, unmodified, over our registry; and our topics through its eyes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import DeserializingConsumer
from confluent_kafka.schema_registry import (
    Schema,
    SchemaRegistryClient,
    SchemaRegistryError,
    header_schema_id_serializer,
    prefix_schema_id_deserializer,
)
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

from lienthong import Department, names
from lienthong.cluster.certificates import Authority, sign_server
from lienthong.cluster.connection import department_connection
from lienthong.contracts import load_contracts
from lienthong.event import RawEvent, to_headers
from lienthong.testing import running, until
from tests.broker.scratch import City
from tests.unit.birth import raw_event

TOPIC = "health.birth-notified.v1"
SUBJECT = "health.birth-notified.v1-value"
FIRST = "urn:vn.gov.hanoi:health:birth-notified:1.0.0"


@contextmanager
def served(root: Path, *words: str) -> Iterator[str]:
    """Run the command over a root folder, on a free port; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lienthong", "registry", "--port", "0", "--json", *words],
        env=os.environ | {"LIENTHONG_ROOT": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, "")


@pytest.fixture(scope="module")
def address(repository: Path) -> Iterator[str]:
    with served(repository) as url:
        yield url


@pytest.fixture
def client(address: str) -> Iterator[SchemaRegistryClient]:
    with SchemaRegistryClient({"url": address}) as client:
        yield client


def frozen(repository: Path) -> str:
    return (repository / "schemas/health/birth-notified/1.0.0.json").read_text("utf-8")


def of_value(topic: str, headers: Any = None) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE, headers)


def code_of(act: Any) -> tuple[int, int]:
    with pytest.raises(SchemaRegistryError) as refused:
        act()
    return refused.value.http_status_code, refused.value.error_code


def test_the_public_client_finds_every_version(client: SchemaRegistryClient, repository: Path) -> None:
    files = sorted((repository / "schemas").glob("*/*/*.json"))
    found = {}
    for subject in client.get_subjects():
        for number in client.get_versions(subject):
            version = client.get_version(subject, number)
            found[version.schema.metadata.properties.properties["dataschema"]] = version.schema.schema_str
            assert client.get_schema(version.schema_id, subject).schema_str == version.schema.schema_str
            assert client.get_schema_by_guid(version.guid).schema_str == version.schema.schema_str
            (place,) = client.get_schema_versions(version.schema_id)
            assert (place.subject, place.version) == (subject, number)
    assert found == {json.loads(file.read_text())["$id"]: file.read_text("utf-8") for file in files}


def test_the_public_client_reads_levels_modes_and_kinds(client: SchemaRegistryClient) -> None:
    assert client.get_compatibility() == client.get_compatibility(SUBJECT) == "BACKWARD_TRANSITIVE"
    assert client.get_config(SUBJECT).compatibility_level == "BACKWARD_TRANSITIVE"
    assert client.get_global_mode() == client.get_mode(SUBJECT) == "READONLY"
    assert client.get_schema_types() == ["JSON"]
    assert client.get_contexts() == ["."]
    latest = client.get_latest_version(SUBJECT)
    first = client.get_latest_with_metadata(SUBJECT, {"version": "1.0.0"})
    assert (first.version, first.schema_id) == (1, names.schema_id(FIRST))
    assert client.get_subjects_by_schema_id(latest.schema_id) == [SUBJECT]
    assert client.get_referenced_by(SUBJECT, 1) == []
    assert "$.mother.full_name" in latest.schema.metadata.properties.properties["personal"].split(",")


def test_the_public_client_looks_up_and_judges_a_schema(
    client: SchemaRegistryClient, repository: Path
) -> None:
    first = Schema(frozen(repository), "JSON")
    assert client.lookup_schema(SUBJECT, first).version == 1
    assert client.register_schema(SUBJECT, first) == names.schema_id(FIRST)
    newest = client.get_latest_version(SUBJECT).schema
    assert client.test_compatibility(SUBJECT, newest) is True
    assert client.test_compatibility_all_versions(SUBJECT, newest, verbose=True) is True
    other = json.loads(newest.schema_str)
    other["required"].remove("notification_id")
    assert client.test_compatibility(SUBJECT, Schema(json.dumps(other), "JSON"), verbose=True) is False


def test_the_public_client_is_told_what_is_not_there_and_what_is_not_allowed(
    client: SchemaRegistryClient,
) -> None:
    other = Schema('{"type": "object"}', "JSON")
    assert code_of(lambda: client.get_versions("none")) == (404, 40401)
    assert code_of(lambda: client.get_version(SUBJECT, 99)) == (404, 40402)
    assert code_of(lambda: client.get_version(SUBJECT, "newest")) == (422, 42202)
    assert code_of(lambda: client.get_schema(1)) == (404, 40403)
    assert code_of(lambda: client.lookup_schema(SUBJECT, other)) == (404, 40403)
    assert code_of(lambda: client.lookup_schema(SUBJECT, Schema("{", "JSON"))) == (422, 42201)
    assert code_of(lambda: client.register_schema("new-value", other)) == (422, 42205)
    assert code_of(lambda: client.set_compatibility(SUBJECT, "NONE")) == (422, 42205)
    assert code_of(lambda: client.update_mode(SUBJECT, "IMPORT")) == (422, 42205)
    assert code_of(lambda: client.delete_subject(SUBJECT)) == (422, 42205)
    assert code_of(lambda: client.delete_version(SUBJECT, 1)) == (422, 42205)


def examples(client: SchemaRegistryClient, repository: Path) -> Iterator[tuple[str, RawEvent]]:
    """Every valid example of every contract in force, as an event of the newest version; with its topic."""
    in_force = set(client.get_subjects())
    for topic, contract in load_contracts(repository).contracts.items():
        if names.subject(topic) in in_force:
            newest = client.get_latest_version(names.subject(topic)).schema.metadata.properties.properties
            for example in contract.valid_examples:
                yield topic, raw_event(dataschema=newest["dataschema"], value=orjson.dumps(example))


def test_the_public_deserialiser_reads_and_checks_the_examples_of_every_contract(
    client: SchemaRegistryClient, repository: Path
) -> None:
    read = JSONDeserializer(None, schema_registry_client=client)
    told = set()
    for topic, raw in examples(client, repository):
        assert raw.value is not None
        assert read(raw.value, of_value(topic, to_headers(raw))) == json.loads(raw.value)
        told.add(names.subject(topic))
    assert told == set(client.get_subjects())


def test_the_public_deserialiser_refuses_what_the_schema_refuses(client: SchemaRegistryClient) -> None:
    raw = raw_event()
    read = JSONDeserializer(None, schema_registry_client=client)
    with pytest.raises(SerializationError):
        read(b'{"notification_id": 7}', of_value(TOPIC, to_headers(raw)))
    assert read(None, of_value(TOPIC, to_headers(raw._replace(value=None)))) is None


def test_a_client_that_looks_for_the_number_before_the_value_finds_none(
    client: SchemaRegistryClient,
) -> None:
    raw = raw_event()
    old = JSONDeserializer(
        None,
        schema_registry_client=client,
        conf={"schema.id.deserializer": prefix_schema_id_deserializer},
    )
    with pytest.raises(SerializationError, match="Invalid magic byte"):
        old(raw.value, of_value(TOPIC, to_headers(raw)))


def test_the_public_serialiser_writes_the_very_header_that_we_write(
    client: SchemaRegistryClient, repository: Path
) -> None:
    raw = next(raw for topic, raw in examples(client, repository) if topic == TOPIC)
    assert raw.value is not None
    headers: list[tuple[str, bytes]] = []
    newest = client.get_latest_version(SUBJECT).schema
    write = JSONSerializer(newest, client, conf={"schema.id.serializer": header_schema_id_serializer})
    value = write(json.loads(raw.value), of_value(TOPIC, headers))
    assert headers == [names.schema_header(raw.dataschema)]
    assert json.loads(value) == json.loads(raw.value)


def test_off_this_machine_it_is_reached_over_tls(repository: Path, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = Authority.new(now)
    key, certificate = sign_server(authority, ["localhost"], now)
    files = {"key": key, "certificate": certificate, "authority": authority.certificate_pem()}
    for name, pem in files.items():
        (tmp_path / name).write_text(pem)
    words = (
        "--host",
        "0.0.0.0",
        "--certificate",
        str(tmp_path / "certificate"),
        "--key",
        str(tmp_path / "key"),
    )
    with served(repository, *words) as url:
        assert url.startswith("https://")
        reached = {"url": f"https://localhost:{url.rpartition(':')[2]}"}
        with SchemaRegistryClient(reached | {"ssl.ca.location": str(tmp_path / "authority")}) as client:
            assert SUBJECT in client.get_subjects()
        with (
            SchemaRegistryClient(reached | {"max.retries": 0}) as stranger,
            pytest.raises(Exception, match="CERT"),
        ):
            stranger.get_subjects()


async def test_the_public_deserialiser_reads_our_topics(scratch: City) -> None:
    pair = scratch.take()
    publisher = Department(pair.publisher)
    async with running(publisher, data=pair.data, root=pair.root) as source:
        async with source.pool.acquire() as db, db.transaction():
            for number in range(3):
                thing = pair.thing(thing_id=f"vat-{number}", amount=number, full_name="Nguyễn Thị Mẫu")
                await publisher.publish(db, thing)
        await until(lambda: source.pool.fetchval("SELECT count(*) = 3 FROM lienthong.published"))
    with served(pair.root) as url, SchemaRegistryClient({"url": url}) as client:
        consumer = DeserializingConsumer(
            department_connection(pair.data, pair.reader).for_confluent()
            | {
                "group.id": pair.group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "value.deserializer": JSONDeserializer(
                    None, schema_registry_client=client, conf={"use.latest.version": True}
                ),
            }
        )
        try:
            consumer.subscribe([pair.thing.TOPIC])
            values = [
                record.value() for record in (consumer.poll(20) for _ in range(3)) if record is not None
            ]
        finally:
            consumer.close()
    assert sorted(value["thing_id"] for value in values) == ["vat-0", "vat-1", "vat-2"]
    assert {value["full_name"] for value in values} == {"Nguyễn Thị Mẫu"}
