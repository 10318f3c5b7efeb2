"""Hold a verdict against the real gate and the real typed classes."""

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import jsonschema_rs
import orjson
from pydantic import ValidationError

from lienthong.contracts import Contract, Contracts, DepartmentCard, json_schema
from lienthong.contracts.compatibility import Change, changes, next_version
from lienthong.contracts.typed import events_module
from lienthong.contracts.witness import Witness, Witnesses
from lienthong.event import Data
from lienthong.gate import Gate
from lienthong.rules import compile_rule
from lienthong.shape import Circumstances, Shape
from tests.soundness.shapes import CODES, TOPIC, documents

NOTED = datetime.fromisoformat("2026-01-01T00:00:00+07:00")
AROUND = Circumstances(NOTED, NOTED, None, "0199a1b2-0000-7000-8000-000000000001")
DOCUMENTS = 12
NONE: frozenset[str] = frozenset()


class Side:
    """One version: its schema, its gate, its typed class."""

    def __init__(self, contract: Contract, version: str) -> None:
        self.contract = contract
        self.schema = json_schema(contract, version)
        self.shape = Shape.of(self.schema)
        self.cls = class_of(contract, version)

    def admits(self, document: Any, size: int = 0) -> bool:
        return not self.shape.check(orjson.dumps(document).ljust(size), AROUND)[1]

    def takes(self, document: Any) -> bool:
        """Tell whether the typed class reads it."""
        try:
            self.cls.model_validate(document)
        except ValidationError:
            return False
        return True


def class_of(contract: Contract, version: str) -> type[Data]:
    """Generate the class that a reader granted everything gets."""
    cards = {name: DepartmentCard(name, "Sở", "Dept", "H26", "a@b.example") for name in ("trade", "science")}
    contracts = Contracts(Path(), {str(contract.topic): contract}, cards)
    names: dict[str, Any] = {}
    exec(events_module(contracts, {str(contract.topic): version}, "trade"), names)
    found: type[Data] = names["PUBLISHES"][str(TOPIC)]
    return found


def unsound(random: Random, old: Side, new: Side) -> Iterator[str]:
    """Seek documents that break what a safe verdict claims to writers and readers."""
    gate = Gate([old.shape, new.shape])
    for document in documents(random, old.contract, DOCUMENTS):
        if old.admits(document):
            if not new.admits(document):
                yield f"an old writer's document is refused: {document}"
            if not new.takes(document):
                yield f"a new reader's class refuses an old writer's document: {document}"
            around = {"time": NOTED, "recorded_at": NOTED, "subject": None, "event_id": AROUND.id}
            gate.check_data(str(TOPIC), orjson.dumps(document), **around, version=old.shape.version)
    for document in documents(random, new.contract, DOCUMENTS):
        if new.admits(document) and not old.takes(document):
            yield f"an old reader's class refuses a new writer's document: {document}"
        if not new.takes(document) and new.admits(document):
            yield f"a class refuses what its own gate admits: {document}"


def false_witness(old: Side, new: Side, change: Change, witness: Witness | None) -> Iterator[str]:
    """Say where a breaking change is not shown to break."""
    if witness is None:
        if _breaks(old, new, change):
            yield f"no witness of {change.rule} at {change.path}"
        return
    document = witness.document
    match witness.shows:
        case "refused":
            shown = old.admits(document, witness.size) and not new.admits(document, witness.size)
        case "unread":
            shown = new.admits(document) and not old.takes(document)
        case "unread-later":
            shown = new.takes(document) and not old.takes(document)
        case _:
            shown = old.admits(document)
    if not shown:
        yield f"no true witness of {change.rule} at {change.path}: {witness}"


def _breaks(old: Side, new: Side, change: Change) -> bool:
    """Tell whether a change could be shown, by trying every value of what the rules here speak of.

    A bound may be narrowed where a rule forbade the rest already, and a rule may say what bounds say: nobody
    is hurt, the comparison does not know it, and calls it breaking.
    """
    if change.rule != "rule-added" and (not old.contract.rules or change.path not in ("/amount", "/sort")):
        return True
    broken = _rule(old, change) if change.rule == "rule-added" else _field(new, change)
    for document in documents(Random(1), old.contract, 3):
        for amount, sort in product(range(100), CODES):
            tried = {**document, "amount": amount, "sort": sort}
            if old.admits(tried) and broken(tried):
                return True
    return False


def _rule(old: Side, change: Change) -> Callable[[Any], bool]:
    rule = compile_rule(change.after, old.schema)
    return lambda tried: rule(tried, AROUND) is not True


def _field(new: Side, change: Change) -> Callable[[Any], bool]:
    name = change.path[1:]
    only = jsonschema_rs.Draft202012Validator(new.schema["properties"][name])
    return lambda tried: not only.is_valid(tried[name])


def judge_sides(
    random: Random, old: Side, new: Side, without: frozenset[str] = NONE
) -> tuple[str, list[str]]:
    found = changes(old.schema, new.schema, without=without)
    if next_version("1.0.0", found) is not None:
        return "safe", list(unsound(random, old, new))
    seek = Witnesses(old.schema, new.schema)
    breaking = [one for one in found if one.level == "breaking"]
    flaws = [flaw for one in breaking for flaw in false_witness(old, new, one, seek.find(one))]
    return "breaking", flaws
