"""Under which names a record that is sent again may have been dealt with."""

from lienthong.again import Again
from lienthong.dead_letters import Record
from lienthong.gate import Gate
from lienthong.lane import take_up
from lienthong.letters.letter import Place
from lienthong.settings import Settings
from lienthong.turn import Reading, Turn
from tests.unit.test_letters import HEADERS, ID

GROUP = "justice.birth-registration"
V1, V2 = "health.birth-notified.v1", "health.birth-notified.v2"
SIBLING = "0199a1b2-0000-7000-8000-000000000002"
SETTINGS = Settings(
    bootstrap_servers="127.0.0.1:9092",
    username="justice",
    password="secret",
    database_url="postgresql://justice@127.0.0.1/justice",
    security_protocol="SASL_PLAINTEXT",
)


async def handle(*_: object) -> None:
    """Never called here."""


def names(topic: str, *readings: Reading) -> set[str]:
    """Name a record with a sibling, read from a topic by a group with these readings."""
    by_topic = {reading.topic: reading for reading in readings}
    again = Again(GROUP, by_topic, Turn(GROUP, by_topic, Gate([]), SETTINGS), SETTINGS)
    taken = take_up(Record(topic, 0, 7, 0, b"vat", b"{}", [*HEADERS, ("ce_siblingid", SIBLING.encode())]))
    return {name for _, name in again._names_of(taken, Place(topic, 0, 7))}


def test_a_record_is_known_by_its_id_and_by_its_place() -> None:
    assert names(V1, Reading(V1, GROUP, handle)) == {ID, "0/7"}


def test_a_fact_of_two_majors_is_known_by_its_siblings_id_too_on_either() -> None:
    readings = Reading(V1, GROUP, handle), Reading(V2, GROUP, handle, former=V1, reads_former=True)
    assert names(V1, *readings) == {ID, "0/7", SIBLING}
    assert names(V2, *readings) == {ID, "0/7", SIBLING}


def test_two_majors_of_a_state_are_two_copies() -> None:
    assert names(V2, Reading(V1, GROUP, handle), Reading(V2, GROUP, handle)) == {ID, "0/7"}
