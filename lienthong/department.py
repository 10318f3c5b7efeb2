"""The face a department writes against: declare what you read, keep and take in; publish facts (all hops)."""

import inspect
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import fast_depends
import orjson
import pydantic_core
from faststream.asgi import AsgiFastStream

from lienthong import fields_read, metrics, names, outbox, refusals, state
from lienthong.database import Connection
from lienthong.errors import NotValid, Problem, Refused, SettingsNotUsable
from lienthong.event import Data, Event, RawEvent, uuid7
from lienthong.gate import Gate
from lienthong.intake import Ready, Sift, Take
from lienthong.overlap import NONE, Fact, Overlaps
from lienthong.patience import NONE_OF_ITS_OWN, Patience
from lienthong.turn import Reading

if TYPE_CHECKING:
    from lienthong.publisher import Publisher

Handler = Callable[..., Awaitable[None]]
H = TypeVar("H", bound=Handler)
S = TypeVar("S", bound=Data)

HANDLING: Final[ContextVar[RawEvent | None]] = ContextVar("handling", default=None)
"""The event whose handler is running: events it causes take its correlation."""


def now() -> datetime:
    """Tell the time, with its offset."""
    return datetime.now(UTC)


class Department:
    """One department's declaration: nothing is connected until its service starts.

    Args:
        name: One lowercase English word, the department's principal on the bus.
        clock: Gives the time; tests pass their own.
        random: Gives so many random bytes.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], datetime] = now,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        if not names.DEPARTMENT.fullmatch(name):
            raise SettingsNotUsable(
                reason=f"{name!r} is not a department's name.",
                remedy="Use one lowercase English word: health.",
            )
        self.name = name
        self.readings: dict[str, dict[str, Reading]] = {}
        self.intakes: dict[str, tuple[Take, Ready | None]] = {}
        self.sifts: dict[str, Sift] = {}
        self.kept: set[str] = set()
        self.plain: set[str] = set()
        """Topics whose handlers take plain dictionaries."""
        self.watched: set[tuple[str, type[Data]]] = set()
        """Topics and their classes, of which is counted which fields are read."""
        self.clock = clock
        self.random = random
        self._gate: Gate | None = None
        self._overlaps = NONE
        self._nudge: Callable[[], None] = _nothing
        self._refusals: refusals.Refusals | None = None

    # What it declares

    def reads(
        self,
        topic: str,
        *,
        purpose: str,
        attempts: int | None = None,
        give_up_after: timedelta | None = None,
    ) -> Callable[[H], H]:
        """Handle the events of a topic that a contract grants for this purpose.

        The handler's first parameter is annotated `Event[SomeClass]`, or `Event[dict[str, Any]]`; a parameter
        annotated `Connection` gets the connection whose transaction holds inbox mark, effect and caused
        events; further parameters may use FastStream's `Depends`. It may be called again for an event whose
        transaction did not end; twice is the same as once.

        Args:
            topic: The topic's name.
            purpose: The grant's purpose.
            attempts: So often an event is tried whose handler raises `NotYet`, before it is set aside.
            give_up_after: So long after its first try it is set aside. Where one of the two is named, the
                other does not count; where none is, `LIENTHONG_ATTEMPTS` and `LIENTHONG_GIVE_UP_SECONDS` do.
        """
        patience = Patience(attempts, give_up_after)
        if (attempts is not None and attempts < 1) or (
            give_up_after is not None and give_up_after <= timedelta(0)
        ):
            raise SettingsNotUsable(
                reason=f"A handler of {topic} is to give up before its first try.",
                remedy="Name at least one attempt, and a time after it.",
            )

        def declare(handler: H) -> H:
            self._declare(topic, purpose, _calling(handler, topic), patience)
            self._watch(topic, _class_of(handler))
            return handler

        return declare

    def _watch(self, topic: str, kind: type[Data] | type[dict[str, Any]]) -> None:
        if issubclass(kind, Data):
            fields_read.watch(kind)
            self.watched.add((topic, kind))
        else:
            self.plain.add(topic)

    def keeps(self, topic: str, *, purpose: str) -> None:
        """Keep a local copy of a state: `find_state` reads it, and the gate checks codes against it."""

        async def keep(event: RawEvent, data: Any, db: Connection) -> None:
            await state.keep(db, topic, event.key, data)

        self._declare(topic, purpose, keep)
        self.kept.add(topic)

    def takes(
        self, kind: str, *, ready: Ready | None = None, sift: Sift | None = None
    ) -> Callable[[Take], Take]:
        """Make facts of raw records of one kind.

        `ready` holds them back until it is true; `sift` judges a batch at once and turns records away, so
        that a source that floods costs the others behind it next to nothing.
        """

        def declare(take: Take) -> Take:
            self.intakes[kind] = (take, ready)
            if sift is not None:
                self.sifts[kind] = sift
            return take

        return declare

    def _declare(
        self,
        topic: str,
        purpose: str,
        handle: Callable[[RawEvent, Any, Connection], Awaitable[None]],
        patience: Patience = NONE_OF_ITS_OWN,
    ) -> None:
        if names.find_topic(topic) is None or not names.PURPOSE.fullmatch(purpose):
            raise SettingsNotUsable(
                reason=f"{self.name} cannot read {topic!r} for {purpose!r}.",
                remedy="Name a topic as <department>.<event>.v<major> and a purpose as lowercase-words.",
            )
        group = names.group(self.name, purpose)
        topics = self.readings.setdefault(group, {})
        if topic in topics:
            raise SettingsNotUsable(
                reason=f"{group} has two handlers for {topic}.", remedy="Call the second from the first."
            )
        topics[topic] = Reading(topic, group, handle, patience=patience)

    def publisher(self, **options: Any) -> "Publisher":
        """Publish without a database: facts wait on this machine's disk until the bus has them.

        `async with department.publisher() as spool: await spool.publish(…)`; options are `Publisher`'s.
        """
        from lienthong.publisher import Publisher

        return Publisher(self, **options)

    def app(self, *, tables: str = "") -> AsgiFastStream:
        """Put the service together: a FastStream ASGI application with health and metrics.

        Args:
            tables: The room's own tables as SQL that may be run again and again.
        """
        from lienthong.service import put_together

        return put_together(self, tables)

    def open(
        self,
        gate: Gate,
        nudge: Callable[[], None],
        told: "refusals.Refusals | None",
        overlaps: Overlaps = NONE,
    ) -> None:
        """Give the declaration what a running service has; called by the service and by tests."""
        self._gate, self._nudge, self._refusals, self._overlaps = gate, nudge, told, overlaps

    # What it says

    async def publish(
        self,
        db: Connection,
        data: Data | Mapping[str, Any],
        *,
        happened_at: datetime | None = None,
        subject: str | None = None,
        topic: str | None = None,
    ) -> str:
        """Publish a fact with the transaction of `db`; when that commits, the bus will have it.

        While a former major is in force beside the topic's own, the fact is told there too, by the mapping of
        the contract: both or neither.

        Args:
            db: Connection with the department's transaction open.
            data: An object of the room's `events.py`, or a mapping together with `topic`.
            happened_at: When the fact happened, with offset; now, where it is not said.
            subject: What it is about; the key, where it is not said. Never a citizen's number.
            topic: Needed for a mapping only.

        Returns:
            The event's id.

        Raises:
            NotValid: with every problem; the fact was surely not written, and will not be.
            Refused: the topic is not this department's.
        """
        topic = topic or getattr(data, "TOPIC", None) or ""
        gate = self._opened()
        event_id = self.new_id()
        try:
            facts = self.compose(topic, data, event_id, happened_at=happened_at, subject=subject)
            for fact in facts:
                await self._check_references(db, gate, fact.topic, event_id, fact.data)
        except Refused as refusal:
            await self._tell(topic, event_id, refusal)
            raise
        await self._put(db, gate, facts)
        return event_id

    def new_id(self) -> str:
        """Make the id of an event that is recorded now."""
        return uuid7(self.clock(), self.random)

    def compose(
        self,
        topic: str,
        data: Data | Mapping[str, Any],
        event_id: str,
        *,
        happened_at: datetime | None = None,
        subject: str | None = None,
        sibling_id: Callable[[], str] | None = None,
    ) -> tuple[Fact, ...]:
        """Give a fact its envelope and lead it through the gate; twice, where a former major is told too.

        Raises:
            NotValid: with every problem.
            Refused: the topic is not this department's.
        """
        gate, recorded_at = self._opened(), self.clock()
        gate.check_owner(self.name, topic, event_id)
        self._overlaps.check_newest(topic, event_id)
        value = serialise(data)
        key = _key(gate, topic, value)
        event = self._envelope(
            gate, topic, value, event_id, happened_at or recorded_at, recorded_at, key, subject
        )
        fact = Fact(topic, event, gate.admit(self.name, event, topic))
        return self._told(gate, fact, subject, sibling_id)

    def compose_tombstone(
        self,
        topic: str,
        key: str,
        event_id: str,
        *,
        happened_at: datetime | None = None,
    ) -> tuple[Fact, ...]:
        """Give a tombstone its envelope and lead it through the gate, as `compose` does a fact."""
        gate, recorded_at = self._opened(), self.clock()
        gate.check_owner(self.name, topic, event_id)
        self._overlaps.check_newest(topic, event_id)
        event = self._envelope(gate, topic, None, event_id, happened_at or recorded_at, recorded_at, key, key)
        return self._told(gate, Fact(topic, event, gate.admit(self.name, event, topic)), None)

    async def retract(
        self, db: Connection, of: type[Data], key: str, *, happened_at: datetime | None = None
    ) -> str:
        """Retract a state: a tombstone for its key, with the transaction of `db`."""
        gate, topic = self._opened(), of.TOPIC
        event_id = self.new_id()
        try:
            facts = self.compose_tombstone(topic, key, event_id, happened_at=happened_at)
        except Refused as refusal:
            await self._tell(topic, event_id, refusal)
            raise
        await self._put(db, gate, facts)
        return event_id

    async def find_state(self, db: Connection, of: type[S], key: str) -> S | None:
        """Find the newest data of a key in the local copy of a state."""
        if (of.TOPIC, of) not in self.watched:
            self._watch(of.TOPIC, of)
        found = await state.find(db, of.TOPIC, key)
        return of.model_validate(found) if found is not None else None

    async def count_state(self, db: Connection, of: type[Data]) -> int:
        """Count the keys of a local copy of a state."""
        return await state.count(db, of.TOPIC)

    def _told(
        self, gate: Gate, fact: Fact, subject: str | None, sibling_id: Callable[[], str] | None = None
    ) -> tuple[Fact, ...]:
        """Tell a fact on every topic that has it: its own, and the former major's while that is in force."""
        if (overlap := self._overlaps.find(fact.topic)) is None:
            return (fact,)
        return overlap.tell(gate, self.name, fact, subject, sibling_id or self.new_id)

    async def _put(self, db: Connection, gate: Gate, facts: Sequence[Fact]) -> None:
        if len(facts) == 1:
            await outbox.put(db, facts[0].topic, facts[0].event)
        else:
            await outbox.put_both(db, *((fact.topic, fact.event) for fact in facts))
        for fact in facts:
            if gate.is_state(fact.topic):
                await state.keep(db, fact.topic, fact.event.key, fact.data)
            metrics.EVENTS_ADMITTED.labels(fact.topic).inc()
        self._nudge()

    def _opened(self) -> Gate:
        if self._gate is None:
            raise SettingsNotUsable(
                reason=f"{self.name} is declared, but its service is not running.",
                remedy="Publish from a handler, an intake, or after the application has started.",
            )
        return self._gate

    def _envelope(
        self,
        gate: Gate,
        topic: str,
        value: bytes | None,
        event_id: str,
        time: datetime,
        recorded: datetime,
        key: str,
        subject: str | None,
    ) -> RawEvent:
        cause = HANDLING.get()
        known = names.find_topic(topic)
        return RawEvent(
            id=event_id,
            source=names.source(self.name),
            type=known.type if known else "",
            subject=subject or key or None,
            time=time,
            recorded_at=recorded,
            dataschema=gate.dataschema(topic),
            key=key,
            classification=gate.classification(topic),
            correlation_id=cause.correlation_id if cause else event_id,
            causation_id=cause.id if cause else None,
            traceparent=self._traceparent(cause.traceparent if cause else None),
            value=value,
        )

    def _traceparent(self, cause: str | None) -> str:
        """Go on with the trace of the cause, or begin one (W3C Trace Context)."""
        trace = cause.split("-")[1] if cause and cause.count("-") == 3 else self.random(16).hex()
        return f"00-{trace}-{self.random(8).hex()}-01"

    async def _check_references(
        self, db: Connection, gate: Gate, topic: str, event_id: str, parsed: Any
    ) -> None:
        """Check codes against the states that are kept here; the others are their readers' to check."""
        asked = [
            (code.path, code.topic, code.code)
            for code in gate.iter_references(topic, parsed)
            if code.topic in self.kept
            or (code.topic.startswith(f"{self.name}.") and gate.is_state(code.topic))
        ]
        if problems := await state.check_references(db, asked):
            raise NotValid(
                topic=topic, event_id=event_id, schema_version=gate.version(topic), problems=tuple(problems)
            )

    async def _tell(self, topic: str, event_id: str, refusal: Refused) -> None:
        count_refusal(topic, refusal)
        if self._refusals is not None:
            await self._refusals.tell(topic, event_id, refusal)


