"""The account of every fact: committed at its source, handled once by each reader or set aside with a reason.

It reads the departments' databases and the topics by itself and shares no code with the delivery.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer

from lienthong.contracts import Contract, Contracts
from lienthong.database import Connection
from lienthong.demo.witness import fetch_facts

_DEALT_WITH: Final = """
SELECT consumer_group, topic, id, outcome, code FROM lienthong.inbox
"""
_LATENCY: Final = """
SELECT topic, consumer_group, percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
    ORDER BY extract(epoch FROM handled_at - recorded) * 1000) AS ms
FROM lienthong.inbox WHERE outcome = 'handled' AND recorded IS NOT NULL GROUP BY 1, 2
"""


@dataclass(slots=True)
class ReaderAccount:
    """What one granted group made of a topic's facts; ids are listed where something is wrong."""

    handled: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """Events handled that no source committed."""
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


@dataclass(slots=True)
class TopicAccount:
    """One topic's facts, from the source's own books to each reader's."""

    topic: str
    title: str
    committed: int = 0
    not_on_topic: list[str] = field(default_factory=list)
    only_on_topic: list[str] = field(default_factory=list)
    refused_events: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Refusals by rule; one event may break several."""
    readers: dict[str, ReaderAccount] = field(default_factory=dict)


@dataclass(slots=True)
class Ledger:
    """The whole account. `problems` names what does not balance; empty when all does."""

    topics: dict[str, TopicAccount] = field(default_factory=dict)
    intake_problems: dict[str, Counter[str]] = field(default_factory=dict)
    dead_letters: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def balanced(self) -> bool:
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """Give the account as plain data; long lists of ids are cut."""
        return {
            "balanced": self.balanced,
            "problems": self.problems,
            "topics": {
                name: {
                    "title": account.title,
                    "committed": account.committed,
                    "refused_events": account.refused_events,
                    "refused": dict(account.refused),
                    "not_on_topic": account.not_on_topic[:50],
                    "only_on_topic": account.only_on_topic[:50],
                    "readers": {
                        group: {
                            "handled": reader.handled,
                            "set_aside": dict(reader.set_aside),
                            "missing": reader.missing[:50],
                            "unknown": reader.unknown[:50],
                            "p50_ms": reader.p50_ms,
                            "p95_ms": reader.p95_ms,
                            "p99_ms": reader.p99_ms,
                        }
                        for group, reader in account.readers.items()
                    },
                }
                for name, account in self.topics.items()
            },
            "intake_problems": {name: dict(counts) for name, counts in self.intake_problems.items()},
            "dead_letters": dict(self.dead_letters),
        }


async def balance(
    contracts: Contracts,
    databases: Mapping[str, Connection],
    kafka: Mapping[str, Any],
) -> Ledger:
    """Balance the books of a city.

    Args:
        contracts: What should be read by whom.
        databases: A connection to each department's database.
        kafka: aiokafka arguments of a user that may read everything.
    """
    ledger = Ledger()
    committed: dict[str, set[str]] = {}
    waiting: Counter[str] = Counter()
    for department, db in databases.items():
        kept_back = {row["id"] for row in await db.fetch("SELECT id::text FROM lienthong.outbox_refused")}
        for event_id, topic in await fetch_facts(db):
            if event_id not in kept_back:
                committed.setdefault(topic, set()).add(event_id)
        waiting[department] = await db.fetchval("SELECT count(*) FROM lienthong.outbox")
        counts = await db.fetch("SELECT code, count(*) FROM lienthong.intake_problems GROUP BY 1")
        ledger.intake_problems[department] = Counter({row["code"]: row["count"] for row in counts})
    owners = [topic for topic in contracts.contracts if topic.partition(".")[0] in databases]
    told = {f"{department}.refusals" for department in databases}
    letters = {f"{grant.group}.dlt" for contract in contracts.contracts.values() for grant in contract.grants}
    log = await read_log(kafka, [*owners, *told, *letters])
    for topic in owners:
        contract = contracts.contracts[topic]
        account = ledger.topics[topic] = TopicAccount(topic, contract.title)
        facts = committed.get(topic, set())
        account.committed = len(facts)
        on_topic = {event_id for event_id, _ in log.get(topic, ())}
        account.not_on_topic = sorted(facts - on_topic)
        account.only_on_topic = sorted(on_topic - facts)
        await _read_books(account, contract, facts, databases)
    for topic in told:
        _count_refusals(ledger, log.get(topic, ()))
    for topic in letters & log.keys():
        ledger.dead_letters[topic] = len(log[topic])
    ledger.problems = [*_iter_problems(ledger, waiting)]
    return ledger


async def _read_books(
    account: TopicAccount,
    contract: Contract,
    facts: set[str],
    databases: Mapping[str, Connection],
) -> None:
    for grant in contract.grants:
        if (db := databases.get(grant.department)) is None:
            continue
        reader = account.readers[grant.group] = ReaderAccount()
        rows = await db.fetch(
            f"{_DEALT_WITH} WHERE consumer_group = $1 AND topic = $2", grant.group, account.topic
        )
        seen = Counter(row["id"] for row in rows)
        reader.handled = sum(row["outcome"] == "handled" for row in rows)
        reader.set_aside = Counter(row["code"] for row in rows if row["outcome"] != "handled")
        reader.missing = sorted(facts - seen.keys())
        known = {row["id"] for row in rows if "/" not in row["id"]}
        reader.unknown = sorted(known - facts)
        for row in await db.fetch(_LATENCY):
            if (row["topic"], row["consumer_group"]) == (account.topic, grant.group):
                reader.p50_ms, reader.p95_ms, reader.p99_ms = (round(ms, 1) for ms in row["ms"])


def _count_refusals(ledger: Ledger, records: Iterable[tuple[str, bytes | None]]) -> None:
    for _, value in records:
        notice = orjson.loads(value or b"{}")
        topic = notice.get("refused_topic", "")
        account = ledger.topics.get(topic)
        if account is not None:
            rules = {problem["rule"] for problem in notice.get("problems", ())} or {notice.get("code", "")}
            account.refused.update(rules)
            account.refused_events += 1


def _iter_problems(ledger: Ledger, waiting: Mapping[str, int]) -> Iterable[str]:
    for department, count in waiting.items():
        if count:
            yield f"{department}: {count} facts still wait in the outbox"
    for name, account in ledger.topics.items():
        if lost := account.not_on_topic:
            yield f"{name}: {len(lost)} committed facts are not on the topic: {_some(lost)}"
        if strange := account.only_on_topic:
            yield f"{name}: {len(strange)} events that no source committed: {_some(strange)}"
        for group, reader in account.readers.items():
            way = f"{name} → {group}"
            if lost := reader.missing:
                yield f"{way}: {len(lost)} facts neither handled nor set aside: {_some(lost)}"
            if strange := reader.unknown:
                yield f"{way}: {len(strange)} handled events that no source committed: {_some(strange)}"
    set_aside: Counter[str] = Counter()
    for account in ledger.topics.values():
        for group, reader in account.readers.items():
            set_aside[f"{group}.dlt"] += reader.set_aside.total()
    for topic in sorted(set_aside.keys() | ledger.dead_letters.keys()):
        wanted, there = set_aside[topic], ledger.dead_letters[topic]
        if wanted > there:
            yield f"{topic}: {wanted} events were set aside, {there} dead letters are there"


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:5]) + (" …" if len(ids) > 5 else "")


async def read_log(kafka: Mapping[str, Any], topics: list[str]) -> dict[str, list[tuple[str, bytes | None]]]:
    """Read topics from end to end: (`ce_id`, value) of every record; '' where a record has no id."""
    found: dict[str, list[tuple[str, bytes | None]]] = {topic: [] for topic in topics}
    # Without a group every partition is ours.
    consumer = AIOKafkaConsumer(*topics, **kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = list(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        left = {partition for partition in partitions if ends[partition] > begins[partition]}
        while left:
            for partition, records in (await consumer.getmany(*left, timeout_ms=200)).items():
                found[partition.topic] += [(_event_id(record.headers), record.value) for record in records]
            for partition in list(left):
                if await consumer.position(partition) >= ends[partition]:
                    left.discard(partition)
    finally:
        await consumer.stop()
    return found


def _event_id(headers: Iterable[tuple[str, bytes]]) -> str:
    return next((value.decode(errors="replace") for name, value in headers if name == "ce_id"), "")
