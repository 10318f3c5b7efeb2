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

from lienthong.cluster import changes, tell
from lienthong.cluster.admin import REACH_SECONDS, Admin, open_admin
from lienthong.cluster.alone import check_cluster, record_cluster, working_alone
from lienthong.cluster.changes import Journal, as_who, find_who
from lienthong.cluster.connection import ADMIN, Connection, admin_connection, held_departments, read_secret
from lienthong.cluster.databases import (
    Postgres,
    embedded_postgres,
    end_stand_ins,
    fetch_databases,
    make_databases,
)
from lienthong.cluster.desired import desired
from lienthong.cluster.plan import NOTHING, STOOD_IN, Change, Plan, compare
from lienthong.cluster.retirement import check_removable, keep_held
from lienthong.cluster.state import Actual, Desired
from lienthong.contracts import Contracts
from lienthong.embedded.secret import write_private
from lienthong.errors import BusNotUsable, LienThongError
from lienthong.login import is_stand_in
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
    connection: Connection
    """How the super user connected: departments connect alike."""
    by: str
    """Who changes it."""

    def plan(self, contracts: Contracts, today: date) -> Plan:
        """Say what `apply` would change; changes nothing."""
        return self._compare(contracts, today)[1]

    def apply(self, contracts: Contracts, today: date, *, only_by_date: bool = False) -> Plan:
        """Make every change of the plan, wait until the brokers act on them, and give what was done.

        Safe to run twice, or again after it was stopped half way. Each change is noted in the journal.

        Args:
            contracts: What the cluster is brought to.
            today: Grants count to the end of their last day.
            only_by_date: Close what is over, and leave all else that may have changed to a person.

        Raises:
            BusNotUsable: a change was refused, or did not come about; or somebody is at it already.
        """
        with working_alone(self.data):
            wanted, plan = self._compare(contracts, today)
            journal = self.settle(plan)
            chosen = tuple(change for change in plan.changes if change.by_date or not only_by_date)
            if not chosen:
                return Plan((), plan.remarks)
            record_cluster(self.data, self.admin.cluster_id)
            journal.begin(chosen)
            self._bring_about(chosen, wanted.departments)
            self._await(wanted, {(change.kind, change.name) for change in chosen})
            journal.settle(())
            return Plan(chosen, plan.remarks)

    def settle(self, plan: Plan) -> Journal:
        """Give the journal, with what an interrupted run had begun told from what came about."""
        journal = Journal(self.data, self.by, self.admin.cluster_id)
        rotated = [Change("password", name, "", "") for name in self._standing_in()]
        # A topic that is still there was not removed.
        there = self.admin.fetch_topics() if journal.has_begun("removal") else ()
        removed = [Change("removal", name, "", "") for name in there]
        journal.settle([*plan.changes, *rotated, *removed])
        return journal

    def tell(self, contracts: Contracts) -> str:
        """Tell on the bus what came about; give why it waits, or nothing when all is told."""
        with working_alone(self.data):
            return self._tell(contracts)

    def _tell(self, contracts: Contracts) -> str:
        journal = Journal(self.data, self.by, self.admin.cluster_id)
        topic = changes.find_topic(contracts)
        if topic is None or not journal.waiting:
            return ""
        owner = topic.partition(".")[0]
        if self.postgres is None or owner not in held_departments(self.data):
            return f"{len(journal.waiting)} changes wait here: the database of {owner} is not known"
        try:
            password = read_secret(self.secret(owner))
            _wait_for(tell.tell(self.postgres, password, topic, journal.waiting))
        except LienThongError as error:
            return f"{len(journal.waiting)} changes wait to be told: {error}"
        journal.forget({one["change_id"] for one in journal.waiting})
        return ""

    def _await(self, wanted: Desired, chosen: set[tuple[str, str]]) -> None:
        """Wait until the brokers act on what was changed."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while left := [
            change.name
            for change in compare(wanted, self._fetch()).changes
            if (change.kind, change.name) in chosen
        ]:
            if time.monotonic() > deadline:
                raise BusNotUsable(
                    reason=f"The cluster still differs in {', '.join(sorted(left))}.",
                    remedy="Somebody may be changing it at the same time: run the command again.",
                )
            time.sleep(0.05)

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
        with working_alone(self.data):
            journal = self.settle(self.plan(contracts, today))
            self.check_removable(contracts, today, names)
            record_cluster(self.data, self.admin.cluster_id)
            journal.begin([Change("removal", name, "a topic with its records", NOTHING) for name in names])
            self.admin.delete_topics(names)
            journal.settle(())

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
            standing_in=self._standing_in(),
            administrators=self.administrators,
        )

    def _standing_in(self) -> frozenset[str]:
        held = held_departments(self.data)
        return frozenset(name for name in held if is_stand_in(read_secret(self.secret(name))))

    def _bring_about(self, chosen: tuple[Change, ...], departments: frozenset[str]) -> None:
        def of(kind: str) -> list[Any]:
            return [change for change in chosen if change.kind == kind and change.before != STOOD_IN]

        # What must no longer be read is closed first, what may be read is opened last: stopped half way, too
        # little is open, never too much.
        if rules := [rule for change in of("access") for rule in change.revoke]:
            self.admin.revoke(rules)
        if shapes := {change.name: change.shape for change in of("topic")}:
            self.admin.create_topics(shapes)
        if more := {change.name: change.shape.partitions for change in of("partitions")}:
            self.admin.add_partitions(more)
        if settings := {change.name: change.settings for change in of("topic settings")}:
            self.admin.alter_settings(settings)
        if quotas := {change.name: change.quotas for change in of("quota")}:
            self.admin.set_quotas(quotas)
        if rotated := {change.name for change in chosen if change.before == STOOD_IN}:
            self.end_stand_ins(sorted(rotated))
        self._make_credentials(departments, [c.name for c in of("user")], [c.name for c in of("database")])
        if rules := [rule for change in of("access") for rule in change.grant]:
            self.admin.grant(rules)

    def end_stand_ins(self, names: list[str]) -> None:
        """Let departments in by their own passwords only."""
        self.admin.end_stand_ins(names)
        if self.postgres:
            _wait_for(end_stand_ins(self.postgres, names))

    def _make_credentials(self, departments: frozenset[str], users: list[str], databases: list[str]) -> None:
        """Give departments their one password, for Kafka and for their database."""
        self._open_secrets()
        held = set(held_departments(self.data))
        passwords = {
            name: read_secret(self.secret(name)) if name in held else secrets.token_urlsafe(24)
            for name in sorted(departments & {*users, *databases})
        }
        if users:
            self.admin.set_passwords({name: passwords[name] for name in users})
        if databases and self.postgres:
            _wait_for(make_databases(self.postgres, databases, passwords))
        # Written last: a password in a file is one that both servers know. Stopped before it, the next
        # run makes another.
        for name in passwords.keys() - held:
            write_private(self.secret(name), passwords[name])

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

    def secret(self, department: str) -> Path:
        """Name the file of a department's password."""
        return self.data / "secrets" / f"{department}.password"


