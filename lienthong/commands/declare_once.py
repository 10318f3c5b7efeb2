"""`lienthong declare-once`: what citizens are asked, what the bus answers instead, and what that spares."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from lienthong.cluster.connection import admin_connection
from lienthong.contracts import Contracts, load_contracts
from lienthong.declare_once import (
    Account,
    Form,
    Question,
    Reasked,
    Sums,
    account,
    load_forms,
    reasked,
    spared,
    sums,
)
from lienthong.embedded import folder
from lienthong.progress import showing
from lienthong.settings import find_data, find_root

READING = "Đọc hồ sơ · reading dossiers"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("declare-once")(declare_once)


def declare_once(
    procedure: Annotated[
        str | None, typer.Argument(help="One form, question by question: birth, death …")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only judge the forms: exit status 1 where something is re-asked.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Data folder of a running bus, for the sums.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Report per procedure what paper asks, what is asked now, what is reused from whom, what is re-asked.

    Where a bus runs, the questions are summed over the dossiers on it. Forms that the contracts contradict
    are told with their lines, exit status 1.

    Example: lienthong declare-once birth
    """
    contracts = load_contracts(find_root())
    forms = load_forms(contracts)
    defects = reasked(forms, contracts)
    if procedure is not None and procedure not in {form.form for form in forms}:
        known = ", ".join(form.form for form in forms) or "none"
        raise typer.BadParameter(f"there is no form {procedure}; there are: {known}", param_hint="PROCEDURE")
    if check:
        _judge(forms, defects, as_json=as_json)
        return
    shown = [form for form in forms if procedure in {None, form.form}]
    place = find_data(data).resolve()
    told = _sum(shown, place) if folder.find_bus(place) else None
    if as_json:
        typer.echo(orjson.dumps(_document(shown, contracts, defects, told)).decode())
        return
    console = Console()
    if procedure is not None:
        console.print(_questions(shown[0]))
    console.print(_report(shown, contracts, defects, told))
    if told is None:
        console.print("Trục không chạy: chỉ có các tờ khai. · No bus is running: the forms alone.")
    else:
        console.print(spared(told), highlight=False)


def _judge(forms: Sequence[Form], defects: Sequence[Reasked], *, as_json: bool) -> None:
    if as_json:
        found = {"forms": [form.form for form in forms], "reasked": [one.as_json() for one in defects]}
        typer.echo(orjson.dumps(found).decode())
    else:
        for one in defects:
            typer.echo(one.sentence)
        typer.echo(f"{len(forms)} tờ khai, {len(defects)} câu hỏi lại. · re-asked: {len(defects)}")
    if defects:
        raise typer.Exit(1)


def _sum(forms: Sequence[Form], data: Path) -> list[Sums]:
    with showing() as show:
        return asyncio.run(sums(forms, admin_connection(data).for_aiokafka(), partial(show, READING)))


def _document(
    forms: Sequence[Form], contracts: Contracts, defects: Sequence[Reasked], told: Sequence[Sums] | None
) -> dict[str, Any]:
    summed = {one.form.form: one.as_json() for one in told or ()}
    return {
        "running": told is not None,
        "procedures": {
            form.form: {
                "name": form.name,
                "name_en": form.name_en,
                "department": form.department,
                "legal_basis": form.legal_basis,
                "papers": [paper.name for paper in form.papers],
                **account(form).as_json(),
                "owners": {
                    topic: contracts.contracts[topic].topic.department for topic in account(form).taken
                },
                "questions": [_question(question) for question in form.questions],
                "reasked": [one.as_json() for one in defects if one.form == form.form],
                "sums": summed.get(form.form),
            }
            for form in forms
        },
        "line": spared(told) if told is not None else None,
    }


def _question(question: Question) -> dict[str, Any]:
    return {
        "concept": question.concept,
        "label": question.label,
        "label_en": question.label_en,
        "papers": question.papers,
        "asked": [str(place) for place in question.asked],
        "asked_when": question.asked_when or None,
        "taken_from": str(question.taken_from) if question.taken_from else None,
        "made": question.made or None,
        "outside": question.outside or None,
    }


def _report(
    forms: Sequence[Form], contracts: Contracts, defects: Sequence[Reasked], told: Sequence[Sums] | None
) -> Group:
    summed = {one.form.form: one for one in told or ()}
    drawn: list[Table | Text] = []
    for form in forms:
        again = [one for one in defects if one.form == form.form]
        drawn += [_table(form, contracts, summed.get(form.form)), _said(again)]
    return Group(*drawn)


def _said(defects: Sequence[Reasked]) -> Text:
    if not defects:
        return Text("Không hỏi lại điều trục đã biết. · Nothing is asked that the bus holds.\n", "green")
    return Text("".join(f"Hỏi lại · re-asked: {one.sentence}\n" for one in defects), "red")


def _table(form: Form, contracts: Contracts, told: Sums | None) -> Table:
    """Draw a form's account: one dossier's, and beside it that of all dossiers on the bus."""
    one, total = account(form), told.total if told else Account()
    drawn = Table(title=f"{form.name}\n{form.name_en}", box=box.SIMPLE_HEAD, pad_edge=False)
    drawn.title_justify = "left"
    drawn.add_column("câu · questions", min_width=28)
    drawn.add_column("tờ khai\nform", justify="right")
    if told is not None:
        drawn.add_column(f"{told.dossiers:,} hồ sơ\ndossiers", justify="right")

    at_times = f" (+{one.sometimes})" if one.sometimes else ""
    owners = {topic: contracts.departments[topic.partition(".")[0]].name for topic in one.taken}
    rows = [
        ("giấy hỏi · on paper", str(one.paper + one.outside), total.paper + total.outside),
        ("nay hỏi · asked now", f"{one.asked}{at_times}", total.asked),
        ("lấy lại · reused", str(one.taken.total()), total.taken.total()),
        *(
            (
                f"  ← {owners[topic]}: {contracts.contracts[topic].title}\n    {topic}",
                str(lines),
                total.taken[topic],
            )
            for topic, lines in sorted(one.taken.items())
        ),
        ("tự điền · filled in by us", str(one.made), total.made),
        ("ngoài trục · off the bus", str(one.outside), total.outside),
    ]
    if told is not None:
        rows.append(("bớt · spared", "", total.spared))
    for label, of_form, of_dossiers in rows:
        drawn.add_row(label, of_form, *([f"{of_dossiers:,}"] if told is not None else []))
    return drawn


def _questions(form: Form) -> Table:
    """Draw a form, question by question."""
    drawn = Table(
        "câu hỏi · question", "trên giấy · on paper", "nay · now", box=box.SIMPLE_HEAD, pad_edge=False
    )
    drawn.title, drawn.title_justify = f"{form.name} · {form.name_en}", "left"
    for question in form.questions:
        drawn.add_row(
            f"{question.label}\n{question.label_en}", ", ".join(question.papers) or "–", _answer(question)
        )
    return drawn


def _answer(question: Question) -> str:
    said = []
    if question.asked_when:
        said.append(f"hỏi khi {question.asked_when} · asked when {question.asked_when_en}")
    elif question.asked:
        said.append("hỏi · asked")
    if question.taken_from is not None:
        said.append(f"lấy từ · taken from {question.taken_from}")
    if question.made:
        said.append(f"tự điền · filled in: {question.made}")
    if question.outside:
        said.append(f"ngoài trục · off the bus: {question.outside}")
    return "\n".join(said)
