"""Run a proposed schema over the newest events that really are on a topic; nothing is written (hop 3)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from lienthong.ending import stop_consumer
from lienthong.errors import BusNotUsable, Unreadable
from lienthong.event import read_record
from lienthong.shape import Circumstances, Shape
from lienthong.unfolding import bound_unfolding


@dataclass(slots=True)
class Rehearsal:
    """How a proposed schema would have judged events: counts, paths and rules, and no data."""

    topic: str
    events: int = 0
    refused: int = 0
    unreadable: int = 0
    problems: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many events would be refused at a path, by a rule."""

    def as_json(self) -> dict[str, Any]:
        return {
            "topic": self.topic,
            "events": self.events,
            "refused": self.refused,
            "unreadable": self.unreadable,
            "problems": [
                {"path": path, "rule": rule, "events": count}
                for (path, rule), count in self.problems.most_common()
            ],
        }

    def lines(self) -> list[str]:
        """Say it in Vietnamese and English."""
        head = (
            f"{self.topic}: {self.refused} / {self.events} sự kiện sẽ bị từ chối"
            f" · {self.refused} of the newest {self.events} events would have been refused"
        )
        return [
            head,
            *(f"  {count} × {path or '/'} [{rule}]" for (path, rule), count in self.problems.most_common()),
        ]


def rehearse(schema: Mapping[str, Any], topic: str, records: Iterable[Any]) -> Rehearsal:
    """Judge records by a schema that is not frozen yet; tombstones have no data to judge."""
    shape, told = Shape.of(schema), Rehearsal(topic)
    for record in records:
        if record.value is None:
            continue
        told.events += 1
        try:
            raw = read_record(
                topic,
                record.partition,
                record.offset,
                record.timestamp,
                record.key,
                record.value,
                record.headers,
            )
        except Unreadable:
            told.unreadable += 1
            continue
        around = Circumstances(raw.time, raw.recorded_at, raw.subject, raw.id)
        _, problems = shape.check(raw.value or b"", around)
        told.refused += bool(problems)
        # An element's number is data of a kind, and would make a thousand lines of one flaw.
        told.problems.update({(_plain(problem.path), problem.rule) for problem in problems})
    return told


def _plain(path: str) -> str:
    return "/".join("*" if step.isdigit() else step for step in path.split("/"))


async def fetch_newest(kafka: Mapping[str, Any], topic: str, most: int) -> list[Any]:
    """Read the newest records of a topic, those that were recorded last over all its partitions.

    Args:
        kafka: aiokafka arguments of somebody who may read the topic.
        topic: The topic.
        most: So many at most.

    Raises:
        BusNotUsable: when the broker cannot be reached, or does not have the topic.
    """
    bound_unfolding()
    # Without a group every partition is ours.
    consumer = AIOKafkaConsumer(topic, **kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await consumer.start()
        partitions = sorted(consumer.assignment())
        if not partitions:
            raise BusNotUsable(
                reason=f"There is no topic {topic} on this bus.",
                remedy="`lienthong apply` makes it from its contract.",
            )
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, max(begins[partition], ends[partition] - most))
        left = {one for one in partitions if ends[one] > begins[one]}
        found: list[Any] = []
        while left:
            for records in (await consumer.getmany(*left, timeout_ms=200)).values():
                found.extend(records)
            left = {one for one in left if await consumer.position(one) < ends[one]}
    except KafkaError as error:
        raise BusNotUsable(
            reason=f"The newest events of {topic} cannot be read ({type(error).__name__}).",
            remedy="`lienthong status` says whether the bus runs; `lienthong apply` makes the topic.",
        ) from None
    finally:
        await stop_consumer(consumer)
    return sorted(found, key=lambda record: record.timestamp)[-most:]
