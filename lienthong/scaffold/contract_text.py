"""Write a department's card, a contract, its examples and a grant as the people of the house write them."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from lienthong.contracts.load import DepartmentCard
from lienthong.scaffold.draft import Draft, EventDraft

WRONG_KEY: Final = "?"
"""No key of ours matches it."""


def card_text(card: DepartmentCard, *, is_sample: bool) -> str:
    """Write `department.yaml`."""
    sample = ["# Mã mẫu. (A sample code.)"] if is_sample else []
    lines = [
        f"department: {card.department}",
        f"name: {quoted(card.name)}",
        f"name_en: {quoted(card.name_en)}",
        *sample,
        f"code: {card.code}",
        f"contact: {card.contact}",
    ]
    return "\n".join(lines) + "\n"


def contract_text(draft: EventDraft, card: DepartmentCard) -> str:
    """Write a contract that passes every check, its guesses tagged."""
    topic = draft.topic
    what = "Trạng thái mới nhất" if draft.is_state else "Sự việc đã xảy ra"
    mail = f"mailto:{card.contact}"
    lines = [
        "apiVersion: v3.2.0",
        "kind: DataContract",
        f"id: {topic}",
        f"version: {topic.major}.0.0",
        "status: active",
        f"name: {quoted(draft.title)}",
        f"domain: {topic.department}",
        f"tenant: {card.code.partition('.')[0]}",
        f"tags: [{', '.join(quoted(tag) for tag in draft.guesses)}]",
        "description:",
        f"  purpose: {quoted(f'{what}: {draft.title}. ({card.name_en}: {topic.event}.)')}",
        "schema:",
        f"  - name: {topic.event}",
        "    logicalType: object",
        "    physicalType: topic",
        f"    physicalName: {topic}",
        "    properties:",
        *(line for one in draft.fields for line in _field(one, draft)),
        "slaProperties:",
        "  - {property: latency, value: 60, unit: s, driver: operational}",
        "  - {property: frequency, value: 30, unit: d}",
        "  - {property: retention, value: 365, unit: d}",
        "customProperties:",
        f"  - {{property: kind, value: {'state' if draft.is_state else 'event'}}}",
        "team:",
        f"  name: {quoted(card.name)}",
        "  members:",
        f"    - {{username: {quoted(card.contact)}, role: data steward}}",
        "support:",
        f"  - {{channel: {topic.department}-data, tool: email, scope: issues, url: {quoted(mail)}}}",
    ]
    return "\n".join(line for line in lines if line != "tags: []") + "\n"


def _field(one: Draft, draft: EventDraft) -> list[str]:
    lines = [
        f"      - name: {one.name}",
        f"        businessName: {quoted(one.label)}",
        f"        description: {quoted(one.description)}",
        f"        logicalType: {one.kind}",
    ]
    if one.options:
        lines.append(f"        logicalTypeOptions: {flow(one.options)}")
    if one.codes:
        lines.append("        enum:")
        lines += [
            f"          - {{value: {quoted(code)}, description: {quoted(label)}}}"
            for code, label in one.codes
        ]
    lines.append(f"        required: {flow(one.required)}")
    if one.key_position is not None:
        if len(draft.keys) == 1:
            lines.append("        unique: true")
        lines += [
            "        primaryKey: true",
            f"        primaryKeyPosition: {one.key_position}",
            "        partitioned: true",
            f"        partitionKeyPosition: {one.key_position}",
        ]
    lines.append(f"        classification: {one.classification}")
    lines.append(f"        examples: [{flow(one.example)}]")
    if one.guesses:
        lines.append(f"        tags: [{', '.join(quoted(tag) for tag in one.guesses)}]")
    return lines


def examples_text(draft: EventDraft) -> str:
    """Write the examples: a whole one, one without what may be absent, one with a key that is none."""
    whole = {one.name: one.example for one in draft.fields}
    least = {one.name: one.example for one in draft.fields if one.required}
    first = draft.keys[0]
    lines = ["valid:", *_example(whole)]
    if least != whole:
        lines += _example(least)
    lines += [
        "invalid:",
        f"  - because: {quoted(f'{first.label}: không đúng dạng. (Not of its form.)')}",
        f"    paths: [/{first.name}]",
        *_data({**whole, first.name: WRONG_KEY}, "    "),
    ]
    return "\n".join(lines) + "\n"


def _example(data: dict[str, Any]) -> list[str]:
    first, *rest = _data(data, "    ")
    return [f"  - {first.strip()}", *rest]


def _data(data: dict[str, Any], indent: str) -> list[str]:
    return [f"{indent}data:", *(f"{indent}  {name}: {flow(value)}" for name, value in data.items())]


def grant_lines(
    department: str, purpose: str, legal_basis: str, until: str, fields: Sequence[str], why: str
) -> list[str]:
    """Write one grant as an item of `roles`."""
    return [
        f"  - role: {department}",
        "    access: read",
        f"    description: {quoted(why)}",
        "    customProperties:",
        f"      - {{property: legalBasis, value: {quoted(legal_basis)}}}",
        f"      - {{property: purpose, value: {purpose}}}",
        f"      - {{property: fields, value: [{', '.join(fields)}]}}",
        f"      - {{property: until, value: {quoted(until)}}}",
    ]


def quoted(text: str) -> str:
    """Write a text in double quotes: JSON is YAML."""
    return orjson.dumps(text).decode()


def flow(value: Any) -> str:
    """Write a value on one line of YAML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(inner)}" for key, inner in value.items()) + "}"
    return orjson.dumps(value).decode()
