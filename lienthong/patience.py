"""How long a retriable failure is tried again: so often, and so long after its first try (hop 6)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from lienthong.settings import Settings


@dataclass(frozen=True, slots=True)
class Patience:
    """The limits of one handler: where it names one of them, the other does not count."""

    attempts: int | None = None
    give_up_after: timedelta | None = None

    def or_of(self, settings: Settings) -> "Patience":
        """Give a handler's own limits, or the ones that were set for all."""
        if self != NONE_OF_ITS_OWN:
            return self
        age = timedelta(seconds=settings.give_up_seconds) if settings.give_up_seconds else None
        return Patience(settings.attempts, age)

    def why_ended(self, tries: int, first_at: datetime, now: datetime) -> str | None:
        """Say which limit is reached after so many tries, the first of them then; None where none is."""
        if self.attempts is not None and tries >= self.attempts:
            return f"Given up after {tries} {'tries' if tries != 1 else 'try'}."
        if self.give_up_after is not None and now - first_at >= self.give_up_after:
            return f"Given up {self.give_up_after} after the first of {tries} tries."
        return None


NONE_OF_ITS_OWN: Final = Patience()
