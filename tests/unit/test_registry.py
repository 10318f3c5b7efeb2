"""The frozen schemas as a registry: Confluent's addresses, codes and types; nothing is ever written."""

import json
import socket
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from lienthong import names
from lienthong.commands import main
from lienthong.commands.registry import is_here
from lienthong.contracts.frozen import read_frozen, write_frozen
from lienthong.contracts.release import release
from lienthong.contracts.schema import schema_bytes
from lienthong.errors import ContractsNotSound
from lienthong.event import to_headers
from lienthong.registry import Book, registry_app
from lienthong.registry.answers import MOST_BYTES, TYPES, find_type
from tests.unit.birth import raw_event
from tests.unit.contract_city import City

ROOT = Path(__file__).parents[2]
BOOK = Book.load(ROOT)
MARKET = "trade.market.v1-value"
FROZEN = "schemas/trade/market/1.0.0.json"
FOR_EVER = "immutable"


@pytest.fixture
def city(tmp_path: Path) -> City:
    """A small city, released."""
    city = City.found(tmp_path)
    release(city.root)
    return city


@pytest.fixture
def registry(city: City) -> Iterator[TestClient]:
    with TestClient(registry_app(city.root)) as client:
        yield client


def market(city: City) -> dict[str, Any]:
    schema: dict[str, Any] = orjson.loads((city.root / FROZEN).read_bytes())
    return schema


def freeze_second_version(city: City) -> dict[str, Any]:
    """Freeze a version 1.1.0 of the market, with a field more."""
    schema = market(city)
    schema["$id"] = names.schema_uri("trade", "market", "1.1.0")
    schema["properties"]["note"] = {"type": "string", "maxLength": 9, "x-classification": "public"}
    _, index, findings = read_frozen(city.root)
    assert findings == []
    write_frozen(city.root, {"trade/market/1.1.0.json": schema_bytes(schema)}, index)
    return schema


def sent(schema: Any, **more: Any) -> dict[str, Any]:
    text = schema if isinstance(schema, str) else json.dumps(schema, ensure_ascii=False)
    return {"schema": text, "schemaType": "JSON", **more}


def code(answer: Any) -> tuple[int, int]:
    return answer.status_code, answer.json()["error_code"]


# Numbers and names.


def test_the_number_and_the_guid_of_a_version_are_these_for_ever() -> None:
    uri = "urn:vn.gov.hanoi:health:birth-notified:1.0.0"
    assert names.schema_id(uri) == 781_766_287
    assert str(names.schema_guid(uri)) == "76626c4c-4a53-6d4c-7165-766e3170796d"


def test_no_two_frozen_versions_share_a_number_or_a_guid() -> None:
    versions = list(BOOK)
    assert len({one.id for one in versions}) == len({one.guid for one in versions}) == len(versions)
    assert all(0 < one.id < 2**31 for one in versions)


def test_new_versions_leave_the_numbers_of_the_others_as_they_were(city: City) -> None:
    before = [(one.subject, one.number, one.id, one.guid) for one in Book.load(city.root)]
    freeze_second_version(city)
    for ending in ("yaml", "examples.yaml"):
        text = city.read(f"contracts/trade/market.v1.{ending}").replace("market.v1", "market.v2")
        city.write(f"contracts/trade/market.v2.{ending}", text.replace("version: 1.0.0", "version: 2.0.0"))
    schema = market(city) | {
        "$id": names.schema_uri("trade", "market", "2.0.0"),
        "x-topic": "trade.market.v2",
    }
    _, index, _ = read_frozen(city.root)
    write_frozen(city.root, {"trade/market/2.0.0.json": schema_bytes(schema)}, index)
    after = [(one.subject, one.number, one.id, one.guid) for one in Book.load(city.root)]
    assert [one for one in after if one in before] == before
    assert [one[:2] for one in after if one not in before] == [(MARKET, 2), ("trade.market.v2-value", 1)]


