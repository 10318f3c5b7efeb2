"""JSON that every reader understands alike."""

import json
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong import strict_json
from lienthong.errors import NotStrict


def problems(raw: bytes) -> list[tuple[str, str]]:
    return [(problem.path, problem.rule) for problem in strict_json.read(raw)[1]]


def odd_text(*texts: str) -> list[tuple[str, str]]:
    raw = orjson.dumps({"names": list(texts)})
    return [(problem.path, problem.rule) for problem in strict_json.text_problems(raw, orjson.loads(raw))]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a":1,"b":{"c":1,"c":2}}', [("/b/c", "repeated-name")]),
        (b'{"a":1,"\\u0061":2}', [("/a", "repeated-name")]),
        (b'{"a":1,"a":1,"a":1}', [("/a", "repeated-name")]),
        (b'{"n":[0,12345678901234567890123]}', [("/n/1", "integer-size")]),
        (b'{"n":18446744073709551616}', [("/n", "integer-size")]),
        (b'{"n":-9223372036854775809}', [("/n", "integer-size")]),
        (b'{"n":' + b"9" * 5000 + b"}", [("/n", "integer-size")]),
        (b'{"n":NaN,"m":-Infinity}', [("/n", "json"), ("/m", "json")]),
        (b'{"n":1e999}', [("", "json")]),
        (b'{"name":"\\ud83d"}', [("/name", "encoding")]),
        (b'{"name":"\xff"}', [("", "encoding")]),
        ('{"name":"Hà"}'.encode("utf-16"), [("", "encoding")]),
        (b'{"name":"\xed\xa0\x80"}', [("", "encoding")]),
        (b"\xef\xbb\xbf{}", [("", "json")]),
        (b"", [("", "json")]),
        (b"{'a':1}", [("", "json")]),
        (b"[" * 33 + b"]" * 33, [("", "depth")]),
        (b"[" * 100_000 + b"]" * 100_000, [("", "depth")]),
        (b"[" * 100_000, [("", "depth")]),
        (b'{"a":' * 100_000, [("", "depth")]),
        (b'{"a":1,"a":2,"n":99999999999999999999}', [("/a", "repeated-name"), ("/n", "integer-size")]),
    ],
)
def test_what_readers_would_understand_differently_is_named_with_its_place(raw, expected):
    assert problems(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b' { "a" : [ 1 , 2.50 , 1E5 ] } ',
        b'{"n":18446744073709551615,"m":-9223372036854775808}',
        b'{"name":"H\\u00e0 N\\u1ed9i \\/ \\ud83d\\ude00"}',
        b"[" * 32 + b"]" * 32,
        b'{"text":"' + b"[" * 100 + b'"}',
        b'["[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[","{"]',
    ],
)
def test_plain_json_passes_however_it_is_written(raw):
    assert strict_json.loads(raw) == json.loads(raw)


def test_an_unfinished_string_full_of_quotes_is_refused_in_linear_time():
    began = time.perf_counter()
    assert problems(b'"' + b'\\"' * 500_000) == [("", "json")]
    assert time.perf_counter() - began < 2


def test_a_name_that_is_no_field_name_is_not_repeated():
    with pytest.raises(NotStrict) as refusal:
        strict_json.loads(b'{"001199000001":1,"001199000001":2}')
    assert "001199000001" not in str(refusal.value)


def test_a_million_repeated_names_are_told_in_a_few_problems():
    raw = b"{" + b",".join(b'"a%d":1,"a%d":2' % (n, n) for n in range(20_000)) + b"}"
    assert len(problems(raw)) == strict_json.MOST_PROBLEMS


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Nguye\u0302\u0303n", "nfc"),
        ("Hà\x00Nội", "characters"),
        ("Hà\nNội", "characters"),
        ("Hà\tNội", "characters"),
        ("Hà\x7f", "characters"),
        ("Hà\x85", "characters"),
        ("Hà\u2028Nội", "characters"),
        ("\u202eiộN àH", "characters"),
        ("Hà\u200bNội", "characters"),
        ("\ufeffHà", "characters"),
        ("Hà N\ufffdi", "characters"),
        ("\ue001", "characters"),
        ("\uffff", "characters"),
        ("\ufdd0", "characters"),
    ],
)
def test_text_that_no_official_can_see_is_named_with_its_place(text, rule):
    assert odd_text("Hà Nội", text) == [("/names/1", rule)]


def test_vietnamese_quotes_and_backslashes_are_plain_text():
    assert odd_text('Phường "Hoàn Kiếm"', "a\\b", "số 1/2 – ngõ 3 … 😀\u00a0đ") == []


def test_odd_text_in_names_is_found_too():
    raw = '{"tên\\u0000":1}'.encode()
    assert [p.rule for p in strict_json.text_problems(raw, orjson.loads(raw))] == ["characters"]


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whatever_the_bytes_are_they_are_read_or_refused(raw):
    data, problems = strict_json.read(raw)
    if not problems:
        assert data == json.loads(raw)
        strict_json.text_problems(raw, data)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values, st.booleans())
def test_what_one_strict_writer_writes_is_read_back_unchanged(value, spaced):
    raw = json.dumps(value, ensure_ascii=spaced, indent=2 if spaced else None).encode(
        "utf-8", "surrogatepass"
    )
    if "\\ud" in raw.decode("utf-8", "replace") or b"\xed" in raw:
        return  # may hold half a surrogate pair; those have their own test
    assert strict_json.loads(raw) == value


@given(json_values)
def test_the_quick_look_at_text_finds_what_the_walk_finds(value):
    raw = orjson.dumps(value) if "\\ud" not in json.dumps(value) else b"null"
    read = orjson.loads(raw)
    walked = [
        p
        for path, text in strict_json._iter_texts(read, "")
        for p in strict_json._problems_of_text(path, text)
    ]
    assert bool(strict_json.text_problems(raw, read)) == bool(walked)
