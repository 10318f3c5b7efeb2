"""Compare a contract's shape with the frozen one, construct by construct, and compute its version (hop 3).

Two claims stand behind every verdict. To a *writer* of the old version: whatever was valid is valid. To a
*reader* of the old version: whatever its typed class may meet from now on, it takes. A typed class holds
types, required fields and closed code lists, no bounds, and ignores what it does not know.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from lienthong.contracts.comparing import Found, judge_object, unknown
from lienthong.contracts.contract import CLASSIFICATIONS

Level = Literal["patch", "minor", "breaking"]
LEVELS: Final[tuple[Level, ...]] = ("patch", "minor", "breaking")
Hurt = Literal["readers", "writers", "person"]

_BREAKING: Final[Level] = "breaking"
RULES: Final[Mapping[str, tuple[Level, tuple[Hurt, ...]]]] = {
    "label-changed": ("patch", ()),
    "field-added": ("minor", ()),
    "bound-widened": ("minor", ("readers",)),
    "text-widened": ("minor", ("readers",)),
    "items-widened": ("minor", ("readers",)),
    "size-raised": ("minor", ("readers",)),
    "open-code-added": ("minor", ("readers",)),
    "codes-closed": ("minor", ()),
    "type-narrowed": ("minor", ()),
    "rule-removed": ("minor", ("readers",)),
    "reference-removed": ("minor", ("readers",)),
    "protection-raised": ("minor", ("readers", "writers")),
    "required-field-added": (_BREAKING, ("writers",)),
    "field-removed": (_BREAKING, ("writers", "readers")),
    "became-required": (_BREAKING, ("writers",)),
    "became-optional": (_BREAKING, ("readers",)),
    "type-changed": (_BREAKING, ("writers", "readers")),
    "type-widened": (_BREAKING, ("readers",)),
    "bound-narrowed": (_BREAKING, ("writers",)),
    "text-narrowed": (_BREAKING, ("writers",)),
    "text-undecided": (_BREAKING, ("writers",)),
    "items-narrowed": (_BREAKING, ("writers",)),
    "size-lowered": (_BREAKING, ("writers",)),
    "code-removed": (_BREAKING, ("writers",)),
    "code-added": (_BREAKING, ("readers",)),
    "codes-opened": (_BREAKING, ("readers",)),
    "rule-added": (_BREAKING, ("writers",)),
    "reference-added": (_BREAKING, ("writers",)),
    "reference-changed": (_BREAKING, ("writers", "readers")),
    "key-changed": (_BREAKING, ("writers", "readers")),
    "kind-changed": (_BREAKING, ("writers", "readers")),
    "protection-lowered": (_BREAKING, ("person",)),
    "construct-unknown": (_BREAKING, ("writers", "readers")),
}
"""Every rule, the least version that keeps it honest, and who hears of it because it may hurt them."""

_ROOT_KNOWN: Final = frozenset(
    {"$id", "$schema", "title", "description", "required", "properties"}
    | {"x-key", "x-state", "x-max-bytes", "x-topic", "x-rules", "x-references", "x-classification"}
)


def _are_rules(value: Any) -> bool:
    return value is None or (
        isinstance(value, list | tuple)
        and all(
            isinstance(one, dict)
            and isinstance(one.get("name"), str)
            and isinstance(one.get("expression"), str)
            for one in value
        )
    )


def _are_references(value: Any) -> bool:
    return value is None or (
        isinstance(value, dict)
        and all(isinstance(one, dict) and {"topic", "field"} <= one.keys() for one in value.values())
    )


_OURS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "x-rules": _are_rules,
    "x-references": _are_references,
    "x-max-bytes": lambda value: value is None or isinstance(value, int),
    "x-classification": lambda value: value is None or value in CLASSIFICATIONS,
}
"""The form of what we add to JSON Schema ourselves, and no meta-schema judges."""


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One difference: the field's path (`/mother/full_name`), the rule, the keyword, before and after."""

    path: str
    rule: str
    keyword: str
    before: Any = field(compare=False)
    after: Any = field(compare=False)
    values: tuple[Any, ...] = field(default=(), compare=False, repr=False)
    """Values at the path that may show the harm; whether they do, the schemas themselves decide."""

    @property
    def level(self) -> Level:
        return RULES[self.rule][0]

    @property
    def hurts(self) -> tuple[Hurt, ...]:
        return RULES[self.rule][1]

    @property
    def field(self) -> str:
        """The event's own field that the path lies in; empty for the whole."""
        return self.path.split("/")[1] if self.path else ""

    def __str__(self) -> str:
        from lienthong.contracts.change_words import say

        return say(self, "en").what


