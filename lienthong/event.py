"""The envelope: CloudEvents 1.0 around a department's data, to and from Kafka's records (hop 2)."""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeVar
from uuid import UUID

import orjson
import pydantic

from lienthong import fields_read, strict_json
from lienthong.errors import NotStrict, Problem, Unreadable
from lienthong.moments import find_timestamp, write_timestamp
from lienthong.names import schema_header

JSON: Final = "application/json"
STRUCTURED: Final = "application/cloudevents+json"
LONGEST_ATTRIBUTE: Final = 1024
"""Greatest length of one envelope attribute, in characters; ours are far shorter."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REQUIRED: Final = ("specversion", "id", "source", "type", "time", "dataschema")
_OPTIONAL: Final = (
    "subject",
    "partitionkey",
    "recordedtime",
    "traceparent",
    "correlationid",
    "causationid",
    "dataclassification",
    "siblingid",
)
_ATTRIBUTE_OF_HEADER: Final = {
    **{f"ce_{name}": name for name in (*_REQUIRED, *_OPTIONAL)},
    "content-type": "datacontenttype",
}


class Step(NamedTuple):
    """The step of a procedure that an event ends, and its legal term, as its contract says."""

    procedure: str
    name: str
    label: str
    working_days: int


class Data(pydantic.BaseModel):
    """The data of one event, typed; the classes of a room's `events.py` are derived from it.

    Closed on write by the gate, open on read here: what a class does not know it ignores, so a field
    that a department is not granted never reaches its handlers.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    TOPIC: ClassVar[str]
    SCHEMA_VERSION: ClassVar[str]
    STEP: ClassVar[Step | None] = None
    """The step it ends, where its contract says one."""

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """Give the data as a dictionary: every field counts as read."""
        fields_read.note_whole(type(self))
        return super().model_dump(**options)

    def model_dump_json(self, **options: Any) -> str:
        """Give the data as JSON: every field counts as read."""
        fields_read.note_whole(type(self))
        return super().model_dump_json(**options)

    def __iter__(self) -> Iterator[tuple[str, Any]]:  # type: ignore[override]  # as pydantic's own
        """Walk names and values: every field counts as read."""
        fields_read.note_whole(type(self))
        yield from super().__iter__()


D = TypeVar("D", bound=Data | dict[str, Any] | None)


class Position(NamedTuple):
    """Where Kafka keeps a record. `timestamp_ms` is the broker's, since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class Event(Generic[D]):
    """A fact with its envelope, as a handler gets it."""

    id: str
    source: str
    type: str
    subject: str | None
    time: datetime
    """When it happened."""
    recorded_at: datetime
    """When its department recorded it."""
    dataschema: str
    key: str
    """What orders it: events with one key are handled one after the other."""
    classification: str
    correlation_id: str
    causation_id: str | None
    traceparent: str | None
    data: D
    """None where a state was retracted (a tombstone)."""
    position: Position | None = None


class RawEvent(NamedTuple):
    """An event whose data is still bytes: what the outbox keeps and what Kafka's record holds.

    `value` is None for a tombstone. A tuple, because one is made for every record.
    """

    id: str
    source: str
    type: str
    subject: str | None
    time: datetime
    recorded_at: datetime
    dataschema: str
    key: str
    classification: str
    correlation_id: str
    causation_id: str | None
    traceparent: str | None
    value: bytes | None
    position: Position | None = None
    sibling_id: str | None = None
    """The id of the same fact on the topic of the other major, while two run side by side."""

    def opened(self, data: D) -> Event[D]:
        """Give the event its typed data."""
        return Event(*self[:12], data, self.position)

    def __repr__(self) -> str:
        # The value may hold personal data, and a repr ends in logs and tracebacks.
        return f"RawEvent({self.type} {self.id} at {self.position})"


def uuid7(now: datetime, random: Callable[[int], bytes]) -> str:
    """Make an event id that sorts by its time of birth (RFC 9562, version 7).

    The twelve bits after the milliseconds hold the fraction of the millisecond (method 3 of its section
    6.2), so that ids made by one process sort within a millisecond too. `random` is `os.urandom` or a like.
    """
    millis, micros = divmod(_micros(now), 1000)
    number = millis << 80 | 0x7 << 76 | (micros * 4096 // 1000) << 64 | 0b10 << 62
    number |= int.from_bytes(random(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def named_id(*parts: bytes) -> str:
    """Make an event id of what the event says (RFC 9562, version 8): the same parts, the same id."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    number = int.from_bytes(digest.digest()[:16], "big")
    number = number & ~(0xF << 76) & ~(0b11 << 62) | 0x8 << 76 | 0b10 << 62
    return str(UUID(int=number))


