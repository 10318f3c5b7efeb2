"""Place an address of before 1 July 2025 in one of today's wards and communes, or say why it cannot be.

An address counts as placed when it names a former unit of its district and that unit lies wholly in one of
today's units, or was divided and one of the parts keeps its name. Nothing else is guessed: a facility's unit
is printed on birth certificates.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from lienthong import Refused
from services.health.events import Unit, UnitFormerUnits

TONES = "\N{COMBINING GRAVE ACCENT}\N{COMBINING ACUTE ACCENT}\N{COMBINING TILDE}\N{COMBINING HOOK ABOVE}"
TONES += "\N{COMBINING DOT BELOW}"

MENTION = re.compile(r"(?<!\w)(phường|xã|thị trấn|p\.|tt\.)\s*([^,()]+?)\s*(?=$|[,(]|\s-\s)", re.IGNORECASE)
KIND = re.compile(r"^(phường|xã|thị trấn|quận|huyện|thị xã)\s+", re.IGNORECASE)
IN_BRACKETS = re.compile(r"\([^)]*(?:\)|$)")

Former = dict[str, list[tuple[UnitFormerUnits, Unit]]]


class UnitNotNamed(Refused):
    """Neither name nor address names one former ward, commune or town."""

    code = "unit-not-named"
    remedy = "Add the ward or commune to the address."


class UnitUnknown(Refused):
    """What is named was no unit of that district."""

    code = "unit-unknown"
    remedy = "Correct the district, or the ward or commune."


class UnitDivided(Refused):
    """The former unit was divided, and the list does not say which part the facility is in."""

    code = "unit-divided"
    remedy = "Ask the facility which of today's units it is in, and add it to the address."


@dataclass(frozen=True, slots=True)
class Place:
    """Where a facility is today, and how we know."""

    unit_code: str
    found_by: Literal["whole-unit", "same-name"]
    former_unit: str
    former_district: str


def place(name: str, address: str, district: str, units: Iterable[Unit]) -> Place:
    """Place a facility by its name, address and old district; `units` are today's.

    Raises:
        UnitNotNamed, UnitUnknown, UnitDivided: with the reason.
    """
    former = _former_units(district, units)
    in_address, in_name = list(_mentions(address)), list(_mentions(IN_BRACKETS.sub("", name)))
    parts = [part for part in re.split(r",|\s-\s", address) if folded(part) != folded(_bare(district))]
    for candidates in (in_address, in_name, parts):
        known = {spelling: text for text in candidates if (spelling := _known(text, former))}
        if len(known) == 1:
            return _today(former[next(iter(known))])
        if known:
            raise UnitNotNamed(reason=f"{' and '.join(known.values())} are named, which are two units")
    if named := [*in_address, *in_name]:
        raise UnitUnknown(reason=f"{' nor '.join(dict.fromkeys(named))} was no unit of {district}")
    raise UnitNotNamed(reason=f"no former ward or commune of {district} is named, only a street or a place")


@lru_cache(maxsize=4_096)
def folded(name: str) -> str:
    """Fold a name to compare it: case, spaces, hyphens, and where in a word the tone is written (oà, òa)."""
    words = re.split(r"[\s\-–]+", unicodedata.normalize("NFD", name).casefold().strip())
    return " ".join("".join(sorted(word, key=lambda sign: sign in TONES)) for word in words)


def _bare(name: str) -> str:
    return KIND.sub("", name)


def _mentions(text: str) -> Iterator[str]:
    """Find what is called a ward, commune or town: `Tổ 49 P. Yên Hoà` names `Phường Yên Hoà`."""
    for kind, name in MENTION.findall(" ".join(text.split())):
        spelled = {"p.": "phường", "tt.": "thị trấn"}.get(kind.lower(), kind.lower())
        yield f"{spelled.capitalize()} {name}"


def _former_units(district: str, units: Iterable[Unit]) -> Former:
    """Index a district's former units by their folded names, with and without the kind."""
    former: Former = defaultdict(list)
    for unit in units:
        for old in unit.former_units:
            if folded(old.district) == folded(district):
                for spelling in {folded(old.name), folded(_bare(old.name))}:
                    former[spelling].append((old, unit))
    return dict(former)


def _known(text: str, former: Former) -> str | None:
    """Find the spelling a text is known by: as it is, or without its kind (a town is called a commune)."""
    return next((spelling for spelling in (folded(text), folded(_bare(text))) if spelling in former), None)


def _today(found: list[tuple[UnitFormerUnits, Unit]]) -> Place:
    old = found[0][0]
    units = {unit.unit_code: unit for _, unit in found}
    if len(units) == 1:
        return Place(next(iter(units)), "whole-unit", old.name, old.district)
    same_name = [code for code, unit in units.items() if folded(_bare(unit.name)) == folded(_bare(old.name))]
    if len(same_name) == 1:
        return Place(same_name[0], "same-name", old.name, old.district)
    listed = ", ".join(f"{unit.name} ({code})" for code, unit in sorted(units.items()))
    raise UnitDivided(reason=f"{old.name}, {old.district}, was divided between {listed}")
