"""A department's service as a FastStream application: start in order, drain, tell its health (all hops)."""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import orjson
from aiokafka import errors as kafka_errors
from faststream.asgi import AsgiFastStream, AsgiResponse, get
from faststream.exceptions import StartupValidationError
from faststream.kafka import KafkaBroker
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from lienthong import contracts, metrics
from lienthong.consumer import Reader
from lienthong.database import (
    GONE,
    NOT_APPLIED,
    Connection,
    Pool,
    borrow,
    check_writable,
    open_pool_patiently,
    set_up_tables,
)
from lienthong.department import Department
from lienthong.ending import is_told_to_end
from lienthong.errors import LienThongError, SettingsNotUsable
from lienthong.event import RawEvent, uuid7
from lienthong.field_book import FLUSH_SECONDS, FieldBook
from lienthong.gate import Gate
from lienthong.intake import Intake
from lienthong.logs import get_log, set_up_logs
from lienthong.overlap import Overlaps, announcements, tell_what_ends
from lienthong.producer import Producer
from lienthong.refusals import Refusals
from lienthong.relay import Relay
from lienthong.settings import Settings, find_root, load_settings
from lienthong.turn import Reading

RESTART_SECONDS: Final = 1.0
PASSWORD_SECONDS: Final = 1.0
"""How often a service looks whether its password was rotated."""

DATABASE_SECONDS: Final = 2.0
"""How often a service asks whether its database answers."""

DATABASE_ANSWER_SECONDS: Final = 5.0
"""One that takes longer does not."""

Scope = dict[str, Any]


