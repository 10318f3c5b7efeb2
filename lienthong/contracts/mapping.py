"""Tell a fact of the newer major in the words of the former one, as its contract maps them (hop 3)."""

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from lienthong.contracts.contract import Contract, Derivation, Field
from lienthong.moments import HANOI, find_timestamp

Data = Mapping[str, Any]
Get = Callable[[Data, Data], Any]
"""Gives a value out of the whole data, or out of the object at hand; None where there is none."""

PLAIN: Final = Derivation("")


class Translation:
    """Makes the former major's data out of the newer one's; what it makes is for the gate to judge."""

    def __init__(self, contract: Contract, former: Contract) -> None:
        self._new = contract
        self._former = former
        said = contract.continues.mapping if contract.continues is not None else ()
        self._derivations = {derivation.path: derivation for derivation in said}
        self._make = self._object(former.fields, contract.fields, "")
        self._make_key = [
            self._field(one, _named(contract.fields, one.name), one.name) for one in _key_fields(former)
        ]

    def data(self, data: Data) -> dict[str, Any]:
        """Tell one fact's data in the former major's words."""
        made: dict[str, Any] = self._make(data, data)
        return made

    def key(self, key: str) -> str:
        """Tell a state's key in the former major's words: a tombstone has nothing else."""
        parts = dict(zip(self._new.key, key.split("|"), strict=False))
        return "|".join(str(make(parts, parts)) for make in self._make_key)

    def _object(self, old: Sequence[Field], new: Sequence[Field], prefix: str) -> Get:
        makers = [(one.name, self._field(one, _named(new, one.name), f"{prefix}{one.name}")) for one in old]

        def make(root: Data, here: Data) -> dict[str, Any]:
            made = ((name, maker(root, here)) for name, maker in makers)
            return {name: value for name, value in made if value is not None}

        return make

    def _field(self, old: Field, new: Field | None, path: str) -> Get:
        derivation = self._derivations.get(path)
        if derivation is None:
            name = old.name
            return self._value(old, new, lambda _, here: here.get(name), path)
        if not derivation.sources:
            return lambda _root, _here: derivation.value
        new = find_field(self._new.fields, derivation.sources[0])
        value = self._value(old, new, _source(derivation), path)
        return lambda root, here: _or(value(root, here), derivation.otherwise)

    def _value(self, old: Field, new: Field | None, get: Get, path: str) -> Get:
        """Make a value of the former field's kind out of what `get` finds."""
        if old.logical_type == "object":
            inner = self._object(old.fields, new.fields if new is not None else (), f"{path}/")
            if new is None:  # only derivations may fill it
                return lambda root, _: inner(root, {}) or None
            return lambda root, here: _told(inner, root, get(root, here))
        if old.logical_type == "array" and old.items is not None and old.items.fields:
            fields = new.items.fields if new is not None and new.items is not None else ()
            each = self._object(old.items.fields, fields, f"{path}/*/")
            return lambda root, here: _each(each, root, get(root, here))
        derivation = self._derivations.get(path, PLAIN)
        return _single(old, new, derivation, get)


def find_field(fields: Sequence[Field], path: str) -> Field | None:
    """Find a field by its path; None where there is none, or it is inside a list."""
    found: Field | None = None
    for name in path.split("/"):
        found = _named(fields, name)
        if found is None:
            return None
        fields = found.fields
    return found


def _single(old: Field, new: Field | None, derivation: Derivation, get: Get) -> Get:
    codes, times = derivation.codes, derivation.times
    to_day = old.logical_type == "date" and new is not None and new.logical_type == "timestamp"

    def make(root: Data, here: Data) -> Any:
        value = get(root, here)
        if value is None:
            return None
        if codes:
            value = codes.get(value, value)
        if times is not None:
            return _scaled(value, times, whole=old.logical_type == "integer")
        return _day(value) if to_day else value

    return make


def _source(derivation: Derivation) -> Get:
    paths = [source.split("/") for source in derivation.sources]
    if len(paths) == 1:
        return lambda root, _: _at(root, paths[0])

    def join(root: Data, _: Data) -> str | None:
        found = [text for path in paths if isinstance(text := _at(root, path), str)]
        return derivation.joined_by.join(found) if found else None

    return join


def _at(data: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        data = data.get(step) if isinstance(data, dict) else None
    return data


def _told(make: Get, root: Data, found: Any) -> Any:
    return make(root, found) if isinstance(found, dict) else None


def _each(make: Get, root: Data, elements: Any) -> list[Any] | None:
    return [make(root, element) for element in elements] if isinstance(elements, list) else None


def _scaled(value: Any, times: float, *, whole: bool) -> Any:
    # By decimals: 3.15 kg are 3150 g, and not a hair less.
    scaled = Decimal(str(value)) * Decimal(str(times))
    return int(scaled.to_integral_value(ROUND_HALF_EVEN)) if whole else float(scaled)


def _day(text: str) -> str | None:
    moment = find_timestamp(text)
    return moment.astimezone(HANOI).date().isoformat() if moment is not None else None


def _or(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _named(fields: Sequence[Field], name: str) -> Field | None:
    return next((one for one in fields if one.name == name), None)


def _key_fields(contract: Contract) -> list[Field]:
    return [one for name in contract.key if (one := _named(contract.fields, name)) is not None]
