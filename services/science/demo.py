"""The department's sources: the official list of units and what became of the old ones, and the agencies."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lienthong.demo import Papers, Scale

GIVES = ("unit-list",)
NEEDS = ()
COMES = {"unit": "first", "agency": "first"}

DATA = Path(__file__).parent / "data"
SINCE = "2025-07-01"
KINDS = {"Phường": "ward", "Xã": "commune"}


def feed(_: Scale, papers: Papers) -> Iterator[tuple[str, bytes]]:
    """Hand in the 126 units and the agencies; the list of units hangs on every counter's wall."""
    papers["unit-list"] = units = read_units()
    agencies = [{name: told for name, told in row.items() if told} for row in _rows("agencies.csv")]
    records = [("unit", unit) for unit in units] + [("agency", agency) for agency in agencies]
    return iter([(kind, json.dumps(told, ensure_ascii=False).encode()) for kind, told in records])


def read_units() -> list[dict[str, Any]]:
    """Read both tables and join them: each unit with the former units that went into it."""
    former: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in _rows(f"hanoi_units_before_{SINCE}.csv"):
        former[row["new_code"]].append(
            {
                "former_code": row["old_code"],
                "name": row["old_name"],
                "district": row["old_district"],
                "divided": row["divided"] == "true",
            }
        )
    return [
        {
            "unit_code": row["code"],
            "name": row["name"],
            "kind": KINDS[row["kind"]],
            "effective_on": SINCE,
            "population": int(row["population"]),
            "area_km2": float(row["area_km2"]),
            "former_units": former[row["code"]],
        }
        for row in _rows("hanoi_units.csv")
    ]


def _rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
