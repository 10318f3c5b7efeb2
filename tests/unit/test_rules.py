"""Rules in CEL: what they see, what they say, and that the quick way says what the engine says."""

import datetime as dt
from typing import Any

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lienthong.errors import ContractsNotSound
from lienthong.moments import HANOI, find_moments, with_moments
from lienthong.plain_rules import find_plain
from lienthong.rules import compile_rule, compile_rules, first_path
from lienthong.shape import Circumstances
from tests.unit.birth import DATA, EVENT_ID, NOW, SCHEMA, data

EVENT = Circumstances(NOW, NOW + dt.timedelta(minutes=1), "01020-2025-000731", EVENT_ID)
PLAN = find_moments(SCHEMA)


def said(expression: str, about: Any = None) -> Any:
    return compile_rule(expression, SCHEMA)(DATA if about is None else about, EVENT)


def problem(expression: str, about: Any = None):
    (rule,) = compile_rules(
        [{"name": "a-rule", "expression": expression, "description": "Luôn đúng."}], SCHEMA
    )
    return rule.check(DATA if about is None else about, EVENT)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("data.born_at <= event.time", True),
        ("data.born_at > event.time", False),
        ("event.recorded_at - event.time <= duration('1h')", True),
        ("data.mother.born_on < data.born_at", True),
        ("data.notified_on == timestamp('2025-11-15T00:00:00+07:00')", True),
        ("data.papers.all(paper, paper.issued_at <= event.time)", True),
        ("data.papers.exists(paper, paper.paper_code == 'A1')", True),
        ("data.papers.size() == 1", True),
        ("data.weight_g in [3149, 3150]", True),
        ("data.sex in ['male', 'female']", True),
        ("!has(data.note) || data.note != data.sex", True),
        ("has(data.mother.born_on) ? data.mother.born_on < data.born_at : true", True),
        ("event.subject == data.notification_id && event.id != ''", True),
        ("data.notification_id.startsWith(data.facility_code + '-')", True),
        ("data.notification_id.matches('^[0-9-]+$')", True),
        ("data.weight_g * 2 > 6000", True),
    ],
)
def test_a_rule_sees_data_with_instants_and_dates_and_the_event_around_it(expression, expected):
    assert said(expression) is expected


def test_text_is_counted_in_characters_not_in_bytes():
    assert said("data.mother.full_name.size() == 14")
    assert said("size(data.mother.full_name) <= 14")


def test_a_size_that_only_the_engine_could_count_is_refused_when_the_rule_is_read():
    with pytest.raises(ContractsNotSound, match="counts in bytes"):
        compile_rule("data.papers.all(paper, size(paper.paper_code) == 2)", SCHEMA)


def test_a_size_of_what_has_none_is_a_problem():
    assert problem("data.weight_g.size() == 2").rule == "a-rule"


def test_a_date_begins_at_midnight_in_hanoi():
    seen = with_moments(
        {"notified_on": "2025-11-15", "papers": [{"issued_at": "2025-11-14T21:00:00z"}]}, PLAN
    )
    assert seen["notified_on"] == dt.datetime(2025, 11, 15, tzinfo=HANOI)
    assert seen["papers"][0]["issued_at"] == dt.datetime(2025, 11, 14, 21, tzinfo=dt.UTC)


def test_what_breaks_a_rule_is_told_in_the_rules_words_at_the_first_field_it_names():
    found = problem("!has(data.note) && data.weight_g > 5000")
    assert (found.path, found.rule, found.message) == ("/note", "a-rule", "Luôn đúng")


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("data.note == 'x'", "a field is missing"),
        ("data.note < 3 || data.colour", "a field is missing"),
        ("data.mother < 3", "kinds that cannot be compared"),
        ("data.weight_g < 'x'", "kinds that cannot be compared"),
        ("data.weight_g * 9223372036854775807 > 0", "a number too large"),
        ("data.weight_g / 0 > 0", "could not be evaluated"),
        ("nosuch(data.weight_g)", "the engine failed"),
        ("person.name == 'x'", "the engine failed"),
        ("data.weight_g", "neither true nor false"),
        ("null", "neither true nor false"),
    ],
)
def test_a_rule_that_cannot_be_evaluated_is_a_problem_and_never_a_crash(expression, why):
    found = problem(expression)
    assert why in found.message
    assert not [value for value in ("3150", "Nguyễn") if value in found.message]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "data.",
        "1 +",
        "((",
        "data.weight_g > 5000 and true",
        "(" * 40 + "1" + ")" * 40,
        "true || " * 200 + "true",
        "\x00",
    ],
)
def test_an_expression_that_cannot_be_read_is_refused_with_its_remedy(expression):
    with pytest.raises(ContractsNotSound) as refusal:
        compile_rule(expression, SCHEMA)
    assert refusal.value.fields["remedy"]
    assert "\n" not in refusal.value.fields["reason"].replace(expression, "")


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ("data.mother.born_on < data.born_at", "/mother/born_on"),
        ("'data.sex' == data.note", "/note"),
        ("data.note.startsWith('a')", "/note"),
        ("event.time > event.recorded_at", ""),
        ("metadata.sex == 1", ""),
    ],
)
def test_the_first_field_is_where_an_official_begins_to_look(expression, path):
    assert first_path(expression) == path


