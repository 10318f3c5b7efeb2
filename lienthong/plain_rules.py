"""Plain rules, turned into Python once at load (hop 3).

A rule that compares fields, asks whether they are there, or looks them up in a list costs the CEL engine ten
times what the whole schema costs. Such an expression becomes a few closures here. They answer only where the
answer is beyond doubt; wherever the engine might say something else (a missing field, kinds that differ),
they raise `Unsure`, and the engine is asked.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from operator import ge, gt, le, lt
from typing import Any, Final

from lienthong.moments import Plan, read_moment

Node = Callable[[Any, Any], Any]
"""From an event's data and circumstances to a value."""

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"[^"\\\n]*"|'[^'\\\n]*')|(?P<float>\d+\.\d+(?![\w.]))|(?P<integer>\d{1,15}(?![\w.]))"""
    r"""|(?P<name>[A-Za-z_]\w*)|(?P<sign>==|!=|<=|>=|&&|\|\||[-<>!?:+().,\[\]]))"""
)
_EXACT: Final = 2**53
_EVENT: Final = ("time", "recorded_at", "subject", "id")
_RELATIONS: Final = frozenset({"<", "<=", ">", ">=", "==", "!=", "in"})


class Unsure(Exception):
    """The closures will not answer for this event."""


class _NotPlain(Exception):
    """The expression is of a kind that only the engine understands."""


def find_plain(expression: str, plan: Plan) -> Node | None:
    """Turn a plain expression into a closure; None where it is not plain. The engine has parsed it before."""
    try:
        return _Reader(_tokens(expression), plan).whole()
    except _NotPlain:
        return None


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens = []
    place, end = 0, len(expression.rstrip())
    while place < end:
        match = _TOKEN.match(expression, place)
        if match is None or match.lastgroup is None:
            raise _NotPlain
        tokens.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    return [*tokens, ("end", "")]


class _Reader:
    """Recursive descent over CEL's levels of binding, from `? :` down to a field."""

    def __init__(self, tokens: list[tuple[str, str]], plan: Plan) -> None:
        self._tokens = tokens
        self._plan = plan
        self._at = 0

    def whole(self) -> Node:
        node = self._choice()
        if self._tokens[self._at][0] != "end":
            raise _NotPlain
        return node

    def _take(self, *signs: str) -> str | None:
        kind, text = self._tokens[self._at]
        if kind in {"sign", "name"} and text in signs:
            self._at += 1
            return text
        return None

    def _expect(self, sign: str) -> None:
        if self._take(sign) is None:
            raise _NotPlain

    def _choice(self) -> Node:
        asked = self._either()
        if self._take("?") is None:
            return asked
        then = self._either()
        self._expect(":")
        return _choose(asked, then, self._choice())

    def _either(self) -> Node:
        node = self._both()
        while self._take("||"):
            node = _or(node, self._both())
        return node

    def _both(self) -> Node:
        node = self._relation()
        while self._take("&&"):
            node = _and(node, self._relation())
        return node

    def _relation(self) -> Node:
        node = self._sum()
        while (sign := self._take(*_RELATIONS)) is not None:
            node = _compare(sign, node, self._sum())
        return node

    def _sum(self) -> Node:
        node = self._unary()
        while self._take("+"):
            node = _join(node, self._unary())
        return node

    def _unary(self) -> Node:
        if self._take("!"):
            return _not(self._unary())
        if self._take("-"):
            kind, text = self._tokens[self._at]
            if kind not in {"integer", "float"}:
                raise _NotPlain
            self._at += 1
            return _constant(-_number(kind, text))
        return self._member()

    def _member(self) -> Node:
        node, path = self._primary()
        while self._take("."):
            kind, name = self._tokens[self._at]
            self._at += 1
            if kind != "name":
                raise _NotPlain
            if self._take("("):
                return self._call(name, node, path)
            node, path = self._select(node, path, name)
        if path in {("data",), ("event",)}:
            raise _NotPlain
        return node

    def _select(self, node: Node, path: tuple[str, ...], name: str) -> tuple[Node, tuple[str, ...]]:
        if path[:1] == ("event",):
            if len(path) > 1 or name not in _EVENT:
                raise _NotPlain
            return _attribute(name), (*path, name)
        if path[:1] != ("data",):
            raise _NotPlain
        path = (*path, name)
        return _field(node, name, _moment_at(self._plan, path[1:])), path

    def _call(self, name: str, node: Node, path: tuple[str, ...]) -> Node:
        if path in {("data",), ("event",)}:
            raise _NotPlain
        if name == "size":
            self._expect(")")
            built = _size(node)
        elif name in _METHODS:
            built = _method(_METHODS[name], node, self._choice())
            self._expect(")")
        else:
            raise _NotPlain
        if self._take("."):
            raise _NotPlain
        return built

    def _primary(self) -> tuple[Node, tuple[str, ...]]:
        kind, text = self._tokens[self._at]
        self._at += 1
        if kind == "text":
            return _constant(text[1:-1]), ()
        if kind in {"integer", "float"}:
            return _constant(_number(kind, text)), ()
        if kind == "sign" and text == "(":
            node = self._choice()
            self._expect(")")
            return node, ()
        if kind == "sign" and text == "[":
            return self._list(), ()
        if kind == "name":
            return self._named(text)
        raise _NotPlain

    def _named(self, name: str) -> tuple[Node, tuple[str, ...]]:
        if name in _CONSTANTS:
            return _constant(_CONSTANTS[name]), ()
        if name == "data":
            return _whole_data, ("data",)
        if name == "event":
            return _whole_data, ("event",)
        if name in {"has", "size"} and self._take("("):
            return (self._has() if name == "has" else self._sized()), ()
        raise _NotPlain

    def _sized(self) -> Node:
        node = self._choice()
        self._expect(")")
        return _size(node)

    def _has(self) -> Node:
        names = []
        self._expect("data")
        while self._take("."):
            kind, name = self._tokens[self._at]
            self._at += 1
            if kind != "name":
                raise _NotPlain
            names.append(name)
        self._expect(")")
        if not names:
            raise _NotPlain
        return _present(names)

    def _list(self) -> Node:
        elements = []
        while self._take("]") is None:
            elements.append(self._choice())
            if self._take(",") is None:
                self._expect("]")
                break
        return lambda data, event: [element(data, event) for element in elements]


