"""A way to the database that is cut once: after the server did what it was asked, before that is heard."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from lienthong.settings import embedded_environment
from tests.broker.scratch import Pair


@asynccontextmanager
async def cutting(pair: Pair, *, after: bytes) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Give the reader's database URL through us, and an event that is set once a connection was cut."""
    parts = urlsplit(embedded_environment(pair.data, pair.reader)["LIENTHONG_DATABASE_URL"])
    cut = asyncio.Event()

    async def serve(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(parts.hostname, parts.port)
        answers = asyncio.create_task(_carry(server, to_client))
        try:
            while asked := await client.read(65_536):
                # Only what follows a mark: creating the tables is committed too.
                if after in asked and marked.is_set() and not cut.is_set():
                    await _end(answers)
                    to_server.write(asked)
                    await server.read(65_536)
                    cut.set()
                    break
                if b"INSERT INTO lienthong.inbox" in asked:
                    marked.set()
                to_server.write(asked)
        except ConnectionError:
            pass
        finally:
            await _end(answers)
            to_client.transport.abort()
            to_server.close()

    marked = asyncio.Event()
    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl(), cut
    finally:
        listening.close()


async def _end(answers: asyncio.Task[None]) -> None:
    answers.cancel()
    with contextlib.suppress(asyncio.CancelledError, ConnectionError):
        await answers


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while answer := await source.read(65_536):
        target.write(answer)