@pytest.mark.parametrize(
    "expression",
    [
        "data.born_at <= event.time",
        "data.mother.born_on < data.born_at",
        "data.notification_id.startsWith(data.facility_code)",
        'data.sex == "male" ? data.note.startsWith("Phường ") : data.note.startsWith("Xã ")',
        "!has(data.note) || (has(data.mother) && data.note == data.mother.full_name)",
        'data.sex in ["mother", "father"]\n? !has(data.note) && !has(data.papers) : has(data.note)',
        '"birth-registration" in data.papers',
        "data.weight_g >= -200 && data.weight_g < 9000.5",
    ],
)
def test_comparison_membership_and_presence_are_plain(expression):
    assert find_plain(expression, PLAN) is not None


@pytest.mark.parametrize(
    "expression",
    [
        "data.weight_g * 2 > 3",
        "data == event",
        "data",
        "has(data)",
        "has(event.subject)",
        "event.colour == 1",
        "r'a' == 'a'",
        "'a\\n' == data.note",
        "data['note'] == 'x'",
        "data.papers.all(p, true)",
        "{'a': 1}.a == 1",
        "1u < 2u",
        "'''a''' == 'a'",
        "event.time.getFullYear() > 1900",
        "sex == 'male'",
        "1234567890123456 > 1",
        "data.note.matches('a')",
        "data.note.startsWith('a').x",
        "data.(note)",
        "has(data.1)",
        "-data.weight_g < 0",
        "event.id.x == 1",
        "true ? 1",
    ],
)
def test_everything_else_is_left_to_the_engine(expression):
    assert find_plain(expression, PLAN) is None


# The engine is the oracle

texts = st.sampled_from(["", "a", "ab", "b", "Hà", "Ha\u0300", "😀", "\uffff", "2025", "é"])
scalars = (
    st.none()
    | st.booleans()
    | texts
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(-3, 3)
    | st.floats(allow_nan=False)
)
# No rule is asked about an instant that UTC cannot write: the gate has refused it before.
moments = (
    st.datetimes(timezones=st.sampled_from([dt.UTC, HANOI]))
    .filter(lambda at: at.year not in {1, 9999})
    .map(lambda at: at.isoformat())
)
days = st.dates(dt.date(2, 1, 1), dt.date(9998, 12, 31)).map(str)
about = st.fixed_dictionaries(
    {},
    optional={
        "note": scalars | st.lists(texts, max_size=2),
        "sex": texts,
        "weight_g": scalars,
        "born_at": moments | st.none() | st.integers(-3, 3),
        "mother": st.fixed_dictionaries({}, optional={"full_name": scalars, "born_on": days}) | scalars,
        "papers": st.lists(scalars, max_size=2),
    },
)
leaves = st.sampled_from(
    [
        "data.note",
        "data.sex",
        "data.weight_g",
        "data.born_at",
        "data.mother.full_name",
        "data.mother.born_on",
        "data.mother",
        "data.papers",
        "event.time",
        "event.subject",
        "true",
        "false",
        "null",
        "0",
        "1",
        "-2",
        "1.0",
        "2.5",
        "-0.5",
        "''",
        '"a"',
        "'Hà'",
        "[]",
        "['a', 'Hà']",
        "[1, data.weight_g]",
        "has(data.note)",
        "has(data.mother.full_name)",
    ]
)
operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "&&", "||", "+"])
expressions = st.recursive(
    leaves,
    lambda inner: (
        st.builds("{} {} {}".format, inner, operators, inner)
        | st.builds("({} {} {})".format, inner, operators, inner)
        | st.builds("!({})".format, inner)
        | st.builds("!{}".format, leaves)
        | st.builds("({} ? {} : {})".format, inner, inner, inner)
        | st.builds(
            "({}).{}({})".format, inner, st.sampled_from(["startsWith", "endsWith", "contains"]), inner
        )
    ),
    max_leaves=6,
)


@settings(max_examples=500)
@given(expressions, about)
def test_where_the_quick_way_answers_the_engine_says_the_same(expression, about):
    plain = find_plain(expression, PLAN)
    if plain is None:
        return
    try:
        answer = plain(about, EVENT)
    except Exception:
        return  # the engine will be asked
    seen = {"data": with_moments(about, PLAN), "event": EVENT._asdict()}
    judged = cel.evaluate(expression, seen)
    assert (type(answer), answer) == (type(judged), judged)


@given(expressions, about)
def test_any_expression_over_any_data_ends_in_yes_or_a_problem(expression, about):
    try:
        found = problem(expression, about)
    except ContractsNotSound:
        return  # not an expression
    assert found is None or found.rule == "a-rule"


@given(st.text(alphabet="data.evnt()[]{}!&|<>=?:+-'\"\\0123 \n", max_size=30))
def test_any_text_is_an_expression_or_is_refused(text):
    try:
        rule = compile_rule(text, SCHEMA)
    except ContractsNotSound:
        return
    assert callable(rule)
    problem(text, data())
