"""Logs: one JSON line each, whatever a field holds; never a data value (all hops)."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson
import structlog

Log = structlog.typing.FilteringBoundLogger

_ACTING: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What JSON leaves as it is and terminals or viewers act on: controls, line ends, turns of direction."""

_LONGEST: Final = 2_000
"""Characters of a value that had to be spelt out."""


def get_log(**fields: Any) -> Log:
    """Give a log bound to some fields (department, group …)."""
    log: Log = structlog.get_logger(**fields)
    return log


def set_up_logs(level: str = "info") -> None:
    """Send structlog and the libraries' own logs to standard output as JSON lines; for services only."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _with_error,
            _as_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(_LibraryLines())
    logging.basicConfig(level=logging.WARNING, handlers=[lines], force=True)


@contextmanager
def in_silence() -> Iterator[None]:
    """Let nothing be logged while a command works: what matters is in its outcome."""
    before, libraries = structlog.get_config(), logging.root.manager.disable
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        structlog.configure(**before)
        logging.disable(libraries)


def _with_error(_: Any, __: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Name an error by its class and place only: its text may repeat data that a driver or library quotes."""
    error = fields.pop("error", None)
    if isinstance(error, BaseException):
        fields.update(describe(error))
    elif error is not None:
        fields["error"] = error
    return fields


def describe(error: BaseException) -> dict[str, Any]:
    """Describe an error without the values it may quote: its class, code and the line that raised it."""
    described: dict[str, Any] = {"error": f"{type(error).__module__}.{type(error).__qualname__}"}
    if isinstance(error, _spoken()):
        described["error_text"] = str(error)
        described["error_code"] = error.code  # type: ignore[attr-defined]
    elif (state := getattr(error, "sqlstate", None)) is not None:
        described["error_code"] = state
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is not None:
        described["error_at"] = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
    return described


def _spoken() -> type[BaseException]:
    from lienthong.errors import LienThongError

    return LienThongError


def _as_line(_: Any, __: str, fields: structlog.typing.EventDict) -> bytes:
    return as_line(dict(fields))


def as_line(fields: dict[str, Any]) -> bytes:
    """Serialise one log line; a lone surrogate or an unknown type is spelt out instead of raising."""
    try:
        line = orjson.dumps(fields, default=_shown, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        line = orjson.dumps({_spelt_out(name): _spelt_out(value) for name, value in fields.items()})
    if line.isascii() and b"\x7f" not in line:
        return line
    return _ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", line.decode()).encode()


def _shown(value: Any) -> str:
    """Show what JSON has no form for; an error by its class only, whichever field it came in."""
    if isinstance(value, BaseException):
        return str(describe(value)["error"])
    try:
        return repr(value)[:_LONGEST]
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__} when shown>"


def _spelt_out(value: Any) -> str:
    text = value if isinstance(value, str) else _shown(value)
    return text[:_LONGEST].encode("utf-8", "backslashreplace").decode()


class _LibraryLines(logging.Formatter):
    """aiokafka's, asyncpg's and uvicorn's own warnings, as the same JSON lines."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "event": "library_spoke",
            "library": record.name,
            "level": record.levelname.lower(),
            "text": _text(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            fields |= describe(record.exc_info[1])
        return as_line(fields).decode()


def _text(record: logging.LogRecord) -> str:
    """Give what a library says, without the errors it shows in it: they may quote data."""
    try:
        text = record.getMessage()
    except (TypeError, ValueError):
        text = str(record.msg)  # its arguments do not fit
    if record.exc_info:
        # asyncio, for one, repeats the error below its first line.
        text = text.partition("\n")[0]
    return text[:1_000]
