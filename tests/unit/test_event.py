"""The envelope, to and from Kafka's records, with the public CloudEvents SDK as oracle."""

import os
import string
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import orjson
import pytest
from cloudevents.core.bindings import kafka as sdk
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, ValidationError

from lienthong.errors import Unreadable
from lienthong.event import Data, Event, Position, RawEvent, read_record, to_headers, uuid7
from lienthong.moments import find_timestamp, write_timestamp
from tests.unit.birth import DATA, EVENT_ID, NOW, TOPIC, error_of, raw_event

STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]


class BirthNotified(Data):
    TOPIC = TOPIC
    SCHEMA_VERSION = "1.0.0"

    notification_id: str
    born_at: AwareDatetime
    sex: str


def read(headers=None, key=b"01020-2025-000731", value=b"{}", **overrides) -> RawEvent:
    if headers is None:
        named = dict(to_headers(raw_event()))
        headers = list(
            {**named, **{name.replace("__", "-"): text for name, text in overrides.items()}}.items()
        )
        headers = [(name, text) for name, text in headers if text is not None]
    return read_record(TOPIC, 3, 41, 1_763_168_523_456, key, value, headers)


def places(*args, **overrides) -> list[str]:
    with pytest.raises(Unreadable) as refusal:
        read(*args, **overrides)
    assert refusal.value.problems
    return sorted(problem.path for problem in refusal.value.problems)


def document(**changes) -> bytes:
    attributes = {
        "specversion": "1.0",
        "id": EVENT_ID,
        "source": "/vn.gov.hanoi/health",
        "type": "vn.gov.hanoi.health.birth-notified",
        "time": "2025-11-15T08:02:03.456789+07:00",
        "dataschema": "urn:vn.gov.hanoi:health:birth-notified:1.0.0",
        "datacontenttype": "application/json",
        "partitionkey": "01020-2025-000731",
        "data": DATA,
        **changes,
    }
    return orjson.dumps({name: value for name, value in attributes.items() if value is not None})


def test_an_event_comes_back_from_its_headers_as_it_went():
    raw = raw_event()
    back = read_record(TOPIC, 3, 41, 1_763_168_523_456, raw.key.encode(), raw.value, to_headers(raw))
    assert back == raw._replace(position=Position(TOPIC, 3, 41, 1_763_168_523_456))


def test_the_cloudevents_sdk_reads_every_header_as_we_meant_it():
    raw = raw_event(subject="phường Hoàn Kiếm")
    event = sdk.from_kafka(
        sdk.KafkaMessage(dict(to_headers(raw)), raw.key.encode(), raw.value), JSONFormat(), CloudEvent
    )
    assert event.get_data() == DATA
    assert event.get_attributes() == {
        "specversion": "1.0",
        "id": raw.id,
        "source": raw.source,
        "type": raw.type,
        "subject": "phường Hoàn Kiếm",
        "time": NOW,
        "dataschema": raw.dataschema,
        "datacontenttype": "application/json",
        "partitionkey": raw.key,
        "recordedtime": "2025-11-15T01:02:03.456789+00:00",
        "correlationid": raw.correlation_id,
        "causationid": raw.causation_id,
        "traceparent": raw.traceparent,
        "dataclassification": "sensitive",
    }


@pytest.mark.parametrize("write", [sdk.to_binary_event, sdk.to_structured_event])
def test_what_the_cloudevents_sdk_writes_is_read(write):
    attributes = {
        "id": EVENT_ID,
        "source": "/vn.gov.hanoi/health",
        "type": "vn.gov.hanoi.health.birth-notified",
        "specversion": "1.0",
        "time": NOW,
        "dataschema": "urn:vn.gov.hanoi:health:birth-notified:1.0.0",
        "datacontenttype": "application/json",
        "partitionkey": "k",
    }
    written = write(CloudEvent(attributes=attributes, data=DATA))
    raw = read_record(TOPIC, 0, 0, 0, written.key.encode(), written.value, list(written.headers.items()))
    assert (raw.id, raw.time, raw.key, orjson.loads(raw.value)) == (EVENT_ID, NOW, "k", DATA)


def test_a_structured_event_is_read_from_its_document_alone():
    raw = read([*STRUCTURED, ("ce_id", b"other"), ("ce_type", b"forged")], value=document())
    assert (raw.id, raw.type) == (EVENT_ID, "vn.gov.hanoi.health.birth-notified")
    assert raw.value == orjson.dumps(DATA)
    assert raw.time.utcoffset() == timedelta(hours=7)


