"""Publish without a database: facts pass the gate into a spool, and a relay carries them (hops 1 to 4)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import orjson
import structlog
from aiokafka import errors as kafka_errors

from lienthong import contracts, metrics, names, refusals
from lienthong.errors import BusNotUsable, Refused, SettingsNotUsable, SpoolFull, SpoolNotUsable
from lienthong.event import Data, named_id
from lienthong.gate import Gate
from lienthong.logs import get_log, set_up_logs
from lienthong.overlap import Fact, Overlaps, announcements
from lienthong.producer import Producer
from lienthong.relay import Relay, Store
from lienthong.settings import Settings, find_root, find_spool, load_limits, load_settings
from lienthong.spool import Held, Spool, SpoolStore
from lienthong.spool_file import Telling

if TYPE_CHECKING:
    from lienthong.department import Department

PASSWORD_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.05
"""How often who waits for an empty spool looks, or for a bus that is not up yet."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gate said to a fact: what goes into the spool is the fact, or the notice of its refusal."""

    id: str
    telling: Telling
    refusal: Refused | None = None


class Publisher:
    """A department that publishes without a database of its own; the face of a sensor or a spreadsheet.

    Args:
        department: Whose facts.
        settings: How the bus is reached; else as any service finds it, or as soon as there is one.
        file: The spool's; else `<department>.spool` in LIENTHONG_SPOOL or in the data folder.
        root: The folder that holds contracts/ and schemas/.
        relays: Whether this process carries the facts too; another one may.
    """

    def __init__(
        self,
        department: "Department",
        settings: Settings | None = None,
        *,
        file: Path | None = None,
        root: Path | None = None,
        relays: bool = True,
    ) -> None:
        # One of its own: the department's service, in the same process perhaps, goes on with its outbox.
        self.department = type(department)(department.name, clock=department.clock, random=department.random)
        self.state = "starting"
        self._log = get_log(department=department.name)
        self._settings = settings or self._find_bus()
        self._limits = self._settings or load_limits(department.name)
        if settings is None and not structlog.is_configured():
            set_up_logs(self._limits.log_level)  # a process of its own, as a service is
        self._relays = relays
        self._known = contracts.load_contracts(root or find_root())
        self._gate = Gate.load((root or find_root()) / "schemas")
        self._overlaps = Overlaps.of(self._known)
        self._stopping = asyncio.Event()
        self._relay: Relay | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.department.open(self._gate, _nothing, None, self._overlaps)
        self.spool = Spool(file or find_spool(department.name), self._limits.spool_bytes, department.clock)

    async def __aenter__(self) -> Self:
        if self._relays:
            self._loop = asyncio.get_running_loop()
            self._tasks = [asyncio.create_task(self._carry(), name="relay")]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Send what waits, within LIENTHONG_STOP_SECONDS; what is left waits for the next relay."""
        self._stopping.set()
        if self._tasks:
            done, late = await asyncio.wait(self._tasks, timeout=self._limits.stop_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*done, *late, return_exceptions=True)
        await asyncio.to_thread(self.spool.close)

    # What it says

    async def publish(
        self,
        data: Data | Mapping[str, Any],
        *,
        happened_at: datetime | None = None,
        subject: str | None = None,
        topic: str | None = None,
        once: bool = False,
    ) -> str:
        """Publish a fact: when this returns it is on the disk, and the bus will have it.

        Args:
            data: An object of the room's `events.py`, or a mapping together with `topic`.
            happened_at: When the fact happened, with offset; now, where it is not said.
            subject: What it is about; the key, where it is not said. Never a citizen's number.
            topic: Needed for a mapping only.
            once: The same content is the same fact, however often it is handed in: its id is made from the
                content. Of a state, a key that was told the same last is not told again.

        Returns:
            The event's id.

        Raises:
            NotValid: with every problem; the fact was surely not written, and will not be.
            Refused: the topic is not this department's.
            SpoolFull: there is no room now; the fact was surely not written, hand it in later.
            SpoolNotUsable: the spool cannot be written.
        """
        topic = topic or getattr(data, "TOPIC", None) or ""
        judged = self.judge(topic, data, happened_at=happened_at, subject=subject, once=once)
        await self._put(judged)
        return judged.id

    async def retract(self, topic: str, key: str, *, happened_at: datetime | None = None) -> str:
        """Retract a state: a tombstone for its key, as durable as a fact."""
        judged = self.judge_tombstone(topic, key, happened_at=happened_at)
        await self._put(judged)
        return judged.id

    async def _put(self, judged: Judged) -> None:
        try:
            await asyncio.to_thread(self.hand_in, [judged])
        except (SpoolFull, SpoolNotUsable) as error:
            if judged.refusal is None:
                raise
            self._log.warning("refusal_not_published", event_id=judged.id, error=error)
        if judged.refusal is not None:
            raise judged.refusal

    # The same for many facts at once, from any thread

    def judge(
        self,
        topic: str,
        data: Data | Mapping[str, Any],
        *,
        happened_at: datetime | None = None,
        subject: str | None = None,
        once: bool = False,
    ) -> Judged:
        """Lead a fact through the gate; nothing is written yet."""
        event_id = self.department.new_id()
        try:
            if once:
                data = canonical(data)
                if not self._is_state(topic):
                    said = (topic, happened_at.isoformat() if happened_at else "", subject or "")
                    event_id = named_id(*(part.encode() for part in said), orjson.dumps(data))
            facts = self.department.compose(
                topic,
                data,
                event_id,
                happened_at=happened_at,
                subject=subject,
                sibling_id=lambda: named_id(b"sibling", event_id.encode()),
            )
        except Refused as refusal:
            return self._refused(topic, event_id, refusal)
        return self._admitted(event_id, facts, once=once)

    def judge_tombstone(
        self, topic: str, key: str, *, happened_at: datetime | None = None, once: bool = False
    ) -> Judged:
        """Lead a tombstone through the gate; nothing is written yet."""
        event_id = self.department.new_id()
        try:
            facts = self.department.compose_tombstone(topic, key, event_id, happened_at=happened_at)
        except Refused as refusal:
            return self._refused(topic, event_id, refusal)
        return self._admitted(event_id, facts, once=once)

    def hand_in(self, judged: Sequence[Judged]) -> list[bool]:
        """Write what was judged into the spool, all of it or nothing; tells what of it was new."""
        new = self.spool.put([one.telling for one in judged])
        for one, is_new in zip(judged, new, strict=True):
            if is_new and one.refusal is None:
                for fact in one.telling.facts:
                    metrics.EVENTS_ADMITTED.labels(fact.topic).inc()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._nudge_relay)
        return new

    def check(self, topic: str) -> str:
        """Hold the department to its own topics, before anything is read; gives the version that is written.

        Raises:
            Refused: the topic is not the department's, or a newer major has taken its place.
        """
        self._gate.check_owner(self.department.name, topic, "")
        self._overlaps.check_newest(topic, "")
        return self._gate.version(topic)

    def _is_state(self, topic: str) -> bool:
        return topic in self._gate.topics and self._gate.is_state(topic)

    def _admitted(self, event_id: str, facts: tuple[Fact, ...], *, once: bool) -> Judged:
        return Judged(event_id, Telling(facts, once, self._is_state(facts[0].topic)))

    def _refused(self, topic: str, event_id: str, refusal: Refused) -> Judged:
        """Make the notice of a refusal; handed in again, the same record is not noticed again."""
        from lienthong.department import count_refusal

        count_refusal(topic, refusal)
        self._log.warning(
            "event_refused", topic=topic, event_id=event_id, code=refusal.code, reason=refusal.what()
        )
        name, at = self.department.name, datetime.now(UTC)
        value = refusals.about(topic, event_id, refusal)
        notice = refusals.compose(name, value, named_id(b"refusal", event_id.encode()), at)
        fact = Fact(names.refusals_topic(name), notice, value)
        return Judged(event_id, Telling((fact,), once=True), refusal)

    # What carries it

    async def wait_sent(self, within: float) -> Held:
        """Wait until the bus has everything, at most so many seconds; gives what still waits."""
        deadline = asyncio.get_running_loop().time() + within
        while (held := await asyncio.to_thread(self.spool.measure)).records:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            await asyncio.sleep(min(LOOK_SECONDS, left))
        return held

    @property
    def knows_bus(self) -> bool:
        """Whether it is known where the bus is; it may be away all the same."""
        return self._settings is not None or self._relay is not None

    def health(self) -> str:
        """Say "ok", or why what waits is not sent."""
        if self._relay is not None:
            return self._relay.state
        return "ok" if self._settings is not None and not self._relays else self.state

    def _nudge_relay(self) -> None:
        if self._relay is not None:
            self._relay.nudge()

    async def _carry(self) -> None:
        """Relay as soon as it is known where the bus is; until then facts wait."""
        while (settings := self._settings or self._find_bus()) is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_SECONDS * 10)
            if self._stopping.is_set():
                return
        producer = Producer(settings)
        self._relay = Relay(
            self.department.name,
            self._gate,
            producer,
            settings,
            self._overlaps,
            announcements(self._known, self._gate),
        )
        following = asyncio.create_task(self._follow_password(settings, producer))
        try:
            await self._relay.carry(self._opened, self._stopping)
        finally:
            following.cancel()
            with contextlib.suppress(OSError, TimeoutError, kafka_errors.KafkaError):
                await producer.stop()

    def _find_bus(self) -> Settings | None:
        try:
            return load_settings(self.department.name, database_url="")
        except BusNotUsable as error:
            if self.state != str(error):
                self._log.warning("bus_awaited", reason=str(error))
            self.state = str(error)
            return None

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Store]:
        yield SpoolStore(self.spool)

    async def _follow_password(self, settings: Settings, producer: Producer) -> None:
        while True:
            await asyncio.sleep(PASSWORD_SECONDS)
            with contextlib.suppress(SettingsNotUsable):
                producer.renew(settings.read_password())


def canonical(data: Data | Mapping[str, Any]) -> dict[str, Any]:
    """Write the same content in the same way, whatever order its fields came in.

    Raises:
        NotValid: it cannot be written as JSON.
    """
    from lienthong.department import serialise

    found: dict[str, Any] = orjson.loads(
        orjson.dumps(orjson.loads(serialise(data)), option=orjson.OPT_SORT_KEYS)
    )
    return found


def _nothing() -> None:
    """Stand in for the relay's nudge where none runs."""
