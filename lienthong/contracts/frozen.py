"""The frozen schemas in `schemas/`: written once, never changed, fingerprints in the index (hop 3)."""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from lienthong import names
from lienthong.contracts.document import Finding
from lienthong.errors import ContractsNotSound

SCHEMAS: Final = "schemas"
INDEX: Final = "index.json"
ENDS: Final = "ends.json"
"""Beside the frozen files: the last days that were announced."""
_BESIDE: Final = (INDEX, ENDS, "promises.json")
"""What `release` keeps in the folder beside the frozen files, and writes anew."""
_VERSION: Final = re.compile(r"(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})")
_PLACE: Final = re.compile(r"([a-z]+)/([a-z]+(?:-[a-z]+)*)/(" + _VERSION.pattern + r")\.json")
_RESTORE: Final = (
    "Restore it from version control; a change of shape is made in the contract, then `lienthong release`."
)


@dataclass(frozen=True, slots=True)
class Frozen:
    """One schema version as it was frozen."""

    department: str
    event: str
    version: str
    schema: Mapping[str, Any]

    @property
    def topic(self) -> names.Topic:
        return names.Topic(self.department, self.event, int(self.version.split(".")[0]))


def place(topic: names.Topic, version: str) -> str:
    """Name a frozen file within `schemas/`: `health/birth-notified/1.0.0.json`."""
    return f"{topic.department}/{topic.event}/{version}.json"


def fingerprint(raw: bytes) -> str:
    """Give the SHA-256 of a frozen file, as the index holds it."""
    return hashlib.sha256(raw).hexdigest()


def newest(frozen: list[Frozen], topic: names.Topic) -> Frozen | None:
    """Find the newest frozen version of a topic's major; None where there is none."""
    of_topic = [one for one in frozen if one.topic == topic]
    return max(of_topic, key=lambda one: tuple(map(int, one.version.split("."))), default=None)


def read_frozen(root: Path) -> tuple[list[Frozen], dict[str, str], list[Finding]]:
    """Read every frozen schema and the index; list each file that is not as it was when frozen."""
    top = root / SCHEMAS
    index, findings = _read_index(root)
    frozen: list[Frozen] = []
    found: set[str] = set()
    for path in _iter_files(top):
        where = path.relative_to(top).as_posix()
        match = _PLACE.fullmatch(where)
        if match is None or path.is_symlink():
            remedy = "Move it away; `lienthong release` writes this folder, nobody else."
            findings.append(
                _finding(where, "frozen-stray", "does not belong among the frozen schemas.", remedy)
            )
            continue
        found.add(where)
        one, wrong = _read_one(path, match, index)
        findings.extend(wrong)
        if one is not None:
            frozen.append(one)
    for where in sorted(index.keys() - found):
        message = "is in the index and not there: a frozen schema is never deleted."
        findings.append(_finding(where, "frozen-missing", message, "Restore it from version control."))
    return frozen, index, [*findings, *_shared_numbers(frozen)]


def write_frozen(root: Path, added: Mapping[str, bytes], index: Mapping[str, str]) -> list[Path]:
    """Write new frozen files, none over another, then the index that knows them; all of it or nothing."""
    top = root / SCHEMAS
    written: list[Path] = []
    whole = dict(index) | {where: fingerprint(raw) for where, raw in added.items()}
    try:
        for where, raw in sorted(added.items()):
            path = top / where
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as opened:  # never over an existing one, whoever wrote it meanwhile
                written.append(path)
                opened.write(raw)
        if replace_file(top / INDEX, index_bytes(whole)):
            written.append(top / INDEX)
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


@contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """Hold the folder of frozen schemas for one release.

    Raises:
        ContractsNotSound: while another one holds it.
    """
    top = root / SCHEMAS
    try:
        top.mkdir(parents=True, exist_ok=True)
        lock = os.open(top, os.O_RDONLY)
    except OSError as error:
        raise not_written(error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ContractsNotSound(
            reason="Another release is at work in this folder, and nothing was written.",
            remedy="Wait until it is done, then run `lienthong release` again.",
        ) from None
    finally:
        os.close(lock)  # and with it the lock


def not_written(error: OSError) -> ContractsNotSound:
    """Say which file could not be written."""
    return ContractsNotSound(
        reason=f"{error.filename} cannot be written: {error.strerror}.",
        remedy="Make room and rights for it, then run `lienthong release` again.",
    )


def index_bytes(index: Mapping[str, str]) -> bytes:
    """Write the index: one line a frozen file, sorted."""
    return orjson.dumps(
        dict(index), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )


def replace_file(path: Path, raw: bytes) -> bool:
    """Put content in place whole or not at all; False where it was there already."""
    if path.exists() and path.read_bytes() == raw:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(raw)
    beside.replace(path)  # atomic: a reader sees the old file or the new one
    return True


def _iter_files(top: Path) -> Iterator[Path]:
    for path in sorted(top.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(top).parts)
        beside = path.parent == top and path.name in _BESIDE
        if not hidden and not beside and (path.is_symlink() or not path.is_dir()):
            yield path


def _read_index(root: Path) -> tuple[dict[str, str], list[Finding]]:
    path = root / SCHEMAS / INDEX
    if not path.exists():
        return {}, []
    try:
        index = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        index = None
    if not isinstance(index, dict) or not all(isinstance(value, str) for value in index.values()):
        return {}, [_finding(INDEX, "frozen-index", "is not the index `release` wrote.", "Restore it.")]
    return index, []


def _read_one(
    path: Path, match: re.Match[str], index: Mapping[str, str]
) -> tuple[Frozen | None, list[Finding]]:
    raw = path.read_bytes()
    where = match[0]
    findings = []
    if where not in index:
        message = "is not in the index: it was not written by `lienthong release`."
        findings.append(_finding(where, "frozen-unknown", message, "Delete it and run `lienthong release`."))
    elif index[where] != fingerprint(raw):
        message = "was changed after it was frozen; events already published name this version."
        findings.append(_finding(where, "frozen-changed", message, _RESTORE))
    try:
        schema = orjson.loads(raw)
    except orjson.JSONDecodeError:
        schema = None
    if not isinstance(schema, dict):
        return None, findings or [_finding(where, "frozen-changed", "is not JSON.", _RESTORE)]
    return Frozen(match[1], match[2], match[3], schema), findings


def _shared_numbers(frozen: list[Frozen]) -> Iterator[Finding]:
    """Find versions whose registry numbers are one: they are computed, and two names in 2³¹ may meet."""
    first: dict[int, Frozen] = {}
    for one in frozen:
        number = names.schema_id(names.schema_uri(one.department, one.event, one.version))
        if (other := first.setdefault(number, one)) is not one:
            message = f"has the same number in the registry as {place(other.topic, other.version)}: {number}."
            remedy = (
                "Before anybody reads the newer of the two, remove it and its line in the index, and give "
                "its event another name or its change a new major."
            )
            yield _finding(place(one.topic, one.version), "frozen-number", message, remedy)


def _finding(where: str, rule: str, message: str, remedy: str) -> Finding:
    return Finding(Path(SCHEMAS) / where, 1, rule, message, remedy)
