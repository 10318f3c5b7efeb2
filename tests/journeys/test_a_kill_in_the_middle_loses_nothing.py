"""Processes die without warning; what they had promised is kept."""

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.journeys.conftest import City, played, wait_for


def log_of(city: City, service: str) -> str:
    file = city.data / "logs" / f"{service}.log"
    return file.read_text(errors="replace") if file.exists() else ""


@pytest.mark.parametrize("victim", ["justice", "kafka-1", "postgres"])
def test_a_kill_in_the_middle_of_the_demo_ends_in_a_balanced_ledger(victim: str, tmp_path: Path) -> None:
    """Promise: kill -9 of a service, of the broker or of the database loses nothing and doubles nothing."""
    with played(tmp_path, "--once", "--dossiers", "300", "--pace", "6") as city:
        # Justice has begun to handle events: the middle of everybody's work.
        wait_for(lambda: '"partitions_assigned"' in log_of(city, "justice"), city)
        wait_for(lambda: "intake_taken" in log_of(city, "onestop"), city)
        before = city.pids()[victim]
        killed = psutil.Process(before)
        os.kill(before, signal.SIGKILL)
        killed.wait(10)
        wait_for(lambda: city.pids().get(victim) not in {None, before}, city, within=30)
        wait_for(city.report.exists, city, within=120)
        assert city.process.wait(60) == 0, city.spoken()
    account = json.loads(city.report.read_text())
    assert account["problems"] == []
    assert account["settled"]
    assert account["topics"]["justice.birth-registered.v1"]["committed"] > 100
