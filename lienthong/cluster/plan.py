"""Compare what a cluster holds with what it should: the changes to make, and what a person should know."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from lienthong.cluster.desired import in_sync
from lienthong.cluster.state import Access, Actual, DatabaseState, Desired, TopicShape
from lienthong.login import MECHANISM, STAND_IN_MECHANISM, STAND_IN_ROLE

ITERATIONS: Final = 8192

Kind = Literal[
    "access", "topic", "partitions", "topic settings", "user", "quota", "database", "password", "removal"
]

SYSTEM: Final = frozenset({"postgres", "template1"})
"""Databases that PostgreSQL brings, open to every role."""

NOTHING: Final = "nothing"
"""How a plan names the absence of a thing."""

STOOD_IN: Final = "a password that stood in"
"""What an interrupted rotation may leave behind."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that `apply` will do, in words, with what it takes to do it."""

    kind: Kind
    name: str
    before: str
    after: str
    grant: frozenset[Access] = frozenset()
    revoke: frozenset[Access] = frozenset()
    shape: TopicShape | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    quotas: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    """Why, where before and after do not say it."""
    warning: str = ""
    """What somebody should know before it is done."""
    by_date: bool = False
    """Whether it is due because a grant's last day is over: it needs nobody's decision any more."""

    def as_json(self) -> dict[str, str]:
        told = {"kind": self.kind, "name": self.name, "before": self.before, "after": self.after}
        return told | {"reason": self.reason, "warning": self.warning}


