"""A batch is unfolded within bounds, by whichever of aiokafka's readers; else it comes as it was folded."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from lienthong.dead_letters import Record
from lienthong.lane import Lane
from lienthong.settings import Settings
from lienthong.sizes import UNFOLDED_BYTES
from lienthong.unfolding import BOUNDED, Folded, UnfoldsTooFar, bound_unfolding

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
FOLDING = [name for name in CODECS if name != "none"]


def fold(values: list[bytes], codec: str) -> bytes:
    """A batch as a client writes it."""
    batch = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=CODECS[codec],
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=0,
        batch_size=2**30,
    )
    for offset, value in enumerate(values):
        assert batch.append(offset, timestamp=1_763_150_100_000, key=b"vat", value=value, headers=[])
    return bytes(batch.build())


def unfold(*batches: bytes) -> list[Any]:
    """The records that aiokafka's fetcher gets of an answer that holds these batches."""
    bound_unfolding()
    answer = fetcher.MemoryRecords(b"".join(batches))
    return [record for _ in iter(answer.has_next, False) for record in answer.next_batch()]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("values", [[b"{}"], [os.urandom(400) for _ in range(50)], [b"0" * 200_000] * 20])
def test_what_any_client_writes_is_read_as_it_was(codec: str, values: list[bytes]) -> None:
    assert [(record.offset, record.value) for record in unfold(fold(values, codec))] == list(
        enumerate(values)
    )


@pytest.mark.parametrize("codec", FOLDING)
def test_a_batch_that_unfolds_too_far_comes_folded_and_the_next_one_is_read(codec: str) -> None:
    bomb, sound = fold([b"0" * (UNFOLDED_BYTES // 2)] * 3, codec), fold([b"sound"], codec)
    assert len(bomb) < UNFOLDED_BYTES // 2
    folded, last = unfold(bomb, sound)
    assert folded.offset == 2, "the place of its last record: none of it is read again"
    assert isinstance(folded.value, Folded)
    assert folded.value == bomb
    assert (folded.key, folded.headers) == (None, ())
    assert last.value == b"sound"


@pytest.mark.parametrize("codec", FOLDING)
def test_what_is_not_folded_at_all_is_no_way_out(codec: str) -> None:
    # After the 61 bytes of a batch's head, the records; the end of them is missing.
    for odd in (b"\x12" * 40, fold([os.urandom(1_000)] * 2, codec)[61:-9]):
        with pytest.raises(UnfoldsTooFar):
            BOUNDED[f"{codec}_decode"](odd)


@pytest.mark.parametrize("length", [-4, 0, 2**31 - 1])
def test_a_block_of_snappys_framing_that_leads_nowhere_is_not_followed(length: int) -> None:
    framed = b"\x82SNAPPY\x00" + (1).to_bytes(4) * 2 + length.to_bytes(4, signed=True) + b"\x00" * 8
    with pytest.raises(UnfoldsTooFar):
        BOUNDED["snappy_decode"](framed)


def test_a_block_that_claims_more_than_there_is_room_for_is_believed_and_left_folded() -> None:
    with pytest.raises(UnfoldsTooFar):
        BOUNDED["snappy_decode"](b"\xff\xff\xff\xff\x0f\x00a")


def test_a_folded_batch_is_set_aside_with_a_sentence_and_none_of_its_bytes() -> None:
    lane = Lane(
        Settings(
            bootstrap_servers="127.0.0.1:9092",
            username="health",
            password="secret",
            database_url="postgresql://health@127.0.0.1/health",
            security_protocol="SASL_PLAINTEXT",
        )
    )
    lane.take([Record("health.birth-notified.v1", 0, 41, 0, None, Folded(b"bomb"), ())])
    (taken,) = lane.choose(10, now=0.0)
    assert taken.event is None
    assert taken.identity == ("kafka:health.birth-notified.v1", "0/41")
    assert taken.unreadable is not None
    assert taken.unreadable.code == "unreadable"
    assert "unfolds to more than 8 MB" in taken.unreadable.sentence
    assert "bomb" not in taken.unreadable.sentence


def test_the_reader_for_odd_headers_is_bound_too(repository: Path) -> None:
    """In a process of its own: what it changes in aiokafka stays changed."""
    program = (
        "from lienthong.odd_headers import read_odd_headers; read_odd_headers();"
        "from tests.unit.test_unfolding import *;"
        "found = unfold(fold([b'0' * UNFOLDED_BYTES] * 2, 'zstd'), fold([b'sound'], 'lz4'));"
        "print([type(record.value).__name__ for record in found])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "['Folded', 'bytes']"
