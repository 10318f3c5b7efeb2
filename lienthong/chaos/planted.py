"""Bugs to be planted."""


def plant(name: str) -> None:
    """Plant a bug."""
    assert not name
