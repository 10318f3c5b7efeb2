"""Find the files of `contracts/` and what does not belong there (hop 3)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lienthong import names
from lienthong.contracts.document import Document, Finding, read_document
from lienthong.errors import ContractsNotSound

CONTRACTS: Final = "contracts"
CARD: Final = "department.yaml"
_CONTRACT: Final = re.compile(r"([a-z]+(?:-[a-z]+)*)\.v([1-9][0-9]{0,3})(\.examples)?\.yaml")


@dataclass(slots=True)
class Folder:
    """Every file under `contracts/` that could be read, and all that was found on the way."""

    root: Path
    contracts: dict[names.Topic, Document] = field(default_factory=dict)
    examples: dict[names.Topic, Document] = field(default_factory=dict)
    cards: dict[str, Document] = field(default_factory=dict)
    departments: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    unread: set[names.Topic] = field(default_factory=set)
    """Topics whose contract is there but cannot be read: not to be called missing."""


def read_folder(root: Path) -> Folder:
    """Read every contract, its examples and every department's card."""
    top = root / CONTRACTS
    if not top.is_dir():
        raise ContractsNotSound(
            reason=f"There is no folder {CONTRACTS}/ here.",
            remedy="Run the command in the folder that holds contracts/, or set LIENTHONG_ROOT to it.",
        )
    folder = Folder(root)
    for department in _inside(top, top, folder):
        if department.is_dir():
            _read_department(department, top, folder)
        elif department.name != "README.md":
            folder.findings.append(_stray(department, root))
    return folder


def _inside(parent: Path, top: Path, folder: Folder) -> Iterator[Path]:
    """List a folder in order; what a link leads out of `contracts/` is found and left alone."""
    for path in sorted(parent.iterdir()):
        if path.name.startswith("."):
            continue
        if not path.resolve().is_relative_to(top.resolve()):
            message, remedy = "is a link that leads out of contracts/.", "Put the file itself here."
            folder.findings.append(Finding(path.relative_to(folder.root), 1, "file-link", message, remedy))
            continue
        yield path


def _stray(path: Path, root: Path) -> Finding:
    remedy = f"Name it {CARD}, <event>.v<major>.yaml or <event>.v<major>.examples.yaml, or move it away."
    message = "does not belong here: a file nobody reads would look like a promise."
    return Finding(path.relative_to(root), 1, "file-name", message, remedy)


def _read_department(path: Path, top: Path, folder: Folder) -> None:
    file = path.relative_to(folder.root)
    if not names.DEPARTMENT.fullmatch(path.name):
        message, remedy = (
            f"`{path.name}` is no department's name.",
            "Use one English word of lowercase letters.",
        )
        folder.findings.append(Finding(file, 1, "department-name", message, remedy))
        return
    folder.departments.add(path.name)
    for entry in _inside(path, top, folder):
        if entry.is_file() and (entry.name == CARD or _CONTRACT.fullmatch(entry.name)):
            _read_file(entry, path.name, folder)
        elif entry.name != "README.md":
            folder.findings.append(_stray(entry, folder.root))
    if path.name not in folder.cards and not (path / CARD).exists():
        remedy = f"Add {file.as_posix()}/{CARD} with department, name, name_en, code and contact."
        folder.findings.append(Finding(file / CARD, 1, "department-card", "is missing.", remedy))


def _read_file(path: Path, department: str, folder: Folder) -> None:
    document, findings = read_document(path, folder.root)
    folder.findings.extend(findings)
    match = _CONTRACT.fullmatch(path.name)
    if match is None:
        if document is not None:
            folder.cards[department] = document
        return
    topic = names.Topic(department, match[1], int(match[2]))
    if document is None:
        folder.unread.add(topic)
    elif match[3]:
        folder.examples[topic] = document
    else:
        folder.contracts[topic] = document
