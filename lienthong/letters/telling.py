"""Tell a letter, a decision, a plan: as JSON and in lines, without data unless that is asked for (hop 7)."""

import base64
from collections import Counter
from collections.abc import Iterator
from typing import Any

from lienthong.dead_letters import Record
from lienthong.letters.found import Decision, Found
from lienthong.letters.plan import Plan, Planned
from lienthong.moments import HANOI


def letter_as_json(one: Found, original: Record | None = None) -> dict[str, Any]:
    """Tell what is known of a letter; with its data where the record is given."""
    letter = one.letter
    told = {
        "place": str(letter.place),
        "group": letter.group,
        "topic": letter.place.topic,
        "partition": letter.place.partition,
        "offset": letter.place.offset,
        "event_id": letter.event_id,
        "event_type": letter.event_type,
        "state": one.state.value,
        "code": letter.code,
        "reason": letter.reason,
        "problems": list(letter.problems),
        "attempts": letter.attempts,
        "first_at": letter.first_at.isoformat(),
        "last_at": letter.last_at.isoformat(),
        "library": letter.library,
        "bytes": letter.size,
        "letters": one.letters,
        "on_its_way": letter.at is None,
        "decisions": [_decision_as_json(decision) for decision in one.decisions],
    }
    return told | (_data_as_json(original) if original is not None else {})


def _decision_as_json(decision: Decision) -> dict[str, Any]:
    return {
        "decision": decision.decision,
        "by": decision.decided_by,
        "why": decision.why,
        "at": decision.decided_at.isoformat(),
        "outcome": decision.outcome,
        "code": decision.code,
        "ended_at": decision.ended_at.isoformat() if decision.ended_at else None,
    }


def _data_as_json(record: Record) -> dict[str, Any]:
    return {
        "key": _text(record.key),
        "headers": [[name, _text(value)] for name, value in record.headers],
        "value": _text(record.value),
    }


def _text(raw: bytes | None) -> str | dict[str, str] | None:
    """Give bytes as text where they are text, as base64 where they are not."""
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def letter_line(one: Found) -> str:
    """Tell a letter in one line."""
    letter = one.letter
    told = f"{letter.last_at.astimezone(HANOI):%Y-%m-%d %H:%M:%S}  {letter.place}  {letter.event_id or '-'}"
    return plain(f"{told}  {one.state.value}  {letter.code} ×{letter.attempts}: {letter.reason}")


def iter_letter(one: Found, original: Record | None) -> Iterator[str]:
    """Tell all that is known of a letter, line by line."""
    told = letter_as_json(one)
    yield f"{told['place']} → {told['group']}"
    for name, value in told.items():
        if name not in {"place", "group", "topic", "partition", "offset", "problems", "decisions"}:
            yield plain(f"  {name}: {'-' if value is None else value}")
    for problem in told["problems"]:
        yield plain(f"  {problem.get('path') or '/'} [{problem.get('rule')}]: {problem.get('message')}")
    for decision in told["decisions"]:
        came = f" → {decision['outcome']} {decision['code'] or ''}".rstrip() if decision["outcome"] else ""
        yield plain(f"  {decision['at']} {decision['decision']} by {decision['by']}: {decision['why']}{came}")
    if original is not None:
        data = _data_as_json(original)
        yield plain(f"  key: {_shown(data['key'])}")
        for name, value in data["headers"]:
            yield plain(f"  {name}: {_shown(value)}")
        yield plain(f"  value: {_shown(data['value'])}")


def _shown(text: str | dict[str, str] | None) -> str:
    if text is None:
        return "(none)"
    return text if isinstance(text, str) else f"base64 {text['base64']}"


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """Tell what is to be sent again, and what is left out with why."""
    return {
        "send_again": [_planned_as_json(one) for one in plan.sent],
        "left_out": [_planned_as_json(one) for one in plan.left_out],
    }


def _planned_as_json(one: Planned) -> dict[str, Any]:
    letter = one.one.letter
    return {
        "place": str(letter.place),
        "group": letter.group,
        "event_id": letter.event_id,
        "code": letter.code,
        "left_out": one.left_out.value if one.left_out is not None else None,
        "later_handled_at": one.stale_by,
    }


def iter_plan(plan: Plan, most: int) -> Iterator[str]:
    """Tell a plan line by line: what is sent by count, what is left out by name."""
    many = Counter((p.one.letter.group, p.one.letter.place.topic, p.one.letter.code) for p in plan.sent)
    for (group, topic, code), count in sorted(many.items()):
        yield plain(f"+ {count} of {topic} to {group}, set aside for {code}")
    stale = [one for one in plan.sent if one.stale_by is not None]
    if stale:
        yield f"! {len(stale)} of them although a later record of the same key was handled:"
    for one in [*stale, *plan.left_out][:most]:
        why = "" if one.left_out is None else f" left out, {one.left_out.value}"
        later = f"; {_place_of(one)} was handled" if one.stale_by is not None else ""
        yield plain(f"{'!' if one.left_out is None else '-'} {one.one.letter.place}{why}{later}")
    if (more := len(stale) + len(plan.left_out) - most) > 0:
        yield f"  … and {more} more"


def _place_of(one: Planned) -> str:
    place = one.one.letter.place
    return f"{place.topic}/{place.partition}/{one.stale_by}"


def plain(text: str) -> str:
    """Write text that no terminal acts on: a stranger's header may hold anything."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