@dataclass(frozen=True, slots=True)
class Remark:
    """What `apply` leaves as it is.

    `unknown` is on the cluster and in no contract; `impossible` is asked by a contract but cannot be done to
    what exists; `waiting` is a contract or grant that is not in force, or a rotation that has not ended;
    `held` is over, but still read; `over` may be removed, when somebody says so.
    """

    about: Literal["unknown", "impossible", "waiting", "held", "over"]
    kind: str
    name: str
    reason: str

    def as_json(self) -> dict[str, str]:
        return {"about": self.about, "kind": self.kind, "name": self.name, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Plan:
    """The way from what is to what should be; empty when there is nothing to do."""

    changes: tuple[Change, ...]
    remarks: tuple[Remark, ...]

    @property
    def unknown(self) -> tuple[Remark, ...]:
        return tuple(remark for remark in self.remarks if remark.about == "unknown")

    @property
    def impossible(self) -> tuple[Remark, ...]:
        return tuple(remark for remark in self.remarks if remark.about == "impossible")

    def as_json(self) -> dict[str, list[dict[str, str]]]:
        return {
            "changes": [change.as_json() for change in self.changes],
            "remarks": [remark.as_json() for remark in self.remarks],
        }


def compare(wanted: Desired, found: Actual) -> Plan:
    """Plan the way from what was found to what the contracts want; pure."""
    steps = (_topics, _users, _databases, _access, _quotas)
    items = [item for step in steps for item in step(wanted, found)]
    items += [
        Remark("waiting", "contract", name, f"its status is {status}: it becomes effective as active")
        for name, status in sorted(wanted.waiting.items())
    ]
    items += [
        Remark("waiting", "grant", f"{principal.removeprefix('User:')} → {target}", _over(day))
        for (principal, target), day in sorted(wanted.ended.items())
    ]
    return Plan(
        tuple(item for item in items if isinstance(item, Change)),
        tuple(item for item in items if isinstance(item, Remark)),
    )


def shown(setting: str, value: str) -> str:
    """Write a topic setting's value for a person: `90 d` rather than 7776000000."""
    if not setting.endswith(".ms") or not value.isdecimal() or int(value) == 0:
        return value
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
        if int(value) % size == 0:
            return f"{int(value) // size} {unit}"
    return f"{value} ms"


def _topics(wanted: Desired, found: Actual) -> Iterator[Change | Remark]:
    for name, shape in wanted.topics.items():
        here = found.topics.get(name)
        if here is None:
            yield Change("topic", name, NOTHING, _described(shape), shape=shape)
        else:
            yield from _topic(name, shape, here)
    for name, why in sorted(wanted.held.items()):
        yield Remark("held", "topic", name, f"its contract is over, but {why}; it stays")
    for name in sorted(found.topics.keys() & wanted.over.keys() - wanted.held.keys()):
        reason = f"its contract is over and nobody reads it: `lienthong apply --remove {name}` deletes it"
        yield Remark("over", "topic", name, reason)
    for name in sorted(found.topics.keys() - wanted.topics.keys() - wanted.over.keys()):
        why = f"its contract is {wanted.waiting[name]}" if name in wanted.waiting else "in no contract"
        yield Remark("unknown", "topic", name, f"{why}; it stays, with its records")


def _topic(name: str, shape: TopicShape, here: TopicShape) -> Iterator[Change | Remark]:
    """Compare one topic that exists."""
    settings = dict(shape.settings)
    if here.replication < shape.replication:
        # Two copies can never be in sync where there is one: asking for them would stop every writer.
        settings["min.insync.replicas"] = in_sync(here.replication)
        copies = f"has {here.replication} of {shape.replication} copies"
        reason = f"{copies}: add the others with Kafka's kafka-reassign-partitions"
        yield Remark("impossible", "topic", name, reason)
    if here.partitions != shape.partitions:
        yield _partitions(name, shape, here)
    different = {key: value for key, value in settings.items() if here.settings.get(key) != value}
    if different:
        before = {key: here.settings.get(key, NOTHING) for key in different}
        yield Change("topic settings", name, _listed(before), _listed(different), settings=different)
    for key in sorted(here.own - shape.settings.keys()):
        value = shown(key, here.settings.get(key, ""))
        yield Remark("unknown", "topic settings", name, f"{key} is {value}, which no contract asks")


def _partitions(name: str, shape: TopicShape, here: TopicShape) -> Change | Remark:
    """Add partitions where that loses nothing; take none away."""
    counts = f"has {here.partitions} partitions, its contract says {shape.partitions}"
    if here.partitions > shape.partitions:
        reason = f"{counts}: Kafka takes none away. Correct the contract, or release a new major"
        return Remark("impossible", "topic", name, reason)
    if shape.is_compacted or here.is_compacted:
        reason = (
            f"{counts}: a key would go to another one, and its old state would stay beside the new. "
            "Correct the contract, or release a new major"
        )
        return Remark("impossible", "topic", name, reason)
    warning = (
        "most keys go to another partition: an event may be handled before an older one of its key that "
        "waits in the old one. Let every reader's lag be 0, or the publisher rest, while this is done"
    )
    before, after = str(here.partitions), str(shape.partitions)
    return Change("partitions", name, before, after, shape=shape, warning=warning)


def _users(wanted: Desired, found: Actual) -> Iterator[Change | Remark]:
    for name in sorted(wanted.departments):
        if name in found.standing_in:
            reason = f"its password is being rotated: `lienthong rotate {name}` ends what was begun"
            yield Remark("waiting", "user", name, reason)
            continue
        held = found.users.get(name, {})
        if STAND_IN_MECHANISM in held and MECHANISM in held:
            yield Change("user", name, STOOD_IN, NOTHING)
        iterations = held.get(MECHANISM)
        after = f"{MECHANISM}, {ITERATIONS} iterations"
        if iterations is None:
            yield Change("user", name, NOTHING, after)
        elif name not in found.secrets:
            yield Change(
                "user", name, "a password that this machine does not hold", f"{after}, a new password"
            )
        elif iterations < ITERATIONS:
            yield Change("user", name, f"{MECHANISM}, {iterations} iterations", after)
    for name in sorted(found.users.keys() - wanted.departments - found.administrators):
        yield Remark("unknown", "user", name, "may log in, and is no department of the contracts")


def _databases(wanted: Desired, found: Actual) -> Iterator[Change | Remark]:
    if found.databases is None:
        return
    here: DatabaseState = found.databases
    stand_ins = {f"{name}{STAND_IN_ROLE}" for name in wanted.departments}
    for name in sorted(wanted.departments - found.standing_in):
        if f"{name}{STAND_IN_ROLE}" in here.roles:
            yield Change("database", name, STOOD_IN, NOTHING)
        lacks: list[str] = []
        if name not in here.roles:
            lacks.append("role")
        if here.owners.get(name) != name:
            lacks.append("database" if name not in here.owners else "owner")
        if name in here.open or name not in here.owners:
            lacks.append("closed to others")
        if name in here.roles and name not in found.secrets:
            lacks.append("new password")
        if lacks:
            exists = name in here.roles or name in here.owners
            yield Change("database", name, "not as it should be" if exists else NOTHING, ", ".join(lacks))
    for name in sorted(here.open & SYSTEM):
        yield Change("database", name, "open to every role", "closed to others")
    for name in sorted(here.owners.keys() - wanted.departments - SYSTEM):
        yield Remark("unknown", "database", name, "belongs to no department of the contracts")
    for name in sorted(here.roles - wanted.departments - stand_ins - found.administrators):
        yield Remark("unknown", "database role", name, "may log in, and is no department of the contracts")


def _access(wanted: Desired, found: Actual) -> Iterator[Change | Remark]:
    ours = {f"User:{name}" for name in wanted.departments}
    # Only what *lets* one of our departments in is ours to remove: a denial is somebody's emergency brake.
    extra = frozenset(
        rule for rule in found.access - wanted.access if rule.principal in ours and rule.permission == "allow"
    )
    kept = found.access & wanted.access
    missing = wanted.access - found.access

    for principal, target in sorted({(rule.principal, rule.target) for rule in missing | extra}):

        def of_this(
            rules: frozenset[Access], key: tuple[str, str] = (principal, target)
        ) -> frozenset[Access]:
            return frozenset(rule for rule in rules if (rule.principal, rule.target) == key)

        yield Change(
            "access",
            f"{principal.removeprefix('User:')} → {target}",
            _may(of_this(kept | extra)),
            _may(of_this(kept | missing)),
            grant=of_this(missing),
            revoke=of_this(extra),
            reason=_why(wanted, (principal, target), closes=bool(of_this(extra))),
            by_date=(principal, target) in wanted.ended.keys() | wanted.unheard and not of_this(missing),
        )
    others: dict[tuple[str, str], list[str]] = {}
    for rule in sorted(found.access - wanted.access - extra):
        others.setdefault((rule.principal, str(rule)), []).append(rule.operation)
    for (principal, words), operations in others.items():
        name = principal.removeprefix("User:")
        yield Remark("unknown", "access", name, f"{words}: {', '.join(operations)}; no contract says so")


def _quotas(wanted: Desired, found: Actual) -> Iterator[Change | Remark]:
    for name, quotas in wanted.quotas.items():
        here = found.quotas.get(name, {})
        if {key: here.get(key) for key in quotas} != dict(quotas):
            before = {key: f"{here[key]:.0f}" for key in quotas if key in here}
            after = {key: f"{value:.0f}" for key, value in quotas.items()}
            yield Change("quota", name, _listed(before), _listed(after), quotas=quotas)
    for name in sorted(found.quotas.keys() - wanted.quotas.keys() - found.users.keys()):
        yield Remark("unknown", "quota", name, "is no department of the contracts")


def _over(day: date) -> str:
    return f"its last day, {day}, is over: it opens nothing. Take it out, or agree on a later day"


def _why(wanted: Desired, which: tuple[str, str], *, closes: bool) -> str:
    """Name the grant that opens an access, or why it is closed."""
    if which in wanted.reasons:
        return wanted.reasons[which]
    if closes and which in wanted.ended:
        return f"the grant's last day was {wanted.ended[which]}"
    if closes and which in wanted.unheard:
        return "its readers' last day is over"
    return "no contract grants it" if closes else "a department's own"


def _may(rules: frozenset[Access]) -> str:
    return ", ".join(sorted(rule.operation for rule in rules)) or NOTHING


def _listed(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {shown(key, value)}" for key, value in sorted(settings.items())) or NOTHING


def _described(shape: TopicShape) -> str:
    copies = f"{shape.partitions} partition{'s' if shape.partitions > 1 else ''} × {shape.replication}"
    kept = shown("retention.ms", shape.settings.get("retention.ms", ""))
    return f"{copies}, kept {kept}" if kept else f"{copies}, newest record of each key kept"
