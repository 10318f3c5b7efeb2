"""What a new department, event or reader writes: shown first, judged, then written whole or not at all."""

import difflib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from lienthong.contracts.check import check
from lienthong.contracts.folder import CONTRACTS
from lienthong.contracts.frozen import SCHEMAS, replace_file
from lienthong.contracts.load import not_sound
from lienthong.errors import ContractsNotSound

JUDGED: Final = (CONTRACTS, SCHEMAS)


@dataclass(frozen=True, slots=True)
class Change:
    """One file, relative to the root folder: written new, or with lines added to what is there."""

    file: Path
    kind: Literal["write", "add"]
    text: str
    before: str = ""

    @property
    def added(self) -> list[str]:
        """The lines that are added."""
        if self.kind == "write":
            return self.text.splitlines()
        compared = difflib.ndiff(self.before.splitlines(), self.text.splitlines())
        return [line[2:] for line in compared if line.startswith("+ ")]


@dataclass(slots=True)
class Plan:
    """Every change, and what a person has to know or do beside them."""

    root: Path
    changes: dict[Path, Change] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def read(self, file: str | Path) -> str | None:
        """Give a file's text as it will be; None where there will be none."""
        path = Path(file)
        if path in self.changes:
            return self.changes[path].text
        there = self.root / path
        return there.read_text(encoding="utf-8") if there.exists() else None

    def write(self, file: str | Path, text: str) -> None:
        """Plan a new file.

        Raises:
            ContractsNotSound: there is one of this name; it would be overwritten.
        """
        path = Path(file)
        if (self.root / path).exists() or path in self.changes:
            raise ContractsNotSound(
                reason=f"{path.as_posix()} is there already, and nothing is overwritten.",
                remedy="Name it otherwise, or change that file by hand.",
            )
        self.changes[path] = Change(path, "write", text)

    def add(self, file: str | Path, text: str) -> None:
        """Plan lines added to a file that is there, or is about to be."""
        path = Path(file)
        known = self.changes.get(path)
        if known is not None:
            self.changes[path] = Change(path, known.kind, text, known.before)
        else:
            before = (self.root / path).read_text(encoding="utf-8")
            self.changes[path] = Change(path, "add", text, before)

    def prove(self) -> None:
        """Judge the contracts as they will be, in a copy.

        Raises:
            ContractsNotSound: what would be written breaks the house's rules; every problem is listed.
        """
        with tempfile.TemporaryDirectory(prefix="lienthong-new-") as copy:
            root = Path(copy)
            for name in JUDGED:
                if (self.root / name).is_dir():
                    shutil.copytree(self.root / name, root / name)
            (root / CONTRACTS).mkdir(exist_ok=True)
            for path, change in self.changes.items():
                if path.parts[0] in JUDGED:
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    (root / path).write_text(change.text, encoding="utf-8")
            ours = [finding for finding in check(root) if finding.file in self.changes]
        if ours:
            raise not_sound(ours)

    def carry_out(self) -> None:
        """Write every file; should one not be written, those before it are taken back.

        Raises:
            ContractsNotSound: a file cannot be written, or has changed since the plan was made.
        """
        done: list[Change] = []
        try:
            for change in self.changes.values():
                self._carry_out(change)
                done.append(change)
        except OSError as error:
            for change in reversed(done):
                self._take_back(change)
            raise ContractsNotSound(
                reason=f"{error.filename} cannot be written ({error.strerror}); nothing was.",
                remedy="Make room and rights for it, or let the other writer end; run the command again.",
            ) from error

    def _carry_out(self, change: Change) -> None:
        path = self.root / change.file
        path.parent.mkdir(parents=True, exist_ok=True)
        if change.kind == "write":
            with path.open("x", encoding="utf-8") as opened:  # never over another's, written meanwhile
                opened.write(change.text)
            return
        if path.read_text(encoding="utf-8") != change.before:
            raise FileExistsError(0, "it was changed meanwhile", str(path))
        replace_file(path, change.text.encode())

    def _take_back(self, change: Change) -> None:
        path = self.root / change.file
        if change.kind == "add":
            replace_file(path, change.before.encode())
            return
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()

    def as_json(self) -> Mapping[str, Any]:
        return {
            "changes": [
                {"file": one.file.as_posix(), "kind": one.kind, "added": len(one.added)}
                for one in self.changes.values()
            ],
            "remarks": self.remarks,
        }
