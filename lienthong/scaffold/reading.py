"""The modules with which a room reads an event: its handler, the table it keeps it in, and their tests."""

from dataclasses import dataclass

from lienthong.contracts.contract import Contract
from lienthong.contracts.typed import WIDTH
from lienthong.scaffold.python_text import documented, folded, imported


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as a room reads it."""

    contract: Contract
    department: str
    purpose: str
    store: str
    fields: tuple[str, ...]
    class_name: str

    @property
    def word(self) -> str:
        """The event as a Python name that says whose it is: `culture_relic_listed`."""
        topic = self.contract.topic
        major = "" if topic.major == 1 else f"_v{topic.major}"
        return f"{topic.department}_{topic.event.replace('-', '_')}{major}"


def store_text() -> str:
    """Write the table in which a room keeps what it reads, whichever events these are."""
    return '''"""The department's own tables: what it read, as far as its grants show it."""

from lienthong import Connection, Data

TABLES = """
CREATE TABLE IF NOT EXISTS heard (
    consumer_group text NOT NULL,
    topic          text NOT NULL,
    key            text NOT NULL,
    entry          jsonb NOT NULL,
    times          bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (consumer_group, topic, key)
);
-- What the department did about every fact that it reads; the ledger holds it against the bus.
CREATE OR REPLACE VIEW effect (consumer_group, topic, key, times) AS
    SELECT consumer_group, topic, key, times FROM heard;
"""

_NOTE = """
INSERT INTO heard (consumer_group, topic, key, entry) VALUES ($1, $2, $3, $4)
ON CONFLICT (consumer_group, topic, key) DO UPDATE SET entry = excluded.entry, times = heard.times + 1
"""
_KEEP = """
INSERT INTO heard (consumer_group, topic, key, entry) VALUES ($1, $2, $3, $4)
ON CONFLICT (consumer_group, topic, key) DO UPDATE SET entry = excluded.entry
"""
_FORGET = "DELETE FROM heard WHERE consumer_group = $1 AND topic = $2 AND key = $3"


async def note(db: Connection, group: str, key: str, fact: Data) -> None:
    """Note a fact: the newest of its key, and how many there were."""
    await db.execute(_NOTE, group, fact.TOPIC, key, fact.model_dump(mode="json", exclude_none=True))


async def keep(db: Connection, group: str, topic: str, key: str, state: Data | None) -> None:
    """Keep the newest state of a key; None forgets it."""
    if state is None:
        await db.execute(_FORGET, group, topic, key)
    else:
        await db.execute(_KEEP, group, topic, key, state.model_dump(mode="json", exclude_none=True))
'''


def handler_text(heard: Heard) -> str:
    """Write the handler of one event."""
    name, cls, topic = heard.department, heard.class_name, heard.contract.topic
    is_state = heard.contract.is_state
    kind = f"{cls} | None" if is_state else cls
    does = "keep" if is_state else "note"
    told = ["db", "GROUP", f"{cls}.TOPIC", "event.key", "event.data"]
    if not is_state:
        told = ["db", "GROUP", "event.key", "event.data"]
    sentence = (
        "Keep the newest state; a tombstone forgets it"
        if is_state
        else "Note the fact in the department's table"
    )
    lines = [
        '"""What the department does when others speak."""',
        "",
        "from lienthong import Connection, Event",
        imported(f"services.{name}", [name, heard.store]),
        imported(f"services.{name}.events", [cls]),
        "",
        f'PURPOSE = "{heard.purpose}"',
        f'GROUP = f"{{{name}.name}}.{{PURPOSE}}"',
        "",
        "",
        folded(f"@{name}.reads", [f'"{topic}"', "purpose=PURPOSE"], ""),
        folded(f"async def hear_{heard.word}", [f"event: Event[{kind}]", "db: Connection"], " -> None:"),
        f'    """{sentence}. Twice is the same as once."""',
        folded(f"await {heard.store}.{does}", told, "", "    "),
    ]
    return "\n".join(lines) + "\n"


def handler_test_text(heard: Heard, module: str) -> str:
    """Write the tests of a handler, by the grant that the contract gives, without a database."""
    name, cls = heard.department, heard.class_name
    group = f"{name}.{heard.purpose}"
    granted = "{" + ", ".join(f'"{field}"' for field in heard.fields) + "}"
    assertion = f"    assert {cls}.model_fields.keys() == {granted}"
    if len(assertion) > WIDTH:
        rows = "".join(f'        "{field}",\n' for field in heard.fields)
        assertion = f"    assert {cls}.model_fields.keys() == {{\n{rows}    }}"
    delivered = folded(
        "await deliver", [name, "ROOT", "GROUP", "CONTRACT", "dict(example)", "notes"], "", "    "
    )
    sentence = documented(f"What {name} reads is granted, and kept in its own table")
    return f"""{sentence}

from pathlib import Path

import pytest

from lienthong.contracts import load_contracts
from lienthong.testing import Notebook, deliver
{imported(f"services.{name}", [module, name])}
{imported(f"services.{name}.events", [cls])}

ROOT = Path(__file__).parents[2]
CONTRACT = load_contracts(ROOT).contracts[{cls}.TOPIC]
GROUP = "{group}"


def test_the_granted_fields_are_seen_and_no_others():
{assertion}
    assert {module}.GROUP == GROUP


@pytest.mark.parametrize("example", CONTRACT.valid_examples)
async def test_what_is_heard_is_kept_under_its_key(example):
    notes = Notebook()
{delivered}
    [(_, (group, topic, _, entry))] = notes.written
    assert (group, topic) == (GROUP, {cls}.TOPIC)
    assert entry.keys() <= {cls}.model_fields.keys()
"""
