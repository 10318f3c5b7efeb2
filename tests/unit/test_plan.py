"""What `apply` plans, derived from contracts alone; no cluster is near."""

import base64
import dataclasses
import shlex
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong import names
from lienthong.cluster.connection import Connection
from lienthong.cluster.databases import verifier
from lienthong.cluster.desired import desired
from lienthong.cluster.plan import ITERATIONS, MECHANISM, Plan, compare, shown
from lienthong.cluster.state import Access, Actual, DatabaseState, Desired, TopicShape
from lienthong.errors import ContractsNotSound
from lienthong.login import STAND_IN_MECHANISM
from tests.paper import contract, contracts, grant

TODAY = date(2025, 11, 14)
DAY_MS = 86_400_000


BIRTH = contract(
    "health.birth-notified.v1", classification="personal", grants=[grant("justice", "birth-registration")]
)
UNIT = contract("science.unit.v1", classification="public", is_state=True, retention_seconds=0, partitions=1)
CITY = contracts(BIRTH, UNIT, departments=["health", "justice", "science"])
CITY_TOPICS = desired(CITY, 1, TODAY).topics
EMPTY = Actual(
    topics={}, users={}, access=frozenset(), quotas={}, databases=DatabaseState(frozenset(), {}, frozenset())
)


def as_wanted(wanted: Desired, **changes) -> Actual:
    """A cluster, machine and database that hold what is wanted, but for `changes`."""
    everybody = wanted.departments
    actual = Actual(
        topics=dict(wanted.topics),
        users={name: {MECHANISM: ITERATIONS} for name in everybody} | {"admin": {MECHANISM: 4096}},
        access=wanted.access,
        quotas=wanted.quotas,
        databases=DatabaseState(everybody | {"postgres"}, {name: name for name in everybody}, frozenset()),
        secrets=everybody,
        administrators=frozenset({"admin", "postgres"}),
    )
    return dataclasses.replace(actual, **changes)


def changed(plan: Plan, kind: str):
    return {change.name: (change.before, change.after) for change in plan.changes if change.kind == kind}


def may(wanted: Desired, user: str):
    return {(rule.operation, rule.target) for rule in wanted.access if rule.principal == f"User:{user}"}


def test_an_empty_cluster_is_given_everything_the_contracts_name():
    plan = compare(desired(CITY, 1, TODAY), EMPTY)
    assert changed(plan, "topic").keys() == {
        "health.birth-notified.v1",
        "science.unit.v1",
        "health.refusals",
        "justice.refusals",
        "science.refusals",
        "justice.birth-registration.dlt",
    }
    for kind in ("user", "quota", "database"):
        assert changed(plan, kind).keys() == {"health", "justice", "science"}, kind
    assert changed(plan, "access")["justice → topic health.birth-notified.v1"] == (
        "nothing",
        "describe, read",
    )
    assert plan.remarks == ()


def test_a_cluster_that_is_as_the_contracts_say_has_nothing_to_do():
    wanted = desired(CITY, 3, TODAY)
    assert compare(wanted, as_wanted(wanted)) == Plan((), ())


def test_a_department_may_write_and_read_its_prefix_and_read_what_it_is_granted_and_nothing_else():
    own = {("read", "topic justice.*"), ("write", "topic justice.*"), ("describe", "topic justice.*")}
    granted = {(act, "topic health.birth-notified.v1") for act in ("read", "describe")}
    assert may(desired(CITY, 1, TODAY), "justice") == own | granted | {("read", "group justice.*")}


def test_an_owner_hears_what_its_readers_find_wrong_and_nobody_else_does():
    wanted = desired(CITY, 1, TODAY)
    heard = {(act, "topic justice.refusals") for act in ("read", "describe")}
    assert heard <= may(wanted, "health")
    assert not heard & may(wanted, "science")
    plan = compare(wanted, EMPTY)
    (opening,) = [change for change in plan.changes if change.name == "health → topic justice.refusals"]
    assert opening.reason == "what its reader finds wrong on health.birth-notified.v1"


def test_a_prefix_ends_with_a_dot_so_that_no_longer_name_falls_under_it():
    prefixes = {rule.name for rule in desired(CITY, 1, TODAY).access if rule.pattern == "prefixed"}
    assert prefixes == {"health.", "justice.", "science."}


