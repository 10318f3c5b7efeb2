"""A schema may come from anybody, through a registry: the comparison judges it, or calls it breaking."""

import time
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.contracts.comparing import BOUNDS, ITEMS, TEXT
from lienthong.contracts.compatibility import RULES, changes, next_version
from lienthong.contracts.inclusion import Text, find_text_outside
from lienthong.contracts.machine import TooHard
from tests.soundness.test_rules import base
from tests.soundness.verdicts import Side

OURS = Side(base(), "1.0.0").schema
ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=4))
VALUES = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner)
)
KEYWORDS = st.sampled_from(
    [
        *sorted({*TEXT, *BOUNDS, *ITEMS}),
        *("type", "format", "enum", "const", "items", "properties", "required", "additionalProperties"),
        *("allOf", "$ref", "title", "x-open", "x-codes", "x-classification", "x-rules", "x-references"),
        *("x-key", "x-state", "x-max-bytes"),
    ]
)


@given(st.sampled_from(["", "amount", "sort", "name", "list"]), KEYWORDS, VALUES)
def test_any_keyword_with_any_value_is_judged_and_never_safe_by_ignorance(
    name: str, keyword: str, value: Any
) -> None:
    new: dict[str, Any] = {**OURS, "properties": dict(OURS["properties"])}
    if name:
        new["properties"][name] = {**new["properties"][name], keyword: value}
    else:
        new[keyword] = value
    if not jsonschema_rs.meta.is_valid(new) or not _is_plain(new):
        return
    found = changes(OURS, new)
    assert {change.rule for change in found} <= RULES.keys()
    known = {"title", "x-codes", "x-open", "required", "properties", "items", "x-classification"}
    if keyword in {"const", "allOf", "$ref", "additionalProperties"} and new != OURS:
        assert next_version("1.0.0", found) is None
    assert found or new == OURS or keyword in known or _says_the_same(new, name, keyword)


def _is_plain(schema: Any) -> bool:
    """A schema may be true or false; a registry turns such a place away before it asks."""
    fields = schema.get("properties", {}).values()
    inner = [*fields, *([schema["items"]] if "items" in schema else [])]
    return all(isinstance(one, dict) and _is_plain(one) for one in inner)


def _says_the_same(new: dict[str, Any], name: str, keyword: str) -> bool:
    """A default that is written out says nothing new."""
    old = OURS["properties"][name] if name else OURS
    value = (new["properties"][name] if name else new)[keyword]
    return bool(old.get(keyword) == value or not value)


@pytest.mark.parametrize(
    "pattern",
    [
        "^" + "(?:" * 400 + ")" * 400 + "$",
        "^(?:(?:(?:(?:){1000}){1000}){1000}){1000}$",
        "^(?:(?:a{1000}){1000}){1000}$",
        "^a{999999}$",
        "^" + "a?" * 490 + "$",
        "^(?:(?:(?:a|aa){1,100}){1,100}){1,9}$",
    ],
)
def test_a_pattern_made_to_cost_much_costs_little(pattern: str) -> None:
    began = time.process_time()
    try:
        find_text_outside(Text(pattern), Text("^[ab]{1,1000}$"))
        find_text_outside(Text("^[ab]{1,1000}$"), Text(pattern))
    except TooHard:
        pass
    assert time.process_time() - began < 20
