"""The gate: what it admits, what it refuses, and in which words."""

import copy
import os
import re
from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.errors import ContractsNotSound, NotValid, Refused, UnknownVersion, Unreadable
from lienthong.event import Position, read_record, to_headers, uuid7
from lienthong.gate import Gate, Reference
from lienthong.shape import Shape
from tests.unit.birth import (
    DATA,
    EVENT_ID,
    NOW,
    SCHEMA,
    STATE,
    STATE_SCHEMA,
    TOPIC,
    data,
    error_of,
    gate,
    raw_event,
    raw_state,
)

GATE = gate()


def check(value, the_gate=GATE, **changes):
    circumstances = {"time": NOW, "recorded_at": NOW, "subject": None, "event_id": EVENT_ID, **changes}
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return the_gate.check_data(TOPIC, raw, **circumstances)


def refused(value, the_gate=GATE, **changes) -> list[tuple[str, str]]:
    with pytest.raises(NotValid) as refusal:
        check(value, the_gate, **changes)
    return [(problem.path, problem.rule) for problem in refusal.value.problems]


def not_admitted(raw, topic=TOPIC, department="health") -> list[tuple[str, str]]:
    with pytest.raises(NotValid) as refusal:
        GATE.admit(department, raw, topic)
    return [(problem.path, problem.rule) for problem in refusal.value.problems]


def not_readable(raw, topic=TOPIC) -> list[tuple[str, str]]:
    with pytest.raises(Unreadable) as refusal:
        GATE.recheck(topic, raw)
    assert not refusal.value.retriable
    return [(problem.path, problem.rule) for problem in refusal.value.problems]


def changed(path: str, value):
    """Copy the sound data with one value changed, by its JSON pointer."""
    copied = copy.deepcopy(DATA)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")[1:]]
    at = copied
    for step in steps:
        at = at[step]
    at[last] = value
    return copied


def test_sound_data_is_admitted_and_given_back():
    assert check(DATA) == DATA
    assert check(data(weight_g=None, papers=None)) == data(weight_g=None, papers=None)


@pytest.mark.parametrize(
    ("path", "value", "rule", "sentence"),
    [
        ("/weight_g", 199, "minimum", "below 200"),
        ("/weight_g", 9001, "maximum", "above 9000"),
        ("/weight_g", 3150.5, "type", "expected a whole number"),
        ("/weight_g", "3150", "type", "expected a whole number"),
        ("/weight_g", None, "type", "expected a whole number"),
        ("/sex", "girl", "enum", "expected one of male, female, undetermined"),
        ("/notification_id", "01020", "pattern", "does not have the form ^[0-9]{5}-[0-9]{4}-[0-9]{6}$"),
        ("/notification_id", "01020-2025-000731\n", None, None),
        ("/notification_id", "٠1020-2025-000731", "pattern", None),
        ("/note", "", "minLength", "shorter than 1 characters"),
        ("/note", "x" * 501, "maxLength", "longer than 500 characters"),
        (
            "/born_at",
            "2025-11-14T20:55:00",
            "format",
            "expected a date-time with offset, as 2025-11-14T20:55:00+07:00",
        ),
        ("/born_at", "14/11/2025", "format", None),
        ("/born_at", "2025-02-30T20:55:00+07:00", "format", None),
        ("/born_at", "0000-01-01T00:00:00Z", "format", None),
        ("/born_at", "0001-01-01T00:00:00+07:00", "format", None),
        ("/born_at", "2025-11-14T23:59:60Z", "format", None),
        ("/born_at", "", "format", None),
        ("/notified_on", "2025-02-29", "format", "expected a date, as 2025-11-14"),
        ("/notified_on", "0000-01-01", "format", None),
        ("/mother/personal_number", "1199000001", "pattern", None),
        ("/mother/full_name", "M", "minLength", None),
        ("/mother", "Nguyễn Thị Mẫu", "type", "expected an object"),
        ("/mother/born_on", "0000-01-01", "format", None),
        ("/papers", [{"paper_code": "A1"}] * 4, "maxItems", "more than 3 elements"),
        ("/papers/0/paper_code", "a1", "pattern", None),
        ("/papers/0/issued_at", "2025-11-14T23:59:60Z", "format", None),
        ("/papers/0", [], "type", "expected an object"),
    ],
)
def test_a_value_out_of_bounds_is_named_by_its_path_in_our_words(path, value, rule, sentence):
    with pytest.raises(NotValid) as refusal:
        check(changed(path, value))
    (problem, *others) = refusal.value.problems
    assert (problem.path, others) == (path, [])
    assert rule in {None, problem.rule}
    assert sentence in {None, problem.message}


