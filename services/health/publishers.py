"""Facts that leave the department: facilities that could be placed, births, deaths, notices taken back."""

from datetime import datetime
from typing import Any

from lienthong import Connection, Refused, after_quiet
from services.health import addresses, health, numbers, store
from services.health.events import (
    BirthNoticeAnnulled,
    BirthNotified,
    DeathNotified,
    Facility,
    FacilityAddress,
    Unit,
)

UNITS_OF_THE_CITY = 126

COLUMNS = ("code", "name", "address", "old_district", "specialties")
KINDS = {"bệnh viện": "hospital", "phòng khám": "clinic", "trạm y tế": "health-station"}
SPECIALTIES = {
    "Da liễu": "dermatology",
    "Hô hấp": "respiratory",
    "Mắt": "ophthalmology",
    "Nội tiết": "endocrinology",
    "Răng Hàm Mặt": "dental",
    "Sản phụ khoa": "obstetrics",
    "Tai Mũi Họng": "ear-nose-throat",
    "Thần kinh": "neurology",
    "Tim mạch": "cardiology",
    "Tiêu hóa": "gastroenterology",
    "Ung thư": "oncology",
    "Xương khớp": "musculoskeletal",
}


async def units_are_known(db: Connection) -> bool:
    """Tell whether addresses can be placed yet: all of today's units have come."""
    return await health.count_state(db, Unit) >= UNITS_OF_THE_CITY


async def facilities_are_known(db: Connection) -> bool:
    """Tell whether births can be checked against the facilities yet."""
    return await health.count_state(db, Facility) > 0 and not await store.facilities_wait(db)


@health.takes("facility", ready=units_are_known)
async def publish_facility(record: dict[str, Any], db: Connection) -> None:
    """Publish a row of the city's facility list, if it is sound."""
    row = read_row(record)
    facility = place_facility(row, await store.find_units_of(db, row["old_district"]))
    await store.add_facility(db, facility)
    await health.publish(db, facility)


@health.takes("birth", ready=facilities_are_known)
async def notify_birth(record: dict[str, Any], db: Connection) -> None:
    """Notify a birth as a facility reported it."""
    numbers.check(record.get("mother"), "mother")
    notified_at = _instant(record.get("notified_at"))
    await health.publish(db, record, topic=BirthNotified.TOPIC, happened_at=notified_at)
    await store.add_birth(db, BirthNotified.model_validate(record))


@health.takes("home-birth", ready=facilities_are_known)
async def notify_home_birth(record: dict[str, Any], db: Connection) -> None:
    """Notify a birth at home: the health station of the ward or commune has verified it and gives the notice.

    The record is a notice without facility and number, and with the `unit_code` where the child was born.
    """
    notice = dict(record)
    station = await store.find_station(db, str(notice.pop("unit_code", "")))
    notified_at = _instant(record.get("notified_at"))
    if notified_at is None:
        raise Refused(reason="the record does not say when the station verified the birth")
    notice["facility_code"] = station
    notice["notification_id"] = await store.number_home_birth(db, station, notified_at.year)
    await notify_birth(notice, db)


@health.takes("birth-annulment", ready=after_quiet("birth-annulment"))
async def annul_birth_notice(record: dict[str, Any], db: Connection) -> None:
    """Take back a notice that was given by mistake."""
    annulled_at = _instant(record.get("annulled_at"))
    await health.publish(db, record, topic=BirthNoticeAnnulled.TOPIC, happened_at=annulled_at)
    await store.annul_birth(db, BirthNoticeAnnulled.model_validate(record))


@health.takes("death", ready=facilities_are_known)
async def notify_death(record: dict[str, Any], db: Connection) -> None:
    """Notify a death as a facility reported it."""
    numbers.check(record.get("deceased"), "deceased")
    notified_at = _instant(record.get("notified_at"))
    await health.publish(db, record, topic=DeathNotified.TOPIC, happened_at=notified_at)
    await store.add_death(db, DeathNotified.model_validate(record))


def read_row(record: dict[str, Any]) -> dict[str, str]:
    """Read a row of the list, with single spaces."""
    missing = [column for column in COLUMNS if not isinstance(record.get(column), str)]
    if missing:
        raise Refused(reason=f"the row has no text in {', '.join(missing)}")
    return {column: " ".join(record[column].split()) for column in COLUMNS}


def place_facility(row: dict[str, str], units: list[Unit]) -> Facility:
    """Make today's facility of a row of the old list; `units` are today's, of its old district or all."""
    found = addresses.place(row["name"], row["address"], row["old_district"], units)
    specialties = [
        SPECIALTIES.get(name.strip(), name) for name in row["specialties"].split(";") if name.strip()
    ]
    return Facility.model_validate(
        {
            "facility_code": row["code"],
            "name": row["name"],
            "kind": next(
                (kind for start, kind in KINDS.items() if row["name"].lower().startswith(start)), "other"
            ),
            "unit_code": found.unit_code,
            "unit_found_by": found.found_by,
            "address": FacilityAddress(
                line=row["address"], former_unit=found.former_unit, former_district=found.former_district
            ),
            "specialties": specialties or None,
        }
    )


def _instant(text: object) -> datetime | None:
    """Read when it happened; what is no instant with an offset the gate is about to refuse."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
