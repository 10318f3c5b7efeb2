"""Declare once, held against the dossiers of a whole city."""

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from lienthong.cluster.connection import admin_connection
from lienthong.commands import main
from tests.journeys.conftest import REPOSITORY, City
from tests.journeys.plain_client import read

DOSSIER, FOREIGN = "onestop.dossier-submitted.v1", "onestop.foreign-parent-declared.v1"
DEATH, LICENCE = "onestop.death-submitted.v1", "trade.retail-licence-granted.v1"
BIRTH_NOTICE, DEATH_NOTICE = "health.birth-notified.v1", "health.death-notified.v1"


@pytest.fixture(scope="module")
def log(city: City) -> dict[str, list[dict[str, Any]]]:
    """What is on the topics, read with a plain client."""
    settings = admin_connection(city.data).for_confluent()
    topics = (DOSSIER, FOREIGN, DEATH, LICENCE, BIRTH_NOTICE, DEATH_NOTICE)
    return {
        topic: [orjson.loads(record.value()) for record in records]
        for topic, records in read(settings, topics, "reading-room").items()
    }


def told(city: City, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Type `lienthong declare-once` beside the running city."""
    monkeypatch.setenv("LIENTHONG_ROOT", str(REPOSITORY))
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as ended:
        main(["declare-once", "--data", str(city.data), *words])
    captured = capsys.readouterr()
    assert not ended.value.code, captured.err
    return captured.out


def values(data: Any) -> set[Any]:
    """Every single value somewhere in data."""
    if isinstance(data, dict):
        return {one for inner in data.values() for one in values(inner)}
    if isinstance(data, list):
        return {one for inner in data for one in values(inner)}
    return {data}


def birth_lines(dossier: Mapping[str, Any], foreign: Mapping[str, Any] | None) -> tuple[int, int]:
    """Count by hand, for one family: lines on paper that the city answers for, and answers given now."""
    father = dossier.get("father")
    paper = 6 + 5 + 3 + (4 if father else 3 if foreign else 0)
    paper += 5 * ("residence-registration" in dossier["procedures"])
    paper += 8 * ("health-insurance-card" in dossier["procedures"])
    asked = len(dossier["child"]) + len(dossier["declarant"]) + len(father or ()) + 2
    asked += len(foreign["foreign_parent"]) + 1 if foreign else 0
    return paper, asked


def test_no_dossier_repeats_what_the_birth_or_death_notice_holds(log: dict[str, list[Any]]) -> None:
    """Promise: nothing that a granted dataset holds is asked again: not who, not when, in any dossier."""
    again: list[str] = []
    births = {notice["notification_id"]: notice for notice in log[BIRTH_NOTICE]}
    deaths = {notice["notice_id"]: notice for notice in log[DEATH_NOTICE]}
    compared = 0
    for dossier in (*log[DOSSIER], *log[FOREIGN], *log[DEATH]):
        if notice := births.get(dossier.get("notification_id")):
            held = {notice["mother"]["personal_number"], notice["born_at"]}
        elif notice := deaths.get(dossier.get("notice_id")):
            held = {notice["deceased"]["personal_number"], notice["died_at"]}
        else:
            continue  # its notice never came
        compared += 1
        again += [dossier["dossier_code"]] if values(dossier) & held else []
    assert compared > 200
    assert again == []


def test_the_sums_are_those_of_the_dossiers_on_the_bus(
    city: City,
    log: dict[str, list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Promise: the questions that citizens were spared are counted over real dossiers, and not too well."""
    report = json.loads(told(city, monkeypatch, capsys, "--json"))["procedures"]
    foreign = {one["dossier_code"]: one for one in log[FOREIGN]}
    dossiers = {one["dossier_code"]: one for one in log[DOSSIER]}
    assert foreign.keys() & dossiers.keys()
    counted = [birth_lines(one, foreign.get(code)) for code, one in dossiers.items()]
    deaths = {one["dossier_code"] for one in log[DEATH]}
    licences = {one["licence_number"] for one in log[LICENCE]}
    expected = {
        "birth": (len(dossiers), sum(paper for paper, _ in counted), sum(asked for _, asked in counted)),
        "death": (len(deaths), 21 * len(deaths), 4 * len(deaths)),
        "retail-licence": (len(licences), 3 * len(licences), 3 * len(licences)),
    }
    for form, (count, paper, asked) in expected.items():
        sums = report[form]["sums"]
        assert (sums["dossiers"], sums["paper"], sums["asked"]) == (count, paper, asked), form
        assert sums["spared"] == paper - asked, form
        assert sums["unreadable"] == 0
        assert report[form]["reasked"] == []
    assert report["birth"]["sums"]["spared"] > report["birth"]["sums"]["asked"]


def test_the_report_says_who_answered_instead(
    city: City, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Promise: whoever reads the report sees how many questions each department's data spared."""
    spoken = told(city, monkeypatch, capsys)
    assert "Sở Y tế: Giấy chứng sinh" in spoken
    assert "Nothing is asked that the bus holds." in spoken
    assert "bớt · spared" in spoken
    assert "questions on paper" in spoken