def test_all_problems_of_an_event_are_told_at_once():
    wrong = data(weight_g=1, sex=None, colour="red", note="Ghi\tchú", born_at="2025-11-16T00:00:00+07:00")
    wrong["mother"] = {"full_name": "Nguye\u0302\u0303n", "age": 26}
    assert sorted(refused(wrong)) == [
        ("/born_at", "born-before-notified"),
        ("/colour", "additionalProperties"),
        ("/mother/age", "additionalProperties"),
        ("/mother/full_name", "nfc"),
        ("/mother/personal_number", "required"),
        ("/note", "characters"),
        ("/sex", "required"),
        ("/weight_g", "minimum"),
    ]


def test_the_refusal_says_which_event_which_version_and_what_to_do():
    with pytest.raises(NotValid) as refusal:
        check(changed("/weight_g", 12000))
    assert str(refusal.value) == (
        f"{TOPIC} {EVENT_ID} was refused, 1 problem against schema 1.0.0: /weight_g: above 9000. "
        "Correct the record at its source and publish it again."
    )


def test_a_rule_across_fields_and_envelope_refuses_in_its_own_words():
    with pytest.raises(NotValid) as refusal:
        check(changed("/born_at", "2025-11-15T08:02:04+07:00"))
    (problem,) = refusal.value.problems
    assert (problem.path, problem.rule) == ("/born_at", "born-before-notified")
    assert problem.message == "Thời điểm sinh không sau thời điểm thông báo"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ("", "json")),
        (b"null", ("", "type")),
        (b"[]", ("", "type")),
        (b"7", ("", "type")),
        (orjson.dumps(DATA)[:-1], ("", "json")),
        (orjson.dumps(DATA)[:-1] + b',"weight_g":3000}', ("/weight_g", "repeated-name")),
        (orjson.dumps(DATA).replace(b"3150", b"12345678901234567890123"), ("/weight_g", "integer-size")),
        (orjson.dumps(DATA).replace(b"3150", b"[" * 100_000 + b"]" * 100_000), ("", "size")),
        (b"[" * 2_000 + b"]" * 2_000, ("", "depth")),
        (orjson.dumps(DATA).replace("Mẫu".encode(), "Hà".encode("latin-1")), ("", "encoding")),
        ("\ufeff".encode() + orjson.dumps(DATA), ("", "json")),
        (orjson.dumps(DATA).replace("Mẫu".encode(), b"\\ud83d"), ("/mother/full_name", "encoding")),
        (orjson.dumps(DATA).replace("Mẫu".encode(), b"\xff"), ("", "encoding")),
        (b" " * 5000, ("", "size")),
    ],
)
def test_bytes_that_are_not_plain_json_are_refused_with_their_place(raw, expected):
    assert refused(raw) == [expected]


def test_the_size_that_the_contract_allows_is_in_the_sentence():
    with pytest.raises(NotValid, match="5000 bytes, the contract allows 4096"):
        check(b" " * 5000)


def test_the_department_may_publish_its_own_event():
    assert GATE.admit("health", raw_event(), TOPIC) == DATA
    assert GATE.admit("health", raw_event(id=uuid7(NOW, os.urandom)), TOPIC) == DATA


