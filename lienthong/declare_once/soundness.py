"""Hold a form against the contracts: nothing in it may be fiction, nothing of them may be missing in it."""

from collections import Counter
from collections.abc import Iterator

from lienthong.contracts import Contract, Contracts, Finding
from lienthong.contracts.document import At, Document
from lienthong.contracts.load import LIVE
from lienthong.declare_once.form import Form, Place, Question, find_field, iter_leaves


def soundness_findings(form: Form, document: Document, contracts: Contracts) -> Iterator[Finding]:
    """Find what a form says that the contracts do not, and the other way round."""
    yield from _frame_findings(form, document, contracts)
    yield from _question_findings(form, document, contracts)
    yield from _completeness_findings(form, document, contracts)
    yield from _known_findings(form, document, contracts)


def _frame_findings(form: Form, document: Document, contracts: Contracts) -> Iterator[Finding]:
    """Look at the dossier's topics, at who takes part, at the papers."""
    for topic in form.topics:
        at: At = ("dossier",) if topic == form.topic else ("besides", form.besides.index(topic))
        contract = contracts.contracts.get(topic)
        if contract is None or contract.topic.department != form.department:
            message = f"`{topic}` is no dataset of {form.department}."
            yield document.finding(at, "form-dossier", message, "Name a topic of the room's own department.")
        elif form.code not in {field.name for field in contract.fields}:
            message = f"`{topic}` has no field `{form.code}`."
            yield document.finding(at, "form-dossier", message, "Name the field that tells dossiers apart.")
    granted = {grant.group for contract in contracts.contracts.values() for grant in contract.grants}
    for number, group in enumerate(form.groups):
        if group not in granted:
            message = f"no contract grants anything to `{group}`."
            remedy = "Name a grant: <department>.<purpose>."
            yield document.finding(("groups", number), "form-group", message, remedy)
    for number, paper in enumerate(form.papers):
        if paper.place is not None:
            yield from _own_place(form, document, contracts, ("papers", number), paper.place)
    for name, count in Counter(paper.paper for paper in form.papers).items():
        if count > 1:
            message = f"tells of the paper `{name}` twice."
            yield document.finding(("papers",), "form-paper", message, "Keep one of the two.")


def _question_findings(form: Form, document: Document, contracts: Contracts) -> Iterator[Finding]:
    papers = {paper.paper for paper in form.papers}
    seen: set[str] = set()
    for number, question in enumerate(form.questions):
        at: At = ("questions", number)
        if question.concept in seen:
            message = f"asks for `{question.concept}` a second time."
            yield document.finding(at, "form-concept", message, "One question a concept.")
        seen.add(question.concept)
        if unknown := sorted(set(question.papers) - papers):
            message = f"is asked on `{unknown[0]}`, which is no paper of this form."
            yield document.finding(at, "form-paper", message, f"Known are {', '.join(sorted(papers))}.")
        if len(set(question.papers)) < len(question.papers):
            yield document.finding(at, "form-paper", "names a paper twice.", "Name each once.")
        for place in (*question.asked, *question.fills, *question.when):
            yield from _own_place(form, document, contracts, at, place)
        if question.asked_when:
            yield from _asked_when_findings(form, document, contracts, at, question)
        if question.taken_from is not None:
            yield from _taken_findings(form, document, contracts, at, question)


def _asked_when_findings(
    form: Form, document: Document, contracts: Contracts, at: At, question: Question
) -> Iterator[Finding]:
    """What is asked only in some cases cannot be a field that every dossier must have."""
    for place in question.asked:
        contract = contracts.contracts.get(place.topic)
        if contract is not None and place.topic == form.topic and _is_in_every_record(contract, place):
            message = f"is asked only when …, but `{place}` is required."
            remedy = "Make the field optional in the contract, or say that it is always asked."
            yield document.finding(at, "form-asked-when", message, remedy)