_CONSTANTS: Final[Mapping[str, Any]] = {"true": True, "false": False, "null": None}
_METHODS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "startsWith": str.startswith,
    "endsWith": str.endswith,
    "contains": str.__contains__,
}


def _number(kind: str, text: str) -> int | float:
    return int(text) if kind == "integer" else float(text)


def _moment_at(plan: Plan, path: tuple[str, ...]) -> str | None:
    at: str | Plan = plan
    for name in path:
        if isinstance(at, str):
            return None
        at = at.get(name, {})
    return at if isinstance(at, str) else None


def _constant(value: Any) -> Node:
    return lambda _data, _event: value


def _whole_data(data: Any, _event: Any) -> Any:
    return data


def _attribute(name: str) -> Node:
    return lambda _data, event: getattr(event, name)


def _field(inner: Node, name: str, moment: str | None) -> Node:
    def select(data: Any, event: Any) -> Any:
        parent = inner(data, event)
        if type(parent) is not dict or name not in parent:
            raise Unsure
        return parent[name]

    if moment is None:
        return select

    def select_moment(data: Any, event: Any) -> Any:
        text = select(data, event)
        if type(text) is not str:
            raise Unsure
        return read_moment(text, moment)

    return select_moment


def _present(names: list[str]) -> Node:
    *outer, last = names

    def present(data: Any, _event: Any) -> bool:
        for name in outer:
            if type(data) is not dict or name not in data:
                raise Unsure
            data = data[name]
        if type(data) is not dict:
            raise Unsure
        return last in data

    return present


def _truth(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise Unsure


def _or(left: Node, right: Node) -> Node:
    return lambda data, event: _truth(left(data, event)) or _truth(right(data, event))


def _and(left: Node, right: Node) -> Node:
    return lambda data, event: _truth(left(data, event)) and _truth(right(data, event))


def _not(inner: Node) -> Node:
    return lambda data, event: not _truth(inner(data, event))


def _choose(asked: Node, then: Node, otherwise: Node) -> Node:
    return lambda data, event: (then if _truth(asked(data, event)) else otherwise)(data, event)


def _join(left: Node, right: Node) -> Node:
    def join(data: Any, event: Any) -> str:
        a, b = left(data, event), right(data, event)
        if type(a) is str and type(b) is str:
            return a + b
        raise Unsure

    return join


def _size(inner: Node) -> Node:
    def size(data: Any, event: Any) -> int:
        value = inner(data, event)
        if type(value) is str or type(value) is list:
            return len(value)
        raise Unsure

    return size


def _method(act: Callable[[str, str], bool], inner: Node, argument: Node) -> Node:
    def call(data: Any, event: Any) -> bool:
        a, b = inner(data, event), argument(data, event)
        if type(a) is str and type(b) is str:
            return act(a, b)
        raise Unsure

    return call


def _alike(a: Any, b: Any) -> bool:
    """Tell whether two values are of one kind, so that Python and CEL cannot differ over them."""
    if type(a) is type(b):
        return type(a) in {str, int, float, bool} or isinstance(a, datetime)
    numbers = {type(a), type(b)} == {int, float}
    return numbers and abs(a) <= _EXACT and abs(b) <= _EXACT


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    if _alike(a, b):
        return bool(a == b)
    raise Unsure


def _within(a: Any, b: Any) -> bool:
    if type(b) is list and all(type(element) is type(a) is str for element in b):
        return a in b
    raise Unsure


def _compare(sign: str, left: Node, right: Node) -> Node:
    if sign == "in":
        return lambda data, event: _within(left(data, event), right(data, event))
    if sign == "==":
        return lambda data, event: _equal(left(data, event), right(data, event))
    if sign == "!=":
        return lambda data, event: not _equal(left(data, event), right(data, event))
    order: Callable[[Any, Any], bool] = {"<": lt, "<=": le, ">": gt, ">=": ge}[sign]

    def compare(data: Any, event: Any) -> bool:
        a, b = left(data, event), right(data, event)
        if _alike(a, b) and type(a) is not bool:
            return order(a, b)
        raise Unsure

    return compare
