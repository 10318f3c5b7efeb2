"""The registry's addresses: Confluent's REST API over the frozen schemas, nothing of it writes (hop 3)."""

from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lienthong.registry import answers
from lienthong.registry.answers import FOR_EVER, Problem, answer, answer_bytes, sent
from lienthong.registry.asked import (
    CONTEXT,
    asked_book,
    asked_guid,
    asked_id,
    asked_subjects,
    asked_version,
    asked_versions,
    is_set,
    page,
)
from lienthong.registry.book import Registered, Shelf
from lienthong.registry.verdict import OURS, is_same, objections, read_candidate

MODE: Final = "READONLY"
COMPATIBILITY: Final = "BACKWARD_TRANSITIVE"
"""What holds between the frozen versions of one topic: a later one accepts all that an earlier one did."""

WRITES: Final = ["POST", "PUT", "PATCH", "DELETE"]


def registry_app(root: Path) -> Starlette:
    """Put the registry of a root folder together.

    Raises:
        ContractsNotSound: where the frozen schemas are not as they were frozen.
    """
    handlers: dict[Any, Any] = {
        Problem: answers.tell_problem,
        HTTPException: answers.tell_http,
        Exception: answers.tell_failure,
    }
    app = Starlette(routes=_routes(), exception_handlers=handlers)
    app.state.shelf = Shelf(root)
    return app


def _routes() -> list[Route]:
    versions = "/subjects/{subject}/versions"
    reading = {
        "/": root,
        "/subjects": subjects,
        versions: version_numbers,
        versions + "/{version}": version,
        versions + "/{version}/schema": version_text,
        versions + "/{version}/referencedby": referenced_by,
        "/subjects/{subject}/metadata": latest_with_metadata,
        "/schemas": schemas,
        "/schemas/types": types,
        "/schemas/ids/{id}": by_id,
        "/schemas/ids/{id}/schema": text_by_id,
        "/schemas/ids/{id}/subjects": subjects_by_id,
        "/schemas/ids/{id}/versions": versions_by_id,
        "/schemas/guids/{guid}": by_guid,
        "/schemas/guids/{guid}/ids": ids_by_guid,
        "/config": compatibility,
        "/config/{subject}": compatibility,
        "/mode": mode,
        "/mode/{subject}": mode,
        "/contexts": contexts,
        "/associations/resources/{namespace}/{name}": associations,
        "/v1/metadata/id": cluster,
        "/v1/metadata/version": software,
        "/health/live": live,
        "/health/ready": ready,
    }
    judging = "/compatibility/subjects/{subject}/versions"
    return [
        *(Route(path, act, methods=["GET"]) for path, act in reading.items()),
        Route("/subjects/{subject}", look_up, methods=["POST"]),
        Route(versions, register, methods=["POST"]),
        Route(judging, judge_all, methods=["POST"]),
        Route(judging + "/{version}", judge, methods=["POST"]),
        Route("/{path:path}", refuse, methods=WRITES),
        Route("/{path:path}", nothing, methods=["GET"]),
    ]


# What is told.


def _metadata(one: Registered) -> dict[str, Any]:
    return {"properties": one.properties, "sensitive": []}


def _whole(one: Registered) -> dict[str, Any]:
    return {
        "subject": one.subject,
        "version": one.number,
        "id": one.id,
        "guid": one.guid,
        "schemaType": OURS,
        "metadata": _metadata(one),
        "schema": one.text,
    }


async def root(request: Request) -> Response:
    return answer(request, {})


async def subjects(request: Request) -> Response:
    found = [versions[0].subject for versions in asked_subjects(request)]
    return answer(request, page(request, found))


async def version_numbers(request: Request) -> Response:
    found = [] if is_set(request, "deletedOnly") else [one.number for one in asked_versions(request)]
    return answer(request, page(request, found))


async def version(request: Request) -> Response:
    return answer(request, _whole(asked_version(request)), caching=_caching(request))


async def version_text(request: Request) -> Response:
    return answer_bytes(request, asked_version(request).text.encode(), caching=_caching(request))


def _caching(request: Request) -> str:
    """A numbered version stays what it is; which one is the latest does not."""
    return FOR_EVER if request.path_params["version"].isdecimal() else answers.ASK_AGAIN


async def referenced_by(request: Request) -> Response:
    asked_version(request)
    return answer(request, [])


async def latest_with_metadata(request: Request) -> Response:
    query = request.query_params
    wanted = set(zip(query.getlist("key"), query.getlist("value"), strict=False))
    for one in reversed(asked_versions(request)):
        if wanted <= set(one.properties.items()):
            return answer(request, _whole(one))
    raise answers.schema_not_found()


