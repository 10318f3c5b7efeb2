"""A real Kafka and a real PostgreSQL for a whole run, and scratch departments that no test shares."""

import os
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from lienthong import contracts
from lienthong.cluster.apply import apply_contracts
from lienthong.embedded.bus import Bus
from tests.broker.scratch import City, write_city

# A busy machine is no reason for a test to fail.
hypothesis.settings.register_profile(
    "anywhere", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("anywhere")

# Brokers live for a minute here: to compile their code for a long life would be half of what they do.
os.environ.setdefault("KAFKA_JVM_PERFORMANCE_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

PAIRS = 12
"""So many scratch departments to begin with; more are made when they are needed."""

SLOWEST_FIRST = ("journeys", "broker", "contracts", "soundness", "unit")
LONGEST = "test_two_minutes_of_chaos"
TRACED = {LONGEST, "test_two_majors_side_by_side"}
"""Journeys that go where no other test does: the checker, and readers that go over."""
UNTRACED = {
    "test_access_matrix",
    "test_bad_records",
    "test_grants",
    "test_handlers",
    "test_odd_records",
    "test_steps",
    "test_stopping",
    "test_tls",
    "test_versions",
}
"""Others that go where many do."""

TOGETHER = re.compile(r"\b(city: City|town: Town)\b")
"""What takes long to set up: every file that asks for it goes to one process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: where processes share the tests, none is left with it at the end."""
    for item in items:
        # What they drive is driven by the other tests too; to trace it again doubles their time.
        goes_where_many_do = item.path.parent.name in {"journeys", "soundness"} or item.path.stem in UNTRACED
        if goes_where_many_do and item.path.stem not in TRACED:
            item.add_marker(pytest.mark.no_cover)
    items.sort(
        key=lambda item: (
            item.path.stem != LONGEST,
            (*SLOWEST_FIRST, item.path.parent.name).index(item.path.parent.name),
        )
    )


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """Shares tests out among processes by file. (Groups of pytest-xdist 3.8 are not heeded by pytest 9.)"""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return _set_up_by(file) or file


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what tests have measured; a process that shares them has nowhere to say it."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(str(value))


@cache
def _set_up_by(file: str) -> str | None:
    found = TOGETHER.search((Path(__file__).parents[1] / file).read_text("utf-8"))
    return found[1] if found else None


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of a running bus; TEST_BUS names one that runs already."""
    if told := os.environ.get("TEST_BUS"):
        yield Path(told)
        return
    folder = tmp_path_factory.mktemp("bus")
    with Bus(folder):
        yield folder


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[1]


@pytest.fixture(scope="session")
def scratch(data: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> City:
    """A city of scratch departments beside the repository's own, applied once."""
    root = tmp_path_factory.mktemp("city")
    city = write_city(root, data, PAIRS, beside=repository)
    apply_contracts(contracts.load_contracts(root), data, date(2026, 1, 1))
    return city
