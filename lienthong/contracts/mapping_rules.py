"""The house rules of two majors side by side: what the newer one gives, when the former ends (hop 3)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lienthong import names
from lienthong.contracts.contract import CLASSIFICATIONS, Continuation, Contract, Derivation, Field
from lienthong.contracts.document import At, Document, Finding
from lienthong.contracts.examples import is_valid
from lienthong.contracts.folder import Folder
from lienthong.contracts.mapping import find_field
from lienthong.contracts.mapping_bounds import wider

RULE: Final = "mapping"
IN_FORCE: Final = ("active", "deprecated")

Flaw = tuple[str, str]
"""What is wrong, and what to do."""


def mapping_findings(folder: Folder, contracts: Mapping[str, Contract]) -> Iterator[Finding]:
    """Judge every mapping: it names a former major, gives each of its required fields, and types fit."""
    for contract in contracts.values():
        document = folder.contracts[contract.topic]
        for position, entry in enumerate(document.data.get("customProperties", ())):
            if entry.get("property") == "continues":
                at: At = ("customProperties", position, "value")
                yield from _continuation(folder, contracts, contract, document, at)


def overlap_findings(folder: Folder, contracts: Mapping[str, Contract]) -> Iterator[Finding]:
    """Find majors that stand side by side without a word: readers of the older one would hear nothing."""
    for contract in contracts.values():
        newer = next((one for one in contracts.values() if _is_newer(one, contract)), None)
        if newer is None or contract.status not in IN_FORCE:
            continue
        document = folder.contracts[contract.topic]
        if contract.end_of_life is None:
            message = f"has no end, although {newer.topic} is in force."
            remedy = "Promise its last day: {property: endOfLife, value: YYYY-MM-DD} in slaProperties."
            yield document.finding(("slaProperties",), "promise", message, remedy)
        if newer.continues is None:
            message = f"{contract.topic} is still in force, and nothing says how its readers get these facts."
            remedy = f"Add the customProperty `continues` with topic {contract.topic} and a mapping."
            yield folder.contracts[newer.topic].finding(("customProperties",), RULE, message, remedy)


def _is_newer(one: Contract, than: Contract) -> bool:
    same = (one.topic.department, one.topic.event) == (than.topic.department, than.topic.event)
    return same and one.topic.major > than.topic.major and one.status in IN_FORCE


def _continuation(
    folder: Folder, contracts: Mapping[str, Contract], contract: Contract, document: Document, at: At
) -> Iterator[Finding]:
    continues = contract.continues
    known = continues is not None and (
        continues.topic in folder.contracts or continues.topic in folder.unread
    )
    if continues is None or not known:
        remedy = f"Name the major before: {contract.topic.department}.{contract.topic.event}.v<major>."
        yield document.finding((*at, "topic"), RULE, "it continues a topic that has no contract.", remedy)
        return
    former = contracts.get(str(continues.topic))
    if former is None or former.status == "retired":
        return  # its own flaws are told; and of what has ended, nothing is published any more
    for message, remedy in _former_flaws(contracts, contract, former):
        yield document.finding((*at, "topic"), RULE, message, remedy)
    if not _is_newer_name(contract.topic, former.topic):
        return
    for position, derivation in enumerate(continues.mapping):
        for message, remedy in _derivation_flaws(contract, former, continues, derivation):
            yield document.finding((*at, "mapping", position), RULE, message, remedy)
    for message, remedy in _Fields(contract, former, continues).flaws():
        yield document.finding((*at, "mapping"), RULE, message, remedy)


def mapping_flaws(contract: Contract, former: Contract) -> Iterator[Flaw]:
    """List everything for which a mapping does not fit, wherever it stands."""
    continues = contract.continues or Continuation(former.topic)
    for derivation in continues.mapping:
        yield from _derivation_flaws(contract, former, continues, derivation)
    yield from _Fields(contract, former, continues).flaws()


def _is_newer_name(topic: names.Topic, former: names.Topic) -> bool:
    return topic[:2] == former[:2] and topic.major > former.major


def _former_flaws(contracts: Mapping[str, Contract], contract: Contract, former: Contract) -> Iterator[Flaw]:
    if not _is_newer_name(contract.topic, former.topic):
        yield (
            f"it continues {former.topic}, which is no former major of the same event.",
            "Name the major before.",
        )
        return
    if contract.is_state != former.is_state:
        yield (
            f"one of {contract.topic} and {former.topic} is a state, the other is not.",
            "A mapping tells the same fact in other words; describe another event instead.",
        )
    before = contracts.get(str(former.continues.topic)) if former.continues is not None else None
    if before is not None and before.status in IN_FORCE and contract.status in IN_FORCE:
        yield (
            f"{former.topic} still goes on from {before.topic}: three majors at once.",
            f"Let {before.topic} end before this one is put into force.",
        )


def _derivation_flaws(
    contract: Contract, former: Contract, continues: Continuation, derivation: Derivation
) -> Iterator[Flaw]:
    """Judge one line of a mapping by itself."""
    path = derivation.path
    old = find_field(former.fields, path)
    if old is None:
        yield f"`{path}` is no field of {former.topic} outside its lists.", "Correct the path."
        return
    if sum(one.path == path for one in continues.mapping) > 1:
        yield f"`{path}` is derived twice.", "Keep one."
    if bool(derivation.sources) == (derivation.value is not None):
        yield (
            f"`{path}` needs either `from` or `value`.",
            "Say where it comes from, or which value it always has.",
        )
    for fixed in (derivation.value, derivation.otherwise, *derivation.codes.values()):
        if fixed is not None and not is_valid(old, fixed):
            yield f"`{path}` would get a value that its own field refuses.", "Correct the value."
    for source in derivation.sources:
        if find_field(contract.fields, source) is None:
            yield f"`{source}` is no field of {contract.topic} outside its lists.", "Correct the path."


@dataclass(frozen=True, slots=True)
class _Fields:
    """Walks the former major's fields: is each required one always given, and does what is given fit?"""

    contract: Contract
    former: Contract
    continues: Continuation

    def flaws(self) -> Iterator[Flaw]:
        yield from self._of(self.former.fields, self.contract.fields, "")
        if self.former.is_state:
            yield from self._key_flaws()

    def _of(self, old: Sequence[Field], new: Sequence[Field], prefix: str) -> Iterator[Flaw]:
        for one in old:
            path = f"{prefix}{one.name}"
            derivation = next((d for d in self.continues.mapping if d.path == path), None)
            if derivation is not None and not derivation.sources:
                continue
            paths = derivation.sources if derivation is not None else ()
            found = [find_field(self.contract.fields, source) for source in paths]
            sources = [source for source in found if source is not None]
            if derivation is None:
                sources = [other for other in new if other.name == one.name]
            if not sources and derivation is not None:
                continue  # the path that names nothing has been told
            if one.logical_type == "object" and not sources and self._is_filled(path):
                yield from self._of(one.fields, (), f"{path}/")
                continue
            if one.required and not self._is_certain(derivation, sources):
                yield self._lost(path)
            if sources:
                yield from self._fit(one, sources, derivation or Derivation(path), path)

    def _is_filled(self, path: str) -> bool:
        return any(d.path.startswith(f"{path}/") for d in self.continues.mapping)

    def _is_certain(self, derivation: Derivation | None, sources: Sequence[Field]) -> bool:
        if derivation is None:
            return any(source.required for source in sources)
        return derivation.otherwise is not None or any(map(self._is_always_there, derivation.sources))

    def _is_always_there(self, path: str) -> bool:
        steps = path.split("/")
        parts = [find_field(self.contract.fields, "/".join(steps[:end])) for end in range(1, len(steps) + 1)]
        return all(part is not None and part.required for part in parts)

    def _lost(self, path: str) -> Flaw:
        newer = self.contract.topic
        why = f"nothing in {newer} always gives it: its readers would lose it."
        return (
            f"`{path}` is required in {self.former.topic}, and {why}",
            f"Derive it ({{field: {path}, from: …}}), give it an `otherwise`, or require its source.",
        )

    def _fit(self, old: Field, sources: Sequence[Field], derivation: Derivation, path: str) -> Iterator[Flaw]:
        for source in sources:
            if why := _misfit(old, source, derivation, joined=len(sources) > 1):
                yield f"`{path}` cannot be made from `{source.name}`: {why}.", "Correct the mapping."
        first = sources[0]
        if old.logical_type == first.logical_type == "object":
            yield from self._of(old.fields, first.fields, f"{path}/")
        elif old.items is not None and first.items is not None and old.items.fields:
            yield from self._of(old.items.fields, first.items.fields, f"{path}/*/")
        elif old.items is not None and first.items is not None:
            yield from self._fit(old.items, [first.items], Derivation(path), f"{path}/*")
        if why := wider(old, sources, derivation):
            remedy = "Narrow it here, or widen the former major first, which is a minor version of it."
            yield f"`{path}`: {why}, so that such a fact would be refused on both topics.", remedy

    def _key_flaws(self) -> Iterator[Flaw]:
        """Hold the former key to the newer one: a tombstone has nothing but its key."""
        said = {d.path: d for d in self.continues.mapping}
        for name in self.former.key:
            derivation = said.get(name, Derivation(name, (name,)))
            known = not derivation.sources or derivation.sources[0] in self.contract.key
            if not known or derivation.times is not None or len(derivation.sources) > 1:
                where = f"{self.former.topic} cannot be told from the key of {self.contract.topic}"
                yield (
                    f"the key field `{name}` of {where}: a retraction would not find its state.",
                    "Derive it from one key field, unchanged or by codes.",
                )


