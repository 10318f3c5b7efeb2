"""A second major of the inspection, beside the first: what the tests of mappings spoil."""

from tests.unit.contract_city import INSPECTION, INSPECTION_EXAMPLES, City

SECOND = INSPECTION.replace(".v1", ".v2")
SECOND_EXAMPLES = INSPECTION_EXAMPLES.replace(".v1", ".v2")
END = '  - {property: endOfLife, value: "2099-06-30"}\n'

MAPPING = """customProperties:
  - property: continues
    value:
      topic: trade.market-inspected.v1
      mapping:
        - {field: verdict, from: finding/verdict, codes: {grave: unsound}}
        - {field: area_m2, from: area_ha, times: 10000}
        - {field: inspector/full_name, from: [inspector/family_name, inspector/given_name]}
"""

FINDING = """      - name: finding
        businessName: Kết luận
        description: Kết luận của đoàn, có mức độ.
        logicalType: object
        required: true
        classification: public
        properties:
          - name: verdict
            businessName: Kết luận
            description: Kết luận của đoàn.
            logicalType: string
            required: true
            classification: public
            enum:
              - {value: sound, description: Đạt}
              - {value: unsound, description: Không đạt}
              - {value: grave, description: Vi phạm nặng}
            examples: [sound]
"""


NAMES = """          - name: family_name
            businessName: Họ
            description: Họ và chữ đệm.
            logicalType: string
            logicalTypeOptions: {minLength: 1, maxLength: 60}
            required: true
            classification: personal
            examples: [Nguyễn Văn]
          - name: given_name
            businessName: Tên
            description: Tên gọi.
            logicalType: string
            logicalTypeOptions: {minLength: 1, maxLength: 59}
            required: true
            classification: personal
            examples: [Mẫu]
"""

SHOWN = """valid:
  - data:
      inspection_id: 2025-000017
      market_code: "0042"
      began_at: "2025-11-14T08:00:00+07:00"
      finding: {verdict: grave}
      due_on: "2025-12-01"
      area_ha: 0.01205
      stalls: [{stall_number: A12, faults: 2}]
      inspector: {family_name: Nguyễn Văn, given_name: Mẫu}
invalid:
  - because: Không có kết luận.
    paths: [/finding]
    data:
      inspection_id: 2025-000018
      market_code: "0042"
      began_at: "2025-11-14T08:00:00+07:00"
      stalls: [{stall_number: A12, faults: 2}]
      inspector: {family_name: Nguyễn Văn, given_name: Mẫu}
"""


def add_second_major(city: City) -> None:
    """Add the second major: the verdict nested, with a third code; the area in hectares; the name in two."""
    first = city.read(INSPECTION)
    text = _replaced(first, "      - name: verdict\n", "      - name: area_m2\n", FINDING)
    text = _replaced(text, "          - name: full_name\n", "    quality:\n", NAMES)
    for old, new in (
        ("market-inspected.v1", "market-inspected.v2"),
        ("version: 1.0.0", "version: 2.0.0"),
        ("name: area_m2", "name: area_ha"),
        ("{minimum: 1, maximum: 100000}", "{minimum: 0.0001, maximum: 10}"),
        ("[120.5]", "[0.01205]"),
        ("data.verdict", "data.finding.verdict"),
        ("verdict, ", "finding, "),
        ("customProperties:\n  - {property: partitions", MAPPING + "  - {property: partitions"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    city.write(SECOND, text)
    city.write(SECOND_EXAMPLES, SHOWN)
    city.write(INSPECTION, first.replace("slaProperties:\n", f"slaProperties:\n{END}"))


def _replaced(text: str, begin: str, end: str, by: str) -> str:
    start = text.index(begin)
    return text[:start] + by + text[text.index(end, start) :]
