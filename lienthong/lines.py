"""Facts as the lines of a file: JSON Lines, or a spreadsheet's CSV read by its contract (hop 1)."""

import csv
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from lienthong import strict_json
from lienthong.errors import NotStrict, NotValid, Problem

Form = Literal["jsonl", "csv"]

CHUNK: Final = 65_536
LONGEST: Final = 1_048_576
"""Greatest length of a line, bytes; of a longer one nothing is read."""

_MARK: Final = b"\xef\xbb\xbf"
_SEPARATORS: Final = ("\t", ";", ",")
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_DECIMAL_COMMA: Final = re.compile(r"-?[0-9]{1,15}(?:,[0-9]{1,15})?")
"""Where the list separator is a semicolon, the decimal sign is a comma."""
_TRUTH: Final = {"true": True, "false": False, "có": True, "không": False}


@dataclass(frozen=True, slots=True)
class Line:
    """One record of a file and the line where it begins; `data` is None where it cannot be read."""

    number: int
    data: dict[str, Any] | None
    problems: Sequence[Problem] = ()


class Lines:
    """The lines of a file or a pipe, as they come.

    `rests` is true where the next line may not be there yet: what was read so far should not wait for it.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.rests = False
        self.bytes_read = 0
        self._read = read

    def __iter__(self) -> Iterator[bytes]:
        """Give line by line, without its end; of one that is too long its beginning, so that it is seen."""
        rest = b""
        skipping = False
        while chunk := self._read(CHUNK):
            self.bytes_read += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for place, line in enumerate(lines):
                self.rests = place == len(lines) - 1
                if skipping:
                    skipping = False
                    continue
                yield line.removesuffix(b"\r")
            if len(rest) > LONGEST:
                if not skipping:
                    self.rests = False
                    yield rest
                rest, skipping = b"", True
        self.rests = True
        if rest and not skipping:
            yield rest.removesuffix(b"\r")


def find_form(lines: Iterator[bytes]) -> tuple[Form, Iterator[bytes]]:
    """Tell JSON Lines from CSV by the first character that is no space."""
    seen: list[bytes] = []
    for line in lines:
        seen.append(line)
        if text := line.removeprefix(_MARK).strip():
            return ("jsonl" if text.startswith((b"{", b"[")) else "csv"), _chained(seen, lines)
    return "jsonl", iter(seen)


def _chained(seen: list[bytes], lines: Iterator[bytes]) -> Iterator[bytes]:
    yield from seen
    yield from lines


def iter_json(lines: Iterator[bytes]) -> Iterator[Line]:
    """Read each line as one JSON object; empty lines are passed over."""
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(_MARK) if number == 1 else line
        if not text.strip():
            continue
        if len(text) > LONGEST:
            yield Line(number, None, (_too_long(),))
            continue
        try:
            data = strict_json.loads(text)
        except NotStrict as flaw:
            yield Line(number, None, flaw.problems)
            continue
        if isinstance(data, dict):
            yield Line(number, data)
        else:
            yield Line(number, None, (Problem("", "json", "expected a JSON object"),))


def iter_csv(lines: Iterator[bytes], topic: str, schema: Mapping[str, Any]) -> Iterator[Line]:
    """Read a spreadsheet: its first line names fields, or their Vietnamese labels; empty cells say nothing.

    Cells become what the schema says where they can; where they cannot the gate is about to say so.

    Raises:
        NotValid: the first line names what is no field, one twice, or lacks a required one.
    """
    numbered = _Numbered(lines)
    first = next((text for text in numbered if text.strip() or numbered.flaw), None)
    if first is None:
        return
    if numbered.flaw is not None:
        raise _not_read(topic, schema, [numbered.flaw])
    separator = max(_SEPARATORS, key=first.count)
    columns = _columns(topic, schema, next(csv.reader([first], delimiter=separator)))
    reader = csv.reader(numbered, delimiter=separator, strict=True)
    while True:
        begins = numbered.number + 1
        numbered.flaw = None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            until = f", up to line {numbered.number}" if numbered.number > begins else ""
            yield Line(begins, None, (Problem("", "csv", f"not a record of CSV{until}: {error}"),))
            continue
        if numbered.flaw is not None:
            yield Line(begins, None, (numbered.flaw,))
        elif any(cell.strip() for cell in cells):
            yield _line(begins, cells, columns, decimal_comma=separator == ";")


class _Numbered:
    """Lines as text, counted; one that is no text leaves its flaw."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self.number = 0
        self.flaw: Problem | None = None
        self._lines = lines

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        if self.number == 1:
            line = line.removeprefix(_MARK)
        if len(line) > LONGEST:
            self.flaw = _too_long()
            return ""
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError as wrong:
            self.flaw = Problem("", "encoding", f"not UTF-8 at byte {wrong.start}: save as CSV UTF-8")
            return ""