@pytest.mark.parametrize(("today", "opens"), [(date(2027, 12, 31), True), (date(2028, 1, 1), False)])
def test_a_grant_opens_to_the_end_of_its_last_day(today, opens):
    wanted = desired(CITY, 1, today)
    assert (("read", "topic health.birth-notified.v1") in may(wanted, "justice")) is opens
    assert ("justice.birth-registration.dlt" in wanted.topics) is opens


def test_what_no_contract_grants_any_more_is_closed_first_of_all_access():
    before = desired(CITY, 1, TODAY)
    after = desired(contracts(contract("health.birth-notified.v1"), UNIT, departments=["justice"]), 1, TODAY)
    plan = compare(after, as_wanted(before))
    assert changed(plan, "access") == {
        "justice → topic health.birth-notified.v1": ("describe, read", "nothing"),
        "health → topic justice.refusals": ("describe, read", "nothing"),
    }
    closing = next(change for change in plan.changes if change.name.startswith("justice → "))
    assert {rule.operation for rule in closing.revoke} == {"describe", "read"}
    assert not closing.grant


def test_a_denial_and_the_rights_of_others_are_reported_and_left():
    wanted = desired(CITY, 1, TODAY)
    brake = Access("User:justice", "topic", "health.birth-notified.v1", "literal", "read", "deny")
    other = Access("User:auditor", "topic", "health.", "prefixed", "read")
    anybody = Access("User:*", "topic", "*", "literal", "read")
    plan = compare(wanted, as_wanted(wanted, access=wanted.access | {brake, other, anybody}))
    assert plan.changes == ()
    assert [remark.name for remark in plan.unknown] == ["*", "auditor", "justice"]
    assert "deny topic health.birth-notified.v1: read" in plan.unknown[2].reason


def test_a_right_too_many_of_one_of_our_departments_is_taken_away():
    wanted = desired(CITY, 1, TODAY)
    extra = Access("User:health", "cluster", "kafka-cluster", "literal", "alter")
    plan = compare(wanted, as_wanted(wanted, access=wanted.access | {extra}))
    assert changed(plan, "access") == {"health → cluster kafka-cluster": ("alter", "nothing")}


def test_what_is_in_no_contract_is_reported_and_never_removed():
    wanted = desired(CITY, 1, TODAY)
    found = as_wanted(wanted)
    strange = dataclasses.replace(
        found,
        topics=found.topics | {"old.list.v1": TopicShape(1, 1)},
        users=found.users | {"police": {MECHANISM: ITERATIONS}},
        quotas={**found.quotas, "auditor": {"producer_byte_rate": 1.0}},
        databases=DatabaseState(
            found.databases.roles | {"police"},
            {**found.databases.owners, "attic": "police"},
            frozenset({"attic"}),
        ),
    )
    plan = compare(wanted, strange)
    assert plan.changes == ()
    assert {(remark.kind, remark.name) for remark in plan.unknown} == {
        ("topic", "old.list.v1"),
        ("user", "police"),
        ("quota", "auditor"),
        ("database", "attic"),
        ("database role", "police"),
    }


def with_partitions(wanted: Desired, topic: str, partitions: int) -> Actual:
    shape = dataclasses.replace(wanted.topics[topic], partitions=partitions)
    return as_wanted(wanted, topics={**wanted.topics, topic: shape})


def test_partitions_are_added_with_a_warning_about_the_order_of_keys():
    wanted = desired(CITY, 1, TODAY)
    plan = compare(wanted, with_partitions(wanted, "health.birth-notified.v1", 3))
    assert changed(plan, "partitions") == {"health.birth-notified.v1": ("3", "6")}
    assert "before an older one of its key" in plan.changes[0].warning
    assert plan.impossible == ()


def test_partitions_are_never_taken_away():
    wanted = desired(CITY, 1, TODAY)
    plan = compare(wanted, with_partitions(wanted, "health.birth-notified.v1", 8))
    assert plan.changes == ()
    assert "Kafka takes none away" in plan.impossible[0].reason


def test_a_state_keeps_its_partitions_because_an_old_state_would_stay_in_the_other_one():
    more = contracts(BIRTH, dataclasses.replace(UNIT, partitions=2), departments=["justice"])
    plan = compare(desired(more, 1, TODAY), as_wanted(desired(more, 1, TODAY), topics=CITY_TOPICS))
    assert plan.changes == ()
    assert "old state would stay" in plan.impossible[0].reason


def test_a_topic_with_one_copy_never_asks_for_two_in_sync():
    small, large = desired(CITY, 1, TODAY), desired(CITY, 3, TODAY)
    plan = compare(large, as_wanted(large, topics=small.topics))
    assert changed(plan, "topic settings") == {}
    assert len(plan.impossible) == len(small.topics)