def changes(
    frozen: Mapping[str, Any], current: Mapping[str, Any], *, without: frozenset[str] = frozenset()
) -> list[Change]:
    """List every difference between two schemas of ours, each under its rule.

    Args:
        frozen: The schema of the last version.
        current: The schema that the contract asks for now.
        without: Rules to leave out; the tests show by it that each of them is needed.
    """
    odd = [key for one in (frozen, current) for key, is_sound in _OURS.items() if not is_sound(one.get(key))]
    if odd:
        # Not from a contract: whoever sends a schema to a registry may write anything.
        return [Change("", "construct-unknown", odd[0], frozen.get(odd[0]), current.get(odd[0]))]
    found = [*judge_object("", frozen, current), *_whole(frozen, current)]
    kept = (one for one in found if one.rule not in without)
    return sorted(Change(one.path, one.rule, one.keyword, one.before, one.after, one.values) for one in kept)


def level_of(differences: list[Change]) -> Level | None:
    """Give the highest level of some differences; None where there is none."""
    return max((one.level for one in differences), key=LEVELS.index, default=None)


def next_version(frozen_version: str, differences: list[Change]) -> str | None:
    """Compute the version that a shape with these differences takes; None where it may not be released."""
    major, minor, patch = map(int, frozen_version.split("."))
    match level_of(differences):
        case None:
            return frozen_version
        case "patch":
            return f"{major}.{minor}.{patch + 1}"
        case "minor":
            return f"{major}.{minor + 1}.0"
        case _:
            return None


def reader_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a typed class of this schema holds: types, required fields, closed codes; else it is open."""
    kept = {key: schema[key] for key in ("type", "format", "required") if key in schema}
    if "enum" in schema and not schema.get("x-open"):
        kept["enum"] = schema["enum"]
    if "properties" in schema:
        kept["properties"] = {name: reader_schema(one) for name, one in schema["properties"].items()}
    if "items" in schema:
        kept["items"] = reader_schema(schema["items"])
    return kept


def _whole(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Found]:
    """Compare what belongs to the event as a whole."""
    if old.get("x-key") != new.get("x-key"):
        yield Found("", "key-changed", "x-key", old.get("x-key"), new.get("x-key"))
    if old.get("x-state") != new.get("x-state"):
        kinds = ["state" if one.get("x-state") else "event" for one in (old, new)]
        yield Found("", "kind-changed", "x-state", kinds[0], kinds[1])
    before, after = old.get("x-max-bytes") or 0, new.get("x-max-bytes") or 0
    if before != after:
        yield Found("", "size-lowered" if after < before else "size-raised", "x-max-bytes", before, after)
    yield from _rules(old.get("x-rules") or (), new.get("x-rules") or ())
    yield from _references(old.get("x-references") or {}, new)
    for keyword in sorted((old.keys() | new.keys()) - _ROOT_KNOWN):
        yield from unknown("", keyword, old, new)


def _rules(old: Any, new: Any) -> Iterator[Found]:
    """Compare rules by what they say; their names and words are labels."""
    before = {rule["expression"]: rule for rule in old}
    after = {rule["expression"]: rule for rule in new}
    for expression in sorted(after.keys() - before.keys()):
        name = after[expression]["name"]
        was = next((rule["expression"] for rule in old if rule["name"] == name), None)
        yield Found("", "rule-added", "x-rules", was, expression)
    for expression in sorted(before.keys() - after.keys()):
        name = before[expression]["name"]
        if not any(rule["name"] == name for rule in new):
            yield Found("", "rule-removed", "x-rules", expression, None)
    for expression in sorted(before.keys() & after.keys()):
        for word in ("name", "description"):
            if before[expression].get(word) != after[expression].get(word):
                words = (before[expression].get(word), after[expression].get(word))
                yield Found("", "label-changed", "x-rules", *words)


def _references(old: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[Found]:
    new = current.get("x-references") or {}
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path), new.get(path)
        if before == after or not _is_there(current, path.split("/")[1:]):
            continue  # with its field gone, or changed, that is told
        rule = "reference-changed"
        if before is None or after is None:
            rule = "reference-added" if before is None else "reference-removed"
        yield Found(path, rule, "x-references", _target(before), _target(after))


def _is_there(schema: Any, steps: list[str]) -> bool:
    for step in steps:
        schema = schema.get("items") if step == "*" else schema.get("properties", {}).get(step)
        if schema is None:
            return False
    return True


def _target(reference: Mapping[str, str] | None) -> str | None:
    return None if reference is None else f"{reference['topic']}#{reference['field']}"
