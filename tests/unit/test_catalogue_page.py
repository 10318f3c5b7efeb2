"""The catalogue's page: whole, in Vietnamese first, for every eye and ear, with nothing from elsewhere."""

import re
from dataclasses import dataclass, field
from datetime import date
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lienthong.catalogue import Brokers, asyncapi, page, read_catalogue
from lienthong.catalogue.catalogue import bilingual
from lienthong.catalogue.page import CLASSIFICATIONS, TYPES, duration
from lienthong.contracts import contract as contracts_module
from lienthong.contracts.release import release
from tests.unit.contract_city import INSPECTION, City

ROOT = Path(__file__).parents[2]
DAY = date(2026, 11, 23)
HERE = Brokers(("127.0.0.1:9092",), 1, encrypted=False)
VOID = {"br", "meta"}
DIACRITICS = re.compile(r"[ạảãàáâậầấẩẫăắằặẳẵđêệếềểễôốồộổỗơớờợởỡưứừựửữỳỵỷỹ]")
SHAPES = {"string", "integer", "number", "boolean", "object", "array", "date", "date-time"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    lang: str = ""
    inner: list["Element"] = field(default_factory=list)

    def all(self, *tags: str) -> list["Element"]:
        """Every element of these tags, in the order they are read."""
        own = [self] if self.tag in tags else []
        return own + [found for one in self.inner for found in one.all(*tags)]


class Reader(HTMLParser):
    """Reads strictly: what is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        assert len(attributes) == len(attrs), f"an attribute of {tag} is there twice"
        element = Element(tag, attributes, lang=attributes.get("lang", self.open[-1].lang))
        self.open[-1].inner.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"{tag} closes {self.open[-1].tag}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read(html: str) -> Element:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == [reader.root]
    return reader.root


@pytest.fixture(scope="module")
def city() -> dict[str, Any]:
    return asyncapi(read_catalogue(ROOT, HERE, DAY))


@pytest.fixture(scope="module")
def html(city: dict[str, Any]) -> str:
    departments = {tag["name"]: f"{tag['name']}.html" for tag in city["info"]["tags"]}
    return page(city, departments)


@pytest.fixture(scope="module")
def drawn(html: str) -> Element:
    return read(html)


def test_every_dataset_and_every_field_of_it_is_on_the_page(city, drawn):
    told = {one.text for one in drawn.all("code")}

    assert [topic for topic in city["channels"] if topic not in told] == []
    for topic, record in city["components"]["messages"].items():
        if topic in city["channels"] and city["channels"][topic]["x-kind"] in {"event", "state"}:
            assert [name for name in record["payload"]["properties"] if name not in told] == [], topic


def test_every_grant_is_on_the_page_with_its_legal_basis(city, drawn):
    text = drawn.text
    for channel in city["channels"].values():
        for grant in channel.get("x-grants", ()):
            assert grant["group"] in text
            assert grant["legalBasis"] in text


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(html, drawn):
    loud = [e.tag for e in drawn.all("script", "link", "img", "iframe", "object", "embed", "form", "base")]
    assert loud == []
    elements = drawn.all(*{e.tag for e in every(drawn)})
    assert [e.tag for e in elements if "src" in e.attributes or "style" in e.attributes] == []
    assert [n for e in elements for n in e.attributes if n.startswith("on")] == []
    style = drawn.all("style")[0].text
    assert "url(" not in style
    assert "@import" not in style
    assert re.findall(r"https?://", html) == []


def every(element: Element) -> list[Element]:
    return [element, *(found for one in element.inner for found in every(one))]


def test_the_page_is_in_vietnamese_and_says_where_it_is_not(drawn):
    assert drawn.all("html")[0].attributes["lang"] == "vi"
    english = [e for e in every(drawn) if e.attributes.get("lang") == "en"]
    assert len(english) > 100
    assert [e.text for e in english if DIACRITICS.search(e.text.replace("Liên Thông", ""))] == []
    heads = [e for e in drawn.all("h2", "h3", "th", "dt") if not e.all("code") and e.all("span")]
    assert [e.text for e in heads if e.text.startswith("(")] == []  # Vietnamese first


def test_the_page_can_be_found_through_by_landmarks_and_headings(drawn):
    once = ("header", "nav", "main", "footer", "h1", "title")
    assert {tag: len(drawn.all(tag)) for tag in once} == dict.fromkeys(once, 1)
    levels = [int(e.tag[1]) for e in drawn.all("h1", "h2", "h3", "h4")]
    assert [b for a, b in pairwise(levels) if b > a + 1] == []
    first_link = drawn.all("a")[0]
    assert first_link.attributes["href"] == f"#{drawn.all('main')[0].attributes['id']}"


def test_every_name_and_every_label_leads_somewhere(drawn):
    ids = [e.attributes["id"] for e in every(drawn) if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    named = [e.attributes["aria-labelledby"] for e in every(drawn) if "aria-labelledby" in e.attributes]
    inside = [e.attributes["href"][1:] for e in drawn.all("a") if e.attributes["href"].startswith("#")]
    assert [name for name in named + inside if name not in ids] == []
    others = {
        e.attributes["href"] for e in drawn.all("a") if not e.attributes["href"].startswith(("#", "mailto:"))
    }
    assert others == {
        f"{name}.html"
        for name in ("education", "health", "insurance", "justice", "onestop", "police", "science", "trade")
    }


def test_every_table_has_a_caption_and_headers_for_columns_and_rows(drawn):
    tables = drawn.all("table")
    assert len(tables) > 50
    for table in tables:
        caption = table.all("caption")
        assert len(caption) == 1
        assert caption[0].text.strip()
        assert {e.attributes.get("scope") for e in table.all("th")} == {"col", "row"}
        widths = {len(row.all("th", "td")) for row in table.all("tr")}
        assert len(widths) == 1, caption[0].text


def test_what_may_be_wider_than_a_small_screen_scrolls_and_is_reached_by_keyboard(drawn):
    wide = [e for e in every(drawn) if e.attributes.get("class") == "wide"]
    assert [
        e for e in wide if e.attributes.get("tabindex") != "0" or e.attributes.get("role") != "region"
    ] == []
    assert [e for e in wide if not {"aria-label", "aria-labelledby"} & e.attributes.keys()] == []
    inside = [found for e in wide for found in e.all("table", "pre")]
    assert len(inside) == len(drawn.all("table", "pre"))
    viewport = [e.attributes["content"] for e in drawn.all("meta") if e.attributes.get("name") == "viewport"]
    assert viewport == ["width=device-width, initial-scale=1"]


def luminance(colour: str) -> float:
    full = "".join(c * 2 for c in colour) if len(colour) == 3 else colour
    parts = [int(full[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_colour_can_be_told_from_its_ground_by_day_and_by_night(drawn):
    palettes = re.findall(r":root \{ (--ink[^}]*)\}", drawn.all("style")[0].text)
    assert len(palettes) == 2
    for palette in palettes:
        colour = dict(re.findall(r"--(\w+): #([0-9a-f]+);", palette))
        for front, ground, least in [
            *[("ink", ground, 7.0) for ground in ("paper", "soft")],
            ("link", "paper", 4.5),
            ("line", "paper", 3.0),
        ]:
            light, dark = sorted((luminance(colour[front]), luminance(colour[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= least, (front, ground, palette)


def test_what_a_contract_says_is_text_and_never_markup(tmp_path):
    small = City.found(tmp_path)
    release(small.root, write=True)
    small.spoil(INSPECTION, "businessName: ", "businessName: <script>alert(1)</script> ")

    html = page(asyncapi(read_catalogue(small.root, HERE, DAY)))

    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_a_page_of_one_department_names_no_other_page(city):
    alone = read(page(asyncapi(read_catalogue(ROOT, HERE, DAY), "health")))

    assert [e.attributes["href"] for e in alone.all("a") if e.attributes["href"].endswith(".html")] == []
    assert "Sở Y tế" in alone.all("h1")[0].text


def test_every_word_that_a_shape_may_use_has_a_vietnamese_one():
    assert set(TYPES) == SHAPES
    assert set(CLASSIFICATIONS) == set(contracts_module.CLASSIFICATIONS)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (5, "5 giây (5 seconds)"),
        (0.25, "0.25 giây (0.25 seconds)"),
        (60, "1 phút (1 minute)"),
        (90, "90 giây (90 seconds)"),
        (3_600, "1 giờ (1 hour)"),
        (90 * 86_400, "90 ngày (90 days)"),
    ],
)
def test_a_duration_is_said_in_the_greatest_whole_unit(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("Chợ. (A market.)", ("Chợ.", "A market.")),
        ("Diện tích (km²)", ("Diện tích (km²)", None)),
        ("Cân nặng (g)", ("Cân nặng (g)", None)),
        ("Danh mục (Quyết định 121-TCTK)", ("Danh mục (Quyết định 121-TCTK)", None)),
        ("Chợ", ("Chợ", None)),
        ("Một (hai) ba. (One (two).)", ("Một (hai) ba. (One (two).)", None)),
    ],
)
def test_english_in_brackets_at_the_end_is_told_from_other_brackets(text, taken):
    assert bilingual(text) == taken
