"""Say where a field of the newer major allows what the former one's, which it fills, refuses (hop 3)."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from lienthong.contracts.contract import Derivation, Field

_FAR: Final = Decimal("Infinity")


def wider(old: Field, sources: Sequence[Field], derivation: Derivation) -> str:
    """Say which bound of the former field a sound fact may break; empty where none surely is.

    Patterns and rules are not compared here: the mapped examples and the gate are asked about those.
    """
    if old.logical_type in {"integer", "number"}:
        return _number(old, sources[0], Decimal(str(derivation.times or 1)))
    if old.logical_type == "string":
        return _text(old, sources, derivation)
    return _list(old, sources[0]) if old.logical_type == "array" else ""


def _number(old: Field, new: Field, times: Decimal) -> str:
    (old_low, old_high), (low, high) = _range(old), _range(new)
    if (low[0] * times, low[1]) < old_low:
        return f"values below {old_low[0]} are allowed"
    if (high[0] * times, high[1]) > old_high:
        return f"values above {old_high[0]} are allowed"
    return ""


def _range(field: Field) -> tuple[tuple[Decimal, int], tuple[Decimal, int]]:
    """Give the least and the greatest value; an excluded end counts as a hair inside."""
    options = field.options
    lows = [(Decimal(str(options["minimum"])), 0)] if "minimum" in options else []
    lows += [(Decimal(str(options["exclusiveMinimum"])), 1)] if "exclusiveMinimum" in options else []
    highs = [(Decimal(str(options["maximum"])), 0)] if "maximum" in options else []
    highs += [(Decimal(str(options["exclusiveMaximum"])), -1)] if "exclusiveMaximum" in options else []
    return max(lows, default=(-_FAR, 0)), min(highs, default=(_FAR, 0))


def _text(old: Field, sources: Sequence[Field], derivation: Derivation) -> str:
    most = old.options.get("maxLength")
    lengths = [source.options.get("maxLength") for source in sources]
    if most is not None and None not in lengths:
        longest = sum(int(length or 0) for length in lengths)
        longest += len(derivation.joined_by) * (len(sources) - 1)
        if longest > most:
            return f"texts of up to {longest} characters are allowed, and there only {most}"
    least = old.options.get("minLength", 0)
    is_plain = all("pattern" not in source.options and not source.codes for source in sources)
    sure = [source for source in sources if source.required] or [sources[0]]
    shortest = sum(source.options.get("minLength", 0) for source in sure)
    shortest += len(derivation.joined_by) * (len(sure) - 1)
    if is_plain and not old.codes and shortest < least:
        return f"texts of less than {least} characters are allowed"
    return ""


def _list(old: Field, new: Field) -> str:
    if new.options.get("maxItems", 0) > old.options.get("maxItems", new.options.get("maxItems", 0)):
        return f"lists of more than {old.options['maxItems']} are allowed"
    if new.options.get("minItems", 0) < old.options.get("minItems", 0):
        return f"lists of less than {old.options['minItems']} are allowed"
    if old.options.get("uniqueItems") and not new.options.get("uniqueItems"):
        return "lists with repetitions are allowed"
    return ""
