"""People's YAML is read suspiciously: no surprise gets through, and each is told with its line."""

from pathlib import Path
from typing import Any

import pytest

from lienthong.contracts.document import MOST_BYTES, Document, Finding, read_document


def read(root: Path, text: str | bytes) -> tuple[Document | None, list[Finding]]:
    path = root / "one.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_document(path, root)


def read_soundly(root: Path, text: str) -> Any:
    document, findings = read(root, text)
    assert findings == []
    assert document is not None
    return document.data


@pytest.mark.parametrize(
    "word", ["no", "yes", "on", "off", "y", "n", "NO", "12:30", "2025-07-01", "1_000", "v1.0"]
)
def test_what_yaml_1_1_would_turn_into_something_else_stays_text(tmp_path: Path, word: str) -> None:
    assert read_soundly(tmp_path, f"a: {word}\n") == {"a": word}


def test_plain_numbers_truth_values_and_nothing_are_what_yaml_1_2_says(tmp_path: Path) -> None:
    text = "a: 12\nb: -0.5\nc: true\nd: null\ne: ~\nf:\ng: '12'\nh: 1e3\n"
    assert read_soundly(tmp_path, text) == {
        "a": 12,
        "b": -0.5,
        "c": True,
        "d": None,
        "e": None,
        "f": None,
        "g": "12",
        "h": 1000.0,
    }


def test_the_line_of_every_key_and_item_is_known(tmp_path: Path) -> None:
    document, _ = read(tmp_path, "a: 1\nb:\n  - c: 2\n\n    d: 3\n  - {e: 4,\n     f: 5}\n")
    assert document is not None
    assert document.line("a") == 1
    assert document.line("b", 0, "d") == 5
    assert document.line("b", 1, "f") == 7
    assert document.line("b", 1, "f", "deeper", 3) == 7


def test_windows_line_ends_are_read_as_line_ends(tmp_path: Path) -> None:
    assert read_soundly(tmp_path, "a: 1\r\nb: Chợ\r\n") == {"a": 1, "b": "Chợ"}


REFUSED = {
    "a tab": ("a: 1\nb:\n\tc: 2\n", "tab", 3),
    "a tab in text": ("a: 1\nb: 'x\ty'\n", "tab", 2),
    "a repeated key": ("a: 1\nb: 2\na: 3\n", "yaml-duplicate-key", 3),
    "a repeated key with deep values": ("a: {b: [1]}\na: {b: [2]}\n", "yaml-duplicate-key", 2),
    "an anchor": ("a: &x 1\nb: 2\n", "yaml-anchor", 1),
    "an alias": ("a: 1\nb: *x\n", "yaml-anchor", 2),
    "a merge of an alias": ("a: 1\n<<: *x\n", "yaml-anchor", 2),
    "an anchor on a key": ("&x a: 1\n", "yaml-key", 1),
    "a tag": ("a: !!python/object/apply:os.system [x]\n", "yaml-tag", 1),
    "a tag on text": ("a: 1\nb: !!str 5\n", "yaml-tag", 2),
    "a second document": ("a: 1\n---\nb: 2\n", "yaml-documents", 2),
    "a directive": ("%YAML 1.1\n---\na: no\n", "yaml-directive", 1),
    "a list as a key": ("? [a, b]\n: 1\n", "yaml-key", 1),
    "a leading zero": ("code: 01020\n", "yaml-number", 1),
    "hexadecimal": ("a: 0x1F\n", "yaml-number", 1),
    "infinity": ("a: .inf\n", "yaml-number", 1),
    "not a number": ("a: .nan\n", "yaml-number", 1),
    "a 23-digit integer": ("a: 1\nb: 12345678901234567890123\n", "yaml-number", 2),
    "letters not composed": ("a: 1\nb: Cho\u031b\u0323\n", "nfc", 2),
    "a zero-width space": ("a: x\u200by\n", "invisible-character", 1),
    "a reversed reading order": ("a: 'x\u202ey'\n", "invisible-character", 1),
    "a byte order mark": ("\ufeffa: 1\n", "invisible-character", 1),
    "a control character": ("a: 1\nb: x\x07\n", "invisible-character", 2),
    "broken indentation": ("a: 1\n b: 2\n", "yaml", 2),
    "an open bracket": ("a: [1, 2\nb: 3\n", "yaml", 2),
    "UTF-16": ("a: 1\nb: Chợ\n".encode("utf-16-le"), "utf-8", 2),
    "Latin bytes": (b"a: 1\nb: Ch\xe9\n", "utf-8", 2),
    "a giant": (b"a: " + b"x" * MOST_BYTES, "file-size", 1),
    "a hundred thousand brackets": ("a: " + "[" * 100_000, "yaml-depth", 1),
    "a hundred thousand nested maps": ("a: " + "{x: " * 50_000, "yaml-depth", 1),
}


@pytest.mark.parametrize(("text", "rule", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_a_surprise_is_found_where_it_is(tmp_path: Path, text: str | bytes, rule: str, line: int) -> None:
    _, findings = read(tmp_path, text)
    assert (rule, line) in {(finding.rule, finding.line) for finding in findings}
    assert all(finding.remedy for finding in findings)


def test_a_bomb_of_aliases_is_refused_at_its_first_anchor(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    document, findings = read(tmp_path, "\n".join(lines))
    assert document is None
    assert [(finding.rule, finding.line) for finding in findings] == [("yaml-anchor", 1)]


def test_all_surprises_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    _, findings = read(tmp_path, "a: 1\na: 2\nb: !!str x\nc: 007\nd: x\u200by\n")
    assert [finding.rule for finding in sorted(findings)] == [
        "yaml-duplicate-key",
        "yaml-tag",
        "yaml-number",
        "invisible-character",
    ]


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").mkdir()
    document, findings = read_document(tmp_path / "one.yaml", tmp_path)
    assert document is None
    assert findings[0].rule == "file"
