"""Generate the bus's own secrets at first start into files that only their owner can read."""

import os
import secrets
from pathlib import Path


def load_or_generate(file: Path) -> str:
    """Read a secret; generate it where there is none yet."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        write_private(file, secrets.token_urlsafe(24).replace("-", "0").replace("_", "1"))
    return file.read_text(encoding="utf-8").strip()


def write_private(file: Path, text: str, owner: int | None = None) -> None:
    """Write a file that is never readable by others, and never half there.

    Args:
        file: Replaced in one step, where it is there already.
        text: What it will hold.
        owner: Number of the user whose file it will be, where that is not ourselves.
    """
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as new:
        new.write(text)
        if owner is not None and owner != os.geteuid():
            os.fchown(descriptor, owner, owner)
        new.flush()
        os.fsync(new.fileno())
    beside.replace(file)
