"""Judge a history: pure functions, each of which finds one kind of wrong and names the culprits."""

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lienthong.chaos.departments import FOLLOWING, Grant, answers_of, grants
from lienthong.chaos.history import Fact, History

MUST_BE_SET_ASIDE: Final = frozenset({"is-poison", "breaks", "spoils"})
"""What a fact says that its handler does, where it can never be handled."""

CLOCK_MS: Final = 5.0
"""Broker and database tell the time by one clock, the broker in whole milliseconds."""

SHOWN: Final = 5
"""How many culprits a sentence names."""

Wrong = tuple[str, str]
"""Which rule is broken, and by what."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a history, by rule, and how much there was to be judged."""

    wrongs: dict[str, list[str]]
    totals: dict[str, int]
    faults: dict[str, int]
    longest_stop_seconds: float
    left: dict[str, int] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether nothing was lost, doubled, out of order, hidden, made up, or still under way."""
        return not self.wrongs and not self.left

    def as_json(self) -> dict[str, Any]:
        return {
            "sound": self.is_sound,
            "wrongs": self.wrongs,
            "totals": self.totals,
            "faults": self.faults,
            "longest_stop_seconds": self.longest_stop_seconds,
            "left": self.left,
        }


class Evidence:
    """A history looked up from several sides."""

    def __init__(self, history: History, names: Sequence[str]) -> None:
        self.history = history
        self.names = names
        self.grants: list[Grant] = grants(names)
        self.facts = {(fact.topic, fact.id): fact for fact in history.facts}
        self.by_topic: dict[str, list[Fact]] = defaultdict(list)
        for fact in sorted(history.facts, key=lambda fact: fact.seq):
            self.by_topic[fact.topic].append(fact)
        self.on_bus = {(record.topic, record.id) for record in history.records}
        self.effects = Counter((e.group, e.topic, e.id) for e in history.effects)
        self.letters: dict[tuple[str, str, str], set[tuple[str, str]]] = defaultdict(set)
        """By group and event: when it was set aside. A letter that was sent twice says the same of itself."""
        for letter in history.letters:
            self.letters[letter.group, letter.topic, letter.id].add((letter.first_at, letter.last_at))


def judge(history: History, names: Sequence[str]) -> Verdict:
    """Find all that is wrong with the history of a city of these departments."""
    evidence = Evidence(history, names)
    wrongs: dict[str, list[str]] = {}
    # What is under way still looks as if it were lost.
    for rule in RULES if history.left else (*LOST, *RULES):
        for name, culprit in rule(evidence):
            wrongs.setdefault(name, []).append(culprit)
    stops = [
        float(s.done.get("seconds", 0)) for s in history.struck if s.fault == "services-stopped-in-order"
    ]
    return Verdict(
        wrongs,
        totals={
            "facts": len(history.facts),
            "records": len(history.records),
            "effects": len(history.effects),
            "letters": len(evidence.letters),
            "turned away": len(history.turned_away),
            "written twice": len(history.records) - len(evidence.on_bus),
            "offsets committed": len(history.commits),
        },
        faults=dict(
            sorted(Counter(s.fault for s in history.struck if s.done and "error" not in s.done).items())
        ),
        longest_stop_seconds=max(stops, default=0.0),
        left={where: count for left in history.left for where, count in left.where.items()},
    )


def lost_at_the_source(evidence: Evidence) -> Iterator[Wrong]:
    """Find what a program was told is committed, and what is neither a fact nor turned away."""
    known = {fact.label for fact in evidence.history.facts}
    known |= {away.label for away in evidence.history.turned_away}
    for handed in evidence.history.handed_in:
        if handed.label not in known:
            yield "lost at the source", f"{handed.label} ({handed.way})"


def lost_on_the_way(evidence: Evidence) -> Iterator[Wrong]:
    """Find facts that are committed at their source and not on their topic."""
    for (topic, event), fact in evidence.facts.items():
        if (topic, event) not in evidence.on_bus:
            yield "lost on the way", f"{topic} {event} ({fact.label})"


def skipped(evidence: Evidence) -> Iterator[Wrong]:
    """Find facts that are not on their topic though one of their key is that must stand behind them."""
    written: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for place, fact in evidence.facts.items():
        if place in evidence.on_bus:
            written[fact.topic, fact.key].append(fact)
    for place, fact in evidence.facts.items():
        if place not in evidence.on_bus and any(
            fact.seq < later.seq and comes_first(fact, later) for later in written[fact.topic, fact.key]
        ):
            yield "skipped on the way", f"{fact.topic} {fact.id} ({fact.label})"


def lost_at_a_reader(evidence: Evidence) -> Iterator[Wrong]:
    """Find facts that a granted group neither handled nor set aside."""
    for grant in evidence.grants:
        for fact in evidence.by_topic[grant.topic]:
            place = (grant.group, fact.topic, fact.id)
            if place not in evidence.effects and place not in evidence.letters:
                yield "lost at a reader", f"{grant.group}: {fact.topic} {fact.id} ({fact.label}, {fact.does})"


def doubled(evidence: Evidence) -> Iterator[Wrong]:
    """Find what took effect more than once: in a reader's table, or as a caused fact."""
    for (group, topic, event), times in evidence.effects.items():
        if times > 1:
            yield "took effect twice", f"{group}: {topic} {event}, {times} times"
    for department in evidence.names:
        caused = Counter(fact.cause for fact in evidence.by_topic[answers_of(department)])
        for cause, times in caused.items():
            if times > 1:
                yield "took effect twice", f"{department} answered {cause} {times} times"


