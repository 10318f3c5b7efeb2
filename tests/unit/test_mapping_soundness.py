"""Where a mapping is judged to fit, no sound fact of the newer major is refused by the former schema."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from lienthong.contracts.contract import Code, Continuation, Contract, Derivation, Field
from lienthong.contracts.mapping import Translation
from lienthong.contracts.mapping_rules import mapping_flaws
from lienthong.contracts.schema import json_schema
from tests.paper import contract

KINDS = ("string", "integer", "number", "boolean", "date", "timestamp")
CODES = ("x", "y", "z")
small = st.integers(-3, 3)
translations = st.dictionaries(st.sampled_from(CODES), st.sampled_from((*CODES, "xyzxyz")), max_size=2)


@st.composite
def options(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """Bounds that some value keeps."""
    if kind in {"integer", "number"}:
        low = draw(small)
        bounds: dict[str, Any] = {"minimum": low, "maximum": low + draw(st.integers(0, 4))}
        if draw(st.booleans()):
            bounds["exclusiveMinimum"] = low - 1
        return bounds
    if kind == "string":
        least = draw(st.integers(0, 2))
        return {"minLength": least, "maxLength": least + draw(st.integers(0, 3))}
    return {}


@st.composite
def single(draw: st.DrawFn, name: str) -> Field:
    kind = draw(st.sampled_from(KINDS))
    codes: tuple[Code, ...] = ()
    bounds = draw(options(kind))
    if kind == "string" and draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(CODES), min_size=1, unique=True))
        codes, bounds = tuple(Code(one, one) for one in chosen), {}
    return Field(
        name,
        name,
        name,
        kind,
        draw(st.booleans()),
        "public",
        options=bounds,
        codes=codes,  # type: ignore[arg-type]
    )


@st.composite
def fields(draw: st.DrawFn, names: str) -> tuple[Field, ...]:
    made = []
    for name in names:
        one = draw(single(name))
        shape = draw(st.sampled_from(("single", "single", "object", "list")))
        required = draw(st.booleans())
        if shape == "object":
            inner = (draw(single("p")), draw(single("q")))
            one = Field(name, name, name, "object", required, "public", fields=inner)
        elif shape == "list":
            bounds = {"minItems": draw(st.integers(0, 1)), "maxItems": draw(st.integers(1, 3))}
            bounds["uniqueItems"] = draw(st.booleans())
            one = Field(name, name, name, "array", required, "public", options=bounds, items=one)
        made.append(one)
    return tuple(made)


PATHS = ("a", "b", "c", "a/p", "b/q", "c/p", "d", "d/p")
derivations = st.builds(
    Derivation,
    path=st.sampled_from(PATHS),
    sources=st.lists(st.sampled_from(PATHS), max_size=2, unique=True).map(tuple),
    joined_by=st.sampled_from(("", " ")),
    codes=translations,
    times=st.none() | st.sampled_from((0.5, 1.0, 2.0, 10.0)),
    value=st.none() | st.sampled_from(("x", "xy", 1, 2.5, True)),
    otherwise=st.none() | st.sampled_from(("x", "xy", 1, 2.5, True)),
)


@st.composite
def values(draw: st.DrawFn, field: Field) -> Any:
    """Draw a sound value of a field."""
    if field.codes:
        return draw(st.sampled_from([code.value for code in field.codes]))
    match field.logical_type:
        case "object":
            return draw(data(field.fields))
        case "array":
            assert field.items is not None
            least, most = field.options["minItems"], field.options["maxItems"]
            # Told apart as JSON tells numbers apart: 1 and 1.0 are the same, 1 and true are not.
            unique_by = (
                (lambda one: (isinstance(one, bool), repr(one))) if field.options["uniqueItems"] else None
            )
            return draw(st.lists(values(field.items), min_size=least, max_size=most, unique_by=unique_by))
        case "string":
            least, most = field.options.get("minLength", 0), field.options.get("maxLength", 5)
            return draw(st.text("xyé", min_size=least, max_size=most))
        case "integer":
            return draw(st.integers(field.options["minimum"], field.options["maximum"]))
        case "number":
            low, high = field.options["minimum"], field.options["maximum"]
            return draw(st.integers(low * 4, high * 4)) / 4
        case "boolean":
            return draw(st.booleans())
        case "date":
            return "2026-03-01"
        case _:
            return "2026-03-01T23:30:00+07:00"


@st.composite
def data(draw: st.DrawFn, of: Sequence[Field]) -> dict[str, Any]:
    there = [one for one in of if one.required or draw(st.booleans())]
    return {one.name: draw(values(one)) for one in there}


def schema_of(one: Contract) -> jsonschema_rs.Draft202012Validator:
    version = f"{one.topic.major}.0.0"
    return jsonschema_rs.Draft202012Validator(json_schema(one, version), validate_formats=True)


similar = fields("abc").flatmap(lambda old: st.tuples(st.just(old), st.tuples(*(_near(one) for one in old))))


def _near(one: Field) -> st.SearchStrategy[Field]:
    """The field as it was, or another of its name."""
    return st.just(one) | st.just(one) | fields(one.name).map(lambda made: made[0])


renaming = st.builds(
    Derivation,
    path=st.just("a"),
    sources=st.just(("d",)),
    codes=st.just({}) | translations,
    times=st.none() | st.sampled_from((0.5, 1.0, 2.0)),
    otherwise=st.none() | st.sampled_from(("x", "xy", 1, 2.5, True)),
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=st.data(), pair=similar, renamed=st.none() | renaming, said=st.lists(derivations, max_size=1))
def test_what_a_fitting_mapping_makes_is_what_the_former_schema_takes(
    drawn: st.DataObject,
    pair: tuple[tuple[Field, ...], tuple[Field, ...]],
    renamed: Derivation | None,
    said: list[Derivation],
) -> None:
    old, new = pair
    if renamed is not None:
        new, said = (replace(new[0], name="d"), *new[1:]), [renamed, *said]
    former = contract("health.birth-notified.v1", fields=old)
    continues = Continuation(former.topic, tuple(said))
    newer = contract("health.birth-notified.v2", fields=new, continues=continues)
    if flaws := list(mapping_flaws(newer, former)):
        assert all(message and remedy for message, remedy in flaws)
        event("refused")
        return
    event("fits")
    fact = drawn.draw(data(new))
    assert schema_of(newer).is_valid(fact), "the test's own values are sound"
    told = Translation(newer, former).data(fact)
    assert [error.message for error in schema_of(former).iter_errors(told)] == []
