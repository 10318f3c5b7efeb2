"""The gate: frozen schemas and rules say yes to an event, or no with every reason (hops 3 and 5)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import orjson

from lienthong import names
from lienthong.errors import ContractsNotSound, NotValid, Problem, Refused, UnknownVersion, Unreadable
from lienthong.event import LONGEST_ATTRIBUTE, RawEvent, is_uuid
from lienthong.shape import Circumstances, Shape, load_shape

MOST_AHEAD: Final = timedelta(hours=1)
"""An event may be dated this much after it was recorded: clocks differ, but not by more."""

SHORTEST_LEAK: Final = 8
"""Personal text of this length is found inside an attribute too; shorter, only as the whole of it."""

_VERSION: Final = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}")

EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)


class Reference(NamedTuple):
    """A code in an event's data that a state explains: where it stands, the state's topic, the code."""

    path: str
    topic: str
    code: str


class Gate:
    """Knows every frozen schema version; holds no connection, and is the same for writer and reader."""

    def __init__(self, shapes: Sequence[Shape], folder: Path | None = None) -> None:
        self._folder = folder
        self._shapes: dict[str, dict[str, Shape]] = {}
        for shape in sorted(shapes, key=lambda shape: _numbers(shape.version)):
            self._shapes.setdefault(shape.topic, {})[shape.version] = shape
        self._newest = {topic: list(versions.values())[-1] for topic, versions in self._shapes.items()}
        self._read_by = {
            (topic, shape.uri): shape for topic in self._shapes for shape in self._shapes[topic].values()
        }

    @classmethod
    def load(cls, schemas_dir: Path) -> "Gate":
        """Load every frozen schema, `<department>/<event>/<version>.json`.

        Raises:
            ContractsNotSound: when a file cannot be used, naming it.
        """
        if not schemas_dir.is_dir():
            raise ContractsNotSound(
                reason=f"{schemas_dir} is not a folder",
                remedy="Run `lienthong release` in the city's repository.",
            )
        shapes = [load_shape(path, schemas_dir) for path in sorted(schemas_dir.glob("*/*/*.json"))]
        return cls(shapes, schemas_dir)

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic that has a frozen schema."""
        return tuple(sorted(self._newest))

    def topics_of(self, department: str) -> tuple[str, ...]:
        """The topics a department owns."""
        return tuple(topic for topic in self.topics if topic.split(".", 1)[0] == department)

    def version(self, topic: str) -> str:
        """The newest version, the one that is written."""
        return self._get(topic).version

    def dataschema(self, topic: str) -> str:
        """The newest version as `ce_dataschema` names it."""
        return self._get(topic).uri

    def classification(self, topic: str) -> str:
        """The highest classification of any field of the topic."""
        return self._get(topic).classification

    def is_state(self, topic: str) -> bool:
        """Tell whether the newest record a key wins and a tombstone removes it."""
        return self._get(topic).is_state

    def max_bytes(self, topic: str) -> int:
        """The size that an event's data may have."""
        return self._get(topic).max_bytes

    def references(self, topic: str) -> Mapping[str, tuple[str, str]]:
        """The paths of codes that another topic explains, each with (topic, field)."""
        return self._get(topic).references

    def iter_references(self, topic: str, data: Any) -> Iterator[Reference]:
        """Walk the codes in one event's data that another topic explains, those inside arrays too."""
        for path, (owner, _) in self._get(topic).references.items():
            for place, code in _iter_at(data, path.split("/")[1:], ""):
                yield Reference(place, owner, str(code))

    def key_of(self, topic: str, data: Any) -> str:
        """Compute the record key from an event's data: its key fields, joined with `|`."""
        return self._get(topic).key_of(data)

    def find_key(self, topic: str, value: bytes) -> str | None:
        """Compute the record key from data that nobody has checked yet; None where it has none."""
        shape = self._get(topic)
        try:
            return shape.key_of(orjson.loads(value))
        except (ValueError, TypeError, KeyError, OverflowError):
            return None

    def complete(self, topic: str, raw: RawEvent) -> RawEvent:
        """Fill in what a row written by another program may leave out: schema version, classification."""
        shape = self._get(topic)
        return raw._replace(
            dataschema=raw.dataschema or shape.uri, classification=raw.classification or shape.classification
        )

    def check_owner(self, department: str, topic: str, event_id: str) -> None:
        """Hold a department to its own topics.

        Raises:
            Refused: when the topic is not the department's to write, saying which are.
        """
        if topic in self._newest and topic.partition(".")[0] == department:
            return
        owned = ", ".join(self.topics_of(department)) or "no topic"
        raise Refused(
            topic=topic,
            event_id=event_id if is_uuid(event_id) else None,
            reason=self._why_unknown(topic, department),
            remedy=f"{department} owns {owned}: publish there, or write a contract and release it.",
        )

    def check_data(
        self,
        topic: str,
        value: bytes,
        *,
        time: datetime,
        recorded_at: datetime,
        subject: str | None,
        event_id: str,
        version: str | None = None,
    ) -> Any:
        """Check an event's data alone, and give it read.

        Raises:
            NotValid: with all problems: JSON, text, schema, rules, size.
            Refused: when the topic has no schema.
        """
        shape = self._get(topic) if version is None else self._shapes.get(topic, {}).get(version)
        if shape is None:
            raise Refused(
                topic=topic,
                event_id=event_id,
                reason=f"schema version {version} is not among the frozen ones",
            )
        data, problems = shape.check(value, Circumstances(time, recorded_at, subject, event_id))
        if problems:
            self._refuse(topic, event_id, shape, problems)
        return data

    def admit(self, department: str, raw: RawEvent, topic: str) -> Any:
        """Let a department's own event out, or refuse it; gives the data read, None for a tombstone.

        Raises:
            Refused: when the topic is not the department's to write.
            NotValid: with all problems of envelope and data.
        """
        self.check_owner(department, topic, raw.id)
        shape = self._read_by.get((topic, raw.dataschema))
        problems = _address_problems(raw, self._newest[topic]) + _text_problems(raw)
        if shape is None:
            shape = self._newest[topic]
            problems.append(
                Problem("dataschema", "envelope", f"no frozen version; the newest is {shape.uri}")
            )
        if raw.classification != shape.classification:
            problems.append(Problem("dataclassification", "envelope", f"expected {shape.classification}"))
        if not is_uuid(raw.id):
            problems.append(Problem("id", "envelope", "expected a UUID in lower case"))
        problems += _time_problems(raw)
        data = _check_value(shape, raw, problems)
        problems += _leak_problems(shape, raw, data)
        if problems:
            self._refuse(topic, raw.id if is_uuid(raw.id) else None, shape, problems)
        return data

    def recheck(self, topic: str, raw: RawEvent) -> Any:
        """Check a record that was read, written by whomever; gives the data read, None for a tombstone.

        Raises:
            UnknownVersion: when its schema version may have been frozen after ours; try again later.
            Unreadable: with all problems of envelope and data.
        """
        newest = self._newest.get(topic)
        if newest is None:
            self._unreadable(raw, topic, [Problem("", "topic", "no schema of this topic is frozen here")])
        problems = _address_problems(raw, newest) + _time_problems(raw)
        shape = self._read_by.get((topic, raw.dataschema)) or self._find_later(newest, raw.dataschema)
        if shape is None:
            self._no_version(raw, newest, problems)
        data = _check_value(shape, raw, problems)
        if problems:
            self._unreadable(raw, topic, problems)
        return data

    def _find_later(self, newest: Shape, uri: str) -> Shape | None:
        """Find a version frozen since we started: a publisher that began to write it stops no reader.

        It is known for reading only; what this process writes keeps its version until it starts anew.
        """
        named = names.find_schema_version(uri)
        if self._folder is None or named is None or not _VERSION.fullmatch(named[2]):
            return None
        department, event, _ = newest.topic.split(".")
        path = self._folder / department / event / f"{named[2]}.json"
        if not path.is_file():
            return None
        try:
            shape = load_shape(path, self._folder)
        except ContractsNotSound:
            return None  # perhaps it is being written; the record is tried again
        if (shape.topic, shape.uri) != (newest.topic, uri):
            return None
        self._shapes[shape.topic][shape.version] = shape
        self._read_by[shape.topic, shape.uri] = shape
        return shape

    def _get(self, topic: str) -> Shape:
        try:
            return self._newest[topic]
        except KeyError:
            raise Refused(topic=topic, reason=self._why_unknown(topic, "")) from None

    def _why_unknown(self, topic: str, department: str) -> str:
        parts = names.find_topic(topic)
        if parts is None:
            return "this is no topic's name; one is written <department>.<event>.v<major>"
        if department and parts.department != department:
            return f"the topic belongs to {parts.department}, and only it may publish there, not {department}"
        majors = [known for known in self.topics if known.rpartition(".v")[0] == topic.rpartition(".v")[0]]
        if majors and topic not in self._newest:
            return f"major version {parts.major} does not exist; there is {', '.join(majors)}"
        return "no contract defines this topic (no schema version of it is frozen)"

    @staticmethod
    def _refuse(topic: str, event_id: str | None, shape: Shape, problems: Sequence[Problem]) -> NoReturn:
        raise NotValid(topic=topic, event_id=event_id, schema_version=shape.version, problems=tuple(problems))

    def _no_version(self, raw: RawEvent, newest: Shape, problems: list[Problem]) -> NoReturn:
        known = ", ".join(self._shapes[newest.topic])
        name, _, version = raw.dataschema.rpartition(":")
        major = newest.version.partition(".")[0]
        if name == newest.uri.rpartition(":")[0] and version.partition(".")[0] == major and not problems:
            problem = Problem("dataschema", "version", f"names a version unknown here; known are {known}")
            self._unreadable(raw, newest.topic, [problem], UnknownVersion)
        message = f"names no version of {newest.topic}; known are {known}"
        self._unreadable(raw, newest.topic, [*problems, Problem("dataschema", "version", message)])

    @staticmethod
    def _unreadable(
        raw: RawEvent, topic: str, problems: Sequence[Problem], error: type[Unreadable] = Unreadable
    ) -> NoReturn:
        position = raw.position
        raise error(
            topic=topic,
            partition=position.partition if position else None,
            offset=position.offset if position else None,
            event_id=raw.id if is_uuid(raw.id) else None,
            problems=tuple(problems),
        )


