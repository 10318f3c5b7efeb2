"""What makes two mentions the same event, in as few bytes as possible: 700,000 of them are held at once."""

from binascii import unhexlify
from typing import Final
from uuid import UUID

LENGTH: Final = 36


def identity(text: bytes) -> bytes:
    """Pack an event's id: 16 bytes for a UUID, the text itself for any other."""
    if len(text) == LENGTH:
        try:
            packed = unhexlify(text.replace(b"-", b""))
        except ValueError:
            return text
        if len(packed) == 16:
            return packed
    return text


def spell(packed: bytes) -> str:
    """Write an id as people and topics write it."""
    return str(UUID(bytes=packed)) if len(packed) == 16 else packed.decode(errors="replace")
