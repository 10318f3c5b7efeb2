"""`lienthong ledger`: the account of every fact on a bus that runs."""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from lienthong.contracts import load_contracts
from lienthong.ledger import Ledger, draw_up
from lienthong.ledger.account import Latency
from lienthong.progress import showing
from lienthong.settings import find_data, find_root

WORDS: Final = {
    "quiet": "Chờ mọi việc lắng xuống · waiting until nothing moves, s",
    "sources": "Đọc sổ nơi công bố · sources",
    "topics": "Đọc chủ đề · topics, records",
    "readers": "Đọc sổ nơi nhận · readers, topics",
}
STATUSES: Final = {
    "completed": "xong · completed",
    "returned": "trả lại · returned",
    "annulled": "đã hủy · annulled",
    "waiting": "đang chờ · waiting",
    "late": "trễ hạn · late",
}


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command("ledger")(ledger)


def ledger(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Data folder of the bus.")
    ] = None,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait at most until nothing moves.")
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the account as one JSON document.")] = False,
) -> None:
    """Balance every fact: what each source committed, what is on its topic, what each reader did about it.

    Exit status 0 when every fact is accounted for, 1 when one is not; each is named by its id or key. What
    is still under way looks like lost, so it waits a little first until nothing moves.

    Example: lienthong ledger --json
    """
    contracts = load_contracts(find_root())
    with showing(WORDS) as show:
        found = asyncio.run(draw_up(contracts, find_data(data), show, patience))
    if as_json:
        typer.echo(orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2).decode())
    else:
        Console().print(draw(found))
    raise typer.Exit(0 if found.balanced else 1)


def draw(found: Ledger) -> Group:
    """Draw the account for a person."""
    told = Text()
    for account in found.topics.values():
        for group, reader in account.readers.items():
            if reader.set_aside:
                told.append(f"Để riêng · set aside, {account.topic} → {group}: {_counts(reader.set_aside)}\n")
        if account.refused_events:
            told.append(f"Từ chối · refused, {account.topic}: {_counts(account.refused)}\n")
    for name, counts in found.intake_problems.items():
        if counts:
            told.append(f"Giữ tại nguồn · kept at the source, {name}: {_counts(counts)}\n")
    for procedure, statuses in found.progress.items():
        parts = [f"{STATUSES.get(status, status)} {count}" for status, count in statuses.items()]
        told.append(f"Hồ sơ · dossiers, {procedure}: {sum(statuses.values())} ({'; '.join(parts)})\n")
    if found.unwitnessed:
        told.append(
            "Không có nhân chứng · no witness: what was committed is taken from each department's own outbox"
            f" and list of what was published ({', '.join(found.unwitnessed)}).\n"
        )
    if found.balanced:
        told.append(
            "\nCân: mỗi sự kiện được xử lý một lần ở từng nơi đọc, hoặc để riêng có lý do.\n", "green"
        )
        told.append(
            "Balanced: every fact was handled once by each reader, or set aside with a reason.\n", "green"
        )
    else:
        told.append("\nKhông cân · not balanced:\n" + "\n".join(found.problems) + "\n", "red")
    return Group(_table(found), told)


def _table(found: Ledger) -> Table:
    """Draw a line for each topic and each of its readers, within eighty columns."""
    drawn = Table(
        title="Sổ cân đối · ledger: facts committed → handled; ms from the fact to its topic → effect",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    drawn.add_column("chủ đề → nơi đọc\ntopic → reader", no_wrap=True)
    for heading in ("số\nfacts", "riêng\naside", "kết quả\neffects"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    for heading in ("p50\nms", "p95\nms", "p99\nms"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    for account in found.topics.values():
        refused = str(account.refused_events or "")
        latency = _milliseconds(account.latency)
        drawn.add_row(account.topic, str(account.committed), refused, "", *latency)
        for group, reader in account.readers.items():
            aside = str(reader.set_aside.total() or "")
            effects = "" if reader.effects is None else str(reader.effects)
            latency = _milliseconds(reader.latency)
            drawn.add_row(f"  → {group}", str(reader.handled), aside, effects, *latency)
    return drawn


def _milliseconds(latency: Latency | None) -> tuple[str, ...]:
    return tuple(f"{ms:.0f}" for ms in latency) if latency else ("", "", "")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
