"""Judge everything under `contracts/` and `schemas/`, and report all of it at once (hop 3)."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lienthong.contracts.contract import Contract
from lienthong.contracts.document import Finding
from lienthong.contracts.end_of_life import end_findings
from lienthong.contracts.examples import (
    example_findings,
    field_example_findings,
    former_example_findings,
)
from lienthong.contracts.folder import Folder, read_folder
from lienthong.contracts.frozen import read_frozen
from lienthong.contracts.load import LIVE, Contracts, build_contracts
from lienthong.contracts.mapping_rules import mapping_findings, overlap_findings
from lienthong.contracts.release import changed_shapes, forgotten_contracts
from lienthong.contracts.soundness import soundness_findings
from lienthong.contracts.typed import class_collisions


def check(root: Path) -> list[Finding]:
    """List every problem of the contracts, their examples and the frozen schemas; an empty list is a yes."""
    folder = read_folder(root)
    findings = [*folder.findings, *soundness_findings(folder)]
    contracts = _sound_ones(folder, {finding.file for finding in findings})
    unfit = [*mapping_findings(folder, contracts.contracts)]
    findings += [*unfit, *overlap_findings(folder, contracts.contracts)]
    findings += _behaviour_findings(folder, contracts.contracts.values())
    if not unfit:
        findings += _mapped_findings(folder, contracts.contracts)
    frozen, _, wrong = read_frozen(root)
    findings += [*wrong, *changed_shapes(contracts, frozen), *class_collisions(contracts)]
    findings += end_findings(contracts)
    findings += forgotten_contracts(frozen, {*folder.contracts, *folder.unread})
    return sorted(set(findings))


def _sound_ones(folder: Folder, unsound: set[Path]) -> Contracts:
    """Build what can be built: one contract's flaw must not hide the next one's."""
    sound = Folder(
        folder.root,
        contracts={topic: one for topic, one in folder.contracts.items() if one.file not in unsound},
        examples={topic: one for topic, one in folder.examples.items() if one.file not in unsound},
        cards={name: one for name, one in folder.cards.items() if one.file not in unsound},
    )
    return build_contracts(sound)


def _mapped_findings(folder: Folder, contracts: Mapping[str, Contract]) -> Iterator[Finding]:
    for contract in contracts.values():
        former = contracts.get(str(contract.continues.topic)) if contract.continues is not None else None
        examples = folder.examples.get(contract.topic)
        if former is not None and former.status in LIVE and examples is not None and contract.valid_examples:
            yield from former_example_findings(examples, contract, former)


def _behaviour_findings(folder: Folder, contracts: Iterable[Contract]) -> Iterator[Finding]:
    for contract in contracts:
        yield from field_example_findings(folder.contracts[contract.topic], contract)
        examples = folder.examples.get(contract.topic)
        if examples is not None and contract.valid_examples:
            yield from example_findings(examples, contract)
