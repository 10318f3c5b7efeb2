"""DCAT-AP 3 from the contracts, as JSON-LD: what data portals and search engines read."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from lienthong import names
from lienthong.catalogue import vocabulary
from lienthong.catalogue.catalogue import Catalogue, bilingual, end_of_life, laws, title_in_english
from lienthong.catalogue.vocabulary import both
from lienthong.contracts import Contract

Node = dict[str, Any]

CONTEXT: Final = {
    "adms": "http://www.w3.org/ns/adms#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcatap": "http://data.europa.eu/r5r/",
    "dct": "http://purl.org/dc/terms/",
    "eli": "http://data.europa.eu/eli/ontology#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
"""Written into the document: nothing is fetched to understand it."""

CITY: Final = ("Thành phố Hà Nội", "City of Hanoi")
_BUS: Final = ("Trục dữ liệu Liên Thông", "Data bus Liên Thông")
_CLOSED: Final = (
    "Chỉ cơ quan được hợp đồng dữ liệu cấp quyền mới đọc được trên trục, đúng mục đích, đúng thời hạn.",
    "Read on the bus only by departments that the data contract grants it to, for a purpose and a time.",
)
_ORDERLY: Final = {"event": ("sự kiện", "event"), "state": ("danh mục", "state")}


def dcat(catalogue: Catalogue, department: str | None = None) -> Node:
    """Describe the datasets of a department, or of the whole city.

    Raises:
        ContractsNotSound: there is no such department.
    """
    told = catalogue.contracts.departments if department is None else {department: catalogue.card(department)}
    contracts = [one for name in told for one in catalogue.published_by(name)]
    whose = CITY if department is None else (told[department].name, told[department].name_en)
    nodes = [
        {
            "@id": _urn("catalogue", *([department] if department else [])),
            "@type": "dcat:Catalog",
            "dct:title": both(f"{whose[0]}: dữ liệu trên trục", f"{whose[1]}: data on the bus"),
            "dct:description": both(
                "Mọi tập dữ liệu được chia sẻ thành sự kiện, lập từ các hợp đồng dữ liệu.",
                "Every dataset that is shared as events; made from the data contracts.",
            ),
            "dct:publisher": {"@id": _agent(department)},
            "dct:language": [{"@id": one.address} for one in vocabulary.LANGUAGES.values()],
            "dct:modified": _date(catalogue.on.isoformat()),
            "dct:spatial": {"@id": vocabulary.HANOI},
            "dcat:themeTaxonomy": {"@id": vocabulary.THEME_SCHEME},
            "dct:rights": {"@id": _urn("rights")},
            "dcat:service": {"@id": _urn("bus")},
            "dcat:dataset": [{"@id": _dataset(one)} for one in contracts],
        },
        _service(catalogue, contracts, department),
        *(_agents(catalogue, department)),
        *(node for one in contracts for node in _nodes(catalogue, one)),
        *_vocabulary(catalogue, contracts),
    ]
    return {"@context": CONTEXT, "@graph": nodes}


def _nodes(catalogue: Catalogue, contract: Contract) -> Iterator[Node]:
    yield _described(catalogue, contract)
    yield _distribution(catalogue, contract)
    yield from (_standard(contract, one.version) for one in catalogue.frozen[str(contract.topic)])
    if grants := catalogue.grants(contract):
        yield {
            "@id": _urn("grants", str(contract.topic)),
            "@type": ["odrl:Policy", "odrl:Set"],
            "odrl:permission": [
                {
                    "@type": "odrl:Permission",
                    "odrl:target": {"@id": _dataset(contract)},
                    "odrl:action": {"@id": "odrl:read"},
                    "odrl:assigner": {"@id": _agent(contract.topic.department)},
                    "odrl:assignee": {"@id": _agent(grant.department)},
                    "odrl:constraint": [
                        _constraint("odrl:purpose", "odrl:eq", grant.purpose),
                        _constraint("odrl:dateTime", "odrl:lteq", _date(grant.until.isoformat())),
                    ],
                }
                for grant in grants
            ],
        }


def _described(catalogue: Catalogue, contract: Contract) -> Node:
    card = catalogue.card(contract.topic.department)
    newest = catalogue.newest(contract).version
    purpose, purpose_en = bilingual(contract.purpose)
    granted = [grant.legal_basis for grant in contract.grants]
    procedure = [one.legal_basis for one in (contract.opens, contract.step) if one is not None]
    node: Node = {
        "@id": _dataset(contract),
        "@type": "dcat:Dataset",
        "dct:title": both(bilingual(contract.title)[0], title_in_english(contract)),
        "dct:description": both(purpose, purpose_en),
        "dct:identifier": str(contract.topic),
        "dct:publisher": {"@id": _agent(card.department)},
        "dct:language": {"@id": vocabulary.LANGUAGES["VIE"].address},
        "dct:spatial": {"@id": vocabulary.HANOI},
        "dct:accessRights": {"@id": vocabulary.ACCESS_OF[contract.classification].address},
        "dct:accrualPeriodicity": {"@id": vocabulary.frequency(contract.frequency_seconds).address},
        "dct:conformsTo": {"@id": _version(contract, newest)},
        "dcat:version": newest,
        "dcat:theme": {"@id": vocabulary.THEMES[card.theme].address},
        "dcat:keyword": list(_keywords(contract)),
        "dcat:contactPoint": {
            "@type": ["vcard:Kind", "vcard:Organization"],
            "vcard:fn": {"@language": "vi", "@value": contract.owner},
            "vcard:hasEmail": {"@id": f"mailto:{contract.contact}"},
        },
        "dcatap:applicableLegislation": [_law(one) for one in laws([*procedure, *granted])],
        "dcat:distribution": {"@id": _urn("distribution", str(contract.topic))},
    }
    if period := _period(catalogue, contract):
        node["dct:temporal"] = {"@type": "dct:PeriodOfTime"} | period
    before = names.Topic(contract.topic.department, contract.topic.event, contract.topic.major - 1)
    if any(one.topic == before for one in catalogue.in_force()):
        node["dcat:previousVersion"] = {"@id": _urn("dataset", str(before))}
    return node


def _period(catalogue: Catalogue, contract: Contract) -> Node:
    """Say from when the topic holds events on the catalogue's day, and when the dataset ends, if it does."""
    period: Node = {}
    if not contract.is_state:
        oldest = catalogue.on - timedelta(seconds=contract.retention_seconds)
        period["dcat:startDate"] = _date(oldest.isoformat())
    if ends := end_of_life(contract):
        period["dcat:endDate"] = _date(ends)
    return period


