"""An AsyncAPI document as a page for everybody: Vietnamese first, no script, nothing from elsewhere."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from lienthong.catalogue.catalogue import bilingual

CLASSIFICATIONS: Final = {
    "public": "công khai (public)",
    "internal": "nội bộ (internal)",
    "personal": "cá nhân (personal)",
    "sensitive": "nhạy cảm (sensitive)",
}
KINDS: Final = {
    "event": "Sự kiện (events)",
    "state": "Danh mục: mỗi khóa một bản mới nhất (state: the newest of each key)",
}
STATUSES: Final = {"active": "đang dùng (active)", "deprecated": "sắp hết hiệu lực (deprecated)"}
TYPES: Final = {
    "string": "chữ (text)",
    "integer": "số nguyên (integer)",
    "number": "số (number)",
    "boolean": "đúng, sai (true, false)",
    "object": "nhóm trường (object)",
    "array": "danh sách (list)",
    "date": "ngày (date)",
    "date-time": "thời điểm (instant)",
}
_UNITS: Final = (
    (86_400, "ngày", "day"),
    (3_600, "giờ", "hour"),
    (60, "phút", "minute"),
    (1, "giây", "second"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One field of a dataset, nested ones by their path: `mother.full_name`, `former_units[].name`."""

    path: str
    label: str
    type: str
    required: bool
    classification: str
    description: str
    codes: Mapping[str, str]


def page(document: Mapping[str, Any], departments: Mapping[str, str] | None = None) -> str:
    """Draw a document as one page of HTML.

    Args:
        document: What `asyncapi` gives.
        departments: Pages of single departments beside this one: file by department.
    """
    environment = Environment(
        loader=PackageLoader("lienthong.catalogue"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"both": _both, "json": _json, "vi": _vi, "duration": duration, "anchor": anchor}
    channels = document["channels"]
    return environment.get_template("page.html").render(
        document=document,
        datasets=[one for one in channels.values() if one["x-kind"] in KINDS],
        others=[one for one in channels.values() if one["x-kind"] not in KINDS],
        records=document["components"]["messages"],
        envelope=_envelope(document),
        rows=rows,
        names={tag["name"]: tag["description"] for tag in document["info"]["tags"]},
        departments=departments or {},
        classifications=CLASSIFICATIONS,
        kinds=KINDS,
        statuses=STATUSES,
    )


def rows(schema: Mapping[str, Any], prefix: str = "") -> Iterator[Row]:
    """Walk the fields of a shape, nested ones after what holds them."""
    needed = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield Row(
            path=path,
            label=field.get("title", ""),
            type=TYPES[field.get("format", field["type"])],
            required=name in needed,
            classification=CLASSIFICATIONS[field["x-classification"]],
            description=field.get("description", ""),
            codes=field.get("x-labels", {}),
        )
        if field["type"] == "object":
            yield from rows(field, f"{path}.")
        elif field["type"] == "array":
            yield from rows(field["items"], f"{path}[].")


def duration(seconds: float) -> str:
    """Say a duration in the greatest unit that is whole, Vietnamese first."""
    size, vi, en = next((one for one in _UNITS if seconds >= one[0] and seconds % one[0] == 0), _UNITS[-1])
    count = seconds / size
    return f"{count:g} {vi} ({count:g} {en}{'' if count == 1 else 's'})"


def anchor(topic: str) -> str:
    """Name a topic's place on the page."""
    return topic.replace(".", "-")


def _envelope(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the headers that all events have, with what is the same in each."""
    found: dict[str, Any] = {}
    for record in document["components"]["messages"].values():
        if "ce_id" in record.get("headers", {}).get("properties", {}):
            found = found or record["headers"]
    return found


def _both(text: str) -> Markup:
    """Mark the English in brackets as English, so that it is read aloud as such."""
    vi, en = bilingual(text)
    return Markup('{} <span lang="en">({})</span>').format(vi, en) if en else escape(vi)


def _vi(text: str) -> str:
    return bilingual(text)[0]


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
