"""A log line is one JSON line, never raises, and never repeats what an error quotes."""

import asyncio
import logging
from collections.abc import Callable, Iterator

import asyncpg
import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from lienthong.errors import NotValid, Problem
from lienthong.logs import as_line, describe, get_log, set_up_logs

NAME = "Nguyễn Thị Bí Mật"


@pytest.fixture
def logged(capsysbinary) -> Iterator[Callable[..., dict]]:
    """Set logs up as in a service, do something, and give the one line it wrote; then put all back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def do(act: Callable[[], object], level: str = "debug") -> dict:
        set_up_logs(level)
        act()
        return one_line(capsysbinary.readouterr().out.removesuffix(b"\n"))

    yield do
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def one_line(line: bytes) -> dict:
    """Read a log line, after making sure that no viewer sees two, and no terminal an instruction."""
    text = line.decode()
    assert len(text.splitlines()) == 1, ascii(text)
    assert text.isprintable(), ascii(text)
    return orjson.loads(line)


HOSTILE = {
    "a forged line": 'x"}\n{"event":"event_handled","level":"info',
    "a carriage return": "handled\rrefused",
    "a terminal's escape": "\x1b[2J\x1b]0;owned\x07",
    "an escape of one byte": "\x9b2J",
    "a delete": "refused\x7f\x7f\x7f",
    "a line separator": "a\u2028b\u2029c",
    "a next line": "a\x85b",
    "a turn of direction": "\u202egnp.exe\u2066\u200f",
    "a null": "a\x00b",
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_value_stays_one_line_and_whole(value):
    assert one_line(as_line({"event": "event_refused", "topic": value})) == {
        "event": "event_refused",
        "topic": value,
    }


def test_a_lone_surrogate_is_spelt_out_and_the_other_fields_stay_readable():
    line = one_line(as_line({"event": "event_refused", "topic": "half \ud83d", "title": "Sở Y tế"}))
    assert line == {"event": "event_refused", "topic": r"half \ud83d", "title": "Sở Y tế"}


def test_a_lone_surrogate_in_the_name_of_a_field_is_spelt_out():
    assert one_line(as_line({"\udc80": 1})) == {r"\udc80": "1"}


class _Unshowable:
    def __repr__(self):
        raise RuntimeError(NAME)


def _endless():
    knot = []
    knot.append(knot)
    return knot


@pytest.mark.parametrize(
    "value",
    [2**70, float("nan"), b"\xff", _Unshowable(), [_Unshowable()], _endless(), {"\ud800"}, object],
    ids=["23 digits", "no number", "bytes", "unshowable", "nested", "endless", "set", "class"],
)
def test_a_value_that_json_cannot_hold_is_shown_instead_of_raising(value):
    line = as_line({"event": "service_started", "value": value})
    assert one_line(line)["event"] == "service_started"
    assert NAME not in line.decode()


fields = st.recursive(
    st.none()
    | st.integers()
    | st.floats()
    | st.binary(max_size=5)
    | st.text(st.characters(), max_size=10)
    | st.text(st.characters(categories=["Cs", "Cc", "Zl", "Zp"]), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=3), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.text(st.characters(), max_size=5), fields, max_size=4))
def test_whatever_the_fields_hold_it_is_one_line_of_json(held):
    line = as_line(held).decode()
    assert "\n" not in line
    assert isinstance(orjson.loads(line), dict)


def unique_violation() -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new(
        {
            "C": "23505",
            "M": 'duplicate key value violates unique constraint "person_pkey"',
            "D": f"Key (full_name)=({NAME}) already exists.",
        }
    )


def test_an_error_of_the_database_is_named_without_the_row_it_quotes():
    error = unique_violation()
    assert isinstance(error, asyncpg.UniqueViolationError)
    assert NAME in str(error), "the driver quotes the row: that is why its text is left out"
    assert describe(error) == {"error": "asyncpg.exceptions.UniqueViolationError", "error_code": "23505"}


def test_an_error_tells_where_it_was_raised():
    def fail():
        raise ValueError(NAME)

    with pytest.raises(ValueError, match=NAME) as caught:
        fail()
    told = describe(caught.value)
    assert told["error"] == "builtins.ValueError"
    assert told["error_at"].startswith(f"{__name__}:")
    assert NAME not in str(told)


def test_an_error_of_ours_is_told_in_its_own_sentence():
    error = NotValid(
        topic="health.birth-notified.v1", problems=(Problem("/weight_g", "maximum", "above 9000"),)
    )
    told = describe(error)
    assert told["error_code"] == "not-valid"
    assert "/weight_g: above 9000" in told["error_text"]


def test_an_error_in_any_field_is_named_by_its_class(logged):
    log = get_log(department="health")
    line = logged(lambda: log.warning("reader_interrupted", error=unique_violation(), cause=ValueError(NAME)))
    assert line["error"] == "asyncpg.exceptions.UniqueViolationError"
    assert line["cause"] == "builtins.ValueError"
    assert (line["department"], line["level"]) == ("health", "warning")
    assert NAME not in str(line)


def test_a_line_forged_through_the_log_itself_is_one_line(logged):
    forged = 'x\n{"event":"event_refused"}'
    line = logged(lambda: get_log().info("event_handled", topic=forged, event_id="\ud800"))
    assert (line["event"], line["topic"], line["event_id"]) == ("event_handled", forged, r"\ud800")


def test_lines_below_the_level_are_not_written(logged):
    def act():
        get_log().info("events_handled")
        get_log().warning("event_set_aside")

    assert logged(act, "warning")["event"] == "event_set_aside"


def test_what_a_library_logs_is_one_line_too(logged):
    said = "Topic %s not found\nforged"
    line = logged(lambda: logging.getLogger("aiokafka").warning(said, "x\u2028y"))
    assert (line["event"], line["library"], line["level"]) == ("library_spoke", "aiokafka", "warning")
    assert line["text"] == "Topic x\u2028y not found\nforged"


def test_a_library_that_forgets_an_argument_is_heard_all_the_same(logged):
    line = logged(lambda: logging.getLogger("aiokafka").warning("%s of %s", *["one"]))
    assert line["text"] == "%s of %s"


async def test_a_task_that_nobody_awaited_does_not_quote_its_error(logged):
    loop = asyncio.get_running_loop()
    failed = loop.create_future()
    failed.set_exception(ValueError(NAME))
    told = {
        "message": "Future exception was never retrieved",
        "exception": failed.exception(),
        "future": failed,
    }
    line = logged(lambda: loop.default_exception_handler(told))
    assert line["text"] == "Future exception was never retrieved"
    assert line["error"] == "builtins.ValueError"
    assert NAME not in str(line)
