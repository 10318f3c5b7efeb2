"""Read one YAML file of people's writing, suspiciously: no surprises, every value with its line (hop 3)."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

MOST_BYTES: Final = 256 * 1024
MOST_DEPTH: Final = 32
MOST_INTEGER: Final = 2**53 - 1
"""Beyond it, readers whose numbers are doubles would see another number."""

# The core schema of YAML 1.2: `no`, `on` and dates are strings. No octal, no hexadecimal: surprises.
_NULL: Final = re.compile(r"~|null|Null|NULL|")
_BOOLEAN: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")
_NUMBER_LIKE: Final = re.compile(
    r"[-+]?0[0-9]+(?:\.[0-9]*)?|0[xo][0-9a-fA-F]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
# What cannot be seen, line breaks and tabs apart: C0, DEL, C1, zero-width, bidi, line separators, BOM.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)

At = tuple[str | int, ...]
"""A place in a document: keys and list positions from the top."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong with a file, where, and what to do; `file` is relative to the root folder."""

    file: Path
    line: int
    rule: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file.as_posix()}:{self.line}: {self.message} {self.remedy} [{self.rule}]"

    def as_json(self) -> dict[str, Any]:
        return {
            "file": self.file.as_posix(),
            "line": self.line,
            "rule": self.rule,
            "message": self.message,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class Document:
    """A file's content, and the line of every key and list item in it."""

    path: Path
    file: Path
    data: Any
    lines: Mapping[At, int]

    def line(self, *at: str | int) -> int:
        """Give the line of a place, or of the nearest place around it that is there."""
        for end in range(len(at), 0, -1):
            if at[:end] in self.lines:
                return self.lines[at[:end]]
        return 1

    def finding(self, at: At, rule: str, message: str, remedy: str) -> Finding:
        """Say what is wrong at a place of this document."""
        return Finding(self.file, self.line(*at), rule, message, remedy)


class _Unfit(Exception):
    """Reading cannot go on after this finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


def read_document(path: Path, root: Path) -> tuple[Document | None, list[Finding]]:
    """Read one file; the document is None where its YAML cannot be read, and everything found is listed."""
    file = path.relative_to(root)
    try:
        text, findings = _read_text(path, file)
    except _Unfit as unfit:
        return None, [unfit.finding]
    reading = _Reading(file)
    try:
        data = reading.read(text)
    except _Unfit as unfit:
        return None, [*findings, *reading.findings, unfit.finding]
    except yaml.YAMLError as error:
        # A tab or a control character is the cause of most syntax errors: saying both would hide the cause.
        return None, [*findings, *reading.findings] or [_syntax(file, error)]
    return Document(path, file, data, reading.lines), [*findings, *reading.findings]


def _read_text(path: Path, file: Path) -> tuple[str, list[Finding]]:
    try:
        with path.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise _Unfit(
            Finding(
                file, 1, "file", f"cannot be read: {error.strerror}.", "Give this user the right to read it."
            )
        ) from None
    if len(raw) > MOST_BYTES:
        raise _Unfit(
            Finding(
                file, 1, "file-size", "is larger than 256 KiB.", "Split it: one dataset a file, few examples."
            )
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _Unfit(Finding(file, line, "utf-8", "is not UTF-8 here.", "Save the file as UTF-8.")) from None
    return text, list(_text_findings(text, file))


def _text_findings(text: str, file: Path) -> Iterator[Finding]:
    for number, line in enumerate(text.split("\n"), start=1):
        if "\t" in line:
            yield Finding(file, number, "tab", "holds a tab.", "Use spaces; most editors can convert them.")
        if unseen := _UNSEEN.search(line):
            what = f"holds the invisible character U+{ord(unseen[0]):04X}."
            yield Finding(file, number, "invisible-character", what, "Delete it.")
        if not unicodedata.is_normalized("NFC", line):
            remedy = (
                "Type it again with a Vietnamese keyboard set to precomposed Unicode, or normalise the file."
            )
            yield Finding(file, number, "nfc", "is not in Unicode form NFC.", remedy)


def _syntax(file: Path, error: yaml.YAMLError) -> Finding:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be understood"
    line = mark.line + 1 if mark is not None else 1
    return Finding(
        file, line, "yaml", f"is not YAML 1.2: {reason}.", "Correct the indentation, colon or quote here."
    )


class _Reading:
    """One pass over a file's YAML events; keeps lines and findings."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: dict[At, int] = {}
        self.findings: list[Finding] = []

    def read(self, text: str) -> Any:
        events = yaml.parse(text, Loader=yaml.CSafeLoader)
        data: Any = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                self._refuse_directives(event, documents)
            elif isinstance(event, (ScalarEvent, MappingStartEvent, SequenceStartEvent, AliasEvent)):
                data = self._node(event, events, ())
        return data

    def _refuse_directives(self, event: DocumentStartEvent, documents: int) -> None:
        if documents > 1:
            raise _Unfit(
                self._found(event, "yaml-documents", "starts a second document.", "One document a file.")
            )
        if event.version is not None or event.tags:
            self.findings.append(
                self._found(event, "yaml-directive", "has a YAML directive.", "Delete the % line.")
            )

    def _found(self, event: Event, rule: str, message: str, remedy: str) -> Finding:
        return Finding(self.file, event.start_mark.line + 1, rule, message, remedy)

    def _node(self, event: Event, events: Iterator[Event], at: At) -> Any:
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            # Aliases are how a small file becomes a giant one; a contract is read by people, top to bottom.
            remedy = "Write the values out where they are used."
            raise _Unfit(self._found(event, "yaml-anchor", "uses an anchor or alias (& or *).", remedy))
        if getattr(event, "tag", None):
            self.findings.append(self._found(event, "yaml-tag", "uses a tag (!).", "Write the plain value."))
        if len(at) >= MOST_DEPTH:
            raise _Unfit(
                self._found(event, "yaml-depth", f"is nested deeper than {MOST_DEPTH}.", "Flatten it.")
            )
        if isinstance(event, MappingStartEvent):
            return self._mapping(events, at)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(events, at)
        return self._scalar(event) if isinstance(event, ScalarEvent) else None

    def _mapping(self, events: Iterator[Event], at: At) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            key = self._key(event, events, at)
            where = (*at, key)
            if key in mapping:
                message = f"repeats the key `{key}`, first written on line {self.lines[where]}."
                self.findings.append(
                    self._found(event, "yaml-duplicate-key", message, "Keep one of the two.")
                )
                self._node(next(events), events, (*at, f"{key} again"))
                continue
            self.lines[where] = event.start_mark.line + 1
            mapping[key] = self._node(next(events), events, where)
        return mapping

    def _key(self, event: Event, events: Iterator[Event], at: At) -> str:
        if not isinstance(event, ScalarEvent):
            self._node(event, events, (*at, "?"))
            raise _Unfit(
                self._found(event, "yaml-key", "uses a list or mapping as a key.", "Use a plain word.")
            )
        if event.anchor or event.tag:
            raise _Unfit(
                self._found(event, "yaml-key", "has an anchor or tag on a key.", "Use a plain word.")
            )
        return str(event.value)

    def _sequence(self, events: Iterator[Event], at: At) -> list[Any]:
        items: list[Any] = []
        for event in events:
            if isinstance(event, SequenceEndEvent):
                break
            where = (*at, len(items))
            self.lines[where] = event.start_mark.line + 1
            items.append(self._node(event, events, where))
        return items

    def _scalar(self, event: ScalarEvent) -> Any:
        value = str(event.value)
        if not event.implicit[0]:
            return value
        if _NULL.fullmatch(value):
            return None
        if value in _BOOLEAN:
            return _BOOLEAN[value]
        if _INTEGER.fullmatch(value):
            return self._integer(event, value)
        if _FLOAT.fullmatch(value):
            return float(value)
        if _NUMBER_LIKE.fullmatch(value):
            message = f"`{value}` could be read as a number or as text."
            remedy = "Put it in quotes if it is a code; else write a plain decimal number."
            self.findings.append(self._found(event, "yaml-number", message, remedy))
        return value

    def _integer(self, event: ScalarEvent, value: str) -> int:
        # Length first: turning a very long run of digits into a number is itself slow.
        if len(value) > len(str(MOST_INTEGER)) + 1 or abs(int(value)) > MOST_INTEGER:
            message = f"is an integer beyond {MOST_INTEGER}."
            self.findings.append(
                self._found(event, "yaml-number", message, "Put it in quotes if it is a code.")
            )
            return 0
        return int(value)
