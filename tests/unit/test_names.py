"""Names are functions: what they compose they can take apart, and nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong import names
from lienthong.names import Topic, find_schema_version, find_topic

departments = st.from_regex(names.DEPARTMENT, fullmatch=True)
events = st.from_regex(names.EVENT, fullmatch=True)
purposes = st.from_regex(names.PURPOSE, fullmatch=True)
majors = st.integers(1, 9999)
versions = st.builds("{}.{}.{}".format, majors, st.integers(0, 99), st.integers(0, 99))


@given(departments, events, majors)
def test_a_topic_is_taken_apart_into_what_it_was_made_of(department, event, major):
    topic = Topic(department, event, major)
    assert find_topic(str(topic)) == topic


@given(st.text(max_size=30) | st.from_regex(r"[a-z.-]+\.v?[0-9]+", fullmatch=True))
def test_whatever_is_taken_apart_is_written_the_same_again(text):
    topic = find_topic(text)
    assert topic is None or str(topic) == text


@pytest.mark.parametrize(
    "name",
    [
        "health.birth-notified",
        "health.birth-notified.v0",
        "health.birth-notified.v01",
        "health.birth-notified.v10000",
        "health.birth-notified.1",
        "health.birth-notified.v1\n",
        " health.birth-notified.v1",
        "health.birth_notified.v1",
        "health.birth--notified.v1",
        "health.-notified.v1",
        "health.birth-.v1",
        "Health.birth-notified.v1",
        "health2.birth-notified.v1",
        "y-te.birth-notified.v1",
        "health.birth.notified.v1",
        "health..v1",
        "sởytế.birth-notified.v1",
        "health.refusals",
        "justice.birth-registration.dlt",
        "",
    ],
)
def test_what_is_no_topic_of_ours_is_not_taken_apart(name):
    assert find_topic(name) is None


def test_the_type_is_the_same_for_every_major():
    assert Topic("health", "birth-notified", 1).type == "vn.gov.hanoi.health.birth-notified"
    assert Topic("health", "birth-notified", 2).type == "vn.gov.hanoi.health.birth-notified"


@given(departments, events, versions)
def test_a_schema_version_is_read_out_of_its_uri(department, event, version):
    uri = names.schema_uri(department, event, version)
    assert find_schema_version(uri) == (department, event, version)


@given(st.text(max_size=40) | st.lists(st.sampled_from(["urn", names.NAMESPACE, "a", ""])).map(":".join))
def test_any_text_is_a_schema_uri_of_ours_or_none(text):
    found = find_schema_version(text)
    assert found is None or names.schema_uri(*found) == text


@given(departments)
def test_a_source_is_a_uri_reference_that_names_one_department(department):
    source = names.source(department)
    assert re.fullmatch(r"/[a-z.]+/[a-z]+", source)
    assert source.rpartition("/")[2] == department


@given(departments, purposes, departments, events, majors)
def test_no_dead_letter_topic_or_refusals_topic_can_be_taken_for_a_contracts(
    department, purpose, owner, event, major
):
    ours = {names.dead_letter_topic(names.group(department, purpose)), names.refusals_topic(department)}
    assert str(Topic(owner, event, major)) not in ours
    assert [name for name in ours if find_topic(name)] == []


@given(departments, purposes, departments)
def test_what_a_department_owns_on_the_cluster_begins_with_its_name(department, purpose, other):
    group = names.group(department, purpose)
    own = [group, names.dead_letter_topic(group), names.refusals_topic(department)]
    assert [name for name in own if not name.startswith(f"{department}.")] == []
    if other != department:
        assert [name for name in own if name.startswith(f"{other}.")] == []


@given(events, majors)
def test_the_class_of_an_event_is_a_python_name_in_capital_words(event, major):
    name = names.class_name(event, major)
    assert name.isidentifier()
    assert name[0].isupper()


def test_only_later_majors_are_numbered_in_the_class_name():
    assert names.class_name("birth-notified") == "BirthNotified"
    assert names.class_name("birth-notified", 2) == "BirthNotifiedV2"


@pytest.mark.parametrize("name", sorted(names.RESERVED))
def test_a_reserved_name_would_otherwise_be_a_departments(name):
    assert names.DEPARTMENT.fullmatch(name)
