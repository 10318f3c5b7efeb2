"""Guess how a field has to be protected, from its name: what is not known to be harmless is personal."""

import re
import unicodedata
from typing import Final

from lienthong.contracts.contract import Classification

_SENSITIVE: Final = re.compile(
    r"(?:^|_)(?:health|illness|disease|diagnosis|benh|chan_doan|religion|ton_giao|ethnicity|dan_toc|biometric|"
    r"fingerprint|van_tay|criminal|tien_an|hiv|blood|nhom_mau|political|password|mat_khau)(?:_|$)"
)
_PERSONAL: Final = re.compile(
    r"(?:^|_)(?:ho_ten|full_name|first_name|last_name|owner|chu_so_huu|chu_ho|nguoi|person|personal|identity|"
    r"passport|ho_chieu|cccd|cmnd|cmt|dinh_danh|phone|dien_thoai|sdt|mobile|email|address|dia_chi|birth|born|"
    r"ngay_sinh|nam_sinh|gioi_tinh|sex|gender|salary|luong|account|tai_khoan|mother|father|child|me|cha|con|"
    r"contact|lien_he|photo|anh|signature|chu_ky|tax_code|ma_so_thue)(?:_|$)"
)
_HARMLESS: Final = re.compile(r"(?:_code|_at|_on|_count|_m2|_km|_vnd|_percent|_type|_status|_year)$")


def guess_classification(name: str, *, is_text: bool) -> Classification:
    """Guess a field's classification; never public, which only its owner can say."""
    words = plain(name)
    if _SENSITIVE.search(words):
        return "sensitive"
    if _PERSONAL.search(words):
        return "personal"
    return "personal" if is_text and not _HARMLESS.search(words) else "internal"


def tells_of_a_person(name: str) -> bool:
    """Tell whether a name speaks of a person: then it can be no key."""
    words = plain(name)
    return bool(_SENSITIVE.search(words) or _PERSONAL.search(words))


def plain(name: str) -> str:
    """Write a name as snake_case of plain letters: `Ngày xếp hạng` is `ngay_xep_hang`."""
    letters = unicodedata.normalize("NFD", name.replace("đ", "d").replace("Đ", "D"))
    bare = "".join(char for char in letters if not unicodedata.combining(char))
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", bare)
    return re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")
