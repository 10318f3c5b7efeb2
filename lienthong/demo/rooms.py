"""Find the departments' services of a folder, run each as a process of its own, and draw their input."""

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

import orjson

from lienthong.demo import Papers, Scale
from lienthong.embedded.ports import HOST
from lienthong.embedded.supervisor import Child, Supervisor
from lienthong.settings import PREFIX

WEEKS: Final = 3
_MONDAY, _OTHER_DAY = (0.5, 0.2, 0.2, 0.1), (0.35, 0.25, 0.25, 0.15)
WEEK: Final = ((1 / 3, _MONDAY), *((1 / 6, _OTHER_DAY),) * 4)
"""Shares of a week's input by day, and of a day's by quarter: an assumption, see docs/decisions/0022."""
TURNS: Final = WEEKS * sum(len(quarters) for _, quarters in WEEK)


@dataclass(frozen=True, slots=True)
class Room:
    """A department that has a service here."""

    name: str
    folder: Path


def find_rooms(root: Path) -> list[Room]:
    """Find the rooms: folders below `services/` with an `app.py`, by name."""
    return [Room(app.parent.name, app.parent) for app in sorted((root / "services").glob("*/app.py"))]


When = Literal["first", "busily", "steadily", "last"]
"""When a kind of record comes in: before all else, as counters are busy, at an even rate, after all else."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What comes in at one department: raw records, (kind, bytes), in order."""

    room: str
    when: When
    records: list[tuple[str, bytes]]


def draw_input(rooms: list[Room], scale: Scale) -> list[Stream]:
    """Draw each room's raw records, those of rooms that hand out papers before those that take them.

    A room's `demo.py` has `feed`, the papers that it `GIVES` and `NEEDS`, and may say in `COMES` when a kind
    of record comes in.
    """
    modules: dict[str, Any] = {}
    for room in rooms:
        if (room.folder / "demo.py").exists():
            modules[room.name] = importlib.import_module(f"services.{room.name}.demo")
    givers = {paper: name for name, module in modules.items() for paper in module.GIVES}
    order = TopologicalSorter({name: {givers[paper] for paper in m.NEEDS} for name, m in modules.items()})
    papers: Papers = {}
    streams = []
    for name in order.static_order():
        comes: Mapping[str, When] = getattr(modules[name], "COMES", {})
        drawn: dict[When, list[tuple[str, bytes]]] = {}
        for kind, raw in modules[name].feed(scale, papers):
            drawn.setdefault(comes.get(kind, "busily"), []).append((kind, raw))
        streams += [Stream(name, when, records) for when, records in drawn.items()]
    return streams


def in_mixed_order(records: list[tuple[str, bytes]], dice: Random) -> list[tuple[str, bytes]]:
    """Mix records of several kinds, so that all come in side by side; each kind keeps its own order."""
    kinds = [kind for kind, _ in records]
    waiting = {kind: iter([raw for told, raw in records if told == kind]) for kind in set(kinds)}
    dice.shuffle(kinds)
    return [(kind, next(waiting[kind])) for kind in kinds]


def in_turns(streams: Sequence[Stream]) -> Iterator[list[tuple[str, list[tuple[str, bytes]]]]]:
    """Cut every stream into turns of equal time, so that all of them come in side by side: (room, records).

    The turns are the quarters of the working days of three weeks, with a peak on Monday morning.
    """
    weights = [day * quarter / WEEKS for _ in range(WEEKS) for day, quarters in WEEK for quarter in quarters]
    come = 0.0
    for turn, weight in enumerate(weights):
        shares: dict[When, tuple[float, float]] = {
            "first": (0.0, 1.0) if turn == 0 else (1.0, 1.0),
            "busily": (come, come + weight),
            "steadily": (turn / TURNS, (turn + 1) / TURNS),
            "last": (0.0, 1.0) if turn == TURNS - 1 else (0.0, 0.0),
        }
        come += weight
        yield [(stream.room, _between(stream.records, *shares[stream.when])) for stream in streams]


def _between(records: list[tuple[str, bytes]], begin: float, end: float) -> list[tuple[str, bytes]]:
    return records[round(len(records) * begin) : round(len(records) * end)]


class Rooms:
    """The services of a city as child processes; one that dies is restarted."""

    def __init__(self, rooms: list[Room], root: Path, data: Path, ports: Mapping[str, int]) -> None:
        self._logs = data / "logs"
        self._list = data / "services.json"
        self._ports = ports
        self._supervisor = Supervisor([self._child(room, root, data) for room in rooms], self._note)

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the services that run, by department."""
        return {child.name: child.pid for child in self._supervisor.children if child.pid is not None}

    def start(self) -> None:
        """Start every service and keep it running."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._supervisor.start()
        self._supervisor.keep_running()

    def stop(self) -> None:
        """Let every service drain and end."""
        self._supervisor.stop()
        self._list.unlink(missing_ok=True)

    def _child(self, room: Room, root: Path, data: Path) -> Child:
        command = [sys.executable, "-m", "faststream", "run", f"services.{room.name}.app:app"]
        command += ["--host", HOST, "--port", str(self._ports[room.name]), "--log-level", "warning"]
        own = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        return Child(
            room.name,
            command,
            root,
            self._logs / f"{room.name}.log",
            _nothing,
            environment=own
            | {"LIENTHONG_ROOT": str(root), "LIENTHONG_DATA": str(data), "PYTHONUNBUFFERED": "1"},
            keeps_output=True,
        )

    def _note(self) -> None:
        """Write down which process is which, for whoever wants to look at one, or to kill it."""
        told = {
            child.name: {
                "pid": child.pid,
                "port": self._ports[child.name],
                "restarts": child.restarts,
                "log": str(child.output),
            }
            for child in self._supervisor.children
        }
        self._list.write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))


def _nothing() -> None:
    """Nothing needs to be prepared for a service."""