def test_two_versions_that_would_share_a_number_are_found(city: City) -> None:
    _, index, _ = read_frozen(city.root)
    added = {f"trade/{event}/1.0.0.json": b"{}" for event in ("gaju", "iifm")}
    write_frozen(city.root, added, index)
    _, _, findings = read_frozen(city.root)
    assert [(finding.rule, finding.file.as_posix()) for finding in findings] == [
        ("frozen-number", "schemas/trade/iifm/1.0.0.json")
    ]


def test_every_guid_can_stand_in_a_header_that_is_read_as_text() -> None:
    for one in BOOK:
        name, value = names.schema_header(one.properties["dataschema"]) or ("", b"")
        assert name == "__value_schema_id"
        assert value[:1] == b"\x01"
        assert value[1:].decode("ascii").isprintable()


def test_an_event_names_its_schema_in_the_header_that_registry_clients_read() -> None:
    raw = raw_event()
    header = dict(to_headers(raw))["__value_schema_id"]
    assert header == b"\x01" + names.schema_guid(raw.dataschema).bytes
    assert "__value_schema_id" not in dict(to_headers(raw._replace(value=None)))


def test_a_notice_of_refusal_names_no_schema_for_there_is_none() -> None:
    notice = raw_event(dataschema=names.schema_uri("health", names.REFUSAL, "1.0.0"))
    assert "__value_schema_id" not in dict(to_headers(notice))


# What is asked for.


@pytest.mark.parametrize("one", list(BOOK), ids=lambda one: one.subject)
def test_each_version_is_served_byte_for_byte_by_number_by_guid_and_by_subject(one: Any) -> None:
    file = ROOT / "schemas" / f"{one.properties['department']}/{one.subject.split('.')[1]}"
    frozen = (file / f"{one.properties['version']}.json").read_text("utf-8")
    client = TestClient(registry_app(ROOT))
    whole = client.get(f"/subjects/{one.subject}/versions/{one.number}").json()
    assert whole["schema"] == frozen
    assert client.get(f"/schemas/ids/{whole['id']}").json() == whole
    assert client.get(f"/schemas/guids/{whole['guid']}").json() == whole
    assert client.get(f"/schemas/ids/{whole['id']}/schema").text == frozen
    assert client.get(f"/subjects/{one.subject}/versions/latest/schema").text == frozen


def test_the_metadata_say_which_fields_are_personal() -> None:
    one = BOOK.subjects["health.birth-notified.v1-value"][-1]
    personal = one.properties["personal"].split(",")
    assert "$.mother.full_name" in personal
    assert one.properties["classification"] in {"personal", "sensitive"}
    assert [path for path in personal if path.endswith("facility_code")] == []


def test_subjects_are_topics_and_can_be_asked_for_piece_by_piece(registry: TestClient) -> None:
    both = ["trade.market-inspected.v1-value", MARKET]
    assert registry.get("/subjects").json() == both
    assert registry.get("/subjects?subjectPrefix=trade.market.").json() == [MARKET]
    assert registry.get("/subjects?subjectPrefix=:*:&offset=1&limit=5").json() == [MARKET]
    assert registry.get("/subjects?deletedOnly=true").json() == []
    assert registry.get("/subjects?limit=many").status_code == 400
    assert [one["subject"] for one in registry.get("/schemas?latestOnly=true").json()] == both


