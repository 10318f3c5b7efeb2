"""A procedure for the small city: a market is inspected, and opened again; and every way to spoil it."""

from tests.unit.contract_city import INSPECTION, INSPECTION_EXAMPLES, MARKET, City

REOPENED = INSPECTION.replace("inspected", "reopened")
STRAY = INSPECTION.replace("inspected", "visited")

OPENS = """
  - property: opens
    value:
      procedure: inspection
      name: Kiểm tra chợ
      nameEn: Inspection of a market
      legalBasis: "Nghị định 60/2024/NĐ-CP"
      dossier: inspection_id
      submittedAt: began_at
"""
STEP = """
  - property: step
    value:
      procedure: inspection
      name: reopening
      label: Mở lại chợ
      labelEn: Opening the market again
      workingDays: 3
      legalBasis: "Nghị định 60/2024/NĐ-CP"
"""
PARTS = "\n  - {property: parts, value: [{procedure: inspection, part: ground}]}"
_LAST = "  - {property: maxBytes, value: 8192}"
_PURPOSE = "      - {property: purpose, value: market-watch}\n"
_PROCEDURE = "      - {property: procedure, value: Kiểm tra chợ}\n"


def with_procedure(city: City) -> City:
    """Give the city a procedure of two facts and a ground, and a fact that does not belong to it."""
    for file, event in ((REOPENED, "reopened"), (STRAY, "visited")):
        city.write(file, city.read(INSPECTION).replace("market-inspected", f"market-{event}"))
        city.write(INSPECTION_EXAMPLES.replace("inspected", event), city.read(INSPECTION_EXAMPLES))
    city.spoil(INSPECTION, _LAST, _LAST + OPENS.rstrip())
    city.spoil(INSPECTION, _PURPOSE, _PURPOSE + _PROCEDURE)
    city.spoil(REOPENED, _LAST, _LAST + STEP.rstrip())
    kind = "  - {property: kind, value: state}"
    city.spoil(MARKET, kind, kind + PARTS)
    return city


SPOILED_PROCEDURES = {
    "a part of a procedure that nobody opens": (
        MARKET,
        "{procedure: inspection, part: ground}",
        "{procedure: closing, part: ground}",
        "procedure",
        "closing is opened by no contract",
    ),
    "a part that means nothing": (MARKET, "part: ground", "part: grounds", "unknown-word", "part"),
    "a step of a procedure that nobody opens": (
        REOPENED,
        "procedure: inspection",
        "procedure: closing",
        "procedure",
        "closing is opened by no contract",
    ),
    "a term that is no number of days": (
        REOPENED,
        "workingDays: 3",
        'workingDays: "ba"',
        "wrong-kind",
        "workingDays",
    ),
    "a step without a legal basis": (
        REOPENED,
        '      legalBasis: "Nghị định 60/2024/NĐ-CP"\n',
        "",
        "missing-key",
        "legalBasis",
    ),
    "junk in a step": (REOPENED, "workingDays: 3", "workingDays: 3\n      days: 3", "unknown-key", "days"),
    "a procedure opened twice": (
        REOPENED,
        STEP,
        OPENS,
        "procedure",
        "opened twice",
    ),
    "a step that two facts end": (
        STRAY,
        _LAST,
        _LAST + STEP.rstrip(),
        "procedure",
        "ended by two facts",
    ),
    "a dossier that is no field": (
        INSPECTION,
        "dossier: inspection_id",
        "dossier: dossier_code",
        "procedure",
        "no required text",
    ),
    "a dossier's code that is personal": (
        INSPECTION,
        'classification: internal\n        examples: ["2025-000017"]',
        'classification: personal\n        examples: ["2025-000017"]',
        "procedure",
        "personal",
    ),
    "a submission that is no moment": (
        INSPECTION,
        "submittedAt: began_at",
        "submittedAt: due_on",
        "procedure",
        "no required timestamp",
    ),
    "steps asked for by a field that lists none": (
        INSPECTION,
        "submittedAt: began_at",
        "submittedAt: began_at\n      asks: stalls",
        "procedure",
        "no list of codes",
    ),
    "a grant for a procedure that nobody opens": (
        INSPECTION,
        "value: Kiểm tra chợ}",
        "value: Đóng cửa chợ}",
        "procedure",
        "that no contract opens",
    ),
    "a grant for a procedure to which the fact does not belong": (
        STRAY,
        _PURPOSE,
        _PURPOSE + _PROCEDURE,
        "procedure",
        "does not belong",
    ),
}
