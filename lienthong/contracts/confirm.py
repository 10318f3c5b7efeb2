"""What a contract was given as a guess, for a person to confirm: tags that begin with `confirm:` (hop 3).

A guess is sound, so that everything runs at once; but nobody has said that it is right. It is told at every
check, and no cluster but the embedded one gets a contract that still holds one.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from lienthong.contracts.document import At, Document, Finding
from lienthong.contracts.fields import iter_written
from lienthong.contracts.folder import read_folder
from lienthong.contracts.load import LIVE, Contracts
from lienthong.errors import ContractsNotSound

CONFIRM: Final = "confirm:"
GUESSES: Final[Mapping[str, str]] = {
    "confirm:words": "title, label or description",
    "confirm:bounds": "bounds",
    "confirm:classification": "classification",
    "confirm:promises": "promises",
    "confirm:offset": "offset from UTC",
}
"""What may be guessed, by its tag."""
FIELDS: Final[At] = ("schema", 0, "properties")
NAMED: Final = 5


def notices(root: Path) -> list[Finding]:
    """List every guess that waits for a person, with file and line."""
    folder = read_folder(root)
    return sorted(
        notice
        for document in folder.contracts.values()
        for at, what, tag in iter_guesses(document.data)
        for notice in [_notice(document, at, what, tag)]
    )


def refuse_guesses(contracts: Contracts) -> None:
    """Refuse to bring guesses to a cluster on which others depend.

    Raises:
        ContractsNotSound: naming the first of them.
    """
    found = [
        f"{topic}: {GUESSES.get(tag, tag)} of {what}"
        for topic, contract in contracts.contracts.items()
        if contract.status in LIVE
        for _, what, tag in iter_guesses(contract.raw)
    ]
    if found:
        more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
        raise ContractsNotSound(
            reason=f"{len(found)} guesses wait for a person: {'; '.join(found[:NAMED])}{more}",
            remedy="Look at each (`lienthong contracts check` tells file and line); delete its tag.",
        )


def iter_guesses(data: Any) -> Iterator[tuple[At, str, str]]:
    """Walk the guesses of a contract as written: where, of what, which tag."""
    if not isinstance(data, dict):
        return
    for position, tag in _tags(data):
        yield ("tags", position), "the contract", tag
    subjects = data.get("schema")
    properties = subjects[0].get("properties") if isinstance(subjects, list) and subjects else None
    for field in iter_written(properties, FIELDS):
        for position, tag in _tags(field.item):
            yield (*field.at, "tags", position), f"field `{field.path}`", tag


def _tags(item: Mapping[str, Any]) -> list[tuple[int, str]]:
    tags = item.get("tags")
    found = enumerate(tags if isinstance(tags, list) else ())
    return [(at, tag) for at, tag in found if isinstance(tag, str) and tag.startswith(CONFIRM)]


def _notice(document: Document, at: At, what: str, tag: str) -> Finding:
    message = f"{what}: {GUESSES.get(tag, tag.removeprefix(CONFIRM))} guessed."
    return document.finding(
        at, "confirm", message, f"Correct it where it is wrong, then delete the tag {tag}."
    )
