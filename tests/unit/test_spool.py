"""A spool: what was put is on the disk, in order, once where it is told once, and out when the bus has it."""

import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from lienthong.errors import BusNotUsable, SpoolFull, SpoolNotUsable
from lienthong.event import RawEvent, uuid7
from lienthong.ledger.books import Source
from lienthong.ledger.spools import read_spools
from lienthong.overlap import Fact
from lienthong.spool import TOLD_FOR, Spool
from lienthong.spool_file import Telling

TOPIC = "trade.price-observed.v1"
ROOT = Path(__file__).parents[2]


def event(value: bytes | None = b'{"price_vnd":1}', key: str = "k", **changes: object) -> RawEvent:
    at = datetime(2026, 11, 23, 9, 0, 0, 123456, UTC)
    return RawEvent(
        id=uuid7(at, os.urandom),
        source="/vn.gov.hanoi/trade",
        type="vn.gov.hanoi.trade.price-observed",
        subject="Chợ Đồng Xuân",
        time=at.astimezone(),
        recorded_at=at,
        dataschema="urn:vn.gov.hanoi:trade:price-observed:1.0.0",
        key=key,
        classification="public",
        correlation_id="c",
        causation_id=None,
        traceparent="00-0-0-01",
        value=value,
    )._replace(**changes)


def telling(one: RawEvent, **how: bool) -> Telling:
    return Telling((Fact(TOPIC, one, None),), **how)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Spool]]:
    """Open the one spool of a test, as often as it likes."""
    spools: list[Spool] = []

    def open_spool(most_bytes: int = 2**20) -> Spool:
        spools.append(Spool(tmp_path / "spool" / "trade.spool", most_bytes, clock))
        return spools[-1]

    yield open_spool
    for spool in spools:
        spool.close()


def settle_all(spool: Spool) -> list[str]:
    rows = spool.fetch(10_000)
    spool.settle([(row.seq, 0, row.seq) for row in rows], [])
    return [row.event.id for row in rows]


def test_what_was_put_is_there_after_a_restart_whole_and_in_order(opened):
    events = [event(b'{"name":"\xc4\x90\xc3\xa0o"}'), event(None), event(b"\x00\xff", sibling_id="other")]
    first = opened()
    first.put([telling(one) for one in events[:2]])
    first.put([telling(events[2])])
    first.close()
    rows = opened().fetch(10)
    assert [row.event for row in rows] == events
    assert [(row.topic, row.admitted) for row in rows] == [(TOPIC, True)] * 3


def test_what_the_bus_has_is_out_of_it_and_counted(opened):
    spool = opened()
    spool.put([telling(event()), telling(event())])
    assert spool.measure().records == 2
    settle_all(spool)
    assert spool.measure() == (0, 0, None)
    assert spool.count_sent() == {TOPIC: 2}


def test_what_may_never_be_sent_is_kept_apart_with_its_reason(opened):
    spool = opened()
    spool.put([telling(event()), telling(event())])
    first, second = spool.fetch(10)
    spool.settle([], [(first.seq, "the broker will never take it: MessageSizeTooLargeError")])
    assert [row.seq for row in spool.fetch(10)] == [second.seq]
    (kept,) = spool.list_refused(10)
    assert kept["id"] == first.event.id
    assert kept["reason"].endswith("MessageSizeTooLargeError")


def test_a_full_spool_takes_all_of_what_is_put_or_nothing_and_says_so(opened):
    spool = opened(most_bytes=4_000)
    spool.put([telling(event(b"x" * 2_000))])
    with pytest.raises(SpoolFull) as full:
        spool.put([telling(event(b"y")), telling(event(b"z" * 2_000)), telling(event(b"y"))])
    assert full.value.retriable
    assert "1 facts wait for the bus" in str(full.value)
    assert "4,000 (LIENTHONG_SPOOL_BYTES)" in str(full.value)
    assert [row.event.value for row in spool.fetch(10)] == [b"x" * 2_000]


def test_there_is_room_again_when_the_bus_has_taken_something(opened):
    spool = opened(most_bytes=4_000)
    spool.put([telling(event(b"x" * 3_000))])
    settle_all(spool)
    assert spool.put([telling(event(b"y" * 3_000))]) == [True]