@dataclass(frozen=True, slots=True)
class _Column:
    """What one column holds: where its cells go in the data, and what the schema says they are."""

    path: tuple[str, ...]
    kind: str

    def read(self, cell: str, *, decimal_comma: bool) -> Any:
        """Read a cell as what it should be; as the text that it is, where it cannot be that."""
        if self.kind == "integer" and _INTEGER.fullmatch(cell):
            return int(cell)
        if self.kind == "number" and (_DECIMAL_COMMA if decimal_comma else _DECIMAL).fullmatch(cell):
            return float(cell.replace(",", "."))
        if self.kind == "boolean":
            return _TRUTH.get(cell.casefold(), cell)
        if self.kind == "array":
            try:
                return strict_json.loads(cell.encode())
            except NotStrict:
                return cell
        return cell


def _columns(topic: str, schema: Mapping[str, Any], names: Sequence[str]) -> list[_Column | None]:
    """Find the field of each column; one without a name counts for nothing.

    Raises:
        NotValid: with every column that is no field or is there twice, and every required one that lacks.
    """
    fields = list(_iter_fields(schema, (), ()))
    known = {_folded(name): column for name, _, column, _ in fields}
    known |= {_folded(label): column for _, label, column, _ in fields if _folded(label) not in known}
    found = [known.get(_folded(name)) for name in names]
    problems = [
        Problem(f"column {place}", "column", "is no field of the contract, by name or by label")
        for place, (name, column) in enumerate(zip(names, found, strict=True), 1)
        if column is None and name.strip()
    ]
    for name, label, column, is_required in fields:
        if (times := found.count(column)) > 1:
            problems.append(Problem(name, "column", f"{times} columns hold it ({label})"))
        elif not times and is_required:
            problems.append(Problem(name, "column", f"no column holds it, and it is required ({label})"))
    if problems:
        raise _not_read(topic, schema, problems)
    return found


def _not_read(topic: str, schema: Mapping[str, Any], problems: Sequence[Problem]) -> NotValid:
    return NotValid(
        topic=topic,
        schema_version=str(schema["$id"]).rpartition(":")[2],
        problems=tuple(problems),
        remedy="Correct the first line of the file; nothing of it was read.",
    )


def _iter_fields(
    schema: Mapping[str, Any], names: tuple[str, ...], labels: tuple[str, ...], *, required: bool = True
) -> Iterator[tuple[str, str, _Column, bool]]:
    """Give name, label, column and whether it is required of each field; inner ones with a full stop."""
    for name, field in schema.get("properties", {}).items():
        path, label = (*names, name), (*labels, field.get("title", name))
        needed = required and name in schema.get("required", ())
        if field.get("type") == "object":
            yield from _iter_fields(field, path, label, required=needed)
        else:
            yield ".".join(path), ".".join(label), _Column(path, field.get("type", "string")), needed


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip().casefold()


def _line(
    number: int, cells: Sequence[str], columns: Sequence[_Column | None], *, decimal_comma: bool
) -> Line:
    surplus = [place for place, cell in enumerate(cells, 1) if place > len(columns) and cell.strip()]
    if surplus:
        message = f"holds something, and the first line names {len(columns)} columns only"
        return Line(number, None, [Problem(f"column {place}", "column", message) for place in surplus])
    data: dict[str, Any] = {}
    for cell, column in zip(cells, columns, strict=False):
        text = cell.strip()
        if column is None or not text:
            continue
        inner = data
        for name in column.path[:-1]:
            inner = inner.setdefault(name, {})
        inner[column.path[-1]] = column.read(text, decimal_comma=decimal_comma)
    return Line(number, data)


def _too_long() -> Problem:
    return Problem("", "size", f"longer than {LONGEST} bytes")