def test_a_structured_event_may_carry_its_data_as_base64():
    raw = read(STRUCTURED, value=document(data=None, data_base64="eyJhIjoxfQ=="))
    assert raw.value == b'{"a":1}'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (document(data_base64="e30="), ["data"]),
        (document(data=None), ["data"]),
        (document(data=None, data_base64="#"), ["data_base64"]),
        (document(data=None, data_base64=7), ["data_base64"]),
        (document(id=7), ["id"]),
        (document(id=None, source=""), ["id", "source"]),
        (document(datacontenttype="text/plain"), ["datacontenttype"]),
        (document(specversion="0.3"), ["specversion"]),
        (document(partitionkey="another"), ["partitionkey"]),
        (document()[:-1] + b',"id":"twice"}', ["/id"]),
    ],
)
def test_a_structured_event_with_problems_is_unreadable_and_they_are_named(value, expected):
    assert set(expected) <= set(places(STRUCTURED, value=value))


@pytest.mark.parametrize("value", [None, b"", b"[]", b"\xff", b"[" * 100_000])
def test_a_structured_record_without_a_document_is_unreadable(value):
    assert places(STRUCTURED, value=value)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"ce_id": None}, ["id"]),
        ({"ce_id": b"", "ce_source": None}, ["id", "source"]),
        ({"ce_time": b"2025-11-15T08:02:03"}, ["time"]),
        ({"ce_time": b"yesterday"}, ["time"]),
        ({"ce_time": b"2025-02-30T08:02:03Z"}, ["time"]),
        ({"ce_time": "٢025-02-03T08:02:03Z".encode()}, ["time"]),
        ({"ce_recordedtime": b""}, ["recordedtime"]),
        ({"ce_specversion": b"0.3"}, ["specversion"]),
        ({"ce_subject": b"\xff"}, ["ce_subject"]),
        ({"ce_subject": b"a\nb"}, ["subject"]),
        ({"ce_type": "vn\u202e".encode()}, ["type"]),
        ({"ce_correlationid": b"c" * 2000}, ["correlationid"]),
        ({"ce_partitionkey": b"another"}, ["partitionkey"]),
        ({"content__type": b"text/plain"}, ["content-type"]),
        ({"content__type": b"application/json; charset=utf-16"}, ["content-type"]),
        ({"content__type": b"application/cloudevents-batch+json"}, ["content-type"]),
        ({"key": b"\xff"}, ["key"]),
        ({"key": None, "ce_partitionkey": None}, ["key"]),
        ({"key": b"", "ce_partitionkey": None}, ["key"]),
    ],
)
def test_every_problem_of_an_envelope_is_named(overrides, expected):
    assert places(**overrides) == expected


def test_a_record_without_headers_is_unreadable_and_all_that_lacks_is_said():
    assert places([], key=None) == ["dataschema", "id", "key", "source", "specversion", "time", "type"]


def test_a_header_that_comes_twice_is_refused_and_a_null_one_too():
    headers = to_headers(raw_event())
    assert places([*headers, ("ce_source", b"/vn.gov.hanoi/trade")]) == ["ce_source"]
    assert places([*headers[:-1], ("ce_traceparent", None)]) == ["ce_traceparent"]


def test_headers_of_other_programs_are_no_concern_of_ours():
    headers = [
        *to_headers(raw_event()),
        ("traceparent", b"\xff"),
        ("ce_retries", b"-1"),
        ("ce_retries", b"9"),
    ]
    assert read(headers).id == EVENT_ID


def test_what_may_be_left_out_takes_its_value_from_the_record():
    left_out = (
        "ce_subject",
        "ce_partitionkey",
        "ce_recordedtime",
        "ce_correlationid",
        "ce_causationid",
        "content-type",
    )
    raw = read([(name, text) for name, text in to_headers(raw_event()) if name not in left_out])
    assert (raw.subject, raw.key, raw.correlation_id, raw.causation_id) == (
        None,
        "01020-2025-000731",
        EVENT_ID,
        None,
    )
    assert raw.recorded_at == datetime(2025, 11, 15, 1, 2, 3, 456000, tzinfo=UTC)


def test_a_json_content_type_may_name_its_character_set():
    assert read(content__type=b'Application/JSON; charset="UTF-8"').id == EVENT_ID


def test_a_tombstone_has_an_envelope_and_no_content_type():
    headers = to_headers(raw_event(value=None))
    assert "content-type" not in dict(headers)
    assert read(headers, value=None).value is None


