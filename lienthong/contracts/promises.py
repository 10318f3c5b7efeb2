"""The promises that were released last, so that readers hear of one that was weakened (hops 3 and 9)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from lienthong import names
from lienthong.contracts.contract import Contract
from lienthong.contracts.load import LIVE, Contracts

PROMISES: Final = Path("schemas") / "promises.json"
_WORSE_WHEN_MORE: Final = {"latency_seconds": True, "frequency_seconds": True, "retention_seconds": False}
_VIETNAMESE: Final = {
    "latency_seconds": "độ trễ",
    "frequency_seconds": "tần suất",
    "retention_seconds": "thời gian lưu",
}


@dataclass(frozen=True, slots=True)
class Weakened:
    """A promise that keeps less than it did, in seconds, and the groups that read the dataset."""

    topic: names.Topic
    promise: str
    before: float
    after: float
    readers: tuple[str, ...]

    def __str__(self) -> str:
        plain = self.promise.removesuffix("_seconds")
        en = f"{self.topic}: {plain} was {self.before:g} s, is {self.after:g} s"
        vi = f"{_VIETNAMESE[self.promise]} trước là {self.before:g} giây, nay là {self.after:g} giây"
        who = ", ".join(self.readers)
        return f"{en} · {vi}" + (f" (tell · báo {who})" if who else "")

    def as_json(self) -> dict[str, Any]:
        return {
            "topic": str(self.topic),
            "promise": self.promise,
            "before": self.before,
            "after": self.after,
            "readers": list(self.readers),
        }


def promises_of(contract: Contract) -> dict[str, float]:
    """List what a contract promises, in seconds; a state without retention keeps its newest for ever."""
    kept = {"retention_seconds": contract.retention_seconds} if contract.retention_seconds else {}
    promised = {"latency_seconds": contract.latency_seconds, "frequency_seconds": contract.frequency_seconds}
    return promised | kept


def promises_bytes(contracts: Contracts) -> bytes:
    """Write the promises of every live contract as they are released: by topic, sorted."""
    live = {topic: promises_of(one) for topic, one in contracts.contracts.items() if one.status in LIVE}
    return orjson.dumps(live, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def iter_weakened(contracts: Contracts) -> Iterator[Weakened]:
    """Find the promises that keep less than the ones released last."""
    released = _released(contracts.root)
    for topic, contract in contracts.contracts.items():
        before, after = released.get(topic, {}), promises_of(contract)
        for promise, worse_when_more in _WORSE_WHEN_MORE.items():
            was, is_now = before.get(promise), after.get(promise)
            if was is None or is_now is None:
                continue
            if is_now > was if worse_when_more else is_now < was:
                readers = tuple(sorted(grant.group for grant in contract.grants))
                yield Weakened(contract.topic, promise, was, is_now, readers)


def _released(root: Path) -> Mapping[str, Mapping[str, float]]:
    path = root / PROMISES
    try:
        released = orjson.loads(path.read_bytes()) if path.exists() else {}
    except orjson.JSONDecodeError:
        released = {}  # the next release writes it anew
    return released if isinstance(released, dict) else {}