def test_a_fact_that_is_told_once_is_known_while_it_waits_and_after_it_was_sent(opened):
    spool, one = opened(), event()
    assert spool.put([telling(one, once=True), telling(one, once=True)]) == [True, False]
    settle_all(spool)
    spool.close()
    again = opened()
    assert again.put([telling(one, once=True)]) == [False]
    assert again.measure().records == 0


def test_a_fact_that_was_told_once_is_forgotten_in_the_end(opened, clock):
    spool, one = opened(), event()
    spool.put([telling(one, once=True)])
    settle_all(spool)
    clock.now += TOLD_FOR + timedelta(seconds=1)
    spool.close()
    assert opened().put([telling(one, once=True)]) == [True]


def test_of_a_state_only_what_has_changed_is_told(opened):
    spool = opened()

    def put(value: bytes | None) -> bool:
        return spool.put([telling(event(value), once=True, is_state=True)])[0]

    assert [put(b"open"), put(b"open"), put(b"shut"), put(b"open")] == [True, False, True, True]
    assert [put(None), put(None), put(b"")] == [True, False, True], "retracted is not empty"


def test_both_majors_of_a_fact_are_left_out_together(opened):
    spool, newer = opened(), event()
    both = [Telling((Fact(TOPIC, newer, None), Fact("trade.price-observed.v2", event(), None)), once=True)]
    assert spool.put(both) == [True]
    both = [Telling((Fact(TOPIC, newer, None), Fact("trade.price-observed.v2", event(), None)), once=True)]
    assert spool.put(both) == [False]
    assert spool.measure().records == 2


def test_one_relay_at_a_time(opened):
    first, second = opened(), opened()
    assert first.take()
    assert first.take(), "it is its own"
    assert not second.take()
    first.let_go()
    assert second.take()


def test_the_relay_takes_no_more_than_its_share_of_memory_at_once(opened):
    spool = opened(most_bytes=2**26)
    spool.put([telling(event(b"x" * 250_000)) for _ in range(60)])
    taken = spool.fetch(1_000)
    assert 8 * 2**20 <= sum(len(row.event.value or b"") for row in taken) <= 9 * 2**20
    settle_all(spool)
    assert len(spool.fetch(1_000)) == 60 - len(taken)


def test_a_disk_that_is_full_takes_nothing_and_nothing_is_half_done(opened):
    spool = opened()
    spool.put([telling(event())])
    (pages,) = spool._db.execute("PRAGMA page_count").fetchone()
    spool._db.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(SpoolFull, match="SQLITE_FULL"):
        spool.put([telling(event(b"x" * 10_000)), telling(event())])
    assert spool.measure().records == 1


def test_where_the_disk_has_no_room_to_note_what_was_sent_it_is_not_sent_again(opened):
    spool = opened()
    spool.put([telling(event(b"x" * 5_000)) for _ in range(3)])
    sent = spool.fetch(2)
    wal = spool.path.with_name(f"{spool.path.name}-wal").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal, before[1]))
    try:
        with pytest.raises(SpoolFull):
            spool.settle([(row.seq, 0, row.seq) for row in sent], [])
        with pytest.raises(SpoolFull):
            spool.fetch(10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(spool.fetch(10)) == 1
    assert spool.count_sent() == {TOPIC: 2}


def test_only_its_owner_reads_the_file_and_what_was_sent_is_not_in_it(opened):
    spool = opened()
    spool.put([telling(event(b"Nguyen Thi Bi Mat"))])
    settle_all(spool)
    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.path.parent.stat().st_mode) == 0o700
    spool.close()
    assert {path.suffix for path in spool.path.parent.iterdir()} == {".spool"}
    assert b"Bi Mat" not in spool.path.read_bytes()


