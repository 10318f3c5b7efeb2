"""Play a city: every department's synthetic input, all services, and the account of every fact."""

from dataclasses import dataclass
from typing import Any

Papers = dict[str, list[dict[str, Any]]]
"""What citizens carry from one counter to another, by the paper's name."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much a demo plays: `size` births (other inputs in proportion), everything drawn from `seed`."""

    seed: int = 63
    size: int = 1_000
