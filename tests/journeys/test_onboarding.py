"""The commands of docs/onboarding.md, typed as they stand there, in a copy of the repository."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.journeys.conftest import REPOSITORY

PAGE = REPOSITORY / "docs/onboarding.md"
COPIED = ("contracts", "docs", "lienthong", "schemas", "services", "tests")
MOST_COMMANDS = 5
LONGEST = 300.0


def commands_of_the_walk() -> list[str]:
    """The commands of the page's first listing."""
    text = PAGE.read_text(encoding="utf-8")
    (_, walk) = text.split("## The walk\n")
    listing = re.search(r"^```sh\n(.*?)^```", walk, flags=re.MULTILINE | re.DOTALL)
    assert listing is not None
    return listing[1].splitlines()


@dataclass
class Walked:
    """The copy in which the walk was gone, what each command said, and how long it took."""

    root: Path
    said: list[str]
    seconds: list[float]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    root = tmp_path_factory.mktemp("walk") / "city"
    for name in COPIED:
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, root)
    walked = Walked(root, [], [])
    for command in commands_of_the_walk():
        began = time.monotonic()
        walked.said.append(typed(root, command))
        walked.seconds.append(time.monotonic() - began)
    yield walked
    shutil.rmtree(root, ignore_errors=True)


def typed(root: Path, command: str) -> str:
    """Type a command of the page in the copy; gives what it said."""
    first, *words = shlex.split(command)
    assert first == "lienthong"
    return run(root, "-m", "lienthong", *words)


def run(root: Path, *words: str) -> str:
    # Without coverage: the copy's files are no files of this repository, and are gone afterwards.
    told = {name: value for name, value in os.environ.items() if not name.startswith(("LIENTHONG_", "COV"))}
    ran = subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env=told | {"PYTHONPATH": str(root), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_walk_ends_with_an_event_that_another_department_handled(
    walked: Walked, record_property: Callable[[str, object], None]
) -> None:
    """Promise: a new department's first event is handled by another after five commands."""
    steps = " + ".join(f"{seconds:.1f}" for seconds in walked.seconds)
    taken = f"{len(walked.seconds)} commands, {sum(walked.seconds):.1f} s ({steps})"
    record_property("told", f"From nothing to the first event handled: {taken}")
    assert len(walked.said) <= MOST_COMMANDS
    account = walked.said[-1]
    published = re.search(
        r"^ *culture\.relic-listed\.v1 +(\d+) +(\d+) +\d+ +\d+ +\d+ *$", account, flags=re.MULTILINE
    )
    handled = re.search(r"→ education\.heritage-lessons +(\d+) +(\d+) +\d+", account)
    assert published is not None, account
    assert handled is not None, account
    assert int(handled[1]) == int(handled[2]) == int(published[1]) >= 1
    assert int(published[2]) == 1, "the one record whose key has the wrong form"


def test_what_the_walk_leaves_passes_every_check(walked: Walked) -> None:
    """Promise: what is begun passes the checks of the house, in the city it was begun in."""
    run(walked.root, "-m", "ruff", "check", "--no-cache", ".")
    run(walked.root, "-m", "ruff", "format", "--no-cache", "--check", ".")
    linting = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run(walked.root, "-c", linting, "--no-cache", "--no-logo")
    assert run(walked.root, "-m", "lienthong", "contracts", "check").endswith("Every contract is sound.\n")
    assert "Nothing to do" in run(walked.root, "-m", "lienthong", "release", "--check")


def test_the_tests_that_the_walk_leaves_pass(walked: Walked) -> None:
    """Promise: a room that is begun has tests, and they pass."""
    written = [
        path.relative_to(walked.root).as_posix()
        for path in sorted((walked.root / "tests/unit").glob("test_rooms_*.py"))
        if not (REPOSITORY / path.relative_to(walked.root)).exists()
    ]
    assert len(written) == 3
    run(walked.root, "-m", "pytest", "-q", "-p", "no:cacheprovider", *written)
