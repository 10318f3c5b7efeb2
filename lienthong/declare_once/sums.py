"""Sum the questions over the dossiers that are really on the bus; read record by record, kept small."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer

from lienthong.declare_once.account import Account, account_of, places
from lienthong.declare_once.form import Form, Place
from lienthong.ending import stop_consumer
from lienthong.unfolding import bound_unfolding

Progress = Callable[[int, int], None]
"""Told now and then: records read, records there are."""


@dataclass(slots=True)
class Sums:
    """One form's account over the dossiers on the bus."""

    form: Form
    dossiers: int = 0
    subjects: int = 0
    """Children, deceased, businesses: one whose dossier was returned and handed in anew has two."""
    total: Account = field(default_factory=Account)
    unreadable: int = 0
    """Records that are no dossier of this form."""

    def as_json(self) -> dict[str, Any]:
        return {
            "dossiers": self.dossiers,
            "subjects": self.subjects,
            "unreadable": self.unreadable,
            **self.total.as_json(),
        }


class Tally:
    """Dossiers of one form: of each only which answers it has, as bits."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self._bits: list[tuple[Place, str]] = [(place, "") for place in places(form)]
        self._bits += [(paper.place, paper.value) for paper in form.papers if paper.place is not None]
        self._sought: dict[str, list[tuple[int, tuple[str, ...], str]]] = {topic: [] for topic in form.topics}
        for bit, (place, wanted) in enumerate(self._bits, 1):
            self._sought[place.topic].append((1 << bit, tuple(place.path.split(".")), wanted))
        self._dossiers: dict[str, int] = {}
        self._subjects: set[bytes | None] = set()
        self._unreadable = 0

    def note(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Note one record; the same one twice is the same as once."""
        try:
            data = orjson.loads(value)
            code = str(data[self.form.code])
        except (ValueError, TypeError, KeyError):
            self._unreadable += 1  # the gate lets none by, but a department may write without it
            return
        answers = int(topic == self.form.topic)
        for mask, way, wanted in self._sought[topic]:
            if _has(data, way, wanted):
                answers |= mask
        self._dossiers[code] = self._dossiers.get(code, 0) | answers
        if topic == self.form.topic:
            self._subjects.add(key)

    def sums(self) -> Sums:
        """Add up: dossiers with the same answers have the same account."""
        told = Sums(self.form, subjects=len(self._subjects), unreadable=self._unreadable)
        for answers, count in Counter(self._dossiers.values()).items():
            if not answers & 1:
                continue  # only what is said besides came yet, not the dossier
            told.dossiers += count
            has = {bit: bool(answers >> number & 1) for number, bit in enumerate(self._bits, 1)}
            needed = [
                paper.paper
                for paper in self.form.papers
                if paper.place is None or has[paper.place, paper.value]
            ]
            answered = {place: has[place, ""] for place in places(self.form)}
            told.total.add(account_of(self.form, answered, needed), count)
        return told


def _has(data: Any, way: tuple[str, ...], wanted: str) -> bool:
    """Tell whether data hold a value there; where one is wanted, whether it is that one, or lists it."""
    for name in way:
        data = data.get(name) if isinstance(data, dict) else None
    if not wanted:
        return data is not None
    return wanted in data if isinstance(data, list) else data == wanted


async def sums(
    forms: Sequence[Form], kafka: Mapping[str, Any], on_progress: Progress | None = None
) -> list[Sums]:
    """Sum every form over the dossiers on its topics.

    Args:
        forms: What `load_forms` gave.
        kafka: aiokafka arguments of a user that may read the dossiers, such as the embedded bus's `admin`.
        on_progress: Told how far the reading is.
    """
    tallies = [Tally(form) for form in forms]
    wanted: dict[str, list[Tally]] = {}
    for tally in tallies:
        for topic in tally.form.topics:
            wanted.setdefault(topic, []).append(tally)
    if there := await _topics_there(kafka, wanted.keys()):
        bound_unfolding()
        # Without a group every partition is ours.
        consumer = AIOKafkaConsumer(*there, **kafka, enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        try:
            await _read(consumer, wanted, on_progress)
        finally:
            await stop_consumer(consumer)
    return [tally.sums() for tally in tallies]


async def _topics_there(kafka: Mapping[str, Any], wanted: Collection[str]) -> list[str]:
    """List which of the topics the cluster has; one that is not applied yet holds no dossier."""
    consumer = AIOKafkaConsumer(**kafka)
    await consumer.start()
    try:
        return sorted(topic for topic in await consumer.topics() if topic in wanted)
    finally:
        await stop_consumer(consumer)


async def _read(
    consumer: AIOKafkaConsumer, wanted: Mapping[str, list[Tally]], on_progress: Progress | None
) -> None:
    """Read to where the topics end now."""
    partitions = list(consumer.assignment())
    ends = await consumer.end_offsets(partitions)
    begins = await consumer.beginning_offsets(partitions)
    total, read = sum(ends.values()) - sum(begins.values()), 0
    left = {partition for partition in partitions if ends[partition] > begins[partition]}
    while left:
        for partition, records in (await consumer.getmany(*left, timeout_ms=200)).items():
            read += len(records)
            for record in records:
                if record.value is not None and record.offset < ends[partition]:
                    for tally in wanted[partition.topic]:
                        tally.note(partition.topic, record.key, record.value)
        for partition in list(left):
            if await consumer.position(partition) >= ends[partition]:
                left.discard(partition)
        if on_progress is not None:
            on_progress(min(read, total), total)


def spared(told: Sequence[Sums]) -> str:
    """Say the sums in one line, Vietnamese first."""
    total = Account()
    for one in told:
        total.add(one.total)
    dossiers = sum(one.dossiers for one in told)
    share = f"{total.spared / total.paper:.0%}" if total.paper else "0%"
    return (
        f"Khai một lần: {dossiers} hồ sơ, giấy hỏi {total.paper} câu, nay hỏi {total.asked},"
        f" bớt {total.spared} ({share}). · {dossiers} dossiers: {total.paper} questions on paper,"
        f" {total.asked} asked now, {total.spared} spared."
    )
