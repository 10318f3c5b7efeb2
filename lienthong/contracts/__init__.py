"""Contracts: read, judged, frozen, and turned into typed classes (hop 3)."""

from lienthong.contracts.contract import (
    CLASSIFICATIONS,
    Classification,
    Code,
    Contract,
    Field,
    Grant,
    InvalidExample,
    Rule,
)
from lienthong.contracts.document import Finding
from lienthong.contracts.load import Contracts, DepartmentCard, load_contracts
from lienthong.contracts.schema import json_schema

__all__ = [
    "CLASSIFICATIONS",
    "Classification",
    "Code",
    "Contract",
    "Contracts",
    "DepartmentCard",
    "Field",
    "Finding",
    "Grant",
    "InvalidExample",
    "Rule",
    "json_schema",
    "load_contracts",
]
