"""Hand a file's lines in, through the gate into the spool: the good ones, or all or none (hops 1 to 3)."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Final

from lienthong import strict_json
from lienthong.errors import Problem, SpoolFull, SpoolNotUsable
from lienthong.lines import Form, Line, Lines, find_form, iter_csv, iter_json
from lienthong.moments import find_timestamp
from lienthong.publisher import LOOK_SECONDS, Judged, Publisher
from lienthong.spool_file import Telling

Readable = BinaryIO | FileIO

AT_ONCE: Final = 500
"""Facts written in one transaction, unless the next line is not there yet."""

RETRACTED: Final = "retracted"
"""A line that holds this alone takes the state of its key back."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A line that did not become a fact, and everything that is wrong with it."""

    line: int
    problems: tuple[Problem, ...]

    def as_json(self) -> dict[str, Any]:
        return {"line": self.line, "problems": [problem.as_json() for problem in self.problems]}


@dataclass(slots=True)
class Account:
    """What became of a file's lines; each is counted once."""

    lines: int = 0
    taken: int = 0
    told_before: int = 0
    """The same content was handed in before, or stands in the file twice."""
    refused: int = 0
    stopped: SpoolFull | SpoolNotUsable | None = None
    """Why not all lines were taken; those that were are in the spool."""


class HandIn:
    """One file on its way into the spool.

    Args:
        publisher: Whose spool.
        topic: What the lines are facts of.
        schema: The topic's newest, frozen: it says what the cells of a spreadsheet are.
        form: How the file is written; else its first character says.
        happened_at: The field that says when a fact happened: an instant, or a day.
        tell: Hears of each bad line, as soon as it is found.
        patience: How many seconds a full spool is waited for while nothing leaves it.
    """

    def __init__(
        self,
        publisher: Publisher,
        topic: str,
        schema: Mapping[str, Any],
        *,
        form: Form | None = None,
        happened_at: str | None = None,
        tell: Callable[[Bad], None] = lambda _: None,
        patience: float = 0.0,
    ) -> None:
        self.account = Account()
        self._publisher = publisher
        self._topic = topic
        self._schema = schema
        self._form = form
        self._happened_at = happened_at.split(".") if happened_at else None
        self._tell = tell
        self._patience = patience

    def take_good(self, file: Readable, moved: Callable[[int], None]) -> Account:
        """Hand every good line in; a bad one holds nobody up. What is counted as taken is on the disk."""
        reading = Lines(_reader(file))
        waiting: list[Judged] = []
        try:
            for line in self._iter_lines(reading):
                if (judged := self._look_at(line)) is not None:
                    waiting.append(judged)
                if len(waiting) >= AT_ONCE or reading.rests:
                    self._write(waiting)
                    waiting.clear()
                    moved(reading.bytes_read)
            self._write(waiting)
        except (SpoolFull, SpoolNotUsable) as error:
            self.account.stopped = error
        return self.account

    def take_all(self, file: Readable, moved: Callable[[int], None]) -> Account:
        """Hand all lines in, in one transaction, or none where one is bad; the file is read twice.

        Raises:
            Refused: the file was changed between the two readings; nothing of it was taken.
        """
        notices: list[Judged] = []
        reading = Lines(_reader(file))
        for line in self._iter_lines(reading):
            judged = self._look_at(line)
            if judged is not None and judged.refusal is not None:
                notices.append(judged)
            moved(reading.bytes_read // 2)
        try:
            if self.account.refused:
                self._publisher.hand_in(notices)
            else:
                file.seek(0)
                self._count(self._publisher.spool.put(self._iter_sound(Lines(_reader(file)))))
        except (SpoolFull, SpoolNotUsable) as error:
            self.account.stopped = error
        return self.account

    def _iter_sound(self, reading: Lines) -> Iterator[Telling]:
        for line in self._iter_lines(reading):
            judged = self._judge(line)
            if judged.refusal is not None:
                raise judged.refusal
            yield judged.telling

    def _look_at(self, line: Line) -> Judged | None:
        """Judge a line and tell what is wrong with it; None where there is nothing even to notice."""
        self.account.lines += 1
        judged = None if line.data is None else self._judge(line)
        refusal = judged.refusal if judged is not None else None
        if judged is None or refusal is not None:
            self.account.refused += 1
            problems = tuple(refusal.problems if refusal is not None else line.problems)
            self._tell(Bad(line.number, problems or (Problem("", "refused", str(refusal)),)))
        return judged

    def _judge(self, line: Line) -> Judged:
        data = line.data or {}
        if data.keys() == {RETRACTED} and isinstance(data[RETRACTED], str):
            return self._publisher.judge_tombstone(self._topic, data[RETRACTED], once=True)
        return self._publisher.judge(self._topic, data, happened_at=self._moment(data), once=True)

    def _moment(self, data: Any) -> datetime | None:
        """Read when it happened; what is neither instant nor day the gate is about to refuse."""
        if self._happened_at is None:
            return None
        for name in self._happened_at:
            data = data.get(name) if isinstance(data, dict) else None
        text = data if isinstance(data, str) else ""
        return find_timestamp(text) or find_timestamp(f"{text}T00:00:00+07:00")

    def _write(self, waiting: list[Judged]) -> None:
        """Write what waits, in smaller pieces where the spool is nearly full: a file may be larger."""
        if not waiting:
            return
        try:
            new = self._publisher.hand_in(waiting)
        except SpoolFull:
            if len(waiting) > 1:
                half = len(waiting) // 2
                self._write(waiting[:half])
                self._write(waiting[half:])
                return
            new = self._hand_in_later(waiting)
        self._count([is_new for one, is_new in zip(waiting, new, strict=True) if one.refusal is None])

    def _hand_in_later(self, waiting: list[Judged]) -> list[bool]:
        """Wait until the relay has made room, as long as something leaves the spool."""
        spool, left, until = self._publisher.spool, -1, 0.0
        while True:
            if (records := spool.measure().records) != left:
                left, until = records, time.monotonic() + self._patience
            try:
                return self._publisher.hand_in(waiting)
            except SpoolFull:
                if time.monotonic() >= until:
                    raise
            time.sleep(LOOK_SECONDS)

    def _count(self, new: Sequence[bool]) -> None:
        self.account.taken += sum(new)
        self.account.told_before += len(new) - sum(new)

    def _iter_lines(self, reading: Lines) -> Iterator[Line]:
        lines = iter(reading)
        form = self._form
        if form is None:
            form, lines = find_form(lines)
        return iter_json(lines) if form == "jsonl" else iter_csv(lines, self._topic, self._schema)


def _reader(file: Readable) -> Callable[[int], bytes]:
    """Read what is there, without waiting for more than that."""
    read: Callable[[int], bytes] = getattr(file, "read1", file.read)
    return read


def load_schema(topic: str, version: str, schemas: Path) -> dict[str, Any]:
    """Load the frozen schema of a topic's version."""
    department, event, _ = topic.split(".")
    found: dict[str, Any] = strict_json.loads((schemas / department / event / f"{version}.json").read_bytes())
    return found
