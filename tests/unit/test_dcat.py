"""The DCAT-AP catalogue: sound by shapes written from the profile, and true to the contracts."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pyshacl
import pytest
from rdflib import DCAT, DCTERMS, FOAF, ODRL2, RDF, SH, SKOS, Graph, Literal, Namespace, URIRef

from lienthong.catalogue import Brokers, Catalogue, dcat, read_catalogue
from lienthong.catalogue.vocabulary import FREQUENCIES, SCHEMES, THEMES, frequency
from lienthong.contracts import forms
from lienthong.contracts.release import release
from tests.unit.contract_city import MARKET, City

# rdflib 7.6 reads JSON-LD into a class that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")

ROOT = Path(__file__).parents[2]
DAY = date(2026, 11, 23)
BROKERS = Brokers(("a.example:9093", "b.example:9093"), 3, encrypted=True)
DCATAP = Namespace("http://data.europa.eu/r5r/")
AUTHORITY = Namespace("http://publications.europa.eu/resource/authority/")
BIRTHS = URIRef("urn:vn.gov.hanoi:dataset:health.birth-notified.v1")
VERSION = URIRef("http://www.w3.org/ns/dcat#version")
DISTRIBUTION = URIRef("urn:vn.gov.hanoi:distribution:health.birth-notified.v1")
BUS = URIRef("urn:vn.gov.hanoi:bus")
CITY = URIRef("urn:vn.gov.hanoi:catalogue")
HEALTH = URIRef("urn:vn.gov.hanoi:agency:health")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return read_catalogue(ROOT, BROKERS, DAY)


def read(document: dict[str, Any]) -> Graph:
    return Graph().parse(data=orjson.dumps(document), format="json-ld")


@pytest.fixture(scope="module")
def graph(catalogue: Catalogue) -> Graph:
    return read(dcat(catalogue))


@pytest.fixture(scope="module")
def shapes() -> Graph:
    return Graph().parse(Path(__file__).with_name("dcat_ap.ttl"))


def complaints(graph: Graph, shapes: Graph) -> list[tuple[str, str, str]]:
    """What the shapes say: about what, on which property, why."""
    _, report, _ = pyshacl.validate(graph, shacl_graph=shapes)
    assert isinstance(report, Graph)
    return sorted(
        (
            str(report.value(one, SH.focusNode)),
            str(report.value(one, SH.resultPath)),
            str(report.value(one, SH.resultMessage)),
        )
        for one in report.subjects(RDF.type, SH.ValidationResult)
    )


def test_the_shapes_are_sound_themselves(graph, shapes):
    sound, _, text = pyshacl.validate(Graph(), shacl_graph=shapes, meta_shacl=True)
    assert sound, text
    targets = {target for _, target in shapes.subject_objects(SH.targetClass)}
    assert [target for target in targets if not list(graph.subjects(RDF.type, target))] == []


def test_the_citys_catalogue_keeps_the_profile(graph, shapes):
    assert complaints(graph, shapes) == []


def test_every_departments_catalogue_keeps_the_profile(catalogue, shapes):
    publishing = [name for name in catalogue.contracts.departments if catalogue.published_by(name)]

    assert len(publishing) >= 7
    for name in publishing:
        assert complaints(read(dcat(catalogue, name)), shapes) == [], name


SPOILED: dict[str, tuple[URIRef, Callable[[Graph], object]]] = {
    "catalogue-without-publisher": (CITY, lambda g: g.remove((CITY, DCTERMS.publisher, None))),
    "catalogue-without-description": (CITY, lambda g: g.remove((CITY, DCTERMS.description, None))),
    "catalogue-with-two-publishers": (CITY, lambda g: g.add((CITY, DCTERMS.publisher, HEALTH))),
    "catalogue-with-a-text-as-theme-list": (
        CITY,
        lambda g: g.set((CITY, DCAT.themeTaxonomy, Literal("themes"))),
    ),
    "dataset-without-title": (BIRTHS, lambda g: g.remove((BIRTHS, DCTERMS.title, None))),
    "dataset-without-vietnamese": (
        BIRTHS,
        lambda g: g.set((BIRTHS, DCTERMS.description, Literal("A birth", lang="en"))),
    ),
    "dataset-with-a-theme-of-its-own": (
        BIRTHS,
        lambda g: g.set((BIRTHS, DCAT.theme, URIRef("urn:theme:births"))),
    ),
    "dataset-with-two-access-rights": (
        BIRTHS,
        lambda g: g.add((BIRTHS, DCTERMS.accessRights, AUTHORITY["access-right/RESTRICTED"])),
    ),
    "dataset-with-a-person-as-publisher": (
        BIRTHS,
        lambda g: g.set((BIRTHS, DCTERMS.publisher, Literal("Sở Y tế"))),
    ),
    "dataset-that-is-in-no-catalogue": (BIRTHS, lambda g: g.remove((None, DCAT.dataset, BIRTHS))),
    "distribution-without-access": (DISTRIBUTION, lambda g: g.remove((DISTRIBUTION, DCAT.accessURL, None))),
    "distribution-of-an-unknown-format": (
        DISTRIBUTION,
        lambda g: g.set((DISTRIBUTION, DCTERMS.format, Literal("JSON"))),
    ),
    "service-without-endpoint": (BUS, lambda g: g.remove((BUS, DCAT.endpointURL, None))),
    "service-without-title": (BUS, lambda g: g.remove((BUS, DCTERMS.title, None))),
    "agent-without-name": (HEALTH, lambda g: g.remove((HEALTH, FOAF.name, None))),
    "day-that-is-a-word": (CITY, lambda g: g.set((CITY, DCTERMS.modified, Literal("today")))),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_catalogue_that_breaks_the_profile_is_complained_of_where_it_does(name, graph, shapes):
    about, spoil = SPOILED[name]
    spoiled = Graph() + graph
    spoil(spoiled)

    assert str(about) in {focus for focus, _, _ in complaints(spoiled, shapes)}


def test_every_contract_in_force_is_a_dataset_of_its_department(catalogue, graph):
    told = {str(graph.value(one, DCTERMS.identifier)): one for one in graph.subjects(RDF.type, DCAT.Dataset)}

    assert sorted(told) == sorted(str(contract.topic) for contract in catalogue.in_force())
    for topic, dataset in told.items():
        publisher = graph.value(dataset, DCTERMS.publisher)
        assert str(publisher) == f"urn:vn.gov.hanoi:agency:{topic.partition('.')[0]}"


def test_a_dataset_says_what_its_contract_says(graph):
    titles = {(str(t), t.language) for t in graph.objects(BIRTHS, DCTERMS.title)}
    laws = {
        str(graph.value(law, DCTERMS.title)) for law in graph.objects(BIRTHS, DCATAP.applicableLegislation)
    }
    contact = graph.value(BIRTHS, DCAT.contactPoint)

    assert titles == {("Giấy chứng sinh", "vi"), ("Birth notified", "en")}
    assert {d.language for d in graph.objects(BIRTHS, DCTERMS.description)} == {"vi", "en"}
    assert graph.value(BIRTHS, DCAT.theme) == AUTHORITY["data-theme/HEAL"]
    assert graph.value(BIRTHS, DCTERMS.accessRights) == AUTHORITY["access-right/NON_PUBLIC"]
    assert graph.value(BIRTHS, DCTERMS.accrualPeriodicity) == AUTHORITY["frequency/HOURLY"]
    assert str(graph.value(BIRTHS, VERSION)) == "1.0.0"
    assert str(graph.value(BIRTHS, DCTERMS.conformsTo)) == "urn:vn.gov.hanoi:health:birth-notified:1.0.0"
    assert "Luật Hộ tịch 60/2014/QH13, Điều 16" in laws
    assert "mailto:du-lieu@health.example" in {str(o) for o in graph.objects(contact)}


def test_access_follows_the_highest_classification(catalogue, graph):
    rights = {
        "public": "PUBLIC",
        "internal": "RESTRICTED",
        "personal": "NON_PUBLIC",
        "sensitive": "NON_PUBLIC",
    }

    wrong = [
        str(contract.topic)
        for contract in catalogue.in_force()
        if graph.value(URIRef(f"urn:vn.gov.hanoi:dataset:{contract.topic}"), DCTERMS.accessRights)
        != AUTHORITY[f"access-right/{rights[contract.classification]}"]
    ]
    assert wrong == []


def test_a_distribution_says_where_the_topic_is_on_every_broker(graph):
    assert {str(one) for one in graph.objects(DISTRIBUTION, DCAT.accessURL)} == {
        "kafka://a.example:9093/health.birth-notified.v1",
        "kafka://b.example:9093/health.birth-notified.v1",
    }


def test_every_grant_is_a_permission_with_its_purpose_and_its_end(catalogue, graph):
    granted = {
        (str(contract.topic), grant.department, grant.purpose, grant.until.isoformat())
        for contract in catalogue.in_force()
        for grant in contract.grants
    }

    told = set()
    for one in graph.subjects(RDF.type, ODRL2.Permission):
        limits = {
            graph.value(limit, ODRL2.leftOperand): str(graph.value(limit, ODRL2.rightOperand))
            for limit in graph.objects(one, ODRL2.constraint)
        }
        target, assignee = graph.value(one, ODRL2.target), graph.value(one, ODRL2.assignee)
        told.add(
            (
                str(target).rpartition(":")[2],
                str(assignee).rpartition(":")[2],
                limits[ODRL2.purpose],
                limits[ODRL2.dateTime],
            )
        )
    assert told == granted


def test_a_deprecated_dataset_says_when_it_ends(tmp_path):
    small = City.found(tmp_path)
    release(small.root, write=True)
    small.spoil(MARKET, "status: active", "status: deprecated")
    small.spoil(
        MARKET, "slaProperties:\n", 'slaProperties:\n  - {property: endOfLife, value: "2027-06-30"}\n'
    )

    graph = read(dcat(read_catalogue(small.root, BROKERS, DAY)))

    market = URIRef("urn:vn.gov.hanoi:dataset:trade.market.v1")
    period = graph.value(market, DCTERMS.temporal)
    assert str(graph.value(period, DCAT.endDate)) == "2027-06-30"
    topic = graph.value(market, DCAT.distribution)
    assert graph.value(topic, DCATAP.availability) == AUTHORITY["planned-availability/TEMPORARY"]


def test_every_concept_has_its_labels_in_both_languages_and_a_known_scheme(graph):
    for concept in graph.subjects(RDF.type, SKOS.Concept):
        assert {label.language for label in graph.objects(concept, SKOS.prefLabel)} == {"vi", "en"}, concept
        assert str(graph.value(concept, SKOS.inScheme)) in SCHEMES, concept


def test_a_department_may_choose_any_theme_that_the_catalogue_can_name():
    assert set(forms.THEMES) == set(THEMES)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (5, "UPDATE_CONT"),
        (3_600, "HOURLY"),
        (86_399, "HOURLY"),
        (86_400, "DAILY"),
        (7 * 86_400, "WEEKLY"),
        (30 * 86_400, "MONTHLY"),
        (92 * 86_400, "QUARTERLY"),
        (365 * 86_400, "ANNUAL"),
        (3 * 365 * 86_400, "OTHER"),
    ],
)
def test_a_promised_frequency_has_a_word(seconds, code):
    assert frequency(seconds) == FREQUENCIES[code]


def test_nothing_is_fetched_to_understand_the_catalogue(catalogue):
    document = dcat(catalogue)

    assert all(isinstance(prefix, str) for prefix in document["@context"].values())
    assert b"@import" not in orjson.dumps(document)


def test_a_theme_that_is_none_is_found_by_check(tmp_path):
    small = City.found(tmp_path)
    card = small.read("contracts/trade/department.yaml")
    small.write("contracts/trade/department.yaml", card + "theme: BIRD\n")

    assert [f for f in small.findings() if f.file.name == "department.yaml" and "theme" in str(f)]