@pytest.mark.parametrize(
    ("brokers", "copies", "in_sync"), [(1, 1, "1"), (2, 2, "1"), (3, 3, "2"), (7, 3, "2")]
)
def test_copies_follow_the_brokers_there_are(brokers, copies, in_sync):
    shape = desired(CITY, brokers, TODAY).topics["health.birth-notified.v1"]
    assert (shape.replication, shape.settings["min.insync.replicas"]) == (copies, in_sync)


def test_a_setting_that_somebody_changed_is_put_right_and_shown_in_units_of_people():
    wanted = desired(CITY, 1, TODAY)
    birth = wanted.topics["health.birth-notified.v1"]
    longer = dataclasses.replace(birth, settings={**birth.settings, "retention.ms": str(200 * DAY_MS)})
    plan = compare(wanted, as_wanted(wanted, topics={**wanted.topics, "health.birth-notified.v1": longer}))
    assert changed(plan, "topic settings") == {
        "health.birth-notified.v1": ("retention.ms 200 d", "retention.ms 90 d")
    }
    assert plan.changes[0].settings == {"retention.ms": str(90 * DAY_MS)}


def test_a_setting_of_somebody_else_is_reported():
    wanted = desired(CITY, 1, TODAY)
    unit = wanted.topics["science.unit.v1"]
    set_by_hand = dataclasses.replace(
        unit, settings={**unit.settings, "compression.type": "zstd"}, own=frozenset({"compression.type"})
    )
    plan = compare(wanted, as_wanted(wanted, topics={**wanted.topics, "science.unit.v1": set_by_hand}))
    assert plan.changes == ()
    assert plan.unknown[0].reason.startswith("compression.type is zstd")


def test_personal_data_is_deleted_by_the_brokers_clock_within_a_day_of_its_term():
    settings = desired(CITY, 1, TODAY).topics["health.birth-notified.v1"].settings
    assert settings["message.timestamp.type"] == "LogAppendTime"
    assert int(settings["segment.ms"]) <= DAY_MS
    assert settings["retention.ms"] == str(90 * DAY_MS)


def test_a_state_is_compacted_and_tombstones_wait_for_readers_that_were_away():
    settings = desired(CITY, 1, TODAY).topics["science.unit.v1"].settings
    assert settings["cleanup.policy"] == "compact"
    assert "retention.ms" not in settings
    assert int(settings["delete.retention.ms"]) >= 7 * DAY_MS


def test_personal_data_removed_from_a_state_is_gone_from_disk_within_a_day():
    person = contract("police.resident.v1", classification="personal", is_state=True)
    settings = desired(contracts(person), 1, TODAY).topics["police.resident.v1"].settings
    assert int(settings["max.compaction.lag.ms"]) <= DAY_MS


def test_dead_letters_outlive_no_topic_they_come_from():
    short = contract(
        "onestop.dossier-submitted.v1",
        retention_seconds=86_400,
        grants=[grant("justice", "birth-registration")],
    )
    state = contract("health.facility.v1", is_state=True, retention_seconds=0)
    state = dataclasses.replace(state, grants=(grant("justice", "birth-registration"),))
    wanted = desired(contracts(BIRTH, short, state), 1, TODAY)
    assert wanted.topics["justice.birth-registration.dlt"].settings["retention.ms"] == str(DAY_MS)


@pytest.mark.parametrize("status", ["proposed", "draft", "retired"])
def test_a_contract_that_is_not_in_force_makes_and_opens_nothing(status):
    wanted = desired(contracts(dataclasses.replace(BIRTH, status=status)), 1, TODAY)
    assert wanted.topics == {}
    assert wanted.access == frozenset()
    (remark,) = compare(wanted, EMPTY).remarks
    assert (remark.about, remark.name) == ("waiting", "health.birth-notified.v1")
    assert status in remark.reason


@pytest.mark.parametrize("name", sorted(names.RESERVED))
def test_no_department_may_bear_a_name_that_carries_other_rights(name):
    with pytest.raises(ContractsNotSound, match=name):
        desired(contracts(UNIT, departments=[name]), 1, TODAY)


def test_a_department_whose_password_is_not_here_gets_a_new_one_everywhere():
    wanted = desired(CITY, 1, TODAY)
    plan = compare(wanted, as_wanted(wanted, secrets=frozenset({"health", "science"})))
    assert changed(plan, "user").keys() == {"justice"}
    assert changed(plan, "user")["justice"][1].endswith("a new password")
    assert changed(plan, "database") == {"justice": ("not as it should be", "new password")}