def test_versions_are_counted_from_one_and_the_latest_is_the_newest(city: City, registry: TestClient) -> None:
    freeze_second_version(city)
    assert registry.get(f"/subjects/{MARKET}/versions").json() == [1, 2]
    latest = registry.get(f"/subjects/{MARKET}/versions/latest").json()
    assert latest["version"] == 2
    assert latest["metadata"]["properties"]["version"] == "1.1.0"
    assert registry.get(f"/subjects/{MARKET}/versions/-1").json() == latest
    assert registry.get(f"/subjects/:.:{MARKET}/versions/2").json() == latest
    found = registry.get(f"/subjects/{MARKET}/metadata?key=version&value=1.0.0").json()
    assert found["version"] == 1
    assert registry.get(f"/schemas/ids/{found['id']}/versions").json() == [{"subject": MARKET, "version": 1}]
    assert registry.get(f"/schemas/ids/{found['id']}/subjects").json() == [MARKET]
    assert registry.get(f"/schemas/guids/{found['guid']}/ids").json() == [{"context": ".", "id": found["id"]}]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/schemas/types", ["JSON"]),
        ("/config", {"compatibilityLevel": "BACKWARD_TRANSITIVE"}),
        (f"/config/{MARKET}", {"compatibilityLevel": "BACKWARD_TRANSITIVE"}),
        ("/mode", {"mode": "READONLY"}),
        (f"/mode/{MARKET}", {"mode": "READONLY"}),
        ("/contexts", ["."]),
        (f"/subjects/{MARKET}/versions/1/referencedby", []),
        ("/associations/resources/-/trade.market.v1", []),
        ("/health/ready", {"registry": "ok"}),
        ("/", {}),
    ],
)
def test_what_a_client_asks_before_it_begins_is_answered(
    registry: TestClient, address: str, expected: Any
) -> None:
    assert registry.get(address).json() == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("/subjects/none/versions", (404, 40401)),
        ("/subjects/none/versions/latest", (404, 40401)),
        ("/config/none", (404, 40401)),
        ("/mode/none", (404, 40401)),
        (f"/subjects/:.other:{MARKET}/versions", (404, 40401)),
        (f"/subjects/{MARKET}/versions/2", (404, 40402)),
        (f"/subjects/{MARKET}/versions/2147483647", (404, 40402)),
        ("/schemas/ids/1", (404, 40403)),
        ("/schemas/guids/d41d8cd9-8f00-b204-e980-0998ecf8427e", (404, 40403)),
        (f"/subjects/{MARKET}/metadata?key=version&value=9.9.9", (404, 40403)),
        (f"/subjects/{MARKET}/versions/0", (422, 42202)),
        (f"/subjects/{MARKET}/versions/-2", (422, 42202)),
        (f"/subjects/{MARKET}/versions/2147483648", (422, 42202)),
        (f"/subjects/{MARKET}/versions/newest", (422, 42202)),
        (f"/subjects/{MARKET}/versions/²", (422, 42202)),
        ("/schemas/ids/one", (404, 404)),
        ("/nothing/here", (404, 404)),
    ],
)
def test_what_is_not_there_is_said_with_confluents_code(
    registry: TestClient, address: str, expected: tuple[int, int]
) -> None:
    answer = registry.get(address)
    assert code(answer) == expected
    assert answer.headers["content-type"] == TYPES[0]


# Nothing writes.


@pytest.mark.parametrize(
    ("method", "address"),
    [
        ("PUT", "/config"),
        ("DELETE", "/config"),
        ("PUT", f"/config/{MARKET}"),
        ("PUT", "/mode"),
        ("PUT", f"/mode/{MARKET}?force=true"),
        ("DELETE", f"/mode/{MARKET}"),
        ("DELETE", f"/subjects/{MARKET}"),
        ("DELETE", f"/subjects/{MARKET}/versions/1?permanent=true"),
        ("POST", "/associations"),
        ("DELETE", "/contexts/."),
        ("PATCH", "/anything"),
    ],
)
def test_whatever_would_write_is_refused(city: City, registry: TestClient, method: str, address: str) -> None:
    before = {path: path.read_bytes() for path in (city.root / "schemas").rglob("*.json")}
    answer = registry.request(method, address, json={} if method != "DELETE" else None)
    assert code(answer) == (422, 42205)
    assert "lienthong release" in answer.json()["message"]
    assert {path: path.read_bytes() for path in (city.root / "schemas").rglob("*.json")} == before


def test_a_schema_is_not_registered_but_a_frozen_one_is_known(city: City, registry: TestClient) -> None:
    schema = market(city)
    known = registry.post(f"/subjects/{MARKET}/versions", json=sent(schema))
    assert known.json()["id"] == names.schema_id(schema["$id"])
    schema["properties"]["note"] = {"type": "string", "maxLength": 9}
    for subject in (MARKET, "trade.new.v1-value"):
        assert code(registry.post(f"/subjects/{subject}/versions", json=sent(schema))) == (422, 42205)


