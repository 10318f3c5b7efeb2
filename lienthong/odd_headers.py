"""Read records whose header names are not UTF-8, at which aiokafka would stop for ever (hop 5).

Anyone who may write a topic can write such a name. aiokafka's compiled reader raises on it and gives neither
the record nor its place, so that no reader could set it aside.
"""

from typing import Any, Self

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy


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


class _Records(_MemoryRecordsPy):  # type: ignore[misc]
    def next_batch(self, *_: Any) -> Any:
        following = self._next_slice
        if following is None or following[self.MAGIC_OFFSET] < 2:
            return super().next_batch()
        self._cache_next()
        return _Batch(following)


def read_odd_headers() -> None:
    """From now on, read with aiokafka's Python reader in this process: it is slower, and can be taught."""
    fetcher.MemoryRecords = _Records
