"""No verdict is unsound: what is called safe hurts nobody, and what is called breaking is shown to hurt.

Two thousand pairs; as many as SOUNDNESS_PAIRS says with `make soundness`.
"""

import os
from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from lienthong.contracts.compatibility import changes, next_version
from tests.soundness.shapes import change, make_contract
from tests.soundness.verdicts import NONE, Side, judge_sides, unsound

PAIRS_OF_ONE = 10
SHARDS = 4
PAIRS = int(os.environ.get("SOUNDNESS_PAIRS", "2000"))


@pytest.mark.parametrize("shard", range(SHARDS))
def test_no_verdict_is_unsound(shard: int) -> None:
    seen: Counter[str] = Counter()

    @seed(shard)
    @settings(
        max_examples=max(1, PAIRS // PAIRS_OF_ONE // SHARDS),
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False), st.integers(0, 2**31))
    def judge(drawn: Random, number: int) -> None:
        contract = make_contract(drawn)
        old = Side(contract, "1.0.0")
        for _ in range(PAIRS_OF_ONE):
            new = Side(change(drawn, contract), "1.1.0")
            verdict, flaws = judge_sides(Random(number), old, new, NONE)
            assert flaws == [], (contract.fields, new.contract.fields)
            seen[verdict] += 1

    judge()
    assert min(seen["safe"], seen["breaking"]) * 10 > seen.total(), seen


def test_versions_of_a_major_are_sound_in_any_order() -> None:
    """Each is compared with the one before it only; the first and the last hold all the same."""
    lengths: Counter[int] = Counter()
    for number in range(60):
        random = Random(number)
        contract = make_contract(random)
        chain = [Side(contract, "1.0.0")]
        for _ in range(30):
            contract = change(random, chain[-1].contract)
            version = next_version("1.0.0", changes(chain[-1].schema, Side(contract, "1.0.0").schema))
            if version not in (None, "1.0.0") and len(chain) < 6:
                chain.append(Side(contract, f"1.{len(chain)}.0"))
        lengths[len(chain)] += 1
        for at, old in enumerate(chain):
            for new in chain[at + 1 :]:
                assert list(unsound(random, old, new)) == [], (number, old.schema, new.schema)
                assert next_version("1.0.0", changes(old.schema, new.schema)) is not None, number
    assert lengths[6] > 20, lengths
