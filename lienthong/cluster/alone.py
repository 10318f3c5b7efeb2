"""One at a time changes a cluster, and always the same one: what a data folder remembers of that."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import orjson

from lienthong.embedded.secret import write_private
from lienthong.errors import BusNotUsable

PATIENCE_SECONDS: Final = 30.0
"""Two who change a cluster take turns; a rotation takes longer than this."""

LOCK: Final = "apply.lock"
APPLIED_TO: Final = "applied-to.json"
EMBEDDED: Final = "cluster.json"
"""Where an embedded bus keeps the id of its cluster."""


@contextmanager
def working_alone(data: Path, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Wait for one's turn, and keep others from changing the cluster from this folder meanwhile.

    Raises:
        BusNotUsable: somebody is at it.
    """
    with _opened(data / LOCK) as lock:
        deadline = time.monotonic() + patience
        while not _is_ours(lock):
            if time.monotonic() >= deadline:
                raise BusNotUsable(
                    reason=f"Somebody is changing the cluster of {data} at this moment.",
                    remedy="Wait until `lienthong apply` or `rotate` has ended there, then run this again.",
                )
            time.sleep(0.05)
        yield


def _opened(lock: Path) -> IO[str]:
    try:
        lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return lock.open("a")
    except OSError as error:
        raise BusNotUsable(
            reason=f"Passwords and changes cannot be kept in {lock.parent}: {error.strerror}.",
            remedy="Name a folder that this user may write: --data DIR.",
        ) from error


def _is_ours(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def check_cluster(data: Path, cluster: str, servers: str) -> None:
    """Make sure that this is the cluster that the folder's passwords and changes belong to.

    Raises:
        BusNotUsable: it is another one, perhaps another city's.
    """
    recorded = next(filter(None, (_recorded(data / name) for name in (APPLIED_TO, EMBEDDED))), cluster)
    if recorded != cluster:
        raise BusNotUsable(
            reason=f"Cluster {cluster} answers at {servers}, but {data} belongs to cluster {recorded}.",
            remedy="Correct the address. If it is meant, give that cluster a folder of its own: --data DIR.",
        )


def record_cluster(data: Path, cluster: str) -> None:
    """Remember the cluster that is about to be changed from this folder."""
    if _recorded(data / APPLIED_TO) != cluster:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(data / APPLIED_TO, orjson.dumps({"cluster_id": cluster}).decode())


def _recorded(file: Path) -> str | None:
    try:
        held = orjson.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        held = None
    if not isinstance(held, dict) or not isinstance(held.get("cluster_id"), str):
        raise BusNotUsable(
            reason=f"{file} does not say to which cluster its folder belongs.",
            remedy='Write {"cluster_id": "…"} into it, with the id that `lienthong status` or Kafka tells.',
        )
    return str(held["cluster_id"])
