"""Rotate departments' passwords while their services run: at every moment one that a service holds is valid.

A server keeps one password of a user, so a second login stands in (`lienthong.login`):

1. the stand-in is made, tried, and put into the department's file; the password before is still valid;
2. services go over to it with their next connections, within the overlap;
3. the department's own password is replaced, tried, and put into the file; the stand-in is still valid;
4. services go over again, and the stand-in is ended.

Stopped anywhere, it goes on where it was: what the file holds says how far it had come.
"""

import asyncio
import secrets
from collections.abc import Callable, Collection, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from lienthong.cluster.admin import await_login
from lienthong.cluster.alone import record_cluster, working_alone
from lienthong.cluster.apply import Cluster
from lienthong.cluster.connection import held_departments, read_secret
from lienthong.cluster.databases import lend_stand_ins, set_role_passwords
from lienthong.cluster.hand_out import hand_out
from lienthong.cluster.plan import Change
from lienthong.contracts import Contracts
from lienthong.embedded.secret import write_private
from lienthong.errors import BusNotUsable
from lienthong.login import STAND_IN, is_stand_in, mechanism_of

OVERLAP_SECONDS: Final = 10.0
"""How long both passwords are valid, twice: services look for a new one each second."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation of some departments' passwords on an open cluster."""

    cluster: Cluster
    wait: Callable[[float], None]
    """Lets so many seconds pass."""
    overlap: float = OVERLAP_SECONDS
    folders: Path | None = None
    """Where copies of the passwords are handed out, a folder for each department."""

    def rotate(self, departments: Collection[str], contracts: Contracts, today: date) -> list[str]:
        """Rotate the passwords of these departments, or of all that are known here; tell whose it was.

        Raises:
            BusNotUsable: a department is not known here, or the cluster does not take part. What was valid
                before is still valid then.
        """
        held = held_departments(self.cluster.data)
        if unknown := sorted(set(departments) - set(held)):
            raise BusNotUsable(
                reason=f"This folder holds no password of {', '.join(unknown)}.",
                remedy=f"Name some of {', '.join(held) or 'those that `lienthong apply` has made'}.",
            )
        with working_alone(self.cluster.data):
            journal = self.cluster.settle(self.cluster.plan(contracts, today))
            chosen = sorted(departments) or held
            self._stand_in([name for name in chosen if not is_stand_in(self._read(name))])
            record_cluster(self.cluster.data, self.cluster.admin.cluster_id)
            journal.begin([Change("password", name, "the one before", "a new one") for name in chosen])
            self._replace(chosen)
            self.cluster.end_stand_ins(chosen)
            journal.settle(())
        return chosen

    def _stand_in(self, departments: Sequence[str]) -> None:
        """Let the stand-ins in, and have the services go over to them."""
        if not departments:
            # One that goes on after a stop: some service may not have looked yet.
            self.wait(self.overlap)
            return
        fresh = {name: STAND_IN + secrets.token_urlsafe(24) for name in departments}
        self.cluster.admin.set_passwords(fresh)
        try:
            self._try(fresh)
        except BusNotUsable as error:
            self.cluster.admin.end_stand_ins(departments)
            raise BusNotUsable(
                reason=f"The cluster does not let anybody in by {mechanism_of(STAND_IN)}: {error.what()}",
                remedy="Add it to the brokers' sasl.enabled.mechanisms, with a login module of its own.",
            ) from None
        if self.cluster.postgres:
            _wait_for(lend_stand_ins, self.cluster.postgres, fresh)
        self._go_over(fresh)

    def _replace(self, departments: Sequence[str]) -> None:
        """Replace the departments' own passwords, and have the services go over to those."""
        fresh = {name: secrets.token_urlsafe(24) for name in departments}
        self.cluster.admin.set_passwords(fresh)
        self._try(fresh)
        if self.cluster.postgres:
            _wait_for(set_role_passwords, self.cluster.postgres, fresh)
        self._go_over(fresh)

    def _try(self, passwords: dict[str, str]) -> None:
        """Log in with each before anybody is told of it."""
        for name, password in passwords.items():
            mechanism = mechanism_of(password)
            await_login(
                replace(self.cluster.connection, username=name, password=password, mechanism=mechanism)
            )

    def _go_over(self, passwords: dict[str, str]) -> None:
        for name, password in passwords.items():
            write_private(self.cluster.secret(name), password)
        if self.folders is not None:
            hand_out(self.cluster.data, self.folders)
        self.wait(self.overlap)

    def _read(self, department: str) -> str:
        return read_secret(self.cluster.secret(department))


def _wait_for(work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
    """Run a coroutine function to its end on a thread of its own."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(lambda: asyncio.run(work(*arguments))).result()
