"""The face of the library: what a department declares is checked at once, and handlers get what they name."""

from datetime import UTC, datetime
from typing import Annotated, Any, Optional

import pytest
from faststream import Depends

from lienthong import Connection, Data, Department, Event, NotValid, Refused, metrics
from lienthong.department import HANDLING, _event_class
from lienthong.errors import SettingsNotUsable
from tests.unit.birth import DATA, NOW, STATE, TOPIC, data, gate, raw_event, raw_state

PURPOSE = "birth-registration"


class Birth(Data):
    TOPIC = TOPIC
    SCHEMA_VERSION = "1.0.0"

    notification_id: str
    born_at: datetime


class Facility(Data):
    TOPIC = STATE
    SCHEMA_VERSION = "1.0.0"

    facility_code: str
    floor: int


class Nowhere:
    """A connection that nothing is ever written to: it has no way to."""


NO_DATABASE: Any = Nowhere()


class Told:
    """Refusals that are remembered here instead of published."""

    def __init__(self):
        self.heard = []

    async def tell(self, topic, event_id, refusal):
        self.heard.append((topic, event_id, refusal.code))


@pytest.fixture
def justice() -> Department:
    return Department("justice")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def nudges() -> list[None]:
    return []


@pytest.fixture
def health(told, nudges) -> Department:
    """Health, opened with a gate and no database."""
    department = Department("health", clock=lambda: NOW, random=lambda count: b"\x07" * count)
    department.open(gate(), lambda: nudges.append(None), told)
    return department


def handling(department: Department, topic: str = TOPIC, purpose: str = PURPOSE):
    return department.readings[f"{department.name}.{purpose}"][topic].handle


# What is declared


@pytest.mark.parametrize("name", ["", "Justice", "y-te", "health2", "sở", "health\n"])
def test_a_department_is_one_lowercase_english_word(name):
    with pytest.raises(SettingsNotUsable, match=r"is not a department's name\. Use one lowercase English"):
        Department(name)


def test_two_handlers_of_one_topic_and_purpose_are_refused(justice):
    @justice.reads(TOPIC, purpose=PURPOSE)
    async def first(event: Event[Birth]) -> None: ...

    async def second(event: Event[Birth]) -> None: ...

    with pytest.raises(SettingsNotUsable) as refused:
        justice.reads(TOPIC, purpose=PURPOSE)(second)
    assert str(refused.value) == (
        "justice.birth-registration has two handlers for health.birth-notified.v1. "
        "Call the second from the first."
    )


def test_what_is_kept_is_not_read_for_the_same_purpose_too(justice):
    justice.keeps(STATE, purpose="reference")
    with pytest.raises(SettingsNotUsable, match="two handlers"):
        justice.keeps(STATE, purpose="reference")


def test_one_purpose_may_read_several_topics_and_one_topic_serve_several_purposes(justice):
    async def note(event: Event[dict[str, Any]]) -> None: ...

    for topic, purpose in [(TOPIC, PURPOSE), (STATE, PURPOSE), (TOPIC, "statistics")]:
        justice.reads(topic, purpose=purpose)(note)
    assert {group: set(topics) for group, topics in justice.readings.items()} == {
        "justice.birth-registration": {TOPIC, STATE},
        "justice.statistics": {TOPIC},
    }


@pytest.mark.parametrize(
    ("topic", "purpose"),
    [
        ("health.birth-notified", PURPOSE),
        ("vn.gov.hanoi.health.birth-notified", PURPOSE),
        ("health.birth-notified.v0", PURPOSE),
        ("", PURPOSE),
        (TOPIC, ""),
        (TOPIC, "Birth Registration"),
        (TOPIC, "birth_registration"),
        (TOPIC, "birth-registration.dlt"),
    ],
)
def test_a_topic_or_purpose_that_is_no_name_is_refused(justice, topic, purpose):
    with pytest.raises(SettingsNotUsable) as refused:
        justice.keeps(topic, purpose=purpose)
    assert str(refused.value) == (
        f"justice cannot read {topic!r} for {purpose!r}. "
        "Name a topic as <department>.<event>.v<major> and a purpose as lowercase-words."
    )
    assert justice.readings == {}


