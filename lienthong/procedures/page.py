"""Write docs/procedures.md from the contracts alone: each procedure as a drawing, and the same as tables."""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from lienthong.contracts.load import Contracts
from lienthong.procedures.procedure import Fact, Procedure, derive

PAGE: Final = Path("docs") / "procedures.md"
PART_NAMES: Final = {
    "opens": "mở hồ sơ · opens",
    "ground": "căn cứ · ground",
    "supplements": "bổ sung · supplements",
    "step": "bước · step",
    "enables": "mở đường cho bước sau · enables",
    "tells": "báo tin · tells",
    "returns": "trả lại · returns",
    "withdraws": "thu hồi căn cứ · withdraws the ground",
    "corrects": "cải chính · corrects",
    "annuls": "hủy · annuls",
    "undoes": "khép việc đã làm · undoes",
}
_ALWAYS: Final = ("opens", "ground", "supplements", "step", "enables", "tells")
_ENGLISH: Final = re.compile(r"\((?P<said>[^()]+)\)\s*$")
_HEAD: Final = """# Thủ tục liên thông · Joined-up procedures
Trang này do `lienthong release` viết ra từ các hợp đồng trong `contracts/`; không ai sửa tay. Không cơ quan
nào gọi cơ quan nào: mỗi nơi công bố việc mình đã làm, nơi được cấp quyền đọc thì làm phần của mình. Hạn tính
bằng ngày làm việc, từ khi nộp hồ sơ. Diễn biến của một hồ sơ: `lienthong procedure show`.

`lienthong release` writes this page from the contracts in `contracts/`; nobody edits it. No department calls
another: each publishes what it has done, and whoever is granted to read it does its own part. Terms are
working days from the submission of the dossier. The story of one dossier: `lienthong procedure show`. Each
drawing says the same as the two tables below it.
"""
_DRAWN: Final = (
    "Ai công bố sự kiện nào, ai đọc với mục đích nào. Hai bảng bên dưới nói đúng những điều này."
    " Who publishes which fact, and who reads it for which purpose; the tables below say the same."
)


def procedures_page(contracts: Contracts) -> str | None:
    """Write the page; None where no contract opens a procedure."""
    procedures = derive(contracts)
    if not procedures:
        return None
    sections = [line for one in procedures.values() for line in _section(one, contracts)]
    return "\n".join([_HEAD, *sections])


def title_in_english(fact: Fact) -> str:
    """Give a fact's name in English: its step's, or what its contract says in brackets."""
    if fact.step is not None:
        return fact.step.label_en
    said = _ENGLISH.search(fact.contract.purpose)
    return said["said"].rstrip(".") if said else fact.topic


def _section(procedure: Procedure, contracts: Contracts) -> Iterator[str]:
    opening = procedure.opening
    yield f"## {opening.name} · {opening.name_en}"
    yield f"Căn cứ · legal basis: {opening.legal_basis}."
    yield ""
    yield from _drawing(procedure, contracts)
    yield ""
    yield f"### Các bước · steps: {opening.name}"
    yield from _steps(procedure, contracts)
    yield ""
    yield f"### Ai được đọc gì · who reads what: {opening.name}"
    yield from _readings(procedure, contracts)
    yield ""


def _drawing(procedure: Procedure, contracts: Contracts) -> Iterator[str]:
    yield "```mermaid"
    yield "sequenceDiagram"
    yield f"    accTitle: {_drawn(procedure.opening.name)} · {_drawn(procedure.opening.name_en)}"
    yield f"    accDescr: {_DRAWN}"
    for department in _departments(procedure):
        yield f"    participant {department} as {_drawn(_name(department, contracts))}"
    for part, facts in groupby(procedure.facts, key=lambda fact: fact.part):
        arrows = [line for fact in facts for line in _arrows(fact)]
        if part in _ALWAYS:
            yield from (f"    {line}" for line in arrows)
        else:
            yield f"    opt {PART_NAMES[part]}"
            yield from (f"        {line}" for line in arrows)
            yield "    end"
    yield "```"


def _arrows(fact: Fact) -> Iterator[str]:
    title = _drawn(fact.contract.title)
    grants = [one.grant for one in fact.readers if one.for_procedure]
    for grant in grants:
        yield f"{fact.department}-){grant.department}: {title} [{grant.purpose}]"
    if not grants:
        yield f"Note over {fact.department}: {title}"


def _departments(procedure: Procedure) -> list[str]:
    """List who takes part, in the order of appearance."""
    met: dict[str, None] = {}
    for fact in procedure.facts:
        met[fact.department] = None
        met |= {one.grant.department: None for one in fact.readers if one.for_procedure}
    return list(met)


def _steps(procedure: Procedure, contracts: Contracts) -> Iterator[str]:
    numbers = {fact.topic: number for number, fact in enumerate(procedure.facts, 1)}
    yield (
        "| số · no. | là gì · part | tên · name | ai làm · who does it | công bố · publishes |"
        " sau số · after no. | được đọc bởi · is read by | hạn · term | căn cứ · legal basis |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for fact in procedure.facts:
        name = fact.step.label if fact.step else fact.contract.title
        readers = [one.grant.department for one in fact.readers if one.for_procedure]
        cells = (
            str(numbers[fact.topic]),
            PART_NAMES[fact.part],
            f"{name} · {title_in_english(fact)}",
            _name(fact.department, contracts),
            f"`{fact.topic}`",
            ", ".join(map(str, sorted(numbers[topic] for topic in fact.after))) or "—",
            ", ".join(dict.fromkeys(_name(one, contracts) for one in readers)) or "—",
            _term(fact),
            fact.step.legal_basis if fact.step else "—",
        )
        yield _row(cells)


def _readings(procedure: Procedure, contracts: Contracts) -> Iterator[str]:
    yield (
        "| sự kiện · fact | nơi đọc · read by | mục đích · purpose | trường được đọc · fields granted |"
        " căn cứ · legal basis | đến · until |"
    )
    yield "|---|---|---|---|---|---|"
    for fact in procedure.facts:
        for reader in fact.readers:
            grant = reader.grant
            outside = "" if reader.for_procedure else " (ngoài thủ tục · outside the procedure)"
            cells = (
                f"`{fact.topic}`",
                _name(grant.department, contracts),
                f"{grant.purpose}{outside}",
                ", ".join(grant.fields),
                grant.legal_basis,
                grant.until.isoformat(),
            )
            yield _row(cells)


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(' '.join(cell.replace('|', '/').split()) for cell in cells)} |"


def _term(fact: Fact) -> str:
    if fact.step is None:
        return "—"
    days = fact.step.working_days
    return f"{days} ngày làm việc · {days} working day{'' if days == 1 else 's'}"


def _name(department: str, contracts: Contracts) -> str:
    card = contracts.departments.get(department)
    return card.name if card else department


def _drawn(text: str) -> str:
    """Make a text safe in a drawing, where some signs end a line."""
    return " ".join(re.sub(r"[;#:%{}<>\"]", " ", text).split())
