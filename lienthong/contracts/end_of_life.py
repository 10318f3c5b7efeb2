"""The last day of a dataset: announced once, extended at will, never shortened (hop 3)."""

from datetime import date, datetime
from pathlib import Path
from typing import Final

import orjson

from lienthong.contracts.contract import Contract
from lienthong.contracts.document import Finding
from lienthong.contracts.frozen import ENDS, SCHEMAS
from lienthong.contracts.load import Contracts
from lienthong.moments import HANOI

PLACE: Final = Path(SCHEMAS) / ENDS
"""The ends that were ever announced, by topic: what `release` holds a contract to."""


def end_findings(contracts: Contracts, today: date | None = None) -> list[Finding]:
    """Find every end that is sooner than the announced one, and every dataset that is over before its end."""
    announced, findings = read_ends(contracts.root)
    today = today or datetime.now(HANOI).date()
    for name, contract in contracts.contracts.items():
        before = announced.get(name)
        end = contract.end_of_life
        if before is not None and (end < before if end is not None else contract.status == "retired"):
            said = f"now ends on {end}" if end is not None else "now says no end"
            message = f"{name} was announced until {before}, and {said}: an end is extended, never shortened."
            remedy = f"Write {before} or a later day: readers have planned by it."
            findings.append(_finding(contract, contracts.root, message, remedy))
        elif end is not None and contract.status == "retired" and today <= end:
            message = f"{name} is retired, but promised until {end}."
            remedy = "Keep it deprecated to the end of that day; its readers rely on it."
            findings.append(_finding(contract, contracts.root, message, remedy))
    return findings


def read_ends(root: Path) -> tuple[dict[str, date], list[Finding]]:
    """Read the ends that were announced; none where none ever was."""
    path = root / PLACE
    try:
        said = orjson.loads(path.read_bytes())
        return {topic: date.fromisoformat(day) for topic, day in said.items()}, []
    except (FileNotFoundError, NotADirectoryError):
        return {}, []
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
        return {}, [Finding(PLACE, 1, "end-of-life", "is not what `release` wrote.", "Restore it.")]


def ends_bytes(contracts: Contracts) -> bytes | None:
    """Write the ends as they are announced from now on; None where there are none.

    An end that was taken back stays: the dataset may get another, but no sooner one.
    """
    ends, _ = read_ends(contracts.root)
    for name, contract in contracts.contracts.items():
        if contract.end_of_life is not None:
            ends[name] = max(contract.end_of_life, ends.get(name, contract.end_of_life))
    said = {name: end.isoformat() for name, end in ends.items()}
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(said, option=options) if said else None


def _finding(contract: Contract, root: Path, message: str, remedy: str) -> Finding:
    return Finding(contract.path.relative_to(root), 1, "end-of-life", message, remedy)