def _address_problems(raw: RawEvent, shape: Shape) -> list[Problem]:
    """Say where source and type do not belong to the topic."""
    problems = []
    if raw.source != shape.source:
        problems.append(Problem("source", "owner", f"expected {shape.source}, the owner of {shape.topic}"))
    if raw.type != shape.type:
        problems.append(Problem("type", "owner", f"expected {shape.type}, the type of {shape.topic}"))
    return problems


def _text_problems(raw: RawEvent) -> list[Problem]:
    """Find what readers would refuse in the attributes that a department may choose."""
    chosen = {
        "subject": raw.subject,
        "partitionkey": raw.key,
        "correlationid": raw.correlation_id,
        "causationid": raw.causation_id,
        "traceparent": raw.traceparent,
        "siblingid": raw.sibling_id,
    }
    everything = "".join(text for text in chosen.values() if text)
    if everything.isprintable() and len(everything) <= LONGEST_ATTRIBUTE:
        return []
    problems = []
    for name, text in chosen.items():
        if text and not text.isprintable():
            problems.append(Problem(name, "envelope", "holds control or invisible characters"))
        if text and len(text) > LONGEST_ATTRIBUTE:
            problems.append(Problem(name, "envelope", f"longer than {LONGEST_ATTRIBUTE} characters"))
    return problems


