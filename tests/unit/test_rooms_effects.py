"""What a department did about every fact that it reads can be read in its own tables."""

import pytest

from lienthong import Department
from tests.journeys.town import TABLES


@pytest.mark.parametrize("department", TABLES, ids=lambda department: department.name)
def test_every_reader_is_in_its_rooms_view_of_effects(department: Department):
    view = TABLES[department].partition("CREATE OR REPLACE VIEW ")[2]
    absent = [
        f"{topic} → {group}"
        for group, topics in department.readings.items()
        for topic in topics
        if f"'{group}'" not in view or f"'{topic}'" not in view
    ]
    assert department.readings
    assert absent == []
