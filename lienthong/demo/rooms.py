"""Find the departments' services of a folder, run each as a process of its own, and draw their input."""

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from random import Random
from typing import Any

import orjson

from lienthong.demo import Papers, Scale
from lienthong.embedded.ports import HOST
from lienthong.embedded.supervisor import Child, Supervisor
from lienthong.settings import PREFIX


@dataclass(frozen=True, slots=True)
class Room:
    """A department that has a service here."""

    name: str
    folder: Path


def find_rooms(root: Path) -> list[Room]:
    """Find the rooms: folders below `services/` with an `app.py`, by name."""
    return [Room(app.parent.name, app.parent) for app in sorted((root / "services").glob("*/app.py"))]


def draw_input(rooms: list[Room], scale: Scale) -> dict[str, list[tuple[str, bytes]]]:
    """Draw each room's raw records, (kind, bytes), those that hand out papers before those that take them."""
    modules: dict[str, Any] = {}
    for room in rooms:
        if (room.folder / "demo.py").exists():
            modules[room.name] = importlib.import_module(f"services.{room.name}.demo")
    givers = {paper: name for name, module in modules.items() for paper in module.GIVES}
    order = TopologicalSorter({name: {givers[paper] for paper in m.NEEDS} for name, m in modules.items()})
    papers: Papers = {}
    return {name: list(modules[name].feed(scale, papers)) for name in order.static_order()}


def in_mixed_order(records: list[tuple[str, bytes]], dice: Random) -> list[tuple[str, bytes]]:
    """Mix records of several kinds, so that all come in side by side; each kind keeps its own order."""
    kinds = [kind for kind, _ in records]
    waiting = {kind: iter([raw for told, raw in records if told == kind]) for kind in set(kinds)}
    dice.shuffle(kinds)
    return [(kind, next(waiting[kind])) for kind in kinds]


def interleaved(
    records: Mapping[str, list[tuple[str, bytes]]], turns: int
) -> Iterator[dict[str, list[tuple[str, bytes]]]]:
    """Cut every room's input into so many turns, so that all of them come in side by side."""
    for turn in range(turns):
        yield {
            name: kept[len(kept) * turn // turns : len(kept) * (turn + 1) // turns]
            for name, kept in records.items()
        }


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
