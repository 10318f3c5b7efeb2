"""What a registry keeps: each frozen version under its subject, its number and its GUID (hop 3)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from lienthong import names
from lienthong.contracts.frozen import INDEX, SCHEMAS, Frozen, place, read_frozen
from lienthong.contracts.load import not_sound
from lienthong.errors import ContractsNotSound
from lienthong.logs import get_log

PROTECTED: Final = ("personal", "sensitive")
"""Classifications whose fields the registry names. Not as `tags`: clients before 2.16.1 cannot hash them."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Registered:
    """One frozen version as a registry tells it."""

    subject: str
    number: int
    """1 for the first version of a topic, then one more each: registries know no `1.2.0`."""
    id: int
    guid: str
    text: str
    """The frozen file, byte for byte."""
    schema: Mapping[str, Any]
    properties: Mapping[str, str]


class Book:
    """Every frozen version, by subject, number and GUID."""

    def __init__(self, registered: Iterable[Registered] = ()) -> None:
        self.subjects: dict[str, list[Registered]] = {}
        self.by_id: dict[int, Registered] = {}
        self.by_guid: dict[str, Registered] = {}
        for one in registered:
            self.subjects.setdefault(one.subject, []).append(one)
            self.by_id[one.id] = one
            self.by_guid[one.guid] = one

    @classmethod
    def load(cls, root: Path) -> "Book":
        """Read the frozen schemas below a root.

        Raises:
            ContractsNotSound: where a file is not as it was frozen, or two versions share a number.
        """
        frozen, _, findings = read_frozen(root)
        if findings:
            raise not_sound(findings)
        if not frozen:
            raise ContractsNotSound(
                reason=f"{root / SCHEMAS} holds no frozen schema.",
                remedy="Run `lienthong release` in the city's repository.",
            )
        return cls(_register(root, frozen))

    def __iter__(self) -> Iterator[Registered]:
        """Give every version, subject by subject."""
        for subject in sorted(self.subjects):
            yield from self.subjects[subject]


class Shelf:
    """The newest sound book: looked for again when a release has replaced the index."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stamp = _stamp(root)
        self._book = Book.load(root)
        self.state = "ok"

    def book(self) -> Book:
        """Give the book; where what is on the disk is not sound any more, the last one that was."""
        stamp = _stamp(self._root)
        # `release` writes the index last and whole: a new one means that all it names is there.
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._book = Book.load(self._root)
                self.state = "ok"
            except (ContractsNotSound, OSError) as error:
                self.state = "the schemas on the disk are not sound: what was read before is served"
                get_log().error("schemas_not_sound", error=error)
        return self._book


def _stamp(root: Path) -> Stamp | None:
    try:
        found = (root / SCHEMAS / INDEX).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _register(root: Path, frozen: Iterable[Frozen]) -> Iterator[Registered]:
    """Number the versions of each topic in their own order: a release only ever adds a later one."""
    counts: dict[names.Topic, int] = {}
    for one in sorted(frozen, key=lambda one: (one.topic, tuple(map(int, one.version.split("."))))):
        counts[one.topic] = counts.get(one.topic, 0) + 1
        raw = (root / SCHEMAS / place(one.topic, one.version)).read_bytes()
        uri = names.schema_uri(one.department, one.event, one.version)
        yield Registered(
            subject=names.subject(str(one.topic)),
            number=counts[one.topic],
            id=names.schema_id(uri),
            guid=str(names.schema_guid(uri)),
            text=raw.decode(),
            schema=orjson.loads(raw),
            properties=_properties(one, uri),
        )


def _properties(one: Frozen, uri: str) -> dict[str, str]:
    schema = one.schema
    protected: dict[str, list[str]] = {level: [] for level in PROTECTED}
    for path, level in _iter_protected(schema, "$"):
        protected[level].append(path)
    return {level: ",".join(paths) for level, paths in protected.items() if paths} | {
        "classification": str(schema.get("x-classification", "")),
        "dataschema": uri,
        "department": one.department,
        "key": "|".join(schema.get("x-key", ())),
        "kind": "state" if schema.get("x-state") else "event",
        "topic": str(one.topic),
        "version": one.version,
    }


def _iter_protected(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Walk the fields that are personal or sensitive, named as clients of registries name a field."""
    for name, field in schema.get("properties", {}).items():
        where = f"{path}.{name}"
        if (classification := field.get("x-classification")) in PROTECTED:
            yield where, classification
        yield from _iter_protected(field, where)
        yield from _iter_protected(field.get("items", {}), where)
