"""Draw up a form's account: what paper asks, what is asked now, who answers the rest, what is re-asked."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lienthong.contracts import Contracts
from lienthong.declare_once.form import Form, Place, Question


@dataclass(frozen=True, slots=True)
class Reasked:
    """A defect: the citizen is asked for what a dataset on the bus holds."""

    form: str
    question: Question
    held: Place

    @property
    def sentence(self) -> str:
        return (
            f"{self.form}: người dân bị hỏi lại «{self.question.label}», đã có ở {self.held}."
            f" (`{self.question.concept}` is asked although {self.held} holds it.)"
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "form": self.form,
            "concept": self.question.concept,
            "label": self.question.label,
            "held": str(self.held),
            "sentence": self.sentence,
        }


@dataclass(slots=True)
class Account:
    """Lines of one form, or of so many dossiers. `paper` and the rest never hold what is `outside`."""

    paper: int = 0
    """Lines to fill in on paper; what is asked on three papers counts three times."""
    asked: int = 0
    """Questions that the citizen answers now."""
    asked_lines: int = 0
    """Lines on paper that these answers stand for."""
    sometimes: int = 0
    """Questions asked only in some cases: of a form, besides `asked`; of dossiers, those really answered."""
    taken: Counter[str] = field(default_factory=Counter)
    """Lines on paper that a dataset answers, by topic."""
    made: int = 0
    """Lines on paper that the system answers by itself."""
    outside: int = 0
    """Lines on paper that are neither asked here nor on the bus."""

    @property
    def spared(self) -> int:
        """Lines that nobody fills in any more; less than none where more is asked than on paper."""
        return self.paper - self.asked

    def add(self, other: "Account", times: int = 1) -> None:
        """Add another account, so many times."""
        self.paper += other.paper * times
        self.asked += other.asked * times
        self.asked_lines += other.asked_lines * times
        self.sometimes += other.sometimes * times
        self.made += other.made * times
        self.outside += other.outside * times
        for topic, lines in other.taken.items():
            self.taken[topic] += lines * times

    def as_json(self) -> dict[str, Any]:
        return {
            "paper": self.paper,
            "asked": self.asked,
            "asked_lines": self.asked_lines,
            "sometimes": self.sometimes,
            "taken": dict(sorted(self.taken.items())),
            "made": self.made,
            "outside": self.outside,
            "spared": self.spared,
        }


def account(form: Form) -> Account:
    """Draw up the account of a form as it stands: every paper, every line that may be filled in."""
    papers = [paper.paper for paper in form.papers]
    total = Account()
    for question in form.questions:
        _note(total, question, papers, int(bool(question.asked and not question.answered_by_us)))
        total.sometimes += bool(question.asked_when)
    return total


def account_of(form: Form, answered: Mapping[Place, bool], papers: Sequence[str]) -> Account:
    """Draw up the account of one dossier.

    Args:
        form: Its form.
        answered: The places of `places(form)`, and whether the dossier has each.
        papers: The papers that it would have needed.
    """
    total = Account()
    for question in form.questions:
        answers = sum(answered[place] for place in question.asked)
        if question.when and not any(answered[place] for place in question.when):
            continue
        if question.asked and not question.answered_by_us and not answers:
            continue  # left blank, as it would be on paper
        _note(total, question, papers, answers)
        total.sometimes += answers if question.asked_when else 0
    return total


def places(form: Form) -> list[Place]:
    """List the places whose presence in a dossier an account depends on."""
    found = dict.fromkeys(place for question in form.questions for place in (*question.asked, *question.when))
    return list(found)


def _note(total: Account, question: Question, papers: Sequence[str], answers: int) -> None:
    lines = sum(paper in papers for paper in question.papers)
    if question.outside:
        total.outside += lines
        return
    total.paper += lines
    total.asked += answers
    if answers:
        total.asked_lines += lines
    elif question.taken_from is not None:
        total.taken[question.taken_from.topic] += lines
    else:
        total.made += lines


def known_places(forms: Iterable[Form]) -> dict[str, list[Place]]:
    """List, by concept, where the bus holds it: what any form's `known` says."""
    found: dict[str, list[Place]] = {}
    for form in forms:
        for place, concepts in form.known.items():
            for concept in concepts:
                if place not in found.setdefault(concept, []):
                    found[concept].append(place)
    return found


def reasked(forms: Sequence[Form], contracts: Contracts) -> list[Reasked]:
    """List what citizens are asked although the bus holds it.

    Not a defect: the key of the fact that holds it (the number on the slip is how the rest is found), what
    the departments of the procedure publish themselves (it follows from the dossier), and what is asked only
    where the answer differs from the one that is taken.
    """
    known = known_places(forms)
    found = []
    for form in forms:
        for question in form.questions:
            if not question.asked or question.answered_by_us:
                continue
            found += [
                Reasked(form.form, question, place)
                for place in known.get(question.concept, ())
                if place.owner not in form.participants
                and place.path not in contracts.contracts[place.topic].key
            ]
    return found
