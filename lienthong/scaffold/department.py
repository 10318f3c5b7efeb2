"""A new department: its card, so that contracts may name it, and its room."""

import keyword
import re
from pathlib import Path
from typing import Final

from lienthong import names
from lienthong.contracts.contract import Contract
from lienthong.contracts.fields import has_vietnamese
from lienthong.contracts.load import Contracts, DepartmentCard, load_contracts
from lienthong.errors import ContractsNotSound
from lienthong.scaffold.contract_text import card_text
from lienthong.scaffold.draft import flat
from lienthong.scaffold.plan import Plan
from lienthong.scaffold.room import open_room

FURNITURE: Final = frozenset(
    {"app", "console", "demo", "events", "handlers", "lienthong", "publishers", "services", "store"}
)
"""Names of modules and folders of the house: a department called so would hide one of them."""
_CODE: Final = re.compile(r"(H[0-9]{2})\.([0-9]{2})")


def plan_department(
    root: Path,
    name: str,
    *,
    title: str,
    title_en: str | None = None,
    code: str | None = None,
    contact: str | None = None,
) -> Plan:
    """Plan a department's card and room.

    Raises:
        ContractsNotSound: the name cannot be one, it is there already, or the card would not be sound.
    """
    check_name(name)
    contracts = load_contracts(root)
    if name in contracts.departments:
        raise ContractsNotSound(
            reason=f"There is a department {name} already: {contracts.departments[name].name}.",
            remedy=f"Go on with it (`lienthong new event {name}.…`), or name the new one otherwise.",
        )
    spoken = flat(title, 120)
    if not has_vietnamese(spoken):
        raise ContractsNotSound(
            reason=f"The department's name {spoken!r} has no word of Vietnamese.",
            remedy='Give the name on its door: --name "Sở Văn hóa và Thể thao".',
        )
    card = DepartmentCard(
        name,
        spoken,
        flat(title_en or f"Department {name}", 120),
        code or free_code(contracts),
        contact or f"du-lieu@{name}.example",
    )
    plan = Plan(root)
    plan.write(f"contracts/{name}/department.yaml", card_text(card, is_sample=code is None))
    open_room(plan, card)
    if title_en is None:
        plan.remarks.append(f"In English it is called {card.name_en}; --name-en says better.")
    if code is None:
        plan.remarks.append(f"The agency code {card.code} is a sample; --code gives the real one.")
    if contact is None:
        plan.remarks.append(f"Nobody reads {card.contact}; --contact gives the real address.")
    plan.prove()
    return plan


def check_name(name: str) -> None:
    """Check that a department may be called so.

    Raises:
        ContractsNotSound: with the house's sentence.
    """
    if not names.DEPARTMENT.fullmatch(name):
        raise ContractsNotSound(
            reason=f"{name!r} is not a department's name.", remedy="Use one lowercase English word: health."
        )
    if name in names.RESERVED or name in FURNITURE or keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ContractsNotSound(
            reason=f"{name} means something else here: no department can be called so.",
            remedy="Use another lowercase English word: culture.",
        )


def get_card(contracts: Contracts, name: str) -> DepartmentCard:
    """Give the card of a department that is there.

    Raises:
        ContractsNotSound: nobody is called so; the remedy names the command.
    """
    check_name(name)
    if name not in contracts.departments:
        known = ", ".join(contracts.departments) or "nobody yet"
        raise ContractsNotSound(
            reason=f"There is no department {name} here: {known}.",
            remedy=f'Correct the name, or make it first: lienthong new department {name} --name "…".',
        )
    return contracts.departments[name]


def get_contract(contracts: Contracts, topic: str) -> Contract:
    """Give the contract of a topic, said with or without its major.

    Raises:
        ContractsNotSound: there is none.
    """
    wanted = topic if names.find_topic(topic) else f"{topic}.v1"
    if wanted not in contracts.contracts:
        owned = sorted(one for one in contracts.contracts if one.startswith(f"{topic.partition('.')[0]}."))
        raise ContractsNotSound(
            reason=f"There is no contract {wanted} here.",
            remedy=f"Name one of {', '.join(owned)}."
            if owned
            else "`lienthong contracts list` names them all.",
        )
    return contracts.contracts[wanted]


def free_code(contracts: Contracts) -> str:
    """Give a sample agency code that no department here has."""
    found = [match for card in contracts.departments.values() if (match := _CODE.fullmatch(card.code))]
    prefix = found[0][1] if found else "H26"
    return f"{prefix}.{max((int(match[2]) for match in found), default=0) + 1:02d}"
