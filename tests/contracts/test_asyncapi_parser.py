"""Every AsyncAPI document that we write, judged by the official parser; and spoiled ones."""

from collections.abc import Callable
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from lienthong.catalogue import Brokers, asyncapi, read_catalogue
from tests.contracts.asyncapi import judge

ROOT = Path(__file__).parents[2]
CATALOGUE = read_catalogue(
    ROOT, Brokers(("a.example:9093", "b.example:9093", "c.example:9093"), 3, True), date(2026, 11, 23)
)
DOCUMENTS = {one or "city": asyncapi(CATALOGUE, one) for one in (None, *CATALOGUE.contracts.departments)}
TOPIC = "health.birth-notified.v1"
WORSE_THAN_ADVICE = 1
"""Severities of the parser: 0 an error, 1 a warning, 2 advice, such as that there is a newer AsyncAPI."""

SPOILED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "an-operation-on-no-channel": lambda it: it["channels"].pop(TOPIC),
    "a-message-that-is-not-there": lambda it: it["components"]["messages"].pop(TOPIC),
    "a-document-without-a-title": lambda it: it["info"].pop("title"),
    "partitions-that-are-no-number": lambda it: it["channels"][TOPIC]["bindings"]["kafka"].update(
        partitions="six"
    ),
    "an-unknown-login": lambda it: it["components"]["securitySchemes"]["scram"].update(type="guess"),
    "a-policy-that-kafka-has-not": lambda it: it["channels"][TOPIC]["bindings"]["kafka"][
        "topicConfiguration"
    ].update({"cleanup.policy": ["forget"]}),
    "a-misspelt-key": lambda it: it["channels"][TOPIC].update(adress=TOPIC),
}


def spoiled(spoil: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    document = deepcopy(DOCUMENTS["health"])
    spoil(document)
    return document


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    documents = DOCUMENTS | {name: spoiled(spoil) for name, spoil in SPOILED.items()}
    written = {name: orjson.dumps(document) for name, document in documents.items()}
    return judge(written, tmp_path_factory.mktemp("asyncapi"))


def errors(said: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in said["diagnostics"] if one["severity"] <= WORSE_THAN_ADVICE]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_official_parser_understands_the_document_of_everybody(name, judged):
    assert errors(judged[name]) == []
    assert judged[name]["understood"]
    assert sorted(judged[name]["channels"]) == sorted(DOCUMENTS[name]["channels"])


@pytest.mark.parametrize("name", SPOILED)
def test_the_official_parser_says_no_to_a_spoiled_document(name, judged):
    assert errors(judged[name])
