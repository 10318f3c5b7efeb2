"""What the documents name exists: files, tests, modules, links, commands, settings, metrics."""

import ast
import importlib
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from lienthong import commands, metrics
from lienthong.database import TABLES
from lienthong.settings import OUTSIDE, PREFIX, Settings
from lienthong.settings_page import PLACES, settings_page

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*/README.md")})
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
WORDS = re.compile(r"\b(lienthong(?:\.[A-Za-z_]\w*)+)")


@pytest.fixture(params=PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def spans(page: Path) -> list[str]:
    """What a page writes as code within a sentence."""
    return SPAN.findall(FENCE.sub("", page.read_text(encoding="utf-8")))


@cache
def names_in(file: Path) -> frozenset[str]:
    """The functions and classes of a Python file."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return frozenset(
        node.name for node in nodes if isinstance(node, ast.ClassDef | ast.AsyncFunctionDef | ast.FunctionDef)
    )


def iter_paths(page: Path) -> Iterator[tuple[str, str]]:
    """The files that a page names, each with the function in it, if one is named."""
    for span in spans(page):
        path, _, name = span.partition("::")
        if path.split("/")[0] in FOLDERS and "/" in path and not set(path) & set(" <>{}"):
            yield path, name


def test_every_file_and_test_that_a_page_names_exists(page: Path) -> None:
    missing = [f"{path}::{name}" for path, name in iter_paths(page) if not any(ROOT.glob(path.rstrip("/")))]
    missing += [
        f"{path}::{name}"
        for path, name in iter_paths(page)
        if name and (ROOT / path).is_file() and name not in names_in(ROOT / path)
    ]
    assert missing == []


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module, something in one, or a table of the library."""
    if re.search(rf"EXISTS {re.escape(dotted)} ", TABLES):
        return True
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part, None)
        return found is not None
    return False


def test_every_module_and_table_that_a_page_names_exists(page: Path) -> None:
    assert [name for span in spans(page) for name in WORDS.findall(span) if not exists(name)] == []


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"^#+ +(.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in headings(target)):
            broken.append(link)
    assert broken == []


@pytest.fixture(scope="module")
def known_commands() -> set[str]:
    return set(typer.main.get_command(commands.assemble()).commands)  # type: ignore[attr-defined]


def test_every_command_that_a_page_names_exists(page: Path, known_commands: set[str]) -> None:
    shell = re.findall(r"^```sh$.*?^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    code = "\n".join([*spans(page), *shell])
    named = re.findall(r"(?:^|[/\s(])lienthong ([a-z]+(?:-[a-z]+)*)", code, flags=re.MULTILINE)
    assert [name for name in named if name not in known_commands] == []
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert [name for name in re.findall(r"\bmake ([a-z]+)", code) if name not in targets] == []


def test_every_setting_and_metric_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | OUTSIDE
    assert set(re.findall(r"\bLIENTHONG_[A-Z_]*[A-Z]\b", text)) <= settings
    measured = {family.name for family in metrics.REGISTRY.collect()}
    told = re.findall(r"\blienthong_([a-z]+(?:_[a-z]+)+)\b", "\n".join(spans(page)))
    assert [name for name in told if f"lienthong_{name.removesuffix('_total')}" not in measured] == []


def test_the_page_of_settings_is_made_from_the_settings() -> None:
    """Run `python -m lienthong.settings_page > docs/operate/settings.md` where this fails."""
    assert (ROOT / "docs/operate/settings.md").read_text(encoding="utf-8") == settings_page()
    assert set(PLACES) == OUTSIDE


def test_a_page_is_text_that_every_eye_reads_alike(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert unicodedata.is_normalized("NFC", text)
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


def test_every_decision_and_every_operators_page_is_in_its_index() -> None:
    decisions = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    pages = [page.name for page in ROOT.glob("docs/decisions/0*.md")]
    assert [name for name in pages if f"({name})" not in decisions] == []
    operate = (ROOT / "docs/operate/README.md").read_text(encoding="utf-8")
    assert [
        p.name
        for p in ROOT.glob("docs/operate/*.md")
        if p.name != "README.md" and f"({p.name})" not in operate
    ] == []


def test_every_journey_is_among_the_promises_of_the_readme() -> None:
    promised = (ROOT / "README.md").read_text(encoding="utf-8")
    journeys = [f"tests/journeys/{path.name}" for path in ROOT.glob("tests/journeys/test_*.py")]
    assert [journey for journey in journeys if f"`{journey}" not in promised] == []