async def unannotated(event) -> None: ...


async def of_bare_event(event: Event) -> None: ...


async def of_data(event: Birth) -> None: ...


async def of_nothing() -> None: ...


async def of_another_class(event: Event[str]) -> None: ...


@pytest.mark.parametrize("handler", [unannotated, of_bare_event, of_data, of_nothing, of_another_class])
def test_a_handler_that_does_not_say_what_it_takes_is_refused(justice, handler):
    with pytest.raises(SettingsNotUsable) as refused:
        justice.reads(TOPIC, purpose=PURPOSE)(handler)
    assert str(refused.value) == (
        f"The handler {handler.__qualname__} of {TOPIC} does not say which event it takes. "
        "Annotate its first parameter: event: Event[BirthRegistered]."
    )


def test_a_declared_handler_stays_the_function_it_was(justice):
    async def note(event: Event[Birth]) -> None: ...

    assert justice.reads(TOPIC, purpose=PURPOSE)(note) is note


@pytest.mark.parametrize(
    ("hint", "found"),
    [
        (Event[Birth], Birth),
        (Event[Birth | None], Birth),
        (Event[None | Birth], Birth),
        (Event[Optional[Birth]], Birth),  # noqa: UP045
        (Event[dict], dict),
        (Event[dict[str, Any]], dict),
        (Event[dict[str, Any] | None], dict),
        (Event[str], None),
        (Event, None),
        (Birth, None),
        (dict, None),
        (None, None),
    ],
    ids=str,
)
def test_the_class_of_an_event_is_found_in_its_annotation(hint, found):
    assert _event_class(hint) is found


# What a handler gets


async def test_a_handler_gets_its_event_typed(justice):
    got = []

    @justice.reads(TOPIC, purpose=PURPOSE)
    async def note(event: Event[Birth]) -> None:
        got.append(event)

    await handling(justice)(raw_event(), DATA, NO_DATABASE)
    (event,) = got
    assert isinstance(event.data, Birth)
    assert event.data.born_at == datetime.fromisoformat(DATA["born_at"])
    assert (event.id, event.source, event.key) == (raw_event().id, raw_event().source, raw_event().key)


async def test_a_handler_may_ask_for_plain_data(justice):
    got = []

    @justice.reads(TOPIC, purpose=PURPOSE)
    async def note(event: Event[dict[str, Any]]) -> None:
        got.append(event.data)

    await handling(justice)(raw_event(), DATA, NO_DATABASE)
    assert got == [DATA]


async def test_a_tombstone_has_no_data(justice):
    got = []

    @justice.reads(STATE, purpose="reference")
    async def note(event: Event[Facility | None]) -> None:
        got.append((event.key, event.data))

    await handling(justice, STATE, "reference")(raw_state(value=None), None, NO_DATABASE)
    assert got == [("01020|2", None)]


async def test_a_handler_gets_the_connection_by_its_annotation_whatever_it_calls_it(justice):
    got = []

    @justice.reads(TOPIC, purpose=PURPOSE)
    async def note(birth: Event[Birth], books: Connection) -> None:
        got.append(books)

    await handling(justice)(raw_event(), DATA, NO_DATABASE)
    assert got == [NO_DATABASE]


async def test_a_handler_may_use_faststreams_depends(justice):
    got = []
    closed = []

    async def read_register():
        yield "register"
        closed.append("register")

    def read_page(register: Annotated[str, Depends(read_register)]) -> str:
        return f"{register}, page 1"

    @justice.reads(TOPIC, purpose=PURPOSE)
    async def note(event: Event[Birth], db: Connection, page: Annotated[str, Depends(read_page)]) -> None:
        got.append((event.data.notification_id, db, page))
        assert closed == []

    await handling(justice)(raw_event(), DATA, NO_DATABASE)
    assert got == [(DATA["notification_id"], NO_DATABASE, "register, page 1")]
    assert closed == ["register"]


async def test_the_event_is_known_as_the_cause_while_its_handler_runs_and_no_longer(justice):
    causes = []

    @justice.reads(TOPIC, purpose=PURPOSE)
    async def note(event: Event[Birth]) -> None:
        causes.append(HANDLING.get())
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await handling(justice)(raw_event(), DATA, NO_DATABASE)
    assert causes == [raw_event()]
    assert HANDLING.get() is None


