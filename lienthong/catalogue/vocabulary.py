"""The words of data portals: concepts of the vocabularies that DCAT-AP asks for, each with its labels.

They are the authority tables of the Publications Office of the European Union, and ADMS. Each concept is
told whole (its scheme, its labels), so that a catalogue is understood without the network.
"""

from dataclasses import dataclass
from typing import Any, Final

from lienthong.contracts import Classification

_AUTHORITY: Final = "http://publications.europa.eu/resource/authority/"
MEDIA_TYPE_JSON: Final = "https://www.iana.org/assignments/media-types/application/json"
HANOI: Final = "https://sws.geonames.org/1581130/"
"""The city, as GeoNames numbers it."""

STANDARDS: Final = {
    "https://cloudevents.io": "CloudEvents 1.0",
    "https://www.asyncapi.com/docs/reference/specification/v3.0.0": "AsyncAPI 3.0.0",
}


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept: its address, the scheme it is of, what else it is in DCAT-AP, its labels."""

    address: str
    scheme: str
    also: str
    vi: str
    en: str

    def node(self) -> dict[str, Any]:
        """Write it for JSON-LD."""
        return {
            "@id": self.address,
            "@type": ["skos:Concept", self.also] if self.also else "skos:Concept",
            "skos:inScheme": {"@id": self.scheme},
            "skos:prefLabel": both(self.vi, self.en),
        }


def both(vi: str, en: str | None) -> list[dict[str, str]]:
    """Say a text in Vietnamese and, where it is known, in English."""
    told = [{"@language": "vi", "@value": vi}]
    return [*told, {"@language": "en", "@value": en}] if en else told


def _table(table: str, also: str, **labels: tuple[str, str]) -> dict[str, Concept]:
    scheme = f"{_AUTHORITY}{table}"
    return {code: Concept(f"{scheme}/{code}", scheme, also, vi, en) for code, (vi, en) in labels.items()}


THEMES: Final = _table(
    "data-theme",
    "",
    AGRI=("Nông, lâm, thủy sản và thực phẩm", "Agriculture, fisheries, forestry and food"),
    ECON=("Kinh tế và tài chính", "Economy and finance"),
    EDUC=("Giáo dục, văn hóa và thể thao", "Education, culture and sport"),
    ENER=("Năng lượng", "Energy"),
    ENVI=("Môi trường", "Environment"),
    GOVE=("Chính quyền và khu vực công", "Government and public sector"),
    HEAL=("Y tế", "Health"),
    INTR=("Vấn đề quốc tế", "International issues"),
    JUST=("Tư pháp, pháp luật và an ninh công cộng", "Justice, legal system and public safety"),
    REGI=("Vùng và thành phố", "Regions and cities"),
    SOCI=("Dân số và xã hội", "Population and society"),
    TECH=("Khoa học và công nghệ", "Science and technology"),
    TRAN=("Giao thông", "Transport"),
)
ACCESS: Final = _table(
    "access-right",
    "dct:RightsStatement",
    PUBLIC=("công khai", "public"),
    RESTRICTED=("có điều kiện", "restricted"),
    NON_PUBLIC=("không công khai", "non-public"),
)
ACCESS_OF: Final[dict[Classification, Concept]] = {
    "public": ACCESS["PUBLIC"],
    "internal": ACCESS["RESTRICTED"],
    "personal": ACCESS["NON_PUBLIC"],
    "sensitive": ACCESS["NON_PUBLIC"],
}
FREQUENCIES: Final = _table(
    "frequency",
    "dct:Frequency",
    UPDATE_CONT=("cập nhật liên tục", "continuously updated"),
    HOURLY=("hằng giờ", "hourly"),
    DAILY=("hằng ngày", "daily"),
    WEEKLY=("hằng tuần", "weekly"),
    MONTHLY=("hằng tháng", "monthly"),
    QUARTERLY=("hằng quý", "quarterly"),
    ANNUAL=("hằng năm", "annual"),
    OTHER=("khác", "other"),
)
_DAY: Final = 86_400
_LONGEST: Final = (
    (3_599, "UPDATE_CONT"),
    (_DAY - 1, "HOURLY"),
    (7 * _DAY - 1, "DAILY"),
    (28 * _DAY - 1, "WEEKLY"),
    (90 * _DAY - 1, "MONTHLY"),
    (365 * _DAY - 1, "QUARTERLY"),
    (366 * _DAY, "ANNUAL"),
)
LANGUAGES: Final = _table(
    "language", "dct:LinguisticSystem", VIE=("tiếng Việt", "Vietnamese"), ENG=("tiếng Anh", "English")
)
JSON: Final = _table("file-type", "dct:MediaTypeOrExtent", JSON=("JSON", "JSON"))["JSON"]
STATUSES: Final = _table(
    "distribution-status",
    "",
    COMPLETED=("hoàn chỉnh", "completed"),
    DEPRECATED=("không nên dùng nữa", "deprecated"),
)
AVAILABILITY: Final = _table(
    "planned-availability", "", STABLE=("lâu dài", "stable"), TEMPORARY=("có thời hạn", "temporary")
)
LOCAL_AUTHORITY: Final = Concept(
    "http://purl.org/adms/publishertype/LocalAuthority",
    "http://purl.org/adms/publishertype/1.0",
    "",
    "Chính quyền địa phương",
    "Local authority",
)
SCHEMES: Final[dict[str, tuple[str, str]]] = {
    f"{_AUTHORITY}data-theme": ("Chủ đề dữ liệu", "Data theme"),
    f"{_AUTHORITY}access-right": ("Quyền truy cập", "Access right"),
    f"{_AUTHORITY}frequency": ("Tần suất", "Frequency"),
    f"{_AUTHORITY}language": ("Ngôn ngữ", "Language"),
    f"{_AUTHORITY}file-type": ("Loại tệp", "File type"),
    f"{_AUTHORITY}distribution-status": ("Tình trạng bản phân phối", "Distribution status"),
    f"{_AUTHORITY}planned-availability": ("Dự kiến duy trì", "Planned availability"),
    LOCAL_AUTHORITY.scheme: ("Loại cơ quan công bố", "Publisher type"),
}
THEME_SCHEME: Final = f"{_AUTHORITY}data-theme"


def frequency(seconds: float) -> Concept:
    """Find the word for a promise: the longest usual silence that is not longer than the promised one."""
    return FREQUENCIES[next((code for most, code in _LONGEST if seconds <= most), "OTHER")]
