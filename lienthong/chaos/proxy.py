"""Stand between a server and its clients on this machine, and spoil what passes between some of them.

One proxy for each broker, whose advertised address is the proxy's: clients and the other brokers all come
through it. Who is at the other end is known from the client id in the first request of each connection, so
that one client, one department or the traffic between brokers can be cut, slowed or reset, and nobody else.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Final, Self

from lienthong.embedded.ports import HOST, load_ports

CHUNK: Final = 65_536
RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends a reset, as a machine does that knows of no connection."""

_FRAME: Final = struct.Struct(">ihhih")
"""How a Kafka request begins: its size, api key, api version, correlation id, length of the client id."""


@dataclass(frozen=True, slots=True, eq=False)
class Trouble:
    """What happens on the way to and from whoever is meant.

    Attributes:
        who: Client ids, as a pattern of the shell: `health.*` a department's, `broker-2-*` another broker's.
        requests_held: What they send stays on its way until the trouble is over; who connects anew waits.
        answers_held: What they are answered stays on its way. Both together: the network is cut.
        answers_lost: Requests arrive; the first answer is lost with its connection, and the next ones too.
        refused: New connections are reset; those that are there go on.
        delay_seconds: So late does each piece arrive.
        bytes_per_second: So fast at most, in each direction of each connection.
    """

    who: str = "*"
    requests_held: bool = False
    answers_held: bool = False
    answers_lost: bool = False
    refused: bool = False
    delay_seconds: float = 0.0
    bytes_per_second: float = float("inf")


def cut(who: str = "*") -> Trouble:
    """Let nothing pass in either direction, and nobody hear of it."""
    return Trouble(who, requests_held=True, answers_held=True)


def name_of_client(first: bytes) -> str | None:
    """Read the client id out of the beginning of a connection; None where more bytes are needed."""
    if len(first) < _FRAME.size:
        return None
    *_, length = _FRAME.unpack_from(first)
    if length < 0:
        return ""
    if len(first) < _FRAME.size + length:
        return None
    return first[_FRAME.size : _FRAME.size + length].decode("utf-8", "replace")


@dataclass(eq=False, slots=True)
class _Link:
    """One connection: a client's side and a server's side."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    who: str = ""
    passed: int = 0

    def abort(self) -> None:
        for side in filter(None, (self.client, self.server)):
            with contextlib.suppress(OSError, AttributeError):
                side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            side.transport.abort()


@dataclass(eq=False)
class Proxy:
    """A listener that hands every connection on to a server.

    Attributes:
        target: The server's port; a function is asked at each connection, as a server may move.
        port: Where to listen; 0 lets the system choose, and is replaced by its choice.
        recognise: Tells who a connection is from its first bytes, None for "not yet".
    """

    target: int | Callable[[], int]
    port: int = 0
    recognise: Callable[[bytes], str | None] = name_of_client
    connections: int = 0
    """How many there have been."""
    _links: set[_Link] = field(default_factory=set)
    _troubles: list[Trouble] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and cut whatever is connected."""
        if self._server is None:
            return
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    @contextmanager
    def trouble(self, *troubles: Trouble) -> Iterator[None]:
        """Make trouble for as long as the block lasts."""
        self._troubles += troubles
        self._tell()
        try:
            yield
        finally:
            for trouble in troubles:
                self._troubles.remove(trouble)
            self._tell()

    def reset(self, who: str = "*") -> int:
        """Reset the connections of these clients; gives how many."""
        meant = [link for link in self._links if fnmatchcase(link.who, who)]
        for link in meant:
            link.abort()
        return len(meant)

    def who(self) -> list[str]:
        """List who is connected, in the order of their names."""
        return sorted(link.who for link in self._links)

    def _tell(self) -> None:
        """Wake whoever waits for another state of things."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        link = _Link(writer)
        self._links.add(link)
        self.connections += 1
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await self._carry(link, reader)
        finally:
            link.abort()
            self._links.discard(link)
            self._tasks.discard(task)

    async def _carry(self, link: _Link, requests: asyncio.StreamReader) -> None:
        first = b""
        while (who := self.recognise(first)) is None:
            piece = await requests.read(CHUNK)
            if not piece:
                return
            first += piece
        link.who = who
        if any(trouble.refused for trouble in self._troubles_of(link)):
            return
        port = self.target if isinstance(self.target, int) else self.target()
        answers, link.server = await asyncio.open_connection(HOST, port)
        both = [
            asyncio.create_task(self._pump(link, requests, link.server, answers=False, first=first)),
            asyncio.create_task(self._pump(link, answers, link.client, answers=True)),
        ]
        try:
            # One direction may be closed before the other, but none of our servers and clients does so.
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _pump(
        self,
        link: _Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        answers: bool,
        first: bytes = b"",
    ) -> None:
        piece = first or await reader.read(CHUNK)
        while piece:
            await self._wait(link, len(piece), answers=answers)
            if answers and any(trouble.answers_lost for trouble in self._troubles_of(link)):
                return
            writer.write(piece)
            await writer.drain()
            link.passed += len(piece)
            piece = await reader.read(CHUNK)

    async def _wait(self, link: _Link, size: int, *, answers: bool) -> None:
        """Let a piece wait as long as the troubles of the moment say."""
        late = sum(trouble.delay_seconds for trouble in self._troubles_of(link))
        slowest = min((trouble.bytes_per_second for trouble in self._troubles_of(link)), default=float("inf"))
        if late or slowest < float("inf"):
            await asyncio.sleep(late + size / slowest)
        while any(
            trouble.answers_held if answers else trouble.requests_held for trouble in self._troubles_of(link)
        ):
            await self._changed.wait()

    def _troubles_of(self, link: _Link) -> list[Trouble]:
        return [trouble for trouble in self._troubles if fnmatchcase(link.who, trouble.who)]


@asynccontextmanager
async def fronts(brokers: Sequence[str], data: Path) -> AsyncIterator[Mapping[str, Proxy]]:
    """Put a proxy before each broker of an embedded bus that is about to start on a folder.

    Give `Bus` their ports as `advertised`, and start and stop it in another thread: its brokers find each
    other through the proxies, which run in this loop.
    """
    async with AsyncExitStack() as stack:
        proxies = {
            name: await stack.enter_async_context(Proxy(partial(_port_of, data, name))) for name in brokers
        }
        yield proxies


def _port_of(data: Path, broker: str) -> int:
    return load_ports(data / "ports.json")[broker]
