"""How the registry answers: Confluent's content types, error codes and caching."""

import hashlib
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from lienthong.logs import get_log
from lienthong.strict_json import MOST_PROBLEMS

TYPES: Final = (
    "application/vnd.schemaregistry.v1+json",
    "application/vnd.schemaregistry+json",
    "application/json",
)
SENT_TYPES: Final = frozenset({*TYPES, "application/octet-stream"})
MOST_BYTES: Final = 1_048_576
"""Greatest length of what is sent in; a contract's schema has some ten thousand bytes."""

FOR_EVER: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"


class Problem(Exception):
    """An answer that says no: HTTP status, Confluent's error code, sentence."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence

    @property
    def status(self) -> int:
        """The HTTP status that goes with a code: its first three digits."""
        return int(str(self.code)[:3])


def subject_not_found(subject: str) -> Problem:
    return Problem(40401, f"Subject '{_shown(subject)}' not found.")


def version_not_found(number: int) -> Problem:
    return Problem(40402, f"Version {number} not found.")


def schema_not_found(which: str = "") -> Problem:
    return Problem(40403, f"Schema {_shown(which)} not found" if which else "Schema not found")


def schema_not_valid(why: str) -> Problem:
    return Problem(42201, f"Invalid schema: {why}")


def version_not_valid(version: str) -> Problem:
    return Problem(
        42202,
        f"The specified version '{_shown(version)}' is not a valid version id. Allowed values are between "
        '[1, 2^31-1] and the string "latest"',
    )


def read_only(what: str) -> Problem:
    return Problem(
        42205,
        f"{what} is in read-only mode: schemas are derived from contracts. Change the contract and run "
        "`lienthong release`.",
    )


def _shown(asked: str) -> str:
    """Repeat what was asked for within bounds, and printable: it comes back in logs and on terminals."""
    return "".join(letter if letter.isprintable() else "?" for letter in asked[:200])


def answer(request: Request, content: Any, *, caching: str = ASK_AGAIN) -> Response:
    """Answer with JSON, or with 304 where the client has it already."""
    return answer_bytes(request, orjson.dumps(content), caching=caching)


def answer_bytes(request: Request, body: bytes, *, caching: str = ASK_AGAIN) -> Response:
    """Answer with JSON that is written already."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": caching, "Vary": "Accept", "X-Content-Type-Options": "nosniff"}
    media_type = find_type(request.headers.get("accept", ""))
    if media_type is None:
        raise HTTPException(406)
    if _knows(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers={**headers, "Content-Type": media_type})


def find_type(accept: str) -> str | None:
    """Find the first of our content types that a client accepts, the best liked first."""
    liked: list[tuple[float, str]] = []
    for part in accept.split(",")[:MOST_PROBLEMS]:
        media_type, *parameters = (word.strip().lower() for word in part.split(";"))
        liked.append((_quality(parameters), media_type))
    for quality, media_type in sorted(liked, key=lambda pair: -pair[0]):
        if quality == 0:
            continue
        if media_type in TYPES:
            return media_type
        if media_type in {"", "*/*", "application/*"}:
            return TYPES[0]
    return None


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(max(float(parameter[2:]), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def _knows(header: str, tag: str) -> bool:
    known = {part.strip().removeprefix("W/") for part in header.split(",")}
    return tag in known or "*" in known


async def sent(request: Request) -> dict[str, Any]:
    """Read what a client sent in: a JSON object of bounded length."""
    media_type = request.headers.get("content-type", TYPES[0]).partition(";")[0].strip().lower()
    if media_type not in SENT_TYPES:
        raise HTTPException(415)
    raw = bytearray()
    async for piece in request.stream():
        raw += piece
        if len(raw) > MOST_BYTES:
            raise Problem(42209, f"Schema too large: more than {MOST_BYTES} bytes.")
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise HTTPException(400, "The body is not JSON.") from None
    if not isinstance(document, dict):
        raise HTTPException(400, "The body is not a JSON object.")
    return document


def tell_problem(_: Request, problem: Exception) -> Response:
    """Say no as Confluent's registry does."""
    assert isinstance(problem, Problem)
    return _error(problem.status, problem.code, problem.sentence)


def tell_http(_: Request, error: Exception) -> Response:
    """Say that there is no such place, method or type."""
    assert isinstance(error, HTTPException)
    sentence = f"HTTP {error.status_code} {error.detail}"
    return _error(error.status_code, error.status_code, sentence, dict(error.headers or {}))


def tell_failure(_: Request, error: Exception) -> Response:
    """Say that the fault is ours; what it was goes to the log."""
    get_log().error("registry_failed", error=error)
    return _error(500, 50001, "Error in the backend data store")


def _error(status: int, code: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps({"error_code": code, "message": sentence})
    told = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} | (headers or {})
    return Response(body, status, {**told, "Content-Type": TYPES[0]})