def _distribution(catalogue: Catalogue, contract: Contract) -> Node:
    deprecated = contract.status == "deprecated"
    node: Node = {
        "@id": _urn("distribution", str(contract.topic)),
        "@type": "dcat:Distribution",
        "dct:title": both("Chủ đề trên trục", "Topic on the bus"),
        "dct:description": both(
            f"Sự kiện CloudEvents 1.0 trên chủ đề Kafka {contract.topic}; dữ liệu JSON.",
            f"CloudEvents 1.0 on the Kafka topic {contract.topic}; the data is JSON.",
        ),
        "dcat:accessURL": [_resource(f"{address}/{contract.topic}") for address in _addresses(catalogue)],
        "dcat:accessService": {"@id": _urn("bus")},
        "dct:format": {"@id": vocabulary.JSON.address},
        "dcat:mediaType": {"@id": vocabulary.MEDIA_TYPE_JSON},
        "dct:conformsTo": [
            {"@id": _version(contract, one.version)} for one in catalogue.frozen[str(contract.topic)]
        ],
        "dct:rights": {"@id": _urn("rights")},
        "adms:status": {"@id": vocabulary.STATUSES["DEPRECATED" if deprecated else "COMPLETED"].address},
        "dcatap:availability": {
            "@id": vocabulary.AVAILABILITY["TEMPORARY" if deprecated else "STABLE"].address
        },
    }
    if catalogue.grants(contract):
        node["odrl:hasPolicy"] = {"@id": _urn("grants", str(contract.topic))}
    return node


def _standard(contract: Contract, version: str) -> Node:
    topic = contract.topic
    return {
        "@id": _version(contract, version),
        "@type": "dct:Standard",
        "dct:title": both(
            f"Lược đồ {topic.event} {version}", f"JSON Schema of {topic.event}, version {version}"
        ),
        "dct:identifier": f"{topic.department}/{topic.event}/{version}.json",
    }


def _service(catalogue: Catalogue, contracts: list[Contract], department: str | None) -> Node:
    themes = sorted({catalogue.card(one.topic.department).theme for one in contracts})
    return {
        "@id": _urn("bus"),
        "@type": "dcat:DataService",
        "dct:title": both(*_BUS),
        "dct:description": both(
            "Apache Kafka; đăng nhập SASL/SCRAM-SHA-512, mỗi cơ quan một tài khoản.",
            "Apache Kafka; SASL/SCRAM-SHA-512, one user a department.",
        ),
        "dct:publisher": {"@id": _agent(None)},
        "dct:accessRights": {"@id": vocabulary.ACCESS["RESTRICTED"].address},
        "dcat:endpointURL": [_resource(address) for address in _addresses(catalogue)],
        "dcat:endpointDescription": _resource(_urn("asyncapi", *([department] if department else []))),
        "dcat:servesDataset": [{"@id": _dataset(one)} for one in contracts],
        "dct:format": {"@id": vocabulary.JSON.address},
        "dct:conformsTo": [{"@id": address} for address in vocabulary.STANDARDS],
        "dcat:theme": [{"@id": vocabulary.THEMES[theme].address} for theme in themes],
        "dcat:keyword": [{"@language": "en", "@value": word} for word in ("Apache Kafka", "CloudEvents")],
    }


