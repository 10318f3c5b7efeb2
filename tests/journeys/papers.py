"""What people bring: notices, dossiers and lists, as the sources of the departments hand them in."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

HOSPITAL, STATION = "01169", "01B55"
WARD, OTHER_WARD = "00004", "00008"
ALL_THREE = ("birth-registration", "residence-registration", "health-insurance-card")
NUMBERS = count(1)


def birth(number: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "notification_id": number,
        "facility_code": number[:5],
        "born_at": (now - timedelta(hours=30)).isoformat(),
        "notified_at": (now - timedelta(hours=20)).isoformat(),
        "sex": "female",
        "mother": {
            "personal_number": "099199000001",
            "full_name": "Nguyễn Thị Mẫu",
            "born_on": "1999-03-08",
            "ethnicity_code": "01",
            "unit_code": WARD,
        },
    }


def birth_dossier(code: str, number: str) -> dict[str, Any]:
    return {
        "dossier_code": code,
        "notification_id": number,
        "unit_code": code[4:9],
        "submitted_at": (datetime.now(UTC) - timedelta(minutes=next(NUMBERS))).isoformat(),
        "procedures": list(ALL_THREE),
        "child": {"full_name": "Trần Mẫu An"},
        "declarant": {"relationship": "mother"},
    }


def death(notice: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "notice_id": notice,
        "facility_code": notice[:5],
        "died_at": (now - timedelta(hours=30)).isoformat(),
        "notified_at": (now - timedelta(hours=29)).isoformat(),
        "deceased": {
            "personal_number": f"099044{next(NUMBERS):06d}",
            "full_name": "Trần Văn Cụ",
            "born_on": "1944-02-03",
            "unit_code": WARD,
        },
    }


def death_dossier(code: str, notice: str) -> dict[str, Any]:
    return {
        "dossier_code": code,
        "notice_id": notice,
        "unit_code": code[4:9],
        "submitted_at": (datetime.now(UTC) - timedelta(minutes=next(NUMBERS))).isoformat(),
        "declarant": {
            "relationship": "child",
            "personal_number": "099070000003",
            "full_name": "Trần Văn Con",
        },
    }


def unit(code: str, name: str, *former: tuple[str, str]) -> dict[str, Any]:
    """Write a ward of today that holds former ones, each whole."""
    return {
        "unit_code": code,
        "name": name,
        "kind": "ward",
        "effective_on": "2025-07-01",
        "former_units": [
            {"former_code": old, "name": called, "district": "Quận Ba Đình", "divided": False}
            for old, called in former
        ],
    }
