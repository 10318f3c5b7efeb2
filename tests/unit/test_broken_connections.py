"""A connection that broke a moment ago is a Kafka error to whoever writes to it, on uvloop too."""

import asyncio

import pytest
import uvloop
from aiokafka import conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from lienthong.broken_connections import tell_broken_connections


async def write_to_what_has_closed() -> None:
    tell_broken_connections()

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = conn.AIOKafkaConnection("127.0.0.1", port, request_timeout_ms=1_000)
        connection._reader, connection._writer = await asyncio.open_connection("127.0.0.1", port)
        connection._read_task = asyncio.create_task(asyncio.sleep(0))
        connection._versions = {3: (0, 5)}
        connection._writer.transport.abort()
        await connection._writer.wait_closed()
        with pytest.raises(KafkaConnectionError, match="broken"):
            await connection.send(MetadataRequest([]))
        assert not connection.connected()


def test_who_writes_to_a_connection_that_has_closed_is_told_so():
    uvloop.run(write_to_what_has_closed())
