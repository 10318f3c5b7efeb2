"""Read the topics of one consumer group and commit what is behind us, never what is before us (hops 5, 6)."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka import errors as kafka_errors

from lienthong import metrics
from lienthong.again import Again
from lienthong.database import Pool
from lienthong.dead_letters import Record
from lienthong.ending import stop_consumer
from lienthong.gate import Gate
from lienthong.going_over import NotGoneOver, go_over
from lienthong.held import Held, bytes_ahead
from lienthong.lane import Lane
from lienthong.login import renew
from lienthong.logs import get_log
from lienthong.missed import Missed
from lienthong.odd_headers import read_odd_headers
from lienthong.producer import connection_arguments
from lienthong.settings import Settings
from lienthong.silence import Silence, SilentReader
from lienthong.turn import Reading, Turn
from lienthong.unfolding import bound_unfolding

COMMIT_SECONDS: Final = 0.5
"""Offsets are committed at most so often; what is handled in between is known to the inbox."""

REBALANCE_MOST_SECONDS: Final = 330.0
"""A group that finds itself for longer waits for nobody any more: members have five minutes to come back."""

COMMIT_MOST_SECONDS: Final = 20.0
"""A commit that takes longer waits for news of the cluster that may never come: the reader starts afresh."""

GATHER_MOST_SECONDS: Final = 0.05
"""Longest rest between two turns that were not full."""

GO_OVER_SECONDS: Final = 2.0
"""A group that may not begin with a newer major yet looks again after so long."""

ASK_AGAIN_SECONDS: Final = 5.0
"""How often to ask whether a topic that was closed to us is open again."""

NOT_GRANTED: Final = (
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.GroupAuthorizationFailedError,
)


class Reader(ConsumerRebalanceListener):  # type: ignore[misc]
    """One consumer group of a department, in this process."""

    def __init__(self, group: str, readings: Mapping[str, Reading], gate: Gate, settings: Settings) -> None:
        self.group = group
        self._state = "starting"
        self._readings = readings
        self._settings = settings
        self._lanes: dict[TopicPartition, Lane] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._closed: set[str] = set()
        """Topics that no longer are ours to read: the group goes on with the others."""
        self._consumer: AIOKafkaConsumer | None = None
        self._turn = Turn(group, readings, gate, settings)
        self._held = Held(settings, max(map(gate.max_bytes, readings)))
        self._again = Again(group, readings, self._turn, settings)
        self._missed = Missed(group)
        # Held while records are being handled, so that a partition is given away between two turns only.
        self._at_work = asyncio.Lock()
        self._log = get_log(group=group)

    @property
    def state(self) -> str:
        """Say "ok", or why it does not read, or not with effect."""
        if self._state == "ok" and (why := self._turn.resting) is not None:
            return f"resting: {why}"
        return self._state

    async def run(self, pool: Pool, stopping: asyncio.Event) -> None:
        """Read until told to stop; a reader that breaks is started afresh.

        One that had to set too much aside stays stopped: whoever starts the service again has looked.
        """
        wait = self._settings.back_off_seconds
        while not stopping.is_set():
            if (why := self._turn.stopped) is not None:
                await self._stay_stopped(why, stopping)
                return
            try:
                await self._session(pool, stopping)
                wait = self._settings.back_off_seconds
            except NotGoneOver as error:
                if self._state != (held := f"not gone over: {error.what()}"):
                    self._log.warning("going_over_held", reason=error.what(), remedy=error.fields["remedy"])
                self._state, wait = held, GO_OVER_SECONDS
            except UnicodeDecodeError:
                read_odd_headers()
                self._log.warning(
                    "odd_header_met", topics=sorted(self._readings), remedy="Tell the topic's owner."
                )
            except NOT_GRANTED as error:
                self._closed |= _topics(error) & self._readings.keys()
                self._state = f"not granted: {', '.join(sorted(self._closed)) or self.group}"
                self._log.error(
                    "reading_not_granted",
                    topics=sorted(self._closed or self._readings),
                    remedy="Ask the owner for a grant, then `lienthong apply`.",
                )
                is_open = self._closed and self._readings.keys() - self._closed
                wait = self._settings.back_off_seconds if is_open else ASK_AGAIN_SECONDS
            except (kafka_errors.KafkaError, SilentReader, OSError, TimeoutError) as error:
                self._state = f"interrupted: {type(error).__name__}"
                self._log.warning("reader_interrupted", error=error, wait_seconds=wait)
            except Exception as error:  # a defect of ours: say so, keep the records, begin afresh
                self._state = f"interrupted: {type(error).__name__}"
                self._log.error("reader_failed", error=error, wait_seconds=wait)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), wait)
            wait = min(wait * 2, 5.0)

    async def _stay_stopped(self, why: str, stopping: asyncio.Event) -> None:
        self._state = f"stopped: {why}"
        metrics.READERS_STOPPED.labels(self.group).inc()
        self._log.error(
            "reader_stopped",
            reason=why,
            remedy="Look at the dead letters, see to the cause, start the service again.",
        )
        await stopping.wait()

    def renew(self, password: str) -> bool:
        """Log in with this password from the next connection on; tells whether it is another one."""
        return self._consumer is not None and renew(self._consumer._client, password)  # noqa: SLF001

    async def _session(self, pool: Pool, stopping: asyncio.Event) -> None:
        bound_unfolding()
        await go_over(self._settings, self.group, self._readings, pool, stopping)
        consumer = AIOKafkaConsumer(
            **connection_arguments(self._settings),
            client_id=f"{self.group}.{self._settings.instance}",
            group_id=self.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=int(self._settings.session_seconds * 1_000),
            heartbeat_interval_ms=int(self._settings.session_seconds * 200),
            max_poll_interval_ms=300_000,
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=bytes_ahead(self._settings),
            fetch_max_bytes=8 * bytes_ahead(self._settings),
            check_crcs=True,
            # Partitions that `lienthong apply` adds are read from their beginning, this soon at the latest.
            metadata_max_age_ms=30_000,
        )
        self._consumer = consumer
        if self._closed.issuperset(self._readings):
            self._closed.clear()
        consumer.subscribe([topic for topic in self._readings if topic not in self._closed], listener=self)
        try:
            async with asyncio.timeout(self._settings.silent_seconds):
                await consumer.start()
            self._state = f"not granted: {', '.join(sorted(self._closed))}" if self._closed else "ok"
            async with self._again.going(pool, self._at_work, self._lanes):
                await self._read(consumer, pool, stopping)
        finally:
            self._consumer = None
            await stop_consumer(consumer, self._settings.stop_seconds)
            self._lanes.clear()
            self._committed.clear()

    async def _read(self, consumer: AIOKafkaConsumer, pool: Pool, stopping: asyncio.Event) -> None:
        clock = asyncio.get_running_loop().time
        committed, measured, asked = 0.0, 0.0, clock()
        silence = Silence(self._settings.silent_seconds, clock())
        while not stopping.is_set() and self._turn.stopped is None:
            if self._closed and clock() - asked >= ASK_AGAIN_SECONDS:
                asked = clock()
                if self._closed & await consumer.topics():
                    self._closed.clear()
                    break  # and begin afresh, with all of them
            self._hold_full_lanes(consumer)
            wakes_at = min((lane.wakes_at() for lane in self._lanes.values()), default=float("inf"))
            wait = max(wakes_at, self._turn.rests_until) - clock()
            # Nothing is lost when this is cut short: what it would give is taken without a pause.
            async with asyncio.timeout(REBALANCE_MOST_SECONDS):
                batches = await consumer.getmany(
                    timeout_ms=int(max(0.0, min(wait, 0.2)) * 1_000),
                    max_records=self._held.most_records(self._lanes),
                )
            async with self._at_work:
                began = clock()
                if batches:
                    silence.broken(began)
                for partition, records in batches.items():
                    # A partition that was given away meanwhile is another's to handle.
                    if (lane := self._lanes.get(partition)) is not None:
                        first = records[0].offset
                        await self._missed.look(consumer, partition, lane.next_offset, first, clock())
                        self._held.take(lane, _records(partition, records))
                await self._make_turn(pool, clock())
                if clock() - committed >= COMMIT_SECONDS:
                    committed = clock()
                    await self._commit(consumer, self._lanes)
            if 0 < sum(map(len, batches.values())) < self._settings.batch_records:
                # As long as the turn took: where many processes share a machine, each gathers more.
                await asyncio.sleep(min(clock() - began, GATHER_MOST_SECONDS))
            if clock() - measured >= 1.0:
                measured = clock()
                self._mind_closed(consumer)
                await self._measure(consumer)
                await silence.look(consumer, consumer.assignment() - consumer.paused(), measured)
        async with self._at_work:
            await self._commit(consumer, self._lanes)

    async def _make_turn(self, pool: Pool, now: float) -> None:
        """Try what waits in any lane in one transaction: few transactions at low load as under a backlog.

        Lanes never work at the same time: handlers that touch the same rows would wait for each other's
        transactions in circles, or each miss what the other has not committed yet.
        """
        if now < self._turn.rests_until:
            return
        chosen = [(lane, lane.choose(self._settings.batch_records, now)) for lane in self._lanes.values()]
        if not any(batch for _, batch in chosen):
            return
        fates = iter(await self._turn.make(pool, [taken for _, batch in chosen for taken in batch]))
        now = asyncio.get_running_loop().time()
        for lane, batch in chosen:
            lane.settle(list(islice(fates, len(batch))), now)

    def _mind_closed(self, consumer: AIOKafkaConsumer) -> None:
        """Notice a topic that the broker no longer shows us: to aiokafka it is one that does not exist."""
        hidden = consumer._client.cluster.unauthorized_topics & consumer.subscription()  # noqa: SLF001
        if hidden:
            raise kafka_errors.TopicAuthorizationFailedError(hidden)

    def _hold_full_lanes(self, consumer: AIOKafkaConsumer) -> None:
        """Stop fetching where a lane is full, go on where it no longer is."""
        paused = consumer.paused()
        full = self._held.find_full(self._lanes)
        if ready := (paused - full) & consumer.assignment():
            consumer.resume(*ready)
        if hold := (full - paused) & consumer.assignment():
            consumer.pause(*hold)

    async def _measure(self, consumer: AIOKafkaConsumer) -> None:
        lag: dict[str, int] = dict.fromkeys(self._readings, 0)
        assigned = consumer.assignment()
        for partition, lane in self._lanes.items():
            if partition not in assigned:
                continue
            # Known from the first answer of the broker on; only then does the client know its place too.
            if (end := consumer.highwater(partition)) is not None:
                at = lane.commit_offset
                lag[partition.topic] += max(
                    0, end - (await consumer.position(partition) if at is None else at)
                )
        for topic, records in lag.items():
            metrics.LAG_RECORDS.labels(topic, self.group).set(records)
        metrics.PARKED_RECORDS.labels(self.group).set(
            sum(lane.parked_records for lane in self._lanes.values())
        )
        metrics.HELD_BYTES.labels(self.group).set(sum(lane.held_bytes for lane in self._lanes.values()))

    async def _commit(self, consumer: AIOKafkaConsumer, lanes: Mapping[TopicPartition, Lane]) -> None:
        offsets = {
            partition: offset
            for partition, lane in lanes.items()
            if (offset := lane.commit_offset) is not None and self._committed.get(partition) != offset
        }
        if not offsets:
            return
        try:
            await asyncio.wait_for(consumer.commit(offsets), COMMIT_MOST_SECONDS)
        except (kafka_errors.CommitFailedError, kafka_errors.IllegalStateError) as error:
            # The partitions are another's by now: it begins at the offset before; the inbox knows the rest.
            self._log.warning("commit_refused", error=error)
            return
        self._committed |= offsets

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let the turn in progress end, commit it, and forget what was not begun."""
        async with self._at_work:
            given = {partition: self._lanes[partition] for partition in revoked if partition in self._lanes}
            try:
                if self._consumer is not None and given:
                    await self._commit(self._consumer, given)
            finally:  # They are another's, committed or not: the inbox knows what was handled.
                for partition in given:
                    del self._lanes[partition]
                    self._committed.pop(partition, None)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Open a lane for each partition that is ours now."""
        for partition in assigned:
            self._lanes[partition] = Lane(self._settings)
        if self._consumer is not None:
            ahead = bytes_ahead(self._settings, len(self._lanes))
            self._consumer._fetcher._max_partition_fetch_bytes = ahead  # noqa: SLF001
        self._log.info("partitions_assigned", count=len(self._lanes))


def _records(partition: TopicPartition, fetched: Iterable[Any]) -> Iterable[Record]:
    for record in fetched:
        yield Record(
            partition.topic,
            partition.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            record.headers,
        )


def _topics(error: kafka_errors.KafkaError) -> set[str]:
    """Name the topics that an error of access is about; a group's is about none."""
    if not isinstance(error, kafka_errors.TopicAuthorizationFailedError) or not error.args:
        return set()
    (named, *_) = error.args
    return {named} if isinstance(named, str) else set(map(str, named))
