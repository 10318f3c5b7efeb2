"""Cross-field rules in CEL, the expression language of the contracts (hop 3)."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import cel

from lienthong.errors import ContractsNotSound, Problem
from lienthong.moments import Plan, find_moments, with_moments
from lienthong.plain_rules import Unsure, find_plain

LONGEST: Final = 1000
"""Greatest length of an expression: the parser recurses."""

DEEPEST: Final = 24
"""Greatest nesting of brackets in an expression."""

Evaluate = Callable[[Any, Any], Any]
"""From data as read from JSON, and an event's circumstances, to what the expression says."""

_TEXT: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_DATA: Final = re.compile(r"\bdata\b")
_TOP_FIELD: Final = re.compile(r"\bdata\.([A-Za-z_]\w*)")
_DATA_FIELD: Final = re.compile(r"\bdata((?:\.[A-Za-z_]\w*(?!\w|\s*\())+)")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule made ready: true for a sound event."""

    name: str
    expression: str
    description: str
    path: str
    """The first field that the expression names: where an official begins to look."""
    evaluate: Evaluate = field(repr=False)

    @property
    def problem(self) -> Problem:
        """What an event that breaks the rule is told."""
        return Problem(self.path, self.name, self.description)

    def denies(self, data: Any, event: Any) -> bool:
        """Tell whether the rule, evaluated, says a clear no."""
        return self.check(data, event) == self.problem

    def check(self, data: Any, event: Any) -> Problem | None:
        """Say what is wrong, if something is; a rule that cannot be evaluated is a problem too."""
        try:
            said = self.evaluate(data, event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as flaw:
            # A panic of the compiled core is no Exception; and the flaw's text may hold values.
            message = f"the rule could not be evaluated ({_why(flaw)}): {self.description}"
            return Problem(self.path, self.name, message)
        if said is True:
            return None
        if said is False:
            return self.problem
        return Problem(self.path, self.name, f"the rule says neither true nor false: {self.description}")


def compile_rules(rules: Iterable[Mapping[str, str]], schema: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Make a schema's `x-rules` ready."""
    plan = find_moments(schema)
    return tuple(
        Rule(
            name=rule["name"],
            expression=rule["expression"],
            description=rule.get("description", rule["name"]).rstrip("."),
            path=first_path(rule["expression"]),
            evaluate=_compile(rule["expression"], plan),
        )
        for rule in rules
    )


def compile_rule(expression: str, schema: Mapping[str, Any]) -> Callable[[Any, Any], bool]:
    """Make one expression ready; `schema` says which fields of the data are instants and dates.

    The result takes data as read from JSON and anything with `time`, `recorded_at`, `subject` and `id`. It
    raises whatever the engine raises where the expression cannot be evaluated, as for a missing field.

    Raises:
        ContractsNotSound: when the expression cannot be read.
    """
    return _compile(expression, find_moments(schema))


def _compile(expression: str, plan: Plan) -> Evaluate:
    program = _parse(expression)
    engine = _engine(program, expression, plan)
    plain = find_plain(expression, plan)
    if "size" in program.functions():
        if plain is None:
            raise ContractsNotSound(
                reason=f"the rule {expression!r} takes size() in a way that the engine counts in bytes",
                remedy="Use size() in plain comparisons only, or minLength and maxLength of the field.",
            )
        return plain
    if plain is None:
        return engine

    def evaluate(data: Any, event: Any) -> Any:
        try:
            return plain(data, event)
        except Exception:
            # Unsure, or an instant that cannot be compared: what it means, the engine decides.
            return engine(data, event)

    return evaluate


def _engine(program: cel.Program, expression: str, plan: Plan) -> Evaluate:
    bare = _TEXT.sub("''", expression)
    named = frozenset(_TOP_FIELD.findall(bare))
    # The engine copies all it is given; where every use of the data names a field, the rest is left out.
    all_named = len(_DATA.findall(bare)) == len(_TOP_FIELD.findall(bare))

    def evaluate(data: Any, event: Any) -> Any:
        if all_named and isinstance(data, dict):
            data = {name: value for name, value in data.items() if name in named}
        around = {
            "time": event.time,
            "recorded_at": event.recorded_at,
            "subject": event.subject,
            "id": event.id,
        }
        return program.execute({"data": with_moments(data, plan), "event": around})

    return evaluate


def _parse(expression: str) -> cel.Program:
    bare = _TEXT.sub("''", expression)
    if len(expression) > LONGEST or _depth(bare) > DEEPEST:
        raise ContractsNotSound(
            reason=f"a rule is longer than {LONGEST} characters or deeper than {DEEPEST} brackets",
            remedy="Write several rules.",
        )
    try:
        return cel.compile(expression)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as flaw:
        # The engine draws the place in the expression on further lines.
        reason = f"the rule {expression!r} cannot be read: {str(flaw).splitlines()[0]}"
        raise ContractsNotSound(reason=reason, remedy="See the CEL language definition.") from None


def first_path(expression: str) -> str:
    """Find the first field of the data that an expression names, as a JSON pointer; empty where none."""
    found = _DATA_FIELD.search(_TEXT.sub("''", expression))
    return found[1].replace(".", "/") if found else ""


def _depth(expression: str) -> int:
    deepest = depth = 0
    for character in expression:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _why(flaw: BaseException) -> str:
    if isinstance(flaw, KeyError | Unsure):
        return "a field is missing or of another kind"
    return {
        "TypeError": "kinds that cannot be compared",
        "OverflowError": "a number too large",
        "ZeroDivisionError": "a division by zero",
    }.get(type(flaw).__name__, "the engine failed")
