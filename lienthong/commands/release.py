"""`lienthong release` and `lienthong diff`: compute versions, freeze what is sound, compare two of them."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from lienthong.cluster.connection import admin_connection
from lienthong.contracts import load_contracts
from lienthong.contracts.change_words import Language, say
from lienthong.contracts.compatibility import changes, level_of
from lienthong.contracts.frozen import read_frozen
from lienthong.contracts.majors import draft_major
from lienthong.contracts.release import Released
from lienthong.contracts.release import release as release_all
from lienthong.contracts.schema import json_schema
from lienthong.contracts.side_by_side import Row, iter_rows, read_version
from lienthong.contracts.verdict import Verdict, verdicts
from lienthong.errors import ContractsNotSound
from lienthong.rehearsal import Rehearsal, fetch_newest, rehearse
from lienthong.settings import find_data, find_root, load_bus

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
LANGUAGES: tuple[Language, ...] = ("vi", "en")
SIGNS = {"breaking": "!", "minor": "+", "patch": "~"}


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("release")(release)
    app.command("diff")(diff)


def release(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if anything would change.")
    ] = False,
    new_major: Annotated[
        str | None,
        typer.Option("--new-major", metavar="TOPIC", help="Draft the next major of a contract, and stop."),
    ] = None,
    against: Annotated[
        int | None,
        typer.Option(
            "--against",
            min=1,
            max=1_000_000,
            help="First run what is proposed over so many newest events of each changed topic.",
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The data folder of the bus, for --against.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare each contract with its last frozen version, compute the next, and freeze it.

    Labels give a patch, an optional field or a wider bound a minor version; what a reader or a writer could
    trip over is refused, with a document that shows it. Also writes every room's events.py and
    docs/procedures.md.

    Example: lienthong release --check --against 10000
    """
    root = find_root()
    if new_major is not None:
        _tell_draft(draft_major(root, new_major), new_major, as_json=as_json)
        return
    rehearsals = _rehearse(root, against, data) if against else []
    if not as_json:
        for rehearsal in rehearsals:
            typer.echo("\n".join(rehearsal.lines()))
    try:
        released = release_all(root, write=not check)
    except ContractsNotSound as refusal:
        if not as_json:
            raise
        _print_json(_refused(refusal, rehearsals))
        raise typer.Exit(1) from None
    files = (*released.schemas, *released.modules, *released.pages, *released.beside)
    written = [path.as_posix() for path in files]
    if as_json:
        _print_json(_as_json(released, rehearsals, written, check=check))
    else:
        _tell(released, written, check=check)
    if check and written:
        raise typer.Exit(1)


def _rehearse(root: Path, most: int, data: Path | None) -> list[Rehearsal]:
    frozen, _, _ = read_frozen(root)
    changed = verdicts(load_contracts(root), frozen)
    if not changed:
        return []
    folder = find_data(data)
    load_bus(folder)
    kafka = admin_connection(folder).for_aiokafka()
    return [asyncio.run(_rehearse_one(kafka, verdict, most)) for verdict in changed]


async def _rehearse_one(kafka: dict[str, Any], verdict: Verdict, most: int) -> Rehearsal:
    topic = str(verdict.topic)
    schema = json_schema(verdict.contract, verdict.version or verdict.last.version)
    return rehearse(schema, topic, await fetch_newest(kafka, topic, most))


def _as_json(
    released: Released, rehearsals: list[Rehearsal], written: list[str], *, check: bool
) -> dict[str, Any]:
    return {
        "written": [] if check else written,
        "due": written if check else [],
        "versions": [verdict.as_json() for verdict in released.verdicts],
        "weakened": [one.as_json() for one in released.weakened],
        "against": [one.as_json() for one in rehearsals],
    }


def _refused(refusal: ContractsNotSound, rehearsals: list[Rehearsal]) -> dict[str, Any]:
    judged: tuple[Verdict, ...] = refusal.fields.get("verdicts", ())
    return {
        "error": refusal.code,
        "sentence": str(refusal),
        "findings": [finding.as_json() for finding in refusal.fields.get("findings", ())],
        "versions": [verdict.as_json() for verdict in judged],
        "against": [one.as_json() for one in rehearsals],
    }


