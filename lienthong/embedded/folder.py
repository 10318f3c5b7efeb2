"""The data folder of the bus: who has it, what runs there, what outlived a kill (beneath every hop)."""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Final

import orjson

from lienthong.embedded.secret import write_private
from lienthong.embedded.supervisor import end_stray
from lienthong.errors import BusNotUsable

DESCRIPTION: Final = "bus.json"
CHILDREN: Final = "children.json"
LOCK: Final = "up.lock"
SPACE: Final = 300_000_000
"""Bytes that a bus needs to start and work for a while: write-ahead log, metadata, a few segments."""


def take(data: Path) -> IO[str]:
    """Take the folder for this process until the returned file is closed, or say who has it."""
    data.mkdir(parents=True, exist_ok=True)
    # PostgreSQL under another OS user passes through to its own part; nobody else looks around.
    data.chmod(0o711 if os.geteuid() == 0 else 0o700)
    check_space(data)
    lock = (data / LOCK).open("a+")
    deadline = time.monotonic() + 1.0
    while not _try(lock, fcntl.LOCK_EX):
        # A look by `lienthong status` holds the lock for a moment; a bus holds it while it lives.
        if time.monotonic() > deadline:
            lock.close()
            raise _taken(data)
        time.sleep(0.05)
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def check_space(data: Path, needed: int = SPACE) -> None:
    """Refuse to start on a disk that is about to be full: a broker that cannot write ends at once."""
    free = shutil.disk_usage(data).free
    if free < needed:
        raise BusNotUsable(
            reason=f"The disk of {data} has {free / 1e6:.0f} MB free; the bus needs {needed / 1e6:.0f} MB.",
            remedy="Free some space, or choose a folder on another disk with --data DIR.",
        )


def is_taken(data: Path) -> bool:
    """Tell whether some process runs, starts or stops a bus on the folder."""
    try:
        with (data / LOCK).open("r") as lock:
            return not _try(lock, fcntl.LOCK_SH)
    except FileNotFoundError:
        return False


def find_owner(data: Path) -> int | None:
    """Find the process id of whoever has the folder; None where nobody has."""
    if not is_taken(data):
        return None
    with contextlib.suppress(OSError, ValueError):
        return int((data / LOCK).read_text(encoding="utf-8"))
    return None


def find_bus(data: Path) -> dict[str, Any] | None:
    """Describe the bus that runs on the folder and is ready; None where none is."""
    description = _load(data / DESCRIPTION)
    # One that was left by a kill may lie there until the next owner is ready.
    return description if description and description["pid"] == find_owner(data) else None


def load_children(data: Path) -> dict[str, dict[str, Any]]:
    """Read which children the last supervisor noted, alive or not."""
    return _load(data / CHILDREN) or {}


def note_children(data: Path, children: Mapping[str, Mapping[str, Any]]) -> None:
    """Note the children as soon as they exist, so that a later start finds them whatever happens."""
    write_private(data / CHILDREN, orjson.dumps(children, option=orjson.OPT_INDENT_2).decode())


def note_bus(data: Path, description: Mapping[str, Any]) -> None:
    """Tell everybody who may read the folder that the bus is ready, and where."""
    write_private(data / DESCRIPTION, orjson.dumps(description, option=orjson.OPT_INDENT_2).decode())


def forget_bus(data: Path) -> None:
    """Take back the description: the bus is no longer there."""
    (data / DESCRIPTION).unlink(missing_ok=True)


def end_strays(data: Path) -> None:
    """End what a supervisor that was killed has left behind."""
    children = load_children(data)
    with ThreadPoolExecutor(max(1, len(children))) as pool:
        for child in children.values():
            pool.submit(end_stray, child, str(data))
    (data / CHILDREN).unlink(missing_ok=True)


def _try(lock: IO[str], how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _load(file: Path) -> dict[str, Any] | None:
    try:
        noted: dict[str, Any] = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return noted


def _taken(data: Path) -> BusNotUsable:
    description = _load(data / DESCRIPTION)
    where = f"process {find_owner(data)} is starting or stopping it"
    if description is not None:
        database = description["postgres"]
        where = (
            f"process {description['pid']}, Kafka at {description['bootstrap_servers']}, "
            f"PostgreSQL at {database['host']}:{database['port']}"
        )
    return BusNotUsable(
        reason=f"A bus is already running on {data}: {where}.",
        remedy="Use it, stop it with `lienthong down`, or start another one with --data DIR.",
    )
