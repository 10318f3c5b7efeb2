"""Tell a data's owner what is shared with whom, what of it is never read, and what is shared with nobody."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final, Literal

from lienthong.cluster.databases import Postgres, connect
from lienthong.contracts import Contract, Contracts, Grant
from lienthong.contracts.load import LIVE
from lienthong.moments import HANOI

Verdict = Literal["key", "read", "never read", "not known"]

_READS: Final = """
SELECT topic, field, sum(reads)::bigint FROM lienthong.field_read WHERE day >= $1 GROUP BY 1, 2
"""
_HANDLED: Final = """
SELECT topic, count(*) FROM lienthong.inbox WHERE outcome = 'handled' AND handled_at >= $1 GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Uses:
    """What one department did with what it is granted, since some day."""

    reads: Mapping[tuple[str, str], int]
    """By topic and field; where nothing could be counted, nothing is there."""
    handled: Mapping[str, int]
    """Events, by topic."""


@dataclass(frozen=True, slots=True)
class SharedField:
    """One field of one grant."""

    name: str
    verdict: Verdict
    reads: int


@dataclass(frozen=True, slots=True)
class SharedWith:
    """One grant, and what its department made of it."""

    department: str
    purpose: str
    until: date
    handled: int
    fields: tuple[SharedField, ...]

    @property
    def candidates(self) -> tuple[str, ...]:
        """Fields that might be withdrawn: events were handled, and none of their code ever looked at them."""
        return tuple(field.name for field in self.fields if field.verdict == "never read")

    def as_json(self) -> dict[str, Any]:
        return {
            "department": self.department,
            "purpose": self.purpose,
            "until": self.until.isoformat(),
            "handled": self.handled,
            "fields": {field.name: {"verdict": field.verdict, "reads": field.reads} for field in self.fields},
            "candidates": list(self.candidates),
        }


@dataclass(frozen=True, slots=True)
class Shared:
    """One contract."""

    topic: str
    title: str
    with_nobody: tuple[str, ...]
    """Fields that no grant in force lists."""
    grants: tuple[SharedWith, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "topic": self.topic,
            "title": self.title,
            "with_nobody": list(self.with_nobody),
            "grants": [one.as_json() for one in self.grants],
        }


def iter_shared(
    contracts: Contracts, owner: str | None, uses: Mapping[str, Uses], today: date
) -> Iterator[Shared]:
    """Walk what a department shares, or what everybody does.

    Args:
        contracts: What is granted.
        owner: Whose data; everybody's where it is None.
        uses: By reading department; one that is missing has told nothing.
        today: Grants that are over share nothing.
    """
    for topic, contract in sorted(contracts.contracts.items()):
        if contract.status not in LIVE or owner not in {None, contract.topic.department}:
            continue
        grants = [grant for grant in contract.grants if grant.until >= today]
        listed = {name for grant in grants for name in grant.fields}
        yield Shared(
            topic,
            contract.title,
            tuple(field.name for field in contract.fields if field.name not in listed),
            tuple(_shared_with(contract, grant, uses.get(grant.department)) for grant in grants),
        )


def _shared_with(contract: Contract, grant: Grant, uses: Uses | None) -> SharedWith:
    topic = str(contract.topic)
    handled = uses.handled.get(topic, 0) if uses else 0

    def judged(name: str) -> SharedField:
        reads = uses.reads.get((topic, name)) if uses else None
        if name in contract.key:
            return SharedField(name, "key", reads or 0)
        if reads:
            return SharedField(name, "read", reads)
        # A reader that has handled nothing has had nothing to read.
        return SharedField(name, "never read" if reads == 0 and handled else "not known", 0)

    fields = tuple(judged(name) for name in grant.fields)
    return SharedWith(grant.department, grant.purpose, grant.until, handled, fields)


async def fetch_uses(postgres: Postgres, department: str, since: date) -> Uses:
    """Fetch what a department's service entered in its own database; nothing where it never ran."""
    async with connect(dataclasses.replace(postgres, database=department)) as db:
        if not await db.fetchval("SELECT to_regclass('lienthong.field_read') IS NOT NULL"):
            return Uses({}, {})
        reads = await db.fetch(_READS, since)
        handled = await db.fetch(_HANDLED, datetime.combine(since, time(), HANOI))
    return Uses({(topic, field): count for topic, field, count in reads}, dict(handled))
