"""Choose the ports of the bus: the usual ones where they are free, the same again at each start."""

import fcntl
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import orjson

from lienthong.embedded.secret import write_private
from lienthong.errors import BusNotUsable

HOST: Final = "127.0.0.1"
POSTGRES: Final = 5432
BROKER: Final = 9092
CONTROLLER: Final = 19092
REACH: Final = 2000
"""How far above the usual port to look; below the range from which systems give out passing ports."""


@contextmanager
def turn_to_choose(folder: Path) -> Iterator[None]:
    """Let one bus at a time choose its ports and take them: between a look and a use another could take one.

    `folder` is one that every bus of this user knows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ports.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


class Claims:
    """The ports of one bus, also while nobody listens there: a child that died is about to come back.

    Another bus of this user that starts meanwhile chooses others. A claim ends with its process.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[int, IO[str]] = {}

    def claim(self, port: int) -> bool:
        """Claim a port, or find that another bus has."""
        if port in self._held:
            return True
        self._folder.mkdir(parents=True, exist_ok=True)
        file = (self._folder / str(port)).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._held[port] = file
        return True

    def let_go(self) -> None:
        """End every claim."""
        for file in self._held.values():
            file.close()
        self._held.clear()


def is_free(port: int) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a connection of the past that still lingers is no hindrance, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def usual_ports(brokers: int) -> dict[str, int]:
    """Name the ports that people expect."""
    usual = {"postgres": POSTGRES}
    for node in range(1, brokers + 1):
        usual[f"kafka-{node}"] = BROKER + node - 1
        usual[f"controller-{node}"] = CONTROLLER + node - 1
    return usual


def load_ports(file: Path) -> dict[str, int]:
    """Read the ports of the last start; nothing where there was none or the file is damaged."""
    try:
        noted = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    if not isinstance(noted, dict):
        return {}
    return {name: port for name, port in noted.items() if isinstance(port, int) and 0 < port < 1 << 16}


def choose_ports(
    noted: Mapping[str, int],
    usual: Mapping[str, int],
    reach: int = REACH,
    claim: Callable[[int], bool] = lambda _: True,
) -> dict[str, int]:
    """Choose a free port for each listener: the one noted before, else the usual, else one near it."""
    chosen: dict[str, int] = {}
    for name, port in usual.items():
        candidates = (noted.get(name, port), *range(port, port + reach))
        chosen[name] = _first_free(name, candidates, set(chosen.values()), claim)
    return chosen


def note_ports(file: Path, chosen: Mapping[str, int]) -> None:
    """Note the ports for the next start: clients that know them shall find the bus again."""
    write_private(file, orjson.dumps(chosen, option=orjson.OPT_INDENT_2).decode())


def _first_free(name: str, candidates: Iterable[int], taken: set[int], claim: Callable[[int], bool]) -> int:
    port = 0
    for port in candidates:
        if port not in taken and is_free(port) and claim(port):
            return port
    raise BusNotUsable(
        reason=f"No free port was found for {name} on {HOST}, up to {port}.",
        remedy="Stop programs that listen there (`ss -ltnp` lists them) and start again.",
    )
