"""The broker of docker-compose.yml on the embedded jars: our clients speak TLS with it, or not at all."""

import asyncio
import re
import subprocess
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaConnectionError
from typer import Typer
from typer.testing import CliRunner

from lienthong import Connection as Database
from lienthong import Department, Event
from lienthong.cluster.admin import open_admin
from lienthong.cluster.apply import open_cluster
from lienthong.cluster.certificates import Authority
from lienthong.cluster.connection import Connection
from lienthong.cluster.databases import Postgres, fetch_databases
from lienthong.commands import apply as commands
from lienthong.contracts import load_contracts
from lienthong.contracts.release import release
from lienthong.embedded.bus import find_java
from lienthong.embedded.jars import fetch_jars
from lienthong.errors import BusNotUsable, SettingsNotUsable
from lienthong.producer import Producer, connection_arguments
from lienthong.settings import Settings, load_bus
from lienthong.testing import running, until
from tests.broker.containers import NAME, Broker, load_compose, running_broker
from tests.broker.scratch import City, Pair, Thing, add_pair

TODAY = date(2026, 1, 1)
NUMBER = 600
"""A pair whose departments no database has heard of yet."""

TLS = {20, 21, 22, 23}
"""Kinds of TLS records: change of cipher, alert, handshake, encrypted."""

ALERT_BYTES = 24
"""An encrypted alert: two bytes, the kind, the seal. More would be data."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The first broker of the file, as soon as the file's own health check passes."""
    with running_broker(tmp_path_factory.mktemp("container")) as started:
        asyncio.run(until(lambda: _is_healthy(started), within=40))
        yield started


def _is_healthy(broker: Broker) -> bool:
    assert broker.process.poll() is None, broker.log
    kind, *command = load_compose()["services"][NAME]["healthcheck"]["test"]
    assert kind == "CMD"
    port = re.search(r"CLIENTS://127\.0\.0\.1:(\d+)", broker.settings) if _is_set_up(broker) else None
    if port is None:
        return False
    command = [word.replace("/9092", f"/{port[1]}") for word in command]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _is_set_up(broker: Broker) -> bool:
    return (broker.folder / "opt/config/server.properties").exists()


@dataclass(frozen=True)
class Town:
    """Two departments on the broker over TLS, with databases on a PostgreSQL that is told by address."""

    pair: Pair
    broker: Broker
    data: Path
    words: tuple[str, ...]
    first: dict[str, Any]

    def settings(self, department: str, **changes: Any) -> dict[str, Any]:
        return {
            "bootstrap_servers": self.broker.server,
            "security_protocol": "SASL_SSL",
            "ca_file": self.broker.authority,
            "username": department,
            "password_file": self.data / "departments" / department / "password",
            **changes,
        }

    def running(self, department: Department, **more: Any) -> Any:
        told = self.settings(department.name)
        told["database_password_file"] = told["password_file"]
        place = load_bus(self.pair.data)["postgres"]
        told["database_url"] = f"postgresql://{department.name}@127.0.0.1:{place['port']}/{department.name}"
        # `running` looks for the credentials of the embedded bus first; these are told in their place.
        return running(department, data=self.data, root=self.pair.root, **told, **more)


