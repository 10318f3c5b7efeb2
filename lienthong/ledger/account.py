"""What the ledger says: of each topic, of each of its readers, and what does not balance."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

NAMED: Final = 50
"""So many events or keys of a kind are named in the account as JSON."""


class Latency(NamedTuple):
    """A duration over many events, milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(slots=True)
class ReaderAccount:
    """What one granted group made of a topic's facts; ids and keys are listed where something is wrong."""

    handled: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    by_sibling: int = 0
    """Facts dealt with on the other major's topic, while two run side by side."""
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Events handled that no source committed."""
    latency: Latency | None = None
    """From the fact to its effect here."""
    without_letter: list[str] = field(default_factory=list)
    """Events set aside whose dead letter is not on its topic."""
    effects: int | None = None
    """How many effects of this topic the department's own tables hold; None where it does not state them."""
    effects_missing: list[str] = field(default_factory=list)
    effects_doubled: list[str] = field(default_factory=list)
    effects_without_fact: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "handled": self.handled,
            "set_aside": dict(self.set_aside),
            "by_sibling": self.by_sibling,
            "missing": self.missing[:NAMED],
            "unknown": self.unknown[:NAMED],
            "without_letter": self.without_letter[:NAMED],
            "effects": self.effects,
            "effects_missing": self.effects_missing[:NAMED],
            "effects_doubled": self.effects_doubled[:NAMED],
            "effects_without_fact": self.effects_without_fact[:NAMED],
            **_latency(self.latency),
        }


@dataclass(slots=True)
class TopicAccount:
    """One topic's facts, from the source's own books to each reader's."""

    topic: str
    title: str
    committed: int = 0
    not_on_topic: list[str] = field(default_factory=list)
    only_on_topic: list[str] = field(default_factory=list)
    not_noted: list[str] = field(default_factory=list)
    """Facts on the topic that the department's own list of what was published does not hold."""
    gone_by: int = 0
    """Facts that were on the topic until retention or compaction removed them."""
    latency: Latency | None = None
    """From the fact to the broker's confirmation."""
    refused_events: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Refusals by rule; one event may break several."""
    readers: dict[str, ReaderAccount] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "committed": self.committed,
            "refused_events": self.refused_events,
            "refused": dict(self.refused),
            "not_on_topic": self.not_on_topic[:NAMED],
            "only_on_topic": self.only_on_topic[:NAMED],
            "not_noted": self.not_noted[:NAMED],
            "gone_by": self.gone_by,
            **_latency(self.latency),
            "readers": {group: reader.as_json() for group, reader in self.readers.items()},
        }


@dataclass(slots=True)
class Ledger:
    """The whole account. `problems` names what does not balance; empty when all does."""

    topics: dict[str, TopicAccount] = field(default_factory=dict)
    intake_problems: dict[str, Counter[str]] = field(default_factory=dict)
    dead_letters: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)
    """Facts and dead letters that wait for the broker, by department."""
    progress: dict[str, dict[str, int]] = field(default_factory=dict)
    """Dossiers by procedure and status, as the departments that follow them state it."""
    unwitnessed: list[str] = field(default_factory=list)
    """Departments whose facts are known from their outbox and list of what was published only."""
    problems: list[str] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Give the account as plain data; long lists of ids are cut."""
        return {
            "balanced": self.balanced,
            "problems": self.problems,
            "topics": {name: account.as_json() for name, account in self.topics.items()},
            "intake_problems": {name: dict(counts) for name, counts in self.intake_problems.items()},
            "dead_letters": dict(self.dead_letters),
            "progress": self.progress,
            "unwitnessed": self.unwitnessed,
        }


def _latency(found: Latency | None) -> dict[str, float | None]:
    return found._asdict() if found else dict.fromkeys(Latency._fields)