def _time_problems(raw: RawEvent) -> list[Problem]:
    problems = [
        Problem(name, "envelope", "expected an instant with an offset")
        for name, moment in (("time", raw.time), ("recordedtime", raw.recorded_at))
        if moment.utcoffset() is None
    ]
    if problems:
        return problems
    if raw.time > raw.recorded_at + MOST_AHEAD:
        problems.append(Problem("time", "misdated", "more than an hour after the event was recorded"))
    if raw.time < EARLIEST:
        problems.append(Problem("time", "misdated", f"before {EARLIEST.year}"))
    return problems


def _check_value(shape: Shape, raw: RawEvent, problems: list[Problem]) -> Any:
    """Check data, or the right to have none, and that the key is the one its data asks for."""
    if raw.value is None:
        if not shape.is_state:
            problems.append(Problem("", "tombstone", "there is no data, and only a state may be retracted"))
        if not raw.key:
            problems.append(Problem("partitionkey", "key", "a tombstone needs the key that it removes"))
        return None
    if not raw.key:
        problems.append(Problem("partitionkey", "key", "the record has no key"))
    data, found = shape.check(raw.value, Circumstances(raw.time, raw.recorded_at, raw.subject, raw.id))
    if found:
        problems.extend(found)
    elif raw.key and raw.key != shape.key_of(data):
        joined = "|".join(shape.key)
        problems.append(Problem("partitionkey", "key", f"expected the key made from {joined}"))
    return data


def _leak_problems(shape: Shape, raw: RawEvent, data: Any) -> list[Problem]:
    """Find a personal value in the envelope, which every log and every reader's tools may show."""
    texts = shape.personal_texts(data)
    everything = f"{raw.subject} {raw.key} {raw.correlation_id} {raw.causation_id}"
    if not any(text in everything for text in texts):
        return []
    envelope = {
        "subject": raw.subject,
        "partitionkey": raw.key,
        "correlationid": raw.correlation_id,
        "causationid": raw.causation_id,
    }
    return [
        Problem(name, "personal", "holds a personal value of the data; use a keyed hash")
        for name, held in envelope.items()
        if held and any(held == text or (len(text) >= SHORTEST_LEAK and text in held) for text in texts)
    ]


def _iter_at(data: Any, steps: Sequence[str], path: str) -> Iterator[tuple[str, Any]]:
    if not steps:
        if data is not None:
            yield path, data
    elif steps[0] == "*":
        for position, child in enumerate(data if isinstance(data, list) else ()):
            yield from _iter_at(child, steps[1:], f"{path}/{position}")
    elif isinstance(data, dict) and steps[0] in data:
        yield from _iter_at(data[steps[0]], steps[1:], f"{path}/{steps[0]}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
