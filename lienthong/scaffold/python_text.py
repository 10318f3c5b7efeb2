"""Python as the house's formatter would leave it, whatever the names in it are."""

from collections.abc import Sequence
from typing import Final

from lienthong.contracts.typed import WIDTH

STEP: Final = "    "


def folded(head: str, items: Sequence[str], tail: str, indent: str = "") -> str:
    """Write `head(items)tail` on one line, else its items on one line of their own, else one a line."""
    line = f"{indent}{head}({', '.join(items)}){tail}"
    if len(line) <= WIDTH:
        return line
    inner = f"{indent}{STEP}{', '.join(items)}"
    if len(inner) <= WIDTH:
        return f"{indent}{head}(\n{inner}\n{indent}){tail}"
    rows = "".join(f"{indent}{STEP}{item},\n" for item in items)
    return f"{indent}{head}(\n{rows}{indent}){tail}"


def imported(module: str, names: Sequence[str], *, unused: bool = False) -> str:
    """Write one import; `unused` where a name is there to be imported only."""
    told = "  # noqa: F401" if unused else ""
    ordered = sorted(set(names), key=_order)
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= WIDTH:
        return line + told
    rows = "".join(f"{STEP}{name},\n" for name in ordered)
    return f"from {module} import ({told}\n{rows})"


def _order(name: str) -> tuple[int, str]:
    """Sort as the formatter does: constants, classes, the rest."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


def documented(sentence: str, indent: str = "") -> str:
    """Write a docstring of one line that no text can end early or make too long."""
    plain = " ".join(sentence.replace("\\", "/").replace('"', "'").split())
    return f'{indent}"""{plain[: WIDTH - len(indent) - 8].rstrip(" .")}."""'