def test_weak_credentials_are_replaced_and_the_administrators_are_left():
    wanted = desired(CITY, 1, TODAY)
    users = {**as_wanted(wanted).users, "health": {MECHANISM: 4096}, "science": {"SCRAM-SHA-256": 8192}}
    plan = compare(wanted, as_wanted(wanted, users=users))
    assert changed(plan, "user").keys() == {"health", "science"}


def test_databases_that_stand_open_are_closed():
    wanted = desired(CITY, 1, TODAY)
    found = as_wanted(wanted)
    databases = found.databases._replace(
        open=frozenset({"health", "postgres", "template1"}),
        owners={
            **found.databases.owners,
            "justice": "postgres",
            "postgres": "postgres",
            "template1": "postgres",
        },
    )
    plan = compare(wanted, dataclasses.replace(found, databases=databases))
    assert changed(plan, "database").keys() == {"health", "justice", "postgres", "template1"}
    assert changed(plan, "database")["justice"][1] == "owner"


def test_another_cluster_is_asked_for_no_database():
    wanted = desired(CITY, 1, TODAY)
    assert compare(wanted, as_wanted(wanted, databases=None)) == Plan((), ())


def test_a_plan_says_itself_in_json_without_what_it_takes_to_do_it():
    plan = compare(desired(CITY, 1, TODAY), EMPTY)
    assert {frozenset(change) for change in plan.as_json()["changes"]} == {
        frozenset({"kind", "name", "before", "after", "reason", "warning"})
    }


def test_a_grant_that_is_over_is_closed_by_its_date_and_says_which_day_that_was():
    plan = compare(desired(CITY, 1, date(2028, 1, 1)), as_wanted(desired(CITY, 1, TODAY)))
    closing = {change.name: (change.after, change.reason) for change in plan.changes if change.by_date}
    assert closing == {
        "justice → topic health.birth-notified.v1": ("nothing", "the grant's last day was 2027-12-31"),
        "health → topic justice.refusals": ("nothing", "its readers' last day is over"),
    }


def test_a_grant_with_a_day_that_is_past_opens_nothing_and_is_told():
    plan = compare(desired(CITY, 1, date(2028, 1, 1)), EMPTY)
    assert [change.name for change in plan.changes if change.name.startswith("justice → topic health.")] == []
    assert [(r.about, r.kind, r.name) for r in plan.remarks] == [
        ("waiting", "grant", "justice → topic health.birth-notified.v1")
    ]
    assert "its last day, 2027-12-31, is over" in plan.remarks[0].reason


def test_a_grant_that_was_taken_back_waits_for_a_person_and_says_so():
    revoked = contracts(dataclasses.replace(BIRTH, grants=()), UNIT, departments=["justice"])
    plan = compare(desired(revoked, 1, TODAY), as_wanted(desired(CITY, 1, TODAY)))
    closing = [change for change in plan.changes if change.kind == "access"]
    assert {change.name for change in closing} == {
        "justice → topic health.birth-notified.v1",
        "health → topic justice.refusals",
    }
    assert {(change.by_date, change.reason) for change in closing} == {(False, "no contract grants it")}


def test_a_grant_that_is_over_closes_nothing_that_another_of_the_same_department_opens():
    other = dataclasses.replace(grant("justice", "statistics"), until=date(2030, 1, 1))
    both = dataclasses.replace(BIRTH, grants=(*BIRTH.grants, other))
    after = desired(contracts(both, UNIT, departments=["justice"]), 1, date(2028, 1, 1))
    assert ("read", "topic health.birth-notified.v1") in may(after, "justice")
    assert not after.ended


def test_a_new_grant_says_purpose_end_and_legal_basis():
    plan = compare(desired(CITY, 1, TODAY), EMPTY)
    (opening,) = [c for c in plan.changes if c.name == "justice → topic health.birth-notified.v1"]
    assert opening.reason == "birth-registration, until 2027-12-31: Nghị định 63/2024/NĐ-CP"


def test_a_rotation_that_was_begun_is_left_to_its_own_command():
    wanted = desired(CITY, 1, TODAY)
    found = as_wanted(wanted)
    users = {**found.users, "justice": {MECHANISM: ITERATIONS, STAND_IN_MECHANISM: ITERATIONS}}
    databases = found.databases._replace(roles=found.databases.roles | {"justice-next"})
    begun = dataclasses.replace(found, users=users, databases=databases, standing_in=frozenset({"justice"}))
    plan = compare(wanted, begun)
    assert plan.changes == ()
    assert [(remark.about, remark.name) for remark in plan.remarks] == [("waiting", "justice")]
    assert "lienthong rotate justice" in plan.remarks[0].reason


