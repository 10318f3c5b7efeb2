"""What one reader did about a topic's facts: its inbox against the topic, its own tables against both."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from lienthong.database import Connection
from lienthong.ledger import books
from lienthong.ledger.account import ReaderAccount, TopicAccount
from lienthong.ledger.identity import spell
from lienthong.ledger.topics import Log

_PLACE: Final = re.compile(rb"\d+/\d+")
"""How the inbox calls a record that has no readable id: partition and offset."""


async def read_books(
    db: Connection,
    group: str,
    account: TopicAccount,
    facts: set[bytes],
    log: Log,
    letters: Log,
    letters_seconds: float,
) -> ReaderAccount:
    """Draw up one reader's account.

    Args:
        db: The reader's own database.
        group: The reader.
        account: The topic's account, its own side done.
        facts: What the source committed.
        log: What the topic holds.
        letters: What the group's dead-letter topic holds.
        letters_seconds: How long that topic keeps a letter.
    """
    reader = ReaderAccount()
    seen: set[bytes] = set()
    handled: set[bytes] = set()
    expected: Counter[bytes] = Counter()
    posted = letters.letters or set()
    async for event, code, is_recent, by_sibling in books.iter_marks(
        db, group, account.topic, letters_seconds
    ):
        seen.add(event)
        if by_sibling:
            # Its effect, or its dead letter, stands with the other major's topic.
            reader.by_sibling += 1
        elif code is None:
            reader.handled += 1
            if log.history is not None:
                handled.add(event)
            elif (key := log.keys.get(event)) is not None:
                expected[key] += 1
        else:
            reader.set_aside[code] += 1
            if is_recent and (account.topic, event) not in posted:
                reader.without_letter.append(spell(event))
    missing = facts - seen
    if told_twice := {log.siblings[event]: event for event in missing if event in log.siblings}:
        # A reader that began before the other major was granted marks the one it read, no more.
        dealt_with = await books.fetch_dealt_with(db, group, told_twice)
        missing -= {told_twice[sibling] for sibling in dealt_with}
        reader.by_sibling += len(dealt_with)
    reader.missing = sorted(map(spell, missing))
    reader.unknown = sorted(spell(event) for event in seen - facts if not _PLACE.fullmatch(event))
    if log.history is not None:
        expected = count_alive(log.history, handled)
    await _read_effects(db, group, account, reader, expected, is_state=log.history is not None)
    return reader


def count_alive(history: Mapping[bytes, list[tuple[bytes, bool]]], handled: set[bytes]) -> Counter[bytes]:
    """Count what a reader of a state should hold: each key once, unless its last event is a tombstone."""
    expected: Counter[bytes] = Counter()
    for key, events in history.items():
        last = next((alive for event, alive in reversed(events) if event in handled), False)
        if last:
            expected[key] = 1
    return expected


async def _read_effects(
    db: Connection,
    group: str,
    account: TopicAccount,
    reader: ReaderAccount,
    expected: Counter[bytes],
    *,
    is_state: bool,
) -> None:
    """Hold the effects that the department's own tables state against the facts it says that it handled."""
    if not await books.is_there(db, "public.effect"):
        return
    reader.effects = 0
    stray: Counter[bytes] = Counter()
    doubled: Counter[bytes] = Counter()
    left = expected.copy()
    async for key, times in books.iter_effects(db, group, account.topic):
        reader.effects += times
        if key not in expected:
            stray[key] += times
        elif (rest := left[key] - times) >= 0:
            left[key] = rest
        else:
            left[key] = 0
            doubled[key] -= rest
    reader.effects_missing = _spelled(left)
    # Facts that retention has removed from the topic took effect too, under keys that nobody knows any more.
    if is_state or not account.gone_by:
        reader.effects_doubled = _spelled(doubled)
        reader.effects_without_fact = _spelled(stray)


def _spelled(keys: Counter[bytes]) -> list[str]:
    return sorted(key.decode(errors="replace") for key in keys.elements())
