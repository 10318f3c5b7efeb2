"""Read records whose header names are not UTF-8, at which aiokafka would stop for ever (hop 5).

Anyone who may write a topic can write such a name. aiokafka's compiled reader raises on it and gives neither
the record nor its place, so that no reader could set it aside.
"""

from typing import Any, Self

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy

from lienthong.unfolding import Records, bound_unfolding


class _Buffer(bytearray):
    """A batch's bytes, whose slices are decoded with odd bytes spelt out in hexadecimal."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _Buffer(found) if isinstance(place, slice) else found

    def decode(self, *_: Any, **__: Any) -> str:
        return bytes(self).decode("utf-8", "backslashreplace")


class _Batch(_DefaultRecordBatchPy):  # type: ignore[misc]
    def __iter__(self) -> Self:
        self._maybe_uncompress()
        self._buffer: bytearray = _Buffer(self._buffer)
        return self


class _Records(Records):
    def open_batch(self, following: memoryview) -> Any:
        if following[self.MAGIC_OFFSET] < 2:
            return super().open_batch(following)
        self._cache_next()
        return _Batch(following)


def read_odd_headers() -> None:
    """From now on, read with aiokafka's Python reader in this process: it is slower, and can be taught."""
    bound_unfolding()
    fetcher.MemoryRecords = _Records
