"""AsyncAPI 3.0 from the contracts: what a department sends and receives, or everybody in the city."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import orjson

from lienthong import names
from lienthong.catalogue.catalogue import Brokers, Catalogue, bilingual, end_of_life, title_in_english
from lienthong.catalogue.data_schema import data_schema, pruned
from lienthong.catalogue.envelope import example_headers, headers
from lienthong.catalogue.side_topics import dead_letter_record, refusal_record
from lienthong.cluster.state import TopicShape
from lienthong.contracts import Contract, Grant
from lienthong.event import JSON

VERSION: Final = "3.0.0"
BINDING: Final = {"bindingVersion": "0.5.0"}
CITY: Final = "Thành phố Hà Nội"
CITY_EN: Final = "City of Hanoi"
_ABOUT: Final = (
    "Sự kiện trên trục dữ liệu Liên Thông: chủ đề, lược đồ, ai gửi, ai được đọc theo căn cứ nào, đến khi "
    "nào. Lập từ các hợp đồng dữ liệu; không sửa tay.\n\n"
    "Events on the data bus Liên Thông: topics, schemas, who sends, who may read on which legal basis and "
    "until when. Made from the data contracts, never edited."
)
_LOGIN: Final = (
    "Mỗi cơ quan một tài khoản SCRAM-SHA-512 trùng tên. (Each department has one SCRAM user of its name.)"
)
_TLS: Final = " qua TLS. (Over TLS.)"
_HERE: Final = ", chỉ trong máy này. (On this machine only.)"


def asyncapi(catalogue: Catalogue, department: str | None = None) -> dict[str, Any]:
    """Describe what a department sends and receives; without one, what the whole city does.

    Raises:
        ContractsNotSound: there is no such department.
    """
    parts = _Parts(catalogue, department)
    document: dict[str, Any] = {
        "asyncapi": VERSION,
        "id": ":".join(["urn", names.NAMESPACE, "asyncapi", *([department] if department else [])]),
        "info": _info(catalogue, department),
        "defaultContentType": JSON,
        "servers": dict(_servers(catalogue.brokers)),
        "channels": dict(sorted(parts.channels.items())),
        "operations": dict(sorted(parts.operations.items())),
        "components": {
            "messages": dict(sorted(parts.records.items())),
            "securitySchemes": {"scram": {"type": "scramSha512", "description": _LOGIN}},
        },
    }
    # The same contracts give the same version, and no other gives it.
    document["info"]["version"] = hashlib.sha256(
        orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    ).hexdigest()[:12]
    return document


def _info(catalogue: Catalogue, department: str | None) -> dict[str, Any]:
    if department is None:
        title, tags = f"{CITY}: trục dữ liệu ({CITY_EN}: data bus)", list(catalogue.contracts.departments)
        contact: dict[str, Any] = {}
    else:
        card = catalogue.card(department)
        title, tags = f"{card.name}: trục dữ liệu ({card.name_en}: data bus)", [department]
        contact = {"contact": {"name": card.name, "email": card.contact}}
    return {
        "title": title,
        "version": "",
        "description": _ABOUT,
        **contact,
        "tags": [{"name": one, "description": _named(catalogue, one)} for one in tags],
    }


def _servers(brokers: Brokers) -> Iterator[tuple[str, Any]]:
    for number, server in enumerate(brokers.servers, 1):
        yield (
            "bus" if len(brokers.servers) == 1 else f"bus-{number}",
            {
                "host": server,
                "protocol": "kafka-secure" if brokers.encrypted else "kafka",
                "title": "Trục dữ liệu Liên Thông (the data bus)",
                "description": "Apache Kafka; SASL/SCRAM-SHA-512" + (_TLS if brokers.encrypted else _HERE),
                "security": [{"$ref": "#/components/securitySchemes/scram"}],
                "bindings": {"kafka": dict(BINDING)},
            },
        )


class _Parts:
    """Gathers channels, operations and what their records are: of one department, or of all."""

    def __init__(self, catalogue: Catalogue, department: str | None) -> None:
        self._catalogue = catalogue
        self.channels: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}
        self.records: dict[str, Any] = {}
        everybody = list(catalogue.contracts.departments)
        if department is not None:
            catalogue.card(department)
        # First what is published: who reads its own topic meets the whole shape of it.
        for one in [department] if department else everybody:
            for contract in catalogue.published_by(one):
                self._add_sent(contract)
            self._add_refusals(one)
        for one in [department] if department else everybody:
            granted = catalogue.granted_to(one)
            for contract, grant in granted:
                if str(contract.topic) not in self.channels:
                    fields = {name for c, g in granted if c is contract for name in g.fields}
                    self._add_channel(contract, fields)
                self._add_received(contract, grant)
            for group in sorted({grant.group for _, grant in granted}):
                self._add_dead_letters(one, group)

    def _add_sent(self, contract: Contract) -> None:
        topic, who = str(contract.topic), _named(self._catalogue, contract.topic.department)
        self._add_channel(contract, None)
        self.operations[f"{topic}.send"] = {
            "action": "send",
            "channel": _ref("channels", topic),
            "title": f"{who} công bố: {bilingual(contract.title)[0]}",
            "summary": f"{title_in_english(contract)}, published by {contract.topic.department}",
            "tags": [{"name": contract.topic.department}],
            "messages": self._records_of(topic),
        }

    def _add_received(self, contract: Contract, grant: Grant) -> None:
        topic = str(contract.topic)
        self.operations[f"{grant.group}.receive.{topic}"] = {
            "action": "receive",
            "channel": _ref("channels", topic),
            "title": f"{_named(self._catalogue, grant.department)} đọc: {bilingual(contract.title)[0]}",
            "summary": f"{title_in_english(contract)}, read by {grant.department} for {grant.purpose}",
            "description": f"Căn cứ: {grant.legal_basis}. Đến hết ngày {grant.until:%d/%m/%Y}.",
            "tags": [{"name": grant.department}, {"name": grant.purpose}],
            "bindings": {"kafka": {"groupId": {"type": "string", "const": grant.group}, **BINDING}},
            "messages": self._records_of(topic),
            "x-grant": _grant(grant),
        }

    def _add_channel(self, contract: Contract, granted: set[str] | None) -> None:
        topic = str(contract.topic)
        found = {contract.topic.event: topic}
        self.records[topic] = self._record(contract, granted)
        if contract.is_state:
            found["tombstone"] = f"{topic}.tombstone"
            self.records[found["tombstone"]] = _tombstone(contract, self.records[topic])
        self.channels[topic] = {
            "address": topic,
            "title": contract.title,
            "summary": title_in_english(contract),
            "description": contract.purpose,
            "messages": {name: _ref("components", "messages", of) for name, of in found.items()},
            "tags": _tags(contract),
            "bindings": {"kafka": _topic(topic, self._catalogue.topics[topic])},
            **self._promises(contract),
        }

    def _record(self, contract: Contract, granted: set[str] | None) -> dict[str, Any]:
        frozen = self._catalogue.newest(contract)
        topic, uri = contract.topic, frozen.schema["$id"]
        shape = data_schema(contract, frozen, granted)
        key = shape["properties"][contract.key[0]] if len(contract.key) == 1 else {"type": "string"}
        return {
            "name": topic.type,
            "title": contract.title,
            "summary": title_in_english(contract),
            "description": "\n\n".join(_uses(contract)),
            "contentType": JSON,
            "headers": headers(topic.department, topic.event, topic.major),
            "payload": shape,
            "correlationId": {"location": "$message.header#/ce_correlationid"},
            "tags": _tags(contract),
            "bindings": {"kafka": {"key": key | {"x-key": list(contract.key)}, **BINDING}},
            "examples": [
                {
                    "name": f"{topic.event}-{number}",
                    "headers": example_headers(
                        contract, self._catalogue.gate.key_of(str(topic), dict(data)), uri
                    ),
                    "payload": pruned(data, granted),
                }
                for number, data in enumerate(contract.valid_examples, 1)
            ],
            "x-dataschema": uri,
            "x-versions": [one.version for one in self._catalogue.frozen[str(topic)]],
        }

    def _promises(self, contract: Contract) -> dict[str, Any]:
        told = {
            "x-status": contract.status,
            "x-kind": "state" if contract.is_state else "event",
            "x-classification": contract.classification,
            "x-owner": {
                "department": contract.topic.department,
                "name": contract.owner,
                "contact": contract.contact,
            },
            "x-promises": {
                "latencySeconds": contract.latency_seconds,
                "frequencySeconds": contract.frequency_seconds,
                "retentionSeconds": None if contract.is_state else contract.retention_seconds,
            },
            "x-grants": [_grant(grant) for grant in self._catalogue.grants(contract)],
        }
        ends = end_of_life(contract)
        return told | ({"x-end-of-life": ends} if ends else {})

    def _add_refusals(self, department: str) -> None:
        topic = names.refusals_topic(department)
        name = _named(self._catalogue, department)
        self.records[topic] = refusal_record(department)
        self._add_side(department, topic, "refusal", f"{name}: sự kiện bị từ chối (refused events)")

    def _add_dead_letters(self, department: str, group: str) -> None:
        topic = names.dead_letter_topic(group)
        self.records[topic] = dead_letter_record(group)
        self._add_side(department, topic, "dead-letter", f"{group}: bản ghi để riêng (records set aside)")

    def _add_side(self, department: str, topic: str, record: str, title: str) -> None:
        self.channels[topic] = {
            "address": topic,
            "title": title,
            "messages": {record: _ref("components", "messages", topic)},
            "tags": [{"name": department}, {"name": record}],
            "bindings": {"kafka": _topic(topic, self._catalogue.topics[topic])},
            "x-kind": record,
        }
        self.operations[f"{topic}.send"] = {
            "action": "send",
            "channel": _ref("channels", topic),
            "title": title,
            "tags": [{"name": department}],
            "messages": self._records_of(topic),
        }

    def _records_of(self, topic: str) -> list[dict[str, str]]:
        return [_ref("channels", topic, "messages", name) for name in self.channels[topic]["messages"]]


def _tombstone(contract: Contract, record: dict[str, Any]) -> dict[str, Any]:
    topic = contract.topic
    return {
        "name": topic.type,
        "title": f"{contract.title}: đã rút (retracted)",
        "description": "Khóa không còn; bản ghi không có dữ liệu. (The key is gone; the record has no data.)",
        "headers": headers(topic.department, topic.event, topic.major, tombstone=True),
        "payload": {"type": "null"},
        "bindings": record["bindings"],
        "tags": record["tags"],
    }


def _uses(contract: Contract) -> Iterator[str]:
    told = contract.raw.get("description", {})
    yield from (told[name] for name in ("purpose", "usage", "limitations") if name in told)


def _topic(topic: str, shape: TopicShape) -> dict[str, Any]:
    settings: dict[str, Any] = {name: _typed(value) for name, value in sorted(shape.settings.items())}
    settings["cleanup.policy"] = str(settings["cleanup.policy"]).split(",")
    return {
        "topic": topic,
        "partitions": shape.partitions,
        "replicas": shape.replication,
        "topicConfiguration": settings,
        **BINDING,
    }


def _typed(value: str) -> Any:
    """Give a setting as JSON means it: Kafka writes all of them as text."""
    if value in {"true", "false"}:
        return value == "true"
    return int(value) if value.lstrip("-").isdigit() else value


def _grant(grant: Grant) -> dict[str, Any]:
    return {
        "department": grant.department,
        "group": grant.group,
        "purpose": grant.purpose,
        "procedure": grant.procedure,
        "legalBasis": grant.legal_basis,
        "fields": list(grant.fields),
        "until": grant.until.isoformat(),
    }


def _tags(contract: Contract) -> list[dict[str, str]]:
    kind = "state" if contract.is_state else "event"
    own = contract.raw.get("tags", ())
    told = dict.fromkeys((contract.topic.department, kind, contract.classification, contract.status, *own))
    return [{"name": tag} for tag in told]


def _named(catalogue: Catalogue, department: str) -> str:
    card = catalogue.contracts.departments.get(department)
    return card.name if card else department


def _ref(*steps: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)}