@pytest.mark.parametrize(
    ("department", "topic", "sentence"),
    [
        (
            "trade",
            TOPIC,
            "the topic belongs to health, and only it may publish there, not trade. trade owns no topic",
        ),
        ("health", "health.birth-notified.v2", f"major version 2 does not exist; there is {TOPIC}"),
        ("health", "health.death-notified.v1", "no contract defines this topic"),
        ("health", "health.death-notified.v1", f"health owns {TOPIC}, {STATE}"),
        ("health", "births", "this is no topic's name"),
        ("health", "", "this is no topic's name"),
        ("heal", TOPIC, "the topic belongs to health"),
    ],
)
def test_a_topic_that_is_not_the_departments_is_refused_with_those_that_are(department, topic, sentence):
    with pytest.raises(Refused, match=re.escape(sentence)):
        GATE.admit(department, raw_event(), topic)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"source": "/vn.gov.hanoi/trade"}, ("source", "owner")),
        ({"type": "vn.gov.hanoi.health.facility"}, ("type", "owner")),
        ({"id": "1"}, ("id", "envelope")),
        ({"id": EVENT_ID.upper()}, ("id", "envelope")),
        ({"key": "another"}, ("partitionkey", "key")),
        ({"dataschema": "urn:vn.gov.hanoi:health:birth-notified:9.0.0"}, ("dataschema", "envelope")),
        ({"dataschema": ""}, ("dataschema", "envelope")),
        ({"classification": "public"}, ("dataclassification", "envelope")),
        ({"time": NOW + timedelta(hours=1, seconds=1)}, ("time", "misdated")),
        ({"time": NOW.replace(tzinfo=None)}, ("time", "envelope")),
        ({"recorded_at": NOW.replace(tzinfo=None)}, ("recordedtime", "envelope")),
        ({"value": None}, ("", "tombstone")),
        ({"subject": "001199000001"}, ("subject", "personal")),
        ({"subject": "mẹ: Nguyễn Thị Mẫu"}, ("subject", "personal")),
        ({"correlation_id": "birth-001199000001"}, ("correlationid", "personal")),
        ({"causation_id": "001199000001"}, ("causationid", "personal")),
        ({"subject": "a\nb"}, ("subject", "envelope")),
        ({"subject": "\ud83d"}, ("subject", "envelope")),
        ({"traceparent": "0" * 2000}, ("traceparent", "envelope")),
        ({"key": ""}, ("partitionkey", "key")),
    ],
)
def test_an_envelope_that_is_wrong_is_refused_at_the_attribute(changes, expected):
    assert not_admitted(raw_event(**changes)) == [expected]


def test_an_event_dated_before_the_archives_is_refused():
    long_ago = raw_event(
        time=NOW.replace(year=1899), value=orjson.dumps(data(born_at="1899-01-01T00:00:00+07:00"))
    )
    assert not_admitted(long_ago) == [("time", "misdated")]


def test_problems_of_envelope_and_data_are_told_together():
    wrong = raw_event(source="/x", id="1", value=orjson.dumps(changed("/weight_g", 1)))
    assert not_admitted(wrong) == [("source", "owner"), ("id", "envelope"), ("/weight_g", "minimum")]


def test_clocks_may_differ_by_an_hour_and_facts_may_come_late():
    assert GATE.admit("health", raw_event(time=NOW + timedelta(minutes=59)), TOPIC)
    assert GATE.admit("health", raw_event(recorded_at=NOW + timedelta(days=900)), TOPIC)


def test_a_state_may_be_retracted_by_its_key_alone():
    assert GATE.admit("health", raw_state(), STATE) == {"facility_code": "01020", "floor": 2}
    assert GATE.admit("health", raw_state(value=None), STATE) is None
    assert GATE.recheck(STATE, raw_state(value=None)) is None
    assert not_admitted(raw_state(value=None, key=""), STATE) == [("partitionkey", "key")]


def test_the_key_is_made_of_the_key_fields_in_order():
    assert GATE.key_of(TOPIC, DATA) == "01020-2025-000731"
    assert GATE.key_of(STATE, {"floor": 2, "facility_code": "01020"}) == "01020|2"
    assert GATE.key_of(STATE, {"floor": 2.0, "facility_code": "01020"}) == "01020|2"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b'{"facility_code":"01020"}',
        b'{"floor":1e400}',
        b'{"facility_code":[],"floor":{}}',
        b'{"facility_code":null,"floor":true}',
    ],
)
def test_data_that_nobody_has_checked_may_have_no_key(value):
    assert GATE.find_key(STATE, value) is None


def test_what_another_program_left_out_of_its_outbox_row_is_completed():
    row = raw_event(dataschema="", classification="")
    assert GATE.complete(TOPIC, row) == raw_event()


def test_codes_that_another_topic_explains_are_found_in_arrays_too():
    assert list(GATE.iter_references(TOPIC, DATA)) == [
        Reference("/facility_code", STATE, "01020"),
        Reference("/papers/0/paper_code", "justice.paper.v1", "A1"),
    ]
    assert list(GATE.iter_references(TOPIC, {"papers": None})) == []
    assert GATE.references(TOPIC)["/facility_code"] == (STATE, "facility_code")


