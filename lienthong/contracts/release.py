"""Freeze what contracts say as schemas; write each room's typed classes and the procedures' page (hop 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lienthong import names
from lienthong.contracts import compatibility
from lienthong.contracts.contract import Contract
from lienthong.contracts.document import Finding
from lienthong.contracts.end_of_life import PLACE as ENDS_PLACE
from lienthong.contracts.end_of_life import end_findings, ends_bytes
from lienthong.contracts.frozen import (
    SCHEMAS,
    Frozen,
    newest,
    place,
    read_frozen,
    replace_file,
    write_frozen,
)
from lienthong.contracts.load import LIVE, Contracts, load_contracts, not_sound
from lienthong.contracts.schema import json_schema, schema_bytes
from lienthong.contracts.typed import class_collisions, events_module
from lienthong.errors import ContractsNotSound
from lienthong.procedures.page import PAGE, procedures_page

SERVICES: Final = "services"
EVENTS: Final = "events.py"


@dataclass(frozen=True, slots=True)
class Released:
    """What a release wrote, or would write; paths are relative to the root folder."""

    schemas: tuple[Path, ...]
    modules: tuple[Path, ...]
    unchanged: int
    pages: tuple[Path, ...] = ()


def release(root: Path, *, write: bool = True) -> Released:
    """Freeze each contract not frozen yet, write the rooms' classes and the procedures' page; all or nothing.

    Raises:
        ContractsNotSound: where contracts or frozen files are not sound, or a frozen shape changed.
    """
    contracts = load_contracts(root)
    frozen, index, findings = read_frozen(root)
    findings += [*changed_shapes(contracts, frozen), *class_collisions(contracts)]
    findings += end_findings(contracts)
    findings += forgotten_contracts(frozen, {contract.topic for contract in contracts.contracts.values()})
    if findings:
        raise not_sound(findings)
    added = {
        place(contract.topic, version): schema_bytes(json_schema(contract, version))
        for contract, version in _unfrozen(contracts, frozen)
    }
    pages = _pages(contracts) | _ends(contracts)
    derived = _modules(contracts, _versions(contracts, frozen)) | pages
    if write:
        schemas, changed = _write(root, added, index, derived)
    else:
        schemas = [Path(SCHEMAS) / where for where in sorted(added)]
        changed = [path for path, source in derived.items() if _differs(root / path, source)]
    return Released(
        schemas=tuple(schemas),
        modules=tuple(path for path in changed if path not in pages),
        unchanged=len(_live(contracts)) - len(added),
        pages=tuple(path for path in changed if path in pages),
    )


def _write(
    root: Path, added: Mapping[str, bytes], index: Mapping[str, str], derived: Mapping[Path, bytes]
) -> tuple[list[Path], list[Path]]:
    try:
        schemas = [path.relative_to(root) for path in write_frozen(root, added, index)]
        changed = [path for path, source in derived.items() if replace_file(root / path, source)]
    except OSError as error:
        raise ContractsNotSound(
            reason=f"{error.filename} cannot be written: {error.strerror}.",
            remedy="Make room and rights for it, then run `lienthong release` again.",
        ) from error
    return schemas, changed


def changed_shapes(contracts: Contracts, frozen: list[Frozen]) -> list[Finding]:
    """Find each contract whose shape is no longer the frozen one."""
    findings = []
    for contract in _live(contracts):
        last = newest(frozen, contract.topic)
        if last is None:
            continue
        differences = compatibility.changes(last.schema, json_schema(contract, last.version))
        if compatibility.next_version(last.version, differences) is None:
            findings.append(_changed(contract, last, differences, contracts.root))
    return findings


def forgotten_contracts(frozen: list[Frozen], known: set[names.Topic]) -> list[Finding]:
    """Find frozen schemas whose contract is gone: a dataset ends by its status, not by deletion."""
    return [
        Finding(
            Path(SCHEMAS) / place(one.topic, one.version),
            1,
            "contract-missing",
            f"was frozen, but {one.topic} has no contract any more.",
            "Restore the contract; to end a dataset, set its status to retired.",
        )
        for one in frozen
        if one.topic not in known
    ]


def _changed(
    contract: Contract, last: Frozen, differences: list[compatibility.Change], root: Path
) -> Finding:
    readers = ", ".join(sorted({grant.department for grant in contract.grants})) or "nobody yet"
    listed = "; ".join(map(str, differences))
    return Finding(
        contract.path.relative_to(root),
        1,
        "shape-changed",
        f"no longer has the shape frozen as {last.version}, which is read by {readers}: {listed}.",
        "Take the change back, or describe the new shape as a new major in a file of its own.",
    )


def _live(contracts: Contracts) -> list[Contract]:
    return [contract for contract in contracts.contracts.values() if contract.status in LIVE]


def _unfrozen(contracts: Contracts, frozen: list[Frozen]) -> list[tuple[Contract, str]]:
    return [(c, f"{c.topic.major}.0.0") for c in _live(contracts) if newest(frozen, c.topic) is None]


def _versions(contracts: Contracts, frozen: list[Frozen]) -> dict[str, str]:
    versions = {str(contract.topic): version for contract, version in _unfrozen(contracts, frozen)}
    for contract in _live(contracts):
        last = newest(frozen, contract.topic)
        if last is not None:
            versions[str(contract.topic)] = last.version
    return versions


def _modules(contracts: Contracts, versions: Mapping[str, str]) -> dict[Path, bytes]:
    """Write the source for every department that has a room."""
    rooms = [name for name in contracts.departments if (contracts.root / SERVICES / name).is_dir()]
    return {
        Path(SERVICES) / name / EVENTS: events_module(contracts, versions, name).encode() for name in rooms
    }


def _pages(contracts: Contracts) -> dict[Path, bytes]:
    """Write the page of procedures, where there are documents and a procedure."""
    page = procedures_page(contracts) if (contracts.root / PAGE).parent.is_dir() else None
    return {PAGE: page.encode()} if page else {}


def _ends(contracts: Contracts) -> dict[Path, bytes]:
    """Write the list of announced ends, where one was."""
    ends = ends_bytes(contracts)
    return {ENDS_PLACE: ends} if ends is not None else {}


def _differs(path: Path, raw: bytes) -> bool:
    return not path.exists() or path.read_bytes() != raw