@pytest.fixture(scope="module")
def town(broker: Broker, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Town:
    """What the service `apply` of the file does, with its own command."""
    root, place = tmp_path_factory.mktemp("town"), tmp_path_factory.mktemp("tls")
    (root / "services").mkdir()
    for department in add_pair(root, NUMBER):
        (place / "departments" / department).mkdir(parents=True)
    release(root)
    (place / "admin").write_text(broker.admin_password)
    postgres = load_bus(data)["postgres"]
    words = (
        "apply",
        "--yes",
        "--json",
        f"--data={place}",
        f"--bootstrap-servers={broker.server}",
        "--brokers=1",
        f"--password-file={place / 'admin'}",
        f"--ca-file={broker.authority}",
        f"--database-url=postgresql://postgres@127.0.0.1:{postgres['port']}/postgres",
        f"--database-password-file={data / 'secrets/postgres.password'}",
        f"--hand-out={place / 'departments'}",
    )
    first = run(root, *words)
    # So that `running` finds credentials; what it is told goes before them.
    (place / "bus.json").write_bytes((data / "bus.json").read_bytes())
    return Town(City(root, data, [NUMBER]).take(), broker, place, words, first)


def run(root: Path, *words: str) -> dict[str, Any]:
    app = Typer()
    commands.register(app)
    done = CliRunner().invoke(app, list(words), env={"LIENTHONG_ROOT": str(root)})
    assert done.exception is None, done.exception
    found: dict[str, Any] = orjson.loads(done.output)
    return found


def test_apply_makes_users_topics_rights_and_databases_over_tls(town: Town) -> None:
    assert town.first["applied"] is True
    assert {c["kind"] for c in town.first["changes"]} == {"access", "database", "quota", "topic", "user"}
    assert run(town.pair.root, *town.words)["changes"] == []


def test_apply_hands_each_department_its_own_password(town: Town) -> None:
    told = {
        name: (town.data / "departments" / name / "password").read_text()
        for name in (town.pair.publisher, town.pair.reader)
    }
    assert told == {name: (town.data / "secrets" / f"{name}.password").read_text() for name in told}
    assert len(set(told.values())) == 2


def test_a_new_disk_knows_the_super_user_with_enough_iterations(town: Town) -> None:
    connection = Connection(
        town.broker.server, "admin", town.broker.admin_password, "SASL_SSL", town.broker.authority
    )
    with open_admin(connection) as admin:
        assert admin.fetch_users()["admin"] == {"SCRAM-SHA-512": 8192}


async def test_a_fact_goes_from_service_to_service_over_tls(town: Town) -> None:
    publisher, reader = Department(town.pair.publisher), Department(town.pair.reader)
    seen: list[int] = []

    @reader.reads(town.pair.thing.TOPIC, purpose="counting")
    async def count(event: Event[Thing], db: Database) -> None:
        seen.append(event.data.amount)

    async with town.running(publisher) as source, town.running(reader) as sink:
        async with source.pool.acquire() as db, db.transaction():
            await publisher.publish(db, town.pair.thing(thing_id="vat-1", amount=7))
        await until(lambda: sink.pool.fetchval("SELECT count(*) FROM lienthong.inbox"), within=15)
        assert seen == [7]
        assert set(source.health().values()) == set(sink.health().values()) == {"ok"}


@dataclass
class Wire:
    """Stands between a client and the broker, and keeps what the client said on each connection."""

    port: int
    said: list[bytearray]


@asynccontextmanager
async def overheard(broker: Broker) -> AsyncIterator[Wire]:
    said: list[bytearray] = []

    async def serve(client_in: asyncio.StreamReader, client_out: asyncio.StreamWriter) -> None:
        heard = bytearray()
        said.append(heard)
        there_in, there_out = await asyncio.open_connection("127.0.0.1", broker.port)

        async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, keep: bytearray) -> None:
            try:
                while piece := await source.read(65_536):
                    keep.extend(piece)
                    sink.write(piece)
                    await sink.drain()
            except ConnectionError:
                pass
            finally:
                sink.close()

        await asyncio.gather(carry(client_in, there_out, heard), carry(there_in, client_out, bytearray()))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Wire(server.sockets[0].getsockname()[1], said)
    finally:
        server.close()


def tls_records(said: bytes) -> Iterator[tuple[int, int]]:
    """Take apart what a client said: kind and length of each record; other bytes fail the test."""
    at = 0
    while at < len(said):
        assert said[at] in TLS, f"no TLS at byte {at}: {said[at : at + 16]!r}"
        assert said[at + 1] == 3
        length = int.from_bytes(said[at + 3 : at + 5])
        yield said[at], length
        at += 5 + length


def test_what_is_no_tls_would_be_seen() -> None:
    assert list(tls_records(bytes.fromhex("1603010002 0102 1503030002 0228"))) == [(22, 2), (21, 2)]
    with pytest.raises(AssertionError, match="no TLS at byte 0"):
        list(tls_records(b"\0\0\0\x20\0\x11\0\1SCRAM-SHA-512"))


@pytest.fixture(params=["another authority", "another name"])
def mistrusted(request: pytest.FixtureRequest, broker: Broker, tmp_path: Path) -> tuple[str, Path]:
    """A host name and an authority with which the broker cannot prove that it is itself."""
    if request.param == "another name":
        return "127.0.0.1", broker.authority
    (tmp_path / "ca.pem").write_text(Authority.new(datetime.now(UTC)).certificate_pem())
    return "localhost", tmp_path / "ca.pem"


