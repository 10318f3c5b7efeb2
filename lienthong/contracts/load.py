"""Load sound contracts: what every other part of the library starts from (hop 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from lienthong import names
from lienthong.contracts.contract import (
    Classification,
    Code,
    Continuation,
    Contract,
    Derivation,
    Field,
    Grant,
    InvalidExample,
    Opening,
    Rule,
    Step,
)
from lienthong.contracts.document import Document, Finding
from lienthong.contracts.fields import REFERENCE, key_fields
from lienthong.contracts.folder import Folder, read_folder
from lienthong.contracts.mapping_rules import mapping_findings
from lienthong.contracts.soundness import soundness_findings
from lienthong.errors import ContractsNotSound

PARTITIONS: Final = 6
MAX_BYTES: Final = 64 * 1024
SECONDS: Final = {"ms": 0.001, "s": 1, "min": 60, "h": 3_600, "d": 86_400, "y": 365 * 86_400}
"""Units of time a promise may be written in."""
LIVE: Final = ("active", "deprecated")
"""Statuses of contracts that have a frozen schema, a class and a topic."""


@dataclass(frozen=True, slots=True)
class DepartmentCard:
    """Who a department is: `contracts/<department>/department.yaml`."""

    department: str
    name: str
    name_en: str
    code: str
    contact: str
    theme: str = "GOVE"
    """What its data are about: a code of the European data themes."""


@dataclass(frozen=True, slots=True)
class Contracts:
    """All that is shared on the bus, and by whom."""

    root: Path
    contracts: Mapping[str, Contract]
    departments: Mapping[str, DepartmentCard]

    def owned_by(self, department: str) -> list[Contract]:
        """List what a department publishes."""
        return [contract for contract in self.contracts.values() if contract.topic.department == department]

    def readable_by(self, department: str) -> list[tuple[Contract, Grant]]:
        """List what a department was granted, one entry a grant."""
        return [(c, grant) for c in self.contracts.values() for grant in c.grants_of(department)]


def load_contracts(root: Path) -> Contracts:
    """Read `contracts/` under `root`; raise ContractsNotSound, with every finding, unless all is sound."""
    folder = read_folder(root)
    if findings := [*folder.findings, *soundness_findings(folder)]:
        raise not_sound(findings)
    contracts = build_contracts(folder)
    if findings := [*mapping_findings(folder, contracts.contracts)]:
        raise not_sound(findings)
    return contracts


def not_sound(findings: list[Finding]) -> ContractsNotSound:
    """Turn findings into the one error that lists them all."""
    ordered = tuple(sorted(set(findings)))
    count = len(ordered)
    reason = f"{count} problem{'s' if count != 1 else ''} in the contracts:\n" + "\n".join(map(str, ordered))
    return ContractsNotSound(reason=reason, remedy="", findings=ordered)


def build_contracts(folder: Folder) -> Contracts:
    """Build contracts from documents that have been found sound."""
    built = {
        str(topic): build_contract(topic, document, folder.examples.get(topic))
        for topic, document in sorted(folder.contracts.items())
    }
    cards = {name: DepartmentCard(**document.data) for name, document in sorted(folder.cards.items())}
    return Contracts(folder.root, built, cards)


def build_contract(topic: names.Topic, document: Document, examples: Document | None) -> Contract:
    """Build one contract from a sound document and its examples."""
    data = document.data
    subject = data["schema"][0]
    custom = custom_properties(data)
    promises = {item["property"]: item for item in data["slaProperties"]}
    shown = examples.data if examples is not None else {}
    keys = key_fields(subject["properties"])
    return Contract(
        path=document.path,
        topic=topic,
        status=data["status"],
        title=data["name"],
        purpose=data["description"]["purpose"],
        owner=data["team"]["name"],
        contact=data["support"][0]["url"].removeprefix("mailto:"),
        is_state=custom.get("kind") == "state",
        fields=tuple(
            replace(_field(item, topic.department), key_position=keys.get(item["name"]))
            for item in subject["properties"]
        ),
        rules=tuple(_rule(item) for item in subject.get("quality", ())),
        grants=tuple(_grant(item) for item in data.get("roles", ())),
        partitions=custom.get("partitions", PARTITIONS),
        retention_seconds=int(_seconds(promises["retention"])) if "retention" in promises else 0,
        latency_seconds=_seconds(promises["latency"]),
        frequency_seconds=_seconds(promises["frequency"]),
        max_bytes=custom.get("maxBytes", MAX_BYTES),
        valid_examples=tuple(item["data"] for item in shown.get("valid", ())),
        invalid_examples=tuple(
            InvalidExample(item["data"], tuple(item["paths"]), item["because"])
            for item in shown.get("invalid", ())
        ),
        opens=_opening(custom["opens"]) if "opens" in custom else None,
        step=_step(custom["step"]) if "step" in custom else None,
        parts={one["procedure"]: one["part"] for one in custom.get("parts", ())},
        end_of_life=date.fromisoformat(promises["endOfLife"]["value"]) if "endOfLife" in promises else None,
        continues=_continuation(custom["continues"]) if "continues" in custom else None,
        raw=data,
    )


def custom_properties(item: Mapping[str, Any]) -> dict[str, Any]:
    """Read ODCS customProperties as a mapping."""
    return {entry["property"]: entry["value"] for entry in item.get("customProperties", ())}


def _field(item: Mapping[str, Any], department: str, inherited: Classification = "public") -> Field:
    classification = item.get("classification", inherited)
    reference = REFERENCE.fullmatch(item["relationships"][0]["to"]) if item.get("relationships") else None
    return Field(
        name=item.get("name", ""),
        label=item.get("businessName", ""),
        description=item.get("description", ""),
        logical_type=item["logicalType"],
        required=item.get("required", False),
        classification=classification,
        options=item.get("logicalTypeOptions", {}),
        codes=tuple(Code(code["value"], code.get("description", "")) for code in item.get("enum", ())),
        has_open_codes=custom_properties(item).get("codes") == "open",
        examples=tuple(item.get("examples", ())),
        reference=str(names.Topic(reference[1] or department, reference[2], int(reference[3])))
        if reference
        else None,
        reference_field=reference[5] if reference else None,
        fields=tuple(_field(inner, department, classification) for inner in item.get("properties", ())),
        items=_field(item["items"], department, classification) if "items" in item else None,
    )


def _rule(item: Mapping[str, Any]) -> Rule:
    return Rule(item["name"], item["implementation"], item["description"], item.get("severity", "error"))


def _opening(item: Mapping[str, Any]) -> Opening:
    return Opening(
        procedure=item["procedure"],
        name=item["name"],
        name_en=item["nameEn"],
        legal_basis=item["legalBasis"],
        dossier=item["dossier"],
        submitted_at=item["submittedAt"],
        asks=item.get("asks"),
    )


def _step(item: Mapping[str, Any]) -> Step:
    return Step(
        procedure=item["procedure"],
        name=item["name"],
        label=item["label"],
        label_en=item["labelEn"],
        working_days=item["workingDays"],
        legal_basis=item["legalBasis"],
    )


def _continuation(item: Mapping[str, Any]) -> Continuation | None:
    topic = names.find_topic(item["topic"])
    if topic is None:
        return None
    return Continuation(topic, tuple(_derivation(one) for one in item.get("mapping", ())))


def _derivation(item: Mapping[str, Any]) -> Derivation:
    source = item.get("from", [])
    return Derivation(
        path=item["field"],
        sources=(source,) if isinstance(source, str) else tuple(source),
        joined_by=item.get("joinedBy", " "),
        codes=item.get("codes", {}),
        times=item.get("times"),
        value=item.get("value"),
        otherwise=item.get("otherwise"),
    )


def _grant(item: Mapping[str, Any]) -> Grant:
    custom = custom_properties(item)
    return Grant(
        department=item["role"],
        purpose=custom["purpose"],
        legal_basis=custom["legalBasis"],
        fields=tuple(custom["fields"]),
        until=date.fromisoformat(custom["until"]),
        procedure=custom.get("procedure"),
    )


def _seconds(promise: Mapping[str, Any]) -> float:
    return float(promise["value"]) * SECONDS[promise["unit"]]
