"""Compare a contract's shape with the frozen one; today any change is refused (hop 3)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_WORDS: Final = frozenset({"title", "description", "$id", "$schema"})
"""Keywords that tell people something and change no event's validity."""


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One difference in shape: the field's path (`/mother/full_name`), the keyword, before and after."""

    path: str
    keyword: str
    before: Any
    after: Any

    def __str__(self) -> str:
        where = self.path or "the whole"
        match self.keyword:
            case "field":
                return f"{where}: field {'added' if self.before is None else 'removed'}"
            case "required":
                return f"{where}: {'optional became required' if self.after else 'required became optional'}"
            case keyword:
                return f"{where}: {keyword} was {_shown(self.before)}, is {_shown(self.after)}"


def changes(frozen: Mapping[str, Any], current: Mapping[str, Any]) -> list[Change]:
    """List every difference in shape between two schemas of ours, field by field; labels do not count."""
    return list(_compare("", frozen, current))


def next_version(frozen_version: str, differences: list[Change]) -> str | None:
    """Compute the version that a shape with these differences takes; None where it may not be released."""
    # The seam: once minor and patch versions are computed, harmless differences give the next one here.
    return frozen_version if not differences else None


def _compare(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    yield from _compare_fields(path, old, new)
    if "items" in old and "items" in new:
        yield from _compare(f"{path}/*", old["items"], new["items"])
    apart = _WORDS | {"properties", "required", "items"}
    for keyword in sorted((old.keys() | new.keys()) - apart):
        before, after = _essence(keyword, old.get(keyword)), _essence(keyword, new.get(keyword))
        if before != after:
            yield Change(path, keyword, before, after)


def _compare_fields(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name in sorted(before.keys() | after.keys()):
        where = f"{path}/{name}"
        if name not in before or name not in after:
            yield Change(where, "field", name if name in before else None, name if name in after else None)
            continue
        was, is_now = name in old.get("required", ()), name in new.get("required", ())
        if was != is_now:
            yield Change(where, "required", was, is_now)
        yield from _compare(where, before[name], after[name])


def _essence(keyword: str, value: Any) -> Any:
    if keyword == "x-rules":
        return {rule["name"]: rule["expression"] for rule in value or ()}
    return sorted(value) if keyword == "enum" and value is not None else value


def _shown(value: Any) -> str:
    return "absent" if value is None else str(value)
