"""What a cluster should hold, and what it holds: topics, users, access rights, quotas, databases."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class TopicShape:
    """A topic's partitions, copies and settings (Kafka's own names and values)."""

    partitions: int
    replication: int
    settings: Mapping[str, str] = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    """Of a topic on the cluster: which settings were set on it, the others being the broker's defaults."""

    @property
    def is_compacted(self) -> bool:
        """Whether the newest record of each key is kept, in whichever partition it lies."""
        return "compact" in self.settings.get("cleanup.policy", "")


class Access(NamedTuple):
    """One access rule of the broker (an ACL), in the broker's lowercase words."""

    principal: str
    resource: str
    name: str
    pattern: str
    operation: str
    permission: str = "allow"
    host: str = "*"

    @property
    def target(self) -> str:
        """Say what the rule is about: `topic health.*`, `group justice.*`, `topic science.unit.v1`."""
        return f"{self.resource} {self.name}{'*' if self.pattern == 'prefixed' else ''}"

    def __str__(self) -> str:
        place = "" if self.host == "*" else f" from {self.host}"
        return f"{self.permission} {self.target}{place}"


class DatabaseState(NamedTuple):
    """Of a PostgreSQL: who may log in, who owns which database, and which stand open to everybody."""

    roles: frozenset[str]
    owners: Mapping[str, str]
    open: frozenset[str]


class Standing(NamedTuple):
    """How a consumer group stands to a topic."""

    reads_now: bool = False
    """A process of it has subscribed to the topic."""
    has_committed: bool = False
    unread: int = 0
    """Records behind its committed offsets, where it has any."""


@dataclass(frozen=True, slots=True)
class Over:
    """A dataset whose contract is retired and whose last day has passed; what it had while in force."""

    end: date | None
    newer: str | None
    """The topic of the major that continues it."""
    groups: frozenset[str]
    shape: TopicShape
    access: frozenset[Access]
    """Of its readers."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What the contracts ask of a cluster."""

    departments: frozenset[str]
    """Each has one SCRAM user, and on the embedded bus one role and one database, of its own name."""
    topics: Mapping[str, TopicShape]
    access: frozenset[Access]
    quotas: Mapping[str, Mapping[str, float]]
    waiting: Mapping[str, str]
    """Contracts that ask for nothing, with their status: nobody has put them into force, or they are over."""
    reasons: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """By principal and target: which grant opens it."""
    ended: Mapping[tuple[str, str], date] = field(default_factory=dict)
    """By principal and target: the last day of a grant that is over, where no other opens the same."""
    unheard: frozenset[tuple[str, str]] = frozenset()
    """By principal and target: owners that hear no more, since the last grant of their topics is over."""
    over: Mapping[str, Over] = field(default_factory=dict)
    """Datasets whose topic may go, by topic."""
    held: Mapping[str, str] = field(default_factory=dict)
    """Those of them that stay, because granted readers still hang on them; and which, and how."""
    promised: Mapping[str, date] = field(default_factory=dict)
    """The announced last days."""


@dataclass(frozen=True, slots=True)
class Actual:
    """What a cluster holds."""

    topics: Mapping[str, TopicShape]
    users: Mapping[str, Mapping[str, int]]
    """By user name: iterations of each SCRAM mechanism."""
    access: frozenset[Access]
    quotas: Mapping[str, Mapping[str, float]]
    databases: DatabaseState | None = None
    """None where the departments' databases are not ours to make."""
    secrets: frozenset[str] = frozenset()
    """Departments whose password this machine holds."""
    standing_in: frozenset[str] = frozenset()
    """Those of them whose rotation was begun and not ended."""
    administrators: frozenset[str] = frozenset()
