"""Bring a cluster to what the contracts say: plan, show, do, and look again whether it is so."""

import asyncio
import secrets
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil

from lienthong.cluster.admin import REACH_SECONDS, Admin, open_admin
from lienthong.cluster.connection import ADMIN, Connection, admin_connection, held_departments, read_secret
from lienthong.cluster.databases import Postgres, fetch_databases, make_databases
from lienthong.cluster.desired import desired
from lienthong.cluster.plan import Plan, compare
from lienthong.cluster.retirement import check_removable, keep_held
from lienthong.cluster.state import Actual, Desired
from lienthong.contracts import Contracts
from lienthong.embedded.secret import write_private
from lienthong.errors import BusNotUsable
from lienthong.settings import load_bus

T = TypeVar("T")

SETTLE_SECONDS: Final = 60.0
"""A broker acts on a change some milliseconds after it was accepted; a slow machine may take longer."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that a super user has opened, and the folder that keeps the departments' passwords."""

    admin: Admin
    data: Path
    administrators: frozenset[str]
    brokers: int
    """Brokers it is meant to have: one of three may be down while we look."""
    postgres: Postgres | None

    def plan(self, contracts: Contracts, today: date) -> Plan:
        """Say what `apply` would change; changes nothing."""
        return self._compare(contracts, today)[1]

    def apply(self, contracts: Contracts, today: date) -> Plan:
        """Make every change of the plan, wait until the brokers act on them, and give what was done.

        Safe to run twice, or again after it was stopped half way.

        Raises:
            BusNotUsable: a change was refused, or did not come about.
        """
        wanted, plan = self._compare(contracts, today)
        if not plan.changes:
            return plan
        self._bring_about(plan, wanted.departments)
        deadline = time.monotonic() + SETTLE_SECONDS
        while left := compare(wanted, self._fetch()).changes:
            if time.monotonic() > deadline:
                raise BusNotUsable(
                    reason=f"The cluster still differs in {', '.join(sorted(c.name for c in left))}.",
                    remedy="Somebody may be changing it at the same time: run the command again.",
                )
            time.sleep(0.05)
        return plan

    def check_removable(self, contracts: Contracts, today: date, names: list[str]) -> None:
        """Make sure that topics may be removed.

        Raises:
            BusNotUsable: one is promised still, or granted readers hang on it; they are named.
        """
        if names:
            wanted, _ = self._compare(contracts, today)
            check_removable(wanted, self.admin.fetch_topics(), names)

    def remove(self, contracts: Contracts, today: date, names: list[str]) -> None:
        """Delete topics of datasets that are over, with all their records; all of them or none.

        Raises:
            BusNotUsable: as `check_removable`.
        """
        self.check_removable(contracts, today, names)
        self.admin.delete_topics(names)

    def _compare(self, contracts: Contracts, today: date) -> tuple[Desired, Plan]:
        found = self._fetch()
        # A broker that is down shows in no list, but the topics remember how many there were.
        brokers = max([self.brokers, *(shape.replication for shape in found.topics.values())])
        wanted = desired(contracts, brokers, today)
        wanted = keep_held(wanted, found.topics, self.admin.fetch_standings)
        return wanted, compare(wanted, found)

    def _fetch(self) -> Actual:
        # Rights are asked for first: whoever may not see them hears it here, and at once.
        access = self.admin.fetch_access()
        return Actual(
            topics=self.admin.fetch_topics(),
            users=self.admin.fetch_users(),
            access=access,
            quotas=self.admin.fetch_quotas(),
            databases=_wait_for(fetch_databases(self.postgres)) if self.postgres else None,
            secrets=frozenset(held_departments(self.data)),
            administrators=self.administrators,
        )

    def _bring_about(self, plan: Plan, departments: frozenset[str]) -> None:
        def of(kind: str) -> list[Any]:
            return [change for change in plan.changes if change.kind == kind]

        # What must no longer be read is closed first, what may be read is opened last: stopped half way, too
        # little is open, never too much.
        if rules := [rule for change in of("access") for rule in change.revoke]:
            self.admin.revoke(rules)
        if shapes := {change.name: change.shape for change in of("topic")}:
            self.admin.create_topics(shapes)
        if settings := {change.name: change.settings for change in of("topic settings")}:
            self.admin.alter_settings(settings)
        if quotas := {change.name: change.quotas for change in of("quota")}:
            self.admin.set_quotas(quotas)
        self._make_credentials(departments, [c.name for c in of("user")], [c.name for c in of("database")])
        if rules := [rule for change in of("access") for rule in change.grant]:
            self.admin.grant(rules)

    def _make_credentials(self, departments: frozenset[str], users: list[str], databases: list[str]) -> None:
        """Give departments their one password, for Kafka and for their database."""
        self._open_secrets()
        held = set(held_departments(self.data))
        passwords = {
            name: read_secret(self._secret(name)) if name in held else secrets.token_urlsafe(24)
            for name in sorted(departments & {*users, *databases})
        }
        if users:
            self.admin.set_passwords({name: passwords[name] for name in users})
        if databases and self.postgres:
            _wait_for(make_databases(self.postgres, databases, passwords))
        # Written last: a password in a file is one that both servers know. Stopped before it, the next
        # run makes another.
        for name in passwords.keys() - held:
            write_private(self._secret(name), passwords[name])

    def _open_secrets(self) -> None:
        """Make sure that passwords can be kept, before any is given: one that is lost locks everybody out."""
        folder = self.data / "secrets"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(folder / ".writable", "")
            (folder / ".writable").unlink()
        except OSError as error:
            raise BusNotUsable(
                reason=f"Passwords cannot be kept in {folder}: {error.strerror}.",
                remedy="Make it writable, or choose another folder: --data DIR.",
            ) from None

    def _secret(self, department: str) -> Path:
        return self.data / "secrets" / f"{department}.password"


