"""Derive from the contracts what a cluster should hold; pure, so that it can be shown before it is done."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from lienthong import names
from lienthong.cluster.retirement import is_in_force, over
from lienthong.cluster.state import Access, Desired, TopicShape
from lienthong.contracts import Contract, Contracts, Grant
from lienthong.errors import ContractsNotSound
from lienthong.sizes import BATCH_BYTES, LETTER_BYTES

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

QUOTAS: Final = {
    "producer_byte_rate": 64.0 * 2**20,
    "consumer_byte_rate": 128.0 * 2**20,
    "request_percentage": 400.0,
}
"""What one department may take of each broker: far above any feed, below what would starve the others."""

KEPT_DAYS: Final = 30
"""How long refusals stay, and dead letters of datasets that have no retention of their own."""


def desired(contracts: Contracts, brokers: int, today: date) -> Desired:
    """Derive topics, users, access, quotas and databases; a grant counts to the end of its last day.

    Raises:
        ContractsNotSound: a department bears a name that would give it another's rights.
    """
    in_force = [c for c in contracts.contracts.values() if is_in_force(c, today)]
    grants = [(c, g) for c in in_force for g in c.grants if g.until >= today]
    departments = frozenset(
        {*contracts.departments, *(c.topic.department for c in in_force), *(g.department for _, g in grants)}
    )
    if taken := sorted(departments & names.RESERVED):
        raise ContractsNotSound(
            reason=f"No department may be called {', '.join(taken)}: the name is the bus's own.",
            remedy="Choose another word for it.",
        )
    over_now = [(c, g) for c in in_force for g in c.grants if g.until < today]
    opened, past, hearing = _by_access(grants), _by_access(over_now), _hearing(grants)
    return Desired(
        departments=departments,
        topics=dict(sorted(_topics(in_force, grants, departments, brokers))),
        access=frozenset(_access(departments, grants)),
        quotas={department: dict(QUOTAS) for department in sorted(departments)},
        reasons={key: "; ".join(sorted(map(_told, those))) for key, those in opened.items()}
        | {key: f"what its reader finds wrong on {_listed(those)}" for key, those in hearing.items()},
        ended={key: max(g.until for g in those) for key, those in past.items() if key not in opened},
        unheard=frozenset(_hearing(over_now).keys() - hearing.keys()),
        waiting={name: c.status for name, c in contracts.contracts.items() if not is_in_force(c, today)},
        over={
            name: over(contracts, c, _shape(c, min(3, brokers)), frozenset(_readers(c, c.grants)))
            for name, c in contracts.contracts.items()
            if c.status == "retired" and not is_in_force(c, today)
        },
        promised={
            name: c.end_of_life for name, c in contracts.contracts.items() if c.end_of_life is not None
        },
    )


def _by_access(grants: list[tuple[Contract, Grant]]) -> dict[tuple[str, str], list[Grant]]:
    """Sort grants by the access they open: principal and target."""
    found: dict[tuple[str, str], list[Grant]] = {}
    for contract, grant in grants:
        found.setdefault((f"User:{grant.department}", f"topic {contract.topic}"), []).append(grant)
    return found


def _hearing(grants: list[tuple[Contract, Grant]]) -> dict[tuple[str, str], set[str]]:
    """Let owners hear what their readers find wrong; by principal and target, with the topics it is about."""
    found: dict[tuple[str, str], set[str]] = {}
    for contract, grant in grants:
        if (owner := contract.topic.department) != grant.department:
            which = (f"User:{owner}", f"topic {names.refusals_topic(grant.department)}")
            found.setdefault(which, set()).add(str(contract.topic))
    return found


def _told(grant: Grant) -> str:
    return f"{grant.purpose}, until {grant.until}: {grant.legal_basis}"


def _listed(topics: set[str]) -> str:
    return ", ".join(sorted(topics))


def in_sync(replication: int) -> str:
    """Say how many copies must hold a record before it is acknowledged: all but one, of three."""
    return "2" if replication >= 3 else "1"


def _topics(
    in_force: list[Contract], grants: list[tuple[Contract, Grant]], departments: frozenset[str], brokers: int
) -> Iterator[tuple[str, TopicShape]]:
    copies = min(3, brokers)
    for contract in in_force:
        yield str(contract.topic), _shape(contract, copies)
    for department in departments:
        settings = _safe(copies) | _dated(KEPT_DAYS * DAY_MS)
        yield names.refusals_topic(department), TopicShape(1, copies, settings)
    for group in {g.group for _, g in grants}:
        # A dead letter is a copy of its record: it may not outlive the shortest-lived events the group reads.
        kept = [c.retention_seconds * 1000 for c, g in grants if g.group == group and not c.is_state]
        settings = _safe(copies) | _dated(min(kept, default=KEPT_DAYS * DAY_MS))
        settings |= {"max.message.bytes": str(LETTER_BYTES)}
        yield names.dead_letter_topic(group), TopicShape(1, copies, settings)


def _shape(contract: Contract, copies: int) -> TopicShape:
    return TopicShape(contract.partitions, copies, _safe(copies) | _kept(contract))


def _safe(copies: int) -> dict[str, str]:
    return {
        "min.insync.replicas": in_sync(copies),
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(BATCH_BYTES),
    }


def _kept(contract: Contract) -> dict[str, str]:
    """Say how long a contract's records stay, and whose clock decides."""
    personal = contract.classification in {"personal", "sensitive"}
    if contract.is_state:
        # A reader that was away for a week must still see that something was removed.
        settings = {"cleanup.policy": "compact", "delete.retention.ms": str(7 * DAY_MS)}
        settings |= {"max.compaction.lag.ms": str(DAY_MS)} if personal else {}
        return settings | ({"message.timestamp.type": "LogAppendTime"} if personal else _near())
    retention = contract.retention_seconds * 1000
    if personal:
        return _dated(retention)
    return {"cleanup.policy": "delete", "retention.ms": str(retention)} | _near()


def _dated(retention_ms: int) -> dict[str, str]:
    """Delete by the broker's clock, to the day: a false time can neither keep a record nor destroy one."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        "segment.ms": str(min(DAY_MS, retention_ms)),
        "message.timestamp.type": "LogAppendTime",
    }


def _near() -> dict[str, str]:
    """Take the producer's clock, within bounds."""
    return {
        "message.timestamp.type": "CreateTime",
        "message.timestamp.after.max.ms": str(HOUR_MS),
        "message.timestamp.before.max.ms": str(7 * DAY_MS),
    }


def _access(departments: frozenset[str], grants: list[tuple[Contract, Grant]]) -> Iterator[Access]:
    """Closed by default: a department's own prefix, what it is granted, and nothing else."""
    for department in departments:
        user, own = f"User:{department}", f"{department}."
        for operation in ("describe", "read", "write"):
            yield Access(user, "topic", own, "prefixed", operation)
        yield Access(user, "group", own, "prefixed", "read")
    for contract, grant in grants:
        yield from _readers(contract, (grant,))
    for principal, target in _hearing(grants):
        for operation in ("describe", "read"):
            yield Access(principal, "topic", target.removeprefix("topic "), "literal", operation)


def _readers(contract: Contract, grants: tuple[Grant, ...]) -> Iterator[Access]:
    for grant in grants:
        for operation in ("describe", "read"):
            yield Access(f"User:{grant.department}", "topic", str(contract.topic), "literal", operation)
