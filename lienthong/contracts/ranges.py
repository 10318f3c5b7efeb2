"""The numbers that a field's bounds allow, exactly (hop 3)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers that bounds allow: from, to (each itself allowed or not), in steps or without."""

    low: Fraction | None
    high: Fraction | None
    low_open: bool
    high_open: bool
    step: Fraction | None
    whole: bool

    @classmethod
    def of(cls, schema: Schema) -> "Range":
        """Read bounds; where numbers go in steps, the ends are moved to the steps that are allowed."""
        low, low_open = _tightest(schema, "minimum", "exclusiveMinimum", max)
        high, high_open = _tightest(schema, "maximum", "exclusiveMaximum", min)
        whole = schema.get("type") == "integer"
        step = Fraction(str(schema["multipleOf"])) if "multipleOf" in schema else None
        if whole and (step is None or (1 / step).denominator == 1):
            step = Fraction(1)
        if step is not None:
            if low is not None:
                at = floor(low / step) + 1 if low_open else ceil(low / step)
                low, low_open = at * step, False
            if high is not None:
                at = ceil(high / step) - 1 if high_open else floor(high / step)
                high, high_open = at * step, False
        return cls(low, high, low_open, high_open, step, whole)

    @property
    def is_empty(self) -> bool:
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))

    def is_within(self, other: "Range") -> bool:
        """Tell whether every number of this range surely belongs to the other one."""
        steps = other.step is None or (
            self.step is not None
            and (
                self.step == other.step
                or (
                    (self.step / other.step).denominator == 1
                    and _is_binary(self.step)
                    and _is_binary(other.step)
                )
            )
        )
        below = other.low is None or (
            self.low is not None
            and (self.low > other.low or (self.low == other.low and (self.low_open or not other.low_open)))
        )
        above = other.high is None or (
            self.high is not None
            and (
                self.high < other.high
                or (self.high == other.high and (self.high_open or not other.high_open))
            )
        )
        return steps and below and above

    def samples(self, other: "Range") -> tuple[int | float, ...]:
        """Give numbers of this range, its ends and what lies about the other's ends first."""
        step = self.step or Fraction(1, 8)
        ends = [end for end in (self.low, self.high, other.low, other.high) if end is not None] or [
            Fraction(0)
        ]
        near = [floor(end / step) * step + n * step for end in ends for n in (0, -1, 1, 2, -2, 3)]
        near += [end + n * Fraction(1, 1000) for end in ends if self.step is None for n in (1, -1)]
        within = [one for one in dict.fromkeys(ends + near) if self._holds(one)]
        return tuple(int(one) if one.denominator == 1 else float(one) for one in within)

    def _holds(self, number: Fraction) -> bool:
        below = self.low is None or number > self.low or (number == self.low and not self.low_open)
        above = self.high is None or number < self.high or (number == self.high and not self.high_open)
        return below and above and (self.step is None or (number / self.step).denominator == 1)


def _is_binary(number: Fraction) -> bool:
    """Tell whether every validator, whose numbers are binary, divides by it exactly: 3, 0.5, and not 0.1."""
    return number.denominator & (number.denominator - 1) == 0


def _tightest(
    schema: Schema, closed: str, opened: str, choose: Callable[..., Fraction]
) -> tuple[Fraction | None, bool]:
    ends = {name: Fraction(schema[name]) for name in (closed, opened) if name in schema}
    if not ends:
        return None, False
    end = choose(ends.values())
    return end, ends.get(opened) == end
