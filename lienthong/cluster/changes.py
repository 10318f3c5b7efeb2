"""Write down each change of a cluster: who, when, before and after, and lose none when stopped half way.

What is about to be done is noted before it is done, and told to the city when it has come about. A run that
was stopped leaves its note behind; the next one sees in the cluster what came about and what did not.
"""

import getpass
import os
import re
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from lienthong import names
from lienthong.cluster.plan import Change
from lienthong.contracts import Contracts
from lienthong.contracts.load import LIVE
from lienthong.embedded.secret import write_private
from lienthong.errors import BusNotUsable, ContractsNotSound
from lienthong.event import uuid7
from lienthong.moments import write_timestamp

FILE: Final = "changes.json"

LONGEST: Final = {"name": 300, "before": 2000, "after": 2000, "reason": 1000}
"""Characters, as the contract of changes has it."""

Noted = dict[str, Any]
"""A change as it stands in the file, and as the data of its event."""


@dataclass(slots=True)
class Journal:
    """The changes that were begun, and those that came about and wait to be told; one file."""

    data: Path
    by: str
    """Who makes them."""
    cluster: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    random: Callable[[int], bytes] = os.urandom
    begun: list[Noted] = field(init=False)
    waiting: list[Noted] = field(init=False)

    def __post_init__(self) -> None:
        file = self.data / FILE
        try:
            held = orjson.loads(file.read_bytes()) if file.exists() else {}
            self.begun, self.waiting = list(held.get("begun", ())), list(held.get("waiting", ()))
        except (OSError, ValueError, AttributeError, TypeError):
            raise BusNotUsable(
                reason=f"The list of changes in {file} cannot be read.",
                remedy="Keep it for whoever audits the bus, under another name, and run this again.",
            ) from None

    def begin(self, changes: Sequence[Change]) -> None:
        """Note what is about to be done; what was begun before has been settled."""
        assert not self.begun
        at, run = self.now(), uuid7(self.now(), self.random)
        self.begun = [
            {
                "change_id": uuid7(at, self.random),
                "run_id": run,
                "cluster_id": self.cluster,
                "kind": change.kind.replace(" ", "-"),
                "name": _cut("name", change.name),
                "before": _cut("before", change.before),
                "after": _cut("after", change.after),
                **({"reason": _cut("reason", change.reason)} if change.reason else {}),
                "applied_by": self.by,
            }
            for change in changes
        ]
        self._write()

    def has_begun(self, kind: str) -> bool:
        """Tell whether an interrupted run was about to make a change of some kind."""
        return any(one["kind"] == kind for one in self.begun)

    def settle(self, left: Iterable[Change]) -> None:
        """Say of what was begun whether it came about: all but what is still `left` to do."""
        if not self.begun:
            return
        undone = {(change.kind.replace(" ", "-"), _cut("name", change.name)) for change in left}
        at = write_timestamp(self.now())
        came_about = [one for one in self.begun if (one["kind"], one["name"]) not in undone]
        self.waiting += [{**one, "applied_at": at} for one in came_about]
        self.begun = []
        self._write()

    def forget(self, told: Collection[str]) -> None:
        """Drop changes, by id, that have been told."""
        self.waiting = [one for one in self.waiting if one["change_id"] not in told]
        self._write()

    def _write(self) -> None:
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.data / FILE, orjson.dumps({"begun": self.begun, "waiting": self.waiting}).decode())


def find_who() -> str:
    """Name who runs this: the login of this machine's user, and the machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = f"uid-{os.geteuid()}"
    return as_who(f"{user}@{socket.gethostname()}")


def as_who(name: str) -> str:
    """Write a name as the contract of changes has it."""
    return re.sub(r"[^A-Za-z0-9_.@-]", "_", name)[:100] or "_"


def find_topic(contracts: Contracts) -> str | None:
    """Find the topic on which the department that runs the bus tells its changes; None where none does.

    Raises:
        ContractsNotSound: two departments say that they run the bus.
    """
    found = [
        contract.topic
        for contract in contracts.contracts.values()
        if contract.status in LIVE and contract.topic.event == names.CHANGES
    ]
    if len({topic.department for topic in found}) > 1:
        raise ContractsNotSound(
            reason=f"{' and '.join(sorted(map(str, found)))} would both tell the changes of one bus.",
            remedy="One department runs the bus: delete the others' contract.",
        )
    return str(max(found, key=lambda topic: topic.major)) if found else None


def _cut(what: str, text: str) -> str:
    longest = LONGEST[what]
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
