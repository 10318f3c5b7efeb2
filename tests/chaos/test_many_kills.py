"""A nemesis kills processes of a running city at random; the ledger balances all the same. `make faults`."""

import json
import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.journeys.conftest import City, played, wait_for

SEED = int(os.environ.get("CHAOS_SEED", "63"))
VICTIMS = ("health", "justice", "onestop", "police", "insurance", "trade", "science", "kafka-1", "postgres")
PAUSE_SECONDS = (2.0, 6.0)


def haunt(city: City, dice: random.Random, over: threading.Event) -> Counter[str]:
    """Kill a process, or freeze it for a while, until the input is over."""
    done: Counter[str] = Counter()
    while not over.wait(dice.uniform(*PAUSE_SECONDS)):
        victim = dice.choice(VICTIMS)
        frozen = dice.random() < 0.3
        if (pid := city.pids().get(victim)) is None:
            continue
        try:
            os.kill(pid, signal.SIGSTOP if frozen else signal.SIGKILL)
            if frozen:
                over.wait(dice.uniform(1.0, 12.0))
                os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            continue
        done[f"{victim} {'frozen' if frozen else 'killed'}"] += 1
    return done


@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_whatever_is_killed_or_frozen_the_ledger_balances(seed: int, tmp_path: Path) -> None:
    """Promise: no acknowledged fact is lost and none takes effect twice, whatever dies and whenever."""
    over = threading.Event()
    done: Counter[str] = Counter()
    arguments = ["--once", "--dossiers", "2250", "--pace", "60", "--seed", str(seed)]
    with played(tmp_path, *arguments) as city:
        wait_for(lambda: city.pids().keys() >= set(VICTIMS), city)
        nemesis = threading.Thread(
            target=lambda: done.update(haunt(city, random.Random(seed), over)), daemon=True
        )
        nemesis.start()
        over.wait(60)
        over.set()
        nemesis.join()
        wait_for(city.report.exists, city, within=240)
        status = city.process.wait(60)
    account = json.loads(city.report.read_text())
    print(f"seed {seed}: {dict(done)}")  # noqa: T201 - what was done belongs to the verdict
    assert account["problems"] == []
    assert account["settled"]
    assert status == 0
    assert done.total() >= 5
