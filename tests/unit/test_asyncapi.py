"""AsyncAPI from the contracts: topics as they are made, events as they are sent, readers as granted."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from lienthong import complaints, names
from lienthong.catalogue import Brokers, Catalogue, asyncapi, read_catalogue
from lienthong.catalogue.data_schema import data_schema
from lienthong.cluster.desired import desired
from lienthong.contracts.release import release
from lienthong.dead_letters import Reason, Record, provenance
from lienthong.errors import ContractsNotSound, NotValid, Problem
from lienthong.event import read_record, to_headers, uuid7
from lienthong.lane import take_up
from lienthong.refusals import Refusals
from lienthong.testing import Notebook
from tests.unit.contract_city import INSPECTION, MARKET, City

ROOT = Path(__file__).parents[2]
DAY = date(2026, 11, 23)
THREE = Brokers(("a.example:9093", "b.example:9093", "c.example:9093"), 3, encrypted=True)
HERE = Brokers(("127.0.0.1:9092",), 1, encrypted=False)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return read_catalogue(ROOT, THREE, DAY)


@pytest.fixture(scope="module")
def city(catalogue: Catalogue) -> dict[str, Any]:
    return asyncapi(catalogue)


@pytest.fixture(scope="module")
def departments(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    return {name: asyncapi(catalogue, name) for name in catalogue.contracts.departments}


@pytest.fixture
def small(tmp_path: Path) -> City:
    found = City.found(tmp_path)
    release(found.root, write=True)
    return found


def validator(schema: dict[str, Any]) -> Any:
    return jsonschema_rs.validator_for(
        {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, validate_formats=True
    )


def examples(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for topic, record in document["components"]["messages"].items():
        yield from ((topic, record, example) for example in record.get("examples", ()))


def test_every_topic_is_a_channel_as_apply_makes_it(catalogue, city):
    topics = desired(catalogue.contracts, THREE.count, DAY).topics

    told = {name: channel["bindings"]["kafka"] for name, channel in city["channels"].items()}

    assert sorted(told) == sorted(topics)
    for name, shape in topics.items():
        settings = told[name]["topicConfiguration"]
        assert (told[name]["partitions"], told[name]["replicas"]) == (shape.partitions, 3), name
        assert settings.keys() == shape.settings.keys(), name
        assert ",".join(settings["cleanup.policy"]) == shape.settings["cleanup.policy"], name


def test_kafkas_settings_are_told_as_numbers_and_truths(city):
    settings = city["channels"]["health.birth-notified.v1"]["bindings"]["kafka"]["topicConfiguration"]

    assert settings["cleanup.policy"] == ["delete"]
    assert settings["retention.ms"] == 90 * 86_400_000
    assert settings["unclean.leader.election.enable"] is False
    assert settings["message.timestamp.type"] == "LogAppendTime"


def test_a_department_sends_what_it_publishes_and_receives_what_it_is_granted(catalogue, departments):
    for name, document in departments.items():
        does: dict[str, set[str]] = {"send": set(), "receive": set()}
        for operation in document["operations"].values():
            does[operation["action"]].add(operation["channel"]["$ref"].removeprefix("#/channels/"))

        own = {str(one.topic) for one in catalogue.contracts.owned_by(name)}
        granted = {str(contract.topic) for contract, _ in catalogue.contracts.readable_by(name)}
        aside = {grant.group for _, grant in catalogue.contracts.readable_by(name)}

        assert does["receive"] == granted, name
        sent_aside = {names.refusals_topic(name), *map(names.dead_letter_topic, aside)}
        assert does["send"] == own | sent_aside, name


def test_every_grant_is_an_operation_with_its_group_and_its_ground(catalogue, city):
    grants = [(c, grant) for c in catalogue.contracts.contracts.values() for grant in c.grants]
    received = {n: o for n, o in city["operations"].items() if o["action"] == "receive"}

    assert len(received) == len(grants)
    for contract, grant in grants:
        operation = received[f"{grant.group}.receive.{contract.topic}"]
        assert operation["bindings"]["kafka"]["groupId"] == {"type": "string", "const": grant.group}
        assert grant.legal_basis in operation["description"]
        assert operation["x-grant"]["until"] == grant.until.isoformat()
        assert operation["x-grant"]["fields"] == list(grant.fields)


def test_every_reference_of_a_document_leads_somewhere(city, departments):
    def find(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for inner in value.values():
                yield from find(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from find(inner)

    lost = []
    for document in (city, *departments.values()):
        for reference in find(document):
            at: Any = document
            for step in reference.removeprefix("#/").split("/"):
                at = at.get(step) if isinstance(at, dict) else None
            if at is None:
                lost.append(reference)
    assert lost == []


def test_a_reader_is_shown_the_granted_fields_alone(departments):
    record = departments["police"]["components"]["messages"]["health.birth-notified.v1"]
    granted = {"notification_id", "born_at", "sex"}

    assert set(record["payload"]["properties"]) == granted
    assert set(record["payload"]["required"]) == granted
    assert all(set(one["payload"]) <= granted for one in record["examples"])
    whole = orjson.dumps(record)
    assert [word for word in (b"mother", b"weight_g", b"facility_code") if b'"%s' % word in whole] == []


def test_a_reader_may_meet_what_it_does_not_know_and_a_writer_may_not(departments):
    topic = "health.birth-notified.v1"
    read = departments["justice"]["components"]["messages"][topic]
    written = departments["health"]["components"]["messages"][topic]
    data = written["examples"][0]["payload"]
    more = data | {"new_field": 1, "mother": data["mother"] | {"new_field": 1}}

    assert validator(read["payload"]).is_valid(more)
    assert not validator(written["payload"]).is_valid(more)
    assert not validator(read["payload"]).is_valid({**data, "sex": "unheard"})


def test_a_code_list_that_may_grow_binds_its_writer_and_not_its_readers(catalogue):
    contract = catalogue.contracts.contracts["health.birth-notified.v1"]
    frozen = catalogue.newest(contract)
    properties = frozen.schema["properties"]
    opened = frozen.schema | {"properties": properties | {"sex": properties["sex"] | {"x-open": True}}}
    grown = replace(frozen, schema=opened)

    assert "enum" in data_schema(contract, grown)["properties"]["sex"]
    assert "enum" not in data_schema(contract, grown, {"sex"})["properties"]["sex"]
    assert "enum" in data_schema(contract, frozen, {"sex"})["properties"]["sex"]


def test_every_example_fits_its_own_headers_and_payload(catalogue, city, departments):
    told = set()
    for document in (city, *departments.values()):
        for topic, record, example in examples(document):
            validator(record["headers"]).validate(example["headers"])
            validator(record["payload"]).validate(example["payload"])
            assert example["headers"]["ce_type"] == record["name"], topic
            told.add(topic)
    assert told == set(catalogue.contracts.contracts)


def test_every_example_is_a_record_that_our_own_readers_take(catalogue, city):
    for topic, _, example in examples(city):
        headers = [(name, value.encode()) for name, value in example["headers"].items()]
        key = example["headers"]["ce_partitionkey"].encode()

        raw = read_record(topic, 0, 0, 0, key, orjson.dumps(example["payload"]), headers)

        assert catalogue.gate.recheck(topic, raw) == example["payload"]


def test_the_key_is_told_as_the_gate_computes_it(catalogue, city):
    for topic, record, example in examples(city):
        contract = catalogue.contracts.contracts[topic]
        key = record["bindings"]["kafka"]["key"]
        assert key["x-key"] == list(contract.key)
        bare = {name: value for name, value in key.items() if name != "x-key"}
        validator(bare).validate(example["headers"]["ce_partitionkey"])


def test_a_state_can_be_retracted_and_an_event_cannot(city):
    states = {name for name, channel in city["channels"].items() if "tombstone" in channel["messages"]}

    assert states == {"health.facility.v1", "science.agency.v1", "science.unit.v1"}
    tombstone = city["components"]["messages"]["science.unit.v1.tombstone"]
    assert tombstone["payload"] == {"type": "null"}
    assert "content-type" not in tombstone["headers"]["properties"]


def test_a_refusal_as_it_is_really_told_fits_its_description(departments):
    refusal = NotValid(
        topic="health.birth-notified.v1",
        event_id="0199",
        schema_version="1.0.0",
        problems=(Problem("/born_at", "format", "expected a date-time with offset"),),
    )
    raw = Refusals("health", "", lambda now: uuid7(now, bytes))._compose("health.x.v1", "0199", refusal)
    described = departments["health"]["components"]["messages"]["health.refusals"]

    assert raw.value is not None
    validator(described["payload"]).validate(orjson.loads(raw.value))
    validator(described["headers"]).validate({name: value.decode() for name, value in to_headers(raw)})


async def test_what_a_reader_finds_wrong_as_it_is_really_told_fits_the_same_description(departments):
    taken = take_up(Record("health.birth-notified.v1", 0, 7, 0, b"k", b"{}", []))
    assert taken.unreadable is not None
    notebook = Notebook()
    await complaints.tell(notebook, "justice.birth-registration", taken, taken.unreadable)
    assert notebook.facts() == ["justice.refusals"]
    ((_, values),) = notebook.written
    described = departments["justice"]["components"]["messages"]["justice.refusals"]

    validator(described["payload"]).validate(orjson.loads(values[4]))
    assert orjson.loads(values[4]).keys() <= described["payload"]["properties"].keys()


def test_a_dead_letter_as_it_is_really_written_fits_its_description(departments):
    group = "justice.birth-registration"
    described = departments["justice"]["components"]["messages"][f"{group}.dlt"]["headers"]
    record = Record("health.birth-notified.v1", 0, 7, 0, None, None, [])
    reason = Reason("not-handled", "No such unit.", (Problem("/unit_code", "reference", "unknown"),))
    when = datetime(2026, 1, 1, tzinfo=UTC)

    headers = {n: v.decode() for n, v in provenance(record, group, reason, 1, when, when)}

    validator(described).validate(headers)
    assert set(headers) == set(described["properties"])


def test_a_grant_past_its_last_day_is_gone(small):
    until = small.read(INSPECTION).partition("until, value: ")[2][1:11]
    last = date.fromisoformat(until)
    topic = "trade.market-inspected.v1"

    on_it = asyncapi(read_catalogue(small.root, HERE, last))
    after = asyncapi(read_catalogue(small.root, HERE, date(last.year + 1, 1, 1)))

    assert [o for o in on_it["operations"] if f".receive.{topic}" in o]
    assert [o for o in after["operations"] if f".receive.{topic}" in o] == []
    assert after["channels"][topic]["x-grants"] == []
    assert [name for name in after["channels"] if name.endswith(".dlt")] == []


def test_the_same_contracts_give_the_same_document_and_others_another(small):
    first = asyncapi(read_catalogue(small.root, HERE, DAY))
    again = asyncapi(read_catalogue(small.root, HERE, DAY))
    small.spoil(INSPECTION, "businessName: ", "businessName: Tên gọi khác của ")
    changed = asyncapi(read_catalogue(small.root, HERE, DAY))

    assert orjson.dumps(first) == orjson.dumps(again)
    assert changed["info"]["version"] != first["info"]["version"]


def test_an_end_of_life_is_told_with_the_status(small):
    small.spoil(MARKET, "status: active", "status: deprecated")
    small.spoil(
        MARKET, "slaProperties:\n", 'slaProperties:\n  - {property: endOfLife, value: "2027-06-30"}\n'
    )

    channel = asyncapi(read_catalogue(small.root, HERE, DAY))["channels"]["trade.market.v1"]

    assert (channel["x-status"], channel["x-end-of-life"]) == ("deprecated", "2027-06-30")


def test_what_is_only_proposed_has_no_topic_and_is_not_told(small):
    small.spoil(INSPECTION, "status: active", "status: proposed")

    document = asyncapi(read_catalogue(small.root, HERE, DAY))

    assert "trade.market.v1" in document["channels"]
    assert b"market-inspected" not in orjson.dumps(document)


def test_a_contract_that_is_not_frozen_is_named(tmp_path):
    found = City.found(tmp_path)
    (found.root / "schemas").mkdir()

    with pytest.raises(ContractsNotSound, match=r"trade\.market\.v1.*lienthong release"):
        read_catalogue(found.root, HERE, DAY)


def test_a_frozen_schema_that_was_changed_is_not_exported(small):
    path = next((small.root / "schemas").glob("trade/market/*.json"))
    path.write_bytes(path.read_bytes().replace(b'"title"', b'"label"', 1))

    with pytest.raises(ContractsNotSound, match="changed after it was frozen"):
        read_catalogue(small.root, HERE, DAY)


def test_a_department_that_is_not_there_is_told_with_those_that_are(catalogue):
    with pytest.raises(ContractsNotSound, match="no department culture; there are: education, health"):
        asyncapi(catalogue, "culture")


def test_beyond_this_machine_the_login_goes_over_tls(city, small):
    here = asyncapi(read_catalogue(small.root, HERE, DAY))

    assert {s["protocol"] for s in city["servers"].values()} == {"kafka-secure"}
    assert [s["host"] for s in city["servers"].values()] == list(THREE.servers)
    assert here["servers"]["bus"]["protocol"] == "kafka"
    assert city["components"]["securitySchemes"]["scram"]["type"] == "scramSha512"
