"""Justice writes the register from what each department knows; nobody is asked twice."""

from services.justice.events import BirthNotified, DossierSubmitted
from services.justice.publishers import write_entry

NOTIFICATION = BirthNotified.model_validate(
    {
        "notification_id": "01169-2025-000731",
        "facility_code": "01169",
        "born_at": "2025-11-14T20:55:00+07:00",
        "sex": "female",
        "mother": {
            "personal_number": "099199000001",
            "full_name": "Nguyễn Thị Mẫu",
            "born_on": "1999-03-08",
            "ethnicity_code": "01",
            "unit_code": "10441",
        },
    }
)
DOSSIER = {
    "dossier_code": "H26.10441-251116-0001",
    "notification_id": "01169-2025-000731",
    "unit_code": "10441",
    "submitted_at": "2025-11-16T09:30:00+07:00",
    "child": {"full_name": "Trần Thị Mẫu Con"},
    "father": {
        "personal_number": "099096000001",
        "full_name": "Trần Văn Mẫu",
        "born_on": "1996-05-02",
        "ethnicity_code": "06",
    },
    "declarant": {"relationship": "father"},
}
UNIT = "Xã Mỹ Đức"


def entry(**changes: object) -> dict:
    dossier = DossierSubmitted.model_validate({**DOSSIER, **changes})
    return write_entry(NOTIFICATION, dossier, UNIT, UNIT, "Phòng khám Mẫu, Xã Mỹ Đức")


def test_mother_time_and_place_come_from_health_and_the_name_from_the_family():
    written = entry()

    assert written["child"] == {
        "full_name": "Trần Thị Mẫu Con",
        "sex": "female",
        "born_at": "2025-11-14T20:55:00+07:00",
        "birthplace": "Phòng khám Mẫu, Xã Mỹ Đức",
        "ethnicity_code": "01",
    }
    assert written["mother"]["full_name"] == "Nguyễn Thị Mẫu"
    assert written["mother"]["residence"] == "Xã Mỹ Đức"
    assert written["registered_by"] == "Xã Mỹ Đức"


def test_a_parent_who_declares_is_known_already():
    assert entry()["declarant"] == {
        "relationship": "father",
        "full_name": "Trần Văn Mẫu",
        "personal_number": "099096000001",
    }
    assert entry(declarant={"relationship": "mother"})["declarant"]["personal_number"] == "099199000001"


def test_a_relative_who_declares_is_written_as_declared():
    grandmother = {"relationship": "relative", "personal_number": "099155000003", "full_name": "Lê Thị Bà"}

    assert entry(declarant=grandmother)["declarant"] == grandmother


def test_a_child_without_a_named_father_follows_its_mother():
    written = entry(father=None, declarant={"relationship": "mother"})

    assert written["father"] is None
    assert written["child"]["ethnicity_code"] == "01"


def test_parents_may_choose_the_fathers_ethnicity_for_the_child():
    assert (
        entry(child={"full_name": "Trần Thị Mẫu Con", "ethnicity_code": "06"})["child"]["ethnicity_code"]
        == "06"
    )