def out_of_order(evidence: Evidence) -> Iterator[Wrong]:
    """Find facts of one key that overtook another: on the bus as first written, or at an effect.

    The source's order is what the bus must keep, and the order on the bus is what an effect must keep.
    """
    written: dict[tuple[str, str], int] = {}
    seen: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for record in sorted(evidence.history.records, key=lambda r: (r.topic, r.partition, r.offset)):
        place = (record.topic, record.id)
        fact = evidence.facts.get(place)
        if fact is None or place in written:
            continue
        written[place] = record.offset
        before = seen[fact.topic, fact.key]
        for later in before[bisect_right(before, fact.seq, key=lambda one: one.seq) :]:
            if comes_first(fact, later):
                culprits = f"{fact.topic} {fact.key}: number {fact.number} after {later.number}"
                yield "out of order on the bus", culprits
        insort(before, fact, key=lambda one: one.seq)
    last: dict[tuple[str, str, str], tuple[int, int]] = {}
    for effect in sorted(evidence.history.effects, key=lambda effect: (effect.group, effect.seq)):
        offset = written.get((effect.topic, effect.id))
        if offset is None:
            continue
        lane = (effect.group, effect.topic, effect.key)
        before_it, number = last.get(lane, (offset, effect.number))
        if offset < before_it:
            where = f"{effect.group}: {effect.topic} {effect.key}"
            yield "out of order at an effect", f"{where}: number {effect.number} after {number}"
        else:
            last[lane] = (offset, effect.number)


def comes_first(one: Fact, other: Fact) -> bool:
    """Tell whether a fact that stands before another in the outbox must stand before it on the bus too.

    It must where the other was written when it was committed already, or by a transaction that began to
    write later. Two that were under way at once have no order of their own.
    """
    if one.xid <= other.xid:
        return True
    _, end, under_way = other.saw.split(":")
    return one.xid < int(end) and str(one.xid) not in under_way.split(",")


def set_aside_wrongly(evidence: Evidence) -> Iterator[Wrong]:
    """Find what was set aside without a reason, twice, besides being handled, or though it was sound."""
    for letter in evidence.history.letters:
        if not (letter.code and letter.reason and letter.topic):
            yield "set aside without a reason", f"{letter.group}: {letter.topic} {letter.id}"
    for (group, topic, event), times in evidence.letters.items():
        if (group, topic, event) in evidence.effects:
            yield "set aside and handled", f"{group}: {topic} {event}"
        if len(times) > 1:
            yield "set aside twice", f"{group}: {topic} {event}, {len(times)} times"
        fact = evidence.facts.get((topic, event))
        if fact is not None and fact.does not in MUST_BE_SET_ASIDE:
            yield "set aside though sound", f"{group}: {topic} {event} ({fact.label}, {fact.does})"
    for group, topic, event in evidence.effects:
        fact = evidence.facts.get((topic, event))
        if fact is not None and fact.does in MUST_BE_SET_ASIDE:
            yield "handled though its handler failed", f"{group}: {topic} {event} ({fact.does})"


