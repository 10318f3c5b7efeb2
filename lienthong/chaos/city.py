"""The checker's city: a bus, made-up departments, and so many service processes of each."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from lienthong.chaos import departments
from lienthong.chaos.proxy import Proxy, fronts
from lienthong.cluster.apply import apply_contracts
from lienthong.cluster.connection import admin_connection, read_secret
from lienthong.contracts import load_contracts
from lienthong.contracts.release import release
from lienthong.embedded.bus import Bus
from lienthong.embedded.jars import Progress
from lienthong.embedded.ports import HOST
from lienthong.embedded.supervisor import Child, Supervisor
from lienthong.errors import BusNotUsable
from lienthong.settings import PREFIX, load_bus

TOLD: Final = {
    # The shortest session there is, so that what is frozen loses its place within a short run.
    "LIENTHONG_SESSION_SECONDS": "6",
    # What heals is never given up: it heals within seconds.
    "LIENTHONG_ATTEMPTS": "50",
    "LIENTHONG_BACK_OFF_MOST_SECONDS": "2",
}
"""How the services are set, beside what they find on the bus's folder."""

REPLACED_SECONDS: Final = 60.0


class RunningCity:
    """A city that runs, as faults and observer see it."""

    def __init__(self, folder: Path, names: Sequence[str], processes: int, brokers: int) -> None:
        self.root = folder / "city"
        self.data = folder / "bus"
        self.names = names
        self.services = [f"{name}-{number}" for name in names for number in range(1, processes + 1)]
        self.brokers = [f"kafka-{number}" for number in range(1, brokers + 1)]
        self._logs = folder / "logs"
        self._bus = Bus(self.data, brokers)
        self._proxies: Mapping[str, Proxy] = {}
        self._children: dict[str, Child] = {}

    @asynccontextmanager
    async def running(self, planted: str, progress: Progress, *, fronted: bool) -> AsyncIterator[None]:
        """Start the bus and the services; end everything in order.

        Args:
            planted: The bug in the services, if any.
            progress: Told how the start goes.
            fronted: Whether a proxy stands before each broker, for faults of the network.
        """
        for folder in (self.root, self.data, self._logs):
            folder.mkdir(parents=True)
        departments.write_contracts(self.root, self.names)
        release(self.root)
        async with AsyncExitStack() as stack:
            if fronted:
                self._proxies = await stack.enter_async_context(fronts(self.brokers, self.data))
                advertised = {name: proxy.port for name, proxy in self._proxies.items()}
                self._bus = Bus(self.data, len(self.brokers), advertised=advertised)
            # Whoever starts and stops is on another thread: the proxies are on this one.
            stack.push_async_callback(asyncio.to_thread, self._bus.stop)
            await asyncio.to_thread(self._bus.start, progress)
            known = load_contracts(self.root)
            await asyncio.to_thread(apply_contracts, known, self.data, datetime.now(UTC).date())
            supervisor = self._supervise(planted)
            stack.push_async_callback(asyncio.to_thread, supervisor.stop)
            await asyncio.to_thread(supervisor.start)
            supervisor.keep_running()
            yield

    def _supervise(self, planted: str) -> Supervisor:
        ports = _free_ports(len(self.services))
        for service, port in zip(self.services, ports, strict=True):
            self._children[service] = self._child(service, port, planted)
        return Supervisor(list(self._children.values()), lambda: None)

    def pids(self) -> Mapping[str, int]:
        """Give the process ids of brokers, services and `postgres`: of those that run now."""
        services = {name: child.pid for name, child in self._children.items() if child.pid is not None}
        return self._bus.children | services

    def database_url(self, department: str) -> str:
        """Give the address of a department's database with its password; for `postgres`, the super user's."""
        where = load_bus(self.data)["postgres"]
        secret = read_secret(self.data / "secrets" / f"{department}.password")
        return f"postgresql://{department}:{secret}@{where['host']}:{where['port']}/{department}"

    def kafka(self) -> dict[str, Any]:
        """Give the properties of librdkafka with which the bus's super user connects."""
        return admin_connection(self.data).for_confluent()

    def proxy(self, broker: str) -> Proxy | None:
        """Give what stands between a broker and its clients; None where nothing does."""
        return self._proxies.get(broker)

    async def restart_service(self, name: str) -> None:
        """Stop a service in order and wait until another process runs in its place.

        One that does not end within its patience is killed, as any supervisor does.

        Raises:
            BusNotUsable: none runs in its place within a minute.
        """
        child = self._children[name]
        before = child.pid
        if before is not None:
            os.kill(before, signal.SIGTERM)
            if not await _within(child.patience, lambda: child.pid != before):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(before, signal.SIGKILL)
        if not await _within(REPLACED_SECONDS, lambda: child.pid not in {None, before}):
            raise BusNotUsable(
                reason=f"{name} was not replaced within {REPLACED_SECONDS:.0f} s.",
                remedy=f"Its log says why: {child.output}.",
            )

    def _child(self, service: str, port: int, planted: str) -> Child:
        command = [sys.executable, "-m", "faststream", "run", "lienthong.chaos.app:app"]
        command += ["--host", HOST, "--port", str(port), "--log-level", "warning"]
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith((PREFIX, "CHAOS_", "COV_"))
        }
        told = {
            "LIENTHONG_ROOT": str(self.root),
            "LIENTHONG_DATA": str(self.data),
            "LIENTHONG_INSTANCE": service,
            "CHAOS_DEPARTMENT": service.partition("-")[0],
            "CHAOS_CITY": ",".join(self.names),
            "CHAOS_PLANTED": planted,
            "PYTHONUNBUFFERED": "1",
            # The library that looks is the library that serves, wherever this was started.
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        return Child(
            service,
            command,
            self.root,
            self._logs / f"{service}.log",
            _nothing,
            environment=own | TOLD | told,
            keeps_output=True,
        )


async def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait for a condition, so long; tells whether it came true."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        if condition():
            return True
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


def _nothing() -> None:
    """Nothing needs to be prepared for a service."""
