"""Contracts on paper: made in a line, for tests that need no files."""

import dataclasses
from datetime import date
from pathlib import Path
from types import MappingProxyType

from lienthong import names
from lienthong.contracts import Contract, Contracts, DepartmentCard, Field, Grant


def contract(topic, *, classification="internal", grants=(), **changes):
    parts = names.find_topic(topic)
    assert parts is not None
    field = Field("number_id", "Số", "Số.", "string", True, classification, key_position=1)
    plain = Contract(
        path=Path("x.yaml"),
        topic=parts,
        status="active",
        title="Tên",
        purpose="Mục đích",
        owner="Sở",
        contact="data@health.example",
        is_state=False,
        fields=(field,),
        rules=(),
        grants=tuple(grants),
        partitions=6,
        retention_seconds=90 * 86_400,
        latency_seconds=5,
        frequency_seconds=3_600,
        max_bytes=65_536,
    )
    return dataclasses.replace(plain, **changes)


def grant(department, purpose, until=date(2027, 12, 31)):
    return Grant(department, purpose, "Nghị định 63/2024/NĐ-CP", ("number_id",), until)


def contracts(*some, departments=()):
    cards = {d: DepartmentCard(d, d, d, "H26", "x@y.example") for d in departments}
    return Contracts(Path(), MappingProxyType({str(c.topic): c for c in some}), cards)
