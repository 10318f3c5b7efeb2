"""`lienthong export …` as it is typed: to the screen, into a folder, with a sentence for what goes wrong."""

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from lienthong.commands import main
from lienthong.embedded import folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("LIENTHONG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LIENTHONG_ROOT", str(ROOT))
    monkeypatch.setenv("LIENTHONG_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def typed(*words: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(("export", *words))
        return (ended.value.code or 0, *capsys.readouterr())

    return typed


def test_one_department_is_printed(run):
    status, told, _ = run("asyncapi", "health", "--on", "2026-11-23")

    document = orjson.loads(told)
    assert status == 0
    assert document["id"] == "urn:vn.gov.hanoi:asyncapi:health"
    assert [server["host"] for server in document["servers"].values()] == ["127.0.0.1:9092"]


def test_the_city_and_every_department_are_written_and_written_again_only_when_changed(run, tmp_path):
    words = ("dcat", "--out", str(tmp_path / "out"), "--on", "2026-11-23", "--json")

    _, first, _ = run(*words)
    _, again, _ = run(*words)

    written = {Path(path).name for path in orjson.loads(first)["written"]}
    assert {"dcat.jsonld", "health.dcat.jsonld", "trade.dcat.jsonld"} <= written
    assert written == {path.name for path in (tmp_path / "out").iterdir()}
    assert orjson.loads(again) == {"written": []}


def test_pages_written_together_lead_to_each_other(run, tmp_path):
    run("page", "--out", str(tmp_path))

    assert 'href="health.html"' in (tmp_path / "index.html").read_text(encoding="utf-8")
    assert (tmp_path / "health.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_page_is_one_json_document_where_that_is_asked_for(run):
    _, told, _ = run("page", "health", "--json")

    assert orjson.loads(told)["page"].startswith("<!DOCTYPE html>")


def test_the_bus_is_told_where_it_is(run, monkeypatch):
    _, told, _ = run("asyncapi", "--bootstrap-servers", "a.example:9093,b.example:9093")
    document = orjson.loads(told)
    assert {s["host"]: s["protocol"] for s in document["servers"].values()} == {
        "a.example:9093": "kafka-secure",
        "b.example:9093": "kafka-secure",
    }
    assert document["channels"]["science.unit.v1"]["bindings"]["kafka"]["replicas"] == 3

    monkeypatch.setenv("LIENTHONG_BOOTSTRAP_SERVERS", "c.example:9093")
    _, told, _ = run("asyncapi")
    assert [s["host"] for s in orjson.loads(told)["servers"].values()] == ["c.example:9093"]


def test_a_bus_that_runs_here_is_told_as_it_is(run, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    with folder.take(data):
        brokers = {"bootstrap_servers": "127.0.0.1:9192,127.0.0.1:9193,127.0.0.1:9194", "brokers": 3}
        folder.note_bus(data, {"pid": os.getpid(), **brokers})

        _, told, _ = run("asyncapi")

    document = orjson.loads(told)
    assert [s["host"] for s in document["servers"].values()] == brokers["bootstrap_servers"].split(",")
    assert {s["protocol"] for s in document["servers"].values()} == {"kafka"}
    assert document["channels"]["science.unit.v1"]["bindings"]["kafka"]["replicas"] == 3


@pytest.mark.parametrize("servers", ["example", "a.example:", ":9092", "a.example:b", ""])
def test_what_is_no_address_is_a_wrong_call(run, servers):
    status, told, sentence = run("asyncapi", "--bootstrap-servers", servers)

    assert (status, told) == (2, "")
    assert "host:port" in sentence


def test_a_department_that_is_not_there_leaves_nothing_half_written(run, tmp_path):
    status, _, sentence = run("page", "culture", "--out", str(tmp_path / "out"))

    assert status == 1
    assert "no department culture" in sentence
    assert not (tmp_path / "out").exists()