def is_uuid(text: str) -> bool:
    """Tell whether an id is a UUID in its usual writing; Debezium's outbox rows may bring any version."""
    return _UUID.fullmatch(text) is not None


def _micros(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def to_headers(raw: RawEvent) -> list[tuple[str, bytes]]:
    """Write the envelope as the headers of a binary-mode record."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", raw.id.encode()),
        ("ce_source", raw.source.encode()),
        ("ce_type", raw.type.encode()),
        ("ce_time", write_timestamp(raw.time).encode()),
        ("ce_dataschema", raw.dataschema.encode()),
        ("ce_partitionkey", raw.key.encode()),
        ("ce_recordedtime", write_timestamp(raw.recorded_at).encode()),
        ("ce_correlationid", raw.correlation_id.encode()),
        ("ce_dataclassification", raw.classification.encode()),
    ]
    if raw.value is not None:
        headers.append(("content-type", b"application/json"))
        if (schema := schema_header(raw.dataschema)) is not None:
            headers.append(schema)
    if raw.subject is not None:
        headers.append(("ce_subject", raw.subject.encode()))
    if raw.causation_id is not None:
        headers.append(("ce_causationid", raw.causation_id.encode()))
    if raw.traceparent is not None:
        headers.append(("ce_traceparent", raw.traceparent.encode()))
    if raw.sibling_id is not None:
        headers.append(("ce_siblingid", raw.sibling_id.encode()))
    return headers


def read_record(
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]],
) -> RawEvent:
    """Read a record's envelope, binary or structured; the data stays bytes.

    Raises:
        Unreadable: with every problem of the envelope; no header's value is repeated.
    """
    problems: list[Problem] = []
    found = _read_headers(headers, problems)
    content_type = found.pop("datacontenttype", "")
    if content_type and content_type != JSON:
        found, value = _read_by_content_type(content_type, found, value, problems)
    position = Position(topic, partition, offset, timestamp_ms)
    raw = _read_attributes(found, key, value, position, problems)
    if raw is None or problems:
        raise Unreadable(
            topic=topic,
            partition=partition,
            offset=offset,
            event_id=_known_id(found),
            problems=tuple(problems),
        )
    return raw


def _read_headers(headers: Sequence[tuple[str, bytes]], problems: list[Problem]) -> dict[str, str]:
    found: dict[str, str] = {}
    for header, value in headers:
        name = _ATTRIBUTE_OF_HEADER.get(header)
        if name is None:
            continue
        if name in found:
            problems.append(Problem(header, "envelope", "the header is there more than once"))
            continue
        try:
            found[name] = value.decode()
        except (UnicodeDecodeError, AttributeError):  # Kafka also lets a header's value be null
            problems.append(Problem(header, "envelope", "the header's value is not UTF-8 text"))
            found[name] = ""
    return found


def _read_by_content_type(
    content_type: str, found: dict[str, str], value: bytes | None, problems: list[Problem]
) -> tuple[dict[str, str], bytes | None]:
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower()
    charset = parameters.strip().lower().replace('"', "")
    if charset not in {"", "charset=utf-8"}:
        problems.append(Problem("content-type", "envelope", "expected UTF-8, another character set is named"))
    if media_type == STRUCTURED:
        # Any ce_ headers beside a structured event are somebody's copy: the document alone counts.
        return _read_structured(value, problems)
    if media_type != JSON and value is not None:
        problems.append(Problem("content-type", "envelope", f"expected {JSON} or {STRUCTURED}"))
    return found, value


def _read_structured(value: bytes | None, problems: list[Problem]) -> tuple[dict[str, str], bytes | None]:
    try:
        document = strict_json.loads(value or b"", depth=strict_json.DEEPEST + 1)
    except NotStrict as flaw:
        problems.extend(flaw.problems)
        return {}, None
    if not isinstance(document, dict):
        problems.append(Problem("", "envelope", "a structured event is a JSON object"))
        return {}, None
    found: dict[str, str] = {}
    for name in (*_REQUIRED, *_OPTIONAL):
        text = document.get(name)
        if isinstance(text, str):
            found[name] = text
        elif text is not None:
            problems.append(Problem(name, "envelope", "expected text"))
            found[name] = ""
    return found, _read_structured_data(document, problems)


def _read_structured_data(document: dict[str, Any], problems: list[Problem]) -> bytes | None:
    if document.get("datacontenttype", JSON) != JSON:
        problems.append(Problem("datacontenttype", "envelope", f"expected {JSON}"))
    if ("data" in document) == ("data_base64" in document):
        problems.append(Problem("data", "envelope", "expected exactly one of data and data_base64"))
        return None
    if "data" in document:
        return orjson.dumps(document["data"])
    try:
        return base64.b64decode(document["data_base64"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        problems.append(Problem("data_base64", "envelope", "expected base64 text"))
        return None


def _read_attributes(
    found: dict[str, str], key: bytes | None, value: bytes | None, position: Position, problems: list[Problem]
) -> RawEvent | None:
    get = found.get
    time = find_timestamp(get("time", ""))
    recorded = get("recordedtime")
    recorded_at = find_timestamp(recorded) if recorded is not None else _from_millis(position.timestamp_ms)
    try:
        record_key = key.decode() if key is not None else None
    except UnicodeDecodeError:
        problems.append(Problem("key", "envelope", "the record's key is not UTF-8 text"))
        record_key = None
    partition_key = get("partitionkey", record_key)
    sound = (
        get("specversion") == "1.0"
        and time is not None
        and recorded_at is not None
        and bool(partition_key)
        and (record_key is None or record_key == partition_key)
        and all(map(get, _REQUIRED))
        and "".join(found.values()).isprintable()
        and max(map(len, found.values())) <= LONGEST_ATTRIBUTE
    )
    if not sound:
        problems.extend(_attribute_problems(found, record_key, time, recorded_at, problems))
        return None
    return RawEvent(
        found["id"],
        found["source"],
        found["type"],
        get("subject"),
        time,  # type: ignore[arg-type]  # sound says that both instants are there
        recorded_at,  # type: ignore[arg-type]
        found["dataschema"],
        partition_key or "",
        get("dataclassification", ""),
        get("correlationid", found["id"]),
        get("causationid"),
        get("traceparent"),
        value,
        position,
        get("siblingid"),
    )


def _attribute_problems(
    found: dict[str, str],
    record_key: str | None,
    time: datetime | None,
    recorded_at: datetime | None,
    known: Sequence[Problem],
) -> list[Problem]:
    """Say everything that is wrong with the attributes; only for an event that is not sound."""
    told = {problem.path.removeprefix("ce_") for problem in known}
    problems = [
        Problem(name, "envelope", "the attribute is missing or empty")
        for name in _REQUIRED
        if not found.get(name) and name not in told
    ]
    for name, text in found.items():
        if len(text) > LONGEST_ATTRIBUTE:
            problems.append(Problem(name, "envelope", f"longer than {LONGEST_ATTRIBUTE} characters"))
        if not text.isprintable():
            problems.append(Problem(name, "envelope", "holds control or invisible characters"))
    if found.get("specversion") not in {None, "", "1.0"}:
        problems.append(Problem("specversion", "envelope", "expected 1.0"))
    for name, moment in (("time", time), ("recordedtime", recorded_at)):
        if name in found and moment is None:
            problems.append(Problem(name, "envelope", "expected a date-time with offset"))
    partition_key = found.get("partitionkey", record_key)
    if not partition_key and not told & {"key", "partitionkey"}:
        problems.append(Problem("key", "envelope", "the record has neither a key nor a partitionkey"))
    elif record_key is not None and record_key != partition_key:
        problems.append(Problem("partitionkey", "envelope", "differs from the record's key"))
    return problems


def _from_millis(millis: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(millis / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _known_id(found: dict[str, str]) -> str | None:
    """Give the event's id if it can be told: a foreign one may be anything, a citizen's number too."""
    event_id = found.get("id", "")
    return event_id if is_uuid(event_id) else None