@contextmanager
def open_cluster(
    data: Path,
    connection: Connection | None = None,
    within: float = REACH_SECONDS,
    *,
    postgres: Postgres | None = None,
    brokers: int = 1,
) -> Iterator[Cluster]:
    """Open the embedded bus of a data folder, or with a connection any other cluster.

    Args:
        data: Keeps the departments' passwords.
        connection: A super user of another cluster.
        within: Seconds after which a cluster counts as out of reach.
        postgres: Where that cluster's departments have their databases; None where these are their own.
        brokers: How many that cluster is meant to have, at least: they may still be starting.

    Raises:
        BusNotUsable: no bus runs, it is out of reach, does not let us in, or is not the recorded one.
    """
    if connection is not None:
        with open_admin(connection, within) as admin:
            administrators = frozenset({connection.username, *([postgres.username] if postgres else [])})
            yield Cluster(admin, data, administrators, max(admin.brokers, brokers), postgres)
        return
    bus = load_bus(data)
    if not psutil.pid_exists(bus["pid"]):
        raise BusNotUsable(
            reason=f"The bus on {data} has stopped without saying so (process {bus['pid']} is gone).",
            remedy="Start it again with `lienthong up`: what was acknowledged is kept.",
        )
    place = bus["postgres"]
    postgres = Postgres(
        place["host"], place["port"], place["superuser"], read_secret(data / "secrets" / "postgres.password")
    )
    with open_admin(admin_connection(data), within) as admin:
        if admin.cluster_id != bus["cluster_id"]:
            raise BusNotUsable(
                reason=(
                    f"Cluster {admin.cluster_id} answers at {bus['bootstrap_servers']}, but {data} "
                    f"belongs to cluster {bus['cluster_id']}."
                ),
                remedy="Another bus has taken its ports: stop it, then start this one with `lienthong up`.",
            )
        administrators = frozenset({ADMIN, postgres.username})
        yield Cluster(admin, data, administrators, max(admin.brokers, bus["brokers"]), postgres)


def apply_contracts(contracts: Contracts, data: Path, today: date) -> Plan:
    """Bring the embedded bus of a data folder to the contracts, unasked; give what was done."""
    with open_cluster(data) as cluster:
        return cluster.apply(contracts, today)


def _wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a thread of its own, whether or not an event loop runs on this one."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()
