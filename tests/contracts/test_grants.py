"""Nothing is shared for nothing: what a grant lists, the room that has it uses."""

import ast
from pathlib import Path

import pytest

from lienthong.contracts import load_contracts

ROOT = Path(__file__).parents[2]
CONTRACTS = load_contracts(ROOT)
GRANTS = [
    (contract, grant)
    for contract in CONTRACTS.contracts.values()
    for grant in contract.grants
    if (ROOT / "services" / grant.department).is_dir()
]


def words_of(department: str) -> set[str]:
    """Every attribute, and every word of a text, in the code that people wrote for a room."""
    words: set[str] = set()
    for path in (ROOT / "services" / department).glob("*.py"):
        if path.name in {"events.py", "demo.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.update(node.value.replace(".", " ").replace("$", " ").replace("[", " ").split())
    return words


@pytest.mark.parametrize(
    ("contract", "grant"), GRANTS, ids=[f"{contract.topic}-{grant.group}" for contract, grant in GRANTS]
)
def test_every_granted_field_is_used_by_the_room_that_has_it(contract, grant):
    keys = {field.name for field in contract.fields if field.name in contract.key}
    unused = set(grant.fields) - keys - words_of(grant.department)

    assert unused == set()


@pytest.mark.parametrize(
    ("contract", "grant"), GRANTS, ids=[f"{contract.topic}-{grant.group}" for contract, grant in GRANTS]
)
def test_every_grant_is_read_by_its_department(contract, grant):
    written = "".join(
        path.read_text("utf-8")
        for path in (ROOT / "services" / grant.department).glob("*.py")
        if path.name != "events.py"
    )

    assert f'"{contract.topic}"' in written
