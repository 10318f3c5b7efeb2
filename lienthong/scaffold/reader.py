"""A new reader: a grant in the owner's contract, and the module of its room that handles the event."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

from lienthong import names
from lienthong.contracts.contract import Contract
from lienthong.contracts.document import read_document
from lienthong.contracts.load import LIVE, Contracts, DepartmentCard, load_contracts
from lienthong.errors import ContractsNotSound
from lienthong.scaffold import reading, room
from lienthong.scaffold.contract_text import grant_lines
from lienthong.scaffold.department import get_card, get_contract
from lienthong.scaffold.draft import flat
from lienthong.scaffold.plan import Plan

HEARD: Final = "heard"
"""The table in which a room of ours keeps what it reads; another's room has tables of its own."""


class Granted(NamedTuple):
    """Who reads, what for, and which fields."""

    department: str
    purpose: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A grant as it is asked for."""

    topic: str
    department: str
    purpose: str
    legal_basis: str
    until: str
    fields: tuple[str, ...]
    why: str | None = None


def plan_reader(root: Path, wanted: Wanted, today: date) -> Plan:
    """Plan a grant, and the handler behind it.

    Raises:
        ContractsNotSound: no such contract or department, the grant is there, has no legal basis, is past …
    """
    contracts = load_contracts(root)
    contract = get_contract(contracts, wanted.topic)
    card = get_card(contracts, wanted.department)
    fields = _granted(contract, wanted)
    _check_grant(contract, wanted, today)
    plan = Plan(root)
    _add_grant(
        plan, contract, wanted, fields, flat(wanted.why or f"{card.name} đọc để: {wanted.purpose}.", 500)
    )
    if plan.read(f"services/{card.department}/app.py") is None:
        open_room_with_grants(plan, contracts, card)
    _add_handler(plan, contracts, contract, Granted(card.department, wanted.purpose, fields))
    plan.prove()
    return plan


def open_room_with_grants(plan: Plan, contracts: Contracts, card: DepartmentCard) -> None:
    """Write the room of a department that has none, with a handler for each grant that it has already.

    Whoever has a room is expected to handle what it is granted: the ledger would name every fact it lets lie.
    """
    room.open_room(plan, card)
    for contract, grant in contracts.readable_by(card.department):
        if contract.status in LIVE:
            _add_handler(plan, contracts, contract, Granted(card.department, grant.purpose, grant.fields))


def _granted(contract: Contract, wanted: Wanted) -> tuple[str, ...]:
    """Give the fields of the grant in the contract's order, the key among them."""
    known = [one.name for one in contract.fields]
    if unknown := [name for name in wanted.fields if name not in known]:
        raise ContractsNotSound(
            reason=f"{contract.topic} has no field {', '.join(unknown)}.",
            remedy=f"Its fields are {', '.join(known)}.",
        )
    return tuple(name for name in known if name in wanted.fields or name in contract.key)


def _check_grant(contract: Contract, wanted: Wanted, today: date) -> None:
    """Check what contracts check would, and what only the moment of granting can tell."""
    topic, department = contract.topic, wanted.department
    if not names.PURPOSE.fullmatch(wanted.purpose):
        raise ContractsNotSound(
            reason=f"{wanted.purpose!r} is not a purpose.",
            remedy="Write lowercase words with a hyphen between: heritage-lessons.",
        )
    if department == topic.department:
        raise ContractsNotSound(
            reason=f"{topic} is {department}'s own.", remedy="What one owns is read without a grant."
        )
    if contract.status not in LIVE:
        raise ContractsNotSound(
            reason=f"{topic} is {contract.status}: it has no topic to read.", remedy="Grant an active one."
        )
    if any(one.purpose == wanted.purpose for one in contract.grants_of(department)):
        raise ContractsNotSound(
            reason=f"{topic} is granted to {department} for {wanted.purpose} already.",
            remedy="Change that role in the contract by hand: its fields, its last day.",
        )
    if not any(char.isdigit() for char in wanted.legal_basis):
        raise ContractsNotSound(
            reason=f"The legal basis {wanted.legal_basis!r} names no law by its number.",
            remedy='Nobody reads without one: --legal-basis "Nghị định 278/2025/NĐ-CP, Điều 5".',
        )
    try:
        is_past = date.fromisoformat(wanted.until) < today
    except ValueError:
        raise ContractsNotSound(
            reason=f"{wanted.until!r} is no day that exists.", remedy="Write --until YYYY-MM-DD."
        ) from None
    if is_past:
        raise ContractsNotSound(
            reason=f"The grant would have ended on {wanted.until}.", remedy="Name a day to come: --until."
        )


