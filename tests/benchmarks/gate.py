"""Measure what one event costs on the gate's good path: `python -m tests.benchmarks.gate`.

Prints microseconds an event, the best of several rounds, on one core. Nothing is asserted: machines differ.
"""

import json
import os
import timeit
from collections.abc import Callable
from typing import Any

import orjson
from rich.console import Console

from lienthong import strict_json
from lienthong.event import read_record, to_headers, uuid7
from lienthong.gate import Gate
from lienthong.shape import Shape
from tests.benchmarks.figures import Figure, show
from tests.unit.birth import DATA, EVENT_ID, NOW, SCHEMA, STATE_SCHEMA, TOPIC, raw_event

SECTION = "Gate: one event on one core, nothing else running"
WIDE = {**DATA, "note": "Số 12, ngõ 5 phố Huế, phường Hai Bà Trưng, thành phố Hà Nội"}
RAW = orjson.dumps(WIDE)
SPACED = json.dumps(WIDE, ensure_ascii=False, indent=1).encode()
ENGINE_ONLY = [{"name": "r", "expression": "data.born_at - event.time < duration('1h')", "description": "r"}]
AROUND: dict[str, Any] = {"time": NOW, "recorded_at": NOW, "subject": None, "event_id": EVENT_ID}


def gate_with(rules: list[dict[str, str]]) -> Gate:
    return Gate([Shape.of({**SCHEMA, "x-rules": rules}), Shape.of(STATE_SCHEMA)])


def cases() -> dict[str, Callable[[], Any]]:
    bare, plain, engine = gate_with([]), gate_with(SCHEMA["x-rules"]), gate_with(ENGINE_ONLY)
    event = raw_event(value=RAW)
    headers, key = to_headers(event), event.key.encode()
    validator, parsed = Shape.of(SCHEMA).validator, orjson.loads(RAW)
    return {
        "uuid7": lambda: uuid7(NOW, os.urandom),
        "to_headers": lambda: to_headers(event),
        "read_record": lambda: read_record(TOPIC, 0, 1, 1_763_168_523_456, key, RAW, headers),
        "strict JSON": lambda: strict_json.read(RAW),
        "text": lambda: strict_json.text_problems(RAW, parsed),
        "schema alone": lambda: validator.is_valid(parsed),
        "check_data, no rule": lambda: bare.check_data(TOPIC, RAW, **AROUND),
        "check_data, a plain rule": lambda: plain.check_data(TOPIC, RAW, **AROUND),
        "check_data, a rule of the engine": lambda: engine.check_data(TOPIC, RAW, **AROUND),
        "check_data, JSON with white space": lambda: bare.check_data(TOPIC, SPACED, **AROUND),
        "admit, a plain rule": lambda: plain.admit("health", event, TOPIC),
        "recheck, a plain rule": lambda: plain.recheck(TOPIC, event),
    }


def measure(*, quick: bool = False) -> list[Figure]:
    """Time every case; the schema's own check is what a gate with nothing around it would cost."""
    times, repeat = (2_000, 3) if quick else (20_000, 5)
    return [
        Figure(SECTION, name, min(timeit.repeat(act, number=times, repeat=repeat)) / times * 1e6, "µs")
        for name, act in cases().items()
    ]


def main() -> None:
    show(measure(), Console())


if __name__ == "__main__":
    main()