def _agents(catalogue: Catalogue, department: str | None) -> Iterator[Node]:
    """Name everybody the catalogue speaks of: the city, and every department that publishes or reads."""
    yield _agent_node(None, CITY)
    for name, card in catalogue.contracts.departments.items():
        yield _agent_node(name, (card.name, card.name_en)) | (
            {"vcard:hasEmail": {"@id": f"mailto:{card.contact}"}} if name == department else {}
        )


def _agent_node(department: str | None, called: tuple[str, str]) -> Node:
    return {
        "@id": _agent(department),
        "@type": ["foaf:Agent", "foaf:Organization"],
        "foaf:name": both(*called),
        "dct:type": {"@id": vocabulary.LOCAL_AUTHORITY.address},
    }


def _vocabulary(catalogue: Catalogue, contracts: list[Contract]) -> Iterator[Node]:
    """Tell every concept that is used, and the few other things a portal asks the kind of."""
    used = {
        vocabulary.JSON,
        vocabulary.LOCAL_AUTHORITY,
        vocabulary.ACCESS["RESTRICTED"],
        *vocabulary.LANGUAGES.values(),
        *vocabulary.STATUSES.values(),
        *vocabulary.AVAILABILITY.values(),
        *(vocabulary.ACCESS_OF[one.classification] for one in contracts),
        *(vocabulary.frequency(one.frequency_seconds) for one in contracts),
        *(vocabulary.THEMES[catalogue.card(one.topic.department).theme] for one in contracts),
    }
    yield from (one.node() for one in sorted(used, key=lambda one: one.address))
    for address, called in vocabulary.SCHEMES.items():
        yield {"@id": address, "@type": "skos:ConceptScheme", "dct:title": both(*called)}
    yield {"@id": vocabulary.HANOI, "@type": "dct:Location", "skos:prefLabel": both(*CITY)}
    yield {"@id": vocabulary.MEDIA_TYPE_JSON, "@type": "dct:MediaType"}
    for address, title in vocabulary.STANDARDS.items():
        yield {"@id": address, "@type": "dct:Standard", "dct:title": title}
    yield {"@id": _urn("rights"), "@type": "dct:RightsStatement", "dct:description": both(*_CLOSED)}


def _keywords(contract: Contract) -> Iterator[dict[str, str]]:
    kind = _ORDERLY["state" if contract.is_state else "event"]
    yield from both(*kind)
    yield {"@language": "en", "@value": contract.topic.event.replace("-", " ")}
    procedures = [grant.procedure for grant in contract.grants if grant.procedure]
    for word in dict.fromkeys([*procedures, *contract.raw.get("tags", ())]):
        yield {"@language": "vi", "@value": word}


def _law(citation: str) -> Node:
    return {
        "@id": _urn("law", quote(citation, safe="")),
        "@type": "eli:LegalResource",
        "dct:title": {"@language": "vi", "@value": citation},
    }


def _constraint(left: str, operator: str, right: Any) -> Node:
    return {
        "@type": "odrl:Constraint",
        "odrl:leftOperand": {"@id": left},
        "odrl:operator": {"@id": operator},
        "odrl:rightOperand": right,
    }


def _addresses(catalogue: Catalogue) -> list[str]:
    return [f"kafka://{server}" for server in catalogue.brokers.servers]


def _resource(address: str) -> Node:
    return {"@id": address, "@type": "rdfs:Resource"}  # the profile's shapes ask for it in so many words


def _date(day: str) -> dict[str, str]:
    return {"@type": "xsd:date", "@value": day}


def _dataset(contract: Contract) -> str:
    return _urn("dataset", str(contract.topic))


def _version(contract: Contract, version: str) -> str:
    return names.schema_uri(contract.topic.department, contract.topic.event, version)


def _agent(department: str | None) -> str:
    return _urn("agency", department) if department else f"urn:{names.NAMESPACE}"


def _urn(*parts: str) -> str:
    return ":".join(("urn", names.NAMESPACE, *parts))
