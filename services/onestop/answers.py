"""What a citizen who asks is told: each step, who has it, until when, and why it is late."""

from collections.abc import Iterator
from datetime import date

from lienthong import Connection
from services.onestop import store, terms
from services.onestop.events import Agency

REASONS = {
    "already-registered": "đã đăng ký theo hồ sơ khác",
    "other-dossier-first": "một hồ sơ khác cho cùng người đang được giải quyết",
    "notice-annulled": "cơ sở y tế đã thu hồi giấy",
    "name-not-letters": "tên có chữ số hoặc ký tự không phải chữ",
    "father-number-impossible": "số định danh của cha không khớp với giới tính hoặc ngày sinh",
    "declarant-number-impossible": "số định danh của người khai không thể có",
    "died-already": "người này đã được khai tử",
}
_AGENCIES = "SELECT data FROM lienthong.state WHERE topic = $1 ORDER BY key"


async def answer(db: Connection, dossier_code: str, today: date) -> list[str]:
    """Tell how far a dossier is, a sentence a step; empty where no counter opened it."""
    dossier = await store.find_dossier(db, dossier_code)
    if dossier is None:
        return []
    if dossier.status == "returned":
        return [f"Hồ sơ được trả lại: {'; '.join(REASONS[reason] for reason in dossier.reasons)}."]
    told = ["Việc đăng ký đã bị hủy."] if dossier.status == "annulled" else []
    agencies = [Agency.model_validate(row["data"]) for row in await db.fetch(_AGENCIES, Agency.TOPIC)]
    steps = await store.find_steps(db, dossier_code)
    return told + [_tell(one, name_on(agencies, terms.DEPARTMENTS[one.name], today), today) for one in steps]


def name_on(agencies: list[Agency], department: str, day: date) -> str:
    """Name who did a department's work on a day, the agency it was merged into by then included.

    Where the list does not know it, its name on the bus.
    """
    for agency in agencies:
        if agency.department == department and agency.effective_on <= day:
            on_the_day = successor_on(agencies, agency.agency_code, day)
            if on_the_day is not None:
                return on_the_day.name
    return department


def successor_on(agencies: list[Agency], agency_code: str, day: date) -> Agency | None:
    """Follow an agency's code to who has its duties on a day; an old code still resolves."""
    known = {agency.agency_code: agency for agency in agencies}
    return next((one for one in _line(known, agency_code) if _lasts(one, day)), None)


def _line(known: dict[str, Agency], code: str | None) -> Iterator[Agency]:
    """Walk from an agency to its successors; a circle ends where it began."""
    seen = set()
    while code in known and code not in seen:
        seen.add(code)
        yield known[code]
        code = known[code].successor_code


def _lasts(agency: Agency, day: date) -> bool:
    return agency.ended_on is None or day < agency.ended_on


def _tell(step: store.Step, agency: str, today: date) -> str:
    name = terms.STEPS[step.name].label
    if step.done_at is not None:
        return f"{name}: xong ngày {step.done_at.astimezone(terms.HANOI):%d/%m/%Y}."
    if today <= step.due_on:
        return f"{name}: {agency} đang giải quyết, hạn {step.due_on:%d/%m/%Y}."
    late = terms.working_days_between(step.due_on, today)
    return f"{name}: trễ {late} ngày làm việc tại {agency}, hạn {step.due_on:%d/%m/%Y}."
