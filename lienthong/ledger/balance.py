"""Balance the books: each source against its topics, each topic against its readers and their effects."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from lienthong import names
from lienthong.contracts import Contract, Contracts
from lienthong.contracts.load import LIVE
from lienthong.database import Connection
from lienthong.ledger import books
from lienthong.ledger.account import Ledger, TopicAccount
from lienthong.ledger.books import Source
from lienthong.ledger.identity import spell
from lienthong.ledger.problems import iter_problems
from lienthong.ledger.reading import read_books
from lienthong.ledger.spools import NOTHING, SpoolBooks
from lienthong.ledger.topics import Log, Show, make_logs, read_topics


def _quietly(_what: str, _done: int, _total: int) -> None:
    """Tell nobody how far it is."""


async def balance(
    contracts: Contracts,
    databases: Mapping[str, Connection],
    kafka: Mapping[str, Any],
    show: Show = _quietly,
    spools: Mapping[str, SpoolBooks] = MappingProxyType({}),
) -> Ledger:
    """Balance the books of a city.

    Args:
        contracts: What should be read by whom.
        databases: A connection to each department's database, as that department.
        kafka: aiokafka arguments of a user that may read everything.
        show: Told how far it is.
        spools: What departments published without a database.
    """
    ledger = Ledger()
    sources: dict[str, Source] = {}
    for number, (department, db) in enumerate(databases.items()):
        show("sources", number, len(databases))
        source = sources[department] = await books.fetch_source(db)
        source.add(spools.get(department, NOTHING))
        ledger.waiting[department] = source.waiting
        ledger.intake_problems[department] = source.intake_problems
        ledger.progress |= source.progress
        if source.noted is None:
            ledger.unwitnessed.append(department)
    owned = {
        name: contract
        for name, contract in contracts.contracts.items()
        if contract.topic.department in databases and contract.status in LIVE
    }
    logs = _make_logs(owned, databases)
    await read_topics(kafka, logs, show)
    for number, (name, contract) in enumerate(owned.items()):
        show("readers", number, len(owned))
        account = ledger.topics[name] = TopicAccount(name, contract.title)
        department = contract.topic.department
        await _read_source(account, contract, sources[department], logs[name], databases[department])
        await _read_readers(account, contract, contracts, databases, sources, logs)
        # Its events are compared: let go of them.
        logs[name] = Log()
    _count_letters(ledger, logs)
    for department in databases:
        count_refusals(ledger, logs[names.refusals_topic(department)].values or [])
    ledger.problems = [*iter_problems(ledger)]
    return ledger


def _make_logs(owned: Mapping[str, Contract], databases: Mapping[str, Connection]) -> dict[str, Log]:
    groups = {g.group for contract in owned.values() for g in contract.grants if g.department in databases}
    return make_logs(
        plain=[name for name, contract in owned.items() if not contract.is_state],
        states=[name for name, contract in owned.items() if contract.is_state],
        told=map(names.refusals_topic, databases),
        dlts=map(names.dead_letter_topic, groups),
    )


async def _read_source(
    account: TopicAccount, contract: Contract, source: Source, log: Log, db: Connection
) -> None:
    """Hold what a source committed against what its topic holds."""
    facts = source.facts.setdefault(account.topic, set())
    account.committed = len(facts)
    account.latency = source.published_after.get(account.topic)
    lost = facts - log.keys.keys()
    if lost:
        places = await books.fetch_places(db, account.topic, lost) | source.places.get(account.topic, {})
        gone_by = {
            event
            for event, (partition, offset) in places.items()
            if event in lost and (contract.is_state or offset < log.begins.get(partition, 0))
        }
        account.gone_by = len(gone_by)
        lost -= gone_by
    account.not_on_topic = sorted(map(spell, lost))
    account.only_on_topic = sorted(map(spell, log.keys.keys() - facts))
    if source.noted is not None:
        noted = source.noted.pop(account.topic, set())
        account.not_noted = sorted(map(spell, (facts & log.keys.keys()) - noted))


async def _read_readers(
    account: TopicAccount,
    contract: Contract,
    contracts: Contracts,
    databases: Mapping[str, Connection],
    sources: Mapping[str, Source],
    logs: Mapping[str, Log],
) -> None:
    facts = sources[contract.topic.department].facts.pop(account.topic)
    for grant in contract.grants:
        if (db := databases.get(grant.department)) is None:
            continue
        letters = logs[names.dead_letter_topic(grant.group)]
        seconds = letters_kept_seconds(contracts, grant.group)
        reader = await read_books(db, grant.group, account, facts, logs[account.topic], letters, seconds)
        reader.latency = sources[grant.department].handled_after.get((account.topic, grant.group))
        account.readers[grant.group] = reader


def letters_kept_seconds(contracts: Contracts, group: str) -> float:
    """Tell how long a group's dead letters stay on their topic at least: as long as what it reads."""
    kept = [
        contract.retention_seconds
        for contract in contracts.contracts.values()
        if not contract.is_state and any(grant.group == group for grant in contract.grants)
    ]
    return min(kept, default=30 * 86_400)


def _count_letters(ledger: Ledger, logs: Mapping[str, Log]) -> None:
    for name, log in logs.items():
        if log.letters is not None and log.records:
            ledger.dead_letters[name] = log.records


def count_refusals(ledger: Ledger, notices: list[bytes]) -> None:
    """Count refusals by the topic they were meant for, and by rule; strangers' are passed over.

    So is what a reader found wrong on a topic: that was published, and is in the reader's account.
    """
    for value in notices:
        notice = orjson.loads(value)
        if "found_by" in notice:
            continue
        account = ledger.topics.get(notice.get("refused_topic", ""))
        if account is not None:
            rules = {problem["rule"] for problem in notice.get("problems", ())} or {notice.get("code", "")}
            account.refused.update(rules)
            account.refused_events += 1
