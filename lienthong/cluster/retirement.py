"""What becomes of a topic whose dataset is over: it stays while somebody reads it, then may be removed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from lienthong.cluster.state import Access, Desired, Over, Standing, TopicShape
from lienthong.contracts import Contract, Contracts
from lienthong.contracts.load import LIVE
from lienthong.errors import BusNotUsable
from lienthong.overlap import find_newer

Standings = Mapping[tuple[str, str], Standing]
"""How groups stand to topics, by (group, topic)."""
Fetch = Callable[[Sequence[str], Sequence[str]], Standings]
"""Asks the cluster how groups stand to topics."""


def is_in_force(contract: Contract, today: date) -> bool:
    """Tell whether a contract asks for its topic and its grants: a promised last day is kept, whatever."""
    end = contract.end_of_life
    return contract.status in LIVE or (contract.status == "retired" and end is not None and today <= end)


def over(
    contracts: Contracts,
    contract: Contract,
    shape: TopicShape,
    access: frozenset[Access],
) -> Over:
    """Say what a dataset that is over had, and who was granted it."""
    groups = frozenset(grant.group for grant in contract.grants)
    newer = find_newer(contracts, contract)
    return Over(contract.end_of_life, str(newer.topic) if newer is not None else None, groups, shape, access)


def keep_held(wanted: Desired, topics: Mapping[str, TopicShape], fetch: Fetch) -> Desired:
    """Keep what is over and still read: its topic, and its readers' access."""
    here = {name: one for name, one in wanted.over.items() if name in topics}
    if not here:
        return wanted
    held = {name: why for name, one in here.items() if (why := _why_held(name, one, topics, fetch))}
    return replace(
        wanted,
        topics={**wanted.topics, **{name: here[name].shape for name in held}},
        access=wanted.access.union(*(here[name].access for name in held)),
        held=held,
    )


def check_removable(wanted: Desired, topics: Mapping[str, TopicShape], names: Sequence[str]) -> None:
    """Make sure that topics may be removed: over, there, and read by nobody any more.

    Raises:
        BusNotUsable: naming the readers that stand in the way, or the day.
    """
    for name in names:
        if name not in topics:
            raise BusNotUsable(
                reason=f"There is no topic {name} to remove.", remedy="See `lienthong apply --json`."
            )
        if name in wanted.held:
            raise BusNotUsable(
                reason=f"{name} is not removed: {wanted.held[name]}.",
                remedy="Let these readers go over or end first; then run the command again.",
            )
        if name not in wanted.over:
            raise BusNotUsable(
                reason=f"{name} is not removed: {_why_not_over(wanted, name)}.",
                remedy="Announce its end, let it pass, and set the status to retired: then it may go.",
            )


def _why_not_over(wanted: Desired, name: str) -> str:
    if name in wanted.promised:
        return f"it is promised until {wanted.promised[name]}"
    return "a contract is in force for it" if name in wanted.topics else "no contract of it is retired"


def _why_held(name: str, one: Over, topics: Mapping[str, TopicShape], fetch: Fetch) -> str:
    """Name the granted readers of a topic that is over, and how they still hang on it."""
    newer = [one.newer] if one.newer is not None and one.newer in topics else []
    standings = fetch(sorted(one.groups), [name, *newer])
    reasons = [
        f"{group} {why}"
        for group in sorted(one.groups)
        if (why := _how_held(name, one.newer, group, standings))
    ]
    return "; ".join(reasons)


def _how_held(name: str, newer: str | None, group: str, standings: Standings) -> str:
    here = standings.get((group, name))
    if here is None or not (here.reads_now or here.has_committed):
        return ""
    if here.reads_now:
        return "reads it and commits offsets on it"
    if newer is not None:
        gone_over = (there := standings.get((group, newer))) is not None and there.has_committed
        return "" if gone_over else f"has not gone over to {newer}"
    return f"has {here.unread} records unread" if here.unread else ""
