"""A new event or state: its contract with examples, and the room's modules that publish it."""

import re
from pathlib import Path

from lienthong import names
from lienthong.contracts.fields import has_vietnamese
from lienthong.contracts.load import DepartmentCard, load_contracts
from lienthong.errors import ContractsNotSound
from lienthong.scaffold import publishing, room
from lienthong.scaffold.contract_text import contract_text, examples_text
from lienthong.scaffold.department import get_card
from lienthong.scaffold.draft import EventDraft, flat, plain_fields
from lienthong.scaffold.plan import Plan
from lienthong.scaffold.reader import open_room_with_grants
from lienthong.scaffold.table import Table, table_fields
from lienthong.scaffold.trigger import tables_text


def plan_event(
    root: Path,
    event: str,
    *,
    title: str | None = None,
    is_state: bool = False,
    fields: list[str] | None = None,
    table: Table | None = None,
) -> Plan:
    """Plan an event's contract, its examples, and the modules that publish it.

    Args:
        root: The folder that holds contracts, schemas and services.
        event: `<department>.<event>`, its major where it is not the first: `culture.relic-listed`.
        title: What it is called, in Vietnamese.
        is_state: Whether the newest of each key is what counts.
        fields: Fields beside key and moment, as NAME[?]:KIND[:LABEL].
        table: The table whose rows it tells of, in the place of `fields`.

    Raises:
        ContractsNotSound: a name cannot be one, it is there already, or the contract would not be sound.
    """
    topic = read_topic(event, is_state=is_state)
    contracts = load_contracts(root)
    card = get_card(contracts, topic.department)
    draft = _draft(topic, title, card, is_state=is_state, fields=fields or [], table=table)
    plan = Plan(root)
    place = f"contracts/{topic.department}/{topic.event}.v{topic.major}"
    plan.write(f"{place}.yaml", contract_text(draft, card))
    plan.write(f"{place}.examples.yaml", examples_text(draft))
    if plan.read(f"services/{topic.department}/app.py") is None:
        open_room_with_grants(plan, contracts, card)
    _add_publisher(plan, draft, table)
    if table is not None:
        plan.remarks += table.remarks
    plan.prove()
    return plan


def read_topic(event: str, *, is_state: bool) -> names.Topic:
    """Take `<department>.<event>` apart.

    Raises:
        ContractsNotSound: with the house's sentence.
    """
    topic = names.find_topic(event) or names.find_topic(f"{event}.v1")
    if topic is None:
        raise ContractsNotSound(
            reason=f"{event!r} is not an event's name.",
            remedy="Write <department>.<event>, lowercase words with a hyphen between: culture.relic-listed.",
        )
    if not is_state and "-" not in topic.event:
        raise ContractsNotSound(
            reason=f"{topic.event} is one word, and an event is a thing and a past participle: relic-listed.",
            remedy="Say what happened to what; for a list whose newest entry counts, add --state.",
        )
    return topic


def _draft(
    topic: names.Topic,
    title: str | None,
    card: DepartmentCard,
    *,
    is_state: bool,
    fields: list[str],
    table: Table | None,
) -> EventDraft:
    spoken = flat(title or "", 120)
    guesses = ["confirm:promises"]
    if not has_vietnamese(spoken):
        guesses.insert(0, "confirm:words")
        spoken = flat(f"{spoken or topic.event} của {card.name}", 120)
    drafted = (
        table_fields(table, fields) if table else plain_fields(topic.event, is_state=is_state, asked=fields)
    )
    return EventDraft(topic, spoken, drafted, is_state, tuple(guesses))


def _add_publisher(plan: Plan, draft: EventDraft, table: Table | None) -> None:
    name = draft.topic.department
    module = room.free_module(plan, name, "publishers", f"publish_{draft.word}")
    plan.write(f"services/{name}/{module}.py", publishing.publisher_text(draft))
    room.take_in(plan, name, module)
    if table is not None:
        store = room.free_module(plan, name, "store", f"store_{draft.word}")
        plan.write(f"services/{name}/{store}.py", tables_text(draft, table))
        room.take_in(plan, name, store, has_tables=True)
        room.tell(plan, name, room.TABLES, f"`{table.name}`: mỗi dòng của bảng được đưa vào `{draft.topic}`")
    source = f"demo_{draft.word}"
    plan.write(f"services/{name}/{source}.py", publishing.source_text(draft))
    _add_source(plan, name, source)
    plan.write(
        f"tests/unit/test_rooms_{name}_publishes_{draft.word}.py",
        publishing.publisher_test_text(draft, module, source),
    )
    room.tell(plan, name, room.PUBLISHES, f"`{draft.topic}`")
    room.tell(plan, name, room.SOURCES, f"`{draft.topic.event}`: {draft.title}")


def _add_source(plan: Plan, name: str, source: str) -> None:
    """Let the room's `demo.py` hand this source's records in too."""
    file = f"services/{name}/demo.py"
    text = plan.read(file)
    if text is None:
        plan.write(file, publishing.demo_text(name, [source]))
        return
    known = sorted(set(re.findall(r"\bdemo_\w+", text)))
    if known and publishing.demo_text(name, known) == text:
        plan.add(file, publishing.demo_text(name, sorted({*known, source})))
    else:
        plan.remarks.append(f"{file} was written by hand: chain {source}.records(scale) to what it hands in.")
