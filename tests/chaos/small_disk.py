"""A disk of so many megabytes in the place of a folder; only who may mount can have one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A file system of its own that can be filled, freed, and made read-only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave not a single page free."""
        with self._filler.open("ab", buffering=0) as file:
            while True:
                try:
                    if file.write(bytes(1 << 20)) < 1 << 20:
                        break
                except OSError:
                    break

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def forbid_writing(self) -> bool:
        """Make it read-only; tells whether that was possible (not while a file is open for writing)."""
        return _run("mount", "-o", "remount,ro", str(self.folder))

    def allow_writing(self) -> None:
        assert _run("mount", "-o", "remount,rw", str(self.folder))


def _run(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount one over an (empty) folder, which keeps its owner and mode."""
    folder.mkdir(parents=True, exist_ok=True)
    found = folder.stat()
    options = f"size={megabytes}m,mode={found.st_mode & 0o777:o},uid={found.st_uid},gid={found.st_gid}"
    if os.geteuid() != 0 or not _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)):
        pytest.skip("a disk of its own can be mounted by the super user only")
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", "--lazy", str(folder))
