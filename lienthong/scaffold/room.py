"""A department's room: the furniture it starts with, and how lines are added to it later."""

import ast
import re
from typing import Final

from lienthong.contracts.load import DepartmentCard
from lienthong.scaffold.plan import Plan
from lienthong.scaffold.python_text import documented, folded, imported

_TABLES: Final = re.compile(r"(\w+)\.TABLES")
_RULE: Final = "|---|---|"
PUBLISHES, READS, SOURCES, TABLES = "phát", "đọc", "nhận từ nguồn", "sổ riêng"
"""Rows of a README's table, in their order."""
_ROWS: Final = (PUBLISHES, READS, SOURCES, TABLES)


def open_room(plan: Plan, card: DepartmentCard) -> None:
    """Write the room of a department that has none yet."""
    name = card.department
    declared = documented(f"{card.name}: {card.name_en}")
    plan.write(
        f"services/{name}/__init__.py",
        f'{declared}\n\nfrom lienthong import Department\n\n{name} = Department("{name}")\n',
    )
    plan.write(f"services/{name}/app.py", app_text(name, [], []))
    plan.write(f"services/{name}/README.md", _readme(card))


def app_text(name: str, modules: list[str], with_tables: list[str]) -> str:
    """Write `app.py`: it puts the service together, and has no logic."""
    unused = bool(set(modules) - set(with_tables))
    told = imported(f"services.{name}", [name, *modules], unused=unused)
    tables = " + ".join(f"{module}.TABLES" for module in with_tables)
    app = folded(f"app = {name}.app", [f"tables={tables}"] if tables else [], "")
    return f'"""The service: `faststream run services.{name}.app:app`."""\n\n{told}\n\n{app}\n'


def is_ours(plan: Plan, name: str) -> bool:
    """Tell whether a room's `app.py` is still as this command writes it, so that lines may be added."""
    return _parts(plan, name) is not None


def take_in(plan: Plan, name: str, module: str, *, has_tables: bool = False) -> None:
    """Let a room's `app.py` import one more module."""
    file = f"services/{name}/app.py"
    parts = _parts(plan, name)
    if parts is None:
        tables = f", and add {module}.TABLES to its tables" if has_tables else ""
        plan.remarks.append(f"{file} was written by hand: import {module} there{tables}.")
        return
    modules, with_tables = parts
    plan.add(file, app_text(name, [*modules, module], [*with_tables, module] if has_tables else with_tables))


def _parts(plan: Plan, name: str) -> tuple[list[str], list[str]] | None:
    text = plan.read(f"services/{name}/app.py") or ""
    modules = []
    try:
        for node in ast.parse(text).body:
            if isinstance(node, ast.ImportFrom) and node.module == f"services.{name}":
                modules = [alias.name for alias in node.names if alias.name != name]
    except SyntaxError:
        return None
    with_tables = _TABLES.findall(text)
    return (modules, with_tables) if app_text(name, modules, with_tables) == text else None


def free_module(plan: Plan, name: str, first: str, otherwise: str) -> str:
    """Give the house's name for a module, or a name of its own where the room has that one already."""
    return otherwise if plan.read(f"services/{name}/{first}.py") is not None else first


def tell(plan: Plan, name: str, row: str, what: str) -> None:
    """Add to a row of the room's README; a page without our table is left as its people wrote it."""
    file = f"services/{name}/README.md"
    text = plan.read(file)
    if text is None or _RULE not in text.splitlines():
        plan.remarks.append(f"{file} has no table to add to: write there that it {row}: {what}.")
        return
    what = what.replace("|", "/")
    lines = text.splitlines()
    at = next((i for i, line in enumerate(lines) if line.startswith(f"| {row} | ")), None)
    if at is not None:
        lines[at] = f"{lines[at].rstrip().removesuffix('|').rstrip()} · {what} |"
    else:
        before = [f"| {one} | " for one in _ROWS[: _ROWS.index(row)]]
        place = lines.index(_RULE) + 1
        while place < len(lines) and any(lines[place].startswith(one) for one in before):
            place += 1
        lines.insert(place, f"| {row} | {what} |")
    plan.add(file, "\n".join(lines) + "\n")


def _readme(card: DepartmentCard) -> str:
    name = card.department
    return f"""# {card.name} · {name}

Dữ liệu do {card.name} làm chủ, theo các hợp đồng trong `contracts/{name}/`.

| | |
{_RULE}
| phụ trách | {card.name}, {card.contact} |

**In English.** {card.name_en}: the table says what it publishes and reads; each field is in its contract.

Chạy riêng (alone): `eval "$(lienthong env {name})"` rồi `faststream run services.{name}.app:app`
"""
