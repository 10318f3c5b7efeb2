"""The department's source: its registrar's desk, where a few registrations are corrected or annulled."""

from collections.abc import Iterator

from lienthong.demo import Papers, Scale
from lienthong.demo.people import draw_name
from lienthong.demo.spoil import write

GIVES = ()
NEEDS = ("birth-slip", "death-slip")
COMES = {"correction": "last", "annulment": "last"}

CORRECTED, ANNULLED = 0.01, 0.002
"""Shares of births that are corrected, and of births and deaths that are annulled."""


def feed(scale: Scale, papers: Papers) -> Iterator[tuple[str, bytes]]:
    """Hand in corrections and annulments: of each some that are in order, one twice, and one of nothing."""
    dice = scale.dice("justice")
    births = [slip["notification_id"] for slip in papers["birth-slip"]]
    deaths = [slip["notice_id"] for slip in papers["death-slip"]]
    if not births:
        return
    wanted = round(len(births) * CORRECTED)
    chosen = dice.sample(births, min(len(births), wanted + round(len(births) * ANNULLED) + 1))
    corrected, annulled = chosen[:wanted], chosen[wanted:]
    for place, number in enumerate(corrected):
        change = ({"full_name": draw_name(dice, "female")}, {"sex": "male"}, {"sex": "female"})[place % 3]
        yield "correction", write({"number": number, "ground": "clerical-error", **change})
    for number in [*annulled, *annulled[:1], *deaths[: round(len(deaths) * ANNULLED) + 1]]:
        yield "annulment", write({"number": number})
    for kind in ("correction", "annulment"):
        yield (
            kind,
            write({"number": "00004-2025-999999", "full_name": "Không Có Ai", "ground": "clerical-error"}),
        )