def test_what_a_rotation_left_behind_is_ended():
    wanted = desired(CITY, 1, TODAY)
    found = as_wanted(wanted)
    users = {**found.users, "justice": {MECHANISM: ITERATIONS, STAND_IN_MECHANISM: ITERATIONS}}
    databases = found.databases._replace(roles=found.databases.roles | {"justice-next"})
    plan = compare(wanted, dataclasses.replace(found, users=users, databases=databases))
    assert {(c.kind, c.name, c.before, c.after) for c in plan.changes} == {
        ("user", "justice", "a password that stood in", "nothing"),
        ("database", "justice", "a password that stood in", "nothing"),
    }
    assert plan.remarks == ()


WANTED = desired(CITY, 3, TODAY)


def some(names_of):
    return st.sets(st.sampled_from(sorted(names_of)))


@given(
    topics=some(WANTED.topics),
    rules=some(WANTED.access),
    users=some(WANTED.departments),
    held=some(WANTED.departments),
)
def test_from_any_half_finished_state_the_plan_leads_to_what_is_wanted(topics, rules, users, held):
    whole = as_wanted(WANTED)
    half = dataclasses.replace(
        whole,
        topics={name: whole.topics[name] for name in topics},
        access=frozenset(rules),
        users={name: whole.users[name] for name in users},
        quotas={name: whole.quotas[name] for name in users},
        databases=DatabaseState(frozenset(held), {name: name for name in users}, frozenset(held)),
        secrets=frozenset(held),
    )
    plan = compare(WANTED, half)
    done = {change.name for change in plan.changes}
    created = {change.name: change.shape for change in plan.changes if change.kind == "topic"}
    assert {**half.topics, **created} == dict(WANTED.topics)
    granted = {rule for change in plan.changes for rule in change.grant}
    revoked = {rule for change in plan.changes for rule in change.revoke}
    assert (half.access | granted) - revoked == WANTED.access
    assert WANTED.departments - (users & held) <= done


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("retention.ms", "7776000000", "90 d"),
        ("segment.ms", "7200000", "2 h"),
        ("a.ms", "90000", "90 s"),
        ("a.ms", "60000", "1 min"),
        ("a.ms", "1500", "1500 ms"),
        ("retention.ms", "-1", "-1"),
        ("max.message.bytes", "1048576", "1048576"),
    ],
)
def test_durations_are_shown_in_the_largest_unit_that_fits(setting, value, words):
    assert shown(setting, value) == words


CONNECTION = Connection(
    "127.0.0.1:9092,127.0.0.1:9094", "health", 'se"cr\\et $x', "SASL_SSL", Path("/ca/city.pem")
)


def test_a_connection_never_shows_its_password():
    assert "cr" not in repr(CONNECTION).replace("SCRAM", "")


def test_the_kcat_line_survives_a_shell():
    words = shlex.split(CONNECTION.kcat_line("science.unit.v1"))
    assert words[:3] == ["kcat", "-b", "127.0.0.1:9092,127.0.0.1:9094"]
    assert 'sasl.password=se"cr\\et $x' in words
    assert words[words.index("-t") + 1] == "science.unit.v1"


def test_java_properties_escape_twice_what_java_reads_twice():
    lines = dict(line.split("=", 1) for line in CONNECTION.java_properties().splitlines())
    read_by_properties = lines["sasl.jaas.config"].replace("\\\\", "\\")
    assert read_by_properties.endswith('username="health" password="se\\"cr\\\\et $x";')
    assert lines["ssl.truststore.type"] == "PEM"


def test_the_same_connection_is_told_to_every_client():
    plain = Connection("127.0.0.1:9092", "health", "secret")
    told = [plain.for_kafka_python(), plain.for_aiokafka()]
    assert {client["sasl_plain_password"] for client in told} == {"secret"}
    assert plain.for_confluent()["sasl.username"] == "health"
    assert told[1]["ssl_context"] is None
    assert CONNECTION.for_confluent()["ssl.ca.location"] == "/ca/city.pem"


def test_the_password_verifier_is_that_of_the_rfc_7677_example():
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    assert verifier("pencil", salt).endswith(
        "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
