"""Nothing is shared for nothing: whatever is taken out of a grant, a journey breaks."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest

from lienthong.contracts import load_contracts
from tests.contracts.grants.rooms import ROOT, Shared, iter_shared

CONTRACTS = load_contracts(ROOT)
SHARED = list(iter_shared(CONTRACTS))
GRANTS = sorted({(topic, one.group) for topic, told in CONTRACTS.contracts.items() for one in told.grants})
SIDE_BY_SIDE = 2
UNUSED = (
    Shared("insurance.card-closed.v1", "onestop.dossier-follow-up", "ground"),
    Shared("health.birth-notified.v1", "justice.birth-registration", "weight_g"),
)
"""Fields that no grant names: to share them would be for nothing."""


@dataclass
class Played:
    """The city as it ends, and for each change of a grant the chapter that then ends otherwise."""

    whole: list[dict[str, list[str]]]
    breaks: dict[str, str | None]


@pytest.fixture(scope="module")
def played(data: Path) -> Played:
    cases = [
        {"name": "nothing", "widened": None, "without": None},
        *({"name": f"with {shared}", "widened": list(shared), "without": None} for shared in UNUSED),
        *({"name": f"without {shared}", "widened": None, "without": list(shared)} for shared in SHARED),
    ]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
        shares = (cases[number::SIDE_BY_SIDE] for number in range(SIDE_BY_SIDE))
        told = [line for lines in threads.map(partial(play, data), count(), shares) for line in lines]
    return Played(
        [line["whole"] for line in told if "whole" in line],
        {line["case"]: line["breaks"] for line in told if "case" in line},
    )


def play(data: Path, number: int, cases: list[dict[str, object]]) -> list[dict[str, Any]]:
    """Play cases in a process that has imported no room, on databases of its own."""
    command = [sys.executable, "-m", "tests.contracts.grants", str(data), f"grants{number}_{os.getpid()}"]
    written = b"\n".join(map(orjson.dumps, cases))
    ran = subprocess.run(command, cwd=ROOT, input=written, stdout=subprocess.PIPE, check=True)
    return [orjson.loads(line) for line in ran.stdout.splitlines()]


def test_the_city_works_before_anything_is_taken_away(played):
    """Without this, a journey that breaks anyway would make every field look needed."""
    lines = [line for chapter in played.whole[0].values() for line in chapter]
    aside = {line.rpartition(": ")[2] for line in lines if line.startswith("set aside")}
    published = {line.split(": ")[0].removeprefix("published ") for line in lines}

    assert [line for line in lines if "handler-failed" in line or "nothing:" in line] == []
    assert aside == {"sex-undetermined"}
    assert {shared.topic for shared in SHARED} - published == set()


def test_the_same_city_ends_alike_again(played):
    """Without this, chance would make every field look needed."""
    assert played.breaks["nothing"] is None
    assert all(whole == played.whole[0] for whole in played.whole)


@pytest.mark.parametrize("shared", SHARED, ids=str)
def test_a_field_taken_out_of_its_grant_breaks_a_journey(shared, played):
    """Promise: a department is given a field only where somebody would be worse off without it."""
    assert played.breaks[f"without {shared}"], f"{shared} is shared for nothing: narrow the grant"


@pytest.mark.parametrize("shared", UNUSED, ids=str)
def test_a_field_that_is_shared_for_nothing_is_found(shared, played):
    assert played.breaks[f"with {shared}"] is None


@pytest.mark.parametrize(("topic", "group"), GRANTS)
def test_every_grant_is_read_by_its_department(topic, group):
    room = ROOT / "services" / group.partition(".")[0]
    files = [path for path in room.glob("*.py") if path.name != "events.py"] or [ROOT / "README.md"]

    assert any(f'"{topic}"' in path.read_text("utf-8") for path in files)