def test_no_error_repeats_what_a_header_or_the_record_held():
    held = {
        "ce_id": b"001199000001",
        "ce_time": "Nguyễn".encode(),
        "ce_subject": "Mẫu\n".encode(),
        "key": b"001199000001",
    }
    with pytest.raises(Unreadable) as refusal:
        read(**held)
    told = f"{refusal.value} {refusal.value.fields}"
    assert not [text for text in ("001199000001", "Nguyễn", "Mẫu") if text in told]


header_names = st.sampled_from([name for name, _ in to_headers(raw_event())] + ["other", ""])


@given(
    st.lists(st.tuples(header_names, st.binary(max_size=30) | st.none()), max_size=20),
    st.binary(max_size=10) | st.none(),
    st.binary(max_size=40) | st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
)
def test_whatever_a_record_holds_it_is_read_or_unreadable(headers, key, value, timestamp_ms, structured):
    everything = [*headers, *(STRUCTURED if structured else [])]
    error = error_of(lambda: read_record(TOPIC, 0, 0, timestamp_ms, key, value, everything), Unreadable)
    assert error is None or error.problems


@given(
    st.dictionaries(
        header_names, st.text(max_size=12).map(lambda t: t.encode("utf-8", "replace")), max_size=3
    )
)
def test_a_sound_envelope_with_a_few_odd_headers_is_read_or_unreadable(changes):
    error = error_of(lambda: read(list({**dict(to_headers(raw_event())), **changes}.items())), Unreadable)
    assert error is None or error.problems


attribute = st.text(alphabet=string.ascii_letters + string.digits + "-./ ăâđêôơưếộ", min_size=1, max_size=30)
instants = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=7))]))


@given(attribute, attribute, instants, instants, st.none() | attribute)
def test_any_printable_envelope_comes_back(event_id, key, time, recorded_at, optional):
    raw = raw_event(
        id=event_id, key=key, time=time, recorded_at=recorded_at, subject=optional, causation_id=optional
    )
    back = read_record(TOPIC, 0, 0, 0, key.encode(), raw.value, to_headers(raw))
    assert back._replace(position=None) == raw


@given(instants)
def test_an_instant_is_written_as_it_is_read(moment):
    back = find_timestamp(write_timestamp(moment))
    assert (back, back.utcoffset()) == (moment, moment.utcoffset())


def test_an_offset_with_seconds_is_written_in_utc_and_none_is_no_instant():
    old = datetime(1905, 1, 1, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh"))
    assert old.utcoffset().seconds % 60
    assert find_timestamp(write_timestamp(old)) == old
    with pytest.raises(ValueError, match="offset"):
        write_timestamp(NOW.replace(tzinfo=None))


def test_typed_data_ignores_what_it_does_not_know_and_cannot_be_changed():
    event = raw_event().opened(BirthNotified.model_validate(DATA))
    assert isinstance(event, Event)
    assert (event.id, event.key, event.data.sex) == (EVENT_ID, "01020-2025-000731", "female")
    assert not hasattr(event.data, "mother")
    with pytest.raises(ValidationError):
        event.data.sex = "male"
    with pytest.raises(AttributeError):
        event.id = "x"


def test_a_typed_class_does_not_repeat_what_it_could_not_take():
    with pytest.raises(ValidationError) as refusal:
        BirthNotified.model_validate({**DATA, "born_at": "Nguyễn Thị Mẫu"})
    assert "Mẫu" not in str(refusal.value)


def test_the_repr_of_an_event_shows_no_data():
    assert "Nguyễn" not in repr(raw_event())
    assert EVENT_ID in repr(raw_event())


def test_ids_are_uuids_of_version_seven_that_sort_by_their_birth():
    moments = [NOW + timedelta(microseconds=n) for n in (0, 1, 2, 600, 1000, 5_000_000)]
    ids = [uuid7(moment, os.urandom) for moment in moments]
    assert ids == sorted(ids)
    assert {(text[14], text[19] in "89ab", len(text)) for text in ids} == {("7", True, 36)}
    assert len({uuid7(NOW, os.urandom) for _ in range(100)}) == 100


def test_an_id_is_made_of_its_moment_and_its_randomness_alone():
    assert uuid7(datetime(1970, 1, 1, tzinfo=UTC), bytes) == "00000000-0000-7000-8000-000000000000"
    assert uuid7(NOW, lambda n: b"\xff" * n) == "019a8508-94c0-7c9f-bfff-ffffffffffff"