def test_what_was_admitted_is_readable():
    assert GATE.recheck(TOPIC, raw_event()) == DATA


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"source": "/vn.gov.hanoi/trade"}, [("source", "owner")]),
        ({"type": "x"}, [("type", "owner")]),
        ({"value": b"{"}, [("", "json")]),
        ({"value": None}, [("", "tombstone")]),
        ({"key": "another"}, [("partitionkey", "key")]),
        ({"dataschema": "urn:vn.gov.hanoi:trade:birth-notified:1.0.0"}, [("dataschema", "version")]),
        ({"dataschema": "urn:vn.gov.hanoi:health:birth-notified:2.0.0"}, [("dataschema", "version")]),
        ({"dataschema": "urn:vn.gov.hanoi:health:birth-notified:x"}, [("dataschema", "version")]),
        ({"dataschema": "https://example.org/schema"}, [("dataschema", "version")]),
        (
            {"source": "/x", "dataschema": "urn:vn.gov.hanoi:health:birth-notified:1.1.0"},
            [("source", "owner"), ("dataschema", "version")],
        ),
        ({"source": "/x", "value": b"{}", "type": "y"}, None),
    ],
)
def test_a_record_that_is_not_what_its_topic_holds_is_unreadable(changes, expected):
    found = not_readable(raw_event(position=Position(TOPIC, 0, 7, 0), **changes))
    assert expected is None or found == expected


def test_a_version_frozen_after_ours_may_be_known_later():
    newer = raw_event(
        dataschema="urn:vn.gov.hanoi:health:birth-notified:1.1.0", position=Position(TOPIC, 0, 7, 0)
    )
    with pytest.raises(UnknownVersion) as refusal:
        GATE.recheck(TOPIC, newer)
    assert refusal.value.retriable
    assert f"{TOPIC}[0]@7" in str(refusal.value)


def folder_of(tmp_path, *schemas):
    for schema in schemas:
        version = schema["$id"].rpartition(":")[2]
        path = tmp_path / "health" / "birth-notified" / f"{version}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(orjson.dumps(schema))
    return tmp_path


GROWN = {
    **SCHEMA,
    "$id": "urn:vn.gov.hanoi:health:birth-notified:1.1.0",
    "properties": {**SCHEMA["properties"], "ward_code": {"type": "string", "pattern": "^[0-9]{5}$"}},
}


def test_a_version_frozen_while_a_reader_runs_is_read_and_what_it_writes_stays(tmp_path):
    running = Gate.load(folder_of(tmp_path, SCHEMA))
    grown = raw_event(value=orjson.dumps(data(ward_code="00004")), dataschema=GROWN["$id"])
    with pytest.raises(UnknownVersion):
        running.recheck(TOPIC, grown)
    folder_of(tmp_path, GROWN)
    assert running.recheck(TOPIC, grown) == data(ward_code="00004")
    assert running.version(TOPIC) == "1.0.0"
    assert running.recheck(TOPIC, raw_event()) == DATA


@pytest.mark.parametrize("content", [b"", b"{", orjson.dumps({**GROWN, "$id": SCHEMA["$id"]})])
def test_a_version_that_is_still_being_written_is_tried_again(tmp_path, content):
    running = Gate.load(folder_of(tmp_path, SCHEMA))
    (tmp_path / "health" / "birth-notified" / "1.1.0.json").write_bytes(content)
    with pytest.raises(UnknownVersion):
        running.recheck(TOPIC, raw_event(dataschema=GROWN["$id"]))


@pytest.mark.parametrize("version", ["../../../x", "1.1.0/../1.0.0", "2.0.0", "1.1", ""])
def test_a_version_leads_to_no_other_file(tmp_path, version):
    running = Gate.load(
        folder_of(tmp_path, SCHEMA, {**GROWN, "$id": SCHEMA["$id"].replace("1.0.0", "1.2.0")})
    )
    (tmp_path / "x.json").write_bytes(orjson.dumps(GROWN))
    with pytest.raises(Unreadable):
        running.recheck(TOPIC, raw_event(dataschema=f"urn:vn.gov.hanoi:health:birth-notified:{version}"))


def test_a_topic_without_a_schema_is_unreadable():
    assert not_readable(raw_event(), "health.death-notified.v1") == [("", "topic")]
    assert not_readable(raw_event(), "births") == [("", "topic")]