# Looked up.


def test_a_schema_is_found_whatever_its_order_and_white_space(city: City, registry: TestClient) -> None:
    shuffled = dict(reversed(market(city).items()))
    answer = registry.post(f"/subjects/{MARKET}", json=sent(json.dumps(shuffled, indent=7)))
    assert answer.json()["version"] == 1
    assert answer.json()["subject"] == MARKET


def test_a_schema_that_is_not_there_is_not_found(city: City, registry: TestClient) -> None:
    schema = market(city) | {"title": "Other"}
    assert code(registry.post(f"/subjects/{MARKET}", json=sent(schema))) == (404, 40403)
    assert code(registry.post("/subjects/none", json=sent(schema))) == (404, 40401)
    avro = {"schema": '{"type": "string"}'}
    assert code(registry.post(f"/subjects/{MARKET}", json=avro)) == (404, 40403)


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "{",
        "[]",
        "true",
        '{"type": "object", "type": "array"}',
        '{"minimum": NaN}',
        '{"type": "nothing"}',
        '{"properties": []}',
        '{"$schema": "http://127.0.0.1:9/remote"}',
        '{"items": ' * 40 + "{}" + "}" * 40,
        None,
        7,
    ],
)
def test_what_is_no_sound_schema_is_called_so(registry: TestClient, schema: Any) -> None:
    document = {"schema": schema, "schemaType": "JSON"}
    assert code(registry.post(f"/subjects/{MARKET}", json=document)) == (422, 42201)


def test_a_body_is_bounded_and_of_a_known_type(registry: TestClient) -> None:
    address = f"/subjects/{MARKET}"
    assert code(registry.post(address, json=sent("x" * MOST_BYTES))) == (422, 42209)
    assert code(registry.post(address, content=b"{", headers={"content-type": TYPES[0]})) == (400, 400)
    assert code(registry.post(address, content=b"[]", headers={"content-type": TYPES[1]})) == (400, 400)
    assert code(registry.post(address, content=b"{}", headers={"content-type": "text/plain"})) == (415, 415)


# Judged.


def verdict(registry: TestClient, schema: Any, version: str = "/latest", **more: Any) -> dict[str, Any]:
    address = f"/compatibility/subjects/{MARKET}/versions{version}?verbose=true"
    answer = registry.post(address, json=sent(schema, **more))
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_the_frozen_shape_is_compatible_with_itself(city: City, registry: TestClient) -> None:
    assert verdict(registry, market(city)) == {"is_compatible": True, "messages": []}


def test_a_schema_without_our_annotations_is_judged_by_its_shape(city: City, registry: TestClient) -> None:
    def plain(schema: Any) -> Any:
        if not isinstance(schema, dict):
            return schema
        return {name: plain(value) for name, value in schema.items() if not name.startswith("x-")}

    schema = plain(market(city))
    assert "x-" not in json.dumps(schema)
    assert verdict(registry, schema)["is_compatible"] is True


def test_a_breaking_schema_is_told_with_path_and_rule(city: City, registry: TestClient) -> None:
    schema = deepcopy(market(city))
    schema["properties"]["name"]["maxLength"] = 20
    schema["properties"]["market_code"]["type"] = "integer"
    told = verdict(registry, schema)
    assert told["is_compatible"] is False
    assert any("/name" in message and "maxLength" in message for message in told["messages"])
    assert any("/market_code" in message for message in told["messages"])
    address = f"/compatibility/subjects/{MARKET}/versions/1"
    assert registry.post(address, json=sent(schema)).json() == {"is_compatible": False}


def test_a_schema_is_held_against_every_version_where_none_is_named(city: City, registry: TestClient) -> None:
    newest = freeze_second_version(city)
    newest["properties"]["name"]["maxLength"] = 20
    messages = verdict(registry, newest, version="")["messages"]
    assert {message.split(":")[0] for message in messages} == {"version 1 (1.0.0)", "version 2 (1.1.0)"}


