"""Passwords are rotated while services run: nobody is refused, and old ones open nothing any more."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Self

import asyncpg
import orjson
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from lienthong.cluster.apply import open_cluster
from lienthong.cluster.connection import Connection, admin_connection
from lienthong.cluster.rotate import Rotation
from lienthong.errors import BusNotUsable
from lienthong.login import is_stand_in, mechanism_of, role_of
from lienthong.testing import running, until
from tests.broker.test_apply import TODAY, Town
from tests.broker.test_delivery import TABLES, Department, publish, reader_of
from tests.paper import contracts


@pytest.fixture
def town(data):
    town = Town(data)
    town.apply()
    return town


def enter(data: Path, department: str, password: str) -> None:
    """Log in on Kafka and on PostgreSQL; a refusal is raised."""
    servers = admin_connection(data).bootstrap_servers
    login = Connection(servers, department, password, mechanism=mechanism_of(password))
    heard: list[str] = []
    client = AdminClient(
        login.for_confluent() | {"error_cb": lambda error: heard.append(error.name()), "log_level": 0}
    )
    try:
        client.list_topics(timeout=5)
    except KafkaException:
        client.poll(0)
        raise PermissionError(str(heard)) from None
    asyncio.run(_enter_database(data, department, password))


async def _enter_database(data: Path, department: str, password: str) -> None:
    place = orjson.loads((data / "bus.json").read_bytes())["postgres"]
    db = await asyncpg.connect(
        host=place["host"],
        port=place["port"],
        user=role_of(department, password),
        password=password,
        database=department,
    )
    assert await db.fetchval("SELECT current_user") == department
    await db.close()


class Visitor:
    """Logs in again and again with what the department's file holds at that moment."""

    def __init__(self, data: Path, department: str) -> None:
        self.file = data / "secrets" / f"{department}.password"
        self.visits = 0
        self.seen: list[str] = []
        self.failures: list[Exception] = []
        self._data, self._department = data, department
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._visit, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _visit(self) -> None:
        while not self._ended.is_set():
            password = self.file.read_text()
            try:
                enter(self._data, self._department, password)
            except Exception as error:
                self.failures.append(error)
            if password not in self.seen:
                self.seen.append(password)
            self.visits += 1

    def wait(self, _: float) -> None:
        """Let the time pass in which three more visits are made: they began after the file was changed."""
        upto, deadline = self.visits + 3, time.monotonic() + 60
        while self.visits < upto:
            assert time.monotonic() < deadline
            self._ended.wait(0.01)


def rotated(town, wait, departments=None):
    known = contracts(town.contract, departments=[town.writer, town.reader])
    with open_cluster(town.data) as cluster:
        Rotation(cluster, wait, overlap=0.0).rotate(departments or [town.writer], known, TODAY)


def test_whoever_logs_in_during_a_rotation_is_let_in_and_the_old_password_opens_nothing(town):
    with Visitor(town.data, town.writer) as visitor:
        old = visitor.file.read_text()
        rotated(town, visitor.wait)
    assert visitor.failures == []
    assert len(visitor.seen) == 3
    first, stand_in, new = visitor.seen
    assert (first, is_stand_in(stand_in), is_stand_in(new)) == (old, True, False)
    for over in (first, stand_in):
        with pytest.raises(PermissionError, match="_AUTHENTICATION"):
            enter(town.data, town.writer, over)
        with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
            asyncio.run(_enter_database(town.data, town.writer, over))
    enter(town.data, town.writer, new)
    assert town.apply().changes == ()


class StruckError(Exception):
    """The power went out."""


@pytest.mark.parametrize("stops", [(0, 1), (0, 0)], ids=str)
def test_a_rotation_that_is_stopped_goes_on_where_it_was(town, stops):
    old = (town.data / "secrets" / f"{town.writer}.password").read_text()
    for stop in stops:
        left = [stop]

        def wait(_, left=left):
            if left[0] == 0:
                raise StruckError
            left[0] -= 1

        with pytest.raises(StruckError):
            rotated(town, wait)
        enter(town.data, town.writer, (town.data / "secrets" / f"{town.writer}.password").read_text())
    rotated(town, lambda _: None)
    new = (town.data / "secrets" / f"{town.writer}.password").read_text()
    assert not is_stand_in(new)
    enter(town.data, town.writer, new)
    with pytest.raises(PermissionError):
        enter(town.data, town.writer, old)
    assert town.apply().changes == ()


def test_a_department_that_is_not_there_is_not_rotated(town):
    with pytest.raises(BusNotUsable, match="holds no password of nobody"):
        rotated(town, lambda _: None, ["nobody"])


async def test_running_services_go_over_without_a_restart_and_lose_nothing(scratch):
    pair = scratch.take()
    publisher, (reader, calls) = Department(pair.publisher), reader_of(pair)
    here = asyncio.get_running_loop()
    number = iter(range(10_000))
    async with (
        running(publisher, data=pair.data, root=pair.root) as source,
        running(reader, data=pair.data, root=pair.root, tables=TABLES) as sink,
    ):

        async def deliver() -> None:
            thing = f"vat-{next(number)}"
            await publish(source, publisher, pair.thing(thing_id=thing, amount=1))
            await until(lambda: calls.get(thing), within=30)

        async def prove() -> None:
            """Every connection is cut, and what is published goes all the way by new ones."""
            for service in (source, sink):
                password = service._settings.read_password()
                clients = [one._consumer._client for one in service.readers if one._consumer]
                if producer := service._relay._producer._client:
                    clients.append(producer.client)
                await until(lambda: all(c._sasl_plain_password == password for c in clients))  # noqa: B023
                for client in clients:
                    for connection in list(client._conns.values()):
                        connection.close()
                await service.pool.expire_connections()
            await deliver()

        await deliver()
        refused = refusals(pair.data)
        await asyncio.to_thread(
            _rotate_pair, pair, lambda _: asyncio.run_coroutine_threadsafe(prove(), here).result(60)
        )
        await deliver()
        assert refusals(pair.data) == refused
        assert set(calls.values()) == {1}


def refusals(data: Path) -> int:
    """Count the logins that the broker says it has refused."""
    log = Path(orjson.loads((data / "bus.json").read_bytes())["kafka_log"])
    return log.read_text().count("Failed authentication")


def _rotate_pair(pair, wait):
    with open_cluster(pair.data) as cluster:
        none = contracts(departments=[pair.publisher, pair.reader])
        Rotation(cluster, wait, overlap=0.0).rotate([pair.publisher, pair.reader], none, TODAY)