def test_a_spool_that_was_moved_away_takes_nothing_more(opened):
    spool = opened()
    spool.path.rename(spool.path.with_suffix(".old"))
    with pytest.raises(SpoolNotUsable, match="was moved or deleted while it was in use"):
        spool.put([telling(event())])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Ngay,Gia\n2026-11-20,18000\n" * 500, "is spoilt"),
        (None, "is no spool that this version reads (format 0, this is 1)"),
    ],
    ids=["a spreadsheet", "another program's database"],
)
def test_a_file_that_is_no_spool_is_left_alone(tmp_path, clock, content, said):
    import sqlite3

    path = tmp_path / "trade.spool"
    if content is None:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE theirs (x)")
        db.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(SpoolNotUsable) as refused:
        Spool(path, 2**20, clock)
    assert said in str(refused.value)
    if content is not None:
        assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_gets_a_sentence(tmp_path, clock):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        Spool(tmp_path / "file" / "trade.spool", 2**20, clock)


NURSERY = """
import os, random, signal, sys, time
sys.path.insert(0, sys.argv[1])
from tests.unit.test_spool import Clock, event, telling
from lienthong.spool import Spool
from pathlib import Path

def child(path, notes, number):
    spool = Spool(path, 2**30, Clock())
    while True:
        # A pair is one fact in two writings: both or neither.
        mark = os.urandom(8).hex().encode()
        spool.put([telling(event(mark + b"+" * 3000)), telling(event(mark))])
        os.write(notes, mark + b"\\n")
        if number % 2:
            spool.take() and spool.settle([(row.seq, 0, 0) for row in spool.fetch(2)], [])

dice = random.Random(int(sys.argv[3]))
for number in range(int(sys.argv[4])):
    pid = os.fork()
    if not pid:
        child(Path(sys.argv[2]), 1, number)
    time.sleep(dice.uniform(0.002, 0.08))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
"""


def test_whatever_moment_a_publisher_is_killed_what_it_was_promised_is_there(tmp_path, clock):
    """Promise: a fact is on the disk, whole, when `put` has returned; a kill leaves nothing half done."""
    path = tmp_path / "trade.spool"
    command = [sys.executable, "-c", NURSERY, str(ROOT), str(path), "7", "20"]
    ran = subprocess.run(command, capture_output=True, check=True, timeout=60)
    promised = ran.stdout.split()
    assert len(promised) > 10
    spool = Spool(path, 2**30, clock)
    waiting = [bytes(row.event.value or b"") for row in spool.fetch(100_000)]
    gone = spool.count_sent().get(TOPIC, 0)
    spool.close()
    longs = {value[:16] for value in waiting if value.endswith(b"+")}
    shorts = {value for value in waiting if not value.endswith(b"+")}
    assert longs == shorts, "each pair is whole"
    assert len(set(promised) - shorts) <= gone / 2, "what is not there was sent"
    assert len(waiting) + gone >= 2 * len(promised)


def test_a_spool_that_was_emptied_gives_its_room_back(opened):
    spool = opened(most_bytes=2**24)
    spool.put([telling(event(b"x" * 60_000)) for _ in range(50)])
    settle_all(spool)
    spool.close()
    opened().close()
    assert spool.path.stat().st_size < 100_000


def test_the_ledger_reads_what_waits_and_what_was_sent_with_its_place(opened):
    spool, sent, waits = opened(), event(), event()
    spool.put([telling(sent)])
    (row,) = spool.fetch(1)
    spool.settle([(row.seq, 3, 41)], [])
    spool.put([telling(waits)])
    books = read_spools(spool.path.parent)["trade"]
    assert books.sent == {TOPIC: {UUID(sent.id).bytes: (3, 41)}}
    assert books.waiting == {TOPIC: {UUID(waits.id).bytes}}
    source = Source(noted={})
    source.add(books)
    assert source.facts == {TOPIC: {UUID(sent.id).bytes, UUID(waits.id).bytes}}
    assert (source.noted, source.waiting) == ({TOPIC: {UUID(sent.id).bytes}}, 1)


def test_a_spool_that_the_ledger_cannot_read_is_named(tmp_path):
    (tmp_path / "trade.spool").write_bytes(b"no database" * 500)
    with pytest.raises(BusNotUsable, match=r"trade\.spool cannot be read"):
        read_spools(tmp_path)


def test_every_commit_waits_for_the_disk(opened):
    """A kill is tried above; a power cut is not, so the setting that survives one is held here."""
    spool = opened()
    assert spool._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert spool._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
