"""Draft the next major of a contract: a file of its own, for its author to confirm (hop 3)."""

import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from lienthong import names
from lienthong.contracts.document import read_document
from lienthong.contracts.folder import CONTRACTS
from lienthong.contracts.frozen import not_written
from lienthong.errors import ContractsNotSound

OF_A_PROCEDURE: Final = ("opens", "step", "parts")
"""What only one major of an event may say; it goes over to the new one when that becomes active."""


def draft_major(root: Path, topic: str) -> tuple[Path, ...]:
    """Write the next major of a contract as a draft, with its examples; nothing is overwritten.

    What the contract says today becomes the draft. What the frozen version said has to come back into the
    old file: whoever reads it goes on reading it.

    Raises:
        ContractsNotSound: where there is no such contract, it cannot be read, or the draft is there already.
    """
    old = names.find_topic(topic)
    if old is None or not _file(root, old).is_file():
        raise ContractsNotSound(
            reason=f"There is no contract {topic}.",
            remedy="Name a topic with its major, as health.facility.v1: `lienthong contracts list`.",
        )
    new = _next(root, old)
    written: list[Path] = []
    try:
        for ending in ("yaml", "examples.yaml"):
            source, target = _file(root, old, ending), _file(root, new, ending)
            if source.is_file():
                text = _drafted(root, source, old, new, is_contract=ending == "yaml")
                with target.open("x", encoding="utf-8") as opened:
                    written.append(target)
                    opened.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise not_written(error) from error
    return tuple(path.relative_to(root) for path in written)


def _next(root: Path, old: names.Topic) -> names.Topic:
    """Name the major after the newest one that there is."""
    found = root.joinpath(CONTRACTS, old.department).glob(f"{old.event}.v*.yaml")
    majors = [
        int(one[1]) for path in found if (one := re.fullmatch(r".*\.v([1-9][0-9]{0,3})\.yaml", path.name))
    ]
    newest = max(majors)
    if newest != old.major:
        raise ContractsNotSound(
            reason=f"{old.department}.{old.event} has major {newest} already.",
            remedy=f"Edit {CONTRACTS}/{old.department}/{old.event}.v{newest}.yaml, or name that topic.",
        )
    return old._replace(major=old.major + 1)


def _file(root: Path, topic: names.Topic, ending: str = "yaml") -> Path:
    return root / CONTRACTS / topic.department / f"{topic.event}.v{topic.major}.{ending}"


def _drafted(root: Path, source: Path, old: names.Topic, new: names.Topic, *, is_contract: bool) -> str:
    document, findings = read_document(source, root)
    if document is None or not isinstance(document.data, dict):
        raise ContractsNotSound(
            reason=f"{source.relative_to(root).as_posix()} cannot be read: {'; '.join(map(str, findings))}",
            remedy="Correct it; `lienthong contracts check` says where.",
        )
    text = source.read_text(encoding="utf-8").replace(str(old), str(new))
    if not is_contract:
        return text
    text = text.replace(f"{old.event}.v{old.major}.yaml#", f"{new.event}.v{new.major}.yaml#")
    yaml = YAML()  # keeps comments and the order of keys; what is read was judged above
    yaml.width = 100_000  # no line is broken anew
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    data = yaml.load(text)
    data["version"] = f"{new.major}.0.0"
    data["status"] = "draft"
    data["slaProperties"] = _without(data.get("slaProperties", []), ("endOfLife",))
    data["customProperties"] = _without(data.get("customProperties", []), (*OF_A_PROCEDURE, "continues"))
    # A field keeps its name until the author says otherwise.
    data["customProperties"].append({"property": "continues", "value": {"topic": str(old), "mapping": []}})
    for role in data.get("roles", []):
        role["customProperties"] = _without(role.get("customProperties", []), ("procedure",))
    written = io.StringIO()
    yaml.dump(data, written)
    return written.getvalue()


def _without(entries: Any, left_out: Iterable[str]) -> Any:
    """Take entries out of a list of properties, in place: comments stay with what they stand beside."""
    for position in reversed(range(len(entries))):
        if entries[position].get("property") in left_out:
            del entries[position]
    return entries
