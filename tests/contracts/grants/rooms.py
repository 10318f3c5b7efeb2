"""The rooms as they would be under other grants: their classes are made anew before they are imported."""

import importlib
import io
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from lienthong import Department
from lienthong.contracts import Contracts
from lienthong.contracts.typed import events_module
from lienthong.service import grant_readings
from lienthong.turn import Reading

ROOT = Path(__file__).parents[3]


class Shared(NamedTuple):
    """One field that one grant names."""

    topic: str
    group: str
    field: str

    def __str__(self) -> str:
        return f"{self.topic} → {self.group}: {self.field}"


@dataclass(frozen=True)
class Room:
    """A department at work, with what it reads under its grants."""

    department: Department
    tables: str
    readings: Mapping[str, Mapping[str, Reading]]

    @property
    def name(self) -> str:
        return self.department.name


def iter_shared(contracts: Contracts) -> Iterator[Shared]:
    """Walk every field of every grant but the keys, without which nothing can be told apart."""
    for topic, contract in contracts.contracts.items():
        for grant in contract.grants:
            for field in grant.fields:
                if field not in contract.key:
                    yield Shared(topic, grant.group, field)


def without(contracts: Contracts, shared: Shared) -> Contracts:
    """Take a field out of a grant."""
    return _granting(contracts, shared, lambda fields: tuple(f for f in fields if f != shared.field))


def widened(contracts: Contracts, shared: Shared) -> Contracts:
    """Put a field into a grant."""
    return _granting(contracts, shared, lambda fields: (*fields, shared.field))


def _granting(contracts: Contracts, shared: Shared, change) -> Contracts:
    contract = contracts.contracts[shared.topic]
    grants = tuple(
        replace(grant, fields=change(grant.fields)) if grant.group == shared.group else grant
        for grant in contract.grants
    )
    return replace(
        contracts, contracts={**contracts.contracts, shared.topic: replace(contract, grants=grants)}
    )


def open_rooms(contracts: Contracts, versions: Mapping[str, str], *names: str) -> dict[str, Room]:
    """Import rooms as if their classes had been generated from these contracts."""
    rooms = {}
    for name in names:
        package = importlib.import_module(f"services.{name}")
        events = ModuleType(f"services.{name}.events")
        events.__file__ = f"{ROOT}/services/{name}/events.py"
        sys.modules[events.__name__] = events
        package.events = events
        source = events_module(contracts, versions, name)
        exec(compile(source, events.__file__, "exec"), vars(events))
        app = importlib.import_module(f"services.{name}.app").app
        department = getattr(package, name)
        rooms[name] = Room(department, app.broker.service._tables, grant_readings(department, contracts))
    return rooms


def reader_of_the_readme(contracts: Contracts, said: io.StringIO) -> Room:
    """Make a room of the reader that the README shows; what it prints is written down."""
    (code,) = re.findall(r"```python\n(# reader\.py.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    names: dict[str, object] = {"print": lambda *words, **_: said.write(f"{words}\n")}
    exec(compile(code, "reader.py", "exec"), names)
    (department,) = (value for value in names.values() if isinstance(value, Department))
    return Room(department, "", grant_readings(department, contracts))


def names_of_rooms() -> list[str]:
    """Name the departments that have a room."""
    return sorted(path.parent.name for path in (ROOT / "services").glob("*/app.py"))