@pytest.mark.parametrize(
    "field",
    [
        True,
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "#"},
        {"type": "array", "items": False},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "string", "pattern": "^(a+)+$"},
        {"maxLength": 80},
        {"type": ["string", "null"]},
        {"type": "integer", "format": "date"},
        {"type": "object"},
        {"type": "object", "additionalProperties": True},
    ],
)
def test_a_form_that_no_contract_takes_is_never_called_compatible(
    city: City, registry: TestClient, field: Any
) -> None:
    schema = market(city)
    schema["properties"]["name"] = field
    told = verdict(registry, schema)
    assert told["is_compatible"] is False
    assert told["messages"]


def test_an_open_object_is_never_called_compatible(city: City, registry: TestClient) -> None:
    open_one = {name: value for name, value in market(city).items() if name != "additionalProperties"}
    for schema in (open_one, open_one | {"additionalProperties": {"type": "string"}}):
        told = verdict(registry, schema)
        assert told["is_compatible"] is False
        assert "closed" in told["messages"][0]


def test_avro_and_references_are_not_of_this_bus(registry: TestClient) -> None:
    address = f"/compatibility/subjects/{MARKET}/versions/latest?verbose=True"
    told = registry.post(address, json={"schema": '{"type": "string"}'}).json()
    assert told["is_compatible"] is False
    assert "JSON" in told["messages"][0]
    reference = [{"name": "a", "subject": MARKET, "version": 1}]
    assert code(registry.post(address, json=sent("{}", references=reference))) == (422, 42201)


# Types and caches.


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TYPES[0]),
        ("*/*", TYPES[0]),
        ("application/json", "application/json"),
        ("text/html, application/vnd.schemaregistry+json;q=0.4, application/json;q=0.9", "application/json"),
        ("text/html", None),
        ("application/json;q=0", None),
        ("application/json;q=much", None),
    ],
)
def test_the_type_is_the_one_a_client_likes_best(accept: str, expected: str | None) -> None:
    assert find_type(accept) == expected


def test_a_client_that_accepts_none_of_our_types_is_told(registry: TestClient) -> None:
    answer = registry.get("/subjects", headers={"accept": "text/html"})
    assert code(answer) == (406, 406)


def test_what_can_never_change_may_be_kept_and_the_rest_is_asked_again(registry: TestClient) -> None:
    whole = registry.get(f"/subjects/{MARKET}/versions/1")
    by_id = registry.get(f"/schemas/ids/{whole.json()['id']}")
    latest = registry.get(f"/subjects/{MARKET}/versions/latest")
    assert FOR_EVER in whole.headers["cache-control"]
    assert FOR_EVER in by_id.headers["cache-control"]
    assert latest.headers["cache-control"] == "no-cache"
    known = {"if-none-match": f'"old", W/{latest.headers["etag"]}'}
    again = registry.get(f"/subjects/{MARKET}/versions/latest", headers=known)
    assert (again.status_code, again.content) == (304, b"")


def test_a_release_is_seen_without_a_restart(city: City, registry: TestClient) -> None:
    first = registry.get(f"/subjects/{MARKET}/versions/latest")
    freeze_second_version(city)
    known = {"if-none-match": first.headers["etag"]}
    assert registry.get(f"/subjects/{MARKET}/versions/latest", headers=known).json()["version"] == 2


def test_a_folder_that_is_spoiled_meanwhile_changes_no_answer(city: City, registry: TestClient) -> None:
    before = registry.get(f"/subjects/{MARKET}/versions/1").json()
    (city.root / FROZEN).write_bytes(b"{}")
    (city.root / "schemas/index.json").write_bytes(b"{ }")
    assert registry.get(f"/subjects/{MARKET}/versions/1").json() == before
    assert registry.get("/health/ready").status_code == 503
    assert registry.get("/health/live").status_code == 200


