"""Say what does not balance: where, how many, and which."""

from collections.abc import Iterator
from typing import Final

from lienthong import names
from lienthong.ledger.account import Ledger, ReaderAccount, TopicAccount

SOME: Final = 5


def iter_problems(ledger: Ledger) -> Iterator[str]:
    """Name everything that does not balance, a sentence each."""
    for department, count in ledger.waiting.items():
        if count:
            yield f"{department}: {count} facts or dead letters still wait for the broker"
    for account in ledger.topics.values():
        yield from _of_topic(account)
        for group, reader in account.readers.items():
            yield from _of_reader(f"{account.topic} → {group}", reader)
            if lost := reader.without_letter:
                letters = names.dead_letter_topic(group)
                yield (
                    f"{letters}: {_count(lost, 'event')} of {account.topic} set aside without a dead letter:"
                    f" {_some(lost)}"
                )


def _of_topic(account: TopicAccount) -> Iterator[str]:
    name = account.topic
    if lost := account.not_on_topic:
        yield f"{name}: {_count(lost, 'committed fact')} not on the topic: {_some(lost)}"
    if strange := account.only_on_topic:
        yield f"{name}: {_count(strange, 'event')} that no source committed: {_some(strange)}"
    if hidden := account.not_noted:
        department = name.partition(".")[0]
        yield (
            f"{name}: {_count(hidden, 'fact')} on the topic, but not in what {department} noted as published:"
            f" {_some(hidden)}"
        )


def _of_reader(way: str, reader: ReaderAccount) -> Iterator[str]:
    if lost := reader.missing:
        yield f"{way}: {_count(lost, 'fact')} neither handled nor set aside: {_some(lost)}"
    if strange := reader.unknown:
        yield f"{way}: {_count(strange, 'event')} in the inbox that no source committed: {_some(strange)}"
    if lost := reader.effects_missing:
        yield f"{way}: {_count(lost, 'effect')} missing: {_some(lost)}"
    if twice := reader.effects_doubled:
        yield f"{way}: {_count(twice, 'effect')} doubled: {_some(twice)}"
    if stray := reader.effects_without_fact:
        yield f"{way}: {_count(stray, 'effect')} without a fact: {_some(stray)}"


def _count(found: list[str], thing: str) -> str:
    return f"{len(found)} {thing}{'' if len(found) == 1 else 's'}"


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:SOME]) + (" …" if len(ids) > SOME else "")
