"""A file's lines become records: JSON Lines, and spreadsheets as people save them."""

import io
from pathlib import Path
from typing import Any

import orjson
import pytest

from lienthong.errors import NotValid
from lienthong.lines import CHUNK, LONGEST, Line, Lines, find_form, iter_csv, iter_json

SCHEMA: dict[str, Any] = orjson.loads(
    (Path(__file__).parents[2] / "schemas/trade/price-observed/1.0.0.json").read_bytes()
)
TOPIC = "trade.price-observed.v1"
FIELDS = "market_code,good_code,observation_id,observed_at,price_vnd"
LABELS = "Điểm bán;Mặt hàng;Số quan sát;Thời điểm quan sát;Giá (đồng)"
ROW = "00004-01,rice,00004-01-20261120-000001,2026-11-20T08:00:00+07:00,18000"
RECORD = {
    "market_code": "00004-01",
    "good_code": "rice",
    "observation_id": "00004-01-20261120-000001",
    "observed_at": "2026-11-20T08:00:00+07:00",
    "price_vnd": 18000,
}
WIDE: dict[str, Any] = {
    "$id": "urn:vn.gov.hanoi:trade:thing:1.0.0",
    "required": ["thing_id"],
    "properties": {
        "thing_id": {"type": "string", "title": "Mã"},
        "weight_kg": {"type": "number", "title": "Cân nặng"},
        "is_open": {"type": "boolean", "title": "Mở cửa"},
        "tags": {"type": "array", "title": "Nhãn"},
        "owner": {
            "type": "object",
            "title": "Chủ",
            "required": ["full_name"],
            "properties": {
                "full_name": {"type": "string", "title": "Họ tên"},
                "age_years": {"type": "integer", "title": "Tuổi"},
            },
        },
    },
}


def lines_of(content: str | bytes) -> Lines:
    raw = content.encode() if isinstance(content, str) else content
    return Lines(io.BytesIO(raw).read1)


def read_csv(content: str | bytes, schema: dict[str, Any] = SCHEMA) -> list[Line]:
    return list(iter_csv(iter(lines_of(content)), TOPIC, schema))


def read_json(content: str | bytes) -> list[Line]:
    return list(iter_json(iter(lines_of(content))))


def refusal(header: str, schema: dict[str, Any] = SCHEMA) -> list[tuple[str, str]]:
    with pytest.raises(NotValid) as refused:
        read_csv(f"{header}\n", schema)
    assert "Correct the first line of the file" in str(refused.value)
    return [(problem.path, problem.message) for problem in refused.value.problems]


@pytest.mark.parametrize(
    "content",
    [
        f"{FIELDS}\n{ROW}\n",
        f"{FIELDS}\r\n{ROW}",
        f"\ufeff{FIELDS}\r\n{ROW}\r\n",
        f"\n{FIELDS}\n\n{ROW}\n,,,,\n",
        f"{LABELS}\n{ROW.replace(',', ';')}\n",
        f"{LABELS.upper()}\n{ROW.replace(',', ';')}\n",
        f"{FIELDS}\n{ROW}\n".replace(",", "\t"),
        f"{FIELDS},\n{ROW},\n",
        f'{FIELDS}\n"00004-01", rice ,{",".join(ROW.split(",")[2:])}\n',
    ],
    ids=[
        "as it is",
        "by Windows",
        "by Excel",
        "empty lines",
        "in Vietnamese",
        "in capitals",
        "tabs",
        "an empty column",
        "quotes and spaces",
    ],
)
def test_a_spreadsheet_is_read_as_people_save_it(content):
    (line,) = read_csv(content)
    assert line.data == RECORD
    assert line.problems == ()


def test_labels_in_either_unicode_form_name_their_fields():
    import unicodedata

    decomposed = unicodedata.normalize("NFD", LABELS)
    (line,) = read_csv(f"{decomposed}\n{ROW.replace(',', ';')}\n")
    assert line.data == RECORD


def test_cells_become_what_the_schema_says_and_an_empty_one_says_nothing():
    header = "thing_id,weight_kg,is_open,tags,owner.full_name,owner.age_years"
    rows = ['a,1.5,có,"[1, 2]",Nguyễn Thị Mẫu,34', "b,,,,,", "c,3,false,[],Lê Văn Thử,"]
    assert [line.data for line in read_csv("\n".join([header, *rows]), WIDE)] == [
        {
            "thing_id": "a",
            "weight_kg": 1.5,
            "is_open": True,
            "tags": [1, 2],
            "owner": {"full_name": "Nguyễn Thị Mẫu", "age_years": 34},
        },
        {"thing_id": "b"},
        {
            "thing_id": "c",
            "weight_kg": 3.0,
            "is_open": False,
            "tags": [],
            "owner": {"full_name": "Lê Văn Thử"},
        },
    ]


def test_a_comma_is_a_decimal_sign_where_semicolons_part_the_cells():
    (line,) = read_csv("thing_id;weight_kg\na;1,5\n", WIDE)
    assert line.data == {"thing_id": "a", "weight_kg": 1.5}


