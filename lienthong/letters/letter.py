"""One dead letter: which record it is, why it was set aside, and the record itself, byte for byte (hop 7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import orjson

from lienthong import names
from lienthong.dead_letters import NO_KEY, PREFIX, Record
from lienthong.event import is_uuid
from lienthong.inbox import Identity
from lienthong.lane import take_up

CONFLICT: Final = "id-conflict"
"""Set aside because its id belongs to another content, which may well have been handled."""

_TOLD: Final = (
    "topic",
    "partition",
    "offset",
    "timestamp_ms",
    "code",
    "reason",
    "attempts",
    "first_at",
    "last_at",
)


class Place(NamedTuple):
    """Where a record stands that was set aside."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def identity(self) -> Identity:
        """Give the name under which the inbox marks what is known by its place only."""
        return (f"kafka:{self.topic}", f"{self.partition}/{self.offset}")


@dataclass(frozen=True, slots=True)
class Letter:
    """What is known of a letter without its data."""

    group: str
    place: Place
    identity: Identity
    order_key: bytes
    """A digest of the key that it keeps its order in."""
    event_id: str | None
    """The event's id, if that is an id as ours are: a stranger's may be anything."""
    event_type: str | None
    """Its type, if that is its topic's."""
    code: str
    reason: str
    problems: Sequence[dict[str, str]]
    attempts: int
    first_at: datetime
    last_at: datetime
    library: str
    size: int | None
    """Bytes of its value; None where it has none."""
    at: int | None
    """Its offset on the dead-letter topic; None while it is on its way there."""


def digest(key: bytes) -> bytes:
    """Shorten a key: a stranger's may be long, and say something."""
    return blake2b(key, digest_size=16).digest()


def read_letter(group: str, carried: Record, at: int | None) -> tuple[Letter, Record] | None:
    """Read a dead letter; None where it is none of ours.

    Args:
        group: The group whose letters are read.
        carried: The record of the dead-letter topic.
        at: Its offset there, once it is there.
    """
    told = {
        name.removeprefix(PREFIX): (value or b"").decode("utf-8", "replace")
        for name, value in carried.headers
        if name.startswith(PREFIX)
    }
    try:
        topic, partition, offset, timestamp_ms, code, reason, attempts, first, last = map(
            told.__getitem__, _TOLD
        )
        place = Place(topic, int(partition), int(offset))
        first_at, last_at = map(datetime.fromisoformat, (first, last))
        original = _original(carried, place, int(timestamp_ms), told)
        count = int(attempts)
    except (KeyError, ValueError):
        return None
    if told.get("group") != group or first_at.tzinfo is None or last_at.tzinfo is None:
        return None
    taken = take_up(original)
    event = taken.event
    letter = Letter(
        group=group,
        place=place,
        identity=place.identity if code == CONFLICT else taken.identity,
        order_key=digest(taken.key),
        event_id=event.id if event is not None and is_uuid(event.id) else None,
        event_type=event.type if event is not None and event.type == _type_of(topic) else None,
        code=code,
        reason=reason,
        problems=_problems(told.get("problems")),
        attempts=count,
        first_at=first_at,
        last_at=last_at,
        library=told.get("library", ""),
        size=len(original.value) if original.value is not None else None,
        at=at,
    )
    return letter, original


def _type_of(topic: str) -> str | None:
    known = names.find_topic(topic)
    return known.type if known is not None else None


def _original(carried: Record, place: Place, timestamp_ms: int, told: dict[str, str]) -> Record:
    """Give the record as it was read: its bytes and headers without ours."""
    headers = [(name, value) for name, value in carried.headers if not name.startswith(PREFIX)]
    key = None if told.get("key") == NO_KEY else carried.key
    return Record(*place, timestamp_ms, key, carried.value, headers)


def _problems(text: str | None) -> list[dict[str, str]]:
    try:
        found: Any = orjson.loads(text) if text else []
    except orjson.JSONDecodeError:
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
