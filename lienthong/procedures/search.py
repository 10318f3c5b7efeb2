"""Read the topics of procedures from end to end, and take up only the records that hold a code looked for."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition, admin

from lienthong.errors import BusNotUsable
from lienthong.procedures.procedure import Procedure
from lienthong.procedures.trail import Record, Trail

SECONDS: Final = 30.0
"""How long a broker may be silent."""
AT_ONCE: Final = 10_000
NEWEST: Final = 2
"""How many of each partition are looked at for the newest dossiers."""
Place = tuple[Any, Any]
"""A topic and a partition of it."""
Progress = Callable[[int, int], None]
"""Is told how many records were read in a round, and how many there are."""


def follow(trail: Trail, client: dict[str, Any], progress: Progress) -> None:
    """Follow a dossier's trail over the bus, up to what is there now.

    Args:
        trail: What is known of the dossier; its events are put into it.
        client: Properties of librdkafka of somebody who may read the procedures' topics.
        progress: Is told now and then how far it is.

    Raises:
        BusNotUsable: the brokers do not answer.
    """
    topics = {fact.topic for procedure in trail.procedures.values() for fact in procedure.facts}
    with _reading(client, topics) as (consumer, spans):
        for wanted, codes in trail.rounds():
            round_ = {place: span for place, span in spans.items() if place[0] in wanted}
            for found in _holding(consumer, round_, codes, progress):
                trail.take(found)


def find_newest(procedures: Mapping[str, Procedure], client: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Find some of the newest dossiers, the newest first: (submitted at, code, procedure).

    Raises:
        BusNotUsable: the brokers do not answer.
    """
    openings = {
        fact.topic: procedure.opening
        for procedure in procedures.values()
        for fact in procedure.facts
        if fact.part == "opens"
    }
    found = []
    with _reading(client, openings) as (consumer, spans):
        last = {place: (max(low, high - NEWEST), high) for place, (low, high) in spans.items()}
        for record in _holding(consumer, last, (b"",), lambda *_: None):
            opening = openings[record.topic]
            with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError):
                told = orjson.loads(record.value or b"")
                found.append((str(told[opening.submitted_at]), str(told[opening.dossier]), opening.name))
    return sorted(found, reverse=True)


@contextlib.contextmanager
def _reading(
    client: dict[str, Any], topics: Iterable[str]
) -> Iterator[tuple[Consumer, dict[Place, tuple[int, int]]]]:
    """Open a consumer, and find what each partition of the topics holds now."""
    # No group is joined and nothing is committed; librdkafka wants a name all the same.
    reading = {
        "group.id": "procedure-show",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 10,
        "log_level": 2,  # what ends with the command needs no telling
    }
    consumer = None
    try:
        spans = _find_spans(admin.AdminClient(client), topics)
        consumer = Consumer(client | reading)
        # Else it learns of each round's topics anew, a second every time.
        consumer.list_topics(timeout=SECONDS)
        yield consumer, spans
    except KafkaException as error:
        raise BusNotUsable(
            reason=f"The bus does not answer: {error.args[0].str()}.",
            remedy="`lienthong status` says whether it runs.",
        ) from None
    finally:
        if consumer is not None:
            consumer.close()


def _find_spans(asked: Any, topics: Iterable[str]) -> dict[Place, tuple[int, int]]:
    """Find the first offset of each partition that holds something, and the one after its last."""
    there = asked.list_topics(timeout=SECONDS).topics
    places = [TopicPartition(name, one) for name in topics if name in there for one in there[name].partitions]
    specs: Any = admin.OffsetSpec  # type: ignore[attr-defined]  # the client's own types leave it out
    ends = [
        asked.list_offsets(dict.fromkeys(places, spec), request_timeout=SECONDS) if places else {}
        for spec in (specs.earliest(), specs.latest())
    ]
    low, high = (
        {(one.topic, one.partition): told.result().offset for one, told in end.items()} for end in ends
    )
    return {place: (low[place], high[place]) for place in high if high[place] > low[place]}


def _holding(
    consumer: Consumer, spans: Mapping[Place, tuple[int, int]], codes: Sequence[bytes], progress: Progress
) -> Iterator[Record]:
    """Give the records that hold one of the codes somewhere: only those are worth decoding."""
    left = {place: high for place, (_, high) in spans.items()}
    total = sum(high - low for low, high in spans.values())
    consumer.assign([TopicPartition(*place, low) for place, (low, _) in spans.items()])
    read, heard = 0, time.monotonic()
    while left:
        record: Any
        for record in consumer.consume(AT_ONCE, timeout=0.02):
            heard = time.monotonic()
            place = record.topic(), record.partition()
            if record.error() is not None:
                if record.error().code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    raise KafkaException(record.error())
                left.pop(place, None)
                continue
            if place not in left:
                # Came after we began: an effect would be told without a cause on a topic read before.
                continue
            read += 1
            value = record.value()
            if value is not None and any(code in value for code in codes):
                yield _record(record, value)
            if record.offset() + 1 >= left[place]:
                del left[place]
        progress(read, total)
        if time.monotonic() - heard > SECONDS:
            raise BusNotUsable(
                reason=f"The bus gave nothing for {SECONDS:.0f} seconds.",
                remedy="`lienthong status` says whether it runs; then ask again.",
            )
    consumer.unassign()


def _record(record: Any, value: bytes) -> Record:
    return Record(
        record.topic(),
        record.partition(),
        record.offset(),
        record.timestamp()[1],
        record.key(),
        value,
        tuple(record.headers() or ()),
    )
