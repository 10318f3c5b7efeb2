"""Say a dossier's story in lines that a person reads, Vietnamese first."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Final

from lienthong.procedures.page import PART_NAMES
from lienthong.procedures.story import EventTold, StepTold, Story
from lienthong.working_days import HANOI

STATUSES: Final = {
    "open": "đang giải quyết · open",
    "completed": "đã xong · completed",
    "returned": "đã trả lại · returned",
    "annulled": "đã hủy · annulled",
}
APART_SECONDS: Final = 60
"""A fact that was recorded later than this after it happened is told with both moments."""


def lines_of(story: Story) -> Iterator[str]:
    """Give the lines of a story."""
    yield f"Hồ sơ {story.dossier} · {story.name} · {story.name_en}"
    submitted = f"nộp {_moment(story.submitted_at)}; " if story.submitted_at else ""
    corrected = ", đã cải chính · corrected" if story.corrected else ""
    yield f"Trạng thái · status: {submitted}{STATUSES[story.status]}{corrected}"
    if story.reasons:
        yield f"Lý do · reasons: {'; '.join(story.reasons)}"
    if story.replaced_by:
        yield f"Đã nộp lại · replaced by: {story.replaced_by}"
    if story.replaces:
        yield f"Nộp lại sau hồ sơ bị trả lại · replaces: {story.replaces}"
    others = [one for one in story.other_dossiers if one not in (story.replaced_by, story.replaces)]
    if others:
        yield f"Hồ sơ khác cùng căn cứ · others on the same ground: {', '.join(others)}"
    yield ""
    yield "Các bước · steps"
    for step in story.steps:
        yield f"  {_step(step)}"
    yield ""
    yield "Diễn biến · what happened"
    titles = {event.event_id: event.title for event in story.events}
    for event in story.events:
        yield from (f"  {line}" for line in _event(event, titles))
    if story.unreadable:
        yield ""
        yield f"Có {story.unreadable} bản ghi nhắc hồ sơ này mà không đọc được · records that cannot be read"


def _step(step: StepTold) -> str:
    name = f"{step.label} · {step.label_en}"
    due = f", hạn · due {_day(step.due_on)}" if step.due_on else ""
    late = f", trễ {step.late_working_days} ngày làm việc · late" if step.late_working_days else ""
    match step.status:
        case "done":
            return f"[xong · done] {name}: {step.department}, {_moment(step.done_at)}{due}{late}"
        case "undone":
            return f"[xong, rồi hủy · undone] {name}: {step.department}, {_moment(step.done_at)}"
        case "ended":
            return f"[không làm · not done] {name}"
    missing = ", ".join(f"{one.title} ({one.department})" for one in step.awaits)
    what = f"chờ · awaits {missing}" if missing else f"{step.department} đang giải quyết · is at it"
    return f"[đang chờ · awaited] {name}: {what}{due}{late}"


def _event(event: EventTold, titles: dict[str | None, str]) -> Iterator[str]:
    yield f"{_moment(event.recorded_at)}  {event.department}: {event.title} ({PART_NAMES[event.part]})"
    yield f"    {event.topic}[{event.partition}]@{event.offset}  {event.event_id or '—'}"
    if abs((event.recorded_at - event.happened_at).total_seconds()) > APART_SECONDS:
        yield f"    xảy ra · happened {_moment(event.happened_at)}"
    if event.codes:
        told = [f"{label}: {', '.join(codes)}" for label, codes in event.codes.items()]
        yield f"    {'; '.join(told)}"
    if event.cause:
        yield f"    do · caused by: {titles.get(event.cause, '')} {event.cause}"


def _moment(moment: datetime | None) -> str:
    return f"{moment.astimezone(HANOI):%d/%m/%Y %H:%M:%S}" if moment else "?"


def _day(day: date) -> str:
    return f"{day:%d/%m/%Y}"
