"""Read batches of compressed records within bounds: a few kilobytes may unfold to gigabytes (hop 5).

Anyone who may write a topic can write such a batch: the broker looks at its folded size only, and aiokafka
would unfold it whole in every reader's memory, after each restart again. A batch that unfolds to more than
any client of ours writes, or to nothing that can be read, comes as one record at the place of its last one,
whose value is the batch as the broker keeps it: it is set aside whole, and the ones behind it go on.
"""

import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import cramjam
from aiokafka import codec
from aiokafka.consumer import fetcher
from aiokafka.record import default_records
from aiokafka.record.memory_records import _MemoryRecordsPy

from lienthong.sizes import UNFOLDED_BYTES

FIRST_BYTES: Final = 64 * 2**10
XERIAL_HEADER_BYTES: Final = 16
_TIMES: Final = 16
"""Few batches unfold to more than so many times their size: room for more is made when it is needed."""

FOLDED: Final = (
    f"it ends a compressed batch that unfolds to more than {UNFOLDED_BYTES >> 20} MB, or not at all; "
    "the dead letter holds the batch as it was"
)


class UnfoldsTooFar(ValueError):
    """A batch that unfolds to more than the bound, or not at all."""


class Folded(bytes):
    """A batch that was not unfolded, in the place of a record's value."""

    __slots__ = ()


class _StandIn(NamedTuple):
    """What stands for a batch that is not unfolded, as aiokafka's fetcher wants a record."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: Folded
    headers: tuple[()] = ()
    checksum: None = None


class _Batch:
    """One batch of aiokafka's, whose bytes are kept until it is unfolded."""

    __slots__ = ("_batch", "_raw")

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(self._batch)
        except UnfoldsTooFar:
            batch = self._batch
            last = batch.next_offset - 1
            return iter([_StandIn(last, batch.max_timestamp, batch.timestamp_type, None, Folded(self._raw))])


class Records(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of one answer of the broker, each unfolded within bounds when it is its turn."""

    def next_batch(self, *_: Any) -> Any:
        following = self._next_slice
        return following if following is None else _Batch(self.open_batch(following), following)

    def open_batch(self, _: memoryview) -> Any:
        """Open the next batch by aiokafka's own reader."""
        return super().next_batch()


def _in_room(unfold: Callable[[Any, bytearray], int]) -> Callable[[bytes], bytes]:
    """Unfold into room that grows up to the bound and no further."""

    def unfold_bounded(folded: bytes) -> bytes:
        room = min(UNFOLDED_BYTES, max(FIRST_BYTES, len(folded) * _TIMES))
        while True:
            unfolded = bytearray(room)
            try:
                written = unfold(folded, unfolded)
            except cramjam.DecompressionError as error:
                if room == UNFOLDED_BYTES:
                    raise UnfoldsTooFar from error
                room = min(UNFOLDED_BYTES, room * 8)
            else:
                return bytes(memoryview(unfolded)[:written])

    return unfold_bounded


def _ungzip(folded: bytes) -> bytes:
    unfolded, left = b"", folded
    while left:
        member = zlib.decompressobj(wbits=31)
        try:
            unfolded += member.decompress(left, UNFOLDED_BYTES + 1 - len(unfolded))
        except zlib.error as error:
            raise UnfoldsTooFar from error
        if not member.eof or len(unfolded) > UNFOLDED_BYTES:
            raise UnfoldsTooFar
        left = member.unused_data
    return unfolded


def _unsnap(folded: bytes) -> bytes:
    """Unfold snappy, whose blocks say first to how much they unfold, and are held to it."""
    try:
        if sum(map(cramjam.snappy.decompress_raw_len, _iter_blocks(folded))) > UNFOLDED_BYTES:
            raise UnfoldsTooFar
        return bytes(codec.snappy_decode(folded))
    except (cramjam.DecompressionError, struct.error) as error:
        raise UnfoldsTooFar from error


def _iter_blocks(folded: bytes) -> Iterator[bytes]:
    """Walk through the blocks of Java's framing, or give the one block that all of it is."""
    if not codec._detect_xerial_stream(folded):  # noqa: SLF001 - told apart as aiokafka will
        yield folded
        return
    at = XERIAL_HEADER_BYTES
    while at < len(folded):
        (length,) = struct.unpack_from("!i", folded, at)
        if length <= 0:
            raise UnfoldsTooFar  # aiokafka would go round in circles
        yield folded[at + 4 : at + 4 + length]
        at += 4 + length


BOUNDED: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip_decode": _ungzip,
    "snappy_decode": _unsnap,
    "lz4_decode": _in_room(cramjam.lz4.decompress_into),
    "zstd_decode": _in_room(cramjam.zstd.decompress_into),
}
"""In the place of aiokafka's functions of these names."""


def bound_unfolding() -> None:
    """From now on, aiokafka unfolds within bounds in this process; twice is the same as once."""
    if issubclass(fetcher.MemoryRecords, Records):
        return
    for reader in {default_records, sys.modules[default_records.DefaultRecordBatch.__module__]}:
        for name, unfold in BOUNDED.items():
            setattr(reader, name, unfold)
    fetcher.MemoryRecords = Records