def count_refusal(topic: str, refusal: Refused) -> None:
    """Count a refusal under each rule that was broken."""
    for rule in {problem.rule for problem in refusal.problems} or {refusal.code}:
        metrics.EVENTS_REFUSED.labels(topic, rule).inc()


def _nothing() -> None:
    """Stand in for the relay's nudge where no relay runs."""


def serialise(data: Data | Mapping[str, Any]) -> bytes:
    """Write data as JSON; what JSON cannot hold is a problem like any other."""
    try:
        if isinstance(data, Data):
            return data.model_dump_json(exclude_none=True).encode()
        return orjson.dumps(dict(data))
    except (TypeError, ValueError, UnicodeEncodeError, pydantic_core.PydanticSerializationError) as error:
        problem = Problem(
            "",
            "not-json",
            f"cannot be written as JSON ({type(error).__name__}): text without lone"
            " surrogates, integers of at most 64 bits, instants, dates, lists and objects only",
        )
        raise NotValid(topic=getattr(data, "TOPIC", None), problems=(problem,)) from None


def _key(gate: Gate, topic: str, value: bytes) -> str:
    """Compute the record key; where the data has none, the gate is about to say so."""
    try:
        return gate.key_of(topic, orjson.loads(value))
    except (KeyError, TypeError, orjson.JSONDecodeError):
        return ""