def _is_in_every_record(contract: Contract, place: Place) -> bool:
    """Tell whether a field is required, and so is all that it lies in."""
    parts = place.path.split(".")
    way = [find_field(contract, ".".join(parts[:end])) for end in range(1, len(parts) + 1)]
    return all(one is not None and one.required for one in way)


def _taken_findings(
    form: Form, document: Document, contracts: Contracts, at: At, question: Question
) -> Iterator[Finding]:
    """What is taken from a dataset is there, and is granted to somebody who takes part."""
    place = question.taken_from
    assert place is not None
    contract = contracts.contracts.get(place.topic)
    if contract is None or place.path not in dict(iter_leaves(contract)):
        message = f"is taken from `{place}`, which no contract has."
        yield document.finding(at, "form-place", message, "Name a field that a contract has.")
        return
    readers = [grant.group for grant in contract.grants if place.top in grant.fields]
    if not set(readers) & set(form.groups):
        message = f"is taken from `{place}`, which is granted to nobody who takes part."
        remedy = "Grant the field in the dataset's contract, or ask the citizen."
        yield document.finding(at, "form-grant", message, remedy)
    tied = form.known.get(place)
    if tied is not None and question.concept not in tied:
        message = f"is taken from `{place}`, which `known` ties to {', '.join(tied)}."
        remedy = f"Add {question.concept} to the concepts of that field."
        yield document.finding(at, "form-known", message, remedy)


def _own_place(
    form: Form, document: Document, contracts: Contracts, at: At, place: Place
) -> Iterator[Finding]:
    contract = contracts.contracts.get(place.topic)
    if place.topic not in form.topics or contract is None or find_field(contract, place.path) is None:
        message = f"`{place}` is no field of this form's dossier."
        yield document.finding(at, "form-place", message, f"Name a field of {', '.join(form.topics)}.")


def _completeness_findings(form: Form, document: Document, contracts: Contracts) -> Iterator[Finding]:
    """Find what the dossier holds and no question explains: a form that is silent about it is fiction."""
    told = Counter(place for question in form.questions for place in (*question.asked, *question.fills))
    for place, count in told.items():
        if count > 1:
            message = f"fills `{place}` {count} times."
            yield document.finding(("questions",), "form-place", message, "Keep one of them.")
    for topic in form.topics:
        contract = contracts.contracts.get(topic)
        for path, _ in iter_leaves(contract) if contract else ():
            if Place(topic, path) not in told:
                message = f"does not say where `{topic}#{path}` comes from."
                remedy = "Add a question with it in asked or fills."
                yield document.finding(("questions",), "form-silent", message, remedy)


def _known_findings(form: Form, document: Document, contracts: Contracts) -> Iterator[Finding]:
    """Find facts that the bus holds and the form does not tie: a re-asked field would hide there."""
    for place in form.known:
        contract = contracts.contracts.get(place.topic)
        if contract is None or place.path not in dict(iter_leaves(contract)):
            message = f"`{place}` is in no contract."
            at: At = ("known", place.topic, place.path)
            yield document.finding(at, "form-known", message, "Name a field that a contract has.")
    for topic in known_before(form, contracts):
        if contracts.contracts[topic].status not in LIVE:
            continue  # the bus does not hold what is only drafted
        for path, _ in iter_leaves(contracts.contracts[topic]):
            if Place(topic, path) not in form.known:
                message = f"does not say what `{topic}#{path}` is about."
                remedy = "Add it to known with its concept, such as mother.full_name."
                yield document.finding(("known",), "form-known", message, remedy)


def known_before(form: Form, contracts: Contracts) -> list[str]:
    """List the facts that take part in a procedure and do not follow from the dossier itself."""
    return [
        topic
        for topic, contract in contracts.contracts.items()
        if not contract.is_state
        and contract.topic.department not in form.participants
        and any(grant.group in form.groups for grant in contract.grants)
    ]
