"""How much a group may set aside before it stops: a topic must not empty itself into dead letters (hop 7)."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence


class Bound:
    """Remembers what became of the last records a group dealt with: set aside, with which code, or handled.

    Redelivered records that the inbox knew do not count; they say nothing about what comes now.

    Args:
        most: So many set aside among the last ones are too many; 0 for no bound.
        window: How many are looked at.
    """

    def __init__(self, most: int, window: int) -> None:
        self._most = most
        self._last: deque[str | None] = deque(maxlen=window)

    def note(self, codes: Iterable[str | None]) -> None:
        """Take note of records dealt with, in order: the code of one set aside, None for one handled."""
        self._last.extend(codes)

    def is_reached(self, codes: Sequence[str | None] = ()) -> bool:
        """Tell whether it is reached, should these records be dealt with too."""
        if not self._most:
            return False
        last = deque((*self._last, *codes), self._last.maxlen)
        return len(last) - last.count(None) >= self._most

    def told(self) -> str:
        """Say what was set aside, and for which reasons, the most frequent first."""
        counted = Counter(code for code in self._last if code is not None)
        reasons = ", ".join(f"`{code}`" for code, _ in counted.most_common())
        return f"{counted.total()} of the last {len(self._last)} set aside, for {reasons}"