def _calling(handler: Handler, topic: str) -> Callable[[RawEvent, Any, Connection], Awaitable[None]]:
    """Adapt a typed handler: build its event, inject its connection and FastStream dependencies."""
    if not inspect.iscoroutinefunction(handler):
        raise SettingsNotUsable(
            reason=f"The handler {handler.__qualname__} of {topic} is not asynchronous.",
            remedy="Write it as `async def`.",
        )
    hints = get_type_hints(handler)
    parameters = list(inspect.signature(handler).parameters.values())
    event_class = _class_of(handler)
    if event_class is None:
        raise SettingsNotUsable(
            reason=f"The handler {handler.__qualname__} of {topic} does not say which event it takes.",
            remedy="Annotate its first parameter: event: Event[BirthRegistered].",
        )
    first, *others = parameters
    connections = [p.name for p in others if hints.get(p.name) is Connection]
    call: Handler = handler
    if len(connections) < len(others):
        call = fast_depends.inject(handler, cast=False)

    async def handle(event: RawEvent, data: Any, db: Connection) -> None:
        typed: Event[Any] = event.opened(
            event_class.model_validate(data) if data is not None and event_class is not dict else data
        )
        token = HANDLING.set(event)
        try:
            await call(**{first.name: typed}, **dict.fromkeys(connections, db))
        finally:
            HANDLING.reset(token)

    return handle


def _class_of(handler: Handler) -> Any:
    """Find the class of the events that a handler takes."""
    parameters = list(inspect.signature(handler).parameters)
    return _event_class(get_type_hints(handler).get(parameters[0]) if parameters else None)


def _event_class(hint: Any) -> Any:
    """Find the class in `Event[…]`; `dict` for plain data, None where there is no annotation."""
    if get_origin(hint) is not Event:
        return None
    (inner,) = get_args(hint)
    for candidate in get_args(inner) if get_origin(inner) in {Union, UnionType} else (inner,):
        if dict in {candidate, get_origin(candidate)}:
            return dict
        if inspect.isclass(candidate) and issubclass(candidate, Data):
            return candidate
    return None
