"""Choose the ports of the bus: the usual ones where they are free, the same again at each start."""

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import orjson

from lienthong.errors import BusNotUsable

HOST: Final = "127.0.0.1"
POSTGRES: Final = 5432
BROKER: Final = 9092
CONTROLLER: Final = 19092
REACH: Final = 2000
"""How far above the usual port to look; below the range from which systems give out passing ports."""


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


def choose_ports(file: Path, brokers: int) -> dict[str, int]:
    """Choose a port for each listener and note it; a port noted before is kept while it is free."""
    noted: dict[str, int] = orjson.loads(file.read_bytes()) if file.exists() else {}
    wanted = {"postgres": POSTGRES}
    for node in range(1, brokers + 1):
        wanted[f"broker-{node}"] = BROKER + node - 1
        wanted[f"controller-{node}"] = CONTROLLER + node - 1
    chosen: dict[str, int] = {}
    for name, usual in wanted.items():
        chosen[name] = _choose(
            name, (noted.get(name, usual), *range(usual, usual + REACH)), set(chosen.values())
        )
    file.write_bytes(orjson.dumps(chosen, option=orjson.OPT_INDENT_2) + b"\n")
    return chosen


def _choose(name: str, candidates: Iterable[int], taken: set[int]) -> int:
    for port in candidates:
        if port not in taken and is_free(port):
            return port
    raise BusNotUsable(
        reason=f"No free port was found for {name} on {HOST}.",
        remedy="Stop programs that listen there (`ss -ltnp` lists them) and start again.",
    )