def test_the_newest_version_is_written_and_every_version_is_read():
    newest = {
        **SCHEMA,
        "$id": "urn:vn.gov.hanoi:health:birth-notified:1.10.0",
        "properties": {**SCHEMA["properties"], "ward_code": {"type": "string", "pattern": "^[0-9]{5}$"}},
    }
    older = {**SCHEMA, "$id": "urn:vn.gov.hanoi:health:birth-notified:1.9.0"}
    both = Gate([Shape.of(newest), Shape.of(SCHEMA), Shape.of(older)])
    assert both.version(TOPIC) == "1.10.0"
    assert both.dataschema(TOPIC) == newest["$id"]
    assert both.recheck(TOPIC, raw_event()) == DATA
    grown = orjson.dumps(data(ward_code="00004"))
    assert both.recheck(TOPIC, raw_event(value=grown, dataschema=newest["$id"])) == data(ward_code="00004")
    with pytest.raises(Unreadable, match="/ward_code: is not in the contract"):
        both.recheck(TOPIC, raw_event(value=grown))
    assert check(data(ward_code="00004"), both)
    assert refused(data(ward_code="00004"), both, version="1.9.0") == [("/ward_code", "additionalProperties")]
    with pytest.raises(Refused, match=r"schema version 1\.4\.0 is not among the frozen ones"):
        check(DATA, both, version="1.4.0")


def test_the_gate_tells_what_it_knows_of_a_topic():
    assert GATE.topics == GATE.topics_of("health") == (TOPIC, STATE)
    assert (GATE.version(TOPIC), GATE.classification(TOPIC)) == ("1.0.0", "sensitive")
    assert (GATE.is_state(TOPIC), GATE.is_state(STATE)) == (False, True)
    with pytest.raises(Refused, match="no contract defines this topic"):
        GATE.version("health.death-notified.v1")


def put(folder, schema, department="health", event="birth-notified", name="1.0.0.json"):
    path = folder / department / event / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        schema if isinstance(schema, bytes) else orjson.dumps(schema, option=orjson.OPT_INDENT_2)
    )


def test_frozen_schemas_are_loaded_from_their_folder(tmp_path):
    put(tmp_path, SCHEMA)
    put(tmp_path, STATE_SCHEMA, event="facility")
    loaded = Gate.load(tmp_path)
    assert loaded.topics == (TOPIC, STATE)
    assert loaded.admit("health", raw_event(), TOPIC) == DATA


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        (b"{", "cannot be read"),
        (b"[]", "is not a JSON object"),
        (orjson.dumps(SCHEMA)[:-1] + b',"x-topic":"a.b.v1"}', "cannot be read"),
        ({}, "names no version of an event"),
        ({**SCHEMA, "$id": "urn:vn.gov.hanoi:health:birth-notified:1.1.0"}, "says that it is version 1.1.0"),
        ({**SCHEMA, "x-topic": "health.birth-notified.v2"}, "says that it is"),
        ({**SCHEMA, "type": "objekt"}, "cannot be used"),
        (
            {**SCHEMA, "additionalProperties": {"$ref": "https://example.org/schema"}},
            "nothing outside the file is read",
        ),
        (
            {**SCHEMA, "additionalProperties": {"$ref": "file:///etc/passwd"}},
            "nothing outside the file is read",
        ),
        ({**SCHEMA, "properties": {"a": {"format": "tel"}}}, "cannot be used"),
        ({**SCHEMA, "properties": {"a": {"pattern": "^(a"}}}, "cannot be used"),
        ({**SCHEMA, "properties": {"a": {"pattern": "^(?=a)\\1$"}}}, "cannot be used"),
        ({**SCHEMA, "properties": 7}, "cannot be used"),
        ({**SCHEMA, "x-rules": [{"name": "a", "expression": "data."}]}, "cannot be read"),
        ({**SCHEMA, "x-rules": [{"name": "a"}]}, "lacks or misspells"),
        ({**SCHEMA, "x-references": {"/a": {}}}, "lacks or misspells"),
        ({name: value for name, value in SCHEMA.items() if name != "x-key"}, "lacks or misspells"),
        ({**SCHEMA, "x-key": []}, "its key is not made of required fields"),
        ({**SCHEMA, "x-key": ["weight_g"]}, "its key is not made of required fields"),
        ({**SCHEMA, "x-key": ["mother"]}, "its key is not made of required fields"),
    ],
)
def test_a_schema_file_that_was_not_frozen_by_release_is_named(tmp_path, schema, sentence):
    put(tmp_path, schema)
    with pytest.raises(ContractsNotSound) as refusal:
        Gate.load(tmp_path)
    assert sentence in str(refusal.value)
    assert "birth-notified" in str(refusal.value)
    assert "restore the file" in str(refusal.value)


