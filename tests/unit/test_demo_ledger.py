"""Books that do not balance are named: which topic, which reader, how many, which events."""

from collections import Counter

import orjson
import pytest

from lienthong.demo.ledger import Ledger, ReaderAccount, TopicAccount, _count_refusals, _iter_problems

TOPIC = "health.birth-notified.v1"
GROUP = "justice.birth-registration"


def reader(**changes) -> ReaderAccount:
    return ReaderAccount(**{"handled": 3, "set_aside": Counter({"not-handled": 2}), **changes})


def ledger(*, readers: dict[str, ReaderAccount] | None = None, letters: int = 2, **changes) -> Ledger:
    """Books of one topic, five facts, one reader who handled three and set two aside: they balance."""
    account = TopicAccount(TOPIC, "Giấy chứng sinh", committed=5, readers=readers or {GROUP: reader()})
    for name, value in changes.items():
        setattr(account, name, value)
    return Ledger(topics={TOPIC: account}, dead_letters=Counter({f"{GROUP}.dlt": letters}))


def problems(books: Ledger, waiting: dict[str, int] | None = None) -> list[str]:
    return [*_iter_problems(books, waiting or {"health": 0})]


def test_balanced_books_have_no_problem():
    assert problems(ledger()) == []


def test_empty_books_balance():
    assert problems(Ledger(), {}) == []


def test_facts_that_wait_in_an_outbox_are_named_by_department():
    assert problems(ledger(), {"health": 2, "justice": 0, "onestop": 1}) == [
        "health: 2 facts still wait in the outbox",
        "onestop: 1 facts still wait in the outbox",
    ]


def test_committed_facts_that_are_not_on_the_topic_are_named():
    assert problems(ledger(not_on_topic=["a", "b"])) == [
        "health.birth-notified.v1: 2 committed facts are not on the topic: a, b"
    ]


def test_events_on_the_topic_that_no_source_committed_are_named():
    assert problems(ledger(only_on_topic=["x"])) == [
        "health.birth-notified.v1: 1 events that no source committed: x"
    ]


def test_facts_that_a_reader_neither_handled_nor_set_aside_are_named():
    assert problems(ledger(readers={GROUP: reader(missing=["a"])})) == [
        "health.birth-notified.v1 → justice.birth-registration: 1 facts neither handled nor set aside: a"
    ]


def test_handled_events_that_no_source_committed_are_named():
    assert problems(ledger(readers={GROUP: reader(unknown=["x"])})) == [
        "health.birth-notified.v1 → justice.birth-registration: 1 handled events that no source committed: x"
    ]


def test_a_set_aside_event_without_its_dead_letter_is_named():
    assert problems(ledger(letters=1)) == [
        "justice.birth-registration.dlt: 2 events were set aside, 1 dead letters are there"
    ]


def test_a_dead_letter_sent_twice_is_no_problem():
    assert problems(ledger(letters=3)) == []


def test_what_a_group_set_aside_from_several_topics_is_summed():
    books = ledger(letters=4)
    books.topics["health.facility.v1"] = TopicAccount(
        "health.facility.v1", "Cơ sở", readers={GROUP: reader(set_aside=Counter({"unreadable": 3}))}
    )
    assert problems(books) == [
        "justice.birth-registration.dlt: 5 events were set aside, 4 dead letters are there"
    ]


def test_everything_that_is_wrong_is_named_at_once():
    books = ledger(
        readers={GROUP: reader(missing=["a"], unknown=["x"])},
        letters=0,
        not_on_topic=["b"],
        only_on_topic=["y"],
    )
    assert len(problems(books, {"health": 1})) == 6


def test_of_many_events_the_first_five_are_named():
    (told,) = problems(ledger(not_on_topic=list("abcdefgh")))
    assert told.endswith("8 committed facts are not on the topic: a, b, c, d, e …")


@pytest.mark.parametrize(("found", "balanced"), [([], True), (["a problem"], False)])
def test_books_balance_when_nothing_is_wrong(found, balanced):
    books = ledger()
    books.problems = found
    assert books.balanced is balanced
    assert books.as_json()["balanced"] is balanced


def test_the_account_is_plain_data_and_its_lists_are_cut():
    books = ledger(not_on_topic=[str(n) for n in range(60)])
    told = orjson.loads(orjson.dumps(books.as_json()))
    assert len(told["topics"][TOPIC]["not_on_topic"]) == 50
    assert told["topics"][TOPIC]["readers"][GROUP]["set_aside"] == {"not-handled": 2}
    assert told["dead_letters"] == {f"{GROUP}.dlt": 2}


def test_refusals_are_counted_by_topic_and_rule_and_strangers_are_passed_over():
    def notice(topic: str, code: str, *rules: str) -> tuple[str, bytes]:
        told = {"refused_topic": topic, "code": code, "problems": [{"rule": rule} for rule in rules]}
        return "id", orjson.dumps(told)

    books = ledger()
    _count_refusals(
        books,
        [
            notice(TOPIC, "not-valid", "maximum", "maximum", "pattern"),
            notice(TOPIC, "not-valid", "pattern"),
            notice(TOPIC, "refused"),
            notice("health.no-such.v1", "refused"),
            ("id", None),
        ],
    )
    assert books.topics[TOPIC].refused == Counter({"pattern": 2, "maximum": 1, "refused": 1})
