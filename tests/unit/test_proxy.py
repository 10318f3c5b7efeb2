"""What stands between a broker and its clients spoils the way of those who are meant, and of nobody else."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from lienthong.chaos.proxy import HOST, Proxy, Trouble, cut, name_of_client
from lienthong.testing import until

REQUEST = struct.Struct(">ihhih")


def first_request(client: str | None) -> bytes:
    name = (client or "").encode()
    return REQUEST.pack(10 + len(name), 18, 3, 1, -1 if client is None else len(name)) + name


@dataclass
class Caller:
    """A client of the server behind the proxy, which answers whatever it is told with the same."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, words: bytes) -> None:
        self.writer.write(words)
        await self.writer.drain()

    async def hear(self, count: int, within: float = 5.0) -> bytes:
        async with asyncio.timeout(within):
            return await self.reader.readexactly(count)


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[Proxy, list[bytes]]]:
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65_536):
            heard.append(piece)
            writer.write(piece)
        writer.close()

    server = await asyncio.start_server(answer, HOST, 0)
    async with Proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy, heard
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def calling(proxy: Proxy, name: str) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    try:
        caller = Caller(reader, writer)
        await caller.say(first_request(name))
        yield caller
    finally:
        writer.transport.abort()


def test_a_client_is_known_by_the_name_in_its_first_request() -> None:
    whole = first_request("health.relay.one")
    assert name_of_client(whole) == "health.relay.one"
    assert [name_of_client(whole[:length]) for length in (0, 4, 13, len(whole) - 1)] == [None] * 4
    assert name_of_client(first_request(None)) == ""


async def test_what_passes_is_handed_on_as_it_is() -> None:
    async with echo() as (proxy, _), calling(proxy, "health.relay.one") as caller:
        sent = first_request("health.relay.one") + b"x" * 200_000
        await caller.say(sent[len(first_request("health.relay.one")) :])
        assert await caller.hear(len(sent)) == sent
        assert proxy.who() == ["health.relay.one"]


async def test_one_department_is_cut_and_hears_the_rest_when_the_cut_is_over() -> None:
    async with (
        echo() as (proxy, _),
        calling(proxy, "health.a") as cut_off,
        calling(proxy, "trade.a") as other,
    ):
        begun = len(first_request("health.a")), len(first_request("trade.a"))
        await cut_off.hear(begun[0])
        await other.hear(begun[1])
        with proxy.trouble(cut("health.*")):
            await cut_off.say(b"hello")
            await other.say(b"hello")
            assert await other.hear(5) == b"hello"
            with pytest.raises(TimeoutError):
                await cut_off.hear(1, within=0.1)
        assert await cut_off.hear(5) == b"hello"


async def test_an_answer_that_is_lost_takes_its_connection_with_it_though_the_request_arrived() -> None:
    async with echo() as (proxy, heard), calling(proxy, "health.a") as caller:
        await caller.hear(len(first_request("health.a")))
        with proxy.trouble(Trouble("health.*", answers_lost=True)):
            await caller.say(b"hello")
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await caller.hear(5)
        assert heard[-1] == b"hello"


async def test_half_open_a_request_arrives_and_its_answer_waits() -> None:
    async with echo() as (proxy, heard), calling(proxy, "health.a") as caller:
        await caller.hear(len(first_request("health.a")))
        with proxy.trouble(Trouble(answers_held=True)):
            await caller.say(b"hello")
            await until(lambda: heard[-1] == b"hello", within=5)
            with pytest.raises(TimeoutError):
                await caller.hear(1, within=0.1)
        assert await caller.hear(5) == b"hello"


async def test_whoever_is_meant_is_reset_and_let_in_no_more_while_that_is_refused() -> None:
    async with echo() as (proxy, _), calling(proxy, "health.a") as one, calling(proxy, "trade.a") as other:
        await one.hear(len(first_request("health.a")))
        await other.hear(len(first_request("trade.a")))
        with proxy.trouble(Trouble("health.*", refused=True)):
            assert proxy.reset("health.*") == 1
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await one.hear(1)
            async with calling(proxy, "health.b") as refused:
                with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                    await refused.hear(1)
        await other.say(b"hello")
        assert await other.hear(5) == b"hello"


async def test_a_narrow_way_takes_its_time() -> None:
    async with echo() as (proxy, _), calling(proxy, "health.a") as caller:
        await caller.hear(len(first_request("health.a")))
        with proxy.trouble(Trouble(delay_seconds=0.05, bytes_per_second=10_000)):
            began = asyncio.get_running_loop().time()
            await caller.say(b"x" * 500)
            await caller.hear(500)
            assert asyncio.get_running_loop().time() - began >= 2 * (0.05 + 0.05)