async def test_a_broker_that_cannot_prove_itself_hears_nothing_from_any_client(
    town: Town, mistrusted: tuple[str, Path]
) -> None:
    host, authority = mistrusted
    department = town.pair.publisher
    async with overheard(town.broker) as wire:
        server = f"{host}:{wire.port}"
        told = town.settings(department, bootstrap_servers=server, ca_file=authority)
        settings = Settings(**told, database_url="postgresql://nobody@127.0.0.1/none")
        with pytest.raises(KafkaConnectionError):
            await Producer(settings).start()
        consumer = AIOKafkaConsumer(**connection_arguments(settings), group_id=f"{department}.follow-up")
        with pytest.raises(KafkaConnectionError):
            await consumer.start()
        await consumer.stop()
        connection = Connection(server, "admin", town.broker.admin_password, "SASL_SSL", authority)
        with pytest.raises(BusNotUsable, match=r"does not prove that it is itself\. .*--ca-file"):
            await asyncio.to_thread(_open, town.data, connection)
    assert len(wire.said) >= 3
    for said in wire.said:
        records = list(tls_records(bytes(said)))
        assert [length for kind, length in records if kind == 23 and length > ALERT_BYTES] == []
        assert [word for word in (b"SCRAM", b"admin", department.encode()) if word in said] == []


def _open(data: Path, connection: Connection) -> None:
    with open_cluster(data, connection, within=2):
        pass


async def test_a_client_that_speaks_in_the_clear_is_not_answered(town: Town) -> None:
    connection = Connection(town.broker.server, "admin", town.broker.admin_password)
    with pytest.raises(BusNotUsable, match="did not answer within 2 s"):
        await asyncio.to_thread(_open, town.data, connection)


def test_a_wrong_password_is_told_from_a_wrong_certificate(town: Town) -> None:
    connection = Connection(town.broker.server, "admin", "wrong", "SASL_SSL", town.broker.authority)
    with pytest.raises(BusNotUsable, match="does not let admin in: wrong user or password"):
        _open(town.data, connection)


def test_no_password_is_given_that_could_not_be_kept(town: Town, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    connection = Connection(
        town.broker.server, "admin", town.broker.admin_password, "SASL_SSL", town.broker.authority
    )
    known = load_contracts(town.pair.root)
    with open_cluster(tmp_path / "file", connection) as cluster:
        planned = {change.after for change in cluster.plan(known, TODAY).changes}
        with pytest.raises(
            BusNotUsable, match=r"Passwords and changes cannot be kept in .*file: File exists"
        ):
            cluster.apply(known, TODAY)
    assert planned == {"SCRAM-SHA-512, 8192 iterations, a new password"}
    assert run(town.pair.root, *town.words)["changes"] == []


def test_no_secret_is_in_the_brokers_log_or_on_its_command_line(town: Town) -> None:
    secrets = [file.read_text() for file in (town.broker.folder / "secrets").rglob("*.password")]
    assert len(secrets) == 2
    command = Path(f"/proc/{town.broker.process.pid}/cmdline").read_text()
    said = town.broker.log + command + str(town.broker.environment)
    assert [secret for secret in secrets if secret in said] == []


def test_every_broker_setting_of_the_file_is_one_that_kafka_knows(broker: Broker) -> None:
    jars = fetch_jars()
    command = [str(find_java()), "-XX:TieredStopAtLevel=1", "-cp", ":".join(map(str, jars))]
    page = subprocess.run([*command, "kafka.server.KafkaConfig"], check=True, capture_output=True, text=True)
    known = set(re.findall(r'id="brokerconfigs_([a-z0-9.]+)"', page.stdout)) | _authorizer_settings(jars)
    told = {line.partition("=")[0] for line in broker.settings.splitlines() if "=" in line}
    listener = re.compile(r"^listener\.name\.[a-z]+\.(?:scram-sha-(?:256|512)\.|plain\.)?")
    plain = {listener.sub("", name) for name in told}
    assert len(plain) > 30
    assert plain - known == set()


def _authorizer_settings(jars: list[Path]) -> set[str]:
    """Kafka leaves the authorizer's settings to its class: these are the words in it that look like some."""
    (jar,) = [jar for jar in jars if jar.name.startswith("kafka-metadata-")]
    code = zipfile.ZipFile(jar).read("org/apache/kafka/metadata/authorizer/StandardAuthorizer.class")
    return {word.decode() for word in re.findall(rb"[a-z]+(?:\.[a-z]+)+", code)}


def test_a_database_that_is_asked_for_tls_is_not_spoken_to_in_the_clear(data: Path) -> None:
    place = load_bus(data)["postgres"]
    secret = (data / "secrets/postgres.password").read_text()
    url = f"postgresql://postgres@127.0.0.1:{place['port']}/postgres?sslmode=require"
    with pytest.raises(BusNotUsable, match=r"does not answer \(ConnectionError\).*TLS"):
        asyncio.run(fetch_databases(Postgres.at(url, secret)))
    url = url.replace("require", "verify-full&sslrootcert=/nowhere.pem")
    with pytest.raises(SettingsNotUsable, match="question mark"):
        asyncio.run(fetch_databases(Postgres.at(url, secret)))
