"""Every rule of the comparison is needed: without it, a pair of contracts gets a verdict that is not true."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from lienthong.contracts import Contract
from lienthong.contracts.change_words import say
from lienthong.contracts.compatibility import RULES, changes, level_of, reader_schema
from lienthong.contracts.contract import Field, Rule
from tests.soundness.shapes import _codes, _plain, make_contract
from tests.soundness.verdicts import Side, judge_sides, unsound

Change = Callable[[Contract], Contract]


def base() -> Contract:
    """A contract with a field of every kind that a rule speaks of."""
    inner = _plain("line", "string", {"maxLength": 8}, required=True, classification="personal")
    fields = (
        _plain("code", "string", {"pattern": "^[0-9]{4}$"}, required=True, key_position=1),
        _plain("amount", "integer", {"minimum": 0, "maximum": 99}, required=True),
        _plain("sort", "string", {}, codes=_codes("a", "b"), required=True),
        replace(_plain("sign", "string", {}, codes=_codes("a", "b"), required=True), has_open_codes=True),
        _plain("name", "string", {"pattern": "^[0-9]{4}$"}, required=True),
        _plain("note", "string", {"maxLength": 8}),
        replace(_plain("address", "object", {}, required=True), fields=(inner,)),
        replace(
            _plain("list", "array", {"minItems": 1, "maxItems": 3}, required=True),
            items=_plain("item", "integer", {"minimum": 0, "maximum": 9}, required=True),
        ),
    )
    return replace(
        make_contract(Random(1)), fields=fields, rules=(Rule("small", "data.amount < 90", "Nhỏ."),)
    )


def field(name: str, **changed: Any) -> Change:
    def apply(contract: Contract) -> Contract:
        fields = tuple(replace(one, **changed) if one.name == name else one for one in contract.fields)
        return replace(contract, fields=fields)

    return apply


def inside(name: str, **changed: Any) -> Change:
    def apply(contract: Contract) -> Contract:
        found = next(one for one in contract.fields if one.name == name)
        if found.items is not None:
            return field(name, items=replace(found.items, **changed))(contract)
        return field(name, fields=tuple(replace(one, **changed) for one in found.fields))(contract)

    return apply


def whole(**changed: Any) -> Change:
    return lambda contract: replace(contract, **changed)


def added(one: Field) -> Change:
    return lambda contract: replace(contract, fields=(*contract.fields, one))


def without(name: str) -> Change:
    return lambda contract: replace(
        contract, fields=tuple(one for one in contract.fields if one.name != name)
    )


def both(first: Change, second: Change) -> Change:
    return lambda contract: second(first(contract))


def same(contract: Contract) -> Contract:
    return contract


REFERRED = field("name", reference="trade.market.v1", reference_field="market_code")
ELSEWHERE = field("name", reference="science.unit.v1", reference_field="unit_code")
KEYED = both(field("code", key_position=None), field("name", key_position=1))
HARD = ["^(?:a|b)*a(?:a|b){14}$", "^(?:a|b)*b(?:a|b){14}$"]
NEW = Rule("new", "data.amount != 7", "Mới.")

WHOLE = {"minimum": 0, "maximum": 99, "multipleOf": 1}

CASES: list[tuple[str, Change, Change]] = [
    ("label-changed", same, field("note", label="Tên khác")),
    ("label-changed", same, field("note", description="Mô tả khác.")),
    ("label-changed", same, whole(title="Tên khác")),
    ("label-changed", same, whole(rules=(Rule("small", "data.amount < 90", "Nhỏ hơn."),))),
    ("field-added", same, added(_plain("more", "string", {"maxLength": 3}))),
    ("required-field-added", same, added(_plain("more", "string", {"maxLength": 3}, required=True))),
    ("field-removed", same, without("note")),
    ("became-required", same, field("note", required=True)),
    ("became-optional", same, field("name", required=False)),
    ("type-changed", same, field("note", logical_type="date", options={})),
    ("type-changed", same, field("amount", logical_type="boolean", options={})),
    ("type-widened", same, field("amount", logical_type="number")),
    ("type-narrowed", field("amount", logical_type="number", options=WHOLE), field("amount", options=WHOLE)),
    ("bound-narrowed", same, field("amount", options={"minimum": 0, "maximum": 50})),
    ("bound-narrowed", same, field("amount", options={"minimum": 0, "maximum": 99, "multipleOf": 2})),
    ("bound-narrowed", same, inside("list", options={"minimum": 1, "maximum": 9})),
    ("bound-widened", same, field("amount", options={"minimum": -1, "maximum": 99})),
    ("text-narrowed", same, field("name", options={"pattern": "^[0-9]{4}$", "maxLength": 3})),
    ("text-narrowed", same, field("note", options={"maxLength": 7})),
    ("text-narrowed", same, inside("address", options={"minLength": 1, "maxLength": 8})),
    ("text-narrowed", same, field("note", options={}, codes=_codes("a"))),
    ("text-widened", same, field("name", options={"pattern": "^[0-9]{4,5}$"})),
    (
        "text-undecided",
        field("note", options={"pattern": HARD[0]}),
        field("note", options={"pattern": HARD[1]}),
    ),
    ("items-narrowed", same, field("list", options={"minItems": 1, "maxItems": 2})),
    ("items-narrowed", same, field("list", options={"minItems": 2, "maxItems": 3})),
    ("items-narrowed", same, field("list", options={"minItems": 1, "maxItems": 3, "uniqueItems": True})),
    ("items-widened", same, field("list", options={"minItems": 0, "maxItems": 4})),
    ("code-removed", same, field("sort", codes=_codes("a"))),
    ("code-removed", same, field("sign", codes=_codes("a"))),
    ("code-added", same, field("sort", codes=_codes("a", "b", "c"))),
    ("open-code-added", same, field("sign", codes=_codes("a", "b", "c"))),
    ("codes-opened", same, field("sort", has_open_codes=True)),
    ("codes-opened", same, field("sort", codes=(), options={"maxLength": 3})),
    ("codes-closed", same, field("sign", has_open_codes=False)),
    (
        "codes-closed",
        field("note", options={"pattern": "^[ab]$"}),
        field("note", options={}, codes=_codes("a", "b")),
    ),
    ("size-lowered", same, whole(max_bytes=4_096)),
    ("size-raised", same, whole(max_bytes=16_384)),
    ("rule-added", same, whole(rules=(Rule("small", "data.amount < 90", "Nhỏ."), NEW))),
    ("rule-added", same, whole(rules=(Rule("small", "data.amount < 80", "Nhỏ."),))),
    ("rule-removed", same, whole(rules=())),
    ("reference-added", same, REFERRED),
    ("reference-removed", REFERRED, same),
    ("reference-changed", REFERRED, ELSEWHERE),
    ("key-changed", same, KEYED),
    ("kind-changed", same, whole(is_state=True)),
    ("protection-lowered", same, inside("address", classification="internal")),
    ("protection-raised", same, field("note", classification="personal")),
]
SHOWN_BY_DOCUMENTS = {
    *("required-field-added", "field-removed", "became-required", "became-optional", "type-changed"),
    *("bound-narrowed", "text-narrowed", "items-narrowed", "code-removed", "code-added"),
    *("rule-added",),
}
"""Rules whose absence documents find; the others are about size, protection, order and what may come."""


def case_name(case: object) -> str | None:
    return case if isinstance(case, str) else None


@pytest.mark.parametrize(("rule", "before", "after"), CASES, ids=case_name)
def test_a_rule_tells_its_change_with_its_level_and_alone(rule: str, before: Change, after: Change) -> None:
    old, new = (
        Side(before(base()), "1.0.0"),
        Side(after(before(base()) if before is same else base()), "1.1.0"),
    )
    found = changes(old.schema, new.schema)
    assert {one.rule for one in found} == {rule}
    assert level_of(found) == RULES[rule][0]
    verdict, flaws = judge_sides(Random(3), old, new)
    if rule != "text-undecided":
        assert flaws == []
    assert verdict == ("breaking" if RULES[rule][0] == "breaking" else "safe")


@pytest.mark.parametrize(("rule", "before", "after"), CASES, ids=case_name)
def test_without_a_rule_its_change_would_pass_for_less_than_it_is(
    rule: str, before: Change, after: Change
) -> None:
    old, new = (
        Side(before(base()), "1.0.0"),
        Side(after(before(base()) if before is same else base()), "1.1.0"),
    )
    assert changes(old.schema, new.schema, without=frozenset({rule})) == []


@pytest.mark.parametrize("rule", sorted(SHOWN_BY_DOCUMENTS))
def test_documents_find_that_a_rule_is_missing(rule: str) -> None:
    """The mutation: disabled, the rule lets a pair pass as safe, and the soundness test sees the harm."""
    caught = []
    for name, before, after in CASES:
        if name == rule:
            old, new = Side(before(base()), "1.0.0"), Side(after(base()), "1.1.0")
            for seed in range(10):
                verdict, flaws = judge_sides(Random(seed), old, new, frozenset({rule}))
                assert verdict == "safe"
                caught += flaws
    assert caught


def test_every_rule_has_a_case() -> None:
    assert RULES.keys() - {name for name, _, _ in CASES} == {"construct-unknown"}


@pytest.mark.parametrize("place", ["", "/note"])
def test_a_construct_that_the_comparison_does_not_know_is_breaking(place: str) -> None:
    old, new = Side(base(), "1.0.0").schema, Side(base(), "1.0.0").schema
    (new["properties"]["note"] if place else new)["contentEncoding"] = "base64"
    assert [(one.path, one.rule, one.level) for one in changes(old, new)] == [
        (place, "construct-unknown", "breaking")
    ]


def test_a_rule_that_could_not_be_decided_is_called_breaking_and_says_why() -> None:
    old, new = (Side(field("note", options={"pattern": one})(base()), "1.0.0") for one in HARD)
    (change,) = changes(old.schema, new.schema)
    assert "cannot be compared within the limit" in say(change, "en").what
    assert "không so sánh được" in say(change, "vi").what


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_every_rule_has_words_and_a_remedy_in_both_languages(rule: str, language: Any) -> None:
    change = changes({"title": "a"}, {"title": "b"})[0]
    said = say(replace(change, rule=rule, path="/x", before="b", after="a"), language)
    assert said.what.startswith("/x: ")
    assert "{" not in said.what
    assert said.remedy.endswith(".")


def test_the_class_as_a_schema_agrees_with_the_real_one() -> None:
    """What the comparison takes a typed class to accept, the generated class accepts."""
    side = Side(base(), "1.0.0")
    assert set(reader_schema(side.schema)["properties"]) == set(side.cls.model_fields)
    assert list(unsound(Random(1), side, side)) == []
