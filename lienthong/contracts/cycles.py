"""Find references that lead in a circle: whoever looks one up would never come to an owner (hop 3)."""

from collections.abc import Iterator
from typing import Final

from lienthong import names
from lienthong.contracts.document import At, Document, Finding
from lienthong.contracts.fields import REFERENCE, iter_written
from lienthong.contracts.folder import Folder

_FIELDS: Final[At] = ("schema", 0, "properties")
Place = tuple[names.Topic, str]
"""A field of a contract, by its name."""


def cycle_findings(folder: Folder) -> Iterator[Finding]:
    """Tell each circle once, where the first of its fields refers to the next."""
    leads: dict[Place, tuple[Place, Document, At]] = {}
    for topic, document in sorted(folder.contracts.items()):
        for place, target, at in _references(topic, document):
            leads[place] = (target, document, at)
    told: set[Place] = set()
    for start, (_, document, at) in leads.items():
        way = [start]
        while (step := leads.get(way[-1])) is not None and step[0] not in way:
            way.append(step[0])
        if step is not None and step[0] == start and not told & set(way):
            told.update(way)
            shown = " → ".join(f"{topic}#{name}" for topic, name in [*way, start])
            remedy = "Let the owner's field stand by itself: it refers to nothing."
            yield document.finding(at, "reference", f"references lead in a circle: {shown}.", remedy)


def _references(topic: names.Topic, document: Document) -> Iterator[tuple[Place, Place, At]]:
    try:
        properties = document.data["schema"][0]["properties"]
    except (KeyError, IndexError, TypeError):
        return
    for field in iter_written(properties, _FIELDS):
        listed = field.item.get("relationships")
        first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
        match = REFERENCE.fullmatch(str(first.get("to", "")))
        if match is not None:
            target = names.Topic(match[1] or topic.department, match[2], int(match[3]))
            yield (topic, field.path), (target, match[5]), (*field.at, "relationships", 0, "to")
