"""Judge each contract against its last frozen version: the next version, who is hurt, what to do (hop 3)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lienthong import names
from lienthong.contracts.change_words import Language, say, say_hurt, say_shown
from lienthong.contracts.compatibility import Change, Level, changes, level_of, next_version
from lienthong.contracts.contract import Contract
from lienthong.contracts.document import At, Finding, read_document
from lienthong.contracts.fields import iter_written
from lienthong.contracts.frozen import Frozen, newest
from lienthong.contracts.load import LIVE, Contracts
from lienthong.contracts.schema import json_schema
from lienthong.contracts.witness import Witness, Witnesses

_LONGEST_SHOWN: Final = 600


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a contract's changes since its last frozen version come to; `version` is None where refused."""

    contract: Contract
    last: Frozen
    changes: tuple[Change, ...]

    @property
    def topic(self) -> names.Topic:
        return self.contract.topic

    @property
    def version(self) -> str | None:
        return next_version(self.last.version, list(self.changes))

    @property
    def level(self) -> Level | None:
        return level_of(list(self.changes))

    def readers(self, change: Change) -> list[str]:
        """Name the groups whose grant lists the field; all of them where the whole is changed."""
        return sorted(
            grant.group for grant in self.contract.grants if not change.field or change.field in grant.fields
        )

    def witnesses(self) -> dict[Change, Witness]:
        """Find a document for each breaking change that shows what it does."""
        if self.level != "breaking":
            return {}
        schema = json_schema(self.contract, self.last.version)
        seek = Witnesses(self.last.schema, schema, self.contract.valid_examples)
        found = {change: seek.find(change) for change in self.changes}
        return {change: witness for change, witness in found.items() if witness is not None}

    def hurt(self, change: Change, language: Language) -> list[str]:
        """Say who is hurt, or hears of it: readers by their groups, the writer by its department."""
        who = []
        for hurt in change.hurts:
            named = self.readers(change) if hurt == "readers" else []
            if hurt == "writers":
                named = [self.topic.department]
            if hurt == "readers" and not named:
                continue
            said = say_hurt(hurt, language)
            who.append(f"{said} {', '.join(named)}" if named else said)
        return who

    def as_json(self) -> dict[str, Any]:
        witnesses = self.witnesses()
        return {
            "topic": str(self.topic),
            "from": self.last.version,
            "to": self.version,
            "level": self.level,
            "changes": [self._change_as_json(change, witnesses) for change in self.changes],
        }

    def _change_as_json(self, change: Change, witnesses: Mapping[Change, Witness]) -> dict[str, Any]:
        en, vi = say(change, "en"), say(change, "vi")
        witness = witnesses.get(change)
        return {
            "path": change.path,
            "rule": change.rule,
            "level": change.level,
            "before": change.before,
            "after": change.after,
            "hurts": list(change.hurts),
            "readers": self.readers(change) if "readers" in change.hurts else [],
            "en": {"what": en.what, "remedy": en.remedy},
            "vi": {"what": vi.what, "remedy": vi.remedy},
            "witness": witness.as_json() if witness else None,
        }


def verdict_of(contract: Contract, last: Frozen) -> Verdict:
    """Compare a contract with the version that was frozen last."""
    return Verdict(contract, last, tuple(changes(last.schema, json_schema(contract, last.version))))


def verdicts(contracts: Contracts, frozen: list[Frozen]) -> list[Verdict]:
    """Judge every live contract that has a frozen version and is no longer as it was."""
    judged = []
    for contract in contracts.contracts.values():
        last = newest(frozen, contract.topic) if contract.status in LIVE else None
        if last is not None and (verdict := verdict_of(contract, last)).changes:
            judged.append(verdict)
    return judged


def breaking_findings(verdict: Verdict, contracts: Contracts) -> Iterator[Finding]:
    """Tell each breaking change of a contract where it stands in the file, with a witness and a remedy."""
    breaking = [change for change in verdict.changes if change.level == "breaking"]
    if not breaking:
        return
    witnesses = verdict.witnesses()
    places = _places(verdict.contract, contracts)
    file = verdict.contract.path.relative_to(contracts.root)
    for change in breaking:
        said = [f"{_told(verdict, change, 'en')}.", f"{_told(verdict, change, 'vi')}."]
        witness = _shown(witnesses.get(change))
        remedies = " · ".join(say(change, language).remedy for language in ("en", "vi"))
        line = places.get(change.path.strip("/"), 1)
        yield Finding(file, line, change.rule, f"{' · '.join(said)}{witness}", remedies)


def _told(verdict: Verdict, change: Change, language: Language) -> str:
    hurts, since = ("hurts", "since") if language == "en" else ("ảnh hưởng", "so với")
    who = "; ".join(verdict.hurt(change, language)) or ("nobody yet" if language == "en" else "chưa ai đọc")
    return f"{say(change, language).what} ({since} {verdict.last.version}; {hurts} {who})"


def _shown(witness: Witness | None) -> str:
    if witness is None:
        return " No document was found that shows it. · Chưa tìm được văn bản minh họa."
    text = witness.value.decode()
    text = " ".join(text.split()) if witness.size else text
    text = text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
    size = f" + blanks to {witness.size} bytes" if witness.size else ""
    shows = " · ".join(say_shown(witness.shows, language) for language in ("en", "vi"))
    return f" Witness · ví dụ ({shows}): {text}{size}"


def _places(contract: Contract, contracts: Contracts) -> dict[str, int]:
    """Find the line of each field in the contract's file."""
    document, _ = read_document(contract.path, contracts.root)
    if document is None:
        return {}
    at: At = ("schema", 0, "properties")
    written = iter_written(document.data["schema"][0]["properties"], at)
    return {field.path: document.line(*field.at) for field in written}