# What is said


async def test_nothing_is_published_before_the_service_runs(justice):
    with pytest.raises(SettingsNotUsable) as refused:
        await justice.publish(NO_DATABASE, {"a": 1}, topic="justice.birth-registered.v1")
    assert str(refused.value) == (
        "justice is declared, but its service is not running. "
        "Publish from a handler, an intake, or after the application has started."
    )
    with pytest.raises(SettingsNotUsable, match="its service is not running"):
        await justice.retract(NO_DATABASE, Facility, "01020|2")


async def test_an_unsound_fact_is_refused_with_all_its_problems_and_told(health, told, nudges):
    unsound = data(weight_g=9_001, sex="nam", mother={"personal_number": "1", "full_name": "Bí Mật"})
    with pytest.raises(NotValid) as refused:
        await health.publish(NO_DATABASE, unsound, topic=TOPIC)
    assert {problem.path for problem in refused.value.problems} == {
        "/weight_g",
        "/sex",
        "/mother/personal_number",
    }
    assert "Bí Mật" not in str(refused.value)
    assert told.heard == [(TOPIC, refused.value.event_id, "not-valid")]
    assert nudges == []


async def test_every_broken_rule_of_a_refusal_is_counted(health):
    def counted(rule: str) -> float:
        labels = {"topic": TOPIC, "rule": rule}
        return metrics.REGISTRY.get_sample_value("lienthong_events_refused_total", labels) or 0.0

    before = counted("maximum"), counted("enum")
    with pytest.raises(NotValid):
        await health.publish(NO_DATABASE, data(weight_g=9_001, sex="nam"), topic=TOPIC)
    assert (counted("maximum"), counted("enum")) == (before[0] + 1, before[1] + 1)


async def test_another_departments_topic_is_refused_and_the_own_ones_are_named(told):
    justice = Department("justice")
    justice.open(gate(), lambda: None, told)
    with pytest.raises(Refused) as refused:
        await justice.publish(NO_DATABASE, data(), topic=TOPIC)
    assert "justice owns no topic" in str(refused.value)
    assert [(topic, code) for topic, _, code in told.heard] == [(TOPIC, "refused")]


@pytest.mark.parametrize("topic", ["", "health.birth-notified.v2", "health.no-such.v1", "nonsense"])
async def test_an_unknown_topic_is_refused(health, topic):
    with pytest.raises(
        Refused, match=r"health owns health\.birth-notified\.v1, health\.facility\.v1: publish there"
    ):
        await health.publish(NO_DATABASE, data(), topic=topic)


@pytest.mark.parametrize(
    "value",
    ["half \ud83d", 2**70, object(), {1: "a"}, b"bytes"],
    ids=["lone surrogate", "23 digits", "object", "number as name", "bytes"],
)
async def test_what_json_cannot_hold_is_a_problem_like_any_other(health, value):
    with pytest.raises(NotValid) as refused:
        await health.publish(NO_DATABASE, data(note=value), topic=TOPIC)
    assert [problem.rule for problem in refused.value.problems] == ["not-json"]


async def test_a_fact_that_happened_tomorrow_is_refused(health):
    later = datetime(2025, 11, 17, tzinfo=UTC)
    with pytest.raises(NotValid) as refused:
        await health.publish(NO_DATABASE, data(), topic=TOPIC, happened_at=later)
    assert "time" in {problem.path for problem in refused.value.problems}


async def test_an_event_is_not_retracted_only_a_state_is(health, nudges):
    with pytest.raises(Refused, match="there is no data, and only a state may be retracted"):
        await health.retract(NO_DATABASE, Birth, DATA["notification_id"])
    assert nudges == []


def test_a_handler_that_is_not_asynchronous_is_refused_when_it_is_declared() -> None:
    reader = Department("reader")
    with pytest.raises(SettingsNotUsable, match="is not asynchronous"):

        @reader.reads("writer.thing-noted.v1", purpose="counting")
        def count(event: Event[dict[str, Any]]) -> None: ...
