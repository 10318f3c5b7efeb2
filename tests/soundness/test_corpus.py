"""The public cases: where we say what the registry says, and each place where we do not, with the reason."""

from pathlib import Path
from typing import Any

import pytest

from lienthong.contracts.compatibility import changes, level_of
from tests.soundness.corpus import FIELDS, WHOLES, Case

CASES = [*FIELDS, *WHOLES]
DECISION = Path(__file__).parents[2] / "docs/decisions/0024-computed-versions.md"


def level(case: Case) -> str:
    def whole(schema: dict[str, Any]) -> dict[str, Any]:
        if case in WHOLES:
            return schema
        return {
            "type": "object",
            "properties": {"foo": schema},
            "required": [],
            "additionalProperties": False,
        }

    return level_of(changes(whole(case.before), whole(case.after))) or "none"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.told)
def test_a_public_case_has_the_verdict_that_is_written_beside_it(case: Case) -> None:
    assert level(case) == case.ours


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.told)
def test_each_disagreement_has_a_reason_and_nothing_else_has(case: Case) -> None:
    assert ((case.ours != "breaking") != case.compatible) == bool(case.because)


def test_each_disagreement_is_listed_in_the_decision() -> None:
    text = DECISION.read_text("utf-8")
    assert [case.told for case in CASES if case.because and f"| {case.told} |" not in text] == []


def test_what_the_registry_calls_breaking_we_call_safe_in_one_case_only() -> None:
    bold = [case.told for case in CASES if not case.compatible and case.ours != "breaking"]
    assert bold == ["optional field added, open"]