def from_nowhere(evidence: Evidence) -> Iterator[Wrong]:
    """Find what no source committed: events, altered ones, effects and answers without their cause."""
    for record in evidence.history.records:
        fact = evidence.facts.get((record.topic, record.id))
        place = f"{record.topic} {record.partition}/{record.offset} {record.id}"
        if fact is None:
            yield "committed by no source", place
        elif (fact.digest, fact.key) != (record.digest, record.key):
            yield "altered on the way", place
    for letter in evidence.history.letters:
        fact = evidence.facts.get((letter.topic, letter.id))
        if fact is not None and (fact.digest, fact.key) != (letter.digest, letter.key):
            yield "altered on the way", f"dead letter of {letter.group}: {letter.topic} {letter.id}"
    for group, topic, event in evidence.effects:
        if (topic, event) not in evidence.facts:
            yield "effect of no fact", f"{group}: {topic} {event}"
    handled = {(group, event) for group, _, event in evidence.effects}
    for department in evidence.names:
        causes = {fact.cause for fact in evidence.by_topic[answers_of(department)]}
        following = f"{department}.{FOLLOWING}"
        for cause in causes:
            if (following, cause) not in handled:
                yield "effect of no fact", f"{department} answered {cause}, which it did not handle"
        for group, event in handled:
            if group == following and event not in causes:
                yield "lost at the source", f"{department} handled {event} and its answer is gone"


def offsets(evidence: Evidence) -> Iterator[Wrong]:
    """Find committed offsets that went back, or that passed a record before its effect was there."""
    commits: dict[tuple[str, str, int], list[tuple[int, float]]] = defaultdict(list)
    for commit in evidence.history.commits:
        made = commits[commit.group, commit.topic, commit.partition]
        if made and commit.offset < made[-1][0]:
            place = f"{commit.group}: {commit.topic}/{commit.partition}"
            yield "an offset went back", f"{place}: {commit.offset} after {made[-1][0]}"
        else:
            made.append((commit.offset, commit.at))
    first: dict[tuple[str, str, str], float] = {}
    for effect in evidence.history.effects:
        place_of = (effect.group, effect.topic, effect.id)
        first[place_of] = min(effect.at, first.get(place_of, effect.at))
    seen: set[tuple[str, str]] = set()
    for record in evidence.history.records:
        if (record.topic, record.id) in seen:
            continue
        seen.add((record.topic, record.id))
        for grant in evidence.grants:
            if grant.topic != record.topic:
                continue
            made = commits[grant.group, record.topic, record.partition]
            at = first.get((grant.group, record.topic, record.id))
            passed = bisect_right(made, record.offset, key=lambda one: one[0])
            if at is not None and passed < len(made) and at > made[passed][1] + CLOCK_MS:
                late = f"{at - made[passed][1]:.0f} ms"
                where = f"{record.topic}/{record.partition} {record.offset}"
                yield "committed before its effect", f"{grant.group}: {where} {record.id}, by {late}"


Rule = Callable[[Evidence], Iterator[Wrong]]
LOST: Final[Sequence[Rule]] = (lost_at_the_source, lost_on_the_way, lost_at_a_reader)
RULES: Final[Sequence[Rule]] = (
    skipped,
    doubled,
    out_of_order,
    set_aside_wrongly,
    from_nowhere,
    offsets,
)


def sentences(verdict: Verdict) -> list[str]:
    """Say what is wrong, the first culprits of each kind by name."""
    told = []
    for rule, culprits in verdict.wrongs.items():
        more = f"; and {len(culprits) - SHOWN} more" if len(culprits) > SHOWN else ""
        told.append(f"{rule}: {len(culprits)} – {'; '.join(culprits[:SHOWN])}{more}")
    if verdict.left:
        waiting = ", ".join(f"{where} {count}" for where, count in verdict.left.items())
        told.append(f"not settled, still waiting: {waiting}")
    return told
