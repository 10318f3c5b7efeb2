"""Give each department a copy of its own password, in a folder that is mounted into its container only."""

from pathlib import Path
from typing import Final

from lienthong.embedded.secret import write_private
from lienthong.errors import SettingsNotUsable

PASSWORD: Final = "password"  # noqa: S105  (the name of a file)


def hand_out(data: Path, folders: Path) -> list[str]:
    """Give each department that has a folder here a copy of its own password; say whose was new.

    Raises:
        SettingsNotUsable: the folder cannot be written.
    """
    given = []
    try:
        for place in sorted(folder for folder in folders.iterdir() if folder.is_dir()):
            original = data / "secrets" / f"{place.name}.password"
            copy = place / PASSWORD
            if not original.exists():
                continue
            secret = original.read_text(encoding="utf-8")
            if not copy.exists() or copy.read_text(encoding="utf-8") != secret:
                write_private(copy, secret)
                given.append(place.name)
    except OSError as error:
        raise SettingsNotUsable(
            reason=f"Passwords cannot be handed out to {error.filename or folders}: {error.strerror}.",
            remedy="Name a folder that holds one folder for each department, and may be written.",
        ) from None
    return given
