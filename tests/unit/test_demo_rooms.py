"""The demo draws every room's input in the order papers are handed on, and lets all of it in side by side."""

import sys
from collections.abc import Iterator
from graphlib import CycleError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.demo import Scale
from lienthong.demo.rooms import Room, draw_input, find_rooms, interleaved

REPOSITORY = Path(__file__).parents[2]

GIVING = """
GIVES = ({gives})
NEEDS = ({needs})

def feed(scale, papers):
    taken = [paper for kind in NEEDS for paper in papers[kind]]
    for kind in GIVES:
        papers[kind] = [{{"from": {name!r}, "seed": scale.seed}}]
    yield {name!r}, repr(taken).encode()
"""


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Room]]:
    """Rooms whose names sort against the way of the papers, below a services package of their own."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "services"}
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path, "alpha", gives="", needs="'slip', 'card',")
    write(tmp_path, "beta", gives="'card',", needs="'slip',")
    write(tmp_path, "gamma", gives="'slip',", needs="")
    (tmp_path / "services" / "silent").mkdir()
    (tmp_path / "services" / "silent" / "app.py").touch()
    yield find_rooms(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "services"]:
        del sys.modules[name]
    sys.modules.update(kept)


def write(root: Path, name: str, **papers: str) -> None:
    folder = root / "services" / name
    folder.mkdir(parents=True)
    (root / "services" / "__init__.py").touch()
    (folder / "__init__.py").touch()
    (folder / "app.py").touch()
    (folder / "demo.py").write_text(GIVING.format(name=name, **papers))


def test_a_room_is_a_folder_with_an_application(rooms):
    assert [room.name for room in rooms] == ["alpha", "beta", "gamma", "silent"]


def test_papers_are_handed_out_before_they_are_handed_in(rooms):
    slip, card = {"from": "gamma", "seed": 7}, {"from": "beta", "seed": 7}
    assert draw_input(rooms, Scale(seed=7, size=1)) == {
        "gamma": [("gamma", b"[]")],
        "beta": [("beta", repr([slip]).encode())],
        "alpha": [("alpha", repr([slip, card]).encode())],
    }


def test_a_room_without_a_feed_hands_nothing_in(rooms):
    assert "silent" not in draw_input(rooms, Scale())


def test_rooms_that_wait_for_each_others_papers_are_found_out(rooms):
    (rooms[2].folder / "demo.py").write_text(GIVING.format(name="gamma", gives="'slip',", needs="'card',"))
    with pytest.raises(CycleError):
        draw_input(rooms, Scale())


def test_the_citys_own_rooms_are_found():
    assert [room.name for room in find_rooms(REPOSITORY)] == sorted(
        folder.parent.name for folder in REPOSITORY.glob("services/*/app.py")
    )


records = st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=3)), max_size=40)


@given(st.dictionaries(st.sampled_from(["health", "justice", "onestop"]), records), st.integers(1, 60))
def test_every_record_comes_in_once_and_in_order(drawn, turns):
    dealt = list(interleaved(drawn, turns))
    assert len(dealt) == turns
    assert {name: [r for turn in dealt for r in turn[name]] for name in drawn} == drawn


@given(st.dictionaries(st.sampled_from(["health", "justice", "onestop"]), records), st.integers(1, 60))
def test_every_room_is_equally_far_at_every_turn(drawn, turns):
    come = dict.fromkeys(drawn, 0)
    for number, turn in enumerate(interleaved(drawn, turns), 1):
        for name, some in turn.items():
            come[name] += len(some)
            assert abs(come[name] - len(drawn[name]) * number / turns) < 1


def test_the_same_seed_draws_the_same_and_each_room_has_its_own_dice():
    def drawn(seed: int, room: str) -> list[float]:
        dice = Scale(seed=seed).dice(room)
        return [dice.random() for _ in range(3)]

    assert drawn(1, "health") == drawn(1, "health")
    assert drawn(1, "health") != drawn(1, "justice")
    assert drawn(1, "health") != drawn(2, "health")
