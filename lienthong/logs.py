"""Logs: one JSON line each, whatever a field holds; never a data value (all hops)."""

import logging
import sys
from typing import Any

import orjson
import structlog

Log = structlog.typing.FilteringBoundLogger


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
        return orjson.dumps(fields, default=repr, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        safe = {str(k): ascii(v)[:2_000] for k, v in fields.items()}
        return orjson.dumps(safe)


class _LibraryLines(logging.Formatter):
    """aiokafka's, asyncpg's and uvicorn's own warnings, as the same JSON lines."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "event": "library_spoke",
            "library": record.name,
            "level": record.levelname.lower(),
            "text": record.getMessage()[:1_000],
        }
        if record.exc_info and record.exc_info[1] is not None:
            fields |= describe(record.exc_info[1])
        return as_line(fields).decode()
