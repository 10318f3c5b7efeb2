"""What `apply` remembers of its changes, whatever stops it; and that one at a time changes one cluster."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.cluster.alone import check_cluster, record_cluster, working_alone
from lienthong.cluster.changes import Journal, find_topic, find_who
from lienthong.cluster.plan import Change
from lienthong.cluster.watch import day_of, watch
from lienthong.contracts import load_contracts
from lienthong.errors import BusNotUsable, ContractsNotSound
from lienthong.gate import Gate
from tests.paper import contract, contracts

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 11, 23, 5, tzinfo=UTC)
OPENED = Change("access", "justice → topic health.birth-notified.v1", "nothing", "read", reason="x, until y")
LONGER = Change("topic settings", "health.birth-notified.v1", "retention.ms 90 d", "retention.ms 30 d")


def journal(data: Path) -> Journal:
    return Journal(data, "chi.le@science", "7DQ2", now=lambda: NOON)


def test_a_change_is_told_with_who_when_before_and_after(tmp_path):
    first = journal(tmp_path)
    first.begin([OPENED, LONGER])
    first.settle(())
    opened, longer = journal(tmp_path).waiting
    assert (
        opened.items()
        >= {
            "kind": "access",
            "name": OPENED.name,
            "before": "nothing",
            "after": "read",
            "reason": "x, until y",
            "applied_by": "chi.le@science",
            "applied_at": "2026-11-23T05:00:00+00:00",
            "cluster_id": "7DQ2",
        }.items()
    )
    assert (longer["kind"], "reason" in longer) == ("topic-settings", False)
    assert opened["run_id"] == longer["run_id"]
    assert opened["change_id"] != longer["change_id"]


def test_of_a_run_that_was_stopped_what_came_about_is_told_and_the_rest_is_not(tmp_path):
    journal(tmp_path).begin([OPENED, LONGER])
    next_run = journal(tmp_path)
    next_run.settle([LONGER])
    assert [one["name"] for one in next_run.waiting] == [OPENED.name]
    assert journal(tmp_path).begun == []


def test_what_was_told_is_forgotten_and_what_waits_stays(tmp_path):
    first = journal(tmp_path)
    first.begin([OPENED, LONGER])
    first.settle(())
    first.forget({first.waiting[0]["change_id"]})
    assert [one["name"] for one in journal(tmp_path).waiting] == [LONGER.name]


@given(
    stops=st.lists(st.sampled_from(["begun", "settled"]), max_size=4),
    done=st.sets(st.sampled_from([OPENED.name, LONGER.name])),
)
def test_however_often_it_is_stopped_each_change_is_told_once(tmp_path_factory, stops, done):
    data = tmp_path_factory.mktemp("journal")
    left = [change for change in (OPENED, LONGER) if change.name not in done]
    journal(data).begin([OPENED, LONGER])
    for stop in [*stops, "settled"]:
        run = journal(data)
        if stop == "settled":
            run.settle(left)
    assert sorted(one["name"] for one in journal(data).waiting) == sorted(done)


def test_a_list_of_changes_that_cannot_be_read_stops_everything_with_a_sentence(tmp_path):
    (tmp_path / "changes.json").write_text("[1,")
    with pytest.raises(BusNotUsable, match=r"changes\.json cannot be read\. Keep it"):
        journal(tmp_path)


def test_the_list_of_changes_is_its_owners_only(tmp_path):
    journal(tmp_path).begin([OPENED])
    assert (tmp_path / "changes.json").stat().st_mode & 0o077 == 0


LETTERS = "aăâbcdđeêghiklmnoôơpqrstuưvxyáàảãạếềểễệốồổỗộứừửữự0123456789 :;,./→"
KINDS = (
    "access",
    "topic",
    "partitions",
    "topic settings",
    "user",
    "quota",
    "database",
    "password",
)


@given(
    kind=st.sampled_from(KINDS),
    name=st.text(LETTERS, min_size=1, max_size=400),
    after=st.text(LETTERS) | st.just("ế" * 5000),
    reason=st.text(LETTERS) | st.just("→" * 5000),
)
def test_every_change_passes_the_gate_of_its_contract(tmp_path_factory, kind, name, after, reason):
    run = Journal(tmp_path_factory.mktemp("journal"), find_who(), "TGnDqm5UaMO0bmcgSMOgIA", now=lambda: NOON)
    run.begin([Change(kind, name, "nothing", after, reason=reason)])
    run.settle(())
    (told,) = run.waiting
    around = {"time": NOON, "recorded_at": NOON, "subject": None, "event_id": told["change_id"]}
    assert GATE.check_data("science.change-applied.v1", orjson.dumps(told), **around)["kind"] == told["kind"]


def test_the_citys_contracts_say_where_changes_are_told():
    assert find_topic(load_contracts(ROOT)) == "science.change-applied.v1"


GATE = Gate.load(ROOT / "schemas")


def test_one_department_runs_the_bus():
    assert find_topic(contracts(contract("health.noted.v1"))) is None
    newest = contracts(contract("science.change-applied.v1"), contract("science.change-applied.v2"))
    assert find_topic(newest) == "science.change-applied.v2"
    both = contracts(contract("science.change-applied.v1"), contract("health.change-applied.v1"))
    with pytest.raises(ContractsNotSound, match="One department runs the bus"):
        find_topic(both)


def test_who_makes_a_change_is_a_plain_word():
    assert find_who().isascii()
    assert "@" in find_who()


def test_two_who_change_a_cluster_take_turns(tmp_path):
    with (
        working_alone(tmp_path),
        pytest.raises(BusNotUsable, match="Somebody is changing"),
        working_alone(tmp_path, patience=0),
    ):
        pass
    with working_alone(tmp_path, patience=0):
        pass


def test_a_cluster_of_another_city_is_refused(tmp_path):
    check_cluster(tmp_path, "OURS", "a:9092")
    record_cluster(tmp_path, "OURS")
    check_cluster(tmp_path, "OURS", "a:9092")
    with pytest.raises(BusNotUsable, match=r"THEIRS answers at b:9092, but .* belongs to cluster OURS"):
        check_cluster(tmp_path, "THEIRS", "b:9092")


def test_the_folder_of_an_embedded_bus_belongs_to_its_cluster(tmp_path):
    (tmp_path / "cluster.json").write_text('{"cluster_id": "OURS", "brokers": 1}')
    with pytest.raises(BusNotUsable, match="belongs to cluster OURS"):
        check_cluster(tmp_path, "THEIRS", "b:9092")


def test_a_record_that_names_no_cluster_is_no_excuse(tmp_path):
    (tmp_path / "applied-to.json").write_text("{}")
    with pytest.raises(BusNotUsable, match="does not say to which cluster"):
        check_cluster(tmp_path, "ANY", "b:9092")


class Nights:
    """A clock that goes on by seven hours each time that somebody waits, so many times."""

    def __init__(self, looks: int) -> None:
        self.moment = NOON
        self.looks = looks

    def wait(self, _: float) -> bool:
        self.moment += timedelta(hours=7)
        self.looks -= 1
        return self.looks < 0


def test_each_day_is_closed_once_when_it_begins_in_the_city():
    nights, closed = Nights(8), []
    watch(
        closed.append,
        day_of(NOON),
        now=lambda: nights.moment,
        is_told_to_stop=nights.wait,
        say=closed.append,
    )
    assert closed == [date(2026, 11, 24), date(2026, 11, 25)]


def test_the_day_is_the_citys():
    assert day_of(datetime(2026, 11, 23, 16, 59, tzinfo=UTC)) == date(2026, 11, 23)
    assert day_of(datetime(2026, 11, 23, 17, 0, tzinfo=UTC)) == date(2026, 11, 24)


def test_what_cannot_be_closed_yet_is_said_once_and_tried_again():
    nights, said, tries = Nights(4), [], []

    def close(today):
        tries.append(today)
        if len(tries) < 3:
            raise BusNotUsable(reason="It does not answer.", remedy="Look.")

    watch(close, day_of(NOON), now=lambda: nights.moment, is_told_to_stop=nights.wait, say=said.append)
    assert tries == [date(2026, 11, 24)] * 3
    assert said == ["2026-11-24: It does not answer. Look. Trying again."]