def _tell(released: Released, written: list[str], *, check: bool) -> None:
    for verdict in released.verdicts:
        typer.echo(f"{verdict.topic}: {verdict.last.version} → {verdict.version} ({verdict.level})")
        for change in verdict.changes:
            for language in LANGUAGES:
                who = "; ".join(verdict.hurt(change, language))
                typer.echo(f"  {say(change, language).what}" + (f" → {who}" if who else ""))
    for weakened in released.weakened:
        typer.echo(str(weakened))
    for path in written:
        typer.echo(f"{'would write' if check else 'wrote'} {path}")
    if not written:
        kept = f"{released.unchanged} contracts are frozen"
        typer.echo(f"Nothing to do: {kept}; rooms' classes and pages are up to date.")
    elif check:
        typer.echo("Run `lienthong release` and commit what it writes.")


def _tell_draft(written: tuple[Path, ...], topic: str, *, as_json: bool) -> None:
    files = [path.as_posix() for path in written]
    if as_json:
        _print_json({"written": files})
        return
    for file in files:
        typer.echo(f"wrote {file}")
    typer.echo(
        f"A draft is neither frozen nor given a class. Take back in the contract of {topic} what is not "
        "frozen, read the draft, and set its status to active; then the old one's to deprecated, with an "
        "endOfLife. What the old one says of procedures (opens, step, parts) stays there until you move it."
    )


def diff(
    before: Annotated[str, typer.Argument(help="A file, a topic, or topic@version.")],
    after: Annotated[str, typer.Argument(help="Another.")],
    language: Annotated[str, typer.Option("--language", help="vi or en.")] = "vi",
    as_json: AsJson = False,
) -> None:
    """Lay two versions side by side. Exit status 0: no difference, 1: differences, 2: wrong call.

    Example: lienthong diff health.facility.v1@1.0.0 health.facility.v1
    """
    chosen = next((one for one in LANGUAGES if one == language), None)
    if chosen is None:
        raise typer.BadParameter("write vi or en", param_hint="--language")
    root = find_root()
    try:
        old, new = read_version(root, before), read_version(root, after)
    except ContractsNotSound as flaw:
        raise typer.BadParameter(str(flaw)) from None  # 1 would say that there are differences
    differences = changes(old, new)
    if as_json:
        rows = [_row_as_json(row) for row in iter_rows(old, new, chosen)]
        _print_json({"before": before, "after": after, "level": level_of(differences), "rows": rows})
    else:
        _show(list(iter_rows(old, new, chosen)), before, after, chosen)
        typer.echo(_summary(level_of(differences), len(differences), chosen))
    if differences:
        raise typer.Exit(1)


def _row_as_json(row: Row) -> dict[str, Any]:
    return {
        "path": row.path,
        "label": row.label,
        "before": row.before,
        "after": row.after,
        "changes": [
            {"rule": one.rule, "level": one.level, **{name: say(one, name).what for name in LANGUAGES}}
            for one in row.changes
        ],
    }


def _show(rows: list[Row], before: str, after: str, language: Language) -> None:
    heads = {"vi": ("trường", "thay đổi"), "en": ("field", "change")}[language]
    table = Table("", heads[0], before, after, heads[1])
    for row in rows:
        levels = [change.level for change in row.changes]
        sign = next((SIGNS[level] for level in SIGNS if level in levels), "")
        said = "\n".join(say(change, language).what.partition(": ")[2] for change in row.changes)
        cells = (sign, f"{row.path or '/'}\n{row.label}", row.before or "–", row.after or "–", said)
        table.add_row(*(_plain(cell) for cell in cells), style=None if row.changes else "dim")
    width = None if sys.stdout.isatty() else 160
    Console(width=width, highlight=False).print(table)


def _plain(text: str) -> str:
    """Keep a bracket a bracket."""
    return text.replace("[", "\\[")


def _summary(level: str | None, count: int, language: Language) -> str:
    if language == "en":
        return f"{count} differences ({level})." if count else "No difference."
    words = {"patch": "nhãn, mô tả", "minor": "tương thích", "breaking": "phá vỡ tương thích"}
    return f"{count} khác biệt ({words[str(level)]})." if count else "Không có khác biệt."


def _print_json(document: Any) -> None:
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
