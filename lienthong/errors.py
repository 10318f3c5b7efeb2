"""What can go wrong, as one small tree; every sentence says what happened to what, why, and what to do.

    LienThongError
    ├── SettingsNotUsable     a setting is missing, misspelt or contradicts another
    ├── ContractsNotSound     contracts, frozen schemas or grants break the rules
    ├── BusNotUsable          the embedded bus or the cluster cannot be started, reached or changed
    ├── Refused               the gate, or the publisher's own check, said no: surely not written
    │   └── NotValid          … because the event has problems (all of them are listed)
    ├── SpoolFull             a publisher's spool has no room (retriable): surely not written
    ├── SpoolNotUsable        … or its file cannot be read or written
    ├── Undelivered           the broker did not confirm (retriable): the outcome is unknown
    ├── Unreadable            a record is not an event we know
    │   └── UnknownVersion    … yet: its schema version was frozen after ours (retriable)
    ├── NotStrict             bytes are not JSON that every reader understands alike
    └── NotHandled            a handler cannot use an event, for a reason in the domain's words
        └── NotYet            … but may later (retriable)

No error carries a data value: identifiers of events, paths, rules and codes only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


class LienThongError(Exception):
    """The root. Built from keyword fields, so that it survives pickling and can be logged as fields."""

    code: ClassVar[str] = "error"
    retriable: ClassVar[bool] = False
    remedy: ClassVar[str] = ""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self.fields = fields

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.fields))

    def __str__(self) -> str:
        sentences = (_finished(self.what()), _finished(str(self.fields.get("remedy", self.remedy))))
        return " ".join(sentence for sentence in sentences if sentence)

    def what(self) -> str:
        """Say what happened and why, without the remedy; subclasses use their own fields."""
        return str(self.fields.get("reason", self.code))


def _finished(sentence: str) -> str:
    return sentence if not sentence or sentence.endswith((".", "!", "?", ":", "…")) else f"{sentence}."


def _rebuild(cls: type[LienThongError], fields: dict[str, Any]) -> LienThongError:
    return cls(**fields)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where: a JSON pointer into the data, or an envelope attribute.

    `message` says what was expected and never repeats the value that was found.
    """

    path: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.message}"

    def as_json(self) -> dict[str, str]:
        return {"path": self.path, "rule": self.rule, "message": self.message}


def listed(problems: Sequence[Problem], most: int = 20) -> str:
    """Join problems into one readable clause, the first `most` of them."""
    shown = "; ".join(str(problem) for problem in problems[:most])
    return shown if len(problems) <= most else f"{shown}; and {len(problems) - most} more"


class SettingsNotUsable(LienThongError):
    """Fields: `reason`, `remedy`."""

    code = "settings-not-usable"


class ContractsNotSound(LienThongError):
    """Fields: `reason`, `remedy`."""

    code = "contracts-not-sound"


class BusNotUsable(LienThongError):
    """Fields: `reason`, `remedy`."""

    code = "bus-not-usable"


class Refused(LienThongError):
    """The fact was surely not written. Fields: `topic`, `event_id`, `reason` and/or `problems`."""

    code = "refused"
    remedy = "Correct the record at its source and publish it again."

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self.fields.get("problems", ()))

    def what(self) -> str:
        event = " ".join(str(self.fields[k]) for k in ("topic", "event_id") if self.fields.get(k))
        why = self.fields.get("reason") or listed(self.problems)
        return _finished(f"{event or 'The event'} was refused: {why}")


class NotValid(Refused):
    """Fields: `topic`, `event_id`, `schema_version`, `problems`."""

    code = "not-valid"

    def what(self) -> str:
        event = " ".join(str(self.fields[k]) for k in ("topic", "event_id") if self.fields.get(k))
        count = len(self.problems)
        return (
            f"{event or 'The event'} was refused, {count} problem{'s' if count != 1 else ''} against schema "
            f"{self.fields.get('schema_version') or '(unknown)'}: {listed(self.problems)}."
        )


class SpoolFull(LienThongError):
    """There is no room for a fact: surely not written, and welcome again later. Fields: `reason`."""

    code = "spool-full"
    retriable = True
    remedy = "Nothing of it was written: make room, or let the bus be reached, and hand it in again."


class SpoolNotUsable(LienThongError):
    """The file of a spool is spoilt, out of reach or another's. Fields: `reason`, `remedy`."""

    code = "spool-not-usable"


class Undelivered(LienThongError):
    """The broker did not confirm in time. Fields: `topic`, `event_id`, `reason`."""

    code = "undelivered"
    retriable = True
    remedy = "The outbox keeps the event and sends it again by itself."


class Unreadable(LienThongError):
    """Fields: `topic`, `partition`, `offset`, `reason`, `problems` (optional)."""

    code = "unreadable"
    remedy = "Tell the owner of the topic; the record stays in the dead-letter topic."

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self.fields.get("problems", ()))

    def what(self) -> str:
        where = f"{self.fields.get('topic')}[{self.fields.get('partition')}]@{self.fields.get('offset')}"
        why = self.fields.get("reason") or listed(self.problems)
        return _finished(f"The record {where} is not an event we can read: {why}")


class UnknownVersion(Unreadable):
    """The record names a schema version that this process does not hold. Fields: as Unreadable's."""

    code = "unknown-version"
    retriable = True
    remedy = "Bring the schemas folder up to date and restart; the record is tried again until then."


class NotStrict(LienThongError):
    """Fields: `problems`."""

    code = "not-strict"
    remedy = "Write plain UTF-8 JSON: no repeated names, no number beyond 64 bits, at most 32 levels."

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(self.fields.get("problems", ()))

    def what(self) -> str:
        return f"The bytes are not sound JSON: {listed(self.problems)}."


class NotHandled(LienThongError):
    """Raised by a handler that cannot use an event. Fields: `reason` (no data values)."""

    code = "not-handled"
    remedy = "Correct the cause and send the dead letter again."


class NotYet(NotHandled):
    """Raised by a handler whose precondition may come later; tried again with back-off."""

    code = "not-yet"
    retriable = True
