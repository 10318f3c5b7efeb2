"""The modules with which a room publishes an event: its publisher, its synthetic input, and their tests."""

from typing import Final

from lienthong.contracts.contract import LogicalType
from lienthong.scaffold.contract_text import WRONG_KEY, quoted
from lienthong.scaffold.draft import Draft, EventDraft
from lienthong.scaffold.python_text import documented, folded, imported

MOST_DIGITS: Final = 6


def publisher_text(draft: EventDraft) -> str:
    """Write the function that makes facts of raw records."""
    name, cls = draft.topic.department, draft.class_name
    moments = ["from lienthong.moments import find_timestamp"] if draft.happened else []
    head = [
        '"""Facts that leave the department, as its own source hands them in."""',
        "",
        "from typing import Any",
        "",
        "from lienthong import Connection",
        *moments,
        imported(f"services.{name}", [name]),
        imported(f"services.{name}.events", [cls]),
        "",
        "",
        f'@{name}.takes("{draft.topic.event}")',
        folded(f"async def publish_{draft.word}", ["record: dict[str, Any]", "db: Connection"], " -> None:"),
    ]
    return "\n".join([*head, *(_state_body(draft) if draft.is_state else _event_body(draft))]) + "\n"


def _event_body(draft: EventDraft) -> list[str]:
    name, cls, happened = draft.topic.department, draft.class_name, draft.happened
    arguments = ["db", "record", f"topic={cls}.TOPIC"]
    lines = [documented("Publish a record as a fact; what the gate refuses stays at the source", "    ")]
    if happened is not None:
        told = folded("find_timestamp", [f'str(record.get("{happened.name}"))'], "")
        lines.append(f"    happened_at = {told}")
        arguments.append("happened_at=happened_at")
    return [*lines, folded(f"await {name}.publish", arguments, "", "    ")]


def _state_body(draft: EventDraft) -> list[str]:
    name, cls = draft.topic.department, draft.class_name
    retract = ["db", cls, 'str(record["retracted"])']
    return [
        documented("Publish the newest state of a key; `retracted` names a key that is no more", "    "),
        '    if record.keys() == {"retracted"}:',
        folded(f"await {name}.retract", retract, "", "        "),
        "        return",
        folded(f"await {name}.publish", ["db", "record", f"topic={cls}.TOPIC"], "", "    "),
    ]


def demo_text(name: str, modules: list[str]) -> str:
    """Write `demo.py`: what each of the department's sources hands in, one after the other."""
    sources = [f"{module}.records(scale)" for module in modules]
    several = len(sources) > 1
    body = folded("return chain", sources, "", "    ") if several else f"    return {sources[0]}"
    lines = [
        '"""The department\'s synthetic input, from a seed."""',
        "",
        "from collections.abc import Iterator",
        *(["from itertools import chain"] if several else []),
        "",
        "from lienthong.demo import Papers, Scale",
        imported(f"services.{name}", modules),
        "",
        "GIVES = ()",
        "NEEDS = ()",
        "",
        "",
        "def feed(scale: Scale, _: Papers) -> Iterator[tuple[str, bytes]]:",
        '    """Hand in what each source has."""',
        body,
    ]
    return "\n".join(lines) + "\n"


def source_text(draft: EventDraft) -> str:
    """Write the synthetic source of one event: sound records, and one that is refused."""
    first = draft.keys[0].name
    dates = any(one.kind in {"date", "timestamp"} for one in draft.fields)
    moment = ["    now = scale.now.astimezone(HANOI)"] if dates else []
    rows = [f"            {quoted(one.name)}: {_drawn(one)}," for one in draft.fields]
    demo = "HANOI, Scale" if dates else "Scale"
    lines = [
        '"""A source of the department, synthetic, for the demo and the tests."""',
        "",
        "from collections.abc import Iterator",
        "",
        "import orjson",
        "",
        f"from lienthong.demo import {demo}",
        "",
        f'KIND = "{draft.topic.event}"',
        "A_RECORD_FOR = 10",
        '"""One for so many births of the demo, and one at least."""',
        "",
        "",
        "def records(scale: Scale) -> Iterator[tuple[str, bytes]]:",
        '    """Hand in sound records, each of its own key, and one whose key is none."""',
        *moment,
        "    record: dict[str, object] = {}",
        "    for number in range(1, max(1, scale.size // A_RECORD_FOR) + 1):",
        "        record = {",
        *rows,
        "        }",
        "        yield KIND, orjson.dumps(record)",
        f'    yield KIND, orjson.dumps({{**record, "{first}": "{WRONG_KEY}"}})',
    ]
    return "\n".join(lines) + "\n"


_NOW: Final[dict[LogicalType, str]] = {
    "timestamp": 'now.isoformat(timespec="seconds")',
    "date": "now.date().isoformat()",
}


def _drawn(one: Draft) -> str:
    """Write the Python that draws a field's value."""
    if one.key_position is not None:
        return _numbered(str(one.example))
    if one.kind in _NOW:
        return _NOW[one.kind]
    return quoted(one.example) if isinstance(one.example, str) else repr(one.example)


def _numbered(example: str) -> str:
    """Write the Python that counts a key's last digits on, keeping its form."""
    digits = len(example) - len(example.rstrip("0123456789"))
    if not digits:
        return quoted(example)
    counted = min(digits, MOST_DIGITS)
    head = example[: len(example) - counted]
    return f'f"{head}{{number % {10**counted}:0{counted}d}}"'


def publisher_test_text(draft: EventDraft, module: str, source: str) -> str:
    """Write the tests of a publisher, against the real gate and without a database."""
    name, cls = draft.topic.department, draft.class_name
    handle = f"publish_{draft.word}"
    told = documented(f"What {name} hands in becomes a fact, or is refused as its contract says")
    return f"""{told}

from pathlib import Path

import orjson
import pytest

from lienthong import NotValid
from lienthong.contracts import load_contracts
from lienthong.demo import Scale
from lienthong.testing import Notebook, opened
{imported(f"services.{name}", [name, source])}
{imported(f"services.{name}.events", [cls])}
{imported(f"services.{name}.{module}", [handle])}

ROOT = Path(__file__).parents[2]
CONTRACT = load_contracts(ROOT).contracts[{cls}.TOPIC]


@pytest.fixture
def notes():
    opened({name}, ROOT)
    return Notebook()


@pytest.mark.parametrize("example", CONTRACT.valid_examples)
async def test_a_sound_record_becomes_a_fact(example, notes):
    await {handle}(dict(example), notes)
    assert notes.facts() == [{cls}.TOPIC]


@pytest.mark.parametrize("example", CONTRACT.invalid_examples)
async def test_an_unsound_record_is_refused_at_each_of_its_places(example, notes):
    with pytest.raises(NotValid) as refused:
        await {handle}(dict(example.data), notes)
    assert {{problem.path for problem in refused.value.problems}} == set(example.paths)
    assert notes.facts() == []


async def test_the_source_of_the_demo_hands_in_sound_records_and_one_that_is_refused(notes):
    *sound, (_, last) = {source}.records(Scale(size=30))
    for kind, raw in sound:
        assert kind == CONTRACT.topic.event
        await {handle}(orjson.loads(raw), notes)
    assert len(notes.facts()) == len(sound) > 0
    with pytest.raises(NotValid):
        await {handle}(orjson.loads(last), notes)
"""