@contextmanager
def open_cluster(
    data: Path,
    connection: Connection | None = None,
    within: float = REACH_SECONDS,
    *,
    postgres: Postgres | None = None,
    brokers: int = 1,
    by: str | None = None,
) -> Iterator[Cluster]:
    """Open the embedded bus of a data folder, or with a connection any other cluster.

    Args:
        data: Keeps the departments' passwords.
        connection: A super user of another cluster.
        within: Seconds after which a cluster counts as out of reach.
        postgres: Where that cluster's departments have their databases; None where these are their own.
        brokers: How many that cluster is meant to have, at least: they may still be starting.
        by: Who changes it; else the login of this machine's user.

    Raises:
        BusNotUsable: no bus runs, it is out of reach, does not let us in, or is not the recorded one.
    """
    by = as_who(by) if by else find_who()
    if connection is not None:
        with open_admin(connection, within) as admin:
            check_cluster(data, admin.cluster_id, connection.bootstrap_servers)
            administrators = frozenset({connection.username, *([postgres.username] if postgres else [])})
            brokers = max(admin.brokers, brokers)
            yield Cluster(admin, data, administrators, brokers, postgres, connection, by)
        return
    bus = load_bus(data)
    if not psutil.pid_exists(bus["pid"]):
        raise BusNotUsable(
            reason=f"The bus on {data} has stopped without saying so (process {bus['pid']} is gone).",
            remedy="Start it again with `lienthong up`: what was acknowledged is kept.",
        )
    postgres = embedded_postgres(bus, read_secret(data / "secrets" / "postgres.password"))
    connection = admin_connection(data)
    with open_admin(connection, within) as admin:
        if admin.cluster_id != bus["cluster_id"]:
            raise BusNotUsable(
                reason=(
                    f"Cluster {admin.cluster_id} answers at {bus['bootstrap_servers']}, but {data} "
                    f"belongs to cluster {bus['cluster_id']}."
                ),
                remedy="Another bus has taken its ports: stop it, then start this one with `lienthong up`.",
            )
        administrators = frozenset({ADMIN, postgres.username})
        brokers = max(admin.brokers, bus["brokers"])
        yield Cluster(admin, data, administrators, brokers, postgres, connection, by)


def apply_contracts(contracts: Contracts, data: Path, today: date) -> Plan:
    """Bring the embedded bus of a data folder to the contracts, unasked; give what was done."""
    with open_cluster(data) as cluster:
        return cluster.apply(contracts, today)


def tell_changes(contracts: Contracts, data: Path) -> str:
    """Tell on the embedded bus of a data folder what was changed there; give why it waits, or nothing."""
    with open_cluster(data) as cluster:
        return cluster.tell(contracts)


def _wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a thread of its own, whether or not an event loop runs on this one."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()