class Service:
    """What runs behind a department's declaration, between start and stop."""

    def __init__(self, department: Department, tables: str, *, root: Path | None = None) -> None:
        self.department = department
        self.parts: dict[str, str] = {"service": "not started"}
        self.readers: list[Reader] = []
        self.intakes: list[Intake] = []
        self._tables = tables
        self._root = root
        self._settings: Settings | None = None
        self._gate: Gate | None = None
        self._contracts: contracts.Contracts | None = None
        self._readings: dict[str, dict[str, Reading]] = {}
        self.pool: Pool | None = None
        self._stopping = asyncio.Event()
        self._relay_stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._relay_task: asyncio.Task[None] | None = None
        self._closing: list[Callable[[], Awaitable[Any]]] = []
        self._relay: Relay | None = None

    def prepare(self, settings: Settings | None = None) -> None:
        """Read settings, contracts and schemas; nothing is connected yet.

        Raises:
            SettingsNotUsable, BusNotUsable, ContractsNotSound: with what to do.
        """
        department = self.department
        self._settings = settings or load_settings(department.name)
        set_up_logs(self._settings.log_level)
        root = self._root or find_root()
        self._contracts = known = contracts.load_contracts(root)
        self._readings = grant_readings(department, known)
        self._gate = Gate.load(root / "schemas")

    async def start(self) -> None:
        """Wait for the database, open outbox and inbox, then begin to read."""
        department, settings, gate, known = self.department, self._settings, self._gate, self._contracts
        assert settings is not None
        assert gate is not None
        assert known is not None
        log = get_log(department=department.name)
        self.parts["service"] = "waiting for the database"
        url = settings.read_database_url
        url()  # what is wrong with it is said at once
        pool = await open_pool_patiently(
            url,
            settings.database_connections,
            f"lienthong.{department.name}",
            log,
            self._stopping,
            settings.handler_seconds,
        )
        if pool is None:
            return  # told to stop while it waited
        try:
            await set_up_tables(pool, self._tables)
        except BaseException:
            await _close(pool)
            raise
        self.pool = pool
        self._closing.append(lambda: _close(pool))
        producer = Producer(settings)
        self._closing.append(producer.stop)
        overlaps = Overlaps.of(known)
        self._relay = relay = Relay(
            department.name, gate, producer, settings, overlaps, announcements(known, gate)
        )
        told = Refusals(department.name, url, lambda at: uuid7(at, department.random))
        self._closing.append(told.stop)
        department.open(gate, relay.nudge, told, overlaps)
        self._relay_task = self._keep_running("relay", lambda: relay.run(pool, self._relay_stopping))
        for group, readings in self._readings.items():
            reader = Reader(group, readings, gate, settings)
            self.readers.append(reader)
            self._tasks.append(
                self._keep_running(f"reader {group}", partial(reader.run, pool, self._stopping))
            )
        for kind, (take, ready) in department.intakes.items():
            intake = Intake(kind, take, ready, settings, department.sifts.get(kind))
            self.intakes.append(intake)
            self._tasks.append(
                self._keep_running(f"intake {kind}", partial(intake.run, pool, self._stopping, relay.nudge))
            )
        self._tasks.append(self._keep_running("fields read", partial(self._enter_fields_read, pool)))
        self._tasks.append(self._keep_running("database", partial(self._watch_database, pool)))
        self._tasks.append(self._keep_running("password", partial(self._follow_password, producer)))
        self.parts["service"] = "ok"
        tell_what_ends(department.readings, known)
        log.info("service_started", groups=sorted(department.readings), intakes=sorted(department.intakes))

    async def _enter_fields_read(self, pool: Pool) -> None:
        """Enter from time to time, and at the end, which granted fields the department's code reads."""
        department = self.department
        book = FieldBook(department.watched, department.kept | department.plain)
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), FLUSH_SECONDS)
            with contextlib.suppress(*GONE, OSError, TimeoutError):  # then next time
                await book.enter(pool, datetime.now(UTC))

    async def _watch_database(self, pool: Pool) -> None:
        """Ask from time to time whether the database takes writes: a part that waits may not know yet."""
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(DATABASE_ANSWER_SECONDS), borrow(pool) as db:
                    await check_writable(db)
                self.parts.pop("database", None)
            except (*GONE, *NOT_APPLIED, OSError, TimeoutError) as error:
                self.parts["database"] = f"away: {type(error).__name__}"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), DATABASE_SECONDS)

    async def _follow_password(self, producer: Producer) -> None:
        """Let whatever is connected go over to a password that was rotated; the next connection needs it."""
        assert self._settings is not None
        log = get_log(department=self.department.name)
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), PASSWORD_SECONDS)
            try:
                password = self._settings.read_password()
            except SettingsNotUsable as error:
                log.warning("password_not_read", error=error)
                continue
            renewed = [producer.renew(password), *(reader.renew(password) for reader in self.readers)]
            if any(renewed):
                log.info("password_renewed")

    async def stop(self) -> None:
        """Stop reading, let what was begun end and be sent, then close; within the `stop_seconds` set."""
        self.parts["service"] = "stopping"
        self._stopping.set()
        within = self._settings.stop_seconds if self._settings is not None else 0.0
        deadline = asyncio.get_running_loop().time() + within
        await _end(self._tasks, deadline)
        # Only now: what the last handlers caused is in the outbox.
        self._relay_stopping.set()
        if self._relay_task is not None:
            await _end([self._relay_task], deadline + 1.0)
        for close in reversed(self._closing):
            with contextlib.suppress(OSError, TimeoutError, kafka_errors.KafkaError):
                await close()
        self._closing.clear()
        self.parts["service"] = "stopped"
        get_log(department=self.department.name).info("service_stopped")

    def health(self) -> dict[str, str]:
        """Say of each part "ok" or why it cannot do its work."""
        parts = dict(self.parts)
        if self._relay is not None:
            parts["relay"] = self._relay.state
        parts |= {f"intake {intake.kind}": intake.state for intake in self.intakes}
        return parts | {f"reader {reader.group}": reader.state for reader in self.readers}

    async def keep_starting(self) -> None:
        """Start; should something be in the way (the room's own tables, say), show it and try again."""
        await self._keep_running("start", self.start)

    def _keep_running(self, part: str, run: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        """Run a part; should a defect end it, say so, show it in the health, and begin it afresh."""

        async def keep() -> None:
            while True:
                try:
                    await run()
                except (Exception, asyncio.CancelledError) as error:
                    if is_told_to_end(error):
                        raise
                    self.parts[part] = f"failed: {type(error).__name__}"
                    get_log(department=self.department.name).error("part_failed", part=part, error=error)
                    await asyncio.sleep(RESTART_SECONDS)
                    self.parts.pop(part, None)
                else:
                    return

        return asyncio.create_task(keep(), name=part)


class DepartmentBroker(KafkaBroker):
    """FastStream's broker, with our delivery in the place of its own (see docs/decisions/0002).

    The application's lifespan, hooks, injection and command line are FastStream's; records are read and
    written by `Reader` and `Relay` only, so that nothing passes the gate, the inbox and the outbox by.
    """

    def __init__(self, service: Service) -> None:
        super().__init__(client_id=f"{service.department.name}", consumer_only=True, apply_types=True)
        self.service = service

    async def start(self) -> None:
        # An error here would not reach the server, which has been told that all is well.
        await self.service.keep_starting()
        self.running = True

    async def stop(self, *_: Any) -> None:
        await self.service.stop()
        self.running = False

    async def ping(self, timeout: float | None = None) -> bool:  # noqa: ARG002, ASYNC109
        return all(state == "ok" for state in self.service.health().values())

    async def publish(self, *_: Any, **__: Any) -> NoReturn:
        raise SettingsNotUsable(
            reason="A department does not publish past the gate.",
            remedy=f"Use `await {self.service.department.name}.publish(db, …)` in a transaction.",
        )

    publish_batch = publish
    request = publish


def put_together(department: Department, tables: str) -> AsgiFastStream:
    """Build the FastStream application of a department; nothing is connected yet."""
    service = Service(department, tables)

    @get
    async def live(_: Scope) -> AsgiResponse:
        return AsgiResponse(b'{"live":true}', 200, {"content-type": "application/json"})

    @get
    async def ready(_: Scope) -> AsgiResponse:
        parts = service.health()
        status = 200 if all(state == "ok" for state in parts.values()) else 503
        return AsgiResponse(orjson.dumps(parts), status, {"content-type": "application/json"})

    @get
    async def measured(_: Scope) -> AsgiResponse:
        return AsgiResponse(generate_latest(metrics.REGISTRY), 200, {"content-type": CONTENT_TYPE_LATEST})

    def prepare() -> None:
        # FastStream starts its broker after it has told the server that all is well: what may stand in the
        # way of a start is looked at here, before.
        try:
            service.prepare()
        except LienThongError as error:
            sys.stderr.write(f"{error}\n")
            raise StartupValidationError from None

    return AsgiFastStream(
        DepartmentBroker(service),
        asgi_routes=[("/health/live", live), ("/health/ready", ready), ("/metrics", measured)],
        on_startup=[prepare],
    )


def grant_readings(department: Department, known: contracts.Contracts) -> dict[str, dict[str, Reading]]:
    """Give a department's readings, narrowed to the fields that its grants name; by group and topic.

    Raises:
        SettingsNotUsable: naming every reading that no contract grants; the broker would refuse it later.
    """
    granted = {(str(c.topic), grant.group): grant.fields for c, grant in known.readable_by(department.name)}
    missing = sorted(
        f"{topic} for {group.partition('.')[2]}"
        for group, readings in department.readings.items()
        for topic in readings
        if (topic, group) not in granted
    )
    if missing:
        raise SettingsNotUsable(
            reason=f"No contract grants {department.name} to read {'; '.join(missing)}.",
            remedy="Ask the owner to add a role with this purpose to the contract, then `lienthong apply`.",
        )
    return {
        group: {
            topic: _narrow(_going_over(reading, department, known), granted[topic, group])
            for topic, reading in readings.items()
        }
        for group, readings in department.readings.items()
    }


def _going_over(reading: Reading, department: Department, known: contracts.Contracts) -> Reading:
    """Let a reading of a newer major know the former one: a fact dealt with there is dealt with.

    Not where a copy of a state is kept: each major's copy is its own, and begins empty.
    """
    continues = known.contracts[reading.topic].continues
    if continues is None or reading.topic in department.kept:
        return reading
    former = known.contracts.get(str(continues.topic))
    granted = former is not None and any(grant.group == reading.group for grant in former.grants)
    return replace(reading, former=str(continues.topic), reads_former=granted)


def _narrow(reading: Reading, fields: tuple[str, ...]) -> Reading:
    """Leave out of every event what the grant does not name, before any code of the department sees it."""

    async def handle(event: RawEvent, data: Any, db: Connection) -> None:
        if data is not None:
            data = {name: data[name] for name in fields if name in data}
        await reading.handle(event, data, db)

    return replace(reading, handle=handle)


async def _end(tasks: list[asyncio.Task[None]], deadline: float) -> None:
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=max(0.1, deadline - asyncio.get_running_loop().time()))
    for task in late:
        task.cancel()
    if late:
        get_log().warning("parts_cancelled", parts=[task.get_name() for task in late])
        await asyncio.gather(*late, return_exceptions=True)


async def _close(pool: Pool) -> None:
    try:
        await asyncio.wait_for(pool.close(), 3.0)
    except TimeoutError:
        pool.terminate()
