"""What a department's code reads is counted by field; what cannot be told is not called unread."""

import dataclasses
from datetime import date, datetime

import orjson
import pytest
from typer import Typer
from typer.testing import CliRunner

from lienthong import Data, Department, Event
from lienthong.commands import shared as commands
from lienthong.contracts import Field
from lienthong.fields_read import counts_of, watch
from lienthong.sharing import Uses, iter_shared
from tests.paper import contract, contracts, grant
from tests.unit.birth import TOPIC, data, raw_event

TODAY = date(2026, 11, 23)


def fresh(name="Birth"):
    """A class that no other test counts."""

    class Birth(Data):
        TOPIC = TOPIC
        SCHEMA_VERSION = "1.0.0"

        notification_id: str
        born_at: datetime
        nickname: str | None = None

    Birth.__name__ = name
    return Birth


BORN = {"notification_id": "01169-2025-000731", "born_at": "2026-11-20T09:00:00+07:00"}


def test_a_field_counts_each_time_it_is_read_and_the_others_do_not():
    birth = fresh()
    watch(birth)
    found = birth.model_validate(BORN)
    assert (found.notification_id, found.notification_id, found.nickname) == (
        BORN["notification_id"],
        BORN["notification_id"],
        None,
    )
    assert counts_of(birth) == {"notification_id": 2, "born_at": 0, "nickname": 1}


@pytest.mark.parametrize("take", [Data.model_dump, Data.model_dump_json, dict])
def test_what_takes_an_event_whole_reads_every_field(take):
    birth = fresh()
    watch(birth)
    take(birth.model_validate(BORN))
    assert set(counts_of(birth).values()) == {1}


def test_to_show_or_compare_an_event_is_not_to_read_it():
    birth = fresh()
    watch(birth)
    one, other = birth.model_validate(BORN), birth.model_validate(BORN)
    assert one == other
    assert "born_at" in repr(one)
    assert set(counts_of(birth).values()) == {0}


def test_a_class_that_is_watched_is_still_frozen_and_gives_what_it_gave():
    plain, watched = fresh(), fresh()
    watch(watched)
    watch(watched)
    assert watched.model_validate(BORN).model_dump() == plain.model_validate(BORN).model_dump()
    with pytest.raises(ValueError, match="frozen"):
        watched.model_validate(BORN).nickname = "Bống"
    with pytest.raises(AttributeError):
        watched.born_at  # noqa: B018
    assert watched.model_validate(BORN).model_copy(update={"nickname": "Bống"}).nickname == "Bống"


def test_a_class_that_is_only_published_is_not_counted():
    birth = fresh()
    birth.model_validate(BORN).model_dump()
    assert counts_of(birth) == {}


async def test_what_a_handler_reads_is_counted_for_its_topic():
    justice, birth = Department("justice"), fresh()

    async def register(event) -> None:
        assert event.data.born_at

    register.__annotations__["event"] = Event[birth]
    justice.reads(TOPIC, purpose="birth-registration")(register)
    reading = justice.readings["justice.birth-registration"][TOPIC]
    await reading.handle(raw_event(), data(), None)
    assert counts_of(birth) == {"notification_id": 0, "born_at": 1, "nickname": 0}
    assert justice.watched == {(TOPIC, birth)}


def test_of_a_plain_dictionary_nothing_is_counted():
    justice = Department("justice")

    @justice.reads(TOPIC, purpose="birth-registration")
    async def register(event: Event[dict]) -> None: ...

    assert (justice.watched, justice.plain) == (set(), {TOPIC})


def field(name):
    return Field(name, "Tên", "Tên.", "string", True, "internal")


BIRTHS = dataclasses.replace(
    contract(
        TOPIC,
        grants=[
            dataclasses.replace(grant("justice", "registration"), fields=("number_id", "born_at", "sex"))
        ],
    ),
)
BIRTHS = dataclasses.replace(BIRTHS, fields=(*BIRTHS.fields, *map(field, ("born_at", "sex", "weight_g"))))
CITY = contracts(BIRTHS, departments=["health", "justice"])


def the_only(uses, today=TODAY):
    (found,) = iter_shared(CITY, "health", uses, today)
    return found


def test_a_field_that_no_grant_lists_is_shared_with_nobody():
    assert the_only({}).with_nobody == ("weight_g",)


def test_what_only_a_grant_that_is_over_lists_is_shared_with_nobody():
    found = the_only({}, date(2028, 1, 1))
    assert found.with_nobody == ("number_id", "born_at", "sex", "weight_g")
    assert found.grants == ()


def test_a_granted_field_that_nobody_looked_at_is_a_candidate_to_withdraw():
    uses = Uses({(TOPIC, "number_id"): 0, (TOPIC, "born_at"): 7, (TOPIC, "sex"): 0}, {TOPIC: 7})
    (to_justice,) = the_only({"justice": uses}).grants
    assert [(one.name, one.verdict) for one in to_justice.fields] == [
        ("number_id", "key"),
        ("born_at", "read"),
        ("sex", "never read"),
    ]
    assert to_justice.candidates == ("sex",)


@pytest.mark.parametrize(
    "uses",
    [None, Uses({}, {TOPIC: 7}), Uses({(TOPIC, "sex"): 0, (TOPIC, "born_at"): 0}, {})],
    ids=["told nothing", "could not count", "handled nothing"],
)
def test_what_cannot_be_told_is_no_candidate(uses):
    (to_justice,) = the_only({"justice": uses} if uses else {}).grants
    assert to_justice.candidates == ()
    assert {one.verdict for one in to_justice.fields} == {"key", "not known"}


def test_others_data_is_left_out_where_an_owner_is_named():
    assert list(iter_shared(CITY, "justice", {}, TODAY)) == []
    assert [one.topic for one in iter_shared(CITY, None, {}, TODAY)] == [TOPIC]


@pytest.fixture
def run(repository_root, monkeypatch, tmp_path):
    monkeypatch.setenv("LIENTHONG_ROOT", str(repository_root))
    monkeypatch.setenv("COLUMNS", "250")
    app = Typer()
    commands.register(app)
    app.command("other")(lambda: None)
    return lambda *words: CliRunner().invoke(app, ["shared", *words, "--data", str(tmp_path)])


@pytest.fixture
def repository_root(request):
    return request.config.rootpath


def test_without_a_bus_the_contracts_still_say_what_is_shared_with_nobody(run):
    told = orjson.loads(run("science", "--json").output)
    births = {one["topic"]: one for one in told["contracts"]}
    assert "area_km2" in births["science.unit.v1"]["with_nobody"]
    assert "justice" in told["silent"]
    assert "Shared with nobody" in run("science").output


def test_a_department_that_is_not_there_is_said(run):
    assert "There is no department nobody" in str(run("nobody").exception)
