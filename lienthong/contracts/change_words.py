"""Say a change in Vietnamese and in English: what it is, whom it hurts, what to do instead (hop 3)."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from lienthong.contracts.compatibility import Change, Hurt

Language = Literal["vi", "en"]


class Said(NamedTuple):
    """A change in words."""

    what: str
    remedy: str


class _Words(NamedTuple):
    en: str
    vi: str
    en_remedy: str = ""
    vi_remedy: str = ""


_NEW_MAJOR: Final = (
    "Take it back, or draft a new major: lienthong release --new-major.",
    "Trả lại như cũ, hoặc soạn phiên bản chính mới: lienthong release --new-major.",
)
_TELL: Final = (
    "Nothing to do; its readers are told.",
    "Không phải làm gì; các nơi đọc được báo.",
)
_NOTHING: Final = ("Nothing to do.", "Không phải làm gì.")
_WAS: Final = "was {before}, is {after}"
_WAS_VI: Final = "trước là {before}, nay là {after}"
_WORDS: Final[Mapping[str, _Words]] = {
    "label-changed": _Words(f"{{keyword}} {_WAS}", f"nhãn, mô tả {_WAS_VI}", *_NOTHING),
    "field-added": _Words(
        "optional field added",
        "thêm trường không bắt buộc",
        "Nothing to do; a reader that needs it asks for a grant.",
        "Không phải làm gì; nơi cần đọc thì xin cấp quyền.",
    ),
    "bound-widened": _Words(f"bounds widened: {_WAS}", f"nới giới hạn: {_WAS_VI}", *_TELL),
    "text-widened": _Words(f"allows more texts: {_WAS}", f"nhận thêm dạng chữ: {_WAS_VI}", *_TELL),
    "items-widened": _Words(f"sizes widened: {_WAS}", f"nới số phần tử: {_WAS_VI}", *_TELL),
    "size-raised": _Words(f"greatest size {_WAS} bytes", f"cỡ lớn nhất {_WAS_VI} byte", *_TELL),
    "open-code-added": _Words(
        "code {after} added to an open list", "thêm mã {after} vào danh mục mở", *_TELL
    ),
    "codes-closed": _Words("values are a closed list now", "giá trị nay là danh mục đóng", *_NOTHING),
    "type-narrowed": _Words(
        f"type {_WAS}, as all its values were", f"kiểu {_WAS_VI}, như mọi giá trị vốn có", *_NOTHING
    ),
    "rule-removed": _Words("rule gone: {before}", "bỏ quy tắc: {before}", *_TELL),
    "reference-removed": _Words(
        "its codes are no longer looked up in {before}", "mã không còn được tra trong {before}", *_TELL
    ),
    "protection-raised": _Words(
        f"classification {_WAS}: readers must protect it more, and it may not stand in the envelope",
        f"mức bảo vệ {_WAS_VI}: nơi đọc phải bảo vệ chặt hơn, phong bì không được chứa giá trị này",
        "Tell the readers before the release; each checks that its legal basis covers the new class.",
        "Báo các nơi đọc trước khi phát hành; mỗi nơi kiểm tra căn cứ pháp lý của mình.",
    ),
    "required-field-added": _Words(
        "required field added, which no writer of today fills in",
        "thêm trường bắt buộc mà nơi ghi hiện nay không điền",
        "Make it optional (required: false), or draft a new major: lienthong release --new-major.",
        "Để không bắt buộc (required: false), hoặc soạn phiên bản chính mới: lienthong release --new-major.",
    ),
    "field-removed": _Words(
        "field removed",
        "bỏ trường",
        "Keep it, optional if it was so; or draft a new major: lienthong release --new-major.",
        "Giữ lại trường; hoặc soạn phiên bản chính mới: lienthong release --new-major.",
    ),
    "became-required": _Words(
        "optional became required",
        "từ không bắt buộc thành bắt buộc",
        "Leave it optional and measure how often it is filled in by a rule of severity warning.",
        "Để không bắt buộc, và đo tỷ lệ được điền bằng một quy tắc mức warning.",
    ),
    "became-optional": _Words(
        "required became optional: readers rely on it",
        "từ bắt buộc thành không bắt buộc: nơi đọc đang dựa vào trường này",
        *_NEW_MAJOR,
    ),
    "type-changed": _Words(f"type {_WAS}", f"kiểu {_WAS_VI}", *_NEW_MAJOR),
    "type-widened": _Words(
        f"type {_WAS}: readers expect whole numbers",
        f"kiểu {_WAS_VI}: nơi đọc đang chờ số nguyên",
        "Add a second, optional field for the finer number.",
        "Thêm một trường không bắt buộc khác cho số lẻ.",
    ),
    "bound-narrowed": _Words(f"bounds narrowed: {_WAS}", f"siết giới hạn: {_WAS_VI}", *_NEW_MAJOR),
    "text-narrowed": _Words(
        f"refuses texts that were allowed: {_WAS}",
        f"từ chối dạng chữ trước đây được nhận: {_WAS_VI}",
        *_NEW_MAJOR,
    ),
    "text-undecided": _Words(
        f"patterns that cannot be compared within the limit on work: {_WAS}",
        f"hai mẫu không so sánh được trong giới hạn tính toán: {_WAS_VI}",
        "Write a plainer pattern, or keep the old one.",
        "Viết mẫu đơn giản hơn, hoặc giữ mẫu cũ.",
    ),
    "items-narrowed": _Words(f"sizes narrowed: {_WAS}", f"siết số phần tử: {_WAS_VI}", *_NEW_MAJOR),
    "size-lowered": _Words(f"greatest size {_WAS} bytes", f"cỡ lớn nhất {_WAS_VI} byte", *_NEW_MAJOR),
    "code-removed": _Words("code {before} removed", "bỏ mã {before}", *_NEW_MAJOR),
    "code-added": _Words(
        "code {after} added to a closed list: readers rely on it",
        "thêm mã {after} vào danh mục đóng: nơi đọc đang dựa vào danh mục này",
        "Draft a new major, there with codes: open (lienthong release --new-major).",
        "Soạn phiên bản chính mới, ghi codes: open (lienthong release --new-major).",
    ),
    "codes-opened": _Words(
        f"code list {_WAS}: readers rely on its being closed",
        f"danh mục mã {_WAS_VI}: nơi đọc đang dựa vào danh mục đóng",
        *_NEW_MAJOR,
    ),
    "rule-added": _Words(
        f"rule tightened or new: {_WAS}",
        f"quy tắc mới hoặc chặt hơn: {_WAS_VI}",
        "Give it severity warning, so that it is measured and refuses nobody; or draft a new major.",
        "Để mức warning: quy tắc được đo mà không từ chối ai; hoặc soạn phiên bản chính mới.",
    ),
    "reference-added": _Words(
        "its codes are looked up in {after} now, and unknown ones refused",
        "mã nay được tra trong {after}, mã lạ bị từ chối",
        *_NEW_MAJOR,
    ),
    "reference-changed": _Words(f"looked up where: {_WAS}", f"nơi tra mã {_WAS_VI}", *_NEW_MAJOR),
    "key-changed": _Words(
        f"key {_WAS}: order and the newest record of each key would change",
        f"khóa {_WAS_VI}: thứ tự và bản mới nhất của mỗi khóa sẽ đổi",
        *_NEW_MAJOR,
    ),
    "kind-changed": _Words(f"kind {_WAS}", f"loại {_WAS_VI}", *_NEW_MAJOR),
    "protection-lowered": _Words(
        f"classification {_WAS}: a person's data would be less protected than was promised",
        f"mức bảo vệ {_WAS_VI}: dữ liệu của người dân bị bảo vệ kém hơn đã cam kết",
        *_NEW_MAJOR,
    ),
    "construct-unknown": _Words(
        f"{{keyword}} {_WAS}, which the comparison does not know",
        f"{{keyword}} {_WAS_VI}, phép so sánh chưa biết từ này",
        *_NEW_MAJOR,
    ),
}
_HURT: Final[Mapping[Hurt, tuple[str, str]]] = {
    "readers": ("readers", "nơi đọc"),
    "writers": ("writers", "nơi ghi"),
    "person": ("the person", "người dân"),
}
_SHOWN: Final[Mapping[str, tuple[str, str]]] = {
    "refused": ("admitted today, refused then", "nay được nhận, sau bị từ chối"),
    "unread": ("admitted then, unreadable for today's class", "sau được nhận, lớp hiện nay không đọc được"),
    "unread-later": (
        "what a later version may hold, unreadable for today's class",
        "phiên bản sau có thể chứa, lớp hiện nay không đọc được",
    ),
    "shown": ("what would be shown", "phần sẽ bị lộ"),
    "moved": ("kept, looked up or ordered otherwise then", "sau được giữ, tra hoặc xếp thứ tự khác đi"),
}


def say(change: Change, language: Language) -> Said:
    """Say what a change is and what to do about it."""
    words = _WORDS[change.rule]
    sentence, remedy = (words.en, words.en_remedy) if language == "en" else (words.vi, words.vi_remedy)
    nothing = ("absent", "không có")[language == "vi"]
    shown = {
        name: nothing if value is None else _short(value)
        for name, value in (("before", change.before), ("after", change.after))
    }
    where = change.path or ("the whole", "toàn bộ")[language == "vi"]
    return Said(f"{where}: {sentence.format(keyword=change.keyword, **shown)}", remedy)


def say_hurt(hurt: Hurt, language: Language) -> str:
    """Name who is hurt."""
    return _HURT[hurt][language == "vi"]


def say_shown(shows: str, language: Language) -> str:
    """Say what a witness shows."""
    return _SHOWN[shows][language == "vi"]


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 200 else f"{text[:199]}…"
