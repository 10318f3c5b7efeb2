"""What a client of the registry asks for, by path and query; what is not there is said with its code."""

from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request

from lienthong.registry import answers
from lienthong.registry.book import Book, Registered

CONTEXT: Final = "."
"""The one context there is; registries write it before a subject as `:.:`."""

GREATEST: Final = 2**31 - 1


def asked_book(request: Request) -> Book:
    """Give the registry's book."""
    book: Book = request.app.state.shelf.book()
    return book


def asked_versions(request: Request) -> list[Registered]:
    """Give the versions of the subject that is asked for, the default context's spelling included."""
    asked = request.path_params["subject"]
    found = asked_book(request).subjects.get(asked.removeprefix(f":{CONTEXT}:"))
    if found is None:
        raise answers.subject_not_found(asked)
    return found


def asked_version(request: Request) -> Registered:
    """Give the version that is asked for: its number, `latest`, or -1 for the same."""
    asked = request.path_params["version"]
    latest = asked in {"latest", "-1"}
    if not latest and not (asked.isascii() and asked.isdecimal() and len(asked) <= 10):
        raise answers.version_not_valid(asked)
    number = 0 if latest else int(asked)
    if not latest and not 1 <= number <= GREATEST:
        raise answers.version_not_valid(asked)
    found = asked_versions(request)
    if latest:
        return found[-1]
    if number > len(found):
        raise answers.version_not_found(number)
    return found[number - 1]


def asked_id(request: Request) -> Registered:
    """Give the version with the number that is asked for."""
    asked = request.path_params["id"]
    if not (asked.isascii() and asked.isdecimal() and len(asked) <= 10):
        raise HTTPException(404)
    found = asked_book(request).by_id.get(int(asked))
    if found is None:
        raise answers.schema_not_found(asked)
    return found


def asked_guid(request: Request) -> Registered:
    """Give the version with the GUID that is asked for."""
    asked = request.path_params["guid"]
    found = asked_book(request).by_guid.get(asked.lower())
    if found is None:
        raise answers.schema_not_found(asked)
    return found


def is_set(request: Request, name: str) -> bool:
    """Tell whether a query parameter says true."""
    return request.query_params.get(name, "").lower() == "true"


def page(request: Request, found: list[Any]) -> list[Any]:
    """Cut out the piece that `offset` and `limit` ask for; a limit below zero is none."""
    try:
        offset = int(request.query_params.get("offset", "0"))
        limit = int(request.query_params.get("limit", "-1"))
    except ValueError:
        raise HTTPException(400, "offset and limit are whole numbers.") from None
    begun = found[max(offset, 0) :]
    return begun if limit < 0 else begun[:limit]


def asked_subjects(request: Request) -> list[list[Registered]]:
    """Give the versions of each subject whose name begins as asked; nothing here was ever deleted."""
    book = asked_book(request)
    prefix = request.query_params.get("subjectPrefix", "")
    prefix = "" if prefix == ":*:" else prefix.removeprefix(f":{CONTEXT}:")
    if is_set(request, "deletedOnly"):
        return []
    return [book.subjects[subject] for subject in sorted(book.subjects) if subject.startswith(prefix)]