def _add_grant(plan: Plan, contract: Contract, wanted: Wanted, fields: tuple[str, ...], why: str) -> None:
    """Add the grant to the contract, every line of which stays as it is."""
    document, _ = read_document(contract.path, plan.root)
    assert document is not None
    file = contract.path.relative_to(plan.root)
    lines = contract.path.read_text(encoding="utf-8").splitlines()
    grant = grant_lines(
        wanted.department, wanted.purpose, flat(wanted.legal_basis, 500), wanted.until, fields, why
    )
    first = document.lines.get(("roles",))
    if first is None:
        lines += ["roles:", *grant]
    elif not document.data["roles"]:
        lines[first - 1 : first] = ["roles:", *grant]
    elif "[" in lines[first - 1]:
        raise ContractsNotSound(
            reason=f"{file.as_posix()}:{first}: the grants are written on one line.",
            remedy="Write each role on lines of its own, then run the command again.",
        )
    else:
        # Behind the last grant, with its own indentation, before whatever comes next.
        last = max(line for at, line in document.lines.items() if at[:1] == ("roles",))
        indent = len(lines[first]) - len(lines[first].lstrip())
        lines[last:last] = [f"{' ' * indent}{line[2:]}" for line in grant]
    plan.add(file, "\n".join(lines) + "\n")


def _add_handler(plan: Plan, contracts: Contracts, contract: Contract, granted: Granted) -> None:
    name, topic = granted.department, contract.topic
    store = _find_store(plan, name)
    if not room.is_ours(plan, name) or (store is None and _has_effects(plan, name)):
        plan.remarks.append(
            f"The room of {name} was written by hand: its people add a handler,"
            f' @{name}.reads("{topic}", purpose="{granted.purpose}"), and its lines in their view `effect`.'
        )
        return
    if store is None:
        store = room.free_module(plan, name, "store", "store_heard")
        plan.write(f"services/{name}/{store}.py", reading.store_text())
        room.take_in(plan, name, store, has_tables=True)
        room.tell(plan, name, room.TABLES, f"`{HEARD}`: điều đã đọc, khung nhìn `effect`")
    class_name = _class_name(plan, contracts, contract, name)
    heard = reading.Heard(contract, name, granted.purpose, store, granted.fields, class_name)
    module = room.free_module(plan, name, "handlers", f"read_{heard.word}")
    plan.write(f"services/{name}/{module}.py", reading.handler_text(heard))
    room.take_in(plan, name, module)
    plan.write(
        f"tests/unit/test_rooms_{name}_reads_{heard.word}.py", reading.handler_test_text(heard, module)
    )
    room.tell(plan, name, room.READS, f"`{topic}`, mục đích `{granted.purpose}`")


def _find_store(plan: Plan, name: str) -> str | None:
    """Find the module of a room that keeps what it reads as ours do."""
    texts = {one: plan.read(f"services/{name}/{one}.py") for one in ("store", "store_heard")}
    return next((one for one, text in texts.items() if text == reading.store_text()), None)


def _has_effects(plan: Plan, name: str) -> bool:
    """Tell whether a room states its effects itself: there can be one view of that name."""
    files = (plan.root / "services" / name).glob("*.py")
    return any("VIEW effect" in file.read_text(encoding="utf-8") for file in files)


def _class_name(plan: Plan, contracts: Contracts, contract: Contract, department: str) -> str:
    """Name the class of an event in a reader's room, where another of its name may be."""
    name = names.class_name(contract.topic.event, contract.topic.major)
    seen = [*contracts.owned_by(department), *(one for one, _ in contracts.readable_by(department))]
    others = {
        one.topic
        for one in seen
        if names.class_name(one.topic.event, one.topic.major) == name and one.topic != contract.topic
    }
    for topic in sorted(others):
        if topic.department != department:
            new = topic.department.capitalize() + name
            plan.remarks.append(
                f"The class of {topic} is called {new} from now on, no more {name}: import that in"
                f" services/{department}."
            )
    return contract.topic.department.capitalize() + name if others else name
