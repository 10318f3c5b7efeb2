"""The demo draws every room's input in the order papers are handed on, and lets all of it in side by side."""

import sys
from collections.abc import Iterator
from graphlib import CycleError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.demo import Scale
from lienthong.demo.rooms import TURNS, Room, Stream, draw_input, find_rooms, in_turns

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
    assert draw_input(rooms, Scale(seed=7, size=1)) == [
        Stream("gamma", "busily", [("gamma", b"[]")]),
        Stream("beta", "busily", [("beta", repr([slip]).encode())]),
        Stream("alpha", "busily", [("alpha", repr([slip, card]).encode())]),
    ]


def test_a_room_says_when_a_kind_comes_in(rooms):
    folder = rooms[2].folder
    (folder / "demo.py").write_text(
        "GIVES = NEEDS = ()\nCOMES = {'list': 'first'}\n"
        "def feed(scale, papers):\n    yield 'form', b'1'\n    yield 'list', b'2'\n    yield 'form', b'3'\n"
    )
    assert draw_input([Room("gamma", folder)], Scale()) == [
        Stream("gamma", "busily", [("form", b"1"), ("form", b"3")]),
        Stream("gamma", "first", [("list", b"2")]),
    ]


def test_a_room_without_a_feed_hands_nothing_in(rooms):
    assert "silent" not in {stream.room for stream in draw_input(rooms, Scale())}


def test_rooms_that_wait_for_each_others_papers_are_found_out(rooms):
    (rooms[2].folder / "demo.py").write_text(GIVING.format(name="gamma", gives="'slip',", needs="'card',"))
    with pytest.raises(CycleError):
        draw_input(rooms, Scale())


def test_the_citys_own_rooms_are_found():
    assert [room.name for room in find_rooms(REPOSITORY)] == sorted(
        folder.parent.name for folder in REPOSITORY.glob("services/*/app.py")
    )


records = st.lists(st.tuples(st.sampled_from("ab"), st.binary(max_size=3)), max_size=40)


STREAMS = st.lists(
    st.builds(
        Stream,
        st.sampled_from(["health", "justice", "onestop"]),
        st.sampled_from(["first", "busily", "steadily", "last"]),
        records,
    ),
    max_size=5,
)


@given(STREAMS)
def test_every_record_comes_in_once_and_in_order(streams):
    turns = list(in_turns(streams))
    assert len(turns) == TURNS
    for place, stream in enumerate(streams):
        assert [record for turn in turns for record in turn[place][1]] == stream.records
        assert {turn[place][0] for turn in turns} == {stream.room}


def test_what_all_else_stands_on_comes_first_and_what_speaks_of_all_else_last():
    drawn = [("form", b"%d" % number) for number in range(600)]
    first, last, even, busy = (
        [len(turn[place][1]) for turn in in_turns([Stream("x", when, drawn) for when in WHENS])]
        for place, _ in enumerate(WHENS)
    )
    assert first[0] == last[-1] == 600
    assert set(even) == {10}
    assert max(busy) == busy[0] == busy[20], "Monday mornings"
    assert max(busy) > 2 * 10


WHENS = ("first", "last", "steadily", "busily")


def test_the_same_seed_draws_the_same_and_each_room_has_its_own_dice():
    def drawn(seed: int, room: str) -> list[float]:
        dice = Scale(seed=seed).dice(room)
        return [dice.random() for _ in range(3)]

    assert drawn(1, "health") == drawn(1, "health")
    assert drawn(1, "health") != drawn(1, "justice")
    assert drawn(1, "health") != drawn(2, "health")
