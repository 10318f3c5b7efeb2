"""Write the page of all settings from `Settings` itself: `python -m lienthong.settings_page`."""

import sys
import typing
from collections.abc import Iterator
from typing import Any, Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from lienthong.settings import PREFIX, Settings

PLACES: Final = {
    "LIENTHONG_ROOT": "Folder that holds `contracts/` and `schemas/`; unset: this folder, or one above it.",
    "LIENTHONG_DATA": "Data folder of the embedded bus; unset: `.lienthong` in the root.",
    "LIENTHONG_SPOOL": "Folder of the spools, on a disk of this machine; unset: `spool` in the data folder.",
}
"""What is read before any settings are."""

COMPUTED: Final = {"instance": "host name and process id"}
"""Defaults that differ from machine to machine, in words."""

HEAD: Final = """# Settings
Written by `python -m lienthong.settings_page > docs/operate/settings.md`; edit `lienthong/settings.py`.

A service reads its environment. A name that begins with `LIENTHONG_` and is not listed here stops its start,
and so does a value out of bounds. Where `LIENTHONG_BOOTSTRAP_SERVERS` is unset, all that is needed to reach
the bus is taken from the embedded one of the data folder. `lienthong env DEPARTMENT` prints a usable set.

"""


def settings_page() -> str:
    """Compose the page, Markdown."""
    lines = [*_rows("variable", "default", "bounds", "meaning"), *_rows(*["---"] * 4)]
    for name, field in Settings.model_fields.items():
        lines += _rows(
            f"`{PREFIX}{name.upper()}`", _default(name, field), _bounds(field), field.description or ""
        )
    lines += ["", "Where things lie on this machine is read first, by commands too:", ""]
    lines += [*_rows("variable", "meaning"), *_rows("---", "---")]
    for variable, meaning in PLACES.items():
        lines += _rows(f"`{variable}`", meaning)
    return HEAD + "\n".join(lines) + "\n"


def _rows(*cells: str) -> Iterator[str]:
    yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if name in COMPUTED:
        return COMPUTED[name]
    return "none" if field.default is None else f"`{field.default}`"


def _bounds(field: FieldInfo) -> str:
    options: tuple[Any, ...] = typing.get_args(field.annotation)
    if typing.get_origin(field.annotation) is typing.Literal:
        return ", ".join(f"`{option}`" for option in options)
    if SecretStr in (field.annotation, *options):
        return "secret"
    words = (("ge", "at least"), ("gt", "above"), ("le", "at most"))
    told = [(word, getattr(bound, name, None)) for bound in field.metadata for name, word in words]
    return ", ".join(f"{word} {limit}" for word, limit in told if limit is not None)


if __name__ == "__main__":
    sys.stdout.write(settings_page())
