"""Where an event's data holds instants and dates, and what they are in Python (hop 3).

A schema's format check accepts texts that no calendar has for Python (year 0, second 60); the gate refuses
them, or every typed reader would have to.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Final

from lienthong.errors import Problem

Plan = Mapping[str, "str | Plan"]
"""Names of fields that hold, or contain, an instant or a date; `*` stands for each element of an array."""

HANOI: Final = timezone(timedelta(hours=7))
"""A date begins at midnight in Hanoi; so it has been, without summer time, since 1975."""

_TIMESTAMP: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_EDGES: Final = frozenset({"0001", "9999"})
"""Years in which an instant may have no writing in UTC."""

_EXPECTED: Final = {
    "date-time": "expected a date-time with offset, of a day and second that exist",
    "date": "expected a date (YYYY-MM-DD) of a day that exists",
}


def write_timestamp(moment: datetime) -> str:
    """Write an instant as RFC 3339, keeping its offset."""
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("an instant needs an offset from UTC")
    if offset.seconds % 60:
        # Before 1906 Hanoi's local mean time had seconds in its offset; RFC 3339 has no word for them.
        moment = moment.astimezone(UTC)
    return moment.isoformat()


def find_timestamp(text: str) -> datetime | None:
    """Read an RFC 3339 instant; None where it is not one, or not one a calendar has."""
    if _TIMESTAMP.fullmatch(text) is None:
        return None
    try:
        return read_moment(text, "date-time")
    except (ValueError, OverflowError):
        return None


def find_moments(schema: Mapping[str, Any]) -> Plan:
    """Find where a schema's data holds instants and dates."""
    plan: dict[str, str | Plan] = {}
    for name, field in schema.get("properties", {}).items():
        found = _moment_of(field)
        if found:
            plan[name] = found
    return plan


def _moment_of(field: Mapping[str, Any]) -> "str | Plan":
    if field.get("format") in _EXPECTED:
        return str(field["format"])
    if "properties" in field:
        return find_moments(field)
    if isinstance(field.get("items"), dict):
        inner = _moment_of(field["items"])
        return {"*": inner} if inner else {}
    return {}


def read_moment(text: str, kind: str) -> datetime:
    """Read an instant, or a date as the instant at which it begins in Hanoi.

    Raises:
        ValueError: when no calendar has it.
        OverflowError: when it has no writing in UTC.
    """
    if kind == "date":
        day = date.fromisoformat(text)
        moment = datetime(day.year, day.month, day.day, tzinfo=HANOI)
    else:
        moment = datetime.fromisoformat(text if text[-1] != "z" else text.upper())
    if moment.year in {1, 9999}:
        moment.astimezone(UTC)
    return moment


def are_real(data: Mapping[str, Any], plan: Plan) -> bool:
    """Tell quickly whether every instant and date of sound data exists."""
    try:
        return _are_real(data, plan)
    except (ValueError, OverflowError, IndexError):
        return False


def _are_real(data: Mapping[str, Any], plan: Plan) -> bool:
    for name, inner in plan.items():
        value = data.get(name)
        if value is None:
            continue
        if isinstance(inner, str):
            if value[:4] in _EDGES:
                return False
            date.fromisoformat(value) if inner == "date" else datetime.fromisoformat(value)
        elif "*" in inner:
            found: list[Problem] = []
            _add_problems(value, inner, "", found)
            if found:
                return False
        elif not _are_real(value, inner):
            return False
    return True


def moment_problems(data: Any, plan: Plan, path: str = "") -> list[Problem]:
    """Find instants and dates that Python, PostgreSQL and CEL could not hold."""
    problems: list[Problem] = []
    if not isinstance(data, dict):
        return problems
    for name, inner in plan.items():
        value = data.get(name)
        if value is not None:
            _add_problems(value, inner, f"{path}/{name}", problems)
    return problems


def _add_problems(value: Any, inner: "str | Plan", path: str, problems: list[Problem]) -> None:
    if isinstance(inner, str):
        if isinstance(value, str):
            try:
                read_moment(value, inner)
            except (ValueError, OverflowError, IndexError):
                problems.append(Problem(path, "format", _EXPECTED[inner]))
    elif "*" in inner:
        for position, element in enumerate(value if isinstance(value, list) else ()):
            _add_problems(element, inner["*"], f"{path}/{position}", problems)
    else:
        problems += moment_problems(value, inner, path)


def with_moments(data: Any, plan: "str | Plan") -> Any:
    """Copy data with its instants and dates as `datetime`, as rules see them."""
    if isinstance(plan, str):
        return read_moment(data, plan) if isinstance(data, str) else data
    if isinstance(data, list) and "*" in plan:
        return [with_moments(element, plan["*"]) for element in data]
    if not isinstance(data, dict) or not plan:
        return data
    return {name: with_moments(value, plan[name]) if name in plan else value for name, value in data.items()}