def test_no_schemas_folder_is_said_with_its_remedy(tmp_path):
    with pytest.raises(ContractsNotSound, match="lienthong release"):
        Gate.load(tmp_path / "nowhere")


def test_a_pattern_that_explodes_elsewhere_takes_linear_time_here():
    exploding = {**SCHEMA["properties"], "note": {"type": "string", "pattern": "^(a+)+$"}}
    assert refused(data(note="a" * 3000 + "!"), gate(properties=exploding)) == [("/note", "pattern")]


# Hostile input

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(list(DATA.values())),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(list(DATA)), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.binary(max_size=200))
def test_any_bytes_are_admitted_or_refused_and_never_crash_the_gate(raw):
    assert refused(raw)


@given(
    st.dictionaries(st.sampled_from([*DATA, *DATA["mother"], "colour"]), values, max_size=4), st.booleans()
)
def test_sound_data_with_odd_values_is_admitted_or_refused(changes, in_mother):
    wrong = copy.deepcopy(DATA)
    (wrong["mother"] if in_mother else wrong).update(changes)
    try:
        raw = orjson.dumps(wrong)
    except TypeError:
        return  # beyond 64 bits, or half a surrogate pair: cannot be written, and has its own test
    event = raw_event(value=raw)
    errors = [
        error_of(lambda: check(raw), NotValid),
        error_of(lambda: GATE.admit("health", event, TOPIC), NotValid),
        error_of(lambda: GATE.recheck(TOPIC, event), Unreadable),
    ]
    assert all(error is None or error.problems for error in errors)


attributes = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=5) | st.uuids().map(str),
        "subject": st.text(max_size=10),
        "time": st.datetimes(timezones=st.just(NOW.tzinfo)),
        "recorded_at": st.datetimes(timezones=st.just(NOW.tzinfo)),
        "correlation_id": st.text(max_size=10),
        "causation_id": st.text(max_size=10),
        "traceparent": st.text(max_size=10),
        "value": st.none() | st.just(raw_state().value),
    },
)


@given(attributes)
def test_what_the_gate_admits_every_reader_can_read(changes):
    event = raw_state(**changes)
    if error_of(lambda: GATE.admit("health", event, STATE), NotValid):
        return
    read = read_record(STATE, 0, 0, 0, event.key.encode(), event.value, to_headers(event))
    assert read._replace(position=None) == event
    assert GATE.recheck(STATE, read) == (event.value and orjson.loads(event.value))


SECRET = "zq7"  # no word of any sentence or pattern holds it


@given(
    st.sampled_from(
        [
            "/sex",
            "/born_at",
            "/weight_g",
            "/mother",
            "/mother/full_name",
            "/mother/personal_number",
            "/note",
            "/papers",
            "/papers/0",
            "/papers/0/issued_at",
            "/colour",
            "/mother/colour",
            "/notification_id",
        ]
    ),
    st.sampled_from(
        [
            SECRET,
            f"{SECRET}\n",
            f"\u202e{SECRET}",
            f"e\u0301{SECRET}",
            SECRET * 400,
            [SECRET],
            {SECRET: 1},
            {"name": SECRET},
            {SECRET.upper() + " " + SECRET: {SECRET.upper(): SECRET}},
        ]
    ),
    st.booleans(),
)
def test_no_refusal_repeats_a_value(path, value, repeated):
    raw = orjson.dumps(changed(path, value))
    if repeated:
        raw = raw[:-1] + f',"note":"{SECRET}","note":"{SECRET}"'.encode() + b"}"
    refusals = [
        error_of(lambda: check(raw), NotValid),
        error_of(lambda: GATE.recheck(TOPIC, raw_event(value=raw)), Unreadable),
    ]
    sentences = [
        f"{error} {error.fields} {error.__cause__} {error.__context__}" for error in refusals if error
    ]
    # An unknown field is named if its name could be a field's: that is what its author must find.
    assert not [sentence for sentence in sentences if SECRET in sentence.replace(f"/{SECRET}", "")]
    assert sentences or (value == SECRET and path in {"/note", "/mother/full_name"})
