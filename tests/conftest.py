"""A real Kafka and a real PostgreSQL for a whole run, and scratch departments that no test shares."""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import hypothesis
import pytest

from lienthong import contracts
from lienthong.cluster.apply import apply_contracts
from lienthong.embedded.bus import Bus
from tests.broker.scratch import City, write_city

# A busy machine is no reason for a test to fail.
hypothesis.settings.register_profile(
    "anywhere", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("anywhere")

PAIRS = 30
SLOWEST_FIRST = ("journeys", "broker", "contracts", "unit")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Share tests out among processes by file; whoever looks at the one played city stays together."""
    items.sort(
        key=lambda item: (
            SLOWEST_FIRST.index(item.path.parent.name) if item.path.parent.name in SLOWEST_FIRST else 0
        )
    )
    for item in items:
        played = "city" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("city" if played else item.path.name))


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