def _misfit(old: Field, new: Field, derivation: Derivation, *, joined: bool) -> str:
    """Say why a value of the newer field is none of the former one's; empty where it fits."""
    if CLASSIFICATIONS.index(new.classification) > CLASSIFICATIONS.index(old.classification):
        return f"it is {new.classification}, and the former field only {old.classification}"
    kinds: tuple[str, str] = (new.logical_type, old.logical_type)
    if derivation.codes and (joined or kinds != ("string", "string")):
        return "only codes can be translated"
    if joined:
        return "" if kinds == ("string", "string") and not old.codes else "only texts can be joined into one"
    if derivation.times is not None:
        numbers = {"integer", "number"}
        return "" if set(kinds) <= numbers else "only numbers can be multiplied"
    derived = bool(derivation.sources)
    if kinds[0] != kinds[1] and kinds != ("integer", "number") and not (derived and kinds == _TO_DAY):
        return f"it is of type {kinds[0]}, not {kinds[1]}"
    return _code_misfit(old, new, derivation.codes)


_TO_DAY: Final = ("timestamp", "date")


def _code_misfit(old: Field, new: Field, codes: Mapping[str, Any]) -> str:
    mine, theirs = {code.value for code in new.codes}, {code.value for code in old.codes}
    if mine and (stray := sorted(codes.keys() - mine)):
        return f"it translates {', '.join(stray)}, which is no code of it"
    if theirs and not mine:
        return "any text may stand in it, and the former field has a code list"
    if unknown := sorted(code for code in mine if not is_valid(old, codes.get(code, code))):
        return f"the former field has no code for {', '.join(unknown)} (translate it: `codes`)"
    return ""
