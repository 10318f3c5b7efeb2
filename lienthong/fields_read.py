"""Count which granted fields a department's code reads: by field, never by event or person (hop 6).

A typed class whose topic is read gets a counter before each field. What takes an event whole (`model_dump`,
iteration) reads every field. A plain dictionary, and what a room asks of `lienthong.state` in its own SQL,
cannot be counted: of such topics nothing is said that would look like "never".
"""

from typing import Any, Final

import pydantic

Counts = dict[str, int]

_COUNTS: Final[dict[type[pydantic.BaseModel], Counts]] = {}
"""By class that is watched: how often each field was read in this process."""


class CountedField:
    """Stands before one field of a class: counts, and gives what the field holds."""

    __slots__ = ("_counts", "_name")

    def __init__(self, name: str, counts: Counts) -> None:
        self._name = name
        self._counts = counts

    def __get__(self, data: Any, _: Any = None) -> Any:
        try:
            value = data.__dict__[self._name]
        except (KeyError, TypeError):
            # Of the class itself, as pydantic has it: a field is no attribute.
            raise AttributeError(self._name) from None
        self._counts[self._name] += 1
        return value

    def __set__(self, data: Any, value: Any) -> None:
        # That it can be set at all is what puts it before the instance's own dictionary.
        raise AttributeError(self._name)


def watch(kind: type[pydantic.BaseModel]) -> None:
    """Count from now on how often each field of a class is read; twice is the same as once."""
    if kind not in _COUNTS:
        counts = _COUNTS[kind] = dict.fromkeys(kind.model_fields, 0)
        for name in kind.model_fields:
            setattr(kind, name, CountedField(name, counts))


def note_whole(kind: type[pydantic.BaseModel]) -> None:
    """Count every field of a class that is watched: an event was taken whole."""
    counts = _COUNTS.get(kind)
    if counts is not None:
        for name in counts:
            counts[name] += 1


def counts_of(kind: type[pydantic.BaseModel]) -> Counts:
    """Tell how often each field of a class was read; nothing where it is not watched."""
    return dict(_COUNTS.get(kind, ()))
