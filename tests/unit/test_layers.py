"""Who may import whom, and what no file of the repository names: one machine, or one place to fetch from."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Each is written so that it does not match itself.
MACHINE = re.compile(
    r"""
      /(?:hom[e]|User[s])/[\w.-]+        # somebody's own folder
    | (?<![\w.-])/roo[t](?![\w-])
    | (?<![\w.-])/wor[k]/
    | [A-Z]:\\User[s]\\
    """,
    re.VERBOSE,
)
REGISTRY = re.compile(
    r"""
      \bpyp[i]\.(?:org|python)  | \bpythonhoste[d]\.org
    | \bmave[n]\.(?:org|apache|google)  | \brepo1?\.mave[n] | \bcentral\.sonatyp[e]
    | \bnpmj[s]\.(?:org|com)    | \byarnpk[g]\.com
    | \bdocke[r]\.io            | \bghc[r]\.io  | \bqua[y]\.io | \bgc[r]\.io
    | \bproxy\.golan[g]\.org    | \bcrate[s]\.io/
    | --(?:extra-)?inde[x](?:-url)?[ =]\S*: | ^\s*inde[x]-url
    | \bhttps?://[^\s/"'<>)]*(?:artifactor[y]|nexu[s]|mirro[r]|registr[y])
    """,
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Every file under version control that is there."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: nobody can say which files belong to the repository")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    files = [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    assert len(files) > 100
    return files


def found(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [place for file in files for place in places(pattern, file)]


def places(pattern: re.Pattern[str], file: Path) -> Iterator[str]:
    """Give each match as file:line: text."""
    text = file.read_bytes().decode("utf-8", "replace")
    for match in pattern.finditer(text):
        yield f"{file.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"


def test_the_contracts_of_imports_are_kept():
    # In a process of its own: import-linter sets logging up anew, and silences every logger there is.
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    ran = subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout
    assert " 0 broken" in ran.stdout


def test_the_contracts_of_imports_are_those_of_the_design():
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert {contract["name"] for contract in told["contracts"]} >= {
        "lienthong knows no department",
        "departments never import each other",
        "only lienthong talks to Kafka",
        "who observes and judges shares no code with the delivery",
    }


def test_no_file_names_a_path_of_one_machine(tracked):
    assert found(MACHINE, tracked) == []
    here = re.compile(rf"(?<![\w.-]){re.escape(str(ROOT))}(?![\w-])")
    assert found(here, tracked) == []


def test_no_file_names_where_packages_are_fetched_from(tracked):
    assert found(REGISTRY, tracked) == []


@pytest.mark.parametrize(
    "text",
    ["/{}/an/project", "in /{}/main", "see (/{}) there", "C:\\{}\\an"],
    ids=["home", "work", "root", "windows"],
)
def test_a_path_of_one_machine_would_be_seen(text, request):
    folder = {"home": "home", "work": "work", "root": "root", "windows": "Users"}[request.node.callspec.id]
    assert MACHINE.search(text.format(folder))


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("https://arti", "factory.example.org"),
        ("--ind", "ex-url https://example.org"),
        ("https://mir", "ror.example.org/pool"),
    ],
)
def test_an_address_of_a_registry_would_be_seen(first, last):
    assert REGISTRY.search(first + last)


def test_what_is_no_registry_is_left_alone():
    assert not REGISTRY.search(
        "https://json-schema.org/draft/2020-12/schema, uv pip compile --no-emit-index-url"
    )
    assert not MACHINE.search("/tmp/city, /vn.gov.hanoi/health, ./work/x, framework/s, /rooted")