async def schemas(request: Request) -> Response:
    latest = is_set(request, "latestOnly")
    found = [one for versions in asked_subjects(request) for one in (versions[-1:] if latest else versions)]
    return answer(request, page(request, [_whole(one) for one in found]))


async def types(request: Request) -> Response:
    return answer(request, [OURS])


async def by_id(request: Request) -> Response:
    return answer(request, _whole(asked_id(request)), caching=FOR_EVER)


async def text_by_id(request: Request) -> Response:
    return answer_bytes(request, asked_id(request).text.encode(), caching=FOR_EVER)


async def subjects_by_id(request: Request) -> Response:
    return answer(request, page(request, [asked_id(request).subject]))


async def versions_by_id(request: Request) -> Response:
    one = asked_id(request)
    return answer(request, page(request, [{"subject": one.subject, "version": one.number}]))


async def by_guid(request: Request) -> Response:
    return answer(request, _whole(asked_guid(request)), caching=FOR_EVER)


async def ids_by_guid(request: Request) -> Response:
    return answer(request, [{"context": CONTEXT, "id": asked_guid(request).id}], caching=FOR_EVER)


async def compatibility(request: Request) -> Response:
    if "subject" in request.path_params:
        asked_versions(request)
    return answer(request, {"compatibilityLevel": COMPATIBILITY})


async def mode(request: Request) -> Response:
    if "subject" in request.path_params:
        asked_versions(request)
    return answer(request, {"mode": MODE})


async def contexts(request: Request) -> Response:
    return answer(request, page(request, [CONTEXT]))


async def associations(request: Request) -> Response:
    """Tell of none: clients then take the subject that is named after the topic, which is ours."""
    return answer(request, [])


async def cluster(request: Request) -> Response:
    return answer(
        request, {"id": "", "scope": {"path": [], "clusters": {"schema-registry-cluster": "lienthong"}}}
    )


async def software(request: Request) -> Response:
    return answer(request, {"version": version_of("lienthong"), "commitId": ""})


async def live(request: Request) -> Response:
    return answer(request, {"registry": "ok"})


async def ready(request: Request) -> Response:
    shelf: Shelf = request.app.state.shelf
    shelf.book()
    told = answer(request, {"registry": shelf.state})
    told.status_code = told.status_code if shelf.state == "ok" else 503
    return told


# What is sent in: looked up and judged, never kept.


async def look_up(request: Request) -> Response:
    """Tell under which version a subject has a schema."""
    one = _find_same(asked_versions(request), await sent(request))
    if one is None:
        raise answers.schema_not_found()
    return answer(request, _whole(one))


async def register(request: Request) -> Response:
    """Give the number of a schema that is frozen already; any other is not registered here."""
    subject = request.path_params["subject"]
    document = await sent(request)
    known = asked_book(request).subjects.get(subject.removeprefix(f":{CONTEXT}:"), [])
    one = _find_same(known, document)
    if one is None:
        raise answers.read_only(f"Subject '{subject[:200]}'")
    return answer(request, _whole(one))


def _find_same(versions: list[Registered], document: dict[str, Any]) -> Registered | None:
    candidate = read_candidate(document)
    if candidate is None:
        return None
    return next((one for one in reversed(versions) if is_same(candidate, one)), None)


async def judge(request: Request) -> Response:
    """Tell whether a schema may follow one version."""
    against = asked_version(request)
    return await _verdict(request, [against], await sent(request))


async def judge_all(request: Request) -> Response:
    """Tell whether a schema may follow every version."""
    against = asked_versions(request)
    return await _verdict(request, against, await sent(request))


async def _verdict(request: Request, against: list[Registered], document: dict[str, Any]) -> Response:
    candidate = read_candidate(document)
    # In a thread: patterns are compared with a bound on the work, which others shall not wait for.
    found = await run_in_threadpool(_objections, against, candidate)
    told = {"is_compatible": not found}
    return answer(request, told | ({"messages": found} if is_set(request, "verbose") else {}))


def _objections(against: list[Registered], candidate: dict[str, Any] | None) -> list[str]:
    return [
        f"version {one.number} ({one.properties['version']}): {objection}"
        for one in against
        for objection in objections(one, candidate)
    ]


async def nothing(_: Request) -> Response:
    """Say that there is nothing at an address."""
    raise HTTPException(404)


async def refuse(_: Request) -> Response:
    """Refuse whatever would write."""
    raise answers.read_only("The registry")
