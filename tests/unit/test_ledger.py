"""Books that do not balance are named: which topic, which reader, how many, which events."""

from collections import Counter
from dataclasses import dataclass
from io import StringIO

import orjson
import pytest
from rich.console import Console

from lienthong.commands.ledger import draw
from lienthong.ledger import Ledger, ReaderAccount, TopicAccount
from lienthong.ledger.account import Latency
from lienthong.ledger.balance import count_refusals
from lienthong.ledger.identity import identity, spell
from lienthong.ledger.problems import iter_problems
from lienthong.ledger.reading import count_alive
from lienthong.ledger.topics import Log

TOPIC = "health.birth-notified.v1"
GROUP = "justice.birth-registration"
WAY = f"{TOPIC} → {GROUP}"
ID = "019a7f3e-0000-7000-8000-000000000001"


@dataclass
class Sent:
    """A record as aiokafka gives it."""

    key: bytes | None = b"k"
    value: bytes | None = b"{}"
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = 0
    offset: int = 7


def reader(**changes) -> ReaderAccount:
    return ReaderAccount(**{"handled": 3, "set_aside": Counter({"not-handled": 2}), **changes})


def ledger(*, readers: dict[str, ReaderAccount] | None = None, **changes) -> Ledger:
    """Books of one topic, five facts, one reader who handled three and set two aside: they balance."""
    account = TopicAccount(TOPIC, "Giấy chứng sinh", committed=5, readers=readers or {GROUP: reader()})
    for name, value in changes.items():
        setattr(account, name, value)
    return Ledger(topics={TOPIC: account}, dead_letters=Counter({f"{GROUP}.dlt": 2}))


def problems(books: Ledger) -> list[str]:
    return [*iter_problems(books)]


def test_balanced_books_have_no_problem():
    assert problems(ledger()) == []
    assert problems(Ledger()) == []


def test_facts_that_wait_in_an_outbox_are_named_by_department():
    books = ledger()
    books.waiting = Counter({"health": 2, "justice": 0, "onestop": 1})
    assert problems(books) == [
        "health: 2 facts or dead letters still wait for the broker",
        "onestop: 1 facts or dead letters still wait for the broker",
    ]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"not_on_topic": ["a", "b"]}, "2 committed facts not on the topic: a, b"),
        ({"only_on_topic": ["x"]}, "1 event that no source committed: x"),
        ({"not_noted": ["x"]}, "1 fact on the topic, but not in what health noted as published: x"),
    ],
)
def test_what_is_wrong_between_a_source_and_its_topic_is_named(found, told):
    assert problems(ledger(**found)) == [f"{TOPIC}: {told}"]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"missing": ["a"]}, "1 fact neither handled nor set aside: a"),
        ({"unknown": ["x", "y"]}, "2 events in the inbox that no source committed: x, y"),
        ({"effects_missing": ["KEY"]}, "1 effect missing: KEY"),
        ({"effects_doubled": ["KEY"]}, "1 effect doubled: KEY"),
        ({"effects_without_fact": ["KEY", "KEY"]}, "2 effects without a fact: KEY, KEY"),
    ],
)
def test_what_is_wrong_at_a_reader_is_named(found, told):
    assert problems(ledger(readers={GROUP: reader(**found)})) == [f"{WAY}: {told}"]


def test_a_set_aside_event_without_its_dead_letter_is_named():
    assert problems(ledger(readers={GROUP: reader(without_letter=["a"])})) == [
        f"{GROUP}.dlt: 1 event of {TOPIC} set aside without a dead letter: a"
    ]


def test_everything_that_is_wrong_is_named_at_once():
    wrong = reader(missing=["a"], unknown=["x"], without_letter=["b"], effects_doubled=["k"])
    books = ledger(readers={GROUP: wrong}, not_on_topic=["b"], only_on_topic=["y"])
    books.waiting["health"] = 1
    assert len(problems(books)) == 7


def test_of_many_events_the_first_five_are_named():
    (told,) = problems(ledger(not_on_topic=list("abcdefgh")))
    assert told.endswith("8 committed facts not on the topic: a, b, c, d, e …")


@pytest.mark.parametrize(("found", "balanced"), [([], True), (["a problem"], False)])
def test_books_balance_when_nothing_is_wrong(found, balanced):
    books = ledger()
    books.problems = found
    assert books.balanced is balanced
    assert books.as_json()["balanced"] is balanced


