"""The forms of the city: nothing in them is fiction, nothing is asked that the bus holds."""

from dataclasses import replace
from pathlib import Path

import pytest

from lienthong.contracts import load_contracts
from lienthong.declare_once import check_forms, known_places, load_forms, reasked

ROOT = Path(__file__).parents[2]
CONTRACTS = load_contracts(ROOT)
FORMS = load_forms(CONTRACTS)
TAKEN = [
    (form, question)
    for form in FORMS
    for question in form.questions
    if question.taken_from is not None and question.taken_from.owner not in form.participants
]


def test_every_form_is_sound():
    assert check_forms(CONTRACTS) == []
    assert {form.form for form in FORMS} >= {"birth", "death"}


def test_nothing_is_asked_that_the_bus_holds():
    assert [one.sentence for one in reasked(FORMS, CONTRACTS)] == []


def test_every_dataset_of_a_procedure_is_explained_by_a_form():
    """Each dossier that a room publishes for others to act on has a form."""
    explained = {topic for form in FORMS for topic in form.topics}
    dossiers = {
        topic for topic in CONTRACTS.contracts if topic.split(".")[1].endswith(("-submitted", "-declared"))
    }
    assert dossiers - explained == set()


@pytest.mark.parametrize(
    ("form", "question"), TAKEN, ids=[f"{form.form}-{question.concept}" for form, question in TAKEN]
)
def test_a_known_field_that_is_asked_is_a_defect_with_a_sentence(form, question):
    asked = next(one.asked for one in form.questions if one.asked)
    again = replace(question, asked=asked, taken_from=None, asked_when="", asked_when_en="")
    questions = tuple(again if one is question else one for one in form.questions)
    changed = [replace(form, questions=questions) if one is form else one for one in FORMS]

    defects = reasked(changed, CONTRACTS)

    assert {(one.form, one.question.concept) for one in defects} == {(form.form, question.concept)}
    told = " ".join(one.sentence for one in defects)
    assert question.label in told
    assert str(question.taken_from) in told


def test_the_number_that_finds_the_rest_may_be_asked():
    held = known_places(FORMS)["birth.notice"]
    assert {place.topic for place in held} == {"health.birth-notified.v1", "health.birth-notice-annulled.v1"}
    birth = next(form for form in FORMS if form.form == "birth")
    assert any(question.concept == "birth.notice" and question.asked for question in birth.questions)