@pytest.mark.parametrize("cell", ["18.000", "18 000", "1e4", "mười", "١٨", "9" * 30, "0x10", "+5"])
def test_a_number_that_could_be_two_stays_text_for_the_gate_to_refuse(cell):
    (line,) = read_csv(f"thing_id;owner.age_years;weight_kg\na;{cell};{cell}\n", WIDE)
    assert line.data == {"thing_id": "a", "owner": {"age_years": cell}, "weight_kg": cell}


def test_a_first_line_that_is_none_is_told_whole_without_repeating_it():
    assert refusal("market_code,Nguyễn Thị Mẫu,good_code,good_code") == [
        ("column 2", "is no field of the contract, by name or by label"),
        ("good_code", "2 columns hold it (Mặt hàng)"),
        ("observation_id", "no column holds it, and it is required (Số quan sát)"),
        ("observed_at", "no column holds it, and it is required (Thời điểm quan sát)"),
        ("price_vnd", "no column holds it, and it is required (Giá (đồng))"),
    ]


def test_a_required_field_of_an_optional_object_may_have_no_column():
    assert read_csv("thing_id\na\n", WIDE) == [Line(2, {"thing_id": "a"})]


def test_a_line_is_named_by_where_it_begins():
    content = f'{FIELDS}\n{ROW}\n"a\nb",x\n{ROW}\n{ROW},surplus\n'
    lines = read_csv(content)
    assert [line.number for line in lines] == [2, 3, 5, 6]
    assert lines[1].data == {"market_code": "a\nb", "good_code": "x"}
    assert [str(problem) for problem in lines[3].problems] == [
        "column 6: holds something, and the first line names 5 columns only"
    ]


def test_a_quote_that_never_ends_is_told_and_so_is_how_far_it_went():
    lines = read_csv(f'{FIELDS}\n{ROW}\n"{ROW}\n{ROW}\n')
    assert lines[0].data == RECORD
    assert [(line.number, line.data) for line in lines[1:]] == [(3, None)]
    assert str(lines[1].problems[0]).startswith("/: not a record of CSV, up to line 4: ")


def test_a_line_that_is_not_utf_8_is_told_and_the_next_is_read():
    content = f"{FIELDS}\n".encode() + b"Ch\xf5,\n" + f"{ROW}\n".encode()
    lines = read_csv(content)
    assert "save as CSV UTF-8" in lines[0].problems[0].message
    assert lines[-1].data == RECORD


def test_a_spreadsheet_saved_as_unicode_text_is_told_how_to_save_it():
    with pytest.raises(NotValid) as refused:
        read_csv(f"{FIELDS}\n{ROW}\n".encode("utf-16"))
    assert "not UTF-8 at byte 0: save as CSV UTF-8" in str(refused.value)


def test_json_lines_are_read_strictly_one_object_a_line():
    content = b'\xef\xbb\xbf{"a": 1}\n\n[1]\n{"a": 1, "a": 2}\r\n{"b": "\xff"}\n{"c": 3}'
    lines = read_json(content)
    assert [(line.number, line.data) for line in lines] == [
        (1, {"a": 1}),
        (3, None),
        (4, None),
        (5, None),
        (6, {"c": 3}),
    ]
    assert [problem.rule for line in lines for problem in line.problems] == [
        "json",
        "repeated-name",
        "encoding",
    ]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_line_without_end_is_told_and_never_held_whole(form):
    content = b'{"a": 1}\n' if form == "jsonl" else b"thing_id\n"
    content += b"x" * (3 * LONGEST) + b'\n{"a": 2}\n'
    read = iter_json(iter(lines_of(content)))
    lines = list(read) if form == "jsonl" else read_csv(content, WIDE)
    found = {line.number: line for line in lines}
    assert found[2].problems[0].rule == "size"
    assert found[3].data is not None


@pytest.mark.parametrize(
    ("content", "form"),
    [
        ('{"a": 1}\n', "jsonl"),
        ('\n\n  {"a": 1}', "jsonl"),
        ("[1]", "jsonl"),
        (f"{FIELDS}\n", "csv"),
        ("", "jsonl"),
    ],
)
def test_the_first_character_tells_how_a_file_is_written(content, form):
    found, lines = find_form(iter(lines_of(content)))
    assert found == form
    assert b"\n".join(lines).strip() == content.strip().encode()


def test_what_a_pipe_has_given_does_not_wait_for_what_it_has_not():
    """A sensor's reading goes into the spool when it comes, not when the pipe is full or ends."""
    given = iter([b'{"a"', b": 1}\n", b'{"a": 2}\n{"a": 3}\n{"a"', b": 4}\n", b""])
    reading = Lines(lambda _: next(given))
    assert [(line, reading.rests) for line in reading] == [
        (b'{"a": 1}', True),
        (b'{"a": 2}', False),
        (b'{"a": 3}', True),
        (b'{"a": 4}', True),
    ]


def test_lines_longer_than_what_is_read_at_once_are_whole():
    long = b"x" * (2 * CHUNK + 5)
    assert list(lines_of(b"a\n" + long + b"\nb")) == [b"a", long, b"b"]