def test_the_account_is_plain_data_and_its_lists_are_cut():
    books = ledger(not_on_topic=[str(n) for n in range(60)], latency=Latency(1.0, 2.0, 3.0))
    told = orjson.loads(orjson.dumps(books.as_json()))
    assert len(told["topics"][TOPIC]["not_on_topic"]) == 50
    assert told["topics"][TOPIC]["p95_ms"] == 2.0
    assert told["topics"][TOPIC]["readers"][GROUP]["set_aside"] == {"not-handled": 2}
    assert told["topics"][TOPIC]["readers"][GROUP]["p50_ms"] is None
    assert told["dead_letters"] == {f"{GROUP}.dlt": 2}


def test_a_person_is_told_whose_word_the_account_rests_on_and_what_is_wrong():
    books = ledger()
    books.unwitnessed, books.problems = ["health"], ["one thing is wrong"]
    books.progress = {"birth": {"completed": 3, "late": 1}}
    console = Console(width=120, record=True, file=StringIO())
    console.print(draw(books))
    told = console.export_text()
    assert "no witness" in told
    assert "birth: 4 (xong · completed 3; trễ hạn · late 1)" in told
    assert "one thing is wrong" in told
    assert "Balanced" not in told


def test_refusals_are_counted_by_topic_and_rule_and_strangers_are_passed_over():
    def notice(topic: str, code: str, *rules: str, **more: str) -> bytes:
        told = {"refused_topic": topic, "code": code, "problems": [{"rule": rule} for rule in rules]}
        return orjson.dumps(told | more)

    books = ledger()
    count_refusals(
        books,
        [
            notice(TOPIC, "not-valid", "maximum", "maximum", "pattern"),
            notice(TOPIC, "not-valid", "pattern"),
            notice(TOPIC, "refused"),
            notice("health.no-such.v1", "refused"),
            notice(TOPIC, "id-conflict", "id-conflict", found_by="justice.birth-registration"),
            b"{}",
        ],
    )
    assert books.topics[TOPIC].refused == Counter({"pattern": 2, "maximum": 1, "refused": 1})


@pytest.mark.parametrize(
    ("text", "bytes_held"), [(ID, 16), ("3/17", 4), ("x" * 36, 36), ("-" * 36, 36), ("0" * 36, 36)]
)
def test_an_id_is_held_in_few_bytes_and_spelled_as_it_came(text, bytes_held):
    packed = identity(text.encode())
    assert len(packed) == bytes_held
    assert spell(packed) == text


def test_an_event_that_was_sent_twice_is_on_the_topic_once():
    log = Log()
    for offset in (1, 2):
        log.add(Sent(headers=(("ce_id", ID.encode()),), offset=offset))
    assert log.keys == {identity(ID.encode()): b"k"}
    assert log.records == 2


def test_a_record_without_an_id_is_known_by_its_structured_envelope_or_its_place():
    log = Log()
    structured = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
    log.add(Sent(headers=structured, value=b'{"id": "abc"}'))
    log.add(Sent(headers=structured, value=b"not json"))
    log.add(Sent(offset=8))
    assert set(log.keys) == {b"abc", b"0/7", b"0/8"}


def test_a_dead_letter_answers_for_its_event_by_id_and_by_place():
    log = Log(letters=set())
    origin = (("lt_topic", TOPIC.encode()), ("lt_partition", b"2"), ("lt_offset", b"40"))
    log.add(Sent(headers=(("ce_id", ID.encode()), *origin)))
    assert log.letters == {(TOPIC, identity(ID.encode())), (TOPIC, b"2/40")}


@pytest.mark.parametrize(
    ("events", "handled", "held"),
    [
        ([(b"1", True), (b"2", True)], {b"1", b"2"}, 1),
        ([(b"1", True), (b"2", False)], {b"1", b"2"}, 0),
        ([(b"1", True), (b"2", False)], {b"1"}, 1),
        ([(b"1", True)], set(), 0),
    ],
)
def test_of_a_state_each_key_that_lives_is_held_once(events, handled, held):
    assert count_alive({b"key": events}, handled).total() == held


def test_a_log_knows_what_two_majors_tell_of_one_fact():
    other = ID.replace("0001", "0002")
    log = Log()
    log.add(Sent(headers=(("ce_id", ID.encode()), ("ce_siblingid", other.encode()))))
    log.add(Sent(headers=(("ce_id", other.replace("0002", "0003").encode()),)))
    assert {spell(one): spell(two) for one, two in log.siblings.items()} == {ID: other}
