"""Freeze what contracts say as schemas; write each room's typed classes and the procedures' page (hop 3)."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lienthong import names
from lienthong.contracts.contract import Contract
from lienthong.contracts.document import Finding
from lienthong.contracts.end_of_life import PLACE as ENDS_PLACE
from lienthong.contracts.end_of_life import end_findings, ends_bytes
from lienthong.contracts.frozen import (
    SCHEMAS,
    Frozen,
    newest,
    not_written,
    one_at_a_time,
    place,
    read_frozen,
    replace_file,
    write_frozen,
)
from lienthong.contracts.load import LIVE, Contracts, load_contracts, not_sound
from lienthong.contracts.promises import PROMISES, Weakened, iter_weakened, promises_bytes
from lienthong.contracts.schema import json_schema, schema_bytes
from lienthong.contracts.typed import class_collisions, events_module
from lienthong.contracts.verdict import Verdict, breaking_findings, verdicts
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
    beside: tuple[Path, ...] = ()
    """What is kept beside the frozen files and may change: the promises released last."""
    verdicts: tuple[Verdict, ...] = ()
    """Contracts that took a new version of a major already frozen, and why."""
    weakened: tuple[Weakened, ...] = ()


def release(root: Path, *, write: bool = True) -> Released:
    """Freeze each contract that is new or changed, write the rooms' classes and the pages; all or nothing.

    Raises:
        ContractsNotSound: where contracts or frozen files are not sound, or a change is breaking; its field
            `verdicts` then holds what was judged.
    """
    with one_at_a_time(root) if write else nullcontext():
        return _release(root, write=write)


def _release(root: Path, *, write: bool) -> Released:
    contracts = load_contracts(root)
    frozen, index, findings = read_frozen(root)
    judged = verdicts(contracts, frozen)
    findings += [*changed_shapes(contracts, frozen), *class_collisions(contracts)]
    findings += end_findings(contracts)
    findings += forgotten_contracts(frozen, {contract.topic for contract in contracts.contracts.values()})
    if findings:
        raise _refused(findings, judged)
    versions = _versions(contracts, frozen, judged)
    added = {
        place(contract.topic, version): schema_bytes(json_schema(contract, version))
        for contract in _live(contracts)
        if place(contract.topic, version := versions[str(contract.topic)]) not in index
    }
    pages = _pages(contracts) | _ends(contracts)
    beside = {PROMISES: promises_bytes(contracts)}
    derived = _modules(contracts, versions) | pages | beside
    weakened = tuple(iter_weakened(contracts))
    if write:
        schemas, changed = _write(root, added, index, derived)
    else:
        schemas = [Path(SCHEMAS) / where for where in sorted(added)]
        changed = [path for path, source in derived.items() if _differs(root / path, source)]
    return Released(
        schemas=tuple(schemas),
        modules=tuple(path for path in changed if path not in pages and path not in beside),
        unchanged=len(_live(contracts)) - len(added),
        pages=tuple(path for path in changed if path in pages),
        beside=tuple(path for path in changed if path in beside),
        verdicts=tuple(judged),
        weakened=weakened,
    )


def _write(
    root: Path, added: Mapping[str, bytes], index: Mapping[str, str], derived: Mapping[Path, bytes]
) -> tuple[list[Path], list[Path]]:
    try:
        schemas = [path.relative_to(root) for path in write_frozen(root, added, index)]
        changed = [path for path, source in derived.items() if replace_file(root / path, source)]
    except OSError as error:
        raise not_written(error) from error
    return schemas, changed


def changed_shapes(contracts: Contracts, frozen: list[Frozen]) -> list[Finding]:
    """Find each change of a frozen shape that a reader or writer of it could trip over."""
    return [
        finding
        for verdict in verdicts(contracts, frozen)
        for finding in breaking_findings(verdict, contracts)
    ]


def forgotten_contracts(frozen: list[Frozen], known: set[names.Topic]) -> list[Finding]:
    """Find frozen schemas whose contract is gone: a dataset ends by its status, not by deletion."""
    has_frozen = {one.topic for one in frozen}
    new = ", ".join(sorted(str(topic) for topic in known - has_frozen))
    hint = (
        f" If it was renamed or given to another owner ({new}?), the old name stays until its end."
        if new
        else ""
    )
    return [
        Finding(
            Path(SCHEMAS) / place(one.topic, one.version),
            1,
            "contract-missing",
            f"was frozen, but {one.topic} has no contract any more.{hint}",
            "Restore the contract; to end a dataset, set its status to retired.",
        )
        for one in frozen
        if one.topic not in known
    ]


def _refused(findings: list[Finding], judged: list[Verdict]) -> ContractsNotSound:
    error = not_sound(findings)
    return ContractsNotSound(**error.fields, verdicts=tuple(judged))


def _live(contracts: Contracts) -> list[Contract]:
    return [contract for contract in contracts.contracts.values() if contract.status in LIVE]


def _versions(contracts: Contracts, frozen: list[Frozen], judged: list[Verdict]) -> dict[str, str]:
    """Give each live contract its version: the first, the one computed, or the one it has."""
    versions = {str(verdict.topic): verdict.version for verdict in judged}
    found = {}
    for contract in _live(contracts):
        last = newest(frozen, contract.topic)
        frozen_one = f"{contract.topic.major}.0.0" if last is None else last.version
        found[str(contract.topic)] = versions.get(str(contract.topic)) or frozen_one
    return found


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