def test_a_registry_does_not_start_over_schemas_that_are_not_as_frozen(city: City) -> None:
    (city.root / FROZEN).write_bytes(b"{}")
    with pytest.raises(ContractsNotSound, match="was changed after it was frozen"):
        registry_app(city.root)


def test_a_registry_of_nothing_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ContractsNotSound, match="no frozen schema"):
        registry_app(tmp_path)


# Whatever comes.

ANYWHERE = TestClient(registry_app(ROOT), raise_server_exceptions=False)
WORDS = ["subjects", "schemas", "ids", "versions", "config", "latest", "1", "%2F", "..", ":.:"]
PIECES = st.sampled_from(WORDS) | st.binary(min_size=1, max_size=6).map(bytes.hex)


@hypothesis_settings(max_examples=60)
@given(
    st.lists(PIECES, max_size=6),
    st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    st.binary(max_size=60),
)
def test_no_address_and_no_body_makes_it_fail(pieces: list[str], method: str, body: bytes) -> None:
    answer = ANYWHERE.request(method, "/" + "/".join(pieces), content=body if method != "GET" else None)
    assert answer.status_code < 500


@hypothesis_settings(max_examples=60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "properties", "items", "required", "enum", "x-rules", "x-topic", "name"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_schema_makes_it_fail(schema: Any) -> None:
    address = "/compatibility/subjects/trade.price-observed.v1-value/versions/latest?verbose=true"
    assert ANYWHERE.post(address, json=sent(schema)).status_code in {200, 422}


KEYWORDS = [
    *("type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "multipleOf"),
    *("exclusiveMinimum", "minItems", "maxItems", "uniqueItems", "items", "required", "properties", "title"),
    *("additionalProperties", "x-classification", "x-codes", "x-open", "x-rules", "x-references", "x-key"),
]
ODD_VALUES = st.one_of(
    st.sampled_from(
        ["string", "integer", "object", "date", "personal", "(?=a)a", "^(a|b)*$", "\\p{L}+", "[", ""]
    ),
    st.sampled_from([0, -1, 1, 10**18, 1e308, 1e-300, 0.1, True, None, [], {}, [1], ["a", "b"], {"a": 1}]),
    st.text("ab^$()[]{}*+?|\\.-0", max_size=12),
)


@hypothesis_settings(max_examples=100)
@given(
    st.sampled_from(
        [
            "health.birth-notified.v1-value",
            "onestop.dossier-submitted.v1-value",
            "trade.price-observed.v1-value",
        ]
    ),
    st.lists(st.tuples(st.integers(0, 999), st.sampled_from(KEYWORDS), ODD_VALUES), min_size=1, max_size=3),
)
def test_no_change_of_a_frozen_schema_makes_it_fail(
    subject: str, changes: list[tuple[int, str, Any]]
) -> None:
    schema: Any = deepcopy(BOOK.subjects[subject][-1].schema)
    places = [schema]
    for place in places:
        places += [*place.get("properties", {}).values(), *filter(None, [place.get("items")])]
    for number, keyword, value in changes:
        places[number % len(places)][keyword] = value
    address = f"/compatibility/subjects/{subject}/versions/latest?verbose=true"
    answer = ANYWHERE.post(address, json=sent(schema))
    assert answer.status_code in {200, 422}
    assert answer.elapsed.total_seconds() < 30


# Who may reach it.


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.7", False),
        ("registry.hanoi.example", False),
    ],
)
def test_only_loopback_addresses_need_no_certificate(host: str, here: bool) -> None:
    assert is_here(host) is here


def test_the_command_names_what_keeps_it_from_listening(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIENTHONG_ROOT", str(ROOT))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words, said in (
            (["--port", str(port)], f"Port {port} of 127.0.0.1 cannot be taken"),
            (["--host", "0.0.0.0"], "no certificate is given"),
            (["--certificate", str(ROOT / "README.md")], "README.md and its key cannot be used"),
        ):
            with pytest.raises(SystemExit) as ended:
                main(["registry", *words])
            assert ended.value.code == 1
            assert said in capsys.readouterr().err
